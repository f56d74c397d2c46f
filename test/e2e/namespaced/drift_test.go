package namespaced

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// Somebody who edits the cluster itself, in the middle of the night, is not
// undone by the next reconcile, until the server's own spec asks for something
// else. What is kept is listed in the server's status.
func TestEditsOfTheClusterAreKept(t *testing.T) {
	t.Parallel()

	ns := e2e.NewNamespace(t)
	ns.Running("files", e2e.WithDatabase)
	ns.Settle("files")

	ns.Kubectl("patch", "perconapgcluster", "files-postgres", "--type=json", "-p", `[
		{"op": "replace", "path": "/spec/instances/0/replicas", "value": 2},
		{"op": "add", "path": "/spec/instances/-", "value": {"name": "reports", "replicas": 1,
			"dataVolumeClaimSpec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}},
		{"op": "add", "path": "/metadata/labels/team", "value": "storage"}
	]`)
	for range 5 {
		ns.Reconcile("files")
	}

	cluster := ns.Get("perconapgcluster", "files-postgres")
	if diff := cmp.Diff(map[string]any{"instance1": int64(2), "reports": int64(1)}, replicas(cluster)); diff != "" {
		t.Errorf("instance sets after five reconciles: -want, +got:\n%s", diff)
	}
	if got := cluster.GetLabels()["team"]; got != "storage" {
		t.Errorf("the label team is %q", got)
	}
	kept := fmt.Sprint(ns.Get("dittoserver", "files").Value("status", "database", "keptEdits"))
	if !strings.Contains(kept, "replicas") {
		t.Errorf("status.database.keptEdits does not list the edit: %s", kept)
	}

	// The server asks for three replicas. The edit gives way, what somebody
	// else added stays.
	ns.Patch("dittoserver", "files", `{"spec": {"percona": {"replicas": 3}}}`)
	ns.Wait("perconapgcluster", "files-postgres", func(o *e2e.Object) error {
		if diff := cmp.Diff(map[string]any{"instance1": int64(3), "reports": int64(1)}, replicas(o)); diff != "" {
			return fmt.Errorf("instance sets: -want, +got:\n%s", diff)
		}
		return nil
	})
	ns.Wait("dittoserver", "files", func(o *e2e.Object) error {
		if kept := o.Value("status", "database", "keptEdits"); kept != nil {
			return fmt.Errorf("keptEdits still lists %v", kept)
		}
		return nil
	})
}

// With driftPolicy: Revert they are undone.
func TestEditsOfTheClusterAreReverted(t *testing.T) {
	t.Parallel()

	ns := e2e.NewNamespace(t)
	ns.Running("files", `{storage: {metadataSize: 1Gi}, percona: {enabled: true, storageSize: 1Gi, driftPolicy: Revert}}`)

	ns.Kubectl("patch", "perconapgcluster", "files-postgres", "--type=json", "-p", `[{"op": "replace", "path": "/spec/instances/0/replicas", "value": 2}]`)
	ns.Wait("perconapgcluster", "files-postgres", func(o *e2e.Object) error {
		if diff := cmp.Diff(map[string]any{"instance1": int64(1)}, replicas(o)); diff != "" {
			return fmt.Errorf("instance sets: -want, +got:\n%s", diff)
		}
		return nil
	})
}

// What is deleted comes back as it was.
func TestDeletedObjectsComeBack(t *testing.T) {
	t.Parallel()

	ns := e2e.NewNamespace(t)
	ns.Running("files", e2e.WithDatabase)
	ns.Reconcile("files")
	before := ns.Snapshot("files")
	volumes := volumesOf(ns)

	ns.Kubectl("annotate", "service", "files-api", "example.org/note=ours")
	ns.Kubectl("delete", "configmap", "files-config")
	ns.Kubectl("delete", "service", "files-api", "files-headless")
	ns.Kubectl("delete", "statefulset", "files")
	for _, o := range []struct{ kind, name string }{{"configmap", "files-config"}, {"service", "files-api"}, {"service", "files-headless"}, {"statefulset", "files"}} {
		ns.Wait(o.kind, o.name, func(got *e2e.Object) error {
			if got.GetDeletionTimestamp() != nil {
				return fmt.Errorf("it is being deleted")
			}
			return nil
		})
	}
	ns.WaitCondition("dittoserver", "files", "Ready", "True", "Available")
	ns.Reconcile("files")

	made := [][]string{{"metadata", "uid"}, {"metadata", "creationTimestamp"}, {"metadata", "generation"}, {"spec", "clusterIP"}, {"spec", "clusterIPs"}}
	e2e.Same(t, "after the objects came back", before.WithoutFields(made...), ns.Snapshot("files").WithoutFields(made...))
	if diff := cmp.Diff(volumes, volumesOf(ns)); diff != "" {
		t.Errorf("volumes: -before, +after:\n%s", diff)
	}
}

// replicas of the instance sets of a cluster, by name.
func replicas(cluster *e2e.Object) map[string]any {
	out := map[string]any{}
	instances, _ := cluster.Value("spec", "instances").([]any)
	for _, i := range instances {
		m, _ := i.(map[string]any)
		name, _ := m["name"].(string)
		out[name] = m["replicas"]
	}

	return out
}
