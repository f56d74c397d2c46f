// Package conformance has every spec composed at every stage of a server's life,
// and judges all that is composed as a cluster would: by the CRD of Percona, by
// Kubernetes' own types, by Pod Security "restricted"; and the status by the
// XRDs.
package conformance

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"google.golang.org/protobuf/types/known/structpb"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	psapi "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/internal/certtest"
	"github.com/dittofs/function-dittoserver/internal/lifecycle"
	"github.com/dittofs/function-dittoserver/internal/render"
	"github.com/dittofs/function-dittoserver/internal/xrdgen/apiserver"
)

type object = map[string]any

const perconaCRD = "perconapgclusters.pgv2.percona.com"

// Canary marks a credential, so that it can be found where it must not be.
const Canary = "canary-7c1f"

// Judges returns what the XRDs' schemas have against an XR's status, by the kind
// of XRD.
func Judges(t testing.TB, root string) map[string]func(object) error {
	t.Helper()
	out := map[string]func(object) error{}
	for name, path := range map[string]string{"namespaced": "xrd.yaml", "composite": filepath.Join("claim", "xrd.yaml")} {
		b, err := os.ReadFile(filepath.Join(root, "example", path)) //nolint:gosec // A file of the repository.
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

// specs are specs that together have every field that is built.
var specs = map[string]string{ //nolint:gochecknoglobals // A constant.
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
metrics: {enabled: true, port: 9090}
gc: {autoEnabled: false, interval: 1h, gracePeriod: 10m}
extraConfig: {blockstore: {local: {max_log_bytes: 1073741824}}, controlplane: {read_timeout: 15s}}`,
	"Networks": `
storage: {metadataSize: 10Gi}
percona: {enabled: true}
metrics: {enabled: true, serviceMonitor: {enabled: true, interval: 30s, labels: {release: prometheus}}}
networkPolicy:
  enabled: true
  ingress:
    api: [{namespaceSelector: {matchLabels: {a: b}}}]
    adapters: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]
    metrics: [{podSelector: {matchExpressions: [{key: a, operator: Exists}]}}]
  egress: Restricted
  egressTo: {dns: [{ipBlock: {cidr: "fd00::/8"}}], directory: [{ipBlock: {cidr: 10.0.0.0/8}}], s3: [{ipBlock: {cidr: 10.0.0.0/8}}], s3Port: 9000}`,
	"OverTLS": `
storage: {metadataSize: 10Gi}
controlPlane: {port: 8443, certSecretName: own-cert}`,
	"OverMutualTLS": `
storage: {metadataSize: 10Gi}
controlPlane: {tls: true, certSecretName: own-cert, clientCASecretName: own-cert}`,
	"LDAP": `
storage: {metadataSize: 10Gi}
identity: {ldap: {enabled: true, url: "ldaps://dc", baseDN: b, bindDN: c, bindPasswordSecretRef: {name: own-admin, key: password}, caCertSecretRef: {name: own-cert}}}`,
	"Kerberos": `
storage: {metadataSize: 10Gi}
identity:
  kerberos:
    enabled: true
    servicePrincipal: nfs/files@EXAMPLE.COM
    netbiosDomain: EXAMPLE
    keytabSecretRef: {name: own-keytab, key: keytab}
    krb5ConfSecretRef: {name: own-keytab}
    machineAccount: {enabled: true, accountName: FILES$, dcAddress: [dc1], secretRef: {name: own-admin, key: password}, keytabSecretRef: {name: own-keytab, key: keytab}}`,
	"KerberosAlone": `
storage: {metadataSize: 10Gi}
identity: {kerberos: {enabled: true, servicePrincipal: nfs/files@EXAMPLE.COM, keytabSecretRef: {name: own-keytab, key: keytab}}}`,
	"EverythingOfThePod": `
storage: {metadataSize: 10Gi}
affinity:
  nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}]}}
  podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: zone, labelSelector: {}, namespaceSelector: {}}]}
  podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, podAffinityTerm: {topologyKey: zone, labelSelector: {matchLabels: {app: a}}}}]}
nodeSelector: {disk: ssd}
tolerations: [{operator: Exists, effect: NoExecute, tolerationSeconds: 60}]
topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule, minDomains: 2, labelSelector: {}}]
priorityClassName: high
imagePullSecrets: [{name: own-jwt}]
serviceAccountName: sa
extraEnv: [{name: A, value: a}, {name: EMPTY}, {name: B, valueFrom: {secretKeyRef: {name: own-jwt, key: key}}}, {name: C, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}, {name: D, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}, {name: E, valueFrom: {configMapKeyRef: {name: c, key: k, optional: true}}}]
podAnnotations: {a: b}
podLabels: {c: d}`,
	"EverythingOfTheAdapters": `
storage: {metadataSize: 10Gi}
adapterServices: {type: NodePort, annotations: {a: b}}
adapters:
  nfs: {enabled: true, port: 2049, service: {type: LoadBalancer, annotations: {c: d}, loadBalancerSourceRanges: [10.0.0.0/8], loadBalancerClass: e/f, externalTrafficPolicy: Local}}
  smb: {port: 445, service: {externalTrafficPolicy: Cluster}}`,
	"NoAdapters": `
storage: {metadataSize: 10Gi}
adapters: {nfs: {enabled: false}, smb: {enabled: false}}`,
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

// Test judges what fn makes composes. The working directory is the repository's
// root.
func Test(t *testing.T, fn func() render.Function) {
	t.Helper()
	percona, err := perconaJudge()
	if err != nil {
		t.Fatal(err)
	}
	judges := Judges(t, ".")
	for name, y := range specs {
		spec := object{}
		if err := yaml.Unmarshal([]byte(y), &spec); err != nil {
			t.Fatal(err)
		}
		for kind, xr := range map[string]*unstructured.Unstructured{"namespaced": namespaced(spec), "claim": claimed(spec)} {
			t.Run(name+"/"+kind, func(t *testing.T) { conforms(t, fn(), xr, nil, judges, percona) })
		}
	}
	for name, e := range Examples(t, ".") {
		t.Run("Example/"+name, func(t *testing.T) { conforms(t, fn(), e.XR, e.Input, judges, percona) })
	}
}

func namespaced(spec object) *unstructured.Unstructured {
	return (&unstructured.Unstructured{Object: object{
		"apiVersion": "dittofs.dittofs.com/v1alpha1", "kind": "DittoServer",
		"metadata": object{"name": "files", "namespace": "storage"}, "spec": Whole(spec),
	}}).DeepCopy()
}

func claimed(spec object) *unstructured.Unstructured {
	spec = maps.Clone(spec)
	spec["claimRef"] = object{"apiVersion": "dittofs.dittofs.com/v1alpha1", "kind": "DittoServer", "name": "files", "namespace": "storage"}
	return (&unstructured.Unstructured{Object: object{
		"apiVersion": "dittofs.dittofs.com/v1alpha1", "kind": "XDittoServer", "metadata": object{"name": "files-x7k2p"}, "spec": Whole(spec),
	}}).DeepCopy()
}

// Whole returns a copy of a JSON value with int64 for every whole number, as
// Kubernetes has it.
func Whole(v any) any {
	switch t := v.(type) {
	case object:
		out := make(object, len(t))
		for k, e := range t {
			out[k] = Whole(e)
		}
		return out
	case []any:
		out := make([]any, 0, len(t))
		for _, e := range t {
			out = append(out, Whole(e))
		}
		return out
	case int:
		return int64(t)
	case float64:
		if i := int64(t); float64(i) == t {
			return i
		}
	}
	return v
}

// An Example is an XR and perhaps an Input of the folder of that name.
type Example struct {
	XR    *unstructured.Unstructured
	Input *structpb.Struct
}

// Examples are all examples, each also with the example Input beneath.
func Examples(t testing.TB, root string) map[string]Example {
	t.Helper()
	out := map[string]Example{}
	load := render.Loader{}
	input, err := load.LoadInput(filepath.Join(root, "example", "input.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "example", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(files, filepath.Join(root, "example", "claim", "xr.yaml")) {
		b, err := os.ReadFile(f) //nolint:gosec // A file of the repository's.
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(b, []byte("\nkind: DittoServer\n")) && !bytes.Contains(b, []byte("\nkind: XDittoServer\n")) {
			continue
		}
		xr, err := load.LoadXR(f)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(f)] = Example{XR: xr}
		out[filepath.Base(f)+"+input"] = Example{XR: xr, Input: input}
	}
	return out
}

// World returns a cluster with Percona's operator, an XR, and the kind of the XR.
func World(fn render.Function, xr *unstructured.Unstructured, input *structpb.Struct) *lifecycle.World {
	w := lifecycle.New(fn, xr, input)
	w.InstallOperator()
	w.InstallPrometheus()
	w.Put(&unstructured.Unstructured{Object: object{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": object{"name": strings.ToLower(xr.GetKind()) + "s.dittofs.dittofs.com"},
		"status":   object{"conditions": []any{object{"type": "Established", "status": "True"}}},
	}})
	return w
}

// Live leads a server through its life. The stage reconciles; play makes the
// systems around it so once more.
func Live(w *lifecycle.World, stage func(name string, play func())) {
	stage("created", func() {})
	for _, o := range UserSecrets(w.XR()) {
		w.Put(o)
	}
	for _, s := range []lifecycle.Stage{lifecycle.DatabaseInitializing, lifecycle.DatabaseReady, lifecycle.AllReady, lifecycle.Paused} {
		play := func() { s.Play(w) }
		play()
		stage(s.Name, play)
	}
	w.Recreate()
	stage("the XR is created again", func() {})
}

// UserSecrets are the Secrets that specs and examples name.
func UserSecrets(xr *unstructured.Unstructured) []*unstructured.Unstructured {
	ns := xr.GetNamespace()
	if claim, _, _ := unstructured.NestedString(xr.Object, "spec", "claimRef", "namespace"); claim != "" {
		ns = claim
	}
	keys := map[string]string{"AWS_ACCESS_KEY_ID": Canary + "-id", "AWS_SECRET_ACCESS_KEY": Canary + "-key"}
	database := map[string]string{
		"host": "db.example.com", "port": "5432", "database": "x", "user": "y", "password": Canary + "-external", "ca.crt": "a certificate",
	}
	all := map[string]map[string]string{
		"s3-keys": keys, "archive-s3": keys, "dittofs-backups": keys,
		"s3-file":     {"s3.conf": "[global]\nrepo1-s3-key=" + Canary + "-file\n"},
		"external-db": database, "projects-database": database,
		"own-jwt":   {"key": Canary + "-jwt-of-thirty-two-characters-"},
		"own-admin": {"password": Canary + "-admin"}, "archive-admin": {"password": Canary + "-admin"},
	}
	cert, key := certtest.Pair("files-api")
	for _, name := range []string{"own-cert", "secure-api-tls"} {
		all[name] = map[string]string{"tls.crt": cert, "tls.key": key, "ca.crt": cert}
	}
	all["corp-directory"] = map[string]string{"bind-password": Canary + "-ldap", "ca.crt": cert}
	for _, name := range []string{"own-keytab", "domain-member"} {
		all[name] = map[string]string{"keytab": certtest.Keytab("k"), "krb5.conf": "[libdefaults]\n", "password": Canary + "-machine"}
	}
	out := make([]*unstructured.Unstructured, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		data := object{}
		for k, v := range all[name] {
			data[k] = base64.StdEncoding.EncodeToString([]byte(v))
		}
		out = append(out, &unstructured.Unstructured{Object: object{
			"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": object{"name": name, "namespace": ns}, "data": data,
		}})
	}
	return out
}

// conforms leads one server through its life and judges all that is composed.
func conforms(t *testing.T, fn render.Function, xr *unstructured.Unstructured, input *structpb.Struct, judges map[string]func(object) error, percona *apiserver.Judge) {
	t.Helper()
	w := World(fn, xr, input)
	w.Judge = judges["namespaced"]
	if xr.GetKind() == "XDittoServer" {
		w.Judge = judges["composite"]
	}
	composed := map[string]bool{}
	Live(w, func(name string, play func()) {
		for range 3 {
			a, err := w.Reconcile(t.Context())
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if a.Fatal != nil || a.Failed != nil || len(a.Rejected) > 0 {
				t.Fatalf("%s: %v %v %v", name, a.Fatal, a.Failed, a.Rejected)
			}
			for resource, r := range a.Response.GetDesired().GetResources() {
				composed[resource] = true
				for _, problem := range problems(r, percona) {
					t.Errorf("%s: %s: %s", name, resource, problem)
				}
			}
			play()
		}
	})
	if !composed["server"] {
		t.Error("no StatefulSet has been composed")
	}
}

// problems are what a cluster has against a composed object.
func problems(r *fnv1.Resource, percona *apiserver.Judge) []string {
	o := r.GetResource().AsMap()
	kind, _ := o["kind"].(string)
	out := Residue(kind, o)
	if kind == "PerconaPGCluster" {
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
		"NetworkPolicy": &networkingv1.NetworkPolicy{}, "ServiceMonitor": &monitoringv1.ServiceMonitor{},
	}
	typed, ok := kinds[kind]
	if !ok {
		return append(out, "is of a kind that is not expected: "+kind)
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

// Residue finds what must not be sent: nulls, empty objects and lists, status,
// and the zero values that typed APIs leak. The exception is an emptyDir, which
// is a volume by being there.
func Residue(path string, v any) []string {
	switch t := v.(type) {
	case nil:
		return []string{path + " is null"}
	case object:
		var out []string
		// An empty selector selects everything.
		if kept := path[strings.LastIndex(path, ".")+1:]; len(t) == 0 && !slices.Contains([]string{"emptyDir", "labelSelector", "namespaceSelector"}, kept) {
			out = append(out, path+" is an empty object")
		}
		for _, k := range slices.Sorted(maps.Keys(t)) {
			if k == "status" && strings.Count(path, ".") == 0 || k == "creationTimestamp" {
				out = append(out, path+"."+k+" is not the function's")
				continue
			}
			out = append(out, Residue(path+"."+k, t[k])...)
		}
		return out
	case []any:
		var out []string
		if len(t) == 0 {
			out = append(out, path+" is an empty list")
		}
		for i, e := range t {
			out = append(out, Residue(fmt.Sprintf("%s[%d]", path, i), e)...)
		}
		return out
	case string:
		// Empty strings mean something in one place: volumes without a class.
		if t == "" && !strings.HasSuffix(path, ".storageClassName") {
			return []string{path + " is an empty string"}
		}
	}
	return nil
}
