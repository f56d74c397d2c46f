package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
)

// What a file system group may do with a volume.
const (
	groupReadOnly  = 0o440
	groupReadWrite = 0o660
	groupDir       = 0o110
)

// refreshEvery is how often what is mounted is brought up to date.
const refreshEvery = 5 * time.Second

// A file of a volume that the API server knows the content of.
type file struct {
	data []byte
	mode fs.FileMode
}

func (p *pod) volumeDir(v corev1.Volume) string {
	return filepath.Join(p.dir, "volumes", v.Name)
}

// layOutVolumes lays the volumes of the pod out in folders. What was laid out
// before is only brought up to date, where the API server knows its content.
func (p *pod) layOutVolumes(ctx context.Context) error {
	p.layingOut.Lock()
	defer p.layingOut.Unlock()

	obj := p.object()

	for _, v := range obj.Spec.Volumes {
		dir := p.volumeDir(v)
		if _, err := os.Lstat(dir); err == nil && (v.EmptyDir != nil || v.PersistentVolumeClaim != nil) {
			continue
		}
		if err := disk.Dir(filepath.Dir(dir)); err != nil {
			return err
		}

		var err error
		switch {
		case v.EmptyDir != nil:
			err = p.writable(dir)
		case v.PersistentVolumeClaim != nil:
			err = p.claim(ctx, v)
		default:
			err = p.content(ctx, v)
		}
		if err != nil {
			return fmt.Errorf("MountVolume.SetUp failed for volume %q : %w", v.Name, err)
		}
	}

	return nil
}

// writable makes a folder that the containers may write to.
func (p *pod) writable(dir string) error {
	if err := disk.Shared(dir); err != nil {
		return err
	}

	s := p.object().Spec.SecurityContext
	if s == nil || s.FSGroup == nil {
		return nil
	}

	return own(dir, int(*s.FSGroup), groupReadWrite, or(s.FSGroupChangePolicy, corev1.FSGroupChangeAlways))
}

// claim is the folder of a PersistentVolumeClaim. It goes with the claim, not
// with its name.
func (p *pod) claim(ctx context.Context, v corev1.Volume) error {
	obj := p.object()
	claims := p.n.Client.CoreV1().PersistentVolumeClaims(obj.Namespace)

	pvc, err := claims.Get(ctx, v.PersistentVolumeClaim.ClaimName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if pvc.DeletionTimestamp != nil {
		return fmt.Errorf("persistentvolumeclaim %q is being deleted", pvc.Name)
	}

	dir := p.n.ClaimDir(pvc)
	if err := p.writable(dir); err != nil {
		return err
	}
	if err := os.Symlink(dir, p.volumeDir(v)); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if pvc.Status.Phase == corev1.ClaimBound {
		return nil
	}

	// What a provisioner and the controller of volumes do.
	pvc.Status.Phase = corev1.ClaimBound
	pvc.Status.AccessModes = pvc.Spec.AccessModes
	pvc.Status.Capacity = pvc.Spec.Resources.Requests
	_, err = claims.UpdateStatus(ctx, pvc, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) {
		return nil
	}

	return err
}

// ClaimDir is the folder of a PersistentVolumeClaim's volume.
func (n *Node) ClaimDir(pvc *corev1.PersistentVolumeClaim) string {
	return filepath.Join(n.Dir, "claims", pvc.Namespace, pvc.Name+"_"+string(pvc.UID))
}

// content lays out a volume whose content the API server knows.
func (p *pod) content(ctx context.Context, v corev1.Volume) error {
	files, err := p.files(ctx, v)
	if err != nil {
		return err
	}

	dir := p.volumeDir(v)
	if err := disk.Dir(dir); err != nil {
		return err
	}

	group := -1
	if s := p.object().Spec.SecurityContext; s != nil && s.FSGroup != nil {
		group = int(*s.FSGroup)
	}

	return publish(dir, files, group)
}

// publish makes a folder show some files the way a kubelet does: all of them
// change at once, since they lie in a folder that the link ..data leads to, and
// what is seen at the top are links into that one. Programs notice: bash's ** does
// not follow links to folders, and Percona's backup Jobs compare what it finds.
// A group that is not negative may read the files.
func publish(dir string, files map[string]file, group int) error {
	const data, next = "..data", "..data_tmp"

	old, err := os.Readlink(filepath.Join(dir, data))
	if err == nil && shows(filepath.Join(dir, old), files) {
		return nil
	}

	fresh, err := os.MkdirTemp(dir, "..files-")
	if err != nil {
		return err
	}
	if err := disk.Chmod(fresh, 0o755); err != nil {
		return err
	}
	tops := map[string]bool{}
	for name, f := range files {
		if err := disk.WriteMode(filepath.Join(fresh, name), f.data, f.mode); err != nil {
			return err
		}
		top, _, _ := strings.Cut(name, "/")
		tops[top] = true
	}
	if group >= 0 {
		if err := own(dir, group, groupReadOnly, corev1.FSGroupChangeAlways); err != nil {
			return err
		}
	}

	if err := os.Symlink(filepath.Base(fresh), filepath.Join(dir, next)); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(dir, next), filepath.Join(dir, data)); err != nil {
		return err
	}

	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); !strings.HasPrefix(name, "..") && !tops[name] {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	for top := range tops {
		if err := os.Symlink(filepath.Join(data, top), filepath.Join(dir, top)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if old == "" {
		return nil
	}

	return os.RemoveAll(filepath.Join(dir, old))
}

// shows is whether the files in a folder are these and no others.
func shows(dir string, files map[string]file) bool {
	seen, same := 0, true
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		data, err := disk.Read(path)
		if err != nil {
			return err
		}
		f, ok := files[name]
		seen, same = seen+1, same && ok && bytes.Equal(f.data, data)
		return nil
	})

	return err == nil && same && seen == len(files)
}

func (p *pod) files(ctx context.Context, v corev1.Volume) (map[string]file, error) {
	switch {
	case v.Secret != nil:
		data, err := p.secret(ctx, v.Secret.SecretName, or(v.Secret.Optional, false))
		if err != nil {
			return nil, err
		}
		return project(data, v.Secret.Items, or(v.Secret.DefaultMode, 0o644), or(v.Secret.Optional, false), "secret")

	case v.ConfigMap != nil:
		data, err := p.configMap(ctx, v.ConfigMap.Name, or(v.ConfigMap.Optional, false))
		if err != nil {
			return nil, err
		}
		return project(data, v.ConfigMap.Items, or(v.ConfigMap.DefaultMode, 0o644), or(v.ConfigMap.Optional, false), "configmap")

	case v.DownwardAPI != nil:
		return p.downward(v.DownwardAPI.Items, or(v.DownwardAPI.DefaultMode, 0o644))

	case v.Projected != nil:
		out := map[string]file{}
		for _, s := range v.Projected.Sources {
			files, err := p.projection(ctx, s, or(v.Projected.DefaultMode, 0o644))
			if err != nil {
				return nil, err
			}
			for k, f := range files {
				out[k] = f
			}
		}
		return out, nil
	}

	return nil, errors.New("this node does not know volumes of its kind")
}

func (p *pod) projection(ctx context.Context, s corev1.VolumeProjection, mode int32) (map[string]file, error) {
	obj := p.object()

	switch {
	case s.Secret != nil:
		data, err := p.secret(ctx, s.Secret.Name, or(s.Secret.Optional, false))
		if err != nil {
			return nil, err
		}
		return project(data, s.Secret.Items, mode, or(s.Secret.Optional, false), "secret")

	case s.ConfigMap != nil:
		data, err := p.configMap(ctx, s.ConfigMap.Name, or(s.ConfigMap.Optional, false))
		if err != nil {
			return nil, err
		}
		return project(data, s.ConfigMap.Items, mode, or(s.ConfigMap.Optional, false), "configmap")

	case s.DownwardAPI != nil:
		return p.downward(s.DownwardAPI.Items, mode)

	case s.ServiceAccountToken != nil:
		t := s.ServiceAccountToken
		r := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
			ExpirationSeconds: t.ExpirationSeconds,
			BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: obj.Name, UID: obj.UID},
		}}
		if t.Audience != "" {
			r.Spec.Audiences = []string{t.Audience}
		}
		r, err := p.n.Client.CoreV1().ServiceAccounts(obj.Namespace).CreateToken(ctx, obj.Spec.ServiceAccountName, r, metav1.CreateOptions{})
		if err != nil {
			return nil, err
		}
		return map[string]file{t.Path: {[]byte(r.Status.Token), fs.FileMode(mode)}}, nil //nolint:gosec // The API server checks it.
	}

	return nil, errors.New("this node does not know projections of its kind")
}

func (p *pod) downward(items []corev1.DownwardAPIVolumeFile, mode int32) (map[string]file, error) {
	out := map[string]file{}
	for _, i := range items {
		v := ""
		var err error
		switch {
		case i.FieldRef != nil:
			v, err = p.field(i.FieldRef.FieldPath)
		case i.ResourceFieldRef != nil:
			v, err = p.resource(i.ResourceFieldRef)
		}
		if err != nil {
			return nil, err
		}
		out[i.Path] = file{[]byte(v), fs.FileMode(or(i.Mode, mode))} //nolint:gosec // The API server checks it.
	}

	return out, nil
}

// resource of a container. Without a limit it is what the node has.
func (p *pod) resource(ref *corev1.ResourceFieldSelector) (string, error) {
	what, name, _ := strings.Cut(ref.Resource, ".")
	i := slices.IndexFunc(p.object().Spec.Containers, func(c corev1.Container) bool { return c.Name == ref.ContainerName })
	if i < 0 {
		return "", fmt.Errorf("there is no container %s", ref.ContainerName)
	}

	r := p.object().Spec.Containers[i].Resources
	q, ok := r.Requests[corev1.ResourceName(name)]
	if what == "limits" {
		if q, ok = r.Limits[corev1.ResourceName(name)]; !ok {
			q, ok = capacity()[corev1.ResourceName(name)]
		}
	}
	if !ok || ref.Divisor.IsZero() {
		return q.String(), nil
	}

	return decimal(q.MilliValue() / ref.Divisor.MilliValue()), nil
}

// capacity of the node.
func capacity() corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("4Gi")}
}

// project picks the items of a Secret or ConfigMap, all if there are none.
func project(data map[string][]byte, items []corev1.KeyToPath, mode int32, optional bool, kind string) (map[string]file, error) {
	out := map[string]file{}
	if len(items) == 0 {
		for k, v := range data {
			out[k] = file{v, fs.FileMode(mode)} //nolint:gosec // The API server checks it.
		}
		return out, nil
	}

	for _, i := range items {
		v, ok := data[i.Key]
		if !ok && optional {
			continue
		}
		if !ok {
			return nil, fmt.Errorf("references non-existent %s key: %s", kind, i.Key)
		}
		out[i.Path] = file{v, fs.FileMode(or(i.Mode, mode))} //nolint:gosec // The API server checks it.
	}

	return out, nil
}

// own gives what is in a folder to a group.
func own(dir string, group int, mask fs.FileMode, policy corev1.PodFSGroupChangePolicy) error {
	if policy == corev1.FSGroupChangeOnRootMismatch {
		fi, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if fi.Mode()&fs.ModeSetgid != 0 && groupOf(fi) == group {
			return nil
		}
	}

	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		if err := os.Lchown(path, -1, group); err != nil {
			return err
		}
		mode := fi.Mode() | mask
		if d.IsDir() {
			mode |= fs.ModeSetgid | groupDir
		}
		return os.Chmod(path, mode)
	})
}

// mountVolumes makes the volumes of a container appear in its root folder.
func (c *container) mountVolumes(root string) error {
	obj := c.p.object()

	for _, m := range c.spec.VolumeMounts {
		i := slices.IndexFunc(obj.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		if i < 0 {
			return fmt.Errorf("there is no volume %s", m.Name)
		}

		v := obj.Spec.Volumes[i]
		from, err := filepath.EvalSymlinks(c.p.volumeDir(v))
		if err != nil {
			return err
		}
		if m.SubPath != "" {
			from = filepath.Join(from, m.SubPath)
		}

		// What the API server keeps nobody can write to here.
		readOnly := m.ReadOnly || v.EmptyDir == nil && v.PersistentVolumeClaim == nil
		bind := disk.Bind
		if readOnly {
			bind = disk.BindReadOnly
		}
		if err := bind(from, filepath.Join(root, m.MountPath)); err != nil {
			return err
		}
	}

	return nil
}
