package server

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/dittofs/function-dittoserver/internal/names"
)

// podSecrets warns of Secrets that the pod's own fields name and that are not there.
// A server that runs keeps its pod until those of its variables are: see frozen.
func (h *holder) podSecrets() {
	h.s.Pod.Env = slices.DeleteFunc(slices.Clone(h.s.Pod.Env), h.setByHand)
	for _, e := range h.s.Pod.Env {
		if p := h.envProblem(e); !p.none() {
			h.warn(pathEnv, "%s: %s, and %s", e.Name, p.what, p.so)
		}
	}
	for _, r := range h.s.Pod.ImagePullSecrets {
		if s := h.w.Secret(r.Name); s.Known && !s.Exists() {
			h.warn(pathPullSecrets, "Secret %s does not exist in namespace %s, and an image that needs it cannot be pulled; create it", r.Name, h.s.Namespace)
		}
	}
}

// setByHand reports whether a person has set a variable on the StatefulSet itself, as a
// reference where the spec has a value or the other way round: merged they are both, and
// the API server would refuse the whole StatefulSet.
func (h *holder) setByHand(e corev1.EnvVar) bool {
	theirs := "valueFrom"
	if e.ValueFrom != nil {
		theirs = "value"
	}
	if !h.formOfOthers(e.Name, theirs) {
		return false
	}
	h.hold(pathEnv, "%s was set by hand on StatefulSet %[2]s, and stays as it is there. Remove it: kubectl -n %[3]s set env statefulset/%[2]s %[1]s-", e.Name, h.s.Name, h.s.Namespace)
	return true
}

// envProblem returns why a pod could not start with a variable.
func (h *holder) envProblem(e corev1.EnvVar) problem {
	ref, optional, ok := SecretOf(e)
	if !ok || optional {
		return problem{}
	}
	return h.problem(ref, false, "")
}

// lacksEnv reports whether a pod could not start for want of a variable's Secret.
func (h *holder) lacksEnv() bool {
	for _, e := range h.s.Pod.Env {
		if !h.envProblem(e).none() {
			return true
		}
	}
	return false
}

// loadBalancers keeps the class of a Service that is a load balancer, which cannot be
// changed as long as it is one: the API server would refuse the whole Service.
// Source: k8s.io/kubernetes v1.34.2 pkg/apis/core/validation/validation.go,
// validateLoadBalancerClassField.
func (h *holder) loadBalancers() {
	classes := map[names.Resource]string{
		names.NFS: h.loadBalancer(pathNFS, names.NFS, &h.s.NFS),
		names.SMB: h.loadBalancer(pathSMB, names.SMB, &h.s.SMB),
	}
	maps.DeleteFunc(classes, func(_ names.Resource, class string) bool { return class == "" })
	h.loadBalancerClasses = classes
}

// loadBalancer returns the class to remember: one that was asked for, and can be.
func (h *holder) loadBalancer(path string, res names.Resource, a *Adapter) string {
	svc := h.w.Object(res).Object
	asked, live, had := a.Service.LoadBalancerClass, svc.String("spec", "loadBalancerClass"), h.w.Record.LoadBalancerClasses[res]
	isOne := a.Service.Type == corev1.ServiceTypeLoadBalancer && svc.String("spec", "type") == string(corev1.ServiceTypeLoadBalancer)
	// Where nobody asked for a class, something in the cluster may have set one.
	if !isOne || asked == live || asked == "" && live != had {
		return asked
	}
	h.hold(path+".service.loadBalancerClass", "%s is held at %s: the class of a load balancer cannot be changed. Set the field back, or delete the Service, which is made again with another address: kubectl -n %s delete service %s",
		cmp.Or(asked, "its removal"), cmp.Or(live, "no class"), h.s.Namespace, svc.Name())
	a.Service.LoadBalancerClass = live
	if live != had {
		return ""
	}
	return had
}
