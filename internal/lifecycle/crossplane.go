package lifecycle

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/crossplane/function-sdk-go/errors"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/dittofs/function-dittoserver/internal/render"
)

// An Answer is what one reconcile did.
type Answer struct {
	// Request is that of the function's last call, and Response what it got.
	Request  *fnv1.RunFunctionRequest
	Response *fnv1.RunFunctionResponse
	// Fatal is its Fatal result, nil if there is none.
	Fatal error
	// Failed is why Crossplane could not finish, nil if it could. Where it did
	// not call the function there is no Response.
	Failed error
	// Created, Updated and Deleted are composed resources, sorted.
	Created, Updated, Deleted []string
	// Rejected are composed resources that the API server did not take, and why.
	Rejected map[string]error
	// StatusRefused is what the XRD's schema has against the XR's status.
	StatusRefused error
	// XRChanged reports that the XR's status changed.
	XRChanged bool
}

// Quiet reports whether the reconcile changed nothing, so that Crossplane does
// not call again before something else happens.
func (a *Answer) Quiet() bool {
	return len(a.Created)+len(a.Updated)+len(a.Deleted) == 0 && !a.XRChanged
}

// errAnonymous is where a first apply that was refused ends: the XR refers to an
// object that does not say which composed resource it is.
// Source: crossplane v2.4.0 composition_functions.go, errAnonymousCD.
var errAnonymous = errors.New(`cannot get existing composed resources: encountered composed resource without required "crossplane.io/composition-resource-name" annotation`)

// Reconcile does what Crossplane does when something changed: it calls the
// function with what it observes, deletes what is left out, writes the XR's
// references, applies what is desired, and writes the XR's status.
// Source: crossplane v2.4.0
// internal/controller/apiextensions/composite/composition_functions.go.
func (w *World) Reconcile(ctx context.Context) (*Answer, error) {
	w.Advance(time.Second)
	a := &Answer{Rejected: map[string]error{}}
	before := w.xr
	defer func() { a.XRChanged = !equality.Semantic.DeepEqual(before.Object, w.xr.Object) }()

	observed, err := w.observe()
	if err != nil {
		w.fail(a, err)
		return a, nil
	}
	req, err := w.request(observed)
	if err != nil {
		return nil, err
	}
	a.Response, a.Request, err = render.RunTraced(ctx, w.fn, req, w)
	if err != nil {
		return nil, err
	}
	if a.Fatal = render.Fatal(a.Response); a.Fatal != nil {
		w.refuse(a.Response, a.Fatal)
		return a, nil
	}
	desired, err := w.compose(a.Response, observed)
	if err != nil {
		w.fail(a, err)
		return a, nil
	}

	for _, name := range slices.Sorted(maps.Keys(observed)) {
		if desired[name] == nil {
			w.Delete(KeyOf(observed[name]))
			a.Deleted = append(a.Deleted, name)
		}
	}
	// It is important to Crossplane that nothing is applied that it could not
	// find again: the references come first.
	w.refs = nil
	for _, o := range desired {
		w.refer(KeyOf(o))
	}
	for _, name := range slices.Sorted(maps.Keys(desired)) {
		created, updated, err := w.apply(desired[name])
		switch {
		case err != nil:
			a.Rejected[name] = err
		case created:
			a.Created = append(a.Created, name)
		case updated:
			a.Updated = append(a.Updated, name)
		}
	}
	w.accept(a)
	return a, nil
}

// observe returns the composed resources that Crossplane finds: those that the
// XR refers to, that exist, and that nobody else controls.
func (w *World) observe() (map[string]*unstructured.Unstructured, error) {
	out := make(map[string]*unstructured.Unstructured, len(w.refs))
	for _, k := range w.refs {
		o := w.Peek(k)
		if o == nil {
			continue
		}
		if c := metav1.GetControllerOf(o); c != nil && c.UID != w.xr.GetUID() {
			continue
		}
		name := o.GetAnnotations()[render.AnnotationResourceName]
		if name == "" {
			return nil, errAnonymous
		}
		out[name] = o
	}
	return out, nil
}

func (w *World) request(observed map[string]*unstructured.Unstructured) (*fnv1.RunFunctionRequest, error) {
	xr, err := render.ToStruct(w.xrAsSent())
	if err != nil {
		return nil, err
	}
	state := &fnv1.State{Composite: &fnv1.Resource{Resource: xr}, Resources: make(map[string]*fnv1.Resource, len(observed))}
	for name, o := range observed {
		s, err := w.sent(KeyOf(o))
		if err != nil {
			return nil, err
		}
		state.Resources[name] = &fnv1.Resource{Resource: s}
	}
	req := &fnv1.RunFunctionRequest{
		Observed: state, Input: w.input,
		Desired: &fnv1.State{}, Context: &structpb.Struct{Fields: map[string]*structpb.Value{}},
	}
	if w.Earlier != nil {
		req.Desired = proto.CloneOf(w.Earlier)
	}
	if w.Context != nil {
		req.Context = w.Context
	}
	if w.Capabilities != nil {
		req.Meta = &fnv1.RequestMeta{Capabilities: w.Capabilities}
	}
	return req, nil
}

// sent returns an object as it is sent to functions.
func (w *World) sent(k Key) (*structpb.Struct, error) {
	e := w.objects[k]
	if e.sent != nil {
		return e.sent, nil
	}
	o := e.obj
	fields, err := managedFields(e.managers, composedOwner(w.xr))
	if err != nil {
		return nil, err
	}
	if len(fields) > 0 {
		o = o.DeepCopy()
		if err := unstructured.SetNestedSlice(o.Object, fields, "metadata", "managedFields"); err != nil {
			return nil, err
		}
	}
	s, err := render.ToStruct(o)
	e.sent = s
	return s, err
}

// compose makes the desired resources of a response what Crossplane applies.
func (w *World) compose(rsp *fnv1.RunFunctionResponse, observed map[string]*unstructured.Unstructured) (map[string]*unstructured.Unstructured, error) {
	desired := rsp.GetDesired().GetResources()
	out := make(map[string]*unstructured.Unstructured, len(desired))
	for _, name := range slices.Sorted(maps.Keys(desired)) {
		o := render.Compose(name, desired[name].GetResource(), w.xr, observed[name])
		if o.GetName() == "" {
			return nil, errors.Errorf("composed resource %q has no name", name)
		}
		if !w.serves(o.GetAPIVersion(), o.GetKind()) {
			return nil, errors.Errorf("cannot check if composed resource %q is namespaced (a %s named %s): no matches for kind %q", name, o.GetKind(), o.GetName(), o.GetKind())
		}
		out[name] = o
	}
	return out, nil
}

// offline reports whether this is a preview, in which no kind is defined and
// every kind is taken as served.
func (w *World) offline() bool {
	for k := range w.objects {
		if k.Kind == kindCRD {
			return false
		}
	}
	return true
}

const kindCRD = "CustomResourceDefinition"

func (w *World) serves(apiVersion, kind string) bool {
	group, _, _ := strings.Cut(apiVersion, "/")
	// Kubernetes' own groups have no domain, or are of k8s.io.
	if !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io") || w.offline() {
		return true
	}
	for k, e := range w.objects {
		if k.Kind == kindCRD && render.Defines(e.obj, group, kind) && render.Established(e.obj) {
			return true
		}
	}
	return false
}

// Fetch answers a requirement. A kind that is not served fails the pipeline.
func (w *World) Fetch(sel *fnv1.ResourceSelector) ([]*fnv1.Resource, error) {
	if !w.serves(sel.GetApiVersion(), sel.GetKind()) {
		return nil, errors.Errorf("no matches for kind %q", sel.GetKind())
	}
	if _, byName := sel.GetMatch().(*fnv1.ResourceSelector_MatchName); byName {
		k := Key{APIVersion: sel.GetApiVersion(), Kind: sel.GetKind(), Namespace: sel.GetNamespace(), Name: sel.GetMatchName()}
		if w.objects[k] == nil {
			return nil, nil
		}
		s, err := w.sent(k)
		return []*fnv1.Resource{{Resource: s}}, err
	}
	return w.all().Fetch(sel)
}

// Schema answers a requirement for a schema.
func (w *World) Schema(sel *fnv1.SchemaSelector) (*fnv1.Schema, error) { return w.all().Schema(sel) }

func (w *World) all() render.Objects {
	return slices.Collect(maps.Values(w.Snapshot()))
}

// xrAsSent is the XR with its references, which are in another place in XRs
// that have claims.
func (w *World) xrAsSent() *unstructured.Unstructured {
	legacy := w.xr.GetNamespace() == "" && strings.HasPrefix(w.xr.GetKind(), "X")
	refs := make([]any, 0, len(w.refs))
	for _, k := range w.refs {
		ref := map[string]any{"apiVersion": k.APIVersion, "kind": k.Kind, "name": k.Name}
		if w.xr.GetNamespace() == "" && k.Namespace != "" {
			ref["namespace"] = k.Namespace
		}
		refs = append(refs, ref)
	}
	// A shallow copy of what is written to.
	xr := &unstructured.Unstructured{Object: maps.Clone(w.xr.Object)}
	spec, _ := xr.Object["spec"].(map[string]any)
	spec = maps.Clone(spec)
	if spec == nil {
		spec = map[string]any{}
	}
	xr.Object["spec"] = spec
	if legacy {
		spec["resourceRefs"] = refs
		return xr
	}
	spec["crossplane"] = map[string]any{"resourceRefs": refs}
	return xr
}

// accept writes the status of an XR whose answer was applied.
func (w *World) accept(a *Answer) {
	xr := w.xr.DeepCopy()
	conditions := render.GetConditions(xr)
	status, _ := render.ToMap(a.Response.GetDesired().GetComposite().GetResource())["status"].(map[string]any)
	delete(xr.Object, "status")
	if status != nil {
		delete(status, "conditions")
		xr.Object["status"] = status
	}
	if w.Judge != nil {
		if a.StatusRefused = w.Judge(xr.Object); a.StatusRefused != nil {
			w.fail(a, errors.Wrap(a.StatusRefused, "cannot apply composite resource status"))
			return
		}
	}
	synced := render.Condition{Type: render.TypeSynced, Status: render.StatusTrue, Reason: "ReconcileSuccess"}
	if len(a.Rejected) > 0 {
		synced = render.Condition{Type: render.TypeSynced, Status: render.StatusFalse, Reason: "ReconcileError", Message: "Invalid resources: " + fmt.Sprint(slices.Sorted(maps.Keys(a.Rejected)))}
	}
	conditions = set(conditions, synced, render.ReadyCondition(a.Response.GetDesired()))
	render.SetConditions(xr, set(conditions, render.Conditions(a.Response)...)...)
	w.xr = xr
}

// refuse writes the status of an XR that the function refused. Conditions that
// the response does not have turn to Unknown.
func (w *World) refuse(rsp *fnv1.RunFunctionResponse, err error) {
	xr := w.xr.DeepCopy()
	told := render.Conditions(rsp)
	conditions := render.GetConditions(xr)
	for i, c := range conditions {
		if !c.IsSystem() {
			conditions[i] = render.Condition{Type: c.Type, Status: render.StatusUnknown, Reason: "FatalError", Message: "A fatal error occurred before the status of this condition could be determined."}
		}
	}
	conditions = set(conditions, render.Condition{Type: render.TypeSynced, Status: render.StatusFalse, Reason: "ReconcileError", Message: err.Error()})
	render.SetConditions(xr, set(conditions, told...)...)
	w.xr = xr
}

// fail writes that Crossplane could not finish.
func (w *World) fail(a *Answer, err error) {
	a.Failed = err
	w.refuse(&fnv1.RunFunctionResponse{}, err)
}

func set(all []render.Condition, cs ...render.Condition) []render.Condition {
	for _, c := range cs {
		i := slices.IndexFunc(all, func(o render.Condition) bool { return o.Type == c.Type })
		if i < 0 {
			all = append(all, c)
			continue
		}
		all[i] = c
	}
	return all
}

func (w *World) owner() metav1.OwnerReference {
	return *metav1.NewControllerRef(w.xr, w.xr.GroupVersionKind())
}

// apply is Crossplane's server-side apply of a composed resource. A refusal is
// one of the API server's.
func (w *World) apply(o *unstructured.Unstructured) (created, updated bool, err error) {
	k := KeyOf(o)
	e, exists := w.objects[k]
	if exists && e.applied != nil && equality.Semantic.DeepEqual(e.applied.Object, o.Object) {
		return false, false, nil
	}
	var live *unstructured.Unstructured
	managers := fieldpath.ManagedFields{}
	empty := nothing(k)
	if exists {
		live, managers = e.obj, e.managers
		if managers == nil {
			if managers, err = updateFields(empty, live, fieldpath.ManagedFields{}, e.by); err != nil {
				return false, false, err
			}
		}
	} else {
		live = empty
	}
	next, managers, err := applyFields(live, o, managers, composedOwner(w.xr))
	if err != nil {
		return false, false, errors.Wrap(err, "cannot apply")
	}
	admit(next)
	if err := validate(next); err != nil {
		return false, false, err
	}
	if exists {
		if err := immutable(live, next); err != nil {
			return false, false, err
		}
		bump(live, next)
	} else {
		next = w.stamp(next)
	}
	w.objects[k] = &entry{obj: next, managers: managers, by: composedOwner(w.xr), applied: o}
	return !exists, exists && !equality.Semantic.DeepEqual(live.Object, next.Object), nil
}

// nothing is an object before anybody has written to it.
func nothing(k Key) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": k.APIVersion, "kind": k.Kind, "metadata": map[string]any{"name": k.Name, "namespace": k.Namespace},
	}}
}
