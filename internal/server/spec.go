package server

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/record"
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

// A Spec is what the XR and the platform's defaults say together, before any
// built-in default.
type Spec struct {
	v1alpha1.DittoServerSpec

	// Unknown are fields that no DittoServer has. The API server drops them; a
	// platform that extends the XRD for other pipeline steps keeps them.
	Unknown []string

	own, defaults, merged map[string]any
	// undecoded are the paths of values that could not be decoded.
	undecoded []string
}

// Decode merges the XR's spec over the defaults as raw JSON, so that an explicit
// false or 0 wins over a default, and decodes the result. Every value that cannot
// be decoded is an error of its own, and so is a field of the defaults that no
// DittoServer has: a typo there would take a default from every server.
func Decode(spec, defaults observed.Object) (Spec, field.ErrorList) {
	s := Spec{own: spec.Map(), defaults: defaults.Map()}
	for _, f := range machinery {
		delete(s.own, f)
	}
	s.merged = overlay(s.defaults, s.own)

	unknown, errs := strict.Decode(s.merged, &s.DittoServerSpec, func(path []string) *field.Path {
		s.undecoded = append(s.undecoded, strings.Join(path, "."))
		return s.at(path)
	})
	var typos field.ErrorList
	for _, f := range unknown {
		if strict.Has(s.defaults, f) {
			typos = append(typos, field.Forbidden(field.NewPath("input", "defaults", f), "is not a field of a DittoServer's spec; check for typos"))
			continue
		}
		s.Unknown = append(s.Unknown, f)
	}
	return s, append(typos, errs...)
}

// States reports whether the XR or the Input state the field at a path, given with
// dots.
func (s Spec) States(path string) bool {
	return strict.Lookup(s.merged, strings.Split(path, ".")) != nil
}

// AskedOfPercona returns what is said of the PerconaPGCluster.
func (s Spec) AskedOfPercona() map[string]any {
	p, _ := s.merged["percona"].(map[string]any)
	return p
}

// AsksForMonitor reports whether the spec asks for a ServiceMonitor.
func (s Spec) AsksForMonitor() bool {
	m := s.Metrics
	return m != nil && m.Enabled && m.ServiceMonitor != nil && m.ServiceMonitor.Enabled
}

// AsksForPercona reports whether the spec asks for a PerconaPGCluster.
func (s Spec) AsksForPercona() bool {
	p := s.Percona
	return p != nil && p.Enabled
}

// AskedDatabase returns the kind of database that the spec asks for.
func (s Spec) AskedDatabase() record.DatabaseKind {
	switch {
	case s.AsksForPercona():
		return record.Percona
	case s.Database != nil && s.Database.PostgresSecretRef != nil:
		return record.External
	}
	return record.SQLite
}

// Secrets returns the names of the Secrets that the spec names, some of which may
// be empty.
func (s Spec) Secrets() []string {
	var out []string
	if d := s.Database; d != nil && d.PostgresSecretRef != nil && !s.AsksForPercona() {
		out = append(out, d.PostgresSecretRef.Name)
	}
	if id := s.Identity; id != nil && id.JWT != nil && id.JWT.SecretRef != nil {
		out = append(out, id.JWT.SecretRef.Name)
	}
	if id := s.Identity; id != nil && id.Admin != nil && id.Admin.PasswordSecretRef != nil {
		out = append(out, id.Admin.PasswordSecretRef.Name)
	}
	if m := s.Metrics; m != nil && m.Enabled && m.BearerTokenSecret != nil {
		out = append(out, m.BearerTokenSecret.Name)
	}
	if id := s.Identity; id != nil && id.LDAP != nil && id.LDAP.Enabled {
		out = append(out, secretName(id.LDAP.BindPasswordSecretRef), secretName(id.LDAP.CACertSecretRef))
	}
	if id := s.Identity; id != nil && id.Kerberos != nil && id.Kerberos.Enabled {
		out = append(out, secretName(id.Kerberos.KeytabSecretRef), secretName(id.Kerberos.Krb5ConfSecretRef))
		if m := id.Kerberos.MachineAccount; m != nil && m.Enabled {
			out = append(out, secretName(m.SecretRef), secretName(m.KeytabSecretRef))
		}
	}
	if cp := s.ControlPlane; cp != nil {
		out = append(out, cp.CertSecretName, cp.ClientCASecretName)
	}
	if p := s.Percona; p != nil && p.Backup != nil && p.Backup.CredentialsSecretRef != nil {
		out = append(out, p.Backup.CredentialsSecretRef.Name)
	}
	return append(out, s.podSecrets()...)
}

func secretName(ref *corev1.SecretKeySelector) string {
	if ref == nil {
		return ""
	}
	return ref.Name
}

// Path returns the path of a field, given with dots, for an error or a message:
// that of the Input where the value comes from there.
func (s Spec) Path(dotted string) *field.Path { return s.at(strings.Split(dotted, ".")) }

func (s Spec) at(path []string) *field.Path { return s.root(path).Child(path[0], path[1:]...) }

// root returns where the value at a path comes from.
func (s Spec) root(path []string) *field.Path {
	if strict.Lookup(s.own, path) == nil && strict.Lookup(s.defaults, path) != nil {
		return field.NewPath("input", "defaults")
	}
	return field.NewPath("spec")
}

// decoded reports whether the value at a path, if there is one, could be decoded.
func (s Spec) decoded(path string) bool {
	return !slices.ContainsFunc(s.undecoded, func(u string) bool { return u == path || strings.HasPrefix(path, u+".") })
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
