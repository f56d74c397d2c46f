package server_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/internal/certtest"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// certSecret returns a Secret as cert-manager writes it.
func certSecret(name string) string {
	cert, key := certtest.Pair(name)
	return secretYAML(name, map[string]string{"tls.crt": cert, "tls.key": key, "ca.crt": cert})
}

// tornSecret returns a Secret whose certificate was renewed before its key.
func tornSecret(name string) string {
	cert, _ := certtest.Pair(name + " renewed")
	_, key := certtest.Pair(name)
	return secretYAML(name, map[string]string{"tls.crt": cert, "tls.key": key, "ca.crt": cert})
}

// TestTLSOfALiveServer guards that a certificate with which the pod could not start
// leaves the pod as it is, and that mending it is enough.
func TestTLSOfALiveServer(t *testing.T) {
	cert, key := certtest.Pair("api")
	const (
		plain  = `controlPlane: {port: 8080}`
		served = `controlPlane: {certSecretName: first}`
		mutual = `controlPlane: {certSecretName: first, clientCASecretName: first}`
		edit   = `controlPlane: {certSecretName: api}`
	)
	cases := map[string]struct {
		reason string
		start  string
		edit   string
		// secret is the Secret api as it is at first; empty if it does not exist.
		secret string
		held   string
		want   server.TLS
	}{
		"Missing": {
			reason: "the pod would not start", start: plain, edit: edit,
			held: "spec.controlPlane.certSecretName: Secret api does not exist in namespace default. The server goes on without TLS until that is mended",
		},
		"WithoutKey": {
			reason: "nor with half a Secret", start: plain, edit: edit, secret: secretYAML("api", map[string]string{"tls.crt": cert}),
			held: "spec.controlPlane.certSecretName: Secret api has no key tls.key. The server goes on without TLS until that is mended",
		},
		"Empty": {
			reason: "as cert-manager may make it before it has a certificate", start: plain, edit: edit, secret: secretYAML("api", map[string]string{"tls.crt": "", "tls.key": key}),
			held: "spec.controlPlane.certSecretName: Secret api has no key tls.crt. The server goes on without TLS until that is mended",
		},
		"NoPEM": {
			reason: "nor with anything but PEM", start: plain, edit: edit, secret: secretYAML("api", map[string]string{"tls.crt": cert, "tls.key": "MIIEvg"}),
			held: "spec.controlPlane.certSecretName: tls.crt and tls.key of Secret api are not a certificate and the key that belongs to it, in PEM. The server goes on without TLS until that is mended",
		},
		"Torn": {
			reason: "nor with a key of another certificate", start: served, edit: edit, secret: tornSecret("api"),
			held: "spec.controlPlane.certSecretName: tls.crt and tls.key of Secret api are not a certificate and the key that belongs to it, in PEM. The server goes on with Secret first until that is mended",
			want: server.TLS{Cert: "first"},
		},
		"NoBytesOfText": {
			reason: "nor with a garbled one, and what else is asked for stays", start: mutual, edit: `controlPlane: {tls: true, certSecretName: api, clientCASecretName: first}`, secret: secretYAML("api", map[string]string{"tls.crt": "\xff", "tls.key": key}),
			held: "spec.controlPlane.certSecretName: the key tls.crt of Secret api has bytes that are no text. The server goes on with Secret first until that is mended",
			want: server.TLS{InFront: true, Cert: "first", ClientCA: "first"},
		},
		"MutualMissing": {
			reason: "it cannot ask for certificates without one", start: plain, edit: `controlPlane: {certSecretName: api, clientCASecretName: api}`,
			held: "spec.controlPlane.certSecretName: Secret api does not exist in namespace default. The server goes on without TLS until that is mended",
		},
		"ClientCAMissing": {
			reason: "a certificate is served, and clients need none yet", start: plain, edit: `controlPlane: {certSecretName: first, clientCASecretName: api}`,
			held: "spec.controlPlane.clientCASecretName: Secret api does not exist in namespace default. Clients need no certificate until that is mended",
			want: server.TLS{Cert: "first"},
		},
		"ClientCAWithoutKey": {
			reason: "mutual TLS is not lost", start: mutual, edit: `controlPlane: {certSecretName: first, clientCASecretName: api}`, secret: secretYAML("api", map[string]string{"tls.crt": cert, "tls.key": key}),
			held: "spec.controlPlane.clientCASecretName: Secret api has no key ca.crt. The server goes on with Secret first until that is mended",
			want: server.TLS{Cert: "first", ClientCA: "first"},
		},
		"ClientCANoPEM": {
			reason: "nor with a Secret without a certificate", start: mutual, edit: `controlPlane: {certSecretName: first, clientCASecretName: api}`, secret: secretYAML("api", map[string]string{"ca.crt": key}),
			held: "spec.controlPlane.clientCASecretName: the key ca.crt of Secret api has no certificate in PEM. The server goes on with Secret first until that is mended",
			want: server.TLS{Cert: "first", ClientCA: "first"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t)
			h.others["Secret/first"] = certSecret("first")
			h.started(tc.start)
			pod := h.get(names.Server, "spec", "template")
			h.others["Secret/api"] = tc.secret
			res := h.apply(tc.edit)
			wantHeld(t, tc.reason, res, tc.held)
			wantWarned(t, tc.reason, res)
			if diff := cmp.Diff(tc.want, res.Server.TLS); diff != "" {
				t.Errorf("%s: TLS: -want, +got:\n%s", tc.reason, diff)
			}
			if name != "ClientCAMissing" {
				if diff := cmp.Diff(pod, h.get(names.Server, "spec", "template")); diff != "" {
					t.Errorf("%s: want the pod as it was: -want, +got:\n%s", tc.reason, diff)
				}
			}
			h.others["Secret/api"] = certSecret("api")
			wantHeld(t, tc.reason+": mended", h.apply(tc.edit))
			if cmp.Equal(pod, h.get(names.Server, "spec", "template")) {
				t.Errorf("%s: mended: want the edit applied", tc.reason)
			}
			wantHeld(t, tc.reason+": undone", h.apply(plain))
			if got := h.record().Server.TLS; got != nil {
				t.Errorf("%s: undone: want nothing remembered, got %v", tc.reason, got)
			}
		})
	}
}

// TestTLSOfANewServer: what the pod waits for is told.
func TestTLSOfANewServer(t *testing.T) {
	res := call{
		spec:    `{controlPlane: {certSecretName: api, clientCASecretName: ca}}`,
		answers: map[string]string{"Secret/api": tornSecret("api")},
	}.resolve(t)
	wantHeld(t, "there is nothing to go on with", res)
	wantWarned(t, "everything is told", res,
		"spec.controlPlane.certSecretName: tls.crt and tls.key of Secret api are not a certificate and the key that belongs to it, in PEM, and the server cannot start with them; correct them",
		"spec.controlPlane.clientCASecretName: Secret ca does not exist in namespace default, and the server cannot start without it; create it",
	)
	if diff := cmp.Diff(server.TLS{Cert: "api", ClientCA: "ca"}, res.Server.TLS); diff != "" {
		t.Errorf("TLS: -want, +got:\n%s", diff)
	}
}

// TestTLSOfATakenOverServer: a pod that the DittoFS operator made tells what it
// serves with.
func TestTLSOfATakenOverServer(t *testing.T) {
	sts := `{metadata: {name: files}, spec: {template: {spec: {containers: [{name: dittofs, env: []}], volumes: [{name: tls-cert, secret: {secretName: theirs}}, {name: tls-client-ca, secret: {secretName: ca}}]}}}}`
	res := call{
		spec:     `{controlPlane: {certSecretName: missing, clientCASecretName: missing}}`,
		composed: map[string]string{"server": sts},
		answers:  map[string]string{"Secret/theirs": certSecret("theirs"), "Secret/ca": certSecret("ca")},
	}.resolve(t)
	if diff := cmp.Diff(server.TLS{Cert: "theirs", ClientCA: "ca"}, res.Server.TLS); diff != "" {
		t.Errorf("TLS: -want, +got:\n%s", diff)
	}
	if diff := cmp.Diff(&record.TLS{Cert: "theirs", ClientCA: "ca"}, res.Server.Record.Server.TLS); diff != "" {
		t.Errorf("Record: -want, +got:\n%s", diff)
	}
}

// TestFrozenByTLS guards that a certificate that goes missing, or is renewed by
// halves, keeps a server that runs from being replaced, and that a renewed one
// changes nothing.
func TestFrozenByTLS(t *testing.T) {
	const mine = `controlPlane: {certSecretName: api, clientCASecretName: ca}`
	cases := map[string]struct {
		reason       string
		name, secret string
		frozen       bool
	}{
		"Whole": {reason: "nothing is missing", name: "api", secret: certSecret("api")},
		"Renewed": {reason: "the server reads it by itself", name: "api", secret: func() string {
			c, k := certtest.Pair("x")
			return secretYAML("api", map[string]string{"tls.crt": c, "tls.key": k})
		}()},
		"Missing":      {reason: "a new pod would wait for it", name: "api", frozen: true},
		"Torn":         {reason: "a new pod would not start", name: "api", secret: tornSecret("api"), frozen: true},
		"CAMissing":    {reason: "the same for the authorities", name: "ca", frozen: true},
		"CAWithoutPEM": {reason: "which have to be some", name: "ca", secret: secretYAML("ca", map[string]string{"ca.crt": "none"}), frozen: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t)
			h.others["Secret/api"], h.others["Secret/ca"] = certSecret("api"), certSecret("ca")
			h.started(mine)
			pod := h.get(names.Server, "spec", "template")
			h.others["Secret/"+tc.name] = tc.secret
			res := h.apply(mine)
			wantHeld(t, tc.reason, res)
			if got := res.Server.Frozen; got != tc.frozen {
				t.Errorf("%s: want frozen %t, got %t", tc.reason, tc.frozen, got)
			}
			if got := len(res.Warnings) == 1; got != tc.frozen {
				t.Errorf("%s: want it told: %t, got %q", tc.reason, tc.frozen, res.Warnings)
			}
			if same := cmp.Equal(pod, h.get(names.Server, "spec", "template")); !same && !tc.frozen {
				t.Errorf("%s: want the pod as it was", tc.reason)
			}
			if !h.apply(mine+`, logging: {level: DEBUG}`).Server.Frozen && tc.frozen {
				t.Errorf("%s: want the pod kept whatever is edited", tc.reason)
			}
		})
	}
}

// TestProbesOfSomebodyElse guards that a StatefulSet with the DittoFS operator's probes
// is not sent others beside them, which the API server refuses.
func TestProbesOfSomebodyElse(t *testing.T) {
	live := func(manager, handler, volumes string) string {
		return `{metadata: {name: files, managedFields: [{manager: ` + manager + `, operation: Update, fieldsV1: {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"dittofs"}': {"f:livenessProbe": {"f:` + handler + `": {}}}}}}}}}]},
			spec: {template: {spec: {containers: [{name: dittofs, env: [], livenessProbe: {` + handler + `: {port: 8080}}}], volumes: [` + volumes + `]}}}}`
	}
	const served, mutual = `{name: tls-cert, secret: {secretName: api}}`, `{name: tls-cert, secret: {secretName: api}}, {name: tls-client-ca, secret: {secretName: api}}`
	const operator, crossplane = "manager", "apiextensions.crossplane.io/composed/x"
	cases := map[string]struct {
		reason, spec, live string
		held               bool
		want               server.TLS
	}{
		"ToMutual":   {reason: "its probes ask over http", spec: `{controlPlane: {certSecretName: api, clientCASecretName: api}}`, live: live(operator, "httpGet", served), held: true, want: server.TLS{Cert: "api"}},
		"FromMutual": {reason: "its probes only connect", spec: `{controlPlane: {certSecretName: api}}`, live: live(operator, "tcpSocket", mutual), held: true, want: server.TLS{Cert: "api", ClientCA: "api"}},
		"Plain":      {reason: "the scheme of a probe can be changed", spec: `{}`, live: live(operator, "httpGet", served)},
		"Mutual":     {reason: "as they are", spec: `{controlPlane: {certSecretName: api, clientCASecretName: api}}`, live: live(operator, "tcpSocket", mutual), want: server.TLS{Cert: "api", ClientCA: "api"}},
		"Ours":       {reason: "our own are replaced", spec: `{controlPlane: {certSecretName: api, clientCASecretName: api}}`, live: live(crossplane, "httpGet", served), want: server.TLS{Cert: "api", ClientCA: "api"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			res := call{spec: tc.spec, composed: map[string]string{"server": tc.live}, answers: map[string]string{"Secret/api": certSecret("api")}}.resolve(t)
			if diff := cmp.Diff(tc.want, res.Server.TLS); diff != "" {
				t.Errorf("%s: TLS: -want, +got:\n%s", tc.reason, diff)
			}
			var want []string
			if tc.held {
				want = append(want, "spec.controlPlane.clientCASecretName: StatefulSet files has probes that somebody else made")
			}
			wantHeld(t, tc.reason, res, want...)
		})
	}
}
