package main

import (
	"context"
	_ "embed"
	"fmt"
	"image/color"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"text/template"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

//go:embed performance.md.tmpl
var page string

// When memory is measured: just started, with all servers idle, and after all of
// them have changed.
const (
	started = "started"
	idle    = "idle"
	changed = "changed"
)

type results struct {
	RequestSize int
	Costs       []figure
	Memory      []memory
	Flat        samples
	FlatCalls   int
}

// A figure is what calls cost one function.
type figure struct {
	function string
	load     load
	cost     cost
}

// memory is resident memory, in bytes.
type memory struct {
	function string
	servers  int
	when     string
	bytes    int
}

// samples are resident memory over time, in bytes.
type samples []int

// err returns an error if memory grows.
func (s samples) err() error {
	if len(s) < 8 {
		return nil
	}
	early, late := slices.Max(s[len(s)/4:len(s)/2]), slices.Min(s[3*len(s)/4:])
	if late > early*21/20 {
		return fmt.Errorf("resident memory grows with the number of calls: from at most %d MiB in the second quarter to at least %d MiB in the last", early>>20, late>>20)
	}
	return nil
}

func (s samples) Min() string { return mib(slices.Min(s[len(s)/4:])) }
func (s samples) Max() string { return mib(slices.Max(s)) }

func mib(bytes int) string { return fmt.Sprintf("%.0f", float64(bytes)/(1<<20)) }

func (r *results) cost(function string, l load) cost {
	for _, f := range r.Costs {
		if f.function == function && f.load.servers == l.servers && f.load.callers == l.callers && f.load.changing == l.changing {
			return f.cost
		}
	}
	return cost{}
}

// Rows returns the lines of the table of costs.
func (r *results) Rows() []string {
	rows := make([]string, 0, len(r.Costs))
	for _, f := range r.Costs {
		if f.function != echoName {
			continue
		}
		state := "idle"
		if f.load.changing {
			state = "changing"
		}
		echo, ours, template := f.cost, r.cost(ourName, f.load), r.cost(templateName, f.load)
		rows = append(rows, fmt.Sprintf("| %d | %s | %d | %.0f | **%.0f** (x%.2f) | %.0f (x%.2f) | %.0f | **%.0f** | %.0f |",
			f.load.servers, state, f.load.callers,
			echo.perCall(), ours.perCall(), ours.perCall()/echo.perCall(), template.perCall(), template.perCall()/echo.perCall(),
			echo.perSecond(), ours.perSecond(), template.perSecond()))
	}
	return rows
}

// MemoryRows returns the lines of the table of memory.
func (r *results) MemoryRows() []string {
	at := func(function string, servers int, when string) string {
		for _, m := range r.Memory {
			if m.function == function && m.servers == servers && m.when == when {
				return mib(m.bytes)
			}
		}
		return "-"
	}
	rows := make([]string, 0, len(r.Memory))
	for _, m := range r.Memory {
		if m.function != echoName {
			continue
		}
		when := map[string]string{started: "just started", idle: "all idle", changed: "all have changed"}[m.when]
		rows = append(rows, fmt.Sprintf("| %d | %s | %s | **%s** | %s |", m.servers, when,
			at(echoName, m.servers, m.when), at(ourName, m.servers, m.when), at(templateName, m.servers, m.when)))
	}
	return rows
}

// Machine returns what the figures were measured on.
func (r *results) Machine() string {
	model := "unknown"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%s/%s, %d cores (%s)", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), model)
}

// Versions returns those of what the cost depends on.
func (r *results) Versions() string {
	parts := []string{runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			switch d.Path {
			case "google.golang.org/grpc", "google.golang.org/protobuf", "github.com/crossplane/function-sdk-go", "github.com/Masterminds/sprig/v3":
				parts = append(parts, d.Path+" "+d.Version)
			}
		}
	}
	return strings.Join(parts, ", ")
}

// Command returns how to get the figures.
func (r *results) Command() string {
	return strings.Join(append([]string{"cd test/bench && go run ."}, os.Args[1:]...), " ")
}

// KB returns the size of a request.
func (r *results) KB() int { return r.RequestSize / 1000 }

func (r *results) write(ctx context.Context, o options) error {
	t, err := template.New("page").Parse(page)
	if err != nil {
		return err
	}
	b := &strings.Builder{}
	commit, _ := exec.CommandContext(ctx, "git", "-C", o.root, "rev-parse", "--short", "HEAD").Output() //nolint:gosec // The root of this repository.
	if err := t.Execute(b, map[string]any{"R": r, "Commit": strings.TrimSpace(string(commit))}); err != nil {
		return err
	}
	if !o.write {
		fmt.Print(b.String())
		return nil
	}
	docs := filepath.Join(o.root, "docs")
	if err := r.plot(filepath.Join(docs, "performance.svg")); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(docs, "performance.md"), []byte(b.String()), 0o644) //nolint:gosec // A page to read.
}

// plot draws cost over the number of servers.
func (r *results) plot(path string) error {
	p := plot.New()
	p.Title.Text = "CPU time of a call, one caller"
	p.X.Label.Text = "servers"
	p.Y.Label.Text = "µs"
	p.Y.Min = 0
	p.X.Scale = plot.LogScale{}
	p.X.Tick.Marker = plot.LogTicks{Prec: -1}
	p.Add(plotter.NewGrid())
	p.Legend.Top = true
	p.Legend.Left = true

	for _, line := range []struct {
		label, function string
		changing        bool
		color           color.Color
		dashes          []vg.Length
	}{
		{"template, changing", templateName, true, color.RGBA{R: 0xb4, G: 0x53, B: 0x09, A: 0xff}, dashed()},
		{"template, idle", templateName, false, color.RGBA{R: 0xb4, G: 0x53, B: 0x09, A: 0xff}, nil},
		{"echo", echoName, false, color.RGBA{R: 0x6b, G: 0x72, B: 0x80, A: 0xff}, nil},
		{"function-dittoserver, changing", ourName, true, color.RGBA{R: 0x1d, G: 0x4e, B: 0xd8, A: 0xff}, dashed()},
		{"function-dittoserver, idle", ourName, false, color.RGBA{R: 0x1d, G: 0x4e, B: 0xd8, A: 0xff}, nil},
	} {
		points := plotter.XYs{}
		for _, f := range r.Costs {
			if f.function == line.function && f.load.callers == 1 && f.load.changing == line.changing {
				points = append(points, plotter.XY{X: float64(f.load.servers), Y: f.cost.perCall()})
			}
		}
		l, s, err := plotter.NewLinePoints(points)
		if err != nil {
			return err
		}
		l.Color, l.Width, l.Dashes = line.color, vg.Points(1.5), line.dashes
		s.Color = line.color
		p.Add(l, s)
		p.Legend.Add(line.label, l)
	}
	p.Y.Max *= 1.4 // Room for the legend.
	return p.Save(20*vg.Centimeter, 11*vg.Centimeter, path)
}

func dashed() []vg.Length { return []vg.Length{vg.Points(4), vg.Points(3)} }
