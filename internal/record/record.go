// Package record is the memory of what was chosen for a server: images, versions,
// the database and how the server is wired to it, confirmations that were used,
// and what was rendered last. The function itself remembers nothing, so the record
// is written as an annotation of the ConfigMap, with a copy on the PerconaPGCluster.
//
// What is held is held at what the record says, never at what a person did to a
// live object. Every format that was ever written is read for ever.
package record

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/crossplane/function-sdk-go/errors"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/strict"
)

// version of the format that Encode writes.
const version = 1

// A DatabaseKind is a kind of control-plane database. Its values are those of
// spec.database.confirmSwitch.
type DatabaseKind string

// The databases that a server can keep its control plane in.
const (
	SQLite   DatabaseKind = v1alpha1.DatabaseSourceSQLite
	External DatabaseKind = v1alpha1.DatabaseSourceExternal
	Percona  DatabaseKind = v1alpha1.DatabaseSourcePercona
)

// A Database is a control-plane database, and how a server is wired to it.
type Database struct {
	Kind DatabaseKind `json:"kind"`
	// Path of the database file, with SQLite.
	Path string `json:"path,omitempty"`
	// Secret with the connection, with External.
	Secret string `json:"secret,omitempty"`
	// What the server takes from the external Secret beside the keys that it must
	// have. SSLMode is the mode to use where the Secret has none.
	HasPort    bool   `json:"hasPort,omitempty"`
	HasSSLMode bool   `json:"hasSSLMode,omitempty"`
	HasCA      bool   `json:"hasCA,omitempty"`
	SSLMode    string `json:"sslMode,omitempty"`
	// OptionalKeys is true if the references to port and sslmode are optional, as
	// the DittoFS operator writes them. The API server merges a value into such a
	// reference and refuses the result, so they stay references.
	OptionalKeys bool `json:"optionalKeys,omitempty"`
	// FoundPort and FoundSSLMode are true if the Secret once had what an optional
	// reference is to: that it goes missing does not weaken the connection.
	FoundPort    bool `json:"foundPort,omitempty"`
	FoundSSLMode bool `json:"foundSSLMode,omitempty"`
	// FixedName is true if the pod has the name of Percona's database as a value: that
	// of Percona's Secret follows whoever edits the cluster. Servers of earlier versions
	// refer to the Secret until it names another database.
	FixedName bool `json:"fixedName,omitempty"`
}

// Same reports whether both are the same database, however it is reached.
func (d Database) Same(o Database) bool {
	return d.Kind == o.Kind && d.Path == o.Path && d.Secret == o.Secret
}

// NeedsPort reports whether the server must not lose the port of its external Secret.
func (d Database) NeedsPort() bool { return d.HasPort && (!d.OptionalKeys || d.FoundPort) }

// NeedsSSLMode reports whether the server must not lose the sslmode of its external
// Secret.
func (d Database) NeedsSSLMode() bool { return d.HasSSLMode && (!d.OptionalKeys || d.FoundSSLMode) }

// A SecretKey is a key of a Secret in the server's namespace. The zero SecretKey
// is none.
type SecretKey struct {
	Name string `json:"name,omitempty"`
	Key  string `json:"key,omitempty"`
}

// A Server is what was chosen for the StatefulSet.
type Server struct {
	Image    string   `json:"image,omitempty"`
	Database Database `json:"database"`
	// Started is true once the server has been ready, so that it has read the
	// administrator's password, which it does once.
	Started bool      `json:"started,omitempty"`
	JWT     SecretKey `json:"jwt,omitzero"`
	Admin   SecretKey `json:"admin,omitzero"`
	// AdminOptional is true if the pod starts without the administrator's Secret.
	AdminOptional bool `json:"adminOptional,omitempty"`
	// AdminFingerprint is that of the administrator's password.
	AdminFingerprint string   `json:"adminFingerprint,omitempty"`
	Metrics          *Metrics `json:"metrics,omitempty"`
	// DatabasePort is the port of an external database that the NetworkPolicy opens; 0
	// where it opens none.
	DatabasePort int32 `json:"databasePort,omitempty"`
	TLS          *TLS  `json:"tls,omitempty"`
	// LDAP and Kerberos are nil before there is a server with them.
	LDAP     *Provider `json:"ldap,omitempty"`
	Kerberos *Provider `json:"kerberos,omitempty"`
}

// Complete fills in what the first format of the record lacks: it is what the live
// server, which may be nil, says of itself.
func (s *Server) Complete(live *Server) {
	if live == nil {
		return
	}
	s.Image = cmp.Or(s.Image, live.Image)
	s.JWT = cmp.Or(s.JWT, live.JWT)
	s.Admin = cmp.Or(s.Admin, live.Admin)
}

// Metrics is how a server serves metrics.
type Metrics struct {
	Port  int32     `json:"port"`
	Path  string    `json:"path"`
	Token SecretKey `json:"token,omitzero"`
}

// TLS is the Secrets that a server serves its API over TLS with: that of its
// certificate, and that of the authorities of client certificates, which may be none.
type TLS struct {
	Cert     string `json:"cert"`
	ClientCA string `json:"clientCA,omitempty"`
}

// What the pod reads Secrets of identity providers for.
const (
	UseBindPassword  = "bindPassword"
	UseLDAPCA        = "ca"
	UseKeytab        = "keytab"
	UseKrb5Conf      = "krb5Conf"
	UseMachineSecret = "machineSecret"
	UseMachineKeytab = "machineKeytab"
)

// TakenBefore is the configuration that a server took before there was a record.
const TakenBefore = "before"

// A Provider is an identity provider of a server: LDAP or Kerberos.
type Provider struct {
	// Off is true if the spec does not ask for it any more.
	Off bool `json:"off,omitempty"`
	// Asked is a digest of the configuration that the spec asks for, and Taken of the
	// one that the server took when it first started with the provider; empty before.
	Asked string `json:"asked,omitempty"`
	Taken string `json:"taken,omitempty"`
	// Secrets are those that the pod reads, by what for.
	Secrets map[string]SecretKey `json:"secrets,omitempty"`
}

// A Cluster is what was chosen for the PerconaPGCluster.
type Cluster struct {
	// Asked is what the XR and the Input said of it together, and Digest a hash of
	// that, which is all that the first format has.
	Asked  map[string]any `json:"asked,omitempty"`
	Digest string         `json:"ask,omitempty"`
	// Stated is the image that they named, and the major version that the cluster
	// had when they first named it.
	Stated StatedImage `json:"stated,omitzero"`
	// Initialized is true once the database has been initialised, or may have been.
	Initialized bool `json:"initialized,omitempty"`
	// Unused is true as long as it is certain that no server has kept its control
	// plane in the database.
	Unused bool `json:"unused,omitempty"`
	// Volume is what the database's first volume was made as.
	Volume Volume `json:"volume,omitzero"`
	// BackupSecret holds the credentials of the backups.
	BackupSecret string `json:"backupSecret,omitempty"`
	// Spec is what the XR and the Input alone rendered last time, before anything
	// was merged into it.
	Spec map[string]any `json:"spec"`
}

// A StatedImage is a PostgreSQL image that somebody chose, together with the
// major version for which it was chosen.
type StatedImage struct {
	Image           string `json:"image,omitempty"`
	PostgresVersion int    `json:"postgresVersion,omitempty"`
}

// A Volume is the size and the storage class of a volume; no class is nil.
type Volume struct {
	Size  string  `json:"size,omitempty"`
	Class *string `json:"class,omitempty"`
}

// Spent are confirmations that were used, or that stand in the spec of a server to
// which they do not apply. They confirm nothing until they are taken out.
type Spent struct {
	Switch  string `json:"switch,omitempty"`
	Removal bool   `json:"removal,omitempty"`
}

// A Record is what was chosen for a server.
type Record struct {
	Version int `json:"version"`
	// XR is the UID of the XR that the record was written for.
	XR string `json:"xr,omitempty"`
	// Server is nil before there is a server, Cluster before there is a cluster.
	Server  *Server  `json:"server,omitempty"`
	Cluster *Cluster `json:"cluster,omitempty"`
	// VersionGuessed is true while the cluster's PostgreSQL version is a guess: its
	// files are older than the record, and PostgreSQL has not run on them yet.
	VersionGuessed bool  `json:"versionGuessed,omitempty"`
	Spent          Spent `json:"spent,omitzero"`
	// LoadBalancerClasses are those that were asked for, by the Service.
	LoadBalancerClasses map[names.Resource]string `json:"loadBalancerClasses,omitempty"`
}

// Encode returns the record as it is written.
func (r Record) Encode() (string, error) {
	r.Version = version
	b, err := json.Marshal(r)
	return string(b), errors.Wrap(err, "cannot encode the record")
}

// Annotations of the first format. The cluster has rendered, the ConfigMap all
// four.
const (
	annotationRendered = "dittoserver.fn.crossplane.io/rendered"
	annotationImage    = "dittoserver.fn.crossplane.io/image"
	annotationDatabase = "dittoserver.fn.crossplane.io/database"
	annotationAdmin    = "dittoserver.fn.crossplane.io/admin-at-first-start"
)

// Read reads the record of a server from its ConfigMap, else from its
// PerconaPGCluster. A record that somebody broke is as good as none, and that of an
// object that is being deleted is not written any more.
func Read(config, cluster observed.Object) Record {
	from := []observed.Object{config, cluster}
	if config.Deleting() && !cluster.Deleting() {
		from = []observed.Object{cluster, config}
	}
	for _, o := range from {
		if r, ok := decode(o.Annotation(names.AnnotationRecord)); ok {
			return r
		}
	}
	return readFirst(config, cluster)
}

func decode(annotation string) (Record, bool) {
	r := Record{}
	if annotation == "" || json.Unmarshal([]byte(annotation), &r) != nil {
		return Record{}, false
	}
	if r.Server != nil && !r.Server.Database.valid() || r.Cluster != nil && r.Cluster.Spec == nil {
		return Record{}, false
	}
	return r, true
}

func (d Database) valid() bool {
	return slices.Contains([]DatabaseKind{SQLite, External, Percona}, d.Kind)
}

// readFirst reads the first format.
func readFirst(config, cluster observed.Object) Record {
	r := Record{}
	d := Database{}
	if json.Unmarshal([]byte(config.Annotation(annotationDatabase)), &d) == nil && d.valid() {
		r.Server = &Server{
			Image:            config.Annotation(annotationImage),
			Database:         d,
			AdminFingerprint: config.Annotation(annotationAdmin),
		}
	}
	for _, o := range []observed.Object{cluster, config} {
		c := &Cluster{}
		if json.Unmarshal([]byte(o.Annotation(annotationRendered)), c) == nil && c.Spec != nil {
			// The format does not say, and what may have data is taken to have some.
			c.Initialized = true
			r.Cluster = c
			break
		}
	}
	return r
}

// Value returns what the last rendering of the cluster has at path, nil for
// nothing.
func (c *Cluster) Value(path ...string) any {
	if c == nil {
		return nil
	}
	return strict.Lookup(c.Spec, path)
}

// String returns the string that the last rendering of the cluster has at path.
func (c *Cluster) String(path ...string) string {
	s, _ := c.Value(path...).(string)
	return s
}

// PostgresVersion returns the major version of PostgreSQL, 0 if it is not known.
func (c *Cluster) PostgresVersion() int {
	v, _ := c.Value("postgresVersion").(float64)
	return int(v)
}

// Instance returns the instance set.
func (c *Cluster) Instance() map[string]any { return c.named("instances", names.InstanceSet) }

// DatabaseName returns the name of the control plane's database, empty if it is
// not known.
func (c *Cluster) DatabaseName() string {
	l, _ := c.named("users", names.PostgresUser)["databases"].([]any)
	if len(l) == 0 {
		return ""
	}
	s, _ := l[0].(string)
	return s
}

// BackupsOn reports whether the cluster was rendered with backups.
func (c *Cluster) BackupsOn() bool {
	on, _ := c.Value("backups", "enabled").(bool)
	return on
}

func (c *Cluster) named(list, name string) map[string]any {
	l, _ := c.Value(list).([]any)
	for _, e := range l {
		if m, ok := e.(map[string]any); ok && m["name"] == name {
			return m
		}
	}
	return nil
}
