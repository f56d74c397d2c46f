package real

import (
	"net"
	"strings"
	"testing"

	"github.com/hirochachacha/go-smb2"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// A server of the DittoFS operator that is to use its database is moved there as the
// page says. What its users have written is there again when stores and shares are.
func TestMovingToPostgreSQL(t *testing.T) {
	parallel(t)

	const (
		section  = "Servers with Percona"
		password = "a password of alice's"
		content  = "written before the move"
	)
	page := e2e.ReadPage(t, "docs/moving.md")
	s := newServer(t, "withpg", sqlite)
	script := func(block int) string {
		text := strings.Join(page[section][block], "\n")
		return strings.NewReplacer("team-a", s.Name, `"$PASSWORD"`, `"`+password+`"`).Replace(text)
	}
	const list, move, again = 2, 3, 4
	for block, want := range map[int]string{list: "dfsctl user list", move: "confirmSwitch", again: "dfsctl share create"} {
		if !strings.Contains(script(block), want) {
			t.Fatalf("block %d of section %q is another one:\n%s", block, section, script(block))
		}
	}

	s.waitReady()
	c := s.login()
	c.shell(script(again))
	s.smb("alice", password, func(share *smb2.Share) error { return share.WriteFile("file", []byte(content), 0o644) })
	c.shell(script(list))

	// What the operator has in the server is an account.
	c.dfsctl("user", "create", "--username", "k8s-operator", "--password", password, "--role", "operator")
	c.shell(strings.Join(page["4. Let go of the operator"][2], "\n"))
	if out := c.dfsctl("user", "list"); strings.Contains(out, "k8s-operator") {
		t.Errorf("the operator's account is still there:\n%s", out)
	}

	before := s.serverPod()
	s.Patch("dittoserver", s.name, `{"spec": {"percona": {"enabled": true, "postgresVersion": 15}}}`)
	s.waitCondition("Accepted", "False", "ChangeHeld")
	s.samePod(before)
	c.shell(script(move))
	s.waitPod(s.serverLabels(), successor(before))
	s.waitReady()
	s.waitHealth("reachable")
	s.usesPostgreSQL("dittofs")

	c = s.login()
	if out := c.dfsctl("share", "list"); strings.Contains(out, "/export") {
		t.Fatalf("the new database is not empty: %s", out)
	}
	c.shell(script(again))
	s.smb("alice", password, func(share *smb2.Share) error {
		got, err := share.ReadFile("file")
		if err == nil && string(got) != content {
			t.Errorf("the file has %q, and was written with %q", got, content)
		}
		return err
	})
}

// smb does something on the share /export as one of its users.
func (s *server) smb(user, password string, do func(*smb2.Share) error) {
	s.t.Helper()

	conn, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", net.JoinHostPort(s.serverPod().Status.PodIP, "1445"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // The session has ended.
	session, err := (&smb2.Dialer{Initiator: &smb2.NTLMInitiator{User: user, Password: password}}).DialContext(s.t.Context(), conn)
	if err != nil {
		s.t.Fatalf("%s cannot log in: %v", user, err)
	}
	defer session.Logoff() //nolint:errcheck // It is the end.
	share, err := session.Mount("export")
	if err != nil {
		s.t.Fatalf("%s cannot mount /export: %v", user, err)
	}
	if err := do(share); err != nil {
		s.t.Fatal(err)
	}
	if err := share.Umount(); err != nil {
		s.t.Fatal(err)
	}
}
