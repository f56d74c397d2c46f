package namespaced

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// A confirmation may name the very database, and then confirms a move to that one
// alone.
func TestConfirmedByName(t *testing.T) {
	t.Parallel()

	ns := e2e.NewNamespace(t)
	ns.Apply(`
apiVersion: v1
kind: Secret
metadata: {name: corp-db}
stringData: {host: db.example.org, database: files, user: files, password: secret}
`)
	ns.Running("files", e2e.WithSQLite)
	uid := ns.Get("statefulset", "files").GetUID()

	ns.Patch("dittoserver", "files", `{"spec": {"database": {"type": "postgres", "postgresSecretRef": {"name": "corp-db", "key": "-"}, "confirmSwitch": "external/other-db"}}}`)
	ns.WaitMessage("dittoserver", "files", "Accepted", "False", "set spec.database.confirmSwitch to external")
	ns.Settle("files")
	if s := podTemplate(t, ns.Get("statefulset", "files")); strings.Contains(s, "corp-db") {
		t.Errorf("the server has moved without a confirmation: %s", s)
	}

	ns.Patch("dittoserver", "files", `{"spec": {"database": {"confirmSwitch": "external/corp-db"}}}`)
	o := ns.Wait("statefulset", "files", func(o *e2e.Object) error {
		if s := podTemplate(t, o); !strings.Contains(s, "corp-db") {
			return fmt.Errorf("its pod does not use Secret corp-db: %s", s)
		}
		return nil
	})
	if o.GetUID() != uid {
		t.Errorf("the StatefulSet is another one: %s was %s", o.GetUID(), uid)
	}
	ns.WaitMessage("dittoserver", "files", "Accepted", "True", "external/corp-db is left over")

	ns.Patch("dittoserver", "files", `{"spec": {"database": {"confirmSwitch": null}}}`)
	ns.WaitCondition("dittoserver", "files", "Accepted", "True", "SpecAccepted")
	ns.WaitCondition("dittoserver", "files", "Ready", "True", "Available")
}

// podTemplate of a StatefulSet, as JSON.
func podTemplate(t *testing.T, sts *e2e.Object) string {
	t.Helper()

	b, err := json.Marshal(sts.Value("spec", "template"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
