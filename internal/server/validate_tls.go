package server

import (
	"github.com/dittofs/function-dittoserver/api/v1alpha1"
)

// TLS is how clients reach the REST API.
type TLS struct {
	// InFront is true if something in front of the server, such as a mesh, speaks
	// TLS with clients.
	InFront bool
	// Cert is the Secret with the certificate that the server itself serves with;
	// empty for plain http.
	Cert string
	// ClientCA is the Secret with the authorities of client certificates; empty if
	// clients need none.
	ClientCA string
}

// Scheme returns the scheme of the API's URL.
func (t TLS) Scheme() string {
	if t.InFront || t.Cert != "" {
		return "https"
	}
	return "http"
}

func (v *validator) tls() {
	spec := or(v.spec.ControlPlane, v1alpha1.ControlPlaneAPIConfig{})
	v.s.TLS = TLS{InFront: spec.TLS, Cert: spec.CertSecretName, ClientCA: spec.ClientCASecretName}
	if spec.CertSecretName != "" {
		v.objectName(pathCert, spec.CertSecretName)
	}
	if spec.ClientCASecretName == "" {
		return
	}
	v.objectName(pathClientCA, spec.ClientCASecretName)
	if spec.CertSecretName == "" {
		v.required(pathCert, "the Secret with the server's own certificate: without it the server cannot ask clients for theirs, as "+v.spec.Path(pathClientCA).String()+" wants")
	}
}
