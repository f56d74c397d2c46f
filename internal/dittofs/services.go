package dittofs

import (
	"cmp"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// Headless returns the StatefulSet's governing Service.
func Headless(s *server.Server, live observed.Object) *corev1.Service {
	svc := service(s, names.HeadlessService(s.Name), server.Exposure{Type: corev1.ServiceTypeClusterIP}, "api", s.APIPort, live)
	svc.Spec.ClusterIP = corev1.ClusterIPNone
	return svc
}

// API returns the Service of the REST API.
func API(s *server.Server, live observed.Object) *corev1.Service {
	return service(s, s.Name+names.APISuffix, s.Service, "api", s.APIPort, live)
}

// NFS returns the Service that NFS clients mount through.
func NFS(s *server.Server, live observed.Object) *corev1.Service {
	return service(s, s.Name+names.NFSSuffix, s.NFS.Service, "nfs", s.NFS.Port, live)
}

// SMB returns the Service that SMB clients mount through.
func SMB(s *server.Server, live observed.Object) *corev1.Service {
	return service(s, s.Name+names.SMBSuffix, s.SMB.Service, "smb", s.SMB.Port, live)
}

// Metrics returns the Service that Prometheus scrapes through. Its annotations are
// those by which Prometheus is commonly configured to find what it scrapes.
func Metrics(s *server.Server, live observed.Object) *corev1.Service {
	m := s.Metrics
	svc := service(s, s.Name+names.MetricsSuffix, server.Exposure{Type: corev1.ServiceTypeClusterIP, Annotations: map[string]string{
		"prometheus.io/scrape": "true",
		"prometheus.io/port":   strconv.Itoa(int(m.Port)),
		"prometheus.io/path":   m.Path,
	}}, portMetrics, m.Port, live)
	svc.Labels[labelMetrics] = "true"
	return svc
}

func service(s *server.Server, name string, how server.Exposure, port string, number int32, live observed.Object) *corev1.Service {
	m := meta(s, name)
	m.Annotations = how.Annotations
	if nameTaken(live, live.List("spec", "ports"), "port", port, number, "spec", "ports") {
		port += "-" + strconv.Itoa(int(number))
	}
	svc := &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: names.CoreV1, Kind: names.ServiceKind},
		ObjectMeta: m,
		Spec: corev1.ServiceSpec{
			Type:     how.Type,
			Selector: names.Labels(s.Name),
			Ports: []corev1.ServicePort{{
				Name:       port,
				Protocol:   corev1.ProtocolTCP,
				Port:       number,
				TargetPort: intstr.FromInt32(number),
			}},
			LoadBalancerSourceRanges: how.SourceRanges,
			ExternalTrafficPolicy:    how.ExternalTrafficPolicy,
		},
	}
	if c := how.LoadBalancerClass; c != "" {
		svc.Spec.LoadBalancerClass = &c
	}
	return svc
}

// nameTaken reports whether a port of another number has the name and is somebody
// else's, such as the operator's that made the object. Server-side apply keeps that
// port, and the API server refuses two of one name. The ports are at a path of the
// object, each known by its number under key, and its protocol.
func nameTaken(object observed.Object, ports []observed.Object, key, name string, want int32, path ...any) bool {
	for _, p := range ports {
		number := p.Int(key)
		if p.String("name") != name || number == int64(want) {
			continue
		}
		at := append(slices.Clone(path), observed.Item{key: float64(number), "protocol": cmp.Or(p.String("protocol"), "TCP")})
		if object.OwnedByOthers(at...) {
			return true
		}
	}
	return false
}
