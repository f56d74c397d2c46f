// Package lifecycle simulates a cluster around one DittoServer: Crossplane,
// which calls the function and applies its responses, the API server, and, as
// far as a server's life needs them, Percona's operator, the StatefulSet
// controller and the volumes. It shows what the function does in each stage of
// that life, and tests use it to try what no single call can show.
package lifecycle

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/dittofs/function-dittoserver/internal/render"
)

// creationTime is when the simulated clock begins: a simulation that looked at
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

// A World is a cluster with one XR. Objects are never changed in place: what a
// reader holds stays as it was. It is not safe for concurrent use.
type World struct {
	// Capabilities are Crossplane's; nil for those of the newest.
	Capabilities []fnv1.Capability
	// Earlier is what an earlier step of the pipeline desires, and Context what
	// it has put into the context.
	Earlier *fnv1.State
	Context *structpb.Struct
	// Judge reports what the XRD's schema has against an XR; nil to accept all.
	Judge func(xr map[string]any) error
	// Classes are the storage classes that exist; nil for all.
	Classes []string

	fn    render.Function
	input *structpb.Struct

	// xr is nil while there is none.
	xr      *unstructured.Unstructured
	objects map[Key]*entry
	// refs are the composed resources that the XR refers to, sorted.
	refs []Key
	// made counts objects, so that one that is made again has another UID.
	made int
	now  metav1.Time

	// files are what the volumes of PerconaPGClusters hold, data the places where
	// a server has written, and pods the servers that run.
	files map[Key]*Files
	data  map[string]bool
	pods  map[Key]Pod
}

// An entry is an object and who owns which of its fields.
type entry struct {
	obj *unstructured.Unstructured
	// managers are nil while all fields are those of by.
	managers fieldpath.ManagedFields
	by       string
	// applied is what Crossplane has applied, as long as nobody has changed
	// the object since: to apply the same again changes nothing.
	applied *unstructured.Unstructured
	// sent is the object as it is sent to functions, nil if it was not yet.
	sent *structpb.Struct
}

// Field managers of those who are not Crossplane.
const (
	ManagerPerson     = "kubectl-edit"
	ManagerController = "kube-controller-manager"
	ManagerPercona    = "postgres-operator"
)

// New returns a cluster in which the XR has just been created, with what exists
// beside it. The function is called by Reconcile.
func New(fn render.Function, xr *unstructured.Unstructured, input *structpb.Struct, existing ...*unstructured.Unstructured) *World {
	w := &World{
		fn:      fn,
		input:   input,
		objects: map[Key]*entry{},
		now:     creationTime,
		files:   map[Key]*Files{},
		data:    map[string]bool{},
		pods:    map[Key]Pod{},
	}
	w.CreateXR(xr)
	for _, o := range existing {
		w.Put(o)
	}
	return w
}

// Now returns the simulated time, which moves with every reconcile.
func (w *World) Now() time.Time { return w.now.Time }

// Advance moves the simulated clock.
func (w *World) Advance(d time.Duration) { w.now = metav1.NewTime(w.now.Add(d)) }

// CreateXR creates the XR, of which there is none.
func (w *World) CreateXR(xr *unstructured.Unstructured) {
	w.xr = w.stamp(xr.DeepCopy())
	w.xr.SetLabels(with(w.xr.GetLabels(), claimLabels(w.xr)))
	w.xr.SetLabels(with(w.xr.GetLabels(), render.CompositeLabels(w.xr)))
	w.refs = nil
}

// DeleteXR deletes the XR. The function is not called. What it owns is garbage
// unless it has another owner, or stays, ownerless, with orphan.
func (w *World) DeleteXR(orphan bool) {
	gone := w.xr.GetUID()
	w.xr, w.refs = nil, nil
	for _, k := range w.Keys() {
		e := w.objects[k]
		if e == nil {
			continue
		}
		owners := e.obj.GetOwnerReferences()
		left := slices.DeleteFunc(slices.Clone(owners), func(r metav1.OwnerReference) bool { return r.UID == gone })
		if len(left) == len(owners) {
			continue
		}
		if !orphan && !slices.ContainsFunc(left, func(r metav1.OwnerReference) bool { return w.exists(r.UID) }) {
			w.Delete(k)
			continue
		}
		w.edit(k, ManagerController, func(o *unstructured.Unstructured) { o.SetOwnerReferences(left) })
	}
}

func (w *World) exists(uid types.UID) bool {
	if w.xr != nil && w.xr.GetUID() == uid {
		return true
	}
	for _, e := range w.objects {
		if e.obj.GetUID() == uid {
			return true
		}
	}
	return false
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

// BindClaim makes the XR that of a claim, as Crossplane does with one that
// existed before its claim.
func (w *World) BindClaim(claim, namespace string) {
	w.EditXR(func(xr *unstructured.Unstructured) {
		ref := map[string]any{"apiVersion": xr.GetAPIVersion(), "kind": strings.TrimPrefix(xr.GetKind(), "X"), "name": claim, "namespace": namespace}
		_ = unstructured.SetNestedMap(xr.Object, ref, "spec", "claimRef")
		xr.SetLabels(with(xr.GetLabels(), claimLabels(xr)))
	})
}

// Observe puts composed resources of earlier days into the cluster, by their
// composition resource names: the XR refers to them and controls them.
func (w *World) Observe(composed map[string]*unstructured.Unstructured) {
	for _, name := range slices.Sorted(maps.Keys(composed)) {
		o := composed[name].DeepCopy()
		o.SetAnnotations(with(o.GetAnnotations(), map[string]string{render.AnnotationResourceName: name}))
		o.SetOwnerReferences([]metav1.OwnerReference{w.owner()})
		w.Put(o)
		w.refer(KeyOf(o))
	}
}

func (w *World) refer(k Key) {
	if !slices.Contains(w.refs, k) {
		w.refs = append(slices.Clone(w.refs), k)
		slices.SortFunc(w.refs, Key.compare)
	}
}

// XR returns a copy of the XR, nil if there is none.
func (w *World) XR() *unstructured.Unstructured { return w.xr.DeepCopy() }

// PeekXR returns the XR, which the caller does not change.
func (w *World) PeekXR() *unstructured.Unstructured { return w.xr }

// EditXR changes the XR's spec as its user does.
func (w *World) EditXR(edit func(xr *unstructured.Unstructured)) {
	next := w.xr.DeepCopy()
	edit(next)
	bump(w.xr, next)
	w.xr = next
}

// Input is the function's Input.
func (w *World) Input() *structpb.Struct { return w.input }

// SetInput changes the function's Input as a platform team does.
func (w *World) SetInput(in *structpb.Struct) { w.input = in }

// SetFunction replaces the function, as an upgrade does.
func (w *World) SetFunction(fn render.Function) { w.fn = fn }

// Forget makes the XR refer to nothing. What it composed stays.
func (w *World) Forget() { w.refs = nil }

// Recreate deletes the XR, leaving what it composed without a controller, and
// creates it again, as "kubectl delete --cascade=orphan" and "kubectl apply"
// do.
func (w *World) Recreate() {
	xr := w.XR()
	w.DeleteXR(true)
	w.CreateXR(Renewed(xr))
}

// Renewed returns an XR as its user applies it again after it was deleted.
func Renewed(xr *unstructured.Unstructured) *unstructured.Unstructured {
	xr = xr.DeepCopy()
	delete(xr.Object, "status")
	for _, f := range []string{"uid", "generation", "creationTimestamp", "resourceVersion"} {
		unstructured.RemoveNestedField(xr.Object, "metadata", f)
	}
	return xr
}

// Get returns a copy of an object, nil if it does not exist.
func (w *World) Get(k Key) *unstructured.Unstructured { return w.Peek(k).DeepCopy() }

// Peek returns an object, which the caller does not change; nil if it does not
// exist.
func (w *World) Peek(k Key) *unstructured.Unstructured {
	if e, ok := w.objects[k]; ok {
		return e.obj
	}
	return nil
}

// Snapshot returns all objects, which the caller does not change.
func (w *World) Snapshot() map[Key]*unstructured.Unstructured {
	out := make(map[Key]*unstructured.Unstructured, len(w.objects))
	for k, e := range w.objects {
		out[k] = e.obj
	}
	return out
}

// Composed returns a copy of the object that is the composed resource of that
// name, nil if there is none.
func (w *World) Composed(name string) *unstructured.Unstructured {
	for _, k := range w.refs {
		if o := w.Peek(k); o != nil && o.GetAnnotations()[render.AnnotationResourceName] == name {
			return o.DeepCopy()
		}
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
	before, ok := w.objects[k]
	if !ok {
		w.objects[k] = &entry{obj: w.stamp(o), by: ManagerPerson}
		return
	}
	w.edit(k, ManagerPerson, func(was *unstructured.Unstructured) {
		o.SetUID(before.obj.GetUID())
		o.SetGeneration(before.obj.GetGeneration())
		o.SetCreationTimestamp(before.obj.GetCreationTimestamp())
		was.Object = o.Object
	})
}

// Edit changes an object as a person does with kubectl. It reports whether the
// object exists.
func (w *World) Edit(k Key, edit func(o *unstructured.Unstructured)) bool {
	return w.edit(k, ManagerPerson, edit)
}

func (w *World) edit(k Key, manager string, edit func(o *unstructured.Unstructured)) bool {
	e, ok := w.objects[k]
	if !ok {
		return false
	}
	next := e.obj.DeepCopy()
	edit(next)
	if equality.Semantic.DeepEqual(e.obj.Object, next.Object) {
		return true
	}
	bump(e.obj, next)
	after := &entry{obj: next, managers: e.managers, by: e.by, applied: e.applied}
	if onlyStatus(e.obj, next) {
		w.objects[k] = after
		return true
	}
	after.applied = nil
	if e.managers != nil {
		managers, err := updateFields(e.obj, next, e.managers, manager)
		if err != nil {
			panic(err) // What is edited was valid before.
		}
		after.managers = managers
	}
	w.objects[k] = after
	return true
}

// onlyStatus reports whether two objects differ in their status alone.
func onlyStatus(a, b *unstructured.Unstructured) bool {
	for _, pair := range [2][2]*unstructured.Unstructured{{a, b}, {b, a}} {
		for f, v := range pair[0].Object {
			if f != "status" && !equality.Semantic.DeepEqual(v, pair[1].Object[f]) {
				return false
			}
		}
	}
	return true
}

// Delete deletes an object, which stays as long as it has finalizers. What
// Crossplane composed it composes again.
func (w *World) Delete(k Key) {
	e, ok := w.objects[k]
	if !ok {
		return
	}
	if len(e.obj.GetFinalizers()) > 0 {
		w.edit(k, ManagerController, func(o *unstructured.Unstructured) {
			if o.GetDeletionTimestamp() == nil {
				o.SetDeletionTimestamp(&w.now)
			}
		})
		return
	}
	w.Remove(k)
}

// Remove removes an object, whatever its finalizers say.
func (w *World) Remove(k Key) {
	if o := w.Peek(k); o != nil {
		w.gone(o)
	}
	delete(w.objects, k)
}

// stamp gives an object what the API server gives it.
func (w *World) stamp(o *unstructured.Unstructured) *unstructured.Unstructured {
	if o.GetUID() == "" {
		w.made++
		o.SetUID(uid(fmt.Sprintf("%d %v", w.made, KeyOf(o))))
	}
	if t := o.GetCreationTimestamp(); t.IsZero() {
		o.SetCreationTimestamp(w.now)
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

// Rewrite makes an object what an earlier time would have made it: its fields
// stay with those who own them, and what was applied is forgotten.
func (w *World) Rewrite(k Key, edit func(o *unstructured.Unstructured)) {
	e, ok := w.objects[k]
	if !ok {
		return
	}
	next := e.obj.DeepCopy()
	edit(next)
	w.objects[k] = &entry{obj: next, managers: e.managers, by: e.by}
}
