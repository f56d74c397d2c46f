package controlplane

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/binaries"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
)

const (
	// Registry of the control plane. Being a loopback address it is spoken
	// to without TLS.
	Registry = "127.0.0.1:5000"

	imageCrossplane = "xpkg.crossplane.io/crossplane/crossplane"
	imagePercona    = "docker.io/percona/percona-postgresql-operator"
)

// An image as far as the kubelet cares.
type image struct {
	entrypoint []string
	env        []string

	// listens is whether its program lets one choose where to listen.
	listens bool

	// apart is whether its program needs ports that another's has.
	apart bool
}

// listenArgs make a function listen on the address of its pod only.
func (i *image) listenArgs(ip string) []string {
	if !i.listens {
		return nil
	}

	return []string{"--address=" + ip + ":9443", "--metrics-address=" + ip + ":8080", "--health-address=" + ip + ":8081"}
}

// probes are the addresses a container listens on when it is ready.
func (i *image) probes(ip string, c corev1.Container) []string {
	addrs, host := []string{}, "127.0.0.1"
	if i.listens {
		addrs, host = []string{ip + ":9443"}, ip
	}

	for _, p := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe} {
		if port, ok := probePort(c, p); ok {
			addrs = append(addrs, net.JoinHostPort(host, port))
		}
	}

	return addrs
}

func (cp *ControlPlane) startRegistry(ctx context.Context) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", Registry)
	if err != nil {
		return err
	}

	f, err := disk.Open(filepath.Join(cp.dir, "log", "registry.log"), os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}

	srv := &http.Server{Handler: registry.New(registry.Logger(log.New(f, "", log.LstdFlags)))} //nolint:gosec // Its clients are ours.
	go func() {
		if err := srv.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintln(os.Stderr, "registry:", err)
		}
	}()

	return nil
}

// pushIndex pushes an image for several architectures, by repository and tag.
func (cp *ControlPlane) pushIndex(ctx context.Context, ref string, idx v1.ImageIndex) error {
	r, err := name.NewTag(Registry + "/" + ref)
	if err != nil {
		return err
	}

	return remote.WriteIndex(r, idx, remote.WithContext(ctx))
}

// push an image, by repository and tag.
func (cp *ControlPlane) push(ctx context.Context, ref string, img v1.Image) error {
	r, err := name.NewTag(Registry + "/" + ref)
	if err != nil {
		return err
	}

	return remote.Write(r, img, remote.WithContext(ctx))
}

func (cp *ControlPlane) hasImage(ref string) bool {
	return slices.ContainsFunc([]string{Registry + "/", imageCrossplane + ":", imagePercona + ":"}, func(prefix string) bool {
		return strings.HasPrefix(ref, prefix)
	})
}

// unpack the image of a container into a folder.
func (cp *ControlPlane) unpack(ctx context.Context, c corev1.Container, root string) (*image, error) {
	switch {
	case strings.HasPrefix(c.Image, imageCrossplane+":"):
		img, err := cp.crossplaneImage(root)
		if err != nil {
			return nil, err
		}

		// The RBAC manager has its metrics on a fixed port of all addresses.
		img.apart = len(c.Args) > 0 && c.Args[0] == "rbac"

		return img, nil
	case strings.HasPrefix(c.Image, imagePercona+":"):
		return cp.perconaImage(root)
	default:
		return pull(ctx, c.Image, root)
	}
}

// pull an image from the registry and unpack it, as a node does.
func pull(ctx context.Context, ref, root string) (*image, error) {
	r, err := name.ParseReference(ref)
	if err != nil {
		return nil, err
	}

	img, err := remote.Image(r, remote.WithContext(ctx))
	if err != nil {
		return nil, err
	}

	cfg, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}

	layers := mutate.Extract(img)
	defer layers.Close() //nolint:errcheck // It is only read.

	tr := tar.NewReader(layers)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}

		path := filepath.Join(root, filepath.Clean("/"+h.Name))
		if err := disk.Dir(filepath.Dir(path)); err != nil {
			return nil, err
		}

		// Of an earlier run of the container, perhaps still executing.
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}

		f, err := disk.Open(path, os.O_CREATE|os.O_WRONLY, h.FileInfo().Mode().Perm())
		if err != nil {
			return nil, err
		}
		if _, err := io.Copy(f, tr); err != nil { //nolint:gosec // Our own image.
			_ = f.Close()
			return nil, err
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}

	return &image{entrypoint: append(slices.Clone(cfg.Config.Entrypoint), cfg.Config.Cmd...), env: cfg.Config.Env, listens: true}, nil
}

func (cp *ControlPlane) crossplaneImage(root string) (*image, error) {
	bin, err := cp.opts.Crossplane.Path()
	if err != nil {
		return nil, err
	}

	src, err := cp.crossplaneSource()
	if err != nil {
		return nil, err
	}

	for from, to := range map[string]string{
		bin:                                "usr/local/bin/crossplane",
		filepath.Join(src, "cluster/crds"): "crds",
		filepath.Join(src, "cluster/webhookconfigurations"): "webhookconfigurations",
	} {
		if err := bindOnce(from, filepath.Join(root, to)); err != nil {
			return nil, err
		}
	}

	return &image{entrypoint: []string{"/usr/local/bin/crossplane"}}, disk.Shared(filepath.Join(root, "tmp"))
}

func (cp *ControlPlane) perconaImage(root string) (*image, error) {
	bin, err := binaries.PerconaOperator().Path()
	if err != nil {
		return nil, err
	}

	if err := bindOnce(bin, filepath.Join(root, "usr/local/bin/postgres-operator")); err != nil {
		return nil, err
	}

	// It parses SQL in C, and needs the machine's C library for it.
	for _, lib := range []string{"/lib", "/lib64", "/usr/lib", "/usr/lib64"} {
		if err := disk.Mirror(lib, root, bindOnce); err != nil {
			return nil, err
		}
	}

	return &image{entrypoint: []string{"/usr/local/bin/postgres-operator"}, apart: true}, disk.Shared(filepath.Join(root, "tmp"))
}

// bindOnce makes a file or folder appear at a second place, unless an earlier run of
// the container has done so.
func bindOnce(from, to string) error {
	if _, err := os.Stat(to); err == nil {
		return nil
	}

	return disk.Bind(from, to)
}
