// Package dittofs builds what the DittoFS server itself is made of, and reads
// how its StatefulSet is.
package dittofs

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/server"
)

const (
	configDir = "/config"
	caDir     = "/postgres-ca"
	tmpDir    = "/tmp"

	volumeConfig = "config"
	volumeCA     = "postgres-ca"
	volumeTmp    = "tmp"

	// uid is the user and group of the image. Source: dittofs v0.29.0
	// Dockerfile.goreleaser.
	uid int64 = 65532
	// preStopSeconds is how long Services have to forget the pod.
	preStopSeconds = 5
)

func meta(s *server.Server, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: s.Namespace, Labels: names.Labels(s.Name)}
}

// StatefulSet is the server. The checksums, one a source, go into its pod
// template and roll the pod when, and only when, their source changes.
//
// A change of the pod template that this function makes of an unchanged spec
// restarts every server there is.
func StatefulSet(s *server.Server, checksums map[string]string) *appsv1.StatefulSet {
	annotations := make(map[string]string, len(checksums))
	for k, v := range checksums {
		annotations[names.AnnotationChecksumPrefix+k] = v
	}
	return &appsv1.StatefulSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: names.AppsV1, Kind: "StatefulSet"},
		ObjectMeta: meta(s, s.Name),
		Spec: appsv1.StatefulSetSpec{
			Replicas:            ptr.To(s.Replicas),
			ServiceName:         names.HeadlessService(s.Name),
			PodManagementPolicy: s.PodManagement,
			Selector:            &metav1.LabelSelector{MatchLabels: names.Labels(s.Name)},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: names.Labels(s.Name), Annotations: annotations},
				Spec: corev1.PodSpec{
					AutomountServiceAccountToken:  ptr.To(false),
					TerminationGracePeriodSeconds: ptr.To(s.GracePeriodSeconds),
					SecurityContext:               podSecurityContext(s),
					InitContainers:                initContainers(s),
					Containers:                    []corev1.Container{container(s)},
					Volumes:                       volumes(s),
				},
			},
			VolumeClaimTemplates: claims(s),
			PersistentVolumeClaimRetentionPolicy: &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
				WhenDeleted: appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
				WhenScaled:  appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
			},
		},
	}
}

func container(s *server.Server) corev1.Container {
	return corev1.Container{
		Name:         server.ContainerName,
		Image:        s.Image,
		Command:      []string{"/app/dfs"},
		Args:         []string{"start", "--foreground", "--config", configDir + "/" + names.ConfigKey},
		Env:          env(s),
		VolumeMounts: mounts(s),
		Resources:    s.Resources,
		Ports: []corev1.ContainerPort{
			{Name: "api", ContainerPort: s.APIPort, Protocol: corev1.ProtocolTCP},
			{Name: "adapter-nfs", ContainerPort: server.NFSPort, Protocol: corev1.ProtocolTCP},
			{Name: "adapter-smb", ContainerPort: server.SMBPort, Protocol: corev1.ProtocolTCP},
		},
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
		ProbeHandler:        corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt32(s.APIPort)}},
		InitialDelaySeconds: delay,
		PeriodSeconds:       period,
		TimeoutSeconds:      5,
		FailureThreshold:    failures,
	}
}

// env is all that the server reads from its environment. Nothing in it is a
// credential: those are references.
func env(s *server.Server) []corev1.EnvVar {
	out := []corev1.EnvVar{
		fromSecret("DITTOFS_CONTROLPLANE_SECRET", s.JWT.SecretName, s.JWT.SecretKey),
		fromSecret("DITTOFS_ADMIN_INITIAL_PASSWORD", s.Admin.SecretName, s.Admin.SecretKey),
	}
	return append(out, databaseEnv(s)...)
}

func mounts(s *server.Server) []corev1.VolumeMount {
	out := []corev1.VolumeMount{
		{Name: server.VolumeControlPlane, MountPath: server.ControlPlaneDir},
		{Name: server.VolumeMetadata, MountPath: server.MetadataDir},
	}
	if s.Storage.HasContent() {
		out = append(out, corev1.VolumeMount{Name: server.VolumeContent, MountPath: server.ContentDir})
	}
	out = append(out,
		corev1.VolumeMount{Name: volumeConfig, MountPath: configDir, ReadOnly: true},
		corev1.VolumeMount{Name: volumeTmp, MountPath: tmpDir},
	)
	if caSecret(s) != "" {
		out = append(out, corev1.VolumeMount{Name: volumeCA, MountPath: caDir, ReadOnly: true})
	}
	return out
}

func volumes(s *server.Server) []corev1.Volume {
	out := []corev1.Volume{
		{Name: volumeConfig, VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: names.ConfigMap(s.Name)},
		}}},
		{Name: volumeTmp, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
	}
	if ca := caSecret(s); ca != "" {
		out = append(out, corev1.Volume{Name: volumeCA, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
			SecretName: ca,
			// The Secret holds the database's private key as well.
			Items: []corev1.KeyToPath{{Key: names.CAKey, Path: names.CAKey}},
		}}})
	}
	return out
}

func claims(s *server.Server) []corev1.PersistentVolumeClaim {
	if s.Storage.Claims != nil {
		return s.Storage.Claims
	}
	out := []corev1.PersistentVolumeClaim{claim(s, server.VolumeMetadata, s.Storage.Metadata)}
	if s.Storage.Content != nil {
		out = append(out, claim(s, server.VolumeContent, *s.Storage.Content))
	}
	return append(out, claim(s, server.VolumeControlPlane, s.Storage.ControlPlane))
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

// podSecurityContext is the user's, with what Pod Security "restricted" asks
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

// containerSecurityContext is the user's, with what Pod Security "restricted"
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

func fromSecret(name, secret, key string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: secret},
		Key:                  key,
	}}}
}
