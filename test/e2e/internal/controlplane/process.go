package controlplane

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
)

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// A process of the control plane.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// start a process whose output is appended to a log.
func (cp *ControlPlane) start(name string, cmd *exec.Cmd) (*process, error) {
	log, err := disk.Open(filepath.Join(cp.dir, "log", name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close() //nolint:errcheck // The process has its own copy.

	cmd.Stdout, cmd.Stderr = log, log

	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}

	p := &process{name: name, cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()

	return p, nil
}

// startApart starts a process like start, in a network of its own from which it
// reaches the API server and nothing else. It is for those that insist on ports
// that others use.
func (cp *ControlPlane) startApart(ctx context.Context, name string, cmd *exec.Cmd) (*process, error) {
	type started struct {
		p   *process
		err error
	}
	result := make(chan started)

	go func() {
		// The thread goes to another network and ends there, with this
		// goroutine: it is not unlocked.
		runtime.LockOSThread()

		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			result <- started{err: err}
			return
		}
		if err := loopbackUp(); err != nil {
			result <- started{err: err}
			return
		}

		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", apiServerAddress)
		if err != nil {
			result <- started{err: err}
			return
		}

		p, err := cp.start(name, cmd)
		if err != nil {
			result <- started{err: errors.Join(err, l.Close())}
			return
		}

		go forward(ctx, l, apiServerAddress)
		go func() {
			<-p.done
			_ = l.Close()
		}()
		result <- started{p: p}
	}()

	s := <-result

	return s.p, s.err
}

// forward connections to an address, until the listener is closed.
func forward(ctx context.Context, l net.Listener, to string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}

		go func() {
			defer c.Close() //nolint:errcheck // Nobody to tell.

			s, err := (&net.Dialer{}).DialContext(ctx, "tcp", to)
			if err != nil {
				return
			}
			defer s.Close() //nolint:errcheck // Nobody to tell.

			go func() {
				_, _ = io.Copy(s, c)
				_ = s.(*net.TCPConn).CloseWrite() //nolint:forcetypeassert // Dialed as such.
			}()
			_, _ = io.Copy(c, s)
		}()
	}
}

// stop asks the process to end and ends it if it does not.
func (p *process) stop(grace time.Duration) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)

	select {
	case <-p.done:
	case <-time.After(grace):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// poll until done says so. On timeout the error holds what was last seen.
func poll(ctx context.Context, timeout time.Duration, what string, done func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	var last error
	for {
		err := done(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}

		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %s: %w", what, timeout, last)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
