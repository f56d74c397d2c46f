package binaries

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Another build of a program is used where the environment names one, and is not
// looked for anywhere else.
func TestOtherBuild(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "operator")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	t.Setenv(envPerconaOperator, path)
	if got, err := PerconaOperator().Path(); err != nil || got != path {
		t.Errorf("Path() is %q, %v", got, err)
	}
	if got := PerconaOperator().String(); !strings.Contains(got, path) {
		t.Errorf("String() is %q", got)
	}
	if err := Build(t.Context(), &bytes.Buffer{}, PerconaOperator()); err != nil {
		t.Errorf("Build(...): %v", err)
	}
	if _, err := PerconaSource(); err == nil || !strings.Contains(err.Error(), envPerconaSource) {
		t.Errorf("PerconaSource() without the source of that build: %v", err)
	}

	t.Setenv(envPerconaSource, dir)
	if _, err := PerconaSource(); err == nil {
		t.Error("PerconaSource() is a folder without manifests")
	}
	if err := os.Mkdir(filepath.Join(dir, "deploy"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "deploy", "crd.yaml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := PerconaSource(); err != nil || got != dir {
		t.Errorf("PerconaSource() is %q, %v", got, err)
	}

	t.Setenv(envPerconaOperator, filepath.Join(dir, "missing"))
	if err := Build(t.Context(), &bytes.Buffer{}, PerconaOperator()); err == nil {
		t.Error("Build(...) of a program that is not there does not fail")
	}
}
