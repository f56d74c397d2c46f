package server

import (
	"fmt"

	"github.com/dittofs/function-dittoserver/internal/record"
)

// Built-in defaults. What is live never follows a change of them.
const (
	// DefaultImage is the DittoFS release that the wiring was proven with.
	DefaultImage = "marmos91c/dittofs:v0.29.0"
	// DefaultPostgresVersion is the PostgreSQL major version of new clusters.
	DefaultPostgresVersion = 16
	// DefaultCRVersion is the behaviour of Percona's operator that new clusters
	// ask for. Below it, pgBouncer and its image are mandatory.
	DefaultCRVersion = "2.9.0"
	// DefaultBackupImage is needed even where backups are off: the operator
	// does not reconcile a cluster without it (v2.9.0 and v3.0.0).
	DefaultBackupImage = "docker.io/percona/percona-pgbackrest:2.58.0-1"
	// DefaultSQLitePath lies on the control-plane volume.
	DefaultSQLitePath = record.DefaultSQLitePath

	defaultReplicas           = 1
	defaultGracePeriodSeconds = 105
	defaultControlPlaneSize   = "1Gi"
	defaultAPIPort            = 8080
	defaultAccessDuration     = "15m"
	defaultRefreshDuration    = "168h"
	defaultLogLevel           = "INFO"
	defaultLogFormat          = "json"
	defaultLogOutput          = "stdout"
	defaultClusterReplicas    = 1
	defaultClusterStorage     = "10Gi"
	defaultDatabaseName       = "dittofs"
	defaultRegion             = "eu-west-1"
	defaultFullSchedule       = "0 2 * * *"
	defaultIncrSchedule       = "0 * * * *"
	defaultRetentionDays      = 7
	defaultMetricsPort        = 9090
	defaultMetricsPath        = "/metrics"
	defaultUserAttr           = "sAMAccountName"
	defaultIdmap              = "rfc2307"
)

// Where the server's volumes are mounted, and the ports that a fresh server
// listens on. SMB really is 1445, whatever the server's help says.
const (
	ControlPlaneDir = "/data/controlplane"
	MetadataDir     = "/data/store/metadata"
	ContentDir      = "/data/store/block"

	NFSPort int32 = 12049
	SMBPort int32 = 1445
)

// AdminUser is the name of the first administrator, whatever a configuration
// says: the server does not read it.
const AdminUser = "admin"

// postgresImages are the newest images that Percona's operator v2.9.0 lists.
var postgresImages = map[int]string{ //nolint:gochecknoglobals // A constant.
	14: "14.22-1",
	15: "15.17-1",
	16: "16.13-1",
	17: "17.9-1",
	18: "18.3-1",
}

func defaultPostgresImage(major int) string {
	return fmt.Sprintf("docker.io/percona/percona-distribution-postgresql:%s", postgresImages[major])
}
