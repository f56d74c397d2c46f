// Command generate writes the generated files. It is run by go generate.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dittofs/function-dittoserver/internal/xrdgen"
)

func main() {
	root := flag.String("root", ".", "The directory of go.mod.")
	flag.Parse()

	if err := write(*root); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(root string) error {
	files, err := xrdgen.Files(root)
	if err != nil {
		return err
	}

	for name, content := range files {
		path := filepath.Join(root, filepath.FromSlash(name))

		// An unchanged file keeps its time, so that nothing is rebuilt for it.
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) { //nolint:gosec // The path is one of a fixed few.
			continue
		}

		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // A source directory, to be read by all.
			return err
		}

		if err := os.WriteFile(path, content, 0o644); err != nil { //nolint:gosec // A source file, to be read by all.
			return err
		}
	}

	return nil
}
