package binaries

// What pods run, for the tests that run the real server and real backups.

// DittoFS is the server.
func DittoFS() Binary { return dittofs("dfs") }

// DFSCtl is its client.
func DFSCtl() Binary { return dittofs("dfsctl") }

func dittofs(name string) Binary {
	return Binary{Name: name, Version: "v0.29.0", Tool: "dittofs", Package: "github.com/marmos91/dittofs/cmd/" + name}
}

// PerconaBackRest is what the operator's Jobs run: it runs pgBackRest in the
// repository host's pod.
func PerconaBackRest() Binary {
	return Binary{Name: "pgbackrest", Version: "v2.9.0", Tool: "percona", Package: "github.com/percona/percona-postgresql-operator/v2/cmd/pgbackrest", Env: envPerconaBackRest}
}

// VersityGW is an S3 server that keeps objects as files.
func VersityGW() Binary {
	return Binary{Name: "versitygw", Version: "v1.8.0", Tool: "versitygw", Package: "github.com/versity/versitygw/cmd/versitygw"}
}
