package server_test

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestLoadBalancersOfTheOperator guards the addresses that clients know.
func TestLoadBalancersOfTheOperator(t *testing.T) {
	service := func(labels, manager, typ string) map[string]string {
		return map[string]string{"nfs": `{metadata: {name: files-adapter-nfs, namespace: default, labels: {` + labels + `},
managedFields: [{manager: "` + manager + `", operation: Update, fieldsType: FieldsV1, fieldsV1: {"f:spec": {"f:type": {}}}}]}, spec: {type: ` + typ + `}}`}
	}
	const made = `dittofs.io/adapter-service: "true"`
	cases := map[string]struct {
		reason string
		call   call
		want   corev1.ServiceType
		warned bool
	}{
		"NoService":     {"a new server has the default", call{spec: `{}`}, corev1.ServiceTypeClusterIP, false},
		"Operator":      {"what the operator made a load balancer stays one", call{spec: `{}`, composed: service(made, "manager", "LoadBalancer")}, corev1.ServiceTypeLoadBalancer, true},
		"Annotations":   {"other fields of the Services say nothing of the type", call{spec: `{adapterServices: {annotations: {a: b}}}`, composed: service(made, "manager", "LoadBalancer")}, corev1.ServiceTypeLoadBalancer, true},
		"Stated":        {"what is stated is what is asked for", call{spec: `{adapterServices: {type: ClusterIP}}`, composed: service(made, "manager", "LoadBalancer")}, corev1.ServiceTypeClusterIP, false},
		"StatedOfIt":    {"of that adapter alone too", call{spec: `{adapters: {nfs: {service: {type: ClusterIP}}}}`, composed: service(made, "manager", "LoadBalancer")}, corev1.ServiceTypeClusterIP, false},
		"StatedOfOther": {"what is stated of the other adapter says nothing of this one", call{spec: `{adapters: {smb: {service: {type: NodePort}}}}`, composed: service(made, "manager", "LoadBalancer")}, corev1.ServiceTypeLoadBalancer, true},
		"StatedInInput": {"by the platform too", call{spec: `{}`, defaults: `{adapterServices: {type: NodePort}}`, composed: service(made, "manager", "LoadBalancer")}, corev1.ServiceTypeNodePort, false},
		"StatedAsItIs":  {"nothing is left to tell", call{spec: `{adapterServices: {type: LoadBalancer}}`, composed: service(made, "manager", "LoadBalancer")}, corev1.ServiceTypeLoadBalancer, false},
		"ClusterIP":     {"there is no address to keep", call{spec: `{}`, composed: service(made, "manager", "ClusterIP")}, corev1.ServiceTypeClusterIP, false},
		"Ours":          {"a type that the spec asked for once is given up with the field", call{spec: `{}`, composed: service(made, "apiextensions.crossplane.io/composed/x", "LoadBalancer")}, corev1.ServiceTypeClusterIP, false},
		"NotOperator":   {"a person's edit of a Service of ours is set back, as ever", call{spec: `{}`, composed: service("", "kubectl-edit", "LoadBalancer")}, corev1.ServiceTypeClusterIP, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			res := tc.call.resolve(t)
			if got := res.Server.NFS.Service.Type; got != tc.want {
				t.Errorf("%s: want %s, got %s", tc.reason, tc.want, got)
			}
			warned := slices.ContainsFunc(res.Warnings, func(w string) bool {
				return strings.HasPrefix(w, "spec.adapterServices.type: ") && strings.Contains(w, "files-adapter-nfs")
			})
			if warned != tc.warned {
				t.Errorf("%s: want a warning: %t, got %v", tc.reason, tc.warned, res.Warnings)
			}
		})
	}
}
