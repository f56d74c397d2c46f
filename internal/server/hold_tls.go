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
	t.Cert = h.keep(pathCert, certOf(t.Cert), certOf(had.Cert), h.certProblem, "The server goes on without TLS").Name
	if t.Cert == "" {
		// Without a certificate of its own it cannot ask for those of clients.
		t.ClientCA = ""
	}
	t.ClientCA = h.keep(pathClientCA, clientCAOf(t.ClientCA), clientCAOf(had.ClientCA), h.clientCAProblem, "Clients need no certificate").Name
	h.probes(had)
}

// certOf returns the reference to a certificate, and clientCAOf that to the authorities
// of those of clients; none for no Secret.
func certOf(secret string) record.SecretKey { return keyOf(secret, corev1.TLSCertKey) }

func clientCAOf(secret string) record.SecretKey { return keyOf(secret, names.CAKey) }

func keyOf(secret, key string) record.SecretKey {
	if secret == "" {
		return record.SecretKey{}
	}
	return record.SecretKey{Name: secret, Key: key}
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
	return !h.certProblem(certOf(h.s.TLS.Cert)).none() || !h.clientCAProblem(clientCAOf(h.s.TLS.ClientCA)).none()
}

// certProblem returns what is wrong with the Secret of the server's certificate. At
// its start the server asks for a pair that belongs together; later it goes on with
// the last one that did.
// Source: dittofs v0.29.0 internal/tlsconfig/tlsconfig.go.
func (h *holder) certProblem(ref record.SecretKey) problem {
	for _, key := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
		if p := h.textProblem(keyOf(ref.Name, key)); ref.Name == "" || !p.none() {
			return p
		}
	}
	s := h.w.Secret(ref.Name)
	cert, _ := s.Data(corev1.TLSCertKey)
	key, _ := s.Data(corev1.TLSPrivateKeyKey)
	// The error is not told: it quotes what the key has.
	if _, err := tls.X509KeyPair(cert, key); s.Known && err != nil {
		return problem{"tls.crt and tls.key of Secret " + ref.Name + " are not a certificate and the key that belongs to it, in PEM", "the server cannot start with them; correct them"}
	}
	return problem{}
}

// clientCAProblem returns what is wrong with the Secret of the authorities of client
// certificates.
func (h *holder) clientCAProblem(ref record.SecretKey) problem {
	return h.authoritiesProblem(ref, "the server cannot start with it")
}

// authoritiesProblem returns what is wrong with a reference to authorities, which may be
// none, and what follows from a value that is none.
func (h *holder) authoritiesProblem(ref record.SecretKey, so string) problem {
	if p := h.textProblem(ref); ref == (record.SecretKey{}) || !p.none() {
		return p
	}
	s := h.w.Secret(ref.Name)
	ca, _ := s.Data(ref.Key)
	if s.Known && !x509.NewCertPool().AppendCertsFromPEM(ca) {
		return problem{"the key " + ref.Key + " of Secret " + ref.Name + " has no certificate in PEM", so + "; correct it"}
	}
	return problem{}
}
