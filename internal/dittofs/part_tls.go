package dittofs

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/server"
)

const (
	certDir     = "/tls"
	clientCADir = "/tls-client-ca"
)

// secretMode lets the server read a file, by its group, and nobody else.
const secretMode int32 = 0o440

// apiTLS is how the server serves its REST API over TLS. The certificate is no
// source: the server reads it again when it has changed, which it does in a volume
// that is mounted as a whole. It reads the authorities of clients once.
// Source: dittofs v0.29.0 internal/tlsconfig/tlsconfig.go.
func apiTLS(s *server.Server) part {
	config := section{"cert_file": certDir + "/" + corev1.TLSCertKey, "key_file": certDir + "/" + corev1.TLSPrivateKeyKey}
	p := part{
		mounts: []corev1.VolumeMount{{Name: names.VolumeTLS, MountPath: certDir, ReadOnly: true}},
		volumes: []corev1.Volume{{Name: names.VolumeTLS, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
			SecretName: s.TLS.Cert,
			Items: []corev1.KeyToPath{
				{Key: corev1.TLSCertKey, Path: corev1.TLSCertKey},
				{Key: corev1.TLSPrivateKeyKey, Path: corev1.TLSPrivateKeyKey},
			},
			DefaultMode: ptr.To(secretMode),
		}}}},
		config: section{"controlplane": section{"tls": config}},
	}
	if ca := s.TLS.ClientCA; ca != "" {
		config["client_ca"] = clientCADir + "/" + names.CAKey
		p.mounts = append(p.mounts, corev1.VolumeMount{Name: names.VolumeClientCA, MountPath: clientCADir, ReadOnly: true})
		p.volumes = append(p.volumes, secretVolume(names.VolumeClientCA, ca, names.CAKey))
		p.sources = []source{{name: SourceClientCA, secret: ca, keys: []string{names.CAKey}, public: true}}
	}
	return p
}
