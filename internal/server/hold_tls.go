package server

import (
	"crypto/tls"
	"crypto/x509"

	corev1 "k8s.io/api/core/v1"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/record"
)

// Paths of the fields of API TLS.
const (
	pathCert     = "controlPlane.certSecretName"
	pathClientCA = "controlPlane.clientCASecretName"
)

// tls keeps the certificate and the authorities of a live server where the pod could
// not start with those that the spec names.
func (h *holder) tls() {
	t := &h.s.TLS
	had := record.TLS{}
	if h.had != nil && h.had.TLS != nil {
		had = *h.had.TLS
	}
	if p := h.certProblem(t.Cert); !p.none() {
		switch {
		case !h.live.Exists(), had.Cert == t.Cert:
			h.warn(pathCert, "%s, and %s", p.what, p.so)
		case had.Cert == "":
			h.hold(pathCert, "%s. The server goes on without TLS until that is mended", p.what)
			// Without a certificate of its own it cannot ask for those of clients.
			t.Cert, t.ClientCA = "", ""
		default:
			h.hold(pathCert, "%s. The server goes on with Secret %s until that is mended", p.what, had.Cert)
			t.Cert = had.Cert
			h.lacksToo(pathCert, h.certProblem(t.Cert))
		}
	}
	if p := h.clientCAProblem(t.ClientCA); !p.none() {
		switch {
		case !h.live.Exists(), had.ClientCA == t.ClientCA:
			h.warn(pathClientCA, "%s, and %s", p.what, p.so)
		case had.ClientCA == "":
			h.hold(pathClientCA, "%s. Clients need no certificate until that is mended", p.what)
			t.ClientCA = ""
		default:
			h.hold(pathClientCA, "%s. The server goes on with Secret %s until that is mended", p.what, had.ClientCA)
			t.ClientCA = had.ClientCA
			h.lacksToo(pathClientCA, h.clientCAProblem(t.ClientCA))
		}
	}
	h.probes(had)
}

// probes keeps how the kubelet asks for health where somebody else's probes are on the
// live object, such as the DittoFS operator's on one that was taken over. Server-side
// apply keeps those, and the API server refuses a probe of two kinds: the server would
// never be changed again.
func (h *holder) probes(had record.TLS) {
	t := &h.s.TLS
	theirs := "tcpSocket"
	if t.ClientCA != "" {
		theirs = "httpGet"
	}
	if !h.live.OwnedByOthers("spec", "template", "spec", "containers", observed.Item{"name": names.ContainerName}, "livenessProbe", theirs) || (t.ClientCA != "") == (had.ClientCA != "") {
		return
	}
	h.hold(pathClientCA, "StatefulSet %s has probes that somebody else made, such as the DittoFS operator, and a probe cannot be changed from https to TCP or back beside them. To have it made again: kubectl -n %s delete statefulset %s --cascade=orphan", h.s.Name, h.s.Namespace, h.s.Name)
	t.Cert, t.ClientCA = had.Cert, had.ClientCA
}

// lacksTLS reports whether the pod could not start again for want of a certificate.
func (h *holder) lacksTLS() bool {
	return !h.certProblem(h.s.TLS.Cert).none() || !h.clientCAProblem(h.s.TLS.ClientCA).none()
}

// certProblem returns what is wrong with the Secret of the server's certificate. At
// its start the server asks for a pair that belongs together; later it goes on with
// the last one that did.
// Source: dittofs v0.29.0 internal/tlsconfig/tlsconfig.go.
func (h *holder) certProblem(secret string) problem {
	if secret == "" {
		return problem{}
	}
	for _, key := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
		if p := h.problem(record.SecretKey{Name: secret, Key: key}, false, ""); !p.none() {
			return p
		}
	}
	s := h.w.Secret(secret)
	cert, _ := s.Data(corev1.TLSCertKey)
	key, _ := s.Data(corev1.TLSPrivateKeyKey)
	// The error is not told: it quotes what the key has.
	if _, err := tls.X509KeyPair(cert, key); s.Known && err != nil {
		return problem{"tls.crt and tls.key of Secret " + secret + " are not a certificate and the key that belongs to it, in PEM", "the server cannot start with them; correct them"}
	}
	return problem{}
}

// clientCAProblem returns what is wrong with the Secret of the authorities of client
// certificates.
func (h *holder) clientCAProblem(secret string) problem {
	if secret == "" {
		return problem{}
	}
	if p := h.problem(record.SecretKey{Name: secret, Key: names.CAKey}, false, ""); !p.none() {
		return p
	}
	s := h.w.Secret(secret)
	ca, _ := s.Data(names.CAKey)
	if s.Known && !x509.NewCertPool().AppendCertsFromPEM(ca) {
		return problem{"the key " + names.CAKey + " of Secret " + secret + " has no certificate in PEM", "the server cannot start with it; correct it"}
	}
	return problem{}
}
