package render

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/crossplane/function-sdk-go/errors"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"google.golang.org/protobuf/types/known/structpb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"
)

// What Crossplane puts on what it composes.
// Source: crossplane v2.4.0 internal/xcrd and
// internal/controller/apiextensions/composite/composition_render.go.
const (
	AnnotationResourceName = "crossplane.io/composition-resource-name"
	LabelComposite         = "crossplane.io/composite"
	LabelClaimName         = "crossplane.io/claim-name"
	LabelClaimNamespace    = "crossplane.io/claim-namespace"
)

// Compose makes a desired composed resource of the function's answer what
// Crossplane applies: named as the observed one if there is one, in the
// namespace of a namespaced XR, labelled, and controlled by the XR.
func Compose(name string, desired *structpb.Struct, xr, observed *unstructured.Unstructured) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: ToMap(desired)}
	if observed != nil {
		o.SetNamespace(observed.GetNamespace())
		o.SetName(observed.GetName())
		o.SetGenerateName(observed.GetGenerateName())
	}
	if o.GetName() == "" && o.GetGenerateName() == "" {
		o.SetGenerateName(xr.GetName() + "-")
	}
	if ns := xr.GetNamespace(); ns != "" {
		o.SetNamespace(ns)
	}
	o.SetAnnotations(with(o.GetAnnotations(), map[string]string{AnnotationResourceName: name}))
	o.SetLabels(with(o.GetLabels(), CompositeLabels(xr)))
	// Owners that the function names stay beside the XR.
	// Source: crossplane-runtime v2.3.1 pkg/meta, AddOwnerReference.
	others := slices.DeleteFunc(o.GetOwnerReferences(), func(r metav1.OwnerReference) bool { return r.UID == xr.GetUID() })
	o.SetOwnerReferences(append(others, metav1.OwnerReference{
		APIVersion:         xr.GetAPIVersion(),
		Kind:               xr.GetKind(),
		Name:               xr.GetName(),
		UID:                xr.GetUID(),
		Controller:         ptr.To(true),
		BlockOwnerDeletion: ptr.To(true),
	}))
	return o
}

// CompositeLabels are the labels by which Crossplane marks what belongs to an
// XR. They are the XR's own, which for one that is itself composed name the
// outermost XR; a claim's XR bears the claim's.
func CompositeLabels(xr *unstructured.Unstructured) map[string]string {
	have := xr.GetLabels()
	out := map[string]string{LabelComposite: cmp.Or(have[LabelComposite], xr.GetName())}
	if have[LabelClaimName] != "" && have[LabelClaimNamespace] != "" {
		out[LabelClaimName], out[LabelClaimNamespace] = have[LabelClaimName], have[LabelClaimNamespace]
	}
	return out
}

// with is m with more, which wins.
func with(m, more map[string]string) map[string]string {
	out := make(map[string]string, len(m)+len(more))
	maps.Copy(out, m)
	maps.Copy(out, more)
	return out
}

// Objects are what exists beside the composed resources.
type Objects []*unstructured.Unstructured

// Fetch finds what a selector selects: by name and namespace, by labels, or
// everything of a kind.
func (os Objects) Fetch(sel *fnv1.ResourceSelector) ([]*fnv1.Resource, error) {
	var found []*unstructured.Unstructured
	for _, o := range os {
		if o.GetAPIVersion() == sel.GetApiVersion() && o.GetKind() == sel.GetKind() && matches(o, sel) {
			found = append(found, o)
		}
	}
	slices.SortFunc(found, func(a, b *unstructured.Unstructured) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	out := make([]*fnv1.Resource, 0, len(found))
	for _, o := range found {
		s, err := ToStruct(o)
		if err != nil {
			return nil, err
		}
		out = append(out, &fnv1.Resource{Resource: s})
	}
	return out, nil
}

func matches(o *unstructured.Unstructured, sel *fnv1.ResourceSelector) bool {
	if _, byName := sel.GetMatch().(*fnv1.ResourceSelector_MatchName); byName {
		return o.GetName() == sel.GetMatchName() && o.GetNamespace() == sel.GetNamespace()
	}
	if sel.GetNamespace() != "" && o.GetNamespace() != sel.GetNamespace() {
		return false
	}
	return labels.SelectorFromSet(sel.GetMatchLabels().GetLabels()).Matches(labels.Set(o.GetLabels()))
}

// Schema returns the schema of a kind. That of a custom resource follows from
// its CustomResourceDefinition; where there is none, nothing is known of the
// kind, as in a preview without one.
func (os Objects) Schema(sel *fnv1.SchemaSelector) (*fnv1.Schema, error) {
	group, _, _ := strings.Cut(sel.GetApiVersion(), "/")
	for _, o := range os {
		if o.GetKind() == kindCRD && Defines(o, group, sel.GetKind()) && Established(o) {
			return &fnv1.Schema{OpenapiV3: &structpb.Struct{Fields: map[string]*structpb.Value{"type": structpb.NewStringValue("object")}}}, nil
		}
	}
	return &fnv1.Schema{}, nil
}

const kindCRD = "CustomResourceDefinition"

// perconaGroup is the group of Percona's kinds, which its operator installs
// together: the CustomResourceDefinition of one stands for all of them.
const perconaGroup = "pgv2.percona.com"

// Defines reports whether a CustomResourceDefinition is that of a kind.
func Defines(crd *unstructured.Unstructured, group, kind string) bool {
	plural := strings.ToLower(kind) + "s." + group
	return crd.GetName() == plural || group == perconaGroup && strings.HasSuffix(crd.GetName(), "."+group)
}

// Established reports whether the API server serves what a
// CustomResourceDefinition defines. One without a status is taken as served.
func Established(crd *unstructured.Unstructured) bool {
	if crd.GetDeletionTimestamp() != nil {
		return false
	}
	conditions, found, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
	if !found {
		return true
	}
	for _, c := range conditions {
		m, _ := c.(map[string]any)
		if m["type"] == "Established" {
			return m["status"] == StatusTrue
		}
	}
	return false
}

// misplaced says of objects that would be what is asked for by name if they
// were in the namespace that is asked in.
func (os Objects) misplaced(sel *fnv1.ResourceSelector) []string {
	name := sel.GetMatchName()
	if name == "" {
		return nil
	}
	var out []string
	for _, o := range os {
		if o.GetAPIVersion() == sel.GetApiVersion() && o.GetKind() == sel.GetKind() && o.GetName() == name {
			out = append(out, fmt.Sprintf("%s %q is in namespace %q, so that the function does not find it; if it is this server's, set its metadata.namespace to %q", o.GetKind(), name, o.GetNamespace(), sel.GetNamespace()))
		}
	}
	return out
}

// ToStruct is the object as it is sent to the function.
func ToStruct(o *unstructured.Unstructured) (*structpb.Struct, error) {
	s, err := structpb.NewStruct(o.Object)
	return s, errors.Wrapf(err, "cannot encode %s %q", o.GetKind(), o.GetName())
}

// ToMap is what the function sent as plain Go values, with whole numbers as
// integers, as everything else that handles unstructured objects expects.
func ToMap(s *structpb.Struct) map[string]any {
	out := make(map[string]any, len(s.GetFields()))
	for k, v := range s.GetFields() {
		out[k] = toAny(v)
	}
	return out
}

func toAny(v *structpb.Value) any {
	switch k := v.GetKind().(type) {
	case *structpb.Value_NumberValue:
		if i := int64(k.NumberValue); float64(i) == k.NumberValue {
			return i
		}
		return k.NumberValue
	case *structpb.Value_StructValue:
		return ToMap(k.StructValue)
	case *structpb.Value_ListValue:
		out := make([]any, 0, len(k.ListValue.GetValues()))
		for _, e := range k.ListValue.GetValues() {
			out = append(out, toAny(e))
		}
		return out
	}
	return v.AsInterface()
}
