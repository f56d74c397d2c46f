package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/internal/lifecycle"
	"github.com/dittofs/function-dittoserver/internal/render"
)

// TestOverridesOfALiveServer guards what overrides come to on a server that runs: they
// change what they say and nothing else, one that is wrong changes nothing, and without
// them all is as it was.
func TestOverridesOfALiveServer(t *testing.T) {
	const head = "apiVersion: dittoserver.fn.crossplane.io/v1beta1\nkind: Input\n"
	input := func(y string) *structpb.Struct {
		m := map[string]any{}
		if err := yaml.Unmarshal([]byte(head+y), &m); err != nil {
			t.Fatal(err)
		}
		s, err := structpb.NewStruct(m)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	w := lifecycle.New(testFunction(), xrFrom(t, "example/percona.yaml"), nil)
	if row := playStage(t, w, lifecycle.AllReady); row.Ready != "True Available" {
		t.Fatalf("Ready is %q", row.Ready)
	}
	before := allObjects(w)
	changed := func() []string {
		var out []string
		for k, o := range allObjects(w) {
			if !cmp.Equal(before[k], o) {
				out = append(out, k.Kind+" "+k.Name)
			}
		}
		return out
	}

	w.SetInput(input("ttl: 5m\noverrides: []\n"))
	playStage(t, w, lifecycle.AllReady)
	if got := changed(); len(got) > 0 {
		t.Errorf("an Input without overrides: want nothing changed, got %v", got)
	}

	w.SetInput(input(`overrides: [{kind: StatefulSet, patch: {spec: {template: {spec: {runtimeClassName: gvisor}}}}}]`))
	playStage(t, w, lifecycle.AllReady)
	if diff := cmp.Diff([]string{"StatefulSet files"}, changed()); diff != "" {
		t.Errorf("an override of the StatefulSet: what is changed: -want, +got:\n%s", diff)
	}
	class, _, _ := unstructured.NestedString(w.Composed("server").Object, "spec", "template", "spec", "runtimeClassName")
	if class != "gvisor" {
		t.Errorf("an override of the StatefulSet: want it applied, runtimeClassName is %q", class)
	}

	// One of two is wrong: the other is not applied either.
	overridden := allObjects(w)
	for name, y := range map[string]string{
		"by itself":    `overrides: [{kind: Service, patch: {metadata: {labels: {a: b}}}}, {kind: StatefulSet, patch: {spec: {replicas: 0}}}]`,
		"in what is":   `overrides: [{kind: Service, patch: {metadata: {labels: {a: b}}}}, {kind: StatefulSet, patch: {spec: {template: {spec: {containers: [{name: dittofs, image: other}]}}}}}]`,
		"in its name":  `overrides: [{kind: Service, patch: {metadata: {labels: {a: b}}}}, {kind: StatefulSet, patch: {spec: {template: {spec: {containers: [{name: dito, livenessProbe: {periodSeconds: 5}}]}}}}}]`,
		"in its port":  `overrides: [{kind: StatefulSet, patch: {metadata: {labels: {a: b}}}}, {resource: nfs, patch: {spec: {ports: [{name: nfs, port: 2049}]}}}]`,
		"in security":  `overrides: [{kind: Service, patch: {metadata: {labels: {a: b}}}}, {kind: StatefulSet, patch: {spec: {template: {spec: {hostPID: true}}}}}]`,
		"in its wires": `overrides: [{kind: Service, patch: {metadata: {labels: {a: b}}}}, {kind: StatefulSet, patch: {spec: {template: {spec: {containers: [{name: dittofs, env: [{name: PGHOSTADDR, value: 10.0.0.1}]}]}}}}}]`,
		"in peers":     `overrides: [{kind: Service, patch: {metadata: {labels: {a: b}}}}, {kind: NetworkPolicy, patch: {spec: {ingress: [{from: [{ipBlock: {cidr: 10.0.0.1}}]}]}}}]`,
		"in the rest":  `defaults: {image: "not an image"}`,
		"in its types": `overrides: [{kind: Service, patch: {spec: {ports: [{port: http}]}}}]`,
	} {
		w.SetInput(input(y))
		a, err := w.Reconcile(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if a.Fatal == nil || len(a.Created)+len(a.Updated)+len(a.Deleted) > 0 {
			t.Errorf("an Input that is wrong %s: want it refused, got %v", name, a.Fatal)
		}
		if diff := cmp.Diff(overridden, allObjects(w)); diff != "" {
			t.Errorf("an Input that is wrong %s: want nothing changed: -before, +after:\n%s", name, diff)
		}
	}

	w.SetInput(nil)
	playStage(t, w, lifecycle.AllReady)
	generation := func(o any) any {
		m := (&unstructured.Unstructured{Object: o.(map[string]any)}).DeepCopy()
		m.SetGeneration(0)
		return m.Object
	}
	for k, o := range allObjects(w) {
		if diff := cmp.Diff(generation(before[k]), generation(o)); diff != "" {
			t.Errorf("without overrides again: want %v as before: -want, +got:\n%s", k, diff)
		}
	}
}

// TestOverridesWaitForTheTakeover: an object that is taken over is applied with its
// identity alone at first, and with its overrides after that.
func TestOverridesWaitForTheTakeover(t *testing.T) {
	in, err := structpb.NewStruct(map[string]any{
		"apiVersion": "dittoserver.fn.crossplane.io/v1beta1", "kind": "Input",
		"overrides": []any{map[string]any{"resource": "api", "patch": map[string]any{"metadata": map[string]any{"labels": map[string]any{"team": "a"}}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	xr := xrFrom(t, "example/sqlite.yaml")
	_ = unstructured.SetNestedField(xr.Object, true, "spec", "adoptExisting")
	w := lifecycle.New(testFunction(), xr, in)
	w.Put(&unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": xr.GetName() + "-api", "namespace": xr.GetNamespace()},
		"spec": map[string]any{"ports": []any{map[string]any{"name": "api", "port": int64(8080), "protocol": "TCP"}}},
	}})
	a, err := w.Reconcile(t.Context())
	if err != nil || a.Fatal != nil {
		t.Fatal(err, a.Fatal)
	}
	first := render.ToMap(a.Response.GetDesired().GetResources()["api"].GetResource())
	if first["spec"] != nil || first["metadata"].(map[string]any)["labels"] != nil {
		t.Errorf("at first: want its identity alone, got %v", first)
	}
	playStage(t, w, lifecycle.AllReady)
	if got := w.Composed("api").GetLabels()["team"]; got != "a" {
		t.Errorf("after that: want the override, the label is %q", got)
	}
}
