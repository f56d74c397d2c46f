package controlplane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
)

// A Kubelet stands in for the nodes of a cluster. Containers of images that it
// has (Crossplane, the function, Percona's operator) run as processes, each in
// a root folder of its own that is made from the image and the pod's volumes.
// All others, which are those of databases and DittoFS servers, it only
// pretends to run, and only where it is told to.
//
// It is not the one of package node, which runs those others for real, as a node
// does: every pod in a network of its own, every container as its own user, with
// devices and read-only mounts. That takes root and iproute2. This one has to do
// without, since the control plane also starts for a user who may only make a user
// namespace: there is one user in it, and mounts of the machine cannot be made
// read-only. Its pods share the network of the control plane, where the tests and the
// API server reach them. What the two do alike is in package disk.
type Kubelet struct {
	cp *ControlPlane

	mu       sync.Mutex
	pods     map[types.UID]*runningPod
	pretend  []rule
	informer cache.SharedIndexInformer
	ips      int
}

type runningPod struct {
	pod    *corev1.Pod
	ip     string
	roots  []string
	cancel context.CancelFunc
	done   chan struct{}
}

type rule struct {
	namespace string
	selector  labels.Selector
}

func (cp *ControlPlane) startKubelet(ctx context.Context) error {
	k := &Kubelet{cp: cp, pods: map[types.UID]*runningPod{}}
	cp.Kubelet = k

	f := informers.NewSharedInformerFactory(cp.Client, 0)
	k.informer = f.Core().V1().Pods().Informer()

	if _, err := k.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { k.sync(ctx, o.(*corev1.Pod)) },    //nolint:forcetypeassert // An informer of pods.
		UpdateFunc: func(_, o any) { k.sync(ctx, o.(*corev1.Pod)) }, //nolint:forcetypeassert // An informer of pods.
		DeleteFunc: func(o any) {
			if d, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = d.Obj
			}
			k.stop(o.(*corev1.Pod)) //nolint:forcetypeassert // An informer of pods.
		},
	}); err != nil {
		return err
	}

	f.Start(ctx.Done())
	f.WaitForCacheSync(ctx.Done())

	return nil
}

// Run pretends that the pods of a namespace that have the supplied labels run
// and are ready, now and from now on. An empty namespace means all of them.
func (k *Kubelet) Run(ctx context.Context, namespace string, set labels.Set) {
	k.mu.Lock()
	k.pretend = append(k.pretend, rule{namespace: namespace, selector: set.AsSelector()})
	k.mu.Unlock()

	k.resync(ctx)
}

// Stop ends what Run began: the pods are not ready any more.
func (k *Kubelet) Stop(ctx context.Context, namespace string, set labels.Set) {
	k.mu.Lock()
	k.pretend = slices.DeleteFunc(k.pretend, func(r rule) bool {
		return r.namespace == namespace && r.selector.String() == set.AsSelector().String()
	})
	k.mu.Unlock()

	k.resync(ctx)
}

func (k *Kubelet) resync(ctx context.Context) {
	for _, o := range k.informer.GetStore().List() {
		k.sync(ctx, o.(*corev1.Pod)) //nolint:forcetypeassert // An informer of pods.
	}
}

func (k *Kubelet) sync(ctx context.Context, pod *corev1.Pod) {
	// A pod that is bound to a node is somebody else's.
	if pod.DeletionTimestamp != nil || pod.Spec.NodeName != "" {
		return
	}

	if k.cp.hasImage(pod.Spec.Containers[0].Image) {
		k.start(ctx, pod)
		return
	}

	want := k.pretends(pod)
	if want == ready(pod) {
		return
	}
	if err := k.report(ctx, pod, "127.0.0.1", want); err != nil && ctx.Err() == nil {
		fmt.Fprintf(os.Stderr, "kubelet: cannot report on pod %s/%s: %v\n", pod.Namespace, pod.Name, err)
	}
}

func (k *Kubelet) pretends(pod *corev1.Pod) bool {
	k.mu.Lock()
	defer k.mu.Unlock()

	return slices.ContainsFunc(k.pretend, func(r rule) bool {
		return (r.namespace == "" || r.namespace == pod.Namespace) && r.selector.Matches(labels.Set(pod.Labels))
	})
}

func ready(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// report what a kubelet does of a pod that runs.
func (k *Kubelet) report(ctx context.Context, pod *corev1.Pod, ip string, ready bool) error {
	now := metav1.Now()
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}

	s := corev1.PodStatus{
		Phase:     corev1.PodRunning,
		PodIP:     ip,
		PodIPs:    []corev1.PodIP{{IP: ip}},
		StartTime: &now,
	}
	for t, st := range map[corev1.PodConditionType]corev1.ConditionStatus{
		corev1.PodScheduled:    corev1.ConditionTrue,
		corev1.PodInitialized:  corev1.ConditionTrue,
		corev1.ContainersReady: status,
		corev1.PodReady:        status,
	} {
		s.Conditions = append(s.Conditions, corev1.PodCondition{Type: t, Status: st, LastTransitionTime: now})
	}
	for _, c := range pod.Spec.Containers {
		started := true
		s.ContainerStatuses = append(s.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, ImageID: c.Image, Ready: ready, Started: &started,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
		})
	}

	patch, err := json.Marshal(map[string]any{"status": s})
	if err != nil {
		return err
	}

	_, err = k.cp.Client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")

	return ignoreNotFound(err)
}

// start the processes of a pod, once.
func (k *Kubelet) start(ctx context.Context, pod *corev1.Pod) {
	k.mu.Lock()
	defer k.mu.Unlock()

	if k.pods[pod.UID] != nil {
		return
	}

	ctx, cancel := context.WithCancel(ctx)
	k.ips++
	rp := &runningPod{
		pod:    pod,
		ip:     fmt.Sprintf("127.1.%d.%d", k.ips/250, k.ips%250+1),
		cancel: cancel,
		done:   make(chan struct{}),
	}
	k.pods[pod.UID] = rp

	go func() {
		defer close(rp.done)
		if err := k.run(ctx, rp); err != nil && ctx.Err() == nil {
			fmt.Fprintf(os.Stderr, "kubelet: cannot run pod %s/%s: %v\n", pod.Namespace, pod.Name, err)
		}
	}()
}

func (k *Kubelet) stop(pod *corev1.Pod) {
	k.mu.Lock()
	rp := k.pods[pod.UID]
	delete(k.pods, pod.UID)
	k.mu.Unlock()

	if rp != nil {
		rp.cancel()
	}
}

func (k *Kubelet) run(ctx context.Context, rp *runningPod) error {
	for _, c := range rp.pod.Spec.InitContainers {
		for {
			err := k.runContainer(ctx, rp, c, nil)
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			// Crossplane's init container meets the CRDs that it has just
			// made before they are served, and counts on being run again.
			sleep(ctx, 300*time.Millisecond)
		}
	}

	wg := sync.WaitGroup{}
	for _, c := range rp.pod.Spec.Containers {
		wg.Go(func() {
			for ctx.Err() == nil {
				err := k.runContainer(ctx, rp, c, func() error { return k.report(ctx, rp.pod, rp.ip, true) })
				if ctx.Err() != nil {
					return
				}
				fmt.Fprintf(os.Stderr, "kubelet: container %s of pod %s/%s ended: %v\n", c.Name, rp.pod.Namespace, rp.pod.Name, err)
				if err := k.report(ctx, rp.pod, rp.ip, false); err != nil {
					fmt.Fprintln(os.Stderr, "kubelet:", err)
				}
				sleep(ctx, time.Second)
			}
		})
	}
	wg.Wait()

	return nil
}

// runContainer runs the process of a container until it ends by itself or with
// the context, and calls up when it listens where its probes look.
func (k *Kubelet) runContainer(ctx context.Context, rp *runningPod, c corev1.Container, up func() error) error {
	root := filepath.Join(k.cp.run, "pods", rp.pod.Name, c.Name)
	if err := disk.Dir(root); err != nil {
		return err
	}

	img, err := k.cp.unpack(ctx, c, root)
	if err != nil {
		return fmt.Errorf("cannot unpack %s: %w", c.Image, err)
	}

	if err := poll(ctx, time.Minute, "volumes", func(ctx context.Context) error { return k.mountVolumes(ctx, rp.pod, c, root) }); err != nil {
		return err
	}

	k.mu.Lock()
	if !slices.Contains(rp.roots, root) {
		rp.roots = append(rp.roots, root)
	}
	k.mu.Unlock()
	if err := k.writeHosts(ctx); err != nil {
		return err
	}

	argv := append(slices.Clone(img.entrypoint), c.Args...)
	if len(c.Command) > 0 {
		argv = append(slices.Clone(c.Command), c.Args...)
	}

	// All pods share one network, so what an image lets one choose to listen
	// on is the pod's own address.
	argv = append(argv, img.listenArgs(rp.ip)...)

	cmd := &exec.Cmd{
		Path: argv[0],
		Args: argv,
		Env:  k.env(rp, c, img),
		Dir:  "/",
		SysProcAttr: &syscall.SysProcAttr{
			Chroot: root,
		},
	}
	if !userns() {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: user, Gid: user}
	}

	start := k.cp.start
	if img.apart {
		start = func(name string, cmd *exec.Cmd) (*process, error) { return k.cp.startApart(ctx, name, cmd) }
	}
	p, err := start(rp.pod.Name+"."+c.Name, cmd)
	if err != nil {
		return err
	}

	if up != nil {
		go func() {
			for _, addr := range img.probes(rp.ip, c) {
				if err := waitListening(ctx, p, addr); err != nil {
					return
				}
			}
			if err := up(); err != nil && ctx.Err() == nil {
				fmt.Fprintf(os.Stderr, "kubelet: %v\n", err)
			}
			if err := k.writeHosts(ctx); err != nil {
				fmt.Fprintf(os.Stderr, "kubelet: %v\n", err)
			}
		}()
	}

	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		p.stop(5 * time.Second)
		return ctx.Err()
	}
}

func (k *Kubelet) env(rp *runningPod, c corev1.Container, img *image) []string {
	vars := map[string]string{}
	order := []string{}
	set := func(name, value string) {
		if _, ok := vars[name]; !ok {
			order = append(order, name)
		}
		vars[name] = value
	}

	for _, e := range img.env {
		n, v, _ := strings.Cut(e, "=")
		set(n, v)
	}
	set("HOSTNAME", rp.pod.Name)
	set("KUBERNETES_SERVICE_HOST", "127.0.0.1")
	set("KUBERNETES_SERVICE_PORT", "6443")

	for _, e := range c.Env {
		switch {
		case e.ValueFrom == nil:
			set(e.Name, e.Value)
		case e.ValueFrom.FieldRef != nil:
			set(e.Name, map[string]string{
				"metadata.name":           rp.pod.Name,
				"metadata.namespace":      rp.pod.Namespace,
				"spec.serviceAccountName": rp.pod.Spec.ServiceAccountName,
				"status.podIP":            rp.ip,
			}[e.ValueFrom.FieldRef.FieldPath])
		}
	}

	out := make([]string, 0, len(order))
	for _, n := range order {
		out = append(out, n+"="+vars[n])
	}

	return out
}

// mountVolumes writes the volumes of a container into its root folder.
func (k *Kubelet) mountVolumes(ctx context.Context, pod *corev1.Pod, c corev1.Container, root string) error {
	for _, m := range c.VolumeMounts {
		i := slices.IndexFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		if i < 0 {
			continue
		}

		content, err := k.volume(ctx, pod, pod.Spec.Volumes[i])
		if err != nil {
			return fmt.Errorf("volume %s: %w", m.Name, err)
		}

		dir := filepath.Join(root, m.MountPath)
		mkdir := disk.Dir
		if pod.Spec.Volumes[i].EmptyDir != nil {
			mkdir = disk.Shared
		}
		if err := mkdir(dir); err != nil {
			return err
		}
		for name, data := range content {
			if err := disk.Write(filepath.Join(dir, name), data); err != nil {
				return err
			}
		}
	}

	return nil
}

func (k *Kubelet) volume(ctx context.Context, pod *corev1.Pod, v corev1.Volume) (map[string][]byte, error) {
	core := k.cp.Client.CoreV1()
	content := map[string][]byte{}

	switch {
	case v.Secret != nil:
		s, err := core.Secrets(pod.Namespace).Get(ctx, v.Secret.SecretName, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		if len(v.Secret.Items) == 0 {
			return s.Data, nil
		}
		for _, i := range v.Secret.Items {
			data, ok := s.Data[i.Key]
			if !ok {
				return nil, fmt.Errorf("secret %s has no key %s", s.Name, i.Key)
			}
			content[i.Path] = data
		}

	case v.Projected != nil:
		for _, src := range v.Projected.Sources {
			switch {
			case src.ServiceAccountToken != nil:
				token, err := core.ServiceAccounts(pod.Namespace).CreateToken(ctx, pod.Spec.ServiceAccountName, &authenticationv1.TokenRequest{
					Spec: authenticationv1.TokenRequestSpec{
						ExpirationSeconds: src.ServiceAccountToken.ExpirationSeconds,
						BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
					},
				}, metav1.CreateOptions{})
				if err != nil {
					return nil, err
				}
				content[src.ServiceAccountToken.Path] = []byte(token.Status.Token)

			case src.ConfigMap != nil:
				cm, err := core.ConfigMaps(pod.Namespace).Get(ctx, src.ConfigMap.Name, metav1.GetOptions{})
				if err != nil {
					return nil, err
				}
				for _, i := range src.ConfigMap.Items {
					content[i.Path] = []byte(cm.Data[i.Key])
				}

			case src.DownwardAPI != nil:
				for _, i := range src.DownwardAPI.Items {
					if i.FieldRef != nil && i.FieldRef.FieldPath == "metadata.namespace" {
						content[i.Path] = []byte(pod.Namespace)
					}
				}
			}
		}
	}

	return content, nil
}

// writeHosts stands in for the cluster's DNS: it writes the Services that
// select a pod which runs here into the hosts file of every container.
func (k *Kubelet) writeHosts(ctx context.Context) error {
	svcs, err := k.cp.Client.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}

	k.mu.Lock()
	defer k.mu.Unlock()

	hosts := &strings.Builder{}
	fmt.Fprintln(hosts, "127.0.0.1 localhost")

	roots := []string{}
	for _, rp := range k.pods {
		roots = append(roots, rp.roots...)
		for _, s := range svcs.Items {
			if len(s.Spec.Selector) == 0 || s.Namespace != rp.pod.Namespace || !labels.Set(s.Spec.Selector).AsSelector().Matches(labels.Set(rp.pod.Labels)) {
				continue
			}
			n := s.Name + "." + s.Namespace
			fmt.Fprintf(hosts, "%s %s %s.svc %s.svc.cluster.local\n", rp.ip, n, n, n)
		}
	}

	for _, root := range roots {
		if err := disk.Dir(filepath.Join(root, "etc")); err != nil {
			return err
		}
		if err := disk.Write(filepath.Join(root, "etc", "hosts"), []byte(hosts.String())); err != nil {
			return err
		}
	}

	return nil
}

// waitListening waits until a process listens.
func waitListening(ctx context.Context, p *process, addr string) error {
	for {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}

		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.done:
			return errors.New("has ended")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func probePort(c corev1.Container, p *corev1.Probe) (string, bool) {
	if p == nil {
		return "", false
	}

	port := ""
	switch {
	case p.TCPSocket != nil:
		port = p.TCPSocket.Port.String()
	case p.HTTPGet != nil:
		port = p.HTTPGet.Port.String()
	case p.GRPC != nil:
		port = strconv.Itoa(int(p.GRPC.Port))
	default:
		return "", false
	}

	for _, cp := range c.Ports {
		if cp.Name == port {
			port = strconv.Itoa(int(cp.ContainerPort))
		}
	}

	return port, true
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
