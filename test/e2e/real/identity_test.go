package real

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/binaries"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

const ldap = sqlite + `
  identity:
    ldap:
      enabled: true
      url: ldaps://dc.invalid
      baseDN: DC=example,DC=com
      bindDN: CN=d'Artagnan,DC=example,DC=com
      bindPasswordSecretRef: {name: ad, key: password}
      caCertSecretRef: {name: ad, key: corp.pem}
      realm: EXAMPLE.COM
`

// A server takes its directory when it first starts with it, reachable or not, and
// goes on with its own copy. What an edit does not change in it, the command does
// that the condition Accepted has.
func TestLDAP(t *testing.T) {
	parallel(t)

	ca := newAuthority(t, "corp")
	s := newServer(t, "files", ldap)
	s.Apply("apiVersion: v1\nkind: Secret\nmetadata: {name: ad}\nstringData: {password: first, corp.pem: " + quoted(ca.PEM) + "}\n")
	s.waitReady()
	s.waitCondition("Accepted", "True", "SpecAccepted")
	c := s.login()
	c.wantProvider("ldap", `"url": "ldaps://dc.invalid"`, `"ca_cert_file": "/ldap-ca/ca.crt"`, `"realm": "EXAMPLE.COM"`)
	// It is asked, in vain.
	if out, err := c.try("identity-provider", "test", "ldap", "--config", c.dfsctl("identity-provider", "get", "ldap", "-o", "json")); err == nil && !strings.Contains(out, "dc.invalid") {
		t.Errorf("a directory that cannot be reached: want it told, got %s", out)
	}

	// A rotated password restarts nothing: the server would not take it.
	pod := s.serverPod()
	s.Patch("secret", "ad", `{"stringData": {"password": "second"}}`)
	s.Kubectl("annotate", "--overwrite", "dittoserver", s.name, "test/reconcile=1")
	s.waitCondition("Accepted", "True", "SpecAccepted")
	s.samePod(pod)

	s.replaces(pod, func() {
		s.Patch("dittoserver", s.name, `{"spec": {"identity": {"ldap": {"url": "ldaps://other.invalid", "nestedGroups": true}}}}`)
	})
	msg := s.waitCondition("Accepted", "True", "AcceptedWithWarnings")
	c = s.login()
	c.wantProvider("ldap", `"url": "ldaps://dc.invalid"`)
	c.runs(msg)
	c.wantProvider("ldap", `"url": "ldaps://other.invalid"`, `"nested_groups": true`, `"bind_dn": "CN=d'Artagnan,DC=example,DC=com"`, `"bind_password": "*`)

	// Without its Secret the server could not start again.
	pod = s.serverPod()
	s.Kubectl("delete", "secret", "ad")
	s.Patch("dittoserver", s.name, `{"spec": {"logging": {"level": "DEBUG"}}}`)
	s.waitCondition("Progressing", "True", "WaitingForSecret")
	s.samePod(pod)

	// Off, it needs it no more, and still has its copy.
	s.replaces(pod, func() { s.Patch("dittoserver", s.name, `{"spec": {"identity": null}}`) })
	msg = s.waitCondition("Accepted", "True", "AcceptedWithWarnings")
	c = s.login()
	c.wantProvider("ldap", `"enabled": true`)
	c.runs(msg)
	c.wantProvider("ldap", `"enabled": false`)
}

func quoted(text []byte) string { return `"` + strings.ReplaceAll(string(text), "\n", `\n`) + `"` }

// wantProvider fails the test unless the server's own copy of an identity provider's
// configuration has all that.
func (c *client) wantProvider(provider string, parts ...string) {
	c.s.t.Helper()

	out := c.dfsctl("identity-provider", "get", provider, "-o", "json")
	for _, p := range parts {
		if !strings.Contains(out, p) {
			c.s.t.Errorf("the server's %s: want %s in:\n%s", provider, p, out)
		}
	}
}

var command = regexp.MustCompile(`dfsctl identity-provider set .*\}'`)

// runs runs, in a shell, the command that a message has.
func (c *client) runs(message string) {
	c.s.t.Helper()

	line := command.FindString(message)
	if line == "" {
		c.s.t.Fatalf("there is no command in %s", message)
	}
	path, err := binaries.DFSCtl().Path()
	if err != nil {
		c.s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(c.s.t.Context(), time.Minute)
	defer cancel()

	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Env = append(os.Environ(), "HOME="+c.home, "XDG_CONFIG_HOME="+c.home, "PATH="+filepath.Dir(path)+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		c.s.t.Fatalf("%s: %v: %s", line, err, out)
	}
}

const kerberos = sqlite + `
  identity:
    kerberos:
      enabled: true
      servicePrincipal: nfs/files.example.com@EXAMPLE.COM
      netbiosDomain: EXAMPLE
      keytabSecretRef: {name: keytab, key: keytab}
      machineAccount: {enabled: true, accountName: FILES$, dcAddress: [dc.invalid], secretRef: {name: machine, key: password}}
`

// A server starts with a keytab and no domain controller, reads a new keytab by
// itself, and keeps it when Kerberos is switched off, since it does not start without.
func TestKerberos(t *testing.T) {
	parallel(t)

	s := newServer(t, "files", kerberos)
	s.setKeytab("first")
	s.setSecret("machine", "password", "first")
	s.waitReady()
	s.waitCondition("Accepted", "True", "SpecAccepted")
	pod := s.serverPod()
	s.login().wantProvider("kerberos", `"service_principal": "nfs/files.example.com@EXAMPLE.COM"`, `"account_name": "FILES$"`)

	// The server looks for a new keytab once a minute.
	s.setKeytab("second")
	e2e.Eventually(t, "the new keytab", func() error {
		out, err := e2e.ControlPlane.Kubectl(t.Context(), "", "-n", s.Name, "logs", pod.Name, "-c", "dittofs")
		if err == nil && !strings.Contains(out, "Keytab reloaded successfully") {
			return errNone
		}
		return err
	})
	s.samePod(pod)

	// Half of a keytab, and none, keep the pod.
	s.Apply("apiVersion: v1\nkind: Secret\nmetadata: {name: keytab}\ndata: {keytab: BQIAAABI}\n")
	s.Patch("dittoserver", s.name, `{"spec": {"logging": {"level": "DEBUG"}}}`)
	s.waitCondition("Progressing", "True", "WaitingForSecret")
	s.samePod(pod)
	pod = s.replaces(pod, func() { s.setKeytab("third") })

	// The password of the machine account is read at the start.
	pod = s.replaces(pod, func() { s.setSecret("machine", "password", "second") })

	// An edit reaches the server by the command, and a restart.
	s.replaces(pod, func() {
		s.Patch("dittoserver", s.name, `{"spec": {"identity": {"kerberos": {"dnsDomain": "files.example.com"}}}}`)
	})
	msg := s.waitCondition("Accepted", "True", "AcceptedWithWarnings")
	c := s.login()
	c.runs(msg)
	c.wantProvider("kerberos", `"dns_domain": "files.example.com"`, `"account_name": "FILES$"`)

	// Off, the server still has its copy, and does not start without the keytab.
	pod = s.replaces(s.serverPod(), func() { s.Patch("dittoserver", s.name, `{"spec": {"identity": null}}`) })
	msg = s.waitCondition("Accepted", "True", "AcceptedWithWarnings")
	if !s.mounts(pod, "kerberos-keytab") {
		t.Error("Kerberos is off: want the keytab kept")
	}
	c = s.login()
	c.wantProvider("kerberos", `"enabled": true`)
	c.runs(msg)
	pod = s.replaces(pod, func() {
		s.Patch("dittoserver", s.name, `{"spec": {"identity": {"kerberos": {"switchedOff": true}}}}`)
	})
	s.waitCondition("Accepted", "True", "SpecAccepted")
	if s.mounts(pod, "kerberos-keytab") {
		t.Error("Kerberos is off in the server, too: want no keytab")
	}
	s.login().wantProvider("kerberos", `"enabled": false`)
}

// setKeytab writes a keytab with a key of that name.
func (s *server) setKeytab(name string) {
	s.t.Helper()

	text := func(b []byte, t string) []byte {
		return append(binary.BigEndian.AppendUint16(b, uint16(len(t))), t...)
	}
	key := sha256.Sum256([]byte(name))
	e := binary.BigEndian.AppendUint16(nil, 2)
	for _, t := range []string{"EXAMPLE.COM", "nfs", "files.example.com"} {
		e = text(e, t)
	}
	// The type of the name, no time, the version of the key, and aes256-cts.
	e = append(e, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 18)
	e = text(e, string(key[:]))
	b := append(binary.BigEndian.AppendUint32([]byte{5, 2}, uint32(len(e))), e...)
	s.Apply("apiVersion: v1\nkind: Secret\nmetadata: {name: keytab}\ndata: {keytab: " + base64.StdEncoding.EncodeToString(b) + "}\n")
}

func (s *server) mounts(pod *corev1.Pod, volume string) bool {
	return slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == volume })
}
