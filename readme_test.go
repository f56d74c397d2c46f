package main

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/kinds"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/render"
	"github.com/dittofs/function-dittoserver/internal/report"
)

// TestREADMECommands runs every command of the README that needs no cluster,
// and looks at the others as far as it can.
func TestREADMECommands(t *testing.T) {
	const renderCommand, goRun = "go run . render ", "go run . "
	var bin string // built when it is needed first
	for _, b := range readmeBlocks(t, "sh") {
		for _, cmd := range b.lines {
			for _, path := range repositoryPath.FindAllString(cmd, -1) {
				if _, err := os.Stat(path); err != nil {
					t.Errorf("%s: %v", cmd, err)
				}
			}
			for _, name := range exampleObject.FindAllString(cmd, -1) {
				if !exampleObjects()[name] {
					t.Errorf("%s: no object of the examples is named %s", cmd, name)
				}
			}
			args, isRender := strings.CutPrefix(cmd, renderCommand)
			switch {
			case isRender:
				if testing.Short() {
					continue
				}
				if bin == "" {
					bin = buildFunction(t)
				}
				checkRender(t, bin, cmd, strings.Fields(args), b.then)
			case strings.HasPrefix(cmd, goRun):
				checkFlags(t, cmd, strings.Fields(strings.TrimPrefix(cmd, goRun)))
			case !knownCommand.MatchString(cmd):
				t.Errorf("%s: no test looks at such a command", cmd)
			}
		}
	}
}

var (
	repositoryPath = regexp.MustCompile(`\b(example|testdata|docs)/[^\s"']*`)
	// exampleObject is what is called after the servers that the README uses.
	exampleObject = regexp.MustCompile(`\b(files|archive|measured)-[a-z0-9-]+`)
	// The end-to-end tests run what make runs.
	knownCommand = regexp.MustCompile(`^(make (playground|playground-stop|e2e|real)$|go test \./\.\.\.$|go install |kubectl |crossplane |dfsctl |sudo mount |(PASSWORD|TOKEN)=\$\(kubectl |curl -H "Authorization: Bearer )`)
)

// exampleObjects are the objects of the servers that the README uses, and those
// that Percona's operator makes of them.
func exampleObjects() map[string]bool {
	out := map[string]bool{}
	for _, n := range []string{"files", "archive", "measured"} {
		for _, ref := range kinds.Refs(n) {
			out[ref.Name] = true
		}
		out[names.ClusterCredentials(n)] = true
		out[names.Cluster(n)+"-primary"] = true
		out[names.Cluster(n)+"-repo-host-0"] = true
	}
	return out
}

func buildFunction(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "function-dittoserver")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// checkRender runs the command. What is invalid is refused, and what the README
// says that it prints, it prints.
func checkRender(t *testing.T, bin, cmd string, args []string, want string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), bin, append([]string{"render"}, args...)...)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()

	if strings.Contains(cmd, "testdata/invalid/") {
		if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(stderr.String(), "invalid DittoServer: ") {
			t.Errorf("%s: is not refused: %v\n%s", cmd, err, stderr.String())
		}
		return
	}
	switch {
	case err != nil:
		t.Errorf("%s: %v\n%s", cmd, err, stderr.String())
	case stderr.Len() > 0:
		t.Errorf("%s: has a note:\n%s", cmd, stderr.String())
	case stdout.Len() == 0:
		t.Errorf("%s: prints nothing", cmd)
	}
	if want == "" {
		return
	}
	if diff := cmp.Diff(trimLines(want), trimLines(stdout.String())); diff != "" {
		t.Errorf("%s: -what the README says, +what it prints:\n%s", cmd, diff)
	}
}

func trimLines(s string) []string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}

func checkFlags(t *testing.T, cmd string, args []string) {
	t.Helper()
	p, err := kong.New(&CLI{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Parse(args); err != nil {
		t.Errorf("%s: %v", cmd, err)
	}
}

// TestREADMEManifests decodes the fragments of DittoServers in the README.
func TestREADMEManifests(t *testing.T) {
	for _, b := range readmeBlocks(t, "yaml") {
		text := strings.Join(b.lines, "\n")
		if err := yaml.UnmarshalStrict([]byte(text), &v1alpha1.DittoServer{}); err != nil {
			t.Errorf("%v:\n%s", err, text)
		}
	}
}

// TestREADMELinks follows the links within the repository.
func TestREADMELinks(t *testing.T) {
	text := readme(t)
	anchors := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		anchors[anchor(m[1])] = true
	}
	for _, m := range regexp.MustCompile(`\]\(([^)]*)\)`).FindAllStringSubmatch(text, -1) {
		file, at, _ := strings.Cut(m[1], "#")
		switch {
		case strings.Contains(file, "://"):
		case file == "" && !anchors[at]:
			t.Errorf("no heading for #%s", at)
		case file != "":
			if _, err := os.Stat(file); err != nil {
				t.Errorf("link: %v", err)
			}
		}
	}
}

// anchor is what GitHub makes of a heading.
func anchor(heading string) string {
	a := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(heading), "")
	return strings.ReplaceAll(a, " ", "-")
}

// TestREADMEConditions compares the README's table with the code: it explains
// every type and every reason that there is, and no other, and every condition
// that an example ever has.
func TestREADMEConditions(t *testing.T) {
	rows := conditionRows(t)
	types, reasons := map[string]bool{}, map[string]bool{}
	for r := range rows {
		types[r.Type], reasons[r.Reason] = true, true
	}
	coded := map[string]bool{}
	for _, dir := range []string{"internal/report", "internal/pgstate"} {
		maps.Copy(coded, constants(t, dir, "Reason"))
	}
	if diff := cmp.Diff(sorted(coded), sorted(reasons)); diff != "" {
		t.Errorf("reasons: -in the code, +in the README:\n%s", diff)
	}
	if diff := cmp.Diff(sorted(constants(t, "internal/report", "Type")), sorted(types)); diff != "" {
		t.Errorf("types: -in the code, +in the README:\n%s", diff)
	}
	for _, c := range goldenConditions(t) {
		if !c.IsSystem() && !rows[render.Condition{Type: c.Type, Status: c.Status, Reason: c.Reason}] {
			t.Errorf("an example has %s %s %s, which the README does not explain", c.Type, c.Status, c.Reason)
		}
	}
	if !reasons[report.ReasonChangeHeld] {
		t.Error("the table was not found")
	}
}

// conditionRows are the rows of the table of conditions, without messages.
func conditionRows(t *testing.T) map[render.Condition]bool {
	t.Helper()
	out := map[render.Condition]bool{}
	row := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (True|False) \\| `(\\w+)` \\| ([^|]+) \\| ([^|]+) \\| ([^|]+) \\|$")
	for _, m := range row.FindAllStringSubmatch(readme(t), -1) {
		c := render.Condition{Type: m[1], Status: m[2], Reason: m[3]}
		if out[c] {
			t.Errorf("two rows for %v", c)
		}
		out[c] = true
	}
	return out
}

// constants are the values of a package's exported string constants whose names
// begin with the prefix.
func constants(t *testing.T, dir, prefix string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no Go files in %s: %v", dir, err)
	}
	out := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			for i, name := range spec.Names {
				if !strings.HasPrefix(name.Name, prefix) || i >= len(spec.Values) {
					continue
				}
				lit, ok := spec.Values[i].(*ast.BasicLit)
				if !ok {
					continue
				}
				v, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				out[v] = true
			}
			return true
		})
	}
	return out
}

// goldenConditions are all conditions in the goldens of the examples.
func goldenConditions(t *testing.T) []render.Condition {
	t.Helper()
	var out []render.Condition
	err := filepath.WalkDir("testdata/golden", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for doc := range strings.SplitSeq(string(b), "\n---") {
			// What follows the separator on its line is a comment.
			_, text, _ := strings.Cut(doc, "\n")
			o := map[string]any{}
			if err := yaml.Unmarshal([]byte(text), &o); err != nil {
				return err
			}
			out = append(out, render.GetConditions(&unstructured.Unstructured{Object: o})...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sorted(m map[string]bool) []string { return slices.Sorted(maps.Keys(m)) }

func readme(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A codeBlock is a fenced block of the README.
type codeBlock struct {
	lines []string
	// then is the text block that follows, which is what its command prints.
	then string
}

// readmeBlocks are the README's blocks of a language, each with the text block
// that follows it before any other.
func readmeBlocks(t *testing.T, language string) []codeBlock {
	t.Helper()
	fence := regexp.MustCompile("(?ms)^( *)```(\\w+)\n(.*?)^ *```$")
	var out []codeBlock
	last := -1 // the block that a text block would belong to
	for _, m := range fence.FindAllStringSubmatch(readme(t), -1) {
		indent, lang, text := m[1], m[2], m[3]
		switch lang {
		case language:
			var lines []string
			for l := range strings.Lines(text) {
				lines = append(lines, strings.TrimPrefix(strings.TrimRight(l, "\n"), indent))
			}
			out = append(out, codeBlock{lines: lines})
			last = len(out) - 1
		case "text":
			if last >= 0 {
				out[last].then = text
			}
			last = -1
		default:
			last = -1
		}
	}
	if len(out) == 0 {
		t.Fatalf("the README has no block of %s", language)
	}
	return out
}
