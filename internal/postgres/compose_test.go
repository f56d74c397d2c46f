package postgres

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// clone is a deep copy as JSON decodes it, which is how a live object comes.
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

// A result is a Composed with its object as plain values.
type result struct {
	Object map[string]any
	Kept   []string
	Record string
}

// compose composes on the base that the live cluster records.
func compose(t *testing.T, s *server.Server, live observed.Object) result {
	t.Helper()
	s.Cluster.Base = nil
	if r := record(live); r != nil {
		s.Cluster.Base = r
	}
	c, err := Compose(s, live)
	if err != nil {
		t.Fatal(err)
	}
	return result{c.Object.AsMap(), c.Kept, c.Record}
}

// record is what a cluster records of what was asked for.
func record(o observed.Object) *server.Rendered {
	r := &server.Rendered{}
	if err := json.Unmarshal([]byte(o.Annotation(names.AnnotationRendered)), r); err != nil {
		return nil
	}
	return r
}

func object(t *testing.T, m map[string]any) observed.Object {
	t.Helper()
	s, err := structpb.NewStruct(clone(t, m))
	if err != nil {
		t.Fatal(err)
	}
	return observed.FromStruct(s)
}

// composed is what Compose makes of a server, as it then exists, edited.
func composed(t *testing.T, s *server.Server, edit func(spec map[string]any)) observed.Object {
	t.Helper()
	live := clone(t, compose(t, s, observed.Object{}).Object)
	if edit != nil {
		edit(live["spec"].(map[string]any))
	}
	return object(t, live)
}

func at(t *testing.T, m map[string]any, path ...string) any {
	t.Helper()
	o := object(t, m)
	if path[0] == "instance" {
		o, path = o.Named("instance1", "spec", "instances"), path[1:]
	}
	return o.Value(path...).AsInterface()
}

func instance(spec map[string]any) map[string]any {
	return spec["instances"].([]any)[0].(map[string]any)
}

func TestCompose(t *testing.T) {
	type value struct {
		path []string
		want any
	}
	ask2 := func(s *server.Server) { s.Cluster.Ask = "ask-2" }
	revert := func(s *server.Server) { s.Cluster.DriftPolicy = "Revert" }
	noRecord := func(o observed.Object) observed.Object {
		m := o.Map()
		delete(m["metadata"].(map[string]any), "annotations")
		s, err := structpb.NewStruct(m)
		if err != nil {
			panic(err)
		}
		return observed.FromStruct(s)
	}
	upgrade := func(spec map[string]any) {
		spec["postgresVersion"], spec["image"], spec["pause"] = 17, "percona/pg:17.9-1", true
		spec["backups"].(map[string]any)["pgbackrest"].(map[string]any)["image"] = "percona/pgbackrest:2.59.0-1"
	}
	upgraded := func(s *server.Server) {
		s.Cluster.PostgresVersion, s.Cluster.Image, s.Cluster.Backup.Image = 17, "percona/pg:17.9-1", "percona/pgbackrest:2.59.0-1"
	}

	cases := map[string]struct {
		reason string
		server *server.Server
		live   observed.Object
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
			live: noRecord(composed(t, resolved(), func(spec map[string]any) {
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
				s.Cluster.States = server.States{Replicas: true, Backup: true}
			}),
			live:   noRecord(composed(t, resolved(), func(spec map[string]any) { instance(spec)["replicas"] = 3 })),
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
				s.Cluster.Kept, s.Cluster.Backup.Kept, s.Cluster.Backup.On = true, true, true
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
				s.Cluster.Kept, s.Cluster.Backup.Kept, s.Cluster.Backup.On = true, true, true
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
				s.Cluster.Replicas, s.Cluster.Backup.Kept, s.Cluster.Backup.On = 2, true, true
			}),
			live: composed(t, resolved(withBackup), nil),
			values: []value{
				{[]string{"instance", "replicas"}, 2.0}, {[]string{"spec", "backups", "enabled"}, true},
				{[]string{"spec", "backups", "pgbackrest", "global", "repo1-path"}, "/pgbackrest/default/files/repo1"},
			},
		},
		"KeptBackupsOfNobody": {
			reason: "backups that the function never rendered stay as they are",
			server: resolved(func(s *server.Server) { s.Cluster.Backup.Kept, s.Cluster.Backup.On = true, true }),
			live: noRecord(composed(t, resolved(withBackup), func(spec map[string]any) {
				spec["backups"].(map[string]any)["pgbackrest"].(map[string]any)["manual"] = map[string]any{"repoName": "repo1"}
			})),
			values: []value{
				{[]string{"spec", "backups", "enabled"}, true},
				{[]string{"spec", "backups", "pgbackrest", "global", "repo1-path"}, "/pgbackrest/default/files/repo1"},
				{[]string{"spec", "backups", "pgbackrest", "manual"}, nil},
			},
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
	s := resolved(func(s *server.Server) { s.Cluster.Stated = server.StatedImage{Image: "x", PostgresVersion: 16} })
	fresh := compose(t, s, observed.Object{})
	edited := compose(t, s, composed(t, s, func(spec map[string]any) { instance(spec)["replicas"] = 5 }))
	want, got := record(object(t, fresh.Object)), record(object(t, edited.Object))
	if want == nil || got == nil {
		t.Fatal("Compose(...): want a record")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the record of an edited cluster: want that of the spec alone: -want, +got:\n%s", diff)
	}
	if diff := cmp.Diff(object(t, fresh.Object).Annotation(names.AnnotationRendered), edited.Record); diff != "" {
		t.Errorf("the record to keep elsewhere: want the same: -want, +got:\n%s", diff)
	}
	if diff := cmp.Diff(server.StatedImage{Image: "x", PostgresVersion: 16}, got.Stated); diff != "" || got.Ask != "ask-1" {
		t.Errorf("the record: want the ask and the stated image in it, got %s: -want, +got:\n%s", got.Ask, diff)
	}
}

// TestEditsStayOverManyCalls: an answer becomes what is observed.
func TestEditsStayOverManyCalls(t *testing.T) {
	s := resolved(withBackup)
	live := composed(t, s, func(spec map[string]any) {
		instance(spec)["replicas"] = 3
		delete(spec, "autoCreateUserSchema")
	})
	want := []string{"spec.autoCreateUserSchema (removed)", "spec.instances[instance1].replicas"}
	var last map[string]any
	for range 3 {
		c := compose(t, s, live)
		m, kept := c.Object, c.Kept
		if diff := cmp.Diff(want, kept); diff != "" {
			t.Fatalf("Compose(...) kept: -want, +got:\n%s", diff)
		}
		if last != nil {
			if diff := cmp.Diff(last, clone(t, m)); diff != "" {
				t.Fatalf("Compose(...): want the same answer each time: -last, +this:\n%s", diff)
			}
		}
		last, live = clone(t, m), object(t, m)
	}
}

func TestAuthorizationStaysBesideTheRecord(t *testing.T) {
	s := resolved(func(s *server.Server) { s.Cluster.Backup.Removed = true })
	m := compose(t, s, composed(t, resolved(withBackup), nil)).Object
	o := object(t, m)
	if o.Annotation(names.AnnotationAuthorizeBackupRemoval) != "true" || o.Annotation(names.AnnotationRendered) == "" {
		t.Errorf("Compose(...): want both annotations, got %v", o.Map("metadata", "annotations"))
	}
}

func TestQuantitiesAreCanonical(t *testing.T) {
	m := compose(t, resolved(func(s *server.Server) { s.Cluster.StorageSize = resource.MustParse("1024Mi") }), observed.Object{}).Object
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
			got := compose(t, s, observed.FromStruct(live)).Object
			if diff := cmp.Diff(tc.want, object(t, got).Strings("metadata", "finalizers")); diff != "" {
				t.Errorf("%s\nfinalizers: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
