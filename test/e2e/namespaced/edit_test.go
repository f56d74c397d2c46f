package namespaced

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/certs"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// An edit of a running server.
type edit struct {
	// edit and undo are merge patches of the spec, and so is lastly, if it
	// takes two to have everything as before.
	edit, undo, lastly string

	// changes are the objects that are written.
	changes []string

	// held is what the condition Accepted says of an edit that contradicts
	// what is there: the old value stays.
	held []string

	// refused is what it says of one that cannot be: everything stays.
	refused []string

	// warned is what it says of one that has no effect.
	warned []string

	// news is how an event begins that tells of it.
	news string
}

const (
	cluster  = "perconapgcluster/files-postgres"
	pod      = "statefulset/files"
	config   = "configmap/files-config"
	nfs      = "service/files-adapter-nfs"
	smb      = "service/files-adapter-smb"
	api      = "service/files-api"
	headless = "service/files-headless"
	metrics  = "service/files-metrics"

	policy    = "networkpolicy/files-baseline"
	policyNFS = "networkpolicy/files-adapter-nfs"
	policySMB = "networkpolicy/files-adapter-smb"
)

// A group of edits is for a server of its own.
type group struct {
	// spec of the server.
	spec string

	edits []edit
}

// edits of running servers: of each field of the spec.
var edits = map[string]group{
	"server": {e2e.WithSQLite, []edit{
		{edit: `{"logging": {"level": "DEBUG", "format": "json", "output": "stderr"}}`, undo: `{"logging": null}`, changes: []string{config, pod}},
		{edit: `{"image": "registry.example.org/dittofs:v0.29.1"}`, undo: `{"image": "marmos91c/dittofs:v0.29.0"}`, changes: []string{pod}},
		{edit: `{"replicas": 0}`, undo: `{"replicas": null}`, changes: []string{pod}},
		{edit: `{"adoptExisting": true}`, undo: `{"adoptExisting": null}`},
	}},
	"pod": {e2e.WithSQLite, []edit{
		{edit: `{"resources": {"requests": {"cpu": "500m"}}}`, undo: `{"resources": null}`, changes: []string{pod}},
		{edit: `{"terminationGracePeriodSeconds": 60}`, undo: `{"terminationGracePeriodSeconds": null}`, changes: []string{pod}},
		{edit: `{"podSecurityContext": {"fsGroup": 2000}, "securityContext": {"runAsUser": 2000}}`, undo: `{"podSecurityContext": null, "securityContext": null}`, changes: []string{pod}},
	}},
	"identity": {e2e.WithSQLite, []edit{
		{edit: `{"identity": {"type": "memory", "jwt": {"accessTokenDuration": "5m", "refreshTokenDuration": "24h"}}}`, undo: `{"identity": null}`, changes: []string{config, pod}},
		{edit: `{"identity": {"jwt": {"secretRef": {"name": "mine", "key": "jwt"}}}}`, undo: `{"identity": null}`, changes: []string{pod}},
		{edit: `{"identity": {"admin": {"passwordSecretRef": {"name": "mine", "key": "password"}}}}`, undo: `{"identity": null}`, changes: []string{pod}, news: "Warning PasswordNotRead: Pipeline step \"dittoserver\": the administrator's password in Secret mine has changed"},
	}},
	"network": {e2e.WithSQLite, []edit{
		{edit: `{"controlPlane": {"port": 9090}}`, undo: `{"controlPlane": null}`, changes: []string{api, config, headless, pod}},
		{edit: `{"service": {"type": "NodePort", "annotations": {"a": "b"}}}`, undo: `{"service": null}`, changes: []string{api}},
		{edit: `{"adapterServices": {"type": "NodePort", "annotations": {"a": "b"}}}`, undo: `{"adapterServices": null}`, changes: []string{nfs, smb}},
	}},
	"adapters": {e2e.WithSQLite, []edit{
		{edit: `{"adapters": {"nfs": {"enabled": true, "port": 2049}, "smb": {"enabled": true}}}`, undo: `{"adapters": null}`, changes: []string{nfs, pod}, warned: []string{"spec.adapters.nfs.port", "dfsctl adapter edit nfs --port 2049"}},
		{edit: `{"adapters": {"smb": {"port": 4450, "service": {"type": "NodePort", "annotations": {"a": "b"}, "externalTrafficPolicy": "Local"}}}}`, undo: `{"adapters": null}`, changes: []string{pod, smb}, warned: []string{"spec.adapters.smb.port"}},
		{edit: `{"adapterServices": {"type": "LoadBalancer"}, "adapters": {"nfs": {"service": {"type": "LoadBalancer", "annotations": {"a": "b"}, "loadBalancerSourceRanges": ["10.0.0.0/8"], "loadBalancerClass": "example.org/lb", "externalTrafficPolicy": "Local"}}, "smb": {"service": {"loadBalancerSourceRanges": ["10.0.0.0/8"], "loadBalancerClass": "example.org/lb"}}}}`, undo: `{"adapterServices": null, "adapters": null}`, changes: []string{nfs, smb}},
	}},
	"placement": {e2e.WithSQLite, []edit{
		{edit: `{"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {}}]}}, "nodeSelector": {"disk": "ssd"}, "tolerations": [{"operator": "Exists"}]}`, undo: `{"affinity": null, "nodeSelector": null, "tolerations": null}`, changes: []string{pod}},
		{edit: `{"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}], "priorityClassName": "system-cluster-critical"}`, undo: `{"topologySpreadConstraints": null, "priorityClassName": null}`, changes: []string{pod}},
		// Nothing of the function's is replaced.
		{edit: `{"extraEnv": [{"name": "DITTOFS_DATABASE_TYPE", "value": "postgres"}], "podLabels": {"app": "mine"}, "replicas": 0}`, undo: `{"extraEnv": null, "podLabels": null, "replicas": null}`, refused: []string{"spec.extraEnv[0].name", "spec.podLabels[app]"}},
	}},
	"pod's own": {`{storage: {metadataSize: 1Gi}, serviceAccountName: first}`, []edit{
		{edit: `{"imagePullSecrets": [{"name": "mine"}], "podAnnotations": {"a": "b"}, "podLabels": {"c": "d"}}`, undo: `{"imagePullSecrets": null, "podAnnotations": null, "podLabels": null}`, changes: []string{pod}},
		{edit: `{"serviceAccountName": "second"}`, undo: `{"serviceAccountName": "first"}`, changes: []string{pod}},
		{edit: `{"extraEnv": [{"name": "A", "value": "a"}, {"name": "B", "valueFrom": {"secretKeyRef": {"name": "mine", "key": "token"}}}]}`, undo: `{"extraEnv": null}`, changes: []string{pod}},
	}},
	"metrics": {e2e.WithSQLite, []edit{
		{edit: `{"metrics": {"enabled": true}}`, undo: `{"metrics": null}`, changes: []string{config, metrics, pod}},
		{edit: `{"metrics": {"enabled": true, "bearerTokenSecret": {"name": "mine", "key": "nothing"}}}`, undo: `{"metrics": null}`, held: []string{"spec.metrics.bearerTokenSecret", "Secret mine has no key nothing"}},
		// The Prometheus operator is not installed: TestServiceMonitor.
		{edit: `{"metrics": {"enabled": true, "serviceMonitor": {"enabled": true, "interval": "30s", "labels": {"a": "b"}}}}`, undo: `{"metrics": null}`, changes: []string{config, metrics, pod}, warned: []string{"spec.metrics.serviceMonitor"}},
	}},
	"metrics that are on": {`{storage: {metadataSize: 1Gi}, metrics: {enabled: true}}`, []edit{
		// The annotations of the Service are not seen here.
		{edit: `{"metrics": {"path": "/m"}}`, undo: `{"metrics": {"path": null}}`, changes: []string{config, pod}},
		{edit: `{"metrics": {"port": 9091}}`, undo: `{"metrics": {"port": null}}`, changes: []string{config, metrics, pod}},
		{edit: `{"metrics": {"bearerTokenSecret": {"name": "mine", "key": "token"}}}`, undo: `{"metrics": {"bearerTokenSecret": null}}`, changes: []string{config, pod}},
	}},
	"network policy": {e2e.WithSQLite, []edit{
		{edit: `{"networkPolicy": {"enabled": true}}`, undo: `{"networkPolicy": null}`, changes: []string{policyNFS, policySMB, policy}},
		{edit: `{"networkPolicy": {"egress": "Restricted", "ingress": {"api": [{}]}}}`, undo: `{"networkPolicy": null}`},
		{edit: `{"networkPolicy": {"enabled": true, "ingress": {"api": [{"ipBlock": {"cidr": "10.0.0.1"}}]}}}`, undo: `{"networkPolicy": null}`, refused: []string{"spec.networkPolicy.ingress.api[0].ipBlock.cidr"}},
	}},
	"a network policy that is on": {`{storage: {metadataSize: 1Gi}, metrics: {enabled: true}, networkPolicy: {enabled: true, egress: Restricted}}`, []edit{
		{edit: `{"networkPolicy": {"ingress": {"api": [{"podSelector": {}}], "metrics": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}]}}}`, undo: `{"networkPolicy": {"ingress": null}}`, changes: []string{policy}},
		{edit: `{"networkPolicy": {"ingress": {"adapters": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]}}}`, undo: `{"networkPolicy": {"ingress": null}}`, changes: []string{policyNFS, policySMB}},
		{edit: `{"networkPolicy": {"egressTo": {"dns": [{"ipBlock": {"cidr": "10.0.0.10/32"}}], "database": [{"ipBlock": {"cidr": "10.0.0.1/32"}}], "directory": [{"ipBlock": {"cidr": "10.0.0.3/32"}}], "s3": [{"ipBlock": {"cidr": "10.0.0.2/32"}}], "s3Port": 9000}}}`, undo: `{"networkPolicy": {"egressTo": null}}`, changes: []string{policy}},
	}},
	"tls": {e2e.WithSQLite, []edit{
		// Where the API is reached is in the status alone.
		{edit: `{"controlPlane": {"tls": true}}`, undo: `{"controlPlane": null}`},
		{edit: `{"controlPlane": {"certSecretName": "tls", "clientCASecretName": "tls"}}`, undo: `{"controlPlane": null}`, changes: []string{config, pod}},
		{edit: `{"controlPlane": {"certSecretName": "mine"}}`, undo: `{"controlPlane": null}`, held: []string{"spec.controlPlane.certSecretName", "Secret mine has no key tls.crt"}},
	}},
	"configuration": {e2e.WithSQLite, []edit{
		{edit: `{"gc": {"autoEnabled": false, "interval": "1h", "gracePeriod": "10m"}}`, undo: `{"gc": null}`, changes: []string{config, pod}},
		{edit: `{"extraConfig": {"snapshot": {"scheduler_poll_interval": "5m"}}}`, undo: `{"extraConfig": null}`, changes: []string{config, pod}},
		{edit: `{"extraConfig": {"controlplane": {"port": 9000}}}`, undo: `{"extraConfig": null}`, refused: []string{"spec.extraConfig.controlplane.port", "set controlPlane.port"}},
	}},
	"ldap": {e2e.WithSQLite, []edit{
		{
			edit:    `{"identity": {"ldap": {"enabled": true, "url": "ldap://example.org", "startTLS": true, "allowPlaintext": true, "baseDN": "dc=example", "bindDN": "cn=ditto", "bindPasswordSecretRef": {"name": "mine", "key": "password"}, "userAttr": "uid", "realm": "EXAMPLE.ORG", "idmap": "rid", "nestedGroups": true, "caCertSecretRef": {"name": "tls", "key": "ca.crt"}, "caCertFile": "/x", "insecureSkipVerify": true}}}`,
			undo:    `{"identity": {"ldap": {"enabled": false, "switchedOff": true}}}`,
			lastly:  `{"identity": null}`,
			changes: []string{config, pod}, warned: []string{"spec.identity.ldap.insecureSkipVerify"},
		},
		{edit: `{"identity": {"ldap": {"enabled": true, "url": "ldap://example.org"}}}`, undo: `{"identity": null}`, refused: []string{"spec.identity.ldap.url", "spec.identity.ldap.bindPasswordSecretRef"}},
		{edit: `{"identity": {"ldap": {"enabled": true, "url": "ldaps://example.org", "baseDN": "dc=example", "bindDN": "cn=ditto", "bindPasswordSecretRef": {"name": "mine", "key": "nothing"}}}}`, undo: `{"identity": null}`, held: []string{"spec.identity.ldap.bindPasswordSecretRef", "Secret mine has no key nothing"}},
	}},
	"kerberos": {e2e.WithSQLite, []edit{
		{
			edit:    `{"identity": {"kerberos": {"enabled": true, "servicePrincipal": "nfs/files@EXAMPLE.ORG", "realm": "EXAMPLE.ORG", "dnsDomain": "example.org", "keytabSecretRef": {"name": "keytab", "key": "keytab"}, "krb5ConfSecretRef": {"name": "mine", "key": "password"}, "krb5Conf": "/x", "machineAccount": {"enabled": true, "accountName": "FILES$", "dcAddress": ["dc"], "secretRef": {"name": "mine", "key": "password"}, "keytabSecretRef": {"name": "keytab", "key": "keytab"}}}}}`,
			undo:    `{"identity": {"kerberos": {"enabled": false, "switchedOff": true}}}`,
			lastly:  `{"identity": null}`,
			changes: []string{config, pod}, warned: []string{"spec.identity.kerberos.netbiosDomain"},
		},
		{edit: `{"identity": {"ldap": {"enabled": false, "switchedOff": true}, "kerberos": {"netbiosDomain": "X", "switchedOff": true}}}`, undo: `{"identity": null}`},
		{edit: `{"identity": {"kerberos": {"enabled": true, "servicePrincipal": "nfs/files@EXAMPLE.ORG", "keytabSecretRef": {"name": "mine", "key": "password"}}}}`, undo: `{"identity": null}`, held: []string{"spec.identity.kerberos.keytabSecretRef", "is no keytab"}},
	}},
	"held volumes": {e2e.WithSQLite, []edit{
		{edit: `{"storage": {"metadataSize": "2Gi"}}`, undo: `{"storage": {"metadataSize": "1Gi"}}`, held: []string{"spec.storage.metadataSize"}},
		{edit: `{"storage": {"contentSize": "1Gi", "controlPlaneSize": "2Gi"}}`, undo: `{"storage": {"contentSize": null, "controlPlaneSize": null}}`, held: []string{"spec.storage.contentSize", "spec.storage.controlPlaneSize"}},
		{edit: `{"storage": {"storageClassName": "fast"}}`, undo: `{"storage": {"storageClassName": null}}`, held: []string{"spec.storage.storageClassName"}},
		// It does not keep another edit from being applied.
		{edit: `{"storage": {"metadataSize": "2Gi"}, "replicas": 0}`, undo: `{"storage": {"metadataSize": "1Gi"}, "replicas": null}`, changes: []string{pod}, held: []string{"spec.storage.metadataSize"}},
	}},
	"refused": {e2e.WithSQLite, []edit{
		{edit: `{"controlPlane": {"tls": true, "clientCASecretName": "mine"}}`, undo: `{"controlPlane": null}`, refused: []string{"spec.controlPlane.certSecretName", "spec.controlPlane.clientCASecretName"}},
		// With something wrong nothing else is applied either.
		{edit: `{"metrics": {"enabled": true, "port": 8080}, "replicas": 0}`, undo: `{"metrics": null, "replicas": null}`, refused: []string{"spec.metrics.port", "spec.controlPlane.port"}},
	}},
	"no effect": {e2e.WithSQLite, []edit{
		{edit: `{"metrics": {"enabled": false, "path": "/m", "port": 9091}}`, undo: `{"metrics": null}`},
		{edit: `{"adapterDiscovery": {"pollingInterval": "1m"}, "snapshotPolicies": [{"share": "/export", "interval": "1h"}]}`, undo: `{"adapterDiscovery": null, "snapshotPolicies": null}`, warned: []string{"spec.adapterDiscovery", "spec.snapshotPolicies"}},
		{edit: `{"identity": {"admin": {"username": "root"}}}`, undo: `{"identity": null}`, warned: []string{"spec.identity.admin.username"}},
	}},
	"database": {e2e.WithDatabase, []edit{
		{edit: `{"percona": {"replicas": 3}}`, undo: `{"percona": {"replicas": null}}`, changes: []string{cluster}},
		{edit: `{"percona": {"resources": {"requests": {"cpu": "1"}}}}`, undo: `{"percona": {"resources": null}}`, changes: []string{cluster}},
		{edit: `{"percona": {"metadataDatabaseName": "meta"}}`, undo: `{"percona": {"metadataDatabaseName": null}}`, changes: []string{cluster}},
	}},
	"database's owner": {e2e.WithDatabase, []edit{
		// The server's init container is of that image too. What runs stays
		// where nobody says what should.
		{edit: `{"percona": {"image": "registry.example.org/percona-distribution-postgresql:16.13-2"}}`, undo: `{"percona": {"image": "docker.io/percona/percona-distribution-postgresql:16.13-1"}}`, lastly: `{"percona": {"image": null}}`, changes: []string{cluster, pod}},
		{edit: `{"percona": {"driftPolicy": "Revert"}}`, undo: `{"percona": {"driftPolicy": null}}`},
		{edit: `{"percona": {"deleteWithServer": true}}`, undo: `{"percona": {"deleteWithServer": null}}`, changes: []string{cluster}},
		{edit: `{"percona": {"crVersion": "1.0.0", "replicas": 3}}`, undo: `{"percona": {"crVersion": null, "replicas": null}}`, refused: []string{"spec.percona.crVersion"}},
	}},
	"held database": {e2e.WithDatabase, []edit{
		{edit: `{"percona": {"enabled": false}}`, undo: `{"percona": {"enabled": true}}`, held: []string{"spec.database", "set spec.database.confirmSwitch to sqlite"}},
		{edit: `{"percona": {"databaseName": "other"}}`, undo: `{"percona": {"databaseName": null}}`, held: []string{"spec.percona.databaseName"}},
		{edit: `{"percona": {"postgresVersion": 17}}`, undo: `{"percona": {"postgresVersion": null}}`, held: []string{"spec.percona.postgresVersion"}},
		{edit: `{"percona": {"image": "registry.example.org/percona-distribution-postgresql:18.2-2"}}`, undo: `{"percona": {"image": null}}`, held: []string{"spec.percona.image", "of PostgreSQL 16"}},
	}},
	"confirmation": {e2e.WithDatabase, []edit{
		// A confirmation that names another database confirms nothing.
		{edit: `{"percona": {"enabled": false}, "database": {"postgresSecretRef": {"name": "mine", "key": "-"}, "confirmSwitch": "external/other"}}`, undo: `{"percona": {"enabled": true}, "database": null}`, held: []string{"spec.database", "set spec.database.confirmSwitch to external"}},
	}},
	"held volumes of the database": {e2e.WithDatabase, []edit{
		{edit: `{"percona": {"storageSize": "512Mi"}}`, undo: `{"percona": {"storageSize": "1Gi"}}`, held: []string{"spec.percona.storageSize"}},
		{edit: `{"percona": {"storageClassName": "fast"}}`, undo: `{"percona": {"storageClassName": null}}`, held: []string{"spec.percona.storageClassName"}},
		{edit: `{"database": {"type": "sqlite", "postgresSecretRef": {"name": "mine", "key": "jwt"}, "sqlite": {"path": "/data/controlplane/other.db"}}}`, undo: `{"database": null}`, warned: []string{"spec.database.type", "spec.database.postgresSecretRef"}},
	}},
	"backups": {withBackups, []edit{
		{edit: `{"percona": {"backup": {"retentionDays": 30}}}`, undo: `{"percona": {"backup": {"retentionDays": null}}}`, changes: []string{cluster}},
		{edit: `{"percona": {"backup": {"fullSchedule": "0 3 * * *", "incrSchedule": "*/10 * * * *"}}}`, undo: `{"percona": {"backup": {"fullSchedule": null, "incrSchedule": null}}}`, changes: []string{cluster}},
		{edit: `{"percona": {"backup": {"bucket": "others", "endpoint": "s3.example.com", "region": "eu-west-1"}}}`, undo: `{"percona": {"backup": {"bucket": "backups", "endpoint": "s3.example.org", "region": null}}}`, changes: []string{cluster}},
	}},
	"held backups": {withBackups, []edit{
		{edit: `{"percona": {"backup": {"path": "/elsewhere"}}}`, undo: `{"percona": {"backup": {"path": null}}}`, held: []string{"spec.percona.backup.path"}},
		{edit: `{"percona": {"backup": {"enabled": false}}}`, undo: `{"percona": {"backup": {"enabled": true}}}`, held: []string{"spec.percona.backup.enabled", "confirmRemoval"}},
		{edit: `{"percona": {"backup": {"confirmRemoval": true}}}`, undo: `{"percona": {"backup": {"confirmRemoval": null}}}`},
		{edit: `{"percona": {"backup": {"credentialsSecretRef": {"name": "mine"}}}}`, undo: `{"percona": {"backup": {"credentialsSecretRef": {"name": "s3"}}}}`, changes: []string{"secret/files-pgbackrest-secret"}},
	}},
}

// What becomes of every edit of a running server: which of its objects change,
// or that it is held, refused or without effect, and what the condition Accepted
// says. After each, the edit is undone, and the server is as it was.
func TestEdits(t *testing.T) {
	t.Parallel()

	// Each group has a server of its own, and time between the edits:
	// Crossplane listens only now and then to one that changes all the time,
	// which a database that restarts does.
	for name, g := range edits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			ns := e2e.NewNamespace(t)
			ns.Apply(s3Secret + mySecret + keytabSecret + tlsSecret(t))
			ns.Running("files", g.spec)
			ns.Settle("files")
			before := ns.Snapshot("files")

			for _, e := range g.edits {
				e2e.Pause(t, 5*time.Second)
				e.see(ns, before)
			}
		})
	}
}

// keytabSecret has a keytab with one entry that is a hole.
const keytabSecret = `
---
apiVersion: v1
kind: Secret
metadata: {name: keytab}
data: {keytab: BQL////8AAAAAA==}
`

const mySecret = `
---
apiVersion: v1
kind: Secret
metadata: {name: mine}
stringData: {jwt: "a key of at least thirty-two characters", password: mine, token: mine, AWS_ACCESS_KEY_ID: other, AWS_SECRET_ACCESS_KEY: other}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: first}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: second}
`

// tlsSecret is a Secret as cert-manager makes it.
func tlsSecret(t *testing.T) string {
	t.Helper()

	ca, err := certs.New("ca")
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := ca.Issue("files-api")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("---\napiVersion: v1\nkind: Secret\nmetadata: {name: tls}\nstringData: {ca.crt: %q, tls.crt: %q, tls.key: %q}\n", ca.PEM, cert, key)
}

// There is an edit of every field that a server has.
func TestEveryFieldIsEdited(t *testing.T) {
	seen := map[string]bool{}
	var note func(path string, v any)
	note = func(path string, v any) {
		seen[path] = true
		if m, ok := v.(map[string]any); ok {
			for k, v := range m {
				note(path+"."+k, v)
			}
		}
	}
	for _, g := range edits {
		for _, e := range g.edits {
			spec := map[string]any{}
			if err := json.Unmarshal([]byte(e.edit), &spec); err != nil {
				t.Fatalf("%s: %v", e.edit, err)
			}
			note("spec", spec)
		}
	}

	// What is handed on, refused or ignored as a whole. The names and keys of
	// Secrets are one thing each, and optional is nothing.
	whole := regexp.MustCompile(`^spec\.(podSecurityContext|securityContext|resources|affinity|percona\.resources)\.|\.optional$`)
	versions, _ := e2e.Cluster(t).Get("customresourcedefinition", "dittoservers.dittofs.dittofs.com").Value("spec", "versions").([]any)
	properties := []string{"schema", "openAPIV3Schema", "properties", "spec"}
	schema, ok, err := unstructured.NestedMap(versions[0].(map[string]any), properties...)
	if err != nil || !ok {
		t.Fatalf("there is no schema: %v", err)
	}
	var check func(path string, schema map[string]any)
	check = func(path string, schema map[string]any) {
		if whole.MatchString(path) || strings.HasPrefix(path, "spec.crossplane") {
			return
		}
		children, _ := schema["properties"].(map[string]any)
		if len(children) == 0 && !seen[path] {
			t.Errorf("no edit is about %s", path)
		}
		for k, v := range children {
			check(path+"."+k, v.(map[string]any))
		}
	}
	check("spec", schema)
}

// see what becomes of the edit. The pods are not said to restart: what changes
// is seen on the objects.
func (e edit) see(ns *e2e.Namespace, before e2e.Snapshot) {
	ns.T.Helper()

	// Annotations record what was asked for, also where it is held.
	generation, annotations := []string{"metadata", "generation"}, []string{"metadata", "annotations"}
	slices.Sort(e.changes)

	ns.Patch("dittoserver", "files", `{"spec": `+e.edit+`}`)
	for _, c := range []struct {
		status, reason string
		says           []string
	}{
		{"False", "ChangeHeld", e.held},
		{"False", "InvalidSpec", e.refused},
		{"True", "AcceptedWithWarnings", e.warned},
	} {
		if len(c.says) == 0 {
			continue
		}
		for _, text := range c.says {
			ns.WaitMessage("dittoserver", "files", "Accepted", c.status, text)
		}
		ns.WaitCondition("dittoserver", "files", "Accepted", c.status, c.reason)
	}
	if e.news != "" {
		ns.Eventually("event "+e.news, func() error {
			events := ns.Events("DittoServer", "files")
			if !slices.ContainsFunc(events, func(s string) bool { return strings.HasPrefix(s, e.news) }) {
				return fmt.Errorf("there are only the events %q", events)
			}
			return nil
		})
	}
	if len(e.changes) == 0 && len(e.refused) == 0 {
		// That nothing happens takes a while to be seen.
		ns.Reconcile("files")
	}
	ns.Eventually("objects that "+e.edit+" changes", func() error {
		if diff := cmp.Diff(e.changes, changed(before.WithoutFields(generation, annotations), ns.Snapshot("files").WithoutFields(generation, annotations)), cmpopts.EquateEmpty()); diff != "" {
			return fmt.Errorf("-want, +got:\n%s", diff)
		}
		return nil
	})

	ns.Patch("dittoserver", "files", `{"spec": `+e.undo+`}`)
	ns.WaitCondition("dittoserver", "files", "Accepted", "True", "SpecAccepted")
	same := func(patch string, except ...[]string) {
		ns.T.Helper()
		ns.Eventually("after "+patch+" all is as before", func() error {
			if diff := cmp.Diff(before.WithoutFields(except...), ns.Snapshot("files").WithoutFields(except...)); diff != "" {
				return fmt.Errorf("-before, +after:\n%s", diff)
			}
			return nil
		})
	}
	if e.lastly == "" {
		same(e.undo, generation)
		return
	}
	same(e.undo, generation, annotations)
	ns.Patch("dittoserver", "files", `{"spec": `+e.lastly+`}`)
	same(e.lastly, generation)
}

// changed are the objects that differ between two snapshots.
func changed(before, after e2e.Snapshot) []string {
	out := []string{}
	for k := range after {
		if !cmp.Equal(before[k], after[k]) {
			out = append(out, k)
		}
	}
	for k := range before {
		if _, ok := after[k]; !ok {
			out = append(out, k+" is gone")
		}
	}
	slices.Sort(out)

	return out
}
