package kinds

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/world"
	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

func object(t *testing.T, y string) observed.Object {
	t.Helper()
	return observed.FromStruct(yamltest.Struct(t, y))
}

// decode returns the spec of an XR.
func decode(t *testing.T, y string) server.Spec {
	t.Helper()
	spec, errs := server.Decode(object(t, y), observed.Object{})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return spec
}

// TestResourceNamesNeverChange guards the names by which Crossplane finds, and
// deletes, what a server is made of. A line may be added. One that changes or goes
// deletes that object of every server there is: databases, volumes, keys.
func TestResourceNamesNeverChange(t *testing.T) {
	want := map[names.Resource]names.Ref{
		"postgres":           {Resource: "postgres", APIVersion: "pgv2.percona.com/v2", Kind: "PerconaPGCluster", Name: "files-postgres"},
		"server":             {Resource: "server", APIVersion: "apps/v1", Kind: "StatefulSet", Name: "files"},
		"config":             {Resource: "config", APIVersion: "v1", Kind: "ConfigMap", Name: "files-config"},
		"headless":           {Resource: "headless", APIVersion: "v1", Kind: "Service", Name: "files-headless"},
		"api":                {Resource: "api", APIVersion: "v1", Kind: "Service", Name: "files-api"},
		"nfs":                {Resource: "nfs", APIVersion: "v1", Kind: "Service", Name: "files-adapter-nfs"},
		"smb":                {Resource: "smb", APIVersion: "v1", Kind: "Service", Name: "files-adapter-smb"},
		"jwt":                {Resource: "jwt", APIVersion: "v1", Kind: "Secret", Name: "files-jwt-secret"},
		"admin":              {Resource: "admin", APIVersion: "v1", Kind: "Secret", Name: "files-admin-bootstrap-credentials"},
		"backup-credentials": {Resource: "backup-credentials", APIVersion: "v1", Kind: "Secret", Name: "files-pgbackrest-secret"},
		"metrics":            {Resource: "metrics", APIVersion: "v1", Kind: "Service", Name: "files-metrics"},
		"service-monitor":    {Resource: "service-monitor", APIVersion: "monitoring.coreos.com/v1", Kind: "ServiceMonitor", Name: "files-metrics"},
		"network-policy":     {Resource: "network-policy", APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy", Name: "files-baseline"},
		"network-policy-nfs": {Resource: "network-policy-nfs", APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy", Name: "files-adapter-nfs"},
		"network-policy-smb": {Resource: "network-policy-smb", APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy", Name: "files-adapter-smb"},
	}
	got := map[names.Resource]names.Ref{}
	for _, ref := range Refs("files") {
		if _, twice := got[ref.Resource]; twice {
			t.Errorf("two rows are named %s", ref.Resource)
		}
		got[ref.Resource] = ref
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Refs(): a name that Crossplane deletes by has changed: -want, +got:\n%s", diff)
	}
}

func TestSuffixes(t *testing.T) {
	got := Suffixes()
	for _, ref := range Refs("files") {
		if name := "files" + got[ref.Resource]; name != ref.Name {
			t.Errorf("Suffixes(): want the names of Refs(), %s, got %s", ref.Name, name)
		}
	}
	if len(got) != len(Table()) {
		t.Errorf("Suffixes(): want one a row, got %v", got)
	}
}

// TestRBAC guards that Crossplane may do what composing the table needs, and
// nothing more.
func TestRBAC(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "example", "rbac.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	role := rbacv1.ClusterRole{}
	if err := yaml.UnmarshalStrict(b, &role); err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, r := range role.Rules {
		for _, g := range r.APIGroups {
			for _, res := range r.Resources {
				got[g+"/"+res] = append(got[g+"/"+res], r.Verbs...)
			}
		}
	}

	// Crossplane's own ClusterRole has these, with all verbs. Source: crossplane
	// v2.4.0 cluster/charts/crossplane/templates/clusterrole.yaml.
	anyway := []string{"/secrets", "/configmaps", "/services"}
	want := map[string][]string{
		// world.Read asks for it, and composes none.
		"/persistentvolumeclaims": {"get", "list", "watch"},
	}
	for _, row := range Table() {
		group, _, ok := strings.Cut(row.APIVersion, "/")
		if !ok {
			group = ""
		}
		resource := group + "/" + strings.ToLower(row.Kind) + "s"
		if plural, ok := strings.CutSuffix(resource, "ys"); ok {
			resource = plural + "ies"
		}
		if slices.Contains(anyway, resource) {
			continue
		}
		want[resource] = []string{"get", "list", "watch", "create", "patch"}
		if row.Keep != Always {
			// Crossplane takes its labels off what it deletes. Source: crossplane v2.4.0
			// composition_functions.go, GarbageCollectComposedResources.
			want[resource] = []string{"get", "list", "watch", "create", "update", "patch", "delete"}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("example/rbac.yaml: -want, +got:\n%s", diff)
	}
	if role.Labels["rbac.crossplane.io/aggregate-to-crossplane"] != "true" {
		t.Error("example/rbac.yaml: want the label that adds it to Crossplane's ClusterRole")
	}
}

// worldOf returns a world in which those objects exist, and nothing else.
func worldOf(t *testing.T, rec record.Record, objects map[names.Resource]string, secrets map[string]string) world.World {
	t.Helper()
	xr := object(t, `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: DittoServer, metadata: {name: files, namespace: default, uid: u}}`)
	r := observed.NewReader(&fnv1.RunFunctionRequest{Observed: &fnv1.State{Composite: &fnv1.Resource{Resource: xr.Struct()}}})
	w := world.World{
		XR: r.XR(), Identity: world.Identity{Name: "files", Namespace: "default"}, Percona: observed.IsServed, Monitors: observed.IsServed,
		Record: rec, Objects: map[names.Resource]world.Existing{}, Secrets: map[string]world.Secret{},
	}
	for _, ref := range Refs("files") {
		e := world.Existing{Ref: ref, Presence: world.Absent}
		if y, ok := objects[ref.Resource]; ok {
			e.Presence, e.Object, e.Observed = world.Ours, object(t, y), true
		}
		w.Objects[ref.Resource] = e
	}
	for n, y := range secrets {
		w.Secrets[n] = world.Secret{Name: n, Known: true, Object: object(t, y)}
	}
	return w
}

const (
	least    = `storage: {metadataSize: 1Gi}`
	metrics  = `{storage: {metadataSize: 1Gi}, metrics: {enabled: true, bearerTokenSecret: {name: scrape, key: token}}}`
	networks = `{storage: {metadataSize: 1Gi}, networkPolicy: {enabled: true, egress: Restricted}}`
	monitor  = `{storage: {metadataSize: 1Gi}, metrics: {enabled: true, serviceMonitor: {enabled: true}}}`
	backedUp = `{storage: {metadataSize: 1Gi}, percona: {enabled: true, backup: {enabled: true, bucket: bucket, endpoint: minio, credentialsSecretRef: {name: s3}}}}`
	liveSTS  = `{metadata: {name: files}, spec: {replicas: 1}, status: {readyReplicas: 1}}`
)

var specs = map[string]string{
	"least":       least,
	"metrics":     metrics,
	"metrics off": `{storage: {metadataSize: 1Gi}, metrics: {enabled: false, port: 9091}}`,
	"networks":    networks,
	"monitor":     monitor,
	"percona":     `{storage: {metadataSize: 1Gi}, percona: {enabled: true}}`,
	"backups":     backedUp,
	"backups off": `{storage: {metadataSize: 1Gi}, percona: {enabled: true, backup: {enabled: false}}}`,
	"no percona":  `{storage: {metadataSize: 1Gi}, percona: {enabled: false, backup: {enabled: true, credentialsSecretRef: {name: s3}}}}`,
	"external":    `{storage: {metadataSize: 1Gi}, database: {postgresSecretRef: {name: pg}}}`,
	"no NFS":      `{storage: {metadataSize: 1Gi}, adapters: {nfs: {enabled: false}, smb: {port: 445}}}`,
	"no policy":   `{storage: {metadataSize: 1Gi}, networkPolicy: {enabled: true}, adapters: {nfs: {enabled: false}, smb: {port: 4450}}}`,
	"no SMB":      `{storage: {metadataSize: 1Gi}, adapters: {nfs: {enabled: true}, smb: {enabled: false}}}`,
	"own Secrets": `{storage: {metadataSize: 1Gi}, identity: {jwt: {secretRef: {name: j, key: k}}, admin: {passwordSecretRef: {name: a, key: p}}}}`,
}

func worlds(t *testing.T) map[string]world.World {
	t.Helper()
	s3 := map[string]string{"s3": `{data: {AWS_ACCESS_KEY_ID: aWQ=, AWS_SECRET_ACCESS_KEY: c2VjcmV0}}`}
	token := map[string]string{"scrape": `{data: {}}`}
	served := &record.Server{Image: "i", Database: record.Database{Kind: record.SQLite, Path: record.DefaultSQLitePath}, Metrics: &record.Metrics{Port: 9090, Path: "/metrics"}}
	return map[string]world.World{
		"nothing":          worldOf(t, record.Record{}, nil, nil),
		"keys of backups":  worldOf(t, record.Record{}, nil, s3),
		"a server":         worldOf(t, record.Record{Server: served}, map[names.Resource]string{names.Server: liveSTS}, token),
		"a server of ours": worldOf(t, record.Record{}, map[names.Resource]string{names.Server: liveSTS, names.Postgres: `{metadata: {name: files-postgres}, spec: {}}`}, s3),
	}
}

// TestAskedWhereWanted guards that whatever may be composed is looked for before: what
// is not looked for counts as absent, and would be created over what exists.
func TestAskedWhereWanted(t *testing.T) {
	wanted := map[names.Resource]bool{}
	for specName, y := range specs {
		spec := decode(t, y)
		ask := Ask("files", spec)
		for worldName, w := range worlds(t) {
			s := server.Resolve(spec, w).Server
			for _, row := range Table() {
				if !row.Wanted(s) {
					continue
				}
				wanted[row.Resource] = true
				there := w.Object(row.Resource).Exists()
				switch {
				case ask.Unasked[row.Resource]:
					t.Errorf("spec of %s, world of %s: %s is wanted and not asked for", specName, worldName, row.Resource)
				case row.Resource == names.Postgres && !ask.Percona && !there && w.Record.Cluster == nil:
					t.Errorf("spec of %s, world of %s: a PerconaPGCluster is wanted and not asked for", specName, worldName)
				case row.Resource == names.BackupCredentials && !ask.Backups:
					t.Errorf("spec of %s, world of %s: credentials of backups are wanted and not asked for", specName, worldName)
				}
			}
		}
	}
	for _, row := range Table() {
		if !wanted[row.Resource] {
			t.Errorf("%s: want a spec in this test by which it is wanted", row.Resource)
		}
	}
}

func TestAsk(t *testing.T) {
	type want struct {
		unasked          []names.Resource
		percona, backups bool
		monitor          bool
		database         record.DatabaseKind
		secrets          []string
	}
	optional := []names.Resource{names.Metrics, names.ServiceMonitor, names.NetworkPolicy, names.NetworkPolicyNFS, names.NetworkPolicySMB}
	without := func(wanted ...names.Resource) []names.Resource {
		return slices.DeleteFunc(slices.Clone(optional), func(r names.Resource) bool { return slices.Contains(wanted, r) })
	}
	cases := map[string]struct {
		reason string
		spec   string
		want   want
	}{
		"Least":         {reason: "what every server has, and nothing else", spec: least, want: want{unasked: optional, database: record.SQLite}},
		"Metrics":       {reason: "a Service for metrics, and their token", spec: metrics, want: want{unasked: without(names.Metrics), database: record.SQLite, secrets: []string{"scrape"}}},
		"Monitor":       {reason: "a ServiceMonitor, and whether there can be one", spec: monitor, want: want{unasked: without(names.Metrics, names.ServiceMonitor), monitor: true, database: record.SQLite}},
		"MonitorOff":    {reason: "none without metrics", spec: `{metrics: {enabled: false, serviceMonitor: {enabled: true}}}`, want: want{unasked: optional, database: record.SQLite}},
		"Networks":      {reason: "its NetworkPolicies", spec: networks, want: want{unasked: without(names.NetworkPolicy, names.NetworkPolicyNFS, names.NetworkPolicySMB), database: record.SQLite}},
		"MetricsOff":    {reason: "neither of them where metrics are off", spec: specs["metrics off"], want: want{unasked: optional, database: record.SQLite}},
		"Percona":       {reason: "a cluster", spec: specs["percona"], want: want{unasked: optional, percona: true, database: record.Percona}},
		"Backups":       {reason: "a cluster and its backups", spec: backedUp, want: want{unasked: optional, percona: true, backups: true, database: record.Percona, secrets: []string{"s3"}}},
		"NoPercona":     {reason: "backups that may be held, of a cluster that may be kept", spec: specs["no percona"], want: want{unasked: optional, backups: true, database: record.SQLite, secrets: []string{"s3"}}},
		"External":      {reason: "the Secret of a database", spec: specs["external"], want: want{unasked: optional, database: record.External, secrets: []string{"pg"}}},
		"OwnSecrets":    {reason: "the Secrets that the spec names", spec: specs["own Secrets"], want: want{unasked: optional, database: record.SQLite, secrets: []string{"j", "a"}}},
		"TLS":           {reason: "certificate and authorities", spec: `{storage: {metadataSize: 1Gi}, controlPlane: {certSecretName: c, clientCASecretName: ca}}`, want: want{unasked: optional, database: record.SQLite, secrets: []string{"c", "ca"}}},
		"LDAP":          {reason: "password and authorities", spec: `{storage: {metadataSize: 1Gi}, identity: {ldap: {enabled: true, bindPasswordSecretRef: {name: p}, caCertSecretRef: {name: ca}}}}`, want: want{unasked: optional, database: record.SQLite, secrets: []string{"p", "ca"}}},
		"LDAPOff":       {reason: "neither of them where it is off", spec: `{storage: {metadataSize: 1Gi}, identity: {ldap: {bindPasswordSecretRef: {name: p}}}}`, want: want{unasked: optional, database: record.SQLite}},
		"NetworksOfOne": {reason: "none of an adapter that nobody is to reach", spec: `{networkPolicy: {enabled: true}, adapters: {smb: {enabled: false}}}`, want: want{unasked: append(without(names.NetworkPolicy, names.NetworkPolicyNFS), names.SMB), database: record.SQLite}},
		"NoNFS":         {reason: "no Service of an adapter that is not published", spec: specs["no NFS"], want: want{unasked: append(slices.Clone(optional), names.NFS), database: record.SQLite}},
		"NoSMB":         {reason: "no Service of an adapter that is not published", spec: specs["no SMB"], want: want{unasked: append(slices.Clone(optional), names.SMB), database: record.SQLite}},
		"Pod":           {reason: "the Secrets of the pod's own fields", spec: `{storage: {metadataSize: 1Gi}, imagePullSecrets: [{name: pull}], extraEnv: [{name: A, value: a}, {name: B, valueFrom: {secretKeyRef: {name: env, key: k}}}]}`, want: want{unasked: optional, database: record.SQLite, secrets: []string{"env", "pull"}}},
		"Kerberos": {
			reason: "keytabs, configuration and password",
			spec:   `{storage: {metadataSize: 1Gi}, identity: {kerberos: {enabled: true, keytabSecretRef: {name: k}, krb5ConfSecretRef: {name: c}, machineAccount: {enabled: true, secretRef: {name: p}, keytabSecretRef: {name: m}}}}}`,
			want:   want{unasked: optional, database: record.SQLite, secrets: []string{"k", "c", "p", "m"}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			a := Ask("files", decode(t, tc.spec))
			got := want{percona: a.Percona, backups: a.Backups, monitor: a.Monitor, database: a.Database, secrets: a.Secrets}
			for r := range a.Unasked {
				got.unasked = append(got.unasked, r)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(want{}), cmpopts.SortSlices(func(a, b names.Resource) bool { return a < b })); diff != "" {
				t.Errorf("%s\nAsk(...): -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(Refs("files"), a.Refs); diff != "" {
				t.Errorf("%s\nAsk(...).Refs: want every object, since Crossplane may know any of them: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestBuild guards that a row builds the object that it says, under its name.
func TestBuild(t *testing.T) {
	w := worlds(t)["keys of backups"]
	s := server.Resolve(decode(t, strings.TrimSuffix(backedUp, "}")+`, metrics: {enabled: true, serviceMonitor: {enabled: true}}, networkPolicy: {enabled: true}}`), w).Server
	in := Inputs{
		Server: s, JWT: []byte("j"), Admin: []byte("a"), ConfigYAML: "c", Record: "r", Checksums: map[string]string{"config": "x"},
		Cluster: map[string]any{"apiVersion": names.PostgresAPIVersion, "kind": names.PostgresKind, "metadata": map[string]any{"name": "files-postgres", "namespace": "default"}},
	}
	var pod observed.Object
	for _, row := range Table() {
		t.Run(string(row.Resource), func(t *testing.T) {
			if !row.Wanted(s) {
				t.Fatal("want it wanted by this test's server")
			}
			built, err := row.Build(in, observed.Object{})
			if err != nil {
				t.Fatal(err)
			}
			o := observed.FromStruct(built)
			got := names.Ref{Resource: row.Resource, APIVersion: o.String("apiVersion"), Kind: o.String("kind"), Name: o.Name()}
			if diff := cmp.Diff(row.Ref("files"), got); diff != "" || o.Namespace() != "default" {
				t.Errorf("Build(...) in namespace %s: -want, +got:\n%s", o.Namespace(), diff)
			}
			if row.Resource == names.Server {
				pod = o.At("spec", "template", "spec")
			}
		})
	}

	// What the pod refers to and the function makes is part of the pod: no server
	// is created while it is somebody else's.
	refers := referred(pod)
	for _, row := range Table() {
		if mine := slices.Contains(refers, row.Ref("files").Name) && row.Kind != names.StatefulSetKind; mine != row.PartOfPod {
			t.Errorf("%s: the pod refers to it: %t, PartOfPod: %t", row.Ref("files").Name, mine, row.PartOfPod)
		}
	}
}

// referred returns the names of the Secrets and ConfigMaps that a pod refers to.
func referred(pod observed.Object) []string {
	volumes := pod.List("volumes")
	out := make([]string, 0, 2*len(volumes))
	for _, v := range volumes {
		out = append(out, v.String("configMap", "name"), v.String("secret", "secretName"))
	}
	for _, c := range append(pod.List("containers"), pod.List("initContainers")...) {
		for _, e := range c.List("env") {
			out = append(out, e.String("valueFrom", "secretKeyRef", "name"))
		}
	}
	return out
}

// TestGates guards what creation waits for: a kind that is not served fails the
// whole pipeline, and a server needs its database.
func TestGates(t *testing.T) {
	want := map[names.Resource]Gate{names.Postgres: PerconaServed, names.Server: Startable}
	for _, row := range Table() {
		if row.Gate != want[row.Resource] {
			t.Errorf("%s: want gate %d, got %d", row.Resource, want[row.Resource], row.Gate)
		}
	}
}

func TestReady(t *testing.T) {
	const settled = `{metadata: {generation: 1}, spec: {replicas: 1}, status: {observedGeneration: 1, readyReplicas: 1, updatedReplicas: 1}}`
	on := func(k record.DatabaseKind, ready bool) Inputs {
		return Inputs{Server: &server.Server{Replicas: 1, Target: record.Database{Kind: k}}, DatabaseReady: ready}
	}
	cases := map[string]struct {
		reason string
		row    names.Resource
		in     Inputs
		live   string
		want   bool
	}{
		"Service":       {reason: "a Service is ready when it exists", row: names.API, live: `{spec: {type: NodePort}}`, want: true},
		"NoAddress":     {reason: "a load balancer cannot be reached before it has an address", row: names.NFS, live: `{spec: {type: LoadBalancer}}`},
		"Address":       {reason: "and can then", row: names.SMB, live: `{spec: {type: LoadBalancer}, status: {loadBalancer: {ingress: [{ip: 1.2.3.4}]}}}`, want: true},
		"Server":        {reason: "a server is ready when it is settled", row: names.Server, in: on(record.SQLite, true), live: settled, want: true},
		"ServerStarts":  {reason: "and not before", row: names.Server, in: on(record.SQLite, true), live: `{spec: {replicas: 1}}`},
		"Cluster":       {reason: "a cluster is ready when the database is", row: names.Postgres, in: on(record.Percona, true), live: `{}`, want: true},
		"ClusterStarts": {reason: "and not before", row: names.Postgres, in: on(record.Percona, false), live: `{}`},
		"ClusterUnused": {reason: "one that the server does not use does not hold up its readiness", row: names.Postgres, in: on(record.External, false), live: `{}`, want: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			i := slices.IndexFunc(Table(), func(r Row) bool { return r.Resource == tc.row })
			if got := Table()[i].Ready(tc.in, object(t, tc.live)); got != tc.want {
				t.Errorf("%s\nReady(...): want %t, got %t", tc.reason, tc.want, got)
			}
		})
	}
}
