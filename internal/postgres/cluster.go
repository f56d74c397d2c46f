// Package postgres builds what belongs to a server's database: the
// PerconaPGCluster, and the Secret with the credentials of its backups.
package postgres

import (
	"cmp"
	"fmt"
	"strconv"

	pgv2 "github.com/percona/percona-postgresql-operator/v2/pkg/apis/pgv2.percona.com/v2"
	crunchyv1beta1 "github.com/percona/percona-postgresql-operator/v2/pkg/apis/postgres-operator.crunchydata.com/v1beta1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// Finalizers by which Percona's operator deletes the volumes and the user
// Secrets, and the certificates, together with a cluster.
// Source: percona-postgresql-operator v2.9.0 percona/naming/finalizers.go.
const (
	finalizerDeletePVC = "percona.com/delete-pvc"
	finalizerDeleteSSL = "percona.com/delete-ssl"
)

// Repository is the name of the only pgBackRest repository.
const Repository = "repo1"

// Cluster returns the PerconaPGCluster that the spec and the Input alone ask for.
func Cluster(s *server.Server) *pgv2.PerconaPGCluster {
	c := s.Cluster
	databases := []crunchyv1beta1.PostgresIdentifier{crunchyv1beta1.PostgresIdentifier(c.DatabaseName)}
	if c.MetadataDatabaseName != "" {
		databases = append(databases, crunchyv1beta1.PostgresIdentifier(c.MetadataDatabaseName))
	}
	user := crunchyv1beta1.PostgresUserSpec{
		Name:      names.PostgresUser,
		Databases: databases,
		// Other passwords hold characters that YAML, shells and URLs mangle.
		Password: &crunchyv1beta1.PostgresPasswordSpec{Type: crunchyv1beta1.PostgresPasswordTypeAlphaNumeric},
	}
	if c.PostgresVersion >= 15 {
		// Percona's CRD refuses it below 15, where the schema public is open.
		user.GrantPublicSchemaAccess = ptr.To(true)
	}

	cluster := &pgv2.PerconaPGCluster{
		TypeMeta: metav1.TypeMeta{APIVersion: names.PostgresAPIVersion, Kind: names.PostgresKind},
		ObjectMeta: metav1.ObjectMeta{
			Name:      names.Cluster(s.Name),
			Namespace: s.Namespace,
			Labels:    names.Labels(s.Name),
		},
		Spec: pgv2.PerconaPGClusterSpec{
			CRVersion:            c.CRVersion,
			Image:                c.Image,
			PostgresVersion:      c.PostgresVersion,
			AutoCreateUserSchema: ptr.To(true),
			Users:                []crunchyv1beta1.PostgresUserSpec{user},
			InstanceSets: pgv2.PGInstanceSets{{
				Name:      names.InstanceSet,
				Replicas:  ptr.To(c.Replicas),
				Resources: c.Resources,
				DataVolumeClaimSpec: corev1.PersistentVolumeClaimSpec{
					AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
					StorageClassName: c.StorageClassName,
					Resources: corev1.VolumeResourceRequirements{
						Requests: corev1.ResourceList{corev1.ResourceStorage: c.StorageSize},
					},
				},
			}},
			Backups: backups(c.Backup),
		},
	}
	if c.DeleteWithServer {
		cluster.Finalizers = []string{finalizerDeletePVC, finalizerDeleteSSL}
	}
	if c.Backup.Mode == server.BackupRemoved {
		cluster.Annotations = map[string]string{names.AnnotationAuthorizeBackupRemoval: "true"}
	}
	return cluster
}

func backups(b server.Backup) pgv2.Backups {
	if !b.Mode.On() {
		// The image is needed even so: without it the operator reconciles
		// nothing (v2.9.0 and v3.0.0).
		return pgv2.Backups{Enabled: ptr.To(false), PGBackRest: pgv2.PGBackRestArchive{Image: b.Image}}
	}
	out := pgv2.Backups{
		Enabled: ptr.To(true),
		PGBackRest: pgv2.PGBackRestArchive{
			Image: b.Image,
			Global: map[string]string{
				Repository + "-path":                b.Path,
				Repository + "-retention-full":      strconv.Itoa(int(b.RetentionDays)),
				Repository + "-retention-full-type": "time",
				Repository + "-s3-uri-style":        "path",
				Repository + "-storage-verify-tls":  "y",
			},
			Repos: []crunchyv1beta1.PGBackRestRepo{{
				Name: Repository,
				BackupSchedules: &crunchyv1beta1.PGBackRestBackupSchedules{
					Full:        ptr.To(b.FullSchedule),
					Incremental: ptr.To(b.IncrSchedule),
				},
				S3: &crunchyv1beta1.RepoS3{Bucket: b.Bucket, Endpoint: b.Endpoint, Region: b.Region},
			}},
		},
	}
	if b.ConfigSecret != "" {
		out.PGBackRest.Configuration = []corev1.VolumeProjection{{
			Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: b.ConfigSecret}},
		}}
	}
	return out
}

// BackupCredentials returns the Secret with the S3 keys as pgBackRest reads them.
// Where there is nothing to translate any more, what it holds is carried over.
func BackupCredentials(s *server.Server, live observed.Object) *corev1.Secret {
	conf, _ := live.Data(names.PGBackRestKey)
	if s.Cluster != nil && s.Cluster.Backup.Keys != nil {
		k := s.Cluster.Backup.Keys
		conf = fmt.Appendf(nil, "[global]\n%[1]s-s3-key=%[2]s\n%[1]s-s3-key-secret=%[3]s\n", Repository, k.ID, k.Secret)
	}
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: names.CoreV1, Kind: names.SecretKind},
		ObjectMeta: metav1.ObjectMeta{Name: names.PGBackRestSecret(s.Name), Namespace: s.Namespace, Labels: names.Labels(s.Name)},
		// A Secret's type cannot be changed.
		Type: corev1.SecretType(cmp.Or(live.String("type"), string(corev1.SecretTypeOpaque))),
		Data: map[string][]byte{names.PGBackRestKey: conf},
	}
}
