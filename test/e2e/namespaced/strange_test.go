package namespaced

import (
	"fmt"
	"testing"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// Somebody else's object of a name that the server wants is not touched, and
// the server says so. When it is gone, or may be taken over, all goes on.
func TestNamesTakenByOthers(t *testing.T) {
	t.Parallel()

	ns := e2e.NewNamespace(t)
	ns.Apply(`
apiVersion: v1
kind: ConfigMap
metadata: {name: files-config, labels: {team: other}}
data: {precious: "yes"}
---
apiVersion: v1
kind: Secret
metadata: {name: files-jwt-secret}
stringData: {jwt-secret: "somebody else's, and long enough to sign tokens with"}
`)
	taken := ns.Snapshot("files")

	ns.Apply(e2e.Server("files", e2e.WithSQLite))
	ns.WaitCondition("dittoserver", "files", "Accepted", "False", "NameTaken")
	for _, name := range []string{"ConfigMap files-config", "Secret files-jwt-secret"} {
		ns.WaitMessage("dittoserver", "files", "Accepted", "False", name)
	}
	ns.WaitCondition("dittoserver", "files", "Ready", "False", "Creating")
	ns.Wait("service", "files-api", nil)
	e2e.Same(t, "objects of others", taken, e2e.Snapshot{
		"configmap/files-config":  ns.Snapshot("files")["configmap/files-config"],
		"secret/files-jwt-secret": ns.Snapshot("files")["secret/files-jwt-secret"],
	})

	// One is deleted, the other may be taken over.
	ns.Kubectl("delete", "configmap", "files-config")
	ns.Patch("dittoserver", "files", `{"spec": {"adoptExisting": true}}`)
	ns.RunServer("files")
	ns.WaitCondition("dittoserver", "files", "Accepted", "True", "SpecAccepted")
	ns.WaitCondition("dittoserver", "files", "Ready", "True", "Available")
	if got, want := ns.Get("secret", "files-jwt-secret").Value("data", "jwt-secret"), taken["secret/files-jwt-secret"]["data"].(map[string]any)["jwt-secret"]; got != want {
		t.Error("the secret that was taken over was replaced")
	}
}

// An object that is being deleted while it is wanted is not held on to: it is
// made again when it is gone.
func TestObjectBeingDeleted(t *testing.T) {
	t.Parallel()

	ns := e2e.NewNamespace(t)
	ns.Apply(e2e.Server("files", e2e.WithSQLite))
	ns.RunServer("files")
	ns.WaitCondition("dittoserver", "files", "Ready", "True", "Available")

	ns.Patch("configmap", "files-config", `{"metadata": {"finalizers": ["example.org/slow"]}}`)
	uid := ns.Get("configmap", "files-config").GetUID()
	ns.Kubectl("delete", "configmap", "files-config", "--wait=false")
	ns.WaitMessage("dittoserver", "files", "Accepted", "False", "ConfigMap files-config is being deleted")

	ns.Patch("configmap", "files-config", `{"metadata": {"finalizers": null}}`)
	ns.Wait("configmap", "files-config", func(o *e2e.Object) error {
		if o.GetUID() == uid {
			return fmt.Errorf("it is still the old one")
		}
		return nil
	})
	ns.WaitCondition("dittoserver", "files", "Accepted", "True", "SpecAccepted")
	ns.WaitCondition("dittoserver", "files", "Ready", "True", "Available")
}

// Without its credentials a backup cannot work, so the database comes without
// one, and the server says so. It gets it when the Secret is there.
func TestBackupSecretMissing(t *testing.T) {
	t.Parallel()

	ns := e2e.NewNamespace(t)
	ns.RunDatabase("files")
	ns.RunServer("files")
	ns.Apply(e2e.Server("files", withBackups))

	ns.WaitMessage("dittoserver", "files", "BackupReady", "False", "s3")
	ns.WaitCondition("dittoserver", "files", "Ready", "True", "Available")
	enabled := func(want bool) func(*e2e.Object) error {
		return func(o *e2e.Object) error {
			repos, _ := o.Value("spec", "backups", "pgbackrest", "repos").([]any)
			if got := len(repos) > 0; got != want {
				return fmt.Errorf("spec.backups is %v", o.Value("spec", "backups"))
			}
			return nil
		}
	}
	ns.Wait("perconapgcluster", "files-postgres", enabled(false))

	ns.Apply(s3Secret)
	ns.Wait("perconapgcluster", "files-postgres", enabled(true))
	ns.Wait("secret", "files-pgbackrest-secret", nil)
}

// Two servers of one name in two namespaces do not meet.
func TestServersOfOneName(t *testing.T) {
	t.Parallel()

	one, two := e2e.NewNamespace(t, "one"), e2e.NewNamespace(t, "two")
	one.Running("files", e2e.WithDatabase)
	two.Running("files", e2e.WithDatabase)
	two.Settle("files")

	before := two.Snapshot("files")
	one.Kubectl("delete", "dittoserver", "files")
	one.WaitGone("statefulset", "files")
	two.Reconcile("files")
	e2e.Same(t, "the other server", before, two.Snapshot("files"))
}
