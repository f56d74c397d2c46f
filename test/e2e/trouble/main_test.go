// Package trouble shows what a user experiences when something is missing,
// breaks or is replaced: its tests disturb the control plane that they run on,
// so they run one after another.
package trouble

import (
	"fmt"
	"testing"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/controlplane"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

func TestMain(m *testing.M) {
	e2e.Main(m, e2e.Options{
		Options:       controlplane.Options{NoPercona: true, NoWatchList: true},
		Configuration: controlplane.ConfigurationNamespaced,
	})
}

// server is the manifest of a DittoServer with a spec in YAML's flow style.
func server(name, spec string) string {
	return fmt.Sprintf(`
apiVersion: dittofs.dittofs.com/v1alpha1
kind: DittoServer
metadata: {name: %s}
spec: %s
`, name, spec)
}

// withDatabase is the spec of a server with the smallest database.
const withDatabase = `{storage: {metadataSize: 1Gi}, percona: {enabled: true, storageSize: 1Gi}}`
