package trouble

import (
	"context"
	"errors"
	"testing"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// The platform's overrides reach a server that runs, change what they say and nothing
// else, and go without a trace. A wrong one is told on the server and changes nothing.
func TestOverrides(t *testing.T) {
	// The package manager would write the Composition again.
	e2e.Kubectl(t, "annotate", "configurationrevision", "--all", "crossplane.io/paused=true")
	e2e.Kubectl(t, "wait", "configurationrevision", "--all", "--timeout=1m", `--for=jsonpath={.status.conditions[?(@.type=="Synced")].reason}=ReconcilePaused`)
	patch := func(patches string) []string {
		return []string{"patch", "composition", "dittoserver", "--type=json", "-p", `[{"op": "add", "path": "/spec/pipeline/0/input/overrides", "value": [` + patches + `]}]`}
	}
	override := func(patches string) { e2e.Kubectl(t, patch(patches)...) }
	t.Cleanup(func() {
		for _, args := range [][]string{patch(""), {"annotate", "configurationrevision", "--all", "crossplane.io/paused-"}} {
			if _, err := e2e.ControlPlane.Kubectl(context.Background(), "", args...); err != nil {
				t.Error(err)
			}
		}
	})

	ns := e2e.NewNamespace(t)
	ns.Running("files", e2e.WithSQLite)
	ns.Settle("files")
	before := ns.Snapshot("files")

	override(`{"resource": "api", "patch": {"metadata": {"labels": {"team": "a"}}, "spec": {"sessionAffinity": "ClientIP"}}}`)
	ns.Eventually("the override", func() error {
		if o := ns.Get("service", "files-api"); o.GetLabels()["team"] != "a" || o.String("spec", "sessionAffinity") != "ClientIP" {
			return errors.New("the Service does not have it")
		}
		return nil
	})
	ns.WaitCondition("dittoserver", "files", "Accepted", "True", "SpecAccepted")
	ns.Settle("files")
	after := ns.Snapshot("files")
	delete(before, "service/files-api")
	delete(after, "service/files-api")
	e2e.Same(t, "of what the override is not about", before, after)

	// Nothing of it is applied, and the message names the place.
	override(`{"kind": "Service", "patch": {"metadata": {"labels": {"team": "b"}}}}, {"kind": "StatefulSet", "patch": {"spec": {"template": {"spec": {"containers": [{"name": "dittofs", "image": "other"}]}}}}}`)
	ns.WaitMessage("dittoserver", "files", "Accepted", "False", "input.overrides[1].patch: Forbidden: adds, changes or removes spec.template.spec.containers[dittofs].image")
	ns.WaitCondition("dittoserver", "files", "Synced", "False", "ReconcileError")
	if got := ns.Get("service", "files-api").GetLabels()["team"]; got != "a" {
		t.Errorf("an override that is refused: want nothing changed, the label is %q", got)
	}
	e2e.Same(t, "an override that is refused", after, without(ns.Snapshot("files"), "service/files-api"))

	override("")
	ns.WaitCondition("dittoserver", "files", "Accepted", "True", "SpecAccepted")
	ns.Eventually("the Service as it was", func() error {
		if o := ns.Get("service", "files-api"); o.GetLabels()["team"] != "" || o.String("spec", "sessionAffinity") != "None" {
			return errors.New("the override is still there")
		}
		return nil
	})
	ns.WaitCondition("dittoserver", "files", "Ready", "True", "Available")
	e2e.Same(t, "without overrides", before, without(ns.Snapshot("files"), "service/files-api"))
}

func without(s e2e.Snapshot, key string) e2e.Snapshot {
	delete(s, key)
	return s
}
