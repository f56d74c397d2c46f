package real

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// The database goes away and comes back while the server runs, and while one
// starts.
func TestDatabaseOutage(t *testing.T) {
	n := parallel(t)

	s := newServer(t, "files", percona)
	s.waitReady()
	c := s.login()
	c.createShare("/export")
	server := s.serverPod()
	uid := s.Get("statefulset", s.name).GetUID()

	database, err := s.pod(s.databaseLabels())
	if err != nil {
		t.Fatal(err)
	}
	n.Cordon(s.Name, s.databaseLabels())
	s.Kubectl("delete", "pod", database.Name, "--wait=false")

	s.waitCondition("DatabaseReady", "False", "WaitingForPostgreSQL")
	s.waitHealth("unreachable")
	s.samePod(server)
	n.Uncordon(t.Context(), s.Name, s.databaseLabels())
	database = s.waitPod(s.databaseLabels(), successor(database))
	s.waitReady()
	s.waitHealth("reachable")
	c.wantShare("/export")
	s.samePod(server)

	n.Cordon(s.Name, s.databaseLabels())
	s.Kubectl("delete", "pod", database.Name, "--wait=false")
	s.waitCondition("DatabaseReady", "False", "WaitingForPostgreSQL")

	// A server that starts now waits.
	s.Kubectl("delete", "pod", server.Name, "--wait=false")
	s.waitPod(s.serverLabels(), func(p *corev1.Pod) error {
		if p.UID == server.UID || len(p.Status.InitContainerStatuses) == 0 || p.Status.InitContainerStatuses[0].State.Running == nil {
			return fmt.Errorf("its init container does not run")
		}
		return nil
	})
	e2e.Eventually(t, "words of the init container", func() error {
		log := s.Kubectl("logs", server.Name, "-c", "wait-for-postgres")
		if !strings.Contains(log, "Waiting for PostgreSQL: files-postgres-primary."+s.Name+".svc") {
			return fmt.Errorf("it says %q", log)
		}
		return nil
	})

	// It does not cling to life while it does.
	waiting := s.serverPod()
	deleted := time.Now()
	s.Kubectl("delete", "pod", waiting.Name, "--wait=false")
	s.waitPod(s.serverLabels(), func(p *corev1.Pod) error {
		if p.UID == waiting.UID {
			return fmt.Errorf("it is still the one that was deleted")
		}
		return nil
	})
	grace := time.Duration(*waiting.Spec.TerminationGracePeriodSeconds) * time.Second
	if took := time.Since(deleted); took > grace/2 {
		t.Errorf("a pod that waits for the database took %s to end, of %s that it had", took, grace)
	}

	n.Uncordon(t.Context(), s.Name, s.databaseLabels())
	s.waitPod(s.databaseLabels(), successor(database))
	s.waitPod(s.serverLabels(), successor(server))
	s.waitReady()
	s.waitCondition("DatabaseReady", "True", "PostgreSQLReady")
	s.waitHealth("reachable")
	s.login().wantShare("/export")

	if got := s.Get("statefulset", s.name).GetUID(); got != uid {
		t.Errorf("the StatefulSet was deleted and made again")
	}
}
