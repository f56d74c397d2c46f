// Package takeover shows what becomes of the servers of the DittoFS operator when
// this repository's API is installed in its place. Its control plane begins with
// the operator's CRD and with what the operator left.
package takeover

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/controlplane"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

func TestMain(m *testing.M) { e2e.Main(m, e2e.Options{}) }

const (
	crd = "dittoservers.dittofs.dittofs.com"

	// finalizer that the operator leaves on every server, and that nobody
	// removes once the operator is gone.
	finalizer = "dittofs.dittofs.com/finalizer"

	// identity is the annotation without which Crossplane refuses to look at an
	// object that a server refers to, before it calls the function.
	identity = "crossplane.io/composition-resource-name"
)

// The operator's CRD as far as Crossplane cares when it takes it over: names,
// scope and version.
const operatorCRD = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ` + crd + `}
spec:
  group: dittofs.dittofs.com
  names: {kind: DittoServer, listKind: DittoServerList, plural: dittoservers, singular: dittoserver, shortNames: [ditto, dittofs]}
  scope: Namespaced
  versions:
  - name: v1alpha1
    served: true
    storage: true
    subresources: {status: {}}
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

// Servers of the DittoFS operator are taken over in place: nothing is made again,
// whatever the operator wrote otherwise than the function would.
func TestServersOfTheOperator(t *testing.T) {
	e2e.Apply(t, operatorCRD)
	e2e.Kubectl(t, "wait", "--for=condition=Established", "--timeout=1m", "crd", crd)
	before := e2e.Cluster(t).Get("customresourcedefinition", crd).GetUID()

	ns := e2e.NewNamespace(t)
	servers := map[string]*layout{
		"plain":  lay(ns, "plain", nil),
		"corp":   lay(ns, "corp", nil),
		"withpg": lay(ns, "withpg", nil),
		// Somebody has edited what the operator laid out. Where the function sends a
		// reference to a Secret, the API server refuses to merge it with a value.
		"edited":  lay(ns, "corp", edited("edited", "DITTOFS_ADMIN_INITIAL_PASSWORD", "made-up")),
		"literal": lay(ns, "corp", edited("literal", "DITTOFS_DATABASE_POSTGRES_HOST", "pg.corp.example")),
	}
	walk := newWalk(t)
	walk.before()

	if err := e2e.ControlPlane.Install(t.Context(), controlplane.ConfigurationNamespaced); err != nil {
		t.Fatal(err)
	}
	if got := e2e.Cluster(t).Get("customresourcedefinition", crd).GetUID(); got != before {
		t.Fatalf("the CRD was replaced, and all servers with it: its UID was %s and is %s", before, got)
	}

	for name, l := range servers {
		ns.RunServer(name)
		ns.RunDatabase(name)
		t.Cleanup(func() { l.release(ns) })
	}
	t.Run("group", func(t *testing.T) {
		for name, see := range map[string]func(*testing.T, *e2e.Namespace, *layout){
			"plain": seePlain, "corp": seeCorp, "withpg": seeWithpg, "edited": seeEdited, "literal": seeLiteral,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				see(t, ns.For(t), servers[name])
			})
		}
		t.Run("page", func(t *testing.T) {
			t.Parallel()
			walk.after(t)
		})
	})
}

// seePlain: it ends ready with its Secrets. The operator's finalizer would keep it from
// ever being deleted: the server says so from the beginning, with the command that
// helps, which does.
func seePlain(t *testing.T, ns *e2e.Namespace, l *layout) {
	ns.WaitCondition("dittoserver", "plain", "Ready", "True", "Available")
	ns.WaitCondition("dittoserver", "plain", "Synced", "True", "ReconcileSuccess")
	l.kept(ns)

	said := ns.WaitCondition("dittoserver", "plain", "Accepted", "True", "AcceptedWithWarnings")
	if !strings.Contains(said, finalizer) {
		t.Fatalf("Accepted does not warn of the finalizer %s: %s", finalizer, said)
	}
	command := regexp.MustCompile(`kubectl [^';]*'[^']*finalizers[^']*'`).FindString(said)
	if command == "" {
		t.Fatalf("Accepted has no command that removes the finalizer: %s", said)
	}

	ns.Kubectl("delete", "dittoserver", "plain", "--wait=false")
	ns.Wait("dittoserver", "plain", func(o *e2e.Object) error {
		if got := o.GetFinalizers(); o.GetDeletionTimestamp() == nil || !slices.Equal(got, []string{finalizer}) {
			return fmt.Errorf("finalizers of a server that is being deleted: %v", got)
		}
		return nil
	})
	if out, err := e2e.ControlPlane.Shell(t.Context(), command); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	ns.WaitGone("dittoserver", "plain")
	ns.WaitGone("statefulset", "plain")
}

// seeCorp: it is on a database of somebody else's. What the function composes merges with
// what the operator wrote: an SSL mode from an optional key of a Secret, and a port
// for metrics.
func seeCorp(t *testing.T, ns *e2e.Namespace, l *layout) {
	ns.Wait("statefulset", "corp", wired)
	ns.WaitCondition("dittoserver", "corp", "Synced", "True", "ReconcileSuccess")
	ns.Wait("service", "corp-adapter-nfs", nil)
	ns.Wait("service", "corp-adapter-smb", nil)
	ns.GiveAddresses()
	ns.WaitCondition("dittoserver", "corp", "Ready", "True", "Available")
	ns.Settle("corp")
	l.kept(ns)

	for _, o := range []object{{"statefulset", "corp"}, {"configmap", "corp-config"}, {"secret", "corp-jwt-secret"}, {"service", "corp-api"}, {"service", "corp-headless"}, {"service", "corp-metrics"}} {
		if ns.Get(o.kind, o.name).GetAnnotations()[identity] == "" {
			t.Errorf("%s %s is not composed by the function", o.kind, o.name)
		}
	}
	if said := ns.Get("dittoserver", "corp").Condition("Accepted").Message; !strings.Contains(said, finalizer) {
		t.Errorf("Accepted does not warn of the finalizer %s: %s", finalizer, said)
	}
}

// seeEdited: it has what the API server refuses to merge with what the function composes.
// Its identity is applied nevertheless, so Crossplane goes on to call the function,
// and when the edit is gone so is the error.
func seeEdited(_ *testing.T, ns *e2e.Namespace, l *layout) {
	ns.Wait("statefulset", "edited", func(o *e2e.Object) error {
		if o.GetAnnotations()[identity] == "" {
			return errors.New("it has no identity")
		}
		return nil
	})
	l.waitHeard(ns)

	l.removeEnv(ns, "edited", "DITTOFS_ADMIN_INITIAL_PASSWORD")
	ns.Wait("statefulset", "edited", wired)
	ns.WaitCondition("dittoserver", "edited", "Synced", "True", "ReconcileSuccess")
	l.kept(ns)
}

// seeLiteral: the host of its database is not in the Secret that its spec names, but
// that is the database that it is on: in SQLite it would start empty.
func seeLiteral(t *testing.T, ns *e2e.Namespace, l *layout) {
	l.waitHeard(ns)
	ns.Settle("literal")
	for _, e := range env(ns.Get("statefulset", "literal").Unstructured) {
		if e["name"] == "DITTOFS_DATABASE_TYPE" && e["value"] != "postgres" {
			t.Errorf("a server on PostgreSQL was moved to %v", e["value"])
		}
	}
	l.kept(ns)
}

// seeWithpg: it has a cluster of Percona's that waits for an image that nobody names. The
// server says what makes it work, which does.
func seeWithpg(_ *testing.T, ns *e2e.Namespace, l *layout) {
	ns.WaitCondition("dittoserver", "withpg", "Synced", "True", "ReconcileSuccess")
	ns.Wait("dittoserver", "withpg", func(o *e2e.Object) error {
		c := o.Condition("Accepted")
		for _, text := range []string{"spec.percona.crVersion", "2.9.0", finalizer} {
			if !strings.Contains(c.Message, text) {
				return fmt.Errorf("Accepted does not say %q: %s", text, c.Message)
			}
		}
		return nil
	})

	ns.Patch("dittoserver", "withpg", `{"spec": {"percona": {"crVersion": "2.9.0"}}}`)
	ns.Wait("perconapgcluster", "withpg-postgres", func(o *e2e.Object) error {
		if state := o.String("status", "state"); state != "ready" {
			return fmt.Errorf("its state is %q", state)
		}
		return nil
	})
	ns.Wait("dittoserver", "withpg", func(o *e2e.Object) error {
		if c := o.Condition("Accepted"); strings.Contains(c.Message, "spec.percona.crVersion") {
			return fmt.Errorf("Accepted still says: %s", c.Message)
		}
		return nil
	})
	l.kept(ns)
}

// wired reports whether a StatefulSet has the function's connection to a database,
// and each variable once.
func wired(o *e2e.Object) error {
	seen := map[string]bool{}
	for _, e := range env(o.Unstructured) {
		name, _ := e["name"].(string)
		if seen[name] {
			return fmt.Errorf("it has the variable %s twice", name)
		}
		seen[name] = true
		if name == "DITTOFS_DATABASE_TYPE" && e["value"] != "postgres" {
			return fmt.Errorf("the database is %v", e["value"])
		}
	}
	if !seen["DITTOFS_DATABASE_TYPE"] || !seen["DITTOFS_DATABASE_POSTGRES_SSLMODE"] {
		return fmt.Errorf("its variables are %v", slices.Sorted(maps.Keys(seen)))
	}

	return nil
}

func env(o *unstructured.Unstructured) []map[string]any {
	v, _, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", "template", "spec", "containers")
	containers, _ := v.([]any)
	out := []map[string]any{}
	for _, c := range containers {
		m, _ := c.(map[string]any)
		vars, _ := m["env"].([]any)
		for _, v := range vars {
			if e, ok := v.(map[string]any); ok {
				out = append(out, e)
			}
		}
	}

	return out
}

type object struct{ kind, name string }

// A layout is what the operator left of a server.
type layout struct {
	server string

	// uids of its objects, and the data of its Secrets.
	uids map[object]types.UID
	data map[string]any
}

// lay writes what the operator left, as its controller did: owned by the server.
func lay(ns *e2e.Namespace, file string, change func(*unstructured.Unstructured)) *layout {
	t := ns.T
	t.Helper()

	data, err := os.ReadFile(filepath.Join(e2e.Repository(t), "testdata", "operator-layout", file+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	objects := e2e.Documents(t, string(data))
	if change != nil {
		for _, o := range objects {
			change(o)
		}
	}
	// The owner first.
	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int {
		return strings.Compare(fmt.Sprint(a.GetKind() != "DittoServer"), fmt.Sprint(b.GetKind() != "DittoServer"))
	})

	l := &layout{server: objects[0].GetName(), uids: map[object]types.UID{}, data: map[string]any{}}
	for _, o := range objects {
		status := o.Object["status"]
		owners := o.GetOwnerReferences()
		for _, f := range []string{"uid", "resourceVersion", "creationTimestamp", "generation"} {
			unstructured.RemoveNestedField(o.Object, "metadata", f)
		}
		for i := range owners {
			owners[i].UID = l.uids[object{"dittoserver", l.server}]
		}
		o.SetOwnerReferences(owners)
		o.SetNamespace(ns.Name)
		if o.GetKind() == "Service" {
			// Two servers cannot have one.
			unstructured.RemoveNestedField(o.Object, "spec", "clusterIPs")
			if ip, _, _ := unstructured.NestedString(o.Object, "spec", "clusterIP"); ip != "None" {
				unstructured.RemoveNestedField(o.Object, "spec", "clusterIP")
			}
		}

		kind := strings.ToLower(o.GetKind())
		created := ns.Create(kind, o, "manager")
		// Controllers write the status of others, but for the cloud's, of which there is
		// none.
		if kind == "dittoserver" || kind == "service" {
			created.Object["status"] = status
			ns.UpdateStatus(kind, created, "manager")
		}
		l.uids[object{kind, o.GetName()}] = created.GetUID()
		if kind == "secret" {
			l.data[o.GetName()] = created.Value("data")
		}
	}

	return l
}

// kept fails the test if an object of the layout was replaced, or what a Secret of
// it holds.
func (l *layout) kept(ns *e2e.Namespace) {
	ns.T.Helper()

	for o, uid := range l.uids {
		if got := ns.Get(o.kind, o.name).GetUID(); got != uid {
			ns.T.Errorf("%s %s was replaced: its UID was %s and is %s", o.kind, o.name, uid, got)
		}
	}
	for name, data := range l.data {
		// Percona's operator completes its own.
		if got := ns.Get("secret", name).Value("data"); fmt.Sprint(got) != fmt.Sprint(data) && !strings.Contains(name, "-pguser-") {
			ns.T.Errorf("Secret %s was %v and is %v", name, data, got)
		}
	}
}

// release lets the server be deleted.
func (l *layout) release(ns *e2e.Namespace) {
	o, err := ns.Find("dittoserver", l.server)
	if err == nil && o != nil {
		ns.Patch("dittoserver", l.server, `{"metadata": {"finalizers": null}}`)
	}
}

// waitHeard waits until the function has its say about the server.
func (l *layout) waitHeard(ns *e2e.Namespace) {
	ns.T.Helper()

	ns.Wait("dittoserver", l.server, func(o *e2e.Object) error {
		if c := o.Condition("Accepted"); c.Status == "" || c.Status == "Unknown" {
			return fmt.Errorf("the function is not heard: Accepted is %+v, Synced is %+v", c, o.Condition("Synced"))
		}
		return nil
	})
}

// removeEnv removes a variable from a live StatefulSet.
func (l *layout) removeEnv(ns *e2e.Namespace, name, variable string) {
	ns.T.Helper()

	ns.Eventually("removal of "+variable, func() error {
		o := ns.Get("statefulset", name)
		i := slices.IndexFunc(env(o.Unstructured), func(e map[string]any) bool { return e["name"] == variable })
		if i < 0 {
			return nil
		}
		_, err := e2e.ControlPlane.Kubectl(ns.T.Context(), "", "-n", ns.Name, "patch", "statefulset", name, "--type=json", "-p",
			fmt.Sprintf(`[{"op": "test", "path": "/metadata/resourceVersion", "value": %q}, {"op": "remove", "path": "/spec/template/spec/containers/0/env/%d"}]`, o.GetResourceVersion(), i))
		return err
	})
}

// edited returns a change of the server corp: another name, and a variable that has a
// value instead of a reference.
func edited(name, variable, value string) func(*unstructured.Unstructured) {
	return func(o *unstructured.Unstructured) {
		rename(o.Object, "corp", name)
		for _, e := range env(o) {
			if e["name"] == variable {
				delete(e, "valueFrom")
				e["value"] = value
			}
		}
	}
}

// rename a server in all that refers to it.
func rename(v any, from, to string) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = rename(v[k], from, to)
		}
	case []any:
		for i := range v {
			v[i] = rename(v[i], from, to)
		}
	case string:
		if v == from || strings.HasPrefix(v, from+"-") {
			return to + strings.TrimPrefix(v, from)
		}
	}

	return v
}
