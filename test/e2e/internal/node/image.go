package node

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
)

// An Image stands in for a container image: the programs of this machine, and
// what else the image has.
type Image struct {
	// Prefix of the references that mean this image.
	Prefix string

	// UID and GID that it runs as where the pod does not say otherwise.
	UID, GID int64

	// User is the name of UID.
	User string

	// Env that its containers have where the pod does not say otherwise.
	Env []string

	// Entrypoint where the pod names no command.
	Entrypoint []string

	// Files of this machine, by where they are in the image.
	Files map[string]string

	// Scripts are small files by where they are in the image.
	Scripts map[string]string

	// Dirs that belong to the user.
	Dirs []string
}

func (n *Node) image(ref string) (Image, bool) {
	i := slices.IndexFunc(n.Images, func(i Image) bool { return strings.HasPrefix(ref, i.Prefix) })
	if i < 0 {
		return Image{}, false
	}
	return n.Images[i], true
}

// hasImages is whether this node has the images of all containers of a pod.
func (n *Node) hasImages(p *corev1.Pod) bool {
	for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
		if _, ok := n.image(c.Image); !ok {
			return false
		}
	}
	return true
}

// system are the folders of this machine that programs need. They are read-only
// in every container.
var system = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/alternatives", "/etc/ssl", "/etc/ld.so.cache"} //nolint:gochecknoglobals // A constant.

// unpack makes the file system of an image in an empty folder.
func (i Image) unpack(root string) error {
	for _, path := range system {
		if err := disk.Mirror(path, root, disk.BindReadOnly); err != nil {
			return err
		}
	}
	// What somebody has installed on this machine by hand is not in the image.
	if err := unix.Mount("tmpfs", filepath.Join(root, "usr/local"), "tmpfs", 0, "mode=0755"); err != nil {
		return err
	}
	for to, from := range i.Files {
		if err := disk.BindReadOnly(from, filepath.Join(root, to)); err != nil {
			return err
		}
	}
	for path, script := range i.Scripts {
		if err := disk.WriteMode(filepath.Join(root, path), []byte(script), 0o755); err != nil {
			return err
		}
	}
	for _, dir := range append(slices.Clone(i.Dirs), "/tmp") {
		path := filepath.Join(root, dir)
		if err := disk.Dir(path); err != nil {
			return err
		}
		if err := os.Chown(path, int(i.UID), int(i.GID)); err != nil {
			return err
		}
	}

	passwd := "root:x:0:0:root:/root:/bin/sh\n" + i.User + ":x:" + decimal(i.UID) + ":" + decimal(i.GID) + "::/tmp:/bin/sh\n"
	group := "root:x:0:\n" + i.User + ":x:" + decimal(i.GID) + ":\n"

	return firstError(
		os.Chmod(filepath.Join(root, "tmp"), fs.ModeSticky|0o777),
		disk.Write(filepath.Join(root, "etc/passwd"), []byte(passwd)),
		disk.Write(filepath.Join(root, "etc/group"), []byte(group)),
		// Names are in the hosts file or nowhere.
		disk.Write(filepath.Join(root, "etc/nsswitch.conf"), []byte("passwd: files\ngroup: files\nhosts: files\n")),
		devices(root),
	)
}

// lookPath finds a program in a root folder.
func lookPath(root, name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}

	path := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			path = v
		}
	}
	for _, dir := range filepath.SplitList(path) {
		p := filepath.Join(dir, name)
		if fi, err := os.Stat(filepath.Join(root, p)); err == nil && !fi.IsDir() && fi.Mode()&0o111 != 0 {
			return p, nil
		}
	}

	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}
