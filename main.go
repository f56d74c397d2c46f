// Package main is the function's command line.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/crossplane/function-sdk-go"
	"github.com/crossplane/function-sdk-go/errors"
	"github.com/crossplane/function-sdk-go/logging"
	"github.com/crossplane/function-sdk-go/response"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dittofs/function-dittoserver/internal/cache"
	"github.com/dittofs/function-dittoserver/internal/lifecycle"
	"github.com/dittofs/function-dittoserver/internal/moving"
	"github.com/dittofs/function-dittoserver/internal/render"
	"github.com/dittofs/function-dittoserver/internal/serve"
)

const description = `A Crossplane composition function that makes a DittoFS file server, and the
PostgreSQL behind it, of a DittoServer.

Without a command it serves, which is what Crossplane has it do.`

// CLI is the command line.
type CLI struct {
	Serve  ServeCommand  `cmd:"" default:"withargs" help:"Serve the function to Crossplane."`
	Render RenderCommand `cmd:""                    help:"Show what Crossplane would make of a DittoServer, without Crossplane, Docker or a cluster."`
}

func main() {
	c := kong.Parse(&CLI{}, kong.Name("function-dittoserver"), kong.Description(description), kong.UsageOnError())
	c.FatalIfErrorf(c.Run())
}

// ServeCommand serves the function.
type ServeCommand struct {
	Debug bool `help:"Log debug messages too." short:"d"`

	Network            string        `default:"tcp"   help:"Network to listen at for gRPC."`
	Address            string        `default:":9443" help:"Address to listen at for gRPC."`
	TLSCertsDir        string        `env:"TLS_SERVER_CERTS_DIR" help:"Folder with the server's certificate (tls.crt, tls.key) and the CA that signs those of clients (ca.crt)." name:"tls-certs-dir"`
	Insecure           bool          `help:"Serve without TLS, to anybody. The certificates are ignored."`
	MaxRecvMessageSize int           `default:"16" help:"Size of the largest request, in MB. Requests hold the CustomResourceDefinition of PerconaPGCluster, which has more than one."`
	CacheSize          int           `default:"48" help:"Memory for responses that are returned again while nothing changes, in MB. 0 keeps none."`
	TTL                time.Duration `default:"1m" help:"How long an answer holds while nothing is awaited. The Input may say otherwise."`

	MetricsAddress string `default:":8080" help:"Address to serve metrics at, over plain HTTP at /metrics. Empty for none."`
	HealthAddress  string `default:":8081" help:"Address to serve health at, over plain HTTP at /livez and /readyz. Empty for none."`
}

// Run serves until a signal asks for the end.
func (c *ServeCommand) Run() error {
	if c.MaxRecvMessageSize <= 0 {
		return errors.Errorf("--max-recv-message-size is %d: give a number of MB above zero", c.MaxRecvMessageSize)
	}
	if c.CacheSize < 0 {
		return errors.Errorf("--cache-size is %d: give a number of MB, or 0 to keep no responses", c.CacheSize)
	}
	if c.TTL <= 0 {
		return errors.Errorf("--ttl is %s: give a duration above zero, such as 1m", c.TTL)
	}
	log, err := function.NewLogger(c.Debug)
	if err != nil {
		return err
	}
	limitMemory(int64(c.CacheSize) << 20)
	random := cache.NewRandom(rand.Reader)
	s, err := serve.New(NewFunction(log, c.TTL, random), log, serve.Options{
		Network:            c.Network,
		Address:            c.Address,
		TLSCertsDir:        c.TLSCertsDir,
		Insecure:           c.Insecure,
		MaxRecvMessageSize: c.MaxRecvMessageSize * 1024 * 1024,
		MetricsAddress:     c.MetricsAddress,
		HealthAddress:      c.HealthAddress,
		Cache:              cache.Options{Size: c.CacheSize * 1024 * 1024, Random: random},
	})
	if err != nil {
		return err
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	return s.Serve(ctx)
}

// limitMemory bounds the memory of a process that keeps responses of a size. The
// garbage collector lets the heap grow to twice what is in use, so that kept
// responses would take their size twice. From the limit on it collects earlier
// instead; below, as with few servers, nothing changes. GOMEMLIMIT takes
// precedence.
func limitMemory(kept int64) {
	// What a hundred calls at a time need beside it.
	const calls = 36 << 20
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(kept + calls)
	}
}

// RenderCommand previews a DittoServer. Its short flags, and the aliases of its
// long ones, are those of "crossplane render".
type RenderCommand struct {
	XR string `arg:"" help:"File with the DittoServer, or - for standard input. For a claim the XDittoServer, with its spec.claimRef. Without it, show what becomes of the DittoServers in --observed." name:"xr" optional:""`

	Input       string `help:"File with the function's Input."                                                            placeholder:"FILE" xor:"input"`
	Composition string `help:"File with the Composition: the Input is that of its step for this function, the only one that is run." placeholder:"FILE" xor:"input"`
	Observed    string `aliases:"observed-resources" help:"File or folder with the composed resources that exist. Each says which one it is by its annotation crossplane.io/composition-resource-name. Without a DittoServer: all that exists, DittoServers included, as kubectl get -o yaml prints it." placeholder:"PATH" short:"o"`
	Required    string `aliases:"required-resources,extra-resources" help:"File or folder with what else exists, such as the Secrets that Percona's operator makes." placeholder:"PATH" short:"e"`
	Results     bool   `aliases:"include-function-results" help:"Print the events of the function too." short:"r"`
	Output      string `default:"yaml" enum:"yaml,json" help:"Format of the output: yaml, a stream of documents, or json, a List."`
	Lifecycle   bool   `help:"Instead of one answer, show a table of the server's life, from its creation to a database that fails and comes back. Every line is what the function answered then."`
}

// Help says more about previews.
func (c *RenderCommand) Help() string {
	return `The function runs in this process, as it runs behind Crossplane, and the output
is that of "crossplane render": the XR with its conditions and its status, then
each composed resource. An object that the function asks for and that no file
has is taken not to exist, except for Percona's operator, which is taken as
installed.

Generated secrets are not random here: every one of them reads
preview-not-a-secret, so that the output is the same each time. Do not apply it.

Examples:

  # What is composed for a new server, and what it waits for.
  function-dittoserver render example/percona.yaml

  # A whole life of that server.
  function-dittoserver render example/percona.yaml --lifecycle

  # With the platform's defaults, an existing database, and its Secrets.
  function-dittoserver render xr.yaml --composition composition.yaml \
    --observed observed.yaml --required secrets.yaml

  # What becomes of servers that exist, of the DittoFS operator for one, when this
  # function takes them over. Nothing is changed. Leave out perconapgclusters where
  # Percona's operator is not installed. The files have the values of Secrets in them.
  mkdir -p before
  kubectl get customresourcedefinitions dittoservers.dittofs.dittofs.com \
    perconapgclusters.pgv2.percona.com --ignore-not-found -o yaml > before/crds.yaml
  kubectl get dittoservers,statefulsets,services,configmaps,secrets,persistentvolumeclaims,networkpolicies,perconapgclusters \
    -A --show-managed-fields -o yaml > before/all.yaml
  function-dittoserver render --observed before --composition composition.yaml`
}

// Run prints the preview.
func (c *RenderCommand) Run() error { return c.run(os.Stdin, os.Stdout, os.Stderr) }

func (c *RenderCommand) run(stdin io.Reader, stdout, stderr io.Writer) error {
	l := render.Loader{Stdin: stdin}
	fn := NewFunction(logging.NewNopLogger(), response.DefaultTTL, render.Placeholder{})
	if c.XR == "" {
		return c.move(fn, l, stdout, stderr)
	}
	in, err := c.load(l, stderr)
	if err != nil {
		return err
	}
	if c.Lifecycle {
		return c.walk(fn, in, stdout)
	}
	out, err := render.Render(context.Background(), fn, in)
	if err != nil {
		return err
	}
	for _, n := range out.Notes {
		_, _ = fmt.Fprintln(stderr, "note:", n)
	}
	return out.Print(stdout, c.Output, c.Results)
}

func (c *RenderCommand) walk(fn render.Function, in render.Inputs, stdout io.Writer) error {
	w := lifecycle.New(fn, in.XR, in.Input, in.Required...)
	w.Observe(in.Observed)
	rows, err := w.Walk(context.Background())
	if err != nil {
		return err
	}
	if c.Output == render.FormatJSON {
		return render.PrintJSON(stdout, rows)
	}
	return lifecycle.Print(stdout, rows)
}

// move prints what becomes of servers that exist.
func (c *RenderCommand) move(fn render.Function, l render.Loader, stdout, stderr io.Writer) error {
	if c.Observed == "" || c.Lifecycle {
		return errors.New("no DittoServer is given: give its file, or all that exists with --observed alone")
	}
	objects, err := l.LoadRequired(c.Observed)
	if err != nil {
		return err
	}
	if c.Required != "" {
		more, err := l.LoadRequired(c.Required)
		if err != nil {
			return err
		}
		objects = append(objects, more...)
	}
	plan, err := moving.Of(context.Background(), fn, func(xr *unstructured.Unstructured) (*structpb.Struct, error) {
		_, input, err := c.input(l, xr, io.Discard)
		return input, err
	}, objects)
	if err != nil {
		return err
	}
	if plan.Unrelated > 0 {
		_, _ = fmt.Fprintf(stderr, "note: %d objects belong to no DittoServer and are not listed\n", plan.Unrelated)
	}
	if c.Output == render.FormatJSON {
		err = render.PrintJSON(stdout, plan)
	} else {
		err = plan.Print(stdout)
	}
	if err != nil {
		return err
	}
	return plan.Err()
}

// input reads the function's Input, and the name of its step.
func (c *RenderCommand) input(l render.Loader, xr *unstructured.Unstructured, stderr io.Writer) (string, *structpb.Struct, error) {
	if c.Input != "" {
		in, err := l.LoadInput(c.Input)
		return render.DefaultStep, in, err
	}
	if c.Composition == "" {
		return render.DefaultStep, nil, nil
	}
	step, err := l.LoadComposition(c.Composition, xr)
	if err != nil {
		return "", nil, err
	}
	for _, o := range step.Others {
		_, _ = fmt.Fprintf(stderr, "note: step %q of the Composition is another function's and is not run\n", o)
	}
	return step.Name, step.Input, nil
}

func (c *RenderCommand) load(l render.Loader, stderr io.Writer) (in render.Inputs, err error) {
	if in.XR, err = l.LoadXR(c.XR); err != nil {
		return in, err
	}
	if in.Step, in.Input, err = c.input(l, in.XR, stderr); err != nil {
		return in, err
	}
	if c.Observed != "" {
		if in.Observed, err = l.LoadObserved(c.Observed); err != nil {
			return in, err
		}
	}
	if c.Required != "" {
		in.Required, err = l.LoadRequired(c.Required)
	}
	return in, err
}
