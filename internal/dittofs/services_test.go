package dittofs

import (
	"bytes"
	"errors"
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
		s.Service = server.Service{Type: corev1.ServiceTypeNodePort, Annotations: map[string]string{"a": "1"}}
		s.AdapterService = server.Service{Type: corev1.ServiceTypeLoadBalancer, Annotations: map[string]string{"b": "2"}}
	})
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
			got:    Headless(s),
			want:   service("files-headless", corev1.ServiceTypeClusterIP, "None", "api", 9000, nil),
		},
		"API": {
			reason: "the API as the spec exposes it",
			got:    API(s),
			want:   service("files-api", corev1.ServiceTypeNodePort, "", "api", 9000, map[string]string{"a": "1"}),
		},
		"NFS": {
			reason: "without it nobody can mount the server",
			got:    NFS(s),
			want:   service("files-adapter-nfs", corev1.ServiceTypeLoadBalancer, "", "nfs", 12049, map[string]string{"b": "2"}),
		},
		"SMB": {
			reason: "a fresh server listens for SMB on 1445, whatever its help says",
			got:    SMB(s),
			want:   service("files-adapter-smb", corev1.ServiceTypeLoadBalancer, "", "smb", 1445, map[string]string{"b": "2"}),
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

func TestSecrets(t *testing.T) {
	random := func() *bytes.Reader { return bytes.NewReader(bytes.Repeat([]byte{1, 2, 3}, 20)) }
	cases := map[string]struct {
		reason string
		build  func() (*corev1.Secret, error)
		want   map[string][]byte
	}{
		"NewJWT": {
			reason: "32 random bytes, which are more characters than the server asks for",
			build:  func() (*corev1.Secret, error) { return JWTSecret(resolved(), observed.Object{}, random()) },
			want:   map[string][]byte{"jwt-secret": []byte("AQIDAQIDAQIDAQIDAQIDAQIDAQIDAQIDAQIDAQIDAQI")},
		},
		"NewAdmin": {
			reason: "24 random characters",
			build:  func() (*corev1.Secret, error) { return AdminSecret(resolved(), observed.Object{}, random()) },
			want:   map[string][]byte{"username": []byte("admin"), "password": []byte("AQIDAQIDAQIDAQIDAQIDAQID")},
		},
		"CarriedJWT": {
			reason: "a new one would end every session",
			build: func() (*corev1.Secret, error) {
				return JWTSecret(resolved(), secretOf("jwt-secret", "old", "other", "x").Object, random())
			},
			want: map[string][]byte{"jwt-secret": []byte("old")},
		},
		"CarriedAdmin": {
			reason: "a new one would be wrong",
			build: func() (*corev1.Secret, error) {
				return AdminSecret(resolved(), secretOf("password", "old", "username", "root").Object, random())
			},
			want: map[string][]byte{"username": []byte("admin"), "password": []byte("old")},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s, err := tc.build()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, s.Data); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestSecretsNeedRandomness(t *testing.T) {
	broken := errors.New("boom")
	if _, err := JWTSecret(resolved(), observed.Object{}, iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("JWTSecret(...): want the error of the source, got %v", err)
	}
	// What exists needs no randomness.
	if _, err := JWTSecret(resolved(), secretOf("jwt-secret", "old").Object, iotest.ErrReader(broken)); err != nil {
		t.Errorf("JWTSecret(...) of what exists: %v", err)
	}
}

// TestSecretsKeepTheirType: a Secret's type cannot be changed.
func TestSecretsKeepTheirType(t *testing.T) {
	live := parse(t, `{type: example.com/mine, data: {jwt-secret: b2xk}}`)
	s, err := JWTSecret(resolved(), live, nil)
	if err != nil || s.Type != "example.com/mine" {
		t.Errorf("JWTSecret(...): want the live type, got %q, %v", s.Type, err)
	}
	if s, _ := JWTSecret(resolved(), secretOf("jwt-secret", "old").Object, nil); s.Type != corev1.SecretTypeOpaque {
		t.Errorf("JWTSecret(...): want type Opaque, got %q", s.Type)
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
