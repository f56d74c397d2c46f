package lifecycle

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/dittofs/function-dittoserver/internal/render"
)

// TestFields compares what is a field of its own in fields.yaml with what is one
// in Kubernetes' schemas, on everything that is composed and on what the DittoFS
// operator leaves.
func TestFields(t *testing.T) {
	kubernetes := applyconfigurations.NewTypeConverter(scheme.Scheme)
	var files []string
	for _, pattern := range []string{"at-rest/*/observed.yaml", "operator-layout/*.yaml"} {
		found, err := filepath.Glob(filepath.Join("..", "..", "testdata", pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("no files %s: %v", pattern, err)
		}
		files = append(files, found...)
	}
	compared := 0
	for _, f := range files {
		docs, err := render.Loader{}.Load(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range docs {
			o := d.Object
			if o.GetKind() != kindServer && o.GetKind() != "Service" && o.GetKind() != "ConfigMap" && o.GetKind() != "Secret" && o.GetKind() != "NetworkPolicy" {
				continue
			}
			delete(o.Object, "status")
			unstructured.RemoveNestedField(o.Object, "metadata", "creationTimestamp")
			want, err := kubernetes.ObjectToTyped(o)
			if err != nil {
				t.Fatalf("%s: %v", d.Where, err)
			}
			got, err := typedOf(o)
			if err != nil {
				t.Fatal(err)
			}
			wantSet, err := want.ToFieldSet()
			if err != nil {
				t.Fatal(err)
			}
			gotSet, err := got.ToFieldSet()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(names(wantSet), names(gotSet)); diff != "" {
				t.Errorf("%s, %s: -Kubernetes, +fields.yaml:\n%s", d.Where, o.GetName(), diff)
			}
			compared++
		}
	}
	if compared < 50 {
		t.Errorf("only %d objects were compared", compared)
	}
}

func names(s *fieldpath.Set) []string { return strings.Split(s.String(), "\n") }

// TestApply has the cases of server-side apply that matter here.
func TestApply(t *testing.T) {
	sts := func(env string) string {
		return "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: s, namespace: ns}, spec: {template: {spec: {containers: [{name: c, env: " + env + "}]}}}}"
	}
	cases := map[string]struct {
		reason             string
		live, first, later string
		want               string
	}{
		"Removed": {
			reason: "what this manager owned and does not send any more goes",
			live:   sts("[]"), first: sts("[{name: A, value: a}, {name: B, value: b}]"), later: sts("[{name: A, value: a}]"),
			want: sts("[{name: A, value: a}]"),
		},
		"CoOwned": {
			reason: "what another manager owns too stays",
			live:   sts("[{name: B, value: b}]"), first: sts("[{name: A, value: a}, {name: B, value: b}]"), later: sts("[{name: A, value: a}]"),
			want: sts("[{name: A, value: a}, {name: B, value: b}]"),
		},
		"BothSourcesOfOneVariable": {
			reason: "what another manager has set within an entry stays: the result may be invalid",
			live:   sts("[{name: A, valueFrom: {secretKeyRef: {name: x, key: k, optional: true}}}]"), first: sts("[{name: A, value: a}]"), later: sts("[{name: A, value: a}]"),
			want: sts("[{name: A, value: a, valueFrom: {secretKeyRef: {name: x, key: k, optional: true}}}]"),
		},
		"Reference": {
			reason: "a reference to a key is taken whole",
			live:   sts("[{name: A, valueFrom: {secretKeyRef: {name: x, key: k, optional: true}}}]"), first: sts("[{name: A, valueFrom: {secretKeyRef: {name: y, key: k}}}]"), later: sts("[{name: A, valueFrom: {secretKeyRef: {name: y, key: k}}}]"),
			want: sts("[{name: A, valueFrom: {secretKeyRef: {name: y, key: k}}}]"),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			live := object(tc.live)
			empty := object("{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: s, namespace: ns}}")
			managers, err := updateFields(empty, live, fieldpath.ManagedFields{}, ManagerPerson)
			if err != nil {
				t.Fatal(err)
			}
			for _, y := range []string{tc.first, tc.later} {
				if live, managers, err = applyFields(live, object(y), managers, "crossplane"); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(object(tc.want).Object, live.Object); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestAnonymous: a first apply that is refused ends where the function is never
// called again.
func TestAnonymous(t *testing.T) {
	live := object("{apiVersion: v1, kind: Service, metadata: {name: s, namespace: ns}, spec: {ports: [{name: api, port: 1}]}}")
	fn := composing(map[string]string{"s": "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: ns}, spec: {ports: [{name: api, port: 2}]}}"})
	w := New(fn, object(xrYAML), nil, live)
	if a := reconcile(t, w); a.Rejected["s"] == nil {
		t.Fatal("two ports of one name are accepted")
	}
	a := reconcile(t, w)
	if a.Failed == nil || a.Response != nil || !strings.Contains(a.Failed.Error(), "without required") {
		t.Errorf("want the function not to be called, got %+v", a)
	}
	w.Edit(KeyOf(live), func(o *unstructured.Unstructured) {
		o.SetAnnotations(map[string]string{render.AnnotationResourceName: "s"})
	})
	if a := reconcile(t, w); a.Failed != nil {
		t.Errorf("an annotation helps: got %v", a.Failed)
	}
}

// TestDeleteXR: garbage is what has no other owner.
func TestDeleteXR(t *testing.T) {
	w := New(composing(map[string]string{"c": config("a")}), object(xrYAML), nil, object("{apiVersion: v1, kind: Secret, metadata: {name: other, namespace: ns}}"))
	reconcile(t, w)
	other := w.Get(Key{"v1", "Secret", "ns", "other"})
	w.Edit(configKey, func(o *unstructured.Unstructured) {
		refs, _, _ := unstructured.NestedSlice(o.Object, "metadata", "ownerReferences")
		refs = append(refs, map[string]any{"apiVersion": "v1", "kind": "Secret", "name": "other", "uid": string(other.GetUID())})
		_ = unstructured.SetNestedSlice(o.Object, refs, "metadata", "ownerReferences")
	})
	xr := w.XR()
	w.DeleteXR(false)
	if o := w.Get(configKey); o == nil || len(o.GetOwnerReferences()) != 1 {
		t.Fatalf("an object with another owner stays, without the dangling reference: got %v", o)
	}
	w.CreateXR(Renewed(xr))
	reconcile(t, w)
	if got := len(w.Get(configKey).GetOwnerReferences()); got != 2 {
		t.Errorf("got %d owners, want the new XR beside the other", got)
	}
	w.Remove(KeyOf(other))
	w.DeleteXR(false)
	if w.Get(configKey) != nil {
		t.Error("an object without another owner is garbage")
	}
}
