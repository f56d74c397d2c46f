package dittofs

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/server"
)

const (
	configDir = "/config"
	tmpDir    = "/tmp"

	volumeConfig = "config"
	volumeTmp    = "tmp"
)

// core is what every server has.
func core(s *server.Server) part {
	p := part{
		env: []corev1.EnvVar{
			variable(names.EnvJWTSecret, server.Value{SecretKey: s.JWT.SecretKey}),
			variable(names.EnvAdminPassword, server.Value{SecretKey: s.Admin.SecretKey, Optional: s.Admin.Optional}),
		},
		ports: []corev1.ContainerPort{
			{Name: "api", ContainerPort: s.APIPort, Protocol: corev1.ProtocolTCP},
		},
		volumes: []corev1.Volume{
			{Name: volumeConfig, VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: names.ConfigMap(s.Name)},
			}}},
			{Name: volumeTmp, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		},
		// The admin password is no source: the server reads it at its first start
		// only.
		sources: []source{{name: SourceJWT, secret: s.JWT.Name, keys: []string{s.JWT.Key}, atLeast: server.MinJWTLength}},
		config: section{
			"logging":          section{"level": s.Logging.Level, "format": s.Logging.Format, "output": s.Logging.Output},
			"shutdown_timeout": shutdownTimeout,
			"controlplane": section{
				"host": anyAddress,
				"port": s.APIPort,
				"jwt":  section{"access_token_duration": s.JWT.AccessDuration, "refresh_token_duration": s.JWT.RefreshDuration},
			},
			"admin": section{"username": server.AdminUser},
		},
	}
	for name, a := range adapters(s) {
		p.ports = append(p.ports, corev1.ContainerPort{Name: "adapter-" + name, ContainerPort: a.Port, Protocol: corev1.ProtocolTCP})
	}
	for _, v := range []corev1.VolumeMount{
		{Name: names.VolumeControlPlane, MountPath: server.ControlPlaneDir},
		{Name: names.VolumeMetadata, MountPath: server.MetadataDir},
		{Name: names.VolumeContent, MountPath: server.ContentDir},
	} {
		// The templates of a StatefulSet that somebody else made may lack one, and
		// the API server refuses a mount without a volume.
		if s.Storage.Has(v.Name) {
			p.mounts = append(p.mounts, v)
		}
	}
	p.mounts = append(p.mounts,
		corev1.VolumeMount{Name: volumeConfig, MountPath: configDir, ReadOnly: true},
		corev1.VolumeMount{Name: volumeTmp, MountPath: tmpDir},
	)
	return p
}
