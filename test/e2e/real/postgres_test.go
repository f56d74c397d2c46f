package real

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/node"
)

// A server waits for its database, uses it over TLS, and keeps what is in it.
func TestServerOnPostgreSQL(t *testing.T) {
	n := parallel(t)

	s := &server{Namespace: e2e.NewNamespace(t), t: t, name: "files"}
	n.Cordon(s.Name, s.databaseLabels())
	told := s.watchDatabaseReady()
	s.apply(percona)

	s.waitCondition("DatabaseReady", "False", "WaitingForPostgreSQL")
	s.Missing("statefulset", s.name)

	n.Uncordon(t.Context(), s.Name, s.databaseLabels())
	s.Wait("statefulset", s.name, nil)
	if state := s.Get("perconapgcluster", s.name+"-postgres").String("status", "state"); state != "ready" {
		t.Errorf("the server was created while the database was %s", state)
	}
	s.waitReady()
	s.waitCondition("DatabaseReady", "True", "PostgreSQLReady")
	if got := told(); !slices.Equal(got, []string{"False PerconaPGClusterNotFound", "False WaitingForPostgreSQL", "True PostgreSQLReady"}) {
		t.Errorf("DatabaseReady went through %v", got)
	}

	s.waitHealth("reachable")
	s.usesPostgreSQL("dittofs")
	s.noSQLite(n)

	c := s.login()
	c.createShare("/export")
	c.wantShare("/export")

	before := s.serverPod()
	s.Kubectl("delete", "pod", before.Name, "--wait=false")
	s.waitPod(s.serverLabels(), successor(before))
	s.login().wantShare("/export")
	s.usesPostgreSQL("dittofs")
}

// watchDatabaseReady collects what DatabaseReady says from now on, every change
// of it.
//
// Crossplane writes the conditions that it has read once more before it writes
// those of the function's answer. If what it has read is old, something that is
// over shows up for a moment, with the time at which it began: that is no news.
// Source: crossplane v2.4.0 internal/controller/apiextensions/composite
// composition_functions.go, Compose.
func (s *server) watchDatabaseReady() (told func() []string) {
	s.t.Helper()

	gvr := schema.GroupVersionResource{Group: "dittofs.dittofs.com", Version: "v1alpha1", Resource: "dittoservers"}
	w, err := e2e.ControlPlane.Dynamic.Resource(gvr).Namespace(s.Name).Watch(s.t.Context(), metav1.ListOptions{})
	if err != nil {
		s.t.Fatal(err)
	}

	mu := sync.Mutex{}
	var seen []string
	begun := map[string]bool{}
	go func() {
		for e := range w.ResultChan() {
			u, ok := e.Object.(*unstructured.Unstructured)
			if !ok {
				continue
			}
			c := (&e2e.Object{Unstructured: u}).Condition("DatabaseReady")
			said := c.Status + " " + c.Reason
			if c.Status == "" || begun[said+c.Since] {
				continue
			}
			begun[said+c.Since] = true
			mu.Lock()
			if len(seen) == 0 || seen[len(seen)-1] != said {
				seen = append(seen, said)
			}
			mu.Unlock()
		}
	}()

	return func() []string {
		w.Stop()
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(seen)
	}
}

// usesPostgreSQL checks from within the database that the server is there.
func (s *server) usesPostgreSQL(database string) {
	s.t.Helper()

	tables := s.sql(database, `SELECT count(*) FROM pg_tables WHERE tableowner = 'dittofs' AND tablename IN ('users', 'shares', 'adapters')`)
	if tables != "3" {
		s.t.Errorf("%s of the server's tables are in the database %s:\n%s", tables, database, s.sql(database, `SELECT schemaname, tablename, tableowner FROM pg_tables WHERE schemaname NOT LIKE 'pg_%'`))
	}

	e2e.Eventually(s.t, "connections of the server", func() error {
		conns, err := s.trySQL(database, `SELECT ssl, version, client_addr FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'dittofs'`)
		if err != nil {
			return err
		}
		if conns == "" {
			return errNone
		}
		p, err := s.pod(s.serverLabels())
		if err != nil {
			return err
		}
		for l := range strings.Lines(conns) {
			if !strings.HasPrefix(l, "t|TLSv1.3|"+p.Status.PodIP) {
				return fmt.Errorf("a connection is not over TLS, or not the server's (%s): %s", p.Status.PodIP, l)
			}
		}
		return nil
	})
}

// noSQLite fails the test if there is a SQLite file on any volume.
func (s *server) noSQLite(n *node.Node) {
	s.t.Helper()

	l, err := e2e.ControlPlane.Client.CoreV1().PersistentVolumeClaims(s.Name).List(s.t.Context(), metav1.ListOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range l.Items {
		err := filepath.WalkDir(n.ClaimDir(&l.Items[i]), func(path string, _ fs.DirEntry, err error) error {
			if strings.Contains(filepath.Base(path), ".db") {
				s.t.Errorf("there is a SQLite file: %s", path)
			}
			return err
		})
		if err != nil {
			s.t.Error(err)
		}
	}
}
