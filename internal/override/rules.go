package override

import (
	"path"
	"slices"
	"strings"

	pgv2 "github.com/percona/percona-postgresql-operator/v2/pkg/apis/pgv2.percona.com/v2"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/dittofs/function-dittoserver/internal/names"
)

// A rule says what of a kind may be patched, and how.
type rule struct {
	// typed returns what a patch is decoded into.
	typed func() any
	// strategic is true for Kubernetes' own kinds: a patch is merged as kubectl patch
	// does it, and has no field that the kind does not have.
	strategic bool
	// open are the paths below which a patch may say something.
	open []string
	// closed are paths below those that have to stay as they are, with what they hold.
	closed []string
	// kept are the lists and maps, at paths below those, of which what the function
	// composes has to stay.
	kept []kept
	// pods returns the pods that come of a decoded object, which stay as secure as they
	// were composed.
	pods func(o any) []corev1.PodTemplateSpec
}

// A kept is a map or a list that may grow.
type kept struct {
	path string
	// keys tell the entries of a list apart; none for a map.
	keys []string
	// fields of an entry have to stay; none for all of them.
	fields []string
	// nested are lists of an entry of which what is composed has to stay.
	nested []kept
	// alien reports whether an entry may not be added beside those that are composed.
	alien func(c Checks, added string, composed []string) bool
	// instead returns the field of a server's spec that says what an entry does; nil for
	// none.
	instead func(c Checks, id string) string
}

var (
	metadata = []string{"metadata.labels", "metadata.annotations"} //nolint:gochecknoglobals // A constant.

	// wired is what of a container connects it to the rest of the server.
	wired = kept{ //nolint:gochecknoglobals // A constant.
		keys: []string{"name"},
		// An init container that restarts is no longer waited for.
		fields: []string{"image", "command", "args", "envFrom", "restartPolicy"},
		nested: []kept{
			// The server's own variables win over its configuration.
			{path: "env", keys: []string{"name"}, alien: isWired, instead: wiredBy},
			{path: "ports", keys: []string{"containerPort", "protocol"}},
			{path: "volumeMounts", keys: []string{"mountPath"}, alien: shadows},
		},
	}
)

// fields are the fields of a server's spec that say what patches may not.
var fields = map[string]string{ //nolint:gochecknoglobals // A constant.
	"spec.template.spec.terminationGracePeriodSeconds":                 "terminationGracePeriodSeconds",
	"spec.template.spec.containers[" + names.ContainerName + "].image": "image",
	"spec.type": "service.type or adapterServices.type",
}

// rules are those of the kinds that are composed. What is not open decides over data,
// identity or ownership, or cannot be changed on a live object. Fields of a pod are open
// even where a server's spec has them: an override wins.
var rules = map[string]rule{ //nolint:gochecknoglobals // A constant.
	names.StatefulSetKind: {
		typed: func() any { return &appsv1.StatefulSet{} }, strategic: true,
		open: []string{"spec.template", "spec.minReadySeconds", "spec.revisionHistoryLimit"},
		closed: []string{
			"spec.template.metadata.name", "spec.template.metadata.namespace", "spec.template.metadata.ownerReferences",
			// The server's shutdown is configured to fit.
			"spec.template.spec.terminationGracePeriodSeconds",
			// They have one value, or none, in a StatefulSet.
			"spec.template.spec.restartPolicy", "spec.template.spec.ephemeralContainers",
			// Pod Security asks less of Windows.
			"spec.template.spec.os",
			// They name the pod.
			"spec.template.spec.hostname", "spec.template.spec.subdomain", "spec.template.spec.setHostnameAsFQDN",
		},
		kept: []kept{
			{path: "spec.template.metadata.labels"},
			{path: "spec.template.metadata.annotations"},
			{path: "spec.template.spec.volumes", keys: []string{"name"}},
			at("spec.template.spec.containers", wired),
			// The server must not start before its database.
			at("spec.template.spec.initContainers", wired),
		},
		pods: serverPods,
	},
	names.ServiceKind: {
		typed: func() any { return &corev1.Service{} }, strategic: true,
		open: []string{"spec"},
		closed: []string{
			"spec.selector", "spec.type", "spec.externalName",
			// They cannot be changed, or not once they are set.
			"spec.clusterIP", "spec.clusterIPs", "spec.ipFamilies", "spec.loadBalancerClass", "spec.healthCheckNodePort",
		},
		kept: []kept{{path: "spec.ports", keys: []string{"port", "protocol"}, fields: []string{"name", "targetPort", "appProtocol"}}},
	},
	names.ConfigMapKind: {typed: func() any { return &corev1.ConfigMap{} }, strategic: true},
	names.SecretKind:    {typed: func() any { return &corev1.Secret{} }, strategic: true},
	names.NetworkPolicyKind: {
		typed: func() any { return &networkingv1.NetworkPolicy{} }, strategic: true,
		open: []string{"spec.ingress", "spec.egress", "spec.policyTypes"},
	},
	names.ServiceMonitorKind: {
		typed:  func() any { return &monitoringv1.ServiceMonitor{} },
		open:   []string{"spec"},
		closed: []string{"spec.selector", "spec.namespaceSelector"},
	},
	names.PostgresKind: {
		typed: func() any { return &pgv2.PerconaPGCluster{} },
		// Nothing here is composed, so that nothing of it is merged with edits of the
		// live cluster.
		open: []string{"spec.expose", "spec.exposeReplicas", "spec.extensions", "spec.metadata", "spec.openshift", "spec.patroni", "spec.pmm", "spec.proxy"},
		pods: databasePods,
	},
}

func isWired(c Checks, variable string, _ []string) bool {
	_, ok := c.Wired(variable)
	return ok
}

func wiredBy(c Checks, variable string) string {
	instead, _ := c.Wired(variable)
	return instead
}

// shadows reports whether something that is mounted at a path hides something of what is
// composed, or the server's program.
func shadows(_ Checks, added string, composed []string) bool {
	clean := path.Clean(added)
	return clean == "/" || slices.ContainsFunc(append([]string{programDir}, composed...), func(c string) bool {
		return strings.HasPrefix(clean+"/", path.Clean(c)+"/")
	})
}

// programDir is where the server's image has its program.
const programDir = "/app"

func at(path string, k kept) kept {
	k.path = path
	return k
}

// reserved reports whether a label or an annotation is somebody's who finds objects, or
// decides about them, by it.
func reserved(key string) bool {
	domain, _, _ := strings.Cut(key, "/")
	for _, d := range []string{"crossplane.io", "percona.com", "crunchydata.com"} {
		if domain == d || strings.HasSuffix(domain, "."+d) {
			return strings.Contains(key, "/")
		}
	}
	return false
}
