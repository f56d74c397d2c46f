package server_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/internal/certtest"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
)

const (
	ldapWith = `identity: {ldap: {enabled: true, url: "ldaps://dc.example.com", baseDN: "DC=example,DC=com", bindDN: cn=d'arc, bindPasswordSecretRef: {name: bind, key: p}`
	ldapOn   = ldapWith + `}}`
	ldapOff  = `identity: {ldap: {enabled: false}}`
	// setLDAP is the command that gives the server what ldapOn says, up to the URL's host.
	setLDAP = `dfsctl identity-provider set ldap --config '{"allow_plaintext":false,"base_dn":"DC=example,DC=com","bind_dn":"cn=d'\''arc","enabled":true,"idmap":"rfc2307","nested_groups":false,"start_tls":false,"tls":{"insecure_skip_verify":false},"url":"ldaps://`
)

// TestSecretsOfLDAP guards that a Secret with which the pod could not start leaves
// the pod as it is, and that mending it is enough.
func TestSecretsOfLDAP(t *testing.T) {
	cert, _ := certtest.Pair("ca")
	withCA := ldapWith + `, caCertSecretRef: {name: ca}}}`
	cases := map[string]struct {
		reason       string
		start, edit  string
		name, secret string
		mended       string
		held         string
	}{
		"Missing": {
			reason: "the pod would not start", edit: strings.Replace(ldapOn, "bind,", "other,", 1), name: "other",
			mended: secretYAML("other", map[string]string{"p": "x"}),
			held:   "spec.identity.ldap.bindPasswordSecretRef: Secret other does not exist in namespace default. The server goes on without LDAP until that is mended",
		},
		"Empty": {
			reason: "nor without a password", edit: strings.Replace(ldapOn, "bind,", "other,", 1), name: "other", secret: secretYAML("other", map[string]string{"p": ""}),
			mended: secretYAML("other", map[string]string{"p": "x"}),
			held:   "spec.identity.ldap.bindPasswordSecretRef: Secret other has no key p. The server goes on without LDAP until that is mended",
		},
		"Changed": {
			reason: "nor does it lose the one that it has", start: ldapOn, edit: strings.Replace(ldapOn, "bind,", "other,", 1), name: "other", secret: secretYAML("other", map[string]string{"p": "\xff"}),
			mended: secretYAML("other", map[string]string{"p": "x"}),
			held:   "spec.identity.ldap.bindPasswordSecretRef: the key p of Secret other has bytes that are no text. The server goes on with Secret bind until that is mended",
		},
		"CAMissing": {
			reason: "nor does it start with authorities that are not there", start: ldapOn, edit: withCA, name: "ca",
			mended: secretYAML("ca", map[string]string{"ca.crt": cert}),
			held:   "spec.identity.ldap.caCertSecretRef: Secret ca does not exist in namespace default. The server goes on without it until that is mended",
		},
		"CANoPEM": {
			reason: "or that are none", start: ldapOn, edit: withCA, name: "ca", secret: secretYAML("ca", map[string]string{"ca.crt": "MII"}),
			mended: secretYAML("ca", map[string]string{"ca.crt": cert}),
			held:   "spec.identity.ldap.caCertSecretRef: the key ca.crt of Secret ca has no certificate in PEM. The server goes on without it until that is mended",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t)
			h.others["Secret/bind"] = secretYAML("bind", map[string]string{"p": "x"})
			h.started(tc.start)
			pod := h.get(names.Server, "spec", "template")
			h.others["Secret/"+tc.name] = tc.secret
			wantHeld(t, tc.reason, h.apply(tc.edit), tc.held)
			wantHeld(t, tc.reason+": twice", h.apply(tc.edit), tc.held)
			if diff := cmp.Diff(pod, h.get(names.Server, "spec", "template")); diff != "" {
				t.Errorf("%s: want the pod as it was: -want, +got:\n%s", tc.reason, diff)
			}
			h.others["Secret/"+tc.name] = tc.mended
			wantHeld(t, tc.reason+": mended", h.apply(tc.edit))
			if cmp.Equal(pod, h.get(names.Server, "spec", "template")) {
				t.Errorf("%s: mended: want the edit applied", tc.reason)
			}
		})
	}
}

// TestLDAPThatTheServerTook guards that what the server does not take from its file
// any more is told, with the command that changes it, and nothing else is.
func TestLDAPThatTheServerTook(t *testing.T) {
	const (
		changed = "spec.identity.ldap: has changed since the server first started with it, and the server goes on with the copy that it has kept. Change that as well: " + setLDAP
		off     = `spec.identity.ldap: is off, and the server goes on with LDAP: it has kept a copy of its configuration since it first started with it. Switch it off there as well: dfsctl identity-provider set ldap --config '{"enabled":false}'`
	)
	elsewhere := strings.Replace(ldapOn, "dc.example.com", "dc2.example.com", 1)
	begun := func(t *testing.T, spec string) *history {
		t.Helper()
		h := newHistory(t)
		h.others["Secret/bind"], h.others["Secret/other"] = secretYAML("bind", map[string]string{"p": "x"}), secretYAML("other", map[string]string{"p": "x"})
		h.started(spec)
		return h
	}
	t.Run("Edited", func(t *testing.T) {
		h := begun(t, ldapOn)
		wantWarned(t, "it took what is asked for", h.apply(ldapOn))
		wantWarned(t, "it has another URL", h.apply(elsewhere), changed+`dc2.example.com","user_attr":"sAMAccountName"}'`)
		wantWarned(t, "back again", h.apply(ldapOn))
		wantWarned(t, "the password is not a part of it", h.apply(strings.Replace(ldapOn, "bind,", "other,", 1)))
		wantWarned(t, "off", h.apply(ldapOff), off)
		wantWarned(t, "and not said at all", h.apply(onSQLite), off)
		if got := h.env(names.EnvLDAPBindPassword); got != "" {
			t.Errorf("off: want no password in the pod, got %s", got)
		}
		wantWarned(t, "on as it was", h.apply(ldapOn))
	})
	t.Run("BeforeTheFirstStart", func(t *testing.T) {
		h := begun(t, onSQLite)
		h.live[names.Server]["status"] = map[string]any{"replicas": 1.0, "readyReplicas": 1.0, "updatedReplicas": 0.0}
		h.apply(ldapOn)
		wantWarned(t, "the pod that runs has no LDAP yet", h.apply(elsewhere))
		wantWarned(t, "nor has it ever had", h.apply(onSQLite))
		if got := h.record().Server.LDAP; got != nil {
			t.Errorf("want nothing remembered, got %v", got)
		}
	})
	t.Run("AddedLater", func(t *testing.T) {
		h := begun(t, onSQLite)
		h.apply(ldapOn)
		wantWarned(t, "the server took it when it was added", h.apply(elsewhere), changed+`dc2.example.com","user_attr":"sAMAccountName"}'`)
	})
	t.Run("AnotherDatabase", func(t *testing.T) {
		h := begun(t, ldapOn)
		h.others["Secret/corp"] = secretYAML("corp", map[string]string{"host": "h", "database": "d", "user": "u", "password": "p"})
		moved := `, database: {postgresSecretRef: {name: corp, key: x}, confirmSwitch: external}`
		h.apply(elsewhere + moved)
		for _, w := range h.apply(elsewhere + moved).Warnings {
			if strings.Contains(w, "ldap") {
				t.Errorf("it reads its file on the new database: want nothing of LDAP, got %s", w)
			}
		}
	})
	t.Run("TakenOver", func(t *testing.T) {
		env := wiredToSQLite + `, {name: DITTOFS_LDAP_BIND_PASSWORD, valueFrom: {secretKeyRef: {name: theirs, key: k}}}`
		c := call{spec: braced(ldapOn), composed: map[string]string{"server": liveServer(env, metadataClaim+","+controlClaim)}}
		res := c.resolve(t)
		if got := res.Server.LDAP.BindPassword; got != (record.SecretKey{Name: "theirs", Key: "k"}) {
			t.Errorf("the Secret of the spec does not exist: want the operator's, got %v", got)
		}
		if p := res.Server.Record.Server.LDAP; p == nil || p.Taken != p.Asked {
			t.Errorf("nobody knows what the server took: want it to be what is asked for, got %v", p)
		}
		c.spec = `{}`
		wantWarned(t, "it took something", c.resolve(t), off)
	})
}

// TestFrozenByLDAP guards that a Secret of LDAP's that vanishes keeps a server that
// runs from being replaced.
func TestFrozenByLDAP(t *testing.T) {
	h := newHistory(t)
	h.others["Secret/bind"] = secretYAML("bind", map[string]string{"p": "x"})
	h.started(ldapOn)
	h.others["Secret/bind"] = ""
	res := h.apply(ldapOn + `, logging: {level: DEBUG}`)
	wantWarned(t, "the server does not start without a password", res, "spec.identity.ldap.bindPasswordSecretRef: Secret bind does not exist in namespace default, and the server cannot start without it; create it")
	if !res.Server.Frozen {
		t.Error("want the pod kept")
	}
	if h.apply(ldapOff).Server.Frozen {
		t.Error("LDAP is off, and needs no password: want the pod replaced")
	}
}

// TestLDAP is what is decided of LDAP.
func TestLDAP(t *testing.T) {
	res := call{
		spec:    `{identity: {ldap: {enabled: true, url: " ldap://dc", startTLS: true, baseDN: b, bindDN: c, userAttr: uid, realm: R, idmap: rid, nestedGroups: true, caCertFile: /x, bindPasswordSecretRef: {name: s, key: k}, caCertSecretRef: {name: t}}}}`,
		answers: map[string]string{"Secret/s": secretYAML("s", map[string]string{"k": "p"}), "Secret/t": certSecret("t")},
	}.resolve(t)
	want := server.LDAP{
		Enabled: true, URL: "ldap://dc", StartTLS: true, BaseDN: "b", BindDN: "c", UserAttr: "uid", Realm: "R", Idmap: "rid", NestedGroups: true,
		CACertFile: "/x", BindPassword: record.SecretKey{Name: "s", Key: "k"}, CA: record.SecretKey{Name: "t", Key: "ca.crt"},
	}
	if diff := cmp.Diff(want, res.Server.LDAP); diff != "" {
		t.Errorf("LDAP: -want, +got:\n%s", diff)
	}
	wantWarned(t, "nothing is wrong", res)
	res = call{
		spec:    `{identity: {ldap: {enabled: true, url: "ldap://dc", allowPlaintext: true, insecureSkipVerify: true, baseDN: b, bindDN: c, bindPasswordSecretRef: {name: s, key: k}}}}`,
		answers: map[string]string{"Secret/s": secretYAML("s", map[string]string{"k": "p"})},
	}.resolve(t)
	wantWarned(t, "what is unsafe is told", res, "allowPlaintext: the password of c is sent unencrypted", "insecureSkipVerify: whoever can stand in for the directory decides who a user is")
}
