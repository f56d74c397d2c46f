package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"
)

// Timeout of everything that is waited for. It is for a loaded machine: what is
// waited for usually comes within a second or two.
const Timeout = 4 * time.Minute

// resourceOf returns the resource of a kind, by what kubectl calls it.
func resourceOf(kind string) (schema.GroupVersionResource, error) {
	if kind == "postgrescluster" {
		return postgresCluster()
	}

	gvr, ok := map[string]schema.GroupVersionResource{
		"dittoserver":                 {Group: "dittofs.dittofs.com", Version: "v1alpha1", Resource: "dittoservers"},
		"xdittoserver":                {Group: "dittofs.dittofs.com", Version: "v1alpha1", Resource: "xdittoservers"},
		"perconapgcluster":            {Group: "pgv2.percona.com", Version: "v2", Resource: "perconapgclusters"},
		"perconapgbackup":             {Group: "pgv2.percona.com", Version: "v2", Resource: "perconapgbackups"},
		"statefulset":                 {Group: "apps", Version: "v1", Resource: "statefulsets"},
		"deployment":                  {Group: "apps", Version: "v1", Resource: "deployments"},
		"configmap":                   {Version: "v1", Resource: "configmaps"},
		"secret":                      {Version: "v1", Resource: "secrets"},
		"service":                     {Version: "v1", Resource: "services"},
		"pod":                         {Version: "v1", Resource: "pods"},
		"persistentvolumeclaim":       {Version: "v1", Resource: "persistentvolumeclaims"},
		"event":                       {Version: "v1", Resource: "events"},
		"function":                    {Group: "pkg.crossplane.io", Version: "v1", Resource: "functions"},
		"functionrevision":            {Group: "pkg.crossplane.io", Version: "v1", Resource: "functionrevisions"},
		"configuration":               {Group: "pkg.crossplane.io", Version: "v1", Resource: "configurations"},
		"configurationrevision":       {Group: "pkg.crossplane.io", Version: "v1", Resource: "configurationrevisions"},
		"customresourcedefinition":    {Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"},
		"clusterrole":                 {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"},
		"compositeresourcedefinition": {Group: "apiextensions.crossplane.io", Version: "v2", Resource: "compositeresourcedefinitions"},
		"composition":                 {Group: "apiextensions.crossplane.io", Version: "v1", Resource: "compositions"},
		"networkpolicy":               {Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
		"servicemonitor":              {Group: "monitoring.coreos.com", Version: "v1", Resource: "servicemonitors"},
	}[kind]
	if !ok {
		return gvr, fmt.Errorf("tests do not know the kind %s", kind)
	}

	return gvr, nil
}

// postgresCluster returns what Percona's operator makes of a PerconaPGCluster. It is
// of another group from version 3.0.0 on.
func postgresCluster() (schema.GroupVersionResource, error) {
	for _, group := range []string{"postgres-operator.crunchydata.com", "upstream.pgv2.percona.com"} {
		gv := schema.GroupVersion{Group: group, Version: "v1beta1"}
		l, err := ControlPlane.Client.Discovery().ServerResourcesForGroupVersion(gv.String())
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return schema.GroupVersionResource{}, err
		}
		if slices.ContainsFunc(l.APIResources, func(r metav1.APIResource) bool { return r.Name == "postgresclusters" }) {
			return gv.WithResource("postgresclusters"), nil
		}
	}

	return schema.GroupVersionResource{}, errors.New("the API server knows no PostgresCluster")
}

// client of a kind in the namespace.
func (ns *Namespace) client(kind string) (dynamic.ResourceInterface, error) {
	gvr, err := resourceOf(kind)
	if err != nil {
		return nil, err
	}

	return ControlPlane.Dynamic.Resource(gvr).Namespace(ns.Name), nil
}

// A Namespace of a test.
type Namespace struct {
	Name string

	// T is the test that the namespace is for.
	T testing.TB
}

var notInNames = regexp.MustCompile("[^a-z0-9]+")

// NewNamespace makes a namespace that is named after the test. What a user has
// made in it is deleted after the test, so that the control plane is idle
// again.
func NewNamespace(t testing.TB, suffix ...string) *Namespace {
	t.Helper()

	name := strings.Join(append([]string{strings.TrimPrefix(t.Name(), "Test")}, suffix...), "-")
	name = strings.Trim(notInNames.ReplaceAllString(strings.ToLower(name), "-"), "-")
	if len(name) > 50 {
		name = strings.Trim(name[:50], "-")
	}

	ns := &Namespace{Name: name, T: t}
	Kubectl(t, "create", "namespace", name)

	t.Cleanup(func() {
		if t.Failed() {
			ns.dump()
		}
		_, _ = ControlPlane.Kubectl(context.Background(), "", "-n", name, "delete", "dittoserver", "--all", "--wait=false")
	})

	return ns
}

// Cluster is where objects without a namespace are.
func Cluster(t testing.TB) *Namespace { return &Namespace{T: t} }

// NamespaceOf a name, which exists and stays.
func NamespaceOf(t testing.TB, name string) *Namespace { return &Namespace{Name: name, T: t} }

// For a part of the test.
func (ns *Namespace) For(t testing.TB) *Namespace { return &Namespace{Name: ns.Name, T: t} }

// dump what there is in the namespace of a failed test.
func (ns *Namespace) dump() {
	ns.T.Helper()

	for _, args := range [][]string{
		{"get", "dittoserver,perconapgcluster,statefulset,pod,configmap,secret,service"},
		{"get", "dittoserver", "-o", "yaml"},
		{"get", "events", "--sort-by=.lastTimestamp"},
	} {
		out, err := ControlPlane.Kubectl(context.Background(), "", append([]string{"-n", ns.Name}, args...)...)
		if err != nil {
			out += err.Error()
		}
		ns.T.Logf("kubectl -n %s %s\n%s", ns.Name, strings.Join(args, " "), out)
	}
}

// Kubectl runs kubectl as an administrator and returns what it prints. The test
// ends if it fails.
func Kubectl(t testing.TB, args ...string) string {
	t.Helper()

	out, err := ControlPlane.Kubectl(t.Context(), "", args...)
	if err != nil {
		t.Fatal(err)
	}

	return out
}

// Apply a manifest that is not in a namespace.
func Apply(t testing.TB, manifest string) {
	t.Helper()

	if _, err := ControlPlane.Kubectl(t.Context(), manifest, "apply", "--server-side", "--force-conflicts", "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

// Kubectl runs kubectl in the namespace.
func (ns *Namespace) Kubectl(args ...string) string {
	ns.T.Helper()

	return Kubectl(ns.T, append([]string{"-n", ns.Name}, args...)...)
}

// Apply a manifest in the namespace, as kubectl apply -f does.
func (ns *Namespace) Apply(manifest string) string {
	ns.T.Helper()

	out, err := ControlPlane.Kubectl(ns.T.Context(), manifest, "-n", ns.Name, "apply", "-f", "-")
	if err != nil {
		ns.T.Fatal(err)
	}

	return out
}

// ApplyRefused applies a manifest that the API server refuses, and returns what
// kubectl says.
func (ns *Namespace) ApplyRefused(manifest string) string {
	ns.T.Helper()

	out, err := ControlPlane.Kubectl(ns.T.Context(), manifest, "-n", ns.Name, "apply", "-f", "-")
	if err == nil {
		ns.T.Errorf("the API server accepts what it should refuse: %s\n%s", strings.TrimSpace(out), manifest)
		return ""
	}

	return out
}

// Server is the manifest of a DittoServer with a spec in YAML's flow style.
func Server(name, spec string) string {
	return fmt.Sprintf(`
apiVersion: dittofs.dittofs.com/v1alpha1
kind: DittoServer
metadata: {name: %s}
spec: %s
`, name, spec)
}

const (
	// WithSQLite is the spec of the smallest server.
	WithSQLite = `{storage: {metadataSize: 1Gi}}`

	// WithDatabase is the spec of one with the smallest database.
	WithDatabase = `{storage: {metadataSize: 1Gi}, percona: {enabled: true, storageSize: 1Gi}}`
)

// Running makes a server and waits until it runs.
func (ns *Namespace) Running(name, spec string) {
	ns.T.Helper()

	ns.RunDatabase(name)
	ns.RunServer(name)
	ns.Apply(Server(name, spec))
	ns.WaitCondition("dittoserver", name, "Ready", "True", "Available")
}

// Patch an object with a JSON merge patch, as a user's kubectl edit does.
func (ns *Namespace) Patch(kind, name, patch string) {
	ns.T.Helper()

	ns.Kubectl("patch", kind, name, "--type=merge", "-p", patch)
}

// Eventually waits until a check passes.
func (ns *Namespace) Eventually(what string, check func() error) {
	ns.T.Helper()

	Eventually(ns.T, what, check)
}

// Create an object as somebody with a field manager of that name does, without kubectl.
func (ns *Namespace) Create(kind string, o *unstructured.Unstructured, manager string) *Object {
	ns.T.Helper()

	c, err := ns.client(kind)
	if err != nil {
		ns.T.Fatal(err)
	}
	created, err := c.Create(ns.T.Context(), o, metav1.CreateOptions{FieldManager: manager})
	if err != nil {
		ns.T.Fatal(err)
	}

	return &Object{created}
}

// UpdateStatus writes the status of an object, as Create does the rest.
func (ns *Namespace) UpdateStatus(kind string, o *Object, manager string) {
	ns.T.Helper()

	c, err := ns.client(kind)
	if err != nil {
		ns.T.Fatal(err)
	}
	if _, err := c.UpdateStatus(ns.T.Context(), o.Unstructured, metav1.UpdateOptions{FieldManager: manager}); err != nil {
		ns.T.Fatal(err)
	}
}

// GiveAddresses does what a cloud does for Services that ask for a load balancer.
func (ns *Namespace) GiveAddresses() {
	ns.T.Helper()

	for _, s := range ns.List("service", nil) {
		if s.String("spec", "type") == "LoadBalancer" && s.Value("status", "loadBalancer", "ingress") == nil {
			ns.Kubectl("patch", "service", s.GetName(), "--subresource=status", "--type=merge", "-p", `{"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}`)
		}
	}
}

// Find an object. It is nil if there is none.
func (ns *Namespace) Find(kind, name string) (*Object, error) {
	c, err := ns.client(kind)
	if err != nil {
		return nil, err
	}

	u, err := c.Get(ns.T.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // As the comment says.
	}
	if err != nil {
		return nil, err
	}

	return &Object{u}, nil
}

// Get an object that exists.
func (ns *Namespace) Get(kind, name string) *Object {
	ns.T.Helper()

	o, err := ns.Find(kind, name)
	if err != nil {
		ns.T.Fatal(err)
	}
	if o == nil {
		ns.T.Fatalf("there is no %s %s", kind, name)
	}

	return o
}

// List the objects of a kind that have the supplied labels.
func (ns *Namespace) List(kind string, set labels.Set) []Object {
	ns.T.Helper()

	c, err := ns.client(kind)
	if err != nil {
		ns.T.Fatal(err)
	}
	l, err := c.List(ns.T.Context(), metav1.ListOptions{LabelSelector: set.String()})
	if err != nil {
		ns.T.Fatal(err)
	}

	out := make([]Object, 0, len(l.Items))
	for i := range l.Items {
		out = append(out, Object{&l.Items[i]})
	}

	return out
}

// Wait until an object exists and satisfies a check, and return it.
func (ns *Namespace) Wait(kind, name string, check func(o *Object) error) *Object {
	ns.T.Helper()

	var found *Object
	Eventually(ns.T, kind+" "+name, func() error {
		o, err := ns.Find(kind, name)
		if err != nil {
			return err
		}
		if o == nil {
			return errors.New("it does not exist")
		}
		found = o
		if check == nil {
			return nil
		}
		return check(o)
	})

	return found
}

// WaitCondition waits until a condition of an object has a status and a reason,
// and returns its message.
func (ns *Namespace) WaitCondition(kind, name, typ, status, reason string) string {
	ns.T.Helper()

	o := ns.Wait(kind, name, func(o *Object) error {
		c := o.Condition(typ)
		if c.Status != status || c.Reason != reason {
			return fmt.Errorf("condition %s is %q, %s: %s", typ, c.Status, c.Reason, c.Message)
		}
		return nil
	})

	return o.Condition(typ).Message
}

// WaitMessage waits until a condition of an object has a status and a message
// that contains a text.
func (ns *Namespace) WaitMessage(kind, name, typ, status, text string) {
	ns.T.Helper()

	ns.Wait(kind, name, func(o *Object) error {
		c := o.Condition(typ)
		if c.Status != status || !strings.Contains(c.Message, text) {
			return fmt.Errorf("condition %s is %q, %s, without %q: %s", typ, c.Status, c.Reason, text, c.Message)
		}
		return nil
	})
}

// WaitGone waits until there is no such object.
func (ns *Namespace) WaitGone(kind, name string) {
	ns.T.Helper()

	Eventually(ns.T, "no "+kind+" "+name, func() error {
		o, err := ns.Find(kind, name)
		if err != nil {
			return err
		}
		if o != nil {
			return fmt.Errorf("it exists, with finalizers %v, being deleted: %t", o.GetFinalizers(), o.GetDeletionTimestamp() != nil)
		}
		return nil
	})
}

// Missing fails the test if there is such an object.
func (ns *Namespace) Missing(kind, name string) {
	ns.T.Helper()

	o, err := ns.Find(kind, name)
	if err != nil {
		ns.T.Fatal(err)
	}
	if o != nil {
		ns.T.Fatalf("there is a %s %s, which there should not be", kind, name)
	}
}

// RunDatabase has the kubelet pretend that the pods of a server's database run.
func (ns *Namespace) RunDatabase(server string) {
	ControlPlane.Kubelet.Run(ns.T.Context(), ns.Name, databaseLabels(server))
}

// StopDatabase has the kubelet pretend that they are not ready any more.
func (ns *Namespace) StopDatabase(server string) {
	ControlPlane.Kubelet.Stop(ns.T.Context(), ns.Name, databaseLabels(server))
}

// RunServer has the kubelet pretend that a server's pod runs.
func (ns *Namespace) RunServer(server string) {
	ControlPlane.Kubelet.Run(ns.T.Context(), ns.Name, serverLabels(server))
}

func databaseLabels(server string) labels.Set {
	return labels.Set{"postgres-operator.crunchydata.com/cluster": server + "-postgres"}
}

func serverLabels(server string) labels.Set {
	return labels.Set{"app": "dittofs-server", "instance": server}
}

// Events of an object in the namespace: "Type Reason: message", the oldest
// first.
func (ns *Namespace) Events(kind, name string) []string {
	ns.T.Helper()

	l, err := ControlPlane.Client.CoreV1().Events(ns.Name).List(ns.T.Context(), metav1.ListOptions{
		FieldSelector: "involvedObject.kind=" + kind + ",involvedObject.name=" + name,
	})
	if err != nil {
		ns.T.Fatal(err)
	}

	out := make([]string, 0, len(l.Items))
	for _, e := range l.Items {
		out = append(out, e.Type+" "+e.Reason+": "+e.Message)
	}

	return out
}

// Eventually waits until a check passes. If it does not in time, the test ends
// with what the check said last.
func Eventually(t testing.TB, what string, check func() error) {
	t.Helper()

	EventuallyWithin(t, Timeout, what, check)
}

// EventuallyWithin is Eventually for what takes long.
func EventuallyWithin(t testing.TB, timeout time.Duration, what string, check func() error) {
	t.Helper()

	// What comes at once is seen at once, and what takes long is not asked for
	// all the time: a machine may have two cores for everything.
	deadline, pause := time.Now().Add(timeout), 50*time.Millisecond
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s: %v", what, timeout, err)
		}

		select {
		case <-t.Context().Done():
			t.Fatalf("%s: %v", what, err)
		case <-time.After(pause):
		}
		pause = min(pause*3/2, 500*time.Millisecond)
	}
}

// Pause lets some time pass.
func Pause(t testing.TB, d time.Duration) {
	t.Helper()

	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal("the test was ended")
	}
}

// An Object of the API server.
type Object struct{ *unstructured.Unstructured }

// A Condition of an object. Since is when its status last changed.
type Condition struct{ Status, Reason, Message, Since string }

// Condition of a type. It is zero if there is none.
func (o *Object) Condition(typ string) Condition {
	l, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range l {
		m, ok := c.(map[string]any)
		if !ok || m["type"] != typ {
			continue
		}
		s := func(k string) string { v, _ := m[k].(string); return v }
		return Condition{Status: s("status"), Reason: s("reason"), Message: s("message"), Since: s("lastTransitionTime")}
	}

	return Condition{}
}

// Value of a field, nil if there is none.
func (o *Object) Value(path ...string) any {
	v, _, _ := unstructured.NestedFieldNoCopy(o.Object, path...)
	return v
}

// String of a field.
func (o *Object) String(path ...string) string {
	v, _, _ := unstructured.NestedString(o.Object, path...)
	return v
}

// Documents reads the objects of a YAML file.
func Documents(t testing.TB, s string) []*unstructured.Unstructured {
	t.Helper()

	out := []*unstructured.Unstructured{}
	for _, doc := range strings.Split("\n"+s, "\n---") {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(doc), &u.Object); err != nil {
			t.Fatal(err)
		}
		if len(u.Object) > 0 {
			out = append(out, u)
		}
	}

	return out
}

// Repository is the folder of this repository.
func Repository(t testing.TB) string {
	t.Helper()

	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for d := dir; d != "/"; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "package", "crossplane.yaml")); err == nil {
			return d
		}
	}
	t.Fatalf("%s is not inside the repository", dir)

	return ""
}
