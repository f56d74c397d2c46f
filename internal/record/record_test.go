package record

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

func object(t *testing.T, y string) observed.Object {
	t.Helper()
	return observed.FromStruct(yamltest.Struct(t, y))
}

// leaving stands among the annotations of an object that is being deleted.
const leaving = "leaving"

// annotated returns an object with annotations of the function's.
func annotated(t *testing.T, annotations map[string]string) observed.Object {
	t.Helper()
	as := map[string]any{}
	meta := map[string]any{"name": "x", "annotations": as}
	for k, v := range annotations {
		if k == leaving {
			meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
			continue
		}
		as["dittoserver.fn.crossplane.io/"+k] = v
	}
	s, err := structpb.NewStruct(map[string]any{"metadata": meta})
	if err != nil {
		t.Fatal(err)
	}
	return observed.FromStruct(s)
}

// full has a value in every field, so that one that is not written shows.
func full() Record {
	return Record{
		Version: 1,
		XR:      "0a1b2c3d",
		Server: &Server{
			Image: "dittofs:1",
			Database: Database{
				Kind: External, Path: "/x.db", Secret: "pg", HasPort: true, HasSSLMode: true, HasCA: true,
				SSLMode: "prefer", OptionalKeys: true, FoundPort: true, FoundSSLMode: true, FixedName: true,
			},
			Started: true, JWT: SecretKey{"j", "k"}, Admin: SecretKey{"a", "p"}, AdminOptional: true, AdminFingerprint: "f",
			Metrics: &Metrics{Port: 9090, Path: "/metrics", Token: SecretKey{"t", "k"}},
		},
		Cluster: &Cluster{
			Asked:        map[string]any{"enabled": true},
			Stated:       StatedImage{Image: "pg:mine", PostgresVersion: 16},
			Initialized:  true,
			Volume:       Volume{Size: "10Gi", Class: ptr.To("fast")},
			BackupSecret: "s3",
			Spec:         map[string]any{"postgresVersion": 16.0},
		},
		VersionGuessed: true,
		Spent:          Spent{Switch: "percona", Removal: true},
	}
}

func TestEncode(t *testing.T) {
	want := full()
	doc, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, Read(annotated(t, map[string]string{"record": doc}), observed.Object{})); diff != "" {
		t.Errorf("Read(Encode(...)): -want, +got:\n%s", diff)
	}
	again, err := want.Encode()
	if err != nil || again != doc {
		t.Errorf("Encode(): want the same bytes every time, got %s and %s, %v", doc, again, err)
	}
}

// TestFormatNeverChanges guards the names under which a record is written: a
// record that was written under another name is lost, and with it what holds the
// server's data in place. A line may be added.
func TestFormatNeverChanges(t *testing.T) {
	const want = `{"version":1,"xr":"0a1b2c3d","server":{"image":"dittofs:1","database":{"kind":"external","path":"/x.db","secret":"pg",` +
		`"hasPort":true,"hasSSLMode":true,"hasCA":true,"sslMode":"prefer","optionalKeys":true,"foundPort":true,"foundSSLMode":true,"fixedName":true},"started":true,` +
		`"jwt":{"name":"j","key":"k"},"admin":{"name":"a","key":"p"},"adminOptional":true,"adminFingerprint":"f",` +
		`"metrics":{"port":9090,"path":"/metrics","token":{"name":"t","key":"k"}}},` +
		`"cluster":{"asked":{"enabled":true},"stated":{"image":"pg:mine","postgresVersion":16},"initialized":true,` +
		`"volume":{"size":"10Gi","class":"fast"},"backupSecret":"s3","spec":{"postgresVersion":16}},` +
		`"versionGuessed":true,"spent":{"switch":"percona","removal":true}}`
	got, err := full().Encode()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Encode(): -want, +got:\n%s", diff)
	}
}

func TestEncodeLeavesOutWhatIsNothing(t *testing.T) {
	got, err := Record{}.Encode()
	if want := `{"version":1}`; err != nil || got != want {
		t.Errorf("Encode() of nothing: want %s, got %s, %v", want, got, err)
	}
}

func TestRead(t *testing.T) {
	const (
		config  = `{"version":1,"server":{"database":{"kind":"sqlite","path":"/a.db"}}}`
		cluster = `{"version":1,"server":{"database":{"kind":"percona"}},"cluster":{"spec":{"crVersion":"2.9.0"}}}`

		rendered = `{"ask":"0123456789abcdef","stated":{"image":"pg:mine","postgresVersion":16},"spec":{"postgresVersion":16}}`
	)
	sqlite := Record{Version: 1, Server: &Server{Database: Database{Kind: SQLite, Path: "/a.db"}}}
	percona := Record{Version: 1, Server: &Server{Database: Database{Kind: Percona}}, Cluster: &Cluster{Spec: map[string]any{"crVersion": "2.9.0"}}}
	first := &Cluster{Digest: "0123456789abcdef", Stated: StatedImage{"pg:mine", 16}, Initialized: true, Spec: map[string]any{"postgresVersion": 16.0}}

	cases := map[string]struct {
		reason          string
		config, cluster map[string]string
		want            Record
	}{
		"Nothing": {
			reason: "there is no record",
		},
		"Config": {
			reason:  "the ConfigMap's is the record, the cluster's a copy that may be older",
			config:  map[string]string{"record": config},
			cluster: map[string]string{"record": cluster},
			want:    sqlite,
		},
		"ConfigIsBeingDeleted": {
			reason:  "what is being deleted is not written any more, and the copy is",
			config:  map[string]string{"record": config, leaving: "true"},
			cluster: map[string]string{"record": cluster},
			want:    percona,
		},
		"BothAreBeingDeleted": {
			reason:  "neither is newer",
			config:  map[string]string{"record": config, leaving: "true"},
			cluster: map[string]string{"record": cluster, leaving: "true"},
			want:    sqlite,
		},
		"Cluster": {
			reason:  "the copy serves where the ConfigMap is gone",
			cluster: map[string]string{"record": cluster},
			want:    percona,
		},
		"BrokenConfig": {
			reason:  "or where somebody broke its record",
			config:  map[string]string{"record": `{"version":1,`},
			cluster: map[string]string{"record": cluster},
			want:    percona,
		},
		"BothBroken": {
			reason:  "a record that cannot be read is as good as none",
			config:  map[string]string{"record": `"x"`},
			cluster: map[string]string{"record": `[]`},
		},
		"NoKind": {
			reason:  "a server without a database is no record: it would be taken to be on SQLite",
			config:  map[string]string{"record": `{"version":1,"server":{"image":"x"}}`},
			cluster: map[string]string{"record": cluster},
			want:    percona,
		},
		"UnknownKind": {
			reason: "nor is one on a database that nobody knows",
			config: map[string]string{"record": `{"version":1,"server":{"database":{"kind":"mysql"}}}`},
		},
		"ClusterWithoutSpec": {
			reason: "a cluster that was never rendered is no record",
			config: map[string]string{"record": `{"version":1,"server":{"database":{"kind":"percona"}},"cluster":{"initialized":true}}`},
		},
		"ClusterAlone": {
			reason: "there is a cluster before there is a server",
			config: map[string]string{"record": `{"version":1,"cluster":{"spec":{}}}`},
			want:   Record{Version: 1, Cluster: &Cluster{Spec: map[string]any{}}},
		},
		"LaterFormat": {
			reason: "after a downgrade what can be read is read",
			config: map[string]string{"record": `{"version":2,"server":{"database":{"kind":"percona"},"colour":"red"}}`},
			want:   Record{Version: 2, Server: &Server{Database: Database{Kind: Percona}}},
		},

		// The first format.
		"First": {
			reason:  "four annotations; the format does not tell whether there is data, so there may be",
			config:  map[string]string{"database": `{"kind":"external","secret":"pg","hasCA":true,"sslMode":"verify-full"}`, "image": "dittofs:1", "admin-at-first-start": "0123", "rendered": rendered},
			cluster: map[string]string{"rendered": rendered},
			want: Record{
				Server:  &Server{Image: "dittofs:1", Database: Database{Kind: External, Secret: "pg", HasCA: true, SSLMode: "verify-full"}, AdminFingerprint: "0123"},
				Cluster: first,
			},
		},
		"FirstOfTheCluster": {
			reason:  "the cluster's is what was rendered for the cluster that there is",
			config:  map[string]string{"rendered": `{"ask":"old","spec":{"postgresVersion":15}}`},
			cluster: map[string]string{"rendered": rendered},
			want:    Record{Cluster: first},
		},
		"FirstOfTheConfig": {
			reason: "the ConfigMap's serves where there is no cluster",
			config: map[string]string{"rendered": rendered},
			want:   Record{Cluster: first},
		},
		"FirstBroken": {
			reason:  "a broken one is as good as none, each for itself",
			config:  map[string]string{"database": `{`, "image": "dittofs:1", "rendered": rendered},
			cluster: map[string]string{"rendered": `{"ask":"x"}`},
			want:    Record{Cluster: first},
		},
		"FirstWithoutKind": {
			reason: "a database has a kind",
			config: map[string]string{"database": `{"secret":"pg"}`},
		},
		"NewBeforeFirst": {
			reason:  "what was written last is read",
			config:  map[string]string{"record": config, "database": `{"kind":"percona"}`},
			cluster: map[string]string{"rendered": rendered},
			want:    sqlite,
		},
		"FirstAfterBroken": {
			reason: "what was written before serves where the later is broken",
			config: map[string]string{"record": `{`, "database": `{"kind":"percona"}`},
			want:   Record{Server: &Server{Database: Database{Kind: Percona}}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var config, cluster observed.Object
			if tc.config != nil {
				config = annotated(t, tc.config)
			}
			if tc.cluster != nil {
				cluster = annotated(t, tc.cluster)
			}
			if diff := cmp.Diff(tc.want, Read(config, cluster)); diff != "" {
				t.Errorf("%s\nRead(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestSame(t *testing.T) {
	external := Database{Kind: External, Secret: "pg"}
	cases := map[string]struct {
		reason string
		a, b   Database
		want   bool
	}{
		"Wiring":      {reason: "how it is reached does not make it another", a: external, b: Database{Kind: External, Secret: "pg", HasCA: true, SSLMode: "verify-full", OptionalKeys: true}, want: true},
		"FixedName":   {reason: "nor does a name that is fixed", a: Database{Kind: Percona}, b: Database{Kind: Percona, FixedName: true}, want: true},
		"OtherKind":   {reason: "another kind does", a: external, b: Database{Kind: Percona}},
		"OtherSecret": {reason: "and so does another Secret", a: external, b: Database{Kind: External, Secret: "pg2"}},
		"OtherPath":   {reason: "and another file", a: Database{Kind: SQLite, Path: "/a"}, b: Database{Kind: SQLite, Path: "/b"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if tc.a.Same(tc.b) != tc.want || tc.b.Same(tc.a) != tc.want {
				t.Errorf("%s: want %t", tc.reason, tc.want)
			}
		})
	}
}

func TestCluster(t *testing.T) {
	c := &Cluster{}
	if err := json.Unmarshal([]byte(`{"spec":{
		"image":"pg:1","postgresVersion":17,
		"users":[{"name":"other","databases":["o"]},{"name":"dittofs","databases":["ours","meta"]}],
		"instances":[{"name":"instance2"},{"name":"instance1","replicas":3}],
		"backups":{"enabled":true,"pgbackrest":{"global":{"repo1-path":"/p"}}}}}`), c); err != nil {
		t.Fatal(err)
	}
	type read struct {
		Image, Path, Database string
		Version               int
		Replicas              any
		Backups               bool
	}
	of := func(c *Cluster) read {
		return read{c.String("image"), c.String("backups", "pgbackrest", "global", "repo1-path"), c.DatabaseName(), c.PostgresVersion(), c.Instance()["replicas"], c.BackupsOn()}
	}
	cases := map[string]struct {
		reason string
		c      *Cluster
		want   read
	}{
		"Full":  {reason: "our user and our instance set are meant, and our database is the first", c: c, want: read{"pg:1", "/p", "ours", 17, 3.0, true}},
		"Nil":   {reason: "no record has nothing"},
		"Empty": {reason: "nor has an empty one", c: &Cluster{Spec: map[string]any{}}},
		"Odd":   {reason: "nor one of other types", c: &Cluster{Spec: map[string]any{"image": 1.0, "postgresVersion": "17", "users": []any{"x", map[string]any{"name": "dittofs", "databases": []any{}}}, "instances": "x", "backups": true}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, of(tc.c)); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
