package server_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/dittofs/function-dittoserver/internal/kinds"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/world"
	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

const (
	namespacedXR = `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: DittoServer, metadata: {name: files, namespace: default, uid: 0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9}}`
	clusterXR    = `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: XDittoServer, metadata: {name: files, uid: 0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9}}`
)

// A call is what there is when a spec is resolved. What is asked for and not
// among the answers does not exist.
type call struct {
	xr        string
	name      string
	spec      string
	defaults  string
	namespace string
	composed  map[string]string
	answers   map[string]string
}

// resolve resolves a spec, which has a metadata volume where it says nothing of
// its storage, in as many rounds as it takes.
func (c call) resolve(t *testing.T) server.Resolution {
	t.Helper()
	spec := yamltest.Struct(t, c.spec).AsMap()
	if spec["storage"] == nil {
		spec["storage"] = map[string]any{"metadataSize": "10Gi"}
	}
	xr := yamltest.Struct(t, namespacedXR)
	if c.xr != "" {
		xr = yamltest.Struct(t, c.xr)
	}
	if c.name != "" {
		xr.GetFields()["metadata"].GetStructValue().GetFields()["name"] = structpb.NewStringValue(c.name)
	}
	m := xr.AsMap()
	m["spec"] = spec
	req := &fnv1.RunFunctionRequest{
		Observed: &fnv1.State{
			Composite: &fnv1.Resource{Resource: toStruct(t, m)},
			Resources: map[string]*fnv1.Resource{},
		},
		RequiredResources: map[string]*fnv1.Resources{},
	}
	for k, y := range c.composed {
		req.Observed.Resources[k] = &fnv1.Resource{Resource: yamltest.Struct(t, y)}
	}
	for range 5 {
		r := observed.NewReader(req)
		o := r.XR()
		spec, errs := server.Decode(o.Spec(), observed.FromStruct(yamltest.Struct(t, c.defaults)))
		id, held := world.Identify(r, o, kinds.Suffixes(), c.namespace)
		id.AdoptExisting = spec.AdoptExisting
		w := world.Read(r, o, id, kinds.Ask(id.Name, spec))
		res := server.Resolve(spec, w)
		res.Errors = append(append(errs, server.CheckIdentity(o, id)...), res.Errors...)
		res.Held = append(held, res.Held...)
		if !w.Pending {
			return res
		}
		for _, k := range slices.Sorted(maps.Keys(w.Requirements.GetResources())) {
			req.RequiredResources[k] = &fnv1.Resources{}
			if y := c.answers[k]; y != "" {
				req.RequiredResources[k].Items = []*fnv1.Resource{{Resource: yamltest.Struct(t, y)}}
			}
		}
	}
	t.Fatal("Resolve(...): still asks after five rounds, which is all that Crossplane allows")
	return server.Resolution{}
}

func messages(res server.Resolution) []string {
	out := make([]string, 0, len(res.Errors))
	for _, e := range res.Errors {
		out = append(out, e.Error())
	}
	return out
}

func TestInvalid(t *testing.T) {
	const (
		sizeMsg     = "must be a whole number of Mi, Gi or Ti, such as 10Gi"
		durationMsg = "must be a positive duration such as 15m or 168h"
		imageMsg    = "must be an image reference such as marmos91c/dittofs:v0.29.0"
		scheduleMsg = `must be a cron schedule of five fields such as "0 2 * * *", or @daily and its like, in UTC`
		identMsg    = "must begin with a lower-case letter or _, hold lower-case letters, digits, _ and -, and have at most 63 characters"
		pathMsg     = "must be an absolute path of letters, digits, '.', '_' and '-', without a slash at its end"
		endpointMsg = "must be a host, with a port if it is not 443, such as s3.eu-west-1.amazonaws.com or https://minio.example.com:9000"
		backup      = `{percona: {enabled: true, backup: {enabled: true, bucket: b, endpoint: e.example.com, credentialsSecretRef: {name: s3}, `
		rfc1123     = `a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`
		rfc1035     = `a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')`
	)
	long := strings.Repeat("n", 64)

	cases := map[string]struct {
		reason string
		call   call
		want   []string
	}{
		// The server's own name.
		"NameWithPercona": {
			reason: "Percona has room for 28 characters and does not check",
			call:   call{name: "n2345678901234567890123456789", spec: `{percona: {enabled: true}}`},
			want:   []string{`metadata.name: Invalid value: "n2345678901234567890123456789": must have at most 28 characters, it has 29: Percona builds the names of the database's pods from it`},
		},
		"NameOfAService": {
			reason: "Services have 63 characters",
			call:   call{name: strings.Repeat("n", 52), spec: `{}`},
			want:   []string{`metadata.name: Invalid value: "` + strings.Repeat("n", 52) + `": must have at most 51 characters, it has 52: Services are named after it`},
		},
		"NameWithADot": {
			reason: "Services are DNS labels",
			call:   call{name: "a.b", spec: `{}`},
			want:   []string{`metadata.name: Invalid value: "a.b": ` + rfc1035},
		},
		"NameWithADigit": {
			reason: "Services begin with a letter",
			call:   call{name: "1a", spec: `{}`},
			want:   []string{`metadata.name: Invalid value: "1a": ` + rfc1035},
		},
		"NoNamespace": {
			reason: "somebody has to say where the server is",
			call:   call{xr: clusterXR, spec: `{}`},
			want:   []string{`input.namespace: Required value: the composite resource files has neither a namespace nor a claim; set the namespace of its objects`},
		},

		// The pod.
		"Image":            {reason: "an image is a reference", call: call{spec: `{image: "a b"}`}, want: []string{`spec.image: Invalid value: "a b": ` + imageMsg}},
		"ImageDigest":      {reason: "a digest has 64 digits", call: call{spec: `{image: "a@sha256:12"}`}, want: []string{`spec.image: Invalid value: "a@sha256:12": ` + imageMsg}},
		"Replicas":         {reason: "DittoFS does not run twice on its volumes", call: call{spec: `{replicas: 2}`}, want: []string{`spec.replicas: Invalid value: 2: must be between 0 and 1`}},
		"ReplicasNegative": {reason: "there are no fewer than none", call: call{spec: `{replicas: -1}`}, want: []string{`spec.replicas: Invalid value: -1: must be between 0 and 1`}},
		"GracePeriod": {
			reason: "a server that is killed in its shutdown may lose data",
			call:   call{spec: `{terminationGracePeriodSeconds: 35}`},
			want:   []string{`spec.terminationGracePeriodSeconds: Invalid value: 35: must be at least 36: the server needs up to 30 seconds, after 5 in which it is taken out of its Services`},
		},
		"PortHigh":  {reason: "ports have 16 bits", call: call{spec: `{controlPlane: {port: 65536}}`}, want: []string{`spec.controlPlane.port: Invalid value: 65536: must be between 1 and 65535`}},
		"PortZero":  {reason: "an explicit 0 is not the default", call: call{spec: `{controlPlane: {port: 0}}`}, want: []string{`spec.controlPlane.port: Invalid value: 0: must be between 1 and 65535`}},
		"PortOfNFS": {reason: "two listeners need two ports", call: call{spec: `{controlPlane: {port: 12049}}`}, want: []string{`spec.controlPlane.port: Invalid value: 12049: is taken: when it first starts, the server listens for NFS on 12049 and for SMB on 1445, whatever spec.adapters says`}},
		"PortOfSMB": {reason: "two listeners need two ports", call: call{spec: `{controlPlane: {port: 1445}}`}, want: []string{`spec.controlPlane.port: Invalid value: 1445: is taken: when it first starts, the server listens for NFS on 12049 and for SMB on 1445, whatever spec.adapters says`}},
		"RequestAboveLimit": {
			reason: "the API server would refuse the pod",
			call:   call{spec: `{resources: {requests: {cpu: "2"}, limits: {cpu: 1500m}}}`},
			want:   []string{`spec.resources.requests.cpu: Invalid value: "2": must not be above the limit of 1500m`},
		},
		"NegativeResources": {
			reason: "the API server would refuse the pod",
			call:   call{spec: `{resources: {requests: {cpu: "-1"}, limits: {memory: "-1Gi"}}}`},
			want: []string{
				`spec.resources.requests.cpu: Invalid value: "-1": must not be negative`,
				`spec.resources.limits.memory: Invalid value: "-1Gi": must not be negative`,
			},
		},

		// Volumes.
		"NoMetadataSize": {
			reason: "it has no default that fits",
			call:   call{spec: `{storage: {contentSize: 1Gi}}`},
			want:   []string{`spec.storage.metadataSize: Required value: the size of the volume for file metadata, such as 10Gi`},
		},
		"Sizes": {
			reason: "sizes are the DittoFS operator's",
			call:   call{spec: `{storage: {metadataSize: 10G, contentSize: 1.5Gi, controlPlaneSize: big}}`},
			want: []string{
				`spec.storage.metadataSize: Invalid value: "10G": ` + sizeMsg,
				`spec.storage.contentSize: Invalid value: "1.5Gi": ` + sizeMsg,
				`spec.storage.controlPlaneSize: Invalid value: "big": ` + sizeMsg,
			},
		},
		"ZeroSize": {
			reason: "a volume has a size",
			call:   call{spec: `{storage: {metadataSize: 0Gi}}`},
			want:   []string{`spec.storage.metadataSize: Invalid value: "0Gi": must be a positive size such as 10Gi`},
		},
		"StorageClass": {
			reason: "a class is an object",
			call:   call{spec: `{storage: {metadataSize: 1Gi, storageClassName: Fast_SSD}}`},
			want:   []string{`spec.storage.storageClassName: Invalid value: "Fast_SSD": ` + rfc1123},
		},
		"OneErrorAField": {
			reason: "a field that cannot be decoded is not called missing as well",
			call:   call{spec: `{storage: {metadataSize: 10}}`},
			want:   []string{`spec.storage.metadataSize: Invalid value: 10: must be of type string, not number`},
		},

		// Identity.
		"IdentityType":    {reason: "there is one type", call: call{spec: `{identity: {type: ldap}}`}, want: []string{`spec.identity.type: Unsupported value: "ldap": supported values: "memory"`}},
		"AccessDuration":  {reason: "a duration has a unit", call: call{spec: `{identity: {jwt: {accessTokenDuration: "15"}}}`}, want: []string{`spec.identity.jwt.accessTokenDuration: Invalid value: "15": ` + durationMsg}},
		"RefreshDuration": {reason: "a duration is positive", call: call{spec: `{identity: {jwt: {refreshTokenDuration: 0s}}}`}, want: []string{`spec.identity.jwt.refreshTokenDuration: Invalid value: "0s": ` + durationMsg}},
		"JWTSecretRef": {
			reason: "a reference has a name and a key",
			call:   call{spec: `{identity: {jwt: {secretRef: {}}}}`},
			want: []string{
				`spec.identity.jwt.secretRef.name: Required value: the name of a Secret in the server's namespace`,
				`spec.identity.jwt.secretRef.key: Required value: the key within the Secret`,
			},
		},
		"AdminSecretRef": {
			reason: "the key has a default, the name has none",
			call:   call{spec: `{identity: {admin: {passwordSecretRef: {}}}}`},
			want:   []string{`spec.identity.admin.passwordSecretRef.name: Required value: the name of a Secret in the server's namespace`},
		},
		"SecretName": {
			reason: "a Secret's name is a name",
			call:   call{spec: `{identity: {jwt: {secretRef: {name: A_B, key: k}}}}`},
			want:   []string{`spec.identity.jwt.secretRef.name: Invalid value: "A_B": ` + rfc1123},
		},

		// Services and logging.
		"ServiceTypes": {
			reason: "an ExternalName serves nothing",
			call:   call{spec: `{service: {type: ExternalName}, adapterServices: {type: clusterip}}`},
			want: []string{
				`spec.service.type: Unsupported value: "ExternalName": supported values: "ClusterIP", "NodePort", "LoadBalancer"`,
				`spec.adapterServices.type: Unsupported value: "clusterip": supported values: "ClusterIP", "NodePort", "LoadBalancer"`,
			},
		},
		"Logging": {
			reason: "the server exits on a level or format that it does not know",
			call:   call{spec: `{logging: {level: TRACE, format: xml}}`},
			want: []string{
				`spec.logging.level: Unsupported value: "TRACE": supported values: "DEBUG", "INFO", "WARN", "ERROR", "debug", "info", "warn", "error"`,
				`spec.logging.format: Unsupported value: "xml": supported values: "json", "text"`,
			},
		},
		"LogFile": {
			reason: "the rest of the container cannot be written",
			call:   call{spec: `{logging: {output: /var/log/dittofs.log}}`},
			want:   []string{`spec.logging.output: Invalid value: "/var/log/dittofs.log": must be stdout, stderr or a file below /data/controlplane, /data/store/metadata or /tmp: the rest of the container is read-only`},
		},
		"LogFileBesideTmp": {
			reason: "a path that leads out of /tmp is not below it",
			call:   call{spec: `{logging: {output: /tmp/../etc/log}}`},
			want:   []string{`spec.logging.output: Invalid value: "/tmp/../etc/log": must be stdout, stderr or a file below /data/controlplane, /data/store/metadata or /tmp: the rest of the container is read-only`},
		},

		// Metrics.
		"MetricsPortHigh":     {reason: "ports have 16 bits", call: call{spec: `{metrics: {enabled: true, port: 70000}}`}, want: []string{`spec.metrics.port: Invalid value: 70000: must be between 1 and 65535`}},
		"MetricsPortZero":     {reason: "an explicit 0 is not the default", call: call{spec: `{metrics: {enabled: true, port: 0}}`}, want: []string{`spec.metrics.port: Invalid value: 0: must be between 1 and 65535`}},
		"MetricsPortOfNFS":    {reason: "two listeners need two ports", call: call{spec: `{metrics: {enabled: true, port: 12049}}`}, want: []string{`spec.metrics.port: Invalid value: 12049: is taken: when it first starts, the server listens for NFS on 12049 and for SMB on 1445, whatever spec.adapters says`}},
		"MetricsPortOfTheAPI": {reason: "two listeners need two ports", call: call{spec: `{metrics: {enabled: true, port: 8080}}`}, want: []string{`spec.metrics.port: Invalid value: 8080: is taken: it is that of the REST API, spec.controlPlane.port`}},
		"APIOnMetricsPort": {
			reason: "whoever moves to it",
			call:   call{spec: `{metrics: {enabled: true}}`, defaults: `{controlPlane: {port: 9090}}`},
			want:   []string{`spec.metrics.port: Invalid value: 9090: is taken: it is that of the REST API, input.defaults.controlPlane.port`},
		},
		"MetricsPath":      {reason: "a path begins with a slash", call: call{spec: `{metrics: {enabled: true, path: metrics}}`}, want: []string{`spec.metrics.path: Invalid value: "metrics": must be the path of a URL, such as /metrics`}},
		"MetricsPathQuery": {reason: "a query is not part of it", call: call{spec: `{metrics: {enabled: true, path: "/m?x"}}`}, want: []string{`spec.metrics.path: Invalid value: "/m?x": must be the path of a URL, such as /metrics`}},
		"MetricsPathWild":  {reason: "a pattern of Go's router is not a path", call: call{spec: `{metrics: {enabled: true, path: "/{x}"}}`}, want: []string{`spec.metrics.path: Invalid value: "/{x}": must be the path of a URL, such as /metrics`}},
		"MetricsToken": {
			reason: "a reference has a name and a key",
			call:   call{spec: `{metrics: {enabled: true, bearerTokenSecret: {}}}`},
			want: []string{
				`spec.metrics.bearerTokenSecret.name: Required value: the name of a Secret in the server's namespace`,
				`spec.metrics.bearerTokenSecret.key: Required value: the key within the Secret`,
			},
		},

		// TLS.
		"TLSNames": {
			reason: "Secrets have names",
			call:   call{spec: `{controlPlane: {certSecretName: API, clientCASecretName: a_b}}`},
			want: []string{
				`spec.controlPlane.certSecretName: Invalid value: "API": ` + rfc1123,
				`spec.controlPlane.clientCASecretName: Invalid value: "a_b": ` + rfc1123,
			},
		},
		"MutualTLSAlone": {
			reason: "a server without a certificate cannot ask for one, and TLS in front of it is not its own",
			call:   call{spec: `{controlPlane: {tls: true}}`, defaults: `{controlPlane: {clientCASecretName: ca}}`},
			want:   []string{"spec.controlPlane.certSecretName: Required value: the Secret with the server's own certificate: without it the server cannot ask clients for theirs, as input.defaults.controlPlane.clientCASecretName wants"},
		},

		// LDAP.
		"LDAPWithNothing": {
			reason: "the server would not start, or ask anonymously",
			call:   call{spec: `{identity: {ldap: {enabled: true, bindDN: " "}}}`},
			want: []string{
				`spec.identity.ldap.url: Required value: the URL of the directory, such as ldaps://dc.example.com`,
				`spec.identity.ldap.baseDN: Required value: where searches begin, such as DC=example,DC=com`,
				`spec.identity.ldap.bindDN: Required value: the account that the server searches as`,
				`spec.identity.ldap.bindPasswordSecretRef: Required value: the Secret with the password of the account: without one the directory would be asked anonymously`,
			},
		},
		"LDAPInClear": {
			reason: "everybody on the way would see the password",
			call:   call{spec: `{identity: {ldap: {enabled: true, url: "ldap://dc", baseDN: b, bindDN: c, userAttr: "a=b", idmap: x, bindPasswordSecretRef: {name: s}}}}`},
			want: []string{
				`spec.identity.ldap.url: Invalid value: "ldap://dc": would show the password to everybody on the way: use ldaps://, or set startTLS, or, in a lab, allowPlaintext`,
				`spec.identity.ldap.userAttr: Invalid value: "a=b": must be the name of an LDAP attribute, such as sAMAccountName`,
				`spec.identity.ldap.idmap: Unsupported value: "x": supported values: "rfc2307", "rid"`,
				`spec.identity.ldap.bindPasswordSecretRef.key: Required value: the key within the Secret`,
			},
		},
		"LDAPScheme": {
			reason: "the server knows two schemes",
			call:   call{spec: `{identity: {ldap: {enabled: true, url: "https://dc", baseDN: b, bindDN: c, bindPasswordSecretRef: {name: s, key: k}}}}`},
			want:   []string{`spec.identity.ldap.url: Invalid value: "https://dc": must begin with ldaps:// or ldap://, and name a host`},
		},

		// Kerberos.
		"KerberosWithNothing": {
			reason: "the server would not start", call: call{spec: `{identity: {kerberos: {machineAccount: {enabled: true}}}}`, defaults: `{identity: {kerberos: {enabled: true, netbiosDomain: X}}}`},
			want: []string{
				`spec.identity.kerberos.servicePrincipal: Required value: the server's principal, such as nfs/files.example.com@EXAMPLE.COM`,
				`spec.identity.kerberos.keytabSecretRef: Required value: the Secret with the keytab of the principal`,
				`spec.identity.kerberos.machineAccount.accountName: Required value: the account of the computer, such as FILES$`,
				`spec.identity.kerberos.machineAccount.secretRef: Required value: the Secret with the password of the account, or keytabSecretRef`,
			},
		},
		"KerberosNames": {
			reason: "the server would not start with them either",
			call:   call{spec: `{identity: {kerberos: {enabled: true, servicePrincipal: "a b", realm: a@b, netbiosDomain: a.b, dnsDomain: a/b, keytabSecretRef: {name: K}}}}`},
			want: []string{
				`spec.identity.kerberos.servicePrincipal: Invalid value: "a b": must be SERVICE/HOST@REALM, such as nfs/files.example.com@EXAMPLE.COM`,
				`spec.identity.kerberos.realm: Invalid value: "a@b": must be a realm, such as EXAMPLE.COM, without @, / and spaces`,
				`spec.identity.kerberos.netbiosDomain: Invalid value: "a.b": must be one label, such as EXAMPLE, without dots, @, / and spaces`,
				`spec.identity.kerberos.dnsDomain: Invalid value: "a/b": must be a domain, such as example.com, without @, / and spaces`,
				`spec.identity.kerberos.keytabSecretRef.name: Invalid value: "K": ` + rfc1123,
				`spec.identity.kerberos.keytabSecretRef.key: Required value: the key within the Secret`,
			},
		},
		"KerberosWithoutRealm": {
			reason: "the server's krb5.conf would have none",
			call:   call{spec: `{identity: {kerberos: {enabled: true, servicePrincipal: nfs/files, keytabSecretRef: {name: s, key: k}}}}`},
			want:   []string{`spec.identity.kerberos.realm: Required value: the realm, such as EXAMPLE.COM: the principal does not end in one, and no krb5.conf of yours has it`},
		},
		"PullSecretTwice": {
			reason: "the API server would refuse the whole StatefulSet",
			call:   call{spec: `{imagePullSecrets: [{name: a}, {name: b}, {name: a}]}`},
			want:   []string{`spec.imagePullSecrets[2].name: Duplicate value: "a"`},
		},
		"EnvOfThePod": {
			reason: "or, where it is older, never make its pod again",
			call:   call{spec: `{extraEnv: [{name: A, valueFrom: {fieldRef: {fieldPath: spec.nodename}}}, {name: B, valueFrom: {resourceFieldRef: {resource: memory}}}, {name: C, valueFrom: {fieldRef: {fieldPath: "metadata.labels['x']"}}}, {name: D, valueFrom: {resourceFieldRef: {resource: limits.memory}}}]}`},
			want: []string{
				`spec.extraEnv[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.nodename": must be a field that a variable can have: metadata.name, .namespace, .uid, .labels['KEY'] or .annotations['KEY'], spec.nodeName or .serviceAccountName, status.hostIP, .hostIPs, .podIP or .podIPs`,
				`spec.extraEnv[1].valueFrom.resourceFieldRef.resource: Invalid value: "memory": must be limits or requests of cpu, memory, ephemeral-storage or hugepages, such as limits.memory`,
			},
		},
		"DCAddress": {
			reason: "nothing answers there",
			call:   call{spec: `{identity: {kerberos: {enabled: true, servicePrincipal: nfs/f@R, netbiosDomain: E, keytabSecretRef: {name: s, key: k}, machineAccount: {enabled: true, accountName: F$, secretRef: {name: s, key: k}, dcAddress: [dc1, "10.0.0.1:445", "ldap://dc", "dc:99999"]}}}}`},
			want: []string{
				`spec.identity.kerberos.machineAccount.dcAddress[2]: Invalid value: "ldap://dc": must be a host or an address, with a port or without, such as dc1.example.com`,
				`spec.identity.kerberos.machineAccount.dcAddress[3]: Invalid value: "dc:99999": must be a host or an address, with a port or without, such as dc1.example.com`,
			},
		},
		"SwitchedOffAndOn": {
			reason: "what was switched off is not believed to be so for ever",
			call:   call{spec: `{identity: {ldap: {enabled: true, switchedOff: true, url: "ldaps://x", baseDN: b, bindDN: c, bindPasswordSecretRef: {name: s, key: k}}, kerberos: {enabled: true, switchedOff: true, servicePrincipal: p/h@R, keytabSecretRef: {name: s, key: k}}}}`},
			want: []string{
				`spec.identity.ldap.switchedOff: Forbidden: is for a provider that is off; remove the field`,
				`spec.identity.kerberos.switchedOff: Forbidden: is for a provider that is off; remove the field`,
			},
		},

		// The database.
		"DatabaseType":           {reason: "there are two types", call: call{spec: `{database: {type: mysql}}`}, want: []string{`spec.database.type: Unsupported value: "mysql": supported values: "sqlite", "postgres"`}},
		"ConfirmSwitch":          {reason: "there are three databases", call: call{spec: `{database: {confirmSwitch: "yes"}}`}, want: []string{`spec.database.confirmSwitch: Invalid value: "yes": must be sqlite, external or percona, or name the database itself, such as external/SECRET`}},
		"ConfirmSwitchOfNothing": {reason: "a name that is empty names nothing", call: call{spec: `{database: {confirmSwitch: external/}}`}, want: []string{`spec.database.confirmSwitch: Invalid value: "external/": must be sqlite, external or percona, or name the database itself, such as external/SECRET`}},
		"PostgresWithoutSource": {
			reason: "it would silently be SQLite",
			call:   call{spec: `{database: {type: postgres}}`},
			want:   []string{`spec.database.type: Invalid value: "postgres": needs a database: set spec.percona.enabled, or name the Secret of your own in spec.database.postgresSecretRef`},
		},
		"SQLitePath": {
			reason: "a database beside the volumes is gone with the pod",
			call:   call{spec: `{database: {sqlite: {path: /tmp/control.db}}}`},
			want:   []string{`spec.database.sqlite.path: Invalid value: "/tmp/control.db": must be a file below /data/controlplane, /data/store/metadata: the rest of the container is read-only and gone with the pod`},
		},
		"SQLitePathOut": {
			reason: "a path that leads out of a volume is not on it",
			call:   call{spec: `{database: {sqlite: {path: /data/controlplane/../x.db}}}`},
			want:   []string{`spec.database.sqlite.path: Invalid value: "/data/controlplane/../x.db": must be a file below /data/controlplane, /data/store/metadata: the rest of the container is read-only and gone with the pod`},
		},
		"SQLiteOnContentThatIsNot": {
			reason: "without the volume for content there is nothing to be on",
			call:   call{spec: `{database: {sqlite: {path: /data/store/block/x.db}}}`},
			want:   []string{`spec.database.sqlite.path: Invalid value: "/data/store/block/x.db": must be a file below /data/controlplane, /data/store/metadata: the rest of the container is read-only and gone with the pod`},
		},
		"ExternalWithoutName": {
			reason: "a reference has a name",
			call:   call{spec: `{database: {postgresSecretRef: {key: x}}}`},
			want:   []string{`spec.database.postgresSecretRef.name: Required value: the name of a Secret in the server's namespace`},
		},

		// The cluster.
		"ClusterReplicas":    {reason: "one to five", call: call{spec: `{percona: {enabled: true, replicas: 6}}`}, want: []string{`spec.percona.replicas: Invalid value: 6: must be between 1 and 5`}},
		"ClusterNoReplicas":  {reason: "an explicit 0 is not the default", call: call{spec: `{percona: {enabled: true, replicas: 0}}`}, want: []string{`spec.percona.replicas: Invalid value: 0: must be between 1 and 5`}},
		"DriftPolicy":        {reason: "there are two", call: call{spec: `{percona: {enabled: true, driftPolicy: keep}}`}, want: []string{`spec.percona.driftPolicy: Unsupported value: "keep": supported values: "Keep", "Revert"`}},
		"PostgresVersionOld": {reason: "older ones have no image", call: call{spec: `{percona: {enabled: true, postgresVersion: 13}}`}, want: []string{`spec.percona.postgresVersion: Invalid value: 13: must be between 14 and 18`}},
		"PostgresVersionNew": {reason: "newer ones have no image", call: call{spec: `{percona: {enabled: true, postgresVersion: 19}}`}, want: []string{`spec.percona.postgresVersion: Invalid value: 19: must be between 14 and 18`}},
		"CRVersion":          {reason: "Percona's operator panics on what is no version", call: call{spec: `{percona: {enabled: true, crVersion: latest}}`}, want: []string{`spec.percona.crVersion: Invalid value: "latest": must be a version of Percona's operator such as 2.9.0`}},
		"CRVersionOld":       {reason: "below 2.9.0 the operator demands a pgBouncer", call: call{spec: `{percona: {enabled: true, crVersion: 2.8.2}}`}, want: []string{`spec.percona.crVersion: Invalid value: "2.8.2": must be at least 2.9.0: below it the operator demands a pgBouncer and its image`}},
		"ClusterImage":       {reason: "an image is a reference", call: call{spec: `{percona: {enabled: true, image: "pg:"}}`}, want: []string{`spec.percona.image: Invalid value: "pg:": ` + imageMsg}},
		"ClusterImageVersion": {
			reason: "the binaries of one version on the data of another destroy it",
			call:   call{spec: `{percona: {enabled: true, image: "percona/pg:17.9-1", postgresVersion: 16}}`},
			want:   []string{`spec.percona.image: Invalid value: "percona/pg:17.9-1": its tag says PostgreSQL 17, and spec.percona.postgresVersion is 16`},
		},
		"ClusterStorage":   {reason: "a size is a quantity", call: call{spec: `{percona: {enabled: true, storageSize: big}}`}, want: []string{`spec.percona.storageSize: Invalid value: "big": must be a positive size such as 10Gi`}},
		"ClusterNoStorage": {reason: "a volume has a size", call: call{spec: `{percona: {enabled: true, storageSize: "0"}}`}, want: []string{`spec.percona.storageSize: Invalid value: "0": must be a positive size such as 10Gi`}},
		"ClusterClass":     {reason: "a class is an object", call: call{spec: `{percona: {enabled: true, storageClassName: A_B}}`}, want: []string{`spec.percona.storageClassName: Invalid value: "A_B": ` + rfc1123}},
		"ClusterResources": {
			reason: "the pods would not start",
			call:   call{spec: `{percona: {enabled: true, resources: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}}}`},
			want:   []string{`spec.percona.resources.requests.memory: Invalid value: "2Gi": must not be above the limit of 1Gi`},
		},
		"DatabaseName":         {reason: "quoted identifiers are not for this", call: call{spec: `{percona: {enabled: true, databaseName: Ditto}}`}, want: []string{`spec.percona.databaseName: Invalid value: "Ditto": ` + identMsg}},
		"DatabaseNameLong":     {reason: "PostgreSQL cuts longer ones", call: call{spec: `{percona: {enabled: true, databaseName: ` + long + `}}`}, want: []string{`spec.percona.databaseName: Invalid value: "` + long + `": ` + identMsg}},
		"DatabaseNameReserved": {reason: "its own databases are not for users", call: call{spec: `{percona: {enabled: true, databaseName: template1}}`}, want: []string{`spec.percona.databaseName: Invalid value: "template1": is PostgreSQL's own database`}},
		"MetadataDatabaseName": {reason: "it is an identifier too", call: call{spec: `{percona: {enabled: true, metadataDatabaseName: "a;b"}}`}, want: []string{`spec.percona.metadataDatabaseName: Invalid value: "a;b": ` + identMsg}},
		"MetadataDatabaseSame": {
			reason: "both have a table named shares",
			call:   call{spec: `{percona: {enabled: true, metadataDatabaseName: dittofs}}`},
			want:   []string{`spec.percona.metadataDatabaseName: Invalid value: "dittofs": must differ from the database of the control plane: both have a table named shares`},
		},

		// Backups.
		"BackupNeeds": {
			reason: "there is no default for where backups go",
			call:   call{spec: `{percona: {enabled: true, backup: {enabled: true}}}`},
			want: []string{
				`spec.percona.backup.bucket: Required value: the S3 bucket to back up into`,
				`spec.percona.backup.endpoint: Required value: the S3 endpoint, such as s3.eu-west-1.amazonaws.com`,
			},
		},
		"Bucket":       {reason: "an option could be smuggled into pgBackRest's configuration", call: call{spec: `{percona: {enabled: true, backup: {enabled: true, bucket: "a b", endpoint: e}}}`}, want: []string{`spec.percona.backup.bucket: Invalid value: "a b": must be the name of an S3 bucket`}},
		"Region":       {reason: "the same", call: call{spec: backup + `region: "eu west"}}}`}, want: []string{`spec.percona.backup.region: Invalid value: "eu west": must be the name of an S3 region`}},
		"EndpointHTTP": {reason: "pgBackRest refuses it", call: call{spec: `{percona: {enabled: true, backup: {enabled: true, bucket: b, endpoint: "http://minio:9000"}}}`}, want: []string{`spec.percona.backup.endpoint: Invalid value: "http://minio:9000": must not be http://: pgBackRest speaks HTTPS only`}},
		"EndpointPath": {reason: "pgBackRest takes a host", call: call{spec: `{percona: {enabled: true, backup: {enabled: true, bucket: b, endpoint: "https://minio/bucket"}}}`}, want: []string{`spec.percona.backup.endpoint: Invalid value: "https://minio/bucket": ` + endpointMsg}},
		"FullSchedule": {reason: "Percona's operator only logs it", call: call{spec: backup + `fullSchedule: nightly}}}`}, want: []string{`spec.percona.backup.fullSchedule: Invalid value: "nightly": ` + scheduleMsg}},
		"IncrSchedule": {reason: "a sixth field is not Percona's", call: call{spec: backup + `incrSchedule: "0 0 * * * *"}}}`}, want: []string{`spec.percona.backup.incrSchedule: Invalid value: "0 0 * * * *": ` + scheduleMsg}},
		"Every":        {reason: "Percona's operator panics on it", call: call{spec: backup + `fullSchedule: "@every 1h"}}}`}, want: []string{`spec.percona.backup.fullSchedule: Invalid value: "@every 1h": @every is not supported by Percona's operator; ` + scheduleMsg}},
		"Retention":    {reason: "backups that expire at once are none", call: call{spec: backup + `retentionDays: 0}}}`}, want: []string{`spec.percona.backup.retentionDays: Invalid value: 0: must be between 1 and 9999999`}},
		"Path":         {reason: "a path is absolute", call: call{spec: backup + `path: backups/files}}}`}, want: []string{`spec.percona.backup.path: Invalid value: "backups/files": ` + pathMsg}},
		"PathUp":       {reason: "a path does not lead to another server's", call: call{spec: backup + `path: /a/../b}}}`}, want: []string{`spec.percona.backup.path: Invalid value: "/a/../b": ` + pathMsg}},
		"BackupSecretName": {
			reason: "a reference has a name",
			call:   call{spec: `{percona: {enabled: true, backup: {enabled: true, bucket: b, endpoint: e, credentialsSecretRef: {name: ""}}}}`},
			want:   []string{`spec.percona.backup.credentialsSecretRef.name: Required value: the Secret with the credentials of the bucket`},
		},

		"FromDefaults": {
			reason: "a value of the Input's is named there, and all are told together",
			call:   call{spec: `{replicas: 3}`, defaults: `{image: "", logging: {format: xml}, percona: {enabled: true, replicas: 9}}`},
			want: []string{
				`spec.replicas: Invalid value: 3: must be between 0 and 1`,
				`input.defaults.logging.format: Unsupported value: "xml": supported values: "json", "text"`,
				`input.defaults.percona.replicas: Invalid value: 9: must be between 1 and 5`,
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, messages(tc.call.resolve(t))); diff != "" {
				t.Errorf("%s\nResolve(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestValid: what looks odd and is right.
func TestValid(t *testing.T) {
	const backup = `{percona: {enabled: true, backup: {enabled: true, bucket: b, `
	cases := map[string]struct {
		reason string
		call   call
	}{
		"LongestNameWithPercona":    {reason: "28 characters", call: call{name: strings.Repeat("n", 28), spec: `{percona: {enabled: true}}`}},
		"LongestNameWithoutPercona": {reason: "51 characters", call: call{name: strings.Repeat("n", 51), spec: `{}`}},
		"Stopped":                   {reason: "a server may be stopped", call: call{spec: `{replicas: 0}`}},
		"Registry":                  {reason: "a registry has a port, an image a digest", call: call{spec: `{image: "localhost:5000/a/b:v1@sha256:` + strings.Repeat("0", 64) + `"}`}},
		"LowerCaseLevel":            {reason: "the server knows both", call: call{spec: `{logging: {level: debug, output: /data/controlplane/log}}`}},
		"SQLiteOnContent":           {reason: "the volume is there", call: call{spec: `{storage: {metadataSize: 1Gi, contentSize: 1Gi}, database: {sqlite: {path: /data/store/block/x.db}}}`}},
		"ImageWithoutVersion":       {reason: "a tag need not tell a version", call: call{spec: `{percona: {enabled: true, image: "pg:mine"}}`}},
		"ImageOfTheVersion":         {reason: "a tag may tell the right one", call: call{spec: `{percona: {enabled: true, postgresVersion: 17, image: "pg:17.9-1"}}`}},
		"EndpointOfEveryKind":       {reason: "scheme and slash are dropped", call: call{spec: backup + `endpoint: "HTTPS://minio.example.com:9000/"}}}`}},
		"EndpointIPv6":              {reason: "an address is a host", call: call{spec: backup + `endpoint: "[fd00::1]:9000"}}}`}},
		"Daily":                     {reason: "robfig/cron's words are Percona's", call: call{spec: backup + `endpoint: e, fullSchedule: "@daily", incrSchedule: "*/5 * * * *"}}}`}},
		"PerconaOff":                {reason: "what is off is not looked at", call: call{spec: `{percona: {enabled: false, replicas: 99, storageSize: x, backup: {enabled: true}}}`}},
		"DisabledDirectories":       {reason: "what is not asked for is not missed", call: call{spec: `{identity: {ldap: {enabled: false, url: "ldaps://x"}, kerberos: {enabled: false}}}`}},
		"MetricsOff":                {reason: "what is off is not looked at", call: call{spec: `{metrics: {enabled: false, port: 8080, path: x, bearerTokenSecret: {}}}`}},
		"TLSInFront":                {reason: "something else speaks TLS", call: call{spec: `{controlPlane: {tls: true}}`}},
		"TLS":                       {reason: "the server itself does", call: call{spec: `{controlPlane: {certSecretName: api}}`}},
		"MutualTLS":                 {reason: "one Secret may have all", call: call{spec: `{controlPlane: {tls: true, certSecretName: api.tls, clientCASecretName: api.tls}}`}},
		"ConfirmSwitchByName":       {reason: "a confirmation may name the database itself", call: call{spec: `{database: {confirmSwitch: external/corp-db}}`}},
		"ConfirmSwitchByPath":       {reason: "a file as well", call: call{spec: `{database: {confirmSwitch: sqlite/data/store/metadata/c.db}}`}},
		"MetadataDatabase":          {reason: "a second database", call: call{spec: `{percona: {enabled: true, metadataDatabaseName: dittofs-meta}}`}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := messages(tc.call.resolve(t)); len(got) > 0 {
				t.Errorf("%s\nResolve(...): want no error, got:\n%s", tc.reason, strings.Join(got, "\n"))
			}
		})
	}
}
