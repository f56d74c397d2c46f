package real

import (
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// backups is the spec of a server with backups.
func backups(endpoint, secret string) string {
	return percona + `    backup:
      enabled: true
      bucket: ` + bucket + `
      endpoint: https://` + endpoint + `
      region: ` + region + `
      retentionDays: 7
      credentialsSecretRef: {name: ` + secret + `}
`
}

// Backups are made, expire, and can be restored, with the configuration that
// Percona's operator makes of the cluster that is composed.
func TestBackups(t *testing.T) {
	parallel(t)

	s := newServer(t, "files", backups(publicS3+":"+publicPort, "s3"))
	s.setKeys("s3", secretKey)
	s.waitReady()

	// The operator makes the first one by itself, which has to be whole before
	// the server's status calls it a backup.
	s.waitBackup()
	if got := s.backups(); len(got) != 1 || !strings.HasSuffix(got[0], "F") {
		t.Fatalf("there are the backups %v while BackupReady is True", got)
	}
	s.sql("dittofs", `CREATE TABLE public.kept (n int); INSERT INTO public.kept VALUES (1)`)

	// The others it makes by the schedules of the spec.
	s.Patch("dittoserver", s.name, `{"spec": {"percona": {"backup": {"incrSchedule": "* * * * *"}}}}`)
	e2e.Eventually(t, "backup by schedule", func() error {
		s.checkpoint()
		if done := s.succeeded("--type=incr"); done == 0 {
			return errors.New(s.Kubectl("get", "perconapgbackups"))
		}
		return nil
	})
	s.Patch("dittoserver", s.name, `{"spec": {"percona": {"backup": {"incrSchedule": null}}}}`)
	s.sql("dittofs", `INSERT INTO public.kept VALUES (2)`)

	// A full backup goes when a newer one is retentionDays old, with what
	// depends on it.
	s.pgbackrest("backup", "--type=full", "--start-fast")
	all := s.backups()
	first, second := all[:len(all)-1], all[len(all)-1]
	if len(first) < 2 || !strings.HasSuffix(first[0], "F") || !strings.HasSuffix(first[1], "I") || !strings.HasSuffix(second, "F") {
		t.Fatalf("there are the backups %v", all)
	}
	days := map[string]int{second: 6}
	for i, b := range first {
		days[b] = 20 - i
	}
	s.age(days)
	s.pgbackrest("expire")
	if got := s.backups(); !slices.Equal(got, all) {
		t.Errorf("while a newer full backup is 6 days old there are the backups %v", got)
	}
	s.age(map[string]int{second: 8})
	s.pgbackrest("expire")
	if got := s.backups(); !slices.Equal(got, []string{second}) {
		t.Errorf("when a newer full backup is 8 days old there are the backups %v", got)
	}

	// What was written after the last backup is in the archive.
	s.sql("dittofs", `INSERT INTO public.kept VALUES (3)`)
	s.archive()
	if rows := s.restore("dittofs", `SELECT string_agg(n::text, ',' ORDER BY n) FROM public.kept`); rows != "1,2,3" {
		t.Errorf("there are the rows %q in what was restored", rows)
	}
}

// A Secret with a configuration of pgBackRest's brings the CA of the S3 server
// as well.
func TestBackupConfiguration(t *testing.T) {
	parallel(t)

	s := newServer(t, "files", backups(privateS3+":"+privatePort, "my-s3"))
	ca := strings.ReplaceAll(string(privateCA), "\n", "\n    ")
	s.Apply(fmt.Sprintf(`apiVersion: v1
kind: Secret
metadata: {name: my-s3}
stringData:
  s3.conf: |
    [global]
    repo1-s3-key=%s
    repo1-s3-key-secret=%s
    repo1-storage-ca-file=/etc/pgbackrest/conf.d/ca.crt
  ca.crt: |
    %s
`, accessKey, secretKey, ca))
	s.waitReady()
	s.waitBackup()
	if l := s.backups(); len(l) != 1 {
		t.Errorf("there are the backups %v", l)
	}
}

// With wrong credentials the server runs, and its status says that there are no
// backups and where to look.
func TestBackupWrongCredentials(t *testing.T) {
	parallel(t)

	s := newServer(t, "files", backups(publicS3+":"+publicPort, "s3"))
	s.setKeys("s3", "NotTheKey")
	s.waitCondition("DatabaseReady", "True", "PostgreSQLReady")
	e2e.Eventually(t, "event of the operator", func() error {
		all := s.Events("PostgresCluster", "files-postgres")
		if !slices.ContainsFunc(all, func(e string) bool {
			return strings.Contains(e, "UnableToCreateStanzas") && strings.Contains(e, "403")
		}) {
			return fmt.Errorf("there are only the events %v", all)
		}
		return nil
	})
	message := s.waitCondition("BackupReady", "False", "RepositoryNotReady")
	if !strings.Contains(message, "credentials are wrong") {
		t.Errorf("BackupReady does not say what may be wrong: %s", message)
	}
	s.waitHealth("reachable")

	// With the right ones all is well without another change.
	s.setKeys("s3", secretKey)
	s.waitBackup()
}

// setKeys makes the Secret with the credentials of the bucket.
func (s *server) setKeys(name, secret string) {
	s.t.Helper()

	s.Apply(fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s}\nstringData: {AWS_ACCESS_KEY_ID: %q, AWS_SECRET_ACCESS_KEY: %q}\n", name, accessKey, secret))
}

// succeeded is how many backups of a type the operator has made by schedule.
func (s *server) succeeded(typ string) int {
	s.t.Helper()

	n := 0
	for _, b := range s.List("perconapgbackup", nil) {
		options := fmt.Sprint(b.Value("spec", "options"))
		if strings.Contains(options, typ) && b.String("status", "state") == "Succeeded" {
			n++
		}
	}

	return n
}

// waitBackup waits until the server says that there is a backup.
func (s *server) waitBackup() {
	s.t.Helper()

	s.Wait("dittoserver", s.name, func(o *e2e.Object) error {
		s.checkpoint()
		if c := o.Condition("BackupReady"); c.Status != "True" || c.Reason != "BackupsReady" {
			return fmt.Errorf("BackupReady is %+v", c)
		}
		return nil
	})
}

// checkpoint ends the wait of a backup for the next regular one, which takes up
// to checkpoint_timeout, five minutes. There may be no database yet.
func (s *server) checkpoint() { _, _ = s.trySQL("postgres", "CHECKPOINT") }

// pgbackrest runs it in the database's pod, with the configuration that is
// there.
func (s *server) pgbackrest(args ...string) string {
	s.t.Helper()

	var out string
	var err error
	e2e.Eventually(s.t, "end of another pgBackRest", func() error {
		out, err = s.inDatabase("", append([]string{"pgbackrest", "--stanza=db", "--log-level-console=warn"}, args...)...)
		// The operator may be at it: one at a time has the lock.
		if err != nil && strings.Contains(err.Error(), "exit status 50") {
			return err
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}

	return out
}

// inDatabase runs a command in the database's container.
func (s *server) inDatabase(stdin string, command ...string) (string, error) {
	p, err := s.pod(s.databaseLabels())
	if err != nil {
		return "", err
	}
	args := append([]string{"-n", s.Name, "exec", "-i", p.Name, "-c", "database", "--"}, command...)
	out, err := e2e.ControlPlane.Kubectl(s.t.Context(), stdin, args...)

	return withoutNoise(out), err
}

// backups are the names of the backups in the bucket, the oldest first.
func (s *server) backups() []string {
	s.t.Helper()

	out := s.pgbackrest("info", "--output=json")
	var stanzas []struct {
		Backup []struct {
			Label string `json:"label"`
		} `json:"backup"`
	}
	if err := json.Unmarshal([]byte(out), &stanzas); err != nil || len(stanzas) != 1 {
		s.t.Fatalf("pgbackrest info: %v: %s", err, out)
	}
	names := []string{}
	for _, b := range stanzas[0].Backup {
		names = append(names, b.Label)
	}

	return names
}

var timestamps = regexp.MustCompile(`"backup-timestamp-(start|stop)":\d+`)

// age makes backups in the bucket that many days old.
func (s *server) age(days map[string]int) {
	s.t.Helper()

	info := s.pgbackrest("repo-get", "backup/db/backup.info")
	if got, want := checksum(info), recorded(info); got != want {
		s.t.Fatalf("the checksum of backup.info is %s, and it says %s:\n%s", got, want, info)
	}

	lines := strings.SplitAfter(info, "\n")
	for i, l := range lines {
		name, _, _ := strings.Cut(l, "=")
		if d, ok := days[name]; ok {
			when := strconv.FormatInt(time.Now().AddDate(0, 0, -d).Unix(), 10)
			lines[i] = timestamps.ReplaceAllString(l, `"backup-timestamp-$1":`+when)
		}
	}
	aged := strings.Join(lines, "")
	aged = strings.Replace(aged, recorded(info), checksum(aged), 1)

	for _, f := range []string{"backup.info", "backup.info.copy"} {
		if _, err := s.inDatabase(aged, "pgbackrest", "--stanza=db", "repo-put", "backup/db/"+f); err != nil {
			s.t.Fatal(err)
		}
	}
}

func recorded(info string) string {
	_, rest, _ := strings.Cut(info, `backrest-checksum="`)
	sum, _, _ := strings.Cut(rest, `"`)
	return sum
}

// checksum of one of pgBackRest's own files: that of its content as JSON.
// Source: pgBackRest 2.45 src/info/info.c.
func checksum(info string) string {
	sections := []string{}
	var keys []string
	for l := range strings.Lines(info) {
		l = strings.TrimSuffix(l, "\n")
		key, value, ok := strings.Cut(l, "=")
		switch {
		case strings.HasPrefix(l, "["):
			if len(keys) > 1 {
				sections = append(sections, keys[0]+strings.Join(keys[1:], ",")+"}")
			}
			keys = []string{fmt.Sprintf("%q:{", strings.Trim(l, "[]"))}
		case ok && key != "backrest-checksum":
			keys = append(keys, fmt.Sprintf("%q:%s", key, value))
		}
	}
	if len(keys) > 1 {
		sections = append(sections, keys[0]+strings.Join(keys[1:], ",")+"}")
	}
	sum := sha1.Sum([]byte("{" + strings.Join(sections, ",") + "}"))

	return hex.EncodeToString(sum[:])
}

// archive waits until everything that was written is in the bucket.
func (s *server) archive() {
	s.t.Helper()

	wal := s.sql("postgres", `SELECT pg_walfile_name(pg_switch_wal())`)
	e2e.Eventually(s.t, "archive of "+wal, func() error {
		out, err := s.trySQL("postgres", `SELECT last_archived_wal, last_failed_wal FROM pg_stat_archiver`)
		if err != nil {
			return err
		}
		if last, _, _ := strings.Cut(out, "|"); last < wal {
			return fmt.Errorf("the last that was archived, and that failed, are %s", out)
		}
		return nil
	})
}

// restore into an empty folder, run PostgreSQL there, and ask it something.
func (s *server) restore(database, query string) string {
	s.t.Helper()

	const script = `
pgbackrest --stanza=db --pg1-path=/pgdata/restored --log-level-console=warn restore >&2
postgres -D /pgdata/restored -c port=5499 -c unix_socket_directories=/tmp -c listen_addresses= -c archive_mode=off >&2 &
for i in $(seq 120); do
  if [ "$(psql -XAtq -h /tmp -p 5499 -d "$0" -c 'SELECT pg_is_in_recovery()' 2>/dev/null)" = f ]; then
    psql -XAtq -h /tmp -p 5499 -d "$0" -c "$1"
    exit
  fi
  sleep 1
done
exit 1
`
	out, err := s.inDatabase("", "bash", "-ec", `{ `+script+`} 2>/tmp/restore.log || { cat /tmp/restore.log >&2; exit 1; }`, database, query)
	if err != nil {
		s.t.Fatal(err)
	}

	return strings.TrimSpace(out)
}
