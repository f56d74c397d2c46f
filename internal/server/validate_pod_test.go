package server_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/internal/names"
)

// TestInvalidPod: what the API server would refuse the whole StatefulSet for, and what
// would replace something of the function's, is refused by the name of its field.
func TestInvalidPod(t *testing.T) {
	const (
		qualified = `name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`
		value     = `a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`
		subdomain = `a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`
		topology  = "the label of a node that names its zone or the node itself, such as topology.kubernetes.io/zone"
		source    = "must have exactly one source: secretKeyRef, configMapKeyRef, fieldRef or resourceFieldRef"
		required  = "requiredDuringSchedulingIgnoredDuringExecution"
		preferred = "preferredDuringSchedulingIgnoredDuringExecution"
	)
	cases := map[string]struct {
		reason   string
		spec     string
		defaults string
		want     []string
	}{
		"Valid": {
			reason: "everything that a pod may say of where it runs",
			spec: `
nodeSelector: {disktype: ssd}
tolerations: [{operator: Exists}, {key: a/b, value: c, effect: NoSchedule}, {key: d, operator: Exists, effect: NoExecute, tolerationSeconds: 60}]
topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule, minDomains: 2, nodeTaintsPolicy: Honor, labelSelector: {matchLabels: {app: dittofs-server}}, matchLabelKeys: [x]}, {maxSkew: 2, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]
priorityClassName: high
imagePullSecrets: [{name: pull}]
serviceAccountName: files
extraEnv: [{name: DITTOFS_ENCRYPTION_PASSPHRASE, valueFrom: {secretKeyRef: {name: s, key: k}}}, {name: TZ, value: UTC}, {name: EMPTY}, {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}, {name: GOMEMLIMIT, valueFrom: {resourceFieldRef: {resource: limits.memory}}}, {name: C, valueFrom: {configMapKeyRef: {name: c, key: k}}}]
podAnnotations: {example.com/a: "any text: {}", sidecar.istio.io/inject: "false"}
podLabels: {team: storage}
affinity:
  nodeAffinity:
    ` + required + `: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: In, values: [b]}, {key: cpus, operator: Gt, values: ["1"]}]}, {matchFields: [{key: metadata.name, operator: In, values: [node]}]}]}
    ` + preferred + `: [{weight: 100, preference: {matchExpressions: [{key: a, operator: Exists}]}}]
  podAffinity:
    ` + required + `: [{topologyKey: zone, labelSelector: {}, namespaceSelector: {}, namespaces: [team-a]}]
  podAntiAffinity:
    ` + preferred + `: [{weight: 1, podAffinityTerm: {topologyKey: zone, labelSelector: {matchExpressions: [{key: a, operator: NotIn, values: [b]}]}}}]`,
		},
		"NodeAffinity": {
			reason: "terms match something, with an operator that is one, and preferences have a weight",
			spec: `{affinity: {nodeAffinity: {
` + required + `: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Is, values: [b]}, {key: a, operator: In}]}, {matchFields: [{key: metadata.name, operator: Exists}]}]},
` + preferred + `: [{weight: 0, preference: {matchExpressions: [{key: a, operator: Gt, values: [x]}]}}]}}}`,
			want: []string{
				`spec.affinity.nodeAffinity.` + required + `.nodeSelectorTerms[0].matchExpressions[0].operator: Unsupported value: "Is": supported values: "In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"`,
				`spec.affinity.nodeAffinity.` + required + `.nodeSelectorTerms[0].matchExpressions[1].values: Invalid value: null: for 'in', 'notin' operators, values set can't be empty`,
				`spec.affinity.nodeAffinity.` + required + `.nodeSelectorTerms[1].matchFields[0].operator: Unsupported value: "Exists": supported values: "In", "NotIn"`,
				`spec.affinity.nodeAffinity.` + preferred + `[0].weight: Invalid value: 0: must be between 1 and 100`,
				`spec.affinity.nodeAffinity.` + preferred + `[0].matchExpressions[0].values[0]: Invalid value: "x": for 'Gt', 'Lt' operators, the value must be an integer`,
			},
		},
		"NoTerms": {
			reason: "no term matches no node",
			spec:   `{affinity: {nodeAffinity: {` + required + `: {}}}}`,
			want:   []string{`spec.affinity.nodeAffinity.` + required + `.nodeSelectorTerms: Required value: at least one term, of which a node has to match one`},
		},
		"PodAffinity": {
			reason: "both kinds, required and preferred",
			spec: `{affinity: {
podAffinity: {` + required + `: [{labelSelector: {matchLabels: {"b ": x, a: "y "}}, namespaces: [A]}]},
podAntiAffinity: {` + preferred + `: [{weight: 101, podAffinityTerm: {topologyKey: "a b", matchLabelKeys: [x], mismatchLabelKeys: [" "], namespaceSelector: {matchExpressions: [{key: a, operator: In}]}}}]}}}`,
			want: []string{
				`spec.affinity.podAffinity.` + required + `[0].topologyKey: Required value: ` + topology,
				`spec.affinity.podAffinity.` + required + `[0].labelSelector.matchLabels: Invalid value: "b ": ` + qualified,
				`spec.affinity.podAffinity.` + required + `[0].labelSelector.matchLabels: Invalid value: "y ": ` + value,
				`spec.affinity.podAffinity.` + required + `[0].namespaces[0]: Invalid value: "A": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`,
				`spec.affinity.podAntiAffinity.` + preferred + `[0].weight: Invalid value: 101: must be between 1 and 100`,
				`spec.affinity.podAntiAffinity.` + preferred + `[0].podAffinityTerm.topologyKey: Invalid value: "a b": ` + qualified,
				`spec.affinity.podAntiAffinity.` + preferred + `[0].podAffinityTerm.namespaceSelector.matchExpressions[0].values: Required value: must be specified when ` + "`operator` is 'In' or 'NotIn'",
				`spec.affinity.podAntiAffinity.` + preferred + `[0].podAffinityTerm.matchLabelKeys: Forbidden: needs a labelSelector beside it`,
				`spec.affinity.podAntiAffinity.` + preferred + `[0].podAffinityTerm.mismatchLabelKeys: Forbidden: needs a labelSelector beside it`,
				`spec.affinity.podAntiAffinity.` + preferred + `[0].podAffinityTerm.mismatchLabelKeys[0]: Invalid value: " ": ` + qualified,
			},
		},
		"NodeSelector": {
			reason:   "labels have a form, and a default's error is the platform's",
			spec:     `{nodeSelector: {"a b": c}}`,
			defaults: `{nodeSelector: {d: "e f"}}`,
			want: []string{
				`spec.nodeSelector: Invalid value: "a b": ` + qualified,
				`input.defaults.nodeSelector: Invalid value: "e f": ` + value,
			},
		},
		"Tolerations": {
			reason: "what the API server says of tolerations",
			spec:   `{tolerations: [{}, {key: a, operator: Like}, {key: a, operator: Exists, value: b}, {key: a, value: "b c"}, {key: a, effect: Never}, {key: a, effect: NoSchedule, tolerationSeconds: 1}, {key: " ", operator: Exists}]}`,
			want: []string{
				`spec.tolerations[0].key: Required value: the key of a taint; with operator: Exists it may be left out, for all taints`,
				`spec.tolerations[1].operator: Unsupported value: "Like": supported values: "Equal", "Exists"`,
				`spec.tolerations[2].value: Invalid value: "b": must be empty where operator is Exists`,
				`spec.tolerations[3].value: Invalid value: "b c": ` + value,
				`spec.tolerations[4].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"`,
				`spec.tolerations[5].effect: Invalid value: "NoSchedule": must be NoExecute where tolerationSeconds is set`,
				`spec.tolerations[6].key: Invalid value: " ": ` + qualified,
			},
		},
		"TopologySpread": {
			reason: "what the API server says of spreading",
			spec: `{topologySpreadConstraints: [
{maxSkew: 0, whenUnsatisfiable: Perhaps, minDomains: 0, nodeAffinityPolicy: Maybe, nodeTaintsPolicy: Never, labelSelector: {matchExpressions: [{key: a, operator: Is}]}},
{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, minDomains: 1, matchLabelKeys: [a]},
{maxSkew: 2, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]}`,
			want: []string{
				`spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be at least 1`,
				`spec.topologySpreadConstraints[0].topologyKey: Required value: ` + topology,
				`spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: "Perhaps": supported values: "DoNotSchedule", "ScheduleAnyway"`,
				`spec.topologySpreadConstraints[0].minDomains: Invalid value: 0: must be at least 1`,
				`spec.topologySpreadConstraints[0].nodeAffinityPolicy: Unsupported value: "Maybe": supported values: "Honor", "Ignore"`,
				`spec.topologySpreadConstraints[0].nodeTaintsPolicy: Unsupported value: "Never": supported values: "Honor", "Ignore"`,
				`spec.topologySpreadConstraints[0].labelSelector.matchExpressions[0].operator: Invalid value: "Is": not a valid selector operator`,
				`spec.topologySpreadConstraints[1].minDomains: Invalid value: 1: needs whenUnsatisfiable: DoNotSchedule`,
				`spec.topologySpreadConstraints[1].matchLabelKeys: Forbidden: needs a labelSelector beside it`,
				`spec.topologySpreadConstraints[2]: Duplicate value: "zone with ScheduleAnyway"`,
			},
		},
		"Names": {
			reason: "what is named is an object",
			spec:   `{priorityClassName: High, serviceAccountName: a_b, imagePullSecrets: [{}, {name: A}]}`,
			want: []string{
				`spec.priorityClassName: Invalid value: "High": ` + subdomain,
				`spec.imagePullSecrets[0].name: Required value: the name of a Secret in the server's namespace`,
				`spec.imagePullSecrets[1].name: Invalid value: "A": ` + subdomain,
				`spec.serviceAccountName: Invalid value: "a_b": ` + subdomain,
			},
		},
		"EnvOfOurs": {
			reason: "nothing may be wired over the function's head, whether the function sets it for this server or not",
			spec:   `{extraEnv: [{name: DITTOFS_DATABASE_TYPE, value: sqlite}, {name: DATABASE_URL}, {name: PGSSLMODE, value: disable}, {name: DITTOFS_CONTROLPLANE_PORT, value: "1"}, {name: KRB5_CONFIG, value: /x}, {name: DITTOFS_SHUTDOWN_TIMEOUT, value: 1s}]}`,
			want: []string{
				`spec.extraEnv[0].name: Invalid value: "DITTOFS_DATABASE_TYPE": would replace what the function wires the server by; remove it, and set database or percona`,
				`spec.extraEnv[1].name: Invalid value: "DATABASE_URL": would replace what the function wires the server by; remove it, and set database or percona`,
				`spec.extraEnv[2].name: Invalid value: "PGSSLMODE": would replace what the function wires the server by; remove it, and set database or percona`,
				`spec.extraEnv[3].name: Invalid value: "DITTOFS_CONTROLPLANE_PORT": would replace what the function wires the server by; remove it, and set controlPlane or identity.jwt`,
				`spec.extraEnv[4].name: Invalid value: "KRB5_CONFIG": would replace what the function wires the server by; remove it, and set identity.kerberos`,
				`spec.extraEnv[5].name: Invalid value: "DITTOFS_SHUTDOWN_TIMEOUT": would replace what the function wires the server by; remove it, and set terminationGracePeriodSeconds`,
			},
		},
		"EnvOfThePlatform": {
			reason:   "an error of a default is the platform's",
			defaults: `{extraEnv: [{name: PGHOST, value: h}]}`,
			want:     []string{`input.defaults.extraEnv[0].name: Invalid value: "PGHOST": would replace what the function wires the server by; remove it, and set database or percona`},
		},
		"EnvNames": {
			reason: "two variables of one name are one",
			spec:   `{extraEnv: [{name: "A B"}, {name: A, value: "1"}, {name: A, value: "2"}]}`,
			want: []string{
				`spec.extraEnv[0].name: Invalid value: "A B": a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for validation is '[-._a-zA-Z][-._a-zA-Z0-9]*')`,
				`spec.extraEnv[2].name: Duplicate value: "A"`,
			},
		},
		"EnvSources": {
			reason: "a value comes from one place, which is named in full",
			spec: `{extraEnv: [{name: A, valueFrom: {}}, {name: B, value: b, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}, {name: C, valueFrom: {secretKeyRef: {name: s, key: k}, fieldRef: {fieldPath: spec.nodeName}}},
{name: D, valueFrom: {secretKeyRef: {}}}, {name: E, valueFrom: {configMapKeyRef: {name: A, key: "a b"}}}, {name: F, valueFrom: {fieldRef: {}}}, {name: G, valueFrom: {resourceFieldRef: {}}}, {name: H, valueFrom: {fileKeyRef: {volumeName: config, path: p, key: k}}}]}`,
			want: []string{
				`spec.extraEnv[0].valueFrom: Invalid value: 0: ` + source,
				`spec.extraEnv[1].valueFrom: Forbidden: there is a value already; remove one of them`,
				`spec.extraEnv[2].valueFrom: Invalid value: 2: ` + source,
				`spec.extraEnv[3].valueFrom.secretKeyRef.name: Required value: the name of a Secret in the server's namespace`,
				`spec.extraEnv[3].valueFrom.secretKeyRef.key: Required value: the key within the Secret`,
				`spec.extraEnv[4].valueFrom.configMapKeyRef.name: Invalid value: "A": ` + subdomain,
				`spec.extraEnv[4].valueFrom.configMapKeyRef.key: Invalid value: "a b": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')`,
				`spec.extraEnv[5].valueFrom.fieldRef.fieldPath: Required value: a field of the pod, such as spec.nodeName`,
				`spec.extraEnv[6].valueFrom.resourceFieldRef.resource: Required value: a resource of the container, such as limits.memory`,
				`spec.extraEnv[7].valueFrom.fileKeyRef: Forbidden: the pod has no volume of yours; use value, secretKeyRef or configMapKeyRef`,
			},
		},
		"Annotations": {
			reason: "what replaces the pod when it is to be replaced is the function's",
			spec:   `{podAnnotations: {"a b": c, checksum.dittoserver.fn.crossplane.io/config: x, dittoserver.fn.crossplane.io/record: x, notdittoserver.fn.crossplane.io/mine: x}}`,
			want: []string{
				`spec.podAnnotations: Invalid value: "a b": ` + qualified,
				`spec.podAnnotations[checksum.dittoserver.fn.crossplane.io/config]: Forbidden: is the function's own; remove it`,
				`spec.podAnnotations[dittoserver.fn.crossplane.io/record]: Forbidden: is the function's own; remove it`,
			},
		},
		"Labels": {
			reason:   "Services and the StatefulSet find the pod by its labels",
			spec:     `{podLabels: {app: mine, team: "a b", controller-revision-hash: x}}`,
			defaults: `{podLabels: {instance: other, app: theirs}}`,
			want: []string{
				`spec.podLabels: Invalid value: "a b": ` + value,
				`spec.podLabels[app]: Forbidden: is the function's own, and the StatefulSet and the Services select the pod by it; remove it`,
				`spec.podLabels[controller-revision-hash]: Forbidden: is set by Kubernetes; remove it`,
				`input.defaults.podLabels[instance]: Forbidden: is the function's own, and the StatefulSet and the Services select the pod by it; remove it`,
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			// The order of maps is another each time.
			for range 3 {
				got := messages(call{spec: cmp.Or(tc.spec, "{}"), defaults: tc.defaults}.resolve(t))
				if diff := gocmp.Diff(tc.want, slices.DeleteFunc(got, func(s string) bool { return s == "" }), equateEmpty); diff != "" {
					t.Fatalf("%s\nResolve(...): -want, +got:\n%s", tc.reason, diff)
				}
			}
		})
	}
}

var equateEmpty = gocmp.Transformer("empty", func(l []string) string { return strings.Join(l, "\n") })

// TestEveryFieldOfThePod is what each of the pod's and the adapters' fields changes of
// everything that is composed, and that it changes nothing else. What is recorded for
// the function itself does not count.
func TestEveryFieldOfThePod(t *testing.T) {
	const pod = "server.spec.template."
	const container = pod + "spec.containers.dittofs."
	const terms = "nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
	cases := map[string]struct {
		// start is what the server has before, beside what every server has.
		start string
		want  []string
	}{
		`affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}]}}}`: {want: []string{
			pod + "spec.affinity." + terms + ".0.matchExpressions.0.key = a",
			pod + "spec.affinity." + terms + ".0.matchExpressions.0.operator = Exists",
		}},
		`affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: z, labelSelector: {}, namespaceSelector: {}}]}}`: {want: []string{
			// An empty selector selects everything, and none nothing.
			pod + "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution.0.labelSelector = {}",
			pod + "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution.0.namespaceSelector = {}",
			pod + "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution.0.topologyKey = z",
		}},
		`nodeSelector: {disktype: ssd}`:     {want: []string{pod + "spec.nodeSelector.disktype = ssd"}},
		`tolerations: [{operator: Exists}]`: {want: []string{pod + "spec.tolerations.0.operator = Exists"}},
		`topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]`: {want: []string{
			pod + "spec.topologySpreadConstraints.0.maxSkew = 1",
			pod + "spec.topologySpreadConstraints.0.topologyKey = zone",
			pod + "spec.topologySpreadConstraints.0.whenUnsatisfiable = ScheduleAnyway",
		}},
		`priorityClassName: high`:         {want: []string{pod + "spec.priorityClassName = high"}},
		`imagePullSecrets: [{name: env}]`: {want: []string{pod + "spec.imagePullSecrets.env.name = env"}},
		`serviceAccountName: sa`:          {want: []string{pod + "spec.serviceAccountName = sa"}},
		`extraEnv: [{name: A, value: a}]`: {want: []string{
			container + "env.A.name = A",
			container + "env.A.value = a",
		}},
		`extraEnv: [{name: A, valueFrom: {secretKeyRef: {name: env, key: k}}}]`: {want: []string{
			// Its value is read at the start only, so that a change of it replaces the pod.
			pod + "metadata.annotations.checksum.dittoserver.fn.crossplane.io/env-b77349bf = ...",
			container + "env.A.name = A",
			container + "env.A.valueFrom.secretKeyRef.key = k",
			container + "env.A.valueFrom.secretKeyRef.name = env",
		}},
		`podAnnotations: {a: b}`: {want: []string{pod + "metadata.annotations.a = b"}},
		`podLabels: {a: b}`:      {want: []string{pod + "metadata.labels.a = b"}},
		`adapters: {nfs: {enabled: false}}`: {want: []string{
			"- nfs",
			"- " + container + "ports.adapter-nfs.containerPort",
			"- " + container + "ports.adapter-nfs.name",
			"- " + container + "ports.adapter-nfs.protocol",
		}},
		`adapters: {smb: {enabled: false}}`: {want: []string{
			"- " + container + "ports.adapter-smb.containerPort",
			"- " + container + "ports.adapter-smb.name",
			"- " + container + "ports.adapter-smb.protocol",
			"- smb",
		}},
		`adapters: {nfs: {enabled: true}, smb: {}}`: {},
		`adapters: {nfs: {port: 2049}}`: {want: []string{
			"nfs.spec.ports.nfs.port = 2049",
			"nfs.spec.ports.nfs.targetPort = 2049",
			container + "ports.adapter-nfs.containerPort = 2049",
		}},
		`adapters: {smb: {port: 4450}}`: {want: []string{
			container + "ports.adapter-smb.containerPort = 4450",
			"smb.spec.ports.smb.port = 4450",
			"smb.spec.ports.smb.targetPort = 4450",
		}},
		`adapters: {nfs: {service: {type: NodePort}}}`:               {want: []string{"nfs.spec.type = NodePort"}},
		`adapters: {smb: {service: {annotations: {a: b}}}}`:          {want: []string{"smb.metadata.annotations.a = b"}},
		`adapters: {smb: {service: {externalTrafficPolicy: Local}}}`: {start: `adapterServices: {type: NodePort}`, want: []string{"smb.spec.externalTrafficPolicy = Local"}},
		`adapters: {nfs: {service: {loadBalancerSourceRanges: [10.0.0.0/8, "fd00::/8"]}}}`: {start: `adapterServices: {type: LoadBalancer}`, want: []string{
			"nfs.spec.loadBalancerSourceRanges.0 = 10.0.0.0/8", "nfs.spec.loadBalancerSourceRanges.1 = fd00::/8",
		}},
		`adapters: {nfs: {service: {type: LoadBalancer, loadBalancerClass: example.com/lb}}}`: {want: []string{
			"nfs.spec.loadBalancerClass = example.com/lb", "nfs.spec.type = LoadBalancer",
		}},
	}
	seen := map[string]bool{}
	for spec, tc := range cases {
		field, _, _ := strings.Cut(spec, ":")
		seen[field] = true
		for _, f := range []string{"enabled", "port", "type", "annotations", "externalTrafficPolicy", "loadBalancerSourceRanges", "loadBalancerClass"} {
			if field == "adapters" && strings.Contains(spec, f+":") {
				seen[field+"."+f] = true
			}
		}
		t.Run(spec, func(t *testing.T) {
			h := newHistory(t)
			h.others["Secret/env"] = secretYAML("env", map[string]string{"k": "v"})
			h.started(onSQLite + ", " + strings.TrimPrefix(tc.start+", ", ", ") + "replicas: 1")
			before := leaves(h)
			res := h.apply(onSQLite + ", " + strings.TrimPrefix(tc.start+", ", ", ") + "replicas: 1, " + spec)
			if len(res.Errors) > 0 || len(res.Held) > 0 {
				t.Fatalf("errors %v, held %v", messages(res), res.Held)
			}
			if diff := gocmp.Diff(tc.want, changes(before, leaves(h)), equateEmpty); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", spec, diff)
			}
		})
	}
	for _, f := range []string{
		"affinity", "nodeSelector", "tolerations", "topologySpreadConstraints", "priorityClassName", "imagePullSecrets", "serviceAccountName",
		"extraEnv", "podAnnotations", "podLabels", "adapters.enabled", "adapters.port", "adapters.type", "adapters.annotations",
		"adapters.externalTrafficPolicy", "adapters.loadBalancerSourceRanges", "adapters.loadBalancerClass",
	} {
		if !seen[f] {
			t.Errorf("no case is about %s", f)
		}
	}
}

// leaves returns everything that is composed, by its path. Entries of lists have their
// names in the path where they have one.
func leaves(h *history) map[string]string {
	out := map[string]string{}
	for res, o := range h.live {
		m := maps.Clone(o)
		delete(m, "status")
		if res == names.Config {
			// It is what is recorded that differs.
			m["metadata"] = nil
		}
		flatten(string(res), m, out)
	}
	return out
}

func flatten(path string, v any, out map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			out[path] = "{}"
		}
		for k, e := range v {
			flatten(path+"."+k, e, out)
		}
	case []any:
		for i, e := range v {
			at := fmt.Sprint(i)
			if m, ok := e.(map[string]any); ok && m["name"] != nil {
				at = fmt.Sprint(m["name"])
			}
			flatten(path+"."+at, e, out)
		}
	default:
		out[path] = fmt.Sprint(v)
	}
}

// changes returns what differs: what is gone after a minus, and an object that is gone
// as one.
func changes(before, after map[string]string) []string {
	out := make([]string, 0, len(after))
	object := func(path string) string { res, _, _ := strings.Cut(path, "."); return res }
	there := map[string]bool{}
	for k := range after {
		there[object(k)] = true
	}
	for k := range before {
		if _, ok := after[k]; ok {
			continue
		}
		if !there[object(k)] {
			k = object(k)
		}
		out = append(out, "- "+k)
	}
	for k, v := range after {
		if before[k] == v {
			continue
		}
		if strings.Contains(k, "/env-") {
			v = "..."
		}
		out = append(out, k+" = "+v)
	}
	slices.SortFunc(out, func(a, b string) int { return strings.Compare(a, b) })
	return slices.Compact(out)
}

// TestPodOfDefaults: lists of the XR replace the platform's, maps go on top of them.
func TestPodOfDefaults(t *testing.T) {
	s := call{
		spec:     `{extraEnv: [{name: A, value: mine}], nodeSelector: {disk: ssd}, podLabels: {team: mine}}`,
		defaults: `{extraEnv: [{name: B, value: theirs}], nodeSelector: {disk: hdd, zone: a}, podLabels: {team: theirs, cost: "1"}, serviceAccountName: files}`,
	}.resolve(t).Server
	if diff := gocmp.Diff(map[string]string{"disk": "ssd", "zone": "a"}, s.Pod.NodeSelector); diff != "" {
		t.Errorf("NodeSelector: -want, +got:\n%s", diff)
	}
	if diff := gocmp.Diff(map[string]string{"team": "mine", "cost": "1"}, s.Pod.Labels); diff != "" {
		t.Errorf("Labels: -want, +got:\n%s", diff)
	}
	if len(s.Pod.Env) != 1 || s.Pod.Env[0].Name != "A" || s.Pod.ServiceAccount != "files" {
		t.Errorf("want the XR's list and the platform's account, got %+v", s.Pod)
	}
}

// TestEnvFromSecrets guards that a running server keeps its pod while a new one could
// not start for want of a variable's Secret, and that a change of its value replaces
// the pod.
func TestEnvFromSecrets(t *testing.T) {
	const env = onSQLite + `, extraEnv: [{name: A, valueFrom: {secretKeyRef: {name: env, key: k}}}, {name: B, valueFrom: {secretKeyRef: {name: more, key: k, optional: true}}}]`
	const missing = "spec.extraEnv: A: Secret env does not exist in namespace default, and the server cannot start without it; create it"
	h := newHistory(t)
	h.started(onSQLite)
	partition := func() any { return h.get(names.Server, "spec", "updateStrategy", "rollingUpdate", "partition") }
	annotations := func() any { return h.get(names.Server, "spec", "template", "metadata", "annotations") }

	res := h.apply(env)
	wantHeld(t, "nothing contradicts what exists", res)
	wantWarned(t, "what a new pod waits for is told", res, missing)
	if !res.Server.Frozen || partition() != 1.0 {
		t.Errorf("want the running pod kept, got frozen %t, partition %v", res.Server.Frozen, partition())
	}

	h.others["Secret/env"] = secretYAML("env", map[string]string{"other": "v"})
	wantWarned(t, "and so is a key", h.apply(env), "spec.extraEnv: A: Secret env has no key k, and the server cannot start without it; add the key")

	h.others["Secret/env"] = secretYAML("env", map[string]string{"k": "v"})
	res = h.apply(env)
	wantWarned(t, "an optional one is not missing", res)
	if res.Server.Frozen || partition() != nil {
		t.Errorf("want the edit applied, got frozen %t, partition %v", res.Server.Frozen, partition())
	}

	last := annotations()
	h.apply(env)
	if diff := gocmp.Diff(last, annotations()); diff != "" {
		t.Errorf("nothing has changed: -want, +got:\n%s", diff)
	}
	h.others["Secret/env"] = secretYAML("env", map[string]string{"k": "rotated"})
	h.apply(env)
	if gocmp.Equal(last, annotations()) {
		t.Error("want a rotated value to replace the pod")
	}
	last = annotations()
	h.others["Secret/more"] = secretYAML("more", map[string]string{"k": "v"})
	h.apply(env)
	if gocmp.Equal(last, annotations()) {
		t.Error("want an optional value that comes to replace the pod")
	}
	last = annotations()
	h.others["Secret/env"] = ""
	res = h.apply(env)
	wantWarned(t, "a Secret that vanishes is told", res, missing)
	if diff := gocmp.Diff(last, annotations()); diff != "" || !res.Server.Frozen {
		t.Errorf("a Secret that vanishes: want the pod as it was, frozen %t: -want, +got:\n%s", res.Server.Frozen, diff)
	}
}

// TestPullSecrets: the kubelet starts a pod without them, so nothing waits for them.
func TestPullSecrets(t *testing.T) {
	h := newHistory(t)
	h.started(onSQLite)
	res := h.apply(onSQLite + `, imagePullSecrets: [{name: pull}]`)
	wantWarned(t, "what is missing is told", res, "spec.imagePullSecrets: Secret pull does not exist in namespace default, and an image that needs it cannot be pulled; create it")
	if res.Server.Frozen {
		t.Error("want nothing to wait for it")
	}
	h.others["Secret/pull"] = secretYAML("pull", map[string]string{".dockerconfigjson": "{}"})
	wantWarned(t, "and no longer", h.apply(onSQLite+`, imagePullSecrets: [{name: pull}]`))
}
