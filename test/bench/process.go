package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// A function is one of those that are compared.
type function struct {
	name string
	// binary and args start it. It also understands -address, -metrics-address
	// and -tls-certs-dir.
	binary string
	args   []string
}

// A process is a function that serves.
type process struct {
	function

	cmd  *exec.Cmd
	conn *grpc.ClientConn
}

// ticks is the unit of times in /proc, per second. It is 100 on all of Linux's
// common platforms.
const ticks = 100

// start starts a function and waits until it serves.
func (f function) start(ctx context.Context, certs string, creds credentials.TransportCredentials) (*process, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	metrics, err := freeAddress()
	if err != nil {
		return nil, err
	}
	args := append([]string{"--address=" + address, "--metrics-address=" + metrics, "--tls-certs-dir=" + certs}, f.args...)
	cmd := exec.CommandContext(ctx, f.binary, args...)         //nolint:gosec // One of those that are compared.
	log, err := os.Create(filepath.Join(certs, f.name+".log")) //nolint:gosec // A temporary directory.
	if err != nil {
		return nil, err
	}
	defer log.Close() //nolint:errcheck // The process has it.
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(creds), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		return nil, err
	}
	p := &process{function: f, cmd: cmd, conn: conn}
	ready, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, err := fnv1.NewFunctionRunnerServiceClient(conn).RunFunction(ready, &fnv1.RunFunctionRequest{}, grpc.WaitForReady(true)); err != nil {
		p.stop()
		return nil, fmt.Errorf("%s does not serve: %w", f.name, err)
	}
	return p, nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // A local address.
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (p *process) stop() {
	_ = p.conn.Close()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
}

// cpu returns the CPU time that the process has taken.
func (p *process) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The name of the command, in parentheses, may have spaces.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	total := 0
	// utime and stime are fields 14 and 15 of proc(5); the first here is 3.
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return time.Duration(total) * time.Second / ticks, nil
}

// resident returns the resident memory of the process, in bytes.
func (p *process) resident() (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("process %d has no VmRSS", p.cmd.Process.Pid)
}
