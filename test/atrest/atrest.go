// Package atrest guards that servers at rest are not touched by a new version
// of the function: no pod is rolled, no database reconfigured, no Secret
// rewritten by the upgrade alone.
//
// Each directory below testdata/at-rest is one live world as an earlier version
// left it: the XR with its status, the Input, the composed resources as the API
// server has them, what else exists, and what that version desired.
package atrest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/internal/render"
)

// Files of a world.
const (
	FileXR       = "xr.yaml"
	FileInput    = "input.yaml"
	FileObserved = "observed.yaml"
	FileRequired = "required.yaml"
	FileDesired  = "desired.yaml"
)

// recordPrefix begins the annotations in which the function records what it
// chose. Their form may change; nothing else may.
const recordPrefix = "dittoserver.fn.crossplane.io/"

// Test feeds every world below dir to the function, and compares what it
// desires with what was desired before, byte by byte. Only the annotations that
// are records, on the ConfigMap and the PerconaPGCluster, may differ.
func Test(t *testing.T, dir string, fn render.Function) {
	t.Helper()
	worlds, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(worlds) == 0 {
		t.Fatalf("no worlds in %s", dir)
	}
	for _, w := range worlds {
		t.Run(w.Name(), func(t *testing.T) { world(t, filepath.Join(dir, w.Name()), fn) })
	}
}

func world(t *testing.T, dir string, fn render.Function) {
	t.Helper()
	load := render.Loader{}
	xr, err := load.LoadXR(filepath.Join(dir, FileXR))
	if err != nil {
		t.Fatal(err)
	}
	var input *structpb.Struct
	if _, err := os.Stat(filepath.Join(dir, FileInput)); err == nil {
		if input, err = load.LoadInput(filepath.Join(dir, FileInput)); err != nil {
			t.Fatal(err)
		}
	}
	observed, err := load.LoadObserved(filepath.Join(dir, FileObserved))
	if err != nil {
		t.Fatal(err)
	}
	others, err := load.LoadRequired(filepath.Join(dir, FileRequired))
	if err != nil {
		t.Fatal(err)
	}
	want, err := load.LoadObserved(filepath.Join(dir, FileDesired))
	if err != nil {
		t.Fatal(err)
	}

	// What is asked for by name may be a composed resource.
	exist := append(render.Objects{}, others...)
	for _, o := range observed {
		exist = append(exist, o)
	}
	req, err := render.Request(xr, input, observed)
	if err != nil {
		t.Fatal(err)
	}
	rsp, err := render.Run(context.Background(), fn, req, exist)
	if err != nil {
		t.Fatal(err)
	}
	if err := render.Fatal(rsp); err != nil {
		t.Fatalf("a server that was accepted is refused: %v", err)
	}

	got := rsp.GetDesired().GetResources()
	for name := range got {
		if want[name] == nil {
			t.Errorf("%s is composed, and was not", name)
		}
	}
	for name, o := range want {
		if got[name] == nil {
			t.Errorf("%s is not composed any more", name)
			continue
		}
		is := &unstructured.Unstructured{Object: render.ToMap(got[name].GetResource())}
		is.SetAnnotations(withoutMark(is.GetAnnotations()))
		was := o.DeepCopy()
		was.SetAnnotations(withoutMark(was.GetAnnotations()))
		if name == "config" || name == "postgres" {
			dropRecords(is)
			dropRecords(was)
		}
		if diff := cmp.Diff(manifest(t, was), manifest(t, is)); diff != "" {
			t.Errorf("%s: -was, +is:\n%s", name, diff)
		}
	}
	before := render.GetConditions(xr)
	after := xr.DeepCopy()
	render.SetConditions(after, render.Conditions(rsp)...)
	render.SetConditions(after, render.ReadyCondition(rsp.GetDesired()))
	now := map[string]string{}
	for _, c := range render.GetConditions(after) {
		now[c.Type] = c.Status
	}
	for _, c := range before {
		if now[c.Type] != c.Status {
			t.Errorf("condition %s: was %s, is %s", c.Type, c.Status, now[c.Type])
		}
	}
	for _, r := range rsp.GetResults() {
		if r.GetSeverity() == fnv1.Severity_SEVERITY_FATAL {
			t.Errorf("a result: %s", r.GetMessage())
		}
	}
}

// withoutMark is annotations without the one by which a file says which
// composed resource an object is.
func withoutMark(a map[string]string) map[string]string {
	delete(a, render.AnnotationResourceName)
	if len(a) == 0 {
		return nil
	}
	return a
}

func dropRecords(o *unstructured.Unstructured) {
	a := o.GetAnnotations()
	for k := range a {
		if strings.HasPrefix(k, recordPrefix) {
			delete(a, k)
		}
	}
	if len(a) == 0 {
		a = nil
	}
	o.SetAnnotations(a)
	// The Secrets that keep the record when the server is deleted.
	unstructured.RemoveNestedField(o.Object, "metadata", "ownerReferences")
}

func manifest(t *testing.T, o *unstructured.Unstructured) string {
	t.Helper()
	b, err := yaml.Marshal(o.Object)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
