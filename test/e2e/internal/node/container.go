package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
)

// What a kubelet takes of a log for a termination message.
const (
	messageLines = 80
	messageBytes = 2048
)

// A container of a pod, through all its runs.
type container struct {
	p    *pod
	spec corev1.Container
	init bool

	mu       sync.Mutex
	runs     int
	restarts int32
	state    corev1.ContainerState
	last     corev1.ContainerState
	started  bool
	ready    bool
	process  *process
}

// A process is one run of a container.
type process struct {
	c     *container
	root  string
	env   []string
	cred  *syscall.Credential
	dir   string
	log   string
	cmd   *exec.Cmd
	begun time.Time
	done  chan struct{}
	err   error
}

// A startError is why a container cannot be started.
type startError struct {
	reason string
	err    error
}

func (e *startError) Error() string { return e.err.Error() }

func newContainer(p *pod, spec corev1.Container, isInit bool) *container {
	return &container{p: p, spec: spec, init: isInit, state: corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: map[bool]string{true: "PodInitializing", false: "ContainerCreating"}[isInit || len(p.obj.Spec.InitContainers) > 0]},
	}}
}

func (c *container) status() corev1.ContainerStatus {
	c.mu.Lock()
	defer c.mu.Unlock()

	started := c.started
	return corev1.ContainerStatus{
		Name: c.spec.Name, Image: c.spec.Image, ImageID: c.spec.Image,
		State: c.state, LastTerminationState: c.last, RestartCount: c.restarts,
		Ready: c.ready, Started: &started,
	}
}

func (c *container) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()

	change()
}

func (c *container) current() *process {
	c.mu.Lock()
	defer c.mu.Unlock()

	return c.process
}

// loop runs the container until it has done what it is for, which a container
// that is not for initialization never has, and reports whether it has.
func (c *container) loop(ctx context.Context) bool {
	backoff := c.p.n.Backoff

	for ctx.Err() == nil {
		proc, err := c.start(ctx)
		if err != nil {
			if ctx.Err() == nil {
				c.failed(ctx, err)
				sleep(ctx, c.p.n.Backoff)
			}
			continue
		}

		c.run(ctx, proc)
		state := proc.terminated()
		c.set(func() {
			c.state = corev1.ContainerState{Terminated: state}
			c.started, c.ready, c.process = false, c.init && state.ExitCode == 0, nil
		})
		proc.clean()
		c.p.report(ctx)

		switch {
		case c.init && state.ExitCode == 0:
			return true
		case ctx.Err() != nil:
			return false
		case c.p.object().Spec.RestartPolicy == corev1.RestartPolicyNever,
			c.p.object().Spec.RestartPolicy == corev1.RestartPolicyOnFailure && state.ExitCode == 0:
			return false
		}

		if time.Since(proc.begun) > 60*backoff {
			backoff = c.p.n.Backoff
		}
		c.set(func() {
			c.last = corev1.ContainerState{Terminated: state}
			c.restarts++
			c.state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
				Reason:  "CrashLoopBackOff",
				Message: fmt.Sprintf("back-off %s restarting failed container=%s pod=%s_%s(%s)", backoff, c.spec.Name, c.p.obj.Name, c.p.obj.Namespace, c.p.obj.UID),
			}}
		})
		c.p.report(ctx)
		sleep(ctx, backoff)
		backoff = min(2*backoff, 30*c.p.n.Backoff)
	}

	return false
}

// failed reports that the container cannot be started.
func (c *container) failed(ctx context.Context, err error) {
	w := &corev1.ContainerStateWaiting{Reason: "RunContainerError", Message: err.Error()}
	if se := (*startError)(nil); errors.As(err, &se) {
		w.Reason = se.reason
	}

	news := false
	c.set(func() {
		news = c.state.Waiting == nil || *c.state.Waiting != *w
		c.state = corev1.ContainerState{Waiting: w}
	})
	if news {
		c.p.report(ctx)
		c.p.n.event(ctx, c.p.object(), corev1.EventTypeWarning, "Failed", "Error: "+w.Message)
	}
}

// run waits until the process ends, with the context at the latest.
func (c *container) run(ctx context.Context, proc *process) {
	probing, stop := context.WithCancel(ctx)
	defer stop()

	c.set(func() {
		c.process = proc
		c.state = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(proc.begun)}}
		c.started = c.spec.StartupProbe == nil
		c.ready = !c.init && c.started && c.spec.ReadinessProbe == nil
	})
	c.p.report(ctx)

	unhealthy := make(chan string, 1)
	if !c.init {
		go c.probe(probing, proc, unhealthy)
	}

	select {
	case <-proc.done:
	case why := <-unhealthy:
		stop()
		c.p.n.event(ctx, c.p.object(), corev1.EventTypeNormal, "Killing", "Container "+c.spec.Name+" "+why+", will be restarted")
		grace := time.Duration(*c.p.object().Spec.TerminationGracePeriodSeconds) * time.Second
		until := time.Now().Add(grace)
		proc.stop(func() time.Duration { return time.Until(until) })
	case <-ctx.Done():
		stop()
		proc.stop(c.p.grace)
	}
}

// start the container's process.
func (c *container) start(ctx context.Context) (*process, error) {
	img, ok := c.p.n.image(c.spec.Image)
	if !ok {
		return nil, &startError{"ErrImagePull", fmt.Errorf("this node has no image %s", c.spec.Image)}
	}

	env, err := c.environment(ctx, img)
	if err != nil {
		return nil, &startError{"CreateContainerConfigError", err}
	}
	cred, err := c.credential(img)
	if err != nil {
		return nil, &startError{"CreateContainerConfigError", err}
	}
	// A kubelet brings what is mounted up to date within a minute or so.
	if err := c.p.layOutVolumes(ctx); err != nil {
		return nil, &startError{"CreateContainerError", err}
	}

	c.runs++
	proc := &process{
		c: c, env: env, cred: cred, dir: c.spec.WorkingDir,
		root: filepath.Join(c.p.dir, "containers", c.spec.Name, decimal(int64(c.runs))),
		log:  filepath.Join(c.p.n.Logs(c.p.obj.Namespace, c.p.obj.Name), c.spec.Name+".log"),
		done: make(chan struct{}),
	}
	if proc.dir == "" {
		proc.dir = "/"
	}
	if err := proc.furnish(img); err != nil {
		proc.clean()
		return nil, &startError{"CreateContainerError", err}
	}
	if err := proc.begin(img); err != nil {
		proc.clean()
		return nil, &startError{"RunContainerError", err}
	}

	return proc, nil
}

// credential is the user that the container runs as.
func (c *container) credential(img Image) (*syscall.Credential, error) {
	uid, gid := img.UID, img.GID
	var groups []uint32
	nonRoot := false

	if s := c.p.obj.Spec.SecurityContext; s != nil {
		uid, gid = or(s.RunAsUser, uid), or(s.RunAsGroup, gid)
		nonRoot = or(s.RunAsNonRoot, nonRoot)
		if s.FSGroup != nil {
			groups = append(groups, uint32(*s.FSGroup)) //nolint:gosec // The API server checks it.
		}
		for _, g := range s.SupplementalGroups {
			groups = append(groups, uint32(g)) //nolint:gosec // The API server checks it.
		}
	}
	if s := c.spec.SecurityContext; s != nil {
		uid, gid = or(s.RunAsUser, uid), or(s.RunAsGroup, gid)
		nonRoot = or(s.RunAsNonRoot, nonRoot)
	}
	if nonRoot && uid == 0 {
		return nil, errors.New("container has runAsNonRoot and image will run as root")
	}

	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: groups}, nil //nolint:gosec // The API server checks it.
}

// furnish makes the root folder of the container: its image, its volumes, and
// what a container runtime adds.
func (p *process) furnish(img Image) error {
	if err := disk.Dir(p.root); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", p.root, "tmpfs", 0, "mode=0755"); err != nil {
		return err
	}
	if err := img.unpack(p.root); err != nil {
		return err
	}
	if err := p.c.mountVolumes(p.root); err != nil {
		return err
	}
	if err := disk.BindReadOnly(p.c.p.n.hostsFile(p.c.p.obj.Namespace), filepath.Join(p.root, "etc/hosts")); err != nil {
		return err
	}
	message := filepath.Join(p.root, p.message())
	if err := disk.WriteMode(message, nil, 0o666); err != nil {
		return err
	}

	s := p.c.spec.SecurityContext
	if s == nil || !or(s.ReadOnlyRootFilesystem, false) {
		return nil
	}

	// The message can be written nevertheless.
	outside := p.root + ".message"
	if err := disk.WriteMode(outside, nil, 0o666); err != nil {
		return err
	}
	if err := disk.Bind(outside, message); err != nil {
		return err
	}

	return unix.Mount("", p.root, "", unix.MS_REMOUNT|unix.MS_RDONLY, "mode=0755")
}

func (p *process) message() string {
	if m := p.c.spec.TerminationMessagePath; m != "" {
		return m
	}
	return corev1.TerminationMessagePathDefault
}

func (p *process) begin(img Image) error {
	argv := append([]string{}, p.c.spec.Command...)
	if len(argv) == 0 {
		argv = append(argv, img.Entrypoint...)
	}
	argv = append(argv, p.c.spec.Args...)
	for i := range argv {
		argv[i] = expand(argv[i], p.env)
	}
	if len(argv) == 0 {
		return errors.New("no command specified")
	}

	if err := disk.Dir(filepath.Dir(p.log)); err != nil {
		return err
	}
	log, err := disk.Open(p.log, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // The process has its own copy.
	// Programs open /dev/stdout again.
	if err := log.Chown(int(p.cred.Uid), int(p.cred.Gid)); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(log, "--- run %d of %s, %s\n", p.c.runs, p.c.spec.Name, time.Now().UTC().Format(time.RFC3339Nano))

	cmd, err := p.command(argv)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = log, log

	if err := p.c.p.link.inside(cmd.Start); err != nil {
		return err
	}
	p.cmd, p.begun = cmd, time.Now()
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()

	return nil
}

// command runs something in the container. All that it starts ends with it.
func (p *process) command(argv []string) (*exec.Cmd, error) {
	path, err := lookPath(p.root, argv[0], p.env)
	if err != nil {
		return nil, err
	}

	return &exec.Cmd{
		Path: path, Args: argv, Env: p.env, Dir: p.dir,
		SysProcAttr: &syscall.SysProcAttr{Chroot: p.root, Credential: p.cred, Cloneflags: syscall.CLONE_NEWPID},
	}, nil
}

// stop the process as a kubelet does: the preStop hook, the signal to end, and,
// when the grace period is over, the end.
func (p *process) stop(grace func() time.Duration) {
	if l := p.c.spec.Lifecycle; l != nil && l.PreStop != nil && l.PreStop.Exec != nil && grace() > 0 {
		if err := p.exec(l.PreStop.Exec.Command, grace()); err != nil {
			p.c.p.n.event(context.Background(), p.c.p.object(), corev1.EventTypeWarning, "FailedPreStopHook", "PreStopHook failed: "+err.Error())
		}
	}

	_ = p.cmd.Process.Signal(syscall.SIGTERM)

	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.done:
			return
		case <-tick.C:
		}
		// The grace period may have been shortened meanwhile.
		if grace() <= 0 {
			_ = p.cmd.Process.Kill()
			<-p.done
			return
		}
	}
}

// exec runs a command in the container, and ends it after a time.
func (p *process) exec(argv []string, timeout time.Duration) error {
	cmd, err := p.command(argv)
	if err != nil {
		return err
	}
	out := &tail{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := p.c.p.link.inside(cmd.Start); err != nil {
		return err
	}

	t := time.AfterFunc(timeout, func() { _ = cmd.Process.Kill() })
	defer t.Stop()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("command %q: %w: %s", argv, err, out.String())
	}

	return nil
}

// terminated is how the process ended.
func (p *process) terminated() *corev1.ContainerStateTerminated {
	t := &corev1.ContainerStateTerminated{
		Reason:      "Completed",
		ContainerID: "process://" + decimal(int64(p.cmd.Process.Pid)),
		StartedAt:   metav1.NewTime(p.begun),
		FinishedAt:  metav1.Now(),
	}
	if ws, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok {
		t.ExitCode = int32(ws.ExitStatus()) //nolint:gosec // It has eight bits.
		if ws.Signaled() {
			t.ExitCode = 128 + int32(ws.Signal()) //nolint:gosec // It has eight bits.
		}
	}
	if t.ExitCode != 0 {
		t.Reason = "Error"
	}

	if data, err := disk.Read(filepath.Join(p.root, p.message())); err == nil && len(data) > 0 {
		t.Message = string(data[:min(len(data), 4096)])
	} else if t.ExitCode != 0 && p.c.spec.TerminationMessagePolicy == corev1.TerminationMessageFallbackToLogsOnError {
		t.Message = p.lastWords()
	}

	return t
}

// lastWords are the end of the log of this run.
func (p *process) lastWords() string {
	data, err := disk.Read(p.log)
	if err != nil {
		return ""
	}

	log := string(data)
	if i := strings.LastIndex(log, "--- run "); i >= 0 {
		_, log, _ = strings.Cut(log[i:], "\n")
	}
	lines := strings.SplitAfter(log, "\n")
	log = strings.Join(lines[max(0, len(lines)-1-messageLines):], "")

	return log[max(0, len(log)-messageBytes):]
}

// clean removes the root folder. Everything that is mounted within goes with it.
func (p *process) clean() {
	_ = unix.Unmount(p.root, unix.MNT_DETACH)
	_ = os.Remove(p.root)
}

func (c *container) clean() {
	if p := c.current(); p != nil {
		p.clean()
	}
}

func or[T any](v *T, def T) T {
	if v == nil {
		return def
	}
	return *v
}

// tail keeps the end of what is written.
type tail struct {
	mu   sync.Mutex
	data []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()

	t.data = append(t.data, b...)
	if len(t.data) > 4096 {
		t.data = t.data[len(t.data)-4096:]
	}

	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()

	return strings.TrimSpace(string(t.data))
}
