package xpkg

import (
	"fmt"
	"path/filepath"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
)

// A Configuration is a configuration package: the API for users, which is what
// the examples show, and a dependency on the function.
type Configuration struct {
	// Name of the package.
	Name string

	// Folder of the package, in this repository.
	Folder string

	// Example is the folder that its API is taken from.
	Example string
}

// Configurations of this repository.
func Configurations() []Configuration {
	return []Configuration{
		{Name: "configuration-dittoserver", Folder: "configuration", Example: "example"},
		{Name: "configuration-dittoserver-claim", Folder: "configuration-claim", Example: "example/claim"},
	}
}

// APIs are the files of the package that come from the examples, by their paths
// in the repository.
func (c Configuration) APIs(root string) (map[string][]byte, error) {
	out := map[string][]byte{}

	for _, f := range []string{"xrd.yaml", "composition.yaml"} {
		data, err := disk.Read(filepath.Join(root, c.Example, f))
		if err != nil {
			return nil, err
		}

		header := fmt.Sprintf("# Made from %s/%s by make -C test/e2e configuration.\n", c.Example, f)
		out[filepath.Join(c.Folder, "apis", f)] = append([]byte(header), data...)
	}

	return out, nil
}
