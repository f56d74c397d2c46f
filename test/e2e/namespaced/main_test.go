// Package namespaced shows what a user experiences with a DittoServer in a
// namespace, which is the default: its tests run kubectl against a real control
// plane with Crossplane, the packages of this repository and Percona's operator.
package namespaced

import (
	"os"
	"testing"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/binaries"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/controlplane"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

func TestMain(m *testing.M) {
	o := e2e.Options{Configuration: controlplane.ConfigurationNamespaced}

	// The main cases run on the previous minor version of Crossplane too.
	if v := os.Getenv("E2E_CROSSPLANE"); v == "previous" {
		o.Crossplane = binaries.CrossplanePrevious()
	}

	e2e.Main(m, o)
}
