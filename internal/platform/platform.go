// Package platform reads the function's Input: what a platform team sets once
// for all servers.
package platform

import (
	"encoding/json"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dittofs/function-dittoserver/input/v1beta1"
	"github.com/dittofs/function-dittoserver/internal/kinds"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/override"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/strict"
)

// Settings are what the Input sets.
type Settings struct {
	Defaults  observed.Object
	Namespace string
	TTL       time.Duration
	// ServiceMonitors is whether ServiceMonitors may be composed, nil for what
	// Crossplane tells.
	ServiceMonitors *bool
	// Overrides are patches of what is composed.
	Overrides []override.Override
}

// Read reads the Input of a request. Every field is optional, and one that is
// not known is an error: a typo would take a default from every server. What is
// wrong in the defaults shows when they are merged with the spec.
func Read(in observed.Object, ttl time.Duration) (Settings, field.ErrorList) {
	root := field.NewPath("input")
	s := Settings{TTL: ttl, Defaults: in.At("defaults")}
	if !in.Exists() {
		return s, nil
	}

	doc := in.Map()
	defaults := doc["defaults"]
	delete(doc, "defaults")
	i := &v1beta1.Input{}
	unknown, errs := strict.Decode(doc, i, func(path []string) *field.Path { return root.Child(path[0], path[1:]...) })
	for _, f := range unknown {
		errs = append(errs, field.Forbidden(root.Child(f), "is not a field of the Input; check for typos"))
	}
	if i.Kind != "" && i.Kind != v1beta1.Kind {
		errs = append(errs, field.NotSupported(root.Child("kind"), i.Kind, []string{v1beta1.Kind}))
	}
	if b, err := json.Marshal(defaults); err == nil && defaults != nil && !s.Defaults.Exists() {
		errs = append(errs, field.Invalid(root.Child("defaults"), string(b), "must be an object: a partial spec of a DittoServer"))
	}
	if i.TTL != "" {
		d, err := time.ParseDuration(i.TTL)
		if err != nil || d <= 0 {
			errs = append(errs, field.Invalid(root.Child("ttl"), i.TTL, "must be a positive duration such as 90s or 5m"))
			d = ttl
		}
		s.TTL = d
	}
	s.ServiceMonitors = i.ServiceMonitors
	if len(i.Overrides) > 0 {
		overrides, wrong := override.Read(i.Overrides, kinds.Refs(""), override.Checks{Wired: server.Wired, Peer: server.CheckPeer})
		s.Overrides, errs = overrides, append(errs, wrong...)
	}
	if s.Namespace = i.Namespace; s.Namespace != "" {
		for _, msg := range validation.IsDNS1123Label(s.Namespace) {
			errs = append(errs, field.Invalid(root.Child("namespace"), s.Namespace, msg))
		}
	}
	return s, errs
}
