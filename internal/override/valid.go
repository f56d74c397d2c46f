package override

import (
	"cmp"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dittofs/function-dittoserver/internal/names"
)

// invalid returns what a typo in a patch makes of an object, which the API server would
// refuse; empty if there is nothing of that kind. Whatever else is wrong is told by the
// API server.
func invalid(o any) string {
	switch o := o.(type) {
	case *appsv1.StatefulSet:
		return invalidPod(o.Spec)
	case *corev1.Service:
		for _, p := range o.Spec.Ports {
			if p.Name == "" && len(o.Spec.Ports) > 1 {
				return fmt.Sprintf("adds port %d without a name, which every port of a Service with several has", p.Port)
			}
		}
		return twice(o.Spec.Ports, func(p corev1.ServicePort) string { return p.Name }, "ports named")
	}
	return ""
}

func invalidPod(spec appsv1.StatefulSetSpec) string {
	pod := spec.Template.Spec
	named := func(c corev1.Container) string { return c.Name }
	imageless := func(c corev1.Container) bool { return c.Image == "" }
	if i := slices.IndexFunc(pod.Containers, imageless); i >= 0 {
		return fmt.Sprintf("adds a container %q without an image; the server's container is %q", pod.Containers[i].Name, names.ContainerName)
	}
	if i := slices.IndexFunc(pod.InitContainers, imageless); i >= 0 {
		return fmt.Sprintf("adds an init container %q without an image", pod.InitContainers[i].Name)
	}
	all := slices.Concat(pod.InitContainers, pod.Containers)
	// Kubernetes puts the claims of a StatefulSet in the place of volumes of their names.
	volumes := make([]string, 0, len(pod.Volumes)+len(spec.VolumeClaimTemplates))
	for _, v := range pod.Volumes {
		volumes = append(volumes, v.Name)
	}
	for _, c := range spec.VolumeClaimTemplates {
		volumes = append(volumes, c.Name)
	}
	found := []string{
		twice(all, named, "containers named"),
		twice(volumes, func(v string) string { return v }, "volumes or claims named"),
	}
	for _, c := range all {
		of := fmt.Sprintf("of container %q ", c.Name)
		found = append(
			found,
			twice(c.Env, func(e corev1.EnvVar) string { return e.Name }, "variables "+of+"named"),
			twice(c.Ports, func(p corev1.ContainerPort) string { return p.Name }, "ports "+of+"named"),
			twice(c.Ports, func(p corev1.ContainerPort) string {
				return fmt.Sprintf("%d/%s", p.ContainerPort, cmp.Or(p.Protocol, corev1.ProtocolTCP))
			}, "ports "+of+"with the number"),
			twice(c.VolumeMounts, func(m corev1.VolumeMount) string { return m.MountPath }, "mounts "+of+"at"),
		)
	}
	return cmp.Or(found...)
}

// twice tells of two entries of a list with the same name, empty if there are none. An
// entry need not have a name.
func twice[T any](list []T, name func(T) string, what string) string {
	seen := map[string]bool{}
	for _, e := range list {
		n := name(e)
		if seen[n] && n != "" {
			return fmt.Sprintf("makes two %s %q", what, n)
		}
		seen[n] = true
	}
	return ""
}

// peers returns what is wrong with the peers of a NetworkPolicy that a patch has, of which
// it replaces the rules as a whole.
func (c Checks) peers(p *networkingv1.NetworkPolicy, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	check := func(at *field.Path, peers []networkingv1.NetworkPolicyPeer) {
		for i, p := range peers {
			errs = append(errs, c.Peer(at.Index(i), p)...)
		}
	}
	for i, r := range p.Spec.Ingress {
		check(at.Child("spec", "ingress").Index(i).Child("from"), r.From)
	}
	for i, r := range p.Spec.Egress {
		check(at.Child("spec", "egress").Index(i).Child("to"), r.To)
	}
	return errs
}
