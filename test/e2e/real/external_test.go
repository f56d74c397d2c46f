package real

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// A server on a database that somebody else runs. The Secret that names it is
// wrong at first: the server says so, and its pod, though it never was ready, is
// replaced when the Secret is right.
func TestExternalDatabase(t *testing.T) {
	parallel(t)

	// Somebody else's is the second database of another server.
	files := newServer(t, "files", percona+"    metadataDatabaseName: somebodys\n")
	files.waitReady()
	password, err := files.secret("files-postgres-pguser-dittofs", "password")
	if err != nil {
		t.Fatal(err)
	}
	ca, err := files.secret("files-postgres-cluster-cert", "ca.crt")
	if err != nil {
		t.Fatal(err)
	}
	files.Apply(fmt.Sprintf(`apiVersion: v1
kind: Secret
metadata: {name: somebodys}
stringData: {host: files-postgres-primary.%s.svc, port: "5433", database: somebodys, user: dittofs, password: %q, sslmode: verify-full}
data: {ca.crt: %s}
`, files.Name, password, base64.StdEncoding.EncodeToString([]byte(ca))))

	s := &server{Namespace: files.Namespace, t: t, name: "other"}
	s.apply(`
  storage: {metadataSize: 1Gi, contentSize: 1Gi}
  database: {type: postgres, postgresSecretRef: {name: somebodys}}
`)
	before := s.waitPod(s.serverLabels(), func(p *corev1.Pod) error {
		if l := p.Status.ContainerStatuses; len(l) != 1 || l[0].RestartCount == 0 {
			return errors.New("it has not failed yet")
		}
		return nil
	})
	s.saysWhy("connection refused")

	s.Patch("secret", "somebodys", `{"stringData": {"port": "5432"}}`)
	s.waitPod(s.serverLabels(), successor(before))
	s.waitReady()
	s.waitHealth("reachable")
	s.login().createShare("/export")
	conns := files.sql("somebodys", `SELECT DISTINCT ssl, client_addr FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'dittofs' AND datname = 'somebodys'`)
	if want := "t|" + s.serverPod().Status.PodIP; strings.TrimSpace(conns) != want {
		t.Errorf("connections are %q, want %q", conns, want)
	}
	if tables := files.sql("somebodys", `SELECT count(*) FROM pg_tables WHERE tableowner = 'dittofs' AND tablename IN ('users', 'shares', 'adapters')`); tables != "3" {
		t.Errorf("%s of the server's tables are there", tables)
	}
}
