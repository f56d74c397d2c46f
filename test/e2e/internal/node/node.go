package node

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
)

// Options of a node.
type Options struct {
	// Name of the Node object.
	Name string

	// Client is a node's, so one that may do what a kubelet may.
	Client kubernetes.Interface

	// Dir is where pods and volumes lie.
	Dir string

	// LogDir is where the logs of containers lie, a folder of Dir by default.
	LogDir string

	// Images that the node has. Pods with another image are left alone.
	Images []Image

	// Hosts are names that pods know besides those of Services, with their
	// addresses.
	Hosts map[string]string

	// APIServer is the port of the Gateway at which pods reach the API server,
	// by the name kubernetes.default.svc.
	APIServer string

	// Backoff is how long a container that ends for the first time waits
	// until it is started again: a second by default, a tenth of a kubelet's.
	// It doubles up to thirty times as long.
	Backoff time.Duration

	// Ready is told when a pod gets ready, and when it is not any more. On a
	// cluster that is what Patroni does from within the pod.
	Ready func(ctx context.Context, pod *corev1.Pod, ip string, ready bool) error

	// Log is told what goes wrong in the node itself, os.Stderr by default.
	Log io.Writer
}

// A Node runs pods.
type Node struct {
	Options

	ip      string
	network *network

	mu       sync.Mutex
	pods     map[types.UID]*pod
	cordoned []cordon
	informer cache.SharedIndexInformer
	services cache.SharedIndexInformer
	ends     cache.SharedIndexInformer
}

type cordon struct {
	namespace string
	selector  labels.Selector
}

// Start a node. It runs until the context ends.
func Start(ctx context.Context, o Options) (*Node, error) {
	if os.Getuid() != 0 {
		return nil, fmt.Errorf("a node needs root: its containers have users of their own")
	}
	if o.Backoff == 0 {
		o.Backoff = time.Second
	}
	if o.LogDir == "" {
		o.LogDir = filepath.Join(o.Dir, "logs")
	}
	if o.Log == nil {
		o.Log = os.Stderr
	}
	if err := disk.Dir(o.Dir); err != nil {
		return nil, err
	}

	nw, err := newNetwork()
	if err != nil {
		return nil, fmt.Errorf("cannot make the network of pods: %w", err)
	}

	n := &Node{Options: o, ip: Gateway, network: nw, pods: map[types.UID]*pod{}}

	port, err := n.serve(ctx)
	if err != nil {
		return nil, err
	}
	if err := n.register(ctx, port); err != nil {
		return nil, fmt.Errorf("cannot register the node: %w", err)
	}

	f := informers.NewSharedInformerFactory(o.Client, 0)
	n.informer = f.Core().V1().Pods().Informer()
	n.services = f.Core().V1().Services().Informer()
	n.ends = f.Core().V1().Endpoints().Informer()

	hosts := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { n.writeHosts() },
		UpdateFunc: func(any, any) { n.writeHosts() },
		DeleteFunc: func(any) { n.writeHosts() },
	}
	pods := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { n.sync(ctx, o.(*corev1.Pod)) },    //nolint:forcetypeassert // An informer of pods.
		UpdateFunc: func(_, o any) { n.sync(ctx, o.(*corev1.Pod)) }, //nolint:forcetypeassert // An informer of pods.
		DeleteFunc: func(o any) {
			if d, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = d.Obj
			}
			n.removed(o.(*corev1.Pod)) //nolint:forcetypeassert // An informer of pods.
		},
	}
	for i, h := range map[cache.SharedIndexInformer]cache.ResourceEventHandler{n.informer: pods, n.services: hosts, n.ends: hosts} {
		if _, err := i.AddEventHandler(h); err != nil {
			return nil, err
		}
	}

	f.Start(ctx.Done())
	f.WaitForCacheSync(ctx.Done())

	return n, nil
}

// register the Node object, so that the API server finds the way to containers
// for kubectl exec and logs, and for Percona's operator, which sends its SQL
// that way.
func (n *Node) register(ctx context.Context, port int32) error {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: map[string]string{corev1.LabelHostname: n.Name}}}
	node, err := n.Client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		node, err = n.Client.CoreV1().Nodes().Get(ctx, n.Name, metav1.GetOptions{})
	}
	if err != nil {
		return err
	}

	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: n.ip}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = port
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady"}}
	_, err = n.Client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})

	return err
}

// Cordon keeps new pods with the supplied labels from being started. Those that
// run go on.
func (n *Node) Cordon(namespace string, set labels.Set) {
	n.mu.Lock()
	defer n.mu.Unlock()

	n.cordoned = append(n.cordoned, cordon{namespace, set.AsSelector()})
}

// Uncordon starts what Cordon has kept from starting.
func (n *Node) Uncordon(ctx context.Context, namespace string, set labels.Set) {
	n.mu.Lock()
	n.cordoned = slices.DeleteFunc(n.cordoned, func(c cordon) bool {
		return c.namespace == namespace && c.selector.String() == set.AsSelector().String()
	})
	n.mu.Unlock()

	for _, o := range n.informer.GetStore().List() {
		n.sync(ctx, o.(*corev1.Pod)) //nolint:forcetypeassert // An informer of pods.
	}
}

func (n *Node) isCordoned(p *corev1.Pod) bool {
	return slices.ContainsFunc(n.cordoned, func(c cordon) bool {
		return c.namespace == p.Namespace && c.selector.Matches(labels.Set(p.Labels))
	})
}

// sync starts a pod that is new here, and ends one that is being deleted.
func (n *Node) sync(ctx context.Context, obj *corev1.Pod) {
	n.mu.Lock()
	defer n.mu.Unlock()

	if p := n.pods[obj.UID]; p != nil {
		p.update(obj)
		return
	}
	if ctx.Err() != nil || obj.Spec.NodeName != "" && obj.Spec.NodeName != n.Name || !n.hasImages(obj) {
		return
	}
	if obj.DeletionTimestamp != nil {
		// It ended before it was started.
		go n.forget(ctx, obj)
		return
	}
	if n.isCordoned(obj) {
		return
	}

	p := newPod(n, obj)
	n.pods[obj.UID] = p
	go p.run(ctx)
}

func (n *Node) removed(obj *corev1.Pod) {
	n.mu.Lock()
	p := n.pods[obj.UID]
	n.mu.Unlock()

	if p != nil {
		p.end(0)
	}
}

// forget has the API server delete a pod that has ended.
func (n *Node) forget(ctx context.Context, obj *corev1.Pod) {
	zero := int64(0)
	err := n.Client.CoreV1().Pods(obj.Namespace).Delete(ctx, obj.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &zero,
		Preconditions:      &metav1.Preconditions{UID: &obj.UID},
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) && ctx.Err() == nil {
		n.complain(obj, err)
	}
}

func (n *Node) complain(obj *corev1.Pod, err error) {
	_, _ = fmt.Fprintf(n.Log, "node: pod %s/%s: %v\n", obj.Namespace, obj.Name, err)
}

// Logs is the folder with the logs of a pod's containers, of all their runs.
func (n *Node) Logs(namespace, pod string) string {
	return filepath.Join(n.LogDir, namespace, pod)
}

// find a pod that runs here.
func (n *Node) find(namespace, name string) *pod {
	n.mu.Lock()
	defer n.mu.Unlock()

	for _, p := range n.pods {
		if p.obj.Namespace == namespace && p.obj.Name == name {
			return p
		}
	}

	return nil
}

// event tells what a kubelet tells of a pod.
func (n *Node) event(ctx context.Context, obj *corev1.Pod, typ, reason, message string) {
	now := metav1.Now()
	_, err := n.Client.CoreV1().Events(obj.Namespace).Create(ctx, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{GenerateName: obj.Name + ".", Namespace: obj.Namespace},
		InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: obj.Namespace, Name: obj.Name, UID: obj.UID},
		Reason:         reason, Message: message, Type: typ,
		Source:         corev1.EventSource{Component: "kubelet", Host: n.Name},
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}, metav1.CreateOptions{})
	if err != nil && ctx.Err() == nil && !strings.Contains(err.Error(), "being terminated") {
		n.complain(obj, err)
	}
}
