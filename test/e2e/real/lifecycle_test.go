package real

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// A server that is stopped keeps everything, and so does one that is deleted:
// one of the same name finds it all again.
func TestStopDeleteAndReturn(t *testing.T) {
	parallel(t)

	s := newServer(t, "files", percona)
	s.waitReady()
	c := s.login()
	c.createShare("/export")
	password, err := s.secret("files-admin-bootstrap-credentials", "password")
	if err != nil {
		t.Fatal(err)
	}

	claims := s.claims()
	cluster := s.Get("perconapgcluster", "files-postgres").GetUID()

	s.Patch("dittoserver", s.name, `{"spec": {"replicas": 0}}`)
	e2e.Eventually(t, "no pod of the server", func() error {
		if p, err := s.pod(s.serverLabels()); err == nil {
			return fmt.Errorf("there is %s: %s", p.Name, brief(p))
		}
		return nil
	})
	s.waitReady()
	if got := s.Get("perconapgcluster", "files-postgres").GetUID(); got != cluster {
		t.Error("the cluster is another one")
	}
	s.sameClaims(claims)

	s.Patch("dittoserver", s.name, `{"spec": {"replicas": 1}}`)
	s.waitPod(s.serverLabels(), podReady)
	s.waitReady()
	s.login().wantShare("/export")

	s.Kubectl("delete", "dittoserver", s.name)
	for kind, name := range map[string]string{"statefulset": "files", "perconapgcluster": "files-postgres", "postgrescluster": "files-postgres"} {
		e2e.Eventually(t, "no "+kind, func() error {
			o, err := s.Find(kind, name)
			if err == nil && o != nil {
				err = fmt.Errorf("%s %s exists", kind, name)
			}
			return err
		})
	}
	e2e.Eventually(t, "no pods", func() error {
		if l := s.List("pod", nil); len(l) > 0 {
			return fmt.Errorf("there are %d", len(l))
		}
		return nil
	})
	s.sameClaims(claims)
	s.Get("secret", "files-postgres-pguser-dittofs")

	s.apply(percona)
	s.waitReady()
	s.waitHealth("reachable")
	s.usesPostgreSQL("dittofs")
	s.sameClaims(claims)
	s.loginAs("admin", password).wantShare("/export")

	// The Secret of the first administrator went with the server, and the one
	// that was made again is not what the database knows: that is said.
	now, err := s.secret("files-admin-bootstrap-credentials", "password")
	if err != nil {
		t.Fatal(err)
	}
	message := s.waitCondition("Accepted", "True", "AcceptedWithWarnings")
	if now == password || !strings.Contains(message, "files-admin-bootstrap-credentials") {
		t.Errorf("Accepted does not tell of the password that does not log in: %s", message)
	}
}

// claims are the PersistentVolumeClaims of the namespace, by name.
func (s *server) claims() map[string]string {
	s.t.Helper()

	l, err := e2e.ControlPlane.Client.CoreV1().PersistentVolumeClaims(s.Name).List(s.t.Context(), metav1.ListOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[string]string{}
	for _, c := range l.Items {
		out[c.Name] = string(c.UID)
	}
	if len(out) < 4 {
		s.t.Fatalf("there are only the claims %v", out)
	}

	return out
}

func (s *server) sameClaims(want map[string]string) {
	s.t.Helper()

	got := s.claims()
	for name, uid := range want {
		if got[name] != uid {
			s.t.Errorf("claim %s is %q, was %q", name, got[name], uid)
		}
	}
}
