package postgres

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/internal/manifest"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
)

var update = flag.Bool("update", false, "write the goldens again")

// resolved returns a server with a database, changed as each of the changes says.
func resolved(changes ...func(*server.Server)) *server.Server {
	s := &server.Server{
		Name: "files", Namespace: "default",
		Current: record.Database{Kind: record.Percona},
		Target:  record.Database{Kind: record.Percona},
		Cluster: &server.Cluster{
			PostgresVersion: 16,
			CRVersion:       "2.9.0",
			Image:           "percona/pg:16.13-1",
			Replicas:        1,
			StorageSize:     resource.MustParse("10Gi"),
			DatabaseName:    "dittofs",
			DriftPolicy:     "Keep",
			NewlyAsked:      func(string) bool { return false },
			Backup:          server.Backup{Image: "percona/pgbackrest:2.58.0-1"},
		},
	}
	for _, c := range changes {
		c(s)
	}
	return s
}

func withBackup(s *server.Server) {
	s.Cluster.Backup = server.Backup{
		Mode: server.BackupOn, Image: "percona/pgbackrest:2.58.0-1", ConfigSecret: "s3",
		Bucket: "bucket", Endpoint: "minio:9000", Region: "eu-west-1", Path: "/pgbackrest/default/files/repo1",
		FullSchedule: "0 2 * * *", IncrSchedule: "0 * * * *", RetentionDays: 7,
	}
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

func TestCluster(t *testing.T) {
	cases := map[string]struct {
		reason string
		server *server.Server
	}{
		"minimal": {
			reason: "images are stated even where backups are off, and schema access is",
			server: resolved(),
		},
		"backup": {
			reason: "backups expire after days, over verified TLS, into a place of their own",
			server: resolved(withBackup),
		},
		"everything": {
			reason: "every value of the spec has its place",
			server: resolved(withBackup, func(s *server.Server) {
				c := s.Cluster
				c.Replicas = 3
				c.StorageClassName = ptr.To("fast")
				c.MetadataDatabaseName = "meta"
				c.DeleteWithServer = true
				c.Resources = corev1.ResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m")},
					Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")},
				}
				c.Backup.ConfigSecret = ""
			}),
		},
		"postgres14": {
			reason: "Percona's CRD refuses grantPublicSchemaAccess below 15",
			server: resolved(func(s *server.Server) { s.Cluster.PostgresVersion = 14 }),
		},
		"backup-removed": {
			reason: "Percona reconciles no cluster whose backups are switched off without its annotation",
			server: resolved(func(s *server.Server) { s.Cluster.Backup.Mode = server.BackupRemoved }),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m, err := manifest.Of(Cluster(tc.server))
			if err != nil {
				t.Fatal(err)
			}
			b, err := yaml.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "cluster-"+name+".yaml", append([]byte("# "+tc.reason+"\n"), b...))
		})
	}
}

// TestClusterSendsOnlyWhatIsMeant guards the fields that Percona, or a person,
// writes: to send them is to revert them.
func TestClusterSendsOnlyWhatIsMeant(t *testing.T) {
	m, err := manifest.Of(Cluster(resolved(withBackup)))
	if err != nil {
		t.Fatal(err)
	}
	spec, _ := m["spec"].(map[string]any)
	for _, k := range []string{"pause", "unmanaged", "proxy", "secrets", "extensions", "patroni", "standby", "dataSource", "metadata", "port"} {
		if _, ok := spec[k]; ok {
			t.Errorf("spec.%s: want it not sent, got %v", k, spec[k])
		}
	}
	pgbackrest, _ := spec["backups"].(map[string]any)["pgbackrest"].(map[string]any)
	for _, k := range []string{"manual", "restore", "jobs", "repoHost"} {
		if _, ok := pgbackrest[k]; ok {
			t.Errorf("spec.backups.pgbackrest.%s: want it not sent, got %v", k, pgbackrest[k])
		}
	}
	if _, ok := m["status"]; ok {
		t.Error("status: want it not sent")
	}
	for _, k := range []string{"finalizers", "creationTimestamp", "annotations"} {
		if v, ok := m["metadata"].(map[string]any)[k]; ok {
			t.Errorf("metadata.%s: want it not sent, got %v", k, v)
		}
	}
}

func TestBackupCredentials(t *testing.T) {
	live := observed.NewSecret(map[string][]byte{"s3.conf": []byte("old")})
	keys := &server.S3Keys{ID: "id", Secret: "secret/+="}
	conf := "[global]\nrepo1-s3-key=id\nrepo1-s3-key-secret=secret/+=\n"

	cases := map[string]struct {
		reason    string
		keys      *server.S3Keys
		noCluster bool
		live      observed.Object
		want      string
	}{
		"Translated": {reason: "keys are written as pgBackRest reads them", keys: keys, want: conf},
		"Rotated":    {reason: "new keys replace old ones", keys: keys, live: live, want: conf},
		"NoCluster":  {reason: "also where there is no cluster any more", noCluster: true, live: live, want: "old"},
		"Carried":    {reason: "where there is nothing to translate for a moment, what there is stays", live: live, want: "old"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := resolved(withBackup)
			s.Cluster.Backup.Keys = tc.keys
			if tc.noCluster {
				s.Cluster = nil
			}
			got := BackupCredentials(s, tc.live)
			if diff := cmp.Diff(map[string][]byte{"s3.conf": []byte(tc.want)}, got.Data); diff != "" {
				t.Errorf("%s\nBackupCredentials(...).Data: -want, +got:\n%s", tc.reason, diff)
			}
			if got.Name != "files-pgbackrest-secret" || got.Namespace != "default" || got.Type != corev1.SecretTypeOpaque {
				t.Errorf("BackupCredentials(...): want the Secret of the operator's name, got %s/%s of type %s", got.Namespace, got.Name, got.Type)
			}
		})
	}
}

// TestBackupCredentialsKeepTheirType: a Secret's type cannot be changed.
func TestBackupCredentialsKeepTheirType(t *testing.T) {
	live := object(t, map[string]any{"type": "example.com/mine"})
	if got := BackupCredentials(resolved(withBackup), live).Type; got != "example.com/mine" {
		t.Errorf("BackupCredentials(...): want the live type, got %q", got)
	}
}

// TestClusterHoldsNoCredentials: the cluster is read by many who may not read
// Secrets.
func TestClusterHoldsNoCredentials(t *testing.T) {
	s := resolved(withBackup, func(s *server.Server) {
		s.Cluster.Backup.Keys = &server.S3Keys{ID: "canary", Secret: "canary"}
	})
	m, err := manifest.Of(Cluster(s))
	if err != nil {
		t.Fatal(err)
	}
	b, err := yaml.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "canary") {
		t.Errorf("Cluster(...): want no credential in it, got:\n%s", b)
	}
}
