// Package manifest turns typed objects into what is sent to Crossplane: the
// intended fields and nothing else. Whatever is sent is owned by Crossplane's
// server-side apply from then on.
package manifest

import (
	"fmt"

	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/runtime"
)

// Of is the object as it is sent: without status, without nulls, and without
// the empty objects and lists that typed APIs leak where their fields lack
// omitempty.
func Of(obj runtime.Object) (map[string]any, error) {
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return nil, fmt.Errorf("cannot convert %T: %w", obj, err)
	}
	delete(m, "status")
	prune(m)
	return m, nil
}

// Struct is the object as it is sent, as Crossplane takes it.
func Struct(obj runtime.Object) (*structpb.Struct, error) {
	m, err := Of(obj)
	if err != nil {
		return nil, err
	}
	s, err := structpb.NewStruct(m)
	if err != nil {
		return nil, fmt.Errorf("cannot convert %T: %w", obj, err)
	}
	return s, nil
}

// prune removes what is empty, and says whether nothing is left.
func prune(m map[string]any) (empty bool) {
	for k, v := range m {
		switch t := v.(type) {
		case nil:
			delete(m, k)
		case map[string]any:
			// An emptyDir is a volume by being there, however empty.
			if prune(t) && k != "emptyDir" {
				delete(m, k)
			}
		case []any:
			for _, e := range t {
				if em, ok := e.(map[string]any); ok {
					prune(em)
				}
			}
			if len(t) == 0 {
				delete(m, k)
			}
		}
	}
	return len(m) == 0
}
