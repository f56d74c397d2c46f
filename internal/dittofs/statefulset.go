// Package dittofs builds what the DittoFS server itself is made of, and reads the
// state of its StatefulSet.
package dittofs

import (
	"fmt"

	"google.golang.org/protobuf/types/known/structpb"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/internal/manifest"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
)

const (
	// uid is the user and group of the image. Source: dittofs v0.29.0
	// Dockerfile.goreleaser.
	uid int64 = 65532
	// preStopSeconds is how long Services have to forget the pod.
	preStopSeconds = 5
)

func meta(s *server.Server, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: s.Namespace, Labels: names.Labels(s.Name)}
}

// StatefulSet returns the server. The checksums, one a source, go into its pod
// template and replace the pod when, and only when, their source changes.
//
// A change of the pod template that this function makes of an unchanged spec
// restarts every server there is.
func StatefulSet(s *server.Server, checksums map[string]string, live observed.Object) *appsv1.StatefulSet {
	annotations := make(map[string]string, len(checksums))
	for k, v := range checksums {
		annotations[names.AnnotationChecksumPrefix+k] = v
	}
	pod := corev1.PodSpec{
		AutomountServiceAccountToken:  ptr.To(false),
		TerminationGracePeriodSeconds: ptr.To(s.GracePeriodSeconds),
		SecurityContext:               podSecurityContext(s),
	}
	c := container(s)
	for _, p := range parts(s) {
		c.Env = append(c.Env, p.env...)
		c.Ports = append(c.Ports, p.ports...)
		c.VolumeMounts = append(c.VolumeMounts, p.mounts...)
		pod.Volumes = append(pod.Volumes, p.volumes...)
		pod.InitContainers = append(pod.InitContainers, p.initContainers...)
	}
	for i, p := range c.Ports {
		if nameTaken(live, record.Container(live).List("ports"), "containerPort", p.Name, p.ContainerPort,
			"spec", "template", "spec", "containers", observed.Item{"name": names.ContainerName}, "ports") {
			// A container's port need not have a name.
			c.Ports[i].Name = ""
		}
	}
	pod.Containers = []corev1.Container{c}
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: names.Labels(s.Name), Annotations: annotations},
		Spec:       pod,
	}
	asAsked(&template, s.Pod, live)
	return &appsv1.StatefulSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: names.AppsV1, Kind: names.StatefulSetKind},
		ObjectMeta: meta(s, s.Name),
		Spec: appsv1.StatefulSetSpec{
			Replicas:             ptr.To(s.Replicas),
			ServiceName:          names.HeadlessService(s.Name),
			PodManagementPolicy:  s.PodManagement,
			UpdateStrategy:       updateStrategy(s, live),
			Selector:             &metav1.LabelSelector{MatchLabels: names.Labels(s.Name)},
			Template:             template,
			VolumeClaimTemplates: claims(s),
			PersistentVolumeClaimRetentionPolicy: &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
				WhenDeleted: appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
				WhenScaled:  appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
			},
		},
	}
}

// updateStrategy leaves everything to Kubernetes' defaults, unless the pod must not be
// replaced. Pods below the partition stay as they are, and so does one that has to be
// made again. It is left alone where a person has decided when pods are replaced.
// Source: k8s.io/api v0.35 apps/v1, RollingUpdateStatefulSetStrategy.
func updateStrategy(s *server.Server, live observed.Object) appsv1.StatefulSetUpdateStrategy {
	onDelete := live.String("spec", "updateStrategy", "type") == string(appsv1.OnDeleteStatefulSetStrategyType)
	// Whoever made a StatefulSet owns the default, 0, too.
	decided := live.Int("spec", "updateStrategy", "rollingUpdate", "partition") > 0 && live.OwnedByOthers("spec", "updateStrategy", "rollingUpdate", "partition")
	if !s.Frozen || onDelete || decided {
		return appsv1.StatefulSetUpdateStrategy{}
	}
	return appsv1.StatefulSetUpdateStrategy{RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr.To(max(s.Replicas, 1))}}
}

// container returns the server's container, but for what its parts add.
func container(s *server.Server) corev1.Container {
	return corev1.Container{
		Name:                     names.ContainerName,
		Image:                    s.Image,
		Command:                  []string{"/app/dfs"},
		Args:                     []string{"start", "--foreground", "--config", configDir + "/" + names.ConfigKey},
		Resources:                s.Resources,
		StartupProbe:             probe(s, "/health", 0, 5, 30),
		LivenessProbe:            probe(s, "/health", 15, 10, 3),
		ReadinessProbe:           probe(s, "/health/ready", 10, 5, 3),
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		Lifecycle: &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{
			Exec: &corev1.ExecAction{Command: []string{"/bin/sh", "-c", fmt.Sprintf("sleep %d", preStopSeconds)}},
		}},
		SecurityContext: containerSecurityContext(s.SecurityContext),
	}
}

func probe(s *server.Server, path string, delay, period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:        probeHandler(s, path),
		InitialDelaySeconds: delay,
		PeriodSeconds:       period,
		TimeoutSeconds:      5,
		FailureThreshold:    failures,
	}
}

// probeHandler returns how health is asked for. The kubelet accepts any certificate
// and has none of its own, so a server that asks for one is only connected to.
func probeHandler(s *server.Server, path string) corev1.ProbeHandler {
	port := intstr.FromInt32(s.APIPort)
	if s.TLS.ClientCA != "" {
		return corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: port}}
	}
	get := &corev1.HTTPGetAction{Path: path, Port: port}
	if s.TLS.Cert != "" {
		get.Scheme = corev1.URISchemeHTTPS
	}
	return corev1.ProbeHandler{HTTPGet: get}
}

// claims returns the claim templates of a new StatefulSet. Those of a live one are
// put in place as they are: see WithClaims.
func claims(s *server.Server) []corev1.PersistentVolumeClaim {
	if len(s.Storage.Claims) > 0 {
		return nil
	}
	out := []corev1.PersistentVolumeClaim{claim(s, names.VolumeMetadata, s.Storage.Metadata)}
	if s.Storage.Content != nil {
		out = append(out, claim(s, names.VolumeContent, *s.Storage.Content))
	}
	return append(out, claim(s, names.VolumeControlPlane, s.Storage.ControlPlane))
}

// WithClaims puts the live claim templates in place, which are sent as they are.
func WithClaims(sts *structpb.Struct, s *server.Server) *structpb.Struct {
	if len(s.Storage.Claims) == 0 {
		return sts
	}
	l := &structpb.ListValue{}
	for _, c := range s.Storage.Claims {
		l.Values = append(l.Values, structpb.NewStructValue(manifest.FromMap(c)))
	}
	sts.GetFields()["spec"].GetStructValue().GetFields()["volumeClaimTemplates"] = structpb.NewListValue(l)
	return sts
}

func claim(s *server.Server, name string, size resource.Quantity) corev1.PersistentVolumeClaim {
	return corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			StorageClassName: s.Storage.ClassName,
			Resources:        corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: size}},
		},
	}
}

// podSecurityContext returns the user's, with what Pod Security "restricted" asks
// for where it says nothing.
func podSecurityContext(s *server.Server) *corev1.PodSecurityContext {
	out := s.PodSecurityContext.DeepCopy()
	if out == nil {
		out = &corev1.PodSecurityContext{}
	}
	out.RunAsNonRoot = orDefault(out.RunAsNonRoot, true)
	out.RunAsUser = orDefault(out.RunAsUser, uid)
	out.RunAsGroup = orDefault(out.RunAsGroup, uid)
	out.FSGroup = orDefault(out.FSGroup, uid)
	// Otherwise every start walks through every file that is served.
	out.FSGroupChangePolicy = orDefault(out.FSGroupChangePolicy, corev1.FSGroupChangeOnRootMismatch)
	if out.SeccompProfile == nil {
		out.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
	}
	return out
}

// containerSecurityContext returns the user's, with what Pod Security "restricted"
// asks for, and a read-only root file system, where it says nothing.
func containerSecurityContext(user *corev1.SecurityContext) *corev1.SecurityContext {
	out := user.DeepCopy()
	if out == nil {
		out = &corev1.SecurityContext{}
	}
	out.AllowPrivilegeEscalation = orDefault(out.AllowPrivilegeEscalation, false)
	out.RunAsNonRoot = orDefault(out.RunAsNonRoot, true)
	out.ReadOnlyRootFilesystem = orDefault(out.ReadOnlyRootFilesystem, true)
	if out.Capabilities == nil {
		out.Capabilities = &corev1.Capabilities{}
	}
	if len(out.Capabilities.Drop) == 0 {
		out.Capabilities.Drop = []corev1.Capability{"ALL"}
	}
	if out.SeccompProfile == nil {
		out.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
	}
	return out
}

func orDefault[T any](v *T, def T) *T {
	if v == nil {
		return &def
	}
	return v
}
