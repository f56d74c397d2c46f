package main

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossplane/function-sdk-go/logging"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

// A fnCall is a request in YAML, and what exists beside what is observed.
type fnCall struct {
	xr       string
	spec     string
	input    string
	composed map[string]string
	exists   map[string]string
	desired  *fnv1.State
	context  string
}

const (
	fnNamespaced = `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: DittoServer, metadata: {name: files, namespace: default, uid: 0a1b2c3d-1}}`
	fnClaimed    = `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: XDittoServer, metadata: {name: files-x7k2p, uid: 0a1b2c3d-1}}`
	fnCluster    = `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: XDittoServer, metadata: {name: files, uid: 0a1b2c3d-1}}`

	fnPerconaSpec = `{storage: {metadataSize: 10Gi}, percona: {enabled: true}}`
	fnSQLiteSpec  = `{storage: {metadataSize: 10Gi}}`
	fnInput       = "apiVersion: dittoserver.fn.crossplane.io/v1beta1\nkind: Input\n"

	// The Secrets' values are "canary".
	fnCredentials = `{metadata: {name: files-postgres-pguser-dittofs}, data: {host: cGc=, port: NTQzMg==, dbname: ZGl0dG9mcw==, user: ZGl0dG9mcw==, password: Y2FuYXJ5, uri: Y2FuYXJ5}}`
	fnCA          = `{metadata: {name: files-postgres-cluster-cert}, data: {ca.crt: Y2FuYXJ5, tls.key: Y2FuYXJ5}}`
	fnCRD         = `{metadata: {name: x}, status: {conditions: [{type: Established, status: "True"}]}}`

	fnReadyCluster = `{apiVersion: pgv2.percona.com/v2, kind: PerconaPGCluster, metadata: {name: files-postgres, namespace: default, generation: 1},
spec: {postgresVersion: 16, instances: [{name: instance1, dataVolumeClaimSpec: {resources: {requests: {storage: 10Gi}}}}], users: [{name: dittofs, databases: [dittofs]}]},
status: {state: ready, observedGeneration: 1, postgres: {size: 1, ready: 1}}}`
	fnRunningServer = `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: files, namespace: default, generation: 1}, spec: {replicas: 1, template: {spec: {containers: [{name: dittofs, image: "marmos91c/dittofs:v0.29.0",
env: [{name: DITTOFS_DATABASE_POSTGRES_HOST, valueFrom: {secretKeyRef: {name: files-postgres-pguser-dittofs, key: host}}}]}]}},
volumeClaimTemplates: [{metadata: {name: metadata}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Gi}}}}, {metadata: {name: controlplane}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]},
status: {observedGeneration: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1}}`
)

func (c fnCall) request(t *testing.T) *fnv1.RunFunctionRequest {
	t.Helper()
	xr := c.xr
	if xr == "" {
		xr = fnNamespaced
	}
	m := yamltest.Struct(t, xr).AsMap()
	m["spec"] = yamltest.Struct(t, c.spec).AsMap()
	if strings.Contains(xr, "files-x7k2p") {
		m["spec"].(map[string]any)["claimRef"] = map[string]any{"name": "files", "namespace": "team-a"}
	}
	s, err := structpb.NewStruct(m)
	if err != nil {
		t.Fatal(err)
	}
	req := &fnv1.RunFunctionRequest{
		Meta:              &fnv1.RequestMeta{Tag: "tag"},
		Input:             yamltest.Struct(t, c.input),
		Context:           yamltest.Struct(t, c.context),
		Desired:           c.desired,
		Observed:          &fnv1.State{Composite: &fnv1.Resource{Resource: s}, Resources: map[string]*fnv1.Resource{}},
		RequiredResources: map[string]*fnv1.Resources{},
	}
	for k, y := range c.composed {
		req.Observed.Resources[k] = &fnv1.Resource{Resource: yamltest.Struct(t, y)}
	}
	return req
}

// fnSevens is a source of randomness that is none.
type fnSevens struct{}

func (fnSevens) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte{7}, len(p))), nil }

func fnRun(t *testing.T, req *fnv1.RunFunctionRequest) *fnv1.RunFunctionResponse {
	t.Helper()
	return fnRunOn(t, NewFunction(logging.NewNopLogger(), time.Minute, fnSevens{}), req)
}

func fnRunOn(t *testing.T, f *Function, req *fnv1.RunFunctionRequest) *fnv1.RunFunctionResponse {
	t.Helper()
	before := proto.Clone(req)
	rsp, err := f.RunFunction(context.Background(), req)
	if err != nil {
		t.Fatalf("RunFunction(...): %v", err)
	}
	if !proto.Equal(before, req) {
		t.Fatalf("RunFunction(...) changed its request: -before, +after:\n%s", cmp.Diff(before, req, protocmp.Transform()))
	}
	return rsp
}

// run calls the function as Crossplane does: again and again, with what it
// requires, until it requires nothing new, five times at most.
func (c fnCall) run(t *testing.T) *fnv1.RunFunctionResponse {
	t.Helper()
	req := c.request(t)
	var last *fnv1.Requirements
	for range 5 {
		rsp := fnRun(t, req)
		fatal := slices.ContainsFunc(rsp.GetResults(), func(r *fnv1.Result) bool { return r.GetSeverity() == fnv1.Severity_SEVERITY_FATAL })
		if fatal || proto.Equal(last, rsp.GetRequirements()) || len(rsp.GetRequirements().GetResources()) == 0 {
			return rsp
		}
		for k := range last.GetResources() {
			if _, ok := rsp.GetRequirements().GetResources()[k]; !ok {
				t.Errorf("RunFunction(...): requirement %s is dropped in a later round", k)
			}
		}
		last = rsp.GetRequirements()
		for k := range last.GetResources() {
			req.RequiredResources[k] = &fnv1.Resources{}
			if y := c.exists[k]; y != "" {
				req.RequiredResources[k].Items = []*fnv1.Resource{{Resource: yamltest.Struct(t, y)}}
			}
		}
	}
	t.Fatal("RunFunction(...): the requirements are not stable after five rounds, which Crossplane calls an error")
	return nil
}

// A fnSummary is an answer at a glance.
type fnSummary struct {
	Composed   []string
	Conditions map[string]string
	Ready      fnv1.Ready
	TTL        time.Duration
	Events     []string
	Fatal      string
}

func fnSummarize(rsp *fnv1.RunFunctionResponse) fnSummary {
	out := fnSummary{
		Composed:   slices.Sorted(maps.Keys(rsp.GetDesired().GetResources())),
		Conditions: map[string]string{},
		Ready:      rsp.GetDesired().GetComposite().GetReady(),
		TTL:        rsp.GetMeta().GetTtl().AsDuration(),
	}
	for _, c := range rsp.GetConditions() {
		status := "False "
		if c.GetStatus() == fnv1.Status_STATUS_CONDITION_TRUE {
			status = "True "
		}
		out.Conditions[c.GetType()] = status + c.GetReason()
	}
	for _, r := range rsp.GetResults() {
		if r.GetSeverity() == fnv1.Severity_SEVERITY_FATAL {
			out.Fatal = r.GetMessage()
			continue
		}
		out.Events = append(out.Events, r.GetReason())
	}
	return out
}

func fnInstalled(more map[string]string) map[string]string {
	out := map[string]string{
		"CustomResourceDefinition/perconapgclusters.pgv2.percona.com": fnCRD,
		"CustomResourceDefinition/dittoservers.dittofs.dittofs.com":   fnCRD,
		"CustomResourceDefinition/xdittoservers.dittofs.dittofs.com":  fnCRD,
	}
	maps.Copy(out, more)
	return out
}

func TestRunFunction(t *testing.T) {
	everything := []string{"admin", "api", "config", "headless", "jwt", "nfs", "postgres", "server", "smb"}
	without := func(names ...string) []string {
		return slices.DeleteFunc(slices.Clone(everything), func(s string) bool { return slices.Contains(names, s) })
	}
	secrets := map[string]string{"Secret/files-postgres-pguser-dittofs": fnCredentials, "Secret/files-postgres-cluster-cert": fnCA}
	owned := func(y string) string {
		return strings.Replace(y, "namespace: default", "namespace: default, labels: {crossplane.io/composite: files}", 1)
	}

	cases := map[string]struct {
		reason string
		call   fnCall
		want   fnSummary
	}{
		"PerconaWaiting": {
			reason: "the cluster is composed, and the server waits for it",
			call:   fnCall{spec: fnPerconaSpec, exists: fnInstalled(nil)},
			want: fnSummary{
				Composed: without("server"),
				Conditions: map[string]string{
					"Accepted": "True SpecAccepted", "DatabaseReady": "False PerconaPGClusterNotFound",
					"Available": "False NoReplicasAvailable", "Progressing": "True WaitingForDatabase",
				},
				Ready: fnv1.Ready_READY_FALSE, TTL: 10 * time.Second, Events: []string{"PerconaPGClusterNotFound"},
			},
		},
		"OperatorNotInstalled": {
			reason: "a kind that is not served is neither asked for nor composed",
			call:   fnCall{spec: fnPerconaSpec, exists: map[string]string{"CustomResourceDefinition/dittoservers.dittofs.dittofs.com": fnCRD}},
			want: fnSummary{
				Composed: without("server", "postgres"),
				Conditions: map[string]string{
					"Accepted": "True SpecAccepted", "DatabaseReady": "False PerconaOperatorNotInstalled",
					"Available": "False NoReplicasAvailable", "Progressing": "True WaitingForDatabase",
				},
				Ready: fnv1.Ready_READY_FALSE, TTL: 10 * time.Second, Events: []string{"PerconaOperatorNotInstalled"},
			},
		},
		"Offline": {
			reason: "a preview shows the cluster",
			call:   fnCall{spec: fnPerconaSpec},
			want: fnSummary{
				Composed: without("server"),
				Conditions: map[string]string{
					"Accepted": "True SpecAccepted", "DatabaseReady": "False PerconaPGClusterNotFound",
					"Available": "False NoReplicasAvailable", "Progressing": "True WaitingForDatabase",
				},
				Ready: fnv1.Ready_READY_FALSE, TTL: 10 * time.Second, Events: []string{"PerconaPGClusterNotFound"},
			},
		},
		"PerconaReady": {
			reason: "the server is composed when its database is ready",
			call:   fnCall{spec: fnPerconaSpec, composed: map[string]string{"postgres": fnReadyCluster}, exists: secrets},
			want: fnSummary{
				Composed: everything,
				Conditions: map[string]string{
					"Accepted": "True SpecAccepted", "DatabaseReady": "True PostgreSQLReady",
					"Available": "False NoReplicasAvailable", "Progressing": "True StatefulSetUpdating",
				},
				TTL: 10 * time.Second, Events: []string{"PostgreSQLReady"},
			},
		},
		"PerconaReadyWithoutCredentials": {
			reason: "ready is not enough to connect",
			call:   fnCall{spec: fnPerconaSpec, composed: map[string]string{"postgres": fnReadyCluster}},
			want: fnSummary{
				Composed: without("server"),
				Conditions: map[string]string{
					"Accepted": "True SpecAccepted", "DatabaseReady": "False CredentialsNotFound",
					"Available": "False NoReplicasAvailable", "Progressing": "True WaitingForDatabase",
				},
				Ready: fnv1.Ready_READY_FALSE, TTL: 10 * time.Second, Events: []string{"CredentialsNotFound"},
			},
		},
		"DatabaseFlaps": {
			reason: "a server that exists stays, whatever the database does",
			call: fnCall{spec: fnPerconaSpec, exists: secrets, composed: map[string]string{
				"postgres": strings.Replace(fnReadyCluster, "state: ready", "state: initializing", 1), "server": fnRunningServer,
			}},
			want: fnSummary{
				Composed: everything,
				Conditions: map[string]string{
					"Accepted": "True SpecAccepted", "DatabaseReady": "False WaitingForPostgreSQL",
					"Available": "True MinimumReplicasAvailable", "Progressing": "False ReconcileComplete",
				},
				Ready: fnv1.Ready_READY_FALSE, TTL: 10 * time.Second, Events: []string{"WaitingForPostgreSQL"},
			},
		},
		"NothingObserved": {
			reason: "all is there and nothing is observed, as when an XR is made again: nothing is dropped",
			call: fnCall{spec: fnPerconaSpec, exists: fnInstalled(map[string]string{
				"PerconaPGCluster/files-postgres":      owned(strings.Replace(fnReadyCluster, "state: ready", "state: initializing", 1)),
				"StatefulSet/files":                    owned(fnRunningServer),
				"Secret/files-postgres-pguser-dittofs": fnCredentials,
				"Secret/files-postgres-cluster-cert":   fnCA,
			})},
			want: fnSummary{
				Composed: everything,
				Conditions: map[string]string{
					"Accepted": "True SpecAccepted", "DatabaseReady": "False WaitingForPostgreSQL",
					"Available": "True MinimumReplicasAvailable", "Progressing": "False ReconcileComplete",
				},
				Ready: fnv1.Ready_READY_FALSE, TTL: 10 * time.Second, Events: []string{"WaitingForPostgreSQL"},
			},
		},
		"Taken": {
			reason: "what is in the way is left out, named, and keeps the XR from being ready",
			call:   fnCall{spec: fnSQLiteSpec, exists: map[string]string{"Service/files-api": `{metadata: {name: files-api}}`}},
			want: fnSummary{
				Composed: without("postgres", "api"),
				Conditions: map[string]string{
					"Accepted": "False NameTaken", "Available": "False NoReplicasAvailable", "Progressing": "True StatefulSetUpdating",
				},
				Ready: fnv1.Ready_READY_FALSE, TTL: 10 * time.Second, Events: []string{"NameTaken"},
			},
		},
		"Adopted": {
			reason: "unless it may be adopted",
			call:   fnCall{spec: `{storage: {metadataSize: 10Gi}, adoptExisting: true}`, exists: map[string]string{"Service/files-api": `{metadata: {name: files-api}}`}},
			want: fnSummary{
				Composed: without("postgres"),
				Conditions: map[string]string{
					"Accepted": "True SpecAccepted", "Available": "False NoReplicasAvailable", "Progressing": "True StatefulSetUpdating",
				},
				TTL: 10 * time.Second,
			},
		},
		"SQLite": {
			reason: "a SQLite server needs no Percona",
			call:   fnCall{spec: fnSQLiteSpec},
			want: fnSummary{
				Composed: without("postgres"),
				Conditions: map[string]string{
					"Accepted": "True SpecAccepted", "Available": "False NoReplicasAvailable", "Progressing": "True StatefulSetUpdating",
				},
				TTL: 10 * time.Second,
			},
		},
		"Held": {
			reason: "a contradiction is held, and the rest applied",
			call:   fnCall{spec: `{storage: {metadataSize: 5Gi}}`, exists: secrets, composed: map[string]string{"postgres": fnReadyCluster, "server": fnRunningServer}},
			want: fnSummary{
				Composed: everything,
				Conditions: map[string]string{
					"Accepted": "False ChangeHeld", "DatabaseReady": "True PostgreSQLReady",
					"Available": "True MinimumReplicasAvailable", "Progressing": "False ReconcileComplete",
				},
				TTL: time.Minute, Events: []string{"ChangeHeld", "PostgreSQLReady"},
			},
		},
		"Claim": {
			reason: "a claim's server is composed like any other",
			call:   fnCall{xr: fnClaimed, spec: fnPerconaSpec, exists: fnInstalled(nil)},
			want: fnSummary{
				Composed: without("server"),
				Conditions: map[string]string{
					"Accepted": "True SpecAccepted", "DatabaseReady": "False PerconaPGClusterNotFound",
					"Available": "False NoReplicasAvailable", "Progressing": "True WaitingForDatabase",
				},
				Ready: fnv1.Ready_READY_FALSE, TTL: 10 * time.Second, Events: []string{"PerconaPGClusterNotFound"},
			},
		},
		"ClusterScopedWithoutNamespace": {
			reason: "somebody has to say where the objects are",
			call:   fnCall{xr: fnCluster, spec: fnPerconaSpec},
			want: fnSummary{
				Conditions: map[string]string{
					"Accepted": "False InvalidSpec", "DatabaseReady": "False InvalidSpec",
					"Available": "False NoReplicasAvailable", "Progressing": "False InvalidSpec",
				},
				TTL:   time.Minute,
				Fatal: "invalid Input: input.namespace: Required value: the composite resource files has neither a namespace nor a claim; set the namespace of its objects",
			},
		},
		"InvalidNew": {
			reason: "every condition is there before the Fatal: Crossplane turns what is missing to Unknown",
			call:   fnCall{spec: `{storage: {metadataSize: 10Gi}, replicas: 7, percona: {enabled: true}}`, exists: fnInstalled(nil)},
			want: fnSummary{
				Conditions: map[string]string{
					"Accepted": "False InvalidSpec", "DatabaseReady": "False InvalidSpec",
					"Available": "False NoReplicasAvailable", "Progressing": "False InvalidSpec",
				},
				TTL:   time.Minute,
				Fatal: "invalid DittoServer: spec.replicas: Invalid value: 7: must be between 0 and 1",
			},
		},
		"InvalidEdit": {
			reason: "an invalid edit does not make a good database unready",
			call: fnCall{
				spec:     `{storage: {metadataSize: 10Gi}, replicas: 7, percona: {enabled: true, storageSize: x}}`,
				composed: map[string]string{"postgres": fnReadyCluster, "server": fnRunningServer}, exists: secrets,
			},
			want: fnSummary{
				Conditions: map[string]string{
					"Accepted": "False InvalidSpec", "DatabaseReady": "True PostgreSQLReady",
					"Available": "True MinimumReplicasAvailable", "Progressing": "False ReconcileComplete",
				},
				TTL:   time.Minute,
				Fatal: `invalid DittoServer: [spec.replicas: Invalid value: 7: must be between 0 and 1, spec.percona.storageSize: Invalid value: "x": must be a positive size such as 10Gi]`,
			},
		},
		"InvalidInput": {
			reason: "errors of the Input and of the XR are told together",
			call:   fnCall{spec: `{storage: {metadataSize: 10Gi}, replicas: one}`, input: fnInput + "ttl: soon\ndefaults: {logging: {format: xml}}"},
			want: fnSummary{
				Conditions: map[string]string{
					"Accepted": "False InvalidSpec", "Available": "False NoReplicasAvailable", "Progressing": "False InvalidSpec",
				},
				TTL: time.Minute,
				Fatal: `invalid DittoServer: [input.ttl: Invalid value: "soon": must be a positive duration such as 90s or 5m, ` +
					`spec.replicas: Invalid value: "one": must be of type integer, not string, ` +
					`input.defaults.logging.format: Unsupported value: "xml": supported values: "json", "text"]`,
			},
		},
		"SecretWithoutName": {
			reason: "an invalid reference is told, not asked for: Crossplane cannot get what has no name",
			call:   fnCall{spec: `{storage: {metadataSize: 10Gi}, database: {postgresSecretRef: {key: x}}}`},
			want: fnSummary{
				Conditions: map[string]string{
					"Accepted": "False InvalidSpec", "DatabaseReady": "False CredentialsNotFound",
					"Available": "False NoReplicasAvailable", "Progressing": "False InvalidSpec",
				},
				TTL:   time.Minute,
				Fatal: "invalid DittoServer: spec.database.postgresSecretRef.name: Required value: the name of a Secret in the server's namespace",
			},
		},
		"NameClash": {
			reason: "an earlier step's resource is not overwritten",
			call: fnCall{spec: fnSQLiteSpec, desired: &fnv1.State{Resources: map[string]*fnv1.Resource{
				"api": {Resource: yamltest.Struct(t, `{kind: Service}`)},
			}}},
			want: fnSummary{
				Conditions: map[string]string{
					"Accepted": "False InvalidSpec", "Available": "False NoReplicasAvailable", "Progressing": "False InvalidSpec",
				},
				TTL:   time.Minute,
				Fatal: `invalid DittoServer: composition: Internal error: an earlier step of the pipeline composes a resource named "api" too; give its resource another name`,
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			rsp := tc.call.run(t)
			got := fnSummarize(rsp)
			if got.Fatal != "" {
				// Nothing of the answer is applied.
				got.Composed = nil
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\nRunFunction(...): -want, +got:\n%s", tc.reason, diff)
			}
			said := rsp.String()
			for _, r := range rsp.GetDesired().GetResources() {
				if r.GetResource().GetFields()["kind"].GetStringValue() != "Secret" {
					said += r.String()
				}
			}
			if strings.Contains(said, "canary") || strings.Contains(said, "Y2FuYXJ5") {
				t.Errorf("%s\nRunFunction(...): a credential is told", tc.reason)
			}
		})
	}
}

// TestFirstCall guards that nothing is composed before it is known what exists.
func TestFirstCall(t *testing.T) {
	rsp := fnRun(t, fnCall{spec: fnPerconaSpec}.request(t))
	if got := slices.Sorted(maps.Keys(rsp.GetDesired().GetResources())); len(got) > 0 {
		t.Errorf("RunFunction(...): want nothing composed before anything is known, got %v", got)
	}
	want := []string{
		"ConfigMap/files-config",
		"CustomResourceDefinition/dittoservers.dittofs.dittofs.com",
		"CustomResourceDefinition/perconapgclusters.pgv2.percona.com",
		"Secret/files-admin-bootstrap-credentials", "Secret/files-jwt-secret",
		"Secret/files-postgres-cluster-cert", "Secret/files-postgres-pguser-dittofs",
		"Service/files-adapter-nfs", "Service/files-adapter-smb", "Service/files-api", "Service/files-headless",
		"StatefulSet/files",
	}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(rsp.GetRequirements().GetResources()))); diff != "" {
		t.Errorf("RunFunction(...).Requirements: -want, +got:\n%s", diff)
	}
	if got := rsp.GetDesired().GetComposite().GetReady(); got != fnv1.Ready_READY_FALSE {
		t.Errorf("RunFunction(...): want the XR not ready, got %v", got)
	}
}

// TestRefusedOnlyWhenAllIsKnown guards that the conditions beside a Fatal are
// those of what exists, which has to be asked for first.
func TestRefusedOnlyWhenAllIsKnown(t *testing.T) {
	rsp := fnRun(t, fnCall{spec: `{replicas: 7, percona: {enabled: true}}`}.request(t))
	if len(rsp.GetResults()) > 0 || len(rsp.GetRequirements().GetResources()) == 0 {
		t.Errorf("RunFunction(...): want questions and no Fatal yet, got %v", rsp.GetResults())
	}
}

// TestClaim guards where a claim's server is and what it is called.
func TestClaim(t *testing.T) {
	rsp := fnCall{xr: fnClaimed, spec: fnPerconaSpec, exists: fnInstalled(nil)}.run(t)
	for name, r := range rsp.GetDesired().GetResources() {
		meta := r.GetResource().GetFields()["metadata"].GetStructValue().AsMap()
		if meta["namespace"] != "team-a" || !strings.HasPrefix(meta["name"].(string), "files") || strings.Contains(meta["name"].(string), "x7k2p") {
			t.Errorf("%s: want it named after the claim, in its namespace, got %v/%v", name, meta["namespace"], meta["name"])
		}
	}
	for k, s := range rsp.GetRequirements().GetResources() {
		if s.GetNamespace() != "team-a" && s.GetKind() != "CustomResourceDefinition" {
			t.Errorf("requirement %s: want it in the claim's namespace, got %q", k, s.GetNamespace())
		}
	}
	for _, c := range rsp.GetConditions() {
		if c.GetTarget() != fnv1.Target_TARGET_COMPOSITE_AND_CLAIM {
			t.Errorf("condition %s: want it on the claim too", c.GetType())
		}
	}
}

func TestInputNamespace(t *testing.T) {
	rsp := fnCall{xr: fnCluster, spec: fnSQLiteSpec, input: fnInput + "namespace: platform"}.run(t)
	if len(rsp.GetDesired().GetResources()) == 0 {
		t.Fatalf("RunFunction(...): want a server, got %v", rsp.GetResults())
	}
	for name, r := range rsp.GetDesired().GetResources() {
		if got := r.GetResource().GetFields()["metadata"].GetStructValue().GetFields()["namespace"].GetStringValue(); got != "platform" {
			t.Errorf("%s: want it in the Input's namespace, got %q", name, got)
		}
	}
}

// TestEarlierStepsPassThrough guards that desired state, context and readiness of
// earlier pipeline steps are untouched.
func TestEarlierStepsPassThrough(t *testing.T) {
	earlier := func() *fnv1.State {
		return &fnv1.State{
			Composite: &fnv1.Resource{Resource: yamltest.Struct(t, `{status: {theirs: 1}}`), Ready: fnv1.Ready_READY_TRUE, ConnectionDetails: map[string][]byte{"k": []byte("v")}},
			Resources: map[string]*fnv1.Resource{"theirs": {Resource: yamltest.Struct(t, `{kind: ConfigMap, data: {a: null}}`), Ready: fnv1.Ready_READY_TRUE}},
		}
	}
	cases := map[string]struct {
		reason string
		spec   string
		// fatal answers change nothing but must not lose anything either.
		ready fnv1.Ready
	}{
		"Accepted": {reason: "they stand beside ours, verdict included", spec: fnSQLiteSpec, ready: fnv1.Ready_READY_TRUE},
		"Awaited":  {reason: "an XR that waits for its database is not ready, whoever says so", spec: fnPerconaSpec, ready: fnv1.Ready_READY_FALSE},
		"Refused":  {reason: "they pass through a Fatal", spec: `{replicas: 7}`, ready: fnv1.Ready_READY_TRUE},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			rsp := fnCall{spec: tc.spec, desired: earlier(), context: `{k: {v: 1}}`}.run(t)
			if diff := cmp.Diff(earlier().GetResources()["theirs"], rsp.GetDesired().GetResources()["theirs"], protocmp.Transform()); diff != "" {
				t.Errorf("%s\ndesired resource: -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(yamltest.Struct(t, `{k: {v: 1}}`), rsp.GetContext(), protocmp.Transform()); diff != "" {
				t.Errorf("%s\ncontext: -want, +got:\n%s", tc.reason, diff)
			}
			xr := rsp.GetDesired().GetComposite()
			if string(xr.GetConnectionDetails()["k"]) != "v" || xr.GetResource().GetFields()["status"].GetStructValue().GetFields()["theirs"].GetNumberValue() != 1 {
				t.Errorf("%s\ncomposite: want what the earlier step wrote, got %v", tc.reason, xr)
			}
			if xr.GetReady() != tc.ready {
				t.Errorf("%s\ncomposite: want %v, got %v", tc.reason, tc.ready, xr.GetReady())
			}
		})
	}
}

// TestTTL guards that Crossplane asks soon while something is awaited, and as the
// Input says otherwise.
func TestTTL(t *testing.T) {
	composed := map[string]string{"postgres": fnReadyCluster, "server": fnRunningServer}
	exists := map[string]string{"Secret/files-postgres-pguser-dittofs": fnCredentials, "Secret/files-postgres-cluster-cert": fnCA}
	cases := map[string]struct {
		reason string
		call   fnCall
		want   time.Duration
	}{
		"Default":      {reason: "the function's own", call: fnCall{spec: fnPerconaSpec, composed: composed, exists: exists}, want: time.Minute},
		"Input":        {reason: "the Input's", call: fnCall{spec: fnPerconaSpec, composed: composed, exists: exists, input: fnInput + "ttl: 5m"}, want: 5 * time.Minute},
		"Awaited":      {reason: "short while something is awaited", call: fnCall{spec: fnPerconaSpec, input: fnInput + "ttl: 5m"}, want: 10 * time.Second},
		"AwaitedShort": {reason: "never longer than the Input's", call: fnCall{spec: fnPerconaSpec, input: fnInput + "ttl: 4s"}, want: 4 * time.Second},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := tc.call.run(t).GetMeta().GetTtl().AsDuration(); got != tc.want {
				t.Errorf("%s: want %s, got %s", tc.reason, tc.want, got)
			}
		})
	}
}

// TestIdle guards that a server about which there is no news makes none, and
// that the same request has the same answer, byte for byte.
func TestIdle(t *testing.T) {
	call := fnCall{
		spec: `{storage: {metadataSize: 10Gi}, percona: {enabled: true}, imge: typo, snapshotPolicies: [{share: /a, interval: 1h}], service: {annotations: {a: "1", b: "2", c: "3"}}}`,
		composed: map[string]string{
			"postgres": fnReadyCluster, "server": fnRunningServer,
			"jwt":   `{metadata: {name: files-jwt-secret, namespace: default}, data: {jwt-secret: b2xk}}`,
			"admin": `{metadata: {name: files-admin-bootstrap-credentials, namespace: default}, data: {password: b2xk}}`,
		},
		exists: map[string]string{"Secret/files-postgres-pguser-dittofs": fnCredentials, "Secret/files-postgres-cluster-cert": fnCA},
	}
	first := call.run(t)
	conditions := make([]map[string]any, 0, len(first.GetConditions()))
	for _, c := range first.GetConditions() {
		status := "False"
		if c.GetStatus() == fnv1.Status_STATUS_CONDITION_TRUE {
			status = "True"
		}
		conditions = append(conditions, map[string]any{"type": c.GetType(), "status": status, "reason": c.GetReason(), "message": c.GetMessage()})
	}
	b, err := json.Marshal(conditions)
	if err != nil {
		t.Fatal(err)
	}
	call.xr = strings.TrimSuffix(fnNamespaced, "}") + `, status: {conditions: ` + string(b) + `}}`

	idle := call.run(t)
	if len(first.GetResults()) == 0 || len(idle.GetResults()) > 0 {
		t.Errorf("RunFunction(...): want news the first time and none afterwards, got %v and then %v", first.GetResults(), idle.GetResults())
	}
	want, err := proto.MarshalOptions{Deterministic: true}.Marshal(idle)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		got, err := proto.MarshalOptions{Deterministic: true}.Marshal(call.run(t))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, got) {
			t.Fatal("RunFunction(...): the same request had another answer")
		}
	}
}

// TestRandomnessIsNeededOnce guards that generated secrets are made when they
// exist nowhere and are carried over ever after.
func TestRandomnessIsNeededOnce(t *testing.T) {
	call := fnCall{spec: fnSQLiteSpec}
	first := call.run(t)
	call.composed = map[string]string{}
	for _, n := range []string{"jwt", "admin"} {
		b, err := json.Marshal(first.GetDesired().GetResources()[n].GetResource().AsMap())
		if err != nil {
			t.Fatal(err)
		}
		call.composed[n] = string(b)
	}
	req := call.request(t)
	for k := range call.run(t).GetRequirements().GetResources() {
		req.RequiredResources[k] = &fnv1.Resources{}
	}
	f := NewFunction(logging.NewNopLogger(), time.Minute, bytes.NewReader(nil))
	second, err := f.RunFunction(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"jwt", "admin"} {
		if diff := cmp.Diff(first.GetDesired().GetResources()[n].GetResource(), second.GetDesired().GetResources()[n].GetResource(), protocmp.Transform()); diff != "" {
			t.Errorf("%s: want it carried over: -first, +second:\n%s", n, diff)
		}
	}
}

// TestMemoryChangesNothing guards that the same request has the same answer
// whatever the function was asked before: two of its pods remember different
// things, and an answer that depends on that rolls a server to and fro.
func TestMemoryChangesNothing(t *testing.T) {
	composed := map[string]string{
		"postgres": fnReadyCluster, "server": fnRunningServer, "config": `{metadata: {name: files-config, namespace: default}}`,
		"jwt":   `{metadata: {name: files-jwt-secret, namespace: default}, data: {jwt-secret: b2xk}}`,
		"admin": `{metadata: {name: files-admin-bootstrap-credentials, namespace: default}, data: {password: b2xk}}`,
	}
	exists := map[string]string{"Secret/files-postgres-pguser-dittofs": fnCredentials, "Secret/files-postgres-cluster-cert": fnCA}
	spec := func(more string) fnCall {
		return fnCall{spec: `{storage: {metadataSize: 10Gi}, ` + more + `}`, composed: composed, exists: exists}
	}
	calls := []fnCall{
		{spec: fnSQLiteSpec},
		{spec: fnPerconaSpec},
		{spec: fnPerconaSpec, composed: map[string]string{"postgres": fnReadyCluster}, exists: exists},
		spec(`percona: {enabled: true}`),
		spec(`percona: {enabled: true, replicas: 3}`),
		spec(`percona: {enabled: true}, replicas: 0`),
		spec(`percona: {enabled: true}, replicas: 7`),
		spec(`percona: {enabled: true}, resources: {limits: {memory: 1Gi}}`),
		spec(`percona: {enabled: true}, resources: {limits: {memory: "1073741824"}}`),
		spec(`percona: {enabled: true, resources: {limits: {memory: 1Gi}}}`),
		spec(`percona: {enabled: true, resources: {limits: {memory: "1073741824"}}}`),
		spec(`percona: {enabled: true, storageSize: 10Gi}`),
		spec(`percona: {enabled: true, storageSize: "10737418240"}`),
		spec(`percona: {enabled: true}, service: {annotations: {a: ""}}`),
		spec(`percona: {enabled: true}, service: {annotations: {}}`),
		spec(`percona: {enabled: true, storageClassName: ""}`),
		{spec: fnPerconaSpec, composed: composed, exists: exists, input: fnInput + "defaults: {image: \"x:1\"}"},
		{spec: fnPerconaSpec, composed: composed, exists: exists, input: fnInput + "ttl: 5m"},
		{xr: fnClaimed, spec: fnPerconaSpec},
		{xr: fnCluster, spec: fnPerconaSpec, input: fnInput + "namespace: platform"},
		{xr: fnCluster, spec: fnPerconaSpec},
	}
	f := NewFunction(logging.NewNopLogger(), time.Minute, fnSevens{})
	for range 2 {
		for i, c := range calls {
			req := c.request(t)
			for range 4 {
				want := fnRun(t, req)
				got := fnRunOn(t, f, req)
				if !proto.Equal(want, got) {
					t.Errorf("call %d: %s: want the answer of a function that remembers nothing, got another: %s", i%len(calls), c.spec, fnDifference(want, got))
				}
				for k := range got.GetRequirements().GetResources() {
					req.RequiredResources[k] = &fnv1.Resources{}
					if y := c.exists[k]; y != "" {
						req.RequiredResources[k].Items = []*fnv1.Resource{{Resource: yamltest.Struct(t, y)}}
					}
				}
			}
		}
		slices.Reverse(calls)
	}
}

// fnDifference tells in which resources two answers differ.
func fnDifference(want, got *fnv1.RunFunctionResponse) string {
	var out []string
	for n, r := range want.GetDesired().GetResources() {
		if !proto.Equal(r, got.GetDesired().GetResources()[n]) {
			out = append(out, n+": "+cmp.Diff(r.GetResource().AsMap(), got.GetDesired().GetResources()[n].GetResource().AsMap()))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}
