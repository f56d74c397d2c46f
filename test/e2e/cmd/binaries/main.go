// Command binaries builds the programs of the end-to-end tests, if they are not
// built yet, and tells how far it is: about half an hour on two cores the first
// time. Arguments name the sets of programs that are needed, such as control-plane.
// With -packages it builds the packages of this repository before, into a folder, for
// several runs of tests.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/binaries"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/controlplane"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()

	packages := flag.String("packages", "", "folder to build the packages into")
	flag.Parse()

	if err := run(ctx, *packages, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, packages string, sets []string) error {
	bs, err := binaries.Named(sets...)
	if err != nil {
		return err
	}
	if packages != "" {
		if err := controlplane.BuildPackages(ctx, os.Stdout, packages); err != nil {
			return err
		}
	}

	return binaries.Build(ctx, os.Stdout, bs...)
}
