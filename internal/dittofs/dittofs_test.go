package dittofs

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

var update = flag.Bool("update", false, "write the goldens again")

// resolved returns a server with a PerconaPGCluster, changed as each of the changes
// says.
func resolved(changes ...func(*server.Server)) *server.Server {
	content := resource.MustParse("50Gi")
	s := &server.Server{
		Name: "files", Namespace: "default",
		Image:              "marmos91c/dittofs:v0.29.0",
		Replicas:           1,
		GracePeriodSeconds: 105,
		Storage: server.Storage{
			Metadata:     resource.MustParse("10Gi"),
			Content:      &content,
			ControlPlane: resource.MustParse("1Gi"),
		},
		APIPort: 8080,
		JWT:     server.JWT{Generated: true, SecretKey: record.SecretKey{Name: "files-jwt-secret", Key: "jwt-secret"}, AccessDuration: "15m", RefreshDuration: "168h"},
		Admin:   server.Admin{Generated: true, SecretKey: record.SecretKey{Name: "files-admin-bootstrap-credentials", Key: "password"}},
		Service: server.Exposure{Type: corev1.ServiceTypeClusterIP},
		NFS:     server.Adapter{Published: true, Port: 12049, Service: server.Exposure{Type: corev1.ServiceTypeClusterIP}},
		SMB:     server.Adapter{Published: true, Port: 1445, Service: server.Exposure{Type: corev1.ServiceTypeClusterIP}},
		Logging: server.Logging{Level: "INFO", Format: "json", Output: "stdout"},
		Connection: server.Connection{
			URL:       ref("files-postgres-pguser-dittofs", "uri"),
			Host:      ref("files-postgres-pguser-dittofs", "host"),
			Port:      ref("files-postgres-pguser-dittofs", "port"),
			Name:      ref("files-postgres-pguser-dittofs", "dbname"),
			User:      ref("files-postgres-pguser-dittofs", "user"),
			Password:  ref("files-postgres-pguser-dittofs", "password"),
			SSLMode:   server.Value{Value: "verify-full"},
			CASecret:  "files-postgres-cluster-cert",
			WaitImage: "docker.io/percona/percona-distribution-postgresql:16.13-1",
			Secret:    "files-postgres-pguser-dittofs",
			Keys:      []string{"host", "port", "dbname", "user", "password", "uri"},
		},
	}
	for _, c := range changes {
		c(s)
	}
	return s
}

func ref(secret, key string) server.Value {
	return server.Value{SecretKey: record.SecretKey{Name: secret, Key: key}}
}

func optional(secret, key string) server.Value {
	v := ref(secret, key)
	v.Optional = true
	return v
}

// onExternal connects a server to a database whose Secret has a port and a CA.
func onExternal(s *server.Server) {
	s.Connection = server.Connection{
		Host:     ref("pg", "host"),
		Port:     ref("pg", "port"),
		Name:     ref("pg", "database"),
		User:     ref("pg", "user"),
		Password: ref("pg", "password"),
		SSLMode:  server.Value{Value: "verify-full"},
		CASecret: "pg",
		Secret:   "pg",
		Keys:     []string{"host", "database", "user", "password", "port", "sslmode"},
		MayLack:  []string{"sslmode"},
	}
}

func withoutCA(s *server.Server) { s.Connection.CASecret = "" }

func onSQLite(s *server.Server) {
	s.Connection = server.Connection{SQLitePath: "/data/controlplane/controlplane.db"}
}

func withMetrics(s *server.Server) {
	s.Metrics = server.Metrics{Enabled: true, Port: 9090, Path: "/metrics"}
}

func withToken(s *server.Server) {
	withMetrics(s)
	s.Metrics.Token = record.SecretKey{Name: "scrape", Key: "token"}
}

func withTLS(s *server.Server) { s.TLS.Cert = "api" }

func withMutualTLS(s *server.Server) {
	withTLS(s)
	s.TLS.ClientCA = "clients"
}

func withLDAP(s *server.Server) {
	s.LDAP = server.LDAP{
		Enabled: true, URL: "ldaps://dc.example.com", BaseDN: "DC=example,DC=com", BindDN: "CN=ditto", UserAttr: "sAMAccountName", Idmap: "rfc2307", Realm: "EXAMPLE.COM",
		BindPassword: record.SecretKey{Name: "ad", Key: "password"}, CA: record.SecretKey{Name: "ad", Key: "corp.crt"},
	}
}

func withKerberos(s *server.Server) {
	s.Kerberos = server.Kerberos{Enabled: true, ServicePrincipal: "nfs/files.example.com@EXAMPLE.COM", Realm: "EXAMPLE.COM", Keytab: record.SecretKey{Name: "krb", Key: "keytab"}}
}

func withMachineAccount(s *server.Server) {
	withKerberos(s)
	s.Kerberos.NetBIOSDomain, s.Kerberos.DNSDomain, s.Kerberos.Krb5Conf = "EXAMPLE", "example.com", record.SecretKey{Name: "krb", Key: "conf"}
	s.Kerberos.Machine = server.MachineAccount{
		Enabled: true, AccountName: "FILES$", DCAddress: []string{"dc1.example.com", "dc2.example.com:445"},
		Secret: record.SecretKey{Name: "machine", Key: "password"}, Keytab: record.SecretKey{Name: "krb", Key: "machine"},
	}
}

// keptKerberos is a server that goes on with Kerberos, which is off.
func keptKerberos(s *server.Server) {
	s.Kerberos = server.Kerberos{Kept: true, Keytab: record.SecretKey{Name: "krb", Key: "keytab"}}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s: -want, +got:\n%s", file, diff)
	}
}

func parse(t *testing.T, y string) observed.Object {
	t.Helper()
	return observed.FromStruct(yamltest.Struct(t, y))
}

func object(t *testing.T, m map[string]any) observed.Object {
	t.Helper()
	s, err := structpb.NewStruct(m)
	if err != nil {
		t.Fatal(err)
	}
	return observed.FromStruct(s)
}
