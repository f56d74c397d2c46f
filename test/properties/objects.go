package properties

import (
	"encoding/base64"
	"encoding/json"

	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dittofs/function-dittoserver/internal/lifecycle"
	"github.com/dittofs/function-dittoserver/test/conformance"
)

// An object is a Kubernetes object, with int64 for every whole number. What
// comes out of a world is not to be written to.
type object = map[string]any

// A key finds an object in a cluster.
type key struct{ kind, namespace, name string }

func (k key) String() string { return k.kind + " " + k.namespace + "/" + k.name }

func (k key) full() lifecycle.Key {
	api := map[string]string{
		"StatefulSet": "apps/v1", "PerconaPGCluster": "pgv2.percona.com/v2", "CustomResourceDefinition": "apiextensions.k8s.io/v1",
	}[k.kind]
	if api == "" {
		api = "v1"
	}
	return lifecycle.Key{APIVersion: api, Kind: k.kind, Namespace: k.namespace, Name: k.name}
}

func keyOf(o object) key {
	return key{text(o, "kind"), text(o, "metadata", "namespace"), text(o, "metadata", "name")}
}

// at returns what lies at the path, nil if nothing does.
func at(o object, path ...string) any {
	var v any = o
	for _, p := range path {
		m, ok := v.(object)
		if !ok {
			return nil
		}
		v = m[p]
	}
	return v
}

func text(o object, path ...string) string { s, _ := at(o, path...).(string); return s }
func isTrue(o object, path ...string) bool { b, _ := at(o, path...).(bool); return b }

func number(o object, path ...string) int64 {
	switch n := at(o, path...).(type) {
	case int64:
		return n
	case float64:
		return int64(n)
	}
	return 0
}

// list returns the objects in a list.
func list(o object, path ...string) []object {
	l, _ := at(o, path...).([]any)
	var out []object
	for _, e := range l {
		if m, ok := e.(object); ok {
			out = append(out, m)
		}
	}
	return out
}

// named returns the object of a list that has the name, nil if none has.
func named(o object, name string, path ...string) object {
	for _, e := range list(o, path...) {
		if e["name"] == name {
			return e
		}
	}
	return nil
}

// set puts a value at the path and makes what is missing on the way.
func set(o object, v any, path ...string) {
	for _, p := range path[:len(path)-1] {
		m, ok := o[p].(object)
		if !ok {
			m = object{}
			o[p] = m
		}
		o = m
	}
	o[path[len(path)-1]] = conformance.Whole(v)
}

// unset removes what lies at the path.
func unset(o object, path ...string) {
	if parent, ok := at(o, path[:len(path)-1]...).(object); ok {
		delete(parent, path[len(path)-1])
	}
}

func clone(o object) object {
	if o == nil {
		return nil
	}
	return conformance.Whole(o).(object)
}

func kube(o object) *unstructured.Unstructured { return &unstructured.Unstructured{Object: clone(o)} }

func toStruct(o object) *structpb.Struct {
	s, err := structpb.NewStruct(o)
	if err != nil {
		panic(err) // The tests make only JSON.
	}
	return s
}

func asJSON(v any) string { b, _ := json.Marshal(v); return string(b) }

// secret returns a Secret with that data, in clear.
func secret(namespace, name string, data map[string]string) object {
	encoded := object{}
	for k, v := range data {
		encoded[k] = base64.StdEncoding.EncodeToString([]byte(v))
	}
	return object{
		"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
		"metadata": object{"name": name, "namespace": namespace},
		"data":     encoded,
	}
}

// decoded returns a value of a Secret in clear; ok is false where it is missing
// or empty.
func decoded(s object, k string) (string, bool) {
	b, err := base64.StdEncoding.DecodeString(text(s, "data", k))
	return string(b), err == nil && len(b) > 0
}
