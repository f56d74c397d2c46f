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
	"github.com/dittofs/function-dittoserver/internal/server"
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
      securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
      initContainers: [{name: wait-for-postgres, image: pg, command: [sh], env: [{name: PGHOST, value: h}], securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]
      containers:
      - name: dittofs
        image: dfs
        command: [/app/dfs]
        args: [start]
        env: [{name: DITTOFS_DATABASE_TYPE, value: postgres}, {name: PGCONNECT_TIMEOUT, value: "5"}]
        ports: [{name: api, containerPort: 8080, protocol: TCP}]
        volumeMounts: [{name: config, mountPath: /config, readOnly: true}, {name: tmp, mountPath: /tmp}]
        livenessProbe: {periodSeconds: 10, httpGet: {path: /health, port: 8080}}
        securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
      volumes: [{name: config, configMap: {name: files-config}}, {name: tmp, emptyDir: {}}]
  volumeClaimTemplates: [{metadata: {name: metadata}}]
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

// checks are those that platform reads overrides with.
var checks = override.Checks{Wired: server.Wired, Peer: server.CheckPeer}

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
	out, errs := override.Read(in, kinds.Refs(""), checks)
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
			overrides: pod(`{containers: [{name: proxy, image: p, ` + secure + `}], volumes: [{name: more, emptyDir: {}}]}`),
			want: `{spec: {template: {spec: {containers: [{name: proxy, image: p, ` + secure + `}, ` + container + `],
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
			reason: "nor in what is added", to: names.Server, overrides: pod(`{hostAliases: [{ip: 1.2.3.4, hostnames: null}], containers: [{name: proxy, image: p, resources: null, env: [{name: A, value: null}], ` + secure + `}]}`),
			want: `{spec: {template: {spec: {hostAliases: [{ip: 1.2.3.4}], containers: [{name: proxy, image: p, env: [{name: A}], ` + secure + `}, ` + container + `]}}}}`,
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
		"Program":     {reason: "nor is the program hidden", to: names.Server, overrides: pod(`{containers: [{name: dittofs, volumeMounts: [{name: x, mountPath: /app}]}]}`), err: "containers[dittofs].volumeMounts[/app]"},
		"Restarts":    {reason: "the server would start before its database", to: names.Server, overrides: pod(`{containers: [{name: dittofs, restartPolicy: Always}]}`), err: "containers[dittofs].restartPolicy"},
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
		"HostAddress": {reason: "no variable that extraEnv refuses", to: names.Server, overrides: pod(`{containers: [{name: dittofs, env: [{name: PGHOSTADDR, value: 10.0.0.1}]}]}`), err: "containers[dittofs].env[PGHOSTADDR] of StatefulSet files, which the server depends on; take it out, and set database or percona in defaults or in the server's spec"},
		"Options":     {reason: "nor beside what waits for the database", to: names.Server, overrides: pod(`{initContainers: [{name: wait-for-postgres, env: [{name: PGOPTIONS, value: x}]}]}`), err: "initContainers[wait-for-postgres].env[PGOPTIONS]"},
		"Krb5":        {reason: "whatever it begins with", to: names.Server, overrides: pod(`{containers: [{name: dittofs, env: [{name: KRB5_CONFIG, value: x}]}]}`), err: "containers[dittofs].env[KRB5_CONFIG]"},
		"OwnVariable": {
			reason: "a container of the platform's has variables of its own", to: names.Server,
			overrides: pod(`{containers: [{name: proxy, image: p, env: [{name: PGHOSTADDR, value: x}], ` + secure + `}]}`),
			want:      `{spec: {template: {spec: {containers: [{name: proxy, image: p, env: [{name: PGHOSTADDR, value: x}], ` + secure + `}, ` + container + `]}}}}`,
		},
		"Imageless":     {reason: "a typo adds a container", to: names.Server, overrides: pod(`{containers: [{name: dito, livenessProbe: {periodSeconds: 30}}]}`), err: `merged into StatefulSet files, adds a container "dito" without an image; the server's container is "dittofs"`},
		"ImagelessInit": {reason: "or one that waits", to: names.Server, overrides: pod(`{initContainers: [{name: wait}]}`), err: `adds an init container "wait" without an image`},
		"Namesake":      {reason: "names are those of all containers", to: names.Server, overrides: pod(`{containers: [{name: wait-for-postgres, image: x, ` + secure + `}]}`), err: `makes two containers named "wait-for-postgres"`},
		"Variables":     {reason: "and once in a container", to: names.Server, overrides: pod(`{containers: [{name: proxy, image: x, env: [{name: A}, {name: A}], ` + secure + `}]}`), err: `makes two variables of container "proxy" named "A"`},
		"PodPorts":      {reason: "ports too", to: names.Server, overrides: pod(`{containers: [{name: dittofs, ports: [{name: api, containerPort: 8081}]}]}`), err: `makes two ports of container "dittofs" named "api"`},
		"PortNumbers":   {reason: "by their numbers as well", to: names.Server, overrides: pod(`{containers: [{name: proxy, image: x, ports: [{containerPort: 1}, {containerPort: 1, protocol: TCP}], ` + secure + `}]}`), err: `makes two ports of container "proxy" with the number "1/TCP"`},
		"Mounts":        {reason: "and mounts by where they are", to: names.Server, overrides: pod(`{containers: [{name: proxy, image: x, volumeMounts: [{name: tmp, mountPath: /a}, {name: config, mountPath: /a}], ` + secure + `}]}`), err: `makes two mounts of container "proxy" at "/a"`},
		"Claim":         {reason: "a claim is a volume", to: names.Server, overrides: pod(`{volumes: [{name: metadata, emptyDir: {}}]}`), err: `makes two volumes or claims named "metadata"`},
		"Volumes":       {reason: "volumes have names of their own", to: names.Server, overrides: pod(`{volumes: [{$patch: replace}, {name: config, configMap: {name: files-config}}, {name: tmp, emptyDir: {}}, {name: a, emptyDir: {}}, {name: a, emptyDir: {}}]}`), err: `makes two volumes or claims named "a"`},
		"SecondPort":    {reason: "a port is found by its number", to: names.API, overrides: `[{kind: Service, patch: {spec: {ports: [{name: api, port: 2049}]}}}]`, err: `merged into Service files-api, makes two ports named "api"`},
		"Nameless":      {reason: "one of several has a name", to: names.API, overrides: `[{kind: Service, patch: {spec: {ports: [{port: 2049}]}}}]`, err: "adds port 2049 without a name"},

		"Own": {
			reason: "what a server's own fields decide of its pod is open", to: names.Server,
			overrides: pod(`{nodeSelector: {disk: fast}, serviceAccountName: a, priorityClassName: b, securityContext: {fsGroup: 7}, containers: [{name: dittofs, resources: {limits: {memory: 1Gi}}, securityContext: {readOnlyRootFilesystem: true}}]}`),
			want: `{spec: {template: {spec: {nodeSelector: {disk: fast}, serviceAccountName: a, priorityClassName: b, securityContext: {fsGroup: 7}, containers: [` +
				strings.Replace(container, "securityContext: {", "resources: {limits: {memory: 1Gi}}, securityContext: {readOnlyRootFilesystem: true, ", 1) + `]}}}}`,
		},
		"Privileged":   {reason: "the pod stays as secure", to: names.Server, overrides: pod(`{containers: [{name: dittofs, securityContext: {privileged: true}}]}`), err: `makes the pods of StatefulSet files violate Pod Security "restricted": privileged (container "dittofs" must not set securityContext.privileged=true)`},
		"Escalation":   {reason: "in each container", to: names.Server, overrides: pod(`{initContainers: [{name: wait-for-postgres, securityContext: {allowPrivilegeEscalation: true}}]}`), err: `(container "wait-for-postgres" must set securityContext.allowPrivilegeEscalation=false)`},
		"Capabilities": {reason: "without more capabilities", to: names.Server, overrides: pod(`{containers: [{name: dittofs, securityContext: {capabilities: {add: [NET_ADMIN]}}}]}`), err: `container "dittofs" must not include "NET_ADMIN" in securityContext.capabilities.add`},
		"Unsaid":       {reason: "nor with those that it has dropped", to: names.Server, overrides: pod(`{containers: [{name: dittofs, securityContext: null}]}`), err: `container "dittofs" must set securityContext.capabilities.drop=["ALL"]`},
		"Root":         {reason: "and not as root", to: names.Server, overrides: pod(`{containers: [{name: dittofs, securityContext: {runAsUser: 0}}]}`), err: `container "dittofs" must not set runAsUser=0`},
		"PodRoot":      {reason: "as a whole", to: names.Server, overrides: pod(`{securityContext: {runAsUser: 0}}`), err: "pod must not set runAsUser=0"},
		"NonRoot":      {reason: "nor perhaps", to: names.Server, overrides: pod(`{securityContext: {runAsNonRoot: null}}`), err: "runAsNonRoot != true"},
		"Seccomp":      {reason: "with its profile", to: names.Server, overrides: pod(`{securityContext: {seccompProfile: {type: Unconfined}}}`), err: "seccompProfile"},
		"HostNetwork":  {reason: "apart from the node's network", to: names.Server, overrides: pod(`{hostNetwork: true}`), err: "host namespaces (hostNetwork=true)"},
		"HostPID":      {reason: "its processes", to: names.Server, overrides: pod(`{hostPID: true}`), err: "host namespaces (hostPID=true)"},
		"HostPath":     {reason: "its files", to: names.Server, overrides: pod(`{volumes: [{name: node, hostPath: {path: /}}]}`), err: `volume "node" uses restricted volume type "hostPath"`},
		"HostPort":     {reason: "and its ports", to: names.Server, overrides: pod(`{containers: [{name: dittofs, ports: [{containerPort: 1, hostPort: 1}]}]}`), err: "hostPort"},
		"AppArmor":     {reason: "by annotations neither", to: names.Server, overrides: `[{kind: StatefulSet, patch: {spec: {template: {metadata: {annotations: {container.apparmor.security.beta.kubernetes.io/dittofs: unconfined}}}}}}]`, err: "AppArmor"},
		"Unsafe":       {reason: "one beside it is no better", to: names.Server, overrides: pod(`{containers: [{name: proxy, image: p}]}`), err: `allowPrivilegeEscalation != false (container "proxy" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "proxy"`},
		"UnsafePgBouncer": {
			reason: "of the database's pods too", to: names.Postgres,
			overrides: `[{kind: PerconaPGCluster, patch: {spec: {proxy: {pgBouncer: {sidecars: [{name: s, image: x, securityContext: {privileged: true}}]}}}}}]`,
			err:       `makes the pods of PerconaPGCluster files-postgres violate Pod Security "restricted": privileged (container "s"`,
		},
		"RootPgBouncer": {reason: "as a whole", to: names.Postgres, overrides: `[{kind: PerconaPGCluster, patch: {spec: {proxy: {pgBouncer: {securityContext: {runAsUser: 0}}}}}}]`, err: "pod must not set runAsUser=0"},
		"HostOfPgBouncer": {
			reason: "with their volumes", to: names.Postgres,
			overrides: `[{kind: PerconaPGCluster, patch: {spec: {proxy: {pgBouncer: {sidecarVolumes: [{name: node, hostPath: {path: /}}]}}}}}]`, err: `volume "node"`,
		},
		"PMM": {reason: "and what watches them", to: names.Postgres, overrides: `[{kind: PerconaPGCluster, patch: {spec: {pmm: {enabled: true, image: x, containerSecurityContext: {privileged: true}}}}}]`, err: `container "pmm-client"`},
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

// TestWeakServer: what a server's own spec weakens is not held against an override that
// has nothing to do with it, and is no licence for more.
func TestWeakServer(t *testing.T) {
	weak := strings.Replace(sts, "securityContext: {runAsNonRoot: true, runAsUser: 65532", "securityContext: {runAsNonRoot: false, runAsUser: 0", 1)
	cases := map[string]struct {
		reason, pod, err string
	}{
		"Other":   {reason: "it is the server's", pod: `{runtimeClassName: gvisor, containers: [{name: proxy, image: p, ` + secure + `}]}`},
		"Better":  {reason: "and may be corrected", pod: `{securityContext: {runAsUser: 1}}`},
		"Sidecar": {reason: "but not in another container", pod: `{containers: [{name: proxy, image: p, securityContext: {runAsUser: 0, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}`, err: `container "proxy"`},
		"More":    {reason: "nor in another way", pod: `{hostIPC: true}`, err: "host namespaces (hostIPC=true)"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			os, errs := read(t, `[{kind: StatefulSet, patch: {spec: {template: {spec: `+tc.pod+`}}}}]`)
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			_, err := override.Apply(os, refOf(t, names.Server), yamltest.Struct(t, weak))
			if (err != nil) != (tc.err != "") || (err != nil && !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("%s: want an error of %q, got %v", tc.reason, tc.err, err)
			}
		})
	}
}

// container is the server's, in YAML.
const container = `{name: dittofs, image: dfs, command: [/app/dfs], args: [start], env: [{name: DITTOFS_DATABASE_TYPE, value: postgres}, {name: PGCONNECT_TIMEOUT, value: "5"}], ` +
	`ports: [{name: api, containerPort: 8080, protocol: TCP}], volumeMounts: [{name: config, mountPath: /config, readOnly: true}, {name: tmp, mountPath: /tmp}], livenessProbe: {periodSeconds: 10, httpGet: {path: /health, port: 8080}}, ` + secure + `}`

// secure is what Pod Security "restricted" asks of a container.
const secure = `securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}`

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
			want: []string{"input.overrides[0]: Required value: set kind or resource"},
		},
		"BothGiven": {
			reason: "and not of two things", overrides: `[{kind: Service, resource: api, patch: {metadata: {labels: {a: b}}}}]`,
			want: []string{"input.overrides[0]: Invalid value: set kind or resource, not both"},
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
				"input.overrides[0].patch.spec.template.spec.terminationGracePeriodSeconds: Forbidden: is out of the reach of overrides; take it out, and set terminationGracePeriodSeconds in defaults or in the server's spec",
				"input.overrides[0].patch.spec.volumeClaimTemplates: Forbidden: is out of the reach of overrides. Of a StatefulSet may be patched: metadata.labels, metadata.annotations, spec.template, spec.minReadySeconds, spec.revisionHistoryLimit",
			},
		},
		"ClusterIP": {
			reason: "nor what leads to the server", overrides: `[{kind: Service, patch: {spec: {clusterIP: 10.0.0.1, selector: {a: b}}}}]`,
			want: []string{
				"input.overrides[0].patch.spec.clusterIP: Forbidden: is out of the reach of overrides; take it out",
				"input.overrides[0].patch.spec.selector: Forbidden: is out of the reach of overrides; take it out",
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
		"System": {
			reason: "nor is the pod one of another system, which would be held to less", overrides: `[{kind: StatefulSet, patch: {spec: {template: {spec: {os: {name: windows}, ephemeralContainers: []}}}}}]`,
			want: []string{
				"input.overrides[0].patch.spec.template.spec.ephemeralContainers: Forbidden: is out of the reach of overrides; take it out",
				"input.overrides[0].patch.spec.template.spec.os: Forbidden: is out of the reach of overrides; take it out",
			},
		},
		"TypeOfService": {
			reason: "a field that says it is named", overrides: `[{kind: Service, patch: {spec: {type: NodePort}}}]`,
			want: []string{"input.overrides[0].patch.spec.type: Forbidden: is out of the reach of overrides; take it out, and set service.type or adapterServices.type in defaults or in the server's spec"},
		},
		"NoName": {
			reason: "an entry is merged with the one of its name", overrides: `[{kind: StatefulSet, patch: {spec: {template: {spec: {containers: [{image: sidecar}, {name: dittofs, env: [{value: s3cret}], ports: [{name: api}]}], volumes: [{$patch: delete}, {name: null}]}}}}}]`,
			want: []string{
				"input.overrides[0].patch.spec.template.spec.containers[0].name: Required value: an entry of containers has no name",
				"input.overrides[0].patch.spec.template.spec.containers[1].env[0].name: Required value: an entry of env has no name",
				"input.overrides[0].patch.spec.template.spec.containers[1].ports[0].containerPort: Required value: an entry of ports has no containerPort",
				"input.overrides[0].patch.spec.template.spec.volumes[0].name: Required value: an entry of volumes has no name",
				"input.overrides[0].patch.spec.template.spec.volumes[1].name: Required value: an entry of volumes has no name",
			},
		},
		"NoPort": {
			reason: "or of what tells it apart", overrides: `[{kind: Service, patch: {spec: {ports: [{name: api, nodePort: 30080}]}}}]`,
			want: []string{"input.overrides[0].patch.spec.ports[0].port: Required value: an entry of ports has no port"},
		},
		"Tolerations": {reason: "other lists are replaced as a whole", overrides: `[{kind: StatefulSet, patch: {spec: {template: {spec: {tolerations: [{operator: Exists}], containers: [{$patch: replace}]}}}}}]`},
		"Peers": {
			reason: "the API server would refuse the whole policy", overrides: `[{kind: NetworkPolicy, patch: {spec: {ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}, {ipBlock: {cidr: 10.0.0.1}}]}], egress: [{}, {to: [{}, {podSelector: {matchLabels: {a: "b c", "d e": f}}}]}]}}}]`,
			want: []string{
				`input.overrides[0].patch.spec.ingress[0].from[1].ipBlock.cidr: Invalid value: "10.0.0.1": must be a range of addresses such as 10.0.0.0/8 or 2001:db8::/64`,
				"input.overrides[0].patch.spec.egress[1].to[0]: Required value: a podSelector, a namespaceSelector or an ipBlock",
				`input.overrides[0].patch.spec.egress[1].to[1].podSelector.matchLabels: Invalid value: "b c": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`,
				`input.overrides[0].patch.spec.egress[1].to[1].podSelector.matchLabels: Invalid value: "d e": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
			},
		},
		"Left": {
			reason: "a directive would be left where nothing is merged", overrides: `[{kind: NetworkPolicy, patch: {spec: {egress: [{$patch: replace}]}}}, {kind: ServiceMonitor, patch: {spec: {endpoints: [{$patch: replace}]}}}]`,
			want: []string{
				"input.overrides[0].patch.spec.egress[0].$patch: Forbidden: has no effect within a list that is replaced as a whole; take it out",
				"input.overrides[1].patch.spec.endpoints[0].$patch: Forbidden: is not supported: this kind is patched by a JSON merge patch, which has no directives",
			},
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
		os, errs := override.Read([]v1beta1.Override{{Kind: names.StatefulSetKind, Patch: &runtime.RawExtension{Raw: b}}}, kinds.Refs(""), checks)
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
