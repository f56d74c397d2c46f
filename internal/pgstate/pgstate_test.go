package pgstate

import (
	"maps"
	"testing"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/world"
	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

func resources(s *structpb.Struct) *fnv1.Resources {
	if s == nil {
		return &fnv1.Resources{}
	}
	return &fnv1.Resources{Items: []*fnv1.Resource{{Resource: s}}}
}

func secret(name string, data map[string]string) *structpb.Struct {
	b := map[string][]byte{}
	for k, v := range data {
		b[k] = []byte(v)
	}
	out := observed.NewSecret(b).Map()
	out["metadata"] = map[string]any{"name": name, "namespace": "default"}
	st, err := structpb.NewStruct(out)
	if err != nil {
		panic(err)
	}
	return st
}

func credentials(without ...string) map[string]string {
	out := map[string]string{
		"host": "files-postgres-primary.default.svc", "port": "5432", "dbname": "dittofs", "user": "dittofs",
		"password": "canary", "uri": "postgresql://dittofs:canary@host:5432/dittofs", "verifier": "SCRAM",
	}
	for _, k := range without {
		delete(out, k)
	}
	return out
}

const (
	installed = `{metadata: {name: perconapgclusters.pgv2.percona.com}, status: {conditions: [{type: Established, status: "True"}]}}`
	ownCRD    = `{metadata: {name: dittoservers.dittofs.dittofs.com}}`
	ready     = `
metadata: {name: files-postgres, namespace: default, generation: 3}
spec: {postgresVersion: 16}
status: {state: ready, observedGeneration: 3, postgres: {size: 2, ready: 2}}`
)

func TestReadCluster(t *testing.T) {
	type args struct {
		cluster  string
		required map[string]*structpb.Struct
	}
	answered := func(creds, ca *structpb.Struct) map[string]*structpb.Struct {
		return map[string]*structpb.Struct{
			"Secret/files-postgres-pguser-dittofs": creds,
			"Secret/files-postgres-cluster-cert":   ca,
		}
	}
	all := answered(secret("files-postgres-pguser-dittofs", credentials()), secret("files-postgres-cluster-cert", map[string]string{"ca.crt": "CA"}))
	crds := func(percona, own string, more map[string]*structpb.Struct) map[string]*structpb.Struct {
		out := map[string]*structpb.Struct{
			"CustomResourceDefinition/perconapgclusters.pgv2.percona.com": nil,
			"CustomResourceDefinition/dittoservers.dittofs.dittofs.com":   nil,
		}
		if percona != "" {
			out["CustomResourceDefinition/perconapgclusters.pgv2.percona.com"] = yamltest.Struct(t, percona)
		}
		if own != "" {
			out["CustomResourceDefinition/dittoservers.dittofs.dittofs.com"] = yamltest.Struct(t, own)
		}
		for k, v := range more {
			out[k] = v
		}
		return out
	}
	waiting := func(state string) State {
		return State{
			Reason:       ReasonWaiting,
			Message:      "PostgreSQL is not ready; Percona's operator is starting or restarting it. See: kubectl -n default describe perconapgcluster files-postgres",
			ClusterState: state,
		}
	}
	connected := func(s State) State {
		s.Host, s.Port, s.Name, s.User = "files-postgres-primary.default.svc", "5432", "dittofs", "dittofs"
		return s
	}

	cases := map[string]struct {
		reason string
		args   args
		want   State
	}{
		"OperatorNotInstalled": {
			reason: "in a cluster, which has the XR's CRD, Percona's is missing",
			args:   args{required: crds("", ownCRD, nil)},
			want: State{
				Reason:  ReasonOperatorNotInstalled,
				Message: "Percona Operator for PostgreSQL is not installed: the platform team installs it (its CustomResourceDefinition perconapgclusters.pgv2.percona.com is missing), and the database is created then",
			},
		},
		"NotFound": {
			reason: "there is no cluster",
			args:   args{required: crds(installed, ownCRD, map[string]*structpb.Struct{"PerconaPGCluster/files-postgres": nil})},
			want:   State{Reason: ReasonClusterNotFound, Message: "PerconaPGCluster files-postgres does not exist yet; it is being created"},
		},
		"Unknown": {
			reason: "what has not been answered is as good as absent",
			want:   State{Reason: ReasonClusterNotFound, Message: "PerconaPGCluster files-postgres does not exist yet; it is being created"},
		},
		"Foreign": {
			reason: "a cluster of somebody else's is not the server's",
			args:   args{required: crds(installed, ownCRD, map[string]*structpb.Struct{"PerconaPGCluster/files-postgres": yamltest.Struct(t, ready)})},
			want:   State{Reason: ReasonClusterNotFound, Message: "PerconaPGCluster files-postgres exists and is not this server's; the condition Accepted tells what to do"},
		},
		"Deleting": {
			reason: "a cluster that goes is none",
			args:   args{cluster: `{metadata: {name: files-postgres, deletionTimestamp: "2026-01-01T00:00:00Z"}, status: {state: ready, postgres: {size: 1, ready: 1}}}`},
			want:   State{Reason: ReasonClusterNotFound, Message: "PerconaPGCluster files-postgres is being deleted; it is created again when it is gone"},
		},
		"NoStatus": {
			reason: "the operator has not looked yet",
			args:   args{cluster: `{metadata: {name: files-postgres, namespace: default}}`},
			want:   waiting(""),
		},
		"Initializing": {
			reason: "the operator is at work, and the credentials are there already",
			args:   args{cluster: `{metadata: {name: files-postgres, namespace: default}, status: {state: initializing}}`, required: all},
			want:   connected(waiting("initializing")),
		},
		"UnheardOf": {
			reason: "a state that nobody knows is not ready",
			args:   args{cluster: `{metadata: {name: files-postgres, namespace: default}, status: {state: error}}`},
			want:   waiting("error"),
		},
		"Paused": {
			reason: "somebody has paused the database",
			args:   args{cluster: `{metadata: {name: files-postgres}, status: {state: paused}}`},
			want: State{
				Reason:       ReasonPaused,
				Message:      "PerconaPGCluster files-postgres is paused; the database is started again by setting its spec.pause to false",
				ClusterState: "paused",
			},
		},
		"Stopping": {
			reason: "somebody is pausing the database",
			args:   args{cluster: `{metadata: {name: files-postgres}, status: {state: stopping}}`},
			want:   State{Reason: ReasonStopping, Message: "PerconaPGCluster files-postgres is being paused", ClusterState: "stopping"},
		},
		"StaleGeneration": {
			reason: "ready says nothing about a spec that the operator has not seen",
			args:   args{cluster: `{metadata: {name: files-postgres, generation: 4}, status: {state: ready, observedGeneration: 3, postgres: {size: 1, ready: 1}}}`, required: all},
			want: connected(State{
				Reason:       ReasonUpdating,
				Message:      "Percona's operator has not seen the latest change of PerconaPGCluster files-postgres yet",
				ClusterState: "ready", Instances: 1, ReadyInstances: 1,
			}),
		},
		"NoInstances": {
			reason: "ready without an instance is not ready",
			args:   args{cluster: `{metadata: {name: files-postgres}, status: {state: ready}}`},
			want: State{
				Reason:       ReasonUpdating,
				Message:      "not every PostgreSQL instance of PerconaPGCluster files-postgres is ready",
				ClusterState: "ready",
			},
		},
		"SomeInstances": {
			reason: "ready with one instance of two is not ready",
			args:   args{cluster: `{metadata: {name: files-postgres}, status: {state: ready, postgres: {size: 2, ready: 1}}}`},
			want: State{
				Reason:       ReasonUpdating,
				Message:      "not every PostgreSQL instance of PerconaPGCluster files-postgres is ready",
				ClusterState: "ready", Instances: 2, ReadyInstances: 1,
			},
		},
		"NoCredentials": {
			reason: "a client needs the Secret",
			args:   args{cluster: ready, required: answered(nil, all["Secret/files-postgres-cluster-cert"])},
			want: State{
				Reason:       ReasonCredentialsNotFound,
				Message:      "PostgreSQL is ready, and Secret files-postgres-pguser-dittofs does not exist; Percona's operator makes it",
				ClusterState: "ready", Instances: 2, ReadyInstances: 2, PostgresVersion: 16,
			},
		},
		"PartialCredentials": {
			reason: "a client needs every key",
			args:   args{cluster: ready, required: answered(secret("files-postgres-pguser-dittofs", credentials("uri", "password")), all["Secret/files-postgres-cluster-cert"])},
			want: connected(State{
				Reason:       ReasonCredentialsNotFound,
				Message:      "PostgreSQL is ready, and Secret files-postgres-pguser-dittofs lacks password, uri; Percona's operator makes it",
				ClusterState: "ready", Instances: 2, ReadyInstances: 2, PostgresVersion: 16,
			}),
		},
		"NoCA": {
			reason: "a client verifies the database's certificate",
			args:   args{cluster: ready, required: answered(all["Secret/files-postgres-pguser-dittofs"], secret("files-postgres-cluster-cert", map[string]string{"tls.crt": "x"}))},
			want: connected(State{
				Reason:       ReasonCredentialsNotFound,
				Message:      "PostgreSQL is ready, and Secret files-postgres-cluster-cert lacks ca.crt; Percona's operator makes it",
				ClusterState: "ready", Instances: 2, ReadyInstances: 2, PostgresVersion: 16,
			}),
		},
		"GarbledPassword": {
			reason: "bytes that are no text are in no environment variable",
			args: args{cluster: ready, required: answered(
				secret("files-postgres-pguser-dittofs", func() map[string]string { c := credentials(); c["password"] = "\xff"; return c }()),
				all["Secret/files-postgres-cluster-cert"])},
			want: connected(State{
				Reason:       ReasonCredentialsNotFound,
				Message:      "PostgreSQL is ready, and Secret files-postgres-pguser-dittofs has bytes that are no text in password; Percona's operator makes it",
				ClusterState: "ready", Instances: 2, ReadyInstances: 2, PostgresVersion: 16,
			}),
		},
		"Ready": {
			reason: "everything that a client needs is there",
			args:   args{cluster: ready, required: all},
			want: connected(State{
				Ready: true, Reason: ReasonReady,
				Message:      "PostgreSQL is ready, and the server has its credentials and its CA",
				ClusterState: "ready", Instances: 2, ReadyInstances: 2, PostgresVersion: 16,
			}),
		},
		"ReadyWithoutGeneration": {
			reason: "an operator that reports no generation is believed",
			args: args{
				cluster:  `{metadata: {name: files-postgres, generation: 4}, status: {state: ready, postgres: {size: 1, ready: 1}}}`,
				required: all,
			},
			want: connected(State{
				Ready: true, Reason: ReasonReady,
				Message:      "PostgreSQL is ready, and the server has its credentials and its CA",
				ClusterState: "ready", Instances: 1, ReadyInstances: 1,
			}),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := read(t, tc.args.cluster, tc.args.required)
			if diff := cmp.Diff(tc.want, Read(w, record.Database{Kind: record.Percona})); diff != "" {
				t.Errorf("%s\nRead(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// read returns the world of a server that asks for a PerconaPGCluster, which is
// observed if it is not empty, with answers to what is required.
func read(t *testing.T, cluster string, required map[string]*structpb.Struct) world.World {
	t.Helper()
	req := &fnv1.RunFunctionRequest{
		Observed: &fnv1.State{
			Composite: &fnv1.Resource{Resource: yamltest.Struct(t, `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: DittoServer, metadata: {name: files, namespace: default, uid: u}}`)},
			Resources: map[string]*fnv1.Resource{},
		},
		RequiredResources: map[string]*fnv1.Resources{},
	}
	if cluster != "" {
		req.Observed.Resources["postgres"] = &fnv1.Resource{Resource: yamltest.Struct(t, cluster)}
	}
	for k, s := range required {
		req.RequiredResources[k] = resources(s)
	}
	r := observed.NewReader(req)
	return world.Read(r, r.XR(), world.Identity{Name: "files", Namespace: "default"}, world.Ask{
		Refs:     []names.Ref{{Resource: names.Postgres, APIVersion: names.PostgresAPIVersion, Kind: names.PostgresKind, Name: "files-postgres"}},
		Percona:  true,
		Database: record.Percona,
	})
}

func TestReadExternal(t *testing.T) {
	complete := map[string]string{"host": "pg", "user": "u", "database": "d", "password": "canary"}
	with := func(more map[string]string) map[string]string {
		out := maps.Clone(complete)
		maps.Copy(out, more)
		return out
	}
	found := State{
		Ready: true, Reason: ReasonCredentialsFound, Host: "pg", User: "u", Name: "d",
		Message: "Secret db tells how to reach the database; whether it can be reached is not known here",
	}
	lacking := func(what string) State {
		return State{Reason: ReasonCredentialsNotFound, Message: "Secret db " + what, Host: "pg", User: "u", Name: "d"}
	}
	cases := map[string]struct {
		reason   string
		data     map[string]string
		database record.Database
		want     State
	}{
		"Missing": {
			reason: "the Secret is named",
			want:   State{Reason: ReasonCredentialsNotFound, Message: "Secret db does not exist; create it with the keys host, database, user and password"},
		},
		"MissingWithCA": {
			reason:   "and everything that it needs",
			database: record.Database{HasPort: true, HasCA: true},
			want:     State{Reason: ReasonCredentialsNotFound, Message: "Secret db does not exist; create it with the keys host, database, user, password, port and ca.crt"},
		},
		"Partial": {
			reason: "what is missing is named",
			data:   map[string]string{"host": "pg", "user": "u"},
			want:   State{Reason: ReasonCredentialsNotFound, Message: "Secret db lacks database, password; add them", Host: "pg", User: "u"},
		},
		"Empty": {
			reason: "a key that holds nothing is missing",
			data:   with(map[string]string{"password": ""}),
			want:   lacking("lacks password; add it"),
		},
		"Garbled": {
			reason: "bytes that are no text cannot be sent to anybody",
			data:   with(map[string]string{"password": "\xff\xfe"}),
			want:   lacking("has bytes that are no text in password; correct it"),
		},
		"GarbledHost": {
			reason: "nor shown in a status",
			data:   with(map[string]string{"host": "\xff"}),
			want:   State{Reason: ReasonCredentialsNotFound, Message: "Secret db has bytes that are no text in host; correct it", User: "u", Name: "d"},
		},
		"ConnectionString": {
			reason: "whoever followed the operator's documentation is told what the server reads",
			data:   map[string]string{"connection-string": "canary"},
			want: State{
				Reason:  ReasonCredentialsNotFound,
				Message: "Secret db lacks host, database, user, password. The server cannot read the key connection-string; add the keys host, port, database, user, password and, if wanted, sslmode and ca.crt",
			},
		},
		"Complete": {
			reason: "port, sslmode and CA may be missing from the start",
			data:   complete,
			want:   found,
		},
		"LostPort": {
			reason:   "a pod that has the port from the Secret cannot start without it",
			data:     complete,
			database: record.Database{HasPort: true},
			want:     lacking("lacks port; add it"),
		},
		"LostSSLMode": {
			reason:   "nor without the mode of TLS",
			data:     complete,
			database: record.Database{HasSSLMode: true},
			want:     lacking("lacks sslmode; add it"),
		},
		"LostCA": {
			reason:   "nor without the CA",
			data:     complete,
			database: record.Database{HasCA: true},
			want:     lacking("lacks ca.crt; add it"),
		},
		"OptionalKeys": {
			reason:   "the DittoFS operator's pods start without port and sslmode",
			data:     complete,
			database: record.Database{HasPort: true, HasSSLMode: true, OptionalKeys: true},
			want:     found,
		},
		"OptionalKeysAndCA": {
			reason:   "a CA that was there is not optional",
			data:     complete,
			database: record.Database{HasSSLMode: true, HasCA: true, OptionalKeys: true},
			want:     lacking("lacks ca.crt; add it"),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := world.Secret{Name: "db", Known: true}
			if tc.data != nil {
				s.Object = observed.FromStruct(secret("db", tc.data))
			}
			tc.database.Kind, tc.database.Secret = record.External, "db"
			w := world.World{Secrets: map[string]world.Secret{"db": s}}
			if diff := cmp.Diff(tc.want, Read(w, tc.database)); diff != "" {
				t.Errorf("%s\nRead(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestReadSQLite: a file is there when the server is.
func TestReadSQLite(t *testing.T) {
	if diff := cmp.Diff(State{Ready: true}, Read(world.World{}, record.Database{Kind: record.SQLite, Path: "/x"})); diff != "" {
		t.Errorf("Read(...) of SQLite: -want, +got:\n%s", diff)
	}
}

func TestReadBackups(t *testing.T) {
	const cluster = `{metadata: {name: files-postgres, namespace: default}, status: {conditions: [`
	const see = " See: kubectl -n default describe perconapgcluster files-postgres"

	cases := map[string]struct {
		reason  string
		cluster string
		want    State
	}{
		"Nothing": {
			reason:  "there is no repository host yet",
			cluster: cluster + `]}}`,
			want:    State{Reason: ReasonRepositoryNotReady, Message: "pgBackRest's repository host is not ready yet." + see},
		},
		"NoStanza": {
			reason:  "wrong credentials show here and nowhere else",
			cluster: cluster + `{type: PGBackRestRepoHostReady, status: "True"}, {type: PGBackRestReplicaRepoReady, status: "False"}]}}`,
			want: State{
				Reason:  ReasonRepositoryNotReady,
				Message: "pgBackRest has not created its stanza in the bucket; if this lasts, the bucket, the endpoint or the credentials are wrong." + see,
			},
		},
		"NoBackup": {
			reason:  "the first backup takes a while",
			cluster: cluster + `{type: PGBackRestRepoHostReady, status: "True"}, {type: PGBackRestReplicaRepoReady, status: "True"}]}}`,
			want:    State{Reason: ReasonFirstBackupPending, Message: "the first full backup is not complete yet; it begins with PostgreSQL's next checkpoint, which is within five minutes." + see},
		},
		"Backup": {
			reason:  "there is a backup to restore from",
			cluster: cluster + `{type: PGBackRestRepoHostReady, status: "True"}, {type: PGBackRestReplicaRepoReady, status: "True"}, {type: PGBackRestReplicaCreate, status: "True"}]}}`,
			want: State{
				Ready: true, Reason: ReasonBackupsReady,
				Message: "a full backup exists and the schedules are set. List the backups with: kubectl -n default get perconapgbackups",
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := ReadBackups(observed.FromStruct(yamltest.Struct(t, tc.cluster)))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\nReadBackups(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestBackupsOn(t *testing.T) {
	cases := map[string]struct {
		reason  string
		cluster string
		want    bool
	}{
		"Off":         {reason: "they are switched off", cluster: `{spec: {backups: {enabled: false, pgbackrest: {repos: [{name: repo1}]}}}}`},
		"NoRepo":      {reason: "there is nowhere to put them", cluster: `{spec: {backups: {pgbackrest: {image: i}}}}`},
		"On":          {reason: "they are switched on", cluster: `{spec: {backups: {enabled: true, pgbackrest: {repos: [{name: repo1}]}}}}`, want: true},
		"OnByDefault": {reason: "Percona's default is on", cluster: `{spec: {backups: {pgbackrest: {repos: [{name: repo1}]}}}}`, want: true},
		"NoCluster":   {reason: "there is no cluster", cluster: `{}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := BackupsOn(observed.FromStruct(yamltest.Struct(t, tc.cluster))); got != tc.want {
				t.Errorf("%s: want %t, got %t", tc.reason, tc.want, got)
			}
		})
	}
}

// TestReadClusterAsks: a cluster that is observed proves that its CRD is there,
// so only the Secrets are asked for.
func TestReadClusterAsks(t *testing.T) {
	w := read(t, ready, nil)
	var got []string
	for _, k := range []string{"Secret/files-postgres-pguser-dittofs", "Secret/files-postgres-cluster-cert"} {
		if w.Requirements.GetResources()[k].GetNamespace() == "default" {
			got = append(got, k)
		}
	}
	if len(got) != 2 || len(w.Requirements.GetResources()) != 2 {
		t.Errorf("an observed cluster: want its two Secrets asked for and no CRD, got %v", w.Requirements)
	}
}
