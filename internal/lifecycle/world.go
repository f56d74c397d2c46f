// Package lifecycle simulates a cluster around one DittoServer: Crossplane,
// which calls the function and applies its answers, and, as far as a server's
// life needs them, the API server, Percona's operator and the StatefulSet
// controller. It shows what the function does in each stage of that life, and
// tests use it to try what no single call can show.
package lifecycle

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/crossplane/function-sdk-go/errors"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dittofs/function-dittoserver/internal/render"
)

// creationTime is when everything here is created: a simulation that looked at
// the clock would not say the same twice.
var creationTime = metav1.NewTime(time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)) //nolint:gochecknoglobals // A constant.

// A Key identifies an object of the cluster.
type Key struct {
	APIVersion string
	Kind       string
	Namespace  string
	Name       string
}

// KeyOf is the key of an object.
func KeyOf(o *unstructured.Unstructured) Key {
	return Key{APIVersion: o.GetAPIVersion(), Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName()}
}

func (k Key) compare(o Key) int {
	return cmp.Or(cmp.Compare(k.APIVersion, o.APIVersion), cmp.Compare(k.Kind, o.Kind), cmp.Compare(k.Namespace, o.Namespace), cmp.Compare(k.Name, o.Name))
}

// A World is a cluster with one XR. It is not safe for concurrent use.
type World struct {
	fn    render.Function
	input *structpb.Struct

	xr      *unstructured.Unstructured
	objects map[Key]*unstructured.Unstructured
	// applied is what Crossplane applied last, by which it owns fields.
	applied map[Key]map[string]any
	// refs are the composed resources that the XR refers to.
	refs map[string]Key
	// made counts objects, so that one that is made again has another UID.
	made int
}

// New is a cluster in which the XR has just been created, with what exists
// beside it. The function is called by Reconcile.
func New(fn render.Function, xr *unstructured.Unstructured, input *structpb.Struct, existing ...*unstructured.Unstructured) *World {
	w := &World{
		fn:      fn,
		input:   input,
		objects: map[Key]*unstructured.Unstructured{},
		applied: map[Key]map[string]any{},
		refs:    map[string]Key{},
	}
	w.xr = w.stamp(xr.DeepCopy())
	w.xr.SetLabels(with(w.xr.GetLabels(), claimLabels(w.xr)))
	w.xr.SetLabels(with(w.xr.GetLabels(), render.CompositeLabels(w.xr)))
	for _, o := range existing {
		w.Put(o)
	}
	return w
}

// claimLabels are those that Crossplane gives an XR that it makes for a claim.
func claimLabels(xr *unstructured.Unstructured) map[string]string {
	name, _, _ := unstructured.NestedString(xr.Object, "spec", "claimRef", "name")
	namespace, _, _ := unstructured.NestedString(xr.Object, "spec", "claimRef", "namespace")
	if name == "" {
		return nil
	}
	return map[string]string{render.LabelClaimName: name, render.LabelClaimNamespace: namespace}
}

// Observe puts composed resources of earlier days into the cluster, by their
// composition resource names: the XR refers to them and controls them.
func (w *World) Observe(composed map[string]*unstructured.Unstructured) {
	for _, name := range slices.Sorted(maps.Keys(composed)) {
		o := composed[name].DeepCopy()
		o.SetAnnotations(with(o.GetAnnotations(), map[string]string{render.AnnotationResourceName: name}))
		o.SetOwnerReferences([]metav1.OwnerReference{w.owner()})
		w.Put(o)
		w.refs[name] = KeyOf(o)
	}
}

// XR is the XR as it is.
func (w *World) XR() *unstructured.Unstructured { return w.xr.DeepCopy() }

// EditXR changes the XR's spec as its user does.
func (w *World) EditXR(edit func(xr *unstructured.Unstructured)) {
	before := w.xr.DeepCopy()
	edit(w.xr)
	bump(before, w.xr)
}

// Input is the function's Input.
func (w *World) Input() *structpb.Struct { return w.input }

// SetInput changes the function's Input as a platform team does.
func (w *World) SetInput(in *structpb.Struct) { w.input = in }

// SetFunction replaces the function, as an upgrade does.
func (w *World) SetFunction(fn render.Function) { w.fn = fn }

// Forget makes the XR refer to nothing, as one that was created again. What it
// composed stays.
func (w *World) Forget() { w.refs = map[string]Key{} }

// Recreate deletes the XR, leaving what it composed without a controller, and
// creates it again, as "kubectl delete --cascade=orphan" and "kubectl apply"
// do.
func (w *World) Recreate() {
	w.Forget()
	w.applied = map[Key]map[string]any{}
	for _, k := range w.Keys() {
		if o := w.objects[k]; metav1.IsControlledBy(o, w.xr) {
			o.SetOwnerReferences(nil)
		}
	}
	delete(w.xr.Object, "status")
	w.xr.SetUID("")
	w.xr.SetGeneration(0)
	w.stamp(w.xr)
}

// Get is a copy of an object, nil if it does not exist.
func (w *World) Get(k Key) *unstructured.Unstructured {
	if o, ok := w.objects[k]; ok {
		return o.DeepCopy()
	}
	return nil
}

// Composed is a copy of the object that is the composed resource of that name,
// nil if there is none.
func (w *World) Composed(name string) *unstructured.Unstructured {
	if k, ok := w.refs[name]; ok {
		return w.Get(k)
	}
	return nil
}

// Keys are those of all objects, sorted.
func (w *World) Keys() []Key {
	return slices.SortedFunc(maps.Keys(w.objects), Key.compare)
}

// Put creates an object or replaces it, as anybody but Crossplane may. It
// leaves the object's own metadata alone where it has some.
func (w *World) Put(o *unstructured.Unstructured) {
	o = o.DeepCopy()
	k := KeyOf(o)
	admit(o)
	if before, ok := w.objects[k]; ok {
		o.SetUID(before.GetUID())
		o.SetGeneration(before.GetGeneration())
		bump(before, o)
	}
	w.objects[k] = w.stamp(o)
}

// Edit changes an object as a person does with kubectl. It answers whether the
// object exists.
func (w *World) Edit(k Key, edit func(o *unstructured.Unstructured)) bool {
	o, ok := w.objects[k]
	if !ok {
		return false
	}
	before := o.DeepCopy()
	edit(o)
	bump(before, o)
	return true
}

// Delete removes an object. What Crossplane composed it composes again.
func (w *World) Delete(k Key) {
	delete(w.objects, k)
	delete(w.applied, k)
}

// An Answer is what one reconcile did.
type Answer struct {
	// Response is the function's last one.
	Response *fnv1.RunFunctionResponse
	// Fatal is its Fatal result, nil if there is none.
	Fatal error
	// Created, Updated and Deleted are composed resources, sorted.
	Created, Updated, Deleted []string
	// Rejected are composed resources that the API server did not take, and why.
	Rejected map[string]error
	// XRChanged says that the XR's status changed.
	XRChanged bool
}

// Quiet says whether the reconcile changed nothing, so that Crossplane does not
// call again before something else happens.
func (a *Answer) Quiet() bool {
	return len(a.Created)+len(a.Updated)+len(a.Deleted) == 0 && !a.XRChanged
}

// Reconcile does what Crossplane does when something changed: it calls the
// function with what it observes, applies what is desired, deletes what is left
// out, and writes the XR's status.
func (w *World) Reconcile(ctx context.Context) (*Answer, error) {
	observed := w.observe()
	req, err := render.Request(w.xrAsSent(), w.input, observed)
	if err != nil {
		return nil, err
	}
	rsp, err := render.Run(ctx, w.fn, req, w.fetch)
	if err != nil {
		return nil, err
	}

	a := &Answer{Response: rsp, Fatal: render.Fatal(rsp), Rejected: map[string]error{}}
	before := w.xr.DeepCopy()
	defer func() { a.XRChanged = !equality.Semantic.DeepEqual(before.Object, w.xr.Object) }()
	if a.Fatal != nil {
		w.refuse(rsp, a.Fatal)
		return a, nil
	}

	desired := rsp.GetDesired().GetResources()
	for _, name := range slices.Sorted(maps.Keys(observed)) {
		if _, ok := desired[name]; !ok {
			w.Delete(w.refs[name])
			a.Deleted = append(a.Deleted, name)
		}
	}
	w.refs = map[string]Key{}
	for _, name := range slices.Sorted(maps.Keys(desired)) {
		o := render.Compose(name, desired[name].GetResource(), w.xr, observed[name])
		if o.GetName() == "" {
			return nil, errors.Errorf("composed resource %q has no name", name)
		}
		w.refs[name] = KeyOf(o)
		created, updated, err := w.apply(o)
		switch {
		case err != nil:
			a.Rejected[name] = err
		case created:
			a.Created = append(a.Created, name)
		case updated:
			a.Updated = append(a.Updated, name)
		}
	}
	w.accept(rsp, a.Rejected)
	return a, nil
}

// observe is the composed resources that Crossplane finds: those that the XR
// refers to, that exist, and that the XR controls.
func (w *World) observe() map[string]*unstructured.Unstructured {
	out := make(map[string]*unstructured.Unstructured, len(w.refs))
	for _, k := range w.refs {
		o, ok := w.objects[k]
		if !ok || !metav1.IsControlledBy(o, w.xr) {
			continue
		}
		if name := o.GetAnnotations()[render.AnnotationResourceName]; name != "" {
			out[name] = o
		}
	}
	return out
}

func (w *World) fetch(sel *fnv1.ResourceSelector) ([]*fnv1.Resource, error) {
	return render.Objects(slices.Collect(maps.Values(w.objects))).Fetch(sel)
}

// xrAsSent is the XR with its references, which are in another place in XRs
// that have claims.
func (w *World) xrAsSent() *unstructured.Unstructured {
	refs := make([]any, 0, len(w.refs))
	for _, name := range slices.Sorted(maps.Keys(w.refs)) {
		k := w.refs[name]
		ref := map[string]any{"apiVersion": k.APIVersion, "kind": k.Kind, "name": k.Name}
		refs = append(refs, ref)
	}
	xr := w.xr.DeepCopy()
	spec, _ := xr.Object["spec"].(map[string]any)
	if spec == nil {
		spec = map[string]any{}
		xr.Object["spec"] = spec
	}
	if _, legacy := spec["claimRef"]; legacy {
		spec["resourceRefs"] = refs
		return xr
	}
	spec["crossplane"] = map[string]any{"resourceRefs": refs}
	return xr
}

// accept writes the status of an XR whose answer was applied.
func (w *World) accept(rsp *fnv1.RunFunctionResponse, rejected map[string]error) {
	conditions := render.GetConditions(w.xr)
	status, _ := render.ToMap(rsp.GetDesired().GetComposite().GetResource())["status"].(map[string]any)
	delete(w.xr.Object, "status")
	if status != nil {
		delete(status, "conditions")
		w.xr.Object["status"] = status
	}
	synced := render.Condition{Type: render.TypeSynced, Status: render.StatusTrue, Reason: "ReconcileSuccess"}
	if len(rejected) > 0 {
		synced = render.Condition{Type: render.TypeSynced, Status: render.StatusFalse, Reason: "ReconcileError", Message: "Invalid resources: " + fmt.Sprint(slices.Sorted(maps.Keys(rejected)))}
	}
	conditions = set(conditions, synced, render.ReadyCondition(rsp.GetDesired()))
	render.SetConditions(w.xr, set(conditions, render.Conditions(rsp)...)...)
}

// refuse writes the status of an XR that the function refused. Conditions that
// the answer does not have turn to Unknown.
func (w *World) refuse(rsp *fnv1.RunFunctionResponse, err error) {
	told := render.Conditions(rsp)
	conditions := render.GetConditions(w.xr)
	for i, c := range conditions {
		if !c.IsSystem() {
			conditions[i] = render.Condition{Type: c.Type, Status: render.StatusUnknown, Reason: "FatalError", Message: "A fatal error occurred before the status of this condition could be determined."}
		}
	}
	conditions = set(conditions, render.Condition{Type: render.TypeSynced, Status: render.StatusFalse, Reason: "ReconcileError", Message: err.Error()})
	render.SetConditions(w.xr, set(conditions, told...)...)
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

// stamp gives an object what the API server gives it.
func (w *World) stamp(o *unstructured.Unstructured) *unstructured.Unstructured {
	if o.GetUID() == "" {
		w.made++
		o.SetUID(uid(fmt.Sprintf("%d %v", w.made, KeyOf(o))))
	}
	if t := o.GetCreationTimestamp(); t.IsZero() {
		o.SetCreationTimestamp(creationTime)
	}
	if _, has := o.Object["spec"]; has && o.GetGeneration() == 0 {
		o.SetGeneration(1)
	}
	return o
}

// uid is a UUID that only depends on the seed.
func uid(seed string) types.UID {
	sum := sha256.Sum256([]byte(seed))
	h := hex.EncodeToString(sum[:16])
	return types.UID(h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-8" + h[17:20] + "-" + h[20:32])
}

// bump counts a generation where the spec has changed.
func bump(before, after *unstructured.Unstructured) {
	if !equality.Semantic.DeepEqual(before.Object["spec"], after.Object["spec"]) {
		after.SetGeneration(before.GetGeneration() + 1)
	}
}

func with(m, more map[string]string) map[string]string {
	out := make(map[string]string, len(m)+len(more))
	maps.Copy(out, m)
	maps.Copy(out, more)
	return out
}
