package node

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
)

const (
	// Gateway is the address at which pods reach what runs beside them, in
	// the network of the control plane.
	Gateway = "10.77.0.1"

	// apiServerName is what pods call the API server, and its certificate is
	// for.
	apiServerName = "kubernetes.default.svc"

	bridge = "pods0"
)

// A network of pods: a bridge that every pod hangs on with an address of its
// own, as on a node. Nothing beyond it can be reached.
type network struct {
	mu   sync.Mutex
	last int
}

// A link is a pod's end of the network.
type link struct {
	ip    string
	netns *os.File
}

func newNetwork() (*network, error) {
	return &network{last: 1}, firstError(
		ip("link", "add", bridge, "type", "bridge"),
		ip("address", "add", Gateway+"/16", "dev", bridge),
		ip("link", "set", bridge, "up"),
	)
}

// join makes a network namespace for a pod and connects it.
func (nw *network) join() (*link, error) {
	nw.mu.Lock()
	nw.last++
	i := nw.last
	nw.mu.Unlock()

	l := &link{ip: fmt.Sprintf("10.77.%d.%d", i/250, i%250+2)}

	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		f, err := disk.Open("/proc/thread-self/ns/net", os.O_RDONLY, 0)
		l.netns = f
		return err
	})
	if err != nil {
		return nil, err
	}

	host := fmt.Sprintf("pod%d", i)
	err = firstError(
		ip("link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), l.netns.Fd())),
		ip("link", "set", host, "master", bridge, "up"),
		l.inside(func() error {
			return firstError(
				ip("link", "set", "lo", "up"),
				ip("address", "add", l.ip+"/16", "dev", "eth0"),
				ip("link", "set", "eth0", "up"),
			)
		}),
	)

	return l, err
}

// inside does something in the network of a pod. What is started there stays.
func (l *link) inside(do func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(l.netns.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return do()
	})
}

// leave the network. The kernel removes it with the last process in it.
func (l *link) leave() { _ = l.netns.Close() }

// onThread does something on a thread that nothing else runs on afterwards.
func onThread(do func() error) error {
	done := make(chan error)
	go func() {
		// Without unlocking, the thread ends with the goroutine.
		runtime.LockOSThread()
		done <- do()
	}()
	return <-done
}

func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput() //nolint:noctx // It takes no time.
	if errors.Is(err, exec.ErrNotFound) {
		return errors.New("there is no program ip; install Debian's iproute2")
	}
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
