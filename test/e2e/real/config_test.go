package real

import (
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
