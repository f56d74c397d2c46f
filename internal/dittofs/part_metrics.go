package dittofs

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/dittofs/function-dittoserver/internal/server"
)

const (
	tokenDir    = "/metrics-token"
	volumeToken = "metrics-token"

	portMetrics = "metrics"
)

// metrics is how the server serves metrics to Prometheus, on a port of its own.
// The token is read once, at the start.
// Source: dittofs v0.29.0 pkg/config/metrics.go.
func metrics(s *server.Server) part {
	m := s.Metrics
	config := section{"enabled": true, "host": anyAddress, "port": m.Port, "path": m.Path, "auth": "none"}
	p := part{
		ports:  []corev1.ContainerPort{{Name: portMetrics, ContainerPort: m.Port, Protocol: corev1.ProtocolTCP}},
		config: section{"metrics": config},
	}
	if m.Token.Name == "" {
		return p
	}
	config["auth"], config["token_file"] = "token", tokenDir+"/"+m.Token.Key
	p.mounts = []corev1.VolumeMount{{Name: volumeToken, MountPath: tokenDir, ReadOnly: true}}
	p.volumes = []corev1.Volume{secretVolume(volumeToken, m.Token.Name, m.Token.Key)}
	p.sources = []source{{name: SourceMetricsToken, secret: m.Token.Name, keys: []string{m.Token.Key}}}
	return p
}
