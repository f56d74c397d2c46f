package override_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/input/v1beta1"
	"github.com/dittofs/function-dittoserver/internal/kinds"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/override"
	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

const (
	sts = `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: files, namespace: ns, labels: {app: dittofs-server, instance: files}}
spec:
  replicas: 1
  serviceName: files-headless
  selector: {matchLabels: {app: dittofs-server, instance: files}}
  template:
    metadata: {labels: {app: dittofs-server, instance: files}, annotations: {checksum.dittoserver.fn.crossplane.io/config: abc}}
    spec:
      terminationGracePeriodSeconds: 105
      initContainers: [{name: wait-for-postgres, image: pg, command: [sh], env: [{name: PGHOST, value: h}]}]
      containers:
      - name: dittofs
        image: dfs
        command: [/app/dfs]
        args: [start]
        env: [{name: DITTOFS_DATABASE_TYPE, value: postgres}, {name: PGCONNECT_TIMEOUT, value: "5"}]
        ports: [{name: api, containerPort: 8080, protocol: TCP}]
        volumeMounts: [{name: config, mountPath: /config, readOnly: true}, {name: tmp, mountPath: /tmp}]
        livenessProbe: {periodSeconds: 10, httpGet: {path: /health, port: 8080}}
      volumes: [{name: config, configMap: {name: files-config}}, {name: tmp, emptyDir: {}}]
`
	svc = `
apiVersion: v1
kind: Service
metadata: {name: files-api, namespace: ns, labels: {app: dittofs-server}, annotations: {mine: "1"}}
spec: {type: NodePort, selector: {app: dittofs-server}, ports: [{name: api, port: 8080, protocol: TCP, targetPort: 8080}]}
`
	cluster = `
apiVersion: pgv2.percona.com/v2
kind: PerconaPGCluster
metadata: {name: files-postgres, namespace: ns, annotations: {dittoserver.fn.crossplane.io/record: "{}"}}
spec: {crVersion: 2.9.0, instances: [{name: instance1}]}
`
	monitor = `
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: files-metrics, namespace: ns}
spec: {selector: {matchLabels: {a: b}}, endpoints: [{targetPort: 9090, path: /metrics}]}
`
)

// objects are what the overrides of these tests are applied to, by resource.
var objects = map[names.Resource]string{names.Server: sts, names.API: svc, names.Postgres: cluster, names.ServiceMonitor: monitor}

func refOf(t *testing.T, r names.Resource) names.Ref {
	t.Helper()
	refs := kinds.Refs("files")
	i := slices.IndexFunc(refs, func(ref names.Ref) bool { return ref.Resource == r })
	return refs[i]
}

// read reads overrides as the Input has them.
func read(t *testing.T, y string) ([]override.Override, []string) {
	t.Helper()
	var in []v1beta1.Override
	if err := yaml.UnmarshalStrict([]byte(y), &in); err != nil {
		t.Fatal(err)
	}
	out, errs := override.Read(in, kinds.Refs(""))
	told := make([]string, 0, len(errs))
	for _, e := range errs {
		told = append(told, e.Error())
	}
	return out, told
}

func TestApply(t *testing.T) {
	pod := func(y string) string { return `[{kind: StatefulSet, patch: {spec: {template: {spec: ` + y + `}}}}]` }
	cases := map[string]struct {
		reason    string
		to        names.Resource
		overrides string
		// want is a patch that makes of the object what is wanted, as a JSON merge
		// patch; empty for the object as it was.
		want string
		err  string
	}{
		"AnotherKind":     {reason: "a patch is for its kind", to: names.API, overrides: pod(`{priorityClassName: x}`)},
		"AnotherResource": {reason: "or for its resource", to: names.API, overrides: `[{resource: nfs, patch: {metadata: {annotations: {a: b}}}}]`},
		"Label":           {reason: "labels are added", to: names.API, overrides: `[{kind: Service, patch: {metadata: {labels: {team: a}}}}]`, want: `{metadata: {labels: {team: a}}}`},
		"Both":            {reason: "later patches lie over earlier ones", to: names.API, overrides: `[{kind: Service, patch: {metadata: {labels: {team: a, other: x}}}}, {resource: api, patch: {metadata: {labels: {team: b}}}}]`, want: `{metadata: {labels: {team: b, other: x}}}`},
		"NodePort": {
			reason: "Kubernetes' own kinds are merged entry by entry", to: names.API,
			overrides: `[{resource: api, patch: {spec: {externalTrafficPolicy: Local, ports: [{port: 8080, nodePort: 30080}]}}}]`,
			want:      `{spec: {externalTrafficPolicy: Local, ports: [{name: api, port: 8080, protocol: TCP, targetPort: 8080, nodePort: 30080}]}}`,
		},
		"Sidecar": {
			reason: "a container beside the server's, and a volume of its own", to: names.Server,
			overrides: pod(`{containers: [{name: proxy, image: p}], volumes: [{name: more, emptyDir: {}}]}`),
			want: `{spec: {template: {spec: {containers: [{name: proxy, image: p}, ` + container + `],
volumes: [{name: more, emptyDir: {}}, {name: config, configMap: {name: files-config}}, {name: tmp, emptyDir: {}}]}}}}`,
		},
		"Probe": {
			reason: "what is not wired may change", to: names.Server,
			overrides: pod(`{runtimeClassName: gvisor, containers: [{name: dittofs, livenessProbe: {periodSeconds: 30}, env: [{name: GOMEMLIMIT, value: 1GiB}], volumeMounts: [{name: more, mountPath: /more}]}]}`),
			want: `{spec: {template: {spec: {runtimeClassName: gvisor, containers: [` +
				strings.NewReplacer("periodSeconds: 10", "periodSeconds: 30", `env: [`, `env: [{name: GOMEMLIMIT, value: 1GiB}, `, `volumeMounts: [`, `volumeMounts: [{name: more, mountPath: /more}, `).Replace(container) + `]}}}}`,
		},
		"Null":       {reason: "null removes", to: names.Server, overrides: pod(`{containers: [{name: dittofs, livenessProbe: null}]}`), want: `{spec: {template: {spec: {containers: [` + strings.Replace(container, ", livenessProbe: {periodSeconds: 10, httpGet: {path: /health, port: 8080}}", "", 1) + `]}}}}`},
		"NullOfNone": {reason: "and leaves no trace where there is nothing", to: names.Server, overrides: pod(`{affinity: {nodeAffinity: null}, dnsPolicy: null}`), want: `{spec: {template: {spec: {affinity: {}}}}}`},
		"NullOfNew": {
			reason: "nor in what is added", to: names.Server, overrides: pod(`{hostAliases: [{ip: 1.2.3.4, hostnames: null}], containers: [{name: proxy, image: p, resources: null, env: [{name: A, value: null}]}]}`),
			want: `{spec: {template: {spec: {hostAliases: [{ip: 1.2.3.4}], containers: [{name: proxy, image: p, env: [{name: A}]}, ` + container + `]}}}}`,
		},
		"NullOfMonitor": {
			reason: "whatever the kind", to: names.ServiceMonitor, overrides: `[{kind: ServiceMonitor, patch: {spec: {sampleLimit: null, endpoints: [{port: metrics, path: null}], attachMetadata: {node: null}}}}]`,
			want: `{spec: {endpoints: [{port: metrics}], attachMetadata: {}}}`,
		},
		"PodLabel":    {reason: "the pod's labels may grow", to: names.Server, overrides: `[{kind: StatefulSet, patch: {spec: {template: {metadata: {labels: {a: b}, annotations: {c: d}}}}}}]`, want: `{spec: {template: {metadata: {labels: {a: b}, annotations: {c: d}}}}}`},
		"Percona":     {reason: "a list of another kind is replaced", to: names.Postgres, overrides: `[{kind: PerconaPGCluster, patch: {spec: {proxy: {pgBouncer: {replicas: 2, image: b}}, patroni: {dynamicConfiguration: {postgresql: {parameters: {work_mem: 8MB}}}}}}}]`, want: `{spec: {proxy: {pgBouncer: {replicas: 2, image: b}}, patroni: {dynamicConfiguration: {postgresql: {parameters: {work_mem: 8MB}}}}}}`},
		"PerconaNew":  {reason: "Percona's operator may be newer than the types known here", to: names.Postgres, overrides: `[{kind: PerconaPGCluster, patch: {spec: {pmm: {newest: 1}}}}]`, want: `{spec: {pmm: {newest: 1}}}`},
		"Monitor":     {reason: "and so is that of the endpoints", to: names.ServiceMonitor, overrides: `[{kind: ServiceMonitor, patch: {spec: {sampleLimit: 5, endpoints: [{port: metrics, honorLabels: true}]}}}]`, want: `{spec: {sampleLimit: 5, endpoints: [{port: metrics, honorLabels: true}]}}`},
		"Image":       {reason: "the image is the record's", to: names.Server, overrides: pod(`{containers: [{name: dittofs, image: other}]}`), err: "spec.template.spec.containers[dittofs].image of StatefulSet files"},
		"Command":     {reason: "the command is what runs", to: names.Server, overrides: pod(`{containers: [{name: dittofs, args: [version]}]}`), err: "containers[dittofs].args"},
		"Database":    {reason: "another database would be empty", to: names.Server, overrides: pod(`{containers: [{name: dittofs, env: [{name: DITTOFS_DATABASE_TYPE, value: sqlite}]}]}`), err: "containers[dittofs].env[DITTOFS_DATABASE_TYPE]"},
		"Variable":    {reason: "the server's variables win over its configuration", to: names.Server, overrides: pod(`{containers: [{name: dittofs, env: [{name: DITTOFS_CONTROLPLANE_PORT, value: "1"}]}]}`), err: "containers[dittofs].env[DITTOFS_CONTROLPLANE_PORT]"},
		"EnvFrom":     {reason: "nobody knows what is in there", to: names.Server, overrides: pod(`{containers: [{name: dittofs, envFrom: [{secretRef: {name: x}}]}]}`), err: "containers[dittofs].envFrom"},
		"Shadow":      {reason: "what is mounted within hides what is there", to: names.Server, overrides: pod(`{containers: [{name: dittofs, volumeMounts: [{name: x, mountPath: /config/config.yaml}]}]}`), err: "containers[dittofs].volumeMounts[/config/config.yaml]"},
		"Volume":      {reason: "a volume stays what it is", to: names.Server, overrides: pod(`{volumes: [{name: config, configMap: {name: mine}}]}`), err: "spec.template.spec.volumes[config]"},
		"NoContainer": {reason: "the server stays", to: names.Server, overrides: pod(`{containers: [{name: dittofs, $patch: delete}]}`), err: "spec.template.spec.containers[dittofs]"},
		"NoGate":      {reason: "and so does what waits for its database", to: names.Server, overrides: pod(`{initContainers: [{$patch: replace}]}`), err: "spec.template.spec.initContainers[wait-for-postgres]"},
		"Replaced":    {reason: "nor is all of it replaced", to: names.Server, overrides: `[{kind: StatefulSet, patch: {spec: {template: {$patch: replace, spec: {containers: []}}}}}]`, err: "spec.template"},
		"Selected":    {reason: "the pod is found by its labels", to: names.Server, overrides: `[{kind: StatefulSet, patch: {spec: {template: {metadata: {labels: {app: mine}}}}}}]`, err: "spec.template.metadata.labels[app]"},
		"NoLabels":    {reason: "labels are not removed", to: names.API, overrides: `[{kind: Service, patch: {metadata: {labels: null}}}]`, err: "metadata.labels[app]"},
		"Annotation":  {reason: "nor are annotations of ours changed", to: names.API, overrides: `[{kind: Service, patch: {metadata: {annotations: {mine: "2"}}}}]`, err: "metadata.annotations[mine]"},
		"TargetPort":  {reason: "a Service leads to the server", to: names.API, overrides: `[{kind: Service, patch: {spec: {ports: [{port: 8080, targetPort: 1}]}}}]`, err: "spec.ports[8080/TCP].targetPort"},
		"NoSpec":      {reason: "nothing on the way is replaced", to: names.API, overrides: `[{kind: Service, patch: {spec: {$patch: replace}}}]`, err: "spec."},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			os, errs := read(t, tc.overrides)
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			o := yamltest.Struct(t, objects[tc.to])
			before := structpb.NewStructValue(o).AsInterface()
			got, err := override.Apply(os, refOf(t, tc.to), o)
			if diff := cmp.Diff(before, structpb.NewStructValue(o).AsInterface()); diff != "" {
				t.Errorf("%s: the object itself is changed: -before, +after:\n%s", tc.reason, diff)
			}
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) || !strings.HasPrefix(err.Error(), "input.overrides[0].patch: ") {
					t.Errorf("%s: want an error of %s, got %v", tc.reason, tc.err, err)
				}
				return
			}
			if err != nil {
				t.Fatalf("%s: %v", tc.reason, err)
			}
			want := merged(objectOf(t, objects[tc.to]), objectOf(t, tc.want))
			if diff := cmp.Diff(want, got.AsMap()); diff != "" {
				t.Errorf("%s\nApply(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// container is the server's, in YAML.
const container = `{name: dittofs, image: dfs, command: [/app/dfs], args: [start], env: [{name: DITTOFS_DATABASE_TYPE, value: postgres}, {name: PGCONNECT_TIMEOUT, value: "5"}], ` +
	`ports: [{name: api, containerPort: 8080, protocol: TCP}], volumeMounts: [{name: config, mountPath: /config, readOnly: true}, {name: tmp, mountPath: /tmp}], livenessProbe: {periodSeconds: 10, httpGet: {path: /health, port: 8080}}}`

func objectOf(t *testing.T, y string) map[string]any {
	t.Helper()
	return yamltest.Struct(t, y).AsMap()
}

// merged is o with what a patch without nulls says.
func merged(o, patch map[string]any) map[string]any {
	for k, v := range patch {
		inner, ok := v.(map[string]any)
		is, there := o[k].(map[string]any)
		if !ok || !there {
			o[k] = v
			continue
		}
		o[k] = merged(is, inner)
	}
	return o
}

func TestRead(t *testing.T) {
	cases := map[string]struct {
		reason    string
		overrides string
		want      []string
	}{
		"None": {reason: "there need not be any", overrides: `[]`},
		"Neither": {
			reason: "a patch is of something", overrides: `[{patch: {metadata: {labels: {a: b}}}}]`,
			want: []string{"input.overrides[0]: Invalid value: must have either a kind or a resource"},
		},
		"BothGiven": {
			reason: "and not of two things", overrides: `[{kind: Service, resource: api, patch: {metadata: {labels: {a: b}}}}]`,
			want: []string{"input.overrides[0]: Invalid value: must have either a kind or a resource"},
		},
		"UnknownKind": {
			reason: "that is composed", overrides: `[{kind: Deployment, patch: {metadata: {labels: {a: b}}}}]`,
			want: []string{`input.overrides[0].kind: Unsupported value: "Deployment": supported values: "ConfigMap", "NetworkPolicy", "PerconaPGCluster", "Secret", "Service", "ServiceMonitor", "StatefulSet"`},
		},
		"UnknownResource": {
			reason: "by its name", overrides: `[{resource: files-api, patch: {metadata: {labels: {a: b}}}}]`,
			want: []string{`input.overrides[0].resource: Unsupported value: "files-api": supported values: "admin", "api", "backup-credentials", "config", "headless", "jwt", "metrics", "network-policy", "network-policy-nfs", "network-policy-smb", "nfs", "postgres", "server", "service-monitor", "smb"`},
		},
		"NoPatch":   {reason: "nothing is no patch", overrides: `[{kind: Service}]`, want: []string{"input.overrides[0].patch: Required value: an object: what is to be merged into the composed one"}},
		"NotAPatch": {reason: "nor is a list of operations", overrides: `[{kind: Service, patch: [{op: remove}]}]`, want: []string{"input.overrides[0].patch: Required value: an object: what is to be merged into the composed one"}},
		"Identity": {
			reason: "an object is found by these", overrides: `[{resource: api, patch: {kind: Pod, metadata: {name: x, namespace: y, ownerReferences: [], finalizers: [z]}}}]`,
			want: []string{
				"input.overrides[0].patch.kind: Forbidden: is out of the reach of overrides. Of a Service may be patched: metadata.labels, metadata.annotations, spec",
				"input.overrides[0].patch.metadata.finalizers: Forbidden: is out of the reach of overrides. Of a Service may be patched: metadata.labels, metadata.annotations, spec",
				"input.overrides[0].patch.metadata.name: Forbidden: is out of the reach of overrides. Of a Service may be patched: metadata.labels, metadata.annotations, spec",
				"input.overrides[0].patch.metadata.namespace: Forbidden: is out of the reach of overrides. Of a Service may be patched: metadata.labels, metadata.annotations, spec",
				"input.overrides[0].patch.metadata.ownerReferences: Forbidden: is out of the reach of overrides. Of a Service may be patched: metadata.labels, metadata.annotations, spec",
			},
		},
		"Ownership": {
			reason: "Crossplane finds what it composed by these", overrides: `[{resource: config, patch: {metadata: {labels: {crossplane.io/composite: x}, annotations: {crossplane.io/composition-resource-name: x, dittoserver.fn.crossplane.io/record: x, example.org/ours: y}}}}]`,
			want: []string{
				"input.overrides[0].patch.metadata.annotations[crossplane.io/composition-resource-name]: Forbidden: belongs to Crossplane, Percona's operator or this function; take it out",
				"input.overrides[0].patch.metadata.annotations[dittoserver.fn.crossplane.io/record]: Forbidden: belongs to Crossplane, Percona's operator or this function; take it out",
				"input.overrides[0].patch.metadata.labels[crossplane.io/composite]: Forbidden: belongs to Crossplane, Percona's operator or this function; take it out",
			},
		},
		"Checksums": {
			reason: "and the pod's are what replaces it", overrides: `[{kind: StatefulSet, patch: {spec: {template: {metadata: {annotations: {checksum.dittoserver.fn.crossplane.io/config: x}}}}}}]`,
			want: []string{"input.overrides[0].patch.spec.template.metadata.annotations[checksum.dittoserver.fn.crossplane.io/config]: Forbidden: belongs to Crossplane, Percona's operator or this function; take it out"},
		},
		"Immutable": {
			reason: "what cannot be changed, or decides over volumes", overrides: `[{resource: server, patch: {spec: {replicas: 3, volumeClaimTemplates: [], template: {spec: {terminationGracePeriodSeconds: 1}}}}}]`,
			want: []string{
				"input.overrides[0].patch.spec.replicas: Forbidden: is out of the reach of overrides. Of a StatefulSet may be patched: metadata.labels, metadata.annotations, spec.template, spec.minReadySeconds, spec.revisionHistoryLimit",
				"input.overrides[0].patch.spec.template.spec.terminationGracePeriodSeconds: Forbidden: is out of the reach of overrides; take it out, and use the fields of a server's spec, which defaults can set for all of them",
				"input.overrides[0].patch.spec.volumeClaimTemplates: Forbidden: is out of the reach of overrides. Of a StatefulSet may be patched: metadata.labels, metadata.annotations, spec.template, spec.minReadySeconds, spec.revisionHistoryLimit",
			},
		},
		"ClusterIP": {
			reason: "nor what leads to the server", overrides: `[{kind: Service, patch: {spec: {clusterIP: 10.0.0.1, selector: {a: b}}}}]`,
			want: []string{
				"input.overrides[0].patch.spec.clusterIP: Forbidden: is out of the reach of overrides; take it out, and use the fields of a server's spec, which defaults can set for all of them",
				"input.overrides[0].patch.spec.selector: Forbidden: is out of the reach of overrides; take it out, and use the fields of a server's spec, which defaults can set for all of them",
			},
		},
		"Data": {
			reason: "nor what holds the data", overrides: `[{kind: PerconaPGCluster, patch: {spec: {instances: [], backups: null}}}]`,
			want: []string{
				"input.overrides[0].patch.spec.backups: Forbidden: is out of the reach of overrides. Of a PerconaPGCluster may be patched: metadata.labels, metadata.annotations, spec.expose, spec.exposeReplicas, spec.extensions, spec.metadata, spec.openshift, spec.patroni, spec.pmm, spec.proxy",
				"input.overrides[0].patch.spec.instances: Forbidden: is out of the reach of overrides. Of a PerconaPGCluster may be patched: metadata.labels, metadata.annotations, spec.expose, spec.exposeReplicas, spec.extensions, spec.metadata, spec.openshift, spec.patroni, spec.pmm, spec.proxy",
			},
		},
		"Secrets": {
			reason: "nor what is secret", overrides: `[{kind: Secret, patch: {stringData: {a: b}}}]`,
			want: []string{"input.overrides[0].patch.stringData: Forbidden: is out of the reach of overrides. Of a Secret may be patched: metadata.labels, metadata.annotations"},
		},
		"OnTheWay": {
			reason: "nothing is replaced that holds more than may be patched", overrides: `[{kind: StatefulSet, patch: {spec: null}}, {kind: StatefulSet, patch: {spec: {$patch: replace}}}]`,
			want: []string{
				"input.overrides[0].patch.spec: Invalid value: must be an object: what it holds cannot be replaced or removed as a whole",
				"input.overrides[1].patch.spec.$patch: Forbidden: directives may only be where something may be patched: metadata.labels, metadata.annotations, spec.template, spec.minReadySeconds, spec.revisionHistoryLimit",
			},
		},
		"Directives": {
			reason: "only one directive is known", overrides: `[{kind: StatefulSet, patch: {spec: {template: {spec: {$setElementOrder/containers: [], containers: [{name: x, $patch: remove}]}}}}}]`,
			want: []string{
				"input.overrides[0].patch.spec.template.spec.$setElementOrder/containers: Forbidden: is not supported; the only directive is $patch",
				`input.overrides[0].patch.spec.template.spec.containers[0].$patch: Unsupported value: "remove": supported values: "delete", "merge", "replace"`,
			},
		},
		"Typo": {
			reason: "a field that is not known would be dropped in silence", overrides: `[{kind: StatefulSet, patch: {spec: {template: {spec: {hostAlias: [], containers: [{name: x, imagePolicy: y}]}}}}}]`,
			want: []string{
				"input.overrides[0].patch.spec.template.spec.containers[0].imagePolicy: Forbidden: is not a field of a StatefulSet; check for typos",
				"input.overrides[0].patch.spec.template.spec.hostAlias: Forbidden: is not a field of a StatefulSet; check for typos",
			},
		},
		"Type": {
			reason: "a value is of its field's type", overrides: `[{kind: StatefulSet, patch: {spec: {minReadySeconds: soon}}}]`,
			want: []string{`input.overrides[0].patch.spec.minReadySeconds: Invalid value: "soon": must be of type integer, not string`},
		},
		"Several": {
			reason: "each of them is told", overrides: `[{kind: Service, patch: {metadata: {labels: {a: b}}}}, {kind: X, patch: {}}, {resource: nowhere, patch: {}}]`,
			want: []string{
				`input.overrides[1].kind: Unsupported value: "X": supported values: "ConfigMap", "NetworkPolicy", "PerconaPGCluster", "Secret", "Service", "ServiceMonitor", "StatefulSet"`,
				`input.overrides[2].resource: Unsupported value: "nowhere": supported values: "admin", "api", "backup-credentials", "config", "headless", "jwt", "metrics", "network-policy", "network-policy-nfs", "network-policy-smb", "nfs", "postgres", "server", "service-monitor", "smb"`,
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, got := read(t, tc.overrides)
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s\nRead(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestEveryKind guards that everything that is composed can be patched, and keeps its
// identity.
func TestEveryKind(t *testing.T) {
	for _, ref := range kinds.Refs("files") {
		os, errs := read(t, fmt.Sprintf(`[{kind: %s, patch: {metadata: {labels: {team: a}}}}, {resource: %s, patch: {metadata: {annotations: {b: c}}}}]`, ref.Kind, ref.Resource))
		if len(errs) > 0 {
			t.Errorf("%s: %v", ref.Kind, errs)
			continue
		}
		o := yamltest.Struct(t, fmt.Sprintf(`{apiVersion: %s, kind: %s, metadata: {name: %s, namespace: ns}}`, ref.APIVersion, ref.Kind, ref.Name))
		got, err := override.Apply(os, ref, o)
		if err != nil {
			t.Errorf("%s: %v", ref.Kind, err)
			continue
		}
		want := yamltest.Struct(t, fmt.Sprintf(`{apiVersion: %s, kind: %s, metadata: {name: %s, namespace: ns, labels: {team: a}, annotations: {b: c}}}`, ref.APIVersion, ref.Kind, ref.Name))
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("%s: -want, +got:\n%s", ref.Kind, diff)
		}
	}
}

// TestAnyPatch: whatever a patch says, it is an error or leaves alone what must stay, the
// same each time, and does not panic.
func TestAnyPatch(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	keys := []string{
		"metadata", "labels", "annotations", "spec", "template", "containers", "initContainers", "volumes", "env", "ports", "volumeMounts", "name", "mountPath", "containerPort",
		"image", "args", "selector", "app", "instance", "$patch", "emptyDir", "affinity", "nodeSelector", "tolerations", "value", "port", "targetPort", "minReadySeconds", "matchLabels",
	}
	values := []any{nil, "dittofs", "config", "replace", "delete", "DITTOFS_DATABASE_TYPE", 8080.0, true, "/config", "x"}
	var random func(depth int) any
	random = func(depth int) any {
		switch n := r.IntN(10); {
		case depth > 6 || n < 3:
			return values[r.IntN(len(values))]
		case n < 5:
			out := []any{}
			for range r.IntN(3) {
				out = append(out, random(depth+1))
			}
			return out
		}
		out := map[string]any{}
		for range r.IntN(4) {
			out[keys[r.IntN(len(keys))]] = random(depth + 1)
		}
		return out
	}
	applied, o := 0, yamltest.Struct(t, sts)
	for range 3000 {
		inner := random(0)
		// Most of them go where something may be patched.
		patch := map[string]any{"spec": map[string]any{"template": map[string]any{"spec": inner}}}
		if r.IntN(3) == 0 {
			patch = map[string]any{"metadata": inner, "spec": random(0)}
		}
		b, err := json.Marshal(patch)
		if err != nil {
			t.Fatal(err)
		}
		os, errs := override.Read([]v1beta1.Override{{Kind: names.StatefulSetKind, Patch: &runtime.RawExtension{Raw: b}}}, kinds.Refs(""))
		if len(errs) > 0 {
			continue
		}
		got, err := override.Apply(os, refOf(t, names.Server), o)
		again, err2 := override.Apply(os, refOf(t, names.Server), o)
		if (err == nil) != (err2 == nil) || !cmp.Equal(got, again, protocmp.Transform()) {
			t.Fatalf("%s: not the same twice", b)
		}
		if err != nil {
			continue
		}
		applied++
		o := got.AsMap()
		image, selector := "", ""
		for _, c := range lookup(o, "spec", "template", "spec", "containers").([]any) {
			if m := c.(map[string]any); m["name"] == "dittofs" {
				image = fmt.Sprintf("%v %v %v", m["image"], m["args"], m["command"])
			}
		}
		selector = fmt.Sprintf("%v %v %v", lookup(o, "spec", "selector"), lookup(o, "metadata", "name"), lookup(o, "spec", "template", "metadata", "labels", "app"))
		if image != "dfs [start] [/app/dfs]" || selector != "map[matchLabels:map[app:dittofs-server instance:files]] files dittofs-server" {
			t.Fatalf("%s: the server has become something else: %v", b, o)
		}
	}
	if applied < 50 {
		t.Errorf("only %d patches were applied", applied)
	}
}

func lookup(o any, path ...string) any {
	for _, p := range path {
		m, _ := o.(map[string]any)
		o = m[p]
	}
	return o
}
