package postgres

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// clone returns a deep copy as JSON decodes it, which is how a live object comes.
func clone(t *testing.T, m map[string]any) map[string]any {
	t.Helper()
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// A state is a cluster that exists, and what was recorded of it; no record is nil.
type state struct {
	live observed.Object
	last *record.Cluster
}

// compose composes a cluster that is in a state.
func compose(t *testing.T, s *server.Server, st state) Composed {
	t.Helper()
	s.Cluster.Last = st.last
	c, err := Compose(s, st.live)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// recorded returns a record as it is read again.
func recorded(t *testing.T, c *record.Cluster) *record.Cluster {
	t.Helper()
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	out := &record.Cluster{}
	if err := json.Unmarshal(b, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func object(t *testing.T, m map[string]any) observed.Object {
	t.Helper()
	s, err := structpb.NewStruct(clone(t, m))
	if err != nil {
		t.Fatal(err)
	}
	return observed.FromStruct(s)
}

// composed returns the state after a server's cluster was composed and then edited.
func composed(t *testing.T, s *server.Server, edit func(spec map[string]any)) state {
	t.Helper()
	c := compose(t, s, state{})
	live := clone(t, c.Object)
	if edit != nil {
		edit(live["spec"].(map[string]any))
	}
	return state{object(t, live), recorded(t, c.Record)}
}

// unrecorded returns a cluster of which nothing is recorded.
func unrecorded(st state) state { return state{live: st.live} }

func at(t *testing.T, m map[string]any, path ...string) any {
	t.Helper()
	o := object(t, m)
	switch path[0] {
	case "instance":
		o, path = o.Named("instance1", "spec", "instances"), path[1:]
	case "user":
		o, path = o.Named("dittofs", "spec", "users"), path[1:]
	case "repo":
		o, path = o.Named("repo1", "spec", "backups", "pgbackrest", "repos"), path[1:]
	}
	return o.Value(path...).AsInterface()
}

func instance(spec map[string]any) map[string]any {
	return spec["instances"].([]any)[0].(map[string]any)
}

func user(spec map[string]any) map[string]any {
	return spec["users"].([]any)[0].(map[string]any)
}

func global(spec map[string]any) map[string]any {
	return spec["backups"].(map[string]any)["pgbackrest"].(map[string]any)["global"].(map[string]any)
}

// newlyAsked makes the spec say something about a field that it did not say before.
func newlyAsked(fields ...string) func(*server.Server) {
	return func(s *server.Server) {
		s.Cluster.AskChanged = true
		s.Cluster.NewlyAsked = func(f string) bool { return slices.Contains(fields, f) }
	}
}

func TestCompose(t *testing.T) {
	type value struct {
		path []string
		want any
	}
	ask2 := func(s *server.Server) { s.Cluster.AskChanged = true }
	revert := func(s *server.Server) { s.Cluster.DriftPolicy = "Revert" }
	upgrade := func(spec map[string]any) {
		spec["postgresVersion"], spec["image"], spec["pause"] = 17, "percona/pg:17.9-1", true
		spec["backups"].(map[string]any)["pgbackrest"].(map[string]any)["image"] = "percona/pgbackrest:2.59.0-1"
	}
	upgraded := func(s *server.Server) {
		s.Cluster.PostgresVersion, s.Cluster.Image, s.Cluster.Backup.Image = 17, "percona/pg:17.9-1", "percona/pgbackrest:2.59.0-1"
	}

	backups := []string{"spec", "backups", "pgbackrest"}
	backups = backups[:3:3]

	cases := map[string]struct {
		reason string
		server *server.Server
		live   state
		values []value
		kept   []string
	}{
		"New": {
			reason: "a new cluster is what is asked for",
			server: resolved(),
			values: []value{{[]string{"instance", "replicas"}, 1.0}},
		},
		"Unchanged": {
			reason: "so is one that nobody touched",
			server: resolved(withBackup),
			live:   composed(t, resolved(withBackup), nil),
			values: []value{{[]string{"instance", "replicas"}, 1.0}},
		},
		"EditKept": {
			reason: "a person's edits stay and are listed",
			server: resolved(),
			live: composed(t, resolved(), func(spec map[string]any) {
				instance(spec)["replicas"] = 3
				spec["image"] = "mine:16"
			}),
			values: []value{{[]string{"instance", "replicas"}, 3.0}, {[]string{"spec", "image"}, "mine:16"}},
			kept:   []string{"spec.image", "spec.instances[instance1].replicas"},
		},
		"EditReverted": {
			reason: "unless they are to be reverted",
			server: resolved(revert),
			live:   composed(t, resolved(), func(spec map[string]any) { instance(spec)["replicas"] = 3 }),
			values: []value{{[]string{"instance", "replicas"}, 1.0}},
		},
		"EditOvertaken": {
			reason: "an edit stays until the spec asks for something else",
			server: resolved(ask2, func(s *server.Server) { s.Cluster.Replicas = 2 }),
			live:   composed(t, resolved(), func(spec map[string]any) { instance(spec)["replicas"] = 3 }),
			values: []value{{[]string{"instance", "replicas"}, 2.0}},
		},
		"FunctionUpgraded": {
			reason: "a new rendering of the same ask never beats an edit, and is applied where there is none",
			server: resolved(func(s *server.Server) { s.Cluster.Replicas, s.Cluster.CRVersion = 2, "2.10.0" }),
			live:   composed(t, resolved(), func(spec map[string]any) { instance(spec)["replicas"] = 3 }),
			values: []value{{[]string{"instance", "replicas"}, 3.0}, {[]string{"spec", "crVersion"}, "2.10.0"}},
			kept:   []string{"spec.instances[instance1].replicas"},
		},
		"GrownVolume": {
			reason: "a volume that somebody grew is not shrunk",
			server: resolved(),
			live: composed(t, resolved(), func(spec map[string]any) {
				instance(spec)["dataVolumeClaimSpec"].(map[string]any)["resources"] = map[string]any{"requests": map[string]any{"storage": "20Gi"}}
			}),
			values: []value{{[]string{"instance", "dataVolumeClaimSpec", "resources", "requests", "storage"}, "20Gi"}},
			kept:   []string{"spec.instances[instance1].dataVolumeClaimSpec.resources.requests.storage"},
		},
		"AdoptedExistingWins": {
			reason: "without a record what exists wins over what nobody states",
			server: resolved(),
			live: unrecorded(composed(t, resolved(), func(spec map[string]any) {
				instance(spec)["replicas"] = 3
				delete(spec, "image")
			})),
			values: []value{{[]string{"instance", "replicas"}, 3.0}, {[]string{"spec", "image"}, "percona/pg:16.13-1"}},
			kept:   []string{"spec.instances[instance1].replicas"},
		},
		"AdoptedStatedWins": {
			reason: "and what the XR states wins over what exists",
			server: resolved(withBackup, func(s *server.Server) {
				s.Cluster.Replicas = 2
			}, newlyAsked("replicas", "backup.enabled")),
			live:   unrecorded(composed(t, resolved(), func(spec map[string]any) { instance(spec)["replicas"] = 3 })),
			values: []value{{[]string{"instance", "replicas"}, 2.0}, {[]string{"spec", "backups", "enabled"}, true}, {[]string{"spec", "backups", "pgbackrest", "global", "repo1-path"}, "/pgbackrest/default/files/repo1"}},
		},
		"UpgradeKept": {
			reason: "what Percona's upgrade has written survives while edits are kept",
			server: resolved(upgraded),
			live:   composed(t, resolved(), upgrade),
			values: []value{{[]string{"spec", "postgresVersion"}, 17.0}, {[]string{"spec", "image"}, "percona/pg:17.9-1"}, {[]string{"spec", "backups", "pgbackrest", "image"}, "percona/pgbackrest:2.59.0-1"}, {[]string{"spec", "pause"}, nil}},
		},
		"UpgradeReverted": {
			reason: "and while edits are reverted",
			server: resolved(upgraded, revert),
			live:   composed(t, resolved(), upgrade),
			values: []value{{[]string{"spec", "postgresVersion"}, 17.0}, {[]string{"spec", "image"}, "percona/pg:17.9-1"}, {[]string{"spec", "backups", "pgbackrest", "image"}, "percona/pgbackrest:2.59.0-1"}, {[]string{"spec", "pause"}, nil}},
		},
		"KeptCluster": {
			reason: "a cluster that is not asked for any more stays as it was rendered",
			server: resolved(ask2, func(s *server.Server) {
				s.Cluster.Kept, s.Cluster.Backup.Mode = true, server.BackupHeld
			}),
			live: composed(t, resolved(withBackup, func(s *server.Server) { s.Cluster.Replicas = 3 }), nil),
			values: []value{
				{[]string{"instance", "replicas"}, 3.0}, {[]string{"spec", "backups", "enabled"}, true},
				{[]string{"spec", "backups", "pgbackrest", "global", "repo1-path"}, "/pgbackrest/default/files/repo1"},
			},
		},
		"KeptClusterUpgraded": {
			reason: "and follows Percona's upgrade",
			server: resolved(ask2, upgraded, func(s *server.Server) {
				s.Cluster.Kept, s.Cluster.Backup.Mode = true, server.BackupHeld
			}),
			live: composed(t, resolved(withBackup), upgrade),
			values: []value{
				{[]string{"spec", "postgresVersion"}, 17.0}, {[]string{"spec", "image"}, "percona/pg:17.9-1"},
				{[]string{"spec", "backups", "pgbackrest", "image"}, "percona/pgbackrest:2.59.0-1"},
				{[]string{"spec", "backups", "pgbackrest", "global", "repo1-path"}, "/pgbackrest/default/files/repo1"},
			},
		},
		"KeptBackups": {
			reason: "backups that were switched off without confirmation stay as they were rendered, and the rest is applied",
			server: resolved(ask2, func(s *server.Server) {
				s.Cluster.Replicas, s.Cluster.Backup.Mode = 2, server.BackupHeld
			}),
			live: composed(t, resolved(withBackup), nil),
			values: []value{
				{[]string{"instance", "replicas"}, 2.0}, {[]string{"spec", "backups", "enabled"}, true},
				{[]string{"spec", "backups", "pgbackrest", "global", "repo1-path"}, "/pgbackrest/default/files/repo1"},
			},
		},
		"KeptBackupsEdited": {
			reason: "they are held at what was rendered, not at what a person did to the live object",
			server: resolved(ask2, func(s *server.Server) { s.Cluster.Backup.Mode = server.BackupHeld }),
			live:   composed(t, resolved(withBackup), func(spec map[string]any) { global(spec)["repo1-path"] = "/elsewhere" }),
			values: []value{{append(backups, "global", "repo1-path"), "/pgbackrest/default/files/repo1"}},
		},
		"KeptBackupsOfNobody": {
			reason: "backups that the function never rendered stay as they are",
			server: resolved(func(s *server.Server) { s.Cluster.Backup.Mode = server.BackupHeld }),
			live: unrecorded(composed(t, resolved(withBackup), func(spec map[string]any) {
				spec["backups"].(map[string]any)["pgbackrest"].(map[string]any)["manual"] = map[string]any{"repoName": "repo1"}
			})),
			values: []value{
				{[]string{"spec", "backups", "enabled"}, true},
				{[]string{"spec", "backups", "pgbackrest", "global", "repo1-path"}, "/pgbackrest/default/files/repo1"},
				{[]string{"spec", "backups", "pgbackrest", "manual"}, nil},
			},
		},
		"AddedDatabases": {
			reason: "databases that a person adds stay, behind ours: Percona's Secret names the first one",
			server: resolved(func(s *server.Server) { s.Cluster.MetadataDatabaseName = "meta" }),
			live: composed(t, resolved(func(s *server.Server) { s.Cluster.MetadataDatabaseName = "meta" }), func(spec map[string]any) {
				user(spec)["databases"] = []any{"theirs", "meta", "dittofs", "more", "theirs"}
			}),
			values: []value{{[]string{"user", "databases"}, []any{"dittofs", "meta", "theirs", "more"}}},
			kept:   []string{"spec.users[dittofs].databases"},
		},
		"AddedDatabasesReverted": {
			reason: "unless edits are to be reverted",
			server: resolved(revert),
			live:   composed(t, resolved(), func(spec map[string]any) { user(spec)["databases"] = []any{"theirs", "dittofs"} }),
			values: []value{{[]string{"user", "databases"}, []any{"dittofs"}}},
		},
		"AddedDatabasesOfAKeptCluster": {
			reason: "also where nothing asks for the cluster any more, and nothing is reverted there",
			server: resolved(revert, func(s *server.Server) { s.Cluster.Kept = true }),
			live:   composed(t, resolved(), func(spec map[string]any) { user(spec)["databases"] = []any{"theirs", "dittofs"} }),
			values: []value{{[]string{"user", "databases"}, []any{"dittofs", "theirs"}}},
			kept:   []string{"spec.users[dittofs].databases"},
		},
		"AdoptedDatabases": {
			reason: "and where nothing is recorded",
			server: resolved(),
			live:   unrecorded(composed(t, resolved(), func(spec map[string]any) { user(spec)["databases"] = []any{"dittofs", "theirs"} })),
			values: []value{{[]string{"user", "databases"}, []any{"dittofs", "theirs"}}},
			kept:   []string{"spec.users[dittofs].databases"},
		},
		"DatabasesReordered": {
			reason: "ours is first again",
			server: resolved(func(s *server.Server) { s.Cluster.MetadataDatabaseName = "meta" }),
			live: composed(t, resolved(func(s *server.Server) { s.Cluster.MetadataDatabaseName = "meta" }), func(spec map[string]any) {
				user(spec)["databases"] = []any{"meta", "dittofs"}
			}),
			values: []value{{[]string{"user", "databases"}, []any{"dittofs", "meta"}}},
		},
		"OwnDatabaseDropped": {
			reason: "a database of ours that is not asked for any more is nobody's edit",
			server: resolved(ask2),
			live:   composed(t, resolved(func(s *server.Server) { s.Cluster.MetadataDatabaseName = "meta" }), nil),
			values: []value{{[]string{"user", "databases"}, []any{"dittofs"}}},
		},
		"UserRemoved": {
			reason: "the role that the server logs in as comes back, with its database",
			server: resolved(),
			live:   composed(t, resolved(), func(spec map[string]any) { spec["users"] = []any{map[string]any{"name": "theirs"}} }),
			values: []value{{[]string{"user", "databases"}, []any{"dittofs"}}},
		},
		"UsersRemoved": {
			reason: "also with all others",
			server: resolved(),
			live:   composed(t, resolved(), func(spec map[string]any) { delete(spec, "users") }),
			values: []value{{[]string{"user", "databases"}, []any{"dittofs"}}},
		},
		"RepositoryPathEdited": {
			reason: "the backups are where they are: the path is put back, and other edits beside it stay",
			server: resolved(withBackup),
			live: composed(t, resolved(withBackup), func(spec map[string]any) {
				global(spec)["repo1-path"], global(spec)["repo1-retention-full"] = "/elsewhere", "30"
			}),
			values: []value{{append(backups, "global", "repo1-path"), "/pgbackrest/default/files/repo1"}, {append(backups, "global", "repo1-retention-full"), "30"}},
			kept:   []string{"spec.backups.pgbackrest.global.repo1-retention-full"},
		},
		"RepositoryPathRemoved": {
			reason: "so it is where somebody removed it",
			server: resolved(withBackup),
			live:   composed(t, resolved(withBackup), func(spec map[string]any) { delete(global(spec), "repo1-path") }),
			values: []value{{append(backups, "global", "repo1-path"), "/pgbackrest/default/files/repo1"}},
		},
		"RepositoryOptionsRemoved": {
			reason: "or everything around it",
			server: resolved(withBackup),
			live: composed(t, resolved(withBackup), func(spec map[string]any) {
				delete(spec["backups"].(map[string]any)["pgbackrest"].(map[string]any), "global")
			}),
			values: []value{{append(backups, "global", "repo1-path"), "/pgbackrest/default/files/repo1"}},
		},
		"RepositoryPathOfNobody": {
			reason: "what is decided of the path is decided before: without a record it is not what exists, either",
			server: resolved(withBackup),
			live:   unrecorded(composed(t, resolved(withBackup), func(spec map[string]any) { global(spec)["repo1-path"] = "/elsewhere" })),
			values: []value{{append(backups, "global", "repo1-path"), "/pgbackrest/default/files/repo1"}},
		},
		"VersionEdited": {
			reason: "the version is that of the files, and is put back",
			server: resolved(),
			live:   composed(t, resolved(), func(spec map[string]any) { spec["postgresVersion"] = 17 }),
			values: []value{{[]string{"spec", "postgresVersion"}, 16.0}},
		},
		"ClassEdited": {
			reason: "the volumes are of the class that they are of",
			server: resolved(func(s *server.Server) { s.Cluster.StorageClassName = ptr.To("fast") }),
			live: composed(t, resolved(func(s *server.Server) { s.Cluster.StorageClassName = ptr.To("fast") }), func(spec map[string]any) {
				instance(spec)["dataVolumeClaimSpec"].(map[string]any)["storageClassName"] = "slow"
			}),
			values: []value{{[]string{"instance", "dataVolumeClaimSpec", "storageClassName"}, "fast"}},
		},
		"NewlyStated": {
			reason: "one replica, newly stated, undoes an edit to three although one was the default; other edits stay",
			server: resolved(newlyAsked("replicas")),
			live:   composed(t, resolved(), func(spec map[string]any) { instance(spec)["replicas"], spec["image"] = 3, "mine:16" }),
			values: []value{{[]string{"instance", "replicas"}, 1.0}, {[]string{"spec", "image"}, "mine:16"}},
			kept:   []string{"spec.image"},
		},
		"NewlyStatedElsewhere": {
			reason: "another field that is newly stated undoes nothing",
			server: resolved(newlyAsked("resources")),
			live:   composed(t, resolved(), func(spec map[string]any) { instance(spec)["replicas"] = 3 }),
			values: []value{{[]string{"instance", "replicas"}, 3.0}},
			kept:   []string{"spec.instances[instance1].replicas"},
		},
		"NewlyStatedBackups": {
			reason: "backups that are newly stated are switched on again, and its schedule is the spec's",
			server: resolved(withBackup, newlyAsked("backup.enabled", "backup.fullSchedule")),
			live: composed(t, resolved(withBackup), func(spec map[string]any) {
				b := spec["backups"].(map[string]any)
				b["enabled"] = false
				schedules := b["pgbackrest"].(map[string]any)["repos"].([]any)[0].(map[string]any)["schedules"].(map[string]any)
				schedules["full"], schedules["incremental"] = "1 1 * * *", "2 2 * * *"
			}),
			values: []value{{[]string{"spec", "backups", "enabled"}, true}, {[]string{"repo", "schedules"}, map[string]any{"full": "0 2 * * *", "incremental": "2 2 * * *"}}},
			kept:   []string{"spec.backups.pgbackrest.repos[repo1].schedules.incremental"},
		},
		"NewlyStatedOfAKeptCluster": {
			reason: "nothing asks for a kept cluster, whatever else the spec says of it",
			server: resolved(newlyAsked("replicas"), func(s *server.Server) { s.Cluster.Kept, s.Cluster.Replicas = true, 5 }),
			live:   composed(t, resolved(), func(spec map[string]any) { instance(spec)["replicas"] = 3 }),
			values: []value{{[]string{"instance", "replicas"}, 3.0}},
			kept:   []string{"spec.instances[instance1].replicas"},
		},
		"HeldBackupsSwitchedOffByHand": {
			reason: "backups that a person has switched off stay off while the spec's removal of them is held",
			server: resolved(ask2, func(s *server.Server) { s.Cluster.Backup.Mode = server.BackupHeld }),
			live:   composed(t, resolved(withBackup), func(spec map[string]any) { spec["backups"].(map[string]any)["enabled"] = false }),
			values: []value{{[]string{"spec", "backups", "enabled"}, false}},
			kept:   []string{"spec.backups.enabled"},
		},
		"Foreign": {
			reason: "what Percona and others have written is not sent",
			server: resolved(),
			live: composed(t, resolved(), func(spec map[string]any) {
				spec["pause"] = true
				spec["proxy"] = map[string]any{"pgBouncer": map[string]any{"replicas": 2}}
				spec["users"] = append(spec["users"].([]any), map[string]any{"name": "theirs"})
			}),
			values: []value{{[]string{"spec", "pause"}, nil}, {[]string{"spec", "proxy"}, nil}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := compose(t, tc.server, tc.live)
			got, kept := c.Object, c.Kept
			for _, v := range tc.values {
				if diff := cmp.Diff(v.want, at(t, got, v.path...)); diff != "" {
					t.Errorf("%s\nCompose(...) at %s: -want, +got:\n%s", tc.reason, strings.Join(v.path, "."), diff)
				}
			}
			if diff := cmp.Diff(tc.kept, kept); diff != "" {
				t.Errorf("%s\nCompose(...) kept: -want, +got:\n%s", tc.reason, diff)
			}
			if users, _ := at(t, got, "spec", "users").([]any); len(users) != 1 {
				t.Errorf("%s\nCompose(...): want one user, got %v", tc.reason, users)
			}
		})
	}
}

// TestRecord guards that the base of the merge is what spec and Input alone
// rendered, before anything was merged into it.
func TestRecord(t *testing.T) {
	s := resolved(func(s *server.Server) {
		c := s.Cluster
		c.Stated = record.StatedImage{Image: "x", PostgresVersion: 16}
		c.Asked = map[string]any{"enabled": true}
		c.Initialized = true
		c.Volume = record.Volume{Size: "5Gi", Class: ptr.To("fast")}
		c.Backup.Secret = "s3"
	})
	fresh := compose(t, s, state{})
	edited := compose(t, s, composed(t, s, func(spec map[string]any) {
		instance(spec)["replicas"] = 5
		user(spec)["databases"] = []any{"theirs", "dittofs"}
	}))
	want := &record.Cluster{
		Asked:        map[string]any{"enabled": true},
		Stated:       record.StatedImage{Image: "x", PostgresVersion: 16},
		Initialized:  true,
		Volume:       record.Volume{Size: "5Gi", Class: ptr.To("fast")},
		BackupSecret: "s3",
		Spec:         clone(t, fresh.Object)["spec"].(map[string]any),
	}
	for name, got := range map[string]*record.Cluster{"fresh": fresh.Record, "edited": edited.Record} {
		if diff := cmp.Diff(want, recorded(t, got)); diff != "" {
			t.Errorf("the record of the %s cluster: want that of the spec alone: -want, +got:\n%s", name, diff)
		}
	}
	if got := object(t, edited.Object).Map("metadata", "annotations"); got != nil {
		t.Errorf("Compose(...): want the record beside the object, got the annotations %v", got)
	}
}

// TestEditsStayOverManyCalls: a response becomes what is observed.
func TestEditsStayOverManyCalls(t *testing.T) {
	s := resolved(withBackup)
	st := composed(t, s, func(spec map[string]any) {
		instance(spec)["replicas"] = 3
		delete(spec, "autoCreateUserSchema")
		user(spec)["databases"] = []any{"theirs", "dittofs"}
	})
	want := []string{"spec.autoCreateUserSchema (removed)", "spec.instances[instance1].replicas", "spec.users[dittofs].databases"}
	var last map[string]any
	for range 3 {
		c := compose(t, s, st)
		if diff := cmp.Diff(want, c.Kept); diff != "" {
			t.Fatalf("Compose(...) kept: -want, +got:\n%s", diff)
		}
		if last != nil {
			if diff := cmp.Diff(last, clone(t, c.Object)); diff != "" {
				t.Fatalf("Compose(...): want the same response each time: -last, +this:\n%s", diff)
			}
		}
		last, st = clone(t, c.Object), state{object(t, c.Object), recorded(t, c.Record)}
	}
}

func TestAuthorizationOfBackupRemoval(t *testing.T) {
	s := resolved(func(s *server.Server) { s.Cluster.Backup.Mode, s.Cluster.AskChanged = server.BackupRemoved, true })
	o := object(t, compose(t, s, composed(t, resolved(withBackup), nil)).Object)
	if o.Annotation(names.AnnotationAuthorizeBackupRemoval) != "true" || o.Bool("spec", "backups", "enabled") {
		t.Errorf("Compose(...): want backups switched off, and Percona allowed to, got %v", o.Map())
	}
}

func TestQuantitiesAreCanonical(t *testing.T) {
	m := compose(t, resolved(func(s *server.Server) { s.Cluster.StorageSize = resource.MustParse("1024Mi") }), state{}).Object
	if got := at(t, m, "instance", "dataVolumeClaimSpec", "resources", "requests", "storage"); got != "1Gi" {
		t.Errorf("Compose(...): want a quantity as Percona writes it back, 1Gi, got %v", got)
	}
}

// TestFinalizersOfWhatIsBeingDeleted guards that a cluster that is on its way out
// can go on being applied: the API server refuses finalizers that it has not, and
// one that is no longer sent would be taken away before Percona is done.
func TestFinalizersOfWhatIsBeingDeleted(t *testing.T) {
	s := resolved(func(s *server.Server) { s.Cluster.DeleteWithServer = true })
	const pvc, ssl = "percona.com/delete-pvc", "percona.com/delete-ssl"
	cases := map[string]struct {
		reason string
		meta   map[string]any
		want   []string
	}{
		"Live":    {"both are wanted", map[string]any{}, []string{pvc, ssl}},
		"Begun":   {"what is there stays", map[string]any{"deletionTimestamp": "x", "finalizers": []any{pvc, ssl, "foregroundDeletion"}}, []string{pvc, ssl}},
		"Halfway": {"what Percona is done with does not come back", map[string]any{"deletionTimestamp": "x", "finalizers": []any{ssl}}, []string{ssl}},
		"Orphan":  {"nothing is added", map[string]any{"deletionTimestamp": "x", "finalizers": []any{"orphan"}}, []string{}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			live, err := structpb.NewStruct(map[string]any{"metadata": tc.meta, "spec": map[string]any{}})
			if err != nil {
				t.Fatal(err)
			}
			got := compose(t, s, state{live: observed.FromStruct(live)}).Object
			if diff := cmp.Diff(tc.want, object(t, got).Strings("metadata", "finalizers")); diff != "" {
				t.Errorf("%s\nfinalizers: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
