package node

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/binaries"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
)

const (
	// PostgresVersion is the major version that Debian has.
	PostgresVersion = "15"

	postgresBin = "/usr/lib/postgresql/" + PostgresVersion + "/bin"

	// user of Percona's images.
	postgresUser = 26

	// user of the server's image. Source: dittofs v0.29.0 Dockerfile.goreleaser.
	dittofsUser = 65532
)

// packages of Debian that have the programs.
const packages = "postgresql-15 postgresql-15-pgaudit pgbackrest iproute2 procps curl gettext-base"

// Images of the server and of its database: DittoFS itself, PostgreSQL and
// pgBackRest of Debian in Percona's place, and the scripts that Percona's
// operator brings into its pods. A file called patroni has to be this very
// program, with patroni.Main in its main function. The programs of the database
// trust the certificate authorities in the file roots.
func Images(roots string) ([]Image, error) {
	for _, p := range []string{postgresBin + "/postgres", "/usr/lib/postgresql/" + PostgresVersion + "/lib/pgaudit.so", "/usr/bin/pgbackrest", "/usr/bin/curl", "/usr/bin/pkill", "/usr/bin/envsubst"} {
		if _, err := os.Stat(p); err != nil {
			return nil, fmt.Errorf("%s is missing, install Debian's packages: apt-get install --no-install-recommends %s", p, packages)
		}
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return nil, err
	}

	dfs, err := binaries.DittoFS().Path()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	backups, err := binaries.PerconaBackRest().Path()
	if err != nil {
		return nil, err
	}
	src, err := binaries.PerconaSource()
	if err != nil {
		return nil, err
	}
	scripts, err := operatorScripts(filepath.Join(src, "build", "postgres-operator"))
	if err != nil {
		return nil, err
	}

	percona := Image{
		UID: postgresUser, GID: postgresUser, User: "postgres",
		Env:  []string{"PATH=/usr/local/bin:" + postgresBin + ":/usr/bin:/bin", "HOME=/home/postgres", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"},
		Dirs: []string{"/pgdata", "/var/log/pgbackrest", "/var/lib/pgbackrest", "/var/spool/pgbackrest", "/home/postgres"},
		Files: map[string]string{
			"/usr/local/bin/patroni":             self,
			"/usr/local/bin/patronictl":          self,
			"/etc/ssl/certs/ca-certificates.crt": roots,
		},
	}
	postgres, pgbackrest, operator := percona, percona, percona
	postgres.Prefix = "docker.io/percona/percona-distribution-postgresql:" + PostgresVersion + "."
	pgbackrest.Prefix = "docker.io/percona/percona-pgbackrest:"
	operator.Prefix, operator.Scripts = "docker.io/percona/percona-postgresql-operator:", scripts
	operator.Files = map[string]string{"/usr/local/bin/pgbackrest": backups}

	return []Image{
		{
			Prefix: "marmos91c/dittofs:v0.29.0",
			UID:    dittofsUser, GID: dittofsUser, User: "nonroot",
			Env:        []string{"PATH=" + postgresBin + ":/usr/bin:/bin", "HOME=/app"},
			Entrypoint: []string{"/app/dfs"},
			Files:      map[string]string{"/app/dfs": dfs},
			Dirs:       []string{"/data", "/data/metadata", "/data/content", "/data/cache", "/config"},
		},
		postgres, pgbackrest, operator,
	}, nil
}

// operatorScripts are the scripts that the operator's image has in
// /usr/local/bin.
func operatorScripts(dir string) (map[string]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.sh"))
	if err != nil {
		return nil, err
	}

	out := map[string]string{}
	for _, f := range files {
		data, err := disk.Read(f)
		if err != nil {
			return nil, err
		}
		out["/usr/local/bin/"+filepath.Base(f)] = string(data)
	}

	return out, nil
}
