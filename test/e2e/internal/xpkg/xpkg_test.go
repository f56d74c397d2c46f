package xpkg

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// The image of the function has a static binary for its architecture and
// nothing else, and is run as nonroot. The package is the same with the
// manifests above it, where Crossplane looks for them.
func TestFunction(t *testing.T) {
	root := filepath.Join("..", "..", "..", "..")

	idx, imgs, err := Function(t.Context(), root, "v0.0.0-test", strings.Split(Architectures, ",")...)
	if err != nil {
		t.Fatal(err)
	}

	m, err := idx.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	platforms := []string{}
	for _, d := range m.Manifests {
		platforms = append(platforms, d.Platform.String())
	}
	if diff := cmp.Diff([]string{"linux/amd64", "linux/arm64"}, platforms); diff != "" {
		t.Errorf("platforms: -want, +got:\n%s", diff)
	}

	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		cfg, err := imgs[arch].ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Architecture != arch || cfg.Config.User != user || cmp.Diff(cfg.Config.Entrypoint, []string{"/function"}) != "" {
			t.Errorf("%s: the image is for %s, run as %s: %s", arch, cfg.Architecture, cfg.Config.User, cfg.Config.Entrypoint)
		}

		layers, err := imgs[arch].Layers()
		if err != nil {
			t.Fatal(err)
		}
		if len(layers) != 2 {
			t.Fatalf("%s: the image has %d layers", arch, len(layers))
		}

		bin := file(t, layers[0], "function")
		f, err := elf.NewFile(bytes.NewReader(bin))
		if err != nil {
			t.Fatal(err)
		}
		if f.Machine != machine {
			t.Errorf("%s: the binary is for %s", arch, f.Machine)
		}
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP {
				t.Errorf("%s: the binary is not static", arch)
			}
		}

		stream := string(file(t, layers[1], "package.yaml"))
		if !strings.HasPrefix(stream, "---\n") || !strings.Contains(stream, "kind: Function\n") || !strings.Contains(stream, "name: inputs.dittoserver.fn.crossplane.io\n") {
			t.Errorf("%s: package.yaml has no Function, or not the CRD of its Input:\n%s", arch, stream)
		}

		manifest, err := imgs[arch].Manifest()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"io.crossplane.xpkg": "base"}, manifest.Layers[1].Annotations); diff != "" {
			t.Errorf("%s: annotations of the layer with package.yaml: -want, +got:\n%s", arch, diff)
		}
		if got := cfg.Config.Labels["io.crossplane.xpkg:"+manifest.Layers[1].Digest.String()]; got != "base" {
			t.Errorf("%s: the label that stands for the annotation in a file is %q", arch, got)
		}
	}
}

// file is the only one of a layer.
func file(t *testing.T, l v1.Layer, name string) []byte {
	t.Helper()

	r, err := l.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // It is only read.

	tr := tar.NewReader(r)
	h, err := tr.Next()
	if err != nil {
		t.Fatal(err)
	}
	if h.Name != name {
		t.Errorf("the layer has a file %s, not %s", h.Name, name)
	}
	data, err := io.ReadAll(tr)
	if err != nil {
		t.Fatal(err)
	}
	if h, err := tr.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("the layer has another file: %v %v", h, err)
	}

	return data
}
