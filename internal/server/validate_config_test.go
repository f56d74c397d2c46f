package server_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dittofs/function-dittoserver/internal/server"
)

// TestExtraConfig guards that a piece of config.yaml changes nothing that the function
// has wired, by whichever spelling, and has no credential.
func TestExtraConfig(t *testing.T) {
	const (
		spelling   = "must be a key of the server's config.yaml, of lower-case letters, digits and _"
		credential = "is or looks like a credential, which must not be in a ConfigMap; name a Secret in a field of the spec"
	)
	wired := func(path, instead string) string {
		return "spec.extraConfig." + path + ": Forbidden: is wired by this function: " + instead
	}
	cases := map[string]struct {
		reason string
		extra  string
		want   []string
	}{
		"Free": {
			reason: "what has no field",
			extra: `{blockstore: {local: {max_log_bytes: 1073741824}}, metadata: {badger: {block_cache_mb: 64}}, snapshot: {scheduler_disabled: true}, identity: {machine_sid: S-1-5-21-1-2-3},
				gc: {compaction_live_ratio: 0.5}, logging: {rotation: {max_size: 10}}, controlplane: {read_timeout: 10s, pprof: true, require_initial_password_change: true, tls: {min_version: "1.3"}},
				database: {postgres: {max_open_conns: 10, max_idle_conns: 2}}, kerberos: {context_ttl: 1h, max_clock_skew: 1m, max_contexts: 10}, ldap: {timeout: 5s, max_group_results: 10, tls: {min_version: "1.3"}}}`,
		},
		"New":      {reason: "a newer server may know more", extra: `{tracing: {enabled: true}, controlplane: {http2: false}}`},
		"Empty":    {reason: "nothing is nothing", extra: `{}`},
		"Database": {reason: "the server would start empty", extra: `{database: {type: sqlite, sqlite: {path: /tmp/x}, postgres: {host: h, max_open_conns: 1}}}`, want: []string{wired("database.postgres.host", "set database or percona"), wired("database.sqlite", "set database or percona"), wired("database.type", "set database or percona")}},
		"NewDatabase": {
			reason: "by a key that is not known yet as well", extra: `{database: {dsn: x}}`, want: []string{wired("database.dsn", "set database or percona")},
		},
		"Listening": {reason: "nothing would reach it", extra: `{controlplane: {host: 127.0.0.1, port: 1}}`, want: []string{wired("controlplane.host", "the API has to be reached from outside its pod"), wired("controlplane.port", "set controlPlane.port")}},
		"TLS":       {reason: "probes and mounts would not fit", extra: `{controlplane: {tls: {cert_file: /x, min_version: "1.2"}}}`, want: []string{wired("controlplane.tls.cert_file", "set controlPlane.certSecretName and clientCASecretName")}},
		"Metrics":   {reason: "metrics have a field for everything", extra: `{metrics: {enabled: true}}`, want: []string{wired("metrics", "set metrics")}},
		"Admin":     {reason: "the hash of a password is one", extra: `{admin: {password_hash: x}}`, want: []string{wired("admin", "set identity.admin")}},
		"Shutdown":  {reason: "the pod would be killed", extra: `{shutdown_timeout: 10m}`, want: []string{wired("shutdown_timeout", "the pod's terminationGracePeriodSeconds depends on it")}},
		"Fields": {reason: "what has a field is set there", extra: `{gc: {auto_enabled: false, auto_interval: 1h, grace_period: 1h}, logging: {level: DEBUG}, ldap: {url: x}, kerberos: {machine_account: {online_join: {enabled: true}}}}`, want: []string{
			wired("gc.auto_enabled", "set gc.autoEnabled"), wired("gc.auto_interval", "set gc.interval"), wired("gc.grace_period", "set gc.gracePeriod"),
			wired("kerberos.machine_account", "set identity.kerberos"), wired("ldap.url", "set identity.ldap"), wired("logging.level", "set logging.level"),
		}},
		"Scalar": {
			reason: "it would take the place of what is wired", extra: `{controlplane: 5, database: null, gc: "", logging: []}`,
			want: []string{
				"spec.extraConfig.controlplane: Forbidden: must be an object: this function has wired a part of it",
				"spec.extraConfig.gc: Forbidden: must be an object: this function has wired a part of it",
				"spec.extraConfig.logging: Forbidden: must be an object: this function has wired a part of it",
			},
		},
		"Section":    {reason: "a value that is free is none", extra: `{database: {postgres: {max_open_conns: {password: x}}}}`, want: []string{wired("database.postgres.max_open_conns", "set database or percona")}},
		"Case":       {reason: "the server ignores case", extra: `{Database: {type: sqlite}, controlplane: {PORT: 1}}`, want: []string{`spec.extraConfig: Invalid value: "Database": ` + spelling, `spec.extraConfig: Invalid value: "controlplane.PORT": ` + spelling}},
		"Dots":       {reason: "and takes a dot for a section", extra: `{controlplane.port: 1}`, want: []string{`spec.extraConfig: Invalid value: "controlplane.port": ` + spelling}},
		"Credential": {reason: "everybody may read a ConfigMap", extra: `{remote: {access_secret: x, api_token: y, inner: {password: z}}}`, want: []string{"spec.extraConfig.remote.access_secret: Forbidden: " + credential, "spec.extraConfig.remote.api_token: Forbidden: " + credential, "spec.extraConfig.remote.inner.password: Forbidden: " + credential}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, messages(call{spec: `{extraConfig: ` + tc.extra + `}`}.resolve(t)), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s\nResolve(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
	for name, extra := range map[string]string{"List": `[]`, "Text": `x`} {
		if got := messages(call{spec: `{extraConfig: ` + extra + `}`}.resolve(t)); len(got) != 1 {
			t.Errorf("%s: want it refused once, got %q", name, got)
		}
	}
}

// TestUnknownSection: the server ignores what it does not know, with one line in its log.
func TestUnknownSection(t *testing.T) {
	res := call{spec: `{extraConfig: {snapshots: {a: 1}, snapshot: {scheduler_poll_interval: 1m}}}`}.resolve(t)
	wantWarned(t, "a typo", res, "spec.extraConfig.snapshots: is not a section of DittoFS v0.29.0's config.yaml, which ignores it; check for typos")
}

// TestExtraConfigOfThePlatform: a server adds to the platform's, and where the
// platform's is wrong it is named.
func TestExtraConfigOfThePlatform(t *testing.T) {
	res := call{spec: `{extraConfig: {snapshot: {scheduler_disabled: true}}}`, defaults: `{extraConfig: {snapshot: {scheduler_poll_interval: 5m, scheduler_disabled: false}}}`}.resolve(t)
	want := map[string]any{"snapshot": map[string]any{"scheduler_disabled": true, "scheduler_poll_interval": "5m"}}
	if diff := cmp.Diff(want, res.Server.ExtraConfig); diff != "" {
		t.Errorf("ExtraConfig: -want, +got:\n%s", diff)
	}
	got := messages(call{spec: `{extraConfig: {snapshot: {}}}`, defaults: `{extraConfig: {controlplane: {port: 1}}}`}.resolve(t))
	if diff := cmp.Diff([]string{"input.defaults.extraConfig.controlplane.port: Forbidden: is wired by this function: set controlPlane.port"}, got); diff != "" {
		t.Errorf("Resolve(...): -want, +got:\n%s", diff)
	}
}

func TestGC(t *testing.T) {
	off := false
	cases := map[string]struct {
		reason string
		gc     string
		want   server.GC
		errs   []string
	}{
		"Nothing": {reason: "the server has its own defaults", gc: `{}`},
		"Off":     {reason: "an explicit false counts", gc: `{autoEnabled: false}`, want: server.GC{AutoEnabled: &off}},
		"All":     {reason: "the least that the server takes", gc: `{interval: 1m, gracePeriod: 5m}`, want: server.GC{Interval: "1m", GracePeriod: "5m"}},
		"TooShort": {reason: "the server would not start", gc: `{interval: 59s, gracePeriod: 4m59s}`, errs: []string{
			`spec.gc.interval: Invalid value: "59s": must be a duration of at least 1m, such as 15m or 1h`,
			`spec.gc.gracePeriod: Invalid value: "4m59s": must be a duration of at least 5m, such as 15m or 1h`,
		}},
		"NoDuration": {reason: "nor with a day", gc: `{interval: 1d}`, errs: []string{`spec.gc.interval: Invalid value: "1d": must be a duration of at least 1m, such as 15m or 1h`}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			res := call{spec: `{gc: ` + tc.gc + `}`}.resolve(t)
			if diff := cmp.Diff(tc.errs, messages(res), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s\nResolve(...): -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.want, res.Server.GC); len(tc.errs) == 0 && diff != "" {
				t.Errorf("%s\nGC: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
