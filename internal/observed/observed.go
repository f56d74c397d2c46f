// Package observed is the typed view of a request: the XR, the composed
// resources that Crossplane observed, and the resources that the function asks
// for by name.
//
// Reading is asking: whatever is looked up and was not observed becomes a
// requirement of the response, so the requirements are exactly what a call
// looked at, and grow until everything that it wants to know is there.
package observed

import (
	"cmp"
	"slices"
	"strings"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"k8s.io/apimachinery/pkg/api/validation/path"

	"github.com/dittofs/function-dittoserver/internal/names"
)

// Labels that Crossplane puts on what it composes.
// Source: crossplane v2.4.0 internal/xcrd and crossplane-runtime/pkg/meta.
const (
	labelComposite      = "crossplane.io/composite"
	labelClaimName      = "crossplane.io/claim-name"
	labelClaimNamespace = "crossplane.io/claim-namespace"
)

// An Identity says whose objects are looked for, and where.
type Identity struct {
	// Name of the server: the XR's, for a claim the claim's.
	Name string
	// Namespace of everything composed.
	Namespace string
	// AdoptExisting takes objects for ours that nobody controls.
	AdoptExisting bool
}

// Presence says what is known about an object that may exist.
type Presence int

// What can be known about an object.
const (
	// Unknown: asked for, and not answered yet.
	Unknown Presence = iota
	// Absent: nothing of that name exists.
	Absent
	// Ours exists and belongs to this XR.
	Ours
	// Foreign exists and belongs to somebody else, or to nobody that we know.
	Foreign
	// Deleting exists, is not known to Crossplane as this XR's, and is on its way
	// out.
	Deleting
)

// An Existing is what is known about one object.
type Existing struct {
	Presence Presence
	// Object is the object if it is Ours, and nothing otherwise.
	Object Object
	// Record is the object if it is Ours, or was before it was deleted: what is
	// recorded on it holds as long as it can be read.
	Record Object
	// Leaving says that the object is Ours and that somebody has deleted it.
	Leaving bool
	// Owner describes who has the object if it is Foreign.
	Owner string
	// Controlled says that somebody controls the object, so that it can never
	// be taken over.
	Controlled bool
}

// Exists says whether the object exists and is ours.
func (e Existing) Exists() bool { return e.Presence == Ours }

// A Secret is what is known about a Secret.
type Secret struct {
	Name string
	// Known is false until the requirement has been answered.
	Known bool
	Object
}

// CRD says what is known about Percona's custom resource.
type CRD int

// What can be known about Percona's custom resource.
const (
	CRDUnknown CRD = iota
	CRDServed
	CRDMissing
)

// A World is everything that a request tells.
type World struct {
	XR XR

	id        Identity
	refs      []names.Ref
	req       *fnv1.RunFunctionRequest
	selectors map[string]*fnv1.ResourceSelector
	existing  map[names.Resource]Existing
	pending   bool
}

// New reads a request on behalf of the identity.
func New(req *fnv1.RunFunctionRequest, xr XR, id Identity) *World {
	return &World{
		XR:        xr,
		id:        id,
		refs:      names.All(id.Name),
		req:       req,
		selectors: map[string]*fnv1.ResourceSelector{},
		existing:  map[names.Resource]Existing{},
	}
}

// Ref is the identity of one of the objects that can be composed.
func (w *World) Ref(r names.Resource) names.Ref {
	for _, ref := range w.refs {
		if ref.Resource == r {
			return ref
		}
	}
	return names.Ref{}
}

// Observed is a composed resource that Crossplane observed.
func (w *World) Observed(r names.Resource) Object {
	return Object{s: w.req.GetObserved().GetResources()[string(r)].GetResource()}
}

// Namespaces are those in which observed composed resources of ours live,
// sorted, each once.
func (w *World) Namespaces() []string {
	var out []string
	for _, ref := range w.refs {
		if ns := w.Observed(ref.Resource).Namespace(); ns != "" {
			out = append(out, ns)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Existing is what is known about a composed object. Crossplane observes only
// what the XR already refers to; anything else is asked for by its name.
func (w *World) Existing(ref names.Ref) Existing {
	if e, ok := w.existing[ref.Resource]; ok {
		return e
	}
	e := w.find(ref)
	w.existing[ref.Resource] = e
	return e
}

func (w *World) find(ref names.Ref) Existing {
	if o := w.Observed(ref.Resource); o.Exists() {
		return Existing{Presence: Ours, Object: o, Record: o, Leaving: o.Deleting()}
	}
	if ref.Resource == names.Postgres {
		switch w.PerconaCRD() {
		case CRDUnknown:
			return Existing{Presence: Unknown}
		case CRDMissing:
			return Existing{Presence: Absent}
		case CRDServed:
		}
	}
	o, known := w.require(ref.APIVersion, ref.Kind, ref.Name, w.id.Namespace)
	switch {
	case !known:
		return Existing{Presence: Unknown}
	case !o.Exists():
		return Existing{Presence: Absent}
	case o.Deleting() && w.ours(o):
		return Existing{Presence: Deleting, Record: o}
	case o.Deleting():
		return Existing{Presence: Deleting}
	case w.ours(o):
		return Existing{Presence: Ours, Object: o, Record: o}
	}
	who, controlled := owner(o)
	return Existing{Presence: Foreign, Owner: who, Controlled: controlled}
}

// ours decides whether an object that Crossplane does not know as composed by
// this XR may be taken for it.
func (w *World) ours(o Object) bool {
	if c, ok := o.Controller(); ok {
		// Another controller's object can never be taken: Crossplane's apply
		// would be refused, since an object has one controller.
		return w.XR.UID != "" && c.String("uid") == w.XR.UID
	}
	if w.id.AdoptExisting {
		return true
	}
	if w.XR.Claim != nil {
		return o.Label(labelClaimName) == w.XR.Claim.Name && o.Label(labelClaimNamespace) == w.XR.Claim.Namespace
	}
	// Crossplane labels what an XR composes with the XR's own label: for one that
	// another XR composes, that is the other's name.
	return o.Label(labelComposite) == cmp.Or(w.XR.o.Label(labelComposite), w.XR.Name)
}

func owner(o Object) (who string, controlled bool) {
	c, ok := o.Controller()
	if !ok {
		return "nobody controls it and it does not bear the labels of this server", false
	}
	return "it is controlled by " + c.String("kind") + " " + c.String("name"), true
}

// Secret asks for a Secret in the server's namespace.
func (w *World) Secret(name string) Secret {
	for _, ref := range w.refs {
		if ref.Kind != names.SecretKind || ref.Name != name {
			continue
		}
		if o := w.Observed(ref.Resource); o.Exists() && o.Namespace() == w.id.Namespace {
			return Secret{Name: name, Known: true, Object: o}
		}
	}
	o, known := w.require(names.CoreV1, names.SecretKind, name, w.id.Namespace)
	return Secret{Name: name, Known: known, Object: o}
}

// PerconaCRD asks whether PerconaPGClusters can be composed. To compose or to
// ask for a kind that is not served fails the whole pipeline. The XR's own CRD,
// which every cluster has, tells a cluster from an offline preview, where
// Percona's operator is taken as installed.
func (w *World) PerconaCRD() CRD {
	percona, known := w.require(names.CRDAPIVersion, names.CRDKind, names.PostgresCRD, "")
	own, ownKnown := w.require(names.CRDAPIVersion, names.CRDKind, w.XR.CRD(), "")
	switch {
	case !known || !ownKnown:
		return CRDUnknown
	case served(percona), !percona.Exists() && !own.Exists():
		return CRDServed
	}
	return CRDMissing
}

func served(crd Object) bool {
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

func (w *World) require(apiVersion, kind, name, namespace string) (o Object, known bool) {
	if len(path.IsValidPathSegmentName(name)) > 0 || namespace != "" && len(path.IsValidPathSegmentName(namespace)) > 0 || name == "" {
		// Nothing can have such a name, and asking for it fails the pipeline
		// before anybody is told.
		return Object{}, true
	}
	key := kind + "/" + name
	sel := &fnv1.ResourceSelector{
		ApiVersion: apiVersion,
		Kind:       kind,
		Match:      &fnv1.ResourceSelector_MatchName{MatchName: name},
	}
	if namespace != "" {
		sel.Namespace = &namespace
	}
	w.selectors[key] = sel

	// A missing object is a key without items.
	rs, known := w.req.GetRequiredResources()[key]
	w.pending = w.pending || !known
	if len(rs.GetItems()) == 0 {
		return Object{}, known
	}
	return Object{s: rs.GetItems()[0].GetResource()}, known
}

// Requirements are what has been asked for so far.
func (w *World) Requirements() *fnv1.Requirements {
	if len(w.selectors) == 0 {
		return nil
	}
	return &fnv1.Requirements{Resources: w.selectors}
}

// Pending says whether something that was asked for has not been answered yet,
// so that Crossplane is going to call again before it applies anything.
func (w *World) Pending() bool { return w.pending }

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

// ReadXR reads the XR of a request.
func ReadXR(req *fnv1.RunFunctionRequest) XR {
	o := Object{s: req.GetObserved().GetComposite().GetResource()}
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

// ServerName is the name that the user gave the server.
func (x XR) ServerName() string {
	if x.Claim != nil {
		return x.Claim.Name
	}
	return x.Name
}

// ServerNamespace is where the user keeps the server: the XR's namespace, else
// the claim's, else the fallback.
func (x XR) ServerNamespace(fallback string) string {
	if x.Claim != nil {
		return cmp.Or(x.Namespace, x.Claim.Namespace, fallback)
	}
	return cmp.Or(x.Namespace, fallback)
}

// Spec is the XR's spec as it was written.
func (x XR) Spec() Object { return x.o.At("spec") }

// CRD is the name of the CustomResourceDefinition that Crossplane made for the
// XR's kind.
func (x XR) CRD() string {
	group, _, _ := strings.Cut(x.APIVersion, "/")
	return strings.ToLower(x.Kind) + "s." + group
}

// Conditions are the XR's conditions by type.
func (x XR) Conditions() map[string]Condition {
	cs := x.o.List("status", "conditions")
	out := make(map[string]Condition, len(cs))
	for _, c := range cs {
		out[c.String("type")] = Condition{Status: c.String("status"), Reason: c.String("reason"), Message: c.String("message")}
	}
	return out
}
