package lifecycle

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/crossplane/function-sdk-go/errors"

	"github.com/dittofs/function-dittoserver/internal/render"
)

// A Stage is one in the life of a server: how the systems around it are.
type Stage struct {
	Name string
	// Play makes the systems so. It is called before each reconcile, since they
	// react to what Crossplane applies.
	Play func(w *World)
}

// The stages of a server's life. Each says all of how the systems are, so that
// they can be tried in any order.
var (
	Created = Stage{"created", func(*World) {}} //nolint:gochecknoglobals // A constant, or a flag.
	// OperatorInstalled has Percona's operator installed where only the XR's own
	// CustomResourceDefinition was.
	OperatorInstalled    = Stage{"operator installed", func(w *World) { w.InstallOperator() }} //nolint:gochecknoglobals // A constant, or a flag.
	SecretsCreated       = Stage{"secrets created", func(w *World) { w.MakeMissingSecrets() }} //nolint:gochecknoglobals // A constant, or a flag.
	DatabaseInitializing = Stage{"database initializing", func(w *World) {                     //nolint:gochecknoglobals // A constant, or a flag.
		w.Pause(false)
		w.MakeClusterSecrets()
		w.ReportCluster(Cluster{State: StateInitializing, Size: min(1, w.Instances())})
	}}
	DatabaseReady = Stage{"database ready", databaseReady} //nolint:gochecknoglobals // A constant, or a flag.
	// ServerStarting has the pod waiting, or starting.
	ServerStarting = Stage{"server starting", func(w *World) { //nolint:gochecknoglobals // A constant, or a flag.
		databaseReady(w)
		w.ReportServer(0)
	}}
	AllReady = Stage{"all ready", func(w *World) { //nolint:gochecknoglobals // A constant, or a flag.
		databaseReady(w)
		w.GiveAddresses()
		w.ReportServer(1)
	}}
	// DatabaseFlapping has no instance ready for a while, as after a failover.
	// The server's probes do not notice.
	DatabaseFlapping = Stage{"database flapping", func(w *World) { //nolint:gochecknoglobals // A constant, or a flag.
		w.Pause(false)
		w.MakeClusterSecrets()
		w.ReportCluster(Cluster{State: StateInitializing, Size: w.Instances(), Backups: true})
		w.ReportServer(1)
	}}
	// Paused has the database shut down by a person.
	Paused = Stage{"database paused", func(w *World) { //nolint:gochecknoglobals // A constant, or a flag.
		w.Pause(true)
		w.ReportCluster(Cluster{State: StatePaused, Backups: true})
		w.ReportServer(1)
	}}
	ReadyAgain = Stage{"ready again", func(w *World) { //nolint:gochecknoglobals // A constant, or a flag.
		databaseReady(w)
		w.GiveAddresses()
		w.ReportServer(1)
	}}
	// ServerRestarting has the pod replaced, by an eviction for example.
	ServerRestarting = Stage{"server restarting", func(w *World) { w.ReportServer(0) }} //nolint:gochecknoglobals // A constant, or a flag.
)

func databaseReady(w *World) {
	w.Pause(false)
	w.MakeClusterSecrets()
	n := w.Instances()
	w.ReportCluster(Cluster{State: StateReady, Size: n, Ready: n, Backups: true})
}

// A Row is what one stage came to.
type Row struct {
	Stage string `json:"stage"`
	// Composed is the composition resource names of the last answer.
	Composed []string `json:"composed"`
	// New and Gone are what Crossplane created and deleted in this stage.
	New  []string `json:"new,omitempty"`
	Gone []string `json:"gone,omitempty"`
	// DatabaseReady is that condition's status and reason; empty without one.
	DatabaseReady string `json:"databaseReady,omitempty"`
	// Ready is that condition's status and reason.
	Ready string `json:"ready"`

	// Answers are those of this stage, in their order.
	Answers []*Answer `json:"-"`
}

// maxReconciles bounds how often Crossplane calls before nothing changes any
// more. More would be a loop.
const maxReconciles = 10

// Step plays a stage and reconciles until nothing changes any more. A Fatal
// result is an error, a *render.FatalError.
func (w *World) Step(ctx context.Context, s Stage) (Row, error) {
	row := Row{Stage: s.Name}
	created, deleted := map[string]bool{}, map[string]bool{}
	for range maxReconciles {
		s.Play(w)
		a, err := w.Reconcile(ctx)
		if err != nil {
			return row, errors.Wrapf(err, "stage %q", s.Name)
		}
		if a.Fatal != nil {
			return row, a.Fatal
		}
		row.Answers = append(row.Answers, a)
		for _, n := range a.Created {
			created[n] = true
		}
		for _, n := range a.Deleted {
			deleted[n] = true
		}
		if !a.Quiet() {
			continue
		}
		row.Composed = slices.Sorted(maps.Keys(a.Response.GetDesired().GetResources()))
		row.New, row.Gone = slices.Sorted(maps.Keys(created)), slices.Sorted(maps.Keys(deleted))
		row.DatabaseReady, row.Ready = w.condition("DatabaseReady"), w.condition(render.TypeReady)
		return row, nil
	}
	return row, errors.Errorf("stage %q: every answer of the function changes something, after %d reconciles still; this is a bug of the function, please report it", s.Name, maxReconciles)
}

func (w *World) condition(typ string) string {
	for _, c := range render.GetConditions(w.xr) {
		if c.Type == typ {
			return c.Status + " " + c.Reason
		}
	}
	return ""
}

// Walk walks the server through its life, the one that fits the database that
// it uses.
func (w *World) Walk(ctx context.Context) ([]Row, error) {
	var rows []Row
	walk := func(stages ...Stage) error {
		for _, s := range stages {
			row, err := w.Step(ctx, s)
			if err != nil {
				return err
			}
			rows = append(rows, row)
		}
		return nil
	}
	if err := walk(Created); err != nil {
		return nil, err
	}
	if made := w.MakeMissingSecrets(); len(made) > 0 {
		if err := walk(SecretsCreated); err != nil {
			return nil, err
		}
	}
	nothing := func() bool { return len(w.keysOf(kindCluster))+len(w.keysOf(kindServer)) == 0 }
	if nothing() {
		if err := walk(OperatorInstalled); err != nil || nothing() {
			return rows, err
		}
	}
	stages := []Stage{ServerStarting, AllReady, ServerRestarting, ReadyAgain}
	if len(w.keysOf(kindCluster)) > 0 {
		stages = []Stage{DatabaseInitializing, DatabaseReady, ServerStarting, AllReady, DatabaseFlapping, Paused, ReadyAgain}
	}
	err := walk(stages...)
	return rows, err
}

// Print writes rows as a table for a person.
func Print(out io.Writer, rows []Row) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(cells ...string) { _, _ = fmt.Fprintln(t, strings.Join(cells, "\t")) }
	line("STAGE", "COMPOSED", "NEW", "DATABASEREADY", "READY")
	for _, r := range rows {
		news := slices.Clone(r.New)
		for _, n := range r.Gone {
			news = append(news, "GONE:"+n)
		}
		line(r.Stage, fmt.Sprint(len(r.Composed)), orDash(strings.Join(news, " ")), orDash(r.DatabaseReady), orDash(r.Ready))
	}
	return errors.Wrap(t.Flush(), "cannot print")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
