package observed

import (
	"encoding/base64"
	"math"

	"google.golang.org/protobuf/types/known/structpb"
)

// An Object is a Kubernetes object as Crossplane sends it. Its readers answer
// with the zero value for whatever is not there or has another type, and work
// on the nil Object, which is one that does not exist.
//
// The objects are read in place: converting each of them to its Go type would
// cost more than everything else that the function does.
type Object struct {
	s *structpb.Struct
}

// FromStruct is the Object that s holds.
func FromStruct(s *structpb.Struct) Object { return Object{s: s} }

// Struct is the object as Crossplane sent it. It is not to be written to.
func (o Object) Struct() *structpb.Struct { return o.s }

// Exists says whether there is an object at all.
func (o Object) Exists() bool { return o.s != nil }

// Value is what lies at the path, nil if nothing does.
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

// At is the object below the path.
func (o Object) At(path ...string) Object { return Object{s: o.Value(path...).GetStructValue()} }

// Has says whether anything but null lies at the path.
func (o Object) Has(path ...string) bool {
	v := o.Value(path...)
	if v == nil {
		return false
	}
	_, null := v.GetKind().(*structpb.Value_NullValue)
	return !null
}

// String is the string at the path.
func (o Object) String(path ...string) string { return o.Value(path...).GetStringValue() }

// Bool is the boolean at the path.
func (o Object) Bool(path ...string) bool { return o.Value(path...).GetBoolValue() }

// Int is the number at the path, without its fraction.
func (o Object) Int(path ...string) int64 {
	f := o.Value(path...).GetNumberValue()
	if math.IsNaN(f) || f < math.MinInt32 || f > 1<<53 {
		return 0
	}
	return int64(f)
}

// List is the objects in the list at the path; what is not an object is
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

// Strings is the strings in the list at the path.
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

// Map is what lies at the path as plain Go values.
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

// Keys are the names of the fields at the path.
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

// Named is the first object with that name in the list at the path.
func (o Object) Named(name string, path ...string) Object {
	for _, e := range o.List(path...) {
		if e.String("name") == name {
			return e
		}
	}
	return Object{}
}

// Name is the object's name.
func (o Object) Name() string { return o.String("metadata", "name") }

// Namespace is the object's namespace.
func (o Object) Namespace() string { return o.String("metadata", "namespace") }

// Label is the value of a label.
func (o Object) Label(k string) string { return o.String("metadata", "labels", k) }

// Annotation is the value of an annotation.
func (o Object) Annotation(k string) string { return o.String("metadata", "annotations", k) }

// Created is when the object was created, in a form whose order is that of
// time; empty for what was never in a cluster.
func (o Object) Created() string { return o.String("metadata", "creationTimestamp") }

// Deleting says whether somebody has deleted the object already.
func (o Object) Deleting() bool { return o.Has("metadata", "deletionTimestamp") }

// Controller is the object's controlling owner.
func (o Object) Controller() (owner Object, ok bool) {
	for _, r := range o.List("metadata", "ownerReferences") {
		if r.Bool("controller") {
			return r, true
		}
	}
	return Object{}, false
}

// Data is the decoded value of a Secret's key; ok is false where the key is not
// there or holds nothing.
func (o Object) Data(key string) (value []byte, ok bool) {
	b, err := base64.StdEncoding.DecodeString(o.String("data", key))
	if err != nil || len(b) == 0 {
		return nil, false
	}
	return b, true
}

// NewSecret is a Secret with that data.
func NewSecret(name string, data map[string][]byte) Secret {
	fields := make(map[string]*structpb.Value, len(data))
	for k, v := range data {
		fields[k] = structpb.NewStringValue(base64.StdEncoding.EncodeToString(v))
	}
	return Secret{Name: name, Known: true, Object: Object{s: &structpb.Struct{Fields: map[string]*structpb.Value{
		"data": structpb.NewStructValue(&structpb.Struct{Fields: fields}),
	}}}}
}
