// Package render compares the three ways to preview a server: Crossplane's CLI,
// the CLI before it moved to a repository of its own, and the function's own.
package render

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/binaries"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// All previews of an example say the same.
func TestPreviews(t *testing.T) {
	if err := binaries.Build(t.Context(), os.Stdout, binaries.CrossplaneCurrent(), binaries.CrossplaneCLI(), binaries.Crank()); err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	example := filepath.Join(e2e.Repository(t), "example")
	function := build(t, dir)
	functions := functionsFile(t, dir, serve(t, function))

	for name, c := range map[string]struct {
		xr          string
		composition string
		observed    string
		required    string
	}{
		"minimal":              {xr: "minimal.yaml"},
		"SQLite":               {xr: "sqlite.yaml"},
		"new database":         {xr: "percona.yaml"},
		"database that is up":  {xr: "percona.yaml", observed: "observed/percona.yaml", required: "required/percona.yaml"},
		"production":           {xr: "production.yaml", required: "required/production.yaml"},
		"somebody's database":  {xr: "external-database.yaml", required: "required/external-database.yaml"},
		"Secret not there yet": {xr: "external-database.yaml"},
		"metrics":              {xr: "metrics.yaml", required: "required/metrics.yaml"},
		"placement":            {xr: "placement.yaml", required: "required/placement.yaml"},
		"claim":                {xr: "claim/xr.yaml", composition: "claim/composition.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.composition == "" {
				c.composition = "composition.yaml"
			}
			xr, composition := filepath.Join(example, c.xr), filepath.Join(example, c.composition)

			// Crossplane's CLIs want everything else as it is in a cluster,
			// where Percona's operator is installed.
			required := filepath.Join(dir, "required.yaml")
			data := []byte(installed)
			if c.required != "" {
				b, err := os.ReadFile(filepath.Join(example, c.required))
				if err != nil {
					t.Fatal(err)
				}
				data = append(data, append([]byte("---\n"), b...)...)
			}
			if err := os.WriteFile(required, data, 0o600); err != nil {
				t.Fatal(err)
			}

			ownArgs := []string{"render", xr, "--composition", composition, "--required", required, "--results"}
			cliArgs := []string{xr, composition, functions, "-e", required, "-r"}
			if c.observed != "" {
				ownArgs = append(ownArgs, "--observed", filepath.Join(example, c.observed))
				cliArgs = append(cliArgs, "-o", filepath.Join(example, c.observed))
			}

			own := preview(t, function, ownArgs...)
			if len(own) < 5 {
				t.Fatalf("the function's own preview has only %v", slices.Sorted(maps.Keys(own)))
			}

			crank := preview(t, path(t, binaries.Crank()), append([]string{"render"}, cliArgs...)...)
			if diff := cmp.Diff(own, crank); diff != "" {
				t.Errorf("crank render %s: -own preview, +crank:\n%s", binaries.Crank().Version, diff)
			}

			cli := preview(t, path(t, binaries.CrossplaneCLI()), append([]string{"composition", "render", "--crossplane-binary", path(t, binaries.CrossplaneCurrent())}, cliArgs...)...)
			if diff := cmp.Diff(own, cli); diff != "" {
				t.Errorf("crossplane composition render %s: -own preview, +CLI:\n%s", binaries.CrossplaneCLI().Version, diff)
			}
		})
	}
}

// installed is how the function knows that Percona's operator is.
const installed = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: perconapgclusters.pgv2.percona.com}
status:
  conditions: [{type: Established, status: "True"}]
`

func path(t *testing.T, b binaries.Binary) string {
	t.Helper()

	p, err := b.Path()
	if err != nil {
		t.Fatal(err)
	}

	return p
}

func build(t *testing.T, dir string) string {
	t.Helper()

	out := filepath.Join(dir, "function")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", out, ".")
	cmd.Dir = e2e.Repository(t)
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the function: %v\n%s", err, msg)
	}

	return out
}

// serve the function on this machine, for the CLIs, and return its address.
func serve(t *testing.T, function string) string {
	t.Helper()

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	log := &bytes.Buffer{}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, function, "--insecure", "--address", addr, "--metrics-address=", "--health-address=")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the function said:\n%s", log)
		}
	})

	for deadline := time.Now().Add(30 * time.Second); ; {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
			return addr
		}
		if time.Now().After(deadline) {
			t.Fatalf("the function does not listen: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// functionsFile is the example's, with the address that the function is served
// at.
func functionsFile(t *testing.T, dir, addr string) string {
	t.Helper()

	data, err := os.ReadFile(filepath.Join(e2e.Repository(t), "example", "functions.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte("localhost:9443")) {
		t.Fatal("example/functions.yaml does not say localhost:9443")
	}

	out := filepath.Join(dir, "functions.yaml")
	if err := os.WriteFile(out, bytes.ReplaceAll(data, []byte("localhost:9443"), []byte(addr)), 0o600); err != nil {
		t.Fatal(err)
	}

	return out
}

// preview runs a command and returns the objects that it prints, by what they
// are, without what may differ.
func preview(t *testing.T, command string, args ...string) map[string]any {
	t.Helper()

	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), command, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(command), strings.Join(args, " "), err, stderr.String())
	}

	out := map[string]any{}
	text := backupPath.ReplaceAllString(stdout.String(), "$1/repo1")
	for _, doc := range strings.Split("\n"+text, "\n---") {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(doc), &u.Object); err != nil {
			t.Fatalf("%s: %v\n%s", filepath.Base(command), err, doc)
		}
		if len(u.Object) == 0 {
			continue
		}
		if u.GetKind() == "Result" {
			if r := result(u); r != "" {
				out["Result "+r] = true
			}
			continue
		}

		normalize(u)
		out[u.GetKind()+" "+u.GetAnnotations()["crossplane.io/composition-resource-name"]] = u.Object
	}

	return out
}

// backupPath has the UID of the server, which one of the CLIs invents.
var backupPath = regexp.MustCompile(`(/pgbackrest/[a-z0-9-]+/[a-z0-9-]+)-[0-9a-f]{8}/repo1`)

// result is what the function says in a Result, and empty for what Crossplane
// itself says.
func result(u *unstructured.Unstructured) string {
	switch u.Object["reason"] {
	case "ComposeResources", "SelectComposition":
		return ""
	}

	severity := fmt.Sprint(u.Object["severity"])
	severity = strings.ToLower(strings.TrimPrefix(severity, "SEVERITY_"))
	message := strings.TrimPrefix(fmt.Sprint(u.Object["message"]), `Pipeline step "dittoserver": `)

	return severity + ": " + message
}

// The record has the UID of the server, and a fingerprint of the generated password.
var (
	uid         = regexp.MustCompile(`"version":1,"xr":"[0-9a-f-]+"`)
	fingerprint = regexp.MustCompile(`"adminFingerprint":"[0-9a-f]+-[0-9a-f]+"`)
)

// normalize removes what differs between two runs, or between Crossplane's CLIs
// themselves.
func normalize(u *unstructured.Unstructured) {
	switch u.GetKind() {
	case "DittoServer", "XDittoServer":
		for _, f := range []string{"metadata", "spec"} {
			delete(u.Object, f)
		}

		conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
		kept := []any{}
		for _, c := range conditions {
			m, _ := c.(map[string]any)
			switch m["type"] {
			case "Synced", "Ready", "Responsive":
				continue
			}
			delete(m, "lastTransitionTime")
			delete(m, "observedGeneration")
			kept = append(kept, m)
		}
		slices.SortFunc(kept, func(a, b any) int {
			return strings.Compare(fmt.Sprint(a.(map[string]any)["type"]), fmt.Sprint(b.(map[string]any)["type"]))
		})
		_ = unstructured.SetNestedSlice(u.Object, kept, "status", "conditions")

	case "Secret":
		for _, f := range []string{"data", "stringData"} {
			values, _, _ := unstructured.NestedMap(u.Object, f)
			for k := range values {
				values[k] = "generated"
			}
			if values != nil {
				u.Object[f] = values
			}
		}
	}

	// They sum up the generated Secrets.
	for _, p := range [][]string{{"spec", "template", "metadata", "annotations"}, {"metadata", "annotations"}} {
		annotations, ok, _ := unstructured.NestedStringMap(u.Object, p...)
		if !ok {
			continue
		}
		for k := range annotations {
			if strings.HasPrefix(k, "checksum.") {
				annotations[k] = "generated"
			}
			if strings.HasSuffix(k, "/record") {
				annotations[k] = uid.ReplaceAllString(fingerprint.ReplaceAllString(annotations[k], `"adminFingerprint":"generated"`), `"version":1`)
			}
		}
		_ = unstructured.SetNestedStringMap(u.Object, annotations, p...)
	}

	// The older CLI does not set them.
	for _, l := range []string{"crossplane.io/claim-name", "crossplane.io/claim-namespace"} {
		unstructured.RemoveNestedField(u.Object, "metadata", "labels", l)
	}

	u.SetOwnerReferences(nil)
	u.SetGenerateName("")
}
