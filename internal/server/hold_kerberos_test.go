package server_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/internal/certtest"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
)

const (
	kerberosWith = `identity: {kerberos: {enabled: true, servicePrincipal: nfs/files.example.com@EXAMPLE.COM, keytabSecretRef: {name: keytab, key: k}`
	kerberosOn   = kerberosWith + `}}`
	kerberosOff  = `identity: {kerberos: {enabled: false}}`
	// changedKerberos and stillKerberos begin what is told of what the server took.
	changedKerberos = "spec.identity.kerberos: has changed since the server first started with it, and the server goes on with the copy that it has kept, but for the files. Change that as well: dfsctl identity-provider set kerberos --config '"
	restart         = ", and restart it: kubectl -n default rollout restart statefulset files"
	stillKerberos   = `spec.identity.kerberos: is off, and the server goes on with Kerberos: it has kept a copy of its configuration since it first started with it. Its keytab stays mounted, since it does not start without. Switch it off there as well: dfsctl identity-provider set kerberos --config '{"enabled":false}'` + restart + ". Then set spec.identity.kerberos.switchedOff to true"
)

func keytabSecret(name string) string {
	return secretYAML(name, map[string]string{"k": certtest.Keytab(name)})
}

// volumes returns the Secrets that the pod mounts: SECRET/KEY by file.
func (h *history) volumes() map[string]string {
	out := map[string]string{}
	for _, v := range observed.FromStruct(toStruct(h.t, h.live[names.Server])).List("spec", "template", "spec", "volumes") {
		for _, i := range v.List("secret", "items") {
			out[i.String("path")] = v.String("secret", "secretName") + "/" + i.String("key")
		}
	}
	return out
}

// TestSecretsOfKerberos guards that a Secret with which the pod could not start leaves
// the pod as it is, and that mending it is enough.
func TestSecretsOfKerberos(t *testing.T) {
	whole := certtest.Keytab("other")
	other := strings.Replace(kerberosOn, "name: keytab", "name: other", 1)
	missing := func(ref, so string) string {
		return "spec.identity.kerberos." + ref + ": Secret other does not exist in namespace default. The server goes on " + so + " until that is mended"
	}
	noKeytab := "spec.identity.kerberos.keytabSecretRef: the key k of Secret other is no keytab, or half of one. The server goes on with Secret keytab until that is mended"
	cases := map[string]struct {
		reason      string
		start, edit string
		secret      string
		mended      string
		held        string
	}{
		"Missing":  {reason: "the pod would not start", edit: other, mended: keytabSecret("other"), held: missing("keytabSecretRef", "without Kerberos")},
		"Changed":  {reason: "nor does it lose the one that it has", start: kerberosOn, edit: other, mended: keytabSecret("other"), held: missing("keytabSecretRef", "with Secret keytab")},
		"NoKeytab": {reason: "nor is it one that the server cannot read", start: kerberosOn, edit: other, secret: secretYAML("other", map[string]string{"k": "a text"}), mended: keytabSecret("other"), held: noKeytab},
		"Half":     {reason: "or half of one", start: kerberosOn, edit: other, secret: secretYAML("other", map[string]string{"k": whole[:len(whole)/2]}), mended: keytabSecret("other"), held: noKeytab},
		"Header":   {reason: "or one without entries", start: kerberosOn, edit: other, secret: secretYAML("other", map[string]string{"k": whole[:2]}), mended: keytabSecret("other"), held: noKeytab},
		"Krb5Conf": {
			reason: "nor a configuration that is not there", start: kerberosOn, edit: kerberosWith + `, krb5ConfSecretRef: {name: other}}}`,
			mended: secretYAML("other", map[string]string{"krb5.conf": "[libdefaults]\n"}), held: missing("krb5ConfSecretRef", "without it"),
		},
		"MachineAccount": {
			reason: "nor a password that is not there", start: kerberosOn, edit: kerberosWith + `, netbiosDomain: X, machineAccount: {enabled: true, accountName: A$, secretRef: {name: other, key: p}}}}`,
			mended: secretYAML("other", map[string]string{"p": "x"}), held: missing("machineAccount.secretRef", "without it"),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t)
			h.others["Secret/keytab"], h.others["Secret/other"] = keytabSecret("keytab"), tc.secret
			h.started(tc.start)
			mounted := h.volumes()
			wantHeld(t, tc.reason, h.apply(tc.edit), tc.held)
			wantHeld(t, tc.reason+": twice", h.apply(tc.edit), tc.held)
			if diff := cmp.Diff(mounted, h.volumes()); diff != "" {
				t.Errorf("%s: want the Secrets that the pod had: -want, +got:\n%s", tc.reason, diff)
			}
			if got := h.env(names.EnvMachineSecret); got != "" {
				t.Errorf("%s: want no password in the pod, got %s", tc.reason, got)
			}
			h.others["Secret/other"] = tc.mended
			wantHeld(t, tc.reason+": mended", h.apply(tc.edit))
			if used := h.env(names.EnvMachineSecret) + strings.Join(mapValues(h.volumes()), " "); !strings.Contains(used, "other/") {
				t.Errorf("%s: mended: want the edit applied, got %s", tc.reason, used)
			}
		})
	}
}

func mapValues(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for _, v := range m {
		out = append(out, v)
	}
	return out
}

// TestKerberosThatTheServerTook guards that a server that goes on with Kerberos keeps
// its keytab until somebody says that it is switched off there too.
func TestKerberosThatTheServerTook(t *testing.T) {
	begun := func(t *testing.T, spec string) *history {
		t.Helper()
		h := newHistory(t)
		h.others["Secret/keytab"], h.others["Secret/other"] = keytabSecret("keytab"), keytabSecret("other")
		h.others["Secret/conf"] = secretYAML("conf", map[string]string{"krb5.conf": "[libdefaults]\n"})
		h.started(spec)
		return h
	}
	mounted := map[string]string{"dittofs.keytab": "keytab/k"}
	t.Run("Edited", func(t *testing.T) {
		h := begun(t, kerberosOn)
		wantWarned(t, "it took what is asked for", h.apply(kerberosOn))
		wantWarned(t, "the file is read again", h.apply(strings.Replace(kerberosOn, "name: keytab", "name: other", 1)))
		wantWarned(t, "it has another principal", h.apply(strings.Replace(kerberosOn, "nfs/files", "nfs/other", 1)),
			changedKerberos+`{"enabled":true,"keytab_path":"/kerberos/dittofs.keytab","krb5_conf":"/config/krb5.conf","realm":"EXAMPLE.COM","service_principal":"nfs/other.example.com@EXAMPLE.COM"}'`+restart)
		wantWarned(t, "back again", h.apply(kerberosOn))
	})
	for name, spec := range map[string]string{"Off": kerberosOff, "Gone": onSQLite} {
		t.Run(name, func(t *testing.T) {
			h := begun(t, kerberosOn)
			wantWarned(t, "it does not start without its keytab", h.apply(spec), stillKerberos)
			if diff := cmp.Diff(mounted, h.volumes()); diff != "" {
				t.Errorf("want the keytab kept: -want, +got:\n%s", diff)
			}
			if got, _ := h.get(names.Config, "data", "krb5.conf").(string); !strings.Contains(got, "[libdefaults]") {
				t.Errorf("want its krb5.conf kept, got %q", got)
			}
			wantWarned(t, "and again", h.apply(spec), stillKerberos)
			wantWarned(t, "it is switched off in the server", h.apply(`identity: {kerberos: {switchedOff: true}}`))
			if len(h.volumes()) > 0 || h.get(names.Config, "data", "krb5.conf") != nil || h.record().Server.Kerberos != nil {
				t.Errorf("want nothing left, got %v, %v", h.volumes(), h.record().Server.Kerberos)
			}
			wantWarned(t, "which is not said for ever", h.apply(spec))
		})
	}
	t.Run("OffWithItsOwnConfiguration", func(t *testing.T) {
		h := begun(t, kerberosWith+`, krb5ConfSecretRef: {name: conf}}}`)
		h.apply(kerberosOff)
		if diff := cmp.Diff(map[string]string{"dittofs.keytab": "keytab/k", "krb5.conf": "conf/krb5.conf"}, h.volumes()); diff != "" {
			t.Errorf("want both kept: -want, +got:\n%s", diff)
		}
	})
	t.Run("OffWithoutItsKeytab", func(t *testing.T) {
		h := begun(t, kerberosOn)
		h.apply(kerberosOff)
		h.others["Secret/keytab"] = ""
		res := h.apply(kerberosOff + `, logging: {level: DEBUG}`)
		wantWarned(t, "the next start needs it", res, "spec.identity.kerberos.keytabSecretRef: Secret keytab does not exist in namespace default, and the server cannot start without it; create it", stillKerberos)
		if !res.Server.Frozen {
			t.Error("want the pod kept")
		}
		if h.apply(`identity: {kerberos: {switchedOff: true}}`).Server.Frozen {
			t.Error("it is not needed any more: want the pod replaced")
		}
	})
	t.Run("BeforeTheFirstStart", func(t *testing.T) {
		h := begun(t, onSQLite)
		h.live[names.Server]["status"] = map[string]any{"replicas": 1.0, "readyReplicas": 1.0, "updatedReplicas": 0.0}
		h.apply(kerberosOn)
		wantWarned(t, "it has not started with it", h.apply(kerberosOff))
		if got := h.volumes(); len(got) > 0 {
			t.Errorf("want no keytab, got %v", got)
		}
	})
	t.Run("AnotherDatabase", func(t *testing.T) {
		h := begun(t, kerberosOn)
		h.others["Secret/corp"] = secretYAML("corp", map[string]string{"host": "h", "database": "d", "user": "u", "password": "p"})
		moved := kerberosOff + `, database: {postgresSecretRef: {name: corp, key: x}, confirmSwitch: external}`
		h.apply(moved)
		h.apply(moved)
		if got := h.volumes()["dittofs.keytab"]; got != "" {
			t.Errorf("the new database knows nothing of Kerberos: want no keytab, got %v", got)
		}
	})
	t.Run("TakenOver", func(t *testing.T) {
		sts := `{metadata: {name: files}, spec: {template: {spec: {containers: [{name: dittofs, env: []}], volumes: [{name: kerberos-keytab, secret: {secretName: theirs, items: [{key: x, path: dittofs.keytab}]}}]}}}}`
		res := call{spec: `{}`, composed: map[string]string{"server": sts}, answers: map[string]string{"Secret/theirs": secretYAML("theirs", map[string]string{"x": certtest.Keytab("theirs")})}}.resolve(t)
		wantWarned(t, "the operator's server started with it", res, stillKerberos)
		if diff := cmp.Diff(server.Kerberos{Kept: true, Keytab: record.SecretKey{Name: "theirs", Key: "x"}}, res.Server.Kerberos); diff != "" {
			t.Errorf("Kerberos: -want, +got:\n%s", diff)
		}
	})
}

// TestFrozenByKerberos guards that a keytab that vanishes, or is written by halves,
// keeps a server that runs from being replaced, and that a new one changes nothing.
func TestFrozenByKerberos(t *testing.T) {
	for name, tc := range map[string]struct {
		secret string
		frozen bool
	}{
		"Rotated": {secret: secretYAML("keytab", map[string]string{"k": certtest.Keytab("rotated")})},
		"Missing": {frozen: true},
		"Half":    {secret: secretYAML("keytab", map[string]string{"k": certtest.Keytab("x")[:20]}), frozen: true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t)
			h.others["Secret/keytab"] = keytabSecret("keytab")
			h.started(kerberosOn)
			pod := h.get(names.Server, "spec", "template")
			h.others["Secret/keytab"] = tc.secret
			if got := h.apply(kerberosOn).Server.Frozen; got != tc.frozen {
				t.Errorf("want frozen %t, got %t", tc.frozen, got)
			}
			if diff := cmp.Diff(pod, h.get(names.Server, "spec", "template")); diff != "" {
				t.Errorf("want the pod as it was: -want, +got:\n%s", diff)
			}
		})
	}
}

func TestKerberos(t *testing.T) {
	res := call{
		spec: `{identity: {kerberos: {enabled: true, servicePrincipal: nfs/f@A.COM, realm: B.COM, netbiosDomain: B, dnsDomain: b.com, krb5Conf: /etc/krb5.conf, keytabSecretRef: {name: s, key: k},
			machineAccount: {enabled: true, accountName: F$, dcAddress: [dc1, "dc2:445"], secretRef: {name: p, key: k}, keytabSecretRef: {name: s, key: k}}}}}`,
		answers: map[string]string{"Secret/s": keytabSecret("s"), "Secret/p": secretYAML("p", map[string]string{"k": "p"})},
	}.resolve(t)
	want := server.Kerberos{
		Enabled: true, ServicePrincipal: "nfs/f@A.COM", Realm: "B.COM", NetBIOSDomain: "B", DNSDomain: "b.com", Krb5ConfPath: "/etc/krb5.conf", Keytab: record.SecretKey{Name: "s", Key: "k"},
		Machine: server.MachineAccount{Enabled: true, AccountName: "F$", DCAddress: []string{"dc1", "dc2:445"}, Secret: record.SecretKey{Name: "p", Key: "k"}, Keytab: record.SecretKey{Name: "s", Key: "k"}},
	}
	if diff := cmp.Diff(want, res.Server.Kerberos); diff != "" {
		t.Errorf("Kerberos: -want, +got:\n%s", diff)
	}
	wantWarned(t, "nothing is wrong", res)
	res = call{
		spec:    `{identity: {kerberos: {enabled: true, servicePrincipal: nfs/f@A.COM, keytabSecretRef: {name: s, key: k}, machineAccount: {enabled: true, accountName: F$, keytabSecretRef: {name: s, key: k}}}}}`,
		answers: map[string]string{"Secret/s": keytabSecret("s")},
	}.resolve(t)
	wantWarned(t, "what has no effect is told", res, "machineAccount.keytabSecretRef: DittoFS v0.29.0 does not read the keytab of a machine account", "netbiosDomain: is not set")
	if got := res.Server.Kerberos.Realm; got != "A.COM" {
		t.Errorf("want the principal's realm, got %s", got)
	}
}
