package dittofs

import (
	_ "embed"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/pgstate"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// waitForPostgres is what the init container runs.
//
//go:embed wait-for-postgres.sh
var waitForPostgres string

// InitContainerName is the name of the container that waits for the database.
const InitContainerName = "wait-for-postgres"

const (
	// waitSeconds is how long the init container waits before it fails and says
	// why.
	waitSeconds = 300
	// connectTimeoutSeconds bounds each attempt to connect: a database that
	// accepts connections and says nothing is waited for without end otherwise.
	connectTimeoutSeconds = "5"

	sslVerifyFull = "verify-full"
)

// caSecret is the Secret with the CA of the server's database; empty for none.
func caSecret(s *server.Server) string {
	switch d := s.Database; {
	case d.Kind == server.Percona:
		return names.ClusterCA(s.Name)
	case d.Kind == server.External && d.HasCA:
		return d.Secret
	}
	return ""
}

// databaseEnv is how the server learns its database.
func databaseEnv(s *server.Server) []corev1.EnvVar {
	value := func(name, v string) corev1.EnvVar { return corev1.EnvVar{Name: name, Value: v} }
	switch d := s.Database; d.Kind {
	case server.Percona:
		secret := names.ClusterCredentials(s.Name)
		return []corev1.EnvVar{
			// The server does not read it; sidecars and scripts may.
			fromSecret("DATABASE_URL", secret, pgstate.KeyURI),
			value(server.EnvDatabaseType, "postgres"),
			fromSecret(server.EnvHost, secret, pgstate.KeyHost),
			fromSecret(server.EnvPort, secret, pgstate.KeyPort),
			fromSecret(server.EnvDatabase, secret, pgstate.KeyDBName),
			fromSecret(server.EnvUser, secret, pgstate.KeyUser),
			fromSecret(server.EnvPassword, secret, pgstate.KeyPassword),
			// Percona's PostgreSQL refuses what is not TLS, and the server's own
			// default is not TLS.
			value(server.EnvSSLMode, sslVerifyFull),
			value(server.EnvSSLRootCert, caDir+"/"+names.CAKey),
			// A metadata store has no setting for the CA.
			value("PGSSLROOTCERT", caDir+"/"+names.CAKey),
			value("PGCONNECT_TIMEOUT", connectTimeoutSeconds),
		}
	case server.External:
		out := []corev1.EnvVar{
			value(server.EnvDatabaseType, "postgres"),
			fromSecret(server.EnvHost, d.Secret, pgstate.KeyHost),
			fromSecret(server.EnvDatabase, d.Secret, pgstate.KeyDatabase),
			fromSecret(server.EnvUser, d.Secret, pgstate.KeyUser),
			fromSecret(server.EnvPassword, d.Secret, pgstate.KeyPassword),
		}
		if d.HasPort {
			out = append(out, fromSecret(server.EnvPort, d.Secret, pgstate.KeyPort))
		}
		if d.HasSSLMode {
			out = append(out, fromSecret(server.EnvSSLMode, d.Secret, pgstate.KeySSLMode))
		} else {
			out = append(out, value(server.EnvSSLMode, d.SSLMode))
		}
		if d.HasCA {
			out = append(out, value(server.EnvSSLRootCert, caDir+"/"+names.CAKey), value("PGSSLROOTCERT", caDir+"/"+names.CAKey))
		}
		return append(out, value("PGCONNECT_TIMEOUT", connectTimeoutSeconds))
	case server.SQLite:
	}
	return []corev1.EnvVar{
		value(server.EnvDatabaseType, string(server.SQLite)),
		value(server.EnvSQLitePath, s.Database.Path),
	}
}

// initContainers wait for a PerconaPGCluster's database as the server's own
// user and over verified TLS: that it is ready does not mean that the role and
// the database exist already. They run in the database's own image.
func initContainers(s *server.Server) []corev1.Container {
	if s.Database.Kind != server.Percona {
		return nil
	}
	secret := names.ClusterCredentials(s.Name)
	return []corev1.Container{{
		Name:    InitContainerName,
		Image:   s.Cluster.Image,
		Command: []string{"/bin/sh", "-c", waitForPostgres},
		Env: []corev1.EnvVar{
			fromSecret("PGHOST", secret, pgstate.KeyHost),
			fromSecret("PGPORT", secret, pgstate.KeyPort),
			fromSecret("PGDATABASE", secret, pgstate.KeyDBName),
			fromSecret("PGUSER", secret, pgstate.KeyUser),
			fromSecret("PGPASSWORD", secret, pgstate.KeyPassword),
			{Name: "PGSSLMODE", Value: sslVerifyFull},
			{Name: "PGSSLROOTCERT", Value: caDir + "/" + names.CAKey},
			{Name: "PGCONNECT_TIMEOUT", Value: connectTimeoutSeconds},
			{Name: "WAIT_SECONDS", Value: strconv.Itoa(waitSeconds)},
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
	}}
}
