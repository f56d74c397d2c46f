package network

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/np-guard/netpol-analyzer/pkg/netpol/eval"
	"google.golang.org/protobuf/types/known/structpb"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/internal/kinds"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/world"
)

// Who and what there is in the cluster, and outside of it.
const (
	files      = "team-a/files-0"
	otherFiles = "team-a/other-0"
	client     = "team-a/client"
	mounter    = "team-a/mounter"
	stranger   = "team-b/client"
	prometheus = "monitoring/prometheus"
	primary    = "team-a/files-postgres-instance1-abcd-0"
	otherDB    = "team-a/other-postgres-instance1-abcd-0"
	dns        = "kube-system/coredns"
	dnsOfOurs  = "dns/unbound"
	kubelet    = "192.168.0.1"
	office     = "10.20.3.4"
	internet   = "203.0.113.7"
	corpDB     = "10.1.2.3"
	corpDC     = "10.1.2.9"
	minio      = "10.9.0.9"
)

var pods = map[string]map[string]string{
	files:      {"app": "dittofs-server", "instance": "files"},
	otherFiles: {"app": "dittofs-server", "instance": "other"},
	client:     {"app": "client"},
	mounter:    {"example.org/mounts": "files"},
	stranger:   {"app": "client", "example.org/mounts": "files"},
	prometheus: {"app.kubernetes.io/name": "prometheus"},
	// As Percona's operator labels them, in part.
	primary:   {"postgres-operator.crunchydata.com/cluster": "files-postgres", "postgres-operator.crunchydata.com/instance-set": "instance1"},
	otherDB:   {"postgres-operator.crunchydata.com/cluster": "other-postgres", "postgres-operator.crunchydata.com/instance-set": "instance1"},
	dns:       {"k8s-app": "kube-dns"},
	dnsOfOurs: {"app": "unbound"},
}

// A flow is a connection that somebody opens.
type flow struct {
	from, to, protocol, port string
}

func tcp(from, to, port string) flow { return flow{from, to, "TCP", port} }
func udp(from, to, port string) flow { return flow{from, to, "UDP", port} }

const (
	open       = `networkPolicy: {enabled: true}`
	restricted = `networkPolicy: {enabled: true, egress: Restricted}`
	percona    = `percona: {enabled: true}`
	external   = `database: {postgresSecretRef: {name: corp-db, key: "-"}}`
	ldap       = `identity: {ldap: {enabled: true, url: "ldaps://dc", baseDN: b, bindDN: c, bindPasswordSecretRef: {name: p, key: k}}}`
	domain     = `identity: {kerberos: {enabled: true, servicePrincipal: cifs/files@EXAMPLE.COM, netbiosDomain: EXAMPLE, keytabSecretRef: {name: k, key: k}, machineAccount: {enabled: true, accountName: FILES$, dcAddress: [10.1.2.9], secretRef: {name: p, key: k}}}}`
	guarded    = `networkPolicy: {enabled: true, ingress: {
api: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: team-a}}}],
adapters: [{podSelector: {matchLabels: {example.org/mounts: files}}}, {ipBlock: {cidr: 10.20.0.0/16, except: [10.20.9.0/24]}}],
metrics: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}, podSelector: {matchLabels: {app.kubernetes.io/name: prometheus}}}]}}`
	narrow = `networkPolicy: {enabled: true, egress: Restricted, egressTo: {
dns: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: dns}}}],
database: [{ipBlock: {cidr: 10.1.2.3/32}}], directory: [{ipBlock: {cidr: 10.1.2.9/32}}], s3: [{ipBlock: {cidr: 10.9.0.0/24}}], s3Port: 9000}}`
)

// TestFlows is the table of connections: which of them a server's NetworkPolicies let
// through, and which they do not.
func TestFlows(t *testing.T) {
	cases := map[string]struct {
		reason         string
		spec           []string
		port           string // of the database, in its Secret
		opened, closed []flow
	}{
		"Off": {
			reason: "without the feature nothing is restricted",
			opened: []flow{tcp(stranger, files, "22"), tcp(files, internet, "22"), udp(internet, files, "111")},
		},
		"Enabled": {
			reason: "alone it opens what the server listens on, to everybody, and restricts nothing that it does itself",
			spec:   []string{open},
			opened: []flow{
				tcp(client, files, "8080"), tcp(stranger, files, "8080"), tcp(internet, files, "8080"), tcp(kubelet, files, "8080"),
				tcp(client, files, "12049"), tcp(internet, files, "12049"), tcp(stranger, files, "1445"),
				tcp(files, internet, "443"), tcp(files, internet, "25"), tcp(files, otherDB, "5432"), udp(files, dnsOfOurs, "53"),
				tcp(stranger, otherFiles, "22"),
			},
			closed: []flow{
				tcp(client, files, "9090"), tcp(client, files, "22"), tcp(internet, files, "111"), udp(client, files, "12049"), udp(client, files, "111"),
				tcp(otherFiles, files, "22"),
			},
		},
		"Ports": {
			reason: "the ports are the server's",
			spec:   []string{open, `controlPlane: {port: 8443}`, `metrics: {enabled: true, port: 9100}`},
			opened: []flow{tcp(client, files, "8443"), tcp(prometheus, files, "9100"), tcp(internet, files, "9100")},
			closed: []flow{tcp(client, files, "8080"), tcp(prometheus, files, "9090")},
		},
		"Adapters": {
			reason: "and the adapters', of which what nobody is to reach is not opened",
			spec:   []string{open, `adapters: {nfs: {port: 2049}, smb: {enabled: false}}`},
			opened: []flow{tcp(client, files, "2049"), tcp(client, files, "8080")},
			closed: []flow{tcp(client, files, "12049"), tcp(client, files, "1445")},
		},
		"Guarded": {
			reason: "peers open their ports, and no others",
			spec:   []string{guarded, `metrics: {enabled: true}`},
			opened: []flow{
				tcp(client, files, "8080"), tcp(mounter, files, "8080"),
				tcp(mounter, files, "12049"), tcp(mounter, files, "1445"), tcp(office, files, "12049"), tcp(office, files, "1445"),
				tcp(prometheus, files, "9090"), tcp(files, internet, "443"),
			},
			closed: []flow{
				tcp(stranger, files, "8080"), tcp(internet, files, "8080"), tcp(prometheus, files, "8080"),
				tcp(client, files, "12049"), tcp(internet, files, "1445"), tcp("10.20.9.1", files, "12049"), tcp(office, files, "8080"),
				// Pods of a selector without namespaces are those of the server's own.
				tcp(stranger, files, "12049"),
				tcp(client, files, "9090"), tcp(office, files, "9090"),
			},
		},
		"Everywhere": {
			reason: "a selector that names nothing selects everything: the cluster, and not what is outside of it",
			spec:   []string{`networkPolicy: {enabled: true, ingress: {api: [{namespaceSelector: {}}], adapters: [{podSelector: {}}]}}`},
			opened: []flow{tcp(client, files, "8080"), tcp(stranger, files, "8080"), tcp(client, files, "12049")},
			closed: []flow{tcp(internet, files, "8080"), tcp(stranger, files, "12049"), tcp(internet, files, "12049")},
		},
		"MetricsOff": {
			reason: "what is not served is not opened, whoever is named for it",
			spec:   []string{guarded},
			closed: []flow{tcp(prometheus, files, "9090")},
		},
		"RestrictedSQLite": {
			reason: "DNS and S3, and no database",
			spec:   []string{restricted},
			opened: []flow{udp(files, dns, "53"), tcp(files, dns, "53"), tcp(files, internet, "443"), tcp(files, minio, "443"), tcp(client, files, "12049")},
			closed: []flow{
				tcp(files, primary, "5432"), tcp(files, corpDB, "5432"), udp(files, dnsOfOurs, "53"), udp(files, internet, "53"), tcp(files, dns, "80"),
				tcp(files, internet, "80"), tcp(files, internet, "25"), tcp(files, minio, "9000"), tcp(files, client, "22"), tcp(files, client, "111"),
			},
		},
		"RestrictedPercona": {
			reason: "the pods of its own cluster, and no other's",
			spec:   []string{restricted, percona},
			opened: []flow{tcp(files, primary, "5432"), udp(files, dns, "53"), tcp(files, internet, "443")},
			closed: []flow{tcp(files, otherDB, "5432"), tcp(files, corpDB, "5432"), tcp(files, primary, "8008"), tcp(files, otherFiles, "8080")},
		},
		"RestrictedExternal": {
			reason: "the port of the Secret, anywhere, since its host is a name",
			spec:   []string{restricted, external},
			port:   "6432",
			opened: []flow{tcp(files, corpDB, "6432"), tcp(files, internet, "6432"), tcp(files, internet, "443")},
			closed: []flow{tcp(files, corpDB, "5432"), tcp(files, corpDB, "22")},
		},
		"RestrictedExternalDefault": {
			reason: "PostgreSQL's port where the Secret has none",
			spec:   []string{restricted, external},
			opened: []flow{tcp(files, corpDB, "5432")},
			closed: []flow{tcp(files, corpDB, "6432")},
		},
		"RestrictedLDAP": {
			reason: "the port of the URL",
			spec:   []string{restricted, ldap},
			opened: []flow{tcp(files, corpDC, "636"), tcp(files, internet, "636")},
			closed: []flow{tcp(files, corpDC, "389"), tcp(files, corpDC, "88"), tcp(files, corpDC, "445")},
		},
		"RestrictedLDAPPort": {
			reason: "also where it is another",
			spec:   []string{restricted, strings.Replace(ldap, `url: "ldaps://dc"`, `startTLS: true, url: "ldap://dc:3389"`, 1)},
			opened: []flow{tcp(files, corpDC, "3389")},
			closed: []flow{tcp(files, corpDC, "389"), tcp(files, corpDC, "636")},
		},
		"RestrictedKeytab": {
			reason: "a keytab is enough to verify a ticket",
			spec:   []string{restricted, strings.Replace(domain, "machineAccount: {enabled: true", "machineAccount: {enabled: false", 1)},
			closed: []flow{tcp(files, corpDC, "88"), tcp(files, corpDC, "445"), udp(files, corpDC, "53")},
		},
		"RestrictedDomain": {
			reason: "a member of a domain talks to its controllers",
			spec:   []string{restricted, domain},
			opened: []flow{tcp(files, corpDC, "88"), udp(files, corpDC, "88"), tcp(files, corpDC, "445"), tcp(files, corpDC, "53"), udp(files, corpDC, "53")},
			closed: []flow{tcp(files, corpDC, "135"), tcp(files, corpDC, "389")},
		},
		"NarrowDomain": {
			reason: "and to nobody else",
			spec:   []string{narrow, domain},
			opened: []flow{tcp(files, corpDC, "445"), udp(files, corpDC, "88")},
			closed: []flow{tcp(files, internet, "445"), tcp(files, minio, "445"), udp(files, internet, "88")},
		},
		"Narrow": {
			reason: "only where it is told to go",
			spec:   []string{narrow, external},
			opened: []flow{tcp(files, corpDB, "5432"), udp(files, dnsOfOurs, "53"), tcp(files, minio, "9000")},
			closed: []flow{tcp(files, internet, "5432"), udp(files, dns, "53"), tcp(files, internet, "443"), tcp(files, internet, "9000"), tcp(files, minio, "443"), tcp(files, corpDB, "9000")},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			e := cluster(t, policies(t, tc.port, tc.spec...))
			for want, flows := range map[bool][]flow{true: tc.opened, false: tc.closed} {
				for _, f := range flows {
					got, err := e.CheckIfAllowed(f.from, f.to, f.protocol, f.port)
					if err != nil {
						t.Fatalf("%+v: %v", f, err)
					}
					if got != want {
						t.Errorf("%s: from %s to %s, port %s/%s: want it let through: %t, got %t", tc.reason, f.from, f.to, f.port, f.protocol, want, got)
					}
				}
			}
		})
	}
}

// cluster returns a cluster with those NetworkPolicies.
func cluster(t *testing.T, policies []*networkingv1.NetworkPolicy) *eval.PolicyEngine {
	t.Helper()
	e := eval.NewPolicyEngine()
	put := func(o runtime.Object) {
		if err := e.UpsertObject(o); err != nil {
			t.Fatal(err)
		}
	}
	for i, id := range slices.Sorted(maps.Keys(pods)) {
		ns, name, _ := strings.Cut(id, "/")
		put(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns, Labels: map[string]string{corev1.LabelMetadataName: ns}}})
		put(&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Labels: pods[id]},
			Status:     corev1.PodStatus{HostIP: kubelet, PodIPs: []corev1.PodIP{{IP: fmt.Sprintf("10.244.0.%d", i+1)}}},
		})
	}
	for _, p := range policies {
		put(p)
	}
	return e
}

// policies returns the NetworkPolicies that are composed for a server of that spec.
func policies(t *testing.T, port string, spec ...string) []*networkingv1.NetworkPolicy {
	t.Helper()
	xr := map[string]any{
		"apiVersion": "dittofs.dittofs.com/v1alpha1", "kind": "DittoServer",
		"metadata": map[string]any{"name": "files", "namespace": "team-a", "uid": "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"},
	}
	s := map[string]any{"storage": map[string]any{"metadataSize": "1Gi"}}
	for _, y := range spec {
		if err := yaml.Unmarshal([]byte(y), &s); err != nil {
			t.Fatal(err)
		}
	}
	xr["spec"] = s
	// The values are "db".
	data := map[string]any{"host": "ZGI=", "database": "ZGI=", "user": "ZGI=", "password": "ZGI="}
	if port != "" {
		data["port"] = map[string]string{"6432": "NjQzMg=="}[port]
	}
	secret := toStruct(t, map[string]any{"metadata": map[string]any{"name": "corp-db"}, "data": data})

	req := &fnv1.RunFunctionRequest{
		Observed:          &fnv1.State{Composite: &fnv1.Resource{Resource: toStruct(t, xr)}},
		RequiredResources: map[string]*fnv1.Resources{},
	}
	for range 5 {
		r := observed.NewReader(req)
		o := r.XR()
		spec, errs := server.Decode(o.Spec(), observed.Object{})
		id, _ := world.Identify(r, o, kinds.Suffixes(), "")
		w := world.Read(r, o, id, kinds.Ask(id.Name, spec))
		res := server.Resolve(spec, w)
		if errs = append(errs, res.Errors...); len(errs) > 0 {
			t.Fatal(errs.ToAggregate())
		}
		if !w.Pending {
			return build(t, res.Server)
		}
		for k := range w.Requirements.GetResources() {
			req.RequiredResources[k] = &fnv1.Resources{}
			if k == "Secret/corp-db" {
				req.RequiredResources[k].Items = []*fnv1.Resource{{Resource: secret}}
			}
		}
	}
	t.Fatal("the spec is not resolved after five rounds")
	return nil
}

func build(t *testing.T, s *server.Server) []*networkingv1.NetworkPolicy {
	t.Helper()
	out := make([]*networkingv1.NetworkPolicy, 0, 3)
	for _, row := range kinds.Table() {
		if row.Kind != names.NetworkPolicyKind || !row.Wanted(s) {
			continue
		}
		o, err := row.Build(kinds.Inputs{Server: s}, observed.Object{})
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(o.AsMap())
		if err != nil {
			t.Fatal(err)
		}
		p := &networkingv1.NetworkPolicy{}
		if err := yaml.UnmarshalStrict(b, p); err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

func toStruct(t *testing.T, m map[string]any) *structpb.Struct {
	t.Helper()
	s, err := structpb.NewStruct(m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
