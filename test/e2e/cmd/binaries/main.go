// Command binaries builds the programs of a control plane, if they are not
// built yet, and says how far it is: about half an hour on two cores the first
// time. With -packages it builds the packages of this repository too, into a
// folder, for several runs of tests.
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

	err := binaries.Build(ctx, os.Stdout, binaries.All()...)
	if err == nil && *packages != "" {
		err = controlplane.BuildPackages(ctx, os.Stdout, *packages)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
