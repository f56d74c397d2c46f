package dittofs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestWaitForPostgresEnds guards that a pod that waits can be deleted: the shell
// is process 1 of its container, which no signal ends that it does not handle.
func TestWaitForPostgresEnds(t *testing.T) {
	bin := t.TempDir()
	script := []byte("#!/bin/sh\necho no response\nexit 2\n")
	if err := os.WriteFile(filepath.Join(bin, "pg_isready"), script, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", waitForPostgres)
	cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "WAIT_SECONDS=300", "PGCONNECT_TIMEOUT=1"}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill() //nolint:errcheck // It has ended, mostly.
	if _, err := out.Read(make([]byte, 64)); err != nil {
		t.Fatal("it says what it waits for: ", err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		if ee := new(exec.ExitError); !errors.As(err, &ee) || ee.ExitCode() != 143 {
			t.Errorf("want exit code 143, got %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it goes on after SIGTERM")
	}
}
