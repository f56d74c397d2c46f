package observed

import (
	"cmp"
	"strings"
)

// A Claim is the claim that an XR was made for.
type Claim struct {
	Name      string
	Namespace string
}

// A Condition is one of the conditions that the XR has.
type Condition struct {
	Status  string
	Reason  string
	Message string
}

// An XR is the composite resource.
type XR struct {
	APIVersion string
	Kind       string
	// Name of the XR itself, which for a claim is not the server's.
	Name string
	// Namespace of a namespaced XR.
	Namespace string
	// UID is empty in an offline preview, and so is Created.
	UID     string
	Created string
	Claim   *Claim

	o Object
}

func readXR(o Object) XR {
	xr := XR{
		APIVersion: o.String("apiVersion"),
		Kind:       o.String("kind"),
		Name:       o.Name(),
		Namespace:  o.Namespace(),
		UID:        o.String("metadata", "uid"),
		Created:    o.Created(),
		o:          o,
	}
	if name := o.String("spec", "claimRef", "name"); name != "" {
		xr.Claim = &Claim{Name: name, Namespace: o.String("spec", "claimRef", "namespace")}
	}
	return xr
}

// ServerName returns the name that the user gave the server.
func (x XR) ServerName() string {
	if x.Claim != nil {
		return x.Claim.Name
	}
	return x.Name
}

// ServerNamespace returns where the user keeps the server: the XR's namespace,
// else the claim's, else the fallback.
func (x XR) ServerNamespace(fallback string) string {
	if x.Claim != nil {
		return cmp.Or(x.Namespace, x.Claim.Namespace, fallback)
	}
	return cmp.Or(x.Namespace, fallback)
}

// Spec returns the XR's spec as it was written.
func (x XR) Spec() Object { return x.o.At("spec") }

// Label returns the value of one of the XR's labels.
func (x XR) Label(k string) string { return x.o.Label(k) }

// Finalizers returns the XR's finalizers.
func (x XR) Finalizers() []string { return x.o.Strings("metadata", "finalizers") }

// CRD returns the name of the CustomResourceDefinition that Crossplane made for
// the XR's kind.
func (x XR) CRD() string {
	group, _, _ := strings.Cut(x.APIVersion, "/")
	return strings.ToLower(x.Kind) + "s." + group
}

// Older reports whether o was created before the XR. In an offline preview,
// where the XR has no time of creation, nothing is.
func (x XR) Older(o Object) bool {
	return x.Created != "" && o.Created() != "" && o.Created() < x.Created
}

// NoNewer reports whether o was created before the XR or in the same second, which
// is all that a time of creation tells.
func (x XR) NoNewer(o Object) bool {
	return x.Older(o) || x.Created != "" && o.Created() == x.Created
}

// Conditions returns the XR's conditions by type.
func (x XR) Conditions() map[string]Condition {
	cs := x.o.List("status", "conditions")
	out := make(map[string]Condition, len(cs))
	for _, c := range cs {
		out[c.String("type")] = Condition{Status: c.String("status"), Reason: c.String("reason"), Message: c.String("message")}
	}
	return out
}
