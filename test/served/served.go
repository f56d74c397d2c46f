// Package served makes the requests of benchmarks as large as real ones: it adds
// to observed objects what an API server adds.
package served

import (
	"fmt"
	"maps"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"google.golang.org/protobuf/types/known/structpb"
)

// ResourceVersion is that of every object.
const ResourceVersion = "1234567890"

// Add adds a version and managedFields to the observed composed resources.
// managedFields are about half of what Crossplane sends.
func Add(req *fnv1.RunFunctionRequest) error {
	for name, r := range req.GetObserved().GetResources() {
		o := r.GetResource().AsMap()
		meta, ok := o["metadata"].(map[string]any)
		if !ok {
			return fmt.Errorf("the composed resource %q has no metadata", name)
		}
		meta["resourceVersion"] = ResourceVersion
		meta["managedFields"] = managedFields(o)
		s, err := structpb.NewStruct(o)
		if err != nil {
			return err
		}
		r.Resource = s
	}
	return nil
}

// managedFields returns those of an object that Crossplane applies, and whose
// status a controller writes.
func managedFields(o map[string]any) []any {
	entry := func(manager string, fields map[string]any) any {
		return map[string]any{
			"manager": manager, "operation": "Apply", "apiVersion": o["apiVersion"], "time": "2026-01-01T00:00:00Z",
			"fieldsType": "FieldsV1", "fieldsV1": fields,
		}
	}
	applied := maps.Clone(o)
	delete(applied, "status")
	out := []any{entry("apiextensions.crossplane.io/composed/0123456789abcdef", fieldsOf(applied))}
	if o["status"] != nil {
		out = append(out, entry("kube-controller-manager", map[string]any{"f:status": fieldsOf(o["status"])}))
	}
	return out
}

// fieldsOf returns how managedFields write the fields of a value.
func fieldsOf(v any) map[string]any {
	out := map[string]any{}
	switch t := v.(type) {
	case map[string]any:
		for k, e := range t {
			out["f:"+k] = fieldsOf(e)
		}
	case []any:
		for i, e := range t {
			k := fmt.Sprintf("k:{\"index\":%d}", i)
			if m, ok := e.(map[string]any); ok && m["name"] != nil {
				k = fmt.Sprintf("k:{\"name\":%q}", m["name"])
			}
			out[k] = map[string]any{".": map[string]any{}}
		}
	}
	return out
}
