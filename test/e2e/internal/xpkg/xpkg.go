// Package xpkg builds the images and the Crossplane packages of this
// repository without Docker.
//
// A function package is one image: the layers of the function's runtime image,
// and above them a layer whose one file, package.yaml, is what Crossplane
// reads. A configuration package has only the latter.
package xpkg

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
)

const (
	// annotation marks the layer that holds package.yaml. In the .xpkg file,
	// whose format knows no annotations, a label of the image stands for it.
	annotation = "io.crossplane.xpkg"

	// base is the annotation's value for the package itself.
	base = "base"

	// user is the one of distroless' nonroot images, and of the pods that
	// Crossplane makes.
	user = "65532:65532"
)

// Architectures that the function is built for, separated by commas.
const Architectures = "amd64,arm64"

// Runtime builds the function's image for an architecture: a static binary and
// nothing else, run as nonroot. The root folder is that of the repository.
func Runtime(ctx context.Context, root, arch, version string) (v1.Image, error) {
	bin, err := compile(ctx, root, arch, version)
	if err != nil {
		return nil, err
	}

	l, err := layer("function", 0o755, bin)
	if err != nil {
		return nil, err
	}

	img, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), l)
	if err != nil {
		return nil, err
	}

	cfg, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}

	cfg = cfg.DeepCopy()
	cfg.OS, cfg.Architecture = "linux", arch
	cfg.Config.Entrypoint = []string{"/function"}
	cfg.Config.User = user
	cfg.Config.WorkingDir = "/"
	cfg.Config.ExposedPorts = map[string]struct{}{"9443/tcp": {}}

	return mutate.ConfigFile(img, cfg)
}

// Package adds the package that lies in a folder to a runtime image, or, for a
// configuration, to nil.
func Package(dir string, runtime v1.Image) (v1.Image, error) {
	stream, err := manifests(dir)
	if err != nil {
		return nil, err
	}

	img := runtime
	if img == nil {
		img = mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	}

	l, err := layer("package.yaml", 0o644, stream)
	if err != nil {
		return nil, err
	}

	img, err = mutate.Append(img, mutate.Addendum{Layer: l, Annotations: map[string]string{annotation: base}})
	if err != nil {
		return nil, err
	}

	digest, err := l.Digest()
	if err != nil {
		return nil, err
	}

	cfg, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}

	cfg = cfg.DeepCopy()
	cfg.Config.Labels = map[string]string{annotation + ":" + digest.String(): base}

	return mutate.ConfigFile(img, cfg)
}

// Function builds the function package for all architectures, as one index and
// by architecture.
func Function(ctx context.Context, root, version string, arches ...string) (v1.ImageIndex, map[string]v1.Image, error) {
	idx := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	imgs := map[string]v1.Image{}

	for _, arch := range arches {
		rt, err := Runtime(ctx, root, arch, version)
		if err != nil {
			return nil, nil, fmt.Errorf("cannot build the image for %s: %w", arch, err)
		}

		img, err := Package(filepath.Join(root, "package"), rt)
		if err != nil {
			return nil, nil, fmt.Errorf("cannot build the package for %s: %w", arch, err)
		}

		imgs[arch] = img
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{
			Add:        img,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}

	return idx, imgs, nil
}

func compile(ctx context.Context, root, arch, version string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "function-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // A temporary folder.

	out := filepath.Join(dir, "function")

	// Nothing of the machine gets into the binary, so that everybody who
	// builds a version gets the same image.
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version="+version, "-o", out, ".") //nolint:gosec // The version is the caller's own.
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)

	if msg, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cannot build the function: %w\n%s", err, msg)
	}

	return disk.Read(out)
}

// manifests returns all manifests of a package folder as one YAML stream, that
// of the package itself, crossplane.yaml, first.
func manifests(dir string) ([]byte, error) {
	meta := filepath.Join(dir, "crossplane.yaml")

	files := []string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || path == meta || filepath.Ext(path) != ".yaml" {
			return err
		}
		files = append(files, path)
		return nil
	})
	if err != nil {
		return nil, err
	}
	sort.Strings(files)

	out := &bytes.Buffer{}
	for _, f := range append([]string{meta}, files...) {
		data, err := disk.Read(f)
		if err != nil {
			return nil, err
		}

		for _, doc := range strings.Split("\n"+string(data), "\n---") {
			obj := map[string]any{}
			if err := yaml.Unmarshal([]byte(doc), &obj); err != nil {
				return nil, fmt.Errorf("cannot read %s: %w", f, err)
			}
			if len(obj) == 0 {
				continue
			}
			fmt.Fprintf(out, "---\n%s\n", strings.Trim(doc, "\n"))
		}
	}

	return out.Bytes(), nil
}

// layer with one file. Its times are zero: the same file makes the same layer.
func layer(name string, mode int64, data []byte) (v1.Layer, error) {
	buf := &bytes.Buffer{}
	tw := tar.NewWriter(buf)

	if err := tw.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(data)), Format: tar.FormatUSTAR}); err != nil {
		return nil, err
	}
	if _, err := tw.Write(data); err != nil {
		return nil, err
	}
	if err := tw.Close(); err != nil {
		return nil, err
	}

	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(buf.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}

// WriteFile writes the package as a .xpkg file, as crossplane xpkg build does.
func WriteFile(path string, img v1.Image) error {
	f, err := disk.Open(path, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}

	if err := tarball.Write(nil, img, f); err != nil {
		_ = f.Close()
		return err
	}

	return f.Close()
}
