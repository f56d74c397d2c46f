package namespaced

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// The life of a server with a database, from kubectl apply to Ready.
func TestServer(t *testing.T) {
	t.Parallel()

	ns := e2e.NewNamespace(t)
	ns.Apply(e2e.Server("files", e2e.WithDatabase))

	// Percona's operator takes the cluster and makes its Secrets and its
	// StatefulSets. Until PostgreSQL is up the server says what it waits for,
	// and that it is not ready, and does not exist.
	ns.WaitCondition("dittoserver", "files", "DatabaseReady", "False", "WaitingForPostgreSQL")
	ns.Wait("secret", "files-postgres-pguser-dittofs", nil)
	ns.Wait("secret", "files-postgres-cluster-cert", nil)
	instances(ns, "files", 1)
	ns.WaitCondition("dittoserver", "files", "Ready", "False", "Creating")
	ns.WaitCondition("dittoserver", "files", "Progressing", "True", "WaitingForDatabase")
	ns.Missing("statefulset", "files")

	// Everything else is there already.
	for _, o := range []struct{ kind, name string }{
		{"configmap", "files-config"},
		{"secret", "files-jwt-secret"},
		{"secret", "files-admin-bootstrap-credentials"},
		{"service", "files-headless"},
		{"service", "files-api"},
		{"service", "files-adapter-nfs"},
		{"service", "files-adapter-smb"},
	} {
		ns.Wait(o.kind, o.name, nil)
	}

	// PostgreSQL comes up, and the server is made.
	ns.RunDatabase("files")
	ns.Wait("perconapgcluster", "files-postgres", func(o *e2e.Object) error {
		if s := o.String("status", "state"); s != "ready" {
			return fmt.Errorf("its state is %q", s)
		}
		return nil
	})
	ns.WaitCondition("dittoserver", "files", "DatabaseReady", "True", "PostgreSQLReady")
	uid := ns.Wait("statefulset", "files", nil).GetUID()
	ns.WaitMessage("dittoserver", "files", "Available", "False", "kubectl -n "+ns.Name+" describe pod files-0")

	// It runs.
	ns.RunServer("files")
	ns.WaitCondition("dittoserver", "files", "Available", "True", "MinimumReplicasAvailable")
	ns.WaitCondition("dittoserver", "files", "Progressing", "False", "ReconcileComplete")
	ns.WaitCondition("dittoserver", "files", "Accepted", "True", "SpecAccepted")
	ns.WaitCondition("dittoserver", "files", "Ready", "True", "Available")
	ns.WaitCondition("dittoserver", "files", "Synced", "True", "ReconcileSuccess")

	ns.Settle("files")

	e2e.Golden(t, "get.txt", func() string { return e2e.Stable(ns.Kubectl("get", "dittoserver")) })
	e2e.Golden(t, "describe.txt", func() string { return e2e.Stable(withoutEvents(ns.Kubectl("describe", "dittoserver", "files"))) })

	// Whatever becomes of the database, the server stays.
	ns.StopDatabase("files")
	ns.WaitCondition("dittoserver", "files", "DatabaseReady", "False", "WaitingForPostgreSQL")
	ns.WaitCondition("dittoserver", "files", "Ready", "False", "Creating")
	if got := ns.Get("statefulset", "files").GetUID(); got != uid {
		t.Errorf("the StatefulSet is another one now that the database is down: %s was %s", got, uid)
	}

	ns.Patch("perconapgcluster", "files-postgres", `{"spec": {"pause": true}}`)
	ns.WaitCondition("dittoserver", "files", "DatabaseReady", "False", "PostgreSQLPaused")
	ns.Patch("perconapgcluster", "files-postgres", `{"spec": {"pause": false}}`)

	ns.RunDatabase("files")
	ns.WaitCondition("dittoserver", "files", "DatabaseReady", "True", "PostgreSQLReady")
	ns.WaitCondition("dittoserver", "files", "Ready", "True", "Available")
	if got := ns.Get("statefulset", "files").GetUID(); got != uid {
		t.Errorf("the StatefulSet is another one now that the database is back: %s was %s", got, uid)
	}
}

// A server without PostgreSQL is there at once.
func TestServerOnSQLite(t *testing.T) {
	t.Parallel()

	ns := e2e.NewNamespace(t)
	ns.Apply(e2e.Server("files", e2e.WithSQLite))
	ns.Wait("statefulset", "files", nil)
	ns.RunServer("files")
	o := ns.Wait("dittoserver", "files", func(o *e2e.Object) error {
		if c := o.Condition("Ready"); c.Status != "True" {
			return fmt.Errorf("Ready is %+v", c)
		}
		return nil
	})

	if c := o.Condition("DatabaseReady"); c.Status != "" {
		t.Errorf("a server on SQLite should have no condition DatabaseReady, it is %+v", c)
	}
	ns.Missing("perconapgcluster", "files-postgres")
}

// Percona's operator accepts every kind of cluster that we compose, without a
// word of warning.
func TestClustersThatPerconaAccepts(t *testing.T) {
	t.Parallel()

	ns := e2e.NewNamespace(t)
	ns.Apply(`
apiVersion: v1
kind: Secret
metadata: {name: s3}
stringData: {AWS_ACCESS_KEY_ID: key, AWS_SECRET_ACCESS_KEY: secret}
`)

	const backup = `backup: {enabled: true, bucket: backups, endpoint: s3.example.org, credentialsSecretRef: {name: s3}}`
	specs := map[string]string{
		"smallest":    ``,
		"replicas":    `replicas: 3, storageSize: 5Gi, storageClassName: fast`,
		"no-class":    `storageClassName: ""`,
		"resources":   `resources: {requests: {cpu: 500m, memory: 1Gi}, limits: {memory: 1Gi}}`,
		"database":    `databaseName: files, metadataDatabaseName: meta-data`,
		"image":       `postgresVersion: 17, image: "registry.example.org/percona/postgresql:17.9-1"`,
		"backup":      backup,
		"backup-role": `backup: {enabled: true, bucket: backups, endpoint: "https://minio.example.org:9000/", region: us-east-1, path: /files, retentionDays: 30, fullSchedule: "@daily", incrSchedule: "*/15 * * * *"}`,
		"everything":  `replicas: 2, postgresVersion: 18, crVersion: 2.9.0, deleteWithServer: true, driftPolicy: Revert, metadataDatabaseName: meta, ` + backup,
	}
	for v := 14; v <= 18; v++ {
		specs[fmt.Sprintf("version-%d", v)] = fmt.Sprintf("postgresVersion: %d", v)
	}

	for name, spec := range specs {
		if spec != "" {
			spec = ", " + spec
		}
		ns.Apply(e2e.Server(name, `{storage: {metadataSize: 1Gi}, percona: {enabled: true`+spec+`}}`))
	}

	for name, spec := range specs {
		ns.WaitCondition("dittoserver", name, "DatabaseReady", "False", "WaitingForPostgreSQL")
		ns.WaitCondition("dittoserver", name, "Synced", "True", "ReconcileSuccess")
		ns.Wait("secret", name+"-postgres-pguser-dittofs", nil)
		instances(ns, name, 1)

		cluster := ns.Get("perconapgcluster", name+"-postgres")
		for _, kind := range []string{"PerconaPGCluster", "PostgresCluster"} {
			for _, e := range ns.Events(kind, cluster.GetName()) {
				if strings.HasPrefix(e, "Warning") {
					t.Errorf("%s: Percona's operator warns of {%s}: %s", kind, spec, e)
				}
			}
		}
	}
}

// instances waits for the StatefulSets of a server's PostgreSQL instances.
func instances(ns *e2e.Namespace, server string, atLeast int) {
	ns.Eventually("StatefulSets of PostgreSQL", func() error {
		l := ns.List("statefulset", labels.Set{"postgres-operator.crunchydata.com/cluster": server + "-postgres", "postgres-operator.crunchydata.com/instance-set": "instance1"})
		if len(l) < atLeast {
			return fmt.Errorf("there are %d", len(l))
		}
		return nil
	})
}

// withoutEvents cuts the events from what kubectl describe prints: when they
// come and go is not up to us.
func withoutEvents(s string) string {
	before, _, _ := strings.Cut(s, "\nEvents:")

	return before + "\n"
}
