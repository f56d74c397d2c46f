package namespaced

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// What the function's own preview shows of every example is what the cluster
// holds, field by field: of a new server, and of one that runs. Beside it the
// cluster has what the API server and Percona's operator add.
func TestPreviewsAreWhatTheClusterHolds(t *testing.T) {
	t.Parallel()

	for file, secrets := range map[string]string{
		"minimal.yaml":           "",
		"percona.yaml":           "",
		"production.yaml":        "required/production.yaml",
		"external-database.yaml": "required/external-database.yaml",
		"sqlite.yaml":            "",
		"metrics.yaml":           "required/metrics.yaml",
	} {
		t.Run(strings.TrimSuffix(file, ".yaml"), func(t *testing.T) {
			t.Parallel()

			p := &preview{Namespace: e2e.NewNamespace(t), dir: t.TempDir()}
			xr := p.example(file)[0]
			p.server = xr.GetName()
			_, hasDatabase := xr.Object["spec"].(map[string]any)["percona"]

			if secrets != "" {
				p.apply(p.example(secrets)...)
			}
			p.apply(xr)
			if hasDatabase {
				p.WaitCondition("dittoserver", p.server, "DatabaseReady", "False", "WaitingForPostgreSQL")
			}
			p.WaitCondition("dittoserver", p.server, "Synced", "True", "ReconcileSuccess")
			p.Settle(p.server)
			t.Run("new", func(t *testing.T) { p.compare(t, p.example(secrets), false) })

			p.RunDatabase(p.server)
			p.RunServer(p.server)
			p.GiveAddresses()
			p.WaitCondition("dittoserver", p.server, "Ready", "True", "Available")
			p.Settle(p.server)
			t.Run("running", func(t *testing.T) { p.compare(t, p.all("secret"), true) })
		})
	}
}

// A preview of a server in the namespace.
type preview struct {
	*e2e.Namespace

	server, dir string
}

// example reads the objects of an example, as if they were for the namespace.
func (p *preview) example(file string) []*unstructured.Unstructured {
	p.T.Helper()

	if file == "" {
		return nil
	}
	data, err := os.ReadFile(filepath.Join(e2e.Repository(p.T), "example", file))
	if err != nil {
		p.T.Fatal(err)
	}
	out := e2e.Documents(p.T, string(data))
	for _, u := range out {
		u.SetNamespace(p.Name)
	}

	return out
}

func (p *preview) apply(objects ...*unstructured.Unstructured) {
	p.T.Helper()

	for _, o := range objects {
		p.Apply(text(p.T, o))
	}
}

// all objects of a kind in the namespace.
func (p *preview) all(kind string) []*unstructured.Unstructured {
	p.T.Helper()

	out := []*unstructured.Unstructured{}
	for _, o := range p.List(kind, nil) {
		out = append(out, o.Unstructured)
	}

	return out
}

// compare the preview of the server as it is in the cluster with the cluster.
func (p *preview) compare(t *testing.T, required []*unstructured.Unstructured, running bool) {
	args := []string{
		"render", p.file("xr", p.Get("dittoserver", p.server).Unstructured),
		"--composition", filepath.Join(e2e.Repository(t), "example", "composition.yaml"),
	}
	if len(required) > 0 {
		args = append(args, "--required", p.file("required", required...))
	}
	composed := p.Snapshot(p.server)
	if running {
		observed := []*unstructured.Unstructured{}
		for k := range composed {
			kind, name, _ := strings.Cut(k, "/")
			observed = append(observed, p.Get(kind, name).Unstructured)
		}
		args = append(args, "--observed", p.file("observed", observed...))
	}

	cmd := exec.CommandContext(t.Context(), e2e.Function(t), args...)
	stderr := &bytes.Buffer{}
	cmd.Stderr = stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}

	seen := 0
	for _, want := range e2e.Documents(t, string(out)) {
		kind := strings.ToLower(want.GetKind())
		got := p.Get(kind, want.GetName())

		// A preview of a new server knows nothing of what there is already.
		if kind == "dittoserver" {
			if running {
				compareServers(t, want, got.Unstructured)
			}
			continue
		}
		seen++

		// Who owns it is only known in the cluster.
		unstructured.RemoveNestedField(want.Object, "metadata", "ownerReferences")
		unstructured.RemoveNestedField(want.Object, "metadata", "generateName")
		for _, d := range missing("", want.Object, got.Object, !running) {
			t.Errorf("%s %s: %s", want.GetKind(), want.GetName(), d)
		}
	}
	if seen != len(composed) || seen < 5 {
		t.Errorf("the preview has %d objects, the cluster %d:\n%s", seen, len(composed), out)
	}
}

// compareServers compares what is reported of a server, but for what only
// Crossplane knows.
func compareServers(t *testing.T, want, got *unstructured.Unstructured) {
	t.Helper()

	conditions, _, _ := unstructured.NestedSlice(want.Object, "status", "conditions")
	if len(conditions) < 3 {
		t.Errorf("the preview has only the conditions %v", conditions)
	}
	cluster := &e2e.Object{Unstructured: got}
	for _, c := range conditions {
		m, _ := c.(map[string]any)
		typ, _ := m["type"].(string)
		if typ == "Synced" || typ == "Ready" || typ == "Responsive" {
			continue
		}
		has := cluster.Condition(typ)
		if m["status"] != has.Status || m["reason"] != has.Reason || m["message"] != has.Message {
			t.Errorf("condition %s: the preview has %v, the cluster %+v", typ, m, has)
		}
	}

	unstructured.RemoveNestedField(want.Object, "status", "conditions")
	for _, d := range missing(".status", want.Object["status"], got.Object["status"], false) {
		t.Errorf("DittoServer: %s", d)
	}
}

// file with some objects.
func (p *preview) file(name string, objects ...*unstructured.Unstructured) string {
	p.T.Helper()

	out := ""
	for _, o := range objects {
		out += "---\n" + text(p.T, o)
	}
	path := filepath.Join(p.dir, name+".yaml")
	if err := os.WriteFile(path, []byte(out), 0o600); err != nil {
		p.T.Fatal(err)
	}

	return path
}

func text(t testing.TB, u *unstructured.Unstructured) string {
	t.Helper()

	out, err := yaml.Marshal(u.Object)
	if err != nil {
		t.Fatal(err)
	}

	return string(out)
}

// fingerprint of the administrator's password, in the record.
var fingerprint = regexp.MustCompile(`"adminFingerprint":"[0-9a-f]+-[0-9a-f]+"`)

// missing is what is in want and not, or otherwise, in got. The preview of a new
// server has other generated secrets, and what sums them up differs.
func missing(path string, want, got any, generated bool) []string {
	if s, ok := want.(string); ok && generated && (strings.HasPrefix(path, ".data.") || strings.HasPrefix(path, ".stringData.") || strings.Contains(path, "checksum")) && s != got {
		return nil
	}
	if strings.HasSuffix(path, recordAnnotation) && generated {
		want, got = fingerprint.ReplaceAllString(fmt.Sprint(want), "generated"), fingerprint.ReplaceAllString(fmt.Sprint(got), "generated")
	}

	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s: the preview has %v, the cluster %v", path, want, got)}
		}
		out := []string{}
		for k := range w {
			out = append(out, missing(path+"."+k, w[k], g[k], generated)...)
		}
		return out

	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return []string{fmt.Sprintf("%s: the preview has %v, the cluster %v", path, want, got)}
		}
		out := []string{}
		for i := range w {
			out = append(out, missing(fmt.Sprintf("%s[%d]", path, i), w[i], g[i], generated)...)
		}
		return out
	}

	// YAML has numbers, JSON floats or integers.
	if !reflect.DeepEqual(want, got) && fmt.Sprint(want) != fmt.Sprint(got) {
		return []string{fmt.Sprintf("%s: the preview has %v, the cluster %v", path, want, got)}
	}

	return nil
}
