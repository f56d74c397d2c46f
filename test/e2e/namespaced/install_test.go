package namespaced

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/controlplane"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// One configuration package brings the API, its Composition and the function.
func TestInstall(t *testing.T) {
	got := e2e.Kubectl(t, "get", "configurations,functions", "--no-headers", "-o",
		"custom-columns=NAME:.metadata.name,PACKAGE:.spec.package,INSTALLED:.status.conditions[?(@.type=='Installed')].status,HEALTHY:.status.conditions[?(@.type=='Healthy')].status")

	for _, want := range []string{
		"configuration-dittoserver ghcr.io/dittofs/configuration-dittoserver:" + controlplane.Version + " True True",
		controlplane.FunctionName + " ghcr.io/dittofs/function-dittoserver:" + controlplane.Version + " True True",
	} {
		if !strings.Contains(strings.Join(strings.Fields(got), " "), want) {
			t.Errorf("kubectl get configurations,functions: want %s, got:\n%s", want, got)
		}
	}

	// What a team sees of a server in a list.
	crd := e2e.Cluster(t).Get("customresourcedefinition", "dittoservers.dittofs.dittofs.com")
	columns := []string{}
	versions, _ := crd.Value("spec", "versions").([]any)
	for _, c := range versions[0].(map[string]any)["additionalPrinterColumns"].([]any) {
		columns = append(columns, c.(map[string]any)["name"].(string))
	}
	if want := "DATABASE SERVER PHASE SYNCED READY COMPOSITION COMPOSITIONREVISION AGE"; strings.ToUpper(strings.Join(columns, " ")) != want {
		t.Errorf("columns of a DittoServer: want %s, got %s", want, columns)
	}
}

// What is wrong in itself is refused by the API server, before anything is
// stored, with a message that names the field.
func TestRefusedByTheAPIServer(t *testing.T) {
	t.Parallel()

	ns := e2e.NewNamespace(t)

	for _, c := range []struct {
		field string
		value string
		says  string
	}{
		{"spec.replicas", "2", "should be less than or equal to 1"},
		{"spec.replicas", "-1", "should be greater than or equal to 0"},
		{"spec.replicas", `"1"`, "must be of type integer"},
		{"spec.storage.metadataSize", "10GB", "must be a size above zero in Mi, Gi or Ti, such as 10Gi"},
		{"spec.storage.contentSize", "0Gi", "must be a size above zero in Mi, Gi or Ti, such as 10Gi"},
		{"spec.storage.controlPlaneSize", "1.5Gi", "must be a size above zero in Mi, Gi or Ti, such as 10Gi"},
		{"spec.database.type", "mysql", `supported values: "sqlite", "postgres"`},
		{"spec.database.confirmSwitch", `"yes"`, "must be sqlite, external or percona, or name the database itself, such as external/corp-db"},
		{"spec.metrics.port", "0", "should be greater than or equal to 1"},
		{"spec.metrics.path", "metrics", "must begin with a slash"},
		{"spec.database.sqlite.path", "data.db", "must be an absolute path"},
		{"spec.controlPlane.port", "70000", "should be less than or equal to 65535"},
		{"spec.identity.type", "ldap", `supported values: "memory"`},
		{"spec.identity.jwt.accessTokenDuration", "15 minutes", "must be a duration such as 15m or 1h30m"},
		{"spec.terminationGracePeriodSeconds", "30", "should be greater than or equal to 36"},
		{"spec.percona.replicas", "0", "should be greater than or equal to 1"},
		{"spec.percona.replicas", "6", "should be less than or equal to 5"},
		{"spec.percona.storageSize", "-1Gi", "must be a quantity above zero, such as 10Gi"},
		{"spec.percona.storageSize", "much", "must be a quantity above zero, such as 10Gi"},
		{"spec.percona.databaseName", "DittoFS", "must begin with a lower-case letter or _"},
		{"spec.percona.metadataDatabaseName", "1st", "must begin with a lower-case letter or _"},
		{"spec.percona.postgresVersion", "13", "should be greater than or equal to 14"},
		{"spec.percona.postgresVersion", "19", "should be less than or equal to 18"},
		{"spec.percona.crVersion", "latest", "must be a version of Percona's operator, such as 2.9.0"},
		{"spec.percona.driftPolicy", "Ignore", `supported values: "Keep", "Revert"`},
		{"spec.percona.backup.bucket", "s3://backups", "must be the name of an S3 bucket"},
		{"spec.percona.backup.endpoint", "http://minio:9000", "must not be http://: pgBackRest speaks https only"},
		{"spec.percona.backup.endpoint", "minio/backups", "must be a host such as"},
		{"spec.percona.backup.region", "eu west", "must be the name of an S3 region"},
		{"spec.percona.backup.path", "backups/", "must be an absolute path"},
		{"spec.percona.backup.retentionDays", "0", "should be greater than or equal to 1"},
		{"spec.adapterServices.type", "Ingress", "supported values"},
		{"spec.service.type", "Ingress", "supported values"},
		{"spec.logging.level", "LOUD", "supported values"},
		{"spec.percona.enable", "true", `unknown field "spec.percona.enable"`},
	} {
		msg := ns.ApplyRefused(fmt.Sprintf("apiVersion: dittofs.dittofs.com/v1alpha1\nkind: DittoServer\nmetadata: {name: bad}\n%s", nested(c.field, c.value)))
		if !strings.Contains(msg, c.field) || !strings.Contains(msg, c.says) {
			t.Errorf("%s: %s is refused without saying %q:\n%s", c.field, c.value, c.says, msg)
		}
	}
}

// What only the function can know, for it depends on other fields, on the
// platform's defaults or on names, is told in the condition Accepted, all of it
// at once, and in an event. Nothing is composed.
func TestRefusedByTheFunction(t *testing.T) {
	t.Parallel()

	ns := e2e.NewNamespace(t)

	for _, c := range []struct {
		reason string
		name   string
		spec   string
		says   []string
	}{
		{
			reason: "A size that neither the server nor the platform gives.",
			name:   "no-size",
			spec:   `{percona: {enabled: true}}`,
			says:   []string{"spec.storage.metadataSize: Required value"},
		},
		{
			reason: "Percona builds label values from names, and does not check them.",
			name:   "a-name-with-29-characters-xx1",
			spec:   e2e.WithDatabase,
			says:   []string{"metadata.name", "28"},
		},
		{
			reason: "Backups need to go somewhere. All that is wrong is told at once.",
			name:   "no-bucket",
			spec:   `{percona: {enabled: true, backup: {enabled: true, fullSchedule: "61 2 * * *"}}}`,
			says:   []string{"spec.percona.backup.bucket", "spec.percona.backup.endpoint", "spec.percona.backup.fullSchedule", "spec.storage.metadataSize"},
		},
		{
			reason: "PostgreSQL, but where?",
			name:   "no-source",
			spec:   `{storage: {metadataSize: 1Gi}, database: {type: postgres}}`,
			says:   []string{"spec.database"},
		},
		{
			reason: "An image of another version than the one asked for.",
			name:   "other-image",
			spec:   `{storage: {metadataSize: 1Gi}, percona: {enabled: true, postgresVersion: 17, image: "docker.io/percona/percona-distribution-postgresql:16.13-1"}}`,
			says:   []string{"spec.percona.image", "17"},
		},
		{
			reason: "The same database twice.",
			name:   "same-database",
			spec:   `{storage: {metadataSize: 1Gi}, percona: {enabled: true, databaseName: one, metadataDatabaseName: one}}`,
			says:   []string{"spec.percona.metadataDatabaseName"},
		},
	} {
		ns.Apply(e2e.Server(c.name, c.spec))

		msg := ns.WaitCondition("dittoserver", c.name, "Accepted", "False", "InvalidSpec")
		for _, s := range c.says {
			if !strings.Contains(msg, s) {
				t.Errorf("%s Accepted does not say %q: %s", c.reason, s, msg)
			}
		}
		ns.WaitCondition("dittoserver", c.name, "Synced", "False", "ReconcileError")

		e2e.Eventually(t, "event of "+c.name, func() error {
			events := strings.Join(ns.Events("DittoServer", c.name), "\n")
			for _, s := range append([]string{"Warning"}, c.says...) {
				if !strings.Contains(events, s) {
					return fmt.Errorf("no event says %q:\n%s", s, events)
				}
			}
			return nil
		})

		ns.Missing("perconapgcluster", c.name+"-postgres")
		ns.Missing("statefulset", c.name)
		ns.Missing("configmap", c.name+"-config")
	}
}

// nested writes the value of a field, given by its path, as YAML.
func nested(path, value string) string {
	keys := strings.Split(path, ".")

	return strings.Join(keys, ": {") + ": " + value + strings.Repeat("}", len(keys)-1) + "\n"
}
