package lifecycle

import (
	"strings"
	"testing"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dittofs/function-dittoserver/internal/render"
)

// TestLoad guards that an object from a real cluster is merged by who owns what in
// it: Crossplane's apply removes what it had and does not apply any more, and leaves
// alone what is somebody else's.
func TestLoad(t *testing.T) {
	xr := object(xrYAML)
	xr.SetUID("u")
	owner := composedOwner(xr)
	live := object(`
apiVersion: v1
kind: ConfigMap
metadata:
  name: c
  namespace: ns
  annotations: {crossplane.io/composition-resource-name: c}
  labels: {ours: x, theirs: x}
  ownerReferences: [{apiVersion: example.org/v1, kind: Server, name: files, uid: u, controller: true}]
  managedFields:
  - {manager: ` + owner + `, operation: Apply, fieldsType: FieldsV1, fieldsV1: {"f:data": {"f:ours": {}, "f:gone": {}}, "f:metadata": {"f:labels": {"f:ours": {}}}}}
  - {manager: manager, operation: Update, fieldsType: FieldsV1, fieldsV1: {"f:data": {"f:theirs": {}}, "f:metadata": {"f:labels": {"f:theirs": {}}}}}
  - {manager: status, operation: Update, subresource: status, fieldsType: FieldsV1, fieldsV1: {"f:data": {"f:gone": {}}}}
data: {ours: a, gone: a, theirs: a}
`)
	fn := fake(func(req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
		if req.GetObserved().GetResources()["c"] == nil {
			t.Error("the function does not observe what the XR refers to")
		}
		want, err := structpb.NewStruct(object(`{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: ns}, data: {ours: b}}`).Object)
		if err != nil {
			return nil, err
		}
		return &fnv1.RunFunctionResponse{Desired: &fnv1.State{Resources: map[string]*fnv1.Resource{"c": {Resource: want}}}}, nil
	})
	if err := unstructured.SetNestedSlice(xr.Object, []any{
		map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "name": "c"},
		map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "name": "not-there"},
	}, "spec", "crossplane", "resourceRefs"); err != nil {
		t.Fatal(err)
	}
	w := New(fn, xr, nil)
	if err := w.Load(live); err != nil {
		t.Fatal(err)
	}
	if err := w.LoadRefs(); err != nil {
		t.Fatal(err)
	}
	answers, err := w.Settle(t.Context())
	if err != nil || !answers[len(answers)-1].Quiet() {
		t.Fatalf("want it settled: %v", err)
	}
	got := w.Composed("c")
	if data, _, _ := unstructured.NestedStringMap(got.Object, "data"); len(data) != 2 || data["ours"] != "b" || data["theirs"] != "a" {
		t.Errorf("want what is ours applied, what was ours gone and the rest left alone, got %v", data)
	}
	if l := got.GetLabels(); l["theirs"] != "x" || l["ours"] != "" || l[render.LabelComposite] != "files" {
		t.Errorf("labels: %v", l)
	}

	broken := live.DeepCopy()
	fields := broken.GetManagedFields()
	fields[0].FieldsV1.Raw = []byte(`{"no-path": {}}`)
	broken.SetManagedFields(fields)
	if err := w.Load(broken); err == nil || !strings.Contains(err.Error(), `ConfigMap "c"`) {
		t.Errorf("want an error that names the object, got %v", err)
	}
}

// TestSettleEnds guards against a loop with a function that never settles.
func TestSettleEnds(t *testing.T) {
	n := 0
	fn := fake(func(*fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
		n++
		s, err := structpb.NewStruct(map[string]any{"status": map[string]any{"n": n}})
		return &fnv1.RunFunctionResponse{Desired: &fnv1.State{Composite: &fnv1.Resource{Resource: s}}}, err
	})
	if _, err := New(fn, object(xrYAML), nil).Settle(t.Context()); err == nil || n != maxReconciles {
		t.Errorf("want an error after %d reconciles, got %v after %d", maxReconciles, err, n)
	}
}
