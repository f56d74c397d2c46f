package xrdgen

import (
	"reflect"
	"strings"
	"testing"

	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/input/v1beta1"
	"github.com/dittofs/function-dittoserver/internal/xrdgen/apiserver"
)

// judges of everything that has the spec of a DittoServer.
func judges(t *testing.T) map[string]*apiserver.Judge {
	t.Helper()

	namespaced, _, err := apiserver.ForXRD(read(t, NamespacedXRDPath))
	if err != nil {
		t.Fatal(err)
	}

	composite, claim, err := apiserver.ForXRD(read(t, ClaimXRDPath))
	if err != nil {
		t.Fatal(err)
	}

	return map[string]*apiserver.Judge{"namespaced": namespaced, "claim": claim, "behind a claim": composite}
}

func server(t *testing.T, spec string) map[string]any {
	t.Helper()

	s := map[string]any{}
	if err := yaml.Unmarshal([]byte(spec), &s); err != nil {
		t.Fatal(err)
	}

	return map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(),
		"kind":       v1alpha1.Kind,
		"metadata":   map[string]any{"name": "files", "namespace": "default"},
		"spec":       s,
	}
}

func TestGoodManifests(t *testing.T) {
	cases := map[string]struct {
		reason string
		spec   string
	}{
		"Nothing": {
			reason: "A platform's defaults may supply everything.",
			spec:   `{}`,
		},
		"OperatorSQLite": {
			reason: "The operator's manifest of a server on SQLite, with its own Secrets and a load balancer.",
			spec: `
image: marmos91c/dittofs:latest
replicas: 1
storage: {metadataSize: 10Gi, contentSize: 50Gi}
database: {type: sqlite, sqlite: {path: /data/controlplane/controlplane.db}}
metrics: {enabled: false, port: 9090}
controlPlane: {port: 8080}
identity:
  jwt: {secretRef: {name: jwt, key: jwt-secret}, accessTokenDuration: 15m, refreshTokenDuration: 168h}
  admin: {username: admin, passwordSecretRef: {name: admin, key: password}}
service: {type: LoadBalancer, annotations: {service.beta.kubernetes.io/aws-load-balancer-type: nlb}}
`,
		},
		"OperatorS3": {
			reason: "The operator's manifest of a server whose contents are in S3.",
			spec: `
image: marmos91c/dittofs:latest
replicas: 1
storage: {metadataSize: 10Gi}
identity:
  jwt: {secretRef: {name: jwt, key: secret}}
  admin: {username: admin, passwordSecretRef: {name: admin, key: password}}
`,
		},
		"OperatorExternal": {
			reason: "The operator's manifest of a server on somebody's PostgreSQL.",
			spec: `
storage: {metadataSize: 1Gi, contentSize: 1Gi}
database: {type: postgres, postgresSecretRef: {name: postgres-credentials, key: connection-string}}
identity: {type: memory}
service: {type: ClusterIP}
resources: {limits: {cpu: "2", memory: 4Gi}, requests: {cpu: 500m, memory: 1Gi}}
`,
		},
		"OperatorPercona": {
			reason: "The operator's manifest of a server on Percona's PostgreSQL, backups included.",
			spec: `
image: marmos91c/dittofs:latest
storage: {metadataSize: 10Gi, contentSize: 50Gi, controlPlaneSize: 1Gi, storageClassName: fast-ssd}
percona:
  enabled: true
  deleteWithServer: false
  replicas: 1
  storageSize: 10Gi
  storageClassName: fast-ssd
  databaseName: dittofs
  backup:
    enabled: true
    bucket: my-backups
    endpoint: https://s3.cubbit.eu
    region: eu-west-1
    credentialsSecretRef: {name: pgbackrest-s3-creds}
    fullSchedule: 0 2 * * *
    incrSchedule: 0 * * * *
    retentionDays: 7
adapterServices: {type: LoadBalancer, annotations: {a: b}}
`,
		},
		"OperatorTLS": {
			reason: "The operator's manifest of a server with TLS: what is not supported yet is refused by the function, which can say why.",
			spec: `
storage: {metadataSize: 10Gi, contentSize: 50Gi}
controlPlane: {port: 8080, tls: true, certSecretName: tls, clientCASecretName: ca}
`,
		},
		"OperatorDirectory": {
			reason: "The operator's manifest of a server in Active Directory.",
			spec: `
storage: {metadataSize: 10Gi}
identity:
  ldap:
    enabled: true
    url: ldaps://dc.example.com:636
    startTLS: false
    allowPlaintext: false
    baseDN: DC=example,DC=com
    bindDN: CN=files,CN=Users,DC=example,DC=com
    bindPasswordSecretRef: {name: ldap, key: bind-password}
    userAttr: sAMAccountName
    realm: EXAMPLE.COM
    idmap: rfc2307
    nestedGroups: true
    caCertFile: /etc/ca.pem
    insecureSkipVerify: false
  kerberos:
    enabled: true
    servicePrincipal: nfs/files.example.com@EXAMPLE.COM
    realm: EXAMPLE.COM
    netbiosDomain: EXAMPLE
    dnsDomain: example.com
    keytabSecretRef: {name: keytab, key: dittofs.keytab}
    krb5ConfSecretRef: {name: krb5, key: krb5.conf}
    krb5Conf: /etc/krb5.conf
    machineAccount:
      enabled: true
      accountName: DITTOFS$
      secretRef: {name: machine, key: password}
      keytabSecretRef: {name: machine, key: keytab}
      dcAddress: [dc1.example.com, "dc2.example.com:445"]
`,
		},
		"OperatorOperations": {
			reason: "The operator's manifest of a server that is watched and takes snapshots.",
			spec: `
storage: {metadataSize: 10Gi}
terminationGracePeriodSeconds: 105
logging: {level: DEBUG, format: json, output: stdout}
metrics:
  enabled: true
  port: 9090
  path: /metrics
  bearerTokenSecret: {name: metrics, key: token}
  serviceMonitor: {enabled: true, interval: 30s, labels: {release: prometheus}}
adapterDiscovery: {pollingInterval: 30s}
snapshotPolicies:
- {share: /archive, interval: 24h, keepLast: 7, ttl: 720h, enabled: true, namePrefix: nightly}
- {share: /home, interval: "@hourly"}
securityContext: {runAsUser: 1000, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
podSecurityContext: {fsGroup: 1000, seccompProfile: {type: RuntimeDefault}}
`,
		},
		"Additions": {
			reason: "What is ours on top of the operator's.",
			spec: `
adoptExisting: true
database: {confirmSwitch: percona}
percona:
  enabled: true
  postgresVersion: 17
  crVersion: 2.9.0
  image: registry.example.com/postgres:17.9-1
  resources: {requests: {cpu: 1, memory: 2Gi}}
  metadataDatabaseName: dittofs_metadata
  driftPolicy: Revert
  backup: {path: /pgbackrest/a/b-12345678/repo1, confirmRemoval: true}
`,
		},
		"Pod": {
			reason: "What a pod may say of where it runs, as Kubernetes has it.",
			spec: `
affinity:
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: In, values: [b]}]}]}
    preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, preference: {matchFields: [{key: metadata.name, operator: In, values: [node]}]}}]
  podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: zone, labelSelector: {matchLabels: {app: dittofs-server}}, namespaceSelector: {}}]}
nodeSelector: {disk: ssd}
tolerations: [{key: a, operator: Exists, effect: NoExecute, tolerationSeconds: 60}]
topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: dittofs-server}}}]
priorityClassName: high
imagePullSecrets: [{name: pull}]
serviceAccountName: files
extraEnv: [{name: A, value: a}, {name: B, valueFrom: {secretKeyRef: {name: s, key: k, optional: true}}}, {name: C, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
podAnnotations: {a: b}
podLabels: {c: d}
`,
		},
		"Adapters": {
			reason: "How clients reach each adapter.",
			spec: `
adapterServices: {type: NodePort}
adapters:
  nfs: {enabled: true, port: 2049, service: {type: LoadBalancer, annotations: {a: b}, loadBalancerSourceRanges: [10.0.0.0/8, "fd00::/8"], loadBalancerClass: service.k8s.aws/nlb, externalTrafficPolicy: Local}}
  smb: {enabled: false}
`,
		},
		"EmptyTexts": {
			reason: "A template may leave texts empty, which is as if they were not there.",
			spec: `
image: ""
storage: {metadataSize: "", contentSize: "", controlPlaneSize: "", storageClassName: ""}
database: {sqlite: {path: ""}}
controlPlane: {certSecretName: "", clientCASecretName: ""}
identity: {jwt: {accessTokenDuration: "", refreshTokenDuration: ""}, ldap: {url: ""}}
metrics: {path: "", serviceMonitor: {interval: ""}}
adapterDiscovery: {pollingInterval: ""}
priorityClassName: ""
serviceAccountName: ""
adapters: {nfs: {service: {loadBalancerClass: ""}}}
percona:
  storageSize: ""
  storageClassName: ""
  databaseName: ""
  metadataDatabaseName: ""
  crVersion: ""
  image: ""
  backup: {bucket: "", endpoint: "", region: "", path: "", fullSchedule: "", incrSchedule: ""}
`,
		},
		"Overrides": {
			reason: "A server may give a part of what the platform's defaults complete: a key without the Secret's name, a profile without its type.",
			spec: `
identity: {jwt: {secretRef: {key: other}}}
podSecurityContext: {seccompProfile: {localhostProfile: strict.json}}
percona: {backup: {endpoint: "https://minio.example.com:9000/"}}
`,
		},
		"IPv6": {
			reason: "An endpoint may be an address.",
			spec:   `{percona: {backup: {endpoint: "[2001:db8::1]:9000"}}}`,
		},
		"Stopped": {
			reason: "A server may be stopped.",
			spec:   `{replicas: 0}`,
		},
	}

	js := judges(t)

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for of, j := range js {
				if errs := j.Judge(t.Context(), server(t, tc.spec)); len(errs) > 0 {
					t.Errorf("%s\nas %s: %v", tc.reason, of, errs.ToAggregate())
				}
			}
		})
	}
}

func TestBadManifests(t *testing.T) {
	const (
		duration = "must be a duration such as"
		size     = "must be a size above zero in Mi, Gi or Ti"
		oneOf    = "supported values:"
	)

	cases := map[string]struct {
		spec  string
		field string
		says  string
	}{
		"Typo":                {`{percona: {enable: true}}`, "spec.percona.enable", "not a field"},
		"RemovedField":        {`{nfsPort: 12049}`, "spec.nfsPort", "not a field"},
		"WrongType":           {`{image: 7}`, "spec.image", "must be of type string"},
		"TooManyReplicas":     {`{replicas: 2}`, "spec.replicas", "less than or equal to 1"},
		"NegativeReplicas":    {`{replicas: -1}`, "spec.replicas", "greater than or equal to 0"},
		"GracePeriod":         {`{terminationGracePeriodSeconds: 35}`, "spec.terminationGracePeriodSeconds", "greater than or equal to 36"},
		"MetadataUnit":        {`{storage: {metadataSize: 10GB}}`, "spec.storage.metadataSize", size},
		"MetadataNothing":     {`{storage: {metadataSize: 0Gi}}`, "spec.storage.metadataSize", size},
		"ContentUnit":         {`{storage: {contentSize: "50"}}`, "spec.storage.contentSize", size},
		"ControlPlaneUnit":    {`{storage: {controlPlaneSize: 1.5Gi}}`, "spec.storage.controlPlaneSize", size},
		"DatabaseType":        {`{database: {type: mysql}}`, "spec.database.type", oneOf},
		"SQLitePath":          {`{database: {sqlite: {path: controlplane.db}}}`, "spec.database.sqlite.path", "absolute path"},
		"ConfirmSwitch":       {`{database: {confirmSwitch: postgres}}`, "spec.database.confirmSwitch", "or name the database itself"},
		"APIPort":             {`{controlPlane: {port: 0}}`, "spec.controlPlane.port", "greater than or equal to 1"},
		"APIPortHigh":         {`{controlPlane: {port: 65536}}`, "spec.controlPlane.port", "less than or equal to 65535"},
		"IdentityType":        {`{identity: {type: database}}`, "spec.identity.type", oneOf},
		"AccessDuration":      {`{identity: {jwt: {accessTokenDuration: 15 minutes}}}`, "spec.identity.jwt.accessTokenDuration", duration},
		"RefreshDuration":     {`{identity: {jwt: {refreshTokenDuration: 7d}}}`, "spec.identity.jwt.refreshTokenDuration", duration},
		"LDAPURL":             {`{identity: {ldap: {url: "https://dc.example.com"}}}`, "spec.identity.ldap.url", "ldaps?"},
		"Idmap":               {`{identity: {ldap: {idmap: sid}}}`, "spec.identity.ldap.idmap", oneOf},
		"DCAddress":           {`{identity: {kerberos: {machineAccount: {dcAddress: dc1}}}}`, "spec.identity.kerberos.machineAccount.dcAddress", "must be of type array"},
		"LogLevel":            {`{logging: {level: TRACE}}`, "spec.logging.level", oneOf},
		"LogFormat":           {`{logging: {format: xml}}`, "spec.logging.format", oneOf},
		"MetricsPort":         {`{metrics: {port: 70000}}`, "spec.metrics.port", "less than or equal to 65535"},
		"MetricsPath":         {`{metrics: {path: metrics}}`, "spec.metrics.path", "must begin with a slash"},
		"PollingInterval":     {`{adapterDiscovery: {pollingInterval: often}}`, "spec.adapterDiscovery.pollingInterval", duration},
		"AdapterServiceType":  {`{adapterServices: {type: ExternalName}}`, "spec.adapterServices.type", oneOf},
		"AdapterPort":         {`{adapters: {nfs: {port: 0}}}`, "spec.adapters.nfs.port", "greater than or equal to 1"},
		"AdapterPortHigh":     {`{adapters: {smb: {port: 65536}}}`, "spec.adapters.smb.port", "less than or equal to 65535"},
		"AdapterType":         {`{adapters: {smb: {service: {type: None}}}}`, "spec.adapters.smb.service.type", oneOf},
		"SourceRanges":        {`{adapters: {nfs: {service: {loadBalancerSourceRanges: [10.0.0.1]}}}}`, "spec.adapters.nfs.service.loadBalancerSourceRanges", "must be CIDRs"},
		"LoadBalancerClass":   {`{adapters: {nfs: {service: {loadBalancerClass: "a b"}}}}`, "spec.adapters.nfs.service.loadBalancerClass", "load balancer's implementation"},
		"TrafficPolicy":       {`{adapters: {nfs: {service: {externalTrafficPolicy: local}}}}`, "spec.adapters.nfs.service.externalTrafficPolicy", oneOf},
		"PriorityClass":       {`{priorityClassName: High}`, "spec.priorityClassName", "must be a name"},
		"ServiceAccount":      {`{serviceAccountName: a_b}`, "spec.serviceAccountName", "must be a name"},
		"EnvTwice":            {`{extraEnv: [{name: A}, {name: A}]}`, "spec.extraEnv[1]", "Duplicate"},
		"EnvWithoutName":      {`{extraEnv: [{value: a}]}`, "spec.extraEnv[0].name", "Required"},
		"SpreadTwice":         {`{topologySpreadConstraints: [{maxSkew: 1, topologyKey: z, whenUnsatisfiable: DoNotSchedule}, {maxSkew: 2, topologyKey: z, whenUnsatisfiable: DoNotSchedule}]}`, "spec.topologySpreadConstraints[1]", "Duplicate"},
		"TolerationTypo":      {`{tolerations: [{kee: a, operator: Exists}]}`, "spec.tolerations[0].kee", "not a field"},
		"PodLabel":            {`{podLabels: {a: 1}}`, "spec.podLabels.a", "must be of type string"},
		"ServiceType":         {`{service: {type: clusterip}}`, "spec.service.type", oneOf},
		"Annotation":          {`{service: {annotations: {a: 1}}}`, "spec.service.annotations.a", "must be of type string"},
		"SnapshotShare":       {`{snapshotPolicies: [{interval: 24h}]}`, "spec.snapshotPolicies[0].share", "Required"},
		"SnapshotInterval":    {`{snapshotPolicies: [{share: /a, interval: "@yearly"}]}`, "spec.snapshotPolicies[0].interval", duration},
		"SnapshotKeepLast":    {`{snapshotPolicies: [{share: /a, interval: 24h, keepLast: -1}]}`, "spec.snapshotPolicies[0].keepLast", "greater than or equal to 0"},
		"SnapshotTTL":         {`{snapshotPolicies: [{share: /a, interval: 24h, ttl: 30d}]}`, "spec.snapshotPolicies[0].ttl", duration},
		"Resources":           {`{resources: {requests: {memory: much}}}`, "spec.resources.requests.memory", "should match"},
		"PerconaReplicas":     {`{percona: {replicas: 0}}`, "spec.percona.replicas", "greater than or equal to 1"},
		"PerconaReplicasHigh": {`{percona: {replicas: 6}}`, "spec.percona.replicas", "less than or equal to 5"},
		"PerconaStorage":      {`{percona: {storageSize: 10GiB}}`, "spec.percona.storageSize", "must be a quantity above zero"},
		"PerconaNoStorage":    {`{percona: {storageSize: "0"}}`, "spec.percona.storageSize", "must be a quantity above zero"},
		"DatabaseName":        {`{percona: {databaseName: "DROP TABLE"}}`, "spec.percona.databaseName", "lower-case letter"},
		"DatabaseNameLong":    {`{percona: {databaseName: ` + strings.Repeat("a", 64) + `}}`, "spec.percona.databaseName", "63"},
		"MetadataName":        {`{percona: {metadataDatabaseName: 1st}}`, "spec.percona.metadataDatabaseName", "lower-case letter"},
		"PostgresOld":         {`{percona: {postgresVersion: 13}}`, "spec.percona.postgresVersion", "greater than or equal to 14"},
		"PostgresNew":         {`{percona: {postgresVersion: 19}}`, "spec.percona.postgresVersion", "less than or equal to 18"},
		"PostgresText":        {`{percona: {postgresVersion: "16"}}`, "spec.percona.postgresVersion", "must be of type integer"},
		"CRVersion":           {`{percona: {crVersion: v2.9}}`, "spec.percona.crVersion", "such as 2.9.0"},
		"DriftPolicy":         {`{percona: {driftPolicy: keep}}`, "spec.percona.driftPolicy", oneOf},
		"PerconaResources":    {`{percona: {resources: {limits: {cpu: fast}}}}`, "spec.percona.resources.limits.cpu", "should match"},
		"Bucket":              {`{percona: {backup: {bucket: "s3://backups"}}}`, "spec.percona.backup.bucket", "S3 bucket"},
		"EndpointHTTP":        {`{percona: {backup: {endpoint: "http://minio:9000"}}}`, "spec.percona.backup.endpoint", "speaks https only"},
		"EndpointPath":        {`{percona: {backup: {endpoint: "https://minio:9000/backups"}}}`, "spec.percona.backup.endpoint", "must be a host"},
		"Region":              {`{percona: {backup: {region: "eu west"}}}`, "spec.percona.backup.region", "S3 region"},
		"BackupPath":          {`{percona: {backup: {path: backups}}}`, "spec.percona.backup.path", "absolute path"},
		"BackupPathSlash":     {`{percona: {backup: {path: /backups/}}}`, "spec.percona.backup.path", "absolute path"},
		"Retention":           {`{percona: {backup: {retentionDays: 0}}}`, "spec.percona.backup.retentionDays", "greater than or equal to 1"},
	}

	js := judges(t)

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for of, j := range js {
				errs := j.Judge(t.Context(), server(t, tc.spec))

				found := false
				for _, e := range errs {
					found = found || e.Field == tc.field && strings.Contains(e.Error(), tc.says)
				}

				if !found {
					t.Errorf("%s as %s: no error of %s says %q, there is: %v", tc.spec, of, tc.field, tc.says, errs)
				}

				if len(errs) > 1 {
					t.Errorf("%s as %s: more than the one error: %v", tc.spec, of, errs)
				}
			}
		})
	}
}

// Whatever the types can hold, the schemas take: one status field that they do not know,
// and Crossplane writes no status and no condition at all.
func TestSchemaKnowsEveryField(t *testing.T) {
	ds := &v1alpha1.DittoServer{}
	fill(reflect.ValueOf(&ds.Spec).Elem())
	fill(reflect.ValueOf(&ds.Status).Elem())

	ds.APIVersion, ds.Kind, ds.Name = v1alpha1.GroupVersion.String(), v1alpha1.Kind, "files"

	b, err := json.Marshal(ds)
	if err != nil {
		t.Fatal(err)
	}

	obj := map[string]any{}
	if err := json.Unmarshal(b, &obj); err != nil {
		t.Fatal(err)
	}

	for of, j := range judges(t) {
		for _, e := range j.Judge(t.Context(), obj) {
			// The values are no good. The fields have to be known and of the right type.
			if strings.Contains(e.Detail, "not a field") || strings.Contains(e.Detail, "must be of type") {
				t.Errorf("as %s: %v", of, e)
			}
		}
	}
}

// fill sets every field of our types to something that JSON does not leave out. Those of
// Kubernetes' types stay as they are, the schema of those is not ours.
func fill(v reflect.Value) {
	switch v.Kind() { //nolint:exhaustive // Others do not occur, or have nothing to set.
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		if ofKubernetes(v.Type()) {
			return
		}

		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key"), reflect.ValueOf("value"))
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(1)
	}
}

func TestInputs(t *testing.T) {
	crd := &extv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(read(t, InputPath), crd); err != nil {
		t.Fatal(err)
	}

	j, err := apiserver.ForCRD(crd, v1beta1.Version)
	if err != nil {
		t.Fatal(err)
	}

	cases := map[string]struct {
		reason string
		input  string
		field  string
	}{
		"Empty": {
			reason: "Every field is optional.",
			input:  `{}`,
		},
		"Full": {
			reason: "Defaults are a part of a spec, in which a value may be that of no value.",
			input:  `{ttl: 90s, namespace: dittofs, defaults: {replicas: 0, storage: {metadataSize: 10Gi}, percona: {enabled: false}}}`,
		},
		"Hint": {
			reason: "What the Composition has in comments is an Input.",
			input:  hint(t, "example/composition.yaml"),
		},
		"ClaimHint": {
			reason: "So is what the Composition for claims has.",
			input:  hint(t, "example/claim/composition.yaml"),
		},
		"Typo": {
			reason: "An unknown field is an error.",
			input:  `{default: {}}`,
			field:  "default",
		},
		"TypoInDefaults": {
			reason: "In the defaults too.",
			input:  `{defaults: {percona: {enable: true}}}`,
			field:  "defaults.percona.enable",
		},
		"TTL": {
			reason: "The time to live is a duration.",
			input:  `{ttl: 60}`,
			field:  "ttl",
		},
		"Namespace": {
			reason: "The namespace is a name.",
			input:  `{namespace: All}`,
			field:  "namespace",
		},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			obj := map[string]any{}
			if err := yaml.Unmarshal([]byte(tc.input), &obj); err != nil {
				t.Fatal(err)
			}

			obj["apiVersion"], obj["kind"] = v1beta1.Group+"/"+v1beta1.Version, v1beta1.Kind

			errs := j.Judge(t.Context(), obj)
			if tc.field == "" && len(errs) > 0 {
				t.Errorf("%s\n%s: %v", tc.reason, tc.input, errs)
			}

			if tc.field != "" && (len(errs) != 1 || errs[0].Field != tc.field) {
				t.Errorf("%s\n%s: want one error of %s, got %v", tc.reason, tc.input, tc.field, errs)
			}
		})
	}
}

// hint is the Input that a Composition has in comments.
func hint(t *testing.T, path string) string {
	t.Helper()

	_, after, ok := strings.Cut(string(read(t, path)), "kind: Input\n")
	if !ok {
		t.Fatalf("%s has no Input", path)
	}

	b := &strings.Builder{}

	for line := range strings.Lines(after) {
		commented, ok := strings.CutPrefix(line, "      # ")
		if !ok {
			t.Fatalf("%s: not a comment: %q", path, line)
		}

		b.WriteString(commented)
	}

	return b.String()
}
