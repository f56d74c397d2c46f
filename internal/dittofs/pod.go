package dittofs

import (
	"iter"
	"maps"

	corev1 "k8s.io/api/core/v1"

	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// asAsked makes of a pod template what a person asks for beyond what the server needs.
func asAsked(t *corev1.PodTemplateSpec, p server.Pod, live observed.Object) {
	maps.Copy(t.Labels, p.Labels)
	maps.Copy(t.Annotations, p.Annotations)
	t.Spec.Affinity = p.Affinity
	t.Spec.NodeSelector = p.NodeSelector
	t.Spec.Tolerations = p.Tolerations
	t.Spec.TopologySpreadConstraints = p.TopologySpread
	t.Spec.PriorityClassName = p.PriorityClass
	t.Spec.ImagePullSecrets = p.ImagePullSecrets
	t.Spec.ServiceAccountName = serviceAccount(p, live)
}

// defaultServiceAccount is that of a pod that names none.
const defaultServiceAccount = "default"

// serviceAccount returns the pod's ServiceAccount, empty for none. To take one back it
// does not do to leave it out: Kubernetes keeps it in the deprecated field
// serviceAccount as well, which nobody owns, and puts it back from there
// (https://github.com/kubernetes/kubernetes/issues/72519). One that somebody else has
// set stays.
// Source: k8s.io/kubernetes v1.34.2 pkg/apis/core/v1/conversion.go,
// Convert_v1_PodSpec_To_core_PodSpec.
func serviceAccount(p server.Pod, live observed.Object) string {
	path := []string{"spec", "template", "spec", "serviceAccountName"}
	had := live.String(path...)
	if p.ServiceAccount != "" || had == "" || had == defaultServiceAccount || live.OwnedByOthers("spec", "template", "spec", "serviceAccountName") {
		return p.ServiceAccount
	}
	return defaultServiceAccount
}

// adapters returns the adapters that are published, by their names and in an order
// that does not change.
func adapters(s *server.Server) iter.Seq2[string, server.Adapter] {
	return func(yield func(string, server.Adapter) bool) {
		if s.NFS.Published && !yield("nfs", s.NFS) {
			return
		}
		if s.SMB.Published {
			yield("smb", s.SMB)
		}
	}
}
