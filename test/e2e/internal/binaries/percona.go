package binaries

import (
	"fmt"
	"os"
	"path/filepath"
)

// Another version of Percona's operator than the pinned one is had by the paths of
// its programs and of its source. No Go module of 3.0.0 is served.
const (
	envPerconaOperator = "PERCONA_OPERATOR"
	envPerconaBackRest = "PERCONA_BACKREST"
	envPerconaSource   = "PERCONA_SOURCE"
)

// PerconaSource returns the folder with the source of Percona's operator, which has
// its manifests and the scripts of its image.
func PerconaSource() (string, error) {
	dir := os.Getenv(envPerconaSource)
	if dir == "" {
		if PerconaOperator().other() != "" {
			return "", fmt.Errorf("%s needs the CRDs and manifests of its version: set %s to the folder with its source", envPerconaOperator, envPerconaSource)
		}
		return PerconaOperator().ModuleDir("github.com/percona/percona-postgresql-operator/v2")
	}
	if _, err := os.Stat(filepath.Join(dir, "deploy", "crd.yaml")); err != nil {
		return "", fmt.Errorf("%s is not the source of Percona's operator: %w", envPerconaSource, err)
	}

	return dir, nil
}
