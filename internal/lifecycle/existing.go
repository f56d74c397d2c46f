package lifecycle

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/crossplane/function-sdk-go/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/dittofs/function-dittoserver/internal/render"
	"github.com/dittofs/function-dittoserver/internal/strict"
)

// Load puts an object into the cluster as it was read from a real one. Who owns
// its fields is read from its managedFields; without any, all of it is a
// person's.
func (w *World) Load(o *unstructured.Unstructured) error {
	o = o.DeepCopy()
	managers, err := managersOf(o)
	if err != nil {
		return err
	}
	o.SetManagedFields(nil)
	if managers == nil {
		if managers, err = updateFields(nothing(KeyOf(o)), o, fieldpath.ManagedFields{}, ManagerPerson); err != nil {
			return err
		}
	}
	w.objects[KeyOf(o)] = &entry{obj: w.stamp(o), managers: managers, by: ManagerPerson}
	return nil
}

// managersOf reads who owns which fields of an object, but for its status, which
// has owners of its own.
func managersOf(o *unstructured.Unstructured) (fieldpath.ManagedFields, error) {
	var out fieldpath.ManagedFields
	for _, f := range o.GetManagedFields() {
		if f.Subresource != "" || f.FieldsV1 == nil {
			continue
		}
		set := &fieldpath.Set{}
		if err := set.FromJSON(bytes.NewReader(f.FieldsV1.Raw)); err != nil {
			return nil, errors.Wrapf(err, "cannot read metadata.managedFields of %s %q", o.GetKind(), o.GetName())
		}
		if out == nil {
			out = fieldpath.ManagedFields{}
		}
		name := f.Manager
		if had, ok := out[name]; ok {
			set = set.Union(had.Set())
		}
		out[name] = fieldpath.NewVersionedSet(set.RecursiveDifference(unmanaged), anyVersion, f.Operation == metav1.ManagedFieldsOperationApply)
	}
	return out, nil
}

// LoadRefs has the XR refer to the composed resources that it names itself, as one
// does that Crossplane has reconciled before. Those that do not exist are left out.
func (w *World) LoadRefs() error {
	for _, path := range [][]string{{"spec", "crossplane", "resourceRefs"}, {"spec", "resourceRefs"}} {
		refs, _, err := unstructured.NestedSlice(w.xr.Object, path...)
		if err != nil {
			return errors.Wrapf(err, "cannot read the references of %s %q", w.xr.GetKind(), w.xr.GetName())
		}
		for _, r := range strict.Objects(refs) {
			ref := &unstructured.Unstructured{Object: r}
			name, _ := r["name"].(string)
			namespace, _ := r["namespace"].(string)
			if namespace == "" {
				namespace = w.serverNamespace()
			}
			if k := (Key{APIVersion: ref.GetAPIVersion(), Kind: ref.GetKind(), Namespace: namespace, Name: name}); w.objects[k] != nil {
				w.refer(k)
			}
		}
	}
	return nil
}

// After moves the simulated clock on to a later time; it never goes back.
func (w *World) After(t time.Time) {
	if t.After(w.now.Time) {
		w.now = metav1.NewTime(t)
	}
}

// Settle reconciles until nothing changes any more, while the systems around the
// server do nothing. It returns the answers, the last of which is quiet, a Fatal,
// or one that Crossplane could not finish.
func (w *World) Settle(ctx context.Context) ([]*Answer, error) {
	out := make([]*Answer, 0, maxReconciles)
	for range maxReconciles {
		a, err := w.Reconcile(ctx)
		if err != nil {
			return out, err
		}
		out = append(out, a)
		if a.Quiet() || a.Fatal != nil || a.Failed != nil {
			return out, nil
		}
	}
	return out, errors.Errorf("every answer of the function changes something, after %d reconciles still; this is a bug of the function, please report it", maxReconciles)
}

// IsComposed reports whether the XR refers to an object as the composed resource
// that its annotation names.
func (w *World) IsComposed(k Key) bool {
	o := w.Peek(k)
	return o != nil && slices.Contains(w.refs, k) && o.GetAnnotations()[render.AnnotationResourceName] != ""
}

// Required returns the keys of the objects that a response asks for by name.
func (a *Answer) Required() []Key {
	var out []Key
	for _, sel := range a.Response.GetRequirements().GetResources() {
		if name := sel.GetMatchName(); name != "" {
			out = append(out, Key{APIVersion: sel.GetApiVersion(), Kind: sel.GetKind(), Namespace: sel.GetNamespace(), Name: name})
		}
	}
	slices.SortFunc(out, Key.compare)
	return out
}
