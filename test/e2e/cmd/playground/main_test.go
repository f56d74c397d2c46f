package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/binaries"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// A person starts the playground, does what it says, and stops it.
func TestPlayground(t *testing.T) {
	if err := binaries.Build(t.Context(), os.Stdout, binaries.ControlPlane()...); err != nil {
		t.Fatal(err)
	}
	env := ownCache(t)
	sh := func(script string) (string, error) {
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "bash", "-ec", script)
		cmd.Dir = e2e.Repository(t)
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		return string(out), err
	}

	t.Cleanup(func() { _, _ = sh("make playground-stop") })
	said, err := sh("make playground")
	if err != nil {
		t.Fatalf("make playground: %v\n%s", err, said)
	}
	_, rest, ok := strings.Cut(said, "Talk to it:\n")
	commands, _, ok2 := strings.Cut(rest, "\nNothing runs in the pods")
	if !ok || !ok2 {
		t.Fatalf("it does not say how to talk to it:\n%s", said)
	}

	e2e.Eventually(t, "a server that runs", func() error {
		out, err := sh(commands)
		if err != nil {
			return errors.Join(err, errors.New(out))
		}
		for _, want := range []string{"PostgreSQLReady", "Running", "perconapgcluster.pgv2.percona.com/", "statefulset.apps/", "pod/", "Type:", "DatabaseReady"} {
			if !strings.Contains(out, want) {
				return errors.New("there is no " + want + " in:\n" + out)
			}
		}
		return nil
	})

	if out, err := sh("make playground"); err == nil || !strings.Contains(out, "a playground runs already") {
		t.Errorf("a second one is not refused: %v\n%s", err, out)
	}

	if out, err := sh("make playground-stop"); err != nil {
		t.Fatalf("make playground-stop: %v\n%s", err, out)
	}
	if out, err := sh("make playground-stop"); err == nil || !strings.Contains(out, "no playground runs") {
		t.Errorf("it can be stopped twice: %v\n%s", err, out)
	}
	e2e.EventuallyWithin(t, 10*time.Second, "no answer", func() error {
		if out, err := sh(commands); err == nil {
			return errors.New(out)
		}
		return nil
	})
}

// ownCache is an environment in which the playground is the only one, with the
// programs that are built already.
func ownCache(t *testing.T) []string {
	t.Helper()

	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	const name = "function-dittoserver-e2e"
	own := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(own, 0o755); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(cache, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		if err := os.Symlink(filepath.Join(cache, name, e.Name()), filepath.Join(own, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	gocache, err := exec.CommandContext(t.Context(), "go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}

	return append(os.Environ(), "XDG_CACHE_HOME="+filepath.Dir(own), "GOCACHE="+strings.TrimSpace(string(gocache)))
}
