package server_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/server"
)

func TestInvalidAdapters(t *testing.T) {
	cases := map[string]struct {
		reason   string
		spec     string
		defaults string
		want     []string
	}{
		"Ports": {
			reason: "ports have 16 bits, and an explicit 0 is not the default",
			spec:   `{adapters: {nfs: {port: 0}, smb: {port: 65536}}}`,
			want: []string{
				`spec.adapters.nfs.port: Invalid value: 0: must be between 1 and 65535`,
				`spec.adapters.smb.port: Invalid value: 65536: must be between 1 and 65535`,
			},
		},
		"OnePort": {
			reason: "two listeners need two ports, and the one that was moved is named",
			spec:   `{adapters: {nfs: {port: 1445}}}`,
			want:   []string{`spec.adapters.nfs.port: Invalid value: 1445: is taken: it is that of the other adapter, spec.adapters.smb.port`},
		},
		"OnePortForBoth": {
			reason:   "the platform's port is called the platform's",
			spec:     `{adapters: {smb: {port: 4000}}}`,
			defaults: `{adapters: {nfs: {port: 4000}}}`,
			want:     []string{`spec.adapters.smb.port: Invalid value: 4000: is taken: it is that of the other adapter, input.defaults.adapters.nfs.port`},
		},
		"PortOfTheAPI": {
			reason: "nor may API and metrics have an adapter's port, be it published or not",
			spec:   `{adapters: {nfs: {port: 8080, enabled: false}, smb: {port: 9090}}, metrics: {enabled: true}}`,
			want: []string{
				`spec.adapters.nfs.port: Invalid value: 8080: is taken: it is that of spec.controlPlane.port`,
				`spec.adapters.smb.port: Invalid value: 9090: is taken: it is that of spec.metrics.port`,
			},
		},
		"PortThatTheAPIIsMovedTo": {
			reason: "whoever moved there is told",
			spec:   `{adapters: {nfs: {port: 8443}}, controlPlane: {port: 8443}}`,
			want:   []string{`spec.controlPlane.port: Invalid value: 8443: is taken: it is that of NFS, spec.adapters.nfs.port`},
		},
		"PortOfTheFirstStart": {
			reason: "a new server listens there, whatever it is told later",
			spec:   `{adapters: {nfs: {port: 2049}}, controlPlane: {port: 12049}}`,
			want:   []string{`spec.controlPlane.port: Invalid value: 12049: is taken: when it first starts, the server listens for NFS on 12049 and for SMB on 1445, whatever spec.adapters says`},
		},
		"Types": {
			reason: "an ExternalName serves nothing, and one error is told once",
			spec:   `{adapterServices: {type: None}, adapters: {nfs: {service: {type: ExternalName}}}}`,
			want: []string{
				`spec.adapterServices.type: Unsupported value: "None": supported values: "ClusterIP", "NodePort", "LoadBalancer"`,
				`spec.adapters.nfs.service.type: Unsupported value: "ExternalName": supported values: "ClusterIP", "NodePort", "LoadBalancer"`,
			},
		},
		"Annotations": {
			reason: "the API server would refuse the whole Service",
			spec:   `{adapterServices: {annotations: {"a b": x}}, adapters: {smb: {service: {annotations: {"c d": x}}}}}`,
			want: []string{
				`spec.adapterServices.annotations: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
				`spec.adapters.smb.service.annotations: Invalid value: "c d": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
			},
		},
		"NoLoadBalancer": {
			reason: "what only a load balancer has needs one",
			spec:   `{adapters: {nfs: {service: {loadBalancerSourceRanges: [10.0.0.0/8, 192.168.0.0/16], loadBalancerClass: a/b, externalTrafficPolicy: Local}}}}`,
			want: []string{
				`spec.adapters.nfs.service.loadBalancerSourceRanges: Invalid value: "10.0.0.0/8,192.168.0.0/16": needs the type LoadBalancer, and it is ClusterIP: set spec.adapters.nfs.service.type, or remove the field`,
				`spec.adapters.nfs.service.loadBalancerClass: Invalid value: "a/b": needs the type LoadBalancer, and it is ClusterIP: set spec.adapters.nfs.service.type, or remove the field`,
				`spec.adapters.nfs.service.externalTrafficPolicy: Invalid value: "Local": needs the type LoadBalancer or NodePort, and it is ClusterIP: set spec.adapters.nfs.service.type, or remove the field`,
			},
		},
		"NodePort": {
			reason: "whose nodes take in anybody",
			spec:   `{adapterServices: {type: NodePort}, adapters: {nfs: {service: {loadBalancerSourceRanges: [10.0.0.0/8], externalTrafficPolicy: Local}}}}`,
			want:   []string{`spec.adapters.nfs.service.loadBalancerSourceRanges: Invalid value: "10.0.0.0/8": needs the type LoadBalancer, and it is NodePort: set spec.adapterServices.type, or remove the field`},
		},
		"PlatformRestricts": {
			reason:   "who publishes a server in another way does not get rid of the platform's restriction",
			spec:     `{adapters: {nfs: {service: {type: NodePort}}}}`,
			defaults: `{adapters: {nfs: {service: {type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/8]}}}}`,
			want:     []string{`input.defaults.adapters.nfs.service.loadBalancerSourceRanges: Invalid value: "10.0.0.0/8": needs the type LoadBalancer, and it is NodePort: set spec.adapters.nfs.service.type, or remove the field`},
		},
		"PlatformContradictsItself": {
			reason:   "a default that no server could have is an error",
			defaults: `{adapters: {nfs: {service: {externalTrafficPolicy: Local}}}}`,
			want:     []string{`input.defaults.adapters.nfs.service.externalTrafficPolicy: Invalid value: "Local": needs the type LoadBalancer or NodePort, and it is ClusterIP: set spec.adapters.nfs.service.type, or remove the field`},
		},
		"Values": {
			reason: "values have a form",
			spec:   `{adapters: {smb: {service: {type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.1, 10.0.0.1/8], loadBalancerClass: "a b", externalTrafficPolicy: local}}}}`,
			want: []string{
				`spec.adapters.smb.service.loadBalancerSourceRanges[0]: Invalid value: "10.0.0.1": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)`,
				`spec.adapters.smb.service.loadBalancerSourceRanges[1]: Invalid value: "10.0.0.1/8": must not have bits set beyond the prefix length`,
				`spec.adapters.smb.service.loadBalancerClass: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
				`spec.adapters.smb.service.externalTrafficPolicy: Unsupported value: "local": supported values: "Cluster", "Local"`,
			},
		},
		"Off": {
			reason: "what is wrong in what is switched off is not told",
			spec:   `{adapters: {smb: {enabled: false, service: {externalTrafficPolicy: Local}}}}`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			spec := tc.spec
			if spec == "" {
				spec = "{}"
			}
			got := messages(call{spec: spec, defaults: tc.defaults}.resolve(t))
			if diff := cmp.Diff(tc.want, got, equateEmpty); diff != "" {
				t.Errorf("%s\nResolve(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestAdapterServices: what is said of one adapter lies above what is said of both,
// and all that the XR says above all that the platform does.
func TestAdapterServices(t *testing.T) {
	const clusterIP, nodePort, loadBalancer = corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer
	cases := map[string]struct {
		reason   string
		spec     string
		defaults string
		nfs, smb server.Exposure
	}{
		"Nothing": {
			reason: "a server is not offered to the world unasked",
			nfs:    server.Exposure{Type: clusterIP}, smb: server.Exposure{Type: clusterIP},
		},
		"Both": {
			reason: "an old manifest says the same of both",
			spec:   `{adapterServices: {type: LoadBalancer, annotations: {a: b}}}`,
			nfs:    server.Exposure{Type: loadBalancer, Annotations: map[string]string{"a": "b"}}, smb: server.Exposure{Type: loadBalancer, Annotations: map[string]string{"a": "b"}},
		},
		"One": {
			reason: "what is said of one is said of it alone, and the annotations are those of both",
			spec:   `{adapterServices: {type: LoadBalancer, annotations: {a: b, c: d}}, adapters: {smb: {service: {type: NodePort, annotations: {c: smb}, externalTrafficPolicy: Local}}}}`,
			nfs:    server.Exposure{Type: loadBalancer, Annotations: map[string]string{"a": "b", "c": "d"}},
			smb:    server.Exposure{Type: nodePort, Annotations: map[string]string{"a": "b", "c": "smb"}, ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal},
		},
		"Platform": {
			reason:   "the XR's own word for both wins over the platform's for one",
			spec:     `{adapterServices: {type: ClusterIP, annotations: {a: xr}}}`,
			defaults: `{adapterServices: {annotations: {b: both}}, adapters: {nfs: {service: {type: LoadBalancer, annotations: {a: nfs, c: nfs}}}}}`,
			nfs:      server.Exposure{Type: clusterIP, Annotations: map[string]string{"a": "xr", "b": "both", "c": "nfs"}},
			smb:      server.Exposure{Type: clusterIP, Annotations: map[string]string{"a": "xr", "b": "both"}},
		},
		"EmptyText": {
			reason: "a text that is empty is as if it were not there",
			spec:   `{adapterServices: {type: NodePort}, adapters: {nfs: {service: {type: ""}}}}`,
			nfs:    server.Exposure{Type: nodePort}, smb: server.Exposure{Type: nodePort},
		},
		"Private": {
			reason:   "the platform's defaults for load balancers do not keep a server from being private",
			spec:     `{adapters: {nfs: {service: {type: ClusterIP}}}}`,
			defaults: `{adapters: {nfs: {service: {type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/8], loadBalancerClass: a/b, externalTrafficPolicy: Local}}}}`,
			nfs:      server.Exposure{Type: clusterIP}, smb: server.Exposure{Type: clusterIP},
		},
		"All": {
			reason: "everything that a load balancer has",
			spec:   `{adapters: {smb: {service: {type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/8], loadBalancerClass: a/b, externalTrafficPolicy: Cluster}}}}`,
			nfs:    server.Exposure{Type: clusterIP},
			smb:    server.Exposure{Type: loadBalancer, SourceRanges: []string{"10.0.0.0/8"}, LoadBalancerClass: "a/b", ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyCluster},
		},
		"Off": {
			reason: "what is not published has no Service",
			spec:   `{adapterServices: {type: NodePort}, adapters: {smb: {enabled: false}}}`,
			nfs:    server.Exposure{Type: nodePort},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			spec := tc.spec
			if spec == "" {
				spec = "{}"
			}
			res := call{spec: spec, defaults: tc.defaults}.resolve(t)
			if len(res.Errors) > 0 {
				t.Fatal(messages(res))
			}
			if diff := cmp.Diff(tc.nfs, res.Server.NFS.Service); diff != "" {
				t.Errorf("%s\nNFS: -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.smb, res.Server.SMB.Service); diff != "" {
				t.Errorf("%s\nSMB: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestAdaptersOfTheServer: the server has its adapters in its database, and has to be
// told by the person.
func TestAdaptersOfTheServer(t *testing.T) {
	cases := map[string]struct {
		reason   string
		spec     string
		defaults string
		want     []string
	}{
		"Defaults": {reason: "a server starts on its own ports", spec: `{adapters: {nfs: {enabled: true, port: 12049}, smb: {port: 1445}}}`},
		"Port": {
			reason: "the very command that moves the adapter",
			spec:   `{adapters: {nfs: {port: 2049}}}`,
			want:   []string{"spec.adapters.nfs.port: the Service leads to 2049, and the server listens on 12049 until it is told. Tell it, unless that is done: dfsctl adapter edit nfs --port 2049"},
		},
		"PortOfThePlatform": {
			reason:   "whoever has chosen it",
			defaults: `{adapters: {smb: {port: 4450}}}`,
			want:     []string{"input.defaults.adapters.smb.port: the Service leads to 4450, and the server listens on 1445 until it is told. Tell it, unless that is done: dfsctl adapter edit smb --port 4450"},
		},
		"Privileged": {
			reason: "the server does not run as root",
			spec:   `{adapters: {smb: {port: 445}}}`,
			want: []string{
				"spec.adapters.smb.port: the Service leads to 445, and the server listens on 1445 until it is told. Tell it, unless that is done: dfsctl adapter edit smb --port 445",
				"spec.adapters.smb.port: 445 is a privileged port, and the server does not run as root; where the container runtime does not allow it, the adapter cannot listen",
			},
		},
		"Off": {
			reason: "the very command that ends it",
			spec:   `{adapters: {smb: {enabled: false, port: 445}}}`,
			want:   []string{"spec.adapters.smb.enabled: false takes away the Service, and the server goes on listening. Tell it too, unless that is done: dfsctl adapter disable smb"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			spec := tc.spec
			if spec == "" {
				spec = "{}"
			}
			res := call{spec: spec, defaults: tc.defaults}.resolve(t)
			if diff := cmp.Diff(tc.want, res.Warnings); diff != "" || len(res.Errors) > 0 {
				t.Errorf("%s\nWarnings: errors %v, -want, +got:\n%s", tc.reason, messages(res), diff)
			}
		})
	}
}

// TestLoadBalancerClass guards that a class that cannot be changed is not: the API
// server would refuse the Service, and with it every other change.
func TestLoadBalancerClass(t *testing.T) {
	spec := func(typ, class string) string {
		if class != "" {
			class = ", loadBalancerClass: " + class
		}
		return onSQLite + ", adapters: {nfs: {service: {type: " + typ + class + "}}}"
	}
	const fixed = ": the class of a load balancer cannot be changed. Set the field back, or delete the Service, which is made again with another address: kubectl -n default delete service files-adapter-nfs"
	cases := map[string]struct {
		reason string
		// specs are applied one after the other.
		specs []string
		// live is a class that something in the cluster has set, after the first of them.
		live string
		held string
		want any
	}{
		"Set":         {reason: "a Service that becomes a load balancer gets its class", specs: []string{spec("ClusterIP", ""), spec("LoadBalancer", "a/b")}, want: "a/b"},
		"Unchanged":   {reason: "and keeps it", specs: []string{spec("LoadBalancer", "a/b"), spec("LoadBalancer", "a/b")}, want: "a/b"},
		"Changed":     {reason: "not another", specs: []string{spec("LoadBalancer", "a/b"), spec("LoadBalancer", "c/d")}, held: "spec.adapters.nfs.service.loadBalancerClass: c/d is held at a/b" + fixed, want: "a/b"},
		"Added":       {reason: "not one where there was none", specs: []string{spec("LoadBalancer", ""), spec("LoadBalancer", "a/b")}, held: "spec.adapters.nfs.service.loadBalancerClass: a/b is held at no class" + fixed},
		"Removed":     {reason: "nor none where there was one", specs: []string{spec("LoadBalancer", "a/b"), spec("LoadBalancer", "")}, held: "spec.adapters.nfs.service.loadBalancerClass: its removal is held at a/b" + fixed, want: "a/b"},
		"Back":        {reason: "the field set back holds nothing", specs: []string{spec("LoadBalancer", "a/b"), spec("LoadBalancer", "c/d"), spec("LoadBalancer", "a/b")}, want: "a/b"},
		"AnotherType": {reason: "what is no load balancer any more has no class", specs: []string{spec("LoadBalancer", "a/b"), spec("NodePort", "")}},
		"AndBack":     {reason: "and may get another", specs: []string{spec("LoadBalancer", "a/b"), spec("NodePort", ""), spec("LoadBalancer", "c/d")}, want: "c/d"},
		"Theirs":      {reason: "what a controller in the cluster has set is not ours to hold or to send", specs: []string{spec("LoadBalancer", ""), spec("LoadBalancer", "")}, live: "cloud/nlb"},
		"TheirsHeld":  {reason: "whoever takes the field out again asks for nothing", specs: []string{spec("LoadBalancer", ""), spec("LoadBalancer", "a/b"), spec("LoadBalancer", "")}, live: "cloud/nlb"},
		"TheirsAsked": {reason: "and may be asked for", specs: []string{spec("LoadBalancer", ""), spec("LoadBalancer", "cloud/nlb")}, live: "cloud/nlb", want: "cloud/nlb"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t)
			var res server.Resolution
			for i, s := range tc.specs {
				res = h.reconcile(s)
				if i == 0 && tc.live != "" {
					h.set(names.NFS, tc.live, "spec", "loadBalancerClass")
				}
			}
			var held []string
			if tc.held != "" {
				held = append(held, tc.held)
			}
			wantHeld(t, tc.reason, res, held...)
			if got := h.get(names.NFS, "spec", "loadBalancerClass"); got != tc.want {
				t.Errorf("%s: want class %v, got %v", tc.reason, tc.want, got)
			}
			if tc.held != "" {
				last := tc.specs[len(tc.specs)-1]
				wantHeld(t, "it stays held", h.reconcile(last), tc.held)
				delete(h.live, names.NFS)
				wantHeld(t, "it is let through when the Service is made again", h.apply(last))
			}
		})
	}
}
