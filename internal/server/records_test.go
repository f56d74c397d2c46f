package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

// TestVersionsOfWhatIsLive guards that a new default of a new function reaches
// nothing that is live.
func TestVersionsOfWhatIsLive(t *testing.T) {
	type versions struct {
		Server, CR, Postgres, Backup string
		Major                        int
	}
	const (
		old     = "marmos91c/dittofs:v0.28.0"
		pg      = "docker.io/percona/percona-distribution-postgresql:"
		backup  = "docker.io/percona/percona-pgbackrest:"
		percona = `percona: {enabled: true, storageSize: 20Gi, storageClassName: fast, backup: {enabled: true, bucket: b, endpoint: e, credentialsSecretRef: {name: s3}}}`
	)
	s3 := map[string]string{"Secret/s3": `{data: {s3.conf: Y2FuYXJ5}}`}
	// crVersion 2.9.5 is what some other release would have chosen.
	chosen := strings.Replace(clusterSpec, "2.9.0", "2.9.5", 1)
	edited := strings.ReplaceAll(chosen, "16.10-1", "16.12-1")
	upgraded := strings.NewReplacer("postgresVersion: 16", "postgresVersion: 17", "16.10-1", "17.9-1", "2.57.0-1", "2.58.0-1").Replace(chosen)
	// The first format of the record.
	first := `{metadata: {annotations: {dittoserver.fn.crossplane.io/image: "` + old + `", dittoserver.fn.crossplane.io/database: '{"kind":"percona"}'}}}`
	config := config(t, record.Record{
		Server:  &record.Server{Image: old, Database: record.Database{Kind: record.Percona}},
		Cluster: recorded(t, chosen),
	})
	live := liveServer(wiredToPercona, metadataClaim+","+controlClaim)

	cases := map[string]struct {
		reason string
		call   call
		want   versions
	}{
		"New": {
			reason: "what is new gets the defaults",
			call:   call{spec: percona, answers: s3},
			want:   versions{server.DefaultImage, server.DefaultCRVersion, pg + "16.13-1", server.DefaultBackupImage, 16},
		},
		"NewAndStated": {
			reason: "or what the spec says",
			call:   call{spec: `image: "x:1", percona: {enabled: true, crVersion: 2.10.0, image: "pg:17.1-1", postgresVersion: 17}`},
			want:   versions{"x:1", "2.10.0", "pg:17.1-1", server.DefaultBackupImage, 17},
		},
		"Recorded": {
			reason: "what was chosen at creation stays",
			call: call{spec: percona, answers: s3, composed: map[string]string{
				"server": live, "config": config, "postgres": liveCluster(t, chosen, nil),
			}},
			want: versions{old, "2.9.5", pg + "16.10-1", backup + "2.57.0-1", 16},
		},
		"RecordBeforeLive": {
			reason: "an edit of the live object is not what was chosen",
			call: call{spec: percona, answers: s3, composed: map[string]string{
				"server": strings.Replace(live, "v0.28.0", "edited", 1), "config": config, "postgres": liveCluster(t, edited, nil),
			}},
			want: versions{old, "2.9.5", pg + "16.10-1", backup + "2.57.0-1", 16},
		},
		"VersionEditedByHand": {
			reason: "a version that somebody wrote without the image of an upgrade is no upgrade",
			call: call{spec: percona, answers: s3, composed: map[string]string{
				"server": live, "config": config, "postgres": liveCluster(t, strings.Replace(chosen, "postgresVersion: 16", "postgresVersion: 17", 1), nil),
			}},
			want: versions{old, "2.9.5", pg + "16.10-1", backup + "2.57.0-1", 16},
		},
		"VersionAndImageOfAnotherEditedByHand": {
			reason: "nor is one with the image of a third version",
			call: call{spec: percona, answers: s3, composed: map[string]string{
				"server": live, "config": config, "postgres": liveCluster(t, strings.NewReplacer("postgresVersion: 16", "postgresVersion: 17", "16.10-1", "18.3-1").Replace(chosen), nil),
			}},
			want: versions{old, "2.9.5", pg + "16.10-1", backup + "2.57.0-1", 16},
		},
		"VersionLoweredByHand": {
			reason: "nobody upgrades to what is older",
			call: call{spec: percona, answers: s3, composed: map[string]string{
				"server": live, "config": config, "postgres": liveCluster(t, strings.NewReplacer("postgresVersion: 16", "postgresVersion: 15", "16.10-1", "15.17-1").Replace(chosen), nil),
			}},
			want: versions{old, "2.9.5", pg + "16.10-1", backup + "2.57.0-1", 16},
		},
		"NoRecord": {
			reason: "the live object where there is no record",
			call: call{spec: percona, answers: s3, composed: map[string]string{
				"server": live, "postgres": liveCluster(t, chosen, nil),
			}},
			want: versions{old, "2.9.5", pg + "16.10-1", backup + "2.57.0-1", 16},
		},
		"BrokenRecord": {
			reason: "a record that somebody broke is none",
			call: call{spec: percona, answers: s3, composed: map[string]string{
				"server": live,
				"postgres": strings.Replace(liveCluster(t, chosen, nil), `"name":"files-postgres"`,
					`"name":"files-postgres","annotations":{"dittoserver.fn.crossplane.io/rendered":"{","dittoserver.fn.crossplane.io/record":"{"}`, 1),
			}},
			want: versions{old, "2.9.5", pg + "16.10-1", backup + "2.57.0-1", 16},
		},
		"ServerGone": {
			reason: "a StatefulSet that was deleted comes back as it was",
			call:   call{spec: percona, answers: s3, composed: map[string]string{"config": first}},
			want:   versions{old, server.DefaultCRVersion, pg + "16.13-1", server.DefaultBackupImage, 16},
		},
		"AllGone": {
			reason: "and so does a cluster, of which the ConfigMap has the record",
			call:   call{spec: percona, answers: s3, composed: map[string]string{"config": config}},
			want:   versions{old, "2.9.5", pg + "16.10-1", backup + "2.57.0-1", 16},
		},
		"FirstFormat": {
			reason: "the first format is read for ever",
			call: call{spec: percona, answers: s3, composed: map[string]string{
				"server": strings.Replace(live, "v0.28.0", "edited", 1), "config": first,
				"postgres": strings.Replace(liveCluster(t, edited, nil), `"name":"files-postgres"`,
					`"name":"files-postgres","annotations":{"dittoserver.fn.crossplane.io/rendered":`+encode(t, encode(t, map[string]any{"ask": "x", "spec": yamltest.Struct(t, chosen).AsMap()}))+`}`, 1),
			}},
			want: versions{old, "2.9.5", pg + "16.10-1", backup + "2.57.0-1", 16},
		},
		"Stated": {
			reason: "what the spec says is what is asked for",
			call: call{
				spec: `image: "x:1", percona: {enabled: true, storageSize: 20Gi, storageClassName: fast, crVersion: 2.10.0, image: "pg:16.14-1", backup: {enabled: true, bucket: b, endpoint: e, credentialsSecretRef: {name: s3}}}`, answers: s3,
				composed: map[string]string{"server": live, "config": config, "postgres": liveCluster(t, chosen, nil)},
			},
			want: versions{"x:1", "2.10.0", "pg:16.14-1", backup + "2.57.0-1", 16},
		},
		"StatedByTheInput": {
			reason: "whoever says it",
			call: call{
				spec: percona, defaults: `{image: "x:1", percona: {image: "pg:16.14-1"}}`, answers: s3,
				composed: map[string]string{"server": live, "config": config, "postgres": liveCluster(t, chosen, nil)},
			},
			want: versions{"x:1", "2.9.5", "pg:16.14-1", backup + "2.57.0-1", 16},
		},
		"Upgraded": {
			reason: "what Percona's own upgrade has written is accepted, all of it",
			call: call{spec: percona, answers: s3, composed: map[string]string{
				"server": live, "config": config, "postgres": liveCluster(t, upgraded, nil),
			}},
			want: versions{old, "2.9.5", pg + "17.9-1", backup + "2.58.0-1", 17},
		},
		"UpgradedAndKept": {
			reason: "also while the spec does not ask for the cluster any more",
			call: call{spec: `image: x`, composed: map[string]string{
				"server": live, "postgres": liveCluster(t, upgraded, recorded(t, chosen)),
			}},
			want: versions{"x", "2.9.5", pg + "17.9-1", backup + "2.58.0-1", 17},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tc.call.spec = braced(tc.call.spec)
			res := tc.call.resolve(t)
			c := res.Server.Cluster
			if c == nil {
				t.Fatalf("%s\nResolve(...): want a cluster, errors: %v", tc.reason, messages(res))
			}
			got := versions{res.Server.Image, c.CRVersion, c.Image, c.Backup.Image, c.PostgresVersion}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\nResolve(...): -want, +got:\n%s\nerrors: %v", tc.reason, diff, messages(res))
			}
		})
	}
}

// TestImageThatTellsNoVersion guards that an image chosen for one major version
// is not put on the data of another, where its tag does not tell.
func TestImageThatTellsNoVersion(t *testing.T) {
	spec := `{percona: {enabled: true, storageSize: 20Gi, storageClassName: fast, image: "pg:mine"}}`
	off := strings.Replace(strings.Replace(clusterSpec, "enabled: true", "enabled: false", 1), "repos: [{name: repo1}]", "x: []", 1)
	mine := strings.Replace(off, "docker.io/percona/percona-distribution-postgresql:16.10-1", "pg:mine", 1)
	chosen := recorded(t, mine)
	chosen.Stated = record.StatedImage{Image: "pg:mine", PostgresVersion: 16}
	upgraded := strings.NewReplacer("postgresVersion: 16", "postgresVersion: 17", "pg:mine", "percona:17.9-1").Replace(mine)

	first := call{spec: spec}.resolve(t)
	if got := first.Server.Cluster.Stated; got != (record.StatedImage{Image: "pg:mine", PostgresVersion: 16}) || first.Server.Cluster.Image != "pg:mine" {
		t.Errorf("a new cluster: want the image and the version that it was chosen for recorded, got %+v", got)
	}
	same := call{spec: spec, composed: map[string]string{"postgres": liveCluster(t, mine, chosen)}}.resolve(t)
	if same.Server.Cluster.Image != "pg:mine" || len(same.Held) > 0 {
		t.Errorf("a live cluster of that version: want the image, got %s, held %v", same.Server.Cluster.Image, same.Held)
	}
	after := call{spec: spec, composed: map[string]string{"postgres": liveCluster(t, upgraded, chosen)}}.resolve(t)
	want := []string{"spec.percona.image: pg:mine is held at percona:17.9-1: the database's files are of PostgreSQL 17. Name an image of that version"}
	if diff := cmp.Diff(want, after.Held); diff != "" || after.Server.Cluster.Image != "percona:17.9-1" {
		t.Errorf("after Percona's upgrade: want the image held, got %s: -want, +got:\n%s", after.Server.Cluster.Image, diff)
	}
	if got := after.Server.Cluster.Stated; got.PostgresVersion != 16 {
		t.Errorf("after Percona's upgrade: want the image remembered as one for 16, got %+v", got)
	}
}

func TestSizesOfWhatIsLive(t *testing.T) {
	off := strings.Replace(strings.Replace(clusterSpec, "enabled: true", "enabled: false", 1), "repos: [{name: repo1}]", "x: []", 1)
	grown := strings.Replace(off, "20Gi", "50Gi", 1)
	said := recorded(t, off)
	said.Asked = map[string]any{"storageSize": "20Gi"}
	cases := map[string]struct {
		reason string
		spec   string
		live   string
		record *record.Cluster
		want   string
		held   bool
	}{
		"Grow": {
			reason: "a larger volume is asked for",
			spec:   `storageSize: 30Gi`,
			live:   off,
			record: recorded(t, off),
			want:   "30Gi",
		},
		"GrownByHand": {
			reason: "nobody asks for less: an edit is kept by the merge, not held",
			spec:   `storageSize: 20Gi`,
			live:   grown,
			record: said,
			want:   "20Gi",
		},
		"GrownByHandAndNewlyStated": {
			reason: "who says it only now asks for less",
			spec:   `storageSize: 20Gi`,
			live:   grown,
			record: recorded(t, off),
			want:   "50Gi",
			held:   true,
		},
		"GrownByHandAndRevert": {
			reason: "what cannot be undone is held",
			spec:   `storageSize: 20Gi, driftPolicy: Revert`,
			live:   grown,
			record: recorded(t, off),
			want:   "50Gi",
			held:   true,
		},
		"Adopted": {
			reason: "without a record the live size wins over a default",
			live:   off,
			want:   "20Gi",
		},
		"AdoptedAndStated": {
			reason: "and over a smaller one that is stated",
			spec:   `storageSize: 5Gi`,
			live:   off,
			want:   "20Gi",
			held:   true,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			spec := strings.TrimSuffix("enabled: true, storageClassName: fast, "+tc.spec, ", ")
			res := call{spec: `{percona: {` + spec + `}}`, composed: map[string]string{"postgres": liveCluster(t, tc.live, tc.record)}}.resolve(t)
			if got := res.Server.Cluster.StorageSize.String(); got != tc.want || (len(res.Held) > 0) != tc.held {
				t.Errorf("%s: want %s, held: %t; got %s, held: %v", tc.reason, tc.want, tc.held, got, res.Held)
			}
		})
	}
}

func TestExternalDatabase(t *testing.T) {
	const spec = `{database: {type: postgres, postgresSecretRef: {name: pg, key: ignored}}}`
	keys := func(extra string) map[string]string {
		return map[string]string{"Secret/pg": `{data: {host: eA==, database: eA==, user: eA==, password: Y2FuYXJ5` + extra + `}}`}
	}
	wired := map[string]string{"server": liveServer(strings.Replace(wiredToOther, "value: prefer", "valueFrom: {secretKeyRef: {name: pg, key: sslmode}}", 1), metadataClaim+","+controlClaim)}

	cases := map[string]struct {
		reason string
		call   call
		want   record.Database
	}{
		"Least":   {reason: "TLS where the database offers it", call: call{spec: spec, answers: keys("")}, want: record.Database{Kind: record.External, Secret: "pg", SSLMode: "prefer"}},
		"SSLMode": {reason: "what the Secret says", call: call{spec: spec, answers: keys(", sslmode: eA==, port: eA==")}, want: record.Database{Kind: record.External, Secret: "pg", HasPort: true, HasSSLMode: true}},
		"CA":      {reason: "who has a CA wants it verified", call: call{spec: spec, answers: keys(", ca.crt: eA==")}, want: record.Database{Kind: record.External, Secret: "pg", HasCA: true, SSLMode: "verify-full"}},
		"Missing": {reason: "it may come yet", call: call{spec: spec}, want: record.Database{Kind: record.External, Secret: "pg", SSLMode: "prefer"}},
		"Gone": {
			reason: "a Secret that cannot be read for a moment changes nothing",
			call:   call{spec: spec, composed: wired},
			want:   record.Database{Kind: record.External, Secret: "pg", HasSSLMode: true},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			res := tc.call.resolve(t)
			if len(res.Errors)+len(res.Held) > 0 {
				t.Fatalf("%s\nResolve(...): want nothing refused or held, got %v %v", tc.reason, messages(res), res.Held)
			}
			if diff := cmp.Diff(tc.want, res.Server.Current); diff != "" {
				t.Errorf("%s\nResolve(...).Server.Current: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestBackupCredentials(t *testing.T) {
	const spec = `{percona: {enabled: true, storageSize: 20Gi, storageClassName: fast, backup: {enabled: true, bucket: b, endpoint: "https://minio:9000/", credentialsSecretRef: {name: keys}}}}`
	type want struct {
		on      bool
		config  string
		keys    *server.S3Keys
		problem string
	}
	const (
		// canary and wordcanary.
		aws = `{data: {AWS_ACCESS_KEY_ID: Y2FuYXJ5, AWS_SECRET_ACCESS_KEY: d29yZGNhbmFyeQ==}}`
		s3  = `{data: {s3-key: Y2FuYXJ5Cg==, s3-key-secret: d29yZGNhbmFyeQ==}}`
		// word\ncanary
		broken = `{data: {AWS_ACCESS_KEY_ID: Y2FuYXJ5, AWS_SECRET_ACCESS_KEY: d29yZApjYW5hcnk=}}`
		half   = `{data: {AWS_ACCESS_KEY_ID: Y2FuYXJ5}}`
	)
	off := strings.Replace(strings.Replace(clusterSpec, "enabled: true", "enabled: false", 1), "repos: [{name: repo1}]", "x: []", 1)
	backedUp := map[string]string{"postgres": liveCluster(t, clusterSpec, recorded(t, clusterSpec))}
	without := map[string]string{"postgres": liveCluster(t, off, recorded(t, off))}

	cases := map[string]struct {
		reason string
		call   call
		want   want
	}{
		"Config":   {reason: "a configuration is mounted as it is", call: call{spec: spec, answers: map[string]string{"Secret/keys": `{data: {cloud.conf: Y2FuYXJ5}}`}}, want: want{on: true, config: "keys"}},
		"AWS":      {reason: "keys are translated", call: call{spec: spec, answers: map[string]string{"Secret/keys": aws}}, want: want{on: true, config: "files-pgbackrest-secret", keys: &server.S3Keys{ID: "canary", Secret: "wordcanary"}}},
		"S3":       {reason: "so are those of the operator's documentation, without the line break at their end", call: call{spec: spec, answers: map[string]string{"Secret/keys": s3}}, want: want{on: true, config: "files-pgbackrest-secret", keys: &server.S3Keys{ID: "canary", Secret: "wordcanary"}}},
		"Missing":  {reason: "a Secret that does not exist would keep the database's pods from starting", call: call{spec: spec}, want: want{problem: "Secret keys does not exist; create it"}},
		"Half":     {reason: "one key of two is none", call: call{spec: spec, answers: map[string]string{"Secret/keys": half}}, want: want{problem: "Secret keys has neither a key that ends in .conf nor AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; add them"}},
		"Smuggled": {reason: "a line break would write an option of its own", call: call{spec: spec, answers: map[string]string{"Secret/keys": broken}}, want: want{problem: "Secret keys has a line break or another character in its keys that no S3 key has; correct it"}},
		"MissingOnceOff": {
			reason: "a database without backups stays without until there are keys",
			call:   call{spec: spec, composed: without},
			want:   want{problem: "Secret keys does not exist; create it"},
		},
		"MissingOnceOn": {
			reason: "a Secret that goes missing does not switch backups off",
			call:   call{spec: spec, composed: backedUp},
			want:   want{on: true, config: "s3", problem: "Secret keys does not exist; create it"},
		},
		"Appeared": {
			reason: "backups begin when the keys are there",
			call:   call{spec: spec, composed: without, answers: map[string]string{"Secret/keys": aws}},
			want:   want{on: true, config: "files-pgbackrest-secret", keys: &server.S3Keys{ID: "canary", Secret: "wordcanary"}},
		},
		"Taken": {
			reason: "somebody else's Secret is not overwritten",
			call: call{spec: spec, answers: map[string]string{
				"Secret/keys": aws, "Secret/files-pgbackrest-secret": `{metadata: {name: files-pgbackrest-secret}, data: {s3.conf: Y2FuYXJ5}}`,
			}},
			want: want{problem: "Secret files-pgbackrest-secret, into which the credentials are to be translated, is not this server's"},
		},
		"OwnAsConfig": {
			reason: "a configuration may lie in the Secret of the operator's name",
			call: call{
				spec:    strings.Replace(spec, "name: keys", "name: files-pgbackrest-secret", 1),
				answers: map[string]string{"Secret/files-pgbackrest-secret": `{metadata: {name: files-pgbackrest-secret}, data: {s3.conf: Y2FuYXJ5}}`},
			},
			want: want{on: true, config: "files-pgbackrest-secret"},
		},
		"Role": {
			reason: "the nodes may have a role",
			call:   call{spec: strings.Replace(spec, ", credentialsSecretRef: {name: keys}", "", 1)},
			want:   want{on: true},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			res := tc.call.resolve(t)
			if len(res.Errors)+len(res.Held) > 0 {
				t.Fatalf("%s\nResolve(...): want nothing refused or held, got %v %v", tc.reason, messages(res), res.Held)
			}
			b := res.Server.Cluster.Backup
			if diff := cmp.Diff(tc.want, want{b.Mode.On(), b.ConfigSecret, b.Keys, b.Problem}, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("%s\nResolve(...): -want, +got:\n%s", tc.reason, diff)
			}
			said := fmt.Sprintf("%v %v %v %+v %#v", res.Held, res.Warnings, messages(res), *res.Server, res.Server.Cluster.Backup.Keys)
			if strings.Contains(said, "canary") {
				t.Errorf("%s\nResolve(...): a credential is told: %s", tc.reason, said)
			}
			if want := "minio:9000"; b.Endpoint != want {
				t.Errorf("%s\nResolve(...): want the endpoint as pgBackRest takes it, %s, got %s", tc.reason, want, b.Endpoint)
			}
		})
	}
}

func TestRepositoryPath(t *testing.T) {
	const backup = `{percona: {enabled: true, backup: {enabled: true, bucket: b, endpoint: e`
	cases := map[string]struct {
		reason string
		call   call
		want   string
	}{
		"Default": {reason: "namespace, name and the beginning of the UID", call: call{spec: backup + `}}}`}, want: "/pgbackrest/default/files-0a1b2c3d/repo1"},
		"Offline": {reason: "a preview has no UID", call: call{xr: strings.Replace(namespacedXR, ", uid: 0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9", "", 1), spec: backup + `}}}`}, want: "/pgbackrest/default/files/repo1"},
		"Stated":  {reason: "a path of one's own", call: call{spec: backup + `, path: /mine}}}`}, want: "/mine"},
		"Live": {
			reason: "backups stay where they are although the XR was made again and has another UID",
			call:   call{spec: backup + `}}}`, composed: map[string]string{"postgres": liveCluster(t, clusterSpec, nil)}},
			want:   "/pgbackrest/default/files-00000000/repo1",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := tc.call.resolve(t).Server.Cluster.Backup.Path; got != tc.want {
				t.Errorf("%s: want %s, got %s", tc.reason, tc.want, got)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	cases := map[string]struct {
		reason string
		call   call
		want   []string
	}{
		"None":           {reason: "an ordinary server has none", call: call{spec: `{}`}},
		"PrivilegedPort": {reason: "it may not start", call: call{spec: `{controlPlane: {port: 443}}`}, want: []string{"spec.controlPlane.port: 443 is a privileged port, and the server does not run as root; where the container runtime does not allow it, the server cannot start"}},
		"Username":       {reason: "the server does not read it", call: call{spec: `{identity: {admin: {username: root}}}`}, want: []string{"spec.identity.admin.username: root is ignored: the server's first administrator is always admin"}},
		"Unbuilt": {
			reason: "what is not built yet is named",
			call:   call{spec: `{adapterDiscovery: {pollingInterval: 30s}, snapshotPolicies: [{share: /a, interval: 1h}]}`},
			want: []string{
				"spec.adapterDiscovery: is ignored: the server is not asked for its adapters; spec.adapters says which of them have a Service",
				"spec.snapshotPolicies: is not supported yet and is ignored: set the policies with dfsctl",
			},
		},
		"Unknown": {reason: "an API server that keeps unknown fields keeps typos", call: call{spec: `{imge: x}`}, want: []string{"spec.imge: is not a field of a DittoServer and is ignored; check for typos"}},
		"TwoDatabases": {
			reason: "Percona wins",
			call:   call{spec: `{percona: {enabled: true}, database: {type: sqlite, postgresSecretRef: {name: pg, key: x}}}`},
			want: []string{
				"spec.database.postgresSecretRef: is ignored: spec.percona.enabled wins over it; remove one of them",
				"spec.database.type: sqlite is ignored: spec.percona.enabled wins over it; remove one of them",
			},
		},
		"NoBackupCredentials": {
			reason: "the nodes may have a role, or not",
			call:   call{spec: `{percona: {enabled: true, backup: {enabled: true, bucket: b, endpoint: e}}}`},
			want:   []string{"spec.percona.backup.credentialsSecretRef: is not set: backups work only if the nodes have a role that may write to the bucket"},
		},
		"SecretsMissing": {
			reason: "the pod cannot start without them",
			call:   call{spec: `{identity: {jwt: {secretRef: {name: j, key: k}}, admin: {passwordSecretRef: {name: a}}}}`, answers: map[string]string{"Secret/a": `{data: {other: eA==}}`}},
			want: []string{
				"spec.identity.jwt.secretRef: Secret j does not exist in namespace default, and the server cannot start without it; create it",
				"spec.identity.admin.passwordSecretRef: Secret a has no key password, and the server cannot start without it; add the key",
			},
		},
		"JWTShort": {
			reason: "the server exits on it",
			call:   call{spec: `{identity: {jwt: {secretRef: {name: j, key: k}}}}`, answers: map[string]string{"Secret/j": `{data: {k: c2hvcnQ=}}`}},
			want:   []string{"spec.identity.jwt.secretRef: the key k of Secret j is shorter than the 32 characters that the server asks for, and it cannot start"},
		},
		"KeptCluster": {
			reason: "a database that nobody uses is a bill that somebody pays",
			call:   call{spec: `{database: {confirmSwitch: sqlite}}`, composed: map[string]string{"server": liveServer(wiredToPercona, metadataClaim+","+controlClaim), "postgres": liveCluster(t, clusterSpec, nil)}},
			want:   []string{"spec.percona: PerconaPGCluster files-postgres is kept although the server does not use it; delete it with kubectl when its data is not needed any more"},
		},
		"FromTheInput": {
			reason: "whoever says it is named",
			call:   call{spec: `{}`, defaults: `{identity: {admin: {username: root}}}`},
			want:   []string{"input.defaults.identity.admin.username: root is ignored: the server's first administrator is always admin"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			res := tc.call.resolve(t)
			if diff := cmp.Diff(tc.want, res.Warnings); diff != "" {
				t.Errorf("%s\nResolve(...).Warnings: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
