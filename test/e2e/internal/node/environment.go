package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// environment resolves the variables of a container, in the order in which a
// kubelet does: later ones see, and win over, earlier ones.
func (c *container) environment(ctx context.Context, img Image) ([]string, error) {
	obj := c.p.object()
	env := &environment{}

	for _, e := range img.Env {
		n, v, _ := strings.Cut(e, "=")
		env.set(n, v)
	}
	env.set("HOSTNAME", obj.Name)
	// With or without enableServiceLinks: client-go finds the API server so.
	env.set("KUBERNETES_SERVICE_HOST", apiServerName)
	env.set("KUBERNETES_SERVICE_PORT", c.p.n.APIServer)
	if or(obj.Spec.EnableServiceLinks, true) {
		c.p.n.serviceLinks(obj.Namespace, env)
	}

	for _, from := range c.spec.EnvFrom {
		data, err := c.envFrom(ctx, from)
		if err != nil {
			return nil, err
		}
		for _, k := range slices.Sorted(maps.Keys(data)) {
			env.set(from.Prefix+k, data[k])
		}
	}

	for _, e := range c.spec.Env {
		if e.ValueFrom == nil {
			env.set(e.Name, expand(e.Value, env.list()))
			continue
		}
		v, ok, err := c.value(ctx, e.ValueFrom)
		if err != nil {
			return nil, err
		}
		if ok {
			env.set(e.Name, v)
		}
	}

	return env.list(), nil
}

func (c *container) envFrom(ctx context.Context, from corev1.EnvFromSource) (map[string]string, error) {
	out := map[string]string{}
	switch {
	case from.SecretRef != nil:
		data, err := c.p.secret(ctx, from.SecretRef.Name, or(from.SecretRef.Optional, false))
		for k, v := range data {
			out[k] = string(v)
		}
		return out, err
	case from.ConfigMapRef != nil:
		data, err := c.p.configMap(ctx, from.ConfigMapRef.Name, or(from.ConfigMapRef.Optional, false))
		for k, v := range data {
			out[k] = string(v)
		}
		return out, err
	}
	return out, nil
}

// value of a variable. It is not set if it is optional and there is none.
func (c *container) value(ctx context.Context, from *corev1.EnvVarSource) (string, bool, error) {
	obj := c.p.object()

	switch {
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		data, err := c.p.secret(ctx, ref.Name, or(ref.Optional, false))
		if err != nil {
			return "", false, err
		}
		v, ok := data[ref.Key]
		if !ok && !or(ref.Optional, false) {
			return "", false, fmt.Errorf("couldn't find key %s in Secret %s/%s", ref.Key, obj.Namespace, ref.Name)
		}
		return string(v), ok, nil

	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		data, err := c.p.configMap(ctx, ref.Name, or(ref.Optional, false))
		if err != nil {
			return "", false, err
		}
		v, ok := data[ref.Key]
		if !ok && !or(ref.Optional, false) {
			return "", false, fmt.Errorf("couldn't find key %s in ConfigMap %s/%s", ref.Key, obj.Namespace, ref.Name)
		}
		return string(v), ok, nil

	case from.FieldRef != nil:
		v, err := c.p.field(from.FieldRef.FieldPath)
		return v, true, err
	}

	return "", false, fmt.Errorf("this node does not know the source of a variable: %v", from)
}

// field is the value of a field of the pod.
func (p *pod) field(path string) (string, error) {
	obj := p.object()

	for prefix, m := range map[string]map[string]string{"metadata.labels": obj.Labels, "metadata.annotations": obj.Annotations} {
		if key, ok := strings.CutPrefix(path, prefix+"['"); ok {
			return m[strings.TrimSuffix(key, "']")], nil
		}
		if path == prefix {
			lines := []string{}
			for _, k := range slices.Sorted(maps.Keys(m)) {
				lines = append(lines, fmt.Sprintf("%s=%q", k, m[k]))
			}
			return strings.Join(lines, "\n"), nil
		}
	}

	v, ok := map[string]string{
		"metadata.name":           obj.Name,
		"metadata.namespace":      obj.Namespace,
		"metadata.uid":            string(obj.UID),
		"spec.nodeName":           p.n.Name,
		"spec.serviceAccountName": obj.Spec.ServiceAccountName,
		"status.podIP":            p.ip(),
		"status.podIPs":           p.ip(),
		"status.hostIP":           p.n.ip,
	}[path]
	if !ok {
		return "", fmt.Errorf("this node does not know the field %s of a pod", path)
	}

	return v, nil
}

// secret is the data of a Secret, nil if it is optional and does not exist.
func (p *pod) secret(ctx context.Context, name string, optional bool) (map[string][]byte, error) {
	obj := p.object()
	s, err := p.n.Client.CoreV1().Secrets(obj.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && optional {
		return nil, nil //nolint:nilnil // As the comment says.
	}
	if err != nil {
		return nil, err
	}

	return s.Data, nil
}

// configMap is the data of a ConfigMap, nil if it is optional and does not
// exist.
func (p *pod) configMap(ctx context.Context, name string, optional bool) (map[string][]byte, error) {
	obj := p.object()
	cm, err := p.n.Client.CoreV1().ConfigMaps(obj.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && optional {
		return nil, nil //nolint:nilnil // As the comment says.
	}
	if err != nil {
		return nil, err
	}

	out := make(map[string][]byte, len(cm.Data)+len(cm.BinaryData))
	for k, v := range cm.Data {
		out[k] = []byte(v)
	}
	maps.Copy(out, cm.BinaryData)

	return out, nil
}

// serviceLinks are variables that every container has of the Services of its
// namespace, wanted or not: DITTOFS_API_PORT, for one, where a server is called
// dittofs.
func (n *Node) serviceLinks(namespace string, env *environment) {
	for _, o := range n.services.GetStore().List() {
		s := o.(*corev1.Service) //nolint:forcetypeassert // An informer of Services.
		if s.Namespace != namespace || s.Spec.ClusterIP == "" || s.Spec.ClusterIP == corev1.ClusterIPNone || len(s.Spec.Ports) == 0 {
			continue
		}

		name := strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
		first := s.Spec.Ports[0]
		env.set(name+"_SERVICE_HOST", s.Spec.ClusterIP)
		env.set(name+"_SERVICE_PORT", fmt.Sprint(first.Port))
		env.set(name+"_PORT", fmt.Sprintf("%s://%s:%d", strings.ToLower(string(first.Protocol)), s.Spec.ClusterIP, first.Port))
		for _, p := range s.Spec.Ports {
			if p.Name != "" {
				env.set(name+"_SERVICE_PORT_"+strings.ToUpper(strings.ReplaceAll(p.Name, "-", "_")), fmt.Sprint(p.Port))
			}
			prefix := fmt.Sprintf("%s_PORT_%d_%s", name, p.Port, p.Protocol)
			env.set(prefix, fmt.Sprintf("%s://%s:%d", strings.ToLower(string(p.Protocol)), s.Spec.ClusterIP, p.Port))
			env.set(prefix+"_PROTO", strings.ToLower(string(p.Protocol)))
			env.set(prefix+"_PORT", fmt.Sprint(p.Port))
			env.set(prefix+"_ADDR", s.Spec.ClusterIP)
		}
	}
}

// An environment keeps the order in which variables were first set.
type environment struct {
	names  []string
	values map[string]string
}

func (e *environment) set(name, value string) {
	if e.values == nil {
		e.values = map[string]string{}
	}
	if _, ok := e.values[name]; !ok {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

func (e *environment) list() []string {
	out := make([]string, 0, len(e.names))
	for _, n := range e.names {
		out = append(out, n+"="+e.values[n])
	}
	return out
}

// expand replaces $(NAME) by the variable's value, if there is such a variable,
// and $$ by $.
func expand(s string, env []string) string {
	out := &strings.Builder{}
	for {
		i := strings.IndexByte(s, '$')
		if i < 0 || i == len(s)-1 {
			out.WriteString(s)
			return out.String()
		}
		out.WriteString(s[:i])
		s = s[i:]

		end := strings.IndexByte(s, ')')
		switch {
		case s[1] == '$':
			out.WriteByte('$')
			s = s[2:]
		case s[1] == '(' && end > 0:
			out.WriteString(lookup(env, s[2:end], s[:end+1]))
			s = s[end+1:]
		default:
			out.WriteByte('$')
			s = s[1:]
		}
	}
}

func lookup(env []string, name, def string) string {
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return def
}
