package xrdgen

import (
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// refine turns the schema that controller-gen makes of a type into one that suits an API
// with defaults of its own. It walks the type beside the schema, since the schema does not
// tell our types from those of Kubernetes.
//
//   - No field has a default: the API server would write it into the object, where it would
//     hide the platform's. Types of Kubernetes bring some.
//   - Nothing is required that defaults, which are merged beneath, may supply. In a list's
//     items it is, since lists are taken whole.
//   - Types of Kubernetes lose their descriptions, which would be most of the schema's bytes.
func refine(s *extv1.JSONSchemaProps, t reflect.Type) {
	relax(s)
	describe(s, t)
}

// relax removes defaults, and requirements outside of lists.
func relax(s *extv1.JSONSchemaProps) {
	s.Required = nil
	dropDefaults(s)

	for name, p := range s.Properties {
		relax(&p)
		s.Properties[name] = p
	}

	if a := s.AdditionalProperties; a != nil && a.Schema != nil {
		relax(a.Schema)
	}
}

// dropDefaults removes the defaults of a schema and of all in it.
func dropDefaults(s *extv1.JSONSchemaProps) {
	s.Default = nil

	for name, p := range s.Properties {
		dropDefaults(&p)
		s.Properties[name] = p
	}

	if s.Items != nil && s.Items.Schema != nil {
		dropDefaults(s.Items.Schema)
	}

	if a := s.AdditionalProperties; a != nil && a.Schema != nil {
		dropDefaults(a.Schema)
	}
}

// describe replaces the descriptions inside Kubernetes' own types.
func describe(s *extv1.JSONSchemaProps, t reflect.Type) {
	t = elem(t)

	if t.Kind() != reflect.Struct {
		return
	}

	if s.Items != nil && s.Items.Schema != nil {
		describe(s.Items.Schema, t)

		return
	}

	if ofKubernetes(t) {
		describeForeign(s, t)

		return
	}

	for _, f := range fields(t) {
		if p, ok := s.Properties[f.name]; ok {
			describe(&p, f.typ)
			s.Properties[f.name] = p
		}
	}
}

// describeForeign describes the insides of one of Kubernetes' types: references in our
// words, all others not at all, since their own documentation is a link away.
func describeForeign(s *extv1.JSONSchemaProps, t reflect.Type) {
	for name, p := range s.Properties {
		dropDescriptions(&p)

		if isReference(t) {
			p.Description = map[string]string{
				"name":     "Name of the Secret, in the server's namespace.",
				"key":      "Key in the Secret.",
				"optional": "Optional has no effect: what is named has to exist.",
			}[name]
		}

		s.Properties[name] = p
	}
}

// dropDescriptions removes the descriptions of a schema and of all in it.
func dropDescriptions(s *extv1.JSONSchemaProps) {
	s.Description = ""

	for name, p := range s.Properties {
		dropDescriptions(&p)
		s.Properties[name] = p
	}

	if s.Items != nil && s.Items.Schema != nil {
		dropDescriptions(s.Items.Schema)
	}

	if a := s.AdditionalProperties; a != nil && a.Schema != nil {
		dropDescriptions(a.Schema)
	}
}

// isReference reports whether a type of Kubernetes refers to a Secret.
func isReference(t reflect.Type) bool {
	return t == reflect.TypeFor[corev1.SecretKeySelector]() || t == reflect.TypeFor[corev1.LocalObjectReference]()
}

// ofKubernetes reports whether a type is Kubernetes' own.
func ofKubernetes(t reflect.Type) bool {
	return strings.HasPrefix(t.PkgPath(), "k8s.io/")
}

// elem is what a pointer points to or a list has.
func elem(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}

	return t
}

// A member is a field of a struct as JSON has it.
type member struct {
	name string
	typ  reflect.Type
}

// fields of a struct, in its order, without those that every object has.
func fields(t reflect.Type) []member {
	out := make([]member, 0, t.NumField())

	for i := range t.NumField() {
		f := t.Field(i)

		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" || name == "metadata" {
			continue
		}

		out = append(out, member{name: name, typ: f.Type})
	}

	return out
}

// partialSpec is the schema of a part of a spec: that of the spec, described as the part.
func partialSpec(part, spec extv1.JSONSchemaProps) extv1.JSONSchemaProps {
	out := *spec.DeepCopy()
	out.Description = part.Description

	return out
}
