package dittofs

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
)

func TestServices(t *testing.T) {
	s := resolved(func(s *server.Server) {
		s.APIPort = 9000
		s.Metrics = server.Metrics{Enabled: true, Port: 9100, Path: "/m"}
		s.Service = server.Exposure{Type: corev1.ServiceTypeNodePort, Annotations: map[string]string{"a": "1"}}
		s.NFS.Service = server.Exposure{Type: corev1.ServiceTypeLoadBalancer, Annotations: map[string]string{"b": "2"}}
		s.SMB.Service = s.NFS.Service
	})
	metrics := func(svc *corev1.Service) *corev1.Service {
		svc.Labels["dittofs.io/metrics-service"] = "true"
		return svc
	}
	service := func(name string, typ corev1.ServiceType, clusterIP, port string, number int32, annotations map[string]string) *corev1.Service {
		return &corev1.Service{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
			ObjectMeta: metav1.ObjectMeta{
				Name: name, Namespace: "default", Annotations: annotations,
				Labels: map[string]string{"app": "dittofs-server", "instance": "files"},
			},
			Spec: corev1.ServiceSpec{
				Type:      typ,
				ClusterIP: clusterIP,
				Selector:  map[string]string{"app": "dittofs-server", "instance": "files"},
				Ports:     []corev1.ServicePort{{Name: port, Protocol: corev1.ProtocolTCP, Port: number, TargetPort: intstr.FromInt32(number)}},
			},
		}
	}
	cases := map[string]struct {
		reason    string
		got, want *corev1.Service
	}{
		"Headless": {
			reason: "the governing Service has no address, and none of the user's annotations",
			got:    Headless(s, observed.Object{}),
			want:   service("files-headless", corev1.ServiceTypeClusterIP, "None", "api", 9000, nil),
		},
		"API": {
			reason: "the API as the spec exposes it",
			got:    API(s, observed.Object{}),
			want:   service("files-api", corev1.ServiceTypeNodePort, "", "api", 9000, map[string]string{"a": "1"}),
		},
		"NFS": {
			reason: "without it nobody can mount the server",
			got:    NFS(s, observed.Object{}),
			want:   service("files-adapter-nfs", corev1.ServiceTypeLoadBalancer, "", "nfs", 12049, map[string]string{"b": "2"}),
		},
		"SMB": {
			reason: "a fresh server listens for SMB on 1445, whatever its help says",
			got:    SMB(s, observed.Object{}),
			want:   service("files-adapter-smb", corev1.ServiceTypeLoadBalancer, "", "smb", 1445, map[string]string{"b": "2"}),
		},
		"Metrics": {
			reason: "Prometheus finds what it scrapes by label or by annotations; nobody else is to reach it",
			got:    Metrics(s, observed.Object{}),
			want: metrics(service("files-metrics", corev1.ServiceTypeClusterIP, "", "metrics", 9100, map[string]string{
				"prometheus.io/scrape": "true", "prometheus.io/port": "9100", "prometheus.io/path": "/m",
			})),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, tc.got); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestServicePortNames guards against two ports of one name: where somebody else
// owns a port of the name, server-side apply keeps it beside ours, and the API
// server refuses both.
func TestServicePortNames(t *testing.T) {
	// owned is a Service with a port that the managers own.
	owned := func(name string, number, protocol string, managers ...string) observed.Object {
		y := `{spec: {ports: [{name: ` + name + `, port: ` + number + `}]}, metadata: {managedFields: [`
		for _, m := range managers {
			y += `{manager: ` + m + `, operation: Update, fieldsV1: {"f:spec": {"f:ports": {'k:{"port":` + number + `,"protocol":"` + protocol + `"}': {".": {}}}}}}, `
		}
		return parse(t, y+`]}}`)
	}
	const crossplane, operator = `"apiextensions.crossplane.io/composed/abc"`, "dittofs-operator"

	cases := map[string]struct {
		reason string
		live   observed.Object
		want   string
	}{
		"New":           {reason: "nobody has the name", want: "api"},
		"TheSame":       {reason: "the same port is merged, whoever made it", live: owned("api", "8080", "TCP", operator), want: "api"},
		"Operators":     {reason: "the port that the operator made stays, and has the name", live: owned("api", "8081", "TCP", operator), want: "api-8080"},
		"Ours":          {reason: "a port that Crossplane alone owns goes when it is not sent", live: owned("api", "8081", "TCP", crossplane), want: "api"},
		"Shared":        {reason: "one that somebody else owns too stays", live: owned("api", "8081", "TCP", crossplane, operator), want: "api-8080"},
		"OtherName":     {reason: "a port of another name is in nobody's way", live: owned("rest", "8081", "TCP", operator), want: "api"},
		"NobodyOwns":    {reason: "what nobody owns does not stay", live: owned("api", "8081", "TCP"), want: "api"},
		"OtherProtocol": {reason: "a port is known by its protocol too", live: owned("api", "8081", "UDP", operator), want: "api"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := API(resolved(), tc.live).Spec.Ports[0].Name; got != tc.want {
				t.Errorf("%s\nAPI(...): want a port named %q, got %q", tc.reason, tc.want, got)
			}
		})
	}
}

func TestSecrets(t *testing.T) {
	cases := map[string]struct {
		reason string
		got    *corev1.Secret
		want   *corev1.Secret
	}{
		"JWT": {
			reason: "the Secret of the operator's name, with its key",
			got:    JWTSecret(resolved(), []byte("value"), observed.Object{}),
			want:   &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "files-jwt-secret"}, Type: corev1.SecretTypeOpaque, Data: map[string][]byte{"jwt-secret": []byte("value")}},
		},
		"Admin": {
			reason: "the user's name is the one that the server gives him, whatever was there",
			got:    AdminSecret(resolved(), []byte("value"), secretOf("password", "old", "username", "root")),
			want:   &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "files-admin-bootstrap-credentials"}, Type: corev1.SecretTypeOpaque, Data: map[string][]byte{"username": []byte("admin"), "password": []byte("value")}},
		},
		"Type": {
			reason: "a Secret's type cannot be changed",
			got:    JWTSecret(resolved(), []byte("value"), parse(t, `{type: example.com/mine, data: {jwt-secret: b2xk}}`)),
			want:   &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "files-jwt-secret"}, Type: "example.com/mine", Data: map[string][]byte{"jwt-secret": []byte("value")}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tc.want.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}
			tc.want.Namespace, tc.want.Labels = "default", map[string]string{"app": "dittofs-server", "instance": "files"}
			if diff := cmp.Diff(tc.want, tc.got); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestGenerate(t *testing.T) {
	random := func() *bytes.Reader { return bytes.NewReader(bytes.Repeat([]byte{1, 2, 3}, 20)) }
	cases := map[string]struct {
		reason   string
		generate func(io.Reader) ([]byte, error)
		want     string
	}{
		"JWT":   {reason: "32 random bytes, which are more characters than the server asks for", generate: GenerateJWT, want: "AQIDAQIDAQIDAQIDAQIDAQIDAQIDAQIDAQIDAQIDAQI"},
		"Admin": {reason: "24 random characters", generate: GenerateAdminPassword, want: "AQIDAQIDAQIDAQIDAQIDAQID"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := tc.generate(random())
			if err != nil || string(got) != tc.want {
				t.Errorf("%s: want %q, got %q, %v", tc.reason, tc.want, got, err)
			}
			broken := errors.New("boom")
			if _, err := tc.generate(iotest.ErrReader(broken)); !errors.Is(err, broken) {
				t.Errorf("want the error of the source, got %v", err)
			}
			if _, err := tc.generate(bytes.NewReader([]byte{1})); err == nil {
				t.Error("want an error of a source that ends too early")
			}
		})
	}
}

func TestReadState(t *testing.T) {
	cases := map[string]struct {
		reason  string
		sts     string
		want    State
		settled bool
	}{
		"Nothing":  {reason: "there is no StatefulSet", want: State{}},
		"New":      {reason: "its controller has not looked yet", sts: `{metadata: {generation: 1}, spec: {replicas: 1}}`, want: State{Exists: true, Replicas: 1}},
		"Default":  {reason: "no number of replicas is one", sts: `{metadata: {generation: 1}, spec: {}, status: {observedGeneration: 1, updatedReplicas: 1, readyReplicas: 1}}`, want: State{Exists: true, Replicas: 1, Ready: 1, Current: true}, settled: true},
		"Settled":  {reason: "all is as it should be", sts: `{metadata: {generation: 2}, spec: {replicas: 1}, status: {observedGeneration: 2, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1}}`, want: State{Exists: true, Replicas: 1, Ready: 1, Available: 1, Current: true}, settled: true},
		"Stale":    {reason: "ready says nothing about a spec that nobody has seen", sts: `{metadata: {generation: 3}, spec: {replicas: 1}, status: {observedGeneration: 2, updatedReplicas: 1, readyReplicas: 1}}`, want: State{Exists: true, Replicas: 1, Ready: 1}},
		"Rolling":  {reason: "the pod is made of an older template", sts: `{metadata: {generation: 2}, spec: {replicas: 1}, status: {observedGeneration: 2, readyReplicas: 1}}`, want: State{Exists: true, Replicas: 1, Ready: 1}},
		"NotReady": {reason: "the pod does not come up", sts: `{metadata: {generation: 2}, spec: {replicas: 1}, status: {observedGeneration: 2, updatedReplicas: 1}}`, want: State{Exists: true, Replicas: 1, Current: true}},
		"Stopped":  {reason: "no replicas are wanted", sts: `{metadata: {generation: 2}, spec: {replicas: 0}, status: {observedGeneration: 2}}`, want: State{Exists: true, Current: true}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var o observed.Object
			if tc.sts != "" {
				o = parse(t, tc.sts)
			}
			got := ReadState(o)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\nReadState(...): -want, +got:\n%s", tc.reason, diff)
			}
			if s := got.Settled(1); s != tc.settled {
				t.Errorf("%s\nSettled(1): want %t, got %t", tc.reason, tc.settled, s)
			}
		})
	}
	if !(State{Exists: true, Current: true}).Settled(0) {
		t.Error("Settled(0) of a stopped server: want true")
	}
}
