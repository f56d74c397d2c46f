// Bench measures what a call of the function costs, as Crossplane makes it: over
// gRPC with mTLS, about servers of example/percona.yaml at rest. Beside it, in the
// same run, it measures echo, a function that does nothing, and template, one
// that renders the same objects from a template. It writes what it found to
// docs/performance.md and docs/performance.svg.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"google.golang.org/grpc/credentials"
)

// Names of the functions.
const (
	echoName     = "echo"
	ourName      = "function-dittoserver"
	templateName = "template"
)

// options are those of the command line.
type options struct {
	root    string
	servers []int
	calls   int
	memory  int
	write   bool
}

func main() {
	o := options{}
	servers := ""
	flag.StringVar(&o.root, "root", filepath.Join("..", ".."), "folder of the function's module")
	flag.StringVar(&servers, "servers", "1,200,1000,10000", "numbers of servers")
	flag.IntVar(&o.calls, "calls", 6000, "calls for each figure, at least one for each server")
	flag.IntVar(&o.memory, "memory-calls", 0, "calls over which resident memory is to stay flat; 0 to leave that out")
	flag.BoolVar(&o.write, "write", false, "write the page in docs, instead of printing it")
	flag.Parse()
	for s := range strings.SplitSeq(servers, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			log.Fatalf("-servers: %q is no number of servers", s)
		}
		o.servers = append(o.servers, n)
	}
	if err := run(context.Background(), o); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // In the folder for temporary files.
	creds, err := makePKI(dir)
	if err != nil {
		return err
	}
	b := &bench{options: o, dir: dir, creds: creds}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	r := &results{RequestSize: b.requests.size()}
	for _, n := range o.servers {
		if err := b.measure(ctx, n, r); err != nil {
			return err
		}
	}
	if o.memory > 0 {
		if err := b.flat(ctx, r); err != nil {
			return err
		}
	}
	if err := r.write(ctx, o); err != nil {
		return err
	}
	return r.Flat.err()
}

// A bench has what is measured, and with what.
type bench struct {
	options

	dir       string
	creds     credentials.TransportCredentials
	functions []function
	requests  *Requests
}

// prepare builds the functions, and has one server live to get its request.
func (b *bench) prepare(ctx context.Context) error {
	build := func(module, pkg, name string) (string, error) {
		out := filepath.Join(b.dir, name)
		// As releases are built.
		cmd := exec.CommandContext(ctx, "go", "build", "-C", module, "-trimpath", "-ldflags=-s -w", "-o", out, pkg) //nolint:gosec // One of those that are compared.
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		cmd.Stderr = os.Stderr
		return out, cmd.Run()
	}
	ours, err1 := build(b.root, ".", ourName)
	echo, err2 := build(".", "./echo", echoName)
	template, err3 := build(".", "./template", templateName)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	b.functions = []function{
		{name: echoName, binary: echo},
		{name: ourName, binary: ours, args: []string{"--health-address="}},
		{name: templateName, binary: template, args: []string{"--template=" + filepath.Join(b.dir, "objects.yaml")}},
	}

	p, err := b.functions[1].start(ctx, b.dir, b.creds)
	if err != nil {
		return err
	}
	defer p.stop()
	req, rsp, err := capture(ctx, b.root, p)
	if err != nil {
		return err
	}
	if b.requests, err = newRequests(req); err != nil {
		return err
	}
	text, err := templateOf(rsp)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.dir, "objects.yaml"), []byte(text), 0o600)
}

// rounds is how often the functions take turns for one figure, so that what else
// the machine does hits all of them.
const rounds = 3

// measure measures all functions, freshly started, at a number of servers.
func (b *bench) measure(ctx context.Context, servers int, r *results) error {
	processes := make([]*process, 0, len(b.functions))
	remember := func(when string) error {
		for _, p := range processes {
			n, err := p.resident()
			if err != nil {
				return err
			}
			r.Memory = append(r.Memory, memory{p.name, servers, when, n})
		}
		return nil
	}
	for _, f := range b.functions {
		p, err := f.start(ctx, b.dir, b.creds)
		if err != nil {
			return err
		}
		defer p.stop()
		processes = append(processes, p)
	}
	settle()
	if err := remember(started); err != nil {
		return err
	}
	for _, p := range processes {
		// Every server has been asked about before.
		if _, err := (load{servers: servers, callers: 2, calls: max(servers, 500)}).run(ctx, p, b.requests); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	for _, l := range []load{
		{servers: servers, callers: 1},
		{servers: servers, callers: 100},
		{servers: servers, callers: 1, changing: true},
		{servers: servers, callers: 100, changing: true},
	} {
		costs := make([]cost, len(processes))
		l.calls = max(b.calls, servers) / rounds
		for range rounds {
			for i, p := range processes {
				c, err := l.run(ctx, p, b.requests)
				if err != nil {
					return fmt.Errorf("%s: %w", p.name, err)
				}
				costs[i] = costs[i].plus(c)
			}
		}
		for i, p := range processes {
			r.Costs = append(r.Costs, figure{p.name, l, costs[i]})
			log.Printf("%5d servers, %3d callers, changing %-5t: %-20s %6.0f µs CPU a call, %6.0f calls/s", servers, l.callers, l.changing, p.name, costs[i].perCall(), costs[i].perSecond())
		}
		if l.callers == 100 && !l.changing {
			if err := remember(idle); err != nil {
				return err
			}
		}
	}
	return remember(changed)
}

// flat makes very many calls about a thousand servers, one in ten of which finds
// its server changed, and watches the memory.
func (b *bench) flat(ctx context.Context, r *results) error {
	const servers, samples = 1000, 20
	p, err := b.functions[1].start(ctx, b.dir, b.creds)
	if err != nil {
		return err
	}
	defer p.stop()
	for i := range samples {
		for _, l := range []load{
			{servers: servers, callers: 100, calls: b.memory / samples * 9 / 10},
			{servers: servers, callers: 100, calls: b.memory / samples / 10, changing: true},
		} {
			if _, err := l.run(ctx, p, b.requests); err != nil {
				return err
			}
		}
		n, err := p.resident()
		if err != nil {
			return err
		}
		r.Flat = append(r.Flat, n)
		log.Printf("%8d calls: %d MiB resident", (i+1)*b.memory/samples, n>>20)
	}
	r.FlatCalls = b.memory
	return nil
}
