package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/Masterminds/sprig/v3"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

const statefulSet = `
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: ` + serverName + `
  uid: 01234567-89ab-4def-8123-456789abcdef
  resourceVersion: "` + revision + `"
spec:
  serviceName: ` + serverName + `-headless
  config: "{{ not ours }}"
`

// TestRequests: each server has a request of its own, the same one each time it
// is asked about, except where it has changed.
func TestRequests(t *testing.T) {
	rs, err := newRequests(&fnv1.RunFunctionRequest{
		Meta: &fnv1.RequestMeta{Tag: tag},
		Observed: &fnv1.State{
			Composite: &fnv1.Resource{Resource: yamltest.Struct(t, "{kind: DittoServer, metadata: {name: "+serverName+"}}")},
			Resources: map[string]*fnv1.Resource{"server": {Resource: yamltest.Struct(t, statefulSet)}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	get := func(server, changes int) *fnv1.RunFunctionRequest {
		t.Helper()
		b := rs.make(nil, server, changes)
		if len(b) != rs.size() {
			t.Errorf("got a request of %d bytes, want %d", len(b), rs.size())
		}
		req := &fnv1.RunFunctionRequest{}
		if err := proto.Unmarshal(b, req); err != nil {
			t.Fatal(err)
		}
		return req
	}
	one := get(1, 0)
	for range 10 {
		if again := get(1, 0); !proto.Equal(again, one) {
			t.Fatalf("the same server: got %v, want %v", again, one)
		}
	}
	text := func(req *fnv1.RunFunctionRequest, path ...string) string {
		v := structpb.NewStructValue(req.GetObserved().GetResources()["server"].GetResource())
		for _, p := range path {
			v = v.GetStructValue().GetFields()[p]
		}
		return v.GetStringValue()
	}
	other, later := get(1234567, 0), get(1, 123456789)
	for what, pair := range map[string][2]string{
		"name":            {text(other, "metadata", "name"), "bench-server-1234567"},
		"name in a name":  {text(other, "spec", "serviceName"), "bench-server-1234567-headless"},
		"UID":             {text(other, "metadata", "uid"), "01234567-89ab-4def-8123-000001234567"},
		"changed version": {text(later, "metadata", "resourceVersion"), "8123456789"},
		"name, changed":   {text(later, "metadata", "name"), "bench-server-0000001"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %s, want %s", what, pair[0], pair[1])
		}
	}
	if one.GetMeta().GetTag() == other.GetMeta().GetTag() || one.GetMeta().GetTag() == later.GetMeta().GetTag() {
		t.Error("different requests have one tag")
	}
}

// TestTemplateOf: the template renders what it was made of.
func TestTemplateOf(t *testing.T) {
	want := yamltest.Struct(t, statefulSet)
	text, err := templateOf(&fnv1.RunFunctionResponse{Desired: &fnv1.State{Resources: map[string]*fnv1.Resource{"server": {Resource: want}}}})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := template.New("").Funcs(sprig.TxtFuncMap()).Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	b := &bytes.Buffer{}
	if err := parsed.Execute(b, map[string]any{"xr": map[string]any{"metadata": map[string]any{"name": "other"}}}); err != nil {
		t.Fatal(err)
	}
	got := yamltest.Struct(t, strings.ReplaceAll(b.String(), "other", serverName))
	annotations := got.GetFields()["metadata"].GetStructValue().GetFields()["annotations"].GetStructValue()
	if name := annotations.GetFields()["bench/composition-resource-name"].GetStringValue(); name != "server" {
		t.Errorf("got resource name %q, want server", name)
	}
	delete(got.GetFields()["metadata"].GetStructValue().GetFields(), "annotations")
	if !proto.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestFlat(t *testing.T) {
	const mb = 1 << 20
	flat, growing := samples{}, samples{}
	for i := range 20 {
		flat = append(flat, 60*mb+i%3*mb)
		growing = append(growing, 60*mb+i*mb)
	}
	if err := flat.err(); err != nil {
		t.Errorf("flat: got %v", err)
	}
	if err := growing.err(); err == nil {
		t.Error("growing: got no error")
	}
}

func TestPage(t *testing.T) {
	r := &results{RequestSize: 33_000, Flat: samples{50 << 20, 51 << 20, 52 << 20, 53 << 20}, FlatCalls: 1000}
	for i, f := range []string{echoName, ourName, templateName} {
		for _, servers := range []int{1, 1000} {
			for _, changing := range []bool{false, true} {
				l := load{servers: servers, callers: 1, calls: 10, changing: changing}
				r.Costs = append(r.Costs, figure{f, l, cost{10, time.Duration(i+1) * time.Millisecond, time.Second}})
			}
			r.Memory = append(r.Memory, memory{f, servers, idle, (i + 1) << 20})
		}
	}
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "docs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := r.write(t.Context(), options{root: root, write: true}); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| 1000 | changing | 1 | 100 | **200** (x2.00) | 300 (x3.00) | 10 | **10** | 10 |",
		"| 1000 | all idle | 1 | **2** | 3 |",
		"over 1000 calls",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	svg, err := os.ReadFile(filepath.Join(root, "docs", "performance.svg"))
	if err != nil || !strings.Contains(string(svg), "function-dittoserver, idle") {
		t.Errorf("the chart lacks its legend: %v", err)
	}
}
