// Package platform reads the function's Input: what a platform team sets once
// for all servers.
package platform

import (
	"encoding/json"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/input/v1beta1"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// Settings are what the Input says.
type Settings struct {
	Defaults  observed.Object
	Namespace string
	TTL       time.Duration
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

	var errs field.ErrorList
	i := &v1beta1.Input{}
	strict, err := strictly(in, i)
	if err != nil {
		return s, append(errs, field.Invalid(root, "", "cannot be read: "+err.Error()))
	}
	for _, f := range strict {
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
		unknown, _ := strictly(in.GetFields()["defaults"].GetStructValue(), &v1alpha1.DittoServerSpec{})
		for _, f := range unknown {
			errs = append(errs, field.Forbidden(root.Child("defaults", f), "is not a field of a DittoServer's spec; look for a typing error"))
		}
	}
	if i.TTL != "" {
		if s.TTL, err = time.ParseDuration(i.TTL); err != nil || s.TTL <= 0 {
			errs = append(errs, field.Invalid(root.Child("ttl"), i.TTL, "must be a positive duration such as 90s or 5m"))
			s.TTL = ttl
		}
	}
	if s.Namespace = i.Namespace; s.Namespace != "" {
		for _, msg := range validation.IsDNS1123Label(s.Namespace) {
			errs = append(errs, field.Invalid(root.Child("namespace"), s.Namespace, msg))
		}
	}
	return s, errs
}

// strictly decodes s and answers with the fields that into does not have.
func strictly(s *structpb.Struct, into any) ([]string, error) {
	b, err := json.Marshal(s.AsMap())
	if err != nil {
		return nil, err
	}
	strict, err := kjson.UnmarshalStrict(b, into)
	return server.UnknownFields(strict), err
}
