package names

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation"
)

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

		"record":    "dittoserver.fn.crossplane.io/record",
		"checksum":  "checksum.dittoserver.fn.crossplane.io/",
		"authorize": "pgv2.percona.com/authorizeBackupRemoval",

		"user":         "dittofs",
		"instance set": "instance1",

		"credentials":   "files-postgres-pguser-dittofs",
		"cluster CA":    "files-postgres-cluster-cert",
		"cluster":       "files-postgres",
		"config map":    "files-config",
		"headless":      "files-headless",
		"jwt secret":    "files-jwt-secret",
		"admin secret":  "files-admin-bootstrap-credentials",
		"s3 secret":     "files-pgbackrest-secret",
		"sqlite volume": "controlplane-files-0",
	}
	got := map[string]string{
		"config":         ConfigKey,
		"jwt":            JWTKey,
		"admin user":     AdminUserKey,
		"admin password": AdminPasswordKey,
		"pgbackrest":     PGBackRestKey,
		"ca":             CAKey,

		"record":    AnnotationRecord,
		"checksum":  AnnotationChecksumPrefix,
		"authorize": AnnotationAuthorizeBackupRemoval,

		"user":         PostgresUser,
		"instance set": InstanceSet,

		"credentials":   ClusterCredentials("files"),
		"cluster CA":    ClusterCA("files"),
		"cluster":       Cluster("files"),
		"config map":    ConfigMap("files"),
		"headless":      HeadlessService("files"),
		"jwt secret":    JWTSecret("files"),
		"admin secret":  AdminSecret("files"),
		"s3 secret":     PGBackRestSecret("files"),
		"sqlite volume": ControlPlaneVolume("files"),
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
	n := strings.Repeat("n", MaxWithoutPercona)
	for _, suffix := range []string{HeadlessSuffix, APISuffix, NFSSuffix, SMBSuffix, MetricsSuffix} {
		if msgs := validation.IsDNS1035Label(n + suffix); len(msgs) > 0 {
			t.Errorf("Service %s: %v", n+suffix, msgs)
		}
	}
}
