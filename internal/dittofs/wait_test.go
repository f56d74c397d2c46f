package dittofs

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestWaitForPostgres runs what the init container runs, with a pg_isready and a
// psql that say what a case tells them.
func TestWaitForPostgres(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no sh here")
	}
	const refused = `psql: error: connection to server at "db" failed: FATAL: password authentication failed for user "dittofs"`

	cases := map[string]struct {
		reason string
		// isready and psql are what the programs do, the nth time in $n.
		isready string
		psql    string
		seconds string
		code    int
		last    string
		said    []string
		calls   string
	}{
		"Ready": {
			reason:  "a database that answers is not waited for",
			isready: "exit 0",
			psql:    "echo 1",
			seconds: "300",
			last:    "PostgreSQL answers.",
			calls:   "pg_isready psql",
		},
		"Waits": {
			reason:  "it is asked until it accepts connections, and then until the role is there",
			isready: `[ "$n" -ge 2 ] || { echo "db:5432 - no response"; exit 2; }`,
			psql:    `[ "$n" -ge 2 ] || { echo '` + refused + `' >&2; exit 2; }; echo 1`,
			seconds: "300",
			last:    "PostgreSQL answers.",
			said:    []string{"Waiting for PostgreSQL: db:5432 - no response", "Waiting for PostgreSQL: " + refused},
			calls:   "pg_isready pg_isready psql pg_isready psql",
		},
		"NeverAccepts": {
			reason:  "after its time it fails, and its last words say why",
			isready: `echo "db:5432 - no response"; exit 2`,
			psql:    "exit 1",
			seconds: "0",
			code:    1,
			last:    "Gave up after 0 seconds: db:5432 - no response",
			calls:   "pg_isready",
		},
		"NeverLetsIn": {
			reason:  "that it accepts connections is not enough",
			isready: "exit 0",
			psql:    "echo '" + refused + "' >&2; exit 2",
			seconds: "1",
			code:    1,
			last:    "Gave up after 1 seconds: " + refused,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			fake := func(program, does string) {
				script := "#!" + sh + "\n" +
					"echo " + program + " >>" + dir + "/calls\n" +
					"env | grep ^PGSSLMODE= >>" + dir + "/" + program + ".tls\n" +
					"n=$(grep -c " + program + " " + dir + "/calls)\n" + does + "\n"
				if err := os.WriteFile(filepath.Join(dir, program), []byte(script), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			fake("pg_isready", tc.isready)
			fake("psql", tc.psql)
			// It need not really sleep.
			fake("sleep", "exec "+mustLook(t, "sleep")+" 0.2")

			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, sh, "-c", waitForPostgres)
			cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "WAIT_SECONDS=" + tc.seconds, "PGCONNECT_TIMEOUT=5", "PGSSLMODE=verify-full", "PGPASSWORD=canary"}
			out, err := cmd.CombinedOutput()
			code := 0
			if exit := new(exec.ExitError); errors.As(err, &exit) {
				code = exit.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			if code != tc.code || lines[len(lines)-1] != tc.last {
				t.Errorf("%s: want exit code %d and the last words %q, got %d and:\n%s", tc.reason, tc.code, tc.last, code, out)
			}
			for _, s := range tc.said {
				if strings.Count(string(out), s) != 1 {
					t.Errorf("%s: want %q said once, got:\n%s", tc.reason, s, out)
				}
			}
			if strings.Contains(string(out), "canary") {
				t.Errorf("%s: a password is said:\n%s", tc.reason, out)
			}
			if got := asked(t, dir); tc.calls != "" && got != tc.calls {
				t.Errorf("%s: want it to ask %q, got %q", tc.reason, tc.calls, got)
			}
			if tls, err := os.ReadFile(filepath.Join(dir, "psql.tls")); err == nil && strings.Contains(strings.ReplaceAll(string(tls), "PGSSLMODE=verify-full\n", ""), "PGSSLMODE") {
				t.Errorf("%s: want every query over verified TLS, got:\n%s", tc.reason, tls)
			}
		})
	}
}

func asked(t *testing.T, dir string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, l := range strings.Fields(string(b)) {
		if l != "sleep" {
			out = append(out, l)
		}
	}
	return strings.Join(out, " ")
}

func mustLook(t *testing.T, program string) string {
	t.Helper()
	p, err := exec.LookPath(program)
	if err != nil {
		t.Skip("there is no " + program + " here")
	}
	return p
}
