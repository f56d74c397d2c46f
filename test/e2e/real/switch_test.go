package real

import (
	"strings"
	"testing"
)

// A server that runs on SQLite stays there, with everything in it, until
// somebody says that it may move.
func TestSwitchFromSQLite(t *testing.T) {
	n := parallel(t)

	s := newServer(t, "files", sqlite)
	s.waitReady()
	c := s.login()
	c.createShare("/export")
	c.dfsctl("user", "create", "--username", "alice", "--password", "alice's password")
	before := s.serverPod()

	s.Patch("dittoserver", s.name, `{"spec": {"percona": {"enabled": true, "postgresVersion": 15}}}`)
	message := s.waitCondition("Accepted", "False", "ChangeHeld")
	if !strings.Contains(message, "confirmSwitch") {
		t.Errorf("Accepted does not say what would let the change through: %s", message)
	}
	s.samePod(before)
	c.wantShare("/export")
	s.loginAs("alice", "alice's password")

	// It moves when there is something to move to.
	n.Cordon(s.Name, s.databaseLabels())
	s.Patch("dittoserver", s.name, `{"spec": {"database": {"confirmSwitch": "percona"}}}`)
	s.waitCondition("DatabaseReady", "False", "WaitingForPostgreSQL")
	s.samePod(before)
	c.wantShare("/export")

	n.Uncordon(t.Context(), s.Name, s.databaseLabels())
	s.waitPod(s.serverLabels(), successor(before))
	s.waitReady()
	s.waitHealth("reachable")
	s.usesPostgreSQL("dittofs")
	if out := s.login().dfsctl("share", "list"); strings.Contains(out, "/export") {
		t.Errorf("the new database is not empty: %s", out)
	}
}
