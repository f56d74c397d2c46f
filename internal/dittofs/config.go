package dittofs

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	yaml "sigs.k8s.io/yaml/goyaml.v2"

	"github.com/crossplane/function-sdk-go/errors"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
)

const (
	// shutdownTimeout bounds each stage of the server's shutdown.
	shutdownTimeout = "30s"
	// anyAddress: the server's own default, 127.0.0.1, cannot be reached.
	anyAddress = "0.0.0.0"
)

// A section is a section of config.yaml, or all of it. No credential is in it.
// Source: dittofs v0.29.0 pkg/config.
type section map[string]any

// merge adds the sections of o. What both have as a section is merged; anything else
// is o's.
func (s section) merge(o section) {
	for k, v := range o {
		into, ok := s[k].(section)
		from, also := v.(section)
		if ok && also {
			into.merge(from)
			continue
		}
		s[k] = v
	}
}

// sectionOf returns a piece of JSON as a section. A whole number is one in YAML too:
// the server does not read 1e+09 as a number of bytes.
func sectionOf(m map[string]any) section {
	out := section{}
	for k, v := range m {
		out[k] = fromJSON(v)
	}
	return out
}

func fromJSON(v any) any {
	switch t := v.(type) {
	case map[string]any:
		return sectionOf(t)
	case []any:
		out := make([]any, len(t))
		for i, e := range t {
			out[i] = fromJSON(e)
		}
		return out
	case float64:
		if i := int64(t); float64(i) == t {
			return i
		}
	}
	return v
}

// Config returns the server's config.yaml: the sections of its parts, in the order
// of their names. A change of what this makes of an unchanged spec restarts every
// server there is.
func Config(s *server.Server) (string, error) {
	c := section{}
	for _, p := range parts(s) {
		c.merge(p.config)
	}
	c.merge(sectionOf(s.ExtraConfig))
	b, err := yaml.Marshal(c)
	return string(b), errors.Wrap(err, "cannot render config.yaml")
}

// ConfigMap returns the ConfigMap with the server's configuration and the record
// of what was chosen. The owners are Secrets that are kept when the server is
// deleted, together with a database: with them the record outlives the server as
// long as its data does, since Kubernetes collects only what has no owner left.
//
// While the pod is kept, so is the configuration that it was made with: the same pod,
// made again, would read it.
func ConfigMap(s *server.Server, configYAML, record string, owners []metav1.OwnerReference, live observed.Object) *corev1.ConfigMap {
	cm := &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: names.CoreV1, Kind: names.ConfigMapKind},
		ObjectMeta: meta(s, names.ConfigMap(s.Name)),
		Data:       map[string]string{names.ConfigKey: configYAML},
	}
	if s.Kerberos.OwnKrb5Conf() {
		cm.Data[names.Krb5ConfKey] = krb5Conf(s.Kerberos)
	}
	if data := live.Map("data"); s.Frozen && len(data) > 0 {
		clear(cm.Data)
		for k, v := range data {
			cm.Data[k], _ = v.(string)
		}
	}
	cm.Annotations = map[string]string{names.AnnotationRecord: record}
	cm.OwnerReferences = owners
	return cm
}
