// Package observed is the typed view of a request: the XR, the composed
// resources that Crossplane observed, and the resources that a response asked for
// by name.
package observed

import (
	"slices"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"k8s.io/apimachinery/pkg/api/validation/path"

	"github.com/dittofs/function-dittoserver/internal/names"
)

// A Reader reads a request. What is looked up and was not observed becomes a
// requirement of the response; Crossplane then calls again with the answers
// before it applies anything.
type Reader struct {
	req          *fnv1.RunFunctionRequest
	requirements fnv1.Requirements
	pending      bool
}

// NewReader returns a Reader of req.
func NewReader(req *fnv1.RunFunctionRequest) *Reader { return &Reader{req: req} }

// XR returns the composite resource.
func (r *Reader) XR() XR {
	return readXR(Object{s: r.req.GetObserved().GetComposite().GetResource()})
}

// Input returns the function's Input.
func (r *Reader) Input() Object { return Object{s: r.req.GetInput()} }

// Composed returns a composed resource that Crossplane observed.
func (r *Reader) Composed(res names.Resource) Object {
	return Object{s: r.req.GetObserved().GetResources()[string(res)].GetResource()}
}

// Require returns the object of that kind and name, and asks for it. Known is
// false until Crossplane has answered. The namespace is empty for an object that
// has none.
func (r *Reader) Require(apiVersion, kind, name, namespace string) (o Object, known bool) {
	if len(path.IsValidPathSegmentName(name)) > 0 || namespace != "" && len(path.IsValidPathSegmentName(namespace)) > 0 || name == "" {
		// Nothing can have such a name, and asking for it fails the pipeline
		// before anybody is told.
		return Object{}, true
	}
	sel := &fnv1.ResourceSelector{
		ApiVersion: apiVersion,
		Kind:       kind,
		Match:      &fnv1.ResourceSelector_MatchName{MatchName: name},
	}
	if namespace != "" {
		sel.Namespace = &namespace
	}
	if r.requirements.Resources == nil {
		r.requirements.Resources = map[string]*fnv1.ResourceSelector{}
	}
	key := kind + "/" + name
	r.requirements.Resources[key] = sel

	// A missing object is a key without items.
	rs, known := r.req.GetRequiredResources()[key]
	r.pending = r.pending || !known
	if len(rs.GetItems()) == 0 {
		return Object{}, known
	}
	return Object{s: rs.GetItems()[0].GetResource()}, known
}

// Served is what is known about whether the API server serves a kind.
type Served int

// What can be known about a kind.
const (
	ServedUnknown Served = iota
	IsServed
	NotServed
	// CannotTell: this Crossplane cannot be asked.
	CannotTell
	// SwitchedOff: the kind is not to be used, served or not.
	SwitchedOff
)

// PerconaServed reports whether PerconaPGClusters can be composed. To compose or
// to ask for a kind that is not served fails the whole pipeline. The XR's own
// kind, which every cluster serves, tells a cluster from an offline preview, where
// Percona's operator is taken as installed.
func (r *Reader) PerconaServed(xr XR) Served {
	if served := r.KindServed(xr, names.PostgresAPIVersion, names.PostgresSmallKind); served != CannotTell {
		return served
	}
	return tell(r.crd(names.PostgresCRD), r.crd(xr.CRD()))
}

// KindServed reports whether objects of a kind can be composed, CannotTell with a
// Crossplane before v2.2. As with PerconaServed, a preview serves every kind.
func (r *Reader) KindServed(xr XR, apiVersion, kind string) Served {
	if !slices.Contains(r.req.GetMeta().GetCapabilities(), fnv1.Capability_CAPABILITY_REQUIRED_SCHEMAS) {
		return CannotTell
	}
	served := r.schema(apiVersion, kind)
	if served != NotServed {
		return served
	}
	return tell(served, r.schema(xr.APIVersion, xr.Kind))
}

// tell returns whether a kind is served, from what is known of it and of the XR's
// own kind.
func tell(kind, own Served) Served {
	switch {
	case kind == ServedUnknown || own == ServedUnknown:
		return ServedUnknown
	case kind == NotServed && own == IsServed:
		return NotServed
	}
	return IsServed
}

// schema asks for the schema of a kind.
func (r *Reader) schema(apiVersion, kind string) Served {
	if r.requirements.Schemas == nil {
		r.requirements.Schemas = map[string]*fnv1.SchemaSelector{}
	}
	r.requirements.Schemas[kind] = &fnv1.SchemaSelector{ApiVersion: apiVersion, Kind: kind}
	s, known := r.req.GetRequiredSchemas()[kind]
	r.pending = r.pending || !known
	switch {
	case !known:
		return ServedUnknown
	case len(s.GetOpenapiV3().GetFields()) > 0:
		return IsServed
	}
	return NotServed
}

// crd asks for the CustomResourceDefinition of a kind. A Crossplane before v2.2
// knows no schemas.
func (r *Reader) crd(name string) Served {
	o, known := r.Require(names.CRDAPIVersion, names.CRDKind, name, "")
	switch {
	case !known:
		return ServedUnknown
	case established(o):
		return IsServed
	}
	return NotServed
}

func established(crd Object) bool {
	if !crd.Exists() || crd.Deleting() {
		return false
	}
	for _, c := range crd.List("status", "conditions") {
		if c.String("type") == "Established" {
			return c.String("status") == "True"
		}
	}
	return !crd.Has("status")
}

// Requirements returns what has been asked for so far, nil for nothing.
func (r *Reader) Requirements() *fnv1.Requirements {
	if len(r.requirements.GetResources()) == 0 && len(r.requirements.GetSchemas()) == 0 {
		return nil
	}
	return &fnv1.Requirements{Resources: r.requirements.GetResources(), Schemas: r.requirements.GetSchemas()}
}

// Pending reports whether something that was asked for has not been answered
// yet, so that Crossplane is going to call again before it applies anything.
func (r *Reader) Pending() bool { return r.pending }
