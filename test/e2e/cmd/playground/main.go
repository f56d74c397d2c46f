// Command playground starts the control plane of the end-to-end tests for a
// person, with the function, the API and an example, and leaves it running.
//
//	playground start    starts it and says how to use it
//	playground stop     stops it
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/controlplane"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()

	var err error
	switch {
	case controlplane.Inside():
		err = controlplane.ServePlayground(ctx)
	case len(os.Args) == 2 && os.Args[1] == "start":
		err = controlplane.StartPlayground(ctx)
	case len(os.Args) == 2 && os.Args[1] == "stop":
		err = controlplane.StopPlayground()
	default:
		err = fmt.Errorf("usage: playground start|stop")
	}

	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
