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
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
)

var update = flag.Bool("update", false, "write the goldens anew")

// resolved is a server with a PerconaPGCluster, changed as each of the changes
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
		APIPort:        8080,
		JWT:            server.JWT{Generated: true, SecretName: "files-jwt-secret", SecretKey: "jwt-secret", AccessDuration: "15m", RefreshDuration: "168h"},
		Admin:          server.Admin{Generated: true, SecretName: "files-admin-bootstrap-credentials", SecretKey: "password"},
		Service:        server.Service{Type: corev1.ServiceTypeClusterIP},
		AdapterService: server.Service{Type: corev1.ServiceTypeClusterIP},
		Logging:        server.Logging{Level: "INFO", Format: "json", Output: "stdout"},
		Database:       server.Database{Kind: server.Percona},
		Target:         server.Database{Kind: server.Percona},
		Cluster:        server.Cluster{Wanted: true, Image: "docker.io/percona/percona-distribution-postgresql:16.13-1"},
	}
	for _, c := range changes {
		c(s)
	}
	return s
}

func onExternal(s *server.Server) {
	s.Database = server.Database{Kind: server.External, Secret: "pg", HasPort: true, HasCA: true, SSLMode: "verify-full"}
}

func onSQLite(s *server.Server) {
	s.Database = server.Database{Kind: server.SQLite, Path: "/data/controlplane/controlplane.db"}
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
	m := map[string]any{}
	if err := yaml.Unmarshal([]byte(y), &m); err != nil {
		t.Fatal(err)
	}
	s, err := structpb.NewStruct(m)
	if err != nil {
		t.Fatal(err)
	}
	return observed.FromStruct(s)
}

func object(t *testing.T, m map[string]any) observed.Object {
	t.Helper()
	s, err := structpb.NewStruct(m)
	if err != nil {
		t.Fatal(err)
	}
	return observed.FromStruct(s)
}
