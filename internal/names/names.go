// Package names holds every name that the function gives: of the objects it
// composes, of the keys within them, and of the annotations it records things
// in. Object names are those of the DittoFS operator, so that what it left in a
// cluster can be taken over. Composition resource names are never changed:
// Crossplane finds, and deletes, composed resources by them.
package names

// A Resource is the name by which Crossplane knows a composed resource (the
// annotation crossplane.io/composition-resource-name).
type Resource string

// The composed resources of a DittoServer.
const (
	Postgres          Resource = "postgres"
	Server            Resource = "server"
	Config            Resource = "config"
	Headless          Resource = "headless"
	API               Resource = "api"
	NFS               Resource = "nfs"
	SMB               Resource = "smb"
	JWT               Resource = "jwt"
	Admin             Resource = "admin"
	BackupCredentials Resource = "backup-credentials" //nolint:gosec // A name.
	Metrics           Resource = "metrics"
	ServiceMonitor    Resource = "service-monitor"
	NetworkPolicy     Resource = "network-policy"
	NetworkPolicyNFS  Resource = "network-policy-nfs"
	NetworkPolicySMB  Resource = "network-policy-smb"
)

// A Ref identifies one composed object.
type Ref struct {
	Resource   Resource
	APIVersion string
	Kind       string
	Name       string
}

// API versions and kinds that are composed or read.
const (
	PostgresAPIVersion = "pgv2.percona.com/v2"
	PostgresKind       = "PerconaPGCluster"
	// PostgresCRD is the CustomResourceDefinition that serves PostgresKind.
	PostgresCRD = "perconapgclusters.pgv2.percona.com"
	// PostgresSmallKind is the kind of Percona's operator with the smallest
	// schema: 10 kB, where that of PostgresKind has 1 MB. Both are installed
	// together, in one file.
	PostgresSmallKind = "PerconaPGRestore"

	CRDAPIVersion = "apiextensions.k8s.io/v1"
	CRDKind       = "CustomResourceDefinition"

	SecretKind      = "Secret"
	ConfigMapKind   = "ConfigMap"
	ServiceKind     = "Service"
	StatefulSetKind = "StatefulSet"
	VolumeClaimKind = "PersistentVolumeClaim"
	// NetworkPolicyKind is of NetworkingV1, ServiceMonitorKind of MonitoringV1, which the
	// Prometheus operator brings.
	NetworkPolicyKind  = "NetworkPolicy"
	ServiceMonitorKind = "ServiceMonitor"
	NetworkingV1       = "networking.k8s.io/v1"
	MonitoringV1       = "monitoring.coreos.com/v1"
	CoreV1             = "v1"
	AppsV1             = "apps/v1"
)

// Keys of Secrets and ConfigMaps.
const (
	ConfigKey        = "config.yaml"
	JWTKey           = "jwt-secret"
	AdminUserKey     = "username"
	AdminPasswordKey = "password"
	PGBackRestKey    = "s3.conf"
	CAKey            = "ca.crt"
	Krb5ConfKey      = "krb5.conf"
)

// Domain is that of the function's annotations.
const Domain = "dittoserver.fn.crossplane.io"

// Annotations that the function writes on what it composes.
const (
	// AnnotationRecord holds what was chosen for the server: see package record.
	// It is on the ConfigMap, with a copy on the PerconaPGCluster.
	AnnotationRecord = Domain + "/record"
	// AnnotationChecksumPrefix begins the pod template's checksum annotations,
	// one a source.
	AnnotationChecksumPrefix = "checksum." + Domain + "/"
	// AnnotationAuthorizeBackupRemoval lets Percona go on reconciling a cluster
	// whose backups are switched off. Source: percona-postgresql-operator v2.9.0
	// internal/controller/postgrescluster/controller.go.
	AnnotationAuthorizeBackupRemoval = "pgv2.percona.com/authorizeBackupRemoval"
)

// PostgresUser is the role that the server logs in as.
const PostgresUser = "dittofs"

// InstanceSet is the name of the only instance set that is composed. PVCs are
// found again by it.
const InstanceSet = "instance1"

// Percona builds label values of at most 63 characters from these names and
// does not check them: cluster and instance set together may have 46.
// Source: percona-postgresql-operator v2.9.0 perconapgcluster_types.go, PGInstanceSetSpec.
const maxClusterAndInstanceSet = 46

// What is appended to a server's name to make the names of its objects. They are
// the DittoFS operator's.
const (
	ServerSuffix            = ""
	ClusterSuffix           = "-postgres"
	ConfigSuffix            = "-config"
	HeadlessSuffix          = "-headless"
	APISuffix               = "-api"
	NFSSuffix               = "-adapter-nfs"
	SMBSuffix               = "-adapter-smb"
	MetricsSuffix           = "-metrics"
	NetworkPolicySuffix     = "-baseline"
	JWTSuffix               = "-jwt-secret"
	AdminSuffix             = "-admin-bootstrap-credentials"
	BackupCredentialsSuffix = "-pgbackrest-secret" //nolint:gosec // A name.
)

const (
	// MaxWithPercona is the longest name of a server with a PerconaPGCluster.
	MaxWithPercona = maxClusterAndInstanceSet - len(ClusterSuffix) - len(InstanceSet)
	// MaxWithoutPercona is the longest name of any server: a Service's name has
	// 63 characters, and the longest one composed ends in -adapter-nfs.
	MaxWithoutPercona = 63 - len(NFSSuffix)
)

// Labels are on everything that belongs to server n, and select its pod, as the
// DittoFS operator's do.
func Labels(n string) map[string]string {
	return map[string]string{"app": "dittofs-server", "instance": n}
}

// Cluster returns the name of the PerconaPGCluster of server n.
func Cluster(n string) string { return n + ClusterSuffix }

// ClusterCredentials returns the name of the Secret that Percona makes for the
// server's role. It survives the cluster, unless Percona is to delete its volumes.
func ClusterCredentials(n string) string { return Cluster(n) + "-pguser-" + PostgresUser }

// ClusterCA returns the name of the Secret in which Percona keeps the CA that
// signed the database's certificate (key ca.crt), next to the certificate itself.
func ClusterCA(n string) string { return Cluster(n) + "-cluster-cert" }

// ConfigMap returns the name of the server's ConfigMap.
func ConfigMap(n string) string { return n + ConfigSuffix }

// HeadlessService returns the name of the StatefulSet's governing Service.
func HeadlessService(n string) string { return n + HeadlessSuffix }

// JWTSecret returns the name of the generated Secret that signs API tokens.
func JWTSecret(n string) string { return n + JWTSuffix }

// AdminSecret returns the name of the generated Secret of the first
// administrator.
func AdminSecret(n string) string { return n + AdminSuffix }

// PGBackRestSecret returns the name of the Secret into which S3 keys are
// translated.
func PGBackRestSecret(n string) string { return n + BackupCredentialsSuffix }

// ControlPlaneVolume returns the name of the PersistentVolumeClaim that holds the
// control plane's SQLite file. The StatefulSet controller makes it with the first
// pod, and it survives the server.
func ControlPlaneVolume(n string) string { return VolumeControlPlane + "-" + n + "-0" }

// Names of the server's volumes, which are those of the DittoFS operator.
const (
	VolumeMetadata     = "metadata"
	VolumeContent      = "content"
	VolumeControlPlane = "controlplane"
	VolumeTLS          = "tls-cert"
	VolumeClientCA     = "tls-client-ca"
	VolumeKeytab       = "kerberos-keytab"
)

// ContainerName is the name of the server's container.
const ContainerName = "dittofs"

// InitContainerName is the name of the container that waits for the database.
const InitContainerName = "wait-for-postgres"

// EnvPGDatabase names the database for it.
const EnvPGDatabase = "PGDATABASE"

// Environment variables by which the server learns its database.
// Source: dittofs v0.29.0 pkg/controlplane/store/gorm.go, pkg/config/config.go.
const (
	EnvDatabaseType = "DITTOFS_DATABASE_TYPE"
	EnvSQLitePath   = "DITTOFS_DATABASE_SQLITE_PATH"
	EnvHost         = "DITTOFS_DATABASE_POSTGRES_HOST"
	EnvPort         = "DITTOFS_DATABASE_POSTGRES_PORT"
	EnvDatabase     = "DITTOFS_DATABASE_POSTGRES_DATABASE"
	EnvUser         = "DITTOFS_DATABASE_POSTGRES_USER"
	EnvPassword     = "DITTOFS_DATABASE_POSTGRES_PASSWORD"
	EnvSSLMode      = "DITTOFS_DATABASE_POSTGRES_SSLMODE"
	EnvSSLRootCert  = "DITTOFS_DATABASE_POSTGRES_SSL_ROOT_CERT"
)

// Environment variables by which the server learns its own secrets. It reads the
// admin's password on its first start only.
const (
	EnvJWTSecret     = "DITTOFS_CONTROLPLANE_SECRET"
	EnvAdminPassword = "DITTOFS_ADMIN_INITIAL_PASSWORD" //nolint:gosec // A name.
	// EnvLDAPBindPassword is read when the server first starts with LDAP.
	EnvLDAPBindPassword = "DITTOFS_LDAP_BIND_PASSWORD" //nolint:gosec // A name.
	// EnvMachineSecret is read at every start, as long as the server has not taken one.
	EnvMachineSecret = "DITTOFS_KERBEROS_MACHINE_ACCOUNT_SECRET" //nolint:gosec // A name.
)
