package dittofs

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// TestProbes guards that the kubelet can ask a server for its health, however it
// serves its API.
func TestProbes(t *testing.T) {
	port := intstr.FromInt32(8080)
	get := func(path string, scheme corev1.URIScheme) corev1.ProbeHandler {
		return corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: port, Scheme: scheme}}
	}
	tcp := corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: port}}
	cases := map[string]struct {
		reason        string
		server        *server.Server
		health, ready corev1.ProbeHandler
	}{
		"HTTP":    {reason: "plain http", server: resolved(), health: get("/health", ""), ready: get("/health/ready", "")},
		"InFront": {reason: "the kubelet does not go through what is in front", server: resolved(func(s *server.Server) { s.TLS.InFront = true }), health: get("/health", ""), ready: get("/health/ready", "")},
		"HTTPS":   {reason: "the kubelet accepts any certificate", server: resolved(withTLS), health: get("/health", "HTTPS"), ready: get("/health/ready", "HTTPS")},
		"Mutual":  {reason: "the kubelet has no certificate of its own", server: resolved(withMutualTLS), health: tcp, ready: tcp},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := StatefulSet(tc.server, nil, observed.Object{}).Spec.Template.Spec.Containers[0]
			for what, p := range map[string]struct{ got, want corev1.ProbeHandler }{
				"startup":   {c.StartupProbe.ProbeHandler, tc.health},
				"liveness":  {c.LivenessProbe.ProbeHandler, tc.health},
				"readiness": {c.ReadinessProbe.ProbeHandler, tc.ready},
			} {
				if diff := cmp.Diff(p.want, p.got); diff != "" {
					t.Errorf("%s\n%s probe: -want, +got:\n%s", tc.reason, what, diff)
				}
			}
		})
	}
}

// TestCertificateMount guards that a renewed certificate reaches the server, which a
// subPath would keep from it, and that nothing else of its Secret does.
func TestCertificateMount(t *testing.T) {
	pod := StatefulSet(resolved(onSQLite, withMutualTLS), nil, observed.Object{}).Spec.Template.Spec
	for _, m := range pod.Containers[0].VolumeMounts {
		if m.SubPath != "" || m.SubPathExpr != "" {
			t.Errorf("mount %s has a subPath, which is not updated", m.Name)
		}
	}
	want := map[string][]corev1.KeyToPath{
		"api":     {{Key: "tls.crt", Path: "tls.crt"}, {Key: "tls.key", Path: "tls.key"}},
		"clients": {{Key: "ca.crt", Path: "ca.crt"}},
	}
	got := map[string][]corev1.KeyToPath{}
	for _, v := range pod.Volumes {
		if v.Secret != nil {
			got[v.Secret.SecretName] = v.Secret.Items
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Secrets that are mounted: -want, +got:\n%s", diff)
	}
}
