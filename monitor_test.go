package main

import (
	"slices"
	"strings"
	"testing"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dittofs/function-dittoserver/internal/lifecycle"
	"github.com/dittofs/function-dittoserver/internal/render"
	"github.com/dittofs/function-dittoserver/internal/report"
	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

// TestServiceMonitor: a ServiceMonitor is composed where its kind is served, and nothing
// fails where it is not, whichever Crossplane asks.
func TestServiceMonitor(t *testing.T) {
	old := slices.DeleteFunc(slices.Clone(render.Capabilities), func(c fnv1.Capability) bool {
		return c == fnv1.Capability_CAPABILITY_REQUIRED_SCHEMAS
	})
	input := func(served bool) *structpb.Struct {
		s, err := structpb.NewStruct(map[string]any{"apiVersion": "dittoserver.fn.crossplane.io/v1beta1", "kind": "Input", "serviceMonitors": served})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	cases := map[string]struct {
		reason       string
		capabilities []fnv1.Capability
		input        *structpb.Struct
		installed    bool
		composed     bool
		warning      string
	}{
		"Installed":        {reason: "the kind is served", installed: true, composed: true},
		"NotInstalled":     {reason: "it is not, and nothing fails", warning: "does not serve the kind"},
		"NotInstalledTold": {reason: "what Crossplane tells beats what the Input says", input: input(true), warning: "does not serve the kind"},
		"SwitchedOff":      {reason: "the platform does not want them", installed: true, input: input(false), warning: "serviceMonitors: false"},
		"Older":            {reason: "an older Crossplane cannot tell", installed: true, capabilities: old, warning: "cannot tell"},
		"OlderTold":        {reason: "and is told", installed: true, capabilities: old, input: input(true), composed: true},
		"OlderToldNot":     {reason: "or told not to", installed: true, capabilities: old, input: input(false), warning: "serviceMonitors: false"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := lifecycle.New(testFunction(), xrFrom(t, "example/service-monitor.yaml"), tc.input, definition("dittoservers.dittofs.dittofs.com"))
			w.Capabilities = tc.capabilities
			if tc.installed {
				w.InstallPrometheus()
			}
			row := playStage(t, w, lifecycle.AllReady)
			if row.Ready != "True Available" {
				t.Errorf("%s: Ready is %q", tc.reason, row.Ready)
			}
			if got := slices.Contains(row.Composed, "service-monitor"); got != tc.composed {
				t.Errorf("%s: want it composed: %t, got %v", tc.reason, tc.composed, row.Composed)
			}
			accepted := conditionOf(row.Answers[len(row.Answers)-1].Response, report.TypeAccepted)
			if accepted.Status != "True" || !strings.Contains(accepted.Message, tc.warning) || (tc.warning == "") != (accepted.Reason == report.ReasonSpecAccepted) {
				t.Errorf("%s: want a warning of %q, Accepted is %+v", tc.reason, tc.warning, accepted)
			}
		})
	}
}

// TestServiceMonitorLater: one that exists is not asked about again, one that was taken
// out of the spec goes, and a kind that comes to be served is found.
func TestServiceMonitorLater(t *testing.T) {
	w := lifecycle.New(testFunction(), xrFrom(t, "example/service-monitor.yaml"), nil, definition("dittoservers.dittofs.dittofs.com"))
	playStage(t, w, lifecycle.AllReady)
	w.InstallPrometheus()
	if row := playStage(t, w, lifecycle.AllReady); !slices.Equal(row.New, []string{"service-monitor"}) {
		t.Fatalf("the kind is served now: want a ServiceMonitor, got %v", row.New)
	}
	row := playStage(t, w, lifecycle.AllReady)
	if req := row.Answers[len(row.Answers)-1].Response.GetRequirements(); len(req.GetSchemas()) > 0 {
		t.Errorf("it exists: want nothing asked about its kind, got %v", req)
	}
	w.EditXR(func(xr *unstructured.Unstructured) {
		unstructured.RemoveNestedField(xr.Object, "spec", "metrics", "serviceMonitor")
	})
	if row := playStage(t, w, lifecycle.AllReady); !slices.Equal(row.Gone, []string{"service-monitor"}) || row.Ready != "True Available" {
		t.Errorf("it is not wanted any more: want it gone and nothing else, got %v, Ready %q", row.Gone, row.Ready)
	}
}

// TestNetworkPolicyTakenOver: the policies that the DittoFS operator left are taken over
// by their names, and go when they are not wanted any more.
func TestNetworkPolicyTakenOver(t *testing.T) {
	const left = `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: NAME, namespace: team-a, labels: {app: dittofs-server, instance: guarded}},
spec: {podSelector: {matchLabels: {app: dittofs-server, instance: guarded}}, policyTypes: [Ingress], ingress: [{ports: [{port: 111, protocol: UDP}]}]}}`
	xr := xrFrom(t, "example/network-policy.yaml")
	_ = unstructured.SetNestedField(xr.Object, true, "spec", "adoptExisting")
	w := lifecycle.New(testFunction(), xr, nil)
	names := []string{"guarded-adapter-nfs", "guarded-adapter-smb", "guarded-baseline"}
	for _, n := range names {
		w.Put(&unstructured.Unstructured{Object: render.ToMap(yamltest.Struct(t, strings.ReplaceAll(left, "NAME", n)))})
	}
	playStage(t, w, lifecycle.AllReady)
	for _, n := range names {
		o := w.Get(lifecycle.Key{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy", Namespace: "team-a", Name: n})
		if o == nil || len(o.GetOwnerReferences()) != 1 {
			t.Fatalf("%s: want it to be the server's, got %v", n, o)
		}
		rules, _, _ := unstructured.NestedSlice(o.Object, "spec", "ingress")
		for _, r := range rules {
			ports, _, _ := unstructured.NestedSlice(r.(map[string]any), "ports")
			for _, p := range ports {
				if p.(map[string]any)["port"] == int64(111) {
					t.Errorf("%s: want nothing open that nobody listens on, got %v", n, rules)
				}
			}
		}
	}
	w.EditXR(func(xr *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(xr.Object, false, "spec", "networkPolicy", "enabled")
	})
	want := []string{"network-policy", "network-policy-nfs", "network-policy-smb"}
	if row := playStage(t, w, lifecycle.AllReady); !slices.Equal(row.Gone, want) {
		t.Errorf("switched off: want %v gone, got %v", want, row.Gone)
	}
}

func definition(name string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": name},
		"status": map[string]any{"conditions": []any{map[string]any{"type": "Established", "status": "True"}}},
	}}
}
