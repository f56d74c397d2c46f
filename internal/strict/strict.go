// Package strict decodes JSON documents and names everything that is wrong with
// them, where decoders stop at the first wrong value.
package strict

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"
)

// Decode decodes a document into a pointer. It returns the fields that into does
// not have, sorted, and an error for each value that cannot be decoded; at turns the
// path of such a value, in which an entry of a list is "extraEnv[1]", into one for a
// person. Everything else is decoded all the same, but for the rest of such a list.
func Decode(doc map[string]any, into any, at func(path []string) *field.Path) (unknown []string, errs field.ErrorList) {
	unknown, err := decode(doc, into)
	if err == nil {
		return unknown, nil
	}
	d := &decoder{target: reflect.TypeOf(into).Elem(), at: at}
	rest, _ := d.sound(nil, doc).(map[string]any)
	// A decoder leaves half of what it could not decode behind.
	reflect.ValueOf(into).Elem().SetZero()
	unknown, err = decode(rest, into)
	if err != nil {
		// It takes more than one value to be wrong here.
		d.errs = append(d.errs, field.Invalid(at([]string{""}), "", err.Error()))
	}
	return unknown, d.errs
}

func decode(doc map[string]any, into any) ([]string, error) {
	b, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	strict, err := kjson.UnmarshalStrict(b, into)
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(strict))
	for _, e := range strict {
		// The decoder also complains of duplicates, which a map cannot have.
		out = append(out, strings.Trim(strings.TrimPrefix(e.Error(), "unknown field "), `"`))
	}
	slices.Sort(out)
	return out, nil
}

// A decoder looks for the values that are wrong.
type decoder struct {
	target reflect.Type
	at     func(path []string) *field.Path
	errs   field.ErrorList
}

// A path leads to a value: the keys of objects and the indexes of lists.
type path []any

// then returns the path of a value in the one at p.
func (p path) then(keyOrIndex any) path { return append(slices.Clone(p), keyOrIndex) }

// names returns the names of the fields on a path, each with its indexes: extraEnv[1].
func (p path) names() []string {
	out := make([]string, 0, len(p))
	for _, step := range p {
		switch step := step.(type) {
		case string:
			out = append(out, step)
		case int:
			out[len(out)-1] += fmt.Sprintf("[%d]", step)
		}
	}
	return out
}

// sound returns what can be decoded of the value at a path, and nothing of a list
// in which something is wrong: an entry is not valid without what is taken from it.
// Decoders do not tell the path of every error, so each value is tried by itself.
func (d *decoder) sound(at path, value any) any {
	err := d.try(at, value)
	if err == nil {
		return value
	}
	before := len(d.errs)
	switch v := value.(type) {
	case map[string]any:
		// Where there must be no object at all, its fields are not to blame.
		if err := d.try(at, map[string]any{}); err != nil {
			d.wrong(at, value, err)
			return nil
		}
		out := make(map[string]any, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if e := d.sound(at.then(k), v[k]); e != nil {
				out[k] = e
			}
		}
		if len(at) == 0 || len(d.errs) > before && d.try(at, out) == nil {
			return out
		}
	case []any:
		if err := d.try(at, []any{}); err != nil {
			d.wrong(at, value, err)
			return nil
		}
		for i, e := range v {
			d.sound(at.then(i), e)
		}
	}
	if len(d.errs) == before {
		// No part of it is wrong by itself.
		d.wrong(at, value, err)
	}
	return nil
}

// wrong adds the error of the value at a path. The values in an object or a list are
// not shown: there may be credentials among them.
func (d *decoder) wrong(at path, value any, err error) {
	switch value.(type) {
	case map[string]any:
		value = "object"
	case []any:
		value = "list"
	}
	d.errs = append(d.errs, field.Invalid(d.at(at.names()), value, detail(err)))
}

// try decodes a document that has nothing but the value at the path.
func (d *decoder) try(at path, value any) error {
	for _, step := range slices.Backward(at) {
		if key, ok := step.(string); ok {
			value = map[string]any{key: value}
		} else {
			value = []any{value}
		}
	}
	b, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, reflect.New(d.target).Interface())
}

func detail(err error) string {
	if te := new(json.UnmarshalTypeError); errors.As(err, &te) {
		return fmt.Sprintf("must be of type %s, not %s", typeName(te.Type), valueName(te.Value))
	}
	if errors.Is(err, resource.ErrFormatWrong) || errors.Is(err, resource.ErrNumeric) || errors.Is(err, resource.ErrSuffix) {
		return "must be a quantity such as 500m or 1Gi"
	}
	return err.Error()
}

// typeName is what a person calls a Go type.
func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "integer"
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.String:
		return "string"
	case reflect.Slice, reflect.Array:
		return "list"
	case reflect.Map, reflect.Struct:
		return "object"
	default:
		return t.String()
	}
}

// valueName is what a person calls what a decoder calls a value.
func valueName(v string) string {
	switch v {
	case "bool":
		return "boolean"
	case "array":
		return "list"
	}
	return v
}

// Has reports whether a document has the field that Decode names, which may be an
// entry of a list, such as "spec.users[0].nam".
func Has(doc map[string]any, field string) bool {
	_, ok := walk(doc, strings.Split(field, "."))
	return ok
}

// Lookup returns the value at a path as Decode gives it to at, nil if there is none.
func Lookup(doc map[string]any, path []string) any {
	v, _ := walk(doc, path)
	return v
}

// Objects returns the objects in a list, which may be none.
func Objects(list any) []map[string]any {
	l, _ := list.([]any)
	out := make([]map[string]any, 0, len(l))
	for _, e := range l {
		if m, ok := e.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

func walk(doc map[string]any, path []string) (v any, ok bool) {
	v = doc
	for _, p := range path {
		m, isMap := v.(map[string]any)
		if !isMap {
			return nil, false
		}
		// A key may look as if it had an index.
		if v, ok = m[p]; ok {
			continue
		}
		name, indexes, isEntry := strings.Cut(strings.TrimSuffix(p, "]"), "[")
		if v, ok = m[name]; !ok || !isEntry {
			return nil, false
		}
		for _, i := range strings.Split(indexes, "][") {
			n, err := strconv.Atoi(i)
			l, isList := v.([]any)
			if err != nil || !isList || n < 0 || n >= len(l) {
				return nil, false
			}
			v = l[n]
		}
	}
	return v, true
}
