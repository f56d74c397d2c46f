package trouble

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/controlplane"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// A server with a database on a cluster without Percona's operator says so,
// gets everything else, and heals when the operator is installed. It is the
// first test: the control plane begins without Percona.
func TestPerconaInstalledLater(t *testing.T) {
	ns := e2e.NewNamespace(t)
	ns.Apply(e2e.Server("files", e2e.WithDatabase))

	ns.WaitCondition("dittoserver", "files", "DatabaseReady", "False", "PerconaOperatorNotInstalled")
	ns.WaitCondition("dittoserver", "files", "Synced", "True", "ReconcileSuccess")
	ns.Wait("configmap", "files-config", nil)
	ns.Wait("service", "files-api", nil)
	ns.Wait("secret", "files-jwt-secret", nil)
	ns.Missing("statefulset", "files")

	if err := e2e.ControlPlane.InstallPercona(t.Context()); err != nil {
		t.Fatal(err)
	}

	// Nothing tells Crossplane that a kind is there now that was not: it asks again
	// when the function's response is a minute old.
	installed := time.Now()
	e2e.EventuallyWithin(t, 90*time.Second, "the cluster", func() error {
		o, err := ns.Find("perconapgcluster", "files-postgres")
		if err == nil && o == nil {
			err = errors.New("there is none")
		}
		return err
	})
	t.Logf("Percona's operator is seen %s after it was installed", time.Since(installed).Round(time.Second/10))

	ns.RunDatabase("files")
	ns.RunServer("files")
	ns.WaitCondition("dittoserver", "files", "DatabaseReady", "True", "PostgreSQLReady")
	ns.WaitCondition("dittoserver", "files", "Ready", "True", "Available")
}

// A running server is idle through restarts of the function and of Crossplane,
// and through an upgrade of the function: nothing that it is made of changes.
func TestRestartsAndUpgrade(t *testing.T) {
	ns := e2e.NewNamespace(t)
	ns.Running("files", e2e.WithDatabase)
	ns.Settle("files")
	before := ns.Snapshot("files")

	t.Run("function restarted", func(t *testing.T) {
		revision := activeRevision(t)
		pods := e2e.Kubectl(t, "-n", controlplane.SystemNamespace, "delete", "pod", "-l", "pkg.crossplane.io/revision="+revision)
		t.Log(pods)
		ns.Reconcile("files")
		e2e.Same(t, "after it", before, ns.Snapshot("files"))
	})

	t.Run("Crossplane restarted", func(t *testing.T) {
		if err := e2e.ControlPlane.RestartCrossplane(t.Context()); err != nil {
			t.Fatal(err)
		}
		ns.Reconcile("files")
		e2e.Same(t, "after it", before, ns.Snapshot("files"))
	})

	t.Run("function upgraded", func(t *testing.T) {
		if err := e2e.ControlPlane.Release(t.Context(), controlplane.NextVersion); err != nil {
			t.Fatal(err)
		}

		old := activeRevision(t)
		e2e.Kubectl(t, "patch", "function", controlplane.FunctionName, "--type=merge", "-p",
			fmt.Sprintf(`{"spec": {"package": "ghcr.io/dittofs/function-dittoserver:%s"}}`, controlplane.NextVersion))
		e2e.Eventually(t, "another revision of the function", func() error {
			if r := activeRevision(t); r == old {
				return fmt.Errorf("%s is still active", r)
			}
			return nil
		})
		e2e.Cluster(t).WaitCondition("function", controlplane.FunctionName, "Healthy", "True", "HealthyPackageRevision")
		ns.Reconcile("files")
		e2e.Same(t, "after it", before, ns.Snapshot("files"))
	})

	// It goes on being looked after.
	ns.Kubectl("delete", "configmap", "files-config")
	ns.Wait("configmap", "files-config", nil)
}

// With the example's DeploymentRuntimeConfig the function runs twice, and is
// ready when its health says so.
func TestRuntimeConfig(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(e2e.Repository(t), "example", "runtimeconfig.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	e2e.Apply(t, string(data))
	e2e.Kubectl(t, "patch", "function", controlplane.FunctionName, "--type=merge", "-p", `{"spec": {"runtimeConfigRef": {"name": "function-dittoserver"}}}`)

	// Crossplane makes another revision for it.
	system := e2e.NamespaceOf(t, controlplane.SystemNamespace)
	system.Eventually("two replicas of the function", func() error {
		o, err := system.Find("deployment", activeRevision(t))
		if err != nil {
			return err
		}
		if o == nil || o.Value("status", "readyReplicas") != int64(2) {
			return fmt.Errorf("the Deployment of %s is %v", activeRevision(t), o)
		}
		return nil
	})
	e2e.Cluster(t).WaitCondition("function", controlplane.FunctionName, "Healthy", "True", "HealthyPackageRevision")

	ns := e2e.NewNamespace(t)
	ns.Running("files", e2e.WithDatabase)
}

func activeRevision(t *testing.T) string {
	t.Helper()

	return e2e.Cluster(t).Get("function", controlplane.FunctionName).String("status", "currentRevision")
}

// The ClusterRole beside the function gives Crossplane what it needs, and
// nothing else: without a verb it says what is forbidden, and goes on when it is
// allowed again.
func TestPermissions(t *testing.T) {
	needed := map[string][]string{
		"perconapgclusters":      {"get", "list", "watch", "create", "patch"},
		"statefulsets":           {"get", "list", "watch", "create", "patch"},
		"persistentvolumeclaims": {"get", "list", "watch"},
		// These are the only ones that are left out of a response when they are switched off,
		// and Crossplane updates what it deletes.
		"networkpolicies": {"get", "list", "watch", "create", "update", "patch", "delete"},
		"servicemonitors": {"get", "list", "watch", "create", "update", "patch", "delete"},
	}
	role := readRole(t)
	given := map[string][]string{}
	for _, r := range role.Rules {
		for _, resource := range r.Resources {
			given[resource] = r.Verbs
		}
	}
	if diff := cmp.Diff(needed, given); diff != "" {
		t.Errorf("verbs by resource: -needed, +given:\n%s", diff)
	}

	ns := e2e.NewNamespace(t)
	for _, c := range []struct{ resource, kind, spec, object string }{
		{"statefulsets", "statefulset", e2e.WithSQLite, ""},
		{"perconapgclusters", "perconapgcluster", e2e.WithDatabase, "-postgres"},
	} {
		ns := ns.For(t)
		name := c.kind[:4]

		for _, verb := range []string{"create", "patch"} {
			t.Run(verb+" "+c.resource, func(t *testing.T) {
				ns, name := ns.For(t), name+"-"+verb

				role.without(t, verb, c.resource)
				ns.Apply(e2e.Server(name, c.spec))
				ns.WaitMessage("dittoserver", name, "Synced", "False", "cannot "+verb+" resource \""+c.resource+"\"")
				ns.Missing(c.kind, name+c.object)

				role.restore(t, verb, c.resource)
				ns.Wait(c.kind, name+c.object, nil)
			})
		}

		// What it has made and does not hear of any more it asks for.
		t.Run("get "+c.resource, func(t *testing.T) {
			ns, name := ns.For(t), name+"-create"

			role.without(t, "get", c.resource)
			ns.Kubectl("delete", c.kind, name+c.object)
			ns.WaitMessage("dittoserver", name, "Synced", "False", "cannot get resource \""+c.resource+"\"")

			role.restore(t, "get", c.resource)
			ns.Wait(c.kind, name+c.object, nil)
			ns.WaitCondition("dittoserver", name, "Synced", "True", "ReconcileSuccess")
		})
	}

	// It begins to listen when it starts: to what its servers are made of. What it
	// may not list or watch only its log tells of.
	for _, verb := range []string{"list", "watch"} {
		t.Run(verb, func(t *testing.T) {
			resources := []string{"statefulsets", "perconapgclusters"}

			role.without(t, verb, resources...)
			if err := e2e.ControlPlane.RestartCrossplane(t.Context()); err != nil {
				t.Fatal(err)
			}
			waitForbidden(t, verb, resources...)
			role.restore(t, verb, resources...)
		})

		// And to volumes when a server with a database is first asked for. It gets
		// nothing until that is allowed.
		t.Run(verb+" persistentvolumeclaims", func(t *testing.T) {
			ns, name := ns.For(t), "volumes-"+verb

			role.without(t, verb, "persistentvolumeclaims")
			if err := e2e.ControlPlane.RestartCrossplane(t.Context()); err != nil {
				t.Fatal(err)
			}
			ns.Apply(e2e.Server(name, e2e.WithDatabase))
			waitForbidden(t, verb, "persistentvolumeclaims")
			ns.Missing("perconapgcluster", name+"-postgres")

			role.restore(t, verb, "persistentvolumeclaims")
			ns.Wait("perconapgcluster", name+"-postgres", nil)
		})
	}

	if err := e2e.ControlPlane.RestartCrossplane(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// waitForbidden waits until Crossplane's log says what it may not do.
func waitForbidden(t *testing.T, verb string, resources ...string) {
	t.Helper()

	e2e.Eventually(t, "words about "+verb, func() error {
		log, err := e2e.ControlPlane.Log("crossplane-*.crossplane.log")
		if err != nil {
			return err
		}
		for _, r := range resources {
			if want := `cannot ` + verb + ` resource \"` + r + `\"`; !strings.Contains(log, want) {
				return fmt.Errorf("the log does not say %s", want)
			}
		}
		return nil
	})
}

// A role is the example's ClusterRole.
type role struct {
	manifest string

	Rules []struct {
		APIGroups []string `json:"apiGroups"`
		Resources []string `json:"resources"`
		Verbs     []string `json:"verbs"`
	} `json:"rules"`
}

func readRole(t *testing.T) *role {
	t.Helper()

	data, err := os.ReadFile(filepath.Join(e2e.Repository(t), "example", "rbac.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	r := &role{manifest: string(data)}
	if err := yaml.Unmarshal(data, r); err != nil {
		t.Fatal(err)
	}

	return r
}

// without a verb for some resources.
func (r *role) without(t *testing.T, verb string, resources ...string) {
	t.Helper()

	rules := slices.Clone(r.Rules)
	for i := range rules {
		if slices.Contains(resources, rules[i].Resources[0]) {
			rules[i].Verbs = slices.DeleteFunc(slices.Clone(rules[i].Verbs), func(v string) bool { return v == verb })
		}
	}
	patch, err := json.Marshal(map[string]any{"rules": rules})
	if err != nil {
		t.Fatal(err)
	}
	e2e.Kubectl(t, "patch", "clusterrole", "function-dittoserver", "--type=merge", "-p", string(patch))
	for _, resource := range resources {
		crossplaneMay(t, verb, resource, "no")
	}
}

func (r *role) restore(t *testing.T, verb string, resources ...string) {
	t.Helper()

	e2e.Apply(t, r.manifest)
	for _, resource := range resources {
		crossplaneMay(t, verb, resource, "yes")
	}
}

// crossplaneMay waits until Crossplane may, or may not, do something.
func crossplaneMay(t *testing.T, verb, resource, want string) {
	t.Helper()

	e2e.Eventually(t, "permission to "+verb+" "+resource+": "+want, func() error {
		// kubectl fails where the answer is no.
		got, _ := e2e.ControlPlane.Kubectl(t.Context(), "", "auth", "can-i", verb, resource, "-A", "--as=system:serviceaccount:crossplane-system:crossplane")
		if got := strings.TrimSpace(got); got != want && !strings.HasSuffix(got, "\n"+want) {
			return fmt.Errorf("kubectl auth can-i says %s", got)
		}
		return nil
	})
}
