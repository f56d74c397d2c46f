package namespaced

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// What the function's own preview shows of a new server is what the cluster
// holds then, field by field. Beside it the cluster has what the API server and
// Percona's operator add.
func TestPreviewIsWhatTheClusterHolds(t *testing.T) {
	t.Parallel()

	ns := e2e.NewNamespace(t)
	ns.Apply(s3Secret)
	ns.Apply(server("files", withBackups))
	ns.WaitCondition("dittoserver", "files", "DatabaseReady", "False", "WaitingForPostgreSQL")
	ns.WaitCondition("dittoserver", "files", "Synced", "True", "ReconcileSuccess")
	ns.Settle("files")

	dir := t.TempDir()
	xr, required := filepath.Join(dir, "xr.yaml"), filepath.Join(dir, "required.yaml")
	if err := os.WriteFile(xr, []byte(ns.Kubectl("get", "dittoserver", "files", "-o", "yaml")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(required, []byte(ns.Kubectl("get", "secret", "s3", "-o", "yaml")), 0o600); err != nil {
		t.Fatal(err)
	}

	cmd := exec.CommandContext(t.Context(), e2e.Function(t), "render", xr, "--required", required,
		"--composition", filepath.Join(e2e.Repository(t), "example", "composition.yaml"))
	stderr := &bytes.Buffer{}
	cmd.Stderr = stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}

	seen := 0
	for _, doc := range strings.Split("\n"+string(out), "\n---") {
		want := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(doc), &want.Object); err != nil {
			t.Fatal(err)
		}
		kind := strings.ToLower(want.GetKind())
		if len(want.Object) == 0 || kind == "dittoserver" {
			continue
		}
		seen++

		// Who owns it is only known in the cluster.
		unstructured.RemoveNestedField(want.Object, "metadata", "ownerReferences")
		unstructured.RemoveNestedField(want.Object, "metadata", "generateName")

		got := ns.Get(kind, want.GetName())
		for _, d := range missing("", want.Object, got.Object) {
			t.Errorf("%s %s: %s", want.GetKind(), want.GetName(), d)
		}
	}
	if seen != 9 {
		t.Errorf("the preview has %d objects:\n%s", seen, out)
	}
}

// missing is what is in want and not, or otherwise, in got.
func missing(path string, want, got any) []string {
	// The preview does not generate secrets, and what sums them up differs.
	if s, ok := want.(string); ok && (strings.HasPrefix(path, ".data.") || strings.HasPrefix(path, ".stringData.") || strings.Contains(path, "admin-at-first-start")) && s != got {
		return nil
	}

	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s: the preview has %v, the cluster %v", path, want, got)}
		}
		out := []string{}
		for k := range w {
			out = append(out, missing(path+"."+k, w[k], g[k])...)
		}
		return out

	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return []string{fmt.Sprintf("%s: the preview has %v, the cluster %v", path, want, got)}
		}
		out := []string{}
		for i := range w {
			out = append(out, missing(fmt.Sprintf("%s[%d]", path, i), w[i], g[i])...)
		}
		return out
	}

	// YAML has numbers, JSON floats or integers.
	if !reflect.DeepEqual(want, got) && fmt.Sprint(want) != fmt.Sprint(got) {
		return []string{fmt.Sprintf("%s: the preview has %v, the cluster %v", path, want, got)}
	}

	return nil
}
