package controlplane

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/binaries"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
)

const (
	// APIServerPort is the port of the API server, on every address of the
	// control plane's own network namespace.
	APIServerPort = "6443"

	apiServerAddress = "127.0.0.1:" + APIServerPort

	// serviceCIDR is the range of the addresses of Services, see loopbackUp.
	serviceCIDR = "10.96.0.0/16"

	// controllers that a cluster's behaviour as seen by a user depends on.
	controllers = "clusterrole-aggregation-controller,deployment-controller,garbage-collector-controller," +
		"job-controller,namespace-controller,persistentvolumeclaim-protection-controller,replicaset-controller," +
		"root-ca-certificate-publisher-controller,serviceaccount-controller,statefulset-controller"

	// auditPolicy records every write, and every request that Crossplane
	// makes: the tests count the former, and compare the latter with the
	// permissions that it is given.
	auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  resources: [{group: coordination.k8s.io}, {group: "", resources: [events]}, {group: events.k8s.io}]
- level: Metadata
  users: ["system:serviceaccount:crossplane-system:crossplane"]
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
`
)

// startKubernetes runs etcd, the API server and the controller manager.
func (cp *ControlPlane) startKubernetes(ctx context.Context) error {
	p, err := newPKI(filepath.Join(cp.run, "pki"))
	if err != nil {
		return err
	}

	kubeconfig, err := p.kubeconfig("https://" + apiServerAddress)
	if err != nil {
		return err
	}
	if err := disk.WriteMode(cp.Kubeconfig(), kubeconfig, 0o600); err != nil {
		return err
	}
	cp.pki = p

	policy := filepath.Join(cp.run, "audit-policy.yaml")
	if err := disk.WriteMode(policy, []byte(auditPolicy), 0o600); err != nil {
		return err
	}

	if err := cp.startBinary("etcd", binaries.Etcd(),
		"--data-dir", filepath.Join(cp.run, "etcd"),
		"--unsafe-no-fsync",
		"--log-level", "warn",
		"--listen-client-urls", "http://127.0.0.1:2379",
		"--advertise-client-urls", "http://127.0.0.1:2379",
		"--listen-peer-urls", "http://127.0.0.1:2380",
	); err != nil {
		return err
	}

	if err := cp.startBinary("kube-apiserver", binaries.KubeAPIServer(),
		"--feature-gates", fmt.Sprintf("WatchList=%t", !cp.opts.NoWatchList),
		"--etcd-servers", "http://127.0.0.1:2379",
		"--bind-address", "0.0.0.0",
		"--advertise-address", "127.0.0.1",
		// The API server's own address is a loopback one, which may not
		// be an endpoint.
		"--endpoint-reconciler-type", "none",
		"--secure-port", APIServerPort,
		"--cert-dir", filepath.Join(cp.run, "apiserver"),
		"--tls-cert-file", p.path("apiserver.crt"),
		"--tls-private-key-file", p.path("apiserver.key"),
		"--client-ca-file", p.path("ca.crt"),
		"--service-account-issuer", "https://kubernetes.default.svc",
		"--service-account-key-file", p.path("service-accounts.crt"),
		"--service-account-signing-key-file", p.path("service-accounts.key"),
		"--service-cluster-ip-range", serviceCIDR,
		"--authorization-mode", "RBAC",
		"--allow-privileged",
		"--audit-policy-file", policy,
		"--audit-log-path", cp.AuditLog(),
		// In megabytes. One file, which tests read from its beginning.
		"--audit-log-maxsize", "10000",
	); err != nil {
		return err
	}

	if err := cp.connect(); err != nil {
		return err
	}

	if err := poll(ctx, 2*time.Minute, "kube-apiserver ready", func(ctx context.Context) error {
		return cp.Client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	}); err != nil {
		return err
	}

	return cp.startBinary("kube-controller-manager", binaries.KubeControllerManager(),
		"--kubeconfig", cp.Kubeconfig(),
		"--leader-elect=false",
		"--bind-address", "127.0.0.1",
		"--cert-dir", filepath.Join(cp.run, "kcm"),
		"--use-service-account-credentials=false",
		"--service-account-private-key-file", p.path("service-accounts.key"),
		"--root-ca-file", p.path("ca.crt"),
		"--kube-api-qps", "200",
		"--kube-api-burst", "400",
		"--controllers", controllers,
	)
}

func (cp *ControlPlane) startBinary(name string, b binaries.Binary, args ...string) error {
	path, err := b.Path()
	if err != nil {
		return err
	}

	cmd := exec.Command(path, args...) //nolint:gosec,noctx // A binary that was built for this, and ends with the namespaces.
	// Percona's CRDs make a heap that takes long to collect.
	cmd.Env = append(os.Environ(), "GOGC=200")

	p, err := cp.start(name, cmd)
	if err != nil {
		return err
	}

	go func() {
		<-p.done
		if !cp.stopping.Load() {
			fmt.Fprintf(os.Stderr, "%s has ended: %v\n", name, p.err)
		}
	}()

	return nil
}
