package real

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/binaries"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// A server is a DittoServer of a test, and what runs of it.
type server struct {
	// Namespace that it is in. Its Name is the namespace's.
	*e2e.Namespace

	t *testing.T

	// name of the DittoServer.
	name string
}

// percona is the spec of a server on PostgreSQL, of the version that this
// machine has.
const percona = `
  storage: {metadataSize: 1Gi, contentSize: 1Gi}
  percona:
    enabled: true
    postgresVersion: 15
`

const sqlite = `
  storage: {metadataSize: 1Gi, contentSize: 1Gi}
`

// newServer applies a DittoServer in a namespace of its own.
func newServer(t *testing.T, name, spec string) *server {
	t.Helper()

	s := &server{Namespace: e2e.NewNamespace(t), t: t, name: name}
	s.apply(spec)

	return s
}

func (s *server) apply(spec string) {
	s.t.Helper()

	s.Apply("apiVersion: dittofs.dittofs.com/v1alpha1\nkind: DittoServer\nmetadata: {name: " + s.name + "}\nspec:" + spec)
}

func (s *server) serverLabels() labels.Set { return labels.Set{"instance": s.name} }

func (s *server) databaseLabels() labels.Set {
	return labels.Set{"postgres-operator.crunchydata.com/cluster": s.name + "-postgres", "postgres-operator.crunchydata.com/data": "postgres"}
}

// waitReady waits until Crossplane says that everything is ready.
func (s *server) waitReady() {
	s.t.Helper()

	s.waitCondition("Ready", "True", "Available")
}

// waitCondition waits until a condition of the server has a status and a
// reason, and returns its message.
func (s *server) waitCondition(typ, status, reason string) string {
	s.t.Helper()

	return s.WaitCondition("dittoserver", s.name, typ, status, reason)
}

// pod that has the labels, the one there is.
func (s *server) pod(set labels.Set) (*corev1.Pod, error) {
	l, err := e2e.ControlPlane.Client.CoreV1().Pods(s.Name).List(context.Background(), metav1.ListOptions{LabelSelector: set.String()})
	if err != nil {
		return nil, err
	}
	if len(l.Items) != 1 {
		return nil, fmt.Errorf("there are %d pods with labels %s", len(l.Items), set)
	}

	return &l.Items[0], nil
}

// waitPod waits until the pod with the labels is as it should be.
func (s *server) waitPod(set labels.Set, check func(*corev1.Pod) error) *corev1.Pod {
	s.t.Helper()

	var found *corev1.Pod
	e2e.Eventually(s.t, "pod with labels "+set.String(), func() error {
		p, err := s.pod(set)
		if err != nil {
			return err
		}
		found = p
		if err := check(p); err != nil {
			return fmt.Errorf("%w (%s)", err, brief(p))
		}
		return nil
	})

	return found
}

// brief is what is known of a pod's containers.
func brief(p *corev1.Pod) string {
	out := []string{string(p.Status.Phase)}
	for _, c := range append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...) {
		b, err := json.Marshal(c.State)
		if err != nil {
			return err.Error()
		}
		out = append(out, fmt.Sprintf("%s: %s, ready %t, %d restarts", c.Name, b, c.Ready, c.RestartCount))
	}
	return strings.Join(out, "; ")
}

func podReady(p *corev1.Pod) error {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil {
			return nil
		}
	}
	return fmt.Errorf("it is not ready")
}

// serverPod is the server's pod, which there has to be.
func (s *server) serverPod() *corev1.Pod {
	s.t.Helper()

	p, err := s.pod(s.serverLabels())
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// samePod fails the test if the server's pod is another one, or was restarted.
func (s *server) samePod(was *corev1.Pod) {
	s.t.Helper()

	p := s.serverPod()
	if p.UID != was.UID {
		s.t.Errorf("the server has another pod: %s", brief(p))
		return
	}
	if c := p.Status.ContainerStatuses; len(c) != 1 || c[0].RestartCount != was.Status.ContainerStatuses[0].RestartCount {
		s.t.Errorf("the server was restarted: %s", brief(p))
	}
}

// successor is a pod that is ready and not the one before.
func successor(of *corev1.Pod) func(*corev1.Pod) error {
	return func(p *corev1.Pod) error {
		if p.UID == of.UID {
			return fmt.Errorf("it is still pod %s", of.UID)
		}
		return podReady(p)
	}
}

// sql runs a query in a database, as the superuser, in the pod of the database.
func (s *server) sql(database, query string) string {
	s.t.Helper()

	out, err := s.trySQL(database, query)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s *server) trySQL(database, query string) (string, error) {
	p, err := s.pod(s.databaseLabels())
	if err != nil {
		return "", err
	}
	out, err := e2e.ControlPlane.Kubectl(s.t.Context(), "", "-n", s.Name, "exec", p.Name, "-c", "database", "--", "bash", "-c", `psql -XAtq -v ON_ERROR_STOP=1 -d "$0" -c "$1" 2>/tmp/sql.err || { cat /tmp/sql.err >&2; exit 1; }`, database, query)
	return strings.TrimSpace(withoutNoise(out)), err
}

// noise is what the loader and the shell say of a library and of a locale that
// only Percona's images have.
var noise = regexp.MustCompile(`(?m)ERROR: ld\.so: object .* ignored\.\n|^.*cannot change locale.*\n`)

func withoutNoise(out string) string { return noise.ReplaceAllString(out, "") }

// health is what the server says of itself.
func (s *server) health() (string, error) {
	p, err := s.pod(s.serverLabels())
	if err != nil {
		return "", err
	}
	if p.Status.PodIP == "" {
		return "", fmt.Errorf("pod %s has no address", p.Name)
	}

	client := &http.Client{Timeout: 10 * time.Second}
	rsp, err := client.Get("http://" + p.Status.PodIP + ":8080/health")
	if err != nil {
		return "", err
	}
	defer rsp.Body.Close() //nolint:errcheck // It is only read.
	b, err := io.ReadAll(rsp.Body)

	return string(b), err
}

// waitHealth waits until the server says something of its database.
func (s *server) waitHealth(database string) {
	s.t.Helper()

	e2e.Eventually(s.t, "health with the database "+database, func() error {
		h, err := s.health()
		if err != nil {
			return err
		}
		if !strings.Contains(h, `"control_plane_db":"`+database+`"`) {
			return fmt.Errorf("/health says %s", h)
		}
		return nil
	})
}

// A client of a server, as a user has one.
type client struct {
	s    *server
	home string
}

// login logs an administrator in with the password of the composed Secret.
func (s *server) login() *client {
	s.t.Helper()

	password, err := s.secret(s.name+"-admin-bootstrap-credentials", "password")
	if err != nil {
		s.t.Fatal(err)
	}

	return s.loginAs("admin", password)
}

func (s *server) loginAs(user, password string) *client {
	s.t.Helper()

	c := &client{s: s, home: s.t.TempDir()}
	p, err := s.pod(s.serverLabels())
	if err != nil {
		s.t.Fatal(err)
	}
	c.dfsctl("login", "--server", "http://"+p.Status.PodIP+":8080", "-u", user, "-p", password)

	return c
}

func (s *server) secret(name, key string) (string, error) {
	sec, err := e2e.ControlPlane.Client.CoreV1().Secrets(s.Name).Get(s.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	v, ok := sec.Data[key]
	if !ok {
		return "", fmt.Errorf("secret %s has no key %s", name, key)
	}
	return string(v), nil
}

// dfsctl runs the server's client.
func (c *client) dfsctl(args ...string) string {
	c.s.t.Helper()

	out, err := c.try(args...)
	if err != nil {
		c.s.t.Fatal(err)
	}
	return out
}

func (c *client) try(args ...string) (string, error) {
	path, err := binaries.DFSCtl().Path()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(c.s.t.Context(), time.Minute)
	defer cancel()

	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "HOME="+c.home, "XDG_CONFIG_HOME="+c.home)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("dfsctl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// createShare makes a share on a metadata store of the volume.
func (c *client) createShare(name string) {
	c.s.t.Helper()

	c.dfsctl("store", "metadata", "add", "--name", "metadata", "--type", "badger", "--db-path", "/data/store/metadata/badger")
	c.createShareOn(name, "metadata")
}

func (c *client) createShareOn(name, metadata string) {
	c.s.t.Helper()

	c.dfsctl("store", "block", "local", "add", "--name", "content", "--type", "fs", "--path", "/data/store/block/content")
	c.dfsctl("share", "create", "--name", name, "--metadata", metadata, "--local", "content", "--default-permission", "read-write")
}

// wantShare fails the test if there is no such share.
func (c *client) wantShare(name string) {
	c.s.t.Helper()

	if out := c.dfsctl("share", "list"); !strings.Contains(out, name) {
		c.s.t.Fatalf("there is no share %s:\n%s", name, out)
	}
}
