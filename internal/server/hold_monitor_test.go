package server_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/world"
	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

// TestMonitor guards that a ServiceMonitor is composed only where its kind is served,
// and that somebody is told where it is not.
func TestMonitor(t *testing.T) {
	const on = `{storage: {metadataSize: 1Gi}, metrics: {enabled: true, serviceMonitor: {enabled: true, interval: 1m30s, labels: {release: x}}}}`
	wanted := &server.Monitor{Interval: "1m30s", Labels: map[string]string{"release": "x"}}
	cases := map[string]struct {
		reason   string
		spec     string
		monitors observed.Served
		want     *server.Monitor
		warnings []string
	}{
		"Served":  {reason: "it is as the spec asks", spec: on, monitors: observed.IsServed, want: wanted},
		"Unknown": {reason: "nothing is told before it is known", spec: on, monitors: observed.ServedUnknown},
		"NotServed": {
			reason: "composing it would fail everything else", spec: on, monitors: observed.NotServed,
			warnings: []string{"spec.metrics.serviceMonitor: the cluster does not serve the kind ServiceMonitor of monitoring.coreos.com/v1, and so there is no such object: install the Prometheus operator's CustomResourceDefinitions, or have Prometheus scrape the Service files-metrics and remove the field"},
		},
		"CannotTell": {
			reason: "an older Crossplane cannot be asked", spec: on, monitors: observed.CannotTell,
			warnings: []string{"spec.metrics.serviceMonitor: this Crossplane cannot tell whether the cluster serves the kind ServiceMonitor of monitoring.coreos.com/v1 (2.2 and newer can), and so there is no such object: set serviceMonitors to true in the Input, or have Prometheus scrape the Service files-metrics and remove the field"},
		},
		"SwitchedOff": {
			reason: "the platform has the last word", spec: on, monitors: observed.SwitchedOff,
			warnings: []string{"spec.metrics.serviceMonitor: the Input says that no ServiceMonitor is to be composed (serviceMonitors: false), and so there is none: have Prometheus scrape the Service files-metrics and remove the field"},
		},
		"NotAsked":   {reason: "who does not ask is not told", spec: `{storage: {metadataSize: 1Gi}, metrics: {enabled: true}}`, monitors: observed.NotServed},
		"MetricsOff": {reason: "nor who has nothing to be scraped", spec: `{storage: {metadataSize: 1Gi}, metrics: {enabled: false, serviceMonitor: {enabled: true}}}`, monitors: observed.NotServed},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			spec, errs := server.Decode(observed.FromStruct(yamltest.Struct(t, tc.spec)), observed.Object{})
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			res := server.Resolve(spec, world.World{Identity: world.Identity{Name: "files", Namespace: "default"}, Monitors: tc.monitors})
			if diff := cmp.Diff(tc.want, res.Server.Metrics.Monitor); diff != "" {
				t.Errorf("%s\nResolve(...).Server.Metrics.Monitor: -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.warnings, res.Warnings); diff != "" {
				t.Errorf("%s\nResolve(...).Warnings: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
