package server_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/strict"
	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

const (
	wiredToPercona = `{name: DITTOFS_DATABASE_TYPE, value: postgres}, {name: DITTOFS_DATABASE_POSTGRES_HOST, valueFrom: {secretKeyRef: {name: files-postgres-pguser-dittofs, key: host}}}`
	wiredToOther   = `{name: DITTOFS_DATABASE_TYPE, value: postgres}, {name: DITTOFS_DATABASE_POSTGRES_HOST, valueFrom: {secretKeyRef: {name: pg, key: host}}}, {name: DITTOFS_DATABASE_POSTGRES_SSLMODE, value: prefer}`
	wiredToSQLite  = `{name: DITTOFS_DATABASE_TYPE, value: sqlite}, {name: DITTOFS_DATABASE_SQLITE_PATH, value: /data/controlplane/controlplane.db}`
	// The DittoFS operator's wiring to Percona, which the server does not read.
	wiredByOperator = `{name: DATABASE_URL, valueFrom: {secretKeyRef: {name: files-postgres-pguser-dittofs, key: uri}}}`

	metadataClaim = `{metadata: {name: metadata}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Gi}}}, status: {phase: Pending}}`
	controlClaim  = `{metadata: {name: controlplane}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}`
)

func liveServer(env, claims string) string {
	return `{metadata: {name: files, namespace: default}, spec: {replicas: 1, template: {spec: {containers: [
{name: sidecar, image: "x:1"}, {name: dittofs, image: "marmos91c/dittofs:v0.28.0", env: [` + env + `]}]}}, volumeClaimTemplates: [` + claims + `]}}`
}

// liveCluster is a cluster as the API server has it, with the copy of the record
// where there is one.
func liveCluster(t *testing.T, spec string, c *record.Cluster) string {
	t.Helper()
	m := map[string]any{
		"metadata": map[string]any{"name": "files-postgres", "namespace": "default"},
		"spec":     yamltest.Struct(t, spec).AsMap(),
		// Without a record, whoever made it may have put data in it.
		"status": map[string]any{"state": "initializing"},
	}
	if c != nil {
		m["metadata"].(map[string]any)["annotations"] = annotations(t, record.Record{Cluster: c})
	}
	return encode(t, m)
}

// config is the server's ConfigMap with a record.
func config(t *testing.T, r record.Record) string {
	t.Helper()
	return encode(t, map[string]any{"metadata": map[string]any{"name": "files-config", "namespace": "default", "annotations": annotations(t, r)}})
}

func annotations(t *testing.T, r record.Record) map[string]any {
	t.Helper()
	doc, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{names.AnnotationRecord: doc}
}

func encode(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// recorded is the record of a cluster with data that was rendered with that spec,
// from something else than is asked for now.
func recorded(t *testing.T, spec string) *record.Cluster {
	t.Helper()
	return &record.Cluster{
		Asked:       map[string]any{"enabled": true, "before": true},
		Initialized: true,
		Volume:      record.Volume{Size: "20Gi", Class: ptr.To("fast")},
		Spec:        yamltest.Struct(t, spec).AsMap(),
	}
}

const clusterSpec = `{
  crVersion: 2.9.0, postgresVersion: 16, image: "docker.io/percona/percona-distribution-postgresql:16.10-1",
  instances: [{name: instance1, replicas: 1, dataVolumeClaimSpec: {storageClassName: fast, resources: {requests: {storage: 20Gi}}}}],
  users: [{name: dittofs, databases: [dittofs]}],
  backups: {enabled: true, pgbackrest: {image: "docker.io/percona/percona-pgbackrest:2.57.0-1",
    configuration: [{secret: {name: s3}}], global: {repo1-path: /pgbackrest/default/files-00000000/repo1}, repos: [{name: repo1}]}}}`

func TestHeld(t *testing.T) {
	const (
		claimsFixed = ": the claim templates of a StatefulSet cannot be changed. "
		orphan      = "et the field back, or, to have new templates, delete the StatefulSet with --cascade=orphan"
		classHeld   = ", where the database's volumes are. Set it back; a database moves to another class by being restored into a new server"
	)
	live := liveServer(wiredToPercona, metadataClaim+","+controlClaim)
	cluster := liveCluster(t, clusterSpec, recorded(t, clusterSpec))
	base := `percona: {enabled: true, storageSize: 20Gi, storageClassName: fast, backup: {enabled: true, bucket: b, endpoint: e, credentialsSecretRef: {name: s3}}}`
	with := func(extra string) string {
		return strings.Replace(base, "enabled: true,", "enabled: true, "+extra+",", 1)
	}
	s3 := map[string]string{"Secret/s3": `{data: {s3.conf: Y2FuYXJ5}}`}

	cases := map[string]struct {
		reason string
		call   call
		// want is the whole of what is held.
		want []string
		// check says what is wrong with the server, beyond the messages.
		check func(s *server.Server) string
	}{
		"Nothing": {
			reason: "the spec fits what exists",
			call:   call{spec: base, composed: map[string]string{"server": live, "postgres": cluster}, answers: s3},
		},
		"PerconaOff": {
			reason: "a server is not parted from its database by an edit",
			call:   call{spec: `percona: {enabled: false}`, composed: map[string]string{"server": live, "postgres": cluster}},
			want: []string{"spec.database: the server keeps its control plane in PerconaPGCluster files-postgres and goes on using it; " +
				"SQLite at /data/controlplane/controlplane.db would be empty. To move it there, set spec.database.confirmSwitch to sqlite"},
			check: func(s *server.Server) string {
				if s.Cluster == nil || !s.Cluster.Kept || s.Current.Kind != record.Percona || s.Target.Kind != record.Percona {
					return "the cluster stays, and the server on it"
				}
				return ""
			},
		},
		"PerconaRemoved": {
			reason: "nor by removing the block",
			call:   call{spec: `image: x`, composed: map[string]string{"server": live, "postgres": cluster}},
			want: []string{"spec.database: the server keeps its control plane in PerconaPGCluster files-postgres and goes on using it; " +
				"SQLite at /data/controlplane/controlplane.db would be empty. To move it there, set spec.database.confirmSwitch to sqlite"},
			check: func(s *server.Server) string {
				if s.Cluster == nil || !s.Cluster.Kept || s.Current.Kind != record.Percona {
					return "the cluster stays, and the server on it"
				}
				if s.Image != "x" {
					return "everything else is applied"
				}
				return ""
			},
		},
		"PerconaOffBeforeThereIsAServer": {
			reason: "a cluster may have data before its server is there",
			call:   call{spec: `image: x`, composed: map[string]string{"postgres": cluster}},
			want: []string{"spec.database: the server keeps its control plane in PerconaPGCluster files-postgres and goes on using it; " +
				"SQLite at /data/controlplane/controlplane.db would be empty. To move it there, set spec.database.confirmSwitch to sqlite"},
			check: func(s *server.Server) string {
				if s.Cluster == nil || s.Target.Kind != record.Percona {
					return "the cluster stays"
				}
				return ""
			},
		},
		"OffInTheDefaults": {
			reason: "where the Input says it, that does not matter either",
			call:   call{spec: `image: x`, defaults: `{percona: {enabled: false}}`, composed: map[string]string{"server": live, "postgres": cluster}},
			want: []string{"spec.database: the server keeps its control plane in PerconaPGCluster files-postgres and goes on using it; " +
				"SQLite at /data/controlplane/controlplane.db would be empty. To move it there, set spec.database.confirmSwitch to sqlite"},
		},
		"SQLiteToPercona": {
			reason: "a live server is not moved to an empty database",
			call:   call{spec: `percona: {enabled: true}`, composed: map[string]string{"server": liveServer(wiredToSQLite, metadataClaim+","+controlClaim)}},
			want: []string{"spec.database: the server keeps its control plane in SQLite at /data/controlplane/controlplane.db and goes on using it; " +
				"PerconaPGCluster files-postgres would be empty. To move it there, set spec.database.confirmSwitch to percona"},
			check: func(s *server.Server) string {
				if s.Current.Kind != record.SQLite || s.Cluster != nil {
					return "the server stays on SQLite, and no cluster is made for nothing"
				}
				return ""
			},
		},
		"OperatorsPercona": {
			reason: "every server of the DittoFS operator with Percona really runs on SQLite",
			call: call{
				spec:     `percona: {enabled: true}`,
				composed: map[string]string{"server": liveServer(wiredByOperator, metadataClaim+","+controlClaim), "config": "data: {config.yaml: 'database: {type: sqlite, sqlite: {path: /data/controlplane/old.db}}'}", "postgres": liveCluster(t, `{crVersion: 2.8.0, postgresVersion: 16, instances: [{name: instance1, dataVolumeClaimSpec: {resources: {requests: {storage: 10Gi}}}}], users: [{name: dittofs, databases: [dittofs]}]}`, nil)},
			},
			want: []string{"spec.database: the server keeps its control plane in SQLite at /data/controlplane/old.db and goes on using it; " +
				"PerconaPGCluster files-postgres would be empty. To move it there, set spec.database.confirmSwitch to percona"},
			check: func(s *server.Server) string {
				switch {
				case s.Current != record.Database{Kind: record.SQLite, Path: "/data/controlplane/old.db"}:
					return "the server stays where its data is"
				case s.Cluster == nil:
					return "the cluster stays"
				case s.Cluster.CRVersion != "2.8.0":
					return "the version of what is live stays"
				}
				return ""
			},
		},
		"OtherExternal": {
			reason: "another Secret is another database",
			call:   call{spec: `database: {postgresSecretRef: {name: pg2, key: x}}`, composed: map[string]string{"server": liveServer(wiredToOther, metadataClaim+","+controlClaim)}},
			want: []string{"spec.database: the server keeps its control plane in the database of Secret pg and goes on using it; " +
				"the database of Secret pg2 would be empty. To move it there, set spec.database.confirmSwitch to external"},
			check: func(s *server.Server) string {
				if s.Current.Secret != "pg" || s.Current.SSLMode != "prefer" {
					return "the server stays where its data is, as it is wired"
				}
				return ""
			},
		},
		"OtherSQLitePath": {
			reason: "another file is another database",
			call:   call{spec: `database: {sqlite: {path: /data/store/metadata/c.db}}`, composed: map[string]string{"server": liveServer(wiredToSQLite, metadataClaim+","+controlClaim)}},
			want: []string{"spec.database: the server keeps its control plane in SQLite at /data/controlplane/controlplane.db and goes on using it; " +
				"SQLite at /data/store/metadata/c.db would be empty. To move it there, set spec.database.confirmSwitch to sqlite"},
		},
		"WrongConfirmation": {
			reason: "a confirmation names the target",
			call:   call{spec: `{database: {confirmSwitch: external}, percona: {enabled: true}}`, composed: map[string]string{"server": liveServer(wiredToSQLite, metadataClaim+","+controlClaim)}},
			want: []string{"spec.database: the server keeps its control plane in SQLite at /data/controlplane/controlplane.db and goes on using it; " +
				"PerconaPGCluster files-postgres would be empty. To move it there, set spec.database.confirmSwitch to percona"},
		},
		"MetadataVolume": {
			reason: "claim templates cannot be changed",
			call:   call{spec: `{storage: {metadataSize: 5Gi}, ` + base + `}`, composed: map[string]string{"server": live, "postgres": cluster}, answers: s3},
			want:   []string{"spec.storage.metadataSize: 5Gi is held at 10Gi" + claimsFixed + "To grow the volume, edit the PersistentVolumeClaim metadata-files-0; s" + orphan},
			check: func(s *server.Server) string {
				if len(s.Storage.Claims) != 2 || strict.Lookup(s.Storage.Claims[0], []string{"spec", "resources", "requests", "storage"}) != "10Gi" || s.Storage.Claims[0]["status"] != nil {
					return "the live templates are composed, without status"
				}
				return ""
			},
		},
		"ContentVolumeAdded": {
			reason: "a template cannot be added",
			call:   call{spec: `{storage: {metadataSize: 10Gi, contentSize: 5Gi}, ` + base + `}`, composed: map[string]string{"server": live, "postgres": cluster}, answers: s3},
			want:   []string{"spec.storage.contentSize: 5Gi is held, the server has no such volume" + claimsFixed + "S" + orphan},
			check: func(s *server.Server) string {
				if s.Storage.Has(names.VolumeContent) {
					return "a volume that is not there is not mounted"
				}
				return ""
			},
		},
		"ContentVolumeRemoved": {
			reason: "a template cannot be removed",
			call: call{spec: base, composed: map[string]string{
				"server":   liveServer(wiredToPercona, metadataClaim+`,{metadata: {name: content}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 7Gi}}}},`+controlClaim),
				"postgres": cluster,
			}, answers: s3},
			want: []string{"spec.storage.contentSize: its removal is held, the server has a volume of 7Gi" + claimsFixed + "S" + orphan},
			check: func(s *server.Server) string {
				if !s.Storage.Has(names.VolumeContent) {
					return "a volume that is there is mounted"
				}
				return ""
			},
		},
		"ServerStorageClass": {
			reason: "a class cannot be changed",
			call:   call{spec: `{storage: {metadataSize: 10Gi, storageClassName: slow}, ` + base + `}`, composed: map[string]string{"server": live, "postgres": cluster}, answers: s3},
			want:   []string{"spec.storage.storageClassName: slow is held at the default class" + claimsFixed + "S" + orphan},
		},
		"DatabaseVolume": {
			reason: "volumes cannot shrink",
			call:   call{spec: strings.Replace(base, "20Gi", "5Gi", 1), composed: map[string]string{"server": live, "postgres": cluster}, answers: s3},
			want:   []string{"spec.percona.storageSize: 5Gi is held at 20Gi: volumes cannot shrink. Ask for at least 20Gi"},
			check: func(s *server.Server) string {
				if s.Cluster.StorageSize.String() != "20Gi" {
					return "the size stays, it is " + s.Cluster.StorageSize.String()
				}
				return ""
			},
		},
		"DatabaseStorageClass": {
			reason: "volumes do not move",
			call:   call{spec: strings.Replace(base, "fast", "slow", 1), composed: map[string]string{"server": live, "postgres": cluster}, answers: s3},
			want:   []string{"spec.percona.storageClassName: slow is held at fast" + classHeld},
			check: func(s *server.Server) string {
				if s.Cluster.StorageClassName == nil || *s.Cluster.StorageClassName != "fast" {
					return "the class stays"
				}
				return ""
			},
		},
		"DatabaseStorageClassRemoved": {
			reason: "removing a class asks for another",
			call:   call{spec: strings.Replace(base, "storageClassName: fast,", "", 1), composed: map[string]string{"server": live, "postgres": cluster}, answers: s3},
			want:   []string{"spec.percona.storageClassName: the default class is held at fast" + classHeld},
		},
		"DatabaseName": {
			reason: "another database would be empty",
			call:   call{spec: with("databaseName: other"), composed: map[string]string{"server": live, "postgres": cluster}, answers: s3},
			want:   []string{"spec.percona.databaseName: other is held at dittofs, where the server's data is. Set it back: another name would be another, empty database"},
			check: func(s *server.Server) string {
				if s.Cluster.DatabaseName != "dittofs" {
					return "the database stays"
				}
				return ""
			},
		},
		"PostgresVersion": {
			reason: "the binaries of one version on the data of another destroy it",
			call:   call{spec: with("postgresVersion: 17"), composed: map[string]string{"server": live, "postgres": cluster}, answers: s3},
			want:   []string{"spec.percona.postgresVersion: 17 is held at 16, the version of the database's files. To upgrade, create a PerconaPGUpgrade; when it is done, set this field to its version"},
			check: func(s *server.Server) string {
				if s.Cluster.PostgresVersion != 16 || !strings.HasSuffix(s.Cluster.Image, ":16.10-1") {
					return "version and image stay"
				}
				return ""
			},
		},
		"PostgresVersionAndImage": {
			reason: "an image of another version is another version",
			call:   call{spec: with(`postgresVersion: 17, image: "pg:mine"`), composed: map[string]string{"server": live, "postgres": cluster}, answers: s3},
			want: []string{
				"spec.percona.postgresVersion: 17 is held at 16, the version of the database's files. To upgrade, create a PerconaPGUpgrade; when it is done, set this field to its version",
				"spec.percona.image: pg:mine is held at docker.io/percona/percona-distribution-postgresql:16.10-1: the database's files are of PostgreSQL 16. Name an image of that version",
			},
			check: func(s *server.Server) string {
				if s.Cluster.PostgresVersion != 16 || !strings.HasSuffix(s.Cluster.Image, ":16.10-1") {
					return "version and image stay"
				}
				return ""
			},
		},
		"Image": {
			reason: "an image whose tag tells another version is another version",
			call:   call{spec: with(`image: "pg:17.9-1"`), composed: map[string]string{"server": live, "postgres": cluster}, answers: s3},
			want:   []string{"spec.percona.image: pg:17.9-1 is held at docker.io/percona/percona-distribution-postgresql:16.10-1: the database's files are of PostgreSQL 16. Name an image of that version"},
		},
		"RepositoryPath": {
			reason: "backups do not move",
			call:   call{spec: strings.Replace(base, "bucket: b,", "bucket: b, path: /other,", 1), composed: map[string]string{"server": live, "postgres": cluster}, answers: s3},
			want:   []string{"spec.percona.backup.path: /other is held at /pgbackrest/default/files-00000000/repo1, where the backups are. Set it back; to begin again elsewhere, switch backups off with spec.percona.backup.confirmRemoval first"},
			check: func(s *server.Server) string {
				if s.Cluster.Backup.Path != "/pgbackrest/default/files-00000000/repo1" {
					return "the path stays"
				}
				return ""
			},
		},
		"BackupsOff": {
			reason: "Percona stops reconciling a cluster whose backups are switched off",
			call:   call{spec: strings.Replace(base, "backup: {enabled: true", "backup: {enabled: false", 1), composed: map[string]string{"server": live, "postgres": cluster}},
			want:   []string{"spec.percona.backup.enabled: backups stay on: without them the data cannot be restored. To switch them off, set spec.percona.backup.confirmRemoval to true"},
			check: func(s *server.Server) string {
				if s.Cluster.Backup.Mode != server.BackupHeld {
					return "backups stay on"
				}
				return ""
			},
		},
		"BackupsRemoved": {
			reason: "so does removing the block",
			call:   call{spec: `percona: {enabled: true, storageSize: 20Gi, storageClassName: fast}`, composed: map[string]string{"server": live, "postgres": cluster}},
			want:   []string{"spec.percona.backup.enabled: backups stay on: without them the data cannot be restored. To switch them off, set spec.percona.backup.confirmRemoval to true"},
		},
		"Namespace": {
			reason: "the objects of a server do not move",
			call: call{
				xr: clusterXR, spec: base, namespace: "elsewhere", answers: s3,
				composed: map[string]string{"server": live, "postgres": cluster},
			},
			want: []string{"input.namespace: \"elsewhere\" is held at default, where the server is. Set it back; a server cannot move to another namespace"},
			check: func(s *server.Server) string {
				if s.Namespace != "default" {
					return "the server stays where it is"
				}
				return ""
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tc.call.spec = braced(tc.call.spec)
			res := tc.call.resolve(t)
			if len(res.Errors) > 0 {
				t.Fatalf("%s\nResolve(...): want nothing refused, got %v", tc.reason, messages(res))
			}
			if diff := cmp.Diff(tc.want, res.Held); diff != "" {
				t.Errorf("%s\nResolve(...): -want, +got:\n%s", tc.reason, diff)
			}
			if tc.check != nil {
				if wrong := tc.check(res.Server); wrong != "" {
					t.Errorf("%s\nResolve(...): want: %s", tc.reason, wrong)
				}
			}
		})
	}
}

// braced makes a flow mapping of what is none.
func braced(s string) string {
	if strings.HasPrefix(s, "{") {
		return s
	}
	return "{" + s + "}"
}

// TestEveryHeldMessageSaysWhatLetsItThrough guards the contract of the condition
// ChangeHeld. It looks for an instruction, whatever its words.
func TestEveryHeldMessageSaysWhatLetsItThrough(t *testing.T) {
	live := liveServer(wiredToPercona, metadataClaim+","+controlClaim)
	cluster := liveCluster(t, clusterSpec, recorded(t, clusterSpec))
	backup := `backup: {enabled: true, bucket: b, endpoint: e, path: /other, credentialsSecretRef: {name: s3}}`
	composed := map[string]string{"server": live, "postgres": cluster}
	calls := []call{
		{spec: `{image: x}`, composed: composed},
		{spec: `{storage: {metadataSize: 5Gi, contentSize: 1Gi, storageClassName: slow}, percona: {enabled: true, storageSize: 5Gi, storageClassName: slow, databaseName: x, postgresVersion: 17, image: "pg:17.9-1", ` + backup + `}}`, composed: composed, answers: map[string]string{"Secret/s3": `{data: {s3.conf: Y2FuYXJ5}}`}},
		{spec: `{percona: {enabled: true, storageSize: 20Gi, storageClassName: fast}}`, composed: composed},
		{xr: clusterXR, spec: `{percona: {enabled: true, storageSize: 20Gi, storageClassName: fast, ` + strings.Replace(backup, " path: /other,", "", 1) + `}}`, composed: composed, namespace: "elsewhere", answers: map[string]string{"Secret/s3": `{data: {s3.conf: Y2FuYXJ5}}`}},
	}
	instructions := []string{"set ", "Set ", "edit ", "delete ", "Ask for ", "Name an ", "create ", "Create ", "remove ", "Remove ", "To "}
	for _, c := range calls {
		for _, held := range c.resolve(t).Held {
			says := false
			for _, i := range instructions {
				says = says || strings.Contains(held, i)
			}
			if !says {
				t.Errorf("a held edit does not say what would let it through: %s", held)
			}
		}
	}
}

func TestConfirmed(t *testing.T) {
	perconaReady := map[string]string{
		"Secret/files-postgres-pguser-dittofs": `{data: {host: eA==, port: NTQzMg==, dbname: eA==, user: eA==, password: eA==, uri: eA==}}`,
		"Secret/files-postgres-cluster-cert":   `{data: {ca.crt: eA==}}`,
	}
	readyCluster := `{metadata: {name: files-postgres, namespace: default}, spec: {postgresVersion: 16}, status: {state: ready, postgres: {size: 1, ready: 1}}}`

	cases := map[string]struct {
		reason string
		call   call
		// database the server is wired to, and the one that it goes to.
		database, target record.DatabaseKind
		cluster          bool
	}{
		"ToPerconaWaiting": {
			reason:   "a server that runs is not stopped for a database that does not",
			call:     call{spec: `{database: {confirmSwitch: percona}, percona: {enabled: true}}`, composed: map[string]string{"server": liveServer(wiredToSQLite, metadataClaim+","+controlClaim)}},
			database: record.SQLite,
			target:   record.Percona,
			cluster:  true,
		},
		"ToPerconaReady": {
			reason: "it moves when the database is ready",
			call: call{
				spec:     `{database: {confirmSwitch: percona}, percona: {enabled: true}}`,
				composed: map[string]string{"server": liveServer(wiredToSQLite, metadataClaim+","+controlClaim), "postgres": readyCluster},
				answers:  perconaReady,
			},
			database: record.Percona,
			target:   record.Percona,
			cluster:  true,
		},
		"ToSQLite": {
			reason:   "the cluster stays: it holds data",
			call:     call{spec: `{database: {confirmSwitch: sqlite}}`, composed: map[string]string{"server": liveServer(wiredToPercona, metadataClaim+","+controlClaim), "postgres": readyCluster}},
			database: record.SQLite,
			target:   record.SQLite,
			cluster:  true,
		},
		"ToExternalMissing": {
			reason:   "nor for a Secret that is not there",
			call:     call{spec: `{database: {confirmSwitch: external, postgresSecretRef: {name: pg, key: x}}}`, composed: map[string]string{"server": liveServer(wiredToSQLite, metadataClaim+","+controlClaim)}},
			database: record.SQLite,
			target:   record.External,
		},
		"ToExternal": {
			reason: "it moves when the Secret is there",
			call: call{
				spec:     `{database: {confirmSwitch: external, postgresSecretRef: {name: pg, key: x}}}`,
				composed: map[string]string{"server": liveServer(wiredToSQLite, metadataClaim+","+controlClaim)},
				answers:  map[string]string{"Secret/pg": `{data: {host: eA==, database: eA==, user: eA==, password: eA==}}`},
			},
			database: record.External,
			target:   record.External,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			res := tc.call.resolve(t)
			if len(res.Errors)+len(res.Held) > 0 {
				t.Fatalf("%s\nResolve(...): want nothing refused or held, got %v %v", tc.reason, messages(res), res.Held)
			}
			s := res.Server
			if s.Current.Kind != tc.database || s.Target.Kind != tc.target || s.Cluster != nil != tc.cluster {
				t.Errorf("%s\nResolve(...): want the server on %s, moving to %s, with a cluster: %t; got %s, %s, %t",
					tc.reason, tc.database, tc.target, tc.cluster, s.Current.Kind, s.Target.Kind, s.Cluster != nil)
			}
		})
	}
}

func TestConfirmedBackupRemoval(t *testing.T) {
	c := call{
		spec:     `{percona: {enabled: true, storageSize: 20Gi, storageClassName: fast, backup: {enabled: false, confirmRemoval: true}}}`,
		composed: map[string]string{"postgres": liveCluster(t, clusterSpec, recorded(t, clusterSpec))},
	}
	res := c.resolve(t)
	b := res.Server.Cluster.Backup
	if len(res.Held) > 0 || b.Mode != server.BackupRemoved {
		t.Errorf("Resolve(...): want confirmed backups off, and Percona told so; got %+v, held %v", b, res.Held)
	}
}

// TestLiveTemplatesAreKept guards that a StatefulSet is never sent with other
// claim templates than it has: the API server refuses the whole object then.
func TestLiveTemplatesAreKept(t *testing.T) {
	cases := map[string]struct {
		reason  string
		storage string
		claims  string
	}{
		"NoClassToEmptyClass": {
			reason:  "no class and the empty class are two templates",
			storage: `{metadataSize: 10Gi, storageClassName: ""}`,
			claims:  metadataClaim + "," + controlClaim,
		},
		"EmptyClassToNoClass": {
			reason:  "the other way round, too",
			storage: `{metadataSize: 10Gi}`,
			claims:  strings.ReplaceAll(metadataClaim+","+controlClaim, "accessModes", `storageClassName: "", accessModes`),
		},
		"AccessMode": {
			reason:  "another access mode is another template",
			storage: `{metadataSize: 10Gi}`,
			claims:  strings.Replace(metadataClaim, "ReadWriteOnce", "ReadWriteOncePod", 1) + "," + controlClaim,
		},
		"Order": {
			reason:  "another order is another list",
			storage: `{metadataSize: 10Gi}`,
			claims:  controlClaim + "," + metadataClaim,
		},
		"Labels": {
			reason:  "a label is part of a template",
			storage: `{metadataSize: 10Gi}`,
			claims:  strings.Replace(metadataClaim, "{name: metadata}", "{name: metadata, labels: {a: b}}", 1) + "," + controlClaim,
		},
		"ForeignVolume": {
			reason:  "somebody else's volume is part of the list",
			storage: `{metadataSize: 10Gi}`,
			claims:  metadataClaim + "," + controlClaim + `,{metadata: {name: scratch}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			live := liveServer(wiredToSQLite, tc.claims)
			res := call{spec: `{storage: ` + tc.storage + `}`, composed: map[string]string{"server": live}}.resolve(t)
			var want []map[string]any
			for _, c := range yamltest.Struct(t, live).AsMap()["spec"].(map[string]any)["volumeClaimTemplates"].([]any) {
				m := c.(map[string]any)
				delete(m, "status")
				want = append(want, m)
			}
			if diff := cmp.Diff(want, res.Server.Storage.Claims); diff != "" {
				t.Errorf("%s\nResolve(...): -live templates, +composed ones:\n%s", tc.reason, diff)
			}
		})
	}
}
