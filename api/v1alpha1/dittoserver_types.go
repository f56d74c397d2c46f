package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Control-plane databases, the values of spec.database.type.
const (
	DatabaseTypeSQLite   = "sqlite"
	DatabaseTypePostgres = "postgres"
)

// Where a server's database can be, the values of spec.database.confirmSwitch.
const (
	DatabaseSourceSQLite   = "sqlite"
	DatabaseSourceExternal = "external"
	DatabaseSourcePercona  = "percona"
)

// What happens to a person's edits of the PerconaPGCluster, the values of
// spec.percona.driftPolicy.
const (
	DriftPolicyKeep   = "Keep"
	DriftPolicyRevert = "Revert"
)

// Phases of a server, the values of status.phase.
const (
	PhasePending  = "Pending"
	PhaseRunning  = "Running"
	PhaseFailed   = "Failed"
	PhaseStopped  = "Stopped"
	PhaseDeleting = "Deleting"
)

// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.replicas,statuspath=.status.replicas
// +kubebuilder:resource:path=dittoservers,scope=Namespaced,shortName=ditto;dittofs,categories=crossplane;dittofs;storage
// +kubebuilder:printcolumn:name="Database",type=string,JSONPath=`.status.conditions[?(@.type=='DatabaseReady')].reason`
// +kubebuilder:printcolumn:name="Server",type=string,JSONPath=`.status.conditions[?(@.type=='Available')].reason`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`

// A DittoServer is one DittoFS file server and the database behind it.
type DittoServer struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says how the server is to run: its image, volumes, database, network and
	// credentials. Shares, stores, users and other adapter settings are not part of it:
	// they live in the server and are managed through its REST API.
	Spec DittoServerSpec `json:"spec,omitempty"`

	// Status is what is known of the server.
	Status DittoServerStatus `json:"status,omitempty"`
}

// +kubebuilder:object:root=true

// A DittoServerList is a list of DittoServers.
type DittoServerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []DittoServer `json:"items"`
}

// A DittoServerSpec says how a server is to run.
type DittoServerSpec struct {
	// Image of the DittoFS server. Default: marmos91c/dittofs:v0.29.0. What a live
	// server runs does not follow a new default.
	// +optional
	Image string `json:"image,omitempty"`

	// Replicas of the server: 0 stops it, 1 runs it. DittoFS does not run more than one
	// process on the same volumes. Default: 1.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1
	Replicas *int32 `json:"replicas,omitempty"`

	// Storage of the server itself: its volumes, not those of PostgreSQL. A live server
	// keeps the volumes that it has, and the Accepted condition tells how to change them.
	// +optional
	Storage *StorageSpec `json:"storage,omitempty"`

	// Database of the control plane, which holds users, shares, stores and settings.
	// Default: SQLite on the control-plane volume, or PostgreSQL if percona.enabled or
	// postgresSecretRef says so.
	// +optional
	Database *DatabaseConfig `json:"database,omitempty"`

	// ControlPlane is the REST API, which dfsctl speaks to.
	// +optional
	ControlPlane *ControlPlaneAPIConfig `json:"controlPlane,omitempty"`

	// Identity says how the API's tokens are signed, who the first administrator is, and
	// which directory knows the users.
	// +optional
	Identity *IdentityConfig `json:"identity,omitempty"`

	// Logging of the server. A change restarts it.
	// +optional
	Logging *LoggingSpec `json:"logging,omitempty"`

	// Metrics for Prometheus, served on a port of their own. A change restarts the server.
	// +optional
	Metrics *MetricsSpec `json:"metrics,omitempty"`

	// NetworkPolicy restricts who may connect to the server's pod, and what the pod may
	// connect to. Default: none; the cluster decides.
	// +optional
	NetworkPolicy *NetworkPolicySpec `json:"networkPolicy,omitempty"`

	// GC is how the server reclaims blocks that no file refers to any more. A change
	// restarts it.
	// +optional
	GC *GCSpec `json:"gc,omitempty"`

	// ExtraConfig is a piece of the server's config.yaml that lies over the rest, for what
	// has no field because few need it: blockstore, gc.compaction_live_ratio and
	// gc.dry_run_sample_size, identity.machine_sid, logging.rotation, metadata, snapshot;
	// of controlplane the timeouts, tls.min_version, pprof and
	// require_initial_password_change; of database.postgres max_open_conns and
	// max_idle_conns; of kerberos max_clock_skew, context_ttl and max_contexts; of ldap
	// timeout, max_group_results and tls.min_version. Refused are what has a field or is wired
	// by the function, whatever looks like a credential, and the server's TLS for metrics and
	// its way to join a domain by itself, which the pod is not made for. The values are the
	// server's to check: try them with dfs config validate, since it does not start with one
	// that it refuses. A change restarts it. Default: none.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	ExtraConfig *runtime.RawExtension `json:"extraConfig,omitempty"`

	// AdapterDiscovery is how often the running server is asked for its adapters. It has
	// no effect, since adapters says which of them have a Service; it is accepted for the
	// operator's manifests.
	// +optional
	AdapterDiscovery *AdapterDiscoverySpec `json:"adapterDiscovery,omitempty"`

	// AdapterServices are the Services that clients mount from: one for NFS and one for
	// SMB. What it says is the default of both in adapters.
	// +optional
	AdapterServices *AdapterServiceConfig `json:"adapterServices,omitempty"`

	// Adapters are the protocols that clients mount by, each behind a Service of its own.
	// +optional
	Adapters *AdaptersSpec `json:"adapters,omitempty"`

	// Service in front of the REST API.
	// +optional
	Service *ServiceSpec `json:"service,omitempty"`

	// Percona has a PostgreSQL cluster made and run for this server by Percona's
	// operator, and the server connected to it over verified TLS. It takes precedence
	// over database.postgresSecretRef.
	// +optional
	Percona *PerconaConfig `json:"percona,omitempty"`

	// SnapshotPolicies are the shares that the server takes snapshots of by itself. Not
	// supported yet: they are not set in the server, as the Accepted condition says.
	// Default: none.
	// +optional
	// +kubebuilder:validation:MaxItems=256
	SnapshotPolicies []ShareSnapshotPolicySpec `json:"snapshotPolicies,omitempty"`

	// Resources of the server's container: CPU and memory, requests and limits. Default:
	// none.
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`

	// TerminationGracePeriodSeconds is how long the server may take to stop before it is
	// killed, in seconds, at least 36. Default: 105, which is five seconds for traffic to
	// move away, three shutdown stages of 30 seconds, and ten to spare.
	// +optional
	// +kubebuilder:validation:Minimum=36
	TerminationGracePeriodSeconds *int64 `json:"terminationGracePeriodSeconds,omitempty"`

	// SecurityContext of the server's container. What it leaves out is filled in for Pod
	// Security "restricted": no privilege escalation, no capabilities, not root, a
	// read-only root file system, the runtime's seccomp profile.
	// +optional
	SecurityContext *corev1.SecurityContext `json:"securityContext,omitempty"`

	// PodSecurityContext of the server's pod. What it leaves out is filled in for Pod
	// Security "restricted", with user, group and file-system group 65532.
	// +optional
	PodSecurityContext *corev1.PodSecurityContext `json:"podSecurityContext,omitempty"`

	// Affinity of the server's pod to nodes and to other pods. The pod has the labels
	// app: dittofs-server and instance: <server>. A change restarts the server. Default:
	// none.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`

	// NodeSelector is the labels that a node needs for the server's pod to run there. A
	// change restarts the server. Default: none.
	// +optional
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// Tolerations of the server's pod, by which it may run on nodes with taints. A change
	// restarts the server. Default: none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// TopologySpreadConstraints spread pods, such as those of all servers of a namespace,
	// over zones or nodes. A change restarts the server. Default: none.
	// +optional
	// +listType=map
	// +listMapKey=topologyKey
	// +listMapKey=whenUnsatisfiable
	// +kubebuilder:validation:MaxItems=64
	TopologySpreadConstraints []corev1.TopologySpreadConstraint `json:"topologySpreadConstraints,omitempty"`

	// PriorityClassName is the PriorityClass of the server's pod. It has to exist:
	// Kubernetes makes no pod without it. A change restarts the server. Default: the
	// cluster's.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$')",message="must be a name: lower-case letters, digits, '-' and '.'"
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// ImagePullSecrets are the Secrets, of type kubernetes.io/dockerconfigjson, with which
	// the pod's images are pulled. A change restarts the server. Default: none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`

	// ServiceAccountName is the ServiceAccount of the server's pod. It has to exist:
	// Kubernetes makes no pod without it. Its token is not mounted: the server does not
	// speak to the API server. A change restarts the server. Default: default.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$')",message="must be a name: lower-case letters, digits, '-' and '.'"
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// ExtraEnv are environment variables of the server's container, on top of the
	// function's own, such as DITTOFS_ENCRYPTION_PASSPHRASE from a Secret. Those by which
	// the server is wired (PG*, DATABASE_URL and those of config.yaml that the spec has
	// fields for, such as DITTOFS_DATABASE_*) are refused. A ConfigMap that one names has
	// to exist. A change restarts the server, and so does a change of what a Secret
	// holds. Default: none.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	ExtraEnv []corev1.EnvVar `json:"extraEnv,omitempty"`

	// PodAnnotations are annotations of the server's pod, on top of the function's own,
	// which cannot be replaced. A change restarts the server. Default: none.
	// +optional
	PodAnnotations map[string]string `json:"podAnnotations,omitempty"`

	// PodLabels are labels of the server's pod, on top of app and instance, by which it is
	// selected and which cannot be replaced. A change restarts the server. Default: none.
	// +optional
	PodLabels map[string]string `json:"podLabels,omitempty"`

	// AdoptExisting allows taking over objects of this server's names that nobody
	// controls, for example those that the DittoFS operator left. Without it they are
	// left alone and the Accepted condition names them. Default: false.
	// +optional
	AdoptExisting bool `json:"adoptExisting,omitempty"`
}

// A StorageSpec is the sizes and the class of the server's volumes.
type StorageSpec struct {
	// MetadataSize is the size of the volume for file metadata, mounted at
	// /data/store/metadata, in Mi, Gi or Ti, for example 10Gi. Default: none, it is
	// required here or in the platform's defaults.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^0*[1-9][0-9]*(Mi|Gi|Ti)$')",message="must be a size above zero in Mi, Gi or Ti, such as 10Gi"
	MetadataSize string `json:"metadataSize,omitempty"`

	// ContentSize is the size of the volume for file contents, mounted at
	// /data/store/block, in Mi, Gi or Ti, for example 50Gi. Default: no such volume, which
	// suits servers whose shares keep their contents in S3.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^0*[1-9][0-9]*(Mi|Gi|Ti)$')",message="must be a size above zero in Mi, Gi or Ti, such as 10Gi"
	ContentSize string `json:"contentSize,omitempty"`

	// ControlPlaneSize is the size of the volume for the control plane's SQLite file,
	// mounted at /data/controlplane, in Mi, Gi or Ti. It is there with PostgreSQL too,
	// where it stays empty. Default: 1Gi.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self == '' || self.matches('^0*[1-9][0-9]*(Mi|Gi|Ti)$')",message="must be a size above zero in Mi, Gi or Ti, such as 10Gi"
	ControlPlaneSize string `json:"controlPlaneSize,omitempty"`

	// StorageClassName is the StorageClass of the server's volumes. An empty string asks
	// for volumes without a class. Default: the cluster's default class.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	StorageClassName *string `json:"storageClassName,omitempty"`
}

// A DatabaseConfig says where the control plane's database is.
type DatabaseConfig struct {
	// Type of the database: sqlite or postgres. postgres needs a source:
	// postgresSecretRef, or percona.enabled. Default: postgres where there is a source,
	// else sqlite.
	// +optional
	// +kubebuilder:validation:Enum=sqlite;postgres
	Type string `json:"type,omitempty"`

	// SQLite is used where the database is not PostgreSQL.
	// +optional
	SQLite *SQLiteConfig `json:"sqlite,omitempty"`

	// PostgresSecretRef is the Secret with the address and the credentials of a
	// PostgreSQL database that somebody else runs. Its keys are host, database, user and
	// password, and, where the default does not suit, port (5432), sslmode and ca.crt (the
	// authority that signed the database's certificate). The key that this reference
	// itself names is not read. A single connection string is not supported. Default: no
	// such database.
	// +optional
	PostgresSecretRef *corev1.SecretKeySelector `json:"postgresSecretRef,omitempty"`

	// ConfirmSwitch lets a server that has run on one database move to another, where it
	// starts empty: nothing is copied. It names what to move to: the kind of database,
	// sqlite, external (postgresSecretRef) or percona, or the database itself, such as
	// external/corp-db (a Secret), percona/files-postgres (a PerconaPGCluster) or
	// sqlite/data/controlplane/controlplane.db (a file). Until it does, the server stays
	// where it is and the Accepted condition says so. It confirms one move: take it out
	// afterwards. Default: no move.
	// +optional
	// +kubebuilder:validation:MaxLength=1100
	// +kubebuilder:validation:XValidation:rule="self.matches('^((sqlite|external|percona)(/.+)?)?$')",message="must be sqlite, external or percona, or name the database itself, such as external/corp-db"
	ConfirmSwitch string `json:"confirmSwitch,omitempty"`
}

// A SQLiteConfig says where the SQLite file is.
type SQLiteConfig struct {
	// Path of the database file in the container. It has to be on one of the server's
	// volumes, below /data/controlplane, /data/store/metadata or /data/store/block.
	// Default: /data/controlplane/controlplane.db.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self == '' || self.startsWith('/')",message="must be an absolute path, on one of the server's volumes"
	Path string `json:"path,omitempty"`
}

// A ControlPlaneAPIConfig is how the REST API is served.
type ControlPlaneAPIConfig struct {
	// Port that the REST API listens on, 1 to 65535. Health is served on it too.
	// Default: 8080.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port *int32 `json:"port,omitempty"`

	// TLS says that clients reach the API over https, which something in front of the
	// server speaks, such as a mesh: status.endpoints.api says https, and the server itself
	// does not change. For the server's own TLS set certSecretName, which is enough.
	// Default: false.
	// +optional
	TLS bool `json:"tls,omitempty"`

	// CertSecretName is the Secret of type kubernetes.io/tls (keys tls.crt and tls.key),
	// such as cert-manager's, with which the server serves the API over https, from TLS 1.2
	// on. A renewed certificate is served a minute or two later, without a restart. Metrics
	// stay on plain http. Default: none, the server speaks plain http.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	CertSecretName string `json:"certSecretName,omitempty"`

	// ClientCASecretName is the Secret whose key ca.crt holds the authorities of client
	// certificates. With it a client must present a certificate (mutual TLS), and the kubelet,
	// which has none, only sees whether the port is open. It needs certSecretName, and may be the same Secret. A change restarts the server. Default: none, clients need
	// no certificate.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ClientCASecretName string `json:"clientCASecretName,omitempty"`
}

// An IdentityConfig is how users and clients of the API are told apart.
type IdentityConfig struct {
	// Type of the identity store. The only one is memory, and the server does not read
	// it: users are kept in the control plane's database. Default: memory.
	// +optional
	// +kubebuilder:validation:Enum=memory
	Type string `json:"type,omitempty"`

	// JWT is how the API's tokens are signed and how long they hold.
	// +optional
	JWT *JWTConfig `json:"jwt,omitempty"`

	// Admin is the first administrator.
	// +optional
	Admin *AdminConfig `json:"admin,omitempty"`

	// LDAP connects an LDAP directory or Active Directory for names and groups. The server
	// takes this when it first starts with LDAP, and goes on with its own copy: a later
	// change restarts it and has to be made in the server too, for which the Accepted
	// condition has the command. The directory need not be reachable when the server starts.
	// +optional
	LDAP *LDAPConfig `json:"ldap,omitempty"`

	// Kerberos lets clients of NFS and SMB authenticate by tickets. The server takes this
	// when it first starts with Kerberos, and goes on with its own copy, but for the files:
	// a later change restarts it and has to be made in the server too, for which the
	// Accepted condition has the command. No domain controller need be reachable when the
	// server starts.
	// +optional
	Kerberos *KerberosConfig `json:"kerberos,omitempty"`
}

// A JWTConfig is how the API's tokens are signed and how long they hold.
type JWTConfig struct {
	// SecretRef is the Secret and its key that hold the signing secret, at least 32
	// characters. Changing it signs everybody out. Default: a random secret, made once
	// and kept in the Secret <server>-jwt-secret under the key jwt-secret.
	// +optional
	SecretRef *corev1.SecretKeySelector `json:"secretRef,omitempty"`

	// AccessTokenDuration is how long an access token holds, as a duration such as 15m
	// or 1h. Default: 15m.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h))*$')",message="must be a duration such as 15m or 1h30m"
	AccessTokenDuration string `json:"accessTokenDuration,omitempty"`

	// RefreshTokenDuration is how long a refresh token holds, as a duration such as 24h.
	// Default: 168h, seven days.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h))*$')",message="must be a duration such as 15m or 1h30m"
	RefreshTokenDuration string `json:"refreshTokenDuration,omitempty"`
}

// An AdminConfig is the first administrator of a server.
type AdminConfig struct {
	// Username of the administrator. The server always calls it admin, so that any other
	// name has no effect. Default: admin.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	Username string `json:"username,omitempty"`

	// PasswordSecretRef is the Secret and its key (password, if it names none) that hold
	// the administrator's password, in clear. The server reads it at its first start only:
	// a later change has to be made in the server. Default: a random password, made once
	// and kept in the Secret <server>-admin-bootstrap-credentials under the key password.
	// +optional
	PasswordSecretRef *corev1.SecretKeySelector `json:"passwordSecretRef,omitempty"`
}

// An LDAPConfig connects an LDAP directory or Active Directory.
type LDAPConfig struct {
	// Enabled turns the directory on. Switched off again, the server goes on with its own
	// copy until it is switched off there too. Default: false.
	// +optional
	Enabled bool `json:"enabled,omitempty"`

	// SwitchedOff says that LDAP has been switched off in the server too, with the command
	// in the Accepted condition, which then no longer mentions it. It has no effect
	// before that, and must not stay when LDAP is enabled again. Default: false.
	// +optional
	SwitchedOff bool `json:"switchedOff,omitempty"`

	// URL of the directory: ldaps://host[:636], or ldap://host[:389] together with
	// startTLS. Required where LDAP is enabled.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^(ldaps?://.+)?$`
	URL string `json:"url,omitempty"`

	// StartTLS turns an ldap:// connection into an encrypted one before anything is sent.
	// It has no meaning for ldaps://. Default: false.
	// +optional
	StartTLS bool `json:"startTLS,omitempty"`

	// AllowPlaintext allows a connection without any encryption, which exposes the
	// bind password on the network. Default: false.
	// +optional
	AllowPlaintext bool `json:"allowPlaintext,omitempty"`

	// BaseDN is where searches begin, for example DC=example,DC=com. Required where LDAP
	// is enabled.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	BaseDN string `json:"baseDN,omitempty"`

	// BindDN is the account that the server searches as. Required where LDAP is enabled.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	BindDN string `json:"bindDN,omitempty"`

	// BindPasswordSecretRef is the Secret and its key that hold the password of bindDN. The
	// server takes it when it first starts with LDAP; a rotated one has to be set with
	// dfsctl identity-provider set ldap. Required where LDAP is enabled.
	// +optional
	BindPasswordSecretRef *corev1.SecretKeySelector `json:"bindPasswordSecretRef,omitempty"`

	// UserAttr is the attribute that holds a user's login name. Default: sAMAccountName,
	// that of Active Directory.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	UserAttr string `json:"userAttr,omitempty"`

	// Realm whose users this directory knows, for example EXAMPLE.COM: those of another
	// realm are not looked up. Default: none, all are.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	Realm string `json:"realm,omitempty"`

	// Idmap is where numeric user and group ids come from: rfc2307 (the directory's
	// uidNumber and gidNumber) or rid (computed from the Windows security id). Default:
	// rfc2307.
	// +optional
	// +kubebuilder:validation:Enum=rfc2307;rid
	Idmap string `json:"idmap,omitempty"`

	// NestedGroups makes a user a member of the groups that contain their groups. Default:
	// false.
	// +optional
	NestedGroups bool `json:"nestedGroups,omitempty"`

	// CACertSecretRef is the Secret and its key (ca.crt, if it names none) that hold the
	// authorities that sign the directory's certificate, in PEM. It takes precedence over
	// caCertFile, and new ones are read without a restart. Default: none.
	// +optional
	CACertSecretRef *corev1.SecretKeySelector `json:"caCertSecretRef,omitempty"`

	// CACertFile is the path, in the container, of the authorities that sign the
	// directory's certificate. Default: those of the image.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	CACertFile string `json:"caCertFile,omitempty"`

	// InsecureSkipVerify accepts any certificate of the directory. Default: false.
	// +optional
	InsecureSkipVerify bool `json:"insecureSkipVerify,omitempty"`
}

// A KerberosConfig lets clients authenticate by Kerberos tickets.
type KerberosConfig struct {
	// Enabled turns Kerberos on. Switched off again, the server goes on with its own copy
	// until it is switched off there too, and the keytab stays mounted, without which it
	// does not start. Default: false.
	// +optional
	Enabled bool `json:"enabled,omitempty"`

	// SwitchedOff says that Kerberos has been switched off in the server too, with the
	// command in the Accepted condition, so that the keytab is not needed any more. It has
	// no effect before that, and must not stay when Kerberos is enabled again. Default:
	// false.
	// +optional
	SwitchedOff bool `json:"switchedOff,omitempty"`

	// ServicePrincipal of the server, for example nfs/files.example.com@EXAMPLE.COM.
	// Required where Kerberos is enabled.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	ServicePrincipal string `json:"servicePrincipal,omitempty"`

	// KeytabSecretRef is the Secret and its key that hold the service's keytab. A new keytab
	// is read within two or three minutes, without a restart. Required where Kerberos is
	// enabled.
	// +optional
	KeytabSecretRef *corev1.SecretKeySelector `json:"keytabSecretRef,omitempty"`

	// Realm of the server, for example EXAMPLE.COM. Default: that of servicePrincipal.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	Realm string `json:"realm,omitempty"`

	// NetBIOSDomain is the short name of the domain, announced to SMB clients, for example
	// EXAMPLE. Default: WORKGROUP, as a server outside any domain.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	NetBIOSDomain string `json:"netbiosDomain,omitempty"`

	// DNSDomain is the DNS name of the domain, announced to SMB clients, for example
	// example.com. Default: the realm in lower case.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	DNSDomain string `json:"dnsDomain,omitempty"`

	// Krb5ConfSecretRef is the Secret and its key (krb5.conf, if it names none) that hold a
	// krb5.conf. It takes precedence over krb5Conf. A change restarts the server. Default:
	// none.
	// +optional
	Krb5ConfSecretRef *corev1.SecretKeySelector `json:"krb5ConfSecretRef,omitempty"`

	// Krb5Conf is the path of a krb5.conf in the container. The image of DittoFS has none.
	// Default: one that the function writes, with the realm as the default realm and domain
	// controllers as DNS names them.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Krb5Conf string `json:"krb5Conf,omitempty"`

	// MachineAccount is the server's account in Active Directory, by which it has the
	// domain check the passwords of SMB clients that do not use Kerberos.
	// +optional
	MachineAccount *MachineAccountConfig `json:"machineAccount,omitempty"`
}

// A MachineAccountConfig is a server's account in Active Directory.
type MachineAccountConfig struct {
	// Enabled turns the machine account on. Default: false.
	// +optional
	Enabled bool `json:"enabled,omitempty"`

	// AccountName of the computer, with its dollar sign, for example DITTOFS$. Required
	// where the machine account is enabled.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	AccountName string `json:"accountName,omitempty"`

	// SecretRef is the Secret and its key that hold the account's password. An enabled
	// machine account needs this or keytabSecretRef. A change restarts the server; once it
	// has taken the account, the password has to be set in the server too.
	// +optional
	SecretRef *corev1.SecretKeySelector `json:"secretRef,omitempty"`

	// KeytabSecretRef is the Secret and its key that hold the account's keytab, which
	// DittoFS v0.29.0 does not read yet. An enabled machine account needs this or secretRef.
	// +optional
	KeytabSecretRef *corev1.SecretKeySelector `json:"keytabSecretRef,omitempty"`

	// DCAddress are the domain controllers to ask, each a host or host:port. Default: those
	// that DNS names for the realm.
	// +optional
	// +kubebuilder:validation:MaxItems=32
	DCAddress []string `json:"dcAddress,omitempty"`
}

// A LoggingSpec is what the server logs, and where to.
type LoggingSpec struct {
	// Level of the least important messages to log: DEBUG, INFO, WARN or ERROR, in upper
	// or lower case. Default: INFO.
	// +optional
	// +kubebuilder:validation:Enum=DEBUG;INFO;WARN;ERROR;debug;info;warn;error
	Level string `json:"level,omitempty"`

	// Format of a message: json or text. Default: json.
	// +optional
	// +kubebuilder:validation:Enum=json;text
	Format string `json:"format,omitempty"`

	// Output is where messages go: stdout, stderr, or a file on one of the server's volumes
	// or below /tmp. Default: stdout.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Output string `json:"output,omitempty"`
}

// A MetricsSpec is how Prometheus gets the server's metrics.
type MetricsSpec struct {
	// Enabled serves metrics, behind the Service <server>-metrics. Default: false.
	// +optional
	Enabled bool `json:"enabled,omitempty"`

	// Port that metrics are served on, 1 to 65535, other than those of the API, NFS and SMB.
	// Default: 9090.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port *int32 `json:"port,omitempty"`

	// Path of the metrics, beginning with a slash. Default: /metrics.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self == '' || self.startsWith('/')",message="must begin with a slash"
	Path string `json:"path,omitempty"`

	// BearerTokenSecret is the Secret and its key that hold the token that a scraper has
	// to show. The server reads it at its start; a change restarts it. Default: none,
	// everybody who reaches the port may read.
	// +optional
	BearerTokenSecret *corev1.SecretKeySelector `json:"bearerTokenSecret,omitempty"`

	// ServiceMonitor has the Prometheus operator scrape the metrics, with the token of
	// bearerTokenSecret if there is one.
	// +optional
	ServiceMonitor *ServiceMonitorSpec `json:"serviceMonitor,omitempty"`
}

// A ServiceMonitorSpec is the ServiceMonitor of a server's metrics.
type ServiceMonitorSpec struct {
	// Enabled makes the ServiceMonitor <server>-metrics where the cluster serves that kind
	// (monitoring.coreos.com/v1). Where it does not, the Accepted condition says so, and
	// nothing else is kept from working. Default: false.
	// +optional
	Enabled bool `json:"enabled,omitempty"`

	// Interval between two scrapes, as Prometheus writes durations, for example 30s.
	// Default: that of Prometheus.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^(0|([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$')",message="must be a duration of Prometheus, such as 30s or 1m30s"
	Interval string `json:"interval,omitempty"`

	// Labels of the ServiceMonitor, by which a Prometheus selects it, for example
	// release: kube-prometheus-stack. Default: none but the server's own.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
}

// An AdapterDiscoverySpec is how often the running server is asked for its adapters.
type AdapterDiscoverySpec struct {
	// PollingInterval between two polls, as a duration such as 30s. It has no effect.
	// Default: 30s.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h))*$')",message="must be a duration such as 30s or 5m"
	PollingInterval string `json:"pollingInterval,omitempty"`
}

// An AdapterServiceConfig is the Services that clients mount from.
type AdapterServiceConfig struct {
	// Type of these Services: ClusterIP, NodePort or LoadBalancer. Default: ClusterIP, so
	// that a server is not offered to the world unasked.
	// +optional
	// +kubebuilder:validation:Enum=ClusterIP;NodePort;LoadBalancer
	Type string `json:"type,omitempty"`

	// Annotations of these Services, for example those of a cloud's load balancer.
	// Default: none.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
}

// A ServiceSpec is the Service in front of the REST API.
type ServiceSpec struct {
	// Type of the Service: ClusterIP, NodePort or LoadBalancer. Default: ClusterIP.
	// +optional
	// +kubebuilder:validation:Enum=ClusterIP;NodePort;LoadBalancer
	Type string `json:"type,omitempty"`

	// Annotations of the Service, for example those of a cloud's load balancer. Default:
	// none.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
}

// A PerconaConfig is the PostgreSQL cluster that Percona's operator runs for a server.
type PerconaConfig struct {
	// Enabled makes the PostgreSQL cluster <server>-postgres and puts the server on it. The
	// server's name may then have at most 28 characters. Once there is a cluster, switching
	// this off is held, not done. Default: false.
	// +optional
	Enabled bool `json:"enabled,omitempty"`

	// DeleteWithServer has Percona's operator delete the database's volumes, credentials and
	// certificates when the server is deleted. All data is lost then. Default: false,
	// volumes and credentials stay, and a server of the same name takes them up again.
	// +optional
	DeleteWithServer bool `json:"deleteWithServer,omitempty"`

	// Replicas is the number of PostgreSQL instances, 1 to 5. With more than one, another
	// takes over when the primary fails. Default: 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=5
	Replicas *int32 `json:"replicas,omitempty"`

	// StorageSize is the size of each instance's data volume, as a Kubernetes quantity. It
	// may grow later, if the StorageClass allows it, but not shrink. Default: 10Gi.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self == '' || (isQuantity(self) && quantity(self).isGreaterThan(quantity('0')))",message="must be a quantity above zero, such as 10Gi"
	StorageSize string `json:"storageSize,omitempty"`

	// StorageClassName is the StorageClass of the data volumes, which may differ from the
	// server's own. An empty string asks for volumes without a class. A live database
	// keeps the class that it has. Default: the cluster's default class.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	StorageClassName *string `json:"storageClassName,omitempty"`

	// DatabaseName is the database of the control plane: lower-case letters, digits, _ and
	// -, beginning with a letter or _, at most 63. A live server keeps the database that it
	// has. Default: dittofs.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z_][a-z0-9_-]*)?$')",message="must begin with a lower-case letter or _ and hold only lower-case letters, digits, _ and -"
	DatabaseName string `json:"databaseName,omitempty"`

	// MetadataDatabaseName is a second database of the same user, for file metadata in
	// PostgreSQL: the control plane cannot share its own with that. The store itself is
	// registered in the server with dfsctl. It is written as databaseName is, and must
	// differ from it. Default: no second database.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z_][a-z0-9_-]*)?$')",message="must begin with a lower-case letter or _ and hold only lower-case letters, digits, _ and -"
	MetadataDatabaseName string `json:"metadataDatabaseName,omitempty"`

	// PostgresVersion is PostgreSQL's major version, 14 to 18. A live database keeps the
	// version that it has, since one version cannot read the files of another; Percona's
	// own upgrade changes it. Default: 16.
	// +optional
	// +kubebuilder:validation:Minimum=14
	// +kubebuilder:validation:Maximum=18
	PostgresVersion *int32 `json:"postgresVersion,omitempty"`

	// CRVersion is the version of Percona's operator whose behaviour the cluster is to
	// have: at least 2.9.0, and not newer than the operator that is installed. Default:
	// 2.9.0. What a live cluster has does not follow a new default.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+[.][0-9]+[.][0-9]+)?$')",message="must be a version of Percona's operator, such as 2.9.0"
	CRVersion string `json:"crVersion,omitempty"`

	// Image of PostgreSQL. Its tag, where it tells a version, has to be of postgresVersion.
	// Default: docker.io/percona/percona-distribution-postgresql at the newest minor
	// version known for the major one: 14.22-1, 15.17-1, 16.13-1, 17.9-1 or 18.3-1. What a
	// live database runs does not follow a new default.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`

	// Resources of each PostgreSQL instance: CPU and memory, requests and limits. Default:
	// none.
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`

	// DriftPolicy is what happens to edits that a person makes to the PerconaPGCluster
	// itself. Keep keeps them for as long as what this spec and the platform's defaults
	// ask for does not change, and lists them in status.database.keptEdits. Revert undoes
	// them. Default: Keep.
	// +optional
	// +kubebuilder:validation:Enum=Keep;Revert
	DriftPolicy string `json:"driftPolicy,omitempty"`

	// Backup of the database to S3, by pgBackRest.
	// +optional
	Backup *PerconaBackupConfig `json:"backup,omitempty"`
}

// A PerconaBackupConfig is where a database is backed up to, when, and for how long.
type PerconaBackupConfig struct {
	// Enabled turns backups on. They need a bucket and an endpoint. Switching them off
	// again is held until confirmRemoval agrees. Default: false.
	// +optional
	Enabled bool `json:"enabled,omitempty"`

	// CredentialsSecretRef is the Secret with the credentials for S3. It holds either a
	// pgBackRest configuration under a key that ends in .conf, or a key pair under
	// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or s3-key and s3-key-secret). Default:
	// no credentials, the cluster's nodes have a role of their own.
	// +optional
	CredentialsSecretRef *corev1.LocalObjectReference `json:"credentialsSecretRef,omitempty"`

	// Bucket for the backups. Required where backups are enabled.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="self.matches('^([A-Za-z0-9][A-Za-z0-9._-]*)?$')",message="must be the name of an S3 bucket: letters, digits, '.', '_' and '-'"
	Bucket string `json:"bucket,omitempty"`

	// Endpoint of the S3 service, a host with or without https:// before it and a port
	// after it. pgBackRest does not speak plain http. Required where backups are enabled.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('http://')",message="must not be http://: pgBackRest speaks https only"
	// +kubebuilder:validation:XValidation:rule="self.startsWith('http://') || self.matches('^((https://)?([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|[[][0-9A-Fa-f:.]+[]])(:[0-9]{1,5})?/*)?$')",message="must be a host such as s3.eu-west-1.amazonaws.com, with or without https:// and a port"
	Endpoint string `json:"endpoint,omitempty"`

	// Region of the bucket. Default: eu-west-1.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="self.matches('^([A-Za-z0-9][A-Za-z0-9-]*)?$')",message="must be the name of an S3 region: letters, digits and '-'"
	Region string `json:"region,omitempty"`

	// Path of the backups in the bucket, with a slash at its beginning and none at its end.
	// No two databases may share one. That of live backups is kept. Default:
	// /pgbackrest/<namespace>/<server>-<first eight characters of its UID>/repo1.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^(/[A-Za-z0-9._-]+)*$')",message="must be an absolute path of letters, digits, '.', '_' and '-', without a slash at its end"
	Path string `json:"path,omitempty"`

	// FullSchedule is when a full backup is made: five cron fields, or @daily and its like
	// (not @every), in UTC. Default: 0 2 * * *, every night at two.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	FullSchedule string `json:"fullSchedule,omitempty"`

	// IncrSchedule is when what has changed since the last backup is backed up, written as
	// fullSchedule is. Default: 0 * * * *, every hour.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	IncrSchedule string `json:"incrSchedule,omitempty"`

	// RetentionDays is for how many days a full backup is kept, at least 1. It is removed
	// when a newer full one is that old. Default: 7.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=9999999
	RetentionDays *int32 `json:"retentionDays,omitempty"`

	// ConfirmRemoval agrees to switching backups off on a live database: its repository is
	// no longer used, and log files are no longer archived. It confirms one removal: take
	// it out afterwards. Default: false, backups stay on and the Accepted condition says
	// so.
	// +optional
	ConfirmRemoval bool `json:"confirmRemoval,omitempty"`
}

// A ShareSnapshotPolicySpec is when the server takes snapshots of one share by itself.
type ShareSnapshotPolicySpec struct {
	// Share to take snapshots of, for example /archive.
	// +kubebuilder:validation:MaxLength=1024
	Share string `json:"share"`

	// Interval between two snapshots: a duration such as 6h, or @hourly, @daily or
	// @weekly.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^(@hourly|@daily|@weekly|([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h))+)$')",message="must be a duration such as 6h, or @hourly, @daily or @weekly"
	Interval string `json:"interval"`

	// KeepLast is how many snapshots are kept, the newest ones; 0 sets no limit. Default:
	// 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	KeepLast *int32 `json:"keepLast,omitempty"`

	// TTL is how long a snapshot is kept, as a duration such as 720h. Default: no limit.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h))*$')",message="must be a duration such as 720h"
	TTL string `json:"ttl,omitempty"`

	// Enabled turns the policy on. Default: true.
	// +optional
	Enabled *bool `json:"enabled,omitempty"`

	// NamePrefix of the snapshots' names. Default: scheduled.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	NamePrefix string `json:"namePrefix,omitempty"`
}

// A DittoServerStatus is what is known of a server. Conditions stand beside it: they
// are Crossplane's, which adds them to the schema.
type DittoServerStatus struct {
	// Phase sums the server up: Pending, Running, Failed, Stopped or Deleting.
	// +optional
	// +kubebuilder:validation:Enum=Pending;Running;Failed;Stopped;Deleting
	Phase string `json:"phase,omitempty"`

	// Replicas of the server that exist.
	// +optional
	Replicas int32 `json:"replicas"`

	// ReadyReplicas of the server, which answer their readiness probe.
	// +optional
	ReadyReplicas int32 `json:"readyReplicas"`

	// AvailableReplicas of the server, which have been ready for a while.
	// +optional
	AvailableReplicas int32 `json:"availableReplicas"`

	// PerconaClusterName is the name of the server's PerconaPGCluster, if it has one.
	// +optional
	PerconaClusterName string `json:"perconaClusterName,omitempty"`

	// Database of the control plane, where it is PostgreSQL.
	// +optional
	Database *DatabaseStatus `json:"database,omitempty"`

	// Endpoints that clients in the cluster reach the server by.
	// +optional
	Endpoints *EndpointsStatus `json:"endpoints,omitempty"`

	// Secrets that hold the server's credentials.
	// +optional
	Secrets *SecretsStatus `json:"secrets,omitempty"`
}

// A DatabaseStatus is what is known of a server's PostgreSQL database. It has no
// credentials, only the name of the Secret that holds them.
type DatabaseStatus struct {
	// ClusterName is the name of the PerconaPGCluster.
	// +optional
	ClusterName string `json:"clusterName,omitempty"`

	// State of the cluster, in Percona's words: initializing, ready, paused, stopping.
	// +optional
	State string `json:"state,omitempty"`

	// Host that the server connects to.
	// +optional
	Host string `json:"host,omitempty"`

	// Port that the server connects to.
	// +optional
	Port int32 `json:"port,omitempty"`

	// Name of the control plane's database.
	// +optional
	Name string `json:"name,omitempty"`

	// MetadataName is the name of the second database, for file metadata.
	// +optional
	MetadataName string `json:"metadataName,omitempty"`

	// User that the server connects as.
	// +optional
	User string `json:"user,omitempty"`

	// SecretName is the Secret with the user's password.
	// +optional
	SecretName string `json:"secretName,omitempty"`

	// PostgresVersion is PostgreSQL's major version.
	// +optional
	PostgresVersion int32 `json:"postgresVersion,omitempty"`

	// Instances of PostgreSQL that exist.
	// +optional
	Instances *int32 `json:"instances,omitempty"`

	// ReadyInstances of PostgreSQL.
	// +optional
	ReadyInstances *int32 `json:"readyInstances,omitempty"`

	// KeptEdits are the fields of the PerconaPGCluster that a person has edited and that
	// are kept so, by their paths.
	// +optional
	// +listType=atomic
	KeptEdits []string `json:"keptEdits,omitempty"`
}

// An EndpointsStatus is how clients in the cluster reach a server.
type EndpointsStatus struct {
	// API is the URL of the REST API, for dfsctl.
	// +optional
	API string `json:"api,omitempty"`

	// NFS is host and port of the NFS server.
	// +optional
	NFS string `json:"nfs,omitempty"`

	// SMB is host and port of the SMB server.
	// +optional
	SMB string `json:"smb,omitempty"`
}

// A SecretsStatus is the names of the Secrets that hold a server's credentials.
type SecretsStatus struct {
	// Admin is the Secret with the administrator's first password.
	// +optional
	Admin string `json:"admin,omitempty"`

	// JWT is the Secret with the secret that signs the API's tokens.
	// +optional
	JWT string `json:"jwt,omitempty"`
}
