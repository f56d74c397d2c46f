package record

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOfLive(t *testing.T) {
	ref := func(env, secret, key, more string) string {
		return fmt.Sprintf("{name: %s, valueFrom: {secretKeyRef: {name: %s, key: %s%s}}}", env, secret, key, more)
	}
	server := func(env string) string {
		return `{spec: {template: {spec: {containers: [{name: sidecar, image: "x:1", env: [{name: DITTOFS_DATABASE_SQLITE_PATH, value: /no}]}, {name: dittofs, image: "dittofs:1", env: [` + env + `]}]}}}}`
	}
	const (
		host     = "DITTOFS_DATABASE_POSTGRES_HOST"
		optional = ", optional: true"
	)
	cases := map[string]struct {
		reason         string
		server, config string
		want           *Server
	}{
		"Nothing": {
			reason: "a server that does not exist says nothing",
			config: `{data: {config.yaml: "database: {sqlite: {path: /x.db}}"}}`,
		},
		"Percona": {
			reason: "wired to the Secret of its own cluster",
			server: server(ref(host, "files-postgres-pguser-dittofs", "host", "") + "," + ref("DITTOFS_DATABASE_POSTGRES_DATABASE", "files-postgres-pguser-dittofs", "dbname", "")),
			want:   &Server{Image: "dittofs:1", Database: Database{Kind: Percona}},
		},
		"PerconaFixedName": {
			reason: "with the database's name as a value",
			server: server(ref(host, "files-postgres-pguser-dittofs", "host", "") + ",{name: DITTOFS_DATABASE_POSTGRES_DATABASE, value: dittofs}"),
			want:   &Server{Image: "dittofs:1", Database: Database{Kind: Percona, FixedName: true}},
		},
		"OtherServersPercona": {
			reason: "the Secret of another server's cluster is a database like any other",
			server: server(ref(host, "other-postgres-pguser-dittofs", "host", "")),
			want:   &Server{Image: "dittofs:1", Database: Database{Kind: External, Secret: "other-postgres-pguser-dittofs"}},
		},
		"External": {
			reason: "as it is wired",
			server: server(ref(host, "pg", "host", "") + "," + ref("DITTOFS_DATABASE_POSTGRES_PORT", "pg", "port", "") + ",{name: DITTOFS_DATABASE_POSTGRES_SSLMODE, value: verify-full}, {name: DITTOFS_DATABASE_POSTGRES_SSL_ROOT_CERT, value: /x}"),
			want:   &Server{Image: "dittofs:1", Database: Database{Kind: External, Secret: "pg", HasPort: true, HasCA: true, SSLMode: "verify-full"}},
		},
		"ExternalOfTheOperator": {
			reason: "the DittoFS operator's references to port and sslmode are optional",
			server: server(ref(host, "pg", "host", "") + "," + ref("DITTOFS_DATABASE_POSTGRES_PORT", "pg", "port", optional) + "," + ref("DITTOFS_DATABASE_POSTGRES_SSLMODE", "pg", "sslmode", optional)),
			want:   &Server{Image: "dittofs:1", Database: Database{Kind: External, Secret: "pg", HasPort: true, HasSSLMode: true, OptionalKeys: true}},
		},
		"SQLite": {
			reason: "a file of the environment's",
			server: server("{name: DITTOFS_DATABASE_SQLITE_PATH, value: /data/a.db}"),
			config: `{data: {config.yaml: "database: {sqlite: {path: /x.db}}"}}`,
			want:   &Server{Image: "dittofs:1", Database: Database{Kind: SQLite, Path: "/data/a.db"}},
		},
		"Operator": {
			reason: "nobody reads DATABASE_URL, so the file is that of the configuration",
			server: server(ref("DATABASE_URL", "files-postgres-pguser-dittofs", "uri", "")),
			config: `{data: {config.yaml: "database: {type: sqlite, sqlite: {path: /x.db}}"}}`,
			want:   &Server{Image: "dittofs:1", Database: Database{Kind: SQLite, Path: "/x.db"}},
		},
		"OperatorDefault": {
			reason: "which may name none",
			server: server(""),
			config: `{data: {config.yaml: "database: {type: sqlite}"}}`,
			want:   &Server{Image: "dittofs:1", Database: Database{Kind: SQLite, Path: DefaultSQLitePath}},
		},
		"BrokenConfig": {
			reason: "or be no YAML",
			server: server(""),
			config: `{data: {config.yaml: "{"}}`,
			want:   &Server{Image: "dittofs:1", Database: Database{Kind: SQLite, Path: DefaultSQLitePath}},
		},
		"Secrets": {
			reason: "the Secrets that the pod starts with",
			server: server(ref("DITTOFS_CONTROLPLANE_SECRET", "j", "k", "") + "," + ref("DITTOFS_ADMIN_INITIAL_PASSWORD", "a", "p", optional)),
			want: &Server{
				Image: "dittofs:1", Database: Database{Kind: SQLite, Path: DefaultSQLitePath},
				JWT: SecretKey{"j", "k"}, Admin: SecretKey{"a", "p"}, AdminOptional: true,
			},
		},
		"LDAP": {
			reason: "a server with LDAP has taken it",
			server: server(ref("DITTOFS_LDAP_BIND_PASSWORD", "ad", "p", "")),
			want: &Server{
				Image: "dittofs:1", Database: Database{Kind: SQLite, Path: DefaultSQLitePath},
				LDAP: &Provider{Taken: "before", Secrets: map[string]SecretKey{"bindPassword": {"ad", "p"}}},
			},
		},
		"Kerberos": {
			reason: "a server with Kerberos has taken it",
			server: strings.Replace(server(ref("DITTOFS_KERBEROS_MACHINE_ACCOUNT_SECRET", "machine", "p", "")), "containers:", "volumes: [{name: kerberos-keytab, secret: {secretName: kt, items: [{key: k, path: dittofs.keytab}]}}, {name: kerberos-krb5, secret: {secretName: conf, items: [{key: c, path: krb5.conf}]}}], containers:", 1),
			want: &Server{
				Image: "dittofs:1", Database: Database{Kind: SQLite, Path: DefaultSQLitePath},
				Kerberos: &Provider{Taken: "before", Secrets: map[string]SecretKey{"keytab": {"kt", "k"}, "krb5Conf": {"conf", "c"}, "machineSecret": {"machine", "p"}}},
			},
		},
		"TLS": {
			reason: "the Secrets of its volumes",
			server: strings.Replace(server(""), "containers:", "volumes: [{name: config, configMap: {name: c}}, {name: tls-cert, secret: {secretName: api}}, {name: tls-client-ca, secret: {secretName: ca}}], containers:", 1),
			want:   &Server{Image: "dittofs:1", Database: Database{Kind: SQLite, Path: DefaultSQLitePath}, TLS: &TLS{Cert: "api", ClientCA: "ca"}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, OfLive("files", object(t, tc.server), object(t, tc.config))); diff != "" {
				t.Errorf("%s\nOfLive(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
