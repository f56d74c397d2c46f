package desired

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/internal/checksum"
	"github.com/dittofs/function-dittoserver/internal/kinds"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/pgstate"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/world"
	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

func TestLeaveOut(t *testing.T) {
	type args struct {
		e      world.Existing
		keep   kinds.Keep
		wanted bool
		open   bool
	}
	const (
		always      = kinds.Always
		whileWanted = kinds.WhileWanted
	)
	is := func(p world.Presence) world.Existing { return world.Existing{Presence: p} }
	known := world.Existing{Presence: world.Ours, Observed: true}

	cases := map[string]struct {
		reason string
		args   args
		want   Reason
	}{
		"OursGateOpen":          {reason: "what exists stays", args: args{is(world.Ours), always, true, true}, want: NotLeftOut},
		"OursGateClosed":        {reason: "existence is never gated", args: args{is(world.Ours), always, true, false}, want: NotLeftOut},
		"AbsentOpen":            {reason: "what does not exist is created when the gate is open", args: args{is(world.Absent), always, true, true}, want: NotLeftOut},
		"AbsentClosed":          {reason: "and awaited while it is closed", args: args{is(world.Absent), always, true, false}, want: Awaited},
		"ForeignOpen":           {reason: "somebody else's is not touched", args: args{is(world.Foreign), always, true, true}, want: Taken},
		"ForeignClosed":         {reason: "whatever the gate says", args: args{is(world.Foreign), always, true, false}, want: Taken},
		"DeletingOpen":          {reason: "what is on its way out is not touched", args: args{is(world.Deleting), always, true, true}, want: Deleting},
		"DeletingClosed":        {reason: "whatever the gate says", args: args{is(world.Deleting), always, true, false}, want: Deleting},
		"UnknownOpen":           {reason: "what may exist is not created", args: args{is(world.Unknown), always, true, true}, want: Unknown},
		"UnknownClosed":         {reason: "nor awaited", args: args{is(world.Unknown), always, true, false}, want: Unknown},
		"Unheard":               {reason: "a presence that nobody has heard of is not created either", args: args{is(world.Presence(99)), always, true, true}, want: Unknown},
		"ObservedNotWanted":     {reason: "what Crossplane knows it deletes when it is left out: what holds data or identity stays, wanted or not", args: args{known, always, false, false}, want: NotLeftOut},
		"ObservedWanted":        {reason: "and of course when it is wanted", args: args{known, always, true, false}, want: NotLeftOut},
		"WhileWantedWanted":     {reason: "what is kept while it is wanted stays as long", args: args{known, whileWanted, true, false}, want: NotLeftOut},
		"WhileWantedNotWanted":  {reason: "and no longer", args: args{known, whileWanted, false, true}, want: NotWanted},
		"OursNotWanted":         {reason: "what Crossplane does not know it does not delete, and nobody asked for it", args: args{is(world.Ours), always, false, true}, want: NotWanted},
		"AbsentNotWanted":       {reason: "what nobody wants is not created", args: args{is(world.Absent), always, false, true}, want: NotWanted},
		"ForeignNotWanted":      {reason: "and is in nobody's way", args: args{is(world.Foreign), always, false, true}, want: NotWanted},
		"UnknownNotWanted":      {reason: "nor awaited", args: args{is(world.Unknown), always, false, true}, want: NotWanted},
		"WhileWantedGateClosed": {reason: "existence is never gated", args: args{is(world.Ours), whileWanted, true, false}, want: NotLeftOut},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := leaveOut(tc.args.e, tc.args.keep, tc.args.wanted, tc.args.open); got != tc.want {
				t.Errorf("%s\nleaveOut(%+v): want %q, got %q", tc.reason, tc.args, tc.want, got)
			}
		})
	}
}

// resolved returns a server with a PerconaPGCluster, changed as each of the changes
// says.
func resolved(changes ...func(*server.Server)) *server.Server {
	s := &server.Server{
		Name: "files", Namespace: "default", Image: "marmos91c/dittofs:v0.29.0", Replicas: 1, GracePeriodSeconds: 105, APIPort: 8080,
		Storage:    server.Storage{Metadata: resource.MustParse("10Gi"), ControlPlane: resource.MustParse("1Gi")},
		JWT:        server.JWT{Generated: true, SecretKey: record.SecretKey{Name: "files-jwt-secret", Key: "jwt-secret"}},
		Admin:      server.Admin{Generated: true, SecretKey: record.SecretKey{Name: "files-admin-bootstrap-credentials", Key: "password"}},
		Service:    server.Exposure{Type: corev1.ServiceTypeClusterIP},
		NFS:        server.Adapter{Published: true, Port: 12049, Service: server.Exposure{Type: corev1.ServiceTypeClusterIP}},
		SMB:        server.Adapter{Published: true, Port: 1445, Service: server.Exposure{Type: corev1.ServiceTypeClusterIP}},
		Current:    record.Database{Kind: record.Percona},
		Target:     record.Database{Kind: record.Percona},
		Connection: server.Connection{Secret: credentials, Keys: []string{"password"}},
		Cluster: &server.Cluster{
			PostgresVersion: 16, CRVersion: "2.9.0", Image: "pg:16", Replicas: 1, StorageSize: resource.MustParse("10Gi"),
			DatabaseName: "dittofs", DriftPolicy: "Keep", Backup: server.Backup{Image: "pgbackrest:2"},
			NewlyAsked: func(string) bool { return false },
		},
	}
	for _, c := range changes {
		c(s)
	}
	return s
}

const credentials = "files-postgres-pguser-dittofs"

func onSQLite(s *server.Server) {
	s.Current = record.Database{Kind: record.SQLite, Path: "/data/controlplane/controlplane.db"}
	s.Connection = server.Connection{SQLitePath: s.Current.Path}
	s.Target, s.Cluster = s.Current, nil
}

func onExternal(s *server.Server) {
	s.Current = record.Database{Kind: record.External, Secret: "pg", HasCA: true, SSLMode: "verify-full"}
	s.Connection = server.Connection{Secret: "pg", Keys: []string{"password"}}
	s.Target, s.Cluster = s.Current, nil
}

func withKeys(s *server.Server) {
	b := &s.Cluster.Backup
	b.Mode, b.ConfigSecret, b.Keys = server.BackupOn, "files-pgbackrest-secret", &server.S3Keys{ID: "i", Secret: "s"}
}

func ownSecrets(s *server.Server) {
	s.JWT = server.JWT{SecretKey: record.SecretKey{Name: "j", Key: "k"}}
	s.Admin = server.Admin{SecretKey: record.SecretKey{Name: "a", Key: "p"}}
}

// A call is what there is when a server is composed. What is asked for and not
// among the answers does not exist; unanswered leaves all questions open.
type call struct {
	server     *server.Server
	ready      bool
	started    bool
	composed   map[string]string
	answers    map[string]string
	unanswered bool
	random     byte
}

// world reads the world of a request, as fn.go does.
func (c call) world(req *fnv1.RunFunctionRequest) world.World {
	s := c.server
	r := observed.NewReader(req)
	return world.Read(r, r.XR(), world.Identity{Name: "files", Namespace: "default"}, world.Ask{
		Refs: kinds.Refs("files"),
		Unasked: map[names.Resource]bool{
			names.Metrics: !s.Metrics.Enabled, names.ServiceMonitor: s.Metrics.Monitor == nil,
			names.NetworkPolicy: !s.Network.Enabled, names.NetworkPolicyNFS: !s.Network.Enabled, names.NetworkPolicySMB: !s.Network.Enabled,
			names.NFS: !s.NFS.Published, names.SMB: !s.SMB.Published,
		},
		Monitor: s.Metrics.Monitor != nil, MonitorsServed: ptr.To(true),
		Percona:  s.Cluster != nil && !s.Cluster.Kept,
		Backups:  s.Cluster != nil && s.Cluster.Backup.Keys != nil,
		Database: s.Target.Kind,
		Secrets:  []string{s.JWT.Name, s.Admin.Name, s.Current.Secret},
	})
}

// compose composes the server. What it is resolved to is not modified.
func (c call) compose(t *testing.T) State {
	t.Helper()
	xr := `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: DittoServer, metadata: {name: files, namespace: default, uid: uid-1}}`
	req := &fnv1.RunFunctionRequest{
		Observed:          &fnv1.State{Composite: &fnv1.Resource{Resource: yamltest.Struct(t, xr)}, Resources: map[string]*fnv1.Resource{}},
		RequiredResources: map[string]*fnv1.Resources{},
	}
	for k, y := range c.composed {
		req.Observed.Resources[k] = &fnv1.Resource{Resource: yamltest.Struct(t, y)}
	}
	for range 5 {
		w := c.world(req)
		s := *c.server
		s.Record = record.Record{XR: "uid-1", Cluster: w.Record.Cluster, Server: &record.Server{
			Image: s.Image, Database: s.Current, Started: c.started, JWT: s.JWT.SecretKey, Admin: s.Admin.SecretKey,
		}}
		random := bytes.NewReader(bytes.Repeat([]byte{cmp.Or(c.random, 7)}, 200))
		st := pgstate.State{Ready: c.ready}
		a, err := Compose(w, &s, st, st, random)
		if err != nil {
			t.Fatal(err)
		}
		if c.unanswered || !w.Pending {
			return a
		}
		for k := range w.Requirements.GetResources() {
			req.RequiredResources[k] = &fnv1.Resources{}
			if y := c.answers[k]; y != "" {
				req.RequiredResources[k].Items = []*fnv1.Resource{{Resource: yamltest.Struct(t, y)}}
			}
		}
	}
	t.Fatal("Compose(...): still asks after five rounds, which is all that Crossplane allows")
	return State{}
}

func resources(st State) []string {
	out := make([]string, 0, len(st.Composed))
	for _, c := range st.Composed {
		out = append(out, string(c.Resource))
	}
	slices.Sort(out)
	return out
}

func leftOut(st State) map[string]Reason {
	out := map[string]Reason{}
	for _, l := range st.LeftOut {
		out[string(l.Resource)] = l.Why
	}
	return out
}

func (s State) find(r names.Resource) observed.Object {
	for _, c := range s.Composed {
		if c.Resource == r {
			return observed.FromStruct(c.Object)
		}
	}
	return observed.Object{}
}

// recordOf returns the record that an object bears.
func recordOf(t *testing.T, o observed.Object) record.Record {
	t.Helper()
	r := record.Record{}
	if err := json.Unmarshal([]byte(o.Annotation(names.AnnotationRecord)), &r); err != nil {
		t.Fatalf("the record of %s: %v", o.Name(), err)
	}
	return r
}

const (
	liveSTS = `{metadata: {name: files, namespace: default}, spec: {replicas: 1}}`
	own     = "CustomResourceDefinition/dittoservers.dittofs.dittofs.com"
	foreign = `{metadata: {name: x}}`
	// ours is the metadata of what belongs to the XR and was composed before.
	ours = `labels: {crossplane.io/composite: files}, annotations: {crossplane.io/composition-resource-name: x}`
)

func TestCompose(t *testing.T) {
	everything := []string{"admin", "api", "config", "headless", "jwt", "nfs", "postgres", "server", "smb"}
	with := func(names ...string) []string {
		out := append(slices.Clone(everything), names...)
		slices.Sort(out)
		return out
	}
	without := func(names ...string) []string {
		return slices.DeleteFunc(slices.Clone(everything), func(s string) bool { return slices.Contains(names, s) })
	}
	withMetrics := func(s *server.Server) {
		s.Metrics = server.Metrics{Enabled: true, Port: 9090, Path: "/metrics"}
	}

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
			call:   call{server: resolved(), ready: true, answers: map[string]string{"Service/files-api": foreign, "Service/files-adapter-nfs": `{metadata: {deletionTimestamp: x}}`}},
			want:   want{composed: without("api", "nfs"), leftOut: map[string]Reason{"api": Taken, "nfs": Deleting}},
		},
		"ForeignKey": {
			reason: "a server is not created with somebody else's signing key",
			call:   call{server: resolved(), ready: true, answers: map[string]string{"Secret/files-jwt-secret": foreign}},
			want:   want{composed: without("jwt", "server"), leftOut: map[string]Reason{"jwt": Taken, "server": Awaited}},
		},
		"LeavingKey": {
			reason: "nor with one that is on its way out",
			call:   call{server: resolved(), ready: true, answers: map[string]string{"Secret/files-jwt-secret": `{metadata: {deletionTimestamp: x}}`}},
			want:   want{composed: without("jwt", "server"), leftOut: map[string]Reason{"jwt": Deleting, "server": Awaited}},
		},
		"ForeignPassword": {
			reason: "nor with somebody else's password",
			call:   call{server: resolved(), ready: true, answers: map[string]string{"Secret/files-admin-bootstrap-credentials": foreign}},
			want:   want{composed: without("admin", "server"), leftOut: map[string]Reason{"admin": Taken, "server": Awaited}},
		},
		"ForeignConfig": {
			reason: "nor on somebody else's configuration",
			call:   call{server: resolved(), ready: true, answers: map[string]string{"ConfigMap/files-config": foreign}},
			want:   want{composed: without("config", "server"), leftOut: map[string]Reason{"config": Taken, "server": Awaited}},
		},
		"ForeignConfigOfAServer": {
			reason: "a server that exists stays",
			call:   call{server: resolved(), ready: true, composed: map[string]string{"server": liveSTS}, answers: map[string]string{"ConfigMap/files-config": foreign}},
			want:   want{composed: without("config"), leftOut: map[string]Reason{"config": Taken}},
		},
		"ForeignKeyThatNobodyNeeds": {
			reason: "whose own Secrets the user names is not held up by others",
			call:   call{server: resolved(ownSecrets), ready: true, answers: map[string]string{"Secret/files-jwt-secret": foreign}},
			want:   want{composed: without("admin", "jwt"), leftOut: map[string]Reason{}},
		},
		"ClusterTaken": {
			reason: "a cluster of somebody else's is not touched",
			call:   call{server: resolved(), answers: map[string]string{"PerconaPGCluster/files-postgres": foreign}},
			want:   want{composed: without("postgres", "server"), leftOut: map[string]Reason{"postgres": Taken, "server": Awaited}},
		},
		"Undecided": {
			reason: "no server is created while it is not certain which database has its data",
			call:   call{server: resolved(func(s *server.Server) { s.Undecided = true }), ready: true},
			want:   want{composed: without("server"), leftOut: map[string]Reason{"server": Awaited}},
		},
		"UsersOwnSecrets": {
			reason: "who brings secrets gets none",
			call:   call{server: resolved(ownSecrets), ready: true},
			want:   want{composed: without("admin", "jwt"), leftOut: map[string]Reason{}},
		},
		"UsersOwnSecretsLater": {
			reason: "generated secrets stay although the user brings his own now: identity is not deleted",
			call:   call{server: resolved(ownSecrets), ready: true, composed: map[string]string{"jwt": `{data: {jwt-secret: b2xk}}`, "admin": `{data: {password: b2xk}}`}},
			want:   want{composed: everything, leftOut: map[string]Reason{}},
		},
		"BackupCredentials": {
			reason: "translated keys are a Secret",
			call:   call{server: resolved(withKeys), ready: true},
			want:   want{composed: with("backup-credentials"), leftOut: map[string]Reason{}},
		},
		"BackupCredentialsLater": {
			reason: "and stay one when there is nothing to translate any more",
			call:   call{server: resolved(), ready: true, composed: map[string]string{"backup-credentials": `{data: {s3.conf: b2xk}}`}},
			want:   want{composed: with("backup-credentials"), leftOut: map[string]Reason{}},
		},
		"SQLite": {
			reason: "no cluster, and nothing to wait for",
			call:   call{server: resolved(onSQLite), ready: true},
			want:   want{composed: without("postgres"), leftOut: map[string]Reason{}},
		},
		"Metrics": {
			reason: "who asks for metrics gets a Service for them",
			call:   call{server: resolved(withMetrics), ready: true},
			want:   want{composed: with("metrics"), leftOut: map[string]Reason{}},
		},
		"MetricsOff": {
			reason: "which goes when nobody asks for them any more: it holds neither data nor identity",
			call:   call{server: resolved(), ready: true, composed: map[string]string{"metrics": `{metadata: {name: files-metrics}}`}},
			want:   want{composed: everything, leftOut: map[string]Reason{}},
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
			if diff := gocmp.Diff(tc.want, want{resources(a), leftOut(a)}, gocmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("%s\nCompose(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestLeaving(t *testing.T) {
	st := call{server: resolved(), composed: map[string]string{"server": `{metadata: {deletionTimestamp: x}}`, "api": `{metadata: {name: files-api}}`}}.compose(t)
	want := []names.Ref{{Resource: "server", APIVersion: "apps/v1", Kind: "StatefulSet", Name: "files"}}
	if diff := gocmp.Diff(want, st.Leaving); diff != "" {
		t.Errorf("Leaving: -want, +got:\n%s", diff)
	}
}

func TestLeftOutNamesTheOwner(t *testing.T) {
	st := call{server: resolved(onSQLite), ready: true, answers: map[string]string{
		"Service/files-api": `{metadata: {ownerReferences: [{kind: Deployment, name: d, uid: other, controller: true}]}}`,
	}}.compose(t)
	want := []LeftOut{{
		Ref: names.Ref{Resource: "api", APIVersion: "v1", Kind: "Service", Name: "files-api"},
		Why: Taken, Owner: "it is controlled by Deployment d", Controlled: true,
	}}
	if diff := gocmp.Diff(want, st.LeftOut); diff != "" {
		t.Errorf("LeftOut: -want, +got:\n%s", diff)
	}
}

// TestWhatExistsIsNeverDropped guards the first invariant for each resource by
// itself and for all: whatever exists, and is not said to go, is in the response,
// gate open or closed.
func TestWhatExistsIsNeverDropped(t *testing.T) {
	for _, row := range kinds.Table() {
		if row.Keep != kinds.Always {
			continue
		}
		ref := row.Ref("files")
		for _, ready := range []bool{false, true} {
			for who, s := range map[string]*server.Server{"percona": resolved(), "own Secrets": resolved(ownSecrets), "sqlite": resolved(onSQLite, func(s *server.Server) {
				// Whoever has a cluster resolves to one that is kept.
				s.Cluster = resolved().Cluster
				s.Cluster.Kept = true
			})} {
				obj := `{apiVersion: ` + ref.APIVersion + `, kind: ` + ref.Kind + `, metadata: {name: ` + ref.Name + `, namespace: default}}`
				a := call{server: s, ready: ready, composed: map[string]string{string(ref.Resource): obj}}.compose(t)
				if !slices.Contains(resources(a), string(ref.Resource)) {
					t.Errorf("%s %s exists, the server is on %s, the gate open: %t: want it in the response, got %v", ref.Kind, ref.Name, who, ready, resources(a))
				}
			}
		}
	}
}

// TestWhatMayGo: a kind that may go is one that holds neither data nor identity.
func TestWhatMayGo(t *testing.T) {
	mayGo := []names.Resource{names.Metrics, names.ServiceMonitor, names.NetworkPolicy, names.NetworkPolicyNFS, names.NetworkPolicySMB, names.NFS, names.SMB}
	for _, row := range kinds.Table() {
		if may := row.Keep != kinds.Always; may != slices.Contains(mayGo, row.Resource) {
			t.Errorf("%s %s: may be deleted by an edit of the spec: %t", row.Kind, row.Resource, may)
		}
	}
}

// TestIdentityFirst guards that what is taken over is taken over in two steps: the
// first apply of an object that exists must not be refused, and metadata alone
// never is.
func TestIdentityFirst(t *testing.T) {
	everything := resolved(withKeys, func(s *server.Server) {
		s.Metrics = server.Metrics{Enabled: true, Port: 9090, Path: "/m", Monitor: &server.Monitor{}}
		s.Network.Enabled = true
	})
	for _, row := range kinds.Table() {
		t.Run(string(row.Resource), func(t *testing.T) {
			ref := row.Ref("files")
			key := ref.Kind + "/" + ref.Name
			object := func(metadata string) map[string]string {
				return map[string]string{key: `{apiVersion: ` + ref.APIVersion + `, kind: ` + ref.Kind + `, metadata: {name: ` + ref.Name + `, namespace: default, ` + metadata + `}}`}
			}
			compose := func(answers map[string]string) (map[string]any, bool) {
				st := call{server: everything, ready: true, answers: answers}.compose(t)
				for _, c := range st.Composed {
					if c.Resource == row.Resource {
						return c.Object.AsMap(), c.Ready
					}
				}
				t.Fatalf("%s: want it in the response, got %v, left out %v", key, resources(st), leftOut(st))
				return nil, false
			}

			got, ready := compose(object(`labels: {crossplane.io/composite: files}`))
			want := map[string]any{"apiVersion": ref.APIVersion, "kind": ref.Kind, "metadata": map[string]any{"name": ref.Name, "namespace": "default"}}
			if diff := gocmp.Diff(want, got); diff != "" || ready {
				t.Errorf("taken over: want its identity alone, not ready, got ready: %t: -want, +got:\n%s", ready, diff)
			}

			// The field manager of an XR that is made again is the same as before:
			// metadata alone would take away the rest.
			got, _ = compose(object(ours))
			if o := observed.FromStruct(yamltest.Struct(t, marshal(t, got))); o.Label("app") == "" {
				t.Errorf("composed before: want the whole object, got %v", got)
			}
		})
	}
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestSecretsAreCarriedOver(t *testing.T) {
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
				"Secret/files-jwt-secret":                  `{metadata: {name: files-jwt-secret, ` + ours + `}, data: {jwt-secret: b2xk}}`,
				"Secret/files-admin-bootstrap-credentials": `{metadata: {name: files-admin-bootstrap-credentials, ` + ours + `}, data: {password: b2xk}}`,
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

	t.Run("New", func(t *testing.T) {
		a := call{server: resolved()}.compose(t)
		for r, k := range map[names.Resource]string{names.JWT: "jwt-secret", names.Admin: "password"} {
			if v, ok := a.find(r).Data(k); !ok || len(v) < 24 {
				t.Errorf("%s: want a generated value, got %q", r, v)
			}
		}
	})
}

// TestSecretsThatAreTakenOver guards that no value is made for a Secret of which the
// identity alone is sent: nobody would ever see it.
func TestSecretsThatAreTakenOver(t *testing.T) {
	st := call{server: resolved(onSQLite), ready: true, answers: map[string]string{
		"Secret/files-jwt-secret": `{metadata: {name: files-jwt-secret, labels: {crossplane.io/composite: files}}}`,
	}}.compose(t)
	if st.find(names.Server).Has("spec", "template", "metadata", "annotations", names.AnnotationChecksumPrefix+"jwt") {
		t.Errorf("a key that is not there: want no checksum of it, got %v", st.find(names.Server).Map("spec", "template", "metadata"))
	}
	if got := recordOf(t, st.find(names.Config)).Server.AdminFingerprint; got != "" {
		t.Errorf("a fingerprint without a key: want none, got %q", got)
	}
}

// TestOwnKeyOfAGeneratedSecret: a spec may name a Secret of the function's own, and
// another key of it.
func TestOwnKeyOfAGeneratedSecret(t *testing.T) {
	s := resolved(onSQLite, func(s *server.Server) {
		s.Admin = server.Admin{SecretKey: record.SecretKey{Name: "files-admin-bootstrap-credentials", Key: "mine"}}
	})
	st := call{server: s, ready: true, composed: map[string]string{
		"jwt":   `{metadata: {namespace: default}, data: {jwt-secret: b2xk}}`,
		"admin": `{metadata: {namespace: default}, data: {password: b2xk, mine: bmV3}}`,
	}}.compose(t)
	if got, want := recordOf(t, st.find(names.Config)).Server.AdminFingerprint, checksum.Keyed([]byte("old"), []byte("new")); got != want {
		t.Errorf("want the fingerprint of the key that the spec names, %s, got %q", want, got)
	}
}

// TestRecord guards that what was chosen for a server is recorded from the time at
// which there is one.
func TestRecord(t *testing.T) {
	full := func(d record.Database) *record.Server {
		return &record.Server{
			Image: "marmos91c/dittofs:v0.29.0", Database: d,
			JWT:   record.SecretKey{Name: "files-jwt-secret", Key: "jwt-secret"},
			Admin: record.SecretKey{Name: "files-admin-bootstrap-credentials", Key: "password"},
			// Its form is tested below.
			AdminFingerprint: "a fingerprint",
		}
	}
	percona := record.Database{Kind: record.Percona}
	first := `{metadata: {annotations: {dittoserver.fn.crossplane.io/image: i, dittoserver.fn.crossplane.io/database: '{"kind":"percona"}', dittoserver.fn.crossplane.io/admin-at-first-start: sum}}}`
	recorded := `{metadata: {annotations: {dittoserver.fn.crossplane.io/record: '{"version":1,"server":{"image":"i","database":{"kind":"percona"},"adminFingerprint":"sum"}}'}}}`

	cases := map[string]struct {
		reason string
		call   call
		want   *record.Server
	}{
		"Awaited":   {reason: "before there is a server, nothing is chosen for good", call: call{server: resolved()}},
		"Undecided": {reason: "nor while it is not certain which database it is to have", call: call{server: resolved(func(s *server.Server) { s.Undecided = true }), ready: true}},
		"NotMine":   {reason: "nor while its signing key is somebody else's", call: call{server: resolved(), ready: true, answers: map[string]string{"Secret/files-jwt-secret": foreign}}},
		"Created":   {reason: "the response that creates the server records it", call: call{server: resolved(), ready: true}, want: full(percona)},
		"Exists":    {reason: "so does every one after it", call: call{server: resolved(), composed: map[string]string{"server": liveSTS}}, want: full(percona)},
		"Gone":      {reason: "also when the server is gone and cannot come back yet", call: call{server: resolved(), composed: map[string]string{"config": recorded}}, want: full(percona)},
		"GoneFirst": {reason: "or was recorded in the first format", call: call{server: resolved(), composed: map[string]string{"config": first}}, want: full(percona)},
		"Taken":     {reason: "somebody else's StatefulSet is not ours to record", call: call{server: resolved(), ready: true, answers: map[string]string{"StatefulSet/files": `{metadata: {name: files}}`}}},
		"SQLite":    {reason: "with all that its wiring depends on", call: call{server: resolved(onSQLite), ready: true}, want: full(record.Database{Kind: record.SQLite, Path: "/data/controlplane/controlplane.db"})},
		"External":  {reason: "whatever that is", call: call{server: resolved(onExternal), ready: true}, want: full(record.Database{Kind: record.External, Secret: "pg", HasCA: true, SSLMode: "verify-full"})},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			st := tc.call.compose(t)
			got := recordOf(t, st.find(names.Config))
			if got.Version != 1 || got.XR != "uid-1" {
				t.Errorf("%s: want the record's version and its XR, got %+v", tc.reason, got)
			}
			if got.Server != nil && got.Server.AdminFingerprint != "" {
				got.Server.AdminFingerprint = "a fingerprint"
			}
			if diff := gocmp.Diff(tc.want, got.Server); diff != "" {
				t.Errorf("%s\nthe ConfigMap's record: -want, +got:\n%s", tc.reason, diff)
			}
			if pg := st.find(names.Postgres); pg.Exists() && pg.Annotation(names.AnnotationRecord) != st.find(names.Config).Annotation(names.AnnotationRecord) {
				t.Errorf("%s: want a copy of the record on the PerconaPGCluster, got %s", tc.reason, pg.Annotation(names.AnnotationRecord))
			}
		})
	}
}

// TestRecordOfTheCluster guards what is recorded of a cluster, and that it outlives
// its object: a cluster that is deleted comes back on the volumes that it left.
func TestRecordOfTheCluster(t *testing.T) {
	const kept = `{"version":1,"cluster":{"spec":{"image":"kept"}}}`
	config := map[string]string{"config": `{metadata: {annotations: {dittoserver.fn.crossplane.io/record: '` + kept + `'}}}`}
	cases := map[string]struct {
		reason string
		call   call
		want   string
	}{
		"New":           {reason: "a cluster is recorded with the response that creates it", call: call{server: resolved()}, want: "pg:16"},
		"Gone":          {reason: "one that is gone stays recorded", call: call{server: resolved(onSQLite), ready: true, composed: config}, want: "kept"},
		"Comes back":    {reason: "and is recorded as it comes back", call: call{server: resolved(), composed: config}, want: "pg:16"},
		"Exists":        {reason: "what exists is recorded as it is asked for", call: call{server: resolved(), composed: map[string]string{"postgres": `{metadata: {name: files-postgres}, spec: {image: mine}}`}}, want: "pg:16"},
		"Not served":    {reason: "one that is not created is not recorded", call: call{server: resolved(), answers: map[string]string{own: foreign}}},
		"Foreign":       {reason: "nor one that is somebody else's", call: call{server: resolved(), answers: map[string]string{"PerconaPGCluster/files-postgres": foreign}}},
		"Being deleted": {reason: "nor is the record of one that is on its way out overwritten", call: call{server: resolved(), composed: config, answers: map[string]string{"PerconaPGCluster/files-postgres": `{metadata: {deletionTimestamp: x}}`}}, want: "kept"},
		"Taken over":    {reason: "nor one of which the identity alone is sent", call: call{server: resolved(), answers: map[string]string{"PerconaPGCluster/files-postgres": `{metadata: {name: files-postgres, labels: {crossplane.io/composite: files}}, spec: {image: mine}}`}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := recordOf(t, tc.call.compose(t).find(names.Config)).Cluster
			if got.String("image") != tc.want || (tc.want == "") != (got == nil) {
				t.Errorf("%s: want the record of a cluster of image %q, got %+v", tc.reason, tc.want, got)
			}
		})
	}
}

// TestEditsOfTheCluster guards that the merge is told: edits are listed, but not
// while only the identity is sent.
func TestEditsOfTheCluster(t *testing.T) {
	live := `{metadata: {name: files-postgres, namespace: default, LABELS}, spec: {image: mine}}`
	known := call{server: resolved(), composed: map[string]string{"postgres": strings.Replace(live, "LABELS", ours, 1)}}.compose(t)
	if diff := gocmp.Diff([]string{"spec.image"}, known.KeptEdits); diff != "" || known.find(names.Postgres).String("spec", "image") != "mine" {
		t.Errorf("a live cluster: want its edit kept and listed: -want, +got:\n%s", diff)
	}
	taken := call{server: resolved(), answers: map[string]string{"PerconaPGCluster/files-postgres": strings.Replace(live, "LABELS", `labels: {crossplane.io/composite: files}`, 1)}}.compose(t)
	if len(taken.KeptEdits) > 0 {
		t.Errorf("a cluster that is taken over: want no edits listed before it is composed, got %v", taken.KeptEdits)
	}
}

// TestOwners guards what keeps the record when a server is deleted: the Secrets
// that are kept with its data.
func TestOwners(t *testing.T) {
	cases := map[string]struct {
		reason string
		call   call
		want   []string
	}{
		"SQLite":              {reason: "the volumes of the server have no Secret", call: call{server: resolved(onSQLite), ready: true}},
		"Percona":             {reason: "Percona keeps the credentials as long as the volumes", call: call{server: resolved(), ready: true, answers: map[string]string{"Secret/" + credentials: `{metadata: {name: x, uid: u1}}`}}, want: []string{credentials + "=u1"}},
		"PerconaNotYet":       {reason: "there are none yet", call: call{server: resolved()}},
		"External":            {reason: "the Secret of a database of one's own", call: call{server: resolved(onExternal), ready: true, answers: map[string]string{"Secret/pg": `{metadata: {uid: u2}}`}}, want: []string{"pg=u2"}},
		"ExternalOnTheWayOut": {reason: "what is being deleted keeps nothing", call: call{server: resolved(onExternal), ready: true, answers: map[string]string{"Secret/pg": `{metadata: {uid: u2, deletionTimestamp: x}}`}}},
		"Both": {reason: "a cluster that is kept beside the database that is used", call: call{server: resolved(onExternal), ready: true,
			composed: map[string]string{"config": `{metadata: {annotations: {dittoserver.fn.crossplane.io/record: '{"version":1,"cluster":{"spec":{}}}'}}}`},
			answers:  map[string]string{"Secret/pg": `{metadata: {uid: u2}}`, "Secret/" + credentials: `{metadata: {uid: u1}}`},
		}, want: []string{"pg=u2", credentials + "=u1"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, o := range tc.call.compose(t).find(names.Config).List("metadata", "ownerReferences") {
				got = append(got, o.String("name")+"="+o.String("uid"))
				if o.String("apiVersion") != "v1" || o.String("kind") != "Secret" || o.Has("controller") || o.Has("blockOwnerDeletion") {
					t.Errorf("%s: want a Secret that neither controls nor blocks, got %v", tc.reason, o.Map())
				}
			}
			if diff := gocmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\nowners: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestAdminChanged guards the fingerprint of the administrator's password, which
// the server reads once: a later change is told once, and nothing else is.
func TestAdminChanged(t *testing.T) {
	percona := record.Database{Kind: record.Percona}
	sqlite := record.Database{Kind: record.SQLite, Path: "/data/controlplane/controlplane.db"}
	key, password := []byte("old"), []byte("new")
	now := checksum.Keyed(key, password)
	plain := func(v string) string { return checksum.Of("default/files", []byte(v)) }

	type want struct {
		fingerprint string
		changed     string
	}
	const admin = "files-admin-bootstrap-credentials"
	cases := map[string]struct {
		reason   string
		last     string
		had      record.Database
		started  bool
		noKey    bool
		noSecret bool
		want     want
	}{
		"First":        {reason: "nothing is known of an earlier one", had: percona, started: true, want: want{fingerprint: now}},
		"Same":         {reason: "the password is the same", last: now, had: percona, started: true, want: want{fingerprint: now}},
		"Changed":      {reason: "the server does not read a new one, and the new one is recorded, so that this is told once", last: checksum.Keyed(key, []byte("before")), had: percona, started: true, want: want{now, admin}},
		"NotStarted":   {reason: "a server that has not started yet will read it", last: checksum.Keyed(key, []byte("before")), had: percona, want: want{fingerprint: now}},
		"Moved":        {reason: "a server that moves to another database starts there for the first time", last: checksum.Keyed(key, []byte("before")), had: sqlite, started: true, want: want{fingerprint: now}},
		"OtherKey":     {reason: "nothing can be told of a fingerprint under another key", last: checksum.Keyed([]byte("x"), []byte("before")), had: percona, started: true, want: want{fingerprint: now}},
		"Plain":        {reason: "a fingerprint of the first form is made again with the key", last: plain("new"), had: percona, started: true, want: want{fingerprint: now}},
		"PlainChanged": {reason: "and shows a change", last: plain("before"), had: percona, started: true, want: want{now, admin}},
		"NoPassword":   {reason: "a password that cannot be read keeps the last fingerprint", last: plain("before"), had: percona, started: true, noSecret: true, want: want{fingerprint: plain("before")}},
		"NoKey":        {reason: "so does a key", last: plain("before"), had: percona, started: true, noKey: true, want: want{fingerprint: plain("before")}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			doc := marshal(t, record.Record{Version: 1, XR: "uid-1", Server: &record.Server{Database: tc.had, AdminFingerprint: tc.last, Started: tc.started}})
			composed := map[string]string{
				"config": marshal(t, map[string]any{"metadata": map[string]any{"annotations": map[string]any{names.AnnotationRecord: doc}}}),
				"jwt":    `{metadata: {namespace: default}, data: {jwt-secret: b2xk}}`,
				"admin":  `{metadata: {namespace: default}, data: {password: bmV3}}`,
				"server": liveSTS,
			}
			s := resolved()
			if tc.noSecret {
				s.Admin = server.Admin{SecretKey: record.SecretKey{Name: "gone", Key: "password"}}
			}
			if tc.noKey {
				s.JWT = server.JWT{SecretKey: record.SecretKey{Name: "gone", Key: "k"}}
			}
			st := call{server: s, ready: true, started: tc.started, composed: composed}.compose(t)
			got := want{recordOf(t, st.find(names.Config)).Server.AdminFingerprint, st.AdminChanged}
			if diff := gocmp.Diff(tc.want, got, gocmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}

	t.Run("Created", func(t *testing.T) {
		st := call{server: resolved(), ready: true}.compose(t)
		key, _ := st.find(names.JWT).Data("jwt-secret")
		password, _ := st.find(names.Admin).Data("password")
		if got := recordOf(t, st.find(names.Config)).Server.AdminFingerprint; got != checksum.Keyed(key, password) {
			t.Errorf("a password that was generated just now: want its fingerprint, got %q", got)
		}
	})
}

// TestNoSecretOutsideSecrets guards that no value of a Secret is in anything that
// more people may read: neither as it is nor as a checksum that can be tried.
func TestNoSecretOutsideSecrets(t *testing.T) {
	st := call{server: resolved(onExternal), ready: true, answers: map[string]string{"Secret/pg": `{metadata: {uid: u}, data: {password: Y2FuYXJ5}}`}}.compose(t)
	password, _ := st.find(names.Admin).Data("password")
	jwt, _ := st.find(names.JWT).Data("jwt-secret")
	for _, c := range st.Composed {
		o := observed.FromStruct(c.Object)
		if o.String("kind") == "Secret" {
			continue
		}
		doc := marshal(t, o.Map())
		for _, v := range []string{"canary", string(password), string(jwt)} {
			if strings.Contains(doc, v) || strings.Contains(doc, checksum.Of("default/files", []byte(v))) {
				t.Errorf("%s: want nothing of a secret in it, got %s", c.Resource, doc)
			}
		}
	}
}

// TestChecksumsOfWhatIsMade guards that the pod template knows the Secrets that come
// into being with it: it would be replaced once they are observed otherwise.
func TestChecksumsOfWhatIsMade(t *testing.T) {
	checksums := func(st State) map[string]any {
		return st.find(names.Server).Map("spec", "template", "metadata", "annotations")
	}
	first := call{server: resolved(onSQLite), ready: true}.compose(t)
	composed := map[string]string{}
	for _, c := range first.Composed {
		composed[string(c.Resource)] = marshal(t, c.Object.AsMap())
	}
	// Other random numbers are at hand later, and are not used.
	second := call{server: resolved(onSQLite), ready: true, composed: composed, random: 9}.compose(t)
	if diff := gocmp.Diff(checksums(first), checksums(second)); diff != "" {
		t.Errorf("the pod template's checksums: -when it is made, +when it is observed:\n%s", diff)
	}
	if got := slices.Sorted(maps.Keys(checksums(first))); len(got) != 2 {
		t.Errorf("the pod template's checksums: want those of config and jwt, got %v", got)
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
		"Leaving": {
			reason: "what is being deleted is not ready, however it looks",
			call:   call{server: resolved(onSQLite), ready: true, composed: map[string]string{"config": `{metadata: {deletionTimestamp: x}}`}},
			want:   map[string]bool{"admin": false, "api": false, "config": false, "headless": false, "jwt": false, "nfs": false, "server": false, "smb": false},
		},
		"DatabaseNotReady": {
			reason: "a cluster is ready when the database is",
			call:   call{server: resolved(), composed: map[string]string{"postgres": `{}`}},
			want:   map[string]bool{"admin": false, "api": false, "config": false, "headless": false, "jwt": false, "nfs": false, "postgres": false, "smb": false},
		},
		"DatabaseReady": {
			reason: "and it is",
			call:   call{server: resolved(), ready: true, composed: map[string]string{"postgres": `{}`}},
			want:   map[string]bool{"admin": false, "api": false, "config": false, "headless": false, "jwt": false, "nfs": false, "postgres": true, "server": false, "smb": false},
		},
		"ClusterNotUsed": {
			reason: "a cluster that the server does not use does not hold up its readiness",
			call: call{server: resolved(onSQLite, func(s *server.Server) {
				s.Cluster = resolved().Cluster
				s.Cluster.Kept = true
			}), composed: map[string]string{"postgres": `{}`}},
			want: map[string]bool{"admin": false, "api": false, "config": false, "headless": false, "jwt": false, "nfs": false, "postgres": true, "smb": false},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := map[string]bool{}
			for _, c := range tc.call.compose(t).Composed {
				got[string(c.Resource)] = c.Ready
			}
			if diff := gocmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\nReady: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestRandomnessFails(t *testing.T) {
	broken := errors.New("boom")
	req := &fnv1.RunFunctionRequest{RequiredResources: map[string]*fnv1.Resources{"Secret/files-jwt-secret": {}}}
	w := call{server: resolved()}.world(req)
	if _, err := Compose(w, resolved(), pgstate.State{}, pgstate.State{}, iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("Compose(...): want the error of the source, got %v", err)
	}
	// What exists needs no randomness.
	req.Observed = &fnv1.State{Resources: map[string]*fnv1.Resource{
		"jwt":   {Resource: yamltest.Struct(t, `{data: {jwt-secret: b2xk}}`)},
		"admin": {Resource: yamltest.Struct(t, `{data: {password: b2xk}}`)},
	}}
	if _, err := Compose(call{server: resolved()}.world(req), resolved(), pgstate.State{}, pgstate.State{}, iotest.ErrReader(broken)); err != nil {
		t.Errorf("Compose(...) of what exists: %v", err)
	}
}
