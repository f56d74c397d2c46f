package render

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"
)

func TestRun(t *testing.T) {
	existing := Objects{object("{apiVersion: v1, kind: Secret, metadata: {namespace: ns, name: a}}")}

	cases := map[string]struct {
		reason string
		// answer is what the function says to the n-th call, which has the
		// required resources that it got.
		answer func(n int, got map[string]*fnv1.Resources) *fnv1.RunFunctionResponse
		calls  int
		err    string
	}{
		"NoRequirements": {
			reason: "A function that requires nothing is called once.",
			answer: func(int, map[string]*fnv1.Resources) *fnv1.RunFunctionResponse { return &fnv1.RunFunctionResponse{} },
			calls:  1,
		},
		"Stable": {
			reason: "A function is called again with what it requires, and a missing object is a key without items.",
			answer: func(n int, got map[string]*fnv1.Resources) *fnv1.RunFunctionResponse {
				if n == 1 && len(got) != 0 {
					t.Errorf("first call: got required resources %v, want none", got)
				}
				if n == 2 {
					missing, known := got["b"]
					if len(got["a"].GetItems()) != 1 || !known || len(missing.GetItems()) != 0 {
						t.Errorf("second call: got required resources %v, want one item for a, and the key b without any", got)
					}
				}
				return &fnv1.RunFunctionResponse{Requirements: requirements("a", "b")}
			},
			calls: 2,
		},
		"Growing": {
			reason: "What is learned may lead to further requirements.",
			answer: func(_ int, got map[string]*fnv1.Resources) *fnv1.RunFunctionResponse {
				if len(got) == 0 {
					return &fnv1.RunFunctionResponse{Requirements: requirements("a")}
				}
				return &fnv1.RunFunctionResponse{Requirements: requirements("a", "b")}
			},
			calls: 3,
		},
		"Shrinking": {
			reason: "What is not required any more is not given any more.",
			answer: func(n int, got map[string]*fnv1.Resources) *fnv1.RunFunctionResponse {
				if n == 1 {
					return &fnv1.RunFunctionResponse{Requirements: requirements("a", "b")}
				}
				if _, has := got["b"]; n == 3 && has {
					t.Errorf("third call: got b, which the second did not require")
				}
				return &fnv1.RunFunctionResponse{Requirements: requirements("a")}
			},
			calls: 3,
		},
		"Fatal": {
			reason: "A function that refuses is not called again, whatever it requires.",
			answer: func(int, map[string]*fnv1.Resources) *fnv1.RunFunctionResponse {
				return &fnv1.RunFunctionResponse{Requirements: requirements("a"), Results: result(fnv1.Severity_SEVERITY_FATAL, "no")}
			},
			calls: 1,
		},
		"NeverSettles": {
			reason: "Crossplane gives up after five further calls.",
			answer: func(n int, _ map[string]*fnv1.Resources) *fnv1.RunFunctionResponse {
				return &fnv1.RunFunctionResponse{Requirements: requirements(fmt.Sprint(n))}
			},
			calls: 6,
			err:   "did not settle",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			calls := 0
			tags := map[string]bool{}
			fn := fake(func(req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
				calls++
				tags[req.GetMeta().GetTag()] = true
				if got := len(req.GetMeta().GetCapabilities()); got != 5 {
					t.Errorf("%s\ngot %d capabilities, want those of Crossplane 2.4, 5", tc.reason, got)
				}
				rsp := tc.answer(calls, req.GetRequiredResources())
				// Nothing that a function does to its request may stay.
				clear(req.GetRequiredResources())
				req.Observed = nil
				return rsp, nil
			})
			req := &fnv1.RunFunctionRequest{Observed: &fnv1.State{}}
			_, err := Run(context.Background(), fn, req, existing)
			if tc.err == "" && err != nil || tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("%s\ngot error %v, want %q", tc.reason, err, tc.err)
			}
			if calls != tc.calls {
				t.Errorf("%s\ngot %d calls, want %d", tc.reason, calls, tc.calls)
			}
			if len(tags) != 1 || tags[""] {
				t.Errorf("%s\ngot tags %v, want one", tc.reason, tags)
			}
			if req.GetObserved() == nil || req.GetMeta() != nil {
				t.Errorf("%s\nthe caller's request was changed", tc.reason)
			}
		})
	}

	t.Run("Error", func(t *testing.T) {
		boom := errors.New("boom")
		_, err := Run(context.Background(), fake(func(*fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) { return nil, boom }), &fnv1.RunFunctionRequest{}, existing)
		if !errors.Is(err, boom) {
			t.Errorf("got %v, want the function's error", err)
		}
	})
	t.Run("Context", func(t *testing.T) {
		want, _ := structpb.NewStruct(map[string]any{"k": "v"})
		var got *structpb.Struct
		_, err := Run(context.Background(), fake(func(req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
			got = req.GetContext()
			return &fnv1.RunFunctionResponse{Context: want, Requirements: requirements("a")}, nil
		}), &fnv1.RunFunctionRequest{}, existing)
		if err != nil || got.GetFields()["k"].GetStringValue() != "v" {
			t.Errorf("got context %v and error %v, want what the first call returned", got, err)
		}
	})
}

func TestFetch(t *testing.T) {
	objects := Objects{
		object("{apiVersion: v1, kind: Secret, metadata: {namespace: ns, name: b, labels: {l: '1'}}}"),
		object("{apiVersion: v1, kind: Secret, metadata: {namespace: ns, name: a, labels: {l: '1'}}}"),
		object("{apiVersion: v1, kind: Secret, metadata: {namespace: other, name: a, labels: {l: '1'}}}"),
		object("{apiVersion: v1, kind: ConfigMap, metadata: {namespace: ns, name: a}}"),
		object("{apiVersion: example.org/v1, kind: Secret, metadata: {namespace: ns, name: a}}"),
		object("{apiVersion: v1, kind: Secret, metadata: {name: a}}"),
	}
	ns := "ns"
	byLabel := &fnv1.ResourceSelector_MatchLabels{MatchLabels: &fnv1.MatchLabels{Labels: map[string]string{"l": "1"}}}
	cases := map[string]struct {
		reason string
		sel    *fnv1.ResourceSelector
		want   []string
	}{
		"ByName":        {"API version, kind, namespace and name must all match.", byName("Secret", "a"), []string{"ns/a"}},
		"Missing":       {"Nothing is found where nothing is.", byName("Secret", "c"), []string{}},
		"ClusterScoped": {"Without a namespace, an object without one is meant.", &fnv1.ResourceSelector{ApiVersion: "v1", Kind: "Secret", Match: &fnv1.ResourceSelector_MatchName{MatchName: "a"}}, []string{"/a"}},
		"ByLabels":      {"Labels select in one namespace, sorted by name.", &fnv1.ResourceSelector{ApiVersion: "v1", Kind: "Secret", Namespace: &ns, Match: byLabel}, []string{"ns/a", "ns/b"}},
		"Everywhere":    {"Labels select in all namespaces if none is named.", &fnv1.ResourceSelector{ApiVersion: "v1", Kind: "Secret", Match: byLabel}, []string{"ns/a", "ns/b", "other/a"}},
		"All":           {"Without a match everything of the kind is selected.", &fnv1.ResourceSelector{ApiVersion: "v1", Kind: "ConfigMap"}, []string{"ns/a"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			found, err := objects.Fetch(tc.sel)
			if err != nil {
				t.Fatal(err)
			}
			got := []string{}
			for _, r := range found {
				m := r.GetResource().GetFields()["metadata"].GetStructValue().GetFields()
				got = append(got, m["namespace"].GetStringValue()+"/"+m["name"].GetStringValue())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
