package controlplane

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/binaries"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
)

// PerconaNamespace is where the release's manifests install the operator.
const PerconaNamespace = "pg-operator"

// InstallPercona installs Percona's operator for all namespaces, from the
// manifests of its release.
func (cp *ControlPlane) InstallPercona(ctx context.Context) error {
	src, err := binaries.PerconaSource()
	if err != nil {
		return err
	}

	crds := filepath.Join(src, "deploy", "crd.yaml")
	if _, err := cp.Kubectl(ctx, "", "apply", "--server-side", "-f", crds); err != nil {
		return err
	}

	// The operator ends if they are not served yet.
	if _, err := cp.Kubectl(ctx, "", "wait", "--for=condition=Established", "--timeout=1m", "crd", "--all"); err != nil {
		return err
	}

	manifests := &strings.Builder{}
	manifests.WriteString("apiVersion: v1\nkind: Namespace\nmetadata: {name: " + PerconaNamespace + "}\n")
	for _, f := range []string{"cw-rbac.yaml", "cw-operator.yaml"} {
		data, err := disk.Read(filepath.Join(src, "deploy", f))
		if err != nil {
			return err
		}
		manifests.WriteString("---\n")
		manifests.Write(data)
	}

	m := strings.NewReplacer(
		// There is nobody to report to, and one replica.
		"name: DISABLE_TELEMETRY\n          value: \"false\"", "name: DISABLE_TELEMETRY\n          value: \"true\"",
		"name: PGO_CONTROLLER_LEADER_ELECTION_ENABLED\n          value: \"true\"", "name: PGO_CONTROLLER_LEADER_ELECTION_ENABLED\n          value: \"false\"",
		// Tests have many clusters at a time, and ours never answer to what
		// the operator runs in their pods.
		"name: PGO_WORKERS\n          value: \"1\"", "name: PGO_WORKERS\n          value: \"4\"",
	).Replace(manifests.String())

	if _, err := cp.Kubectl(ctx, m, "apply", "--server-side", "-n", PerconaNamespace, "-f", "-"); err != nil {
		return err
	}

	return cp.deploymentsAvailable(ctx, PerconaNamespace, 2*time.Minute, "percona-postgresql-operator")
}
