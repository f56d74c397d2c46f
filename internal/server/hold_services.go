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
	var kept []string
	for _, a := range []struct {
		path    string
		res     names.Resource
		adapter *Adapter
	}{{pathNFS, names.NFS, &h.s.NFS}, {pathSMB, names.SMB, &h.s.SMB}} {
		if !a.adapter.Published || h.spec.States(path) || h.spec.States(a.path+".service.type") {
			continue
		}
		svc := h.w.Object(a.res).Object
		if svc.Label(labelAdapterService) == "true" && svc.String("spec", "type") == string(corev1.ServiceTypeLoadBalancer) && svc.OwnedByOthers("spec", "type") {
			a.adapter.Service.Type = corev1.ServiceTypeLoadBalancer
			kept = append(kept, "Service "+svc.Name())
		}
	}
	if len(kept) == 0 {
		return
	}
	h.warn(path, "is not set, and what the DittoFS operator made a LoadBalancer stays one and keeps its address: %s. Set this field to LoadBalancer, or to ClusterIP to give the addresses up", strings.Join(kept, ", "))
}
