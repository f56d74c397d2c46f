package server

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/dittofs/function-dittoserver/internal/names"
)

// labelAdapterService is on the Services that the DittoFS operator makes for
// clients. Source: dittofs v0.29.0
// k8s/dittofs-operator/internal/controller/service_reconciler.go.
const labelAdapterService = "dittofs.io/adapter-service"

// services keeps the load balancers that the DittoFS operator made because nothing
// else was asked for: clients know their addresses, which another type would give
// back to the cloud. What the spec states is what is asked for.
func (h *holder) services() {
	const path = "adapterServices.type"
	if h.spec.States(path) {
		return
	}
	var kept []string
	for _, r := range []names.Resource{names.NFS, names.SMB} {
		svc := h.w.Object(r).Object
		if svc.Label(labelAdapterService) == "true" && svc.String("spec", "type") == string(corev1.ServiceTypeLoadBalancer) && svc.OwnedByOthers("spec", "type") {
			kept = append(kept, "Service "+svc.Name())
		}
	}
	if len(kept) == 0 {
		return
	}
	h.s.AdapterService.Type = corev1.ServiceTypeLoadBalancer
	h.warn(path, "is not set, and what the DittoFS operator made a LoadBalancer stays one and keeps its address: %s. Set this field to LoadBalancer, or to ClusterIP to give the addresses up", strings.Join(kept, ", "))
}
