// Package e2e is what the end-to-end tests are written with: a control plane
// for the tests of a package, kubectl, and waiting.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/binaries"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/controlplane"
)

// ControlPlane of the tests of this package, once they run.
var ControlPlane *controlplane.ControlPlane //nolint:gochecknoglobals // TestMain starts it for all tests.

// Options of the control plane of a package's tests.
type Options struct {
	controlplane.Options

	// Configuration package that is installed before the first test, if any.
	Configuration string

	// Binaries that the tests run themselves.
	Binaries []binaries.Binary
}

// Main runs the tests of a package on a control plane of their own.
func Main(m *testing.M, o Options) {
	flag.Parse()

	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()

	code, err := run(ctx, m, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

func run(ctx context.Context, m *testing.M, o Options) (int, error) {
	if o.Crossplane.Name == "" {
		o.Crossplane = binaries.CrossplaneCurrent()
	}

	// Someone only asks for the names of the tests.
	if f := flag.Lookup("test.list"); f != nil && f.Value.String() != "" {
		return m.Run(), nil
	}

	if !controlplane.Inside() {
		need := slices.Concat(binaries.ControlPlane(), []binaries.Binary{o.Crossplane}, o.Binaries)
		return controlplane.Enter(ctx, os.Stdout, need...)
	}

	// Tests do not look at the context. With this process, which is the first
	// one of its namespaces, the kernel ends all others.
	context.AfterFunc(ctx, func() { os.Exit(1) })

	start := time.Now()
	o.Progress = os.Stdout

	cp, err := controlplane.Start(ctx, o.Options)
	if err != nil {
		return 1, err
	}
	defer cp.Stop()
	ControlPlane = cp

	if o.Configuration != "" {
		if err := cp.Install(ctx, o.Configuration); err != nil {
			return 1, err
		}
	}
	fmt.Printf("the control plane was ready after %s\n", time.Since(start).Round(time.Second/10))

	code := m.Run()
	fmt.Printf("all took %s\n", time.Since(start).Round(time.Second/10))

	return code, nil
}
