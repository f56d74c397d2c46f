package node

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/binaries"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/node/patroni"
)

const (
	// PostgresVersion is the major version that Debian has.
	PostgresVersion = "15"

	postgresBin = "/usr/lib/postgresql/" + PostgresVersion + "/bin"

	// user of Percona's images.
	postgresUser = 26

	// user of the server's image. Source: dittofs v0.29.0 Dockerfile.goreleaser.
	dittofsUser = 65532

	moduleOperator = "github.com/percona/percona-postgresql-operator/v2"
)

// Packages of Debian that have the programs.
var Packages = []string{"postgresql-15", "postgresql-15-pgaudit", "pgbackrest", "iproute2", "procps", "curl", "gettext-base"}

// Images of the server and of its database: DittoFS itself, PostgreSQL and
// pgBackRest of Debian in Percona's place, and the scripts that Percona's
// operator brings into its pods. A file called patroni has to be this very
// program, with patroni.Main in its main function. The programs of the database
// trust the certificate authorities in the file roots.
func Images(roots string) ([]Image, error) {
	for _, p := range []string{postgresBin + "/postgres", "/usr/lib/postgresql/" + PostgresVersion + "/lib/pgaudit.so", "/usr/bin/pgbackrest", "/usr/bin/curl", "/usr/bin/pkill", "/usr/bin/envsubst"} {
		if _, err := os.Stat(p); err != nil {
			return nil, fmt.Errorf("%s is missing, install Debian's packages: apt-get install --no-install-recommends %s", p, strings.Join(Packages, " "))
		}
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return nil, err
	}

	dfs, err := binaries.DittoFS.Path()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	backups, err := binaries.PerconaBackRest.Path()
	if err != nil {
		return nil, err
	}
	src, err := binaries.PerconaOperator.ModuleDir(moduleOperator)
	if err != nil {
		return nil, err
	}
	scripts, err := operatorScripts(filepath.Join(src, "build", "postgres-operator"))
	if err != nil {
		return nil, err
	}

	percona := Image{
		UID: postgresUser, GID: postgresUser, User: "postgres",
		Env:  []string{"PATH=/usr/local/bin:" + postgresBin + ":/usr/bin:/bin", "HOME=/home/postgres", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"},
		Dirs: []string{"/pgdata", "/var/log/pgbackrest", "/var/lib/pgbackrest", "/var/spool/pgbackrest", "/home/postgres"},
		Files: map[string]string{
			"/usr/local/bin/patroni":             self,
			"/usr/local/bin/patronictl":          self,
			"/etc/ssl/certs/ca-certificates.crt": roots,
		},
	}
	postgres, pgbackrest, operator := percona, percona, percona
	postgres.Prefix = "docker.io/percona/percona-distribution-postgresql:" + PostgresVersion + "."
	pgbackrest.Prefix = "docker.io/percona/percona-pgbackrest:"
	operator.Prefix, operator.Scripts = "docker.io/percona/percona-postgresql-operator:", scripts
	operator.Files = map[string]string{"/usr/local/bin/pgbackrest": backups}

	return []Image{
		{
			Prefix: "marmos91c/dittofs:v0.29.0",
			UID:    dittofsUser, GID: dittofsUser, User: "nonroot",
			Env:        []string{"PATH=" + postgresBin + ":/usr/bin:/bin", "HOME=/app"},
			Entrypoint: []string{"/app/dfs"},
			Files:      map[string]string{"/app/dfs": dfs},
			Dirs:       []string{"/data", "/data/metadata", "/data/content", "/data/cache", "/config"},
		},
		postgres, pgbackrest, operator,
	}, nil
}

// operatorScripts are the scripts that the operator's image has in
// /usr/local/bin.
func operatorScripts(dir string) (map[string]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.sh"))
	if err != nil {
		return nil, err
	}

	out := map[string]string{}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		out["/usr/local/bin/"+filepath.Base(f)] = string(data)
	}

	return out, nil
}

const (
	labelCluster  = "postgres-operator.crunchydata.com/cluster"
	labelInstance = "postgres-operator.crunchydata.com/instance"
	labelPatroni  = "postgres-operator.crunchydata.com/patroni"
	labelRole     = "postgres-operator.crunchydata.com/role"
)

// Elect does what Patroni does at the API server for a pod of a database that
// is ready: it says who the primary is, on the pod and in the Endpoints that the
// operator looks at.
func Elect(client kubernetes.Interface) func(ctx context.Context, pod *corev1.Pod, ip string, ready bool) error {
	return func(ctx context.Context, pod *corev1.Pod, ip string, ready bool) error {
		if pod.Labels[labelInstance] == "" || pod.Labels[labelPatroni] == "" || !ready {
			return nil
		}

		s, err := askPatroni(ctx, ip)
		if err != nil {
			return err
		}

		status, err := json.Marshal(map[string]string{"state": s.State, "role": s.Role, "version": patroni.Version})
		if err != nil {
			return err
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
			"labels": map[string]string{labelRole: s.Role}, "annotations": map[string]string{"status": string(status)},
		}})
		if err != nil {
			return err
		}
		if _, err := client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return err
		}

		scope := pod.Labels[labelPatroni]
		labels := map[string]string{labelCluster: pod.Labels[labelCluster], labelPatroni: scope}

		return errors.Join(
			endpoints(ctx, client, pod.Namespace, scope+"-config", labels, func(e *corev1.Endpoints) { //nolint:staticcheck // As Patroni.
				e.Annotations = map[string]string{"initialize": s.SystemIdentifier}
			}),
			endpoints(ctx, client, pod.Namespace, scope, labels, func(e *corev1.Endpoints) { //nolint:staticcheck // As Patroni.
				e.Annotations = map[string]string{"leader": pod.Name}
				e.Subsets = []corev1.EndpointSubset{{ //nolint:staticcheck // As Patroni.
					Addresses: []corev1.EndpointAddress{{IP: ip, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID}}}, //nolint:staticcheck // As Patroni.
					Ports:     []corev1.EndpointPort{{Name: "postgres", Port: 5432}},                                                                                       //nolint:staticcheck // As Patroni.
				}}
			}),
		)
	}
}

//nolint:staticcheck // As Patroni.
func endpoints(ctx context.Context, client kubernetes.Interface, namespace, name string, labels map[string]string, set func(*corev1.Endpoints)) error {
	e := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: labels}}
	set(e)

	_, err := client.CoreV1().Endpoints(namespace).Create(ctx, e, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	_, err = client.CoreV1().Endpoints(namespace).Update(ctx, e, metav1.UpdateOptions{})

	return err
}

func askPatroni(ctx context.Context, ip string) (*patroni.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()

	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+ip+":8008/patroni", nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // Who it is does not matter here.
	}}
	rsp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer rsp.Body.Close() //nolint:errcheck // It is only read.

	s := &patroni.Status{}
	return s, json.NewDecoder(rsp.Body).Decode(s)
}
