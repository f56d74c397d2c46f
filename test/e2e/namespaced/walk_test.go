package namespaced

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// The walk of one server, as a page for readers: the commands of a user, and
// what they print. Run with -update to rewrite it.
func TestWalk(t *testing.T) {
	t.Parallel()

	const namespace = "team-a"

	e2e.Kubectl(t, "create", "namespace", namespace)
	ns := e2e.NamespaceOf(t, namespace)
	page := &strings.Builder{}

	say := func(text string) { fmt.Fprintf(page, "%s\n\n", text) }
	see := func(printed string, command string) {
		fmt.Fprintf(page, "```console\n$ %s\n%s\n```\n\n", command, strings.TrimSpace(e2e.Stable(printed)))
	}
	kubectl := func(args ...string) {
		command := "kubectl -n " + namespace
		for _, a := range args {
			if strings.ContainsAny(a, "{}()\"") {
				a = "'" + a + "'"
			}
			command += " " + a
		}
		see(ns.Kubectl(args...), command)
	}

	manifest, err := os.ReadFile(filepath.Join(e2e.Repository(t), "example", "percona.yaml"))
	if err != nil {
		t.Fatal(err)
	}

	say("# The walk of one server")
	say("What a user types and sees, from a run of the end-to-end tests, which keep this page\nup to date. Ages and generated names are replaced.")

	say("A server with a database is asked for:")
	see(ns.Apply(string(manifest)), "kubectl apply -f example/percona.yaml")
	ns.WaitCondition("dittoserver", "files", "DatabaseReady", "False", "WaitingForPostgreSQL")
	ns.Settle("files")
	say("Percona's operator sets the database up. Until it really answers there is no server,\nand the DittoServer says what it waits for:")
	kubectl("get", "dittoserver")
	kubectl("get", "dittoserver", "files", "-o", `jsonpath={.status.conditions[?(@.type=="DatabaseReady")].message}`)

	ns.RunDatabase("files")
	ns.WaitCondition("dittoserver", "files", "DatabaseReady", "True", "PostgreSQLReady")
	ns.WaitMessage("dittoserver", "files", "Available", "False", "describe pod files-0")
	ns.Settle("files")
	say("The database is up, the server is made, and starts:")
	kubectl("get", "dittoserver")
	kubectl("get", "dittoserver", "files", "-o", `jsonpath={.status.conditions[?(@.type=="Available")].message}`)

	ns.RunServer("files")
	ns.WaitCondition("dittoserver", "files", "Ready", "True", "Available")
	ns.Settle("files")
	say("It runs:")
	kubectl("get", "dittoserver")
	kubectl("get", "dittoserver", "files", "-o", "jsonpath-as-json={.status.endpoints}")
	kubectl("get", "statefulset,configmap,secret,service,perconapgcluster", "-l", "instance=files", "-o", "name")

	say("An edit that would lose data is held, with everything else applied, and the\nDittoServer says what would let it through:")
	kubectl("patch", "dittoserver", "files", "--type=merge", "-p", `{"spec":{"percona":{"postgresVersion":18}}}`)
	ns.WaitCondition("dittoserver", "files", "Accepted", "False", "ChangeHeld")
	kubectl("get", "dittoserver", "files", "-o", `jsonpath={.status.conditions[?(@.type=="Accepted")].message}`)
	kubectl("patch", "dittoserver", "files", "--type=merge", "-p", `{"spec":{"percona":{"postgresVersion":17}}}`)
	ns.WaitCondition("dittoserver", "files", "Accepted", "True", "SpecAccepted")

	say("Deleted, it leaves its data behind. A server of the same name takes it up again:")
	kubectl("delete", "dittoserver", "files")
	ns.WaitGone("statefulset", "files")
	ns.WaitGone("perconapgcluster", "files-postgres")
	kubectl("get", "persistentvolumeclaim")

	e2e.Golden(t, filepath.Join("..", "..", "walk.md"), func() string { return strings.TrimSpace(page.String()) + "\n" })
}
