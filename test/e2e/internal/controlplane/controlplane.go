// Package controlplane runs a real control plane as plain processes: etcd,
// kube-apiserver, kube-controller-manager, Crossplane, Percona's operator, a
// registry, and a kubelet that runs containers as processes.
//
// Everything lives in private namespaces of the kernel and ends with the first
// process in them. There is no container runtime and no network.
package controlplane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/binaries"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
)

// Options of a control plane.
type Options struct {
	// Crossplane that is run, binaries.CrossplaneCurrent() by default.
	Crossplane binaries.Binary

	// NoPercona leaves out Percona's operator and its CRDs.
	// InstallPercona brings them later.
	NoPercona bool

	// NoWatchList has the API server do without streaming lists, as older ones
	// do: clients list before they watch then.
	NoWatchList bool

	// Progress is told what is being done, if set.
	Progress io.Writer
}

// A ControlPlane that runs.
type ControlPlane struct {
	// Client and Dynamic are an administrator's.
	Client  kubernetes.Interface
	Dynamic dynamic.Interface

	// Kubelet decides which pods run.
	Kubelet *Kubelet

	opts     Options
	dir, run string
	pki      *pki
	start0   time.Time
	stopping atomic.Bool
}

// Start a control plane. It needs the namespaces that Enter makes.
func Start(ctx context.Context, o Options) (*ControlPlane, error) {
	if !Inside() {
		return nil, errors.New("not in the namespaces of a control plane")
	}

	if o.Crossplane.Name == "" {
		o.Crossplane = binaries.CrossplaneCurrent()
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}

	dir := os.Getenv(envDir)
	cp := &ControlPlane{opts: o, dir: dir, run: filepath.Join(dir, "run"), start0: time.Now()}

	if err := furnish(dir); err != nil {
		return nil, err
	}
	if err := disk.Dir(filepath.Join(dir, "log")); err != nil {
		return nil, err
	}

	steps := []struct {
		what string
		do   func(context.Context) error
	}{
		{"registry", func(ctx context.Context) error { return errors.Join(cp.startRegistry(ctx), cp.pushPackages(ctx)) }},
		{"Kubernetes API server " + binaries.KubeAPIServer().Version, cp.startKubernetes},
		{"kubelet", cp.startKubelet},
		{"Crossplane " + o.Crossplane.Version, cp.installCrossplane},
		{"Percona operator, " + binaries.PerconaOperator().String(), func(ctx context.Context) error {
			if o.NoPercona {
				return nil
			}
			return cp.InstallPercona(ctx)
		}},
	}
	for _, s := range steps {
		if err := s.do(ctx); err != nil {
			return nil, fmt.Errorf("cannot start %s: %w", s.what, err)
		}
		cp.say("%s runs", s.what)
	}

	return cp, nil
}

// Stop lets the processes end in peace. What does not is ended by the kernel
// with the first process of the namespaces.
func (cp *ControlPlane) Stop() { cp.stopping.Store(true) }

// Crossplane that runs.
func (cp *ControlPlane) Crossplane() binaries.Binary { return cp.opts.Crossplane }

// Kubeconfig is the path of an administrator's kubeconfig, good for inside.
func (cp *ControlPlane) Kubeconfig() string { return filepath.Join(cp.run, "kubeconfig") }

// LogDir is the folder of the logs of all processes.
func (cp *ControlPlane) LogDir() string { return filepath.Join(cp.dir, "log") }

// Log is what the processes have logged whose logs are called like a pattern.
func (cp *ControlPlane) Log(pattern string) (string, error) {
	files, err := filepath.Glob(filepath.Join(cp.LogDir(), pattern))
	if err != nil {
		return "", err
	}

	out := ""
	for _, f := range files {
		data, err := disk.Read(f)
		if err != nil {
			return "", err
		}
		out += string(data)
	}

	return out, nil
}

// AuditLog has every write, and every request of Crossplane, a line of JSON each.
func (cp *ControlPlane) AuditLog() string { return filepath.Join(cp.dir, "log", "audit.jsonl") }

func (cp *ControlPlane) say(format string, args ...any) {
	_, _ = fmt.Fprintf(cp.opts.Progress, "[%5.1fs] %s\n", time.Since(cp.start0).Seconds(), fmt.Sprintf(format, args...))
}

func (cp *ControlPlane) connect() error {
	cfg, err := clientcmd.BuildConfigFromFlags("", cp.Kubeconfig())
	if err != nil {
		return err
	}
	// Tests poll, and the API server is on this machine.
	cfg.QPS = -1

	if cp.Client, err = kubernetes.NewForConfig(cfg); err != nil {
		return err
	}
	cp.Dynamic, err = dynamic.NewForConfig(cfg)

	return err
}

// Kubectl runs kubectl as an administrator. An error holds what kubectl says.
func (cp *ControlPlane) Kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	path, err := binaries.Kubectl().Path()
	if err != nil {
		return "", err
	}

	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...) //nolint:gosec // A binary that was built for this.
	cmd.Env = cp.environment()
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr

	if err := cmd.Run(); err != nil {
		return stdout.String() + stderr.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}

	return stdout.String() + stderr.String(), nil
}

// Shell runs a command line that somebody is told to type, with kubectl being an
// administrator's, and returns what it prints.
func (cp *ControlPlane) Shell(ctx context.Context, command string) (string, error) {
	kubectl, err := binaries.Kubectl().Path()
	if err != nil {
		return "", err
	}

	cmd := exec.CommandContext(ctx, "sh", "-ec", command)
	cmd.Env = append(cp.environment(), "PATH="+filepath.Dir(kubectl)+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()

	return string(out), err
}

// environment of kubectl.
func (cp *ControlPlane) environment() []string {
	return append(os.Environ(), "KUBECONFIG="+cp.Kubeconfig(), "HOME="+cp.run, "GOGC=off")
}

// apply server-side: the CRDs are too big for the annotation that a client-side
// apply leaves.
func (cp *ControlPlane) apply(ctx context.Context, manifests string) error {
	_, err := cp.Kubectl(ctx, manifests, "apply", "--server-side", "-f", "-")
	return err
}
