package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/binaries"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
)

const (
	// envDir is set inside the namespaces: the folder of the control plane.
	envDir = "DITTOSERVER_E2E_DIR"

	// envUserns asks for a user namespace, which is used anyway when the
	// caller is not root.
	envUserns = "RIG_USERNS"
)

// Inside is whether this process runs in the namespaces of a control plane.
func Inside() bool { return os.Getenv(envDir) != "" }

// command runs this very program again as the first process of namespaces of
// its own: a network with nothing but a loopback device, so that control planes
// that run at the same time do not meet and nothing is reached from outside,
// mounts, and process ids. The kernel ends every process of a control plane
// with the first one.
func command(dir string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...) //nolint:gosec,noctx // This program itself, which tidies up when it is told to end.
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), envDir+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
	}

	if os.Getuid() != 0 || os.Getenv(envUserns) != "" {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}

	return cmd
}

// reexec runs this program in namespaces and returns its exit code. The
// namespaces end with the caller, however that ends.
func reexec(dir string) (int, error) {
	// The death signal comes when the thread that forked ends, which is not
	// necessarily when the process does.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	cmd := command(dir)
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL

	// A terminal sends its signals to both processes. The outer one only
	// waits, and has to tidy up afterwards.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)

	if err := cmd.Start(); err != nil {
		return 1, fmt.Errorf("cannot make namespaces (as root, or where the kernel lets users make them): %w", err)
	}

	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s)
		}
	}()

	err := cmd.Wait()

	exit := &exec.ExitError{}
	if errors.As(err, &exit) {
		if code := exit.ExitCode(); code > 0 {
			return code, nil
		}
		return 1, nil
	}

	return 0, err
}

// Enter builds what a control plane needs, then runs this program again inside
// the namespaces of one, and returns its exit code. Logs are kept if that is
// not zero.
func Enter(ctx context.Context, w io.Writer, bs ...binaries.Binary) (int, error) {
	dir, err := prepare(ctx, w, bs...)
	if err != nil {
		return 1, err
	}

	code, err := reexec(dir)

	if code != 0 {
		_, _ = fmt.Fprintf(w, "logs are in %s\n", filepath.Join(dir, "log"))
		return code, errors.Join(err, os.RemoveAll(filepath.Join(dir, "packages")))
	}

	return code, errors.Join(err, os.RemoveAll(dir))
}

// prepare a folder for a control plane.
func prepare(ctx context.Context, w io.Writer, bs ...binaries.Binary) (string, error) {
	if err := binaries.Build(ctx, w, bs...); err != nil {
		return "", err
	}

	dir, err := os.MkdirTemp("", "dittoserver-e2e-")
	if err != nil {
		return "", err
	}

	if err := preparePackages(ctx, w, dir); err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}

	return dir, nil
}

// furnish makes the fresh namespaces usable.
func furnish(dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("cannot make mounts private: %w", err)
	}

	// In an unprivileged container the kernel may refuse this. What is lost
	// then is only that processes see their own ids under /proc.
	_ = unix.Mount("proc", "/proc", "proc", 0, "")

	// State lives in memory and goes with the namespaces, logs do not.
	if err := disk.Dir(filepath.Join(dir, "run")); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", filepath.Join(dir, "run"), "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("cannot mount a tmpfs: %w", err)
	}

	return loopbackUp()
}

// loopbackUp brings up the loopback device. Addresses of Services are its own
// too: a Service is reached where its pod listens, without a proxy. They cannot
// be loopback addresses themselves, which the API server refuses as endpoints.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd) //nolint:errcheck // A socket that nothing was written to.

	up, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	up.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, up); err != nil {
		return fmt.Errorf("cannot bring up the loopback device: %w", err)
	}

	_, services, err := net.ParseCIDR(serviceCIDR)
	if err != nil {
		return err
	}

	for _, set := range []struct {
		request uint
		addr    []byte
	}{{unix.SIOCSIFADDR, services.IP.To4()}, {unix.SIOCSIFNETMASK, services.Mask}} {
		ifr, err := unix.NewIfreq("lo:services")
		if err != nil {
			return err
		}
		if err := ifr.SetInet4Addr(set.addr); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(fd, set.request, ifr); err != nil {
			return fmt.Errorf("cannot give the loopback device the addresses of Services: %w", err)
		}
	}

	return nil
}

// userns is whether this process, inside the namespaces, is root in a user
// namespace that knows no other user.
func userns() bool {
	return os.Getenv(envUserns) != "" || !canSetUID()
}

func canSetUID() bool {
	data, err := disk.Read("/proc/self/uid_map")
	if err != nil {
		return false
	}

	var inside, outside, size uint64
	if _, err := fmt.Sscan(string(data), &inside, &outside, &size); err != nil {
		return false
	}

	return size > user
}

// user is the nonroot user that containers run as.
const user = 65532
