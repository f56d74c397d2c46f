package dittofs

import (
	"maps"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// labelMetrics tells the Service of the metrics from the server's others.
const labelMetrics = "dittofs.io/metrics-service"

// ServiceMonitor returns what has the Prometheus operator scrape the metrics.
func ServiceMonitor(s *server.Server) *monitoringv1.ServiceMonitor {
	m := s.Metrics
	selector := names.Labels(s.Name)
	selector[labelMetrics] = "true"

	om := meta(s, s.Name+names.MetricsSuffix)
	om.Labels = maps.Clone(m.Monitor.Labels)
	if om.Labels == nil {
		om.Labels = map[string]string{}
	}
	maps.Copy(om.Labels, selector)

	endpoint := monitoringv1.Endpoint{
		// The name of the Service's port may be somebody else's: see nameTaken.
		TargetPort: ptr.To(intstr.FromInt32(m.Port)),
		Path:       m.Path,
		Interval:   monitoringv1.Duration(m.Monitor.Interval),
	}
	if t := m.Token; t.Name != "" {
		endpoint.Authorization = &monitoringv1.SafeAuthorization{Credentials: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: t.Name}, Key: t.Key,
		}}
	}
	return &monitoringv1.ServiceMonitor{
		TypeMeta:   metav1.TypeMeta{APIVersion: names.MonitoringV1, Kind: names.ServiceMonitorKind},
		ObjectMeta: om,
		Spec: monitoringv1.ServiceMonitorSpec{
			Selector:          metav1.LabelSelector{MatchLabels: selector},
			NamespaceSelector: monitoringv1.NamespaceSelector{MatchNames: []string{s.Namespace}},
			Endpoints:         []monitoringv1.Endpoint{endpoint},
		},
	}
}
