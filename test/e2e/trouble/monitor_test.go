package trouble

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// monitorCRD serves the kind that the Prometheus operator brings, without its schema.
const monitorCRD = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: servicemonitors.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  names: {kind: ServiceMonitor, listKind: ServiceMonitorList, plural: servicemonitors, singular: servicemonitor}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, required: [spec], properties: {spec: {type: object, x-kubernetes-preserve-unknown-fields: true}}}}
`

// A server that asks for a ServiceMonitor runs on a cluster that knows no such kind, and
// says that there is none. It gets one when the kind comes to be served, and loses it when
// it does not want it any more. It needs nothing of a server without one.
func TestServiceMonitor(t *testing.T) {
	ns := e2e.NewNamespace(t)
	ns.Apply(`
apiVersion: v1
kind: Secret
metadata: {name: scrape}
stringData: {token: not-a-real-token}
`)
	ns.Running("files", `{storage: {metadataSize: 1Gi}, metrics: {enabled: true, bearerTokenSecret: {name: scrape, key: token}, serviceMonitor: {enabled: true, interval: 30s, labels: {release: prometheus}}}}`)
	ns.WaitMessage("dittoserver", "files", "Accepted", "True", "does not serve the kind ServiceMonitor")
	ns.WaitCondition("dittoserver", "files", "Synced", "True", "ReconcileSuccess")
	ns.Settle("files")
	before := ns.Snapshot("files")

	ns.Apply(monitorCRD)
	ns.Kubectl("wait", "--for=condition=Established", "crd/servicemonitors.monitoring.coreos.com")
	// As with Percona's kind, it is seen when the function's response is a minute old.
	installed := time.Now()
	e2e.EventuallyWithin(t, 90*time.Second, "the ServiceMonitor", func() error {
		o, err := ns.Find("servicemonitor", "files-metrics")
		if err != nil {
			return err
		}
		if o == nil {
			return errors.New("there is none")
		}
		return nil
	})
	t.Logf("the kind is seen %s after it was installed", time.Since(installed).Round(time.Second/10))

	ns.WaitCondition("dittoserver", "files", "Accepted", "True", "SpecAccepted")
	ns.WaitCondition("dittoserver", "files", "Ready", "True", "Available")
	want := map[string]any{
		"selector":          map[string]any{"matchLabels": map[string]any{"app": "dittofs-server", "instance": "files", "dittofs.io/metrics-service": "true"}},
		"namespaceSelector": map[string]any{"matchNames": []any{ns.Name}},
		"endpoints": []any{map[string]any{
			"targetPort": int64(9090), "path": "/metrics", "interval": "30s",
			"authorization": map[string]any{"credentials": map[string]any{"name": "scrape", "key": "token"}},
		}},
	}
	if diff := cmp.Diff(want, ns.Get("servicemonitor", "files-metrics").Value("spec")); diff != "" {
		t.Errorf("spec of the ServiceMonitor: -want, +got:\n%s", diff)
	}
	ns.Settle("files")
	e2e.Same(t, "nothing else changes", before, ns.Snapshot("files"))

	// One that somebody deletes is made again: Crossplane may watch the kind.
	ns.Kubectl("delete", "servicemonitor", "files-metrics")
	ns.Wait("servicemonitor", "files-metrics", nil)

	ns.Patch("dittoserver", "files", `{"spec": {"metrics": {"serviceMonitor": null}}}`)
	ns.WaitGone("servicemonitor", "files-metrics")
	ns.Settle("files")
	e2e.Same(t, "nor then", before, ns.Snapshot("files"))

	// Without the kind again, nothing of the server refers to it, and all goes on. Who asks
	// while the API server still lists the group has Crossplane keep that list, and fail at
	// it, until some CustomResourceDefinition changes. Source: crossplane v2.4.0
	// internal/xfn/required_schemas.go and cached_discovery.go.
	ns.Kubectl("delete", "crd", "servicemonitors.monitoring.coreos.com")
	e2e.EventuallyWithin(t, 2*time.Minute, "the API server forgets the group", func() error {
		if strings.Contains(e2e.Kubectl(t, "get", "--raw", "/openapi/v3"), "monitoring.coreos.com") {
			return errors.New("it lists it")
		}
		return nil
	})
	ns.Patch("dittoserver", "files", `{"spec": {"metrics": {"serviceMonitor": {"enabled": true}}}}`)
	ns.WaitMessage("dittoserver", "files", "Accepted", "True", "does not serve the kind ServiceMonitor")
	ns.WaitCondition("dittoserver", "files", "Ready", "True", "Available")
}
