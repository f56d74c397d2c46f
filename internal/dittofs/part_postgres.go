package dittofs

import (
	_ "embed"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// waitForPostgres is what the init container runs.
//
//go:embed wait-for-postgres.sh
var waitForPostgres string

const (
	caDir    = "/postgres-ca"
	volumeCA = "postgres-ca"

	// waitSeconds is how long the init container waits before it fails and tells
	// why.
	waitSeconds = 300
	// connectTimeoutSeconds bounds each attempt to connect: a database that
	// accepts connections and never answers is waited for without end otherwise.
	connectTimeoutSeconds = "5"
)

// postgres is how the server reaches its database, whichever that is.
func postgres(s *server.Server) part {
	c := s.Connection
	if c.SQLitePath != "" {
		return part{
			env: []corev1.EnvVar{
				value(names.EnvDatabaseType, "sqlite"),
				value(names.EnvSQLitePath, c.SQLitePath),
			},
			config: section{"database": section{"type": "sqlite", "sqlite": section{"path": c.SQLitePath}}},
		}
	}
	p := part{
		env:     postgresEnv(c),
		config:  section{"database": section{"type": "postgres"}},
		sources: []source{{name: SourceDatabase, secret: c.Secret, keys: c.Keys, mayLack: c.MayLack}},
	}
	if c.CASecret != "" {
		p.mounts = []corev1.VolumeMount{{Name: volumeCA, MountPath: caDir, ReadOnly: true}}
		// The Secret may hold the database's private key as well.
		p.volumes = []corev1.Volume{secretVolume(volumeCA, c.CASecret, names.CAKey)}
		p.sources = append(p.sources, source{name: SourceCA, secret: c.CASecret, keys: []string{names.CAKey}, public: true})
	}
	if c.WaitImage != "" {
		p.initContainers = []corev1.Container{wait(c)}
	}
	return p
}

func postgresEnv(c server.Connection) []corev1.EnvVar {
	var out []corev1.EnvVar
	if c.URL != (server.Value{}) {
		// The server does not read it; sidecars and scripts may.
		out = append(out, variable("DATABASE_URL", c.URL))
	}
	out = append(out,
		value(names.EnvDatabaseType, "postgres"),
		variable(names.EnvHost, c.Host),
		variable(names.EnvPort, c.Port),
		variable(names.EnvDatabase, c.Name),
		variable(names.EnvUser, c.User),
		variable(names.EnvPassword, c.Password),
		variable(names.EnvSSLMode, c.SSLMode),
	)
	if c.CASecret != "" {
		// A metadata store has no setting for the CA, and libpq's variable serves.
		out = append(out, value(names.EnvSSLRootCert, caDir+"/"+names.CAKey), value("PGSSLROOTCERT", caDir+"/"+names.CAKey))
	}
	out = append(out, value("PGCONNECT_TIMEOUT", connectTimeoutSeconds))

	port := slices.IndexFunc(out, func(e corev1.EnvVar) bool { return e.Name == names.EnvPort })
	switch {
	case c.Port == (server.Value{}):
		out = slices.Delete(out, port, port+1)
	case c.URL == (server.Value{}):
		// Pods without a URL have the port behind the password: to move it would
		// replace them.
		e := out[port]
		out = slices.Delete(out, port, port+1)
		password := slices.IndexFunc(out, func(e corev1.EnvVar) bool { return e.Name == names.EnvPassword })
		out = slices.Insert(out, password+1, e)
	}
	return out
}

// wait returns the container that waits for the database as the server's own user
// and over verified TLS: that Percona's cluster is ready does not mean that the
// role and the database exist already. It runs in the database's own image.
func wait(c server.Connection) corev1.Container {
	return corev1.Container{
		Name:    names.InitContainerName,
		Image:   c.WaitImage,
		Command: []string{"/bin/sh", "-c", waitForPostgres},
		Env: []corev1.EnvVar{
			variable("PGHOST", c.Host),
			variable("PGPORT", c.Port),
			variable(names.EnvPGDatabase, c.Name),
			variable("PGUSER", c.User),
			variable("PGPASSWORD", c.Password),
			variable("PGSSLMODE", c.SSLMode),
			value("PGSSLROOTCERT", caDir+"/"+names.CAKey),
			value("PGCONNECT_TIMEOUT", connectTimeoutSeconds),
			value("WAIT_SECONDS", strconv.Itoa(waitSeconds)),
		},
		VolumeMounts: []corev1.VolumeMount{{Name: volumeCA, MountPath: caDir, ReadOnly: true}},
		// Without them a namespace with a quota refuses the pod.
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("32Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("128Mi")},
		},
		// Its last words are the container's status.
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		SecurityContext:          containerSecurityContext(nil),
	}
}
