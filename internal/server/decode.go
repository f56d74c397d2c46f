package server

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/observed"
)

// machinery are the fields of an XR's spec that are Crossplane's own: first
// those of namespaced XRs, then those of legacy XRs and claims.
var machinery = []string{ //nolint:gochecknoglobals // A constant.
	"crossplane",
	"claimRef", "compositionRef", "compositionSelector", "compositionRevisionRef",
	"compositionRevisionSelector", "compositionUpdatePolicy", "resourceRefs", "resourceRef",
	"writeConnectionSecretToRef", "publishConnectionDetailsTo", "compositeDeletePolicy",
}

// An Ask is what the XR and the platform's defaults say together, before any
// built-in default.
type Ask struct {
	Spec v1alpha1.DittoServerSpec
	// Unknown are fields that no DittoServer has. The API server drops them; a
	// platform that extends the XRD for other pipeline steps keeps them.
	Unknown []string
	// Cluster identifies everything that is said of the PerconaPGCluster.
	Cluster string

	own, defaults map[string]any
}

// Decode merges the XR's spec over the defaults as raw JSON, so that an
// explicit false or 0 wins over a default, and decodes the result. Every value
// that cannot be decoded is an error of its own.
func Decode(spec, defaults observed.Object) (Ask, field.ErrorList) {
	a := Ask{own: spec.Map(), defaults: defaults.Map()}
	for _, f := range machinery {
		delete(a.own, f)
	}
	merged := overlay(a.defaults, a.own)
	a.Cluster = digest(merged["percona"])

	if strict, err := decode(merged, &a.Spec); err == nil {
		a.Unknown = strict
		return a, nil
	}

	// The decoder stops at the first wrong value. One field after the other
	// shows them all.
	var errs field.ErrorList
	for _, k := range slices.Sorted(maps.Keys(merged)) {
		if err := decodeField(k, merged[k], &a.Spec); err != nil {
			errs = append(errs, a.decodeError(k, merged, err))
		}
	}
	return a, errs
}

// decodeField decodes one field with the standard library, whose errors, unlike
// the strict decoder's, tell the path of the value that is wrong.
func decodeField(key string, value any, spec *v1alpha1.DittoServerSpec) error {
	b, err := json.Marshal(map[string]any{key: value})
	if err != nil {
		return err
	}
	return json.Unmarshal(b, spec)
}

// decode answers with the fields that are not known.
func decode(doc map[string]any, spec *v1alpha1.DittoServerSpec) ([]string, error) {
	b, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	strict, err := kjson.UnmarshalStrict(b, spec)
	if err != nil {
		return nil, err
	}
	return UnknownFields(strict), nil
}

// UnknownFields are the fields that a strict decoder complained of, sorted.
func UnknownFields(strict []error) []string {
	out := make([]string, 0, len(strict))
	for _, e := range strict {
		// The decoder also complains of duplicates, which a Struct cannot have.
		name := strings.TrimPrefix(e.Error(), "unknown field ")
		out = append(out, strings.Trim(name, `"`))
	}
	slices.Sort(out)
	return out
}

func (a Ask) decodeError(key string, merged map[string]any, err error) *field.Error {
	path := []string{key}
	detail := err.Error()
	if te := new(json.UnmarshalTypeError); errors.As(err, &te) {
		if te.Field != "" {
			path = strings.Split(te.Field, ".")
		}
		detail = fmt.Sprintf("must be of type %s, not %s", typeName(te.Type.String()), te.Value)
	}
	return field.Invalid(a.at(path), lookup(merged, path), detail)
}

// typeName is what a person calls a Go type.
func typeName(t string) string {
	switch {
	case strings.HasPrefix(t, "int"):
		return "integer"
	case t == "bool":
		return "boolean"
	case strings.HasPrefix(t, "map"), strings.Contains(t, "."):
		return "object"
	case strings.HasPrefix(t, "[]"):
		return "list"
	}
	return t
}

// at is the path of a field for an error: that of the Input where the value
// comes from there.
func (a Ask) at(path []string) *field.Path {
	root := field.NewPath("spec")
	if lookup(a.own, path) == nil && lookup(a.defaults, path) != nil {
		root = field.NewPath("input", "defaults")
	}
	return root.Child(path[0], path[1:]...)
}

// Path is the path of a field for an error or a message, given with dots.
func (a Ask) Path(dotted string) *field.Path { return a.at(strings.Split(dotted, ".")) }

func lookup(m map[string]any, path []string) any {
	var v any = m
	for _, p := range path {
		mm, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = mm[p]
	}
	return v
}

// overlay lays top over bottom: objects merge, anything else replaces, null is
// as if it were not there.
func overlay(bottom, top map[string]any) map[string]any {
	out := make(map[string]any, len(bottom)+len(top))
	for k, v := range bottom {
		if v != nil {
			out[k] = v
		}
	}
	for k, v := range top {
		if v == nil {
			continue
		}
		tm, ok := v.(map[string]any)
		if !ok {
			out[k] = v
			continue
		}
		bm, _ := out[k].(map[string]any)
		out[k] = overlay(bm, tm)
	}
	return out
}

func digest(v any) string {
	// Maps are marshalled in the order of their keys.
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
