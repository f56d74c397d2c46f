package moving

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

func TestDiff(t *testing.T) {
	cases := map[string]struct {
		reason  string
		was, is string
		want    []string
	}{
		"Nothing": {
			reason: "marks of Crossplane's, the status and what the API server keeps are no changes",
			was:    `{kind: Service, metadata: {name: s, uid: u, resourceVersion: "1"}, spec: {type: ClusterIP}, status: {a: b}}`,
			is:     `{kind: Service, metadata: {name: s, uid: u, resourceVersion: "2", generation: 2, labels: {crossplane.io/composite: x}, annotations: {crossplane.io/composition-resource-name: api, dittoserver.fn.crossplane.io/record: "{}"}}, spec: {type: ClusterIP}, status: {}}`,
		},
		"Values": {
			reason: "values that are short are shown",
			was:    `{spec: {type: LoadBalancer, replicas: 1, flag: true}}`,
			is:     `{spec: {type: ClusterIP, replicas: 2, flag: false}}`,
			want:   []string{"~ spec.flag: true -> false", "~ spec.replicas: 1 -> 2", "~ spec.type: LoadBalancer -> ClusterIP"},
		},
		"Credentials": {
			reason: "what may be one is not",
			was:    `{data: {k: canary}, stringData: {k: canary}, spec: {env: [{name: A, value: canary}], backups: {global: {repo1-s3-key: canary}}, args: [--password=canary]}}`,
			is:     `{data: {k: other}, stringData: {k: other}, spec: {env: [{name: A, value: other}], backups: {global: {repo1-s3-key: other}}, args: [--password=other]}}`,
			want:   []string{"~ data.k", "~ spec.args", "~ spec.backups.global.repo1-s3-key", "~ spec.env[A].value", "~ stringData.k"},
		},
		"Lists": {
			reason: "entries are known by their names, ports by number and protocol, and mounts by their paths",
			was:    `{spec: {ports: [{name: nfs, port: 1, protocol: UDP}, {name: a, port: 1, protocol: TCP}], containers: [{name: c, image: "x:1"}, {name: d}], volumeMounts: [{name: v, mountPath: /a}], volumeClaimTemplates: [{metadata: {name: m}, spec: {size: 1}}]}}`,
			is:     `{spec: {ports: [{name: b, port: 1, protocol: TCP}, {name: new, port: 2}], containers: [{name: c, image: "x:2"}], volumeMounts: [{name: v, mountPath: /a, readOnly: true}, {name: v, mountPath: /b}], volumeClaimTemplates: [{metadata: {name: m}, spec: {size: 2}}]}}`,
			want: []string{
				"~ spec.containers[c].image: x:1 -> x:2", "- spec.containers[d]",
				"~ spec.ports[1/TCP].name: a -> b", "- spec.ports[1/UDP]", "+ spec.ports[2/TCP]",
				"~ spec.volumeClaimTemplates[m].spec.size: 1 -> 2",
				"+ spec.volumeMounts[/a].readOnly", "+ spec.volumeMounts[/b]",
			},
		},
		"Plain": {
			reason: "a list of values is one field",
			was:    `{spec: {list: [a, b]}}`, is: `{spec: {list: [a]}}`,
			want: []string{"~ spec.list"},
		},
		"Metadata": {
			reason: "labels, annotations, owners and finalizers of others count",
			was:    `{metadata: {labels: {a: b}, annotations: {example.com/x: "1"}, ownerReferences: [{kind: DittoServer, name: f, uid: u}], finalizers: [x/y]}}`,
			is:     `{metadata: {labels: {a: c}, ownerReferences: [{kind: DittoServer, name: f, uid: v}, {kind: Secret, name: s, uid: w}]}}`,
			want:   []string{"- metadata.annotations[example.com/x]", "- metadata.finalizers[x/y]", "~ metadata.labels.a: b -> c", "+ metadata.ownerReferences[Secret s]"},
		},
		"Empty": {
			reason: "an object that comes to be empty is no change",
			was:    `{spec: {}}`, is: `{spec: {resources: {}, list: []}}`,
		},
		"Long": {
			reason: "a long value would make the table unreadable",
			was:    `{spec: {a: x}}`, is: `{spec: {a: ` + strings.Repeat("y", 100) + `}}`,
			want: []string{"~ spec.a"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			object := func(y string) *unstructured.Unstructured {
				return &unstructured.Unstructured{Object: yamltest.Struct(t, y).AsMap()}
			}
			var got []string
			for _, c := range Diff(object(tc.was), object(tc.is)) {
				got = append(got, c.String())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\nDiff(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
