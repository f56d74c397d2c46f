package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
)

// devices makes the few that every container has.
func devices(root string) error {
	dev := filepath.Join(root, "dev")
	if err := disk.Dir(filepath.Join(dev, "shm")); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", filepath.Join(dev, "shm"), "tmpfs", 0, "mode=1777,size=64m"); err != nil {
		return err
	}
	for _, d := range []string{"null", "zero", "full", "random", "urandom"} {
		if err := disk.Bind("/dev/"+d, filepath.Join(dev, d)); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil {
			return err
		}
	}

	return disk.Bind("/proc", filepath.Join(root, "proc"))
}

// removeUnmounted removes a folder if nothing is mounted in it. What is mounted
// is not the pod's to remove.
func removeUnmounted(dir string) error {
	mounts, err := disk.Read("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if strings.Contains(string(mounts), " "+dir+"/") {
		return fmt.Errorf("something is still mounted in %s", dir)
	}

	return os.RemoveAll(dir)
}

func decimal(i int64) string { return strconv.FormatInt(i, 10) }

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
