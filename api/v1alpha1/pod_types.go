package v1alpha1

// An AdaptersSpec is how clients reach the server's adapters.
type AdaptersSpec struct {
	// NFS is the adapter for NFS clients, behind the Service <server>-adapter-nfs.
	// +optional
	NFS *AdapterSpec `json:"nfs,omitempty"`

	// SMB is the adapter for SMB clients, behind the Service <server>-adapter-smb.
	// +optional
	SMB *AdapterSpec `json:"smb,omitempty"`
}

// An AdapterSpec is how clients reach an adapter. The adapter itself is a setting of the
// server, which keeps it in its database and starts with both adapters on.
type AdapterSpec struct {
	// Enabled publishes the adapter. Set to false, its Service is deleted, and an address
	// of a load balancer with it. The server itself goes on listening until it is told
	// not to, with dfsctl adapter disable; the Accepted condition shows the command. A
	// change restarts the server. Default: true.
	// +optional
	Enabled *bool `json:"enabled,omitempty"`

	// Port that the adapter listens on and its Service is reached by, 1 to 65535, other
	// than those of the API, the metrics and the other adapter. A server starts on the
	// default; any other port has to be set in the server too, with dfsctl adapter edit,
	// and the Accepted condition shows the command. A change restarts the server.
	// Default: 12049 for NFS, 1445 for SMB.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port *int32 `json:"port,omitempty"`

	// Service that clients mount from. What it leaves out comes from adapterServices.
	// +optional
	Service *AdapterServiceSpec `json:"service,omitempty"`
}

// An AdapterServiceSpec is the Service that clients of an adapter mount from.
type AdapterServiceSpec struct {
	// Type of the Service: ClusterIP, NodePort or LoadBalancer. Default: that of
	// adapterServices, else ClusterIP.
	// +optional
	// +kubebuilder:validation:Enum=ClusterIP;NodePort;LoadBalancer
	Type string `json:"type,omitempty"`

	// Annotations of the Service, for example those of a cloud's load balancer, on top of
	// those of adapterServices. Default: none.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`

	// LoadBalancerSourceRanges are the addresses that the load balancer lets in, each a
	// CIDR such as 10.0.0.0/8, where the cloud supports that. They need the type
	// LoadBalancer. Default: none, everybody is let in.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.all(r, r.matches('^[0-9A-Fa-f:.]+/[0-9]{1,3}$'))",message="must be CIDRs such as 10.0.0.0/8"
	LoadBalancerSourceRanges []string `json:"loadBalancerSourceRanges,omitempty"`

	// LoadBalancerClass is the implementation that makes the load balancer, such as
	// service.k8s.aws/nlb. It needs the type LoadBalancer. A Service that is one keeps the
	// class that it has. Default: the cluster's own implementation.
	// +optional
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:XValidation:rule="self.matches('^(([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$')",message="must be the name of a load balancer's implementation, such as service.k8s.aws/nlb"
	LoadBalancerClass string `json:"loadBalancerClass,omitempty"`

	// ExternalTrafficPolicy is Cluster, where traffic from outside may come in by every
	// node, or Local, where it comes in by the server's node only and keeps its source
	// address. It needs the type LoadBalancer or NodePort. Default: Cluster.
	// +optional
	// +kubebuilder:validation:Enum=Cluster;Local
	ExternalTrafficPolicy string `json:"externalTrafficPolicy,omitempty"`
}
