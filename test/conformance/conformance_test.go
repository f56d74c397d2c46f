package conformance

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// TestConformanceJudges shows that the judges of the test above do object.
func TestConformanceJudges(t *testing.T) {
	percona, err := perconaJudge()
	if err != nil {
		t.Fatal(err)
	}
	good := `
apiVersion: pgv2.percona.com/v2
kind: PerconaPGCluster
metadata: {name: a, namespace: b}
spec:
  crVersion: 2.9.0
  postgresVersion: 14
  users: [{name: dittofs, databases: [dittofs]}]
  instances: [{name: instance1, dataVolumeClaimSpec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]
  backups: {enabled: false, pgbackrest: {image: x}}
`
	sts := `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: a, namespace: b}
spec: {template: {spec: {containers: [{name: a, image: b}]}}}
`
	cases := map[string]struct {
		reason string
		object string
		change func(o object)
		want   string
	}{
		"Good":          {"what is good has no problems", good, func(object) {}, ""},
		"UnknownField":  {"the API server drops it", good, func(o object) { set(o, "x", "spec", "unheardOf") }, "spec.unheardOf"},
		"Rule":          {"a CEL rule of the CRD", good, func(o object) { first(o, "spec", "users")["grantPublicSchemaAccess"] = true }, "grantPublicSchemaAccess"},
		"WrongType":     {"the structural schema", good, func(o object) { set(o, "16", "spec", "postgresVersion") }, "postgresVersion"},
		"NoRepository":  {"backups without a place", good, func(o object) { set(o, true, "spec", "backups", "enabled") }, "repos"},
		"Null":          {"a null is no value", good, func(o object) { set(o, nil, "spec", "image") }, "is null"},
		"EmptyObject":   {"an empty object is owned by whoever sends it", good, func(o object) { set(o, object{}, "spec", "proxy") }, "empty object"},
		"Status":        {"the status is Percona's", good, func(o object) { set(o, "ready", "status", "state") }, "not the function's"},
		"PrivilegedPod": {"a pod that Pod Security refuses", sts, func(object) {}, "allowPrivilegeEscalation"},
		"UnknownInPod":  {"a field that Kubernetes does not know", sts, func(o object) { first(o, "spec", "template", "spec", "containers")["imagePolicy"] = "x" }, "imagePolicy"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o := object{}
			if err := yaml.Unmarshal([]byte(tc.object), &o); err != nil {
				t.Fatal(err)
			}
			tc.change(o)
			s, err := structpb.NewStruct(o)
			if err != nil {
				t.Fatal(err)
			}
			got := problems(&fnv1.Resource{Resource: s}, percona)
			if tc.want == "" && len(got) > 0 || tc.want != "" && !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, tc.want) }) {
				t.Errorf("%s: want a problem with %q, got %q", tc.reason, tc.want, got)
			}
		})
	}
	for name, judge := range Judges(t, filepath.Join("..", "..")) {
		if err := judge(object{"apiVersion": "dittofs.dittofs.com/v1alpha1", "kind": "X", "metadata": object{"name": "x"}, "status": object{"phase": "Pending", "typingError": true}}); err == nil {
			t.Errorf("XRD %s has nothing against a status field that it does not know", name)
		}
	}
}

func set(o object, v any, path ...string) {
	for _, p := range path[:len(path)-1] {
		m, ok := o[p].(object)
		if !ok {
			m = object{}
			o[p] = m
		}
		o = m
	}
	o[path[len(path)-1]] = v
}

// first returns the first object of a list.
func first(o object, path ...string) object {
	l, _, _ := unstructured.NestedFieldNoCopy(o, path...)
	return l.([]any)[0].(object)
}
