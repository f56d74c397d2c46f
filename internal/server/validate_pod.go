package server

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/record"
)

// Paths of the pod's fields.
const (
	pathEnv         = "extraEnv"
	pathPullSecrets = "imagePullSecrets"
)

// A Pod is what a person says of the pod beyond what the server needs.
type Pod struct {
	Affinity         *corev1.Affinity
	NodeSelector     map[string]string
	Tolerations      []corev1.Toleration
	TopologySpread   []corev1.TopologySpreadConstraint
	PriorityClass    string
	ImagePullSecrets []corev1.LocalObjectReference
	ServiceAccount   string
	// Env are variables of the server's container, none of which is the function's.
	Env []corev1.EnvVar
	// Annotations and Labels are on the pod, beside the function's.
	Annotations map[string]string
	Labels      map[string]string
}

// podOptions decides what is said of the pod, and checks what the API server would
// refuse the whole StatefulSet for.
// Source: k8s.io/kubernetes v1.34.2 pkg/apis/core/validation/validation.go.
func (v *validator) podOptions() {
	spec := v.spec
	v.s.Pod = Pod{
		Affinity:         spec.Affinity,
		NodeSelector:     spec.NodeSelector,
		Tolerations:      spec.Tolerations,
		TopologySpread:   spec.TopologySpreadConstraints,
		PriorityClass:    spec.PriorityClassName,
		ImagePullSecrets: spec.ImagePullSecrets,
		ServiceAccount:   spec.ServiceAccountName,
		Env:              spec.ExtraEnv,
		Annotations:      spec.PodAnnotations,
		Labels:           spec.PodLabels,
	}
	v.affinity()
	v.labels("nodeSelector", spec.NodeSelector)
	v.tolerations()
	v.topologySpread()
	if n := spec.PriorityClassName; n != "" {
		v.objectName("priorityClassName", n)
	}
	for i, s := range spec.ImagePullSecrets {
		at := v.spec.Path(pathPullSecrets).Index(i).Child("name")
		if s.Name == "" {
			v.errs = append(v.errs, field.Required(at, "the name of a Secret in the server's namespace"))
			continue
		}
		v.names(at, s.Name, validation.IsDNS1123Subdomain(s.Name))
		if slices.Contains(spec.ImagePullSecrets[:i], s) {
			// A pod has them by their names, and the API server would refuse the whole.
			v.errs = append(v.errs, field.Duplicate(at, s.Name))
		}
	}
	if n := spec.ServiceAccountName; n != "" {
		v.objectName("serviceAccountName", n)
	}
	v.env()
	v.annotations("podAnnotations", spec.PodAnnotations)
	for _, k := range slices.Sorted(maps.Keys(spec.PodAnnotations)) {
		if domain, _, _ := strings.Cut(k, "/"); domain == names.Domain || strings.HasSuffix(domain, "."+names.Domain) {
			v.errs = append(v.errs, field.Forbidden(v.spec.entry("podAnnotations", k).Key(k), "is the function's own; remove it"))
		}
	}
	v.labels("podLabels", spec.PodLabels)
	for _, k := range slices.Sorted(maps.Keys(spec.PodLabels)) {
		if why := labelTaken(v.s.Name, k); why != "" {
			v.errs = append(v.errs, field.Forbidden(v.spec.entry("podLabels", k).Key(k), why+"; remove it"))
		}
	}
}

// labelTaken reports why a label of the pod cannot be chosen; empty if it can.
// Source: k8s.io/api v0.35 apps/v1, the labels of a StatefulSet's pods.
func labelTaken(server, label string) string {
	if _, ours := names.Labels(server)[label]; ours {
		return "is the function's own, and the StatefulSet and the Services select the pod by it"
	}
	switch label {
	case "controller-revision-hash", "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index":
		return "is set by Kubernetes"
	}
	return ""
}

// names adds what is wrong with a value.
func (v *validator) names(at *field.Path, value string, msgs []string) {
	for _, msg := range msgs {
		v.errs = append(v.errs, field.Invalid(at, value, msg))
	}
}

// labels checks labels. They are checked one by one, since the errors of a map come in
// no order.
func (v *validator) labels(path string, labels map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		v.errs = append(v.errs, metav1validation.ValidateLabels(map[string]string{k: labels[k]}, v.spec.entry(path, k))...)
	}
}

// selector returns what is wrong with a label selector, in an order of its own.
func selector(s *metav1.LabelSelector, at *field.Path) field.ErrorList {
	errs := metav1validation.ValidateLabelSelector(s, metav1validation.LabelSelectorValidationOptions{}, at)
	slices.SortStableFunc(errs, func(a, b *field.Error) int { return strings.Compare(a.Error(), b.Error()) })
	return errs
}

func (v *validator) affinity() {
	a := v.spec.Affinity
	if a == nil {
		return
	}
	const required, preferred = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"
	if n := a.NodeAffinity; n != nil {
		at := v.spec.Path("affinity.nodeAffinity")
		if r := n.RequiredDuringSchedulingIgnoredDuringExecution; r != nil {
			at := v.spec.Path("affinity.nodeAffinity." + required)
			if len(r.NodeSelectorTerms) == 0 {
				v.errs = append(v.errs, field.Required(at.Child("nodeSelectorTerms"), "at least one term, of which a node has to match one"))
			}
			_, err := nodeaffinity.NewNodeSelector(r, field.WithPath(at))
			v.errs = append(v.errs, fieldErrors(at, err)...)
		}
		at = at.Child(preferred)
		terms := slices.Clone(n.PreferredDuringSchedulingIgnoredDuringExecution)
		for i := range terms {
			v.weight(at.Index(i), terms[i].Weight)
			// The library does not look at a term without a weight.
			terms[i].Weight = 1
		}
		_, err := nodeaffinity.NewPreferredSchedulingTerms(terms, field.WithPath(at))
		v.errs = append(v.errs, fieldErrors(at, err)...)
	}
	pods := func(kind string, must []corev1.PodAffinityTerm, should []corev1.WeightedPodAffinityTerm) {
		for i, t := range must {
			v.podAffinityTerm(v.spec.Path("affinity."+kind+"."+required).Index(i), t)
		}
		for i, t := range should {
			at := v.spec.Path("affinity." + kind + "." + preferred).Index(i)
			v.weight(at, t.Weight)
			v.podAffinityTerm(at.Child("podAffinityTerm"), t.PodAffinityTerm)
		}
	}
	if p := a.PodAffinity; p != nil {
		pods("podAffinity", p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if p := a.PodAntiAffinity; p != nil {
		pods("podAntiAffinity", p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution)
	}
}

// fieldErrors returns the errors of fields in an error of nodeaffinity's.
func fieldErrors(at *field.Path, err error) field.ErrorList {
	if err == nil {
		return nil
	}
	all := []error{err}
	if agg := utilerrors.Aggregate(nil); errors.As(err, &agg) {
		all = agg.Errors()
	}
	var out field.ErrorList
	for _, e := range all {
		if fe := new(field.Error); errors.As(e, &fe) {
			out = append(out, fe)
			continue
		}
		out = append(out, field.Invalid(at, "", e.Error()))
	}
	return out
}

func (v *validator) weight(at *field.Path, weight int32) {
	if weight < 1 || weight > 100 {
		v.errs = append(v.errs, field.Invalid(at.Child("weight"), weight, "must be between 1 and 100"))
	}
}

func (v *validator) podAffinityTerm(at *field.Path, t corev1.PodAffinityTerm) {
	v.topologyKey(at, t.TopologyKey)
	v.errs = append(v.errs, selector(t.LabelSelector, at.Child("labelSelector"))...)
	v.errs = append(v.errs, selector(t.NamespaceSelector, at.Child("namespaceSelector"))...)
	for i, n := range t.Namespaces {
		v.names(at.Child("namespaces").Index(i), n, validation.IsDNS1123Label(n))
	}
	v.matchLabelKeys(at.Child("matchLabelKeys"), t.MatchLabelKeys, t.LabelSelector)
	v.matchLabelKeys(at.Child("mismatchLabelKeys"), t.MismatchLabelKeys, t.LabelSelector)
}

func (v *validator) topologyKey(at *field.Path, key string) {
	at = at.Child("topologyKey")
	if key == "" {
		v.errs = append(v.errs, field.Required(at, "the label of a node that names its zone or the node itself, such as topology.kubernetes.io/zone"))
		return
	}
	v.errs = append(v.errs, metav1validation.ValidateLabelName(key, at)...)
}

func (v *validator) matchLabelKeys(at *field.Path, keys []string, of *metav1.LabelSelector) {
	if len(keys) > 0 && of == nil {
		v.errs = append(v.errs, field.Forbidden(at, "needs a labelSelector beside it"))
	}
	for i, k := range keys {
		v.errs = append(v.errs, metav1validation.ValidateLabelName(k, at.Index(i))...)
	}
}

func (v *validator) tolerations() {
	for i, t := range v.spec.Tolerations {
		at := v.spec.Path("tolerations").Index(i)
		if t.Key != "" {
			v.errs = append(v.errs, metav1validation.ValidateLabelName(t.Key, at.Child("key"))...)
		} else if t.Operator != corev1.TolerationOpExists {
			v.errs = append(v.errs, field.Required(at.Child("key"), "the key of a taint; with operator: Exists it may be left out, for all taints"))
		}
		switch t.Operator {
		case corev1.TolerationOpExists:
			if t.Value != "" {
				v.errs = append(v.errs, field.Invalid(at.Child("value"), t.Value, "must be empty where operator is Exists"))
			}
		case "", corev1.TolerationOpEqual:
			v.names(at.Child("value"), t.Value, validation.IsValidLabelValue(t.Value))
		default:
			v.errs = append(v.errs, field.NotSupported(at.Child("operator"), t.Operator, []corev1.TolerationOperator{corev1.TolerationOpEqual, corev1.TolerationOpExists}))
		}
		effects := []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}
		switch {
		case t.Effect != "" && !slices.Contains(effects, t.Effect):
			v.errs = append(v.errs, field.NotSupported(at.Child("effect"), t.Effect, effects))
		case t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute:
			v.errs = append(v.errs, field.Invalid(at.Child("effect"), t.Effect, "must be NoExecute where tolerationSeconds is set"))
		}
	}
}

func (v *validator) topologySpread() {
	type kind struct {
		key  string
		when corev1.UnsatisfiableConstraintAction
	}
	seen := map[kind]bool{}
	for i, c := range v.spec.TopologySpreadConstraints {
		at := v.spec.Path("topologySpreadConstraints").Index(i)
		if c.MaxSkew < 1 {
			v.errs = append(v.errs, field.Invalid(at.Child("maxSkew"), c.MaxSkew, "must be at least 1"))
		}
		v.topologyKey(at, c.TopologyKey)
		if when := []corev1.UnsatisfiableConstraintAction{corev1.DoNotSchedule, corev1.ScheduleAnyway}; !slices.Contains(when, c.WhenUnsatisfiable) {
			v.errs = append(v.errs, field.NotSupported(at.Child("whenUnsatisfiable"), c.WhenUnsatisfiable, when))
		}
		k := kind{c.TopologyKey, c.WhenUnsatisfiable}
		if seen[k] {
			v.errs = append(v.errs, field.Duplicate(at, c.TopologyKey+" with "+string(c.WhenUnsatisfiable)))
		}
		seen[k] = true
		switch {
		case c.MinDomains != nil && *c.MinDomains < 1:
			v.errs = append(v.errs, field.Invalid(at.Child("minDomains"), *c.MinDomains, "must be at least 1"))
		case c.MinDomains != nil && c.WhenUnsatisfiable != corev1.DoNotSchedule:
			v.errs = append(v.errs, field.Invalid(at.Child("minDomains"), *c.MinDomains, "needs whenUnsatisfiable: DoNotSchedule"))
		}
		v.nodePolicy(at.Child("nodeAffinityPolicy"), c.NodeAffinityPolicy)
		v.nodePolicy(at.Child("nodeTaintsPolicy"), c.NodeTaintsPolicy)
		v.errs = append(v.errs, selector(c.LabelSelector, at.Child("labelSelector"))...)
		v.matchLabelKeys(at.Child("matchLabelKeys"), c.MatchLabelKeys, c.LabelSelector)
	}
}

func (v *validator) nodePolicy(at *field.Path, p *corev1.NodeInclusionPolicy) {
	all := []corev1.NodeInclusionPolicy{corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore}
	if p != nil && !slices.Contains(all, *p) {
		v.errs = append(v.errs, field.NotSupported(at, *p, all))
	}
}

// wiring are the environment variables that the server is wired by, by how their names
// begin, and what is to be set instead. What the server finds in its environment wins
// over config.yaml, of which every field has a variable.
// Source: dittofs v0.29.0 pkg/config/config.go, and pgx for PG*.
var wiring = []struct{ prefix, instead string }{ //nolint:gochecknoglobals // A constant.
	{"DITTOFS_DATABASE_", "database or percona"},
	{"DATABASE_URL", "database or percona"},
	{"PG", "database or percona"},
	{"DITTOFS_CONTROLPLANE_", "controlPlane or identity.jwt"},
	{"DITTOFS_ADMIN_", "identity.admin"},
	{"DITTOFS_LDAP_", "identity.ldap"},
	{"DITTOFS_KERBEROS_", "identity.kerberos"},
	{"KRB5_CONFIG", "identity.kerberos"},
	{"DITTOFS_LOGGING_", "logging"},
	{"DITTOFS_METRICS_", "metrics"},
	{"DITTOFS_GC_", "gc"},
	{"DITTOFS_SHUTDOWN_TIMEOUT", "terminationGracePeriodSeconds"},
}

// Wired reports whether the server is wired by an environment variable, which nobody
// may replace, and which field of the spec says what it does.
func Wired(variable string) (instead string, ok bool) {
	for _, w := range wiring {
		if strings.HasPrefix(variable, w.prefix) {
			return w.instead, true
		}
	}
	return "", false
}

func (v *validator) env() {
	seen := map[string]bool{}
	for i, e := range v.spec.ExtraEnv {
		at := v.spec.Path(pathEnv).Index(i)
		name := at.Child("name")
		v.names(name, e.Name, validation.IsEnvVarName(e.Name))
		if instead, ok := Wired(e.Name); ok {
			v.errs = append(v.errs, field.Invalid(name, e.Name, "would replace what the function wires the server by; remove it, and set "+instead))
		}
		if seen[e.Name] {
			v.errs = append(v.errs, field.Duplicate(name, e.Name))
		}
		seen[e.Name] = true
		v.envSource(at, e)
	}
}

// envSource checks where a variable's value comes from.
// What a variable can have of its pod and container.
// Source: k8s.io/kubernetes v1.34.2 pkg/apis/core/validation/validation.go,
// validEnvDownwardAPIFieldPathExpressions and validContainerResourceFieldPathExpressions.
var (
	envFieldPattern    = regexp.MustCompile(`^(metadata\.(name|namespace|uid|labels\['[^']+'\]|annotations\['[^']+'\])|spec\.(nodeName|serviceAccountName)|status\.(hostIPs?|podIPs?))$`)
	envResourcePattern = regexp.MustCompile(`^(limits|requests)\.(cpu|memory|ephemeral-storage|hugepages-.+)$`)
)

func (v *validator) envSource(at *field.Path, e corev1.EnvVar) {
	from := e.ValueFrom
	if from == nil {
		return
	}
	at = at.Child("valueFrom")
	ref := func(at *field.Path, kind, name, key string) {
		if name == "" {
			v.errs = append(v.errs, field.Required(at.Child("name"), "the name of a "+kind+" in the server's namespace"))
		} else {
			v.names(at.Child("name"), name, validation.IsDNS1123Subdomain(name))
		}
		if key == "" {
			v.errs = append(v.errs, field.Required(at.Child("key"), "the key within the "+kind))
		} else {
			v.names(at.Child("key"), key, validation.IsConfigMapKey(key))
		}
	}
	sources := 0
	if r := from.SecretKeyRef; r != nil {
		sources++
		ref(at.Child("secretKeyRef"), "Secret", r.Name, r.Key)
	}
	if r := from.ConfigMapKeyRef; r != nil {
		sources++
		ref(at.Child("configMapKeyRef"), "ConfigMap", r.Name, r.Key)
	}
	if r := from.FieldRef; r != nil {
		sources++
		if r.FieldPath == "" {
			v.errs = append(v.errs, field.Required(at.Child("fieldRef", "fieldPath"), "a field of the pod, such as spec.nodeName"))
		} else if !envFieldPattern.MatchString(r.FieldPath) {
			v.errs = append(v.errs, field.Invalid(at.Child("fieldRef", "fieldPath"), r.FieldPath, "must be a field that a variable can have: metadata.name, .namespace, .uid, .labels['KEY'] or .annotations['KEY'], spec.nodeName or .serviceAccountName, status.hostIP, .hostIPs, .podIP or .podIPs"))
		}
	}
	if r := from.ResourceFieldRef; r != nil {
		sources++
		if r.Resource == "" {
			v.errs = append(v.errs, field.Required(at.Child("resourceFieldRef", "resource"), "a resource of the container, such as limits.memory"))
		} else if !envResourcePattern.MatchString(r.Resource) {
			v.errs = append(v.errs, field.Invalid(at.Child("resourceFieldRef", "resource"), r.Resource, "must be limits or requests of cpu, memory, ephemeral-storage or hugepages, such as limits.memory"))
		}
	}
	if from.FileKeyRef != nil {
		sources++
		v.errs = append(v.errs, field.Forbidden(at.Child("fileKeyRef"), "the pod has no volume of yours; use value, secretKeyRef or configMapKeyRef"))
	}
	switch {
	case e.Value != "":
		v.errs = append(v.errs, field.Forbidden(at, "there is a value already; remove one of them"))
	case sources != 1:
		v.errs = append(v.errs, field.Invalid(at, sources, "must have exactly one source: secretKeyRef, configMapKeyRef, fieldRef or resourceFieldRef"))
	}
}

// podSecrets returns the names of the Secrets that the pod's own fields name.
func (s Spec) podSecrets() []string {
	out := make([]string, 0, len(s.ExtraEnv)+len(s.ImagePullSecrets))
	for _, e := range s.ExtraEnv {
		if ref, _, ok := SecretOf(e); ok {
			out = append(out, ref.Name)
		}
	}
	for _, r := range s.ImagePullSecrets {
		out = append(out, r.Name)
	}
	return out
}

// SecretOf returns the key of a Secret that a variable has its value from, and whether
// the pod starts without it.
func SecretOf(e corev1.EnvVar) (ref record.SecretKey, optional, ok bool) {
	if e.ValueFrom == nil || e.ValueFrom.SecretKeyRef == nil {
		return record.SecretKey{}, false, false
	}
	r := e.ValueFrom.SecretKeyRef
	return record.SecretKey{Name: r.Name, Key: r.Key}, r.Optional != nil && *r.Optional, true
}
