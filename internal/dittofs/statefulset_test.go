package dittofs

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/internal/manifest"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

// TestStatefulSetIsFrozen guards what an unchanged spec is made into. A golden
// that changes restarts every server there is: such a change is breaking, and
// is noted as one.
func TestStatefulSetIsFrozen(t *testing.T) {
	cases := map[string]*server.Server{
		"percona":         resolved(),
		"external":        resolved(onExternal),
		"sqlite":          resolved(onSQLite, func(s *server.Server) { s.Storage.Content = nil }),
		"tls":             resolved(onSQLite, withTLS),
		"mtls":            resolved(onSQLite, withMutualTLS),
		"ldap":            resolved(onSQLite, withLDAP),
		"kerberos":        resolved(onSQLite, withKerberos),
		"machine-account": resolved(onSQLite, withMachineAccount),
		"kerberos-kept":   resolved(onSQLite, keptKerberos),
	}
	for name, s := range cases {
		t.Run(name, func(t *testing.T) {
			m, err := manifest.Of(StatefulSet(s, map[string]string{"config": "0123456789abcdef"}, observed.Object{}))
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

// env0 returns the environment of the server's container.
func env0(s *server.Server) map[string]corev1.EnvVar {
	out := map[string]corev1.EnvVar{}
	for _, e := range StatefulSet(s, nil, observed.Object{}).Spec.Template.Spec.Containers[0].Env {
		out[e.Name] = e
	}
	return out
}

func TestEnv(t *testing.T) {
	type value struct{ secret, key, value string }
	type want map[string]value
	least := func(s *server.Server) {
		onExternal(s)
		withoutCA(s)
		s.Connection.Port, s.Connection.SSLMode = server.Value{}, server.Value{Value: "prefer"}
	}

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
			server: resolved(least),
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
			server: resolved(onExternal, func(s *server.Server) { s.Connection.SSLMode = ref("pg", "sslmode") }),
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
				s.JWT.SecretKey = record.SecretKey{Name: "mine", Key: "k"}
				s.Admin.SecretKey = record.SecretKey{Name: "boss", Key: "p"}
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
	for name, s := range map[string]*server.Server{"percona": resolved(), "external": resolved(onExternal), "sqlite": resolved(onSQLite), "tls": resolved(withMutualTLS), "ldap": resolved(withLDAP), "kerberos": resolved(withMachineAccount)} {
		pod := StatefulSet(s, nil, observed.Object{}).Spec.Template.Spec
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
		"ExternalNoCA":  {reason: "there is none", server: resolved(onExternal, withoutCA)},
		"SQLiteHasNone": {reason: "there is none", server: resolved(onSQLite)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := ""
			for _, v := range StatefulSet(tc.server, nil, observed.Object{}).Spec.Template.Spec.Volumes {
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
		if got := StatefulSet(s, nil, observed.Object{}).Spec.Template.Spec.InitContainers; len(got) != 0 {
			t.Errorf("%s: want no init container, got %v", name, got)
		}
	}
	got := StatefulSet(resolved(), nil, observed.Object{}).Spec.Template.Spec.InitContainers
	if len(got) != 1 || got[0].Name != "wait-for-postgres" || got[0].Image != "docker.io/percona/percona-distribution-postgresql:16.13-1" {
		t.Errorf("percona: want wait-for-postgres in the database's own image, got %v", got)
	}
}

func TestSecurityContexts(t *testing.T) {
	s := resolved(func(s *server.Server) {
		s.PodSecurityContext = &corev1.PodSecurityContext{FSGroup: ptr.To[int64](1000)}
		s.SecurityContext = &corev1.SecurityContext{ReadOnlyRootFilesystem: ptr.To(false), Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"NET_BIND_SERVICE"}}}
	})
	pod := StatefulSet(s, nil, observed.Object{}).Spec.Template.Spec
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
	live := func(names ...string) func(*server.Server) {
		return func(s *server.Server) {
			for _, n := range names {
				s.Storage.Claims = append(s.Storage.Claims, map[string]any{
					"metadata": map[string]any{"name": n},
					"spec":     map[string]any{"volumeMode": "Filesystem", "resources": map[string]any{"requests": map[string]any{"storage": "1024Mi"}}},
				})
			}
		}
	}
	cases := map[string]struct {
		reason string
		server *server.Server
		claims []string
		mounts []string
	}{
		"All": {
			reason: "volumes and mounts are the DittoFS operator's",
			server: resolved(),
			claims: []string{"metadata=10Gi", "content=50Gi", "controlplane=1Gi"},
			mounts: []string{"controlplane=/data/controlplane", "metadata=/data/store/metadata", "content=/data/store/block", "config=/config", "tmp=/tmp", "postgres-ca=/postgres-ca"},
		},
		"NoContent": {
			reason: "content may lie in S3",
			server: resolved(func(s *server.Server) { s.Storage.Content = nil }),
			claims: []string{"metadata=10Gi", "controlplane=1Gi"},
			mounts: []string{"controlplane=/data/controlplane", "metadata=/data/store/metadata", "config=/config", "tmp=/tmp", "postgres-ca=/postgres-ca"},
		},
		"Live": {
			reason: "live templates are sent as they are, and only what they have is mounted: the API server refuses a mount without a volume",
			server: resolved(live("metadata", "theirs")),
			claims: []string{"metadata=1024Mi", "theirs=1024Mi"},
			mounts: []string{"metadata=/data/store/metadata", "config=/config", "tmp=/tmp", "postgres-ca=/postgres-ca"},
		},
		"LiveWithContent": {
			reason: "a volume that the spec does not ask for any more is mounted as long as there is one",
			server: resolved(live("metadata", "content", "controlplane"), func(s *server.Server) { s.Storage.Content = nil }),
			claims: []string{"metadata=1024Mi", "content=1024Mi", "controlplane=1024Mi"},
			mounts: []string{"controlplane=/data/controlplane", "metadata=/data/store/metadata", "content=/data/store/block", "config=/config", "tmp=/tmp", "postgres-ca=/postgres-ca"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			built, err := manifest.Struct(StatefulSet(tc.server, nil, observed.Object{}))
			if err != nil {
				t.Fatal(err)
			}
			sts := observed.FromStruct(WithClaims(built, tc.server))
			var claims, mounts []string
			for _, c := range sts.List("spec", "volumeClaimTemplates") {
				claims = append(claims, c.Name()+"="+c.String("spec", "resources", "requests", "storage"))
			}
			for _, m := range record.Container(sts).List("volumeMounts") {
				mounts = append(mounts, m.String("name")+"="+m.String("mountPath"))
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

// TestOptionalReferences guards the references that may find nothing: those that
// the operator made optional, since the API server refuses a value merged into
// one, and the administrator's password once the server has read it.
func TestOptionalReferences(t *testing.T) {
	isOptional := func(e corev1.EnvVar) bool {
		return e.ValueFrom != nil && e.ValueFrom.SecretKeyRef.Optional != nil && *e.ValueFrom.SecretKeyRef.Optional
	}
	operators := func(s *server.Server) {
		onExternal(s)
		s.Connection.Port, s.Connection.SSLMode = optional("pg", "port"), optional("pg", "sslmode")
	}
	cases := map[string]struct {
		reason string
		server *server.Server
		want   []string
	}{
		"None":      {reason: "a pod does not start without what it needs", server: resolved()},
		"Operators": {reason: "port and sslmode stay the optional references that they are", server: resolved(operators), want: []string{names.EnvPort, names.EnvSSLMode}},
		"Admin":     {reason: "the server has read the password and does not need it any more", server: resolved(func(s *server.Server) { s.Admin.Optional = true }), want: []string{names.EnvAdminPassword}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var got []string
			for n, e := range env0(tc.server) {
				if isOptional(e) {
					got = append(got, n)
				}
				if e.Value != "" && e.ValueFrom != nil {
					t.Errorf("%s has a value and a reference, which the API server refuses: %v", n, e)
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\noptional references: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestUpdateStrategy guards that nothing is said of how pods are replaced, except while
// the one that runs must not be, and never over a person's decision.
func TestUpdateStrategy(t *testing.T) {
	frozen := func(s *server.Server) { s.Frozen = true }
	partition := func(n int32) appsv1.StatefulSetUpdateStrategy {
		return appsv1.StatefulSetUpdateStrategy{RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr.To(n)}}
	}
	cases := map[string]struct {
		reason string
		server *server.Server
		live   string
		want   appsv1.StatefulSetUpdateStrategy
	}{
		"Default":   {reason: "a server at rest is not touched", server: resolved()},
		"Frozen":    {reason: "its only pod is below the partition", server: resolved(frozen), want: partition(1)},
		"FrozenOff": {reason: "and so it is while the last pod ends", server: resolved(frozen, func(s *server.Server) { s.Replicas = 0 }), want: partition(1)},
		"OnDelete": {
			reason: "a person replaces the pods, and the API server refuses a partition beside it",
			server: resolved(frozen), live: `{spec: {updateStrategy: {type: OnDelete}}}`,
		},
		"Owned": {
			reason: "a person has set it", server: resolved(frozen),
			live: `{metadata: {managedFields: [{manager: kubectl, operation: Update, fieldsV1: {"f:spec": {"f:updateStrategy": {"f:rollingUpdate": {"f:partition": {}}}}}}]}, spec: {updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 3}}}}`,
		},
		"Defaulted": {
			reason: "the default, which whoever made it owns, is nobody's decision", server: resolved(frozen),
			live: `{metadata: {managedFields: [{manager: operator, operation: Update, fieldsV1: {"f:spec": {"f:updateStrategy": {"f:rollingUpdate": {"f:partition": {}}}}}}]}, spec: {updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 0}}}}`, want: partition(1),
		},
		"Ours": {
			reason: "it stays while the cause does", server: resolved(frozen),
			live: `{spec: {updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 1}}}}`, want: partition(1),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var live observed.Object
			if tc.live != "" {
				live = observed.FromStruct(yamltest.Struct(t, tc.live))
			}
			if diff := cmp.Diff(tc.want, StatefulSet(tc.server, nil, live).Spec.UpdateStrategy); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestFixedName guards that the name of the database is a value where Percona's
// Secret names another one, for the server and for what waits for it.
func TestFixedName(t *testing.T) {
	s := resolved(func(s *server.Server) { s.Connection.Name = server.Value{Value: "dittofs"} })
	pod := StatefulSet(s, nil, observed.Object{}).Spec.Template.Spec
	for _, c := range append(pod.InitContainers, pod.Containers...) {
		for _, e := range c.Env {
			name := e.Name == names.EnvDatabase || e.Name == "PGDATABASE"
			if name && (e.Value != "dittofs" || e.ValueFrom != nil) {
				t.Errorf("container %s: want the name as a value, got %v", c.Name, e)
			}
			if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef.Key == "dbname" {
				t.Errorf("container %s: want nothing from the Secret's name of the database, got %v", c.Name, e)
			}
		}
	}
}

// TestEnvKeepsItsOrder guards that a port that comes does not move the variables
// around it, and that Percona's is where it always was: another order replaces
// the pod.
func TestEnvKeepsItsOrder(t *testing.T) {
	order := func(s *server.Server) []string {
		var out []string
		for _, e := range StatefulSet(s, nil, observed.Object{}).Spec.Template.Spec.Containers[0].Env {
			out = append(out, e.Name)
		}
		return out
	}
	const jwt, admin, typ, connect = names.EnvJWTSecret, names.EnvAdminPassword, names.EnvDatabaseType, "PGCONNECT_TIMEOUT"
	cases := map[string]struct {
		reason string
		server *server.Server
		want   []string
	}{
		"Percona":        {reason: "the port is behind the host", server: resolved(withoutCA), want: []string{jwt, admin, "DATABASE_URL", typ, names.EnvHost, names.EnvPort, names.EnvDatabase, names.EnvUser, names.EnvPassword, names.EnvSSLMode, connect}},
		"External":       {reason: "the port is behind the password", server: resolved(onExternal, withoutCA), want: []string{jwt, admin, typ, names.EnvHost, names.EnvDatabase, names.EnvUser, names.EnvPassword, names.EnvPort, names.EnvSSLMode, connect}},
		"ExternalNoPort": {reason: "and where there is none, the rest is as it was", server: resolved(onExternal, withoutCA, func(s *server.Server) { s.Connection.Port = server.Value{} }), want: []string{jwt, admin, typ, names.EnvHost, names.EnvDatabase, names.EnvUser, names.EnvPassword, names.EnvSSLMode, connect}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, order(tc.server)); diff != "" {
				t.Errorf("%s\nenv: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestMetrics guards what the part adds, and that it adds it behind all that was
// there before: a pod without metrics is the same to the byte.
func TestMetrics(t *testing.T) {
	pod := func(s *server.Server) corev1.PodSpec {
		return StatefulSet(s, nil, observed.Object{}).Spec.Template.Spec
	}
	token := corev1.Volume{Name: "metrics-token", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
		SecretName: "scrape", Items: []corev1.KeyToPath{{Key: "token", Path: "token"}},
	}}}
	port := corev1.ContainerPort{Name: "metrics", ContainerPort: 9090, Protocol: corev1.ProtocolTCP}

	cases := map[string]struct {
		reason  string
		server  *server.Server
		ports   []corev1.ContainerPort
		mounts  []corev1.VolumeMount
		volumes []corev1.Volume
	}{
		"Off":   {reason: "nothing is added", server: resolved(func(s *server.Server) { s.Metrics.Port, s.Metrics.Path = 9090, "/metrics" })},
		"On":    {reason: "a port", server: resolved(withMetrics), ports: []corev1.ContainerPort{port}},
		"Token": {reason: "and one key of the token's Secret", server: resolved(withToken), ports: []corev1.ContainerPort{port}, mounts: []corev1.VolumeMount{{Name: "metrics-token", MountPath: "/metrics-token", ReadOnly: true}}, volumes: []corev1.Volume{token}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			want := pod(resolved())
			c := &want.Containers[0]
			c.Ports, c.VolumeMounts, want.Volumes = append(c.Ports, tc.ports...), append(c.VolumeMounts, tc.mounts...), append(want.Volumes, tc.volumes...)
			if diff := cmp.Diff(want, pod(tc.server)); diff != "" {
				t.Errorf("%s\nthe pod: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestContainerPortNames guards against two ports of one name in a StatefulSet that
// somebody else made: server-side apply keeps the other's, and the API server
// refuses both. A container's port need not have a name.
func TestContainerPortNames(t *testing.T) {
	live := func(container, port, manager string) observed.Object {
		return parse(t, `
metadata:
  managedFields:
  - {manager: `+manager+`, operation: Update, fieldsV1: {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"`+container+`"}': {"f:ports": {'k:{"containerPort":2049,"protocol":"TCP"}': {".": {}}}}}}}}}}
spec: {template: {spec: {containers: [{name: `+container+`, ports: [{name: `+port+`, containerPort: 2049, protocol: TCP}]}]}}}
`)
	}
	all := []string{"api=8080", "adapter-nfs=12049", "adapter-smb=1445"}
	cases := map[string]struct {
		reason string
		live   observed.Object
		want   []string
	}{
		"New":            {reason: "all ports have their names", want: all},
		"Operators":      {reason: "the operator's port stays and has the name", live: live("dittofs", "adapter-nfs", "dittofs-operator"), want: []string{"api=8080", "=12049", "adapter-smb=1445"}},
		"Ours":           {reason: "a port that Crossplane alone owns goes", live: live("dittofs", "adapter-nfs", "apiextensions.crossplane.io/composed/x"), want: all},
		"OtherContainer": {reason: "names are those of one container", live: live("sidecar", "adapter-nfs", "dittofs-operator"), want: all},
		"OtherName":      {reason: "another name is in nobody's way", live: live("dittofs", "nfs", "dittofs-operator"), want: all},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, p := range StatefulSet(resolved(), nil, tc.live).Spec.Template.Spec.Containers[0].Ports {
				got = append(got, fmt.Sprintf("%s=%d", p.Name, p.ContainerPort))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\nports: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestClassOfClaims(t *testing.T) {
	s := resolved(func(s *server.Server) {
		s.Storage = server.Storage{Metadata: resource.MustParse("1Gi"), ControlPlane: resource.MustParse("1Gi"), ClassName: ptr.To("")}
	})
	m, err := manifest.Of(StatefulSet(s, nil, observed.Object{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range m["spec"].(map[string]any)["volumeClaimTemplates"].([]any) {
		if got, ok := c.(map[string]any)["spec"].(map[string]any)["storageClassName"]; got != "" || !ok {
			t.Errorf("an empty class asks for volumes without one: want it sent, got %v", got)
		}
	}
}
