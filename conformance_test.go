package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	psapi "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/internal/xrdgen/apiserver"
)

// xrdJudges say what the XRDs' schemas have against an XR's status, by the kind
// of XRD.
func xrdJudges(t testing.TB) map[string]func(object) error {
	t.Helper()
	out := map[string]func(object) error{}
	for name, path := range map[string]string{"namespaced": "xrd.yaml", "composite": filepath.Join("claim", "xrd.yaml")} {
		b, err := os.ReadFile(filepath.Join("example", path))
		if err != nil {
			t.Fatal(err)
		}
		j, _, err := apiserver.ForXRD(b)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = func(xr object) error {
			errs := j.Judge(context.Background(), object{
				"apiVersion": xr["apiVersion"], "kind": xr["kind"], "metadata": xr["metadata"], "spec": object{}, "status": xr["status"],
			})
			if len(errs) > 0 {
				return errs.ToAggregate()
			}
			return nil
		}
	}
	return out
}

// perconaJudge judges by the CRD that Percona's operator brings.
var perconaJudge = sync.OnceValues(func() (*apiserver.Judge, error) { //nolint:gochecknoglobals // Takes a second to make.
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/percona/percona-postgresql-operator/v2").Output()
	if err != nil {
		return nil, err
	}
	// The file has the four CRDs of the group.
	b, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "config", "crd", "bases", "pgv2.percona.com_perconapgclusters.yaml"))
	if err != nil {
		return nil, err
	}
	for doc := range bytes.SplitSeq(b, []byte("\n---\n")) {
		if !bytes.Contains(doc, []byte("\n  name: "+perconaCRD+"\n")) {
			continue
		}
		crd := &extv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(doc, crd); err != nil {
			return nil, err
		}
		return apiserver.ForCRD(crd, "v2")
	}
	return nil, fmt.Errorf("no CRD %s", perconaCRD)
})

// conformanceSpecs are specs that together have every field that is built.
var conformanceSpecs = map[string]string{ //nolint:gochecknoglobals // A constant.
	"Minimal": `
storage: {metadataSize: 10Gi}`,
	"Stopped": `
replicas: 0
storage: {metadataSize: 10Gi, contentSize: 1Ti, controlPlaneSize: 512Mi, storageClassName: ""}`,
	"EverythingOfTheServer": `
image: registry.example.com:5000/ditto@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
replicas: 1
storage: {metadataSize: 10Gi, contentSize: 20Gi, storageClassName: fast}
resources: {requests: {cpu: "0.5", memory: 1024Mi}, limits: {memory: 2Gi}, claims: [{name: gpu}]}
securityContext: {runAsUser: 1000, capabilities: {add: [NET_BIND_SERVICE]}}
podSecurityContext: {fsGroup: 1000, supplementalGroups: [1, 2], sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: "0"}]}
terminationGracePeriodSeconds: 36
controlPlane: {port: 443}
identity:
  type: memory
  jwt: {secretRef: {name: own-jwt, key: key}, accessTokenDuration: 1h, refreshTokenDuration: 24h}
  admin: {username: admin, passwordSecretRef: {name: own-admin, key: password}}
service: {type: NodePort, annotations: {a: b}}
adapterServices: {type: LoadBalancer, annotations: {c: d}}
logging: {level: debug, format: text, output: /tmp/ditto.log}
adapterDiscovery: {pollingInterval: 30s}
snapshotPolicies: [{share: /a, interval: 6h}]
metrics: {enabled: true, port: 9090}`,
	"ExternalDatabase": `
storage: {metadataSize: 10Gi}
database: {type: postgres, postgresSecretRef: {name: external-db, key: any}}`,
	"SQLiteElsewhere": `
storage: {metadataSize: 10Gi}
database: {type: sqlite, sqlite: {path: /data/store/metadata/control.db}}`,
	"Percona": `
storage: {metadataSize: 10Gi}
percona: {enabled: true}`,
	"PerconaWithoutPublicSchema": `
storage: {metadataSize: 10Gi}
percona: {enabled: true, postgresVersion: 14}`,
	"PerconaNewest": `
storage: {metadataSize: 10Gi}
percona: {enabled: true, postgresVersion: 18, storageClassName: ""}`,
	"EverythingOfPercona": `
storage: {metadataSize: 10Gi}
percona:
  enabled: true
  deleteWithServer: true
  replicas: 5
  storageSize: 0.5Ti
  storageClassName: fast
  databaseName: my-database
  metadataDatabaseName: _meta
  postgresVersion: 17
  crVersion: 3.0.0
  image: registry.example.com/postgres:17.9-1
  resources: {requests: {cpu: 1500m, memory: 1Gi}, limits: {cpu: "2", memory: 2048Mi}}
  driftPolicy: Revert
  backup:
    enabled: true
    bucket: my.bucket
    endpoint: https://minio.example.com:9000/
    region: us-east-1
    path: /some/where
    fullSchedule: "@weekly"
    incrSchedule: "*/5 * * * *"
    retentionDays: 9999999
    credentialsSecretRef: {name: s3-keys}`,
	"BackupsWithoutCredentials": `
storage: {metadataSize: 10Gi}
percona: {enabled: true, backup: {enabled: true, bucket: b, endpoint: s3.example.com}}`,
	"BackupsWithMissingCredentials": `
storage: {metadataSize: 10Gi}
percona: {enabled: true, backup: {enabled: true, bucket: b, endpoint: s3.example.com, credentialsSecretRef: {name: not-there}}}`,
	"BackupsWithAFile": `
storage: {metadataSize: 10Gi}
percona: {enabled: true, backup: {enabled: true, bucket: b, endpoint: "[fd00::1]:9000", credentialsSecretRef: {name: s3-file}}}`,
	"BackupsRemoved": `
storage: {metadataSize: 10Gi}
percona: {enabled: true, backup: {enabled: false, confirmRemoval: true}}`,
	"UnusedBlocks": `
storage: {metadataSize: 10Gi}
identity: {}
database: {}
percona: {enabled: false, backup: {enabled: true}}
service: {annotations: {}}
resources: {requests: {}}
securityContext: {}`,
}

// TestComposedObjectsConform has every spec composed at every stage of a
// server's life, and judges all that is composed as a cluster would: by the
// CRD of Percona, by Kubernetes' own types, by Pod Security "restricted"; and
// the status by the XRDs.
func TestComposedObjectsConform(t *testing.T) {
	percona, err := perconaJudge()
	if err != nil {
		t.Fatal(err)
	}
	judges := xrdJudges(t)
	for name, y := range conformanceSpecs {
		for kind, make := range map[string]func(string, object) object{"namespaced": namespacedXR, "claim": claimXR} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				judge := judges["namespaced"]
				if kind == "claim" {
					judge = judges["composite"]
				}
				conforms(t, make("files", parse(t, y)), nil, judge, percona)
			})
		}
	}
	for name, e := range exampleXRs(t) {
		t.Run("Example/"+name, func(t *testing.T) {
			judge := judges["namespaced"]
			if e.xr["kind"] == "XDittoServer" {
				judge = judges["composite"]
			}
			conforms(t, e.xr, e.input, judge, percona)
		})
	}
}

// An exampleXR is an XR and perhaps an Input of the folder of that name.
type exampleXR struct{ xr, input object }

// exampleXRs are all examples, each also with the example Input beneath.
func exampleXRs(t testing.TB) map[string]exampleXR {
	t.Helper()
	out := map[string]exampleXR{}
	input := readYAML(t, filepath.Join("example", "input.yaml"))
	files, err := filepath.Glob(filepath.Join("example", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(files, filepath.Join("example", "claim", "xr.yaml")) {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(b, []byte("\nkind: DittoServer\n")) && !bytes.Contains(b, []byte("\nkind: XDittoServer\n")) {
			continue
		}
		out[filepath.Base(f)] = exampleXR{xr: readYAML(t, f)}
		out[filepath.Base(f)+"+input"] = exampleXR{xr: readYAML(t, f), input: input}
	}
	return out
}

// conforms leads one server through its life and judges all that is composed.
func conforms(t *testing.T, xr, input object, judge func(object) error, percona *apiserver.Judge) {
	t.Helper()
	w := watch(xr, input)
	c := w.c
	c.judge = judge
	composed := map[string]bool{}
	stage := func(name string) {
		for range 3 {
			out, err := c.reconcile()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if out.fatal != "" || len(out.problems) > 0 {
				t.Fatalf("%s: %s %s", name, out.fatal, strings.Join(out.problems, "; "))
			}
			for resource, r := range out.response.GetDesired().GetResources() {
				composed[resource] = true
				for _, problem := range problems(r, percona) {
					t.Errorf("%s: %s: %s", name, resource, problem)
				}
			}
		}
	}

	w.live(stage)
	if !composed["server"] {
		t.Error("no StatefulSet has been composed")
	}
}

// problems are what a cluster has against a composed object.
func problems(r *fnv1.Resource, percona *apiserver.Judge) []string {
	o := r.GetResource().AsMap()
	out := residue(text(o, "kind"), o)
	if text(o, "kind") == "PerconaPGCluster" {
		for _, err := range percona.Judge(context.Background(), o) {
			out = append(out, err.Error())
		}
		return out
	}
	b, err := json.Marshal(o)
	if err != nil {
		return append(out, err.Error())
	}
	kinds := map[string]any{
		"StatefulSet": &appsv1.StatefulSet{}, "Service": &corev1.Service{}, "ConfigMap": &corev1.ConfigMap{}, "Secret": &corev1.Secret{},
	}
	typed, ok := kinds[text(o, "kind")]
	if !ok {
		return append(out, "is of a kind that is not expected: "+text(o, "kind"))
	}
	strict, err := kjson.UnmarshalStrict(b, typed)
	if err != nil {
		return append(out, err.Error())
	}
	for _, err := range strict {
		out = append(out, err.Error())
	}
	sts, ok := typed.(*appsv1.StatefulSet)
	if !ok {
		return out
	}
	return append(out, unrestricted(sts)...)
}

// unrestricted is what Pod Security "restricted" has against a StatefulSet's pods.
func unrestricted(sts *appsv1.StatefulSet) []string {
	e, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return []string{err.Error()}
	}
	level := psapi.LevelVersion{Level: psapi.LevelRestricted, Version: psapi.LatestVersion()}
	result := policy.AggregateCheckResults(e.EvaluatePod(level, &sts.Spec.Template.ObjectMeta, &sts.Spec.Template.Spec))
	if result.Allowed {
		return nil
	}
	return []string{result.ForbiddenDetail()}
}

// TestConformanceJudges shows that the judges of the test above do object.
func TestConformanceJudges(t *testing.T) {
	percona, err := perconaJudge()
	if err != nil {
		t.Fatal(err)
	}
	good := `
apiVersion: pgv2.percona.com/v2
kind: PerconaPGCluster
metadata: {name: a, namespace: b}
spec:
  crVersion: 2.9.0
  postgresVersion: 14
  users: [{name: dittofs, databases: [dittofs]}]
  instances: [{name: instance1, dataVolumeClaimSpec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]
  backups: {enabled: false, pgbackrest: {image: x}}
`
	sts := `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: a, namespace: b}
spec: {template: {spec: {containers: [{name: a, image: b}]}}}
`
	cases := map[string]struct {
		reason string
		object string
		change func(o object)
		want   string
	}{
		"Good":          {"what is good has no problems", good, func(object) {}, ""},
		"UnknownField":  {"the API server drops it", good, func(o object) { set(o, "x", "spec", "unheardOf") }, "spec.unheardOf"},
		"Rule":          {"a CEL rule of the CRD", good, func(o object) { set(list(o, "spec", "users")[0], true, "grantPublicSchemaAccess") }, "grantPublicSchemaAccess"},
		"WrongType":     {"the structural schema", good, func(o object) { set(o, "16", "spec", "postgresVersion") }, "postgresVersion"},
		"NoRepository":  {"backups without a place", good, func(o object) { set(o, true, "spec", "backups", "enabled") }, "repos"},
		"Null":          {"a null is no value", good, func(o object) { set(o, nil, "spec", "image") }, "is null"},
		"EmptyObject":   {"an empty object is owned by whoever sends it", good, func(o object) { set(o, object{}, "spec", "proxy") }, "empty object"},
		"Status":        {"the status is Percona's", good, func(o object) { set(o, "ready", "status", "state") }, "not the function's"},
		"PrivilegedPod": {"a pod that Pod Security refuses", sts, func(object) {}, "allowPrivilegeEscalation"},
		"UnknownInPod":  {"a field that Kubernetes does not know", sts, func(o object) { set(list(o, "spec", "template", "spec", "containers")[0], "x", "imagePolicy") }, "imagePolicy"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o := parse(t, tc.object)
			tc.change(o)
			got := problems(&fnv1.Resource{Resource: toStruct(o)}, percona)
			if tc.want == "" && len(got) > 0 || tc.want != "" && !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, tc.want) }) {
				t.Errorf("%s: want a problem with %q, got %q", tc.reason, tc.want, got)
			}
		})
	}
	for name, judge := range xrdJudges(t) {
		if err := judge(object{"apiVersion": "dittofs.dittofs.com/v1alpha1", "kind": "X", "metadata": object{"name": "x"}, "status": object{"phase": "Pending", "typingError": true}}); err == nil {
			t.Errorf("XRD %s has nothing against a status field that it does not know", name)
		}
	}
}

// watched is what others do to the objects of a server that is well.
type watched struct{ c *cluster }

// watch is a cluster with Percona's operator and one XR.
func watch(xr, input object) watched {
	c := newCluster(xr)
	c.input = input
	c.installCRD(perconaCRD, true)
	return watched{c}
}

// live leads the server through its life.
func (w watched) live(stage func(name string)) {
	stage("created")
	w.userSecrets()
	stage("its Secrets are there")
	w.percona("initializing")
	stage("the database initializes")
	w.percona("ready")
	stage("the database is ready")
	w.server()
	stage("the server runs")
	w.percona("paused")
	stage("the database is paused")
	w.recreate()
	stage("the XR is created again")
}

func (w watched) name() (namespace, name string) {
	if claim := text(w.c.xr, "spec", "claimRef", "name"); claim != "" {
		return text(w.c.xr, "spec", "claimRef", "namespace"), claim
	}
	return text(w.c.xr, "metadata", "namespace"), text(w.c.xr, "metadata", "name")
}

// canary marks a credential, so that it can be found where it must not be.
const canary = "canary-7c1f"

// userSecrets are the Secrets that specs and examples name.
func (w watched) userSecrets() {
	ns, _ := w.name()
	keys := map[string]string{"AWS_ACCESS_KEY_ID": canary + "-id", "AWS_SECRET_ACCESS_KEY": canary + "-key"}
	database := map[string]string{
		"host": "db.example.com", "port": "5432", "database": "x", "user": "y", "password": canary + "-external", "ca.crt": "a certificate",
	}
	for name, data := range map[string]map[string]string{
		"s3-keys": keys, "archive-s3": keys, "dittofs-backups": keys,
		"s3-file":     {"s3.conf": "[global]\nrepo1-s3-key=" + canary + "-file\n"},
		"external-db": database, "projects-database": database,
		"own-jwt":   {"key": canary + "-jwt-of-thirty-two-characters-"},
		"own-admin": {"password": canary + "-admin"}, "archive-admin": {"password": canary + "-admin"},
	} {
		w.c.put(secret(ns, name, data))
	}
}

// percona is what Percona's operator makes and reports.
func (w watched) percona(state string) {
	ns, n := w.name()
	o := w.c.store[key{"PerconaPGCluster", ns, n + "-postgres"}]
	if o == nil {
		return
	}
	size := number(list(o, "spec", "instances")[0], "replicas")
	ready := size
	if state != "ready" {
		ready = 0
	}
	condition := func(typ string) any {
		return object{"type": typ, "status": boolStatus(state == "ready"), "reason": "x", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
	}
	set(o, object{
		"state": state, "observedGeneration": at(o, "metadata", "generation"), "host": n + "-postgres-primary." + ns + ".svc",
		"postgres":   object{"size": size, "ready": ready, "version": at(o, "spec", "postgresVersion"), "instances": []any{object{"name": "instance1", "size": size, "ready": ready}}},
		"conditions": []any{condition("PGBackRestRepoHostReady"), condition("PGBackRestReplicaRepoReady"), condition("PGBackRestReplicaCreate"), condition("ReadyForBackup")},
	}, "status")
	host := n + "-postgres-primary." + ns + ".svc"
	w.c.put(secret(ns, n+"-postgres-pguser-dittofs", map[string]string{
		"host": host, "port": "5432", "dbname": "dittofs", "user": "dittofs", "password": canary + "-postgres", "verifier": canary + "-verifier",
		"uri": "postgresql://dittofs:" + canary + "-postgres@" + host + ":5432/dittofs", "jdbc-uri": "jdbc:postgresql://" + host + "/dittofs?password=" + canary + "-postgres",
	}))
	w.c.put(secret(ns, n+"-postgres-cluster-cert", map[string]string{"ca.crt": strings.Repeat("a certificate ", 60), "tls.crt": strings.Repeat("another ", 80), "tls.key": canary + "-tls"}))
}

// server is what the StatefulSet controller and a load balancer report.
func (w watched) server() {
	ns, n := w.name()
	for k, o := range w.c.store {
		switch {
		case k == key{"StatefulSet", ns, n}:
			replicas := number(o, "spec", "replicas")
			set(o, object{
				"observedGeneration": at(o, "metadata", "generation"), "replicas": replicas, "readyReplicas": replicas,
				"availableReplicas": replicas, "updatedReplicas": replicas, "currentRevision": "a", "updateRevision": "a", "collisionCount": 0.0,
			}, "status")
		case text(o, "spec", "type") == "LoadBalancer":
			set(o, []any{object{"hostname": k.name + ".example.com"}}, "status", "loadBalancer", "ingress")
		}
	}
}

// recreate is kubectl delete --cascade=orphan and kubectl apply of the XR.
func (w watched) recreate() {
	for _, o := range w.c.store {
		if mine, _ := w.c.controlled(o); mine {
			unset(o, "metadata", "ownerReferences")
		}
	}
	delete(w.c.xr, "status")
	set(w.c.xr, w.c.uid(), "metadata", "uid")
	w.c.refs = map[string]key{}
}
