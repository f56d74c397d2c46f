package real

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// What the server reads at its start rolls its pod when it changes, without
// anyone touching the XR, and nothing else does.
func TestRotation(t *testing.T) {
	parallel(t)

	s := newServer(t, "files", percona+`
  identity: {jwt: {secretRef: {name: my-jwt, key: key}}}
`)
	s.setSecret("my-jwt", "key", "the first key of at least thirty-two characters")
	s.waitReady()
	s.login().createShare("/export")

	s.nothingRolls()

	s.rolls("a new database password", func() { s.setPassword("anotherPassword1") })

	s.rolls("a new JWT key", func() { s.setSecret("my-jwt", "key", "the second key of at least thirty-two characters") })

	// The operator makes a new one then, and signs its certificates again.
	s.rolls("a new CA", func() {
		s.Kubectl("delete", "secret", "files-postgres-cluster-ca-cert")
		s.Kubectl("annotate", "--overwrite", "postgrescluster", "files-postgres", "test/rotated=2")
	})
}

// A server whose pod could not start again keeps running, whatever is edited, and gets
// the edit once the Secret is back. A pod that is lost meanwhile waits for it.
func TestSecretThatIsGone(t *testing.T) {
	parallel(t)

	s := newServer(t, "files", sqlite+"  identity: {jwt: {secretRef: {name: my-jwt, key: key}}}\n")
	const key = "a key of at least thirty-two characters"
	s.setSecret("my-jwt", "key", key)
	s.waitReady()
	pod := s.serverPod()

	s.Kubectl("delete", "secret", "my-jwt")
	s.waitCondition("Accepted", "True", "AcceptedWithWarnings")
	s.Patch("dittoserver", s.name, `{"spec": {"logging": {"level": "DEBUG"}}}`)
	s.Wait("statefulset", s.name, func(o *e2e.Object) error {
		if u, c := o.String("status", "updateRevision"), o.String("status", "currentRevision"); u == c {
			return fmt.Errorf("the edit has not reached it: revision %s", u)
		}
		return nil
	})
	s.waitCondition("Progressing", "True", "WaitingForSecret")
	s.samePod(pod)
	s.login()

	pod = s.replaces(pod, func() { s.setSecret("my-jwt", "key", key) })
	s.waitCondition("Accepted", "True", "SpecAccepted")
	if got := s.Get("statefulset", s.name).String("status", "currentRevision"); pod.Labels["controller-revision-hash"] != got {
		t.Errorf("pod of revision %s, want %s", pod.Labels["controller-revision-hash"], got)
	}
}

// setPassword gives the server's database user a new password, in Percona's way: without
// its verifier, which the operator then makes, and sets in the database. It does not watch
// that Secret. A change that comes while it reconciles can be lost: it writes the Secret
// as it has read it. Then it is made again.
func (s *server) setPassword(password string) {
	s.t.Helper()

	const secret = "files-postgres-pguser-dittofs"
	e2e.Eventually(s.t, "the operator has taken the new password", func() error {
		got, err := s.secret(secret, "password")
		if err != nil {
			return err
		}
		if got != password {
			s.Patch("secret", secret, `{"data": {"password": "`+base64.StdEncoding.EncodeToString([]byte(password))+`", "verifier": null}}`)
			s.Kubectl("annotate", "--overwrite", "postgrescluster", "files-postgres", "test/rotated="+strconv.FormatInt(time.Now().UnixNano(), 10))
			return errors.New("the old one was there")
		}
		_, err = s.secret(secret, "verifier")
		return err
	})
}

func (s *server) setSecret(name, key, value string) {
	s.t.Helper()

	s.Apply(fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s}\nstringData: {%s: %q}\n", name, key, value))
}

// rolls checks that a change of a Secret rolls the server's pod, and that the
// server works again then.
func (s *server) rolls(what string, change func()) {
	s.t.Helper()

	before := s.serverPod()
	revision := s.Get("statefulset", s.name).String("status", "updateRevision")
	changed := time.Now()
	change()

	s.Wait("statefulset", s.name, func(o *e2e.Object) error {
		if r := o.String("status", "updateRevision"); r == revision {
			return fmt.Errorf("its pod template has not changed")
		}
		return nil
	})
	took := time.Since(changed)
	s.t.Logf("%s rolled the pod after %s", what, took.Round(time.Second/10))
	if most := ttl + 20*time.Second; took > most {
		s.t.Errorf("%s rolled the pod after %s, and should have after %s: the time that an answer holds, and some for a machine that is busy", what, took, most)
	}

	s.waitPod(s.serverLabels(), successor(before))
	s.waitHealth("reachable")
	s.login().wantShare("/export")
	s.usesPostgreSQL("dittofs")
	s.waitReady()
}

// nothingRolls checks that the server's pod stays through a day of reconciles,
// and through changes that do not concern it.
func (s *server) nothingRolls() {
	s.t.Helper()

	before := s.serverPod()
	sts := s.Get("statefulset", s.name)

	const reconciles = 24
	for i := range reconciles {
		s.Kubectl("annotate", "--overwrite", "dittoserver", s.name, fmt.Sprintf("test/reconcile=%d", i))
	}
	for _, p := range []string{
		`{"metadata": {"labels": {"team": "a"}}}`,
		`{"spec": {"service": {"annotations": {"a": "b"}}}}`,
		`{"spec": {"percona": {"resources": {"requests": {"cpu": "10m"}}}}}`,
		`{"spec": {"percona": {"storageSize": "11Gi"}}}`,
	} {
		s.Patch("dittoserver", s.name, p)
	}

	// All that has been applied when the Service and the cluster have it, and
	// the database has restarted for it.
	s.Wait("service", s.name+"-api", func(o *e2e.Object) error {
		if o.GetAnnotations()["a"] != "b" {
			return fmt.Errorf("it has annotations %v", o.GetAnnotations())
		}
		return nil
	})
	s.waitPod(s.databaseLabels(), func(p *corev1.Pod) error {
		for _, c := range p.Spec.Containers {
			if c.Name == "database" && c.Resources.Requests.Cpu().String() == "10m" {
				return podReady(p)
			}
		}
		return fmt.Errorf("it has not the resources that are asked for")
	})
	s.waitReady()

	if got, want := s.Get("statefulset", s.name).GetGeneration(), sts.GetGeneration(); got != want {
		s.t.Errorf("the StatefulSet was changed: generation %d, was %d", got, want)
	}
	s.samePod(before)
}
