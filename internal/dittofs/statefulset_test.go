package dittofs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/internal/manifest"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// TestStatefulSetIsFrozen guards what an unchanged spec is made into. A golden
// that changes restarts every server there is: such a change is breaking, and
// is noted as one.
func TestStatefulSetIsFrozen(t *testing.T) {
	cases := map[string]*server.Server{
		"percona":  resolved(),
		"external": resolved(onExternal),
		"sqlite":   resolved(onSQLite, func(s *server.Server) { s.Storage.Content = nil }),
	}
	for name, s := range cases {
		t.Run(name, func(t *testing.T) {
			m, err := manifest.Of(StatefulSet(s, map[string]string{"config": "0123456789abcdef"}))
			if err != nil {
				t.Fatal(err)
			}
			b, err := yaml.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "statefulset-"+name+".yaml", b)
		})
	}
}

func env0(s *server.Server) map[string]corev1.EnvVar {
	out := map[string]corev1.EnvVar{}
	for _, e := range StatefulSet(s, nil).Spec.Template.Spec.Containers[0].Env {
		out[e.Name] = e
	}
	return out
}

func TestEnv(t *testing.T) {
	type value struct{ secret, key, value string }
	type want map[string]value

	cases := map[string]struct {
		reason string
		server *server.Server
		want   want
	}{
		"Percona": {
			reason: "everything comes from Percona's Secret, over verified TLS",
			server: resolved(),
			want: want{
				"DITTOFS_CONTROLPLANE_SECRET":             {"files-jwt-secret", "jwt-secret", ""},
				"DITTOFS_ADMIN_INITIAL_PASSWORD":          {"files-admin-bootstrap-credentials", "password", ""},
				"DATABASE_URL":                            {"files-postgres-pguser-dittofs", "uri", ""},
				"DITTOFS_DATABASE_TYPE":                   {"", "", "postgres"},
				"DITTOFS_DATABASE_POSTGRES_HOST":          {"files-postgres-pguser-dittofs", "host", ""},
				"DITTOFS_DATABASE_POSTGRES_PORT":          {"files-postgres-pguser-dittofs", "port", ""},
				"DITTOFS_DATABASE_POSTGRES_DATABASE":      {"files-postgres-pguser-dittofs", "dbname", ""},
				"DITTOFS_DATABASE_POSTGRES_USER":          {"files-postgres-pguser-dittofs", "user", ""},
				"DITTOFS_DATABASE_POSTGRES_PASSWORD":      {"files-postgres-pguser-dittofs", "password", ""},
				"DITTOFS_DATABASE_POSTGRES_SSLMODE":       {"", "", "verify-full"},
				"DITTOFS_DATABASE_POSTGRES_SSL_ROOT_CERT": {"", "", "/postgres-ca/ca.crt"},
				"PGSSLROOTCERT":                           {"", "", "/postgres-ca/ca.crt"},
				"PGCONNECT_TIMEOUT":                       {"", "", "5"},
			},
		},
		"ExternalLeast": {
			reason: "the keys that the server must have",
			server: resolved(func(s *server.Server) {
				s.Database = server.Database{Kind: server.External, Secret: "pg", SSLMode: "prefer"}
			}),
			want: want{
				"DITTOFS_CONTROLPLANE_SECRET":        {"files-jwt-secret", "jwt-secret", ""},
				"DITTOFS_ADMIN_INITIAL_PASSWORD":     {"files-admin-bootstrap-credentials", "password", ""},
				"DITTOFS_DATABASE_TYPE":              {"", "", "postgres"},
				"DITTOFS_DATABASE_POSTGRES_HOST":     {"pg", "host", ""},
				"DITTOFS_DATABASE_POSTGRES_DATABASE": {"pg", "database", ""},
				"DITTOFS_DATABASE_POSTGRES_USER":     {"pg", "user", ""},
				"DITTOFS_DATABASE_POSTGRES_PASSWORD": {"pg", "password", ""},
				"DITTOFS_DATABASE_POSTGRES_SSLMODE":  {"", "", "prefer"},
				"PGCONNECT_TIMEOUT":                  {"", "", "5"},
			},
		},
		"ExternalAll": {
			reason: "and those that it may have",
			server: resolved(func(s *server.Server) {
				s.Database = server.Database{Kind: server.External, Secret: "pg", HasPort: true, HasSSLMode: true, HasCA: true}
			}),
			want: want{
				"DITTOFS_CONTROLPLANE_SECRET":             {"files-jwt-secret", "jwt-secret", ""},
				"DITTOFS_ADMIN_INITIAL_PASSWORD":          {"files-admin-bootstrap-credentials", "password", ""},
				"DITTOFS_DATABASE_TYPE":                   {"", "", "postgres"},
				"DITTOFS_DATABASE_POSTGRES_HOST":          {"pg", "host", ""},
				"DITTOFS_DATABASE_POSTGRES_PORT":          {"pg", "port", ""},
				"DITTOFS_DATABASE_POSTGRES_DATABASE":      {"pg", "database", ""},
				"DITTOFS_DATABASE_POSTGRES_USER":          {"pg", "user", ""},
				"DITTOFS_DATABASE_POSTGRES_PASSWORD":      {"pg", "password", ""},
				"DITTOFS_DATABASE_POSTGRES_SSLMODE":       {"pg", "sslmode", ""},
				"DITTOFS_DATABASE_POSTGRES_SSL_ROOT_CERT": {"", "", "/postgres-ca/ca.crt"},
				"PGSSLROOTCERT":                           {"", "", "/postgres-ca/ca.crt"},
				"PGCONNECT_TIMEOUT":                       {"", "", "5"},
			},
		},
		"SQLite": {
			reason: "a file has no connection, and the user's own Secrets are named",
			server: resolved(onSQLite, func(s *server.Server) {
				s.JWT.SecretName, s.JWT.SecretKey = "mine", "k"
				s.Admin.SecretName, s.Admin.SecretKey = "boss", "p"
			}),
			want: want{
				"DITTOFS_CONTROLPLANE_SECRET":    {"mine", "k", ""},
				"DITTOFS_ADMIN_INITIAL_PASSWORD": {"boss", "p", ""},
				"DITTOFS_DATABASE_TYPE":          {"", "", "sqlite"},
				"DITTOFS_DATABASE_SQLITE_PATH":   {"", "", "/data/controlplane/controlplane.db"},
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := want{}
			for n, e := range env0(tc.server) {
				v := value{value: e.Value}
				if e.ValueFrom != nil {
					v.secret, v.key = e.ValueFrom.SecretKeyRef.Name, e.ValueFrom.SecretKeyRef.Key
				}
				got[n] = v
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(value{})); diff != "" {
				t.Errorf("%s\nenv: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestCredentialsByReferenceOnly guards that nothing that is called a secret has
// a value in a pod template, which many may read.
func TestCredentialsByReferenceOnly(t *testing.T) {
	for name, s := range map[string]*server.Server{"percona": resolved(), "external": resolved(onExternal), "sqlite": resolved(onSQLite)} {
		pod := StatefulSet(s, nil).Spec.Template.Spec
		for _, c := range append(pod.InitContainers, pod.Containers...) {
			for _, e := range c.Env {
				secret := strings.Contains(e.Name, "PASSWORD") || strings.HasSuffix(e.Name, "_SECRET") || e.Name == "DATABASE_URL"
				if secret && (e.Value != "" || e.ValueFrom == nil || e.ValueFrom.SecretKeyRef == nil) {
					t.Errorf("%s: %s of container %s: want a reference to a Secret, got %+v", name, e.Name, c.Name, e)
				}
			}
		}
	}
}

func TestOnlyTheCAIsMounted(t *testing.T) {
	cases := map[string]struct {
		reason string
		server *server.Server
		secret string
	}{
		"Percona":       {reason: "the Secret holds the database's private key as well", server: resolved(), secret: "files-postgres-cluster-cert"},
		"External":      {reason: "the Secret holds the password as well", server: resolved(onExternal), secret: "pg"},
		"ExternalNoCA":  {reason: "there is none", server: resolved(onExternal, func(s *server.Server) { s.Database.HasCA = false })},
		"SQLiteHasNone": {reason: "there is none", server: resolved(onSQLite)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := ""
			for _, v := range StatefulSet(tc.server, nil).Spec.Template.Spec.Volumes {
				if v.Secret == nil {
					continue
				}
				got = v.Secret.SecretName
				if diff := cmp.Diff([]corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}, v.Secret.Items); diff != "" {
					t.Errorf("%s: want only the CA: -want, +got:\n%s", tc.reason, diff)
				}
			}
			if got != tc.secret {
				t.Errorf("%s: want Secret %q mounted, got %q", tc.reason, tc.secret, got)
			}
		})
	}
}

// TestInitContainer: only a PerconaPGCluster's database is waited for, in its own
// image.
func TestInitContainer(t *testing.T) {
	for name, s := range map[string]*server.Server{"external": resolved(onExternal), "sqlite": resolved(onSQLite)} {
		if got := StatefulSet(s, nil).Spec.Template.Spec.InitContainers; len(got) != 0 {
			t.Errorf("%s: want no init container, got %v", name, got)
		}
	}
	got := StatefulSet(resolved(), nil).Spec.Template.Spec.InitContainers
	if len(got) != 1 || got[0].Name != "wait-for-postgres" || got[0].Image != "docker.io/percona/percona-distribution-postgresql:16.13-1" {
		t.Errorf("percona: want wait-for-postgres in the database's own image, got %v", got)
	}
}

func TestSecurityContexts(t *testing.T) {
	s := resolved(func(s *server.Server) {
		s.PodSecurityContext = &corev1.PodSecurityContext{FSGroup: ptr.To[int64](1000)}
		s.SecurityContext = &corev1.SecurityContext{ReadOnlyRootFilesystem: ptr.To(false), Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"NET_BIND_SERVICE"}}}
	})
	pod := StatefulSet(s, nil).Spec.Template.Spec
	if got := *pod.SecurityContext.FSGroup; got != 1000 {
		t.Errorf("fsGroup: want the user's, got %d", got)
	}
	if !*pod.SecurityContext.RunAsNonRoot || *pod.SecurityContext.RunAsUser != 65532 || pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("pod: want what the user leaves out filled in for \"restricted\", got %+v", pod.SecurityContext)
	}
	c := pod.Containers[0].SecurityContext
	if *c.ReadOnlyRootFilesystem || *c.AllowPrivilegeEscalation || c.Capabilities.Drop[0] != "ALL" || c.Capabilities.Add[0] != "NET_BIND_SERVICE" {
		t.Errorf("container: want the user's values, and the rest filled in, got %+v", c)
	}
	if i := pod.InitContainers[0].SecurityContext; !*i.ReadOnlyRootFilesystem || len(i.Capabilities.Add) > 0 {
		t.Errorf("init container: want none of the server's privileges, got %+v", i)
	}
	if s.SecurityContext.AllowPrivilegeEscalation != nil || s.PodSecurityContext.RunAsUser != nil {
		t.Error("StatefulSet(...) changed the user's security contexts")
	}
}

func TestClaims(t *testing.T) {
	live := []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "metadata"}}, {ObjectMeta: metav1.ObjectMeta{Name: "theirs"}}}
	cases := map[string]struct {
		reason string
		server *server.Server
		claims []string
		mounts []string
	}{
		"All": {
			reason: "volumes and mounts are the DittoFS operator's",
			server: resolved(),
			claims: []string{"metadata", "content", "controlplane"},
			mounts: []string{"controlplane=/data/controlplane", "metadata=/data/store/metadata", "content=/data/store/block", "config=/config", "tmp=/tmp", "postgres-ca=/postgres-ca"},
		},
		"NoContent": {
			reason: "content may lie in S3",
			server: resolved(func(s *server.Server) { s.Storage.Content = nil }),
			claims: []string{"metadata", "controlplane"},
			mounts: []string{"controlplane=/data/controlplane", "metadata=/data/store/metadata", "config=/config", "tmp=/tmp", "postgres-ca=/postgres-ca"},
		},
		"Live": {
			reason: "live templates are sent as they are",
			server: resolved(func(s *server.Server) { s.Storage.Claims = live }),
			claims: []string{"metadata", "theirs"},
			mounts: []string{"controlplane=/data/controlplane", "metadata=/data/store/metadata", "config=/config", "tmp=/tmp", "postgres-ca=/postgres-ca"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			sts := StatefulSet(tc.server, nil)
			var claims, mounts []string
			for _, c := range sts.Spec.VolumeClaimTemplates {
				claims = append(claims, c.Name)
			}
			for _, m := range sts.Spec.Template.Spec.Containers[0].VolumeMounts {
				mounts = append(mounts, m.Name+"="+m.MountPath)
			}
			if diff := cmp.Diff(tc.claims, claims); diff != "" {
				t.Errorf("%s\nclaims: -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.mounts, mounts); diff != "" {
				t.Errorf("%s\nmounts: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestClassOfClaims(t *testing.T) {
	s := resolved(func(s *server.Server) {
		s.Storage = server.Storage{Metadata: resource.MustParse("1Gi"), ControlPlane: resource.MustParse("1Gi"), ClassName: ptr.To("")}
	})
	m, err := manifest.Of(StatefulSet(s, nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range m["spec"].(map[string]any)["volumeClaimTemplates"].([]any) {
		if got, ok := c.(map[string]any)["spec"].(map[string]any)["storageClassName"]; got != "" || !ok {
			t.Errorf("an empty class asks for volumes without one: want it sent, got %v", got)
		}
	}
}
