package dittofs

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/crossplane/function-sdk-go/errors"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// shutdownTimeout bounds each stage of the server's shutdown.
const shutdownTimeout = "30s"

// config is the server's configuration file. No credential is in it.
// Source: dittofs v0.29.0 pkg/config.
type config struct {
	Logging         logging      `json:"logging"`
	ShutdownTimeout string       `json:"shutdown_timeout"`
	Database        database     `json:"database"`
	ControlPlane    controlPlane `json:"controlplane"`
	Admin           admin        `json:"admin"`
}

type logging struct {
	Level  string `json:"level"`
	Format string `json:"format"`
	Output string `json:"output"`
}

type database struct {
	Type   string  `json:"type"`
	SQLite *sqlite `json:"sqlite,omitempty"`
}

type sqlite struct {
	Path string `json:"path"`
}

type controlPlane struct {
	// Host: the server's own default, 127.0.0.1, cannot be reached.
	Host string `json:"host"`
	Port int32  `json:"port"`
	JWT  jwt    `json:"jwt"`
}

type jwt struct {
	AccessTokenDuration  string `json:"access_token_duration"`
	RefreshTokenDuration string `json:"refresh_token_duration"`
}

type admin struct {
	Username string `json:"username"`
}

// Config is the server's config.yaml. A change of what this makes of an
// unchanged spec restarts every server there is.
func Config(s *server.Server) (string, error) {
	c := config{
		Logging:         logging(s.Logging),
		ShutdownTimeout: shutdownTimeout,
		Database:        database{Type: "postgres"},
		ControlPlane: controlPlane{
			Host: "0.0.0.0",
			Port: s.APIPort,
			JWT:  jwt{AccessTokenDuration: s.JWT.AccessDuration, RefreshTokenDuration: s.JWT.RefreshDuration},
		},
		Admin: admin{Username: server.AdminUser},
	}
	if s.Database.Kind == server.SQLite {
		c.Database = database{Type: string(server.SQLite), SQLite: &sqlite{Path: s.Database.Path}}
	}
	b, err := yaml.Marshal(c)
	return string(b), errors.Wrap(err, "cannot render config.yaml")
}

// A Record is what is remembered of a server from the time at which there is
// one.
type Record struct {
	Image         string
	Database      server.Database
	AdminChecksum string
}

// ConfigMap holds the server's configuration, the record of its
// PerconaPGCluster, and that of the server, if there are such.
func ConfigMap(s *server.Server, configYAML, cluster string, r *Record) (*corev1.ConfigMap, error) {
	annotations := map[string]string{}
	if cluster != "" {
		annotations[names.AnnotationRendered] = cluster
	}
	if r != nil {
		db, err := json.Marshal(r.Database)
		if err != nil {
			return nil, errors.Wrap(err, "cannot record the server's database")
		}
		annotations[names.AnnotationImage] = r.Image
		annotations[names.AnnotationDatabase] = string(db)
		if r.AdminChecksum != "" {
			annotations[names.AnnotationAdminChecksum] = r.AdminChecksum
		}
	}
	cm := &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: names.CoreV1, Kind: "ConfigMap"},
		ObjectMeta: meta(s, names.ConfigMap(s.Name)),
		Data:       map[string]string{names.ConfigKey: configYAML},
	}
	cm.Annotations = annotations
	return cm, nil
}
