package real

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/binaries"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/certs"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/node"
)

const (
	// The certificate of publicS3 is signed by an authority that all images
	// trust, that of privateS3 by one that a user has to name.
	publicS3, publicPort   = "s3.test", "9000"
	privateS3, privatePort = "s3.private.test", "9001"

	bucket      = "backups"
	accessKey   = "ACCESSKEY"
	secretKey   = "SecretKeyOfTheTests"
	region      = "eu-west-1"
	gatewayWait = 30 * time.Second
)

// An s3 server, which keeps objects as files.
type s3 struct {
	dir      string
	publicCA string
}

// privateCA is what signed the certificate of privateS3.
var privateCA []byte

func newS3(dir string) (*s3, error) {
	s := &s3{dir: dir, publicCA: filepath.Join(dir, "public-ca.crt")}
	if err := os.MkdirAll(filepath.Join(dir, "data", bucket), 0o755); err != nil {
		return nil, err
	}

	for name, host := range map[string]string{"public": publicS3, "private": privateS3} {
		ca, err := certs.New(name)
		if err != nil {
			return nil, err
		}
		cert, key, err := ca.Issue(host)
		if err != nil {
			return nil, err
		}
		if name == "private" {
			privateCA = ca.PEM
		}
		for file, data := range map[string][]byte{name + "-ca.crt": ca.PEM, name + ".crt": cert, name + ".key": key} {
			if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
				return nil, err
			}
		}
	}

	// Programs of any user read it.
	return s, os.Chmod(s.publicCA, 0o644)
}

// start the server, on both names. It ends with the control plane.
func (s *s3) start(logDir string) error {
	bin, err := binaries.VersityGW().Path()
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(logDir, "s3.log"))
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // The processes have it.

	for name, port := range map[string]string{"public": publicPort, "private": privatePort} {
		addr := net.JoinHostPort(node.Gateway, port)
		cmd := exec.Command(bin, "--access", accessKey, "--secret", secretKey, "--region", region,
			"--port", addr, "--cert", filepath.Join(s.dir, name+".crt"), "--key", filepath.Join(s.dir, name+".key"),
			"posix", filepath.Join(s.dir, "data"))
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Start(); err != nil {
			return err
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		if err := listening(addr, ended); err != nil {
			return err
		}
	}

	return nil
}

func listening(addr string, ended <-chan error) error {
	deadline := time.Now().Add(gatewayWait)
	for {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case err := <-ended:
			return fmt.Errorf("the S3 server has ended: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("the S3 server does not listen after %s", gatewayWait), err)
		}
	}
}
