package controlplane

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SystemNamespace is where Crossplane is installed.
const SystemNamespace = "crossplane-system"

// chartValues returns what differs from the chart's defaults: what follows
// from all pods sharing one network, and from there being one replica of each.
func chartValues() map[string]any {
	return map[string]any{
		"leaderElection":     false,
		"deploymentStrategy": "Recreate",
		"args":               []any{"--debug"},
		"webhooks":           map[string]any{"port": webhookPort},
		"readiness":          map[string]any{"port": "8091"},
		"extraEnvVarsCrossplane": map[string]any{
			"METRICS_PORT": "8090",
		},
		"rbacManager": map[string]any{"leaderElection": false, "args": []any{"--debug"}},
	}
}

// webhookPort instead of the 9443 that the chart fixes and functions use too.
const webhookPort = "9543"

func (cp *ControlPlane) crossplaneSource() (string, error) {
	return cp.opts.Crossplane.ModuleDir("github.com/crossplane/crossplane/v2")
}

// installCrossplane as its Helm chart does, so with the permissions that it has
// in any cluster.
func (cp *ControlPlane) installCrossplane(ctx context.Context) error {
	src, err := cp.crossplaneSource()
	if err != nil {
		return err
	}

	chart, err := loader.Load(filepath.Join(src, "cluster", "charts", "crossplane"))
	if err != nil {
		return err
	}
	chart.Metadata.AppVersion = strings.TrimPrefix(cp.opts.Crossplane.Version, "v")

	values, err := chartutil.ToRenderValues(chart, chartValues(), chartutil.ReleaseOptions{Name: "crossplane", Namespace: SystemNamespace, IsInstall: true}, chartutil.DefaultCapabilities)
	if err != nil {
		return err
	}

	files, err := engine.Render(chart, values)
	if err != nil {
		return err
	}

	manifests := &strings.Builder{}
	fmt.Fprintf(manifests, "apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n", SystemNamespace)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if filepath.Ext(name) == ".yaml" {
			fmt.Fprintf(manifests, "---\n%s\n", files[name])
		}
	}

	if err := cp.apply(ctx, strings.ReplaceAll(manifests.String(), "9443", webhookPort)); err != nil {
		return err
	}

	return cp.deploymentsAvailable(ctx, SystemNamespace, 2*time.Minute, "crossplane", "crossplane-rbac-manager")
}

// RestartCrossplane ends Crossplane's pod and waits for its successor.
func (cp *ControlPlane) RestartCrossplane(ctx context.Context) error {
	if _, err := cp.Kubectl(ctx, "", "-n", SystemNamespace, "delete", "pod", "-l", "app=crossplane", "--wait"); err != nil {
		return err
	}

	return cp.deploymentsAvailable(ctx, SystemNamespace, 2*time.Minute, "crossplane")
}

func (cp *ControlPlane) deploymentsAvailable(ctx context.Context, namespace string, timeout time.Duration, names ...string) error {
	for _, n := range names {
		if err := poll(ctx, timeout, "deployment "+n+" available", func(ctx context.Context) error {
			d, err := cp.Client.AppsV1().Deployments(namespace).Get(ctx, n, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if d.Status.ObservedGeneration < d.Generation || d.Status.AvailableReplicas < 1 || d.Status.UnavailableReplicas > 0 {
				return fmt.Errorf("%d of %d replicas are available", d.Status.AvailableReplicas, *d.Spec.Replicas)
			}
			return nil
		}); err != nil {
			return err
		}
	}

	return nil
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
