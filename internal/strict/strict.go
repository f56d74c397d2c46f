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
// not have, sorted, and an error for each value that cannot be decoded; at turns the path of such a value into one for a person. Everything
// else is decoded all the same.
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

// sound is what can be decoded of the value at a path. Decoders do not tell the
// path of every error, so each value is tried by itself.
func (d *decoder) sound(path []string, value any) any {
	err := d.try(path, value)
	if err == nil {
		return value
	}
	m, ok := value.(map[string]any)
	if !ok || len(m) == 0 {
		d.errs = append(d.errs, field.Invalid(d.at(path), value, detail(err)))
		return nil
	}
	before := len(d.errs)
	out := make(map[string]any, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if v := d.sound(append(slices.Clone(path), k), m[k]); v != nil {
			out[k] = v
		}
	}
	if len(d.errs) == before && len(path) > 0 {
		// No part of it is wrong by itself.
		d.errs = append(d.errs, field.Invalid(d.at(path), value, detail(err)))
		return nil
	}
	if d.try(path, out) != nil {
		return nil
	}
	return out
}

// try decodes a document that has nothing but the value at the path.
func (d *decoder) try(path []string, value any) error {
	for _, p := range slices.Backward(path) {
		value = map[string]any{p: value}
	}
	b, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, reflect.New(d.target).Interface())
}

func detail(err error) string {
	if te := new(json.UnmarshalTypeError); errors.As(err, &te) {
		return fmt.Sprintf("must be of type %s, not %s", typeName(te.Type.String()), te.Value)
	}
	if errors.Is(err, resource.ErrFormatWrong) || errors.Is(err, resource.ErrNumeric) || errors.Is(err, resource.ErrSuffix) {
		return "must be a quantity such as 500m or 1Gi"
	}
	return err.Error()
}

// typeName is what a person calls a Go type.
func typeName(t string) string {
	switch {
	case strings.HasPrefix(t, "int"):
		return "integer"
	case t == "bool":
		return "boolean"
	case strings.HasPrefix(t, "[]"):
		return "list"
	case strings.HasPrefix(t, "map"), strings.Contains(t, "."):
		return "object"
	}
	return t
}

// Has reports whether a document has the field that Decode names, which may be an
// entry of a list, such as "spec.users[0].nam".
func Has(doc map[string]any, field string) bool {
	var v any = doc
	for _, p := range strings.Split(field, ".") {
		name, indexes, _ := strings.Cut(p, "[")
		m, ok := v.(map[string]any)
		if !ok {
			return false
		}
		if v, ok = m[name]; !ok {
			return false
		}
		for _, i := range strings.Split(strings.TrimSuffix(indexes, "]"), "][") {
			if i == "" {
				continue
			}
			n, err := strconv.Atoi(i)
			l, ok := v.([]any)
			if err != nil || !ok || n < 0 || n >= len(l) {
				return false
			}
			v = l[n]
		}
	}
	return true
}

// Lookup returns the value at a path, nil if there is none.
func Lookup(doc map[string]any, path []string) any {
	var v any = doc
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[p]
	}
	return v
}
