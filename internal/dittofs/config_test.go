package dittofs

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/internal/server"
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

func TestConfigMap(t *testing.T) {
	cases := map[string]struct {
		reason  string
		cluster string
		record  *Record
		want    map[string]string
	}{
		"NoServerYet": {
			reason: "there is nothing to remember before there is a server",
			want:   map[string]string{},
		},
		"Cluster": {
			reason:  "what a cluster was rendered from outlives its object",
			cluster: `{"spec":{}}`,
			want:    map[string]string{"dittoserver.fn.crossplane.io/rendered": `{"spec":{}}`},
		},
		"Server": {
			reason: "image, database and the first password's checksum are remembered",
			record: &Record{Image: "i:1", Database: server.Database{Kind: server.External, Secret: "pg", HasCA: true, SSLMode: "verify-full"}, AdminChecksum: "sum"},
			want: map[string]string{
				"dittoserver.fn.crossplane.io/image":                "i:1",
				"dittoserver.fn.crossplane.io/database":             `{"kind":"external","secret":"pg","hasCA":true,"sslMode":"verify-full"}`,
				"dittoserver.fn.crossplane.io/admin-at-first-start": "sum",
			},
		},
		"NoChecksum": {
			reason: "a password that could not be read is not remembered as the empty one",
			record: &Record{Image: "i:1", Database: server.Database{Kind: server.SQLite, Path: "/x"}},
			want: map[string]string{
				"dittoserver.fn.crossplane.io/image":    "i:1",
				"dittoserver.fn.crossplane.io/database": `{"kind":"sqlite","path":"/x"}`,
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			cm, err := ConfigMap(resolved(), "yaml", tc.cluster, tc.record)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, cm.Annotations); diff != "" {
				t.Errorf("%s\nConfigMap(...).Annotations: -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(map[string]string{"config.yaml": "yaml"}, cm.Data); diff != "" || cm.Name != "files-config" {
				t.Errorf("%s\nConfigMap(...) %s: -want, +got:\n%s", tc.reason, cm.Name, diff)
			}
		})
	}
}
