package xrdgen

import (
	"bytes"
	"io"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/tools/go/packages"
	"sigs.k8s.io/controller-tools/pkg/crd"
	"sigs.k8s.io/controller-tools/pkg/deepcopy"
	"sigs.k8s.io/controller-tools/pkg/genall"
	"sigs.k8s.io/controller-tools/pkg/loader"

	"github.com/crossplane/crossplane-runtime/v2/pkg/errors"
)

// controllerGen runs controller-gen's generators over the API's packages below root and
// returns what they write: the deep-copy methods by their paths below root, and the
// CustomResourceDefinitions by their names.
func controllerGen(root string) (map[string][]byte, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}

	var (
		crds   genall.Generator = crd.Generator{}
		copies genall.Generator = deepcopy.Generator{}
	)

	rt, err := genall.Generators{&crds, &copies}.ForRootsWithConfig(&packages.Config{Dir: root}, "./api/...", "./input/...")
	if err != nil {
		return nil, err
	}

	out := &memory{root: root, files: map[string]*bytes.Buffer{}}
	log := &bytes.Buffer{}

	rt.OutputRules.Default = out
	rt.ErrorWriter = log

	if rt.Run() {
		return nil, errors.New(strings.TrimSpace("controller-gen failed\n" + log.String()))
	}

	files := make(map[string][]byte, len(out.files))
	for name, b := range out.files {
		files[name] = b.Bytes()
	}

	return files, nil
}

// memory keeps what generators write.
type memory struct {
	root  string
	files map[string]*bytes.Buffer
}

// Open a file to write, which belongs beside a package's sources if it names one.
func (m *memory) Open(pkg *loader.Package, name string) (io.WriteCloser, error) {
	if pkg != nil {
		dir, err := filepath.Rel(m.root, filepath.Dir(pkg.GoFiles[0]))
		if err != nil {
			return nil, err
		}

		name = path.Join(filepath.ToSlash(dir), name)
	}

	b := &bytes.Buffer{}
	m.files[name] = b

	return writeCloser{b}, nil
}

type writeCloser struct{ io.Writer }

func (writeCloser) Close() error { return nil }
