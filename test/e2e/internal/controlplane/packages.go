package controlplane

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/binaries"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/xpkg"
)

const (
	// Version of the packages that are installed.
	Version = "v0.1.0"

	// NextVersion is one that they can be upgraded to: the same function, stamped
	// otherwise.
	NextVersion = "v0.2.0"

	// Organization is the part of a registry that the packages lie in.
	Organization = "dittofs"

	// envPackages is a folder with packages that are built already.
	envPackages = "DITTOSERVER_E2E_PACKAGES"
)

// repository is the folder of this repository.
func repository() (string, error) {
	e2e, err := binaries.Root()
	if err != nil {
		return "", err
	}

	return filepath.Join(e2e, "..", ".."), nil
}

// preparePackages puts the packages into the folder of a control plane.
func preparePackages(ctx context.Context, w io.Writer, dir string) error {
	packages := filepath.Join(dir, "packages")
	if built := os.Getenv(envPackages); built != "" {
		return os.Symlink(built, packages)
	}

	return BuildPackages(ctx, w, packages)
}

// BuildPackages builds the packages of this repository, for this machine, into
// a folder. It runs outside of the namespaces, where Go modules can be had.
func BuildPackages(ctx context.Context, w io.Writer, dir string) error {
	root, err := repository()
	if err != nil {
		return err
	}

	start := time.Now()

	for _, v := range []string{Version, NextVersion} {
		idx, _, err := xpkg.Function(ctx, root, v, runtime.GOARCH)
		if err != nil {
			return err
		}
		if _, err := layout.Write(filepath.Join(dir, "function-dittoserver", v), idx); err != nil {
			return err
		}
	}

	for _, c := range xpkg.Configurations() {
		img, err := xpkg.Package(filepath.Join(root, c.Folder), nil)
		if err != nil {
			return err
		}

		p, err := layout.Write(filepath.Join(dir, c.Name, Version), empty.Index)
		if err != nil {
			return err
		}
		if err := p.AppendImage(img); err != nil {
			return err
		}
	}

	_, _ = fmt.Fprintf(w, "built the packages in %s\n", time.Since(start).Round(time.Second/10))

	return nil
}

// Release pushes a version of the function to the registry, where Crossplane
// finds it.
func (cp *ControlPlane) Release(ctx context.Context, version string) error {
	idx, err := layout.ImageIndexFromPath(filepath.Join(cp.dir, "packages", "function-dittoserver", version))
	if err != nil {
		return err
	}

	return cp.pushIndex(ctx, Organization+"/function-dittoserver:"+version, idx)
}

// pushPackages releases the first version of everything.
func (cp *ControlPlane) pushPackages(ctx context.Context) error {
	if err := cp.Release(ctx, Version); err != nil {
		return err
	}

	for _, c := range xpkg.Configurations() {
		idx, err := layout.ImageIndexFromPath(filepath.Join(cp.dir, "packages", c.Name, Version))
		if err != nil {
			return err
		}

		m, err := idx.IndexManifest()
		if err != nil {
			return err
		}

		img, err := idx.Image(m.Manifests[0].Digest)
		if err != nil {
			return err
		}
		if err := cp.push(ctx, Organization+"/"+c.Name+":"+Version, img); err != nil {
			return err
		}
	}

	return nil
}
