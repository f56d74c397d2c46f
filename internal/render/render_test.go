package render

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"testing"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func desire(y string, ready fnv1.Ready) *fnv1.Resource {
	s, err := ToStruct(object(y))
	if err != nil {
		panic(err)
	}
	return &fnv1.Resource{Resource: s, Ready: ready}
}

const xrYAML = "{apiVersion: example.org/v1, kind: XServer, metadata: {name: x-abc, namespace: ns}}"

func TestRender(t *testing.T) {
	message := "why"
	answer := &fnv1.RunFunctionResponse{
		Desired: &fnv1.State{
			Composite: desire("{apiVersion: example.org/v1, kind: XServer, status: {replicas: 1}}", fnv1.Ready_READY_UNSPECIFIED),
			Resources: map[string]*fnv1.Resource{
				"one": desire("{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: elsewhere, labels: {own: label}}, data: {k: v}}", fnv1.Ready_READY_TRUE),
				"two": desire("{apiVersion: v1, kind: Secret}", fnv1.Ready_READY_FALSE),
			},
		},
		Conditions: []*fnv1.Condition{
			{Type: "Custom", Status: fnv1.Status_STATUS_CONDITION_FALSE, Reason: "Because", Message: &message},
			{Type: "Ready", Status: fnv1.Status_STATUS_CONDITION_TRUE, Reason: "Forged"},
		},
		Results: result(fnv1.Severity_SEVERITY_WARNING, "look"),
	}
	const one = `---
apiVersion: v1
data:
  k: v
kind: ConfigMap
metadata:
  annotations:
    crossplane.io/composition-resource-name: one
  labels:
    crossplane.io/composite: x-abc
    own: label
  name: c
  namespace: ns
  ownerReferences:
  - apiVersion: example.org/v1
    blockOwnerDeletion: true
    controller: true
    kind: XServer
    name: x-abc
    uid: ""
`
	const xr = `---
apiVersion: example.org/v1
kind: XServer
metadata:
  name: x-abc
  namespace: ns
status:
  conditions:
  - lastTransitionTime: "2024-01-01T00:00:00Z"
    message: 'Unready resources: two'
    reason: Creating
    status: "False"
    type: Ready
  - lastTransitionTime: "2024-01-01T00:00:00Z"
    message: why
    reason: Because
    status: "False"
    type: Custom
  replicas: 1
`

	cases := map[string]struct {
		reason  string
		in      Inputs
		format  string
		results bool
		want    string
	}{
		"YAML": {
			reason: "The XR comes first, then what is composed by its name, as crossplane render prints it.",
			in:     Inputs{XR: object(xrYAML)},
			format: FormatYAML,
			want: xr + one + `---
apiVersion: v1
kind: Secret
metadata:
  annotations:
    crossplane.io/composition-resource-name: two
  generateName: x-abc-
  labels:
    crossplane.io/composite: x-abc
  namespace: ns
  ownerReferences:
  - apiVersion: example.org/v1
    blockOwnerDeletion: true
    controller: true
    kind: XServer
    name: x-abc
    uid: ""
`,
		},
		"ObservedAndResults": {
			reason:  "An observed resource keeps its name, and results come last.",
			format:  FormatYAML,
			results: true,
			in: Inputs{
				XR:       object(xrYAML),
				Step:     "here",
				Observed: map[string]*unstructured.Unstructured{"two": object("{apiVersion: v1, kind: Secret, metadata: {namespace: ns, name: found, generateName: f-}}")},
			},
			want: xr + one + `---
apiVersion: v1
kind: Secret
metadata:
  annotations:
    crossplane.io/composition-resource-name: two
  generateName: f-
  labels:
    crossplane.io/composite: x-abc
  name: found
  namespace: ns
  ownerReferences:
  - apiVersion: example.org/v1
    blockOwnerDeletion: true
    controller: true
    kind: XServer
    name: x-abc
    uid: ""
---
apiVersion: render.crossplane.io/v1beta1
kind: Result
message: look
severity: SEVERITY_WARNING
step: here
`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			out, err := Render(context.Background(), fake(func(*fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) { return answer, nil }), tc.in)
			if err != nil {
				t.Fatal(err)
			}
			b := &bytes.Buffer{}
			if err := out.Print(b, tc.format, tc.results); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, b.String()); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestRenderRequest(t *testing.T) {
	input, _ := structpb.NewStruct(map[string]any{"ttl": "5m"})
	in := Inputs{
		XR:       object(xrYAML),
		Input:    input,
		Observed: map[string]*unstructured.Unstructured{"one": object("{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}")},
		Required: Objects{object("{apiVersion: v1, kind: Secret, metadata: {name: s}}")},
	}
	out, err := Render(context.Background(), fake(func(req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
		if req.GetObserved().GetComposite() == nil || req.GetObserved().GetResources()["one"] == nil || req.GetInput().GetFields()["ttl"].GetStringValue() != "5m" {
			t.Errorf("the function was not told everything: %v", req)
		}
		return &fnv1.RunFunctionResponse{Desired: req.GetDesired(), Requirements: requirements("s")}, nil
	}), in)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`Secret "s" is in namespace "", so that the function does not find it; if it is this server's, set its metadata.namespace to "ns"`}
	if diff := cmp.Diff(want, out.Notes); diff != "" {
		t.Errorf("an object in the wrong namespace is told: -want, +got:\n%s", diff)
	}
}

func TestRenderFatal(t *testing.T) {
	_, err := Render(context.Background(), fake(func(*fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
		return &fnv1.RunFunctionResponse{Results: result(fnv1.Severity_SEVERITY_FATAL, "spec.image: wrong")}, nil
	}), Inputs{XR: object(xrYAML)})
	fe := &FatalError{}
	if !errors.As(err, &fe) || err.Error() != "spec.image: wrong" {
		t.Errorf("got %v, want the function's message and nothing else", err)
	}
}

func TestPrintJSON(t *testing.T) {
	o := &Outputs{XR: object("{apiVersion: v1, kind: A}"), Results: []*unstructured.Unstructured{object("{apiVersion: v1, kind: B}")}}
	b := &bytes.Buffer{}
	if err := o.Print(b, FormatJSON, false); err != nil {
		t.Fatal(err)
	}
	want := `{
  "apiVersion": "v1",
  "items": [
    {
      "apiVersion": "v1",
      "kind": "A"
    }
  ],
  "kind": "List"
}
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("JSON is one document: -want, +got:\n%s", diff)
	}
}

func TestReadyCondition(t *testing.T) {
	resources := func(ready ...fnv1.Ready) map[string]*fnv1.Resource {
		out := map[string]*fnv1.Resource{}
		for i, r := range ready {
			out[string(rune('a'+i))] = &fnv1.Resource{Ready: r}
		}
		return out
	}
	no, yes := fnv1.Ready_READY_FALSE, fnv1.Ready_READY_TRUE
	available := Condition{Type: "Ready", Status: "True", Reason: "Available"}
	creating := func(message string) Condition {
		return Condition{Type: "Ready", Status: "False", Reason: "Creating", Message: message}
	}
	cases := map[string]struct {
		reason string
		state  *fnv1.State
		want   Condition
	}{
		"Nothing":     {"An XR that composes nothing is ready.", &fnv1.State{}, available},
		"AllReady":    {"All ready is ready.", &fnv1.State{Resources: resources(yes, yes)}, available},
		"Unready":     {"What is not ready is named, and what says nothing is not ready.", &fnv1.State{Resources: resources(no, yes, fnv1.Ready_READY_UNSPECIFIED)}, creating("Unready resources: a, c")},
		"ManyUnready": {"Only the first are named.", &fnv1.State{Resources: resources(no, no, no, no, no)}, creating("Unready resources: a, b, c, and 2 more")},
		"SaidReady":   {"What is said of the XR itself wins.", &fnv1.State{Composite: &fnv1.Resource{Ready: yes}, Resources: resources(no)}, available},
		"SaidUnready": {"What is said of the XR itself wins.", &fnv1.State{Composite: &fnv1.Resource{Ready: no}, Resources: resources(yes)}, creating("")},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, ReadyCondition(tc.state)); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestCompositeLabels(t *testing.T) {
	cases := map[string]struct {
		reason string
		xr     string
		want   map[string]string
	}{
		"Plain":  {"The label is the XR's name.", xrYAML, map[string]string{LabelComposite: "x-abc"}},
		"Nested": {"What a composed XR composes belongs to the outermost XR.", "{metadata: {name: x, labels: {crossplane.io/composite: outer}}, apiVersion: v1, kind: X}", map[string]string{LabelComposite: "outer"}},
		"Claim":  {"What a claim's XR composes bears the claim's name.", "{metadata: {name: x, labels: {crossplane.io/claim-name: c, crossplane.io/claim-namespace: ns}}, apiVersion: v1, kind: X}", map[string]string{LabelComposite: "x", LabelClaimName: "c", LabelClaimNamespace: "ns"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, CompositeLabels(object(tc.xr))); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestPlaceholder(t *testing.T) {
	for _, n := range []int{18, 36} {
		b := make([]byte, n)
		if _, err := (Placeholder{}).Read(b); err != nil {
			t.Fatal(err)
		}
		want := "preview-not-a-secret----preview-not-a-secret----"[:n*4/3]
		if got := base64.RawURLEncoding.EncodeToString(b); got != want {
			t.Errorf("got %q, want a secret that says that it is none, %q", got, want)
		}
	}
}
