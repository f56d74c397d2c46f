package main

import (
	goflag "flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/internal/lifecycle"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/render"
	"github.com/dittofs/function-dittoserver/test/atrest"
)

// TestServersAtRestAreNotTouched feeds live worlds of earlier versions to the
// function.
func TestServersAtRestAreNotTouched(t *testing.T) {
	atrest.Test(t, filepath.Join("testdata", "at-rest"), testFunction())
}

// recordAtRest names the version whose worlds are written. They are written
// before a change, never after it: what they say is how servers are now.
var recordAtRest = goflag.Bool("atrest.record", false, "write the worlds that the present version leaves at rest")

// TestRecordAtRest writes, of every example and of a server that was taken over
// from the DittoFS operator, the world in which it is at rest.
func TestRecordAtRest(t *testing.T) {
	if !*recordAtRest {
		t.Skip("writes fixtures; run it with -atrest.record before a change")
	}
	for name, ex := range examples {
		xr := xrFrom(t, ex.file)
		w := lifecycle.New(testFunction(), created(xr, "2023-12-31T23:59:00Z"), inputFrom(t, ex.input))
		putFile(t, w, ex.required)
		w.InstallOperator()
		w.Put(crdOf(xr))
		record(t, w, name, ex.input)
	}
	objects, err := render.Loader{}.LoadRequired(filepath.Join("testdata", "operator-layout", "plain.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == "DittoServer" })
	xr := objects[i]
	w := lifecycle.New(testFunction(), xr, nil, slices.Delete(objects, i, i+1)...)
	w.InstallOperator()
	w.Put(crdOf(xr))
	record(t, w, "operator-plain", "")
}

func crdOf(xr *unstructured.Unstructured) *unstructured.Unstructured {
	name := "dittoservers.dittofs.dittofs.com"
	if xr.GetKind() == "XDittoServer" {
		name = "xdittoservers.dittofs.dittofs.com"
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": names.CRDAPIVersion, "kind": names.CRDKind,
		"metadata": map[string]any{"name": name},
		"status":   map[string]any{"conditions": []any{map[string]any{"type": "Established", "status": "True"}}},
	}}
}

func created(o *unstructured.Unstructured, at string) *unstructured.Unstructured {
	o = o.DeepCopy()
	_ = unstructured.SetNestedField(o.Object, at, "metadata", "creationTimestamp")
	return o
}

func record(t *testing.T, w *lifecycle.World, name, input string) {
	t.Helper()
	row := playStage(t, w, lifecycle.AllReady)
	if row.Ready != "True Available" {
		t.Fatalf("%s: Ready is %q", name, row.Ready)
	}
	dir := filepath.Join("testdata", "at-rest", name)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	rsp := row.Answers[len(row.Answers)-1].Response

	var required []any
	observed, desired := make([]any, 0, len(row.Composed)), make([]any, 0, len(row.Composed))
	composed := map[lifecycle.Key]bool{}
	refs := []any{}
	for _, n := range row.Composed {
		o := w.Composed(n)
		composed[lifecycle.KeyOf(o)] = true
		refs = append(refs, map[string]any{"apiVersion": o.GetAPIVersion(), "kind": o.GetKind(), "name": o.GetName()})
		observed = append(observed, o.Object)
		d := &unstructured.Unstructured{Object: render.ToMap(rsp.GetDesired().GetResources()[n].GetResource())}
		d.SetAnnotations(withAnnotation(d.GetAnnotations(), render.AnnotationResourceName, n))
		desired = append(desired, d.Object)
		if o.GetKind() == "StatefulSet" {
			for _, v := range volumesOf(o) {
				required = append(required, v.Object)
			}
		}
	}
	for _, k := range w.Keys() {
		if !composed[k] {
			required = append(required, w.Get(k).Object)
		}
	}
	// What was made for an XR is younger than the XR.
	xr := w.XR()
	for _, v := range slices.Concat(observed, required) {
		o := &unstructured.Unstructured{Object: v.(map[string]any)}
		if o.GetCreationTimestamp().Time.Before(xr.GetCreationTimestamp().Time) {
			o.SetCreationTimestamp(metav1.NewTime(xr.GetCreationTimestamp().Add(time.Hour)))
		}
	}
	if xr.GetKind() == "XDittoServer" {
		_ = unstructured.SetNestedSlice(xr.Object, refs, "spec", "resourceRefs")
	} else {
		_ = unstructured.SetNestedSlice(xr.Object, refs, "spec", "crossplane", "resourceRefs")
	}
	writeDocs(t, filepath.Join(dir, atrest.FileXR), xr.Object)
	writeDocs(t, filepath.Join(dir, atrest.FileObserved), observed...)
	writeDocs(t, filepath.Join(dir, atrest.FileRequired), required...)
	writeDocs(t, filepath.Join(dir, atrest.FileDesired), desired...)
	if input != "" {
		writeDocs(t, filepath.Join(dir, atrest.FileInput), inputFrom(t, input).AsMap())
	}
}

// volumesOf are the claims that the StatefulSet controller makes of the
// templates, for the first pod.
func volumesOf(sts *unstructured.Unstructured) []*unstructured.Unstructured {
	templates, _, _ := unstructured.NestedSlice(sts.Object, "spec", "volumeClaimTemplates")
	labels, _, _ := unstructured.NestedStringMap(sts.Object, "spec", "selector", "matchLabels")
	out := make([]*unstructured.Unstructured, 0, len(templates))
	for _, v := range templates {
		o := &unstructured.Unstructured{Object: v.(map[string]any)}
		o.SetAPIVersion("v1")
		o.SetKind("PersistentVolumeClaim")
		o.SetName(o.GetName() + "-" + sts.GetName() + "-0")
		o.SetNamespace(sts.GetNamespace())
		o.SetLabels(labels)
		o.SetCreationTimestamp(sts.GetCreationTimestamp())
		o.Object["status"] = map[string]any{"phase": "Bound"}
		out = append(out, o)
	}
	return out
}

func withAnnotation(a map[string]string, k, v string) map[string]string {
	if a == nil {
		a = map[string]string{}
	}
	a[k] = v
	return a
}

func writeDocs(t *testing.T, file string, docs ...any) {
	t.Helper()
	var out []byte
	for _, d := range docs {
		b, err := yaml.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		out = append(append(out, "---\n"...), b...)
	}
	if err := os.WriteFile(file, out, 0o600); err != nil {
		t.Fatal(err)
	}
}
