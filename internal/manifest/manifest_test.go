package manifest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

func TestOf(t *testing.T) {
	type object = map[string]any
	type list = []any

	cases := map[string]struct {
		reason string
		in     runtime.Object
		want   object
	}{
		"Status": {
			reason: "a status is never sent",
			in:     &unstructured.Unstructured{Object: object{"kind": "X", "status": object{"state": "ready"}}},
			want:   object{"kind": "X"},
		},
		"Nulls": {
			reason: "a null is not sent",
			in:     &unstructured.Unstructured{Object: object{"metadata": object{"name": "n", "creationTimestamp": nil}}},
			want:   object{"metadata": object{"name": "n"}},
		},
		"EmptyObjects": {
			reason: "an object is not sent that holds nothing, or nothing but such objects",
			in:     &unstructured.Unstructured{Object: object{"kind": "X", "spec": object{"a": object{"b": object{}, "c": nil}}}},
			want:   object{"kind": "X"},
		},
		"EmptyLists": {
			reason: "an empty list is not sent",
			in:     &unstructured.Unstructured{Object: object{"spec": object{"l": list{}, "n": "x"}}},
			want:   object{"spec": object{"n": "x"}},
		},
		"WithinLists": {
			reason: "what lies in the entries of lists is pruned too",
			in:     &unstructured.Unstructured{Object: object{"l": list{object{"name": "n", "resources": object{}, "x": nil}}}},
			want:   object{"l": list{object{"name": "n"}}},
		},
		"EmptyDir": {
			reason: "an emptyDir is a volume by being there",
			in:     &unstructured.Unstructured{Object: object{"volumes": list{object{"name": "tmp", "emptyDir": object{}}}}},
			want:   object{"volumes": list{object{"name": "tmp", "emptyDir": object{}}}},
		},
		"Selector": {
			reason: "a selector that names nothing selects everything, and none selects nothing",
			in:     &unstructured.Unstructured{Object: object{"from": list{object{"namespaceSelector": object{}, "podSelector": object{}}}}},
			want:   object{"from": list{object{"namespaceSelector": object{}, "podSelector": object{}}}},
		},
		"EmptySelectors": {
			reason: "a selector that says nothing selects everything, and none nothing",
			in:     &corev1.Pod{Spec: corev1.PodSpec{Affinity: &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{TopologyKey: "z", LabelSelector: &metav1.LabelSelector{}, NamespaceSelector: &metav1.LabelSelector{}}}}}}},
			want:   object{"spec": object{"affinity": object{"podAffinity": object{"requiredDuringSchedulingIgnoredDuringExecution": list{object{"topologyKey": "z", "labelSelector": object{}, "namespaceSelector": object{}}}}}}},
		},
		"FalseAndZero": {
			reason: "false, 0 and the empty string say something",
			in:     &unstructured.Unstructured{Object: object{"a": false, "b": int64(0), "c": ""}},
			want:   object{"a": false, "b": int64(0), "c": ""},
		},
		"Typed": {
			reason: "what a typed object leaks is not sent",
			in: &corev1.Pod{Spec: corev1.PodSpec{
				AutomountServiceAccountToken: new(bool),
				Containers:                   []corev1.Container{{Name: "c"}},
				Volumes:                      []corev1.Volume{{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
			}},
			want: object{"spec": object{
				"automountServiceAccountToken": false,
				"containers":                   list{object{"name": "c"}},
				"volumes":                      list{object{"name": "tmp", "emptyDir": object{}}},
			}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Of(tc.in)
			if err != nil {
				t.Fatalf("Of(...): %v", err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\nOf(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestPrune(t *testing.T) {
	m := map[string]any{"a": nil, "b": map[string]any{}, "c": []any{}, "emptyDir": map[string]any{}, "d": false}
	Prune(m)
	if diff := cmp.Diff(map[string]any{"emptyDir": map[string]any{}, "d": false}, m); diff != "" {
		t.Errorf("Prune(...): -want, +got:\n%s", diff)
	}
}
