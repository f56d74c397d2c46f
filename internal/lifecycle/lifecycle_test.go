package lifecycle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/render"
)

type fake func(req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error)

func (f fake) RunFunction(_ context.Context, req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
	return f(req)
}

func object(y string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	j, err := yaml.YAMLToJSON([]byte(y))
	if err == nil {
		err = o.UnmarshalJSON(j)
	}
	if err != nil {
		panic(err)
	}
	return o
}

const (
	xrYAML      = "{apiVersion: example.org/v1, kind: Server, metadata: {namespace: ns, name: files}, spec: {}}"
	clusterYAML = "{apiVersion: pgv2.percona.com/v2, kind: PerconaPGCluster, metadata: {namespace: ns, name: db}, spec: {users: [{name: u, databases: [d]}], instances: [{name: i, replicas: 2}], backups: {enabled: true, pgbackrest: {repos: [{name: repo1}]}}}}"
	serverYAML  = "{apiVersion: apps/v1, kind: StatefulSet, metadata: {namespace: ns, name: files}, spec: {replicas: 1}}"
)

func config(data string) string {
	return "{apiVersion: v1, kind: ConfigMap, metadata: {namespace: ns, name: c}, data: {k: " + data + "}}"
}

var configKey = Key{APIVersion: "v1", Kind: "ConfigMap", Namespace: "ns", Name: "c"}

// composing is a function that composes the same whatever it is asked, all of
// it ready.
func composing(desired map[string]string) fake {
	return func(*fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
		return answer(desired), nil
	}
}

func answer(desired map[string]string) *fnv1.RunFunctionResponse {
	rsp := &fnv1.RunFunctionResponse{Desired: &fnv1.State{Resources: map[string]*fnv1.Resource{}}}
	for name, y := range desired {
		s, err := render.ToStruct(object(y))
		if err != nil {
			panic(err)
		}
		rsp.Desired.Resources[name] = &fnv1.Resource{Resource: s, Ready: fnv1.Ready_READY_TRUE}
	}
	return rsp
}

// gated composes a database, and a server from when that is ready on.
func gated(req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
	desired := map[string]string{"db": clusterYAML}
	observed := req.GetObserved().GetResources()
	status := observed["db"].GetResource().GetFields()["status"].GetStructValue().GetFields()
	ns := "ns"
	reqs := &fnv1.Requirements{Resources: map[string]*fnv1.ResourceSelector{
		"secret": {ApiVersion: "v1", Kind: "Secret", Namespace: &ns, Match: &fnv1.ResourceSelector_MatchName{MatchName: "db-pguser-u"}},
	}}
	ready := status["state"].GetStringValue() == "ready" && len(req.GetRequiredResources()["secret"].GetItems()) > 0
	if ready || observed["server"] != nil {
		desired["server"] = serverYAML
	}
	rsp := answer(desired)
	rsp.Requirements = reqs
	c := &fnv1.Condition{Type: "DatabaseReady", Status: fnv1.Status_STATUS_CONDITION_FALSE, Reason: "Waiting"}
	if ready {
		c.Status, c.Reason = fnv1.Status_STATUS_CONDITION_TRUE, "Ready"
	}
	rsp.Conditions = []*fnv1.Condition{c}
	if sts := observed["server"].GetResource().GetFields()["status"].GetStructValue().GetFields(); sts["readyReplicas"].GetNumberValue() < 1 && desired["server"] != "" {
		rsp.Desired.Resources["server"].Ready = fnv1.Ready_READY_FALSE
	}
	if !ready {
		rsp.Desired.Resources["db"].Ready = fnv1.Ready_READY_FALSE
	}
	return rsp, nil
}

func TestWalk(t *testing.T) {
	cases := map[string]struct {
		reason string
		fn     render.Function
		xr     string
		want   string
	}{
		"Gated": {
			reason: "The server comes when the database is ready, and stays.",
			fn:     fake(gated),
			want: `STAGE                  COMPOSED  NEW     DATABASEREADY  READY
created                1         db      False Waiting  False Creating
database initializing  1         -       False Waiting  False Creating
database ready         2         server  True Ready     False Creating
server starting        2         -       True Ready     False Creating
all ready              2         -       True Ready     True Available
database flapping      2         -       False Waiting  False Creating
database paused        2         -       False Waiting  False Creating
ready again            2         -       True Ready     True Available
`,
		},
		"Ungated": {
			reason: "What a function does too early shows, and so does what it drops.",
			fn: fake(func(req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
				rsp, err := gated(req)
				delete(rsp.Desired.Resources, "server")
				if rsp.Conditions[0].GetStatus() == fnv1.Status_STATUS_CONDITION_TRUE || req.GetObserved().GetResources()["db"] == nil {
					rsp.Desired.Resources["server"] = answer(map[string]string{"server": serverYAML}).Desired.Resources["server"]
				}
				return rsp, err
			}),
			want: `STAGE                  COMPOSED  NEW               DATABASEREADY  READY
created                1         db server GONE:server  False Waiting  False Creating
database initializing  1         -                 False Waiting  False Creating
database ready         2         server            True Ready     True Available
server starting        2         -                 True Ready     True Available
all ready              2         -                 True Ready     True Available
database flapping      1         GONE:server       False Waiting  False Creating
database paused        1         -                 False Waiting  False Creating
ready again            2         server            True Ready     True Available
`,
		},
		"NoDatabase": {
			reason: "A server without a database of Percona's has a shorter life, and Secrets that it names and that do not exist come after it.",
			fn:     composing(map[string]string{"server": serverYAML}),
			xr:     "{apiVersion: example.org/v1, kind: Server, metadata: {namespace: ns, name: files}, spec: {jwt: {secretRef: {name: mine, key: k}}}}",
			want: `STAGE              COMPOSED  NEW     DATABASEREADY  READY
created            1         server  -              True Available
secrets created    1         -       -              True Available
server starting    1         -       -              True Available
all ready          1         -       -              True Available
server restarting  1         -       -              True Available
ready again        1         -       -              True Available
`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			xr := tc.xr
			if xr == "" {
				xr = xrYAML
			}
			rows, err := New(tc.fn, object(xr), nil).Walk(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			b := &bytes.Buffer{}
			if err := Print(b, rows); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(lines(tc.want), lines(b.String())); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// lines are those of a table, however wide its columns are.
func lines(table string) []string {
	out := make([]string, 0, strings.Count(table, "\n"))
	for l := range strings.Lines(table) {
		out = append(out, strings.Join(strings.Fields(l), " "))
	}
	return out
}

func TestStepErrors(t *testing.T) {
	n := 0
	cases := map[string]struct {
		reason string
		fn     render.Function
		want   string
		fatal  bool
	}{
		"Fatal": {
			reason: "What the function refuses is refused, in its own words.",
			fn: fake(func(*fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
				return &fnv1.RunFunctionResponse{Results: []*fnv1.Result{{Severity: fnv1.Severity_SEVERITY_FATAL, Message: "no"}}}, nil
			}),
			want:  "no",
			fatal: true,
		},
		"Loop": {
			reason: "A function whose every answer is different would keep Crossplane busy for ever.",
			fn: fake(func(*fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
				n++
				return answer(map[string]string{"c": config(fmt.Sprintf("'%d'", n))}), nil
			}),
			want: `stage "created": every answer of the function changes something`,
		},
		"Error": {
			reason: "A function that fails has failed.",
			fn:     fake(func(*fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) { return nil, errors.New("boom") }),
			want:   "boom",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := New(tc.fn, object(xrYAML), nil).Step(t.Context(), Created)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s\ngot %v, want %q", tc.reason, err, tc.want)
			}
			if fe := (*render.FatalError)(nil); errors.As(err, &fe) != tc.fatal {
				t.Errorf("%s\ngot %T", tc.reason, err)
			}
		})
	}
}

func reconcile(t *testing.T, w *World) *Answer {
	t.Helper()
	a, err := w.Reconcile(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestReconcile(t *testing.T) {
	w := New(composing(map[string]string{"c": config("a")}), object(xrYAML), nil)

	a := reconcile(t, w)
	if diff := cmp.Diff([]string{"c"}, a.Created); diff != "" || a.Quiet() {
		t.Errorf("what is desired is created: -want, +got:\n%s", diff)
	}
	c := w.Composed("c")
	uid := c.GetUID()
	if uid == "" || c.GetLabels()[render.LabelComposite] != "files" || len(c.GetOwnerReferences()) != 1 || c.GetOwnerReferences()[0].UID != w.XR().GetUID() {
		t.Errorf("a composed resource has a UID, the XR's label, and the XR for its controller: got %v", c.Object)
	}
	if a := reconcile(t, w); !a.Quiet() {
		t.Errorf("the same answer changes nothing: got %+v", a)
	}

	w.Edit(configKey, func(o *unstructured.Unstructured) {
		o.SetLabels(map[string]string{"mine": "stays", render.LabelComposite: "files"})
		_ = unstructured.SetNestedField(o.Object, "edited", "data", "k")
		_ = unstructured.SetNestedField(o.Object, "stays", "data", "mine")
	})
	if diff := cmp.Diff([]string{"c"}, reconcile(t, w).Updated); diff != "" {
		t.Errorf("what is set is reverted: -want, +got:\n%s", diff)
	}
	c = w.Composed("c")
	if diff := cmp.Diff(map[string]any{"k": "a", "mine": "stays"}, c.Object["data"]); diff != "" || c.GetLabels()["mine"] != "stays" {
		t.Errorf("what is not set stays: -want, +got:\n%s", diff)
	}

	w.Delete(configKey)
	if diff := cmp.Diff([]string{"c"}, reconcile(t, w).Created); diff != "" {
		t.Errorf("what somebody deleted is created again: -want, +got:\n%s", diff)
	}
	if w.Composed("c").GetUID() == uid {
		t.Error("an object that was created again has another UID")
	}

	w.Forget()
	seen := 0
	w.SetFunction(fake(func(req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
		seen = len(req.GetObserved().GetResources())
		return answer(nil), nil
	}))
	if a := reconcile(t, w); len(a.Deleted) != 0 || seen != 0 || w.Get(configKey) == nil {
		t.Errorf("what the XR does not refer to is neither observed nor deleted: got %+v, %d observed", a, seen)
	}

	w.SetFunction(composing(map[string]string{"c": config("a")}))
	reconcile(t, w)
	w.SetFunction(composing(nil))
	if a := reconcile(t, w); cmp.Diff([]string{"c"}, a.Deleted) != "" || w.Get(configKey) != nil {
		t.Errorf("what is left out is deleted: got %+v", a)
	}
}

func TestForeign(t *testing.T) {
	foreign := object(config("theirs"))
	foreign.SetUID("u")
	_ = unstructured.SetNestedSlice(foreign.Object, []any{map[string]any{"apiVersion": "v1", "kind": "Other", "name": "o", "uid": "x", "controller": true}}, "metadata", "ownerReferences")
	w := New(composing(map[string]string{"c": config("a")}), object(xrYAML), nil, foreign)
	a := reconcile(t, w)
	if err := a.Rejected["c"]; err == nil || !strings.Contains(err.Error(), `Only one reference can have Controller set to true`) {
		t.Errorf("another controller's object is refused: got %v", err)
	}
	if got := conditions(w)["Synced"]; got != "False ReconcileError" {
		t.Errorf("Synced: got %q", got)
	}

	w = New(composing(map[string]string{"c": config("a")}), object(xrYAML), nil, object(config("nobody's")))
	if a := reconcile(t, w); len(a.Updated) != 1 || len(w.Composed("c").GetOwnerReferences()) != 1 {
		t.Errorf("nobody's object is taken over: got %+v", a)
	}

	w.Recreate()
	if got := w.Get(configKey); len(got.GetOwnerReferences()) != 0 {
		t.Errorf("an XR that was deleted controls nothing: got %v", got.GetOwnerReferences())
	}
	if a := reconcile(t, w); len(a.Updated) != 1 {
		t.Errorf("an XR that was created again takes up what it had: got %+v", a)
	}
}

func TestImmutable(t *testing.T) {
	sts := func(size string) string {
		return "{apiVersion: apps/v1, kind: StatefulSet, metadata: {namespace: ns, name: s}, spec: {volumeClaimTemplates: [{metadata: {name: v}, spec: {size: " + size + "}}]}}"
	}
	w := New(composing(map[string]string{"s": sts("1Gi")}), object(xrYAML), nil)
	reconcile(t, w)
	if a := reconcile(t, w); !a.Quiet() || len(a.Rejected) != 0 {
		t.Errorf("the API server's own defaults are no change: got %+v", a)
	}
	w.SetFunction(composing(map[string]string{"s": sts("2Gi")}))
	if a := reconcile(t, w); a.Rejected["s"] == nil {
		t.Error("claim templates cannot be changed")
	}
}

func TestConditions(t *testing.T) {
	condition := func(typ string) *fnv1.Condition {
		return &fnv1.Condition{Type: typ, Status: fnv1.Status_STATUS_CONDITION_TRUE, Reason: "Good"}
	}
	said := []*fnv1.Condition{condition("A"), condition("B")}
	var results []*fnv1.Result
	w := New(fake(func(req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
		rsp := answer(nil)
		status, _ := structpb.NewStruct(map[string]any{"status": map[string]any{"n": 1}})
		rsp.Desired.Composite = &fnv1.Resource{Resource: status}
		rsp.Conditions, rsp.Results = said, results
		return rsp, nil
	}), object(xrYAML), nil)

	reconcile(t, w)
	want := map[string]string{"Synced": "True ReconcileSuccess", "Ready": "True Available", "A": "True Good", "B": "True Good"}
	if diff := cmp.Diff(want, conditions(w)); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
	if n, _, _ := unstructured.NestedInt64(w.XR().Object, "status", "n"); n != 1 {
		t.Error("the XR's status is the answer's")
	}

	said = said[:1]
	reconcile(t, w)
	if diff := cmp.Diff(want, conditions(w)); diff != "" {
		t.Errorf("a condition that is not returned any more stays: -want, +got:\n%s", diff)
	}

	results = []*fnv1.Result{{Severity: fnv1.Severity_SEVERITY_FATAL, Message: "no"}}
	if a := reconcile(t, w); a.Fatal == nil {
		t.Error("a Fatal is told")
	}
	want["Synced"], want["B"] = "False ReconcileError", "Unknown FatalError"
	if diff := cmp.Diff(want, conditions(w)); diff != "" {
		t.Errorf("after a Fatal, a condition that was not returned is unknown: -want, +got:\n%s", diff)
	}
}

func conditions(w *World) map[string]string {
	out := map[string]string{}
	for _, c := range render.GetConditions(w.XR()) {
		out[c.Type] = c.Status + " " + c.Reason
	}
	return out
}

// TestSent: the XR is sent with what it refers to, where its kind has that, and
// with the labels of a claim.
func TestSent(t *testing.T) {
	var sent *structpb.Struct
	record := fake(func(req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
		sent = req.GetObserved().GetComposite().GetResource()
		return answer(map[string]string{"c": config("a")}), nil
	})
	spec := func() map[string]any { m, _ := render.ToMap(sent)["spec"].(map[string]any); return m }

	w := New(record, object(xrYAML), nil)
	reconcile(t, w)
	reconcile(t, w)
	want := map[string]any{"crossplane": map[string]any{"resourceRefs": []any{map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "name": "c"}}}}
	if diff := cmp.Diff(want, spec()); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}

	w = New(record, object("{apiVersion: example.org/v1, kind: XServer, metadata: {name: files-x}, spec: {claimRef: {name: files, namespace: team}}}"), nil)
	reconcile(t, w)
	if _, has := spec()["resourceRefs"]; !has {
		t.Errorf("got spec %v, want a claim's XR to have its references there", spec())
	}
	if got := w.Composed("c").GetLabels()[render.LabelClaimName]; got != "files" {
		t.Errorf("got claim label %q", got)
	}
}

// TestSentOwners: what others own of an object is sent with it, as on a real cluster.
func TestSentOwners(t *testing.T) {
	var sent *structpb.Struct
	w := New(fake(func(req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
		sent = req.GetObserved().GetResources()["c"].GetResource()
		return answer(map[string]string{"c": config("a")}), nil
	}), object(xrYAML), nil)
	owners := func() []observed.Object { return observed.FromStruct(sent).List("metadata", "managedFields") }

	reconcile(t, w)
	reconcile(t, w)
	if got := owners(); len(got) != 0 {
		t.Errorf("want nothing of an object that is all Crossplane's, got %v", got)
	}
	w.Edit(Key{"v1", "ConfigMap", "ns", "c"}, func(o *unstructured.Unstructured) {
		o.Object["data"].(map[string]any)["mine"] = "x"
	})
	reconcile(t, w)
	if got := observed.FromStruct(sent); !got.OwnedByOthers("data", "mine") || got.OwnedByOthers("data", "k") {
		t.Errorf("want what a person added to be theirs, and no more: got %v", owners())
	}
}

func TestSystems(t *testing.T) {
	input, _ := structpb.NewStruct(map[string]any{"defaults": map[string]any{"backup": map[string]any{"credentialsSecretRef": map[string]any{"name": "s3"}}}})
	w := New(composing(map[string]string{"db": clusterYAML, "server": serverYAML}), object("{apiVersion: example.org/v1, kind: Server, metadata: {namespace: ns, name: files}, spec: {jwt: {secretRef: {name: mine, key: k}}}}"), input)
	if diff := cmp.Diff([]string{"mine", "s3"}, w.MakeMissingSecrets()); diff != "" {
		t.Errorf("Secrets that the XR or the Input name: -want, +got:\n%s", diff)
	}
	if got := w.MakeMissingSecrets(); len(got) != 0 {
		t.Errorf("Secrets that exist are not made again: got %v", got)
	}
	if keys, _ := w.Get(Key{"v1", "Secret", "ns", "mine"}).Object["data"].(map[string]any); keys["k"] == nil {
		t.Errorf("the key that is named is there: got %v", keys)
	}

	if _, err := w.Step(t.Context(), AllReady); err != nil {
		t.Fatal(err)
	}
	creds, _ := w.Get(Key{"v1", "Secret", "ns", "db-pguser-u"}).Object["data"].(map[string]any)
	for _, k := range []string{"host", "port", "dbname", "user", "password", "uri", "verifier", "jdbc-uri"} {
		if creds[k] == nil {
			t.Errorf("Percona's credentials lack %s", k)
		}
	}
	if ca, _ := w.Get(Key{"v1", "Secret", "ns", "db-cluster-cert"}).Object["data"].(map[string]any); ca["ca.crt"] == nil {
		t.Error("Percona's certificate lacks its CA")
	}
	db, sts := w.Composed("db"), w.Composed("server")
	if got, _, _ := unstructured.NestedInt64(db.Object, "status", "postgres", "ready"); got != 2 {
		t.Errorf("got %d ready instances, want as many as the spec asks for", got)
	}
	if got, _, _ := unstructured.NestedInt64(sts.Object, "status", "observedGeneration"); got != sts.GetGeneration() || got == 0 {
		t.Errorf("got observed generation %d of %d", got, sts.GetGeneration())
	}

	generation := db.GetGeneration()
	w.Pause(true)
	if got := w.Composed("db").GetGeneration(); got != generation+1 {
		t.Errorf("got generation %d after an edit, want %d", got, generation+1)
	}
	w.ReportCluster(Cluster{State: StateReady, Generation: generation})
	if got, _, _ := unstructured.NestedInt64(w.Composed("db").Object, "status", "observedGeneration"); got != generation {
		t.Errorf("got observed generation %d, want the stale one that was reported", got)
	}
	w.ReportCluster(Cluster{})
	if _, has := w.Composed("db").Object["status"]; has {
		t.Error("a cluster that the operator has not seen has no status")
	}
}
