package real

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/binaries"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// File metadata lies in a second database of the cluster, after what the README
// says was typed.
func TestMetadataStore(t *testing.T) {
	parallel(t)

	s := newServer(t, "files", percona+"    metadataDatabaseName: dittofs_metadata\n")
	s.waitReady()
	c := s.login()

	script := strings.ReplaceAll(readme(t, "### File metadata in PostgreSQL"), "team-a", s.Name)
	c.shell(script)
	c.createShareOn("/export", "metadata-postgres")
	c.wantShare("/export")

	s.usesPostgreSQL("dittofs")
	if n := s.sql("dittofs_metadata", `SELECT count(*) FROM pg_tables WHERE tableowner = 'dittofs' AND tablename IN ('inodes', 'shares', 'files')`); n == "0" {
		t.Errorf("there are no tables of a metadata store:\n%s", s.sql("dittofs_metadata", `SELECT schemaname, tablename FROM pg_tables WHERE tableowner = 'dittofs'`))
	}
	if users := s.sql("dittofs_metadata", `SELECT count(*) FROM pg_tables WHERE tablename = 'users'`); users != "0" {
		t.Error("the control plane's tables are in the metadata database")
	}

	before := s.serverPod()
	s.Kubectl("delete", "pod", before.Name, "--wait=false")
	s.waitPod(s.serverLabels(), successor(before))
	s.login().wantShare("/export")
}

// readme is the first shell script in a section of the README.
func readme(t *testing.T, heading string) string {
	t.Helper()

	data, err := os.ReadFile(filepath.Join(e2e.Repository(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(data), heading+"\n")
	_, rest, ok2 := strings.Cut(section, "```sh\n")
	script, _, ok3 := strings.Cut(rest, "```")
	if !ok || !ok2 || !ok3 {
		t.Fatalf("the README has no script in section %q", heading)
	}

	return script
}

// shell runs a script of the README, with kubectl and dfsctl as a user has them.
func (c *client) shell(script string) {
	c.s.t.Helper()

	path := []string{}
	for _, b := range []binaries.Binary{binaries.Kubectl(), binaries.DFSCtl()} {
		p, err := b.Path()
		if err != nil {
			c.s.t.Fatal(err)
		}
		path = append(path, filepath.Dir(p))
	}

	cmd := exec.CommandContext(c.s.t.Context(), "bash", "-ec", script)
	cmd.Env = append(os.Environ(), "HOME="+c.home, "XDG_CONFIG_HOME="+c.home,
		"KUBECONFIG="+e2e.ControlPlane.Kubeconfig(), "PATH="+strings.Join(append(path, os.Getenv("PATH")), ":"))
	if out, err := cmd.CombinedOutput(); err != nil {
		c.s.t.Fatalf("%v\n%s\n%s", err, script, out)
	}
}
