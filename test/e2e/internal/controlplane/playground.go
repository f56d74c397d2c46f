package controlplane

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/binaries"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
)

// Files that a playground inherits: the socket that kubectl talks to, which is
// in the caller's network, and where it tells how far it is.
const (
	fdListener = 3 + iota
	fdProgress
)

// StartPlayground starts a control plane, prints how to use it and leaves it
// running.
func StartPlayground(ctx context.Context) error {
	if dir, _, err := playground(); err == nil {
		return fmt.Errorf("a playground runs already, with its kubeconfig in %s", dir)
	}

	dir, err := prepare(ctx, os.Stdout, binaries.ControlPlane()...)
	if err != nil {
		return err
	}

	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	socket, err := l.(*net.TCPListener).File() //nolint:forcetypeassert // It listens on TCP.
	if err != nil {
		return err
	}

	progress, w, err := os.Pipe()
	if err != nil {
		return err
	}

	log, err := disk.Open(filepath.Join(dir, "playground.log"), os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}

	cmd := command(dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, log, log
	cmd.ExtraFiles = []*os.File{socket, w}
	cmd.SysProcAttr.Setsid = true
	if err := cmd.Start(); err != nil {
		return err
	}
	_ = w.Close()

	state, err := playgroundState()
	if err != nil {
		return err
	}
	if err := disk.Dir(filepath.Dir(state)); err != nil {
		return err
	}
	if err := disk.Write(state, fmt.Appendf(nil, "%d %s\n", cmd.Process.Pid, dir)); err != nil {
		return err
	}

	last := ""
	for s := bufio.NewScanner(progress); s.Scan(); {
		last = s.Text()
		fmt.Println(last)
	}

	if last != playgroundReady {
		_ = cmd.Process.Kill()
		data, err := disk.Read(log.Name())
		return errors.Join(fmt.Errorf("the playground has not started, its logs are in %s:\n%s", dir, data), err, os.Remove(state))
	}

	kubectl, err := binaries.Kubectl().Path()
	if err != nil {
		return err
	}

	fmt.Printf(`
Talk to it:

    export KUBECONFIG=%s
    export PATH=%s:$PATH
    kubectl -n %s get dittoserver,perconapgcluster,statefulset,pod
    kubectl -n %s describe dittoserver

Nothing runs in the pods but Crossplane, the function and Percona's operator:
all other pods are only said to run. Logs are in %s.

Stop it:

    make playground-stop
`, filepath.Join(dir, "kubeconfig"), filepath.Dir(kubectl), exampleNamespace, exampleNamespace, filepath.Join(dir, "log"))

	return nil
}

// playgroundReady is the last thing that a playground tells.
const playgroundReady = "ready"

// ServePlayground is what StartPlayground starts inside the namespaces.
func ServePlayground(ctx context.Context) error {
	// Not for the processes that are started from here on.
	unix.CloseOnExec(fdListener)
	unix.CloseOnExec(fdProgress)

	progress := os.NewFile(fdProgress, "progress")
	l, err := net.FileListener(os.NewFile(fdListener, "listener"))
	if err != nil {
		return err
	}

	cp, err := Start(ctx, Options{Progress: progress})
	if err != nil {
		return err
	}
	defer cp.Stop()

	if err := cp.Install(ctx, ConfigurationNamespaced); err != nil {
		return err
	}
	cp.say("the function and the API are installed")

	kubeconfig, err := cp.pki.kubeconfig("https://" + l.Addr().String())
	if err != nil {
		return err
	}
	if err := disk.WriteMode(filepath.Join(cp.dir, "kubeconfig"), kubeconfig, 0o600); err != nil {
		return err
	}
	go forward(ctx, l, apiServerAddress)

	cp.Kubelet.Run(ctx, "", labels.Set{})

	if err := cp.applyExample(ctx); err != nil {
		return err
	}
	cp.say("the example is applied")

	_, _ = fmt.Fprintln(progress, playgroundReady)
	_ = progress.Close()

	<-ctx.Done()

	return nil
}

// StopPlayground stops what StartPlayground left running.
func StopPlayground() error {
	dir, pid, err := playground()
	if err != nil {
		return err
	}

	state, err := playgroundState()
	if err != nil {
		return err
	}

	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return err
	}

	gone := func(context.Context) error {
		if _, _, err := playground(); err == nil {
			return errors.New("still there")
		}
		return nil
	}
	if err := poll(context.Background(), 10*time.Second, "end of the playground", gone); err != nil {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return err
		}
	}

	return errors.Join(os.Remove(state), os.RemoveAll(dir))
}

// playground finds the one that runs.
func playground() (dir string, pid int, err error) {
	state, err := playgroundState()
	if err != nil {
		return "", 0, err
	}

	data, err := disk.Read(state)
	if err != nil {
		return "", 0, errors.New("no playground runs")
	}

	first, dir, _ := strings.Cut(strings.TrimSpace(string(data)), " ")
	pid, err = strconv.Atoi(first)
	if err != nil {
		return "", 0, err
	}

	// The process id may be another's by now.
	env, err := disk.Read(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || !bytes.Contains(env, []byte(envDir+"="+dir+"\x00")) {
		return "", 0, errors.New("no playground runs")
	}

	return dir, pid, nil
}

func playgroundState() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}

	return filepath.Join(cache, "function-dittoserver-e2e", "playground"), nil
}
