package dittofs

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// Headless is the StatefulSet's governing Service.
func Headless(s *server.Server) *corev1.Service {
	svc := service(s, names.HeadlessService(s.Name), server.Service{Type: corev1.ServiceTypeClusterIP}, "api", s.APIPort)
	svc.Spec.ClusterIP = corev1.ClusterIPNone
	return svc
}

// API is the Service of the REST API.
func API(s *server.Server) *corev1.Service {
	return service(s, names.APIService(s.Name), s.Service, "api", s.APIPort)
}

// NFS is the Service that NFS clients mount through.
func NFS(s *server.Server) *corev1.Service {
	return service(s, names.NFSService(s.Name), s.AdapterService, "nfs", server.NFSPort)
}

// SMB is the Service that SMB clients mount through.
func SMB(s *server.Server) *corev1.Service {
	return service(s, names.SMBService(s.Name), s.AdapterService, "smb", server.SMBPort)
}

func service(s *server.Server, name string, how server.Service, port string, number int32) *corev1.Service {
	m := meta(s, name)
	m.Annotations = how.Annotations
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: names.CoreV1, Kind: "Service"},
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
		},
	}
}
