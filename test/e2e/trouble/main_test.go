// Package trouble shows what a user experiences when something is missing,
// breaks or is replaced: its tests disturb the control plane that they run on,
// so they run one after another.
package trouble

import (
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
