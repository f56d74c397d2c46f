// Package server resolves what a DittoServer asks for. It merges the XR over
// the platform's defaults, validates the result, holds what contradicts what
// exists, and answers with a Server in which nothing is left to decide:
// builders read it and see no nil.
package server

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
)

// A DatabaseKind is a kind of control-plane database. Its values are those of
// spec.database.confirmSwitch.
type DatabaseKind string

// The databases that a server can keep its control plane in.
const (
	SQLite   DatabaseKind = v1alpha1.DatabaseSourceSQLite
	External DatabaseKind = v1alpha1.DatabaseSourceExternal
	Percona  DatabaseKind = v1alpha1.DatabaseSourcePercona
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
	PodManagement  appsv1.PodManagementPolicyType
	APIPort        int32
	JWT            JWT
	Admin          Admin
	Service        Service
	AdapterService Service
	Logging        Logging

	// Database is what the server is wired to in this answer, Target what it
	// is going to be wired to. They differ while a confirmed switch awaits the
	// database that it goes to.
	Database Database
	Target   Database

	Cluster Cluster
}

// Storage is the server's volumes.
type Storage struct {
	Metadata     resource.Quantity
	Content      *resource.Quantity // nil: no volume for file content
	ControlPlane resource.Quantity
	ClassName    *string // nil: the cluster's default class
	// Claims are the live claim templates, verbatim: a StatefulSet's cannot be
	// changed.
	Claims []corev1.PersistentVolumeClaim
}

// HasContent says whether there is a volume for file content.
func (s Storage) HasContent() bool {
	for _, c := range s.Claims {
		if c.Name == "content" {
			return true
		}
	}
	return len(s.Claims) == 0 && s.Content != nil
}

// JWT is what signs the API's tokens.
type JWT struct {
	// Generated says that the Secret is the function's own.
	Generated       bool
	SecretName      string
	SecretKey       string
	AccessDuration  string
	RefreshDuration string
}

// Admin is the first administrator's credentials.
type Admin struct {
	// Generated says that the Secret is the function's own.
	Generated  bool
	SecretName string
	SecretKey  string
}

// A Service is how a Kubernetes Service is exposed.
type Service struct {
	Type        corev1.ServiceType
	Annotations map[string]string
}

// Logging is how the server logs.
type Logging struct {
	Level  string
	Format string
	Output string
}

// A Database is the control-plane database of a server.
type Database struct {
	Kind DatabaseKind `json:"kind"`
	// Path of the database file, with SQLite.
	Path string `json:"path,omitempty"`
	// Secret with the connection, with External.
	Secret string `json:"secret,omitempty"`
	// What the external Secret holds beside the keys that it must hold. SSLMode
	// is the mode to use where the Secret does not say.
	HasPort    bool   `json:"hasPort,omitempty"`
	HasSSLMode bool   `json:"hasSSLMode,omitempty"`
	HasCA      bool   `json:"hasCA,omitempty"`
	SSLMode    string `json:"sslMode,omitempty"`
}

// Same says whether both are the same database, however they are reached.
func (d Database) Same(o Database) bool {
	return d.Kind == o.Kind && d.Path == o.Path && d.Secret == o.Secret
}

// A Cluster is the PerconaPGCluster of a server.
type Cluster struct {
	// Wanted says that there is to be a cluster.
	Wanted bool
	// Kept says that the spec does not ask for the cluster any more and that it
	// stays as it was rendered last time.
	Kept bool

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

	// Base is what was asked for last time; nil if that is not known.
	Base *Rendered
	// Ask identifies what the spec and the Input alone say of the cluster.
	Ask string
	// Stated is the image that they name, and the major version that the
	// cluster had when they first named it.
	Stated StatedImage
	States States
}

// States says which of the cluster's values the XR or the Input state, as
// opposed to defaults.
type States struct {
	PostgresVersion, CRVersion, Image, Replicas, StorageSize, StorageClassName, Databases, Resources, Backup bool
}

// A StatedImage is a PostgreSQL image that somebody chose, together with the
// major version for which it was chosen.
type StatedImage struct {
	Image           string `json:"image,omitempty"`
	PostgresVersion int    `json:"postgresVersion,omitempty"`
}

// A Backup is how the cluster is backed up.
type Backup struct {
	// Asked says that the spec asks for backups.
	Asked bool
	// On says that the cluster is composed with backups.
	On bool
	// Kept says that backups were switched off without confirmation and stay as
	// they were rendered last time.
	Kept bool
	// Removed says that switching them off was confirmed.
	Removed bool
	// Problem says, for a person, why there are no working credentials.
	Problem string

	Image string
	// ConfigSecret is mounted into pgBackRest's configuration; empty for none.
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
