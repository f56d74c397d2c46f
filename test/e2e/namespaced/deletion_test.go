package namespaced

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// withBackups is the spec of a server whose database is backed up.
const withBackups = `{storage: {metadataSize: 1Gi}, percona: {enabled: true, storageSize: 1Gi,
  backup: {enabled: true, bucket: backups, endpoint: s3.example.org, credentialsSecretRef: {name: s3}}}}`

// recordAnnotation has what was chosen for a server.
const recordAnnotation = "dittoserver.fn.crossplane.io/record"

const s3Secret = `
apiVersion: v1
kind: Secret
metadata: {name: s3}
stringData: {AWS_ACCESS_KEY_ID: key, AWS_SECRET_ACCESS_KEY: secret}
`

// A deleted server is gone with all that it was made of, except for its data, the
// database's password, and what was chosen for it: a server of the same name takes
// them up again.
func TestDeletion(t *testing.T) {
	t.Parallel()

	for _, cascade := range []string{"background", "foreground"} {
		t.Run(cascade, func(t *testing.T) {
			t.Parallel()

			ns := e2e.NewNamespace(t)
			ns.Running("files", e2e.WithDatabase)
			volumes := volumesOf(ns)
			password := ns.Get("secret", "files-postgres-pguser-dittofs").Value("data", "password")
			if len(volumes) < 3 {
				t.Fatalf("a server has a volume for metadata, one for its control plane, and its database has one, there are only %v", volumes)
			}

			record := ns.Get("configmap", "files-config").GetUID()

			ns.Kubectl("delete", "dittoserver", "files", "--cascade="+cascade)
			waitDeleted(ns)
			for _, set := range []labels.Set{{"app": "dittofs-server"}, {"postgres-operator.crunchydata.com/cluster": "files-postgres"}} {
				ns.Eventually("no pods", func() error {
					if l := ns.List("pod", set); len(l) > 0 {
						return fmt.Errorf("there are %d", len(l))
					}
					return nil
				})
			}
			if diff := cmp.Diff(volumes, volumesOf(ns)); diff != "" {
				t.Errorf("volumes after the deletion: -before, +after:\n%s", diff)
			}

			waitRecordKept(ns, record)

			ns.Running("files", e2e.WithDatabase)
			if got := ns.Get("configmap", "files-config"); got.GetUID() != record || len(got.GetOwnerReferences()) != 2 {
				t.Errorf("the record was not taken up: its UID was %s and is %s, its owners are %s", record, got.GetUID(), owning(got))
			}
			if diff := cmp.Diff(volumes, volumesOf(ns)); diff != "" {
				t.Errorf("volumes of the server that took over: -before, +after:\n%s", diff)
			}
			if got := ns.Get("secret", "files-postgres-pguser-dittofs").Value("data", "password"); got != password {
				t.Error("the database has another password, which the volumes do not know")
			}
		})
	}
}

// With --cascade=orphan everything goes on running without the DittoServer, and
// one of the same name and spec takes it over as it is: nothing is made again,
// nothing restarts, backups go where they went.
func TestOrphans(t *testing.T) {
	t.Parallel()

	ns := e2e.NewNamespace(t)
	ns.Apply(s3Secret)
	ns.Running("files", withBackups)
	ns.Reconcile("files")
	ns.Settle("files")
	before := ns.Snapshot("files")
	was := ns.Get("dittoserver", "files").GetUID()
	pod := ns.Get("pod", "files-0").GetUID()

	// A reconcile that is under way while Kubernetes lets go of the objects
	// would take hold of them again, and they would be deleted. So none may be.
	ns.Kubectl("annotate", "dittoserver", "files", "crossplane.io/paused=true")
	ns.WaitCondition("dittoserver", "files", "Synced", "False", "ReconcilePaused")
	ns.Kubectl("delete", "dittoserver", "files", "--cascade=orphan", "--wait=false")
	ns.Wait("dittoserver", "files", func(o *e2e.Object) error {
		if slices.Contains(o.GetFinalizers(), "orphan") {
			return errors.New("Kubernetes has not let go of the objects yet")
		}
		return nil
	})
	ns.Kubectl("annotate", "dittoserver", "files", "crossplane.io/paused-")
	ns.WaitGone("dittoserver", "files")

	ns.Apply(e2e.Server("files", withBackups))
	ns.WaitCondition("dittoserver", "files", "Ready", "True", "Available")
	ns.WaitCondition("dittoserver", "files", "Accepted", "True", "SpecAccepted")
	ns.Reconcile("files")

	// The record is the new one's.
	recordOf(before, was, ns.Get("dittoserver", "files").GetUID())
	owner := []string{"metadata", "ownerReferences"}
	e2e.Same(t, "objects that were taken over", before.WithoutFields(owner), ns.Snapshot("files").WithoutFields(owner))
	if got := ns.Get("pod", "files-0").GetUID(); got != pod {
		t.Error("the server's pod was replaced")
	}

	// They are the new one's now, and go with it.
	ns.Kubectl("delete", "dittoserver", "files")
	ns.WaitGone("statefulset", "files")
	ns.WaitGone("perconapgcluster", "files-postgres")
}

// recordOf makes the record of a snapshot that of another DittoServer.
func recordOf(s e2e.Snapshot, was, is types.UID) {
	for _, o := range s {
		u := &unstructured.Unstructured{Object: o}
		annotations := u.GetAnnotations()
		if record, ok := annotations[recordAnnotation]; ok {
			annotations[recordAnnotation] = strings.Replace(record, `"xr":"`+string(was)+`"`, `"xr":"`+string(is)+`"`, 1)
			u.SetAnnotations(annotations)
		}
	}
}

// A server that never came up can be deleted like any other.
func TestDeletionWhileTheDatabaseInitializes(t *testing.T) {
	t.Parallel()

	ns := e2e.NewNamespace(t)
	ns.Apply(s3Secret)
	ns.Apply(e2e.Server("files", withBackups))
	ns.Wait("secret", "files-postgres-pguser-dittofs", nil)

	ns.Kubectl("delete", "dittoserver", "files")
	waitDeleted(ns)
}

// What is kept when a server is deleted decides what a new one of its name may be:
// another database would be empty, and another major version of PostgreSQL would
// destroy the files. So the old values are held, and the server says so.
func TestRecreatedOtherwise(t *testing.T) {
	t.Parallel()

	for name, tc := range map[string]struct {
		spec, field string
	}{
		"database": {
			spec:  `{storage: {metadataSize: 1Gi}, percona: {enabled: true, storageSize: 1Gi, databaseName: other}}`,
			field: "spec.percona.databaseName",
		},
		"version": {
			spec:  `{storage: {metadataSize: 1Gi}, percona: {enabled: true, storageSize: 1Gi, postgresVersion: 18}}`,
			field: "spec.percona.postgresVersion",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			ns := e2e.NewNamespace(t)
			ns.Running("files", e2e.WithDatabase)
			ns.Settle("files")
			before := ns.Get("perconapgcluster", "files-postgres")
			pod := podOf(ns)

			ns.Kubectl("delete", "dittoserver", "files")
			waitDeleted(ns)

			ns.Apply(e2e.Server("files", tc.spec))
			ns.WaitMessage("dittoserver", "files", "Accepted", "False", tc.field)
			ns.WaitCondition("dittoserver", "files", "Accepted", "False", "ChangeHeld")
			ns.WaitCondition("dittoserver", "files", "Ready", "True", "Available")
			ns.Settle("files")
			after := ns.Get("perconapgcluster", "files-postgres")
			for _, path := range [][]string{{"spec", "postgresVersion"}, {"spec", "image"}, {"spec", "users"}} {
				if diff := cmp.Diff(before.Value(path...), after.Value(path...)); diff != "" {
					t.Errorf("%s of the cluster that was made again: -before, +after:\n%s", strings.Join(path, "."), diff)
				}
			}
			if diff := cmp.Diff(pod, podOf(ns)); diff != "" {
				t.Errorf("pod of the server that was made again: -before, +after:\n%s", diff)
			}

			// As it was, nothing is held any more, at neither value.
			ns.Patch("dittoserver", "files", `{"spec": {"percona": {"databaseName": null, "postgresVersion": null}}}`)
			ns.Wait("dittoserver", "files", func(o *e2e.Object) error {
				// It still warns of the administrator's Secret, which is another one.
				if c := o.Condition("Accepted"); c.Status != "True" || strings.Contains(c.Message, tc.field) {
					return fmt.Errorf("Accepted is %+v", c)
				}
				return nil
			})
			if diff := cmp.Diff(before.Value("spec", "postgresVersion"), ns.Get("perconapgcluster", "files-postgres").Value("spec", "postgresVersion")); diff != "" {
				t.Errorf("PostgreSQL after the edit was taken back: -before, +after:\n%s", diff)
			}
		})
	}
}

// podOf is what a server's pod is, and the checksum of its configuration. Its other
// checksums are of Secrets that go with the server and are made again.
func podOf(ns *e2e.Namespace) map[string]any {
	ns.T.Helper()

	o := ns.Get("statefulset", "files")

	return map[string]any{
		"spec":   o.Value("spec", "template", "spec"),
		"config": o.Value("spec", "template", "metadata", "annotations", "checksum.dittoserver.fn.crossplane.io/config"),
	}
}

// waitDeleted waits until a deleted server is gone with what it was made of. Its
// ConfigMap, with the record of what was chosen, stays for as long as Percona keeps
// the database's Secret, which owns it then.
func waitDeleted(ns *e2e.Namespace) {
	ns.T.Helper()

	for key := range composedOf("files") {
		if key.kind != "configmap" {
			ns.WaitGone(key.kind, key.name)
		}
	}
	ns.Eventually("the ConfigMap is the Secret's, or gone", func() error {
		o, err := ns.Find("configmap", "files-config")
		if err != nil || o == nil {
			return err
		}
		if got := owning(o); got != "Secret/files-postgres-pguser-dittofs" {
			return fmt.Errorf("its owners are %s", got)
		}
		return nil
	})
}

// waitRecordKept waits until the Secret is all that owns the ConfigMap, and sees that
// it is not collected.
func waitRecordKept(ns *e2e.Namespace, uid types.UID) {
	ns.T.Helper()

	e2e.Pause(ns.T, 5*time.Second)
	o := ns.Get("configmap", "files-config")
	if got := owning(o); o.GetUID() != uid || o.GetDeletionTimestamp() != nil || got != "Secret/files-postgres-pguser-dittofs" {
		ns.T.Errorf("the record is not kept: its UID was %s and is %s, its owners are %s", uid, o.GetUID(), got)
	}
}

// owning are the owners of an object.
func owning(o *e2e.Object) string {
	out := []string{}
	for _, r := range o.GetOwnerReferences() {
		out = append(out, r.Kind+"/"+r.Name)
	}

	return strings.Join(out, ", ")
}

type object struct{ kind, name string }

// composedOf are the objects that a server is made of.
func composedOf(name string) map[object]bool {
	return map[object]bool{
		{"perconapgcluster", name + "-postgres"}:          true,
		{"statefulset", name}:                             true,
		{"configmap", name + "-config"}:                   true,
		{"secret", name + "-jwt-secret"}:                  true,
		{"secret", name + "-admin-bootstrap-credentials"}: true,
		{"service", name + "-headless"}:                   true,
		{"service", name + "-api"}:                        true,
		{"service", name + "-adapter-nfs"}:                true,
		{"service", name + "-adapter-smb"}:                true,
	}
}

// volumesOf are the volumes of a namespace, by name, and their identities.
func volumesOf(ns *e2e.Namespace) map[string]string {
	out := map[string]string{}
	for _, v := range ns.List("persistentvolumeclaim", nil) {
		out[v.GetName()] = string(v.GetUID())
	}

	return out
}
