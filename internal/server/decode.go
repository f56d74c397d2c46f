package server

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/memo"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/strict"
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
	// undecoded are the paths of values that could not be decoded.
	undecoded []string
}

// DecodeOnce is Decode, except where both are the same as last time under the
// key.
func DecodeOnce(m *memo.Cache, key string, spec, defaults observed.Object) (Ask, field.ErrorList) {
	type decoded struct {
		ask  Ask
		errs field.ErrorList
	}
	d, _ := memo.Do(m, key, []any{spec.Struct(), defaults.Struct()}, func() (decoded, error) {
		a, errs := Decode(spec, defaults)
		return decoded{a, errs}, nil
	})
	return d.ask, slices.Clip(d.errs)
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

	var errs field.ErrorList
	a.Unknown, errs = strict.Decode(merged, &a.Spec, func(path []string) *field.Path {
		a.undecoded = append(a.undecoded, strings.Join(path, "."))
		return a.at(path)
	})
	return a, errs
}

// at is the path of a field for an error: that of the Input where the value
// comes from there.
func (a Ask) at(path []string) *field.Path {
	root := field.NewPath("spec")
	if strict.Lookup(a.own, path) == nil && strict.Lookup(a.defaults, path) != nil {
		root = field.NewPath("input", "defaults")
	}
	return root.Child(path[0], path[1:]...)
}

// Path is the path of a field for an error or a message, given with dots.
func (a Ask) Path(dotted string) *field.Path { return a.at(strings.Split(dotted, ".")) }

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
