package namespaced

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// idle is how long an idle server is watched.
const idle = 5 * time.Minute

// Crossplane and Percona's operator both write to the cluster. Neither touches
// what the other owns, however often they do; and a server at which nothing
// happens is left alone altogether.
func TestNothingIsFoughtOver(t *testing.T) {
	t.Parallel()

	ns := e2e.NewNamespace(t)
	ns.Apply(s3Secret)
	ns.Running("files", withBackups)
	ns.Reconcile("files")

	before := ns.Get("perconapgcluster", "files-postgres")
	for range 10 {
		ns.Reconcile("files")
	}
	after := ns.Get("perconapgcluster", "files-postgres")

	if before.GetResourceVersion() != after.GetResourceVersion() {
		t.Errorf("ten reconciles have written the cluster, which nobody changed: -before, +after:\n%s", cmp.Diff(before.Object, after.Object))
	}
	if diff := cmp.Diff(owners(t, before), owners(t, after)); diff != "" {
		t.Errorf("owners of the cluster's fields: -before, +after:\n%s", diff)
	}

	// Crossplane stops listening to an object that changes all the time.
	ns.WaitCondition("dittoserver", "files", "Responsive", "True", "WatchCircuitClosed")

	// It is idle now. Crossplane asks the function again when its answer is
	// too old, which is after a minute, and finds that nothing is to be done.
	versions, start := ns.Versions("files"), time.Now()
	e2e.Pause(t, idle)

	if diff := cmp.Diff(versions, ns.Versions("files")); diff != "" {
		t.Errorf("versions of an idle server's objects: -before, +after:\n%s", diff)
	}
	rounds := e2e.Reconciles(t, ns.Name, "files", start)
	if most := int(idle/time.Minute) + 1; rounds > most {
		t.Errorf("an idle server is reconciled %d times in %s, which should be %d at most", rounds, idle, most)
	}

	// In each round Crossplane applies the objects, the server, and its status,
	// which it writes twice.
	writes := e2e.Writes(t, ns.Name, start)
	if most := rounds * (len(ns.Snapshot("files")) + 3); writes > most {
		t.Errorf("Crossplane has written %d times in %d reconciles of an idle server, which should be %d times at most", writes, rounds, most)
	}
	t.Logf("in %s: %d reconciles, %d requests that change nothing", idle, rounds, writes)
}

// owners of an object's fields, without the times at which they wrote.
func owners(t *testing.T, o *e2e.Object) string {
	t.Helper()

	fields := o.GetManagedFields()
	for i := range fields {
		fields[i].Time = &metav1.Time{}
	}

	out, err := json.MarshalIndent(fields, "", " ")
	if err != nil {
		t.Fatal(err)
	}

	return string(out)
}
