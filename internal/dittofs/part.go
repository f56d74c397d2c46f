package dittofs

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/dittofs/function-dittoserver/internal/server"
)

// A part is what one feature adds to the server's pod and to its configuration. A
// feature that nobody asked for has no part, and adds not one byte, so a new one
// restarts no server.
//
// The order of the parts, and that within each, is the order in the pod template
// of every server there is: new parts come last.
type part struct {
	env            []corev1.EnvVar
	ports          []corev1.ContainerPort
	mounts         []corev1.VolumeMount
	volumes        []corev1.Volume
	initContainers []corev1.Container
	// config are the part's sections of config.yaml.
	config section
	// sources are read at the server's start and never again: a change of one
	// replaces the pod.
	sources []source
}

// A source is something that the server reads at its start.
type source struct {
	// name of the source's checksum.
	name string
	// secret holds what is read, under the keys. It is complete if it has all of
	// them but those in mayLack.
	secret  string
	keys    []string
	mayLack []string
	// atLeast is how many bytes a value has to have for the server to start.
	atLeast int
	// public is true if what is read is no secret.
	public bool
	// optional is true if the pod starts without it. That it is not there says nothing
	// about the rest of the Secret.
	optional bool
}

// parts returns the parts of a server's pod.
func parts(s *server.Server) []part {
	out := []part{core(s), postgres(s)}
	if s.Metrics.Enabled {
		out = append(out, metrics(s))
	}
	if s.TLS.Cert != "" {
		out = append(out, apiTLS(s))
	}
	if s.GC != (server.GC{}) {
		out = append(out, gc(s))
	}
	if s.LDAP.Enabled {
		out = append(out, ldap(s))
	}
	if s.Kerberos.Enabled || s.Kerberos.Kept {
		out = append(out, kerberos(s))
	}
	if len(s.Pod.Env) > 0 {
		out = append(out, extraEnv(s))
	}
	return out
}

func value(name, v string) corev1.EnvVar { return corev1.EnvVar{Name: name, Value: v} }

// variable returns an environment variable of a value of a connection.
func variable(name string, v server.Value) corev1.EnvVar {
	if v.Name == "" {
		return value(name, v.Value)
	}
	ref := &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: v.Name}, Key: v.Key}
	if v.Optional {
		ref.Optional = &v.Optional
	}
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: ref}}
}

// secretVolume returns a volume with one key of a Secret, under its own name.
func secretVolume(name, secret, key string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
		SecretName: secret,
		Items:      []corev1.KeyToPath{{Key: key, Path: key}},
	}}}
}
