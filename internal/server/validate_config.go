package server

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
)

// Least durations of garbage collection: the server does not start with less.
// Source: dittofs v0.29.0 pkg/config/config.go, GCConfig.Validate.
const (
	minGCInterval    = time.Minute
	minGCGracePeriod = 5 * time.Minute
)

// GC is what the spec says of garbage collection. Its zero value says nothing, and
// leaves everything to the server.
type GC struct {
	AutoEnabled *bool
	Interval    string
	GracePeriod string
}

func (v *validator) gc() {
	spec := or(v.spec.GC, v1alpha1.GCSpec{})
	v.s.GC = GC{AutoEnabled: spec.AutoEnabled, Interval: spec.Interval, GracePeriod: spec.GracePeriod}
	v.atLeast("gc.interval", spec.Interval, minGCInterval)
	v.atLeast("gc.gracePeriod", spec.GracePeriod, minGCGracePeriod)
}

// atLeast checks a duration, which may be empty.
func (v *validator) atLeast(path, value string, least time.Duration) {
	if value == "" {
		return
	}
	if d, err := time.ParseDuration(value); err != nil || d < least {
		v.invalid(path, value, "must be a duration of at least "+strings.TrimSuffix(least.String(), "0s")+", such as 15m or 1h")
	}
}

// wired are the parts of config.yaml that extraConfig must not have, each with what
// there is instead, and free what it may have of them.
var (
	wired = map[string]string{ //nolint:gochecknoglobals // A constant.
		"admin":               "set identity.admin",
		"controlplane.host":   "the API has to be reached from outside its pod",
		"controlplane.port":   "set controlPlane.port",
		"controlplane.jwt":    "set identity.jwt",
		"controlplane.secret": "set identity.jwt",
		"controlplane.tls":    "set controlPlane.certSecretName and clientCASecretName",
		"database":            "set database or percona",
		"gc.auto_enabled":     "set gc.autoEnabled",
		"gc.auto_interval":    "set gc.interval",
		"gc.grace_period":     "set gc.gracePeriod",
		"kerberos":            "set identity.kerberos",
		"ldap":                "set identity.ldap",
		"logging.level":       "set logging.level",
		"logging.format":      "set logging.format",
		"logging.output":      "set logging.output",
		"metrics":             "set metrics",
		"shutdown_timeout":    "the pod's terminationGracePeriodSeconds depends on it",
	}
	free = []string{ //nolint:gochecknoglobals // A constant.
		"controlplane.tls.min_version",
		"database.postgres.max_open_conns", "database.postgres.max_idle_conns",
		"kerberos.context_ttl", "kerberos.max_clock_skew", "kerberos.max_contexts",
		"ldap.max_group_results", "ldap.timeout", "ldap.tls.min_version",
	}
)

var (
	configKeyPattern  = regexp.MustCompile(`^[a-z0-9_]+$`)
	credentialPattern = regexp.MustCompile(`password|secret|token`)
)

// noCredential is a key that only looks as if it had a credential.
const noCredential = "controlplane.require_initial_password_change"

const pathExtra = "extraConfig"

// configSections are all that DittoFS v0.29.0's config.yaml can have. The end-to-end
// tests compare them with dfs config schema.
//
//go:embed config-sections.txt
var configSections string

// extraConfig checks a piece of config.yaml. What the function has wired cannot be
// changed by it: the server would listen elsewhere, use another database, or show
// its credentials to whoever can read a ConfigMap.
func (v *validator) extraConfig() {
	raw := v.spec.ExtraConfig
	if raw == nil || len(raw.Raw) == 0 {
		return
	}
	extra := map[string]any{}
	if err := json.Unmarshal(raw.Raw, &extra); err != nil {
		// Its value may hold a credential.
		v.invalid(pathExtra, field.OmitValueType{}, "must be an object: a piece of the server's config.yaml")
		return
	}
	v.extraSection("", extra, "")
	for _, k := range slices.Sorted(maps.Keys(extra)) {
		if !slices.Contains(strings.Fields(configSections), k) && configKeyPattern.MatchString(k) {
			v.typo(pathExtra+"."+k, "is not a section of DittoFS v0.29.0's config.yaml, which ignores it")
		}
	}
	v.s.ExtraConfig = extra
}

// extraSection checks a section of extraConfig. If it is wired, instead is what there
// is in place of it.
func (v *validator) extraSection(at string, section map[string]any, instead string) {
	for _, k := range slices.Sorted(maps.Keys(section)) {
		path := strings.TrimPrefix(at+"."+k, ".")
		if !configKeyPattern.MatchString(k) {
			// The server ignores case, and takes a dot for a section in a section.
			v.invalid(pathExtra, path, "must be a key of the server's config.yaml, of lower-case letters, digits and _")
			continue
		}
		instead := cmp.Or(wired[path], instead)
		inner, isSection := section[k].(map[string]any)
		switch {
		case slices.Contains(free, path) && !isSection:
		case instead != "" && (!isSection || !hasBelow(slices.Values(free), path)):
			v.forbidden(pathExtra+"."+path, "is wired by this function: "+instead)
		case !isSection && hasBelow(maps.Keys(wired), path):
			v.forbidden(pathExtra+"."+path, "must be an object: this function has wired a part of it")
		case credentialPattern.MatchString(k) && path != noCredential:
			v.forbidden(pathExtra+"."+path, "is or looks like a credential, which must not be in a ConfigMap; name a Secret in a field of the spec")
		case isSection:
			v.extraSection(path, inner, instead)
		}
	}
}

// hasBelow reports whether one of the paths is below a path.
func hasBelow(paths iter.Seq[string], path string) bool {
	for p := range paths {
		if strings.HasPrefix(p, path+".") {
			return true
		}
	}
	return false
}
