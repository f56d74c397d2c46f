package server

import (
	"cmp"
	"encoding/json"

	"google.golang.org/protobuf/types/known/structpb"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/internal/memo"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/strict"
)

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

// ContainerName is the name of the server's container.
const ContainerName = "dittofs"

// A Rendered is what is recorded on the PerconaPGCluster: what the spec and the
// Input alone made of it last time, before anything was merged into it.
type Rendered struct {
	Ask    string         `json:"ask"`
	Stated StatedImage    `json:"stated,omitzero"`
	Spec   map[string]any `json:"spec"`
}

// ReadRendered reads a record, nil if there is none.
func ReadRendered(record string) *Rendered {
	r := &Rendered{}
	// A record that somebody broke is as good as none: what exists wins then.
	if err := json.Unmarshal([]byte(record), r); err != nil || r.Spec == nil {
		return nil
	}
	return r
}

// instance is the recorded instance set.
func (r Rendered) instance() map[string]any {
	l, _ := r.Spec["instances"].([]any)
	for _, e := range l {
		if m, ok := e.(map[string]any); ok && m["name"] == names.InstanceSet {
			return m
		}
	}
	return nil
}

func (r Rendered) string(path ...string) string {
	s, _ := strict.Lookup(r.Spec, path).(string)
	return s
}

func (r Rendered) postgresVersion() int {
	v, _ := r.Spec["postgresVersion"].(float64)
	return int(v)
}

// A live is what exists and is ours.
type live struct {
	// server is the StatefulSet, nil if there is none. database is what it is
	// wired to, or was when it last existed; nil if there never was a server.
	server   *observed.Object
	database *Database
	image    string
	admin    string
	config   observed.Object

	// cluster is the PerconaPGCluster, nil if there is none. clusterSpec is its
	// spec, or what was recorded of it when it last existed.
	cluster     *observed.Object
	clusterSpec observed.Object
	// rendered is the record, never nil; recorded says whether there is one.
	rendered *Rendered
	recorded bool
}

func (r *resolver) readLive() {
	sts := r.w.Existing(r.w.Ref(names.Server))
	if sts.Exists() {
		r.live.server = &sts.Object
	}
	config := r.w.Existing(r.w.Ref(names.Config)).Record
	r.live.database = liveDatabase(r.name, sts.Record, config)
	r.live.image = cmp.Or(config.Annotation(names.AnnotationImage), container(sts.Record).String("image"))
	r.live.admin = config.Annotation(names.AnnotationAdminChecksum)
	r.live.config = config
}

// readCluster looks for the cluster where there may be one: where the spec asks
// for it, the server is wired to it, or Crossplane knows it. A server that never
// had one is not made to depend on Percona's CRDs.
func (r *resolver) readCluster(asked DatabaseKind) {
	wired := r.live.database != nil && r.live.database.Kind == Percona
	seen := r.w.Observed(names.Postgres).Exists()
	if seen || wired || asked == Percona {
		e := r.w.Existing(r.w.Ref(names.Postgres))
		if e.Exists() {
			r.live.cluster = &e.Object
		}
		r.live.clusterSpec = e.Record.At("spec")
		r.readRendered(e.Record)
	}
	if r.live.rendered == nil {
		r.readRendered(r.live.config)
	}
	if r.live.rendered == nil {
		r.live.rendered = &Rendered{}
		return
	}
	r.live.recorded = true
	if r.live.clusterSpec.Exists() {
		return
	}
	if s, err := structpb.NewStruct(r.live.rendered.Spec); err == nil {
		r.live.clusterSpec = observed.FromStruct(s)
	}
}

func (r *resolver) readRendered(o observed.Object) {
	record := o.Annotation(names.AnnotationRendered)
	r.live.rendered, _ = memo.Do(r.memo, r.key("rendered"), []any{record}, func() (*Rendered, error) { return ReadRendered(record), nil })
}

func container(sts observed.Object) observed.Object {
	return sts.Named(ContainerName, "spec", "template", "spec", "containers")
}

// liveDatabase is the database that the live server uses, read from what it is
// really wired to: every server of the DittoFS operator with a PerconaPGCluster
// runs on SQLite, because nothing reads the DATABASE_URL that it is given. While
// there is no StatefulSet, the record on the ConfigMap says what it was.
func liveDatabase(n string, sts, config observed.Object) *Database {
	if !sts.Exists() {
		return recordedDatabase(config)
	}
	env := map[string]observed.Object{}
	for _, e := range container(sts).List("env") {
		env[e.String("name")] = e
	}
	secret := env[EnvHost].String("valueFrom", "secretKeyRef", "name")
	switch {
	case secret == names.ClusterCredentials(n):
		return &Database{Kind: Percona}
	case secret != "":
		has := func(k string) bool { return env[k].Exists() }
		return &Database{
			Kind:       External,
			Secret:     secret,
			HasPort:    has(EnvPort),
			HasSSLMode: env[EnvSSLMode].Has("valueFrom"),
			HasCA:      has(EnvSSLRootCert),
			SSLMode:    env[EnvSSLMode].String("value"),
		}
	}
	if p := env[EnvSQLitePath].String("value"); p != "" {
		return &Database{Kind: SQLite, Path: p}
	}
	return &Database{Kind: SQLite, Path: configPath(config)}
}

// configPath is where a config.yaml puts SQLite's file.
func configPath(config observed.Object) string {
	var c struct {
		Database struct {
			SQLite struct {
				Path string `json:"path"`
			} `json:"sqlite"`
		} `json:"database"`
	}
	if err := yaml.Unmarshal([]byte(config.String("data", names.ConfigKey)), &c); err != nil || c.Database.SQLite.Path == "" {
		return DefaultSQLitePath
	}
	return c.Database.SQLite.Path
}

func recordedDatabase(config observed.Object) *Database {
	a := config.Annotation(names.AnnotationDatabase)
	if a == "" {
		return nil
	}
	d := &Database{}
	if err := json.Unmarshal([]byte(a), d); err != nil || d.Kind == "" {
		return nil
	}
	return d
}

// liveClaims are the claim templates of the live StatefulSet, without status.
func liveClaims(templates *structpb.Value) ([]corev1.PersistentVolumeClaim, error) {
	b, err := json.Marshal(templates.AsInterface())
	if err != nil {
		return nil, err
	}
	var out []corev1.PersistentVolumeClaim
	if err := json.Unmarshal(b, &out); err != nil {
		return nil, err
	}
	for i := range out {
		out[i].Status = corev1.PersistentVolumeClaimStatus{}
	}
	return out, nil
}
