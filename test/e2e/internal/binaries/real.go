package binaries

// What pods run, for the tests that run the real server and real backups.
var (
	// DittoFS is the server, and DFSCtl its client.
	DittoFS = Binary{Name: "dfs", Version: "v0.29.0", Tool: "dittofs", Package: "github.com/marmos91/dittofs/cmd/dfs"}
	DFSCtl  = Binary{Name: "dfsctl", Version: "v0.29.0", Tool: "dittofs", Package: "github.com/marmos91/dittofs/cmd/dfsctl"}

	// PerconaBackRest is what the operator's Jobs run: it runs pgBackRest in
	// the repository host's pod.
	PerconaBackRest = Binary{Name: "pgbackrest", Version: "v2.9.0", Tool: "percona", Package: "github.com/percona/percona-postgresql-operator/v2/cmd/pgbackrest"}

	// VersityGW is an S3 server that keeps objects as files.
	VersityGW = Binary{Name: "versitygw", Version: "v1.8.0", Tool: "versitygw", Package: "github.com/versity/versitygw/cmd/versitygw"}
)
