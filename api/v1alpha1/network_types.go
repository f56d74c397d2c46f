package v1alpha1

import (
	networkingv1 "k8s.io/api/networking/v1"
)

// What a server's pod may connect to, the values of spec.networkPolicy.egress.
const (
	EgressOpen       = "Open"
	EgressRestricted = "Restricted"
)

// A NetworkPolicySpec is who may connect to a server's pod, and what the pod
// may connect to.
type NetworkPolicySpec struct {
	// Enabled makes the NetworkPolicies <server>-baseline, <server>-adapter-nfs and
	// <server>-adapter-smb. Alone it opens the server's ports to everybody and closes all
	// others. It takes a network plugin that enforces NetworkPolicies. Default: false.
	// +optional
	Enabled bool `json:"enabled,omitempty"`

	// Ingress says who may connect to which of the server's ports.
	// +optional
	Ingress *NetworkPolicyIngressSpec `json:"ingress,omitempty"`

	// Egress is what the server's pod may connect to. Open: everything. Restricted: DNS, S3,
	// the server's database, the directory of identity.ldap and the domain controllers of
	// identity.kerberos.machineAccount, and nothing else but what a NetworkPolicy of your own
	// opens; connections that clients make are answered in any case. Default: Open.
	// +optional
	// +kubebuilder:validation:Enum=Open;Restricted
	Egress string `json:"egress,omitempty"`

	// EgressTo limits what Restricted opens to these peers.
	// +optional
	EgressTo *NetworkPolicyEgressSpec `json:"egressTo,omitempty"`
}

// A NetworkPolicyIngressSpec is who may connect to which of a server's ports. Peers are
// written as in a NetworkPolicy of Kubernetes: pods, by labels of theirs and of their
// namespaces, or a range of addresses. A range sees what the network plugin sees, which
// behind a load balancer is often a node's address.
type NetworkPolicyIngressSpec struct {
	// API is who may connect to the REST API. The kubelet's probes always may. Default:
	// everybody.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	API []networkingv1.NetworkPolicyPeer `json:"api,omitempty"`

	// Adapters is who may mount, over NFS or SMB. Default: everybody.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Adapters []networkingv1.NetworkPolicyPeer `json:"adapters,omitempty"`

	// Metrics is who may read the metrics, where they are enabled. Default: everybody.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Metrics []networkingv1.NetworkPolicyPeer `json:"metrics,omitempty"`
}

// A NetworkPolicyEgressSpec is where a server's pod connects to, with egress Restricted.
// The pods of its PerconaPGCluster are known and need no peers.
type NetworkPolicyEgressSpec struct {
	// DNS is where names are resolved, on port 53. Default: the pods labelled
	// k8s-app: kube-dns in the namespace kube-system.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	DNS []networkingv1.NetworkPolicyPeer `json:"dns,omitempty"`

	// Database is where a database of your own (database.postgresSecretRef) is: its Secret
	// has a host name, which a NetworkPolicy cannot hold. Default: any address, on the
	// Secret's port.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Database []networkingv1.NetworkPolicyPeer `json:"database,omitempty"`

	// Directory is where the directory of identity.ldap and the domain controllers of
	// identity.kerberos.machineAccount are. Default: any address, on their ports.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Directory []networkingv1.NetworkPolicyPeer `json:"directory,omitempty"`

	// S3 is where block stores of shares are, which the server learns from its REST API.
	// Default: any address.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	S3 []networkingv1.NetworkPolicyPeer `json:"s3,omitempty"`

	// S3Port is the port of S3, 1 to 65535. Default: 443.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	S3Port *int32 `json:"s3Port,omitempty"`
}
