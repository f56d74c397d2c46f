package server_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
)

// TestPodManagement guards that a broken pod is replaced when what ailed it is
// corrected, and that a live StatefulSet, whose policy cannot be changed, is not
// refused because of that.
func TestPodManagement(t *testing.T) {
	live := func(policy string) map[string]string {
		return map[string]string{"server": strings.Replace(liveServer(wiredToPercona, metadataClaim+","+controlClaim), `spec: {replicas`, `spec: {`+policy+`replicas`, 1)}
	}
	cases := map[string]struct {
		reason string
		call   call
		want   appsv1.PodManagementPolicyType
	}{
		"New":      {"a pod that never was ready is replaced", call{spec: `{}`}, appsv1.ParallelPodManagement},
		"Live":     {"what is live stays as it is", call{spec: `{percona: {enabled: true}}`, composed: live(`podManagementPolicy: OrderedReady, `)}, appsv1.OrderedReadyPodManagement},
		"Ours":     {"whatever it is", call{spec: `{percona: {enabled: true}}`, composed: live(`podManagementPolicy: Parallel, `)}, appsv1.ParallelPodManagement},
		"NotShown": {"Kubernetes' default is meant where nothing is said", call{spec: `{percona: {enabled: true}}`, composed: live("")}, appsv1.OrderedReadyPodManagement},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := tc.call.resolve(t).Server.PodManagement; got != tc.want {
				t.Errorf("%s: want %s, got %s", tc.reason, tc.want, got)
			}
		})
	}
}
