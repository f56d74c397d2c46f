package dittofs

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/internal/manifest"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

func TestServiceMonitor(t *testing.T) {
	const head = `apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
`
	cases := map[string]struct {
		reason  string
		metrics server.Metrics
		want    string
	}{
		"Plain": {
			reason:  "nothing is sent that Prometheus decides",
			metrics: server.Metrics{Enabled: true, Port: 9090, Path: "/metrics", Monitor: &server.Monitor{}},
			want: head + `metadata: {name: files-metrics, namespace: default, labels: {app: dittofs-server, instance: files, dittofs.io/metrics-service: "true"}}
spec:
  selector: {matchLabels: {app: dittofs-server, instance: files, dittofs.io/metrics-service: "true"}}
  namespaceSelector: {matchNames: [default]}
  endpoints: [{targetPort: 9090, path: /metrics}]`,
		},
		"All": {
			reason: "the token is a reference, and no label takes the place of those that are selected by",
			metrics: server.Metrics{Enabled: true, Port: 9100, Path: "/m", Token: record.SecretKey{Name: "scrape", Key: "token"}, Monitor: &server.Monitor{
				Interval: "30s", Labels: map[string]string{"release": "prometheus", "app": "mine"},
			}},
			want: head + `metadata: {name: files-metrics, namespace: default, labels: {release: prometheus, app: dittofs-server, instance: files, dittofs.io/metrics-service: "true"}}
spec:
  selector: {matchLabels: {app: dittofs-server, instance: files, dittofs.io/metrics-service: "true"}}
  namespaceSelector: {matchNames: [default]}
  endpoints: [{targetPort: 9100, path: /m, interval: 30s, authorization: {credentials: {name: scrape, key: token}}}]`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := resolved(func(s *server.Server) { s.Metrics = tc.metrics })
			m, err := manifest.Of(ServiceMonitor(s))
			if err != nil {
				t.Fatal(err)
			}
			built := manifest.FromMap(m)
			if diff := cmp.Diff(yamltest.Struct(t, tc.want).AsMap(), built.AsMap()); diff != "" {
				t.Errorf("%s\nServiceMonitor(...): -want, +got:\n%s", tc.reason, diff)
			}
			// It selects the Service that is composed beside it.
			svc, err := manifest.Struct(Metrics(s, observed.Object{}))
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range observed.FromStruct(built).Map("spec", "selector", "matchLabels") {
				if got := observed.FromStruct(svc).Label(k); got != v {
					t.Errorf("%s: want label %s=%v on the Service, got %q", tc.reason, k, v, got)
				}
			}
		})
	}
}
