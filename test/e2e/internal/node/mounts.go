package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// bind makes a file or folder of this machine appear at a second place.
func bind(from, to string, readOnly bool) error {
	fi, err := os.Stat(from)
	if err != nil {
		return err
	}

	if _, err := os.Stat(to); err != nil {
		if err := makeLike(fi, to); err != nil {
			return err
		}
	}

	if err := unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("cannot mount %s: %w", from, err)
	}
	if !readOnly {
		return nil
	}
	if err := unix.Mount("", to, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("cannot make %s read-only: %w", to, err)
	}

	return nil
}

// makeLike makes an empty file or folder to mount another over.
func makeLike(fi os.FileInfo, path string) error {
	if fi.IsDir() {
		return os.MkdirAll(path, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return touch(path)
}

// mirror a path of this machine, which may be a link, in a root folder.
func mirror(path, root string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}

	to := filepath.Join(root, path)
	if fi.Mode()&os.ModeSymlink == 0 {
		return bind(path, to, true)
	}

	link, err := os.Readlink(path)
	if err != nil {
		return err
	}

	return os.Symlink(link, to)
}

// devices makes the few that every container has.
func devices(root string) error {
	dev := filepath.Join(root, "dev")
	if err := os.MkdirAll(filepath.Join(dev, "shm"), 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", filepath.Join(dev, "shm"), "tmpfs", 0, "mode=1777,size=64m"); err != nil {
		return err
	}
	for _, d := range []string{"null", "zero", "full", "random", "urandom"} {
		if err := bind("/dev/"+d, filepath.Join(dev, d), false); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil {
			return err
		}
	}

	return bind("/proc", filepath.Join(root, "proc"), false)
}

// removeUnmounted removes a folder if nothing is mounted in it. What is mounted
// is not the pod's to remove.
func removeUnmounted(dir string) error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if strings.Contains(string(mounts), " "+dir+"/") {
		return fmt.Errorf("something is still mounted in %s", dir)
	}

	return os.RemoveAll(dir)
}

func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

func write(path, data string, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(data), mode); err != nil {
		return err
	}
	return os.Chmod(path, mode)
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
