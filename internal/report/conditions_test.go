package report

import (
	"testing"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/dittofs/function-dittoserver/internal/desired"
	"github.com/dittofs/function-dittoserver/internal/dittofs"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/pgstate"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

// brief is a condition as a person reads it.
type brief struct{ Status, Reason, Message string }

// briefly returns a condition as a person reads it.
func briefly(c Condition) brief { return brief{status(c), c.Reason, c.Message} }

func TestAccepted(t *testing.T) {
	out := func(r names.Resource, kind, name string, why desired.Reason, owner string, controlled bool) desired.LeftOut {
		return desired.LeftOut{Ref: names.Ref{Resource: r, Kind: kind, Name: name}, Why: why, Owner: owner, Controlled: controlled}
	}
	cases := map[string]struct {
		reason  string
		res     server.Resolution
		leftOut []desired.LeftOut
		leaving []names.Ref
		want    brief
	}{
		"Accepted": {
			reason: "all is applied, and what is awaited is not refused",
			leftOut: []desired.LeftOut{
				out(names.Server, "StatefulSet", "files", desired.Awaited, "", false),
				out(names.API, "Service", "files-api", desired.Unknown, "", false),
			},
			want: brief{"True", "SpecAccepted", "everything that the spec says is applied"},
		},
		"Warnings": {
			reason: "standing warnings live here",
			res:    server.Resolution{Warnings: []string{"spec.a: is odd", "spec.b: is odd"}},
			want:   brief{"True", "AcceptedWithWarnings", "Warning: spec.a: is odd. Warning: spec.b: is odd"},
		},
		"Held": {
			reason: "what is held is told before what is odd",
			res:    server.Resolution{Held: []string{"spec.a: 1 is held at 2"}, Warnings: []string{"spec.b: is odd"}},
			want:   brief{"False", "ChangeHeld", "spec.a: 1 is held at 2. Warning: spec.b: is odd"},
		},
		"Taken": {
			reason:  "what is in the way is named, and what can be done",
			res:     server.Resolution{Held: []string{"spec.a: 1 is held at 2"}},
			leftOut: []desired.LeftOut{out(names.API, "Service", "files-api", desired.Taken, "nobody controls it", false)},
			want: brief{"False", "NameTaken", "Service files-api exists and is not touched, because nobody controls it; " +
				"delete it, or give this server another name, or, if it belongs to this server and may be overwritten, set spec.adoptExisting to true. spec.a: 1 is held at 2"},
		},
		"Controlled": {
			reason:  "what somebody else controls cannot be adopted",
			leftOut: []desired.LeftOut{out(names.API, "Service", "files-api", desired.Taken, "it is controlled by Deployment d", true)},
			want:    brief{"False", "NameTaken", "Service files-api exists and is not touched, because it is controlled by Deployment d; delete it there, or give this server another name"},
		},
		"Deleting": {
			reason:  "what is on its way out is waited for",
			leftOut: []desired.LeftOut{out(names.Server, "StatefulSet", "files", desired.Deleting, "", false)},
			want:    brief{"False", "NameTaken", "StatefulSet files is being deleted; it is created again when it is gone"},
		},
		"Leaving": {
			reason:  "so is what is in the response all the same",
			leaving: []names.Ref{{Resource: names.Server, Kind: "StatefulSet", Name: "files"}},
			want:    brief{"False", "NameTaken", "StatefulSet files is being deleted; it is created again when it is gone"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, briefly(accepted(tc.res, desired.State{LeftOut: tc.leftOut, Leaving: tc.leaving}))); diff != "" {
				t.Errorf("%s\naccepted(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestAvailableAndProgressing(t *testing.T) {
	percona := record.Database{Kind: record.Percona}
	sqlite := record.Database{Kind: record.SQLite, Path: "/a"}
	const (
		describe = "See: kubectl -n default describe pod files-0"
		logs     = ", and: kubectl -n default logs files-0 -c wait-for-postgres"
	)
	type want struct{ available, progressing brief }

	cases := map[string]struct {
		reason   string
		database record.Database
		target   record.Database
		replicas int32
		state    dittofs.State
		ready    bool
		// undecided is whether it is uncertain which database has the server's data.
		undecided bool
		// frozen is whether the pod must not be replaced.
		frozen bool
		want   want
	}{
		"Undecided": {
			reason: "a server waits for whoever decides which database it uses, and is not said to be created", database: sqlite, target: sqlite, replicas: 1, ready: true, undecided: true,
			want: want{
				brief{"False", "NoReplicasAvailable", "the server does not exist yet"},
				brief{"True", "WaitingForDatabase", "the server is created when it is decided which database it uses; the condition Accepted tells how"},
			},
		},
		"WaitingForDatabase": {
			reason: "a server waits for its database", database: percona, target: percona, replicas: 1,
			want: want{
				brief{"False", "NoReplicasAvailable", "the server does not exist yet"},
				brief{"True", "WaitingForDatabase", "the server is created when its database is ready; the condition DatabaseReady tells what that waits for"},
			},
		},
		"Created": {
			reason: "it is created with this response", database: percona, target: percona, replicas: 1, ready: true,
			want: want{
				brief{"False", "NoReplicasAvailable", "the server does not exist yet"},
				brief{"True", "StatefulSetUpdating", "the server is being created"},
			},
		},
		"Starting": {
			reason: "while the pod does not come up, the command that shows why", database: percona, target: percona, replicas: 1, ready: true,
			state: dittofs.State{Exists: true, Replicas: 1, Current: true},
			want: want{
				brief{"False", "NoReplicasAvailable", "the server's pod is not ready. " + describe + logs},
				brief{"True", "ScalingReplicas", "the server's pod is starting. " + describe + logs},
			},
		},
		"StartingOnSQLite": {
			reason: "there is no container that waits", database: sqlite, target: sqlite, replicas: 1, ready: true,
			state: dittofs.State{Exists: true, Replicas: 1, Current: true},
			want: want{
				brief{"False", "NoReplicasAvailable", "the server's pod is not ready. " + describe},
				brief{"True", "ScalingReplicas", "the server's pod is starting. " + describe},
			},
		},
		"Running": {
			reason: "all is well, whatever the database does", database: percona, target: percona, replicas: 1,
			state: dittofs.State{Exists: true, Replicas: 1, Ready: 1, Current: true},
			want: want{
				brief{"True", "MinimumReplicasAvailable", "the server is running"},
				brief{"False", "ReconcileComplete", "everything is up to date"},
			},
		},
		"Rolling": {
			reason: "the pod is replaced", database: percona, target: percona, replicas: 1, ready: true,
			state: dittofs.State{Exists: true, Replicas: 1, Ready: 1},
			want: want{
				brief{"True", "MinimumReplicasAvailable", "the server is running"},
				brief{"True", "StatefulSetUpdating", "the server's pod is being replaced. " + describe + logs},
			},
		},
		"Frozen": {
			reason: "the pod is not replaced while a new one could not start", database: sqlite, target: sqlite, replicas: 1, frozen: true,
			state: dittofs.State{Exists: true, Replicas: 1, Ready: 1},
			want: want{
				brief{"True", "MinimumReplicasAvailable", "the server is running"},
				brief{"True", "WaitingForSecret", "the server runs as it was, and its pod is replaced when the Secret is whole that a new one could not start without; the conditions Accepted and DatabaseReady tell which"},
			},
		},
		"Stopping": {
			reason: "the server is to stop", database: percona, target: percona, replicas: 0, ready: true,
			state: dittofs.State{Exists: true, Replicas: 1, Ready: 1, Current: true},
			want: want{
				brief{"True", "MinimumReplicasAvailable", "the server is running"},
				brief{"True", "ScalingReplicas", "the number of replicas is being changed"},
			},
		},
		"Stopped": {
			reason: "and is stopped", database: percona, target: percona, replicas: 0, ready: true,
			state: dittofs.State{Exists: true, Current: true},
			want: want{
				brief{"True", "Stopped", "the server is stopped, as spec.replicas asks"},
				brief{"False", "ReconcileComplete", "everything is up to date"},
			},
		},
		"Moving": {
			reason: "a confirmed switch awaits its database", database: sqlite, target: percona, replicas: 1,
			state: dittofs.State{Exists: true, Replicas: 1, Ready: 1, Current: true},
			want: want{
				brief{"True", "MinimumReplicasAvailable", "the server is running"},
				brief{"True", "WaitingForDatabase", "the server moves to percona when that database is ready and no Secret is missing; the conditions DatabaseReady and Accepted tell what that waits for"},
			},
		},
		"MovingToAnotherOfItsKind": {
			reason:   "also to one of the same kind",
			database: record.Database{Kind: record.External, Secret: "a"}, target: record.Database{Kind: record.External, Secret: "b"}, replicas: 1,
			state: dittofs.State{Exists: true, Replicas: 1, Ready: 1, Current: true},
			want: want{
				brief{"True", "MinimumReplicasAvailable", "the server is running"},
				brief{"True", "WaitingForDatabase", "the server moves to external when that database is ready and no Secret is missing; the conditions DatabaseReady and Accepted tell what that waits for"},
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := &server.Server{Name: "files", Namespace: "default", Replicas: tc.replicas, Current: tc.database, Target: tc.target, Undecided: tc.undecided, Frozen: tc.frozen}
			got := want{briefly(available(s, tc.state)), briefly(progressing(s, tc.state, pgstate.State{Ready: tc.ready}))}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("%s\navailable(...), progressing(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestDatabaseReady(t *testing.T) {
	cases := map[string]struct {
		reason string
		target record.DatabaseKind
		state  pgstate.State
		had    bool
		want   []brief
	}{
		"Ready":          {reason: "as the database is", target: record.Percona, state: pgstate.State{Ready: true, Reason: "PostgreSQLReady", Message: "m"}, want: []brief{{"True", "PostgreSQLReady", "m"}}},
		"NotReady":       {reason: "as the database is", target: record.External, state: pgstate.State{Reason: "CredentialsNotFound", Message: "m"}, had: true, want: []brief{{"False", "CredentialsNotFound", "m"}}},
		"SQLite":         {reason: "a SQLite server has no such condition", target: record.SQLite, state: pgstate.State{Ready: true}},
		"SQLiteOnceMore": {reason: "one that had it must not keep saying what was", target: record.SQLite, state: pgstate.State{Ready: true}, had: true, want: []brief{{"True", "NotUsed", "the server keeps its control plane in SQLite on its own volume"}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			had := map[string]observed.Condition{}
			if tc.had {
				had[TypeDatabaseReady] = observed.Condition{Status: "True"}
			}
			var got []brief
			for _, c := range databaseReady(&server.Server{Target: record.Database{Kind: tc.target}}, tc.state, had) {
				got = append(got, briefly(c))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\ndatabaseReady(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestBackupReady(t *testing.T) {
	const on = `{metadata: {name: files-postgres, namespace: default}, spec: {backups: {enabled: true, pgbackrest: {repos: [{name: repo1}]}}}`
	const done = on + `, status: {conditions: [{type: PGBackRestRepoHostReady, status: "True"}, {type: PGBackRestReplicaRepoReady, status: "True"}, {type: PGBackRestReplicaCreate, status: "True"}]}}`
	const off = `{metadata: {name: files-postgres, namespace: default}, spec: {backups: {enabled: false}}}`
	const problem = "Secret s3 does not exist; create it"
	ready := brief{"True", "BackupsReady", "a full backup exists and the schedules are set. List the backups with: kubectl -n default get perconapgbackups"}
	switchedOff := brief{"False", "BackupsOff", "backups were switched off on PerconaPGCluster files-postgres itself; set its spec.backups.enabled to true to have them again"}

	cases := map[string]struct {
		reason  string
		backup  server.Backup
		cluster string
		// composed is whether the cluster was composed with backups last time.
		composed  bool
		noCluster bool
		had       bool
		want      []brief
	}{
		"NotAsked":         {reason: "there is no such condition where there are no backups"},
		"NoCluster":        {reason: "nor where there is no cluster", noCluster: true},
		"NoClusterAnyMore": {reason: "whoever had backups is told", noCluster: true, had: true, want: []brief{{"False", "BackupsOff", "the database has no backups, as the spec asks"}}},
		"OnByHand":         {reason: "backups that somebody switched on by hand are told as they are", cluster: done, want: []brief{ready}},
		"OffByHand":        {reason: "and so are those that somebody switched off: they are not said to begin", backup: server.Backup{Mode: server.BackupOn}, cluster: off, composed: true, want: []brief{switchedOff}},
		"OffByHandHeld":    {reason: "also while the spec's removal is held", backup: server.Backup{Mode: server.BackupHeld}, cluster: off, composed: true, had: true, want: []brief{switchedOff}},
		"OffByHandNoKeys":  {reason: "and keys that are missing do not hide it", backup: server.Backup{Mode: server.BackupOn, Problem: problem}, cluster: off, composed: true, want: []brief{switchedOff}},
		"NotOnYet":         {reason: "a cluster that never had any has not lost any", backup: server.Backup{Mode: server.BackupOn}, cluster: off, want: []brief{{"False", "WaitingForPostgreSQL", "backups begin with the database"}}},
		"NoClusterYet":     {reason: "nor has one that is made again", backup: server.Backup{Mode: server.BackupOn}, composed: true, want: []brief{{"False", "WaitingForPostgreSQL", "backups begin with the database"}}},
		"Ready":            {reason: "a backup exists", backup: server.Backup{Mode: server.BackupOn}, cluster: done, want: []brief{{"True", "BackupsReady", "a full backup exists and the schedules are set. List the backups with: kubectl -n default get perconapgbackups"}}},
		"Starting":         {reason: "none exists yet", backup: server.Backup{Mode: server.BackupOn}, cluster: on + "}", want: []brief{{"False", "RepositoryNotReady", "pgBackRest's repository host is not ready yet. See: kubectl -n default describe perconapgcluster files-postgres"}}},
		"Waiting":          {reason: "backups begin with the database", backup: server.Backup{Mode: server.BackupOn}, want: []brief{{"False", "WaitingForPostgreSQL", "backups begin with the database"}}},
		"NoKeys":           {reason: "backups that cannot work are not begun, and the Secret is named", backup: server.Backup{Problem: problem}, want: []brief{{"False", "CredentialsNotFound", problem + ". Until then the database has no backups"}}},
		"KeysGone":         {reason: "nor ended", backup: server.Backup{Mode: server.BackupOn, Problem: problem}, cluster: done, want: []brief{{"False", "CredentialsNotFound", problem + ". Backups stay configured with the credentials that they had"}}},
		"Kept":             {reason: "backups that are held go on", backup: server.Backup{Mode: server.BackupHeld}, cluster: done, want: []brief{{"True", "BackupsReady", "a full backup exists and the schedules are set. List the backups with: kubectl -n default get perconapgbackups"}}},
		"Removed":          {reason: "whoever had backups is told that there are none", backup: server.Backup{Mode: server.BackupRemoved}, had: true, want: []brief{{"False", "BackupsOff", "the database has no backups, as the spec asks"}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			had := map[string]observed.Condition{}
			if tc.had {
				had[TypeBackupReady] = observed.Condition{Status: "True"}
			}
			var cluster observed.Object
			if tc.cluster != "" {
				cluster = observed.FromStruct(yamltest.Struct(t, tc.cluster))
			}
			var got []brief
			sv := &server.Server{}
			if !tc.noCluster {
				sv.Cluster = &server.Cluster{Backup: tc.backup, Last: &record.Cluster{Spec: map[string]any{"backups": map[string]any{"enabled": tc.composed}}}}
			}
			for _, c := range backupReady(sv, cluster, had) {
				got = append(got, briefly(c))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\nbackupReady(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestEventsAreNews guards that an event is sent only for what the XR's
// conditions do not tell yet.
func TestEventsAreNews(t *testing.T) {
	ready := condition(TypeDatabaseReady, true, "PostgreSQLReady", "m")
	cases := map[string]struct {
		reason string
		c      Condition
		had    observed.Condition
		want   bool
	}{
		"Known":            {reason: "an idle server has no news", c: ready, had: observed.Condition{Status: "True", Reason: "PostgreSQLReady", Message: "m"}},
		"Status":           {reason: "another status is news", c: ready, had: observed.Condition{Status: "False", Reason: "PostgreSQLReady", Message: "m"}, want: true},
		"Reason":           {reason: "so is another reason", c: ready, had: observed.Condition{Status: "True", Reason: "x", Message: "m"}, want: true},
		"Message":          {reason: "another wording of the same is none", c: ready, had: observed.Condition{Status: "True", Reason: "PostgreSQLReady", Message: "x"}},
		"HeldMessage":      {reason: "but what is held is in the message alone", c: condition(TypeAccepted, false, ReasonChangeHeld, "m"), had: observed.Condition{Status: "False", Reason: ReasonChangeHeld, Message: "x"}, want: true},
		"Progressing":      {reason: "how a rollout is doing is none", c: condition(TypeProgressing, true, "x", "m")},
		"First":            {reason: "how the database is, is news from the beginning", c: ready, want: true},
		"FirstAccepted":    {reason: "that all is as expected is none", c: condition(TypeAccepted, true, ReasonSpecAccepted, "m")},
		"FirstWarned":      {reason: "that it is not is", c: condition(TypeAccepted, true, ReasonWithWarnings, "m"), want: true},
		"FirstUnavailable": {reason: "that a new server does not run yet is none", c: condition(TypeAvailable, false, ReasonNotAvailable, "m")},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			rsp := &fnv1.RunFunctionResponse{}
			write(rsp, []Condition{tc.c}, map[string]observed.Condition{tc.c.Type: tc.had}, true)
			if got := len(rsp.GetResults()) > 0; got != tc.want {
				t.Errorf("%s: want an event: %t, got %v", tc.reason, tc.want, rsp.GetResults())
			}
			if len(rsp.GetConditions()) != 1 || rsp.GetConditions()[0].GetMessage() != "m" || rsp.GetConditions()[0].GetTarget() != fnv1.Target_TARGET_COMPOSITE_AND_CLAIM {
				t.Errorf("%s: want the condition in any case, for the claim too, got %v", tc.reason, rsp.GetConditions())
			}
			for _, r := range rsp.GetResults() {
				if r.GetTarget() != fnv1.Target_TARGET_COMPOSITE_AND_CLAIM {
					t.Errorf("%s: want the event for the claim too, got %v", tc.reason, r)
				}
			}
		})
	}
}

func TestSeverity(t *testing.T) {
	cases := map[string]struct {
		reason string
		of     string
		want   fnv1.Severity
	}{
		"Warning":    {reason: "a person has to do something", of: ReasonChangeHeld, want: fnv1.Severity_SEVERITY_WARNING},
		"Missing":    {reason: "here too", of: pgstate.ReasonCredentialsNotFound, want: fnv1.Severity_SEVERITY_WARNING},
		"Admin":      {reason: "and here", of: EventPasswordNotRead, want: fnv1.Severity_SEVERITY_WARNING},
		"Taken":      {reason: "and here", of: ReasonNameTaken, want: fnv1.Severity_SEVERITY_WARNING},
		"Invalid":    {reason: "and here", of: ReasonInvalidSpec, want: fnv1.Severity_SEVERITY_WARNING},
		"Warned":     {reason: "and here", of: ReasonWithWarnings, want: fnv1.Severity_SEVERITY_WARNING},
		"NoOperator": {reason: "and here", of: pgstate.ReasonOperatorNotInstalled, want: fnv1.Severity_SEVERITY_WARNING},
		"Normal":     {reason: "nothing is to be done", of: pgstate.ReasonReady, want: fnv1.Severity_SEVERITY_NORMAL},
		"Waiting":    {reason: "but to wait", of: pgstate.ReasonWaiting, want: fnv1.Severity_SEVERITY_NORMAL},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			rsp := &fnv1.RunFunctionResponse{}
			event(rsp, tc.of, "m")
			want := []*fnv1.Result{{Severity: tc.want, Reason: &tc.of, Message: "m", Target: fnv1.Target_TARGET_COMPOSITE_AND_CLAIM.Enum()}}
			if diff := cmp.Diff(want, rsp.GetResults(), protocmp.Transform()); diff != "" {
				t.Errorf("%s\nevent(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
