package properties

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/internal/lifecycle"
)

// This file has the rules about data. The simulator knows what every volume
// really holds; the function does not, and must not need to.

// kindOf is the kind of database of a place or a wiring.
func kindOf(place string) string {
	kind, _, _ := strings.Cut(place, ":")
	return kind
}

// confirmation returns what the spec confirms now, unless it has been used: a
// confirmation lets one change through.
func (l *life) confirmation() string {
	c := text(l.merged(), "database", "confirmSwitch")
	if c != l.spent["confirmSwitch"] {
		delete(l.spent, "confirmSwitch")
		return c
	}
	return ""
}

// confirms reports whether a confirmation names a database: by its kind, or by
// its kind and name.
func confirms(confirmation, wired string) bool {
	kind, name, _ := strings.Cut(wired, ":")
	return confirmation != "" && (confirmation == kind || confirmation == kind+"/"+name)
}

// removalConfirmed reports whether the spec lets backups go, and has not already
// done so.
func (l *life) removalConfirmed() bool {
	on := isTrue(l.merged(), "percona", "backup", "confirmRemoval")
	if !on {
		delete(l.spent, "confirmRemoval")
	}
	return on && l.spent["confirmRemoval"] == ""
}

// podIsRight: no server runs on an empty database, or on another one, while its
// data is elsewhere.
func (l *life) podIsRight(evicted bool) error {
	pod, runs := l.w.Pod(l.ns, l.n)
	if !runs {
		return nil
	}
	if pod.Blocked != "" {
		if !evicted || l.home == "" || !l.valid() {
			return nil // Nothing is composed while the spec is refused.
		}
		if strings.HasPrefix(pod.Blocked, "env DITTOFS_ADMIN_INITIAL_PASSWORD") {
			// The server reads it on its first start only.
			return breaks("cannot start again", "a pod of a server that has run cannot start: %s", pod.Blocked)
		}
		// What the function composes is there for the pod to start with.
		for _, name := range []string{"config", "jwt", "admin"} {
			if k := l.keys()[name]; strings.Contains(pod.Blocked, " "+k.name+" ") && l.get(k) == nil {
				return breaks("cannot start", "a pod of a server at rest cannot start: %s", pod.Blocked)
			}
		}
		return nil
	}
	on := place(pod.On)
	if l.home == "" || l.home == on || !l.hasData(l.home) {
		l.home = on
		return nil
	}
	if kindOf(on) == kindOf(l.mayMove) && (kindOf(on) != "external" || l.mayMove == "external:"+strings.TrimSuffix(strings.TrimPrefix(on, "external:"), ".example.com/x") || l.takenOver != "") {
		l.mayMove = ""
		l.home = on
		return nil
	}
	what := "that is another one"
	if pod.Fresh {
		what = "which is empty"
	}
	if l.remade && kindOf(l.home) == "sqlite" && kindOf(on) == "sqlite" {
		// A volume does not tell which file on it was the server's.
		l.home = on
		return nil
	}
	rule := fmt.Sprintf("wrong database, %s to %s", kindOf(l.home), kindOf(on))
	if l.remade {
		rule += ", made again"
	}
	return breaks(rule, "the server runs on %s, %s, while its data is in %s", on, what, l.home)
}

// place is a place without its port: a Secret that loses the port does not name
// another database.
func place(on string) string {
	if kindOf(on) != "external" {
		return on
	}
	rest, database, _ := strings.Cut(strings.TrimPrefix(on, "external:"), "/")
	host, _, _ := strings.Cut(rest, ":")
	return "external:" + host + "/" + database
}

func (l *life) hasData(home string) bool {
	return kindOf(home) == "external" || l.w.HasData(home)
}

// rolledWell: a running server is not rolled into a pod that cannot start.
func (l *life) rolledWell(was lifecycle.Pod, ran bool) error {
	is, _ := l.w.Pod(l.ns, l.n)
	if !ran || was.Blocked != "" || is.Blocked == "" || strings.Contains(is.Blocked, l.n+"-postgres-") {
		// What Percona's operator makes it makes again.
		return nil
	}
	return breaks("rolled into a pod that cannot start", "the server ran, and its new pod cannot start: %s", is.Blocked)
}

// noteCluster notes what the cluster was made with, and whether it was ever up.
func (l *life) noteCluster() {
	o := l.object("postgres")
	if o == nil || !l.managed(o) {
		return
	}
	c := clusterChosen(o)
	if c.uid != l.chosen.uid || !l.everReady[c.uid] {
		// It follows the spec until it has data.
		l.chosen = c
	}
	if l.chosen.path == "" && backupsOn(o) {
		// A repository path is chosen when backups begin.
		l.chosen.path = c.path
	}
	if text(o, "status", "state") == "ready" || number(o, "status", "postgres", "ready") > 0 {
		l.everReady[c.uid] = true
	}
}

func clusterChosen(o object) chosen {
	c := chosen{uid: text(o, "metadata", "uid"), path: text(o, "spec", "backups", "pgbackrest", "global", "repo1-path"), major: number(o, "spec", "postgresVersion")}
	if dbs, _ := at(named(o, "dittofs", "spec", "users"), "databases").([]any); len(dbs) > 0 {
		c.database = fmt.Sprint(dbs[0])
	}
	return c
}

// chosenKept: what the data of a cluster hangs on stays what it was made with,
// whatever a person did to the live object.
func (l *life) chosenKept() error {
	o := l.object("postgres")
	if o == nil || !l.managed(o) {
		return nil
	}
	is, had := clusterChosen(o), l.chosen
	rule := "other binaries"
	if l.remade {
		rule += ", made again"
	}
	if _, _, msg := l.condition("Accepted"); strings.Contains(msg, "nothing tells the version of the files") {
		return nil
	}
	if f := l.w.Files(l.ns, l.n+"-postgres"); f != nil && l.alive && l.ours(o) && !deleting(o) && is.major != f.Major && l.serves("PerconaPGCluster") {
		return breaks(rule, "the cluster asks for PostgreSQL %d, and its files are of %d", is.major, f.Major)
	}
	if is.uid != had.uid {
		return nil
	}
	data := l.everReady[is.uid]
	removed := !backupsOn(o) && (l.handBackups || l.spent["confirmRemoval"] != "" || l.removalConfirmed())
	switch {
	case data && is.database != had.database:
		return breaks("database by hand", "the server's database was %s, and the cluster's first is now %s", had.database, is.database)
	case data && had.path != "" && is.path != had.path && !removed && l.spent["confirmRemoval"] == "":
		return breaks("path by hand", "the backups were in %s, and go to %s", had.path, is.path)
	}
	if removed {
		l.chosen.path = "" // They may begin again elsewhere.
	}
	return nil
}

// databaseNotSwitched: a live server stays on its database unless a confirmation
// that was not used before names the other one; one that comes back after its
// StatefulSet was deleted does so, too.
func (l *life) databaseNotSwitched(before map[key]object) error {
	was := wiredTo(l.n, before[l.keys()["server"]])
	config := before[l.keys()["config"]]
	if was == "" && config != nil && l.ours(config) && l.managed(config) {
		was = l.wired
	}
	is := wiredTo(l.n, l.object("server"))
	if was == "" && is != "" && confirms(text(l.merged(), "database", "confirmSwitch"), is) {
		// It says where a server goes that is made, or made again, where there may be data.
		l.spent["confirmSwitch"], l.mayMove = text(l.merged(), "database", "confirmSwitch"), is
	}
	confirmation := l.confirmation()
	if was == "" || is == "" || was == is {
		return nil
	}
	if !confirms(confirmation, is) {
		if l.spent["confirmSwitch"] != "" && confirms(l.spent["confirmSwitch"], is) {
			return breaks("spent confirmation", "the server was on %s and is on %s, by a confirmation (%s) that was used before", was, is, l.spent["confirmSwitch"])
		}
		return breaks("switched", "the server was on %s and is on %s, unconfirmed", was, is)
	}
	l.spent["confirmSwitch"], l.mayMove = confirmation, is
	return nil
}

// wiringKept: nothing becomes weaker by going missing. While the Secret of an
// external database lacks something that the running pod uses, its pod template
// stays as it is.
func (l *life) wiringKept(before map[key]object) error {
	was, is := before[l.keys()["server"]], l.object("server")
	wired := wiredTo(l.n, was)
	name, external := strings.CutPrefix(wired, "external:")
	if !external || is == nil || wiredTo(l.n, is) != wired || !l.managed(was) {
		return nil
	}
	uses := []string{"host", "database", "user", "password"}
	c := named(was, "dittofs", "spec", "template", "spec", "containers")
	for env, k := range map[string]string{"DITTOFS_DATABASE_POSTGRES_PORT": "port", "DITTOFS_DATABASE_POSTGRES_SSLMODE": "sslmode"} {
		if ref := mapOf(at(named(c, env, "env"), "valueFrom", "secretKeyRef")); ref != nil && !isTrue(ref, "optional") {
			uses = append(uses, k)
		}
	}
	if named(c, "PGSSLROOTCERT", "env") != nil {
		uses = append(uses, "ca.crt")
	}
	s := before[l.secretKey(name)]
	if !slices.ContainsFunc(uses, func(k string) bool { _, ok := decoded(s, k); return !ok }) {
		return nil
	}
	wiring := func(sts object) object {
		c := named(sts, "dittofs", "spec", "template", "spec", "containers")
		out := object{}
		for _, env := range []string{"DITTOFS_DATABASE_POSTGRES_PORT", "DITTOFS_DATABASE_POSTGRES_SSLMODE", "DITTOFS_DATABASE_POSTGRES_SSLROOTCERT", "PGSSLROOTCERT", "DITTOFS_DATABASE_POSTGRES_HOST", "DITTOFS_DATABASE_POSTGRES_DATABASE"} {
			out[env] = named(c, env, "env")
		}
		for k, v := range mapOf(at(sts, "spec", "template", "metadata", "annotations")) {
			if strings.HasSuffix(k, "/database") || strings.HasSuffix(k, "/ca") {
				out[k] = v
			}
		}
		return out
	}
	if a, b := wiring(was), wiring(is); !reflect.DeepEqual(a, b) {
		return breaks("weaker by going missing", "Secret %s lacks something that the running server uses, and its wiring changes (-was +is):\n%s", name, gocmp.Diff(a, b))
	}
	return nil
}

func mapOf(v any) object { m, _ := v.(object); return m }

// referencesKept: a reference to a Secret that lacks what the pod needs does not
// replace one that works.
func (l *life) referencesKept(before map[key]object) error {
	was, is := before[l.keys()["server"]], l.object("server")
	if was == nil || is == nil || !l.managed(was) {
		return nil
	}
	for _, env := range []string{"DITTOFS_CONTROLPLANE_SECRET", "DITTOFS_ADMIN_INITIAL_PASSWORD"} {
		ref := func(sts object) object {
			c := named(sts, "dittofs", "spec", "template", "spec", "containers")
			return mapOf(at(named(c, env, "env"), "valueFrom", "secretKeyRef"))
		}
		a, b := ref(was), ref(is)
		if b == nil || reflect.DeepEqual(a, b) || isTrue(b, "optional") {
			continue
		}
		if !l.has(text(b, "name"), text(b, "key")) && l.has(text(a, "name"), text(a, "key")) {
			return breaks("names a Secret that is not there", "%s of a running server referred to %s, and refers to %s, which is not there", env, asJSON(a), asJSON(b))
		}
	}
	return nil
}

// nothingForeignIsMounted: a server is not created on what is somebody else's.
func (l *life) nothingForeignIsMounted(before map[key]object) error {
	k := l.keys()["server"]
	sts := l.get(k)
	if before[k] != nil || sts == nil {
		return nil
	}
	uses := asJSON(at(sts, "spec", "template", "spec"))
	for _, name := range []string{"config", "jwt", "admin"} {
		k := l.keys()[name]
		if o := before[k]; o != nil && !l.ours(o) && strings.Contains(uses, `"`+k.name+`"`) {
			return breaks("runs on what is foreign", "the server is created on %s, which is somebody else's", k)
		}
	}
	return nil
}

// keysTranslated: rotated keys of the bucket reach the database, whatever else
// is held.
func (l *life) keysTranslated() error {
	m := l.merged()
	is, c := l.object("backup-credentials"), l.object("postgres")
	if is == nil || c == nil || !l.ours(is) || !l.ours(c) || deleting(is) || deleting(c) || !l.managed(is) || !backupsOn(c) ||
		!isTrue(m, "percona", "backup", "enabled") || text(m, "percona", "backup", "credentialsSecretRef", "name") != "s3-keys" || !l.serves("PerconaPGCluster") {
		return nil
	}
	s := l.get(l.secretKey("s3-keys"))
	for _, pair := range [][2]string{{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}, {"s3-key", "s3-key-secret"}} {
		id, ok := decoded(s, pair[0])
		v, ok2 := decoded(s, pair[1])
		conf, _ := decoded(is, "s3.conf")
		if ok && ok2 && conf != "[global]\nrepo1-s3-key="+id+"\nrepo1-s3-key-secret="+v+"\n" {
			return breaks("keys not rotated", "the keys of the bucket were rotated, and the database has the old ones")
		}
	}
	return nil
}

// byHand reports whether a message says that a person did it.
func byHand(msg string) bool {
	return slices.ContainsFunc([]string{"hand", "edit", "person", "live", "itself"}, func(w string) bool { return strings.Contains(msg, w) })
}

// backupsOn reports whether a cluster backs up.
func backupsOn(o object) bool {
	on, stated := at(o, "spec", "backups", "enabled").(bool)
	return on || !stated && at(o, "spec", "backups") != nil
}

// passwordIsRead: nobody is told of a new password of the administrator while it stays
// what it was.
func (l *life) passwordIsRead(a *lifecycle.Answer) error {
	m, name, key := l.merged(), l.n+"-admin-bootstrap-credentials", "password"
	if at(m, "identity", "admin", "passwordSecretRef") != nil {
		name, key = text(m, "identity", "admin", "passwordSecretRef", "name"), text(m, "identity", "admin", "passwordSecretRef", "key")
	}
	now, ok := decoded(l.get(l.secretKey(name)), key)
	was, had := l.known["admin"]
	if ok {
		l.known["admin"] = now
	}
	if !ok || !had || now != was {
		return nil
	}
	for _, r := range a.Response.GetResults() {
		if r.GetReason() == "PasswordNotRead" && strings.Contains(r.GetMessage(), "Secret "+name+" ") {
			return breaks("admin password", "the administrator's password is what it was, and an event says: %s", r.GetMessage())
		}
	}
	return nil
}

// atRest has what the function says of a server at which nothing changes any
// more: it must be true.
func (l *life) atRest(a *lifecycle.Answer) error {
	if a.Fatal != nil {
		return nil
	}
	m, c := l.merged(), l.object("postgres")
	status, _, msg := l.condition("Accepted")
	told := func(word string) bool { return status == "False" || strings.Contains(strings.ToLower(msg), word) }
	if slices.Contains(l.w.PeekXR().GetFinalizers(), "dittofs.dittofs.com/finalizer") && !strings.Contains(msg, "finalizer") {
		return breaks("finalizer not told", "the operator's finalizer keeps every deletion from ending, and Accepted says %s: %s", status, msg)
	}
	if c == nil || deleting(c) || !l.ours(c) || !l.managed(c) || !isTrue(m, "percona", "enabled") || !l.serves("PerconaPGCluster") {
		return nil
	}
	if cr := text(c, "spec", "crVersion"); strings.HasPrefix(cr, "2.8.") && text(c, "spec", "proxy", "pgBouncer", "image") == "" && !strings.Contains(msg, "crVersion") {
		return breaks("crVersion not told", "crVersion %s never becomes ready, and Accepted says %s: %s", cr, status, msg)
	}
	if want := number(m, "percona", "replicas"); want != 0 && l.newlyStated && text(m, "percona", "driftPolicy") != "Revert" {
		is := number(named(c, "instance1", "spec", "instances"), "replicas")
		if is != want && !strings.Contains(msg, "replicas") {
			return breaks("replicas not told", "percona.replicas is stated as %d, %d stay, and Accepted says %s: %s", want, is, status, msg)
		}
	}
	asked, on := isTrue(m, "percona", "backup", "enabled"), backupsOn(c)
	ready, _, readyMessage := l.condition("BackupReady")
	switch {
	case asked && !on && ready == "True":
		return breaks("backups by hand", "backups are off, and BackupReady is True")
	case asked && !on && ready != "False" && !told("backup"):
		return breaks("backups by hand", "backups are asked for and off, and Accepted says %s: %s", status, msg)
	case asked && !on && l.handBackups && l.renderedBackups() && !byHand(msg+readyMessage):
		return breaks("backups by hand", "a person switched backups off, and BackupReady says: %s", readyMessage)
	case !asked && on && strings.Contains(readyMessage, "no backups"):
		return breaks("backups by hand", "backups are on, and BackupReady says: %s", readyMessage)
	case !asked && on && !told("backup"):
		return breaks("backups by hand", "backups are not asked for and on, and Accepted says %s: %s", status, msg)
	}
	return l.followsWhileEmpty(m, c, msg)
}

// renderedBackups reports whether the cluster was last rendered with backups, so that
// it is a person who has none.
func (l *life) renderedBackups() bool {
	r := object{}
	_ = json.Unmarshal([]byte(l.recorded()), &r)
	return isTrue(r, "cluster", "spec", "backups", "enabled")
}

// followsWhileEmpty: a database that was never initialised follows every edit,
// or is told how to.
func (l *life) followsWhileEmpty(m, c object, msg string) error {
	// Of a server that is made again nobody knows whether the database had begun
	// since it was looked at last: in doubt it is kept.
	if !l.alive || l.remade || l.w.Files(l.ns, l.n+"-postgres") != nil || l.everReady[text(c, "metadata", "uid")] || strings.Contains(msg, "delete") || l.takenOver != "" || l.wasOperators() ||
		text(m, "percona", "driftPolicy") == "Revert" && len(l.edits) > 0 {
		return nil
	}
	claim := at(named(c, "instance1", "spec", "instances"), "dataVolumeClaimSpec")
	cm := mapOf(claim)
	for what, v := range map[string][2]any{
		"postgresVersion":  {at(m, "percona", "postgresVersion"), at(c, "spec", "postgresVersion")},
		"storageClassName": {at(m, "percona", "storageClassName"), at(cm, "storageClassName")},
	} {
		if v[0] != nil && v[0] != v[1] {
			return breaks("typo held", "a database that never started has %s %v, %v is asked for, and Accepted says: %s", what, v[1], v[0], msg)
		}
	}
	return nil
}

// wasOperators reports whether the cluster may be one that was taken over.
func (l *life) wasOperators() bool {
	return strings.HasPrefix(text(l.object("postgres"), "spec", "crVersion"), "2.8.")
}
