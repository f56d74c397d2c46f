package namespaced

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// withBackups is the spec of a server whose database is backed up.
const withBackups = `{storage: {metadataSize: 1Gi}, percona: {enabled: true, storageSize: 1Gi,
  backup: {enabled: true, bucket: backups, endpoint: s3.example.org, credentialsSecretRef: {name: s3}}}}`

const s3Secret = `
apiVersion: v1
kind: Secret
metadata: {name: s3}
stringData: {AWS_ACCESS_KEY_ID: key, AWS_SECRET_ACCESS_KEY: secret}
`

// A deleted server is gone with all that it was made of, except for its data
// and the database's password: a server of the same name takes them up again.
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

			ns.Kubectl("delete", "dittoserver", "files", "--cascade="+cascade)
			for key := range composedOf("files") {
				ns.WaitGone(key.kind, key.name)
			}
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

			ns.Running("files", e2e.WithDatabase)
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
// one of the same name and spec takes it over as it is: nothing is made anew,
// nothing restarts, backups go where they went.
func TestOrphans(t *testing.T) {
	t.Parallel()

	ns := e2e.NewNamespace(t)
	ns.Apply(s3Secret)
	ns.Running("files", withBackups)
	ns.Reconcile("files")
	ns.Settle("files")
	before := ns.Snapshot("files")
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

// A server that never came up can be deleted like any other.
func TestDeletionWhileTheDatabaseInitializes(t *testing.T) {
	t.Parallel()

	ns := e2e.NewNamespace(t)
	ns.Apply(s3Secret)
	ns.Apply(e2e.Server("files", withBackups))
	ns.Wait("secret", "files-postgres-pguser-dittofs", nil)

	ns.Kubectl("delete", "dittoserver", "files")
	for key := range composedOf("files") {
		ns.WaitGone(key.kind, key.name)
	}
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
