package dittofs

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
)

const (
	dnsPort       = 53
	kerberosPort  = 88
	domainSMBPort = 445
	postgresPort  = 5432

	// labelCluster is on every pod of a PerconaPGCluster. Source:
	// percona-postgresql-operator v2.9.0 and v3.0.0 internal/naming/labels.go.
	labelCluster = "postgres-operator.crunchydata.com/cluster"
)

// NetworkPolicy returns the policy that opens the API and the metrics, and that says what
// the pod may connect to. For a server that says nothing more it is the DittoFS operator's.
func NetworkPolicy(s *server.Server) *networkingv1.NetworkPolicy {
	n := s.Network
	ports := []int32{s.APIPort}
	if s.Metrics.Enabled && n.API == nil && n.Metrics == nil {
		ports = append(ports, s.Metrics.Port)
	}
	ingress := []networkingv1.NetworkPolicyIngressRule{allowFrom(n.API, ports...)}
	if s.Metrics.Enabled && len(ports) == 1 {
		ingress = append(ingress, allowFrom(n.Metrics, s.Metrics.Port))
	}
	p := networkPolicy(s, names.NetworkPolicySuffix, ingress)
	p.Labels["dittofs.io/baseline-networkpolicy"] = "true"
	if n.Restricted {
		p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		p.Spec.Egress = egress(s)
	}
	return p
}

// NFSPolicy returns the policy that opens NFS. The operator's opens ports beside it on
// which nothing listens.
func NFSPolicy(s *server.Server) *networkingv1.NetworkPolicy {
	return adapterPolicy(s, names.NFSSuffix, "nfs", s.NFS.Port)
}

// SMBPolicy returns the policy that opens SMB.
func SMBPolicy(s *server.Server) *networkingv1.NetworkPolicy {
	return adapterPolicy(s, names.SMBSuffix, "smb", s.SMB.Port)
}

func adapterPolicy(s *server.Server, suffix, adapter string, port int32) *networkingv1.NetworkPolicy {
	p := networkPolicy(s, suffix, []networkingv1.NetworkPolicyIngressRule{allowFrom(s.Network.Adapters, port)})
	p.Labels["dittofs.io/adapter-networkpolicy"] = "true"
	p.Labels["dittofs.io/adapter-type"] = adapter
	return p
}

func networkPolicy(s *server.Server, suffix string, ingress []networkingv1.NetworkPolicyIngressRule) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: names.NetworkingV1, Kind: names.NetworkPolicyKind},
		ObjectMeta: meta(s, s.Name+suffix),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: names.Labels(s.Name)},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress:     ingress,
		},
	}
}

// egress returns what a restricted pod may connect to. What a feature connects to is one
// line here.
func egress(s *server.Server) []networkingv1.NetworkPolicyEgressRule {
	n := s.Network
	dns := allowTo(n.DNS, dnsPort)
	dns.Ports = append(udp(dnsPort), dns.Ports...)
	out := []networkingv1.NetworkPolicyEgressRule{dns}
	if s.Cluster != nil {
		// Also where the control plane is elsewhere: file metadata may be in it.
		pods := metav1.LabelSelector{MatchLabels: map[string]string{labelCluster: names.Cluster(s.Name)}}
		out = append(out, allowTo(server.Peers{{PodSelector: &pods}}, postgresPort))
	}
	if s.Current.Kind == record.External {
		out = append(out, allowTo(n.Database, n.DatabasePort))
	}
	if ports := directory(s); len(ports) > 0 {
		out = append(out, networkingv1.NetworkPolicyEgressRule{To: n.Directory, Ports: ports})
	}
	return append(out, allowTo(n.S3, n.S3Port))
}

// directory returns the ports on which the server talks to a directory. With a machine
// account it is a domain controller's: Kerberos and, where its address is no name, DNS,
// then NETLOGON over SMB. A keytab alone needs nobody.
// Source: dittofs v0.29.0 internal/auth/netlogon/securechannel.go and discovery.go.
func directory(s *server.Server) []networkingv1.NetworkPolicyPort {
	var out []networkingv1.NetworkPolicyPort
	if s.LDAP.Enabled {
		out = append(out, tcp(s.LDAP.Port())...)
	}
	if s.Kerberos.Enabled && s.Kerberos.Machine.Enabled {
		out = append(out, udp(dnsPort, kerberosPort)...)
		out = append(out, tcp(dnsPort, kerberosPort, domainSMBPort)...)
	}
	return out
}

func allowFrom(from server.Peers, port ...int32) networkingv1.NetworkPolicyIngressRule {
	return networkingv1.NetworkPolicyIngressRule{From: from, Ports: tcp(port...)}
}

func allowTo(to server.Peers, port ...int32) networkingv1.NetworkPolicyEgressRule {
	return networkingv1.NetworkPolicyEgressRule{To: to, Ports: tcp(port...)}
}

func tcp(ports ...int32) []networkingv1.NetworkPolicyPort { return over(corev1.ProtocolTCP, ports) }

func udp(ports ...int32) []networkingv1.NetworkPolicyPort { return over(corev1.ProtocolUDP, ports) }

func over(protocol corev1.Protocol, ports []int32) []networkingv1.NetworkPolicyPort {
	out := make([]networkingv1.NetworkPolicyPort, 0, len(ports))
	for _, p := range ports {
		out = append(out, networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: ptr.To(intstr.FromInt32(p))})
	}
	return out
}
