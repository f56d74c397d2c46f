// Package memo remembers what pure code made of its inputs. An idle server asks
// the same thing over and over, and converting its objects costs more than
// seeing that they are the same.
//
// What is remembered is shared between answers: nobody may write to it.
package memo

import (
	"maps"
	"reflect"
	"slices"

	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/utils/lru"
)

// entries is how much is remembered at the most: about fifteen entries and a
// tenth of a megabyte a server.
const entries = 4096

// A Cache remembers. A nil Cache remembers nothing. It may be used by several
// goroutines.
type Cache struct {
	lru *lru.Cache
}

// New is an empty Cache.
func New() *Cache { return &Cache{lru: lru.New(entries)} }

type entry struct {
	inputs []any
	value  any
}

// Do is what build makes. It is not called where it was called last, under this
// key, for the same inputs. An error is not remembered.
func Do[T any](c *Cache, key string, inputs []any, build func() (T, error)) (T, error) {
	if c == nil {
		return build()
	}
	if v, ok := c.lru.Get(key); ok {
		if e, ok := v.(entry); ok && equal(e.inputs, inputs) {
			if t, ok := e.value.(T); ok {
				return t, nil
			}
		}
	}
	v, err := build()
	if err == nil {
		c.lru.Add(key, entry{inputs: inputs, value: v})
	}
	return v, err
}

func equal(a, b []any) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !same(a[i], b[i]) {
			return false
		}
	}
	return true
}

func same(a, b any) bool {
	if reflect.TypeOf(a).Kind() == reflect.Pointer && a == b {
		return true
	}
	switch av := a.(type) {
	case string:
		bv, ok := b.(string)
		return ok && av == bv
	case *structpb.Struct:
		bv, ok := b.(*structpb.Struct)
		return ok && structs(av, bv)
	case *structpb.Value:
		bv, ok := b.(*structpb.Value)
		return ok && values(av, bv)
	}
	// Not apimachinery's Semantic.DeepEqual: to it 1Gi is 1024Mi, and an answer
	// would depend on which of them was asked for first.
	return reflect.DeepEqual(a, b)
}

// structs and values are proto.Equal for what requests are made of, without its
// reflection, which cost more than all else that the function does. A nil Struct
// and an empty one are the same to every reader.
func structs(a, b *structpb.Struct) bool {
	return maps.EqualFunc(a.GetFields(), b.GetFields(), values)
}

func values(a, b *structpb.Value) bool {
	switch av := a.GetKind().(type) {
	case *structpb.Value_StringValue:
		bv, ok := b.GetKind().(*structpb.Value_StringValue)
		return ok && av.StringValue == bv.StringValue
	case *structpb.Value_NumberValue:
		bv, ok := b.GetKind().(*structpb.Value_NumberValue)
		return ok && av.NumberValue == bv.NumberValue
	case *structpb.Value_BoolValue:
		bv, ok := b.GetKind().(*structpb.Value_BoolValue)
		return ok && av.BoolValue == bv.BoolValue
	case *structpb.Value_StructValue:
		bv, ok := b.GetKind().(*structpb.Value_StructValue)
		return ok && structs(av.StructValue, bv.StructValue)
	case *structpb.Value_ListValue:
		bv, ok := b.GetKind().(*structpb.Value_ListValue)
		return ok && slices.EqualFunc(av.ListValue.GetValues(), bv.ListValue.GetValues(), values)
	case *structpb.Value_NullValue:
		_, ok := b.GetKind().(*structpb.Value_NullValue)
		return ok
	}
	return b.GetKind() == nil
}
