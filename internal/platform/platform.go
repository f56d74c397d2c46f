// Package platform reads the function's Input: what a platform team sets once
// for all servers.
package platform

import (
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/input/v1beta1"
	"github.com/dittofs/function-dittoserver/internal/memo"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/strict"
)

// Settings are what the Input says.
type Settings struct {
	Defaults  observed.Object
	Namespace string
	TTL       time.Duration
}

// ReadOnce is Read, except where the Input is the same as last time under the
// key.
func ReadOnce(m *memo.Cache, key string, in *structpb.Struct, ttl time.Duration) (Settings, field.ErrorList) {
	type read struct {
		settings Settings
		errs     field.ErrorList
	}
	r, _ := memo.Do(m, key, []any{in, ttl}, func() (read, error) {
		s, errs := Read(in, ttl)
		return read{s, errs}, nil
	})
	return r.settings, slices.Clip(r.errs)
}

// Read reads the Input of a request. Every field is optional, and one that is
// not known is an error: a typing error would take a default from every server.
// A value of the defaults that cannot be decoded shows when it is merged.
func Read(in *structpb.Struct, ttl time.Duration) (Settings, field.ErrorList) {
	root := field.NewPath("input")
	s := Settings{TTL: ttl, Defaults: observed.FromStruct(in).At("defaults")}
	if in == nil {
		return s, nil
	}

	at := func(path []string) *field.Path { return root.Child(path[0], path[1:]...) }
	i := &v1beta1.Input{}
	unknown, errs := strict.Decode(in.AsMap(), i, at)
	for _, f := range unknown {
		errs = append(errs, field.Forbidden(root.Child(f), "is not a field of the Input; look for a typing error"))
	}
	if i.Kind != "" && i.Kind != v1beta1.Kind {
		errs = append(errs, field.NotSupported(root.Child("kind"), i.Kind, []string{v1beta1.Kind}))
	}
	if i.Defaults != nil && !s.Defaults.Exists() {
		errs = append(errs, field.Invalid(root.Child("defaults"), string(i.Defaults.Raw), "must be an object: a partial spec of a DittoServer"))
	}
	if s.Defaults.Exists() {
		// Only the names: a wrong value is told by whoever merges it.
		unknown, _ := strict.Decode(s.Defaults.Map(), &v1alpha1.DittoServerSpec{}, at)
		for _, f := range unknown {
			errs = append(errs, field.Forbidden(root.Child("defaults", f), "is not a field of a DittoServer's spec; look for a typing error"))
		}
	}
	if i.TTL != "" {
		d, err := time.ParseDuration(i.TTL)
		if err != nil || d <= 0 {
			errs = append(errs, field.Invalid(root.Child("ttl"), i.TTL, "must be a positive duration such as 90s or 5m"))
			d = ttl
		}
		s.TTL = d
	}
	if s.Namespace = i.Namespace; s.Namespace != "" {
		for _, msg := range validation.IsDNS1123Label(s.Namespace) {
			errs = append(errs, field.Invalid(root.Child("namespace"), s.Namespace, msg))
		}
	}
	return s, errs
}
