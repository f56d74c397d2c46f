package server

import (
	"cmp"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
)

// Peers are who is at the other end of a connection; nil for everybody.
type Peers []networkingv1.NetworkPolicyPeer

// A Network is who may connect to the server's pod, and what that may connect to.
type Network struct {
	Enabled bool
	// API, Adapters and Metrics may connect to the server's ports.
	API, Adapters, Metrics Peers

	// Restricted is true if the pod may only connect to what follows, and to the pods of
	// its PerconaPGCluster.
	Restricted bool
	// DNS is never nil where the pod is restricted.
	DNS Peers
	// Database is where a database that somebody else runs is, at DatabasePort.
	Database     Peers
	DatabasePort int32
	Directory    Peers
	S3           Peers
	S3Port       int32
}

const (
	defaultS3Port       = 443
	defaultDatabasePort = 5432
)

// kubeDNS are the pods that resolve names in most clusters, whatever program they run.
// Source: k8s.io/kubernetes v1.34 cluster/addons/dns/coredns/coredns.yaml.base.
func kubeDNS() Peers {
	return Peers{{
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: metav1.NamespaceSystem}},
		PodSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{"k8s-app": "kube-dns"}},
	}}
}

// network decides who may connect to the pod, and what that may connect to. What is
// wrong in a block that is switched off is not told.
func (v *validator) network() {
	spec := or(v.spec.NetworkPolicy, v1alpha1.NetworkPolicySpec{})
	if !spec.Enabled {
		return
	}
	in, to := or(spec.Ingress, v1alpha1.NetworkPolicyIngressSpec{}), or(spec.EgressTo, v1alpha1.NetworkPolicyEgressSpec{})
	egress := v.oneOf("networkPolicy.egress", cmp.Or(spec.Egress, v1alpha1.EgressOpen), v1alpha1.EgressOpen, v1alpha1.EgressRestricted)
	v.s.Network = Network{
		Enabled:    true,
		API:        v.peers("networkPolicy.ingress.api", in.API),
		Adapters:   v.peers("networkPolicy.ingress.adapters", in.Adapters),
		Metrics:    v.peers("networkPolicy.ingress.metrics", in.Metrics),
		Restricted: egress == v1alpha1.EgressRestricted,
		DNS:        v.peers("networkPolicy.egressTo.dns", to.DNS),
		Database:   v.peers("networkPolicy.egressTo.database", to.Database),
		Directory:  v.peers("networkPolicy.egressTo.directory", to.Directory),
		S3:         v.peers("networkPolicy.egressTo.s3", to.S3),
		S3Port:     or(to.S3Port, defaultS3Port),
	}
	v.inRange("networkPolicy.egressTo.s3Port", int64(v.s.Network.S3Port), 1, 65535)
	if v.s.Network.DNS == nil {
		v.s.Network.DNS = kubeDNS()
	}
	if spec.EgressTo != nil && !v.s.Network.Restricted {
		v.warn("networkPolicy.egressTo", "has no effect: the server may connect to everything unless %s is %s", v.spec.Path("networkPolicy.egress"), v1alpha1.EgressRestricted)
	}
}

// peers checks peers as the API server does: it would refuse the whole NetworkPolicy.
// Source: k8s.io/kubernetes v1.34 pkg/apis/networking/validation, ValidateNetworkPolicyPeer.
func (v *validator) peers(path string, peers []networkingv1.NetworkPolicyPeer) Peers {
	if peers == nil {
		return nil
	}
	at := v.spec.Path(path)
	if len(peers) == 0 {
		// In a NetworkPolicy it would be everybody, and here it looks like nobody.
		v.errs = append(v.errs, field.Invalid(at, "[]", "must name a peer; remove the field to allow everybody"))
	}
	for i, p := range peers {
		v.errs = append(v.errs, CheckPeer(at.Index(i), p)...)
	}
	return peers
}

// CheckPeer returns what is wrong with a peer.
func CheckPeer(at *field.Path, p networkingv1.NetworkPolicyPeer) field.ErrorList {
	if p.IPBlock == nil && p.NamespaceSelector == nil && p.PodSelector == nil {
		return field.ErrorList{field.Required(at, "a podSelector, a namespaceSelector or an ipBlock")}
	}
	var errs field.ErrorList
	if p.PodSelector != nil {
		errs = append(errs, selector(p.PodSelector, at.Child("podSelector"))...)
	}
	if p.NamespaceSelector != nil {
		errs = append(errs, selector(p.NamespaceSelector, at.Child("namespaceSelector"))...)
	}
	if p.IPBlock == nil {
		return errs
	}
	if p.NamespaceSelector != nil || p.PodSelector != nil {
		errs = append(errs, field.Forbidden(at.Child("ipBlock"), "may not be set beside a selector; make them two peers"))
	}
	cidr, err := netip.ParsePrefix(p.IPBlock.CIDR)
	if err != nil {
		return append(errs, field.Invalid(at.Child("ipBlock", "cidr"), p.IPBlock.CIDR, "must be a range of addresses such as 10.0.0.0/8 or 2001:db8::/64"))
	}
	for i, e := range p.IPBlock.Except {
		if except, err := netip.ParsePrefix(e); err != nil || except.Bits() <= cidr.Bits() || !cidr.Contains(except.Addr()) {
			errs = append(errs, field.Invalid(at.Child("ipBlock", "except").Index(i), e, fmt.Sprintf("must be a range of addresses within %s", cidr)))
		}
	}
	return errs
}
