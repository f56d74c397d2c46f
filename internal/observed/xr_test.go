package observed

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

func TestXR(t *testing.T) {
	type want struct {
		name, namespace, crd string
	}
	cases := map[string]struct {
		reason   string
		xr       string
		fallback string
		want     want
	}{
		"Namespaced": {
			reason:   "an XR's own namespace wins over the Input's",
			xr:       namespaced,
			fallback: "platform",
			want:     want{"files", "default", "dittoservers.dittofs.dittofs.com"},
		},
		"Claim": {
			reason:   "a claim's server is called what the claim is, and lives where it lives",
			xr:       claimed,
			fallback: "platform",
			want:     want{"files", "team-a", "xdittoservers.dittofs.dittofs.com"},
		},
		"ClusterScoped": {
			reason:   "the Input's namespace is the last resort",
			xr:       `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: XDittoServer, metadata: {name: files}}`,
			fallback: "platform",
			want:     want{"files", "platform", "xdittoservers.dittofs.dittofs.com"},
		},
		"Nowhere": {
			reason: "there is no namespace, which is for others to say",
			xr:     `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: XDittoServer, metadata: {name: files}}`,
			want:   want{"files", "", "xdittoservers.dittofs.dittofs.com"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			xr := NewReader(request(t, tc.xr, nil, nil)).XR()
			got := want{xr.ServerName(), xr.ServerNamespace(tc.fallback), xr.CRD()}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("%s\nXR(): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestConditions(t *testing.T) {
	xr := NewReader(request(t, `{status: {conditions: [{type: Ready, status: "True", reason: Available, message: m, lastTransitionTime: x}, {type: Synced, status: "False"}]}}`, nil, nil)).XR()
	want := map[string]Condition{"Ready": {Status: "True", Reason: "Available", Message: "m"}, "Synced": {Status: "False"}}
	if diff := cmp.Diff(want, xr.Conditions()); diff != "" {
		t.Errorf("Conditions(): -want, +got:\n%s", diff)
	}
}

func TestOlder(t *testing.T) {
	const created = `{metadata: {creationTimestamp: "2026-02-01T00:00:00Z"}}`
	cases := map[string]struct {
		reason string
		xr     string
		object string
		want   bool
	}{
		"Before":  {reason: "it was there before the XR", xr: created, object: `{metadata: {creationTimestamp: "2026-01-31T23:59:59Z"}}`, want: true},
		"Same":    {reason: "times have whole seconds: what the XR itself brings about may bear the XR's", xr: created, object: created},
		"After":   {reason: "it came after the XR", xr: created, object: `{metadata: {creationTimestamp: "2026-02-01T00:00:01Z"}}`},
		"Offline": {reason: "in a preview the XR has no time of creation", xr: `{metadata: {name: files}}`, object: created},
		"NoTime":  {reason: "nor may the object have one", xr: created, object: `{metadata: {name: x}}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			xr := NewReader(request(t, tc.xr, nil, nil)).XR()
			if got := xr.Older(FromStruct(yamltest.Struct(t, tc.object))); got != tc.want {
				t.Errorf("%s\nOlder(...): want %t, got %t", tc.reason, tc.want, got)
			}
		})
	}
}
