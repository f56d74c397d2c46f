package lifecycle

import (
	"slices"

	"github.com/crossplane/function-sdk-go/errors"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// apply does what a forced server-side apply does: it sets what is applied,
// removes what was applied and is not any more, and leaves the rest alone.
func (w *World) apply(o *unstructured.Unstructured) (created, updated bool, err error) {
	k := KeyOf(o)
	live, exists := w.objects[k]
	if !exists {
		w.applied[k] = o.DeepCopy().Object
		admit(o)
		w.objects[k] = w.stamp(o)
		return true, false, nil
	}
	if c := metav1.GetControllerOf(live); c != nil && c.UID != w.xr.GetUID() {
		return false, false, errors.Errorf("%s %q is controlled by %s %q", o.GetKind(), o.GetName(), c.Kind, c.Name)
	}

	// Copies, since admission fills in what it is given.
	m, _ := merge(live.DeepCopy().Object, w.applied[k], o.DeepCopy().Object).(map[string]any)
	merged := &unstructured.Unstructured{Object: m}
	admit(merged)
	if err := immutable(live, merged); err != nil {
		return false, false, err
	}
	bump(live, merged)
	w.applied[k] = o.Object
	w.objects[k] = merged
	return false, !equality.Semantic.DeepEqual(live.Object, merged.Object), nil
}

// merge applies now to live where before was applied last. Objects merge field
// by field, lists of named objects entry by entry; all else is taken whole.
func merge(live, before, now any) any {
	if n, ok := now.(map[string]any); ok {
		l, _ := live.(map[string]any)
		b, _ := before.(map[string]any)
		out := make(map[string]any, len(l)+len(n))
		for f, v := range l {
			switch _, was := b[f]; {
			case has(n, f):
				out[f] = merge(v, b[f], n[f])
			case !was:
				out[f] = v
			default:
				if left := without(v, b[f]); left != nil {
					out[f] = left
				}
			}
		}
		for f, v := range n {
			if !has(l, f) {
				out[f] = v
			}
		}
		return out
	}
	n, ok := named(now)
	l, ok2 := named(live)
	if !ok || !ok2 {
		return now
	}
	b, _ := named(before)
	var out []any
	for _, e := range l {
		switch i, j := index(n, e), index(b, e); {
		case i >= 0 && j >= 0:
			out = append(out, merge(e, b[j], n[i]))
		case i >= 0:
			out = append(out, merge(e, nil, n[i]))
		case j < 0:
			out = append(out, e)
		default:
			// What others added to an entry keeps it, with its name.
			if left, ok := without(e, b[j]).(map[string]any); ok {
				left["name"] = e["name"]
				out = append(out, left)
			}
		}
	}
	for _, e := range n {
		if index(l, e) < 0 {
			out = append(out, e)
		}
	}
	return out
}

// without is what is left of live when what was applied is removed; nil for
// nothing.
func without(live, before any) any {
	l, ok := live.(map[string]any)
	b, ok2 := before.(map[string]any)
	if !ok || !ok2 {
		return nil
	}
	out := map[string]any{}
	for f, v := range l {
		if !has(b, f) {
			out[f] = v
			continue
		}
		if left := without(v, b[f]); left != nil {
			out[f] = left
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func has(m map[string]any, f string) bool { _, ok := m[f]; return ok }

// named are the entries of a list of objects that all have a name of their own.
// Such lists are maps to server-side apply, near enough.
func named(v any) ([]map[string]any, bool) {
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return nil, false
	}
	out := make([]map[string]any, 0, len(list))
	for _, e := range list {
		m, ok := e.(map[string]any)
		if name, _ := m["name"].(string); !ok || name == "" || index(out, m) >= 0 {
			return nil, false
		}
		out = append(out, m)
	}
	return out, true
}

func index(list []map[string]any, e map[string]any) int {
	return slices.IndexFunc(list, func(o map[string]any) bool { return o["name"] == e["name"] })
}

// immutable refuses changes that the API server refuses.
func immutable(live, merged *unstructured.Unstructured) error {
	var fixed [][]string
	switch live.GetKind() {
	case kindServer:
		fixed = [][]string{{"spec", "volumeClaimTemplates"}, {"spec", "serviceName"}, {"spec", "selector"}, {"spec", "podManagementPolicy"}}
	case "Secret":
		fixed = [][]string{{"type"}}
	case "Service":
		fixed = [][]string{{"spec", "clusterIP"}}
	}
	for _, path := range fixed {
		was, _, _ := unstructured.NestedFieldNoCopy(live.Object, path...)
		is, _, _ := unstructured.NestedFieldNoCopy(merged.Object, path...)
		if was != nil && !equality.Semantic.DeepEqual(was, is) {
			return errors.Errorf("%s %q: %v cannot be changed", live.GetKind(), live.GetName(), path)
		}
	}
	return nil
}

// admit fills in what the API server does: the more important defaults of the
// kinds that are composed.
func admit(o *unstructured.Unstructured) {
	spec, ok := o.Object["spec"].(map[string]any)
	if !ok {
		return
	}
	switch o.GetKind() {
	case kindCluster:
		// Source: percona-postgresql-operator v2.9.0 CRD.
		fill(spec, map[string]any{"port": int64(5432)})
		for _, i := range entries(spec["instances"]) {
			fill(i, map[string]any{"replicas": int64(1)})
		}
	case "Service":
		fill(spec, map[string]any{"type": "ClusterIP", "sessionAffinity": "None", "clusterIP": "10.96.0.1", "internalTrafficPolicy": "Cluster"})
	case kindServer:
		fill(spec, map[string]any{"replicas": int64(1), "podManagementPolicy": "OrderedReady", "revisionHistoryLimit": int64(10)})
		fill(spec, map[string]any{"updateStrategy": map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{"partition": int64(0)}}})
		for _, c := range entries(spec["volumeClaimTemplates"]) {
			fill(c, map[string]any{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "status": map[string]any{"phase": "Pending"}})
			if s, ok := c["spec"].(map[string]any); ok {
				fill(s, map[string]any{"volumeMode": "Filesystem"})
			}
		}
		if pod, ok, _ := unstructured.NestedFieldNoCopy(spec, "template", "spec"); ok {
			admitPod(pod)
		}
	}
}

func admitPod(pod any) {
	spec, ok := pod.(map[string]any)
	if !ok {
		return
	}
	fill(spec, map[string]any{"restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler"})
	for _, list := range []string{"initContainers", "containers"} {
		for _, c := range entries(spec[list]) {
			fill(c, map[string]any{"imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"})
		}
	}
	for _, v := range entries(spec["volumes"]) {
		for _, source := range []string{"configMap", "secret"} {
			if s, ok := v[source].(map[string]any); ok {
				fill(s, map[string]any{"defaultMode": int64(420)})
			}
		}
	}
}

// entries are the objects of a list.
func entries(v any) []map[string]any {
	list, _ := v.([]any)
	out := make([]map[string]any, 0, len(list))
	for _, e := range list {
		if m, ok := e.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// fill sets what is not set.
func fill(m, defaults map[string]any) {
	for f, v := range defaults {
		if !has(m, f) {
			m[f] = v
		}
	}
}
