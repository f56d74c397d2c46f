package namespaced

import (
	"encoding/json"
	"slices"
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
	ns.Reconcile("files") // Ends the last one of the window.
	reconciles := e2e.Reconciles(t, ns.Name, "files", start)
	reconciles = slices.DeleteFunc(reconciles, func(r e2e.Reconcile) bool { return r.Began.After(start.Add(idle)) })
	least, most := int(idle/time.Minute)/2, int(idle/time.Minute)+1
	if got := len(reconciles); got < least || got > most {
		t.Errorf("an idle server is reconciled %d times in %s, which should be %d to %d times", got, idle, least, most)
	}

	// In each Crossplane applies the objects, the server, and its status, which
	// it writes twice.
	objects := len(ns.Snapshot("files"))
	for _, r := range reconciles {
		if most := objects + 3; r.Writes > most {
			t.Errorf("Crossplane has written %d times in the reconcile of an idle server that began at %s, which should be %d times at most", r.Writes, r.Began.Format(time.TimeOnly), most)
		}
		if r.Writes < objects {
			t.Errorf("only %d writes are counted in the reconcile that began at %s, of a server of %d objects", r.Writes, r.Began.Format(time.TimeOnly), objects)
		}
	}
	t.Logf("in %s: %d reconciles of %d objects: %+v", idle, len(reconciles), objects, reconciles)
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
