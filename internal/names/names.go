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
	BackupCredentials Resource = "backup-credentials"
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

	CRDAPIVersion = "apiextensions.k8s.io/v1"
	CRDKind       = "CustomResourceDefinition"

	SecretKind = "Secret"
	CoreV1     = "v1"
	AppsV1     = "apps/v1"
)

// Keys of Secrets and ConfigMaps.
const (
	ConfigKey        = "config.yaml"
	JWTKey           = "jwt-secret"
	AdminUserKey     = "username"
	AdminPasswordKey = "password"
	PGBackRestKey    = "s3.conf"
	CAKey            = "ca.crt"
)

// Annotations that the function writes on what it composes.
const (
	// AnnotationRendered records on the PerconaPGCluster what the spec and the
	// Input alone asked for last time. The ConfigMap has a copy: a cluster whose
	// object was deleted comes back on the volumes that it left, and must be of
	// their version.
	AnnotationRendered = "dittoserver.fn.crossplane.io/rendered"
	// AnnotationImage records on the ConfigMap, from the time at which there is
	// a server, the image that was chosen, so that a new default of a new
	// function does not reach a live server.
	AnnotationImage = "dittoserver.fn.crossplane.io/image"
	// AnnotationDatabase records on the ConfigMap, from the time at which there
	// is a server, the database that it uses, so that a StatefulSet that was
	// deleted comes back on the same one.
	AnnotationDatabase = "dittoserver.fn.crossplane.io/database"
	// AnnotationAdminChecksum records on the ConfigMap the admin password's
	// checksum of the time at which the server was created: the server reads the
	// password on its first start only.
	AnnotationAdminChecksum = "dittoserver.fn.crossplane.io/admin-at-first-start"
	// AnnotationChecksumPrefix begins the pod template's checksum annotations,
	// one a source.
	AnnotationChecksumPrefix = "checksum.dittoserver.fn.crossplane.io/"
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

const (
	clusterSuffix = "-postgres"
	nfsSuffix     = "-adapter-nfs"

	// MaxWithPercona is the longest name of a server with a PerconaPGCluster.
	MaxWithPercona = maxClusterAndInstanceSet - len(clusterSuffix) - len(InstanceSet)
	// MaxWithoutPercona is the longest name of any server: a Service's name has
	// 63 characters, and the longest one composed ends in -adapter-nfs.
	MaxWithoutPercona = 63 - len(nfsSuffix)
)

// Labels are on everything that belongs to server n, and select its pod, as the
// DittoFS operator's do.
func Labels(n string) map[string]string {
	return map[string]string{"app": "dittofs-server", "instance": n}
}

// Cluster is the name of the PerconaPGCluster of server n.
func Cluster(n string) string { return n + clusterSuffix }

// ClusterCredentials is the name of the Secret that Percona makes for the
// server's role.
func ClusterCredentials(n string) string { return Cluster(n) + "-pguser-" + PostgresUser }

// ClusterCA is the name of the Secret in which Percona keeps the CA that signed
// the database's certificate (key ca.crt), next to the certificate itself.
func ClusterCA(n string) string { return Cluster(n) + "-cluster-cert" }

// ConfigMap is the name of the server's ConfigMap.
func ConfigMap(n string) string { return n + "-config" }

// HeadlessService is the name of the StatefulSet's governing Service.
func HeadlessService(n string) string { return n + "-headless" }

// APIService is the name of the REST API's Service.
func APIService(n string) string { return n + "-api" }

// NFSService is the name of the NFS adapter's Service.
func NFSService(n string) string { return n + nfsSuffix }

// SMBService is the name of the SMB adapter's Service.
func SMBService(n string) string { return n + "-adapter-smb" }

// JWTSecret is the name of the generated Secret that signs API tokens.
func JWTSecret(n string) string { return n + "-jwt-secret" }

// AdminSecret is the name of the generated Secret of the first administrator.
func AdminSecret(n string) string { return n + "-admin-bootstrap-credentials" }

// PGBackRestSecret is the name of the Secret into which S3 keys are translated.
func PGBackRestSecret(n string) string { return n + "-pgbackrest-secret" }

// All lists every object that can be composed for server n, in the order in
// which they are looked at.
func All(n string) []Ref {
	return []Ref{
		{Postgres, PostgresAPIVersion, PostgresKind, Cluster(n)},
		{Server, AppsV1, "StatefulSet", n},
		{Config, CoreV1, "ConfigMap", ConfigMap(n)},
		{Headless, CoreV1, "Service", HeadlessService(n)},
		{API, CoreV1, "Service", APIService(n)},
		{NFS, CoreV1, "Service", NFSService(n)},
		{SMB, CoreV1, "Service", SMBService(n)},
		{JWT, CoreV1, SecretKind, JWTSecret(n)},
		{Admin, CoreV1, SecretKind, AdminSecret(n)},
		{BackupCredentials, CoreV1, SecretKind, PGBackRestSecret(n)},
	}
}
