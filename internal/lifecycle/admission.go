package lifecycle

import (
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/crossplane/function-sdk-go/errors"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dittofs/function-dittoserver/internal/strict"
)

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
		for _, i := range strict.Objects(spec["instances"]) {
			fill(i, map[string]any{"replicas": int64(1)})
		}
	case "Service":
		fill(spec, map[string]any{"type": "ClusterIP", "sessionAffinity": "None", "clusterIP": "10.96.0.1", "internalTrafficPolicy": "Cluster"})
	case kindServer:
		fill(spec, map[string]any{"replicas": int64(1), "podManagementPolicy": "OrderedReady", "revisionHistoryLimit": int64(10)})
		fill(spec, map[string]any{"updateStrategy": map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{"partition": int64(0)}}})
		for _, c := range strict.Objects(spec["volumeClaimTemplates"]) {
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
		for _, c := range strict.Objects(spec[list]) {
			fill(c, map[string]any{"imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"})
		}
	}
	for _, v := range strict.Objects(spec["volumes"]) {
		for _, source := range []string{"configMap", "secret"} {
			if s, ok := v[source].(map[string]any); ok {
				fill(s, map[string]any{"defaultMode": int64(420)})
			}
		}
	}
}

// fill sets what is not set.
func fill(m, defaults map[string]any) {
	for f, v := range defaults {
		if _, ok := m[f]; !ok {
			m[f] = v
		}
	}
}

// validate refuses what the API server refuses of the kinds that are composed,
// as far as taking something over may come to it.
func validate(o *unstructured.Unstructured) error {
	if err := controllers(o); err != nil {
		return err
	}
	switch o.GetKind() {
	case kindServer:
		return validateServer(o)
	case "Service":
		return validateService(o)
	case "Secret":
		data, _, _ := unstructured.NestedMap(o.Object, "data")
		for key, v := range data {
			if s, _ := v.(string); !base64able(s) {
				return errors.Errorf("Secret %q: data[%s]: illegal base64 data", o.GetName(), key)
			}
		}
	case kindCluster:
		return validateCluster(o)
	}
	return nil
}

// controllers: an object has one.
// Source: k8s.io/apimachinery pkg/api/validation/objectmeta.go, ValidateOwnerReferences.
func controllers(o *unstructured.Unstructured) error {
	var names []string
	for _, r := range o.GetOwnerReferences() {
		if r.Controller != nil && *r.Controller {
			names = append(names, r.Kind+" "+r.Name)
		}
	}
	if len(names) > 1 {
		return errors.Errorf("%s %q: metadata.ownerReferences: Only one reference can have Controller set to true. Found \"true\" in references for %v", o.GetKind(), o.GetName(), names)
	}
	return nil
}

// validateServer refuses what a pod template must not say.
// Source: k8s.io/kubernetes v1.34 pkg/apis/core/validation/validation.go,
// validateEnvVarValueFrom, validateContainerPorts and ValidateVolumeMounts, and
// pkg/apis/apps/validation.
func validateServer(o *unstructured.Unstructured) error {
	bad := func(format string, a ...any) error {
		return errors.Errorf("StatefulSet %q is invalid: spec.template.spec.%s", o.GetName(), fmt.Sprintf(format, a...))
	}
	pod, _, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", "template", "spec")
	spec, _ := pod.(map[string]any)
	volumes := map[any]bool{}
	for _, v := range strict.Objects(spec["volumes"]) {
		volumes[v["name"]] = true
	}
	templates, _, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", "volumeClaimTemplates")
	for _, v := range strict.Objects(templates) {
		name, _, _ := unstructured.NestedString(v, "metadata", "name")
		volumes[name] = true
	}
	for _, list := range []string{"initContainers", "containers"} {
		for _, c := range strict.Objects(spec[list]) {
			for _, e := range strict.Objects(c["env"]) {
				if v, _ := e["value"].(string); v != "" && e["valueFrom"] != nil {
					return bad("%s[%v].env[%v].valueFrom: Invalid value: may not be specified when `value` is not empty", list, c["name"], e["name"])
				}
				if from, _ := e["valueFrom"].(map[string]any); len(from) > 1 {
					return bad("%s[%v].env[%v].valueFrom: Invalid value: may not have more than one field specified at a time", list, c["name"], e["name"])
				}
			}
			ports := map[any]bool{}
			for _, p := range strict.Objects(c["ports"]) {
				if n := p["name"]; n != nil && ports[n] {
					return bad("%s[%v].ports: Duplicate value: %v", list, c["name"], n)
				}
				ports[p["name"]] = true
			}
			for _, m := range strict.Objects(c["volumeMounts"]) {
				if !volumes[m["name"]] {
					return bad("%s[%v].volumeMounts: Not found: %v", list, c["name"], m["name"])
				}
			}
		}
	}
	want, _, _ := unstructured.NestedStringMap(o.Object, "spec", "selector", "matchLabels")
	have, _, _ := unstructured.NestedStringMap(o.Object, "spec", "template", "metadata", "labels")
	for k, v := range want {
		if have[k] != v {
			return errors.Errorf("StatefulSet %q is invalid: spec.template.metadata.labels: `selector` does not match template `labels`", o.GetName())
		}
	}
	return nil
}

// validateService refuses ports without names, and two of one name.
// Source: k8s.io/kubernetes v1.34 pkg/apis/core/validation, ValidateService.
func validateService(o *unstructured.Unstructured) error {
	ports, _, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", "ports")
	all := strict.Objects(ports)
	seen := map[any]bool{}
	for i, p := range all {
		switch n, _ := p["name"].(string); {
		case n == "" && len(all) > 1:
			return errors.Errorf("Service %q is invalid: spec.ports[%d].name: Required value", o.GetName(), i)
		case n != "" && seen[n]:
			return errors.Errorf("Service %q is invalid: spec.ports[%d].name: Duplicate value: %q", o.GetName(), i, n)
		default:
			seen[n] = true
		}
	}
	return nil
}

const loadBalancer = "LoadBalancer"

func isLoadBalancer(svc *unstructured.Unstructured) bool {
	typ, _, _ := unstructured.NestedString(svc.Object, "spec", "type")
	return typ == loadBalancer
}

// validateCluster has the rules of Percona's CustomResourceDefinition that
// depend on two fields.
// Source: percona-postgresql-operator v2.9.0 perconapgcluster_types.go.
func validateCluster(o *unstructured.Unstructured) error {
	backups, _, _ := unstructured.NestedMap(o.Object, "spec", "backups")
	repos, _, _ := unstructured.NestedSlice(backups, "pgbackrest", "repos")
	if on, stated := backups["enabled"].(bool); (!stated || on) && len(repos) == 0 {
		return errors.Errorf("PerconaPGCluster %q is invalid: spec.backups: At least one repository must be configured when backups are enabled", o.GetName())
	}
	major, _, _ := unstructured.NestedInt64(o.Object, "spec", "postgresVersion")
	users, _, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", "users")
	for _, u := range strict.Objects(users) {
		if u["grantPublicSchemaAccess"] == true && major < 15 {
			return errors.Errorf("PerconaPGCluster %q is invalid: spec: PostgresVersion must be >= 15 if grantPublicSchemaAccess exists and is true", o.GetName())
		}
	}
	return nil
}

// immutable refuses changes that the API server refuses.
// Source: k8s.io/kubernetes v1.34 pkg/apis/apps/validation,
// ValidateStatefulSetUpdate; pkg/apis/core/validation, ValidateSecretUpdate and
// ValidateServiceUpdate; k8s.io/apimachinery pkg/api/validation,
// ValidateObjectMetaUpdate.
func immutable(live, next *unstructured.Unstructured) error {
	if live.GetDeletionTimestamp() != nil {
		for _, f := range next.GetFinalizers() {
			if !slices.Contains(live.GetFinalizers(), f) {
				return errors.Errorf("%s %q: no new finalizers can be added if the object is being deleted: %s", live.GetKind(), live.GetName(), f)
			}
		}
	}
	var fixed [][]string
	switch live.GetKind() {
	case kindServer:
		fixed = [][]string{{"spec", "volumeClaimTemplates"}, {"spec", "serviceName"}, {"spec", "selector"}, {"spec", "podManagementPolicy"}}
	case "Secret":
		fixed = [][]string{{"type"}}
	case "Service":
		fixed = [][]string{{"spec", "clusterIP"}}
	}
	if live.GetKind() == "Service" && isLoadBalancer(live) && isLoadBalancer(next) {
		was, _, _ := unstructured.NestedString(live.Object, "spec", "loadBalancerClass")
		is, _, _ := unstructured.NestedString(next.Object, "spec", "loadBalancerClass")
		if was != is {
			return errors.Errorf("Service %q: spec.loadBalancerClass: may not change once set", live.GetName())
		}
	}
	for _, path := range fixed {
		was, _, _ := unstructured.NestedFieldNoCopy(live.Object, path...)
		is, _, _ := unstructured.NestedFieldNoCopy(next.Object, path...)
		if was != nil && !equality.Semantic.DeepEqual(was, is) {
			return errors.Errorf("%s %q: %v: field is immutable", live.GetKind(), live.GetName(), path)
		}
	}
	return nil
}

func base64able(s string) bool {
	_, err := base64.StdEncoding.DecodeString(s)
	return err == nil
}
