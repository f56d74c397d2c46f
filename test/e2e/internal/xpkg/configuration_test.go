package xpkg

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the configuration packages from the examples")

// The configuration packages hold what the examples show.
func TestConfigurations(t *testing.T) {
	root := filepath.Join("..", "..", "..", "..")

	for _, c := range Configurations() {
		files, err := c.APIs(root)
		if err != nil {
			t.Fatal(err)
		}

		for path, want := range files {
			path = filepath.Join(root, path)

			if *update {
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, want, 0o644); err != nil {
					t.Fatal(err)
				}
			}

			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s is stale, run make -C test/e2e configuration: -want, +got:\n%s", path, diff)
			}
		}
	}
}
