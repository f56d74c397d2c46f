package server_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/strict"
	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

const (
	onPercona = `percona: {enabled: true, storageSize: 20Gi, storageClassName: fast}`
	backedUp  = `percona: {enabled: true, storageSize: 20Gi, storageClassName: fast, backup: {enabled: true, bucket: b, endpoint: e, credentialsSecretRef: {name: keys}}}`
)

func withKeys(h *history) *history {
	h.others["Secret/keys"] = secretYAML("keys", map[string]string{"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "one"})
	return h
}

// TestHeldAtTheRecord guards that an edit of the live cluster does not become what
// is held: neither that edit alone, nor together with an edit of the spec, nor when
// the spec's is undone.
func TestHeldAtTheRecord(t *testing.T) {
	const path = "/pgbackrest/default/files-0a1b2c3d/repo1"
	global := []string{"spec", "backups", "pgbackrest", "global", "repo1-path"}

	cases := map[string]struct {
		reason string
		// edit is made by hand, and another one of the spec after it.
		edit  func(h *history)
		other string
		held  string
		check func(h *history) string
	}{
		"DatabaseInFront": {
			reason: "a database that somebody adds in front of ours is kept behind it",
			edit: func(h *history) {
				h.user()["databases"] = []any{"theirs", "dittofs"}
				// Percona's Secret names the first one at once.
				h.credentials("theirs")
			},
			other: "databaseName: theirs",
			held:  "spec.percona.databaseName: theirs is held at dittofs, where the server's data is",
			check: func(h *history) string {
				if got := h.databases(); !slices.Equal(got, []string{"dittofs", "theirs"}) {
					return "databases: " + strings.Join(got, ", ")
				}
				if got := h.env(names.EnvDatabase); got != "dittofs" {
					return "the server's database is " + got
				}
				return ""
			},
		},
		"DatabaseReplaced": {
			reason: "nor does one that somebody puts in its place",
			edit:   func(h *history) { h.user()["databases"] = []any{"theirs"}; h.credentials("theirs") },
			other:  "databaseName: theirs",
			held:   "spec.percona.databaseName: theirs is held at dittofs",
			check: func(h *history) string {
				if got := h.databases()[0]; got != "dittofs" {
					return "the first database is " + got
				}
				return ""
			},
		},
		"RepositoryPath": {
			reason: "backups stay where they are",
			edit:   func(h *history) { h.set(names.Postgres, "/theirs", global...) },
			other:  "backup: {path: /theirs, enabled: true, bucket: b, endpoint: e, credentialsSecretRef: {name: keys}}",
			held:   "spec.percona.backup.path: /theirs is held at " + path,
			check: func(h *history) string {
				if got := h.get(names.Postgres, global...); got != path {
					return "the path is " + got.(string)
				}
				return ""
			},
		},
		"PostgresVersion": {
			reason: "a version without an upgrade's image is no upgrade",
			edit:   func(h *history) { h.set(names.Postgres, 17.0, "spec", "postgresVersion") },
			other:  "postgresVersion: 17",
			held:   "spec.percona.postgresVersion: 17 is held at 16, the version of the database's files",
			check: func(h *history) string {
				if got := h.get(names.Postgres, "spec", "postgresVersion"); got != 16.0 {
					return "the version is another"
				}
				if got := h.get(names.Postgres, "spec", "image").(string); !strings.Contains(got, ":16.") {
					return "the image is " + got
				}
				return ""
			},
		},
		"StorageClass": {
			reason: "volumes stay where they are",
			edit: func(h *history) {
				h.instance()["dataVolumeClaimSpec"].(map[string]any)["storageClassName"] = "slow"
			},
			other: "storageClassName: slow",
			held:  "spec.percona.storageClassName: slow is held at fast",
			check: func(h *history) string {
				if got := h.instance()["dataVolumeClaimSpec"].(map[string]any)["storageClassName"]; got != "fast" {
					return "the class is " + got.(string)
				}
				return ""
			},
		},
		"StorageSize": {
			reason: "a volume does not shrink because somebody wrote a smaller size first",
			edit: func(h *history) {
				h.instance()["dataVolumeClaimSpec"].(map[string]any)["resources"] = map[string]any{"requests": map[string]any{"storage": "5Gi"}}
			},
			other: "storageSize: 5Gi",
			held:  "spec.percona.storageSize: 5Gi is held at 20Gi: volumes cannot shrink",
		},
		"BackupsOff": {
			reason: "backups do not end because somebody switched them off first",
			edit:   func(h *history) { h.set(names.Postgres, false, "spec", "backups", "enabled") },
			other:  "backup: {enabled: false}",
			held:   "spec.percona.backup.enabled: backups stay on",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := withKeys(newHistory(t))
			h.started(backedUp)
			before := h.record().Cluster.Spec
			asked := strings.Replace(backedUp, "enabled: true,", "enabled: true, "+tc.other+",", 1)
			if key, _, _ := strings.Cut(tc.other, ":"); strings.Count(asked, key+":") > 1 {
				// The spec states the field already.
				for _, stated := range []string{"storageSize: 20Gi, ", "storageClassName: fast, ", ", backup: {enabled: true, bucket: b, endpoint: e, credentialsSecretRef: {name: keys}}"} {
					if strings.HasPrefix(strings.TrimPrefix(stated, ", "), key+":") {
						asked = strings.Replace(asked, stated, "", 1)
					}
				}
			}
			check := func(when string) {
				if tc.check == nil {
					return
				}
				if wrong := tc.check(h); wrong != "" {
					t.Errorf("%s: %s: %s", tc.reason, when, wrong)
				}
			}

			tc.edit(h)
			wantHeld(t, tc.reason+": edited by hand", h.apply(backedUp))
			check("edited by hand")
			wantHeld(t, tc.reason+": asked for as well", h.apply(asked), tc.held)
			check("asked for as well")
			wantHeld(t, tc.reason+": asked for twice", h.apply(asked), tc.held)
			tc.edit(h)
			wantHeld(t, tc.reason+": asked for, and edited by hand at the same time", h.reconcile(asked), tc.held)
			check("both at the same time")
			h.apply(asked)
			wantHeld(t, tc.reason+": undone", h.apply(backedUp))
			check("undone")
			if diff := cmp.Diff(before, h.record().Cluster.Spec); diff != "" {
				t.Errorf("%s: after all that, want what was rendered before: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestNeverInitialised guards that a typo in a database that never started can be
// corrected.
func TestNeverInitialised(t *testing.T) {
	warned := func(s string) []string { return []string{s} }
	cases := map[string]struct {
		reason string
		first  string
		then   string
		warned []string
		check  func(c *server.Cluster) bool
		// free is true if the first spec can be gone back to even when the database
		// has files: it is what the volume is, or more of it.
		free bool
	}{
		"Class": {
			reason: "another class is applied, and how to give it to the volume is told",
			first:  `percona: {enabled: true, storageClassName: fsat}`,
			then:   `percona: {enabled: true, storageClassName: fast}`,
			warned: warned("spec.percona.storageClassName: fast cannot be given to the volume that was made with fsat. The database was never initialised: delete it, kubectl -n default delete perconapgcluster files-postgres, then its volumes"),
			check:  func(c *server.Cluster) bool { return *c.StorageClassName == "fast" },
			free:   true,
		},
		"ClassRemoved": {
			reason: "also where it is none",
			first:  `percona: {enabled: true, storageClassName: fsat}`,
			then:   `percona: {enabled: true}`,
			warned: warned("spec.percona.storageClassName: the default class cannot be given to the volume that was made with fsat."),
			check:  func(c *server.Cluster) bool { return c.StorageClassName == nil },
			free:   true,
		},
		"Smaller": {
			reason: "so is a smaller size",
			first:  `percona: {enabled: true, storageSize: 100Ti}`,
			then:   `percona: {enabled: true, storageSize: 100Gi}`,
			warned: warned("spec.percona.storageSize: the volume was made with 100Ti and cannot shrink to 100Gi. The database was never initialised: delete it"),
			check:  func(c *server.Cluster) bool { return c.StorageSize.String() == "100Gi" },
			free:   true,
		},
		"Larger": {
			reason: "a larger one is no problem",
			first:  `percona: {enabled: true, storageSize: 1Gi}`,
			then:   `percona: {enabled: true, storageSize: 2Gi}`,
			check:  func(c *server.Cluster) bool { return c.StorageSize.String() == "2Gi" },
		},
		"Version": {
			reason: "no files are of any version",
			first:  `percona: {enabled: true, postgresVersion: 16}`,
			then:   `percona: {enabled: true, postgresVersion: 17}`,
			check:  func(c *server.Cluster) bool { return c.PostgresVersion == 17 && strings.Contains(c.Image, ":17.") },
		},
		"VersionDown": {
			reason: "in either direction",
			first:  `percona: {enabled: true, postgresVersion: 18}`,
			then:   `percona: {enabled: true, postgresVersion: 14}`,
			check:  func(c *server.Cluster) bool { return c.PostgresVersion == 14 && strings.Contains(c.Image, ":14.") },
		},
		"Image": {
			reason: "an image follows its version",
			first:  `percona: {enabled: true, postgresVersion: 16, image: "pg:16.1"}`,
			then:   `percona: {enabled: true, postgresVersion: 17, image: "pg:17.1"}`,
			check:  func(c *server.Cluster) bool { return c.Image == "pg:17.1" },
		},
		"DatabaseName": {
			reason: "no database has data",
			first:  `percona: {enabled: true, databaseName: ditofs}`,
			then:   `percona: {enabled: true, databaseName: dittofs}`,
			check:  func(c *server.Cluster) bool { return c.DatabaseName == "dittofs" },
		},
		"RepositoryPath": {
			reason: "no repository has backups",
			first:  `percona: {enabled: true, backup: {enabled: true, bucket: b, endpoint: e, path: /a, credentialsSecretRef: {name: keys}}}`,
			then:   `percona: {enabled: true, backup: {enabled: true, bucket: b, endpoint: e, path: /b, credentialsSecretRef: {name: keys}}}`,
			check:  func(c *server.Cluster) bool { return c.Backup.Path == "/b" },
		},
		"BackupsOff": {
			reason: "nothing is lost with backups that never were",
			first:  `percona: {enabled: true, backup: {enabled: true, bucket: b, endpoint: e, credentialsSecretRef: {name: keys}}}`,
			then:   `percona: {enabled: true}`,
			// Percona stops reconciling a cluster whose backups end, unless it is told so.
			check: func(c *server.Cluster) bool { return c.Backup.Mode == server.BackupRemoved },
			free:  true,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := withKeys(newHistory(t))
			first := h.apply(tc.first)
			wantHeld(t, tc.reason, first)
			wantWarned(t, tc.reason, first)
			res := h.apply(tc.then)
			wantHeld(t, tc.reason, res)
			wantWarned(t, tc.reason, res, tc.warned...)
			if !tc.check(res.Server.Cluster) {
				t.Errorf("%s: the edit was not applied: %+v", tc.reason, res.Server.Cluster)
			}
			undone := h.apply(tc.first)
			wantHeld(t, tc.reason+": undone", undone)

			// From when it has files on, it is held like any other.
			h.apply(tc.then)
			h.live[names.Postgres]["status"] = map[string]any{"state": "initializing", "patroni": map[string]any{"status": map[string]any{"systemIdentifier": "1"}}}
			h.apply(tc.then)
			res = h.apply(tc.first)
			if !tc.free && len(res.Held) == 0 {
				t.Errorf("%s: once initialised, want %s held", tc.reason, tc.first)
			}
		})
	}
}

// TestVolumeOfADatabaseThatWasNeverInitialised: what the volume was made as is
// remembered through edits, and forgotten with the cluster.
func TestVolumeOfADatabaseThatWasNeverInitialised(t *testing.T) {
	h := newHistory(t)
	class := func(c string) string { return `percona: {enabled: true, storageClassName: ` + c + `}` }
	h.apply(class("fsat"))
	h.apply(class("fats"))
	wantWarned(t, "the volume is the first one still", h.apply(class("fast")), "fast cannot be given to the volume that was made with fsat.")
	wantWarned(t, "what fits the volume is no problem", h.apply(class("fsat")))
	h.apply(class("fast"))
	delete(h.live, names.Postgres)
	wantWarned(t, "a cluster that is made again has a new volume", h.apply(class("fast")))

	// The class of a volume that is there after all can be set back.
	h = newHistory(t)
	h.apply(class("fast"))
	h.apply(class("slow"))
	h.live[names.Postgres]["status"] = map[string]any{"state": "ready", "postgres": map[string]any{"size": 1.0, "ready": 1.0}}
	h.apply(class("slow"))
	wantHeld(t, "the volume is of the class that it was made with", h.apply(class("fast")))
	wantHeld(t, "and of no third one", h.apply(class("third")), "third is held at fast")
}

// TestVolumeOfATakenOverCluster guards that a class that is asked for is not recorded as
// that of a volume that somebody else made: it would be let through the next time.
func TestVolumeOfATakenOverCluster(t *testing.T) {
	h := newHistory(t)
	h.started("percona: {enabled: true, storageSize: 20Gi}")
	for _, r := range []names.Resource{names.Postgres, names.Config} {
		delete(h.get(r, "metadata", "annotations").(map[string]any), names.AnnotationRecord)
	}
	for range 3 {
		h.apply(onPercona)
		if got := strict.Lookup(h.instance(), []string{"dataVolumeClaimSpec", "storageClassName"}); got != nil {
			t.Fatalf("want the class that it was made with, which is the default, got %v", got)
		}
	}
	wantHeld(t, "and it is told", h.apply(onPercona), "spec.percona.storageClassName: fast is held at the default class")
}

// TestGrownByHand guards that a volume that a person has grown does not shrink when the
// spec says for the first time what was its default.
func TestGrownByHand(t *testing.T) {
	const unstated = "percona: {enabled: true}"
	h := newHistory(t)
	h.started(unstated)
	claim := h.instance()["dataVolumeClaimSpec"].(map[string]any)
	claim["resources"] = map[string]any{"requests": map[string]any{"storage": "500Gi"}}
	size := func() any {
		return strict.Lookup(h.instance(), []string{"dataVolumeClaimSpec", "resources", "requests", "storage"})
	}
	wantHeld(t, "an edit like any other", h.apply(unstated))
	if got := size(); got != "500Gi" {
		t.Errorf("want the edit kept, got %v", got)
	}
	wantHeld(t, "and it cannot be undone", h.apply("percona: {enabled: true, storageSize: 10Gi}"), "spec.percona.storageSize: 10Gi is held at 500Gi: volumes cannot shrink. Ask for at least 500Gi")
	if got := size(); got != "500Gi" {
		t.Errorf("want the volume as it is, got %v", got)
	}
	wantHeld(t, "nobody asks for less any more", h.apply(unstated))
	if got := size(); got != "500Gi" {
		t.Errorf("want the volume as it is, got %v", got)
	}
}

// TestKeptWithoutData: a cluster that is not asked for any more stays what it is,
// although it has no data yet that could tell.
func TestKeptWithoutData(t *testing.T) {
	h := newHistory(t)
	h.apply(`percona: {enabled: true, postgresVersion: 17, storageSize: 50Gi, storageClassName: fast, crVersion: 2.10.0, replicas: 3}`)
	before := h.get(names.Postgres, "spec")
	res := h.apply(`image: x`)
	wantHeld(t, "a server that never was on it is on SQLite", res)
	wantWarned(t, "nothing but that it is kept", res, "spec.percona: PerconaPGCluster files-postgres is kept although the server does not use it")
	if res.Server.Current.Kind != record.SQLite {
		t.Errorf("want the server on SQLite, got %s", res.Server.Current.Kind)
	}
	if diff := cmp.Diff(before, h.get(names.Postgres, "spec")); diff != "" {
		t.Errorf("a kept cluster: want it as it was: -want, +got:\n%s", diff)
	}
}

// TestKept: a cluster with the server's data stays as it is, whatever the spec
// does not say any more.
func TestKept(t *testing.T) {
	for name, off := range map[string]string{"Off": `percona: {enabled: false}`, "Removed": `replicas: 1`, "OffAndOther": `percona: {enabled: false, postgresVersion: 18, storageSize: 1Gi, databaseName: x, backup: {enabled: false, confirmRemoval: true}}`} {
		t.Run(name, func(t *testing.T) {
			h := withKeys(newHistory(t))
			h.started(strings.Replace(backedUp, "enabled: true,", "enabled: true, postgresVersion: 17, databaseName: mine,", 1))
			before := h.get(names.Postgres, "spec")
			wantHeld(t, "the server stays on its database", h.apply(off), "spec.database: the server keeps its control plane in PerconaPGCluster files-postgres and goes on using it")
			wantHeld(t, "however often it is reconciled", h.apply(off), "spec.database: ")
			if diff := cmp.Diff(before, h.get(names.Postgres, "spec")); diff != "" {
				t.Errorf("the cluster: want it as it was: -want, +got:\n%s", diff)
			}
		})
	}
}

// TestKeysAreRotatedWhileHeld: a key that is no longer valid ends the backups of a
// server whose percona.enabled: false, or backups off, is held.
func TestKeysAreRotatedWhileHeld(t *testing.T) {
	for name, off := range map[string]string{
		"PerconaOff":     `percona: {enabled: false, backup: {enabled: true, bucket: b, endpoint: e, credentialsSecretRef: {name: keys}}}`,
		"PerconaRemoved": `replicas: 1`,
		"BackupsOff":     strings.Replace(backedUp, "backup: {enabled: true", "backup: {enabled: false", 1),
		"BackupsRemoved": onPercona,
	} {
		t.Run(name, func(t *testing.T) {
			h := withKeys(newHistory(t))
			h.started(backedUp)
			h.apply(off)
			was := h.get(names.BackupCredentials, "data", "s3.conf")
			h.others["Secret/keys"] = secretYAML("keys", map[string]string{"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "two"})
			res := h.apply(off)
			if k := res.Server.Cluster.Backup.Keys; k == nil || k.Secret != "two" || h.get(names.BackupCredentials, "data", "s3.conf") == was {
				t.Error("want the new key where pgBackRest reads it")
			}
			delete(h.others, "Secret/keys")
			was = h.get(names.BackupCredentials, "data", "s3.conf")
			res = h.apply(off)
			if h.get(names.BackupCredentials, "data", "s3.conf") != was || res.Server.Cluster.Backup.Problem == "" {
				t.Error("a Secret that went missing: want the last key kept, and the problem told")
			}
		})
	}
}

// TestRoleOfTheNodes: who takes the credentials out of the spec asks for the role
// of the nodes, and is told that it has to work.
func TestRoleOfTheNodes(t *testing.T) {
	h := withKeys(newHistory(t))
	h.started(backedUp)
	res := h.apply(strings.Replace(backedUp, ", credentialsSecretRef: {name: keys}", "", 1))
	wantHeld(t, "credentials are not data", res)
	if b := res.Server.Cluster.Backup; b.Secret != "" || b.ConfigSecret != "" || b.Keys != nil {
		t.Errorf("want no credentials, got Secret %q, configuration %q", b.Secret, b.ConfigSecret)
	}
	if h.get(names.Postgres, "spec", "backups", "pgbackrest", "configuration") != nil {
		t.Error("want nothing mounted")
	}
}

// TestConfirmRemovalIsSpent guards that backups end once for each confirmation.
func TestConfirmRemovalIsSpent(t *testing.T) {
	confirm := func(backup string) string {
		return strings.Replace(backup, "backup: {", "backup: {confirmRemoval: true, ", 1)
	}
	off := strings.Replace(backedUp, "backup: {enabled: true", "backup: {enabled: false", 1)
	const held = "spec.percona.backup.enabled: backups stay on: without them the data cannot be restored. "

	t.Run("Once", func(t *testing.T) {
		h := withKeys(newHistory(t))
		h.started(backedUp)
		res := h.apply(confirm(off))
		wantHeld(t, "confirmed in the same edit", res)
		if h.get(names.Postgres, "spec", "backups", "enabled") != false || h.get(names.Postgres, "metadata", "annotations", names.AnnotationAuthorizeBackupRemoval) != "true" {
			t.Error("want backups off, and Percona told so")
		}
		wantHeld(t, "it stays so", h.apply(confirm(off)))

		res = h.apply(confirm(backedUp))
		wantWarned(t, "on again, with the confirmation in place", res, "spec.percona.backup.confirmRemoval: is left over: it confirms no later removal; remove it")
		res = h.apply(confirm(off))
		wantHeld(t, "a confirmation that was used confirms nothing", res, held+"The confirmation in spec.percona.backup.confirmRemoval was there before this change, and confirms nothing: set it to false, and then to true again")
		wantHeld(t, "not on the second try either", h.apply(confirm(off)), held)
		wantHeld(t, "taken out", h.apply(off), held+"To switch them off, set spec.percona.backup.confirmRemoval to true")
		wantHeld(t, "and confirmed again", h.apply(confirm(off)))
		if h.get(names.Postgres, "spec", "backups", "enabled") != false {
			t.Error("want backups off")
		}
	})
	t.Run("InAdvance", func(t *testing.T) {
		h := withKeys(newHistory(t))
		h.started(confirm(backedUp))
		wantHeld(t, "it stood there before", h.apply(confirm(off)), held+"The confirmation in")
		wantHeld(t, "and does so when the edit is undone", h.apply(confirm(backedUp)))
		wantHeld(t, "and made again", h.apply(confirm(off)), held+"The confirmation in")
	})
	t.Run("WhileKept", func(t *testing.T) {
		h := withKeys(newHistory(t))
		h.started(confirm(backedUp))
		h.apply(`percona: {enabled: false}`)
		wantHeld(t, "nor does it become new by a while in which nothing is asked for", h.apply(confirm(off)), held+"The confirmation in")
	})
}

// TestBackupsSwitchedByHand: what somebody did to the live cluster is named as that.
func TestBackupsSwitchedByHand(t *testing.T) {
	const warned = "spec.percona.backup.enabled: backups were switched off on PerconaPGCluster files-postgres itself, and the database has none; to have them again, set its spec.backups.enabled to true, or spec.percona.driftPolicy to Revert"
	h := withKeys(newHistory(t))
	h.started(backedUp)
	h.set(names.Postgres, false, "spec", "backups", "enabled")
	wantWarned(t, "switched off by hand", h.apply(backedUp), warned)
	wantWarned(t, "which stands", h.apply(backedUp), warned)
	if h.get(names.Postgres, "spec", "backups", "enabled") != false {
		t.Error("an edit is kept")
	}
	h.apply(strings.Replace(backedUp, "enabled: true,", "enabled: true, driftPolicy: Revert,", 1))
	if h.get(names.Postgres, "spec", "backups", "enabled") != true {
		t.Error("Revert: want it reverted")
	}

	h = newHistory(t)
	h.started(onPercona)
	h.set(names.Postgres, true, "spec", "backups", "enabled")
	res := h.apply(onPercona)
	wantHeld(t, "backups that somebody switched on by hand are that person's, and not held", res)
	wantWarned(t, "nor is there anything to warn of", res)
}

// TestBackupsOnByHand guards that backups that a person has switched on are not switched
// off by an edit that asks for them while its keys are missing.
func TestBackupsOnByHand(t *testing.T) {
	const asked = `percona: {enabled: true, storageSize: 20Gi, storageClassName: fast, backup: {enabled: true, bucket: b, endpoint: s3.example.com, credentialsSecretRef: {name: s3}}}`
	h := newHistory(t)
	h.started(onPercona)
	h.set(names.Postgres, true, "spec", "backups", "enabled")
	h.set(names.Postgres, []any{map[string]any{"name": "repo1"}}, "spec", "backups", "pgbackrest", "repos")
	for _, spec := range []string{onPercona, asked, asked} {
		h.apply(spec)
		if on := h.get(names.Postgres, "spec", "backups", "enabled"); on != true {
			t.Fatalf("%s: want the backups on, got %v", spec, on)
		}
		h.set(names.Postgres, []any{map[string]any{"name": "repo1"}}, "spec", "backups", "pgbackrest", "repos")
	}
}

// TestCRVersionOfTheOperator: an old crVersion is kept, and what makes the cluster
// ready is told.
func TestCRVersionOfTheOperator(t *testing.T) {
	const warned = "spec.percona.crVersion: PerconaPGCluster files-postgres is of version 2.8.0, for which Percona's operator 2.9 and newer demand a pgBouncer and its image, and it does not become ready; set this field to 2.9.0"
	old := liveCluster(t, strings.Replace(clusterSpec, "2.9.0", "2.8.0", 1), nil)
	s3 := map[string]string{"Secret/s3": `{data: {s3.conf: eA==}}`}
	cases := map[string]struct {
		reason string
		spec   string
		want   string
		warned []string
	}{
		"Kept":   {reason: "what is live stays, and does not become ready", spec: onPercona, want: "2.8.0", warned: []string{warned}},
		"Stated": {reason: "what the warning asks for ends it", spec: strings.Replace(onPercona, "enabled: true,", "enabled: true, crVersion: 2.9.0,", 1), want: "2.9.0"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			res := call{spec: braced(tc.spec), answers: s3, composed: map[string]string{"postgres": old, "server": liveServer(wiredToPercona, metadataClaim+","+controlClaim)}}.resolve(t)
			if got := res.Server.Cluster.CRVersion; got != tc.want {
				t.Errorf("%s: want %s, got %s", tc.reason, tc.want, got)
			}
			wantWarned(t, tc.reason, res, tc.warned...)
		})
	}
}

// TestMetadataDatabase: the two databases stay two, also where the name of the first
// one is held.
func TestMetadataDatabase(t *testing.T) {
	h := newHistory(t)
	h.started(onPercona)
	res := h.apply(strings.Replace(onPercona, "enabled: true,", "enabled: true, databaseName: other, metadataDatabaseName: dittofs,", 1))
	want := []string{`spec.percona.metadataDatabaseName: Invalid value: "dittofs": must differ from the database of the control plane: both have a table named shares`}
	if diff := cmp.Diff(want, messages(res)); diff != "" {
		t.Errorf("Resolve(...): -want, +got:\n%s", diff)
	}
}

// TestAskedOfTheFirstFormat: the first format of the record has a digest of what was
// asked for, and an upgrade of the function is no change of that.
func TestAskedOfTheFirstFormat(t *testing.T) {
	first := func(digest string) map[string]string {
		doc := encode(t, map[string]any{"ask": digest, "spec": yamltest.Struct(t, clusterSpec).AsMap()})
		return map[string]string{"postgres": `{metadata: {name: files-postgres, annotations: {dittoserver.fn.crossplane.io/rendered: ` + encode(t, doc) + `}}, spec: ` + clusterSpec + `}`}
	}
	cases := map[string]struct {
		reason  string
		digest  string
		changed bool
	}{
		// The first 8 bytes of SHA-256 of {"enabled":true,"storageSize":"20Gi"}.
		"Same":    {reason: "nothing else is asked for", digest: "648583f1289eb895"},
		"Changed": {reason: "something else is asked for", digest: "0123456789abcdef", changed: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := call{spec: `{percona: {enabled: true, storageSize: 20Gi}}`, composed: first(tc.digest)}.resolve(t).Server.Cluster
			if c.AskChanged != tc.changed {
				t.Errorf("%s: want changed: %t, got %t", tc.reason, tc.changed, c.AskChanged)
			}
			if c.NewlyAsked("storageSize") {
				t.Errorf("%s: a digest does not tell which field is new, so none is", tc.reason)
			}
		})
	}
}

// TestNewlyAsked: what the spec says of a field for the first time is told apart
// from what it goes on saying.
func TestNewlyAsked(t *testing.T) {
	asked := map[string]any{"enabled": true, "replicas": 1.0, "backup": map[string]any{"region": "eu"}}
	with := func(asked map[string]any) map[string]string {
		c := recorded(t, clusterSpec)
		c.Asked = asked
		return map[string]string{"postgres": liveCluster(t, clusterSpec, c)}
	}
	cases := map[string]struct {
		reason   string
		composed map[string]string
		want     []string
		changed  bool
	}{
		"Same":     {reason: "it says what it said", composed: with(asked)},
		"Stated":   {reason: "to state a default is to ask for it", composed: with(map[string]any{"enabled": true, "backup": map[string]any{"region": "eu"}}), want: []string{"replicas"}, changed: true},
		"Changed":  {reason: "so is another value", composed: with(map[string]any{"enabled": true, "replicas": 1.0, "backup": map[string]any{"region": "us"}}), want: []string{"backup.region"}, changed: true},
		"Dropped":  {reason: "what is said no more is nothing new", composed: with(map[string]any{"enabled": true, "replicas": 1.0, "backup": map[string]any{"region": "eu"}, "image": "x"}), changed: true},
		"NoRecord": {reason: "before there is a record everything is new", composed: map[string]string{"postgres": liveCluster(t, clusterSpec, nil)}, want: []string{"backup.region", "replicas"}, changed: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := call{spec: `{percona: {enabled: true, replicas: 1, backup: {region: eu}}}`, composed: tc.composed}.resolve(t).Server.Cluster
			var got []string
			for _, f := range []string{"backup.region", "replicas", "image", "storageSize"} {
				if c.NewlyAsked(f) {
					got = append(got, f)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || c.AskChanged != tc.changed {
				t.Errorf("%s: want changed %t, got %t; newly asked: -want, +got:\n%s", tc.reason, tc.changed, c.AskChanged, diff)
			}
		})
	}
}
