package report

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/desired"
	"github.com/dittofs/function-dittoserver/internal/kinds"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/pgstate"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/world"
	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

const xr = `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: DittoServer, metadata: {name: files, namespace: default, uid: u}}`

// worldOf returns the world of an XR, with what Crossplane has composed for it.
func worldOf(t *testing.T, xr string, composed map[string]string) world.World {
	t.Helper()
	r := observed.NewReader(&fnv1.RunFunctionRequest{Observed: &fnv1.State{Composite: &fnv1.Resource{Resource: yamltest.Struct(t, xr)}}})
	w := world.World{XR: r.XR(), Identity: world.Identity{Name: "files", Namespace: "default"}, Objects: map[names.Resource]world.Existing{}}
	for _, ref := range kinds.Refs("files") {
		e := world.Existing{Ref: ref, Presence: world.Absent}
		if y, ok := composed[string(ref.Resource)]; ok {
			e.Presence, e.Object = world.Ours, observed.FromStruct(yamltest.Struct(t, y))
		}
		w.Objects[ref.Resource] = e
	}
	return w
}

// resolved returns a server with a PerconaPGCluster, changed as each of the changes
// says.
func resolved(changes ...func(*server.Server)) *server.Server {
	s := &server.Server{
		Name: "files", Namespace: "default", Replicas: 1, APIPort: 8080,
		JWT:     server.JWT{SecretKey: record.SecretKey{Name: "files-jwt-secret"}},
		Admin:   server.Admin{SecretKey: record.SecretKey{Name: "files-admin-bootstrap-credentials"}},
		NFS:     server.Adapter{Published: true, Port: 12049},
		SMB:     server.Adapter{Published: true, Port: 1445},
		Current: record.Database{Kind: record.Percona},
		Target:  record.Database{Kind: record.Percona},
		Cluster: &server.Cluster{PostgresVersion: 16, DatabaseName: "dittofs", MetadataDatabaseName: "meta"},
	}
	for _, c := range changes {
		c(s)
	}
	return s
}

func onSQLite(s *server.Server) {
	s.Current, s.Cluster = record.Database{Kind: record.SQLite, Path: "/x"}, nil
	s.Target = s.Current
}

func onExternal(s *server.Server) {
	s.Current, s.Cluster = record.Database{Kind: record.External, Secret: "pg"}, nil
	s.Target = s.Current
}

const (
	running  = `{metadata: {name: files, generation: 1}, spec: {replicas: 1}, status: {observedGeneration: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1}}`
	starting = `{metadata: {name: files, generation: 1}, spec: {replicas: 1}, status: {}}`
	stopped  = `{metadata: {name: files, generation: 1}, spec: {replicas: 0}, status: {observedGeneration: 1}}`
)

func TestWrite(t *testing.T) {
	ready := pgstate.State{
		Ready: true, Reason: "PostgreSQLReady", Message: "m", ClusterState: "ready", Instances: 2, ReadyInstances: 2, PostgresVersion: 16,
		Host: "files-postgres-primary.default.svc", Port: "5432", Name: "dittofs", User: "dittofs",
	}
	type args struct {
		server   *server.Server
		database pgstate.State
		state    desired.State
		composed map[string]string
		problem  string
		earlier  *fnv1.Resource
		ttl      time.Duration
	}
	type want struct {
		status v1alpha1.DittoServerStatus
		ready  fnv1.Ready
		ttl    time.Duration
	}
	endpoints := &v1alpha1.EndpointsStatus{API: "http://files-api.default.svc:8080", NFS: "files-adapter-nfs.default.svc:12049", SMB: "files-adapter-smb.default.svc:1445"}
	secrets := &v1alpha1.SecretsStatus{Admin: "files-admin-bootstrap-credentials", JWT: "files-jwt-secret"}

	cases := map[string]struct {
		reason string
		args   args
		want   want
	}{
		"Ready": {
			reason: "all is well: readiness is Crossplane's to find",
			args:   args{server: resolved(), database: ready, state: desired.State{KeptEdits: []string{"spec.image"}}, composed: map[string]string{"server": running}},
			want: want{
				status: v1alpha1.DittoServerStatus{
					Phase: "Running", Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1, PerconaClusterName: "files-postgres",
					Database: &v1alpha1.DatabaseStatus{
						ClusterName: "files-postgres", State: "ready", Host: "files-postgres-primary.default.svc", Port: 5432, Name: "dittofs",
						MetadataName: "meta", User: "dittofs", SecretName: "files-postgres-pguser-dittofs", PostgresVersion: 16,
						Instances: ptr.To[int32](2), ReadyInstances: ptr.To[int32](2), KeptEdits: []string{"spec.image"},
					},
					Endpoints: endpoints, Secrets: secrets,
				},
				ttl: time.Minute,
			},
		},
		"FixedName": {
			reason: "the database is the server's, whichever Percona's Secret names",
			args:   args{server: resolved(), database: pgstate.State{Ready: true, Name: "theirs"}, composed: map[string]string{"server": running}},
			want: want{
				status: v1alpha1.DittoServerStatus{
					Phase: "Running", Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1, PerconaClusterName: "files-postgres", Endpoints: endpoints, Secrets: secrets,
					Database: &v1alpha1.DatabaseStatus{ClusterName: "files-postgres", Name: "dittofs", MetadataName: "meta", SecretName: "files-postgres-pguser-dittofs", PostgresVersion: 16, Instances: ptr.To[int32](0), ReadyInstances: ptr.To[int32](0)},
				},
				ttl: time.Minute,
			},
		},
		"Awaited": {
			reason: "while the database is awaited the XR is not ready, and Crossplane asks soon",
			args: args{server: resolved(), database: pgstate.State{Reason: "PerconaPGClusterNotFound"}, state: desired.State{
				LeftOut: []desired.LeftOut{{Ref: names.Ref{Resource: names.Server}, Why: desired.Awaited}},
			}},
			want: want{
				status: v1alpha1.DittoServerStatus{
					Phase: "Pending", PerconaClusterName: "files-postgres",
					Database:  &v1alpha1.DatabaseStatus{ClusterName: "files-postgres", Name: "dittofs", MetadataName: "meta", SecretName: "files-postgres-pguser-dittofs", PostgresVersion: 16, Instances: ptr.To[int32](0), ReadyInstances: ptr.To[int32](0)},
					Endpoints: endpoints, Secrets: secrets,
				},
				ready: fnv1.Ready_READY_FALSE,
				ttl:   10 * time.Second,
			},
		},
		"Undecided": {
			reason: "while it is not certain which database has its data, there is no server, and the XR is not ready",
			args: args{server: resolved(onSQLite, func(s *server.Server) { s.Undecided = true }), database: pgstate.State{Ready: true}, state: desired.State{
				LeftOut: []desired.LeftOut{{Ref: names.Ref{Resource: names.Server}, Why: desired.Awaited}},
			}},
			want: want{
				status: v1alpha1.DittoServerStatus{Phase: "Pending", Endpoints: endpoints, Secrets: secrets},
				ready:  fnv1.Ready_READY_FALSE,
				ttl:    10 * time.Second,
			},
		},
		"Leaving": {
			reason: "nor while something that was deleted is not gone yet",
			args: args{server: resolved(onSQLite), database: pgstate.State{Ready: true}, composed: map[string]string{"server": running}, state: desired.State{
				Leaving: []names.Ref{{Resource: names.API, Kind: "Service", Name: "files-api"}},
			}},
			want: want{
				status: v1alpha1.DittoServerStatus{Phase: "Running", Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1, Endpoints: endpoints, Secrets: secrets},
				ready:  fnv1.Ready_READY_FALSE,
				ttl:    10 * time.Second,
			},
		},
		"KeptCluster": {
			reason: "a cluster that is kept beside SQLite may have edits",
			args: args{server: resolved(onSQLite, func(s *server.Server) { s.Cluster = &server.Cluster{Kept: true} }), database: pgstate.State{Ready: true}, composed: map[string]string{"server": running}, state: desired.State{
				KeptEdits: []string{"spec.image"},
			}},
			want: want{
				status: v1alpha1.DittoServerStatus{
					Phase: "Running", Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1, PerconaClusterName: "files-postgres", Endpoints: endpoints, Secrets: secrets,
					Database: &v1alpha1.DatabaseStatus{KeptEdits: []string{"spec.image"}},
				},
				ttl: time.Minute,
			},
		},
		"Taken": {
			reason: "what is in the way keeps the XR from being ready",
			args: args{server: resolved(onSQLite), database: pgstate.State{Ready: true}, composed: map[string]string{"server": running}, state: desired.State{
				LeftOut: []desired.LeftOut{{Ref: names.Ref{Resource: names.API, Kind: "Service", Name: "files-api"}, Why: desired.Taken}},
			}},
			want: want{
				status: v1alpha1.DittoServerStatus{Phase: "Running", Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1, Endpoints: endpoints, Secrets: secrets},
				ready:  fnv1.Ready_READY_FALSE,
				ttl:    10 * time.Second,
			},
		},
		"External": {
			reason: "what the Secret says of the connection is no secret",
			args:   args{server: resolved(onExternal), database: pgstate.State{Ready: true, Host: "pg", Port: " 6543\n", Name: "d", User: "u"}, composed: map[string]string{"server": running}},
			want: want{
				status: v1alpha1.DittoServerStatus{
					Phase: "Running", Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1, Endpoints: endpoints, Secrets: secrets,
					Database: &v1alpha1.DatabaseStatus{SecretName: "pg", Host: "pg", Port: 6543, Name: "d", User: "u"},
				},
				ttl: time.Minute,
			},
		},
		"PortThatIsNone": {
			reason: "what does not fit the schema is not reported: Crossplane would write no status at all",
			args:   args{server: resolved(onExternal), database: pgstate.State{Ready: true, Host: "pg", Port: "99999999999999"}, composed: map[string]string{"server": running}},
			want: want{
				status: v1alpha1.DittoServerStatus{
					Phase: "Running", Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1, Endpoints: endpoints, Secrets: secrets,
					Database: &v1alpha1.DatabaseStatus{SecretName: "pg", Host: "pg"},
				},
				ttl: time.Minute,
			},
		},
		"Stopped": {
			reason: "a stopped server is stopped",
			args:   args{server: resolved(onSQLite, func(s *server.Server) { s.Replicas = 0 }), database: pgstate.State{Ready: true}, composed: map[string]string{"server": stopped}},
			want: want{
				status: v1alpha1.DittoServerStatus{Phase: "Stopped", Endpoints: endpoints, Secrets: secrets},
				ttl:    time.Minute,
			},
		},
		"LoadBalancers": {
			reason: "clients reach a load balancer by its address",
			args: args{server: resolved(onSQLite), database: pgstate.State{Ready: true}, composed: map[string]string{
				"server": running,
				"nfs":    `{status: {loadBalancer: {ingress: [{hostname: nfs.example.com}]}}}`,
				"smb":    `{status: {loadBalancer: {ingress: [{}, {ip: "fd00::1"}]}}}`,
				"api":    `{status: {loadBalancer: {}}}`,
			}},
			want: want{
				status: v1alpha1.DittoServerStatus{
					Phase: "Running", Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1, Secrets: secrets,
					Endpoints: &v1alpha1.EndpointsStatus{API: "http://files-api.default.svc:8080", NFS: "nfs.example.com:12049", SMB: "[fd00::1]:1445"},
				},
				ttl: time.Minute,
			},
		},
		"TLS": {
			reason: "the server speaks https itself",
			args:   args{server: resolved(onSQLite, func(s *server.Server) { s.TLS.Cert = "api" }), database: pgstate.State{Ready: true}, composed: map[string]string{"server": running}},
			want: want{
				status: v1alpha1.DittoServerStatus{
					Phase: "Running", Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1, Secrets: secrets,
					Endpoints: &v1alpha1.EndpointsStatus{API: "https://files-api.default.svc:8080", NFS: endpoints.NFS, SMB: endpoints.SMB},
				},
				ttl: time.Minute,
			},
		},
		"TLSInFront": {
			reason: "or something in front of it does",
			args: args{server: resolved(onSQLite, func(s *server.Server) { s.TLS.InFront = true }), database: pgstate.State{Ready: true}, composed: map[string]string{
				"server": running, "api": `{status: {loadBalancer: {ingress: [{hostname: api.example.com}]}}}`,
			}},
			want: want{
				status: v1alpha1.DittoServerStatus{
					Phase: "Running", Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1, Secrets: secrets,
					Endpoints: &v1alpha1.EndpointsStatus{API: "https://api.example.com:8080", NFS: endpoints.NFS, SMB: endpoints.SMB},
				},
				ttl: time.Minute,
			},
		},
		"Adapters": {
			reason: "what is not published has no address, and what is has the port that the spec says",
			args: args{server: resolved(onSQLite, func(s *server.Server) {
				s.NFS.Published, s.SMB.Port = false, 445
			}), database: pgstate.State{Ready: true}, composed: map[string]string{"server": running}},
			want: want{
				status: v1alpha1.DittoServerStatus{
					Phase: "Running", Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1, Secrets: secrets,
					Endpoints: &v1alpha1.EndpointsStatus{API: "http://files-api.default.svc:8080", SMB: "files-adapter-smb.default.svc:445"},
				},
				ttl: time.Minute,
			},
		},
		"Starting": {
			reason: "a pod is watched, and the Secrets that it starts with are not",
			args:   args{server: resolved(onSQLite), database: pgstate.State{Ready: true}, composed: map[string]string{"server": starting}},
			want: want{
				status: v1alpha1.DittoServerStatus{Phase: "Pending", Replicas: 1, Endpoints: endpoints, Secrets: secrets},
				ttl:    10 * time.Second,
			},
		},
		"ShortTTLStays": {
			reason: "an Input that asks for less gets it",
			args:   args{server: resolved(onSQLite), database: pgstate.State{Ready: true}, state: desired.State{}, ttl: 3 * time.Second},
			want: want{
				status: v1alpha1.DittoServerStatus{Phase: "Pending", Endpoints: endpoints, Secrets: secrets},
				ttl:    3 * time.Second,
			},
		},
		"BackupCredentialsMissing": {
			reason: "the Secret that backups wait for is not watched",
			args:   args{server: resolved(), database: pgstate.State{Ready: true}, composed: map[string]string{"server": running}, problem: "Secret s3 does not exist; create it"},
			want: want{
				status: v1alpha1.DittoServerStatus{
					Phase: "Running", Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1, PerconaClusterName: "files-postgres", Endpoints: endpoints, Secrets: secrets,
					Database: &v1alpha1.DatabaseStatus{ClusterName: "files-postgres", Name: "dittofs", MetadataName: "meta", SecretName: "files-postgres-pguser-dittofs", PostgresVersion: 16, Instances: ptr.To[int32](0), ReadyInstances: ptr.To[int32](0)},
				},
				ttl: 10 * time.Second,
			},
		},
		"EarlierVerdict": {
			reason: "what an earlier step found of the XR's readiness stays",
			args:   args{server: resolved(onSQLite), database: pgstate.State{Ready: true}, composed: map[string]string{"server": running}, earlier: &fnv1.Resource{Ready: fnv1.Ready_READY_TRUE}},
			want: want{
				status: v1alpha1.DittoServerStatus{Phase: "Running", Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1, Endpoints: endpoints, Secrets: secrets},
				ready:  fnv1.Ready_READY_TRUE,
				ttl:    time.Minute,
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			ttl := tc.args.ttl
			if ttl == 0 {
				ttl = time.Minute
			}
			rsp := &fnv1.RunFunctionResponse{Meta: &fnv1.ResponseMeta{Ttl: durationpb.New(ttl)}, Desired: &fnv1.State{Composite: tc.args.earlier}}
			if tc.args.problem != "" {
				tc.args.server.Cluster.Backup.Problem = tc.args.problem
			}
			r := Report{World: worldOf(t, xr, tc.args.composed), Result: server.Resolution{Server: tc.args.server}, Target: tc.args.database, State: tc.args.state}
			if err := r.Write(rsp); err != nil {
				t.Fatal(err)
			}
			got := want{
				status: decode(t, rsp),
				ready:  rsp.GetDesired().GetComposite().GetReady(),
				ttl:    rsp.GetMeta().GetTtl().AsDuration(),
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("%s\nWrite(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// decode decodes the status as strictly as the XRD's schema does.
func decode(t *testing.T, rsp *fnv1.RunFunctionResponse) v1alpha1.DittoServerStatus {
	t.Helper()
	b, err := json.Marshal(rsp.GetDesired().GetComposite().GetResource().AsMap()["status"])
	if err != nil {
		t.Fatal(err)
	}
	var out v1alpha1.DittoServerStatus
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&out); err != nil {
		t.Errorf("the status does not fit the schema, so that Crossplane would write none: %v in %s", err, b)
	}
	return out
}

// TestWriteLeavesTheXRAlone: an earlier step may have said things of the XR.
func TestWriteLeavesTheXRAlone(t *testing.T) {
	rsp := &fnv1.RunFunctionResponse{Desired: &fnv1.State{Composite: &fnv1.Resource{
		Resource:          yamltest.Struct(t, `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: DittoServer, metadata: {labels: {a: b}}, status: {theirs: 1, phase: Theirs}}`),
		ConnectionDetails: map[string][]byte{"k": []byte("v")},
	}}}
	r := Report{World: worldOf(t, xr, nil), Result: server.Resolution{Server: resolved(onSQLite)}, Target: pgstate.State{Ready: true}}
	if err := r.Write(rsp); err != nil {
		t.Fatal(err)
	}
	got := rsp.GetDesired().GetComposite()
	s, _ := got.GetResource().AsMap()["status"].(map[string]any)
	if s["theirs"] != 1.0 || s["phase"] != "Pending" || got.GetResource().AsMap()["metadata"] == nil || string(got.GetConnectionDetails()["k"]) != "v" {
		t.Errorf("Write(...): want what an earlier step wrote beside our status, got %v", got)
	}
}

// TestAdminChanged guards that a new password that the server does not read is news,
// and not state: whether it was changed in the server too, nobody here knows.
func TestAdminChanged(t *testing.T) {
	// The XR has every condition that it is going to get, so that nothing else is news.
	const settled = `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: DittoServer, metadata: {name: files, namespace: default, uid: u}, status: {conditions: [
{type: Accepted, status: "True", reason: SpecAccepted, message: everything that the spec says is applied}, {type: Available, status: "True", reason: MinimumReplicasAvailable}, {type: Progressing, status: "False", reason: ReconcileComplete}]}}`
	const message = "the administrator's password in Secret boss has changed, and the server read it on its first start only: if it was not changed on the server too, change it there, or set the Secret back"
	cases := map[string]struct {
		reason string
		state  desired.State
		want   []*fnv1.Result
	}{
		"Idle":    {reason: "an idle server has no news"},
		"Changed": {reason: "the Secret is named", state: desired.State{AdminChanged: "boss"}, want: []*fnv1.Result{{Severity: fnv1.Severity_SEVERITY_WARNING, Reason: ptr.To("PasswordNotRead"), Message: message, Target: fnv1.Target_TARGET_COMPOSITE_AND_CLAIM.Enum()}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			rsp := &fnv1.RunFunctionResponse{Desired: &fnv1.State{}}
			r := Report{World: worldOf(t, settled, map[string]string{"server": running}), Result: server.Resolution{Server: resolved(onSQLite)}, Target: pgstate.State{Ready: true}, State: tc.state}
			if err := r.Write(rsp); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, rsp.GetResults(), protocmp.Transform(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s\nevents: -want, +got:\n%s", tc.reason, diff)
			}
			for _, c := range rsp.GetConditions() {
				if c.GetType() == TypeAccepted && c.GetReason() != ReasonSpecAccepted {
					t.Errorf("%s: want no condition of it, got %v", tc.reason, c)
				}
			}
		})
	}
}

// TestWriteChangesNothing: what is reported is read by others, too.
func TestWriteChangesNothing(t *testing.T) {
	s := resolved(func(s *server.Server) { s.Cluster.Backup.Mode = server.BackupOn })
	w := worldOf(t, xr, map[string]string{"server": stopped, "postgres": `{spec: {backups: {enabled: true, pgbackrest: {repos: [{name: repo1}]}}}}`})
	errs := field.ErrorList{field.Required(field.NewPath("spec"), "x")}
	Report{World: w, Result: server.Resolution{Server: s, Errors: errs}}.WriteInvalid(&fnv1.RunFunctionResponse{})
	want := resolved(func(s *server.Server) { s.Cluster.Backup.Mode = server.BackupOn })
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("WriteInvalid(...) changed the server: -before, +after:\n%s", diff)
	}
}

func TestWriteInvalid(t *testing.T) {
	const cluster = `{metadata: {name: files-postgres, namespace: default}, spec: {postgresVersion: 16}, status: {state: ready, postgres: {size: 1, ready: 1}}}`
	const sts = `{metadata: {name: files, generation: 1}, spec: {replicas: 1}, status: {observedGeneration: 1, updatedReplicas: 1, readyReplicas: 1}}`
	const invalid = `invalid DittoServer: spec.replicas: Invalid value: 7: must be between 0 and 1`
	ready := pgstate.State{Ready: true, Reason: "PostgreSQLReady", Message: "m"}

	cases := map[string]struct {
		reason   string
		server   *server.Server
		database pgstate.State
		composed map[string]string
		want     map[string]brief
	}{
		"Nothing": {
			reason:   "there is no database to speak of, and none is created",
			server:   resolved(func(s *server.Server) { s.Cluster.Backup.Mode = server.BackupOn }),
			database: pgstate.State{Reason: "PerconaPGClusterNotFound", Message: "it is being created"},
			want: map[string]brief{
				"Accepted":      {"False", "InvalidSpec", invalid},
				"DatabaseReady": {"False", "InvalidSpec", "there is no database, and none is created while the spec is invalid; the condition Accepted tells what is wrong"},
				"Available":     {"False", "NoReplicasAvailable", "the server does not exist yet"},
				"Progressing":   {"False", "InvalidSpec", "nothing is created while the spec is invalid; the condition Accepted tells what is wrong"},
			},
		},
		"Good": {
			reason:   "an invalid edit does not make a good database unready, nor a server that runs, of which the spec's number of replicas says nothing",
			server:   resolved(func(s *server.Server) { s.Replicas = 0 }),
			database: ready,
			composed: map[string]string{"postgres": cluster, "server": sts},
			want: map[string]brief{
				"Accepted":      {"False", "InvalidSpec", invalid},
				"DatabaseReady": {"True", "PostgreSQLReady", "m"},
				"Available":     {"True", "MinimumReplicasAvailable", "the server is running"},
				"Progressing":   {"False", "ReconcileComplete", "everything is up to date"},
			},
		},
		"SQLite": {
			reason:   "a SQLite server has no such condition",
			server:   resolved(onSQLite),
			database: pgstate.State{Ready: true},
			want: map[string]brief{
				"Accepted":    {"False", "InvalidSpec", invalid},
				"Available":   {"False", "NoReplicasAvailable", "the server does not exist yet"},
				"Progressing": {"False", "InvalidSpec", "nothing is created while the spec is invalid; the condition Accepted tells what is wrong"},
			},
		},
		"Backups": {
			reason:   "how the backups are is known all the same",
			server:   resolved(),
			database: ready,
			composed: map[string]string{
				"postgres": `{metadata: {name: files-postgres, namespace: default}, spec: {backups: {enabled: true, pgbackrest: {repos: [{name: repo1}]}}}}`, "server": sts,
			},
			want: map[string]brief{
				"Accepted":      {"False", "InvalidSpec", invalid},
				"DatabaseReady": {"True", "PostgreSQLReady", "m"},
				"BackupReady":   {"False", "RepositoryNotReady", "pgBackRest's repository host is not ready yet. See: kubectl -n default describe perconapgcluster files-postgres"},
				"Available":     {"True", "MinimumReplicasAvailable", "the server is running"},
				"Progressing":   {"False", "ReconcileComplete", "everything is up to date"},
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			rsp := &fnv1.RunFunctionResponse{}
			errs := field.ErrorList{field.Invalid(field.NewPath("spec", "replicas"), 7, "must be between 0 and 1")}
			Report{World: worldOf(t, xr, tc.composed), Result: server.Resolution{Server: tc.server, Errors: errs}, Target: tc.database}.WriteInvalid(rsp)
			got := map[string]brief{}
			for _, c := range rsp.GetConditions() {
				s := "False"
				if c.GetStatus() == fnv1.Status_STATUS_CONDITION_TRUE {
					s = "True"
				}
				got[c.GetType()] = brief{s, c.GetReason(), c.GetMessage()}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\nWriteInvalid(...): -want, +got:\n%s", tc.reason, diff)
			}
			fatal := []*fnv1.Result{{Severity: fnv1.Severity_SEVERITY_FATAL, Message: invalid, Target: fnv1.Target_TARGET_COMPOSITE.Enum()}}
			if diff := cmp.Diff(fatal, rsp.GetResults(), protocmp.Transform()); diff != "" {
				t.Errorf("%s\nWriteInvalid(...): results: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestError(t *testing.T) {
	errs := field.ErrorList{
		field.Required(field.NewPath("spec", "a"), "the a"),
		field.Invalid(field.NewPath("input", "defaults", "b"), 3, "must be 2"),
	}
	want := `invalid DittoServer: [spec.a: Required value: the a, input.defaults.b: Invalid value: 3: must be 2]`
	if got := Error(errs).Error(); got != want {
		t.Errorf("Error(...): want one message with every wrong field:\n%s\ngot:\n%s", want, got)
	}
	want = `invalid Input: input.defaults.b: Invalid value: 3: must be 2`
	if got := Error(errs[1:]).Error(); got != want {
		t.Errorf("Error(...): nothing is wrong in the DittoServer: want %s, got %s", want, got)
	}
}

// TestWriteInvalidTypos: a wrong value hides no typo beside it. The other warnings are
// of what is not applied.
func TestWriteInvalidTypos(t *testing.T) {
	rsp := &fnv1.RunFunctionResponse{}
	Report{World: worldOf(t, xr, nil), Result: server.Resolution{
		Server:   resolved(),
		Errors:   field.ErrorList{field.Required(field.NewPath("spec", "a"), "the a")},
		Warnings: []string{"spec.b: is not a field; check for typos", "spec.c: the Service leads to 1; tell the server", "spec.d: is not a field; check for typos"},
		Typos:    []string{"spec.b: is not a field; check for typos", "spec.d: is not a field; check for typos"},
	}}.WriteInvalid(rsp)
	const want = "invalid DittoServer: spec.a: Required value: the a. Warning: spec.b: is not a field; check for typos. Warning: spec.d: is not a field; check for typos"
	if got := rsp.GetConditions()[0]; got.GetType() != TypeAccepted || got.GetReason() != ReasonInvalidSpec || got.GetMessage() != want {
		t.Errorf("want %s, got %v", want, got)
	}
	if got := rsp.GetResults(); len(got) != 1 || got[0].GetMessage() != want {
		t.Errorf("a preview shows the Fatal alone: want %s, got %v", want, got)
	}
}
