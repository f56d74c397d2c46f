package server

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/strict"
)

// adapterPorts decides which adapters are published, and on which ports. The server
// keeps its adapters in its database and not in config.yaml: it makes both, on their
// default ports, when it starts for the first time.
// Source: dittofs v0.29.0 pkg/controlplane/store/adapters.go, EnsureDefaultAdapters.
func (v *validator) adapterPorts() {
	spec := or(v.spec.Adapters, v1alpha1.AdaptersSpec{})
	v.s.NFS = v.adapter(pathNFS, "nfs", spec.NFS, NFSPort)
	v.s.SMB = v.adapter(pathSMB, "smb", spec.SMB, SMBPort)
	if v.s.NFS.Port == v.s.SMB.Port {
		path, other := pathSMB, pathNFS
		if v.s.SMB.Port == SMBPort {
			path, other = pathNFS, pathSMB
		}
		v.invalid(path+".port", v.s.NFS.Port, fmt.Sprintf("is taken: it is that of the other adapter, %s", v.spec.Path(other+".port")))
	}
}

// Publishes reports whether a spec, which may be nil, has an adapter be reached.
func Publishes(a *v1alpha1.AdapterSpec) bool { return a == nil || or(a.Enabled, true) }

func (v *validator) adapter(path, name string, spec *v1alpha1.AdapterSpec, initial int32) Adapter {
	s := or(spec, v1alpha1.AdapterSpec{})
	a := Adapter{Published: Publishes(spec), Port: or(s.Port, initial)}
	v.inRange(path+".port", int64(a.Port), 1, 65535)
	switch {
	case !a.Published:
		v.warn(path+".enabled", "false takes away the Service, and the server goes on listening. Tell it too, unless that is done: dfsctl adapter disable %s", name)
		return a
	case a.Port != initial:
		v.warn(path+".port", "the Service leads to %d, and the server listens on %d until it is told. Tell it, unless that is done: dfsctl adapter edit %s --port %[1]d", a.Port, initial, name)
	}
	if a.Port > 0 && a.Port < 1024 {
		v.warn(path+".port", "%d is a privileged port, and the server does not run as root; where the container runtime does not allow it, the adapter cannot listen", a.Port)
	}
	return a
}

// adapterServices decides how the adapters' Services are exposed. What
// adapterServices says lies beneath what is said of each, and all of the XR above all
// of the platform's defaults.
func (v *validator) adapterServices() {
	base := or(v.spec.AdapterServices, v1alpha1.AdapterServiceConfig{})
	if base.Type != "" {
		v.serviceType("adapterServices.type", base.Type)
	}
	v.annotations("adapterServices.annotations", base.Annotations)
	spec := or(v.spec.Adapters, v1alpha1.AdaptersSpec{})
	for _, a := range []struct {
		path    string
		spec    *v1alpha1.AdapterSpec
		adapter *Adapter
	}{{pathNFS, spec.NFS, &v.s.NFS}, {pathSMB, spec.SMB, &v.s.SMB}} {
		if a.adapter.Published {
			a.adapter.Service = v.adapterService(a.path+".service", or(or(a.spec, v1alpha1.AdapterSpec{}).Service, v1alpha1.AdapterServiceSpec{}))
		}
	}
}

func (v *validator) adapterService(path string, spec v1alpha1.AdapterServiceSpec) Exposure {
	e := Exposure{Annotations: v.spec.layered("adapterServices.annotations", path+".annotations")}
	v.annotations(path+".annotations", spec.Annotations)
	t := v.spec.first(path+".type", "adapterServices.type")
	e.Type = corev1.ServiceType(cmp.Or(t.value, string(corev1.ServiceTypeClusterIP)))
	if t.path == path+".type" {
		v.serviceType(t.path, t.value)
	}

	fits := func(field string, value any, takes ...corev1.ServiceType) bool {
		if slices.Contains(takes, e.Type) {
			return true
		}
		// A default for servers that are published does not keep a server from being
		// private. It does keep it from being published in another way, which the
		// default may have been to restrict.
		if e.Type != corev1.ServiceTypeClusterIP || !t.own || strict.Lookup(v.spec.own, strings.Split(path+"."+field, ".")) != nil {
			v.invalid(path+"."+field, value, fmt.Sprintf("needs the type %s, and it is %s: set %s, or remove the field", join(takes), e.Type, v.spec.Path(cmp.Or(t.path, path+".type"))))
		}
		return false
	}
	if r := spec.LoadBalancerSourceRanges; len(r) > 0 && fits("loadBalancerSourceRanges", strings.Join(r, ","), corev1.ServiceTypeLoadBalancer) {
		e.SourceRanges = r
		for i, cidr := range r {
			v.errs = append(v.errs, validation.IsValidCIDR(v.spec.Path(path+".loadBalancerSourceRanges").Index(i), cidr)...)
		}
	}
	if c := spec.LoadBalancerClass; c != "" && fits("loadBalancerClass", c, corev1.ServiceTypeLoadBalancer) {
		e.LoadBalancerClass = c
		for _, msg := range validation.IsQualifiedName(c) {
			v.invalid(path+".loadBalancerClass", c, msg)
		}
	}
	if p := spec.ExternalTrafficPolicy; p != "" && fits("externalTrafficPolicy", p, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort) {
		e.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicy(v.oneOf(path+".externalTrafficPolicy", p,
			string(corev1.ServiceExternalTrafficPolicyCluster), string(corev1.ServiceExternalTrafficPolicyLocal)))
	}
	return e
}

func join(types []corev1.ServiceType) string {
	out := make([]string, 0, len(types))
	for _, t := range types {
		out = append(out, string(t))
	}
	return strings.Join(out, " or ")
}

// annotations checks annotations. They are checked one by one, since the errors of a
// map come in no order.
func (v *validator) annotations(path string, annotations map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(annotations)) {
		v.errs = append(v.errs, apivalidation.ValidateAnnotations(map[string]string{k: annotations[k]}, v.spec.entry(path, k))...)
	}
}

// A statement is a text in a spec, and where it stands.
type statement struct {
	value, path string
	// own is true if it is the XR's.
	own bool
}

// first returns the text at the first of the paths that has one, first in the XR and
// then in the defaults.
func (s Spec) first(paths ...string) statement {
	for i, doc := range []map[string]any{s.own, s.defaults} {
		for _, p := range paths {
			if text, _ := strict.Lookup(doc, strings.Split(p, ".")).(string); text != "" {
				return statement{value: text, path: p, own: i == 0}
			}
		}
	}
	return statement{}
}

// layered returns the maps of texts at the paths, laid over each other, those of the
// XR over those of the defaults.
func (s Spec) layered(paths ...string) map[string]string {
	var out map[string]string
	for _, doc := range []map[string]any{s.defaults, s.own} {
		for _, p := range paths {
			m, _ := strict.Lookup(doc, strings.Split(p, ".")).(map[string]any)
			for k, v := range m {
				text, ok := v.(string)
				if !ok {
					continue
				}
				if out == nil {
					out = map[string]string{}
				}
				out[k] = text
			}
		}
	}
	return out
}

// entry returns the path of a map, for a message about one of its keys: that of the
// Input where the key comes from there.
func (s Spec) entry(path, key string) *field.Path {
	p := strings.Split(path, ".")
	return s.root(append(slices.Clone(p), key)).Child(p[0], p[1:]...)
}
