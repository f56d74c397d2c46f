// Package binaries builds the programs of a control plane from their Go
// modules. A machine needs Go, git and gcc for it, and no container runtime.
//
// Every program is pinned by a module of its own under tools/, so that the
// version of one never decides the version of another. What is built is kept,
// by name, version and Go toolchain, under $XDG_CACHE_HOME.
package binaries

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
)

const (
	k8sVersion = "v1.34.2"

	stampK8s        = "-X k8s.io/component-base/version.gitVersion=" + k8sVersion + " -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34"
	stampCrossplane = "-X github.com/crossplane/crossplane-runtime/v2/pkg/version.version="
)

// Tags of every build. A program with cgo is compiled from the same files then as one
// without, but for what really is in C, so that they share what both import: two
// thirds of Percona's operator are in Crossplane too. Without cgo they change nothing,
// and are not part of what names a build.
const Tags = "netgo,osusergo"

// A Binary is a program that is built from a Go module.
type Binary struct {
	// Name of the file that is built.
	Name string

	// Version of the program.
	Version string

	// Tool is the folder under tools/ whose go.mod pins the program.
	Tool string

	// Package that is built.
	Package string

	// LDFlags stamp the version: Crossplane compares it with what packages
	// ask for.
	LDFlags string

	// CGO is whether the program needs a C compiler.
	CGO bool

	// Env is the environment variable with the path of another build of the
	// program, which is used instead of this one.
	Env string
}

// Etcd is the store of the API server.
func Etcd() Binary { return Binary{Name: "etcd", Version: "v3.6.6", Tool: "etcd", Package: "."} }

// KubeAPIServer is the API server.
func KubeAPIServer() Binary { return kubernetes("kube-apiserver") }

// KubeControllerManager runs the controllers that come with Kubernetes.
func KubeControllerManager() Binary { return kubernetes("kube-controller-manager") }

// Kubectl is the client.
func Kubectl() Binary { return kubernetes("kubectl") }

// CrossplaneCurrent is the version of Crossplane that most tests run on.
func CrossplaneCurrent() Binary { return crossplane("v2.4.0", "crossplane-v2.4") }

// CrossplanePrevious is the minor version before it.
func CrossplanePrevious() Binary { return crossplane("v2.3.4", "crossplane-v2.3") }

// PerconaOperator is named as in its image: the API server takes the name of a
// client's binary for that of the field manager.
func PerconaOperator() Binary {
	return Binary{Name: "postgres-operator", Version: "v2.9.0", Tool: "percona", Package: "github.com/percona/percona-postgresql-operator/v2/cmd/postgres-operator", CGO: true, Env: envPerconaOperator}
}

// CrossplaneCLI is the Crossplane CLI.
func CrossplaneCLI() Binary {
	return Binary{Name: "crossplane-cli", Version: "v2.5.0", Tool: "crossplane-cli", Package: "github.com/crossplane/cli/v2/cmd/crossplane", LDFlags: stampCrossplane + "v2.5.0"}
}

// Crank is the Crossplane CLI before it moved to a repository of its own.
func Crank() Binary {
	return Binary{Name: "crank", Version: "v2.1.3", Tool: "crank", Package: "github.com/crossplane/crossplane/v2/cmd/crank", LDFlags: stampCrossplane + "v2.1.3"}
}

// Sets are the programs that some tests need beside those of earlier sets, in the
// order in which the tests come to them.
func Sets() []Set {
	return []Set{
		{"control-plane", ControlPlane()},
		{"previous", []Binary{CrossplanePrevious()}},
		{"render", []Binary{CrossplaneCLI(), Crank()}},
		{"real", []Binary{DittoFS(), DFSCtl(), PerconaBackRest(), VersityGW()}},
	}
}

// A Set of programs has a name.
type Set struct {
	Name     string
	Binaries []Binary
}

// ControlPlane returns the programs of a control plane of the current versions.
func ControlPlane() []Binary {
	return []Binary{Etcd(), KubeAPIServer(), KubeControllerManager(), Kubectl(), CrossplaneCurrent(), PerconaOperator()}
}

// Named returns the programs of the sets of those names, all of them if there are no
// names.
func Named(names ...string) ([]Binary, error) {
	out, known := []Binary{}, []string{}
	for _, s := range Sets() {
		known = append(known, s.Name)
		if len(names) == 0 || slices.Contains(names, s.Name) {
			out = append(out, s.Binaries...)
		}
	}
	for _, n := range names {
		if !slices.Contains(known, n) {
			return nil, fmt.Errorf("there is no set of programs %s: %s", n, strings.Join(known, ", "))
		}
	}

	return out, nil
}

func kubernetes(name string) Binary {
	return Binary{Name: name, Version: k8sVersion, Tool: "kubernetes", Package: "k8s.io/kubernetes/cmd/" + name, LDFlags: stampK8s}
}

func crossplane(version, tool string) Binary {
	return Binary{Name: "crossplane", Version: version, Tool: tool, Package: "github.com/crossplane/crossplane/v2/cmd/crossplane", LDFlags: stampCrossplane + version}
}

// other returns the path of another build of the program, if one is to be used.
func (b Binary) other() string {
	if b.Env == "" {
		return ""
	}

	return os.Getenv(b.Env)
}

// String names the program and its version, or where another build of it is.
func (b Binary) String() string {
	if path := b.other(); path != "" {
		return b.Name + " in " + path
	}

	return b.Name + " " + b.Version
}

// Path of the binary, whether it is built or not.
func (b Binary) Path() (string, error) {
	if path := b.other(); path != "" {
		return path, nil
	}

	cache, err := cacheDir()
	if err != nil {
		return "", err
	}

	key, err := b.key()
	if err != nil {
		return "", err
	}

	return filepath.Join(cache, key, b.Name), nil
}

// ModuleDir is the folder of the module cache that holds the source of the
// supplied module in the version that b is built from.
func (b Binary) ModuleDir(module string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}

	out, err := goTool(context.Background(), filepath.Join(root, "tools", b.Tool), "list", "-m", "-f", "{{.Dir}}", module)
	if err != nil {
		return "", err
	}

	dir := strings.TrimSpace(out)
	if dir == "" {
		return "", fmt.Errorf("module %s is not downloaded", module)
	}

	return dir, nil
}

// key names the build. Beside name, version and toolchain it holds a hash of
// everything else that decides what comes out.
func (b Binary) key() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}

	h := sha256.New()
	_, _ = fmt.Fprintln(h, b.Package, b.LDFlags, b.CGO)

	for _, f := range []string{"go.mod", "go.sum", "main.go"} {
		data, err := disk.Read(filepath.Join(root, "tools", b.Tool, f))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		h.Write(data)
	}

	return fmt.Sprintf("%s-%s-%s-%s", b.Name, b.Version, runtime.Version(), hex.EncodeToString(h.Sum(nil))[:8]), nil
}

// Build builds the binaries that are not built yet and tells w how far it is.
func Build(ctx context.Context, w io.Writer, bs ...Binary) error {
	start := time.Now()

	built := 0
	for i, b := range bs {
		fresh, err := b.build(ctx, w, fmt.Sprintf("[%d/%d] %s", i+1, len(bs), b))
		if err != nil {
			return fmt.Errorf("cannot build %s: %w", b, err)
		}
		if fresh {
			built++
		}
	}

	if built > 0 {
		_, _ = fmt.Fprintf(w, "built %d of %d programs in %s\n", built, len(bs), time.Since(start).Round(time.Second))
	}

	return nil
}

func (b Binary) build(ctx context.Context, w io.Writer, what string) (bool, error) {
	path, err := b.Path()
	if err != nil {
		return false, err
	}

	if _, err := os.Stat(path); err == nil || b.other() != "" {
		return false, err
	}

	if err := disk.Dir(filepath.Dir(path)); err != nil {
		return false, err
	}

	// Another run may be building the same thing at this moment.
	unlock, err := lock(filepath.Dir(path)+".lock", func() {
		_, _ = fmt.Fprintf(w, "%s: another run builds it, waiting\n", what)
	})
	if err != nil {
		return false, err
	}
	defer unlock()

	if _, err := os.Stat(path); err == nil {
		return false, nil
	}

	root, err := Root()
	if err != nil {
		return false, err
	}
	dir := filepath.Join(root, "tools", b.Tool)

	_, _ = fmt.Fprintf(w, "%s: getting its modules\n", what)
	start := time.Now()

	total, err := goTool(ctx, dir, "list", "-deps", b.Package)
	if err != nil {
		return false, err
	}

	tmp := fmt.Sprintf("%s.%d", path, os.Getpid())
	defer os.Remove(tmp) //nolint:errcheck // It is renamed if all goes well.

	cmd := exec.CommandContext(ctx, "go", "build", "-v", "-tags", Tags, "-ldflags", "-s -w "+b.LDFlags, "-o", tmp, b.Package) //nolint:gosec // All of it is in this package.
	cmd.Dir = dir
	cmd.Env = b.env()

	p := &progress{w: w, what: what, total: strings.Count(total, "\n"), start: start}
	cmd.Stderr = p
	stop := p.tick(15 * time.Second)
	err = cmd.Run()
	stop()

	if err != nil {
		return false, fmt.Errorf("%w\n%s", err, p.tail.String())
	}

	if err := os.Rename(tmp, path); err != nil {
		return false, err
	}

	_, _ = fmt.Fprintf(w, "%s: built in %s\n", what, time.Since(start).Round(time.Second))

	return true, nil
}

func (b Binary) env() []string {
	cgo := "CGO_ENABLED=0"
	if b.CGO {
		cgo = "CGO_ENABLED=1"
	}

	return append(os.Environ(), "GOWORK=off", cgo)
}

// Root is the folder of the module of the end-to-end tests.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}

	for d := dir; ; d = filepath.Dir(d) {
		for _, r := range []string{d, filepath.Join(d, "test", "e2e")} {
			if _, err := os.Stat(filepath.Join(r, "tools", "etcd", "go.mod")); err == nil {
				return r, nil
			}
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("%s is not inside the repository", dir)
		}
	}
}

func cacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}

	return filepath.Join(dir, "function-dittoserver-e2e"), nil
}

func goTool(ctx context.Context, dir string, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer

	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr

	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}

	return stdout.String(), nil
}

// lock waits for the exclusive lock of a file, and calls waits if another process has
// it. The kernel releases it with the process, so a killed run leaves none behind.
func lock(path string, waits func()) (unlock func(), err error) {
	f, err := disk.Open(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}

	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		waits()
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}

	return func() { _ = f.Close() }, nil
}
