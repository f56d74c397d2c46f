// Package claim shows what a user experiences where a DittoServer is a claim.
// A control plane has either this or the namespaced API, so this one is of its
// own.
package claim

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/controlplane"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

func TestMain(m *testing.M) {
	e2e.Main(m, e2e.Options{Configuration: controlplane.ConfigurationClaim})
}

// A claim looks like a namespaced DittoServer to its user: its objects are in
// its namespace and bear its name, its conditions and events are on it.
func TestClaim(t *testing.T) {
	ns := e2e.NewNamespace(t)
	ns.Apply(e2e.Server("files", e2e.WithDatabase))

	ns.WaitCondition("dittoserver", "files", "DatabaseReady", "False", "WaitingForPostgreSQL")
	ns.Wait("perconapgcluster", "files-postgres", nil)
	ns.Missing("statefulset", "files")

	ns.RunDatabase("files")
	ns.RunServer("files")
	ns.WaitCondition("dittoserver", "files", "DatabaseReady", "True", "PostgreSQLReady")
	ns.WaitCondition("dittoserver", "files", "Available", "True", "MinimumReplicasAvailable")
	ns.WaitCondition("dittoserver", "files", "Accepted", "True", "SpecAccepted")
	ns.WaitCondition("dittoserver", "files", "Ready", "True", "Available")

	for _, o := range []struct{ kind, name string }{
		{"statefulset", "files"},
		{"configmap", "files-config"},
		{"secret", "files-jwt-secret"},
		{"secret", "files-admin-bootstrap-credentials"},
		{"service", "files-headless"},
		{"service", "files-api"},
		{"service", "files-adapter-nfs"},
		{"service", "files-adapter-smb"},
	} {
		ns.Wait(o.kind, o.name, nil)
	}

	e2e.Eventually(t, "event on the claim", func() error {
		events := strings.Join(ns.Events("DittoServer", "files"), "\n")
		if !strings.Contains(events, "DatabaseReady: ") {
			return fmt.Errorf("none says how the database is:\n%s", events)
		}
		return nil
	})

	o := ns.Get("dittoserver", "files")
	if got := o.String("status", "phase"); got != "Running" {
		t.Errorf("status.phase of the claim is %q", got)
	}

	// It is deleted as a whole, but for its data, and the record of what was chosen.
	record := ns.Get("configmap", "files-config").GetUID()
	ns.Kubectl("delete", "dittoserver", "files")
	ns.WaitGone("statefulset", "files")
	ns.WaitGone("perconapgcluster", "files-postgres")

	// A claim of its name is another XR, and takes that up nevertheless: in another
	// database the server would start empty.
	ns.Apply(e2e.Server("files", `{storage: {metadataSize: 1Gi}, percona: {enabled: true, storageSize: 1Gi, databaseName: other}}`))
	ns.WaitMessage("dittoserver", "files", "Accepted", "False", "spec.percona.databaseName")
	ns.WaitCondition("dittoserver", "files", "Accepted", "False", "ChangeHeld")
	ns.WaitCondition("dittoserver", "files", "Ready", "True", "Available")
	if got := ns.Get("configmap", "files-config").GetUID(); got != record {
		t.Errorf("the record was made again: its UID was %s and is %s", record, got)
	}
}

// What is wrong with a claim is said on the claim itself.
func TestInvalidClaim(t *testing.T) {
	ns := e2e.NewNamespace(t)
	ns.Apply(e2e.Server("bad", `{percona: {enabled: true, backup: {enabled: true}}}`))

	msg := ns.WaitCondition("dittoserver", "bad", "Accepted", "False", "InvalidSpec")
	for _, field := range []string{"spec.storage.metadataSize", "spec.percona.backup.bucket", "spec.percona.backup.endpoint"} {
		if !strings.Contains(msg, field) {
			t.Errorf("Accepted on the claim does not say %s: %s", field, msg)
		}
	}

	// What the API server can know it says at once, as for a namespaced one.
	if msg := ns.ApplyRefused(e2e.Server("worse", `{replicas: 2}`)); !strings.Contains(msg, "spec.replicas") {
		t.Errorf("the refusal does not name the field: %s", msg)
	}
}

// Two claims of one name in two namespaces do not meet.
func TestClaimsOfOneName(t *testing.T) {
	one, two := e2e.NewNamespace(t, "one"), e2e.NewNamespace(t, "two")
	for _, ns := range []*e2e.Namespace{one, two} {
		ns.Apply(e2e.Server("files", e2e.WithSQLite))
	}

	for _, ns := range []*e2e.Namespace{one, two} {
		ns.RunServer("files")
		ns.WaitCondition("dittoserver", "files", "Ready", "True", "Available")
	}

	// One is deleted, the other one stays.
	uid := two.Get("statefulset", "files").GetUID()
	one.Kubectl("delete", "dittoserver", "files")
	one.WaitGone("statefulset", "files")
	if got := two.Get("statefulset", "files").GetUID(); got != uid {
		t.Error("the other server was replaced")
	}
}

// The namespaced API cannot be added to it: both want the same
// CustomResourceDefinition. The attempt says so, and breaks nothing.
func TestNamespacedAPIIsRefused(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(e2e.Repository(t), "example", "xrd.yaml"))
	if err != nil {
		t.Fatal(err)
	}

	const xrd = "dittoservers.dittofs.dittofs.com"
	e2e.Apply(t, string(data))
	e2e.Eventually(t, "event of the XRD", func() error {
		events := strings.Join(e2e.NamespaceOf(t, "default").Events("CompositeResourceDefinition", xrd), "\n")
		if !strings.Contains(events, "Warning EstablishComposite") {
			return fmt.Errorf("none says that it cannot be established:\n%s", events)
		}
		return nil
	})
	if c := e2e.Cluster(t).Get("compositeresourcedefinition", xrd).Condition("Established"); c.Status == "True" {
		t.Errorf("both APIs are established: %+v", c)
	}
	e2e.Kubectl(t, "delete", "xrd", xrd)

	ns := e2e.NewNamespace(t)
	ns.Apply(e2e.Server("files", e2e.WithSQLite))
	ns.RunServer("files")
	ns.WaitCondition("dittoserver", "files", "Ready", "True", "Available")
}
