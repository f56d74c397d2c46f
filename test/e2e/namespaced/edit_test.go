package namespaced

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// An edit of a running server.
type edit struct {
	// edit and undo are merge patches of the spec.
	edit, undo string

	// changes are the objects that are written.
	changes []string

	// held is what the condition Accepted says of an edit that contradicts
	// what is there: the old value stays.
	held []string
}

const (
	cluster  = "perconapgcluster/files-postgres"
	pod      = "statefulset/files"
	config   = "configmap/files-config"
	nfs      = "service/files-adapter-nfs"
	smb      = "service/files-adapter-smb"
	api      = "service/files-api"
	headless = "service/files-headless"
)

// What becomes of every edit of a running server: which of its objects change,
// or that it is held, and what the condition Accepted says. After each, the
// edit is undone, and the server is as it was.
func TestEdits(t *testing.T) {
	t.Parallel()

	// Each group has a server of its own, and time between the edits:
	// Crossplane listens only now and then to one that changes all the time.
	for group, edits := range map[string][]edit{
		"server": {
			{edit: `{"logging": {"level": "DEBUG"}}`, undo: `{"logging": null}`, changes: []string{config, pod}},
			{edit: `{"image": "registry.example.org/dittofs:v0.29.1"}`, undo: `{"image": "marmos91c/dittofs:v0.29.0"}`, changes: []string{pod}},
			{edit: `{"replicas": 0}`, undo: `{"replicas": null}`, changes: []string{pod}},
		},
		"pod": {
			{edit: `{"resources": {"requests": {"cpu": "500m"}}}`, undo: `{"resources": null}`, changes: []string{pod}},
			{edit: `{"terminationGracePeriodSeconds": 60}`, undo: `{"terminationGracePeriodSeconds": null}`, changes: []string{pod}},
			{edit: `{"identity": {"jwt": {"accessTokenDuration": "5m"}}}`, undo: `{"identity": null}`, changes: []string{config, pod}},
		},
		"network": {
			{edit: `{"controlPlane": {"port": 9090}}`, undo: `{"controlPlane": null}`, changes: []string{api, config, headless, pod}},
			{edit: `{"service": {"type": "NodePort"}}`, undo: `{"service": null}`, changes: []string{api}},
			{edit: `{"adapterServices": {"type": "NodePort"}}`, undo: `{"adapterServices": null}`, changes: []string{nfs, smb}},
		},
		"database": {
			{edit: `{"percona": {"replicas": 3}}`, undo: `{"percona": {"replicas": null}}`, changes: []string{cluster}},
			{edit: `{"percona": {"resources": {"requests": {"cpu": "1"}}}}`, undo: `{"percona": {"resources": null}}`, changes: []string{cluster}},
			{edit: `{"percona": {"metadataDatabaseName": "meta"}}`, undo: `{"percona": {"metadataDatabaseName": null}}`, changes: []string{cluster}},
			{edit: `{"percona": {"backup": {"retentionDays": 30}}}`, undo: `{"percona": {"backup": {"retentionDays": null}}}`, changes: []string{cluster}},
			{edit: `{"percona": {"backup": {"incrSchedule": "*/10 * * * *"}}}`, undo: `{"percona": {"backup": {"incrSchedule": null}}}`, changes: []string{cluster}},
		},
		"held volumes": {
			{edit: `{"storage": {"metadataSize": "2Gi"}}`, undo: `{"storage": {"metadataSize": "1Gi"}}`, held: []string{"spec.storage.metadataSize"}},
			{edit: `{"storage": {"contentSize": "1Gi"}}`, undo: `{"storage": {"contentSize": null}}`, held: []string{"spec.storage.contentSize"}},
			{edit: `{"storage": {"storageClassName": "fast"}}`, undo: `{"storage": {"storageClassName": null}}`, held: []string{"spec.storage.storageClassName"}},
			{edit: `{"percona": {"storageSize": "512Mi"}}`, undo: `{"percona": {"storageSize": "1Gi"}}`, held: []string{"spec.percona.storageSize"}},
			{edit: `{"percona": {"storageClassName": "fast"}}`, undo: `{"percona": {"storageClassName": null}}`, held: []string{"spec.percona.storageClassName"}},
			// It does not keep another edit from being applied.
			{edit: `{"storage": {"metadataSize": "2Gi"}, "percona": {"replicas": 2}}`, undo: `{"storage": {"metadataSize": "1Gi"}, "percona": {"replicas": null}}`, changes: []string{cluster}, held: []string{"spec.storage.metadataSize"}},
		},
		"held database": {
			{edit: `{"percona": {"enabled": false}}`, undo: `{"percona": {"enabled": true}}`, held: []string{"spec.database", "set spec.database.confirmSwitch to sqlite"}},
			{edit: `{"percona": {"databaseName": "other"}}`, undo: `{"percona": {"databaseName": null}}`, held: []string{"spec.percona.databaseName"}},
			{edit: `{"percona": {"postgresVersion": 17}}`, undo: `{"percona": {"postgresVersion": null}}`, held: []string{"spec.percona.postgresVersion"}},
			{edit: `{"percona": {"backup": {"path": "/elsewhere"}}}`, undo: `{"percona": {"backup": {"path": null}}}`, held: []string{"spec.percona.backup.path"}},
			{edit: `{"percona": {"backup": {"enabled": false}}}`, undo: `{"percona": {"backup": {"enabled": true}}}`, held: []string{"spec.percona.backup.enabled", "confirmRemoval"}},
		},
	} {
		t.Run(group, func(t *testing.T) {
			t.Parallel()

			ns := e2e.NewNamespace(t)
			ns.Apply(s3Secret)
			running(ns, "files", withBackups)
			ns.Settle("files")
			before := ns.Snapshot("files")

			for _, e := range edits {
				e2e.Pause(t, 10*time.Second)
				e.see(ns, before)
			}
		})
	}
}

// see what becomes of the edit. The pods are not said to restart: what changes
// is seen on the objects.
func (e edit) see(ns *e2e.Namespace, before e2e.Snapshot) {
	ns.T.Helper()

	// Annotations record what was asked for, also where it is held.
	generation, annotations := []string{"metadata", "generation"}, []string{"metadata", "annotations"}
	slices.Sort(e.changes)

	ns.Patch("dittoserver", "files", `{"spec": `+e.edit+`}`)
	for _, text := range e.held {
		ns.WaitMessage("dittoserver", "files", "Accepted", "False", text)
	}
	ns.Eventually("objects that "+e.edit+" changes", func() error {
		if diff := cmp.Diff(e.changes, changed(before.WithoutFields(generation, annotations), ns.Snapshot("files").WithoutFields(generation, annotations)), cmpopts.EquateEmpty()); diff != "" {
			return fmt.Errorf("-want, +got:\n%s", diff)
		}
		return nil
	})

	ns.Patch("dittoserver", "files", `{"spec": `+e.undo+`}`)
	ns.WaitCondition("dittoserver", "files", "Accepted", "True", "SpecAccepted")
	ns.Eventually("after "+e.undo+" all is as before", func() error {
		if diff := cmp.Diff(before.WithoutFields(generation), ns.Snapshot("files").WithoutFields(generation)); diff != "" {
			return fmt.Errorf("-before, +after:\n%s", diff)
		}
		return nil
	})
}

// changed are the objects that differ between two snapshots.
func changed(before, after e2e.Snapshot) []string {
	out := []string{}
	for k := range after {
		if !cmp.Equal(before[k], after[k]) {
			out = append(out, k)
		}
	}
	for k := range before {
		if _, ok := after[k]; !ok {
			out = append(out, k+" is gone")
		}
	}
	slices.Sort(out)

	return out
}
