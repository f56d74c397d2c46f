// Package v1beta1 holds the function's Input: what a platform team sets once, in the
// Composition, for all servers.
//
// +kubebuilder:object:generate=true
// +groupName=dittoserver.fn.crossplane.io
package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Group, Version and Kind of the Input.
const (
	Group   = "dittoserver.fn.crossplane.io"
	Version = "v1beta1"
	Kind    = "Input"
)

// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:resource:categories=crossplane

// An Input is what a platform team sets once, in the Composition, for all servers. Every
// field is optional. A field that is not known is an error.
type Input struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Defaults lie beneath every server's spec: a partial spec, of which each value holds
	// where a server does not say otherwise. It has the same fields as a DittoServer's
	// spec. Objects are merged field by field, lists are taken whole. Default: none, the
	// built-in defaults hold.
	//
	// It is kept as it was written, since an explicit false or 0 in a server's spec wins
	// over it, and one in it over a built-in default.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Type=object
	Defaults *runtime.RawExtension `json:"defaults,omitempty"`

	// TTL is how long Crossplane may go without asking the function again while nothing is
	// awaited, as a duration such as 5m. Secrets that servers name are read that often.
	// Default: 1m, or what the function was started with.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h))*$')",message="must be a duration such as 90s or 5m"
	TTL string `json:"ttl,omitempty"`

	// Namespace for the objects of a composite resource that has none and no claim either.
	// Default: none, such a composite resource is refused.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$`
	Namespace string `json:"namespace,omitempty"`

	// ServiceMonitors says whether ServiceMonitors (monitoring.coreos.com/v1) may be composed,
	// where a server asks for one with metrics.serviceMonitor. false: none are, for example
	// because Crossplane may not read them. true: the cluster serves them; it is read with a
	// Crossplane before 2.2 only, since newer ones are asked. Default: Crossplane is asked,
	// and an older one gets none.
	// +optional
	ServiceMonitors *bool `json:"serviceMonitors,omitempty"`

	// Overrides are patches of what is composed for every server, applied last, in their
	// order. An override of a pod field wins over the server's own spec. Prefer defaults,
	// which a server can override. What decides over data, identity or ownership is out of
	// their reach, and so is what would weaken a pod's security: see the README. Default:
	// none.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	Overrides []Override `json:"overrides,omitempty"`
}

// An Override is a patch of one kind of composed objects, or of one composed object.
// +kubebuilder:validation:XValidation:rule="has(self.kind) != has(self.resource)",message="set kind or resource, not both"
type Override struct {
	// Kind of the composed objects to patch, for example StatefulSet or Service. Default:
	// none, resource says which object.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind,omitempty"`

	// Resource is the composition resource name of the object to patch, for example server or
	// api: the annotation crossplane.io/composition-resource-name of composed objects, and
	// what the function's render command prints. Default: none, kind says which objects.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Resource string `json:"resource,omitempty"`

	// Patch is a partial object that is merged into what is composed: as kubectl patch does
	// it, strategically, for Kubernetes' own kinds, and as a JSON merge patch, in which a
	// list replaces a list, for others. null removes a field.
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Type=object
	Patch *runtime.RawExtension `json:"patch"`
}
