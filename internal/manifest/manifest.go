// Package manifest turns typed objects into what is sent to Crossplane: the
// intended fields and nothing else. Whatever is sent is owned by Crossplane's
// server-side apply from then on.
package manifest

import (
	"fmt"

	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// Of returns the object as it is sent, as a map: without status, without nulls, and
// without the empty objects and lists that typed APIs leak where their fields lack
// omitempty.
func Of(obj runtime.Object) (map[string]any, error) {
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return nil, fmt.Errorf("cannot convert %T: %w", obj, err)
	}
	delete(m, "status")
	Prune(m)
	return m, nil
}

// Struct returns the object as it is sent, without the way over a map, which costs
// more than everything else that the function does.
func Struct(obj runtime.Object) (*structpb.Struct, error) {
	v, err := value.NewValueReflect(obj)
	if err != nil {
		return nil, fmt.Errorf("cannot convert %T: %w", obj, err)
	}
	s := converter{prune: true}.object(v)
	delete(s.Fields, "status")
	return s, nil
}

// FromMap returns an object of plain Go values as it is sent.
func FromMap(m map[string]any) *structpb.Struct {
	return converter{}.object(value.NewValueInterface(m))
}

// Prune removes what is empty, as Of does, and reports whether nothing is left.
func Prune(m map[string]any) (empty bool) {
	for k, v := range m {
		switch t := v.(type) {
		case nil:
			delete(m, k)
		case map[string]any:
			if Prune(t) && !keptEmpty(k) {
				delete(m, k)
			}
		case []any:
			for _, e := range t {
				if em, ok := e.(map[string]any); ok {
					Prune(em)
				}
			}
			if len(t) == 0 {
				delete(m, k)
			}
		}
	}
	return len(m) == 0
}

// keptEmpty reports whether a field means something by being there, however empty:
// an emptyDir is a volume, and a selector that names nothing selects everything.
func keptEmpty(field string) bool {
	switch field {
	case "emptyDir", "labelSelector", "namespaceSelector", "podSelector":
		return true
	}
	return false
}

// A converter converts values.
type converter struct {
	// prune leaves out what is empty.
	prune bool
}

func (c converter) object(v value.Value) *structpb.Struct {
	m := v.AsMap()
	s := &structpb.Struct{Fields: make(map[string]*structpb.Value, m.Length())}
	m.Iterate(func(k string, v value.Value) bool {
		if f := c.field(v, keptEmpty(k)); f != nil {
			s.Fields[k] = f
		}
		return true
	})
	return s
}

// field returns a value as it is sent, nil if it is empty and is to be left out.
func (c converter) field(v value.Value, keepEmpty bool) *structpb.Value {
	switch {
	case v.IsNull():
		if c.prune {
			return nil
		}
		return structpb.NewNullValue()
	case v.IsMap():
		s := c.object(v)
		if c.prune && !keepEmpty && len(s.Fields) == 0 {
			return nil
		}
		return structpb.NewStructValue(s)
	case v.IsList():
		return c.list(v)
	case v.IsString():
		// One allocation for both.
		t := &struct {
			value structpb.Value
			kind  structpb.Value_StringValue
		}{kind: structpb.Value_StringValue{StringValue: v.AsString()}}
		t.value.Kind = &t.kind
		return &t.value
	case v.IsBool():
		return structpb.NewBoolValue(v.AsBool())
	case v.IsInt():
		return structpb.NewNumberValue(float64(v.AsInt()))
	}
	return structpb.NewNumberValue(v.AsFloat())
}

func (c converter) list(v value.Value) *structpb.Value {
	l := v.AsList()
	if c.prune && l.Length() == 0 {
		return nil
	}
	out := &structpb.ListValue{Values: make([]*structpb.Value, 0, l.Length())}
	for i := range l.Length() {
		out.Values = append(out.Values, c.field(l.At(i), true))
	}
	return structpb.NewListValue(out)
}
