package real

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/google/go-cmp/cmp"

	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/binaries"
)

// The server finds nothing wrong in any configuration that a golden of the unit tests
// shows, and knows every key in it.
func TestConfigIsValid(t *testing.T) {
	t.Parallel()

	dfs, err := binaries.DittoFS().Path()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../../internal/dittofs/testdata/config-*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no configurations: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), dfs, "config", "validate", "--config", file)
			// What the pod has from Secrets.
			cmd.Env = append(os.Environ(),
				"DITTOFS_CONTROLPLANE_SECRET=a key of at least thirty-two characters",
				"DITTOFS_DATABASE_POSTGRES_HOST=h", "DITTOFS_DATABASE_POSTGRES_DATABASE=d", "DITTOFS_DATABASE_POSTGRES_USER=u", "DITTOFS_DATABASE_POSTGRES_PASSWORD=p",
				"DITTOFS_LDAP_BIND_PASSWORD=p",
			)
			out, err := cmd.CombinedOutput()
			if err != nil || strings.Contains(string(out), "unknown keys") {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// What extraConfig warns of is what the server does not know.
func TestConfigSections(t *testing.T) {
	t.Parallel()

	dfs, err := binaries.DittoFS().Path()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), dfs, "config", "schema").Output()
	if err != nil {
		t.Fatal(err)
	}
	schema := struct {
		Properties map[string]any `json:"properties"`
		Defs       map[string]struct {
			Properties map[string]any `json:"properties"`
		} `json:"$defs"`
	}{}
	if err := json.Unmarshal(out, &schema); err != nil {
		t.Fatal(err)
	}
	known := schema.Properties
	if len(known) == 0 {
		known = schema.Defs["Config"].Properties
	}
	ours, err := os.ReadFile("../../../internal/server/config-sections.txt")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(known)), strings.Fields(string(ours))); diff != "" {
		t.Errorf("sections of config.yaml: -the server's, +ours:\n%s", diff)
	}
}
