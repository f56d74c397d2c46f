package real

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// The API over https: the server serves the certificate of the Secret, reads a
// renewed one without a restart, survives one that is renewed by halves, and hears
// only clients with the right certificate once it is asked to.
func TestAPIOverTLS(t *testing.T) {
	parallel(t)

	ca, stranger := newAuthority(t, "ca"), newAuthority(t, "somebody else's ca")
	s := newServer(t, "files", sqlite+"  controlPlane: {certSecretName: api}\n")
	s.waitCondition("Accepted", "True", "AcceptedWithWarnings")
	name := "files-api." + s.Name + ".svc"
	first, firstKey := ca.sign(t, name)
	s.setPair("api", ca.PEM, first, firstKey)
	s.waitReady()
	s.waitCondition("Accepted", "True", "SpecAccepted")
	if got := s.Get("dittoserver", s.name).String("status", "endpoints", "api"); got != "https://"+name+":8080" {
		t.Errorf("status.endpoints.api: want https://%s:8080, got %s", name, got)
	}
	pod := s.serverPod()

	plain := tlsClient{ca: ca.PEM, name: name}
	s.wantHealth(plain, "")
	s.wantHealth(tlsClient{ca: stranger.PEM, name: name}, "certificate signed by unknown authority")
	s.wantServed(plain, first)
	// The first certificate is not for the address that dfsctl asks.
	if _, err := s.tryLogin(ca.PEM, nil, nil); err == nil || !strings.Contains(err.Error(), "x509") {
		t.Errorf("a certificate for another name: want the login refused, got %v", err)
	}

	// cert-manager renews it.
	second, secondKey := ca.sign(t, name, pod.Status.PodIP)
	s.setPair("api", ca.PEM, second, secondKey)
	s.wantServed(plain, second)
	s.samePod(pod)
	c, err := s.tryLogin(ca.PEM, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.createShare("/export")
	c.wantShare("/export")

	// Renewed by halves, the one before is served, and the pod is kept.
	third, thirdKey := ca.sign(t, name, pod.Status.PodIP)
	s.setPair("api", ca.PEM, third, secondKey)
	if msg := s.waitCondition("Accepted", "True", "AcceptedWithWarnings"); !strings.Contains(msg, "tls.crt and tls.key of Secret api") {
		t.Errorf("Accepted says %s", msg)
	}
	s.Patch("dittoserver", s.name, `{"spec": {"logging": {"level": "DEBUG"}}}`)
	s.waitCondition("Progressing", "True", "WaitingForSecret")
	s.wantServed(plain, second)
	s.samePod(pod)
	pod = s.replaces(pod, func() { s.setPair("api", ca.PEM, third, thirdKey) })
	s.wantServed(plain, third)

	// Clients need a certificate once there are authorities for them.
	s.Patch("dittoserver", s.name, `{"spec": {"controlPlane": {"clientCASecretName": "clients"}}}`)
	s.waitCondition("Accepted", "False", "ChangeHeld")
	s.samePod(pod)
	s.wantHealth(plain, "")
	pod = s.replaces(pod, func() { s.setSecret("clients", "ca.crt", string(ca.PEM)) })
	s.waitCondition("Accepted", "True", "SpecAccepted")

	cert, key := ca.sign(t, "me")
	wrong, wrongKey := stranger.sign(t, "me")
	s.wantHealth(plain, "certificate required")
	s.wantHealth(tlsClient{ca: ca.PEM, name: name, cert: wrong, key: wrongKey}, "bad certificate|certificate required|unknown certificate authority")
	s.wantHealth(tlsClient{ca: ca.PEM, name: name, cert: cert, key: key}, "")

	fourth, fourthKey := ca.sign(t, name, pod.Status.PodIP)
	s.setPair("api", ca.PEM, fourth, fourthKey)
	s.wantServed(tlsClient{ca: ca.PEM, name: name, cert: cert, key: key}, fourth)
	s.samePod(pod)
	if _, err := s.tryLogin(ca.PEM, nil, nil); err == nil {
		t.Error("dfsctl without a certificate: want the login refused")
	}
	c, err = s.tryLogin(ca.PEM, cert, key)
	if err != nil {
		t.Fatal(err)
	}
	c.wantShare("/export")

	// Other authorities are read at the start.
	s.replaces(pod, func() { s.setSecret("clients", "ca.crt", string(stranger.PEM)) })
	s.wantHealth(tlsClient{ca: ca.PEM, name: name, cert: wrong, key: wrongKey}, "")
	s.wantHealth(tlsClient{ca: ca.PEM, name: name, cert: cert, key: key}, "bad certificate|certificate required|unknown certificate authority")
}

// setPair writes a Secret as cert-manager does.
func (s *server) setPair(name string, ca, cert, key []byte) {
	s.t.Helper()

	s.Apply(fmt.Sprintf("apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {name: %s}\nstringData: {ca.crt: %q, tls.crt: %q, tls.key: %q}\n", name, ca, cert, key))
}

// A tlsClient is a client of the API that trusts an authority, and may have a
// certificate of its own.
type tlsClient struct {
	ca        []byte
	name      string
	cert, key []byte
}

func (c tlsClient) config() (*tls.Config, error) {
	out := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: c.name, MinVersion: tls.VersionTLS12}
	out.RootCAs.AppendCertsFromPEM(c.ca)
	if c.cert == nil {
		return out, nil
	}
	pair, err := tls.X509KeyPair(c.cert, c.key)
	// Whatever authorities the server names.
	out.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }

	return out, err
}

// wantHealth waits until a client gets the server's health, or fails with one of the
// messages, which | separates.
func (s *server) wantHealth(c tlsClient, messages string) {
	s.t.Helper()

	e2e.Eventually(s.t, "health for a client that should be told "+fmt.Sprintf("%q", messages), func() error {
		err := s.healthOver(c)
		if messages == "" {
			return err
		}
		if err == nil {
			return fmt.Errorf("it is answered")
		}
		for _, m := range strings.Split(messages, "|") {
			if strings.Contains(err.Error(), m) {
				return nil
			}
		}
		return err
	})
}

func (s *server) healthOver(c tlsClient) error {
	p, err := s.pod(s.serverLabels())
	if err != nil {
		return err
	}
	cfg, err := c.config()
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}}
	rsp, err := client.Get("https://" + net.JoinHostPort(p.Status.PodIP, "8080") + "/health")
	if err != nil {
		return err
	}
	defer rsp.Body.Close() //nolint:errcheck // It is only read.
	b, err := io.ReadAll(rsp.Body)
	if err == nil && !strings.Contains(string(b), `"control_plane_db":"reachable"`) {
		return fmt.Errorf("/health says %s", b)
	}
	return err
}

// wantServed waits until the server serves a certificate.
func (s *server) wantServed(c tlsClient, cert []byte) {
	s.t.Helper()

	block, _ := pem.Decode(cert)
	e2e.Eventually(s.t, "the certificate that is served", func() error {
		p, err := s.pod(s.serverLabels())
		if err != nil {
			return err
		}
		cfg, err := c.config()
		if err != nil {
			return err
		}
		conn, err := tls.Dial("tcp", net.JoinHostPort(p.Status.PodIP, "8080"), cfg)
		if err != nil {
			return err
		}
		defer conn.Close() //nolint:errcheck // Nothing was written.
		if got := conn.ConnectionState().PeerCertificates[0]; string(got.Raw) != string(block.Bytes) {
			return fmt.Errorf("it is another: serial number %d", got.SerialNumber)
		}
		return nil
	})
}

// tryLogin logs the administrator in over https, with a certificate of the client's
// if there is one.
func (s *server) tryLogin(ca, cert, key []byte) (*client, error) {
	s.t.Helper()

	password, err := s.secret(s.name+"-admin-bootstrap-credentials", "password")
	if err != nil {
		s.t.Fatal(err)
	}
	p := s.serverPod()
	c := &client{s: s, home: s.t.TempDir()}
	args := []string{"login", "--server", "https://" + net.JoinHostPort(p.Status.PodIP, "8080"), "-u", "admin", "-p", password}
	for flag, data := range map[string][]byte{"--cacert": ca, "--client-cert": cert, "--client-key": key} {
		if data == nil {
			continue
		}
		file := filepath.Join(c.home, flag[2:]+".pem")
		if err := disk.WriteMode(file, data, 0o600); err != nil {
			s.t.Fatal(err)
		}
		args = append(args, flag, file)
	}
	_, err = c.try(args...)

	return c, err
}
