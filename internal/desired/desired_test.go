package desired

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"testing/iotest"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/pgstate"
	"github.com/dittofs/function-dittoserver/internal/server"
)

func TestLeaveOut(t *testing.T) {
	type args struct {
		presence observed.Presence
		open     bool
	}
	cases := map[string]struct {
		reason string
		args   args
		want   Reason
	}{
		"OursGateOpen":   {reason: "what exists stays", args: args{observed.Ours, true}, want: NotLeftOut},
		"OursGateClosed": {reason: "existence is never gated", args: args{observed.Ours, false}, want: NotLeftOut},
		"AbsentOpen":     {reason: "what does not exist is created when the gate is open", args: args{observed.Absent, true}, want: NotLeftOut},
		"AbsentClosed":   {reason: "and awaited while it is closed", args: args{observed.Absent, false}, want: Awaited},
		"ForeignOpen":    {reason: "somebody else's is not touched", args: args{observed.Foreign, true}, want: Taken},
		"ForeignClosed":  {reason: "whatever the gate says", args: args{observed.Foreign, false}, want: Taken},
		"DeletingOpen":   {reason: "what is on its way out is not touched", args: args{observed.Deleting, true}, want: Deleting},
		"DeletingClosed": {reason: "whatever the gate says", args: args{observed.Deleting, false}, want: Deleting},
		"UnknownOpen":    {reason: "what may exist is not created", args: args{observed.Unknown, true}, want: Unknown},
		"UnknownClosed":  {reason: "nor awaited", args: args{observed.Unknown, false}, want: Unknown},
		"Unheard":        {reason: "a presence that nobody has heard of is not created either", args: args{observed.Presence(99), true}, want: Unknown},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := leaveOut(tc.args.presence, tc.args.open); got != tc.want {
				t.Errorf("%s\nleaveOut(%v, %t): want %q, got %q", tc.reason, tc.args.presence, tc.args.open, tc.want, got)
			}
		})
	}
}

func parse(t *testing.T, y string) *structpb.Struct {
	t.Helper()
	m := map[string]any{}
	if err := yaml.Unmarshal([]byte(y), &m); err != nil {
		t.Fatal(err)
	}
	s, err := structpb.NewStruct(m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func resolved(changes ...func(*server.Server)) *server.Server {
	s := &server.Server{
		Name: "files", Namespace: "default", Image: "marmos91c/dittofs:v0.29.0", Replicas: 1, GracePeriodSeconds: 105, APIPort: 8080,
		Storage:        server.Storage{Metadata: resource.MustParse("10Gi"), ControlPlane: resource.MustParse("1Gi")},
		JWT:            server.JWT{Generated: true, SecretName: "files-jwt-secret", SecretKey: "jwt-secret"},
		Admin:          server.Admin{Generated: true, SecretName: "files-admin-bootstrap-credentials", SecretKey: "password"},
		Service:        server.Service{Type: corev1.ServiceTypeClusterIP},
		AdapterService: server.Service{Type: corev1.ServiceTypeClusterIP},
		Database:       server.Database{Kind: server.Percona},
		Target:         server.Database{Kind: server.Percona},
		Cluster: server.Cluster{
			Wanted: true, PostgresVersion: 16, CRVersion: "2.9.0", Image: "pg:16", Replicas: 1, StorageSize: resource.MustParse("10Gi"),
			DatabaseName: "dittofs", DriftPolicy: "Keep", Backup: server.Backup{Image: "pgbackrest:2"},
		},
	}
	for _, c := range changes {
		c(s)
	}
	return s
}

func onSQLite(s *server.Server) {
	s.Database = server.Database{Kind: server.SQLite, Path: "/data/controlplane/controlplane.db"}
	s.Target, s.Cluster.Wanted = s.Database, false
}

// A call is what there is when a server is composed. What is asked for and not
// among the answers does not exist; unanswered leaves all questions open.
type call struct {
	server     *server.Server
	ready      bool
	composed   map[string]string
	answers    map[string]string
	unanswered bool
}

func (c call) compose(t *testing.T) Answer {
	t.Helper()
	xr := `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: DittoServer, metadata: {name: files, namespace: default, uid: uid-1}}`
	req := &fnv1.RunFunctionRequest{
		Observed:          &fnv1.State{Composite: &fnv1.Resource{Resource: parse(t, xr)}, Resources: map[string]*fnv1.Resource{}},
		RequiredResources: map[string]*fnv1.Resources{},
	}
	for k, y := range c.composed {
		req.Observed.Resources[k] = &fnv1.Resource{Resource: parse(t, y)}
	}
	for range 5 {
		w := observed.New(req, observed.ReadXR(req), observed.Identity{Name: "files", Namespace: "default"})
		random := bytes.NewReader(bytes.Repeat([]byte{7}, 200))
		a, err := Compose(w, c.server, pgstate.State{Ready: c.ready}, random, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.unanswered || !w.Pending() {
			return a
		}
		for k := range w.Requirements().GetResources() {
			req.RequiredResources[k] = &fnv1.Resources{}
			if y := c.answers[k]; y != "" {
				req.RequiredResources[k].Items = []*fnv1.Resource{{Resource: parse(t, y)}}
			}
		}
	}
	t.Fatal("Compose(...): still asks after five rounds, which is all that Crossplane allows")
	return Answer{}
}

func resources(a Answer) []string {
	out := make([]string, 0, len(a.Composed))
	for _, c := range a.Composed {
		out = append(out, string(c.Resource))
	}
	slices.Sort(out)
	return out
}

func leftOut(a Answer) map[string]Reason {
	out := map[string]Reason{}
	for _, l := range a.LeftOut {
		out[string(l.Resource)] = l.Why
	}
	return out
}

func (a Answer) find(r names.Resource) observed.Object {
	for _, c := range a.Composed {
		if c.Resource == r {
			return observed.FromStruct(c.Object)
		}
	}
	return observed.Object{}
}

const (
	liveSTS = `{metadata: {name: files, namespace: default}, spec: {replicas: 1}}`
	own     = "CustomResourceDefinition/dittoservers.dittofs.dittofs.com"
)

func TestCompose(t *testing.T) {
	everything := []string{"admin", "api", "config", "headless", "jwt", "nfs", "postgres", "server", "smb"}
	without := func(names ...string) []string {
		return slices.DeleteFunc(slices.Clone(everything), func(s string) bool { return slices.Contains(names, s) })
	}
	foreign := `{metadata: {name: x}}`

	type want struct {
		composed []string
		leftOut  map[string]Reason
	}
	cases := map[string]struct {
		reason string
		call   call
		want   want
	}{
		"NothingKnown": {
			reason: "before anything is known, nothing is composed",
			call:   call{server: resolved(), unanswered: true},
			want: want{composed: []string{}, leftOut: map[string]Reason{
				"admin": Unknown, "api": Unknown, "config": Unknown, "headless": Unknown, "jwt": Unknown, "nfs": Unknown, "postgres": Unknown, "server": Unknown, "smb": Unknown,
			}},
		},
		"DatabaseAwaited": {
			reason: "the server is first composed when its database is ready",
			call:   call{server: resolved()},
			want:   want{composed: without("server"), leftOut: map[string]Reason{"server": Awaited}},
		},
		"DatabaseReady": {
			reason: "then it is",
			call:   call{server: resolved(), ready: true},
			want:   want{composed: everything, leftOut: map[string]Reason{}},
		},
		"ExistenceIsNotGated": {
			reason: "once it exists it stays, whatever the database does",
			call:   call{server: resolved(), composed: map[string]string{"server": liveSTS}},
			want:   want{composed: everything, leftOut: map[string]Reason{}},
		},
		"ExistenceIsMoreThanObserved": {
			reason: "what Crossplane does not observe and is ours exists",
			call: call{server: resolved(), answers: map[string]string{
				"StatefulSet/files": `{metadata: {name: files, labels: {crossplane.io/composite: files}}}`,
			}},
			want: want{composed: everything, leftOut: map[string]Reason{}},
		},
		"NotInstalled": {
			reason: "a kind that is not served fails the whole pipeline",
			call:   call{server: resolved(), answers: map[string]string{own: foreign}},
			want:   want{composed: without("postgres", "server"), leftOut: map[string]Reason{"postgres": Awaited, "server": Awaited}},
		},
		"Taken": {
			reason: "only the object that is in the way is left out",
			call: call{server: resolved(), ready: true, answers: map[string]string{
				"Service/files-api": foreign, "Secret/files-jwt-secret": `{metadata: {deletionTimestamp: x}}`,
			}},
			want: want{composed: without("api", "jwt"), leftOut: map[string]Reason{"api": Taken, "jwt": Deleting}},
		},
		"ClusterTaken": {
			reason: "a cluster of somebody else's is not touched",
			call:   call{server: resolved(), answers: map[string]string{"PerconaPGCluster/files-postgres": foreign}},
			want:   want{composed: without("postgres", "server"), leftOut: map[string]Reason{"postgres": Taken, "server": Awaited}},
		},
		"UsersOwnSecrets": {
			reason: "who brings secrets gets none",
			call: call{server: resolved(func(s *server.Server) {
				s.JWT = server.JWT{SecretName: "j", SecretKey: "k"}
				s.Admin = server.Admin{SecretName: "a", SecretKey: "p"}
			}), ready: true},
			want: want{composed: without("admin", "jwt"), leftOut: map[string]Reason{}},
		},
		"UsersOwnSecretsLater": {
			reason: "generated secrets stay although the user brings his own now: identity is not deleted",
			call: call{server: resolved(func(s *server.Server) {
				s.JWT = server.JWT{SecretName: "j", SecretKey: "k"}
				s.Admin = server.Admin{SecretName: "a", SecretKey: "p"}
			}), ready: true, composed: map[string]string{"jwt": `{data: {jwt-secret: b2xk}}`, "admin": `{data: {password: b2xk}}`}},
			want: want{composed: everything, leftOut: map[string]Reason{}},
		},
		"BackupCredentials": {
			reason: "translated keys are a Secret",
			call: call{server: resolved(func(s *server.Server) {
				s.Cluster.Backup.On, s.Cluster.Backup.ConfigSecret, s.Cluster.Backup.Keys = true, "files-pgbackrest-secret", &server.S3Keys{ID: "i", Secret: "s"}
			}), ready: true},
			want: want{composed: append([]string{"admin", "api", "backup-credentials"}, everything[2:]...), leftOut: map[string]Reason{}},
		},
		"BackupCredentialsLater": {
			reason: "and stay one when there is nothing to translate any more",
			call:   call{server: resolved(), ready: true, composed: map[string]string{"backup-credentials": `{data: {s3.conf: b2xk}}`}},
			want:   want{composed: append([]string{"admin", "api", "backup-credentials"}, everything[2:]...), leftOut: map[string]Reason{}},
		},
		"SQLite": {
			reason: "no cluster, and nothing to wait for",
			call:   call{server: resolved(onSQLite), ready: true},
			want:   want{composed: without("postgres"), leftOut: map[string]Reason{}},
		},
		"ServerDeleting": {
			reason: "a StatefulSet of ours is not left out because somebody deleted it: Crossplane would delete it once more, in the foreground",
			call:   call{server: resolved(), composed: map[string]string{"server": `{metadata: {deletionTimestamp: x}}`}},
			want:   want{composed: everything, leftOut: map[string]Reason{}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			a := tc.call.compose(t)
			if diff := cmp.Diff(tc.want, want{resources(a), leftOut(a)}, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("%s\nCompose(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestWhatExistsIsNeverDropped guards the first invariant for each resource by
// itself and for all: whatever exists is in the answer, gate open or closed.
func TestWhatExistsIsNeverDropped(t *testing.T) {
	for _, ref := range names.All("files") {
		for _, ready := range []bool{false, true} {
			for who, s := range map[string]*server.Server{"percona": resolved(), "sqlite": resolved(onSQLite, func(s *server.Server) {
				// Whoever has a cluster resolves to one that is wanted.
				s.Cluster.Wanted, s.Cluster.Kept = true, true
			})} {
				obj := `{apiVersion: ` + ref.APIVersion + `, kind: ` + ref.Kind + `, metadata: {name: ` + ref.Name + `, namespace: default}}`
				a := call{server: s, ready: ready, composed: map[string]string{string(ref.Resource): obj}}.compose(t)
				if !slices.Contains(resources(a), string(ref.Resource)) {
					t.Errorf("%s %s exists, the server is on %s, the gate open: %t: want it in the answer, got %v", ref.Kind, ref.Name, who, ready, resources(a))
				}
			}
		}
	}
}

func TestSecretsAreCarriedOver(t *testing.T) {
	owned := `labels: {crossplane.io/composite: files}`
	cases := map[string]struct {
		reason   string
		composed map[string]string
		answers  map[string]string
	}{
		"Observed": {
			reason:   "what Crossplane observes",
			composed: map[string]string{"jwt": `{metadata: {name: files-jwt-secret, namespace: default}, data: {jwt-secret: b2xk}}`, "admin": `{metadata: {name: files-admin-bootstrap-credentials, namespace: default}, data: {password: b2xk}}`},
		},
		"NotObserved": {
			reason: "what was there before the XR",
			answers: map[string]string{
				"Secret/files-jwt-secret":                  `{metadata: {name: files-jwt-secret, ` + owned + `}, data: {jwt-secret: b2xk}}`,
				"Secret/files-admin-bootstrap-credentials": `{metadata: {name: files-admin-bootstrap-credentials, ` + owned + `}, data: {password: b2xk}}`,
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			a := call{server: resolved(), ready: true, composed: tc.composed, answers: tc.answers}.compose(t)
			for r, k := range map[names.Resource]string{names.JWT: "jwt-secret", names.Admin: "password"} {
				if v, _ := a.find(r).Data(k); string(v) != "old" {
					t.Errorf("%s: %s: want what exists carried over, got %q", tc.reason, r, v)
				}
			}
		})
	}
}

// TestRecord guards that what was chosen for a server is remembered from the time
// at which there is one.
func TestRecord(t *testing.T) {
	record := func(o observed.Object) map[string]string {
		out := map[string]string{}
		for _, k := range []string{"image", "database", "admin-at-first-start"} {
			if v := o.Annotation("dittoserver.fn.crossplane.io/" + k); v != "" {
				out[k] = v
			}
		}
		if out["admin-at-first-start"] != "" {
			out["admin-at-first-start"] = "a checksum"
		}
		return out
	}
	full := map[string]string{"image": "marmos91c/dittofs:v0.29.0", "database": `{"kind":"percona"}`, "admin-at-first-start": "a checksum"}
	config := `{metadata: {annotations: {dittoserver.fn.crossplane.io/image: i, dittoserver.fn.crossplane.io/database: '{"kind":"percona"}', dittoserver.fn.crossplane.io/admin-at-first-start: sum}}}`

	cases := map[string]struct {
		reason string
		call   call
		want   map[string]string
	}{
		"Awaited":  {reason: "before there is a server, nothing is chosen for good", call: call{server: resolved()}, want: map[string]string{}},
		"Created":  {reason: "the answer that creates the server remembers it", call: call{server: resolved(), ready: true}, want: full},
		"Exists":   {reason: "so does every one after it", call: call{server: resolved(), composed: map[string]string{"server": liveSTS}}, want: full},
		"Gone":     {reason: "also when the server is gone and cannot come back yet", call: call{server: resolved(), composed: map[string]string{"config": config}}, want: full},
		"Taken":    {reason: "somebody else's StatefulSet is not ours to remember", call: call{server: resolved(), ready: true, answers: map[string]string{"StatefulSet/files": `{metadata: {name: files}}`}}, want: map[string]string{}},
		"External": {reason: "with all that its wiring depends on", call: call{server: resolved(onSQLite), ready: true}, want: map[string]string{"image": "marmos91c/dittofs:v0.29.0", "database": `{"kind":"sqlite","path":"/data/controlplane/controlplane.db"}`, "admin-at-first-start": "a checksum"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, record(tc.call.compose(t).find(names.Config))); diff != "" {
				t.Errorf("%s\nthe ConfigMap's record: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}

	t.Run("AdminChecksumStays", func(t *testing.T) {
		a := call{server: resolved(), ready: true, composed: map[string]string{"config": config, "admin": `{metadata: {namespace: default}, data: {password: bmV3}}`}}.compose(t)
		if got := a.find(names.Config).Annotation(names.AnnotationAdminChecksum); got != "sum" {
			t.Errorf("the password of the first start stays that of the first start: want its checksum, got %q", got)
		}
	})
}

// TestRecordOfTheClusterOutlivesIt: a cluster whose object is deleted comes back
// on the volumes that it left.
func TestRecordOfTheClusterOutlivesIt(t *testing.T) {
	fresh := call{server: resolved()}.compose(t)
	want := fresh.find(names.Postgres).Annotation(names.AnnotationRendered)
	if got := fresh.find(names.Config).Annotation(names.AnnotationRendered); got != want || want == "" {
		t.Errorf("the ConfigMap: want the cluster's record, %q, got %q", want, got)
	}
	config := `{metadata: {annotations: {dittoserver.fn.crossplane.io/rendered: kept}}}`
	gone := call{server: resolved(onSQLite), ready: true, composed: map[string]string{"config": config}}.compose(t)
	if got := gone.find(names.Config).Annotation(names.AnnotationRendered); got != "kept" {
		t.Errorf("the ConfigMap of a server whose cluster is gone: want the record kept, got %q", got)
	}
}

func TestReady(t *testing.T) {
	cases := map[string]struct {
		reason string
		call   call
		want   map[string]bool
	}{
		"New": {
			reason: "what does not exist yet is not ready",
			call:   call{server: resolved(onSQLite), ready: true},
			want:   map[string]bool{"admin": false, "api": false, "config": false, "headless": false, "jwt": false, "nfs": false, "server": false, "smb": false},
		},
		"There": {
			reason: "a Secret, a ConfigMap and a Service are ready when they exist, a load balancer when it has an address, a server when it is settled",
			call: call{server: resolved(onSQLite), ready: true, composed: map[string]string{
				"admin": `{}`, "jwt": `{}`, "config": `{}`, "headless": `{}`,
				"api":    `{spec: {type: LoadBalancer}}`,
				"nfs":    `{spec: {type: LoadBalancer}, status: {loadBalancer: {ingress: [{ip: 1.2.3.4}]}}}`,
				"server": `{metadata: {generation: 1}, spec: {replicas: 1}, status: {observedGeneration: 1, readyReplicas: 1, updatedReplicas: 1}}`,
			}},
			want: map[string]bool{"admin": true, "api": false, "config": true, "headless": true, "jwt": true, "nfs": true, "server": true, "smb": false},
		},
		"NotSettled": {
			reason: "a server whose pod does not come up is not ready",
			call:   call{server: resolved(onSQLite), ready: true, composed: map[string]string{"server": liveSTS}},
			want:   map[string]bool{"admin": false, "api": false, "config": false, "headless": false, "jwt": false, "nfs": false, "server": false, "smb": false},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := map[string]bool{}
			for _, c := range tc.call.compose(t).Composed {
				got[string(c.Resource)] = c.Ready
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\nReady: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestRandomnessFails(t *testing.T) {
	broken := errors.New("boom")
	req := &fnv1.RunFunctionRequest{RequiredResources: map[string]*fnv1.Resources{"Secret/files-jwt-secret": {}}}
	w := observed.New(req, observed.ReadXR(req), observed.Identity{Name: "files", Namespace: "default"})
	if _, err := Compose(w, resolved(), pgstate.State{}, iotest.ErrReader(broken), nil); !errors.Is(err, broken) {
		t.Errorf("Compose(...): want the error of the source, got %v", err)
	}
}
