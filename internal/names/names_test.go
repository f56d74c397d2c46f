package names

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation"
)

// TestResourceNamesNeverChange guards the names by which Crossplane finds, and
// deletes, what a server is made of. A line may be added. One that changes or
// goes deletes that object of every server there is: databases, volumes, keys.
func TestResourceNamesNeverChange(t *testing.T) {
	want := []Ref{
		{"postgres", "pgv2.percona.com/v2", "PerconaPGCluster", "files-postgres"},
		{"server", "apps/v1", "StatefulSet", "files"},
		{"config", "v1", "ConfigMap", "files-config"},
		{"headless", "v1", "Service", "files-headless"},
		{"api", "v1", "Service", "files-api"},
		{"nfs", "v1", "Service", "files-adapter-nfs"},
		{"smb", "v1", "Service", "files-adapter-smb"},
		{"jwt", "v1", "Secret", "files-jwt-secret"},
		{"admin", "v1", "Secret", "files-admin-bootstrap-credentials"},
		{"backup-credentials", "v1", "Secret", "files-pgbackrest-secret"},
	}
	if diff := cmp.Diff(want, All("files")); diff != "" {
		t.Errorf("All(): a name that Crossplane deletes by has changed: -want, +got:\n%s", diff)
	}
}

// TestKeysNeverChange guards what is read back from a cluster: under another
// name a record or a secret is lost.
func TestKeysNeverChange(t *testing.T) {
	want := map[string]string{
		"config":         "config.yaml",
		"jwt":            "jwt-secret",
		"admin user":     "username",
		"admin password": "password",
		"pgbackrest":     "s3.conf",
		"ca":             "ca.crt",

		"rendered":  "dittoserver.fn.crossplane.io/rendered",
		"image":     "dittoserver.fn.crossplane.io/image",
		"database":  "dittoserver.fn.crossplane.io/database",
		"admin":     "dittoserver.fn.crossplane.io/admin-at-first-start",
		"checksum":  "checksum.dittoserver.fn.crossplane.io/",
		"authorize": "pgv2.percona.com/authorizeBackupRemoval",

		"user":         "dittofs",
		"instance set": "instance1",

		"credentials": "files-postgres-pguser-dittofs",
		"cluster CA":  "files-postgres-cluster-cert",
	}
	got := map[string]string{
		"config":         ConfigKey,
		"jwt":            JWTKey,
		"admin user":     AdminUserKey,
		"admin password": AdminPasswordKey,
		"pgbackrest":     PGBackRestKey,
		"ca":             CAKey,

		"rendered":  AnnotationRendered,
		"image":     AnnotationImage,
		"database":  AnnotationDatabase,
		"admin":     AnnotationAdminChecksum,
		"checksum":  AnnotationChecksumPrefix,
		"authorize": AnnotationAuthorizeBackupRemoval,

		"user":         PostgresUser,
		"instance set": InstanceSet,

		"credentials": ClusterCredentials("files"),
		"cluster CA":  ClusterCA("files"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a name that is read back has changed: -want, +got:\n%s", diff)
	}
}

func TestLengths(t *testing.T) {
	cases := map[string]struct {
		reason string
		got    int
		want   int
	}{
		"WithPercona": {
			reason: "cluster and instance set together may have 46 characters",
			got:    MaxWithPercona,
			want:   28,
		},
		"WithoutPercona": {
			reason: "the longest Service ends in -adapter-nfs and may have 63 characters",
			got:    MaxWithoutPercona,
			want:   51,
		},
		"ClusterAndInstanceSet": {
			reason: "the longest server with Percona uses exactly what Percona has room for",
			got:    len(Cluster(strings.Repeat("n", MaxWithPercona))) + len(InstanceSet),
			want:   46,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if tc.got != tc.want {
				t.Errorf("%s: want %d, got %d", tc.reason, tc.want, tc.got)
			}
		})
	}
}

func TestLongestNamesAreValid(t *testing.T) {
	for _, ref := range All(strings.Repeat("n", MaxWithoutPercona)) {
		if ref.Kind != "Service" {
			continue
		}
		if msgs := validation.IsDNS1035Label(ref.Name); len(msgs) > 0 {
			t.Errorf("%s %s: %v", ref.Kind, ref.Name, msgs)
		}
	}
}
