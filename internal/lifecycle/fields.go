package lifecycle

import (
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/crossplane/function-sdk-go/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/merge"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// fieldsYAML says which lists are maps and which objects are taken whole, for
// the kinds that are composed. All else is what server-side apply makes of a
// field that it knows nothing of, which is right for the rest. A test compares
// it with Kubernetes' own schemas.
//
//go:embed fields.yaml
var fieldsYAML string

// fields is the parser of fieldsYAML.
var fields = sync.OnceValue(func() *typed.Parser { //nolint:gochecknoglobals // Takes a moment to make.
	p, err := typed.NewParser(typed.YAMLObject(fieldsYAML))
	if err != nil {
		panic(err) // It is part of this program.
	}
	return p
})

// typeOf is the type of a kind in fieldsYAML.
func typeOf(kind string) typed.ParseableType {
	switch kind {
	case kindServer, "Service", "NetworkPolicy", kindCluster:
		return fields().Type(kind)
	}
	return fields().Type("object")
}

// anyVersion stands for every API version: nothing here has two.
const anyVersion = fieldpath.APIVersion("v1")

type sameVersion struct{}

func (sameVersion) Convert(o *typed.TypedValue, _ fieldpath.APIVersion) (*typed.TypedValue, error) {
	return o, nil
}
func (sameVersion) IsMissingVersionError(error) bool { return false }

// unmanaged are the fields that nobody owns, with all that is below them.
// Source: k8s.io/apimachinery v0.35 pkg/util/managedfields/internal/stripmeta.go,
// and the subresource status, which has owners of its own.
var unmanaged = fieldpath.NewSet( //nolint:gochecknoglobals // A constant.
	fieldpath.MakePathOrDie("apiVersion"), fieldpath.MakePathOrDie("kind"), fieldpath.MakePathOrDie("status"),
	fieldpath.MakePathOrDie("metadata", "name"), fieldpath.MakePathOrDie("metadata", "namespace"), fieldpath.MakePathOrDie("metadata", "uid"),
	fieldpath.MakePathOrDie("metadata", "creationTimestamp"), fieldpath.MakePathOrDie("metadata", "generation"),
	fieldpath.MakePathOrDie("metadata", "resourceVersion"), fieldpath.MakePathOrDie("metadata", "deletionTimestamp"),
)

var updater = sync.OnceValue(func() *merge.Updater { //nolint:gochecknoglobals // Takes a moment to make.
	b := merge.UpdaterBuilder{Converter: sameVersion{}, IgnoredFields: map[fieldpath.APIVersion]*fieldpath.Set{anyVersion: unmanaged}, ReturnInputOnNoop: true}
	return b.BuildUpdater()
})

// composedOwner is the field manager of what an XR composes. An XR that is made
// again under its name has the same.
// Source: crossplane v2.4.0 composition_functions.go, ComposedFieldOwnerName.
func composedOwner(xr *unstructured.Unstructured) string {
	h := sha256.Sum256([]byte(xr.GetName() + xr.GroupVersionKind().GroupKind().String()))
	return fmt.Sprintf("apiextensions.crossplane.io/composed/%x", h)
}

// typedOf is an object with its type. An object that somebody has may have a
// list with two entries of one key.
func typedOf(o *unstructured.Unstructured, opts ...typed.ValidationOptions) (*typed.TypedValue, error) {
	v, err := typeOf(o.GetKind()).FromUnstructured(o.Object, opts...)
	return v, errors.Wrapf(err, "%s %q", o.GetKind(), o.GetName())
}

// applyFields makes live what a forced server-side apply of config makes of it.
func applyFields(live, config *unstructured.Unstructured, managers fieldpath.ManagedFields, manager string) (*unstructured.Unstructured, fieldpath.ManagedFields, error) {
	was, err := typedOf(live, typed.AllowDuplicates)
	if err != nil {
		return nil, nil, err
	}
	want, err := typedOf(config)
	if err != nil {
		return nil, nil, err
	}
	got, next, err := updater().Apply(was, want, anyVersion, managers.Copy(), manager, true)
	if err != nil {
		return nil, nil, err
	}
	m, ok := got.AsValue().Unstructured().(map[string]any)
	if !ok {
		return nil, nil, errors.Errorf("%s %q became something else than an object", live.GetKind(), live.GetName())
	}
	// What is merged may share what did not change.
	return (&unstructured.Unstructured{Object: m}).DeepCopy(), next, nil
}

// updateFields is who owns what after somebody has changed an object as kubectl
// edit does: what changed is theirs.
func updateFields(before, after *unstructured.Unstructured, managers fieldpath.ManagedFields, manager string) (fieldpath.ManagedFields, error) {
	was, err := typedOf(before, typed.AllowDuplicates)
	if err != nil {
		return nil, err
	}
	is, err := typedOf(after, typed.AllowDuplicates)
	if err != nil {
		return nil, err
	}
	_, next, err := updater().Update(was, is, anyVersion, managers.Copy(), manager)
	return next, err
}

// managedFields tells what others than one manager own of an object, as the API
// server writes it. It is left out where nobody else owns anything: it is long, and
// nothing looks at the manager's own.
func managedFields(managers fieldpath.ManagedFields, but string) ([]any, error) {
	out := make([]any, 0, len(managers))
	for _, name := range slices.Sorted(maps.Keys(managers)) {
		if name == but {
			continue
		}
		b, err := managers[name].Set().ToJSON()
		if err != nil {
			return nil, err
		}
		set := map[string]any{}
		if err := json.Unmarshal(b, &set); err != nil {
			return nil, err
		}
		operation := metav1.ManagedFieldsOperationUpdate
		if managers[name].Applied() {
			operation = metav1.ManagedFieldsOperationApply
		}
		out = append(out, map[string]any{"manager": name, "operation": string(operation), "fieldsType": "FieldsV1", "fieldsV1": set})
	}
	return out, nil
}
