// Package real runs what a DittoServer is composed of: the DittoFS server,
// PostgreSQL as Percona's operator sets it up, and pgBackRest. Everything is
// taken from the API server, by a node that runs pods as processes.
package real

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/binaries"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/controlplane"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/node"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/node/patroni"
)

func TestMain(m *testing.M) {
	patroni.Main()
	measureMemory()

	e2e.Main(m, e2e.Options{
		Configuration: controlplane.ConfigurationNamespaced,
		Binaries:      []binaries.Binary{binaries.PerconaOperator(), binaries.DittoFS(), binaries.DFSCtl(), binaries.PerconaBackRest(), binaries.VersityGW()},
	})
}

// startNode starts the node that all tests share. It lasts as long as the
// control plane.
var startNode = sync.OnceValues(func() (*node.Node, error) {
	cp := e2e.ControlPlane
	dir := filepath.Join(filepath.Dir(cp.Kubeconfig()), "node")

	store, err := newS3(filepath.Join(dir, "s3"))
	if err != nil {
		return nil, err
	}
	images, err := node.Images(store.publicCA)
	if err != nil {
		return nil, err
	}

	cfg, err := clientcmd.BuildConfigFromFlags("", cp.Kubeconfig())
	if err != nil {
		return nil, err
	}
	cfg.QPS = -1
	// Of Endpoints, which Patroni writes.
	cfg.WarningHandler = rest.NoWarnings{}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}

	if err := setTTL(context.Background()); err != nil {
		return nil, err
	}

	n, err := node.Start(context.Background(), node.Options{
		Name:   "node",
		Client: client,
		Dir:    dir,
		LogDir: filepath.Join(cp.LogDir(), "pods"),
		Images: images,
		Hosts:  map[string]string{publicS3: node.Gateway, privateS3: node.Gateway},
		Ready:  patroni.Elect(client),

		APIServer: controlplane.APIServerPort,
	})
	if err != nil {
		return nil, err
	}

	return n, store.start(cp.LogDir())
})

// setTTL has the function asked again after the ttl, which is when a changed Secret
// is seen where Crossplane does not watch it, or drops the events of an XR that is
// written too often (its circuit breaker).
//
// The package manager writes the Composition of a Configuration again whenever it
// reconciles the revision, which it does a few times after the installation. It
// is paused first, and has said so, or it would take the ttl back.
func setTTL(ctx context.Context) error {
	for _, args := range [][]string{
		{"annotate", "configurationrevision", "--all", "crossplane.io/paused=true"},
		{"wait", "configurationrevision", "--all", "--timeout=1m", `--for=jsonpath={.status.conditions[?(@.type=="Synced")].reason}=ReconcilePaused`},
		{"patch", "composition", "dittoserver", "--type=json", "-p", `[{"op": "add", "path": "/spec/pipeline/0/input/ttl", "value": "` + ttl.String() + `"}]`},
	} {
		if _, err := e2e.ControlPlane.Kubectl(ctx, "", args...); err != nil {
			return err
		}
	}
	return nil
}

// slots are how many servers run at a time: each has a database of its own, and
// a machine may have two cores.
var slots = make(chan struct{}, 3)

// parallel runs a test beside others, and gives it the node.
func parallel(t *testing.T) *node.Node {
	t.Helper()
	t.Parallel()

	slots <- struct{}{}
	t.Cleanup(func() { <-slots })

	n, err := startNode()
	if err != nil {
		t.Fatal(err)
	}

	return n
}

// ttl of the function's answers in these tests.
const ttl = 10 * time.Second

var errNone = errors.New("there is none")
