package dittofs

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/internal/manifest"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/render"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// TestNetworkPolicyOfTheOperator guards that the feature alone gives what the DittoFS
// operator left in a cluster.
func TestNetworkPolicyOfTheOperator(t *testing.T) {
	docs, err := render.Loader{}.Load("../../testdata/operator-layout/corp.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := resolved(func(s *server.Server) {
		s.Name, s.Namespace = "corp", "team-a"
		s.Network.Enabled = true
		s.Metrics = server.Metrics{Enabled: true, Port: 9090}
	})
	got := NetworkPolicy(s)
	sent, err := manifest.Struct(got)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range docs {
		if d.Object.GetKind() != "NetworkPolicy" || d.Object.GetName() != got.Name {
			continue
		}
		s, err := render.ToStruct(d.Object)
		if err != nil {
			t.Fatal(err)
		}
		o := observed.FromStruct(s)
		if diff := cmp.Diff(o.Map("spec"), observed.FromStruct(sent).Map("spec")); diff != "" {
			t.Errorf("NetworkPolicy(...).Spec: -operator, +got:\n%s", diff)
		}
		for k, v := range got.Labels {
			if o.Label(k) != v {
				t.Errorf("NetworkPolicy(...): want the operator's label %s=%s, got %s", k, o.Label(k), v)
			}
		}
		return
	}
	t.Fatal("the operator's NetworkPolicy is not among what it left")
}

// TestAdapterPolicies guards the names and labels of the operator's.
func TestAdapterPolicies(t *testing.T) {
	peers := server.Peers{{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}}}
	s := resolved(func(s *server.Server) {
		s.Network = server.Network{Enabled: true, Adapters: peers}
		s.SMB.Port = 4450
	})
	policy := func(name, adapter string, port int32) *networkingv1.NetworkPolicy {
		return &networkingv1.NetworkPolicy{
			TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", Labels: map[string]string{
				"app": "dittofs-server", "instance": "files", "dittofs.io/adapter-networkpolicy": "true", "dittofs.io/adapter-type": adapter,
			}},
			Spec: networkingv1.NetworkPolicySpec{
				PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "dittofs-server", "instance": "files"}},
				PolicyTypes: []networkingv1.PolicyType{"Ingress"},
				Ingress: []networkingv1.NetworkPolicyIngressRule{{
					From:  peers,
					Ports: []networkingv1.NetworkPolicyPort{{Protocol: ptr.To(corev1.ProtocolTCP), Port: ptr.To(intstr.FromInt32(port))}},
				}},
			},
		}
	}
	if diff := cmp.Diff(policy("files-adapter-nfs", "nfs", 12049), NFSPolicy(s)); diff != "" {
		t.Errorf("NFSPolicy(...): -want, +got:\n%s", diff)
	}
	if diff := cmp.Diff(policy("files-adapter-smb", "smb", 4450), SMBPolicy(s)); diff != "" {
		t.Errorf("SMBPolicy(...): -want, +got:\n%s", diff)
	}
}
