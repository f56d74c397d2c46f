package node

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/apimachinery/pkg/util/httpstream/spdy"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
)

// protocol of the streams of an exec. Source: k8s.io/apimachinery
// pkg/util/remotecommand.
const protocol = "v4.channel.k8s.io"

// serve what the API server asks a kubelet for: kubectl exec and kubectl logs.
// It does not ask who is there, since nobody else is.
func (n *Node) serve(ctx context.Context) (int32, error) {
	cert, err := selfSigned()
	if err != nil {
		return 0, err
	}

	l, err := tls.Listen("tcp", net.JoinHostPort(n.ip, "0"), &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	if err != nil {
		return 0, err
	}

	mux := http.NewServeMux()
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", n.serveExec)
	mux.HandleFunc("/containerLogs/{namespace}/{pod}/{container}", n.serveLogs)

	srv := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	go func() {
		if err := srv.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			_, _ = fmt.Fprintln(n.Log, "node:", err)
		}
	}()

	return int32(l.Addr().(*net.TCPAddr).Port), nil //nolint:forcetypeassert,gosec // A port.
}

func (n *Node) containerOf(r *http.Request) *container {
	p := n.find(r.PathValue("namespace"), r.PathValue("pod"))
	if p == nil {
		return nil
	}
	return p.container(r.PathValue("container"))
}

func (n *Node) serveLogs(w http.ResponseWriter, r *http.Request) {
	c := n.containerOf(r)
	if c == nil {
		http.Error(w, "container not found", http.StatusNotFound)
		return
	}

	data, err := disk.Read(n.Logs(c.p.obj.Namespace, c.p.obj.Name) + "/" + c.spec.Name + ".log")
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	if lines, err := strconv.Atoi(r.URL.Query().Get("tailLines")); err == nil {
		all := bytes.SplitAfter(bytes.TrimSuffix(data, []byte("\n")), []byte("\n"))
		data = append(bytes.Join(all[max(0, len(all)-lines):], nil), '\n')
	}
	_, _ = w.Write(data)
}

func (n *Node) serveExec(w http.ResponseWriter, r *http.Request) {
	c := n.containerOf(r)
	if c == nil || c.current() == nil {
		http.Error(w, "container not found", http.StatusNotFound)
		return
	}

	q := r.URL.Query()
	wants := map[string]bool{
		corev1.StreamTypeError:  true,
		corev1.StreamTypeStdin:  q.Get(corev1.ExecStdinParam) == "1",
		corev1.StreamTypeStdout: q.Get(corev1.ExecStdoutParam) == "1",
		corev1.StreamTypeStderr: q.Get(corev1.ExecStderrParam) == "1",
	}

	if _, err := httpstream.Handshake(r, w, []string{protocol}); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}

	type opened struct {
		stream    httpstream.Stream
		replySent <-chan struct{}
	}
	streams := make(chan opened)
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, replySent <-chan struct{}) error {
		streams <- opened{s, replySent}
		return nil
	})
	if conn == nil {
		return
	}
	defer conn.Close() //nolint:errcheck // Everything was said.

	have := map[string]httpstream.Stream{}
	timeout := time.After(30 * time.Second)
	for missing(wants, have) {
		select {
		case s := <-streams:
			<-s.replySent
			have[s.stream.Headers().Get(corev1.StreamType)] = s.stream
		case <-conn.CloseChan():
			return
		case <-timeout:
			return
		}
	}

	err := c.current().attach(q[corev1.ExecCommandParam], have, conn.CloseChan())
	_ = json.NewEncoder(have[corev1.StreamTypeError]).Encode(exitStatus(err))
	for _, s := range have {
		_ = s.Close()
	}
}

func missing(wants map[string]bool, have map[string]httpstream.Stream) bool {
	for t, want := range wants {
		if want && have[t] == nil {
			return true
		}
	}
	return false
}

// attach runs a command in the container with the streams of a client.
func (p *process) attach(argv []string, streams map[string]httpstream.Stream, closed <-chan bool) error {
	cmd, err := p.command(argv)
	if err != nil {
		return err
	}

	// Pipes of the container's user: programs open /dev/stdin again.
	var ours, theirs []*os.File
	defer func() {
		for _, f := range ours {
			_ = f.Close()
		}
	}()
	pipe := func() (*os.File, *os.File, error) {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, nil, err
		}
		return r, w, errors.Join(r.Chown(int(p.cred.Uid), int(p.cred.Gid)), w.Chown(int(p.cred.Uid), int(p.cred.Gid)))
	}

	copied := make(chan struct{}, 2)
	copies := 0
	output := func(t string) (*os.File, error) {
		s := streams[t]
		if s == nil {
			return nil, nil //nolint:nilnil // Nobody wants this output.
		}
		r, w, err := pipe()
		if err != nil {
			return nil, err
		}
		ours, theirs = append(ours, r), append(theirs, w)
		copies++
		go func() {
			_, _ = io.Copy(s, r)
			copied <- struct{}{}
		}()
		return w, nil
	}

	if out, err := output(corev1.StreamTypeStdout); err != nil {
		return err
	} else if out != nil {
		cmd.Stdout = out
	}
	if out, err := output(corev1.StreamTypeStderr); err != nil {
		return err
	} else if out != nil {
		cmd.Stderr = out
	}
	if s := streams[corev1.StreamTypeStdin]; s != nil {
		r, w, err := pipe()
		if err != nil {
			return err
		}
		cmd.Stdin = r
		theirs = append(theirs, r)
		go func() {
			_, _ = io.Copy(w, s)
			_ = w.Close()
		}()
	}

	err = p.c.p.link.inside(cmd.Start)
	for _, f := range theirs {
		_ = f.Close()
	}
	if err != nil {
		return err
	}

	ended := make(chan struct{})
	go func() {
		select {
		case <-closed:
			_ = cmd.Process.Kill()
		case <-ended:
		}
	}()
	err = cmd.Wait()
	close(ended)
	for range copies {
		<-copied
	}

	return err
}

// exitStatus is how a client of exec is told how the command ended.
func exitStatus(err error) metav1.Status {
	if err == nil {
		return metav1.Status{Status: metav1.StatusSuccess}
	}

	s := metav1.Status{Status: metav1.StatusFailure, Message: err.Error(), Reason: metav1.StatusReasonInternalError}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		s.Reason = "NonZeroExitCode"
		s.Message = "command terminated with non-zero exit code"
		s.Details = &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: "ExitCode", Message: strconv.Itoa(max(1, exit.ExitCode()))}}}
	}

	return s
}

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)

	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
