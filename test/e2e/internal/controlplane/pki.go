package controlplane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"time"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
)

// A pki is the certificate authority of a control plane, in a folder.
type pki struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newPKI makes an authority, the API server's certificate, that of an
// administrator, and the key that signs service accounts' tokens.
func newPKI(dir string) (*pki, error) {
	if err := disk.Dir(dir); err != nil {
		return nil, err
	}

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}

	p := &pki{dir: dir, key: key}
	p.cert = &x509.Certificate{
		Subject:               pkix.Name{CommonName: "e2e-ca"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	if err := p.write("ca", p.cert, key); err != nil {
		return nil, err
	}

	if err := p.issue("apiserver", &x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		DNSNames:    []string{"localhost", "kubernetes.default.svc"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}); err != nil {
		return nil, err
	}

	if err := p.issue("admin", &x509.Certificate{
		Subject:     pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}); err != nil {
		return nil, err
	}

	return p, p.issue("service-accounts", &x509.Certificate{Subject: pkix.Name{CommonName: "service-accounts"}})
}

func (p *pki) path(file string) string { return filepath.Join(p.dir, file) }

func (p *pki) issue(name string, c *x509.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	c.KeyUsage = x509.KeyUsageDigitalSignature

	return p.write(name, c, key)
}

func (p *pki) write(name string, c *x509.Certificate, key *ecdsa.PrivateKey) error {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return err
	}

	c.SerialNumber = serial
	c.NotBefore = time.Now().Add(-time.Hour)
	c.NotAfter = time.Now().AddDate(1, 0, 0)

	der, err := x509.CreateCertificate(rand.Reader, c, p.cert, &key.PublicKey, p.key)
	if err != nil {
		return fmt.Errorf("cannot make certificate %s: %w", name, err)
	}

	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}

	if err := disk.Write(p.path(name+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})); err != nil {
		return err
	}

	return disk.WriteMode(p.path(name+".key"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), 0o600)
}

// kubeconfig is an administrator's. It holds the certificates themselves and
// can be moved.
func (p *pki) kubeconfig(server string) ([]byte, error) {
	f := map[string][]byte{}
	for _, n := range []string{"ca.crt", "admin.crt", "admin.key"} {
		data, err := disk.Read(p.path(n))
		if err != nil {
			return nil, err
		}
		f[n] = data
	}

	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: dittoserver, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: admin, user: {client-certificate-data: %s, client-key-data: %s}}]
contexts: [{name: dittoserver, context: {cluster: dittoserver, user: admin}}]
current-context: dittoserver
`, server, b64(f["ca.crt"]), b64(f["admin.crt"]), b64(f["admin.key"])), nil
}
