package takeover

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// A walk goes through the page, on the servers that it names.
type walk struct {
	*e2e.Namespace

	page e2e.Page
	// function is its binary, and dir the folder that the page calls before.
	function, dir string

	servers map[string]*layout
	pods    map[string]types.UID
	was     map[object]*unstructured.Unstructured
	plan    plan
	ran     map[string]bool
}

// plan is the function's table as JSON.
type plan struct {
	Servers []struct {
		Name     string `json:"name"`
		Error    string `json:"error"`
		Accepted struct{ Status, Reason, Message string }
		Objects  []struct {
			Kind, Name, Becomes, Why string
			Restarts                 bool
			Changes                  []struct{ Path, Op string }
		}
	}
}

// operator is the DittoFS operator as far as the page has to do with it.
const operator = `
apiVersion: v1
kind: Namespace
metadata: {name: dittofs}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: dittofs-operator-controller-manager, namespace: dittofs}
spec:
  replicas: 1
  selector: {matchLabels: {control-plane: controller-manager}}
  template:
    metadata: {labels: {control-plane: controller-manager}}
    spec: {containers: [{name: manager, image: "marmos91c/dittofs-operator:v0.29.0"}]}
`

// newWalk lays out what the operator left in team-a.
func newWalk(t *testing.T) *walk {
	t.Helper()

	e2e.Kubectl(t, "create", "namespace", "team-a")
	e2e.Apply(t, operator)
	w := &walk{Namespace: e2e.NamespaceOf(t, "team-a"), page: e2e.ReadPage(t, "docs/moving.md"), dir: t.TempDir(), servers: map[string]*layout{}, pods: map[string]types.UID{}, ran: map[string]bool{}}
	for _, name := range []string{"plain", "corp", "withpg", "shared"} {
		w.RunServer(name)
		w.RunDatabase(name)
		w.servers[name] = lay(w.Namespace, name, nil)
	}
	t.Cleanup(func() {
		for name := range w.servers {
			_, _ = e2e.ControlPlane.Kubectl(context.Background(), "", "-n", "team-a", "patch", "dittoserver", name, "--type=merge", "-p", `{"metadata": {"finalizers": null}}`)
		}
		_, _ = e2e.ControlPlane.Kubectl(context.Background(), "", "-n", "team-a", "delete", "dittoserver", "--all", "--wait=false")
	})

	w.function = filepath.Join(t.TempDir(), "function")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", w.function, ".")
	cmd.Dir = e2e.Repository(t)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the function: %v\n%s", err, out)
	}
	return w
}

// run runs a block of a section, and returns what its commands print.
func (w *walk) run(section string, block int) string {
	w.T.Helper()

	if block >= len(w.page[section]) {
		w.T.Fatalf("the page has only %d blocks in section %q", len(w.page[section]), section)
	}
	var out strings.Builder
	for _, cmd := range w.page[section][block] {
		w.ran[cmd] = true
		if strings.HasPrefix(cmd, "crossplane xpkg install ") {
			continue // The test has done it, from the packages of this commit.
		}
		line := strings.ReplaceAll(cmd, "go run . ", w.function+" ")
		line = regexp.MustCompile(`\bbefore\b`).ReplaceAllString(line, w.dir)
		got, err := e2e.ControlPlane.Shell(w.T.Context(), "cd "+e2e.Repository(w.T)+"; "+line)
		if err != nil {
			w.T.Fatalf("%s: %v\n%s", cmd, err, got)
		}
		out.WriteString(got)
	}
	return out.String()
}

// before is what the page does before anything is installed.
func (w *walk) before() {
	t := w.T
	t.Helper()

	for name := range w.servers {
		w.Eventually("the pod of "+name+" runs", func() error {
			ready, _, _ := unstructured.NestedInt64(w.Get("statefulset", name).Object, "status", "readyReplicas")
			if ready != 1 {
				return errors.New("it does not")
			}
			return nil
		})
		w.pods[name] = w.Get("pod", name+"-0").GetUID()
	}

	w.run("1. Stop the operator", 0)
	w.look(&w.plan)
	if out := w.run("2. Look at what will happen", 1); !strings.Contains(out, "SERVER") || !strings.Contains(out, "keeps 192.0.2.10") {
		t.Fatalf("the table:\n%s", out)
	}
	w.was = w.read()
	if n := len(w.plan.Servers); n != len(w.servers) {
		t.Fatalf("the table has %d servers of %d", n, len(w.servers))
	}
}

// look reads the cluster as the page says, and has the function say what becomes of
// it, as JSON.
func (w *walk) look(into any) {
	w.T.Helper()

	w.run("2. Look at what will happen", 0)
	composition := filepath.Join(e2e.Repository(w.T), "example", "composition.yaml")
	cmd := exec.CommandContext(w.T.Context(), w.function, "render", "--observed", w.dir, "--composition", composition, "--output", "json")
	stderr := &bytes.Buffer{}
	cmd.Stderr = stderr
	out, err := cmd.Output()
	if err != nil {
		w.T.Fatalf("the dry run: %v\n%s%s", err, stderr, out)
	}
	if err := json.Unmarshal(out, into); err != nil {
		w.T.Fatal(err)
	}
}

// read returns the objects that were read last.
func (w *walk) read() map[object]*unstructured.Unstructured {
	w.T.Helper()

	data, err := os.ReadFile(filepath.Join(w.dir, "team-a.yaml"))
	if err != nil {
		w.T.Fatal(err)
	}
	l := &unstructured.UnstructuredList{}
	if err := yaml.Unmarshal(data, &l.Object); err != nil {
		w.T.Fatal(err)
	}
	items, _, _ := unstructured.NestedSlice(l.Object, "items")
	out := map[object]*unstructured.Unstructured{}
	for _, i := range items {
		o := &unstructured.Unstructured{Object: i.(map[string]any)} //nolint:forcetypeassert // kubectl prints objects.
		out[object{o.GetKind(), o.GetName()}] = o
	}
	return out
}

// after is what the page does once the function is installed.
func (w *walk) after(t *testing.T) {
	w.Namespace = w.For(t)

	w.run("3. Install", 0)
	w.GiveAddresses()
	for name := range w.servers {
		w.WaitCondition("dittoserver", name, "Synced", "True", "ReconcileSuccess")
		w.servers[name].waitHeard(w.Namespace)
	}
	for name := range w.servers {
		w.Settle(name)
	}
	w.compare()
	w.operatorWritesToo("plain")

	w.letGo()
	w.stayOnSQLite()
	w.addSSLMode()

	// Whoever looks again is told that nothing happens any more.
	for name := range w.servers {
		w.Settle(name)
	}
	again := plan{}
	w.look(&again)
	for _, s := range again.Servers {
		for _, o := range s.Objects {
			if o.Becomes != "kept" && o.Becomes != "left alone" || len(o.Changes) > 0 || o.Restarts {
				t.Errorf("a second look at %s: %s %s is %s, restarts: %t, changes: %v", s.Name, o.Kind, o.Name, o.Becomes, o.Restarts, o.Changes)
			}
		}
	}

	w.rollBack("plain")

	for section, blocks := range w.page {
		for _, cmd := range slices.Concat(blocks...) {
			// What takes a real server is done in package real, TestMovingToPostgreSQL.
			if !w.ran[cmd] && !strings.HasPrefix(cmd, "dfsctl ") && !strings.Contains(cmd, "confirmSwitch") {
				t.Errorf("no test runs this command of section %q: %s", section, cmd)
			}
		}
	}
}

// compare compares the table with what has happened.
func (w *walk) compare() {
	t := w.T
	t.Helper()

	w.run("2. Look at what will happen", 0)
	is := w.read()
	planned := map[object]bool{}
	for _, s := range w.plan.Servers {
		if s.Error != "" {
			t.Errorf("%s is refused: %s", s.Name, s.Error)
		}
		c := w.Get("dittoserver", s.Name).Condition("Accepted")
		if got, want := c.Status+" "+c.Reason+" "+c.Message, s.Accepted.Status+" "+s.Accepted.Reason+" "+s.Accepted.Message; got != want {
			t.Errorf("Accepted of %s: the table said\n%s\nand it is\n%s", s.Name, want, got)
		}

		restarts := false
		for _, o := range s.Objects {
			id := object{o.Kind, o.Name}
			planned[id] = true
			restarts = restarts || o.Restarts
			was, is := w.was[id], is[id]
			if is == nil {
				t.Errorf("%s %s is gone", o.Kind, o.Name)
				continue
			}
			composed := is.GetAnnotations()[identity] != ""
			var paths []string
			for _, c := range o.Changes {
				paths = append(paths, c.Path)
			}
			switch o.Becomes {
			case "created":
				if was != nil || !composed {
					t.Errorf("%s %s: the table said that it is created", o.Kind, o.Name)
				}
				continue
			case "taken over":
				if !composed || metav1.GetControllerOf(is) == nil {
					t.Errorf("%s %s: the table said that it is taken over", o.Kind, o.Name)
				}
			case "left alone":
				if composed {
					t.Errorf("%s %s: the table said that it is left alone", o.Kind, o.Name)
				}
			default:
				t.Errorf("%s %s: the table said %q", o.Kind, o.Name, o.Becomes)
			}
			if was.GetUID() != is.GetUID() {
				t.Errorf("%s %s was replaced", o.Kind, o.Name)
			}
			// Percona's operator completes its own.
			if !strings.Contains(o.Name, "-pguser-") {
				covers(t, o.Kind+" "+o.Name, paths, changed(was, is))
			}
			if o.Kind == "Service" {
				w.keepsAddresses(was, is, o.Why)
			}
		}

		w.Eventually(s.Name+" has settled", func() error {
			pod, err := w.Find("pod", s.Name+"-0")
			if err != nil || pod == nil {
				return fmt.Errorf("no pod: %w", err)
			}
			if replaced := pod.GetUID() != w.pods[s.Name]; replaced != restarts {
				return fmt.Errorf("its pod is replaced: %t, the table said %t", replaced, restarts)
			}
			return nil
		})
		// Each template that was ever there is a ControllerRevision.
		revisions := w.Kubectl("get", "controllerrevisions", "-l", "app=dittofs-server,instance="+s.Name, "-o", "name")
		if n := len(strings.Fields(revisions)); restarts && n != 2 {
			t.Errorf("the pod of %s was replaced %d times", s.Name, n-1)
		}
	}
	for id, o := range is {
		if o.GetAnnotations()[identity] != "" && !planned[id] {
			t.Errorf("%s %s is composed, and is not in the table", id.kind, id.name)
		}
	}
}

func (w *walk) keepsAddresses(was, is *unstructured.Unstructured, why string) {
	w.T.Helper()

	for _, path := range [][]string{{"spec", "clusterIP"}, {"spec", "type"}, {"status", "loadBalancer", "ingress"}} {
		a, _, _ := unstructured.NestedFieldNoCopy(was.Object, path...)
		b, _, _ := unstructured.NestedFieldNoCopy(is.Object, path...)
		if !reflect.DeepEqual(a, b) {
			w.T.Errorf("%v of Service %s was %v and is %v", path, is.GetName(), a, b)
		}
	}
	if ingress, ok, _ := unstructured.NestedSlice(was.Object, "status", "loadBalancer", "ingress"); ok && len(ingress) > 0 && !strings.HasPrefix(why, "keeps ") {
		w.T.Errorf("the table does not say that Service %s keeps its address, but %q", is.GetName(), why)
	}
}

// operatorWritesToo shows what an operator does that still runs: it writes its own
// template, and Crossplane writes the function's again.
func (w *walk) operatorWritesToo(name string) {
	w.T.Helper()

	ours := w.Get("statefulset", name)
	w.writeTemplate(name)
	w.Wait("statefulset", name, func(o *e2e.Object) error {
		if o.GetGeneration() < ours.GetGeneration()+2 || !reflect.DeepEqual(envNames(o), envNames(ours)) {
			return fmt.Errorf("it is of generation %d, and has the variables %v", o.GetGeneration(), envNames(o))
		}
		return nil
	})
	w.Settle(name)
}

// writeTemplate writes the pod template as the operator left it.
func (w *walk) writeTemplate(name string) {
	w.T.Helper()

	template, _, _ := unstructured.NestedMap(w.was[object{"StatefulSet", name}].Object, "spec", "template")
	w.Eventually("the operator writes", func() error {
		o := w.Get("statefulset", name)
		if err := unstructured.SetNestedMap(o.Object, template, "spec", "template"); err != nil {
			return err
		}
		o.SetManagedFields(nil)
		data, err := json.Marshal(o.Object)
		if err != nil {
			return err
		}
		_, err = e2e.ControlPlane.Kubectl(w.T.Context(), string(data), "-n", w.Name, "replace", "--field-manager=manager", "-f", "-")
		return err
	})
}

func envNames(o *e2e.Object) []string {
	all := env(o.Unstructured)
	out := make([]string, 0, len(all))
	for _, e := range all {
		name, _ := e["name"].(string)
		out = append(out, name)
	}
	return slices.Sorted(slices.Values(out))
}

// letGo lets go of the operator.
func (w *walk) letGo() {
	t := w.T
	t.Helper()

	const section = "4. Let go of the operator"
	w.run("2. Look at what will happen", 2)
	w.Wait("statefulset", "plain", func(o *e2e.Object) error {
		containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
		if c, _ := containers[0].(map[string]any); c["image"] != "marmos91c/dittofs:v0.29.0" {
			return fmt.Errorf("its image is %v", c["image"])
		}
		return nil
	})
	w.WaitMessage("dittoserver", "shared", "Accepted", "True", "spec.adapterServices.type")
	w.run("2. Look at what will happen", 3)
	w.Wait("dittoserver", "shared", func(o *e2e.Object) error {
		if c := o.Condition("Accepted"); strings.Contains(c.Message, "spec.adapterServices.type") {
			return fmt.Errorf("Accepted still says: %s", c.Message)
		}
		return nil
	})
	w.WaitMessage("dittoserver", "plain", "Accepted", "True", "finalizers")
	w.run(section, 0)
	w.WaitCondition("dittoserver", "plain", "Accepted", "True", "SpecAccepted")

	w.run(section, 1)
	w.run(section, 3)
	w.Missing("secret", "shared-operator-credentials")
	w.Missing("networkpolicy", "shared-baseline")
	w.Missing("networkpolicy", "shared-adapter-nfs")

	before := map[string]*e2e.Object{}
	for name := range map[string]int64{"shared-adapter-nfs": 12049, "shared-adapter-smb": 1445} {
		before[name] = w.Get("service", name)
	}
	w.run(section, 4)
	w.Reconcile("shared")
	for name, was := range before {
		is := w.Get("service", name)
		w.keepsAddresses(was.Unstructured, is.Unstructured, "keeps it")
		ports, _, _ := unstructured.NestedSlice(is.Object, "spec", "ports")
		old, _, _ := unstructured.NestedSlice(was.Object, "spec", "ports")
		if len(ports) != 1 || !reflect.DeepEqual(ports[0], old[0]) {
			t.Errorf("Service %s has the ports %v, and had %v", name, ports, old)
		}
	}

	w.run(section, 5)
	e2e.NamespaceOf(t, "dittofs").WaitGone("deployment", "dittofs-operator-controller-manager")
}

// stayOnSQLite is what somebody does who does not want the database that the
// operator made, and that nothing ever used.
func (w *walk) stayOnSQLite() {
	t := w.T
	t.Helper()

	const section, name = "Servers with Percona", "withpg"
	w.run(section, 0)
	w.run(section, 1)
	w.WaitCondition("dittoserver", name, "Accepted", "True", "AcceptedWithWarnings")
	w.Settle(name)
	w.Wait("statefulset", name, func(o *e2e.Object) error {
		init, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "initContainers")
		if vars := envNames(o); len(init) > 0 || slices.Contains(vars, "DATABASE_URL") || !slices.Contains(vars, "DITTOFS_DATABASE_SQLITE_PATH") {
			return fmt.Errorf("it has %d init containers, and the variables %v", len(init), vars)
		}
		ready, _, _ := unstructured.NestedInt64(o.Object, "status", "readyReplicas")
		if ready != 1 {
			return errors.New("its pod is not ready")
		}
		return nil
	})
	if uid := w.Get("perconapgcluster", name+"-postgres").GetUID(); uid != w.servers[name].uids[object{"perconapgcluster", name + "-postgres"}] {
		t.Error("the PerconaPGCluster was replaced")
	}
}

// addSSLMode has the server corp talk to its database over TLS.
func (w *walk) addSSLMode() {
	w.T.Helper()

	w.WaitMessage("dittoserver", "corp", "Accepted", "True", "without TLS")
	pod := w.Get("pod", "corp-0").GetUID()
	w.run("Databases of your own", 0)
	w.Wait("dittoserver", "corp", func(o *e2e.Object) error {
		if c := o.Condition("Accepted"); strings.Contains(c.Message, "without TLS") {
			return fmt.Errorf("Accepted still says: %s", c.Message)
		}
		return nil
	})
	w.Eventually("corp has another pod", func() error {
		p, err := w.Find("pod", "corp-0")
		if err != nil || p == nil || p.GetUID() == pod {
			return fmt.Errorf("it has not: %w", err)
		}
		return nil
	})
}

// rollBack pauses the servers. What the operator writes then stays.
func (w *walk) rollBack(name string) {
	t := w.T
	t.Helper()

	e2e.Apply(t, operator) // It was deleted; it is installed again.
	w.run("Rolling back", 0)
	w.Wait("dittoserver", name, func(o *e2e.Object) error {
		if c := o.Condition("Synced"); c.Reason != "ReconcilePaused" {
			return fmt.Errorf("Synced is %+v", c)
		}
		return nil
	})
	w.writeTemplate(name)
	theirs := w.Get("statefulset", name)
	e2e.Pause(t, 5*time.Second)
	if is := w.Get("statefulset", name); is.GetGeneration() != theirs.GetGeneration() || slices.Contains(envNames(is), "DITTOFS_DATABASE_TYPE") {
		t.Errorf("what the operator wrote did not stay: %v", envNames(is))
	}
	w.Kubectl("annotate", "dittoserver", "--all", "crossplane.io/paused-")
	w.Wait("statefulset", name, func(o *e2e.Object) error {
		if !slices.Contains(envNames(o), "DITTOFS_DATABASE_TYPE") {
			return errors.New("it is not the function's again")
		}
		return nil
	})
}

// covers fails the test unless every leaf that changed lies at or below a path that
// the table has, and the table has no other.
func covers(t testing.TB, what string, planned, leaves []string) {
	t.Helper()

	used := map[string]bool{}
	for _, leaf := range leaves {
		i := slices.IndexFunc(planned, func(p string) bool {
			rest, below := strings.CutPrefix(leaf, p)
			return below && (rest == "" || rest[0] == '.' || rest[0] == '[')
		})
		if i < 0 {
			t.Errorf("%s: %s changed, and is not in the table", what, leaf)
			continue
		}
		used[planned[i]] = true
	}
	for _, p := range planned {
		if !used[p] {
			t.Errorf("%s: the table says that %s changes, and it did not", what, p)
		}
	}
}

// changed returns the leaves in which two objects differ, but for their status and
// the API server's and Crossplane's own.
func changed(was, is *unstructured.Unstructured) []string {
	a, b := map[string]any{}, map[string]any{}
	flatten("", own(was), a)
	flatten("", own(is), b)
	diff := map[string]bool{}
	for _, m := range []map[string]any{a, b} {
		for k := range m {
			if !reflect.DeepEqual(a[k], b[k]) {
				diff[k] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(diff))
}

func own(o *unstructured.Unstructured) map[string]any {
	o = o.DeepCopy()
	labels, annotations := o.GetLabels(), o.GetAnnotations()
	maps.DeleteFunc(labels, func(k, _ string) bool { return strings.HasPrefix(k, "crossplane.io/") })
	maps.DeleteFunc(annotations, func(k, _ string) bool { return k == identity || k == "dittoserver.fn.crossplane.io/record" })
	owners := []any{}
	for _, r := range o.GetOwnerReferences() {
		owners = append(owners, map[string]any{"name": r.Kind + " " + r.Name})
	}
	meta := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"ownerReferences": owners}}}
	for k, v := range labels {
		_ = unstructured.SetNestedField(meta.Object, v, "metadata", "labels", k)
	}
	for k, v := range annotations {
		_ = unstructured.SetNestedField(meta.Object, v, "metadata", "annotations", k)
	}
	for k, v := range o.Object {
		if !slices.Contains([]string{"apiVersion", "kind", "metadata", "status"}, k) {
			meta.Object[k] = v
		}
	}
	return meta.Object
}

// flatten puts the leaves of v into out, entries of lists under what the table calls
// them by.
func flatten(path string, v any, out map[string]any) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			switch {
			case strings.ContainsAny(k, "./"):
				flatten(path+"["+k+"]", e, out)
			case path == "":
				flatten(k, e, out)
			default:
				flatten(path+"."+k, e, out)
			}
		}
	case []any:
		named := map[string]any{}
		for _, e := range v {
			m, _ := e.(map[string]any)
			if k := called(m); k != "" {
				named[k] = m
			}
		}
		if len(named) != len(v) {
			out[path] = v
			return
		}
		for k, e := range named {
			flatten(path+k, e, out)
		}
	default:
		out[path] = v
	}
}

func called(m map[string]any) string {
	protocol, _ := m["protocol"].(string)
	switch {
	case m["mountPath"] != nil:
		return fmt.Sprintf("[%v]", m["mountPath"])
	case m["port"] != nil:
		return fmt.Sprintf("[%v/%s]", m["port"], protocol)
	case m["containerPort"] != nil:
		return fmt.Sprintf("[%v/%s]", m["containerPort"], protocol)
	case m["name"] != nil:
		return fmt.Sprintf("[%v]", m["name"])
	}
	name, _, _ := unstructured.NestedString(m, "metadata", "name")
	if name == "" {
		return ""
	}
	return "[" + name + "]"
}
