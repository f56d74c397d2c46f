package node

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// A pod that runs here.
type pod struct {
	n    *Node
	dir  string
	link *link

	inits, mains []*container

	// reporting keeps reports in order, and layingOut volumes whole.
	reporting, layingOut sync.Mutex

	mu         sync.Mutex
	obj        *corev1.Pod
	start      metav1.Time
	conditions map[corev1.PodConditionType]corev1.PodCondition
	ready      bool
	deadline   time.Time
	ending     chan struct{}
}

func newPod(n *Node, obj *corev1.Pod) *pod {
	p := &pod{
		n:          n,
		obj:        obj,
		dir:        filepath.Join(n.Dir, "pods", string(obj.UID)),
		start:      metav1.Now(),
		conditions: map[corev1.PodConditionType]corev1.PodCondition{},
		ending:     make(chan struct{}),
	}
	for _, c := range obj.Spec.InitContainers {
		p.inits = append(p.inits, newContainer(p, c, true))
	}
	for _, c := range obj.Spec.Containers {
		p.mains = append(p.mains, newContainer(p, c, false))
	}

	return p
}

func (p *pod) object() *corev1.Pod {
	p.mu.Lock()
	defer p.mu.Unlock()

	return p.obj
}

func (p *pod) update(obj *corev1.Pod) {
	p.mu.Lock()
	p.obj = obj
	p.mu.Unlock()

	if obj.DeletionTimestamp == nil {
		return
	}

	grace := int64(0)
	if obj.DeletionGracePeriodSeconds != nil {
		grace = *obj.DeletionGracePeriodSeconds
	}
	p.end(time.Duration(grace) * time.Second)
}

// end the pod. What has not ended within the grace period is killed.
func (p *pod) end(grace time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()

	deadline := time.Now().Add(grace)
	select {
	case <-p.ending:
		if deadline.Before(p.deadline) {
			p.deadline = deadline
		}
	default:
		p.deadline = deadline
		close(p.ending)
	}
}

// grace is how long the pod may still run once it is being ended.
func (p *pod) grace() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()

	return time.Until(p.deadline)
}

// run the pod until it is deleted, or the node ends.
func (p *pod) run(node context.Context) {
	ctx, cancel := context.WithCancel(node)
	defer cancel()
	go func() {
		select {
		case <-p.ending:
		case <-ctx.Done():
			p.end(0)
		}
		cancel()
	}()

	if err := p.live(ctx); err != nil && ctx.Err() == nil {
		p.n.complain(p.object(), err)
	}

	p.clean()
	obj := p.object()
	if node.Err() == nil && obj.DeletionTimestamp != nil {
		p.n.forget(node, obj)
	}
	p.n.mu.Lock()
	delete(p.n.pods, obj.UID)
	p.n.mu.Unlock()
	p.n.writeHosts()
}

func (p *pod) live(ctx context.Context) error {
	if err := p.bind(ctx); err != nil {
		return err
	}

	l, err := p.n.network.join()
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.link = l
	p.mu.Unlock()
	p.n.writeHosts()
	p.report(ctx)

	p.waitForVolumes(ctx)
	go p.refreshVolumes(ctx)

	for _, c := range p.inits {
		if !c.loop(ctx) {
			if ctx.Err() == nil {
				p.report(ctx)
				<-ctx.Done()
			}
			return nil
		}
	}

	wg := sync.WaitGroup{}
	for _, c := range p.mains {
		wg.Go(func() { c.loop(ctx) })
	}
	wg.Wait()

	if ctx.Err() == nil {
		// Nothing is to be started again: it waits for its deletion.
		p.report(ctx)
		<-ctx.Done()
	}

	return nil
}

// bind is what a scheduler does.
func (p *pod) bind(ctx context.Context) error {
	obj := p.object()
	if obj.Spec.NodeName != "" {
		return nil
	}

	err := p.n.Client.CoreV1().Pods(obj.Namespace).Bind(ctx, &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: obj.Namespace, Name: obj.Name, UID: obj.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: p.n.Name},
	}, metav1.CreateOptions{})
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}

	return err
}

// waitForVolumes until all of them can be laid out: before, a pod is
// ContainerCreating.
func (p *pod) waitForVolumes(ctx context.Context) {
	said := ""
	for ctx.Err() == nil {
		err := p.layOutVolumes(ctx)
		if err == nil {
			return
		}
		if msg := err.Error(); msg != said && ctx.Err() == nil {
			p.n.event(ctx, p.object(), corev1.EventTypeWarning, "FailedMount", msg)
			said = msg
		}
		sleep(ctx, 500*time.Millisecond)
	}
}

// refreshVolumes for as long as the pod runs. What cannot be laid out at the
// moment stays as it is.
func (p *pod) refreshVolumes(ctx context.Context) {
	for ctx.Err() == nil {
		sleep(ctx, refreshEvery)
		_ = p.layOutVolumes(ctx)
	}
}

func (p *pod) clean() {
	for _, c := range slices.Concat(p.inits, p.mains) {
		c.clean()
	}

	p.mu.Lock()
	l := p.link
	p.mu.Unlock()
	if l != nil {
		l.leave()
	}

	if err := removeUnmounted(p.dir); err != nil {
		p.n.complain(p.object(), err)
	}
}

func (p *pod) ip() string {
	p.mu.Lock()
	defer p.mu.Unlock()

	if p.link == nil {
		return ""
	}
	return p.link.ip
}

func (p *pod) container(name string) *container {
	for _, c := range slices.Concat(p.mains, p.inits) {
		if c.spec.Name == name || name == "" {
			return c
		}
	}
	return nil
}

// report what is known of the pod.
func (p *pod) report(ctx context.Context) {
	p.reporting.Lock()
	defer p.reporting.Unlock()

	obj := p.object()
	s, ready := p.status()

	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": obj.UID}, "status": s})
	if err != nil {
		p.n.complain(obj, err)
		return
	}

	// A pod's last words are said while everything else ends already.
	ctx = context.WithoutCancel(ctx)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()

	live, err := p.n.Client.CoreV1().Pods(obj.Namespace).Patch(ctx, obj.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return
	}
	if err != nil {
		p.n.complain(obj, err)
		return
	}

	p.mu.Lock()
	was := p.ready
	p.ready = ready
	p.mu.Unlock()

	p.n.writeHosts()
	if was == ready || p.n.Ready == nil {
		return
	}
	if err := p.n.Ready(ctx, live, s.PodIP, ready); err != nil {
		p.n.complain(obj, err)
	}
}

// status as a kubelet reports it.
func (p *pod) status() (corev1.PodStatus, bool) {
	s := corev1.PodStatus{Phase: corev1.PodPending, StartTime: &p.start, HostIP: p.n.ip, HostIPs: []corev1.HostIP{{IP: p.n.ip}}}
	if ip := p.ip(); ip != "" {
		s.PodIP, s.PodIPs = ip, []corev1.PodIP{{IP: ip}}
	}

	initialized, running, failed := true, false, false
	for _, c := range p.inits {
		cs := c.status()
		s.InitContainerStatuses = append(s.InitContainerStatuses, cs)
		initialized = initialized && cs.Ready
	}

	unready := []string{}
	ended := 0
	for _, c := range p.mains {
		cs := c.status()
		s.ContainerStatuses = append(s.ContainerStatuses, cs)
		if !cs.Ready {
			unready = append(unready, cs.Name)
		}
		running = running || cs.State.Running != nil || cs.LastTerminationState.Terminated != nil
		if t := cs.State.Terminated; t != nil {
			ended++
			failed = failed || t.ExitCode != 0
		}
	}

	switch {
	case ended == len(p.mains) && p.object().Spec.RestartPolicy != corev1.RestartPolicyAlways:
		s.Phase = corev1.PodSucceeded
		if failed {
			s.Phase = corev1.PodFailed
		}
	case running || ended > 0:
		s.Phase = corev1.PodRunning
	}

	ready := initialized && len(unready) == 0
	p.condition(&s, corev1.PodScheduled, true, "", "")
	p.condition(&s, corev1.PodInitialized, initialized, "ContainersNotInitialized", "containers with incomplete status")
	p.condition(&s, corev1.ContainersReady, ready, "ContainersNotReady", fmt.Sprintf("containers with unready status: [%s]", strings.Join(unready, " ")))
	p.condition(&s, corev1.PodReady, ready, "ContainersNotReady", fmt.Sprintf("containers with unready status: [%s]", strings.Join(unready, " ")))

	return s, ready
}

func (p *pod) condition(s *corev1.PodStatus, t corev1.PodConditionType, is bool, reason, message string) {
	c := corev1.PodCondition{Type: t, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}
	if !is {
		c.Status, c.Reason, c.Message = corev1.ConditionFalse, reason, message
	}

	p.mu.Lock()
	defer p.mu.Unlock()

	if was, ok := p.conditions[t]; ok && was.Status == c.Status {
		c.LastTransitionTime = was.LastTransitionTime
	}
	p.conditions[t] = c
	s.Conditions = append(s.Conditions, c)
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
