package e2e

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A Snapshot is what a server was made of at some time: its objects, by kind
// and name, without their status and what the API server keeps of them.
type Snapshot map[string]map[string]any

// composed are the kinds and the suffixes of the names of the objects that a
// server can be made of.
//
//nolint:gochecknoglobals // A constant.
var composed = []struct{ kind, suffix string }{
	{"perconapgcluster", "-postgres"},
	{"statefulset", ""},
	{"configmap", "-config"},
	{"secret", "-jwt-secret"},
	{"secret", "-admin-bootstrap-credentials"},
	{"secret", "-pgbackrest-secret"},
	{"service", "-headless"},
	{"service", "-api"},
	{"service", "-adapter-nfs"},
	{"service", "-adapter-smb"},
	{"service", "-metrics"},
	{"networkpolicy", "-baseline"},
	{"networkpolicy", "-adapter-nfs"},
	{"networkpolicy", "-adapter-smb"},
}

// Snapshot of a server.
func (ns *Namespace) Snapshot(server string) Snapshot {
	ns.T.Helper()

	s := Snapshot{}
	for _, c := range composed {
		o, err := ns.Find(c.kind, server+c.suffix)
		if err != nil {
			ns.T.Fatal(err)
		}
		if o == nil {
			continue
		}

		content := o.DeepCopy().Object
		delete(content, "status")
		for _, f := range []string{"managedFields", "resourceVersion"} {
			unstructured.RemoveNestedField(content, "metadata", f)
		}
		unstructured.RemoveNestedField(content, "metadata", "annotations", reconcileAnnotation)
		s[c.kind+"/"+server+c.suffix] = content
	}

	return s
}

// WithoutFields of all objects of the snapshot.
func (s Snapshot) WithoutFields(paths ...[]string) Snapshot {
	out := Snapshot{}
	for k, v := range s {
		u := (&unstructured.Unstructured{Object: v}).DeepCopy()
		for _, p := range paths {
			unstructured.RemoveNestedField(u.Object, p...)
		}
		out[k] = u.Object
	}

	return out
}

// Versions of a server and of its objects: they count writes that changed
// something, be it the status.
func (ns *Namespace) Versions(server string) map[string]string {
	ns.T.Helper()

	out := map[string]string{"dittoserver/" + server: ns.Get("dittoserver", server).GetResourceVersion()}
	for _, c := range composed {
		o, err := ns.Find(c.kind, server+c.suffix)
		if err != nil {
			ns.T.Fatal(err)
		}
		if o != nil {
			out[c.kind+"/"+server+c.suffix] = o.GetResourceVersion()
		}
	}

	return out
}

// Same fails the test if two snapshots differ.
func Same(t testing.TB, what string, before, after Snapshot) {
	t.Helper()

	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("%s: -before, +after:\n%s", what, diff)
	}
}

// reconcileAnnotation is put on a Service of a server to have it reconciled.
const reconcileAnnotation = "e2e.dittofs.com/reconcile"

// Reconcile has Crossplane ask the function again, and waits until all that
// follows from it is done. It touches one of the composed objects, which
// Crossplane watches: an edit of the server itself would be followed by writes
// of its status, and many of those open Crossplane's circuit breaker.
func (ns *Namespace) Reconcile(server string) {
	ns.T.Helper()

	log := tailAudit(ns.T)
	ns.Kubectl("annotate", "--overwrite", "service", server+"-api", reconcileAnnotation+"="+time.Now().Format(time.RFC3339Nano))

	touched := time.Time{}
	ns.Eventually("Crossplane reconciles "+server, func() error {
		for _, e := range log.next() {
			switch {
			case e.ObjectRef.Namespace != ns.Name || e.ObjectRef.Resource != "services" || e.Verb != "patch":
			case e.ObjectRef.Name == server+"-api" && e.User.Username != crossplaneUser:
				touched = e.Received
			case e.ObjectRef.Name == server+"-headless" && !touched.IsZero() && e.Received.After(touched):
				return nil
			}
		}
		return errors.New("it has not")
	})

	// One that was under way has perhaps not seen the annotation.
	ns.Settle(server)
}

// Settle waits until nobody writes to the server and its cluster any more, and
// Crossplane does not even try: a reconcile that is under way works with what it
// saw when it began.
func (ns *Namespace) Settle(server string) {
	ns.T.Helper()

	const quiet = 2 * time.Second

	log := tailAudit(ns.T)
	last, since := "", time.Now()
	ns.Eventually("nobody writes to "+server, func() error {
		now := ""
		for _, o := range []struct{ kind, name string }{{"dittoserver", server}, {"perconapgcluster", server + "-postgres"}, {"statefulset", server}} {
			found, err := ns.Find(o.kind, o.name)
			if err != nil {
				return err
			}
			if found != nil {
				now += found.GetResourceVersion() + " "
			}
		}
		if now != last {
			last, since = now, time.Now()
		}
		for _, e := range log.next() {
			if e.writes(ns.Name) && e.Received.After(since) {
				since = e.Received
			}
		}
		if time.Since(since) < quiet {
			return fmt.Errorf("the last write was %s ago", time.Since(since).Round(time.Millisecond))
		}
		return nil
	})
}
