package main

import (
	"bytes"
	"errors"
	goflag "flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossplane/function-sdk-go/logging"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/input/v1beta1"
	"github.com/dittofs/function-dittoserver/internal/kinds"
	"github.com/dittofs/function-dittoserver/internal/lifecycle"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/render"
	"github.com/dittofs/function-dittoserver/internal/report"
	"github.com/dittofs/function-dittoserver/internal/xrdgen/apiserver"
)

var updateGoldens = goflag.Bool("update", false, "rewrite the golden files")

// examples are the manifests that users copy, and what previews need beside
// them.
var examples = map[string]struct {
	file     string
	input    string
	required string // the Secrets that its user makes
	stages   []lifecycle.Stage
}{
	"minimal":           {file: "example/minimal.yaml", stages: perconaStages},
	"minimal-and-input": {file: "example/minimal.yaml", input: "example/input.yaml", stages: perconaStages},
	"overrides":         {file: "example/minimal.yaml", input: "example/overrides.yaml", stages: perconaStages},
	"percona":           {file: "example/percona.yaml", stages: perconaStages},
	"production":        {file: "example/production.yaml", required: "example/required/production.yaml", stages: perconaStages},
	"external-database": {file: "example/external-database.yaml", required: "example/required/external-database.yaml", stages: serverStages},
	"sqlite":            {file: "example/sqlite.yaml", stages: serverStages},
	"metrics":           {file: "example/metrics.yaml", required: "example/required/metrics.yaml", stages: serverStages},
	"network-policy":    {file: "example/network-policy.yaml", stages: perconaStages},
	"service-monitor":   {file: "example/service-monitor.yaml", stages: serverStages},
	"ldap":              {file: "example/ldap.yaml", required: "example/required/ldap.yaml", stages: serverStages},
	"kerberos":          {file: "example/kerberos.yaml", required: "example/required/kerberos.yaml", stages: serverStages},
	"tls":               {file: "example/tls.yaml", required: "example/required/tls.yaml", stages: serverStages},
	"placement":         {file: "example/placement.yaml", required: "example/required/placement.yaml", stages: serverStages},
	"claim":             {file: "example/claim/xr.yaml", stages: perconaStages},
}

var (
	perconaStages = []lifecycle.Stage{
		lifecycle.DatabaseInitializing,
		lifecycle.DatabaseReady,
		lifecycle.ServerStarting,
		lifecycle.AllReady,
		lifecycle.DatabaseFlapping,
		lifecycle.Paused,
		lifecycle.ReadyAgain,
	}
	serverStages = []lifecycle.Stage{
		lifecycle.ServerStarting,
		lifecycle.AllReady,
		lifecycle.ServerRestarting,
	}
)

// TestExamples walks every example through its life. What is composed at each
// stage is frozen by goldens: a change of the pod template or of config.yaml
// restarts every server there is.
func TestExamples(t *testing.T) {
	for name, ex := range examples {
		t.Run(name, func(t *testing.T) {
			w := lifecycle.New(testFunction(), xrFrom(t, ex.file), inputFrom(t, ex.input))
			before := map[string]string{}
			stages := slices.Concat([]lifecycle.Stage{lifecycle.Created}, ex.stages)
			if ex.required != "" {
				stages = slices.Insert(stages, 1, lifecycle.SecretsCreated)
			}
			for i, s := range stages {
				if s.Name == lifecycle.SecretsCreated.Name {
					putFile(t, w, ex.required)
				}
				row := playStage(t, w, s)
				got := stageYAML(t, w, row, before)
				compareGolden(t, got, "testdata", "golden", name, fmt.Sprintf("%02d-%s.yaml", i+1, strings.ReplaceAll(s.Name, " ", "-")))
				for _, a := range row.Answers {
					noCredentials(t, a.Response)
				}
				if len(row.Gone) > 0 {
					t.Errorf("stage %q: composed resources are gone: %v", s.Name, row.Gone)
				}
				if s.Name == lifecycle.AllReady.Name && row.Ready != "True Available" {
					t.Errorf("stage %q: Ready is %q", s.Name, row.Ready)
				}
			}
		})
	}
}

// TestEveryExampleIsAGolden finds the DittoServers in example/ that TestExamples
// does not walk.
func TestEveryExampleIsAGolden(t *testing.T) {
	covered := map[string]bool{
		// Its spec is that of claim/xr.yaml: TestClaimAndXR.
		"example/claim/claim.yaml": true,
	}
	for _, ex := range examples {
		covered[ex.file] = true
	}
	err := filepath.WalkDir("example", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		docs, err := render.Loader{}.Load(path)
		if err != nil {
			return err
		}
		for _, doc := range docs {
			if kind := doc.Object.GetKind(); (kind == "DittoServer" || kind == "XDittoServer") && !covered[path] {
				t.Errorf("%s has no golden: add it to examples", path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestExamplesFitTheDefinitions has the API server's own code judge everything
// that a user may copy or edit, as it does before the function sees it.
func TestExamplesFitTheDefinitions(t *testing.T) {
	judges := map[string]*apiserver.Judge{}
	for kind, file := range map[string]string{"DittoServer": "example/xrd.yaml", "XDittoServer": "example/claim/xrd.yaml"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		composite, claim, err := apiserver.ForXRD(b)
		if err != nil {
			t.Fatal(err)
		}
		judges[kind] = composite
		if claim != nil {
			judges["claim"] = claim
		}
	}
	check := func(kind, file string) {
		xr := xrFrom(t, file)
		if kind == "" {
			kind = xr.GetKind()
		}
		if errs := judges[kind].Judge(t.Context(), xr.Object); len(errs) > 0 {
			t.Errorf("%s: %v", file, errs.ToAggregate())
		}
	}
	for _, ex := range examples {
		check("", ex.file)
	}
	check("claim", "example/claim/claim.yaml")
	for _, dir := range []string{"held", "taken"} {
		for _, c := range casesIn(t, dir) {
			check("", c.file(""))
		}
	}

	crd := &extv1.CustomResourceDefinition{}
	b, err := os.ReadFile("package/input/dittoserver.fn.crossplane.io_inputs.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, crd); err != nil {
		t.Fatal(err)
	}
	j, err := apiserver.ForCRD(crd, v1beta1.Version)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"example/input.yaml", "example/overrides.yaml"} {
		if errs := j.Judge(t.Context(), inputFrom(t, file).AsMap()); len(errs) > 0 {
			t.Errorf("%s: %v", file, errs.ToAggregate())
		}
	}
}

// TestClaimAndXR says that the composite resource for previews is what
// Crossplane makes of the claim beside it.
func TestClaimAndXR(t *testing.T) {
	claim, xr := xrFrom(t, "example/claim/claim.yaml"), xrFrom(t, "example/claim/xr.yaml")
	want, _, _ := unstructured.NestedMap(claim.Object, "spec")
	want["claimRef"] = map[string]any{
		"apiVersion": claim.GetAPIVersion(), "kind": claim.GetKind(),
		"namespace": claim.GetNamespace(), "name": claim.GetName(),
	}
	got, _, _ := unstructured.NestedMap(xr.Object, "spec")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("spec of claim/xr.yaml: -want, +got:\n%s", diff)
	}
	if diff := cmp.Diff(render.CompositeLabels(xr), xr.GetLabels()); diff != "" {
		t.Errorf("labels of claim/xr.yaml: -want, +got:\n%s", diff)
	}
}

// TestInvalid has one file for each class of invalid specs, with the message
// that it gets beside it.
func TestInvalid(t *testing.T) {
	for _, c := range casesIn(t, "invalid") {
		t.Run(c.name, func(t *testing.T) {
			w := lifecycle.New(testFunction(), xrFrom(t, c.file("")), inputFrom(t, c.optional("input")))
			putFile(t, w, c.optional("required"))
			a, err := w.Reconcile(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if a.Fatal == nil {
				t.Fatal("the spec is accepted")
			}
			if n := len(a.Response.GetDesired().GetResources()); n > 0 {
				t.Errorf("%d resources are composed beside a Fatal", n)
			}
			compareGolden(t, messageLines(a.Fatal.Error()), c.golden())

			// A claim shows nothing but conditions.
			got := conditionOf(a.Response, report.TypeAccepted)
			want := render.Condition{Type: report.TypeAccepted, Status: render.StatusFalse, Reason: report.ReasonInvalidSpec, Message: a.Fatal.Error()}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Accepted: -want, +got:\n%s", diff)
			}
			noCredentials(t, a.Response)
		})
	}
}

// TestHeld has one file for each class of edits that contradict what exists,
// with the message that it gets beside it. An edit of an example is applied to
// that example when all of it is ready.
func TestHeld(t *testing.T) {
	for _, c := range casesIn(t, "held") {
		t.Run(c.name, func(t *testing.T) {
			edited := xrFrom(t, c.file(""))
			w := livedIn(t, c, edited)
			before := composedObjects(w)
			w.EditXR(func(xr *unstructured.Unstructured) { xr.Object["spec"] = edited.Object["spec"] })
			if in := c.optional("input"); in != "" {
				w.SetInput(inputFrom(t, in))
			}
			row := playStage(t, w, lifecycle.AllReady)

			rsp := row.Answers[len(row.Answers)-1].Response
			got := conditionOf(rsp, report.TypeAccepted)
			if got.Status != render.StatusFalse || got.Reason != report.ReasonChangeHeld {
				t.Errorf("Accepted is %s %s: %s", got.Status, got.Reason, got.Message)
			}
			compareGolden(t, messageLines(got.Message), c.golden())
			noCredentials(t, rsp)

			// None of these edits changes anything but what is held.
			if diff := cmp.Diff(before, composedObjects(w)); diff != "" && c.optional("observed") == "" {
				t.Errorf("something that is held is changed: -before, +after:\n%s", diff)
			}
			if len(row.Gone) > 0 {
				t.Errorf("composed resources are gone: %v", row.Gone)
			}
		})
	}
}

// TestTaken has what may be in a server's way, with the message that it gets.
func TestTaken(t *testing.T) {
	for _, c := range casesIn(t, "taken") {
		t.Run(c.name, func(t *testing.T) {
			w := lifecycle.New(testFunction(), xrFrom(t, c.file("")), inputFrom(t, c.optional("input")))
			putFile(t, w, c.optional("required"))
			before := allObjects(w)
			row := playStage(t, w, lifecycle.AllReady)
			got := conditionOf(row.Answers[len(row.Answers)-1].Response, report.TypeAccepted)
			if got.Status != render.StatusFalse || got.Reason != report.ReasonNameTaken {
				t.Errorf("Accepted is %s %s: %s", got.Status, got.Reason, got.Message)
			}
			compareGolden(t, messageLines(got.Message), c.golden())
			if row.Ready != "False Creating" {
				t.Errorf("Ready is %q although something is missing", row.Ready)
			}
			after := allObjects(w)
			for k, o := range before {
				if diff := cmp.Diff(o, after[k]); diff != "" {
					t.Errorf("%v is touched: -before, +after:\n%s", k, diff)
				}
			}
		})
	}
}

// testFunction makes secrets that are the same each time, as render does.
func testFunction() *Function {
	return NewFunction(logging.NewNopLogger(), time.Minute, render.Placeholder{})
}

// A testCase is a file below testdata. Beside NAME.yaml are, where needed,
// NAME.input.yaml, NAME.required.yaml, NAME.observed.yaml and NAME.before.yaml,
// and the expected message in NAME.txt.
type testCase struct{ dir, name string }

func casesIn(t *testing.T, dir string) []testCase {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", dir, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in testdata/%s: %v", dir, err)
	}
	var out []testCase
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".yaml")
		if !strings.Contains(name, ".") {
			out = append(out, testCase{dir: dir, name: name})
		}
	}
	return out
}

func (c testCase) file(what string) string {
	if what != "" {
		what = "." + what
	}
	return filepath.Join("testdata", c.dir, c.name+what+".yaml")
}

func (c testCase) golden() string { return filepath.Join("testdata", c.dir, c.name+".txt") }

// optional is the file if it exists.
func (c testCase) optional(what string) string {
	if _, err := os.Stat(c.file(what)); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return c.file(what)
}

// livedIn is a world in which all is ready, of what the XR was before its edit.
func livedIn(t *testing.T, c testCase, edited *unstructured.Unstructured) *lifecycle.World {
	t.Helper()
	if f := c.optional("observed"); f != "" {
		w := lifecycle.New(testFunction(), edited, inputFrom(t, c.optional("input")))
		observed, err := render.Loader{}.LoadObserved(f)
		if err != nil {
			t.Fatal(err)
		}
		w.Observe(observed)
		return w
	}
	file, required := c.optional("before"), ""
	for _, ex := range examples {
		xr := xrFrom(t, ex.file)
		if file == "" && ex.input == "" && xr.GetName() == edited.GetName() && xr.GetKind() == edited.GetKind() {
			file, required = ex.file, ex.required
		}
	}
	if file == "" {
		t.Fatalf("no example is named %q, and there is no %s", edited.GetName(), c.file("before"))
	}
	w := lifecycle.New(testFunction(), xrFrom(t, file), nil)
	putFile(t, w, required)
	row := playStage(t, w, lifecycle.AllReady)
	if row.Ready != "True Available" {
		t.Fatalf("%s: Ready is %q", file, row.Ready)
	}
	return w
}

func playStage(t *testing.T, w *lifecycle.World, s lifecycle.Stage) lifecycle.Row {
	t.Helper()
	row, err := w.Step(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return row
}

// stageYAML is what the answers of one stage say, and what they compose: in
// full where that changed since the stage before, by its name where it did not.
func stageYAML(t *testing.T, w *lifecycle.World, row lifecycle.Row, before map[string]string) string {
	t.Helper()
	rsp := row.Answers[len(row.Answers)-1].Response
	out := &strings.Builder{}
	_, _ = fmt.Fprintf(out, "# Stage: %s\n# Asked again in: %s\n", row.Stage, rsp.GetMeta().GetTtl().AsDuration())

	xr := &unstructured.Unstructured{Object: render.ToMap(rsp.GetDesired().GetComposite().GetResource())}
	render.SetConditions(xr, render.ReadyCondition(rsp.GetDesired()))
	render.SetConditions(xr, render.Conditions(rsp)...)
	writeYAML(t, out, "the XR", xr.Object)

	for _, a := range row.Answers {
		for _, r := range a.Response.GetResults() {
			writeYAML(t, out, "an event", map[string]any{
				"severity": strings.TrimPrefix(r.GetSeverity().String(), "SEVERITY_"),
				"reason":   r.GetReason(),
				"message":  r.GetMessage(),
			})
		}
	}
	for _, name := range row.Composed {
		r := rsp.GetDesired().GetResources()[name]
		b, err := yaml.Marshal(render.ToMap(r.GetResource()))
		if err != nil {
			t.Fatal(err)
		}
		head := name + ", " + readinessOf(r)
		if before[name] == string(b) {
			_, _ = fmt.Fprintf(out, "--- # %s, as before\n", head)
			continue
		}
		before[name] = string(b)
		_, _ = fmt.Fprintf(out, "--- # %s\n%s", head, b)
	}
	return out.String()
}

func readinessOf(r *fnv1.Resource) string {
	if r.GetReady() == fnv1.Ready_READY_TRUE {
		return "ready"
	}
	return "not ready"
}

func writeYAML(t *testing.T, out *strings.Builder, head string, v any) {
	t.Helper()
	b, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprintf(out, "--- # %s\n%s", head, b)
}

// messageLines puts what a message lists on lines of their own, to be read in a
// diff.
func messageLines(msg string) string {
	msg = strings.ReplaceAll(msg, ", spec.", ",\nspec.")
	msg = strings.ReplaceAll(msg, ", input", ",\ninput")
	msg = strings.ReplaceAll(msg, ". spec.", ".\nspec.")
	return msg + "\n"
}

// composedObjects are the composed objects by their keys, without the record of what
// was asked for.
func composedObjects(w *lifecycle.World) map[string]any {
	out := map[string]any{}
	for _, ref := range kinds.Refs("any") {
		o := w.Composed(string(ref.Resource))
		if o == nil {
			continue
		}
		a := o.GetAnnotations()
		delete(a, names.AnnotationRecord)
		o.SetAnnotations(a)
		out[string(ref.Resource)] = o.Object
	}
	return out
}

// allObjects are all objects without their status, which their controllers
// write.
func allObjects(w *lifecycle.World) map[lifecycle.Key]any {
	out := map[lifecycle.Key]any{}
	for _, k := range w.Keys() {
		o := w.Get(k)
		delete(o.Object, "status")
		out[k] = o.Object
	}
	return out
}

func conditionOf(rsp *fnv1.RunFunctionResponse, typ string) render.Condition {
	for _, c := range render.Conditions(rsp) {
		if c.Type == typ {
			return c
		}
	}
	return render.Condition{}
}

// noCredentials looks for the values of the Secrets in example/ and testdata/,
// all of which say that they are not real.
func noCredentials(t *testing.T, rsp *fnv1.RunFunctionResponse) {
	t.Helper()
	for _, c := range render.Conditions(rsp) {
		if showsCredential(c.Message) {
			t.Errorf("condition %s shows a credential: %s", c.Type, c.Message)
		}
	}
	for _, r := range rsp.GetResults() {
		if showsCredential(r.GetMessage()) {
			t.Errorf("a result shows a credential: %s", r.GetMessage())
		}
	}
}

func showsCredential(s string) bool {
	return strings.Contains(s, "not-a-") || strings.Contains(s, "NOTAREAL") || strings.Contains(s, "preview-not")
}

func xrFrom(t *testing.T, file string) *unstructured.Unstructured {
	t.Helper()
	xr, err := render.Loader{}.LoadXR(file)
	if err != nil {
		t.Fatal(err)
	}
	return xr
}

func inputFrom(t *testing.T, file string) *structpb.Struct {
	t.Helper()
	if file == "" {
		return nil
	}
	in, err := render.Loader{}.LoadInput(file)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// putFile creates the objects of a file, if there is one.
func putFile(t *testing.T, w *lifecycle.World, file string) {
	t.Helper()
	if file == "" {
		return
	}
	os, err := render.Loader{}.LoadRequired(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range os {
		w.Put(o)
	}
}

// compareGolden compares with a golden file, or writes it.
func compareGolden(t *testing.T, got string, path ...string) {
	t.Helper()
	file := filepath.Join(path...)
	if *updateGoldens {
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; write it with: go test . -update", err)
	}
	if diff := cmp.Diff(string(bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))), got); diff != "" {
		t.Errorf("%s: -want, +got (rewrite it with: go test . -update):\n%s", file, diff)
	}
}
