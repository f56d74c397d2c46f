package dittofs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

// TestConfigIsFrozen guards config.yaml: another one for an unchanged spec
// restarts every server there is.
func TestConfigIsFrozen(t *testing.T) {
	cases := map[string]*server.Server{
		"percona":  resolved(),
		"external": resolved(onExternal),
		"sqlite":   resolved(onSQLite),
		"everything": resolved(func(s *server.Server) {
			s.APIPort = 9000
			s.Logging = server.Logging{Level: "DEBUG", Format: "text", Output: "/data/controlplane/dfs.log"}
			s.JWT.AccessDuration, s.JWT.RefreshDuration = "5m", "24h"
		}),
		"tls":             resolved(onSQLite, withTLS),
		"mtls":            resolved(onSQLite, withMutualTLS),
		"kerberos":        resolved(onSQLite, withKerberos),
		"machine-account": resolved(onSQLite, withMachineAccount),
		"kerberos-path":   resolved(onSQLite, withKerberos, func(s *server.Server) { s.Kerberos.Krb5ConfPath = "/etc/krb5.conf" }),
		"kerberos-kept":   resolved(onSQLite, keptKerberos),
		"ldap":            resolved(onSQLite, withLDAP),
		"ldap-starttls": resolved(onSQLite, withLDAP, func(s *server.Server) {
			s.LDAP.URL, s.LDAP.StartTLS, s.LDAP.NestedGroups, s.LDAP.Idmap, s.LDAP.Realm = "ldap://dc.example.com:3389", true, true, "rid", ""
			s.LDAP.CA, s.LDAP.CACertFile = record.SecretKey{}, "/etc/ssl/cert.pem"
		}),
		"gc": resolved(onSQLite, func(s *server.Server) {
			s.GC = server.GC{AutoEnabled: ptr.To(false), Interval: "1h", GracePeriod: "10m"}
		}),
		"extra": resolved(onSQLite, withMutualTLS, func(s *server.Server) {
			s.GC = server.GC{Interval: "1h"}
			s.ExtraConfig = map[string]any{
				"blockstore":   map[string]any{"local": map[string]any{"max_log_bytes": 1073741824.0}},
				"controlplane": map[string]any{"read_timeout": "15s", "pprof": true, "tls": map[string]any{"min_version": "1.3"}},
				"database":     map[string]any{"postgres": map[string]any{"max_open_conns": 10.0}},
				"gc":           map[string]any{"compaction_live_ratio": 0.5},
				"identity":     map[string]any{"machine_sid": "S-1-5-21-1-2-3"},
				"kerberos":     map[string]any{"context_ttl": "1h", "max_contexts": 100.0},
				"ldap":         map[string]any{"timeout": "5s", "tls": map[string]any{"min_version": "1.3"}},
				"logging":      map[string]any{"rotation": map[string]any{"max_size": 10.0, "compress": true}},
				"metadata":     map[string]any{"badger": map[string]any{"block_cache_mb": 64.0}},
				"snapshot":     map[string]any{"scheduler_poll_interval": "5m"},
			}
		}),
	}
	for name, s := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Config(s)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "config-"+name+".yaml", []byte(got))
		})
	}
}

// TestConfigOfMetrics guards that the section is there for whoever asks for metrics,
// and for nobody else.
func TestConfigOfMetrics(t *testing.T) {
	cases := map[string]struct {
		reason string
		server *server.Server
		want   string
	}{
		"Off":   {reason: "a part that nobody asked for adds not one byte", server: resolved()},
		"On":    {reason: "metrics on a port of their own, which anybody may read", server: resolved(withMetrics), want: "metrics:\n  auth: none\n  enabled: true\n  host: 0.0.0.0\n  path: /metrics\n  port: 9090\n"},
		"Token": {reason: "whoever scrapes them shows a token, which is in a file", server: resolved(withToken), want: "metrics:\n  auth: token\n  enabled: true\n  host: 0.0.0.0\n  path: /metrics\n  port: 9090\n  token_file: /metrics-token/token\n"},
		"Elsewhere": {reason: "where the spec says", server: resolved(withMetrics, func(s *server.Server) {
			s.Metrics.Port, s.Metrics.Path = 9100, "/m"
		}), want: "metrics:\n  auth: none\n  enabled: true\n  host: 0.0.0.0\n  path: /m\n  port: 9100\n"},
	}
	plain, err := Config(resolved())
	if err != nil {
		t.Fatal(err)
	}
	const next = "shutdown_timeout:"
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Config(tc.server)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Replace(plain, next, tc.want+next, 1), got); diff != "" {
				t.Errorf("%s\nConfig(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestKrb5Conf guards that a server with Kerberos has a krb5.conf, of its own where
// nobody gives it another, and that no other server has one.
func TestKrb5Conf(t *testing.T) {
	cases := map[string]struct {
		reason string
		server *server.Server
		want   string
	}{
		"None":   {reason: "a server without Kerberos has none", server: resolved()},
		"Own":    {reason: "the image has none", server: resolved(withKerberos), want: "[libdefaults]\n  default_realm = EXAMPLE.COM\n  dns_lookup_kdc = true\n"},
		"Secret": {reason: "that of a Secret", server: resolved(withMachineAccount)},
		"Path":   {reason: "that of an image of one's own", server: resolved(withKerberos, func(s *server.Server) { s.Kerberos.Krb5ConfPath = "/etc/krb5.conf" })},
		"Kept":   {reason: "a server that goes on with Kerberos may read it", server: resolved(keptKerberos), want: "[libdefaults]\n  dns_lookup_kdc = true\n"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := ConfigMap(tc.server, "yaml", "", nil, observed.Object{}).Data["krb5.conf"]; got != tc.want {
				t.Errorf("%s: want %q, got %q", tc.reason, tc.want, got)
			}
		})
	}
}

func TestConfigMap(t *testing.T) {
	owners := []metav1.OwnerReference{{APIVersion: "v1", Kind: "Secret", Name: "pg", UID: "u"}}
	want := &corev1.ConfigMap{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "files-config", Namespace: "default",
			Labels:          map[string]string{"app": "dittofs-server", "instance": "files"},
			Annotations:     map[string]string{"dittoserver.fn.crossplane.io/record": `{"version":1}`},
			OwnerReferences: owners,
		},
		Data: map[string]string{"config.yaml": "yaml"},
	}
	if diff := cmp.Diff(want, ConfigMap(resolved(), "yaml", `{"version":1}`, owners, observed.Object{})); diff != "" {
		t.Errorf("ConfigMap(...): -want, +got:\n%s", diff)
	}
}

// TestConfigOfAKeptPod guards that a pod that is kept finds the configuration that it was
// made with when it is made again.
func TestConfigOfAKeptPod(t *testing.T) {
	live := observed.FromStruct(yamltest.Struct(t, `{metadata: {name: files-config}, data: {config.yaml: old, krb5.conf: its}}`))
	frozen := resolved(func(s *server.Server) { s.Frozen = true })
	if diff := cmp.Diff(map[string]string{"config.yaml": "old", "krb5.conf": "its"}, ConfigMap(frozen, "new", "r", nil, live).Data); diff != "" {
		t.Errorf("kept: -want, +got:\n%s", diff)
	}
	for what, cm := range map[string]*corev1.ConfigMap{"not kept": ConfigMap(resolved(), "new", "r", nil, live), "no ConfigMap": ConfigMap(frozen, "new", "r", nil, observed.Object{})} {
		if got := cm.Data["config.yaml"]; got != "new" {
			t.Errorf("%s: want the new configuration, got %q", what, got)
		}
	}
}
