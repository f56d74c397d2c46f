package override

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	pgv2 "github.com/percona/percona-postgresql-operator/v2/pkg/apis/pgv2.percona.com/v2"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	psapi "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// restricted judges pods by Pod Security "restricted". It is made when there is an
// override, which most platforms do without.
var restricted = sync.OnceValue(func() policy.Evaluator { //nolint:gochecknoglobals // A constant.
	e, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		panic(err) // The checks are the library's own.
	}
	return e
})

// weakened returns what Pod Security "restricted" has against the pods of an object and
// had not before a patch. What a server's own spec weakens is not the patch's.
func (r rule) weakened(was, is any) []string {
	if r.pods == nil {
		return nil
	}
	had := insecure(r.pods(was))
	return slices.DeleteFunc(insecure(r.pods(is)), func(s string) bool { return slices.Contains(had, s) })
}

// insecure judges container by container, so that each is told by itself.
func insecure(pods []corev1.PodTemplateSpec) []string {
	var out []string
	judge := func(p corev1.PodTemplateSpec) {
		level := psapi.LevelVersion{Level: psapi.LevelRestricted, Version: psapi.LatestVersion()}
		for _, r := range restricted().EvaluatePod(level, &p.ObjectMeta, &p.Spec) {
			told := strings.TrimSuffix(fmt.Sprintf("%s (%s)", r.ForbiddenReason, r.ForbiddenDetail), " ()")
			if !r.Allowed && !slices.Contains(out, told) {
				out = append(out, told)
			}
		}
	}
	for _, p := range pods {
		one := *p.DeepCopy()
		one.Spec.InitContainers, one.Spec.Containers = nil, nil
		judge(one)
		for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
			one.Spec.Containers = []corev1.Container{c}
			judge(one)
		}
	}
	return out
}

// serverPods returns the pod of a StatefulSet.
func serverPods(o any) []corev1.PodTemplateSpec {
	return []corev1.PodTemplateSpec{o.(*appsv1.StatefulSet).Spec.Template} //nolint:forcetypeassert // The rule's own kind.
}

// databasePods returns what the platform may say of the pods of a PerconaPGCluster. The
// operator secures its own containers, but neither sidecars nor that of PMM.
// Source: percona-postgresql-operator v2.9.0 internal/pgbouncer/reconcile.go and
// percona/pmm/pmm.go.
func databasePods(o any) []corev1.PodTemplateSpec {
	spec := o.(*pgv2.PerconaPGCluster).Spec //nolint:forcetypeassert // The rule's own kind.
	var out []corev1.PodTemplateSpec
	if spec.Proxy != nil && spec.Proxy.PGBouncer != nil {
		b := spec.Proxy.PGBouncer
		out = append(out, corev1.PodTemplateSpec{Spec: corev1.PodSpec{SecurityContext: b.SecurityContext, Containers: b.Sidecars, Volumes: b.SidecarVolumes}})
	}
	if spec.PMM != nil && spec.PMM.Enabled {
		c := corev1.Container{Name: "pmm-client", SecurityContext: spec.PMM.ContainerSecurityContext}
		out = append(out, corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{c}}})
	}
	return out
}
