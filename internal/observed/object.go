package observed

import (
	"bytes"
	"encoding/base64"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/structpb"
)

// An Object is a Kubernetes object as Crossplane sends it. Its methods return the
// zero value for whatever is not there or has another type, and work on the zero
// Object, which is one that does not exist.
//
// The objects are read in place: converting each of them to its Go type would
// cost more than everything else that the function does.
type Object struct {
	s *structpb.Struct
}

// FromStruct returns the Object that s holds.
func FromStruct(s *structpb.Struct) Object { return Object{s: s} }

// Struct returns the object as Crossplane sent it. It must not be modified.
func (o Object) Struct() *structpb.Struct { return o.s }

// Exists reports whether there is an object at all.
func (o Object) Exists() bool { return o.s != nil }

// Value returns the value at path, nil if there is none.
func (o Object) Value(path ...string) *structpb.Value {
	s := o.s
	for i, p := range path {
		v := s.GetFields()[p]
		if i == len(path)-1 {
			return v
		}
		s = v.GetStructValue()
	}
	return nil
}

// At returns the object at path.
func (o Object) At(path ...string) Object { return Object{s: o.Value(path...).GetStructValue()} }

// Has reports whether a non-null value exists at path.
func (o Object) Has(path ...string) bool {
	v := o.Value(path...)
	if v == nil {
		return false
	}
	_, null := v.GetKind().(*structpb.Value_NullValue)
	return !null
}

// String returns the string at path.
func (o Object) String(path ...string) string { return o.Value(path...).GetStringValue() }

// Bool returns the boolean at path.
func (o Object) Bool(path ...string) bool { return o.Value(path...).GetBoolValue() }

// Int returns the number at path, without its fraction.
func (o Object) Int(path ...string) int64 {
	f := o.Value(path...).GetNumberValue()
	if math.IsNaN(f) || f < math.MinInt32 || f > 1<<53 {
		return 0
	}
	return int64(f)
}

// List returns the objects in the list at path; what is not an object is
// skipped.
func (o Object) List(path ...string) []Object {
	vs := o.Value(path...).GetListValue().GetValues()
	out := make([]Object, 0, len(vs))
	for _, v := range vs {
		if s := v.GetStructValue(); s != nil {
			out = append(out, Object{s: s})
		}
	}
	return out
}

// Strings returns the strings in the list at path.
func (o Object) Strings(path ...string) []string {
	vs := o.Value(path...).GetListValue().GetValues()
	out := make([]string, 0, len(vs))
	for _, v := range vs {
		if s, ok := v.GetKind().(*structpb.Value_StringValue); ok {
			out = append(out, s.StringValue)
		}
	}
	return out
}

// Map returns the object at path as plain Go values.
func (o Object) Map(path ...string) map[string]any {
	s := o.s
	if len(path) > 0 {
		s = o.Value(path...).GetStructValue()
	}
	if s == nil {
		return nil
	}
	return s.AsMap()
}

// Keys returns the names of the fields at path, in no order.
func (o Object) Keys(path ...string) []string {
	fields := o.s.GetFields()
	if len(path) > 0 {
		fields = o.Value(path...).GetStructValue().GetFields()
	}
	out := make([]string, 0, len(fields))
	for k := range fields {
		out = append(out, k)
	}
	return out
}

// Named returns the first object of that name in the list at path.
func (o Object) Named(name string, path ...string) Object {
	for _, e := range o.List(path...) {
		if e.String("name") == name {
			return e
		}
	}
	return Object{}
}

// Name returns the object's name.
func (o Object) Name() string { return o.String("metadata", "name") }

// Namespace returns the object's namespace.
func (o Object) Namespace() string { return o.String("metadata", "namespace") }

// Label returns the value of a label.
func (o Object) Label(k string) string { return o.String("metadata", "labels", k) }

// Annotation returns the value of an annotation.
func (o Object) Annotation(k string) string { return o.String("metadata", "annotations", k) }

// Created returns when the object was created, in a form whose order is that of
// time; empty for what was never in a cluster.
func (o Object) Created() string { return o.String("metadata", "creationTimestamp") }

// Deleting reports whether somebody has deleted the object already.
func (o Object) Deleting() bool { return o.Has("metadata", "deletionTimestamp") }

// Controller returns the object's controlling owner.
func (o Object) Controller() (owner Object, ok bool) {
	for _, r := range o.List("metadata", "ownerReferences") {
		if r.Bool("controller") {
			return r, true
		}
	}
	return Object{}, false
}

// Data returns the decoded value of a Secret's key; ok is false where the key is
// not there or holds nothing.
func (o Object) Data(key string) (value []byte, ok bool) {
	b, err := base64.StdEncoding.DecodeString(o.String("data", key))
	if err != nil || len(b) == 0 {
		return nil, false
	}
	return b, true
}

// Text returns the value of a Secret's key as text; ok is false where the key is
// not there, holds nothing, or holds bytes that are no text. Such bytes can be in
// a Secret, and neither in a message nor in an environment variable.
func (o Object) Text(key string) (value string, ok bool) {
	b, ok := o.Data(key)
	if !ok || !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
		return "", false
	}
	return string(b), true
}

// NewSecret returns a Secret with that data.
func NewSecret(data map[string][]byte) Object {
	fields := make(map[string]*structpb.Value, len(data))
	for k, v := range data {
		fields[k] = structpb.NewStringValue(base64.StdEncoding.EncodeToString(v))
	}
	return Object{s: &structpb.Struct{Fields: map[string]*structpb.Value{
		"data": structpb.NewStructValue(&structpb.Struct{Fields: fields}),
	}}}
}
