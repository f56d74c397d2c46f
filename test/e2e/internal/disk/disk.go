// Package disk reads and writes what the tests keep on this machine, and makes the
// root folders of containers. Other users than this one read it: those that
// containers run as.
package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	dir  os.FileMode = 0o755
	file os.FileMode = 0o644
)

// Dir makes a folder, and those above it.
func Dir(path string) error { return os.MkdirAll(path, dir) }

// Shared makes a folder that everybody may write to.
func Shared(path string) error {
	if err := Dir(path); err != nil {
		return err
	}

	return Chmod(path, 0o777)
}

// Chmod changes the mode of a file or folder that containers use.
func Chmod(path string, mode os.FileMode) error { return os.Chmod(path, mode) }

// Read returns what is in a file.
func Read(path string) ([]byte, error) { return os.ReadFile(path) } //nolint:gosec // The path is the tests' own.

// Write writes a file that everybody may read.
func Write(path string, data []byte) error { return WriteMode(path, data, file) }

// WriteMode writes a file, and the folder that it is in. Its mode is as given
// whether it existed or not.
func WriteMode(path string, data []byte, mode os.FileMode) error {
	if err := Dir(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.WriteFile(path, data, mode); err != nil {
		return err
	}

	return Chmod(path, mode)
}

// Open opens a file in ways that os.OpenFile knows.
func Open(path string, flag int, mode os.FileMode) (*os.File, error) {
	return os.OpenFile(path, flag, mode) //nolint:gosec // The path is the tests' own.
}

// Touch makes a file that is not there.
func Touch(path string) error {
	f, err := Open(path, os.O_CREATE|os.O_WRONLY, file)
	if err != nil {
		return err
	}

	return f.Close()
}

// Bind makes a file or folder of this machine appear at a second place.
func Bind(from, to string) error {
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

	return nil
}

// BindReadOnly makes a file or folder appear at a second place, where nobody can
// write to it. In a user namespace the kernel does not allow to make a mount of
// somebody else's read-only.
func BindReadOnly(from, to string) error {
	if err := Bind(from, to); err != nil {
		return err
	}
	if err := unix.Mount("", to, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("cannot make %s read-only: %w", to, err)
	}

	return nil
}

// makeLike makes an empty file or folder to mount another over.
func makeLike(fi os.FileInfo, path string) error {
	if fi.IsDir() {
		return Dir(path)
	}
	if err := Dir(filepath.Dir(path)); err != nil {
		return err
	}

	return Touch(path)
}

// Mirror makes a path of this machine, which may be a link, appear in a root folder.
// What this machine does not have is left out.
func Mirror(path, root string, bind func(from, to string) error) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}

	to := filepath.Join(root, path)
	if fi.Mode()&os.ModeSymlink == 0 {
		return bind(path, to)
	}

	link, err := os.Readlink(path)
	if err != nil {
		return err
	}
	if err := os.Symlink(link, to); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}

	return nil
}
