// Package server resolves what a DittoServer asks for: Decode merges the XR over
// the platform's defaults, validate checks the result by itself, and hold keeps
// what contradicts what exists. The result is a Server in which nothing is left to
// decide: builders read it and see no nil.
package server

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/override"
	"github.com/dittofs/function-dittoserver/internal/record"
)

// A Server is a DittoServer with every value decided.
type Server struct {
	Name      string
	Namespace string

	Image              string
	Replicas           int32
	GracePeriodSeconds int64
	Resources          corev1.ResourceRequirements
	SecurityContext    *corev1.SecurityContext
	PodSecurityContext *corev1.PodSecurityContext
	Storage            Storage
	// PodManagement of the StatefulSet, which cannot be changed.
	PodManagement appsv1.PodManagementPolicyType
	Pod           Pod
	APIPort       int32
	TLS           TLS
	LDAP          LDAP
	Kerberos      Kerberos
	JWT           JWT
	Admin         Admin
	Service       Exposure
	NFS           Adapter
	SMB           Adapter
	Logging       Logging
	Metrics       Metrics
	Network       Network
	GC            GC
	// ExtraConfig is a piece of config.yaml, which lies over the rest.
	ExtraConfig map[string]any

	// Current is the database that the server runs on, Target the one that it is
	// asked to run on. They differ while a confirmed switch awaits the database that
	// it goes to.
	Current record.Database
	Target  record.Database
	// Connection is how the server reaches Current.
	Connection Connection
	// Frozen is true if the pod of the running server could not start again now, for
	// want of a Secret: it is not replaced, whatever has changed.
	Frozen bool
	// Undecided is true while it is not certain which database has the data of an
	// earlier server of this name. No server is created until somebody decides.
	Undecided bool

	// Cluster is nil if there is to be no PerconaPGCluster.
	Cluster *Cluster

	// Overrides are the platform's patches of what is composed, applied last.
	Overrides []override.Override

	// Record is what is recorded, but for what is not known before the objects are
	// built.
	Record record.Record
}

// Salt returns what the server's public checksums are salted with.
func (s *Server) Salt() string { return s.Namespace + "/" + s.Name }

// Storage is the server's volumes.
type Storage struct {
	Metadata     resource.Quantity
	Content      *resource.Quantity // nil: no volume for file content
	ControlPlane resource.Quantity
	ClassName    *string // nil: the cluster's default class
	// Claims are the live claim templates, verbatim: a StatefulSet's cannot be
	// changed. Empty before there is a StatefulSet.
	Claims []map[string]any
}

// Has reports whether there is a volume of that name.
func (s Storage) Has(volume string) bool {
	for _, c := range s.Claims {
		if m, ok := c["metadata"].(map[string]any); ok && m["name"] == volume {
			return true
		}
	}
	return len(s.Claims) == 0 && (volume != names.VolumeContent || s.Content != nil)
}

// JWT is what signs the API's tokens.
type JWT struct {
	record.SecretKey

	// Generated is true if the Secret is the function's own.
	Generated       bool
	AccessDuration  string
	RefreshDuration string
}

// Admin is the first administrator's credentials.
type Admin struct {
	record.SecretKey

	// Generated is true if the Secret is the function's own.
	Generated bool
	// Optional is true if the pod starts without the Secret, which the server has
	// read and will not read again.
	Optional bool
}

// An Exposure is how a Kubernetes Service is exposed.
type Exposure struct {
	Type        corev1.ServiceType
	Annotations map[string]string
	// What follows is empty for the cluster's defaults.
	SourceRanges          []string
	LoadBalancerClass     string
	ExternalTrafficPolicy corev1.ServiceExternalTrafficPolicy
}

// An Adapter is how clients reach one of the server's adapters.
type Adapter struct {
	// Published is true if there is a Service for it.
	Published bool
	Port      int32
	Service   Exposure
}

// Logging is how the server logs.
type Logging struct {
	Level  string
	Format string
	Output string
}

// Metrics is how the server serves metrics to Prometheus.
type Metrics struct {
	Enabled bool
	Port    int32
	Path    string
	// Token is what a scraper has to show; the zero SecretKey for nothing.
	Token record.SecretKey
	// Monitor is nil if there is to be no ServiceMonitor.
	Monitor *Monitor
}

// A Monitor is how the Prometheus operator has the metrics scraped.
type Monitor struct {
	// Interval is empty for that of Prometheus.
	Interval string
	Labels   map[string]string
}

// A Value is a value of a connection: the value itself, or a reference to a key of
// a Secret. The zero Value is none.
type Value struct {
	Value string
	record.SecretKey
	Optional bool
	// Needed is true if a server that runs would be the worse for a start without it,
	// although the reference is optional.
	Needed bool
}

// A Connection is how the server reaches its database. Whoever reads it need not
// ask which kind of database it is.
type Connection struct {
	// SQLitePath is the file of a database that is none of the rest.
	SQLitePath string

	URL, Host, Port, Name, User, Password, SSLMode Value

	// CASecret holds the CA that signed the database's certificate under the key
	// ca.crt; empty for none.
	CASecret string
	// WaitImage has psql, for an init container that waits for the database; empty
	// for none.
	WaitImage string

	// Secret holds the values, under Keys. It is complete if it has all of them but
	// those in MayLack.
	Secret  string
	Keys    []string
	MayLack []string
}

// A BackupMode is whether and why a cluster is backed up.
type BackupMode int

// The modes of backups.
const (
	// BackupOff: there are none.
	BackupOff BackupMode = iota
	// BackupOn: the spec asks for them.
	BackupOn
	// BackupHeld: the spec does not ask for them any more, and they stay as they
	// were rendered last.
	BackupHeld
	// BackupRemoved: they were switched off, as somebody has confirmed.
	BackupRemoved
)

// On reports whether the cluster is composed with backups.
func (m BackupMode) On() bool { return m == BackupOn || m == BackupHeld }

// A Cluster is the PerconaPGCluster of a server.
type Cluster struct {
	// Kept is true if the spec does not ask for the cluster any more. It stays as it
	// was rendered last.
	Kept bool
	// Last is what was recorded of the cluster; nil if there is no record.
	Last *record.Cluster
	// Asked is what the spec and the Input say of the cluster.
	Asked map[string]any
	// NewlyAsked reports whether they say something about a field, given with dots,
	// that they did not say last time. Before there is a record, that is all that
	// they say.
	NewlyAsked func(path string) bool
	// AskChanged is true if anything that they say has changed.
	AskChanged bool
	// Stated is the image that they name.
	Stated record.StatedImage
	// Initialized is true if the database has, or may have, files. Unused is true if
	// it is certain that no server was ever on it.
	Initialized bool
	Unused      bool
	// Volume is what the first volume was made as.
	Volume record.Volume

	PostgresVersion      int
	CRVersion            string
	Image                string
	Replicas             int32
	StorageSize          resource.Quantity
	StorageClassName     *string
	DatabaseName         string
	MetadataDatabaseName string
	Resources            corev1.ResourceRequirements
	DeleteWithServer     bool
	DriftPolicy          string
	Backup               Backup
}

// A Backup is how the cluster is backed up.
type Backup struct {
	Mode BackupMode
	// Problem tells a person why there are no working credentials.
	Problem string

	Image string
	// Secret is the user's Secret with the credentials, ConfigSecret the one that
	// is mounted into pgBackRest's configuration; empty for none.
	Secret       string
	ConfigSecret string
	// Keys are to be translated into the function's own Secret; nil for none.
	Keys *S3Keys

	Bucket        string
	Endpoint      string
	Region        string
	Path          string
	FullSchedule  string
	IncrSchedule  string
	RetentionDays int32
}

// S3Keys are the credentials of an S3 bucket.
type S3Keys struct {
	ID     string
	Secret string
}

// String keeps credentials out of anything that is printed.
func (S3Keys) String() string { return "[redacted]" }

// GoString keeps credentials out of anything that is printed.
func (S3Keys) GoString() string { return "[redacted]" }
