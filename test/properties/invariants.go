package properties

import (
	"cmp"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/dittofs/function-dittoserver/internal/lifecycle"
	"github.com/dittofs/function-dittoserver/test/conformance"
)

// wiredTo is the database that a StatefulSet uses, empty if there is none.
func wiredTo(n string, sts object) string {
	if sts == nil {
		return ""
	}
	c := named(sts, "dittofs", "spec", "template", "spec", "containers")
	if text(named(c, "DITTOFS_DATABASE_TYPE", "env"), "value") == "sqlite" {
		// Whoever made the pod first may still own references to another database.
		return "sqlite:" + text(named(c, "DITTOFS_DATABASE_SQLITE_PATH", "env"), "value")
	}
	switch s := text(named(c, "DITTOFS_DATABASE_POSTGRES_HOST", "env"), "valueFrom", "secretKeyRef", "name"); s {
	case "":
		if strings.HasPrefix(text(named(c, "DITTOFS_DATABASE_POSTGRES_HOST", "env"), "value"), n+"-postgres-primary.") {
			return "percona:"
		}
	case n + "-postgres-pguser-dittofs":
		return "percona:"
	default:
		return "external:" + s
	}
	return "sqlite:" + cmp.Or(text(named(c, "DITTOFS_DATABASE_SQLITE_PATH", "env"), "value"), "/data/controlplane/controlplane.db")
}

// quiet: no credential is told to anybody.
func (l *life) quiet(a *lifecycle.Answer, logs string) error {
	where := map[string]string{"a log": logs}
	for _, c := range a.Response.GetConditions() {
		where["condition "+c.GetType()] = c.GetMessage() + c.GetReason()
	}
	for i, r := range a.Response.GetResults() {
		where[fmt.Sprintf("result %d", i)] = r.GetMessage() + r.GetReason()
	}
	for name, r := range a.Response.GetDesired().GetResources() {
		if r.GetResource().GetFields()["kind"].GetStringValue() != "Secret" {
			where["composed "+name] = wire(r)
		}
	}
	where["the XR"] = wire(a.Response.GetDesired().GetComposite())
	for _, place := range slices.Sorted(maps.Keys(where)) {
		if strings.Contains(where[place], "canary-") && !strings.HasPrefix(place, "the XR") {
			return breaks("quiet", "%s has a credential: %s", place, where[place])
		}
		// The status names the database's user, which is not secret.
		if strings.Contains(strings.ReplaceAll(where[place], "canary-user", ""), "canary-") {
			return breaks("quiet", "%s has a credential: %s", place, where[place])
		}
		for _, s := range []object{l.object("jwt"), l.object("admin")} {
			for _, k := range []string{"jwt-secret", "password"} {
				if v, ok := decoded(s, k); ok && strings.Contains(where[place], v) {
					return breaks("quiet", "%s has a generated secret", place)
				}
			}
		}
	}
	return nil
}

// wire is a message as it is sent, in which every string can be found.
func wire(m proto.Message) string {
	b, _ := proto.Marshal(m)
	return string(b)
}

// fatalConditions: beside a Fatal stand all conditions that there were, since
// Crossplane turns those that are missing to Unknown.
func (l *life) fatalConditions(a *lifecycle.Answer, had object) error {
	got := map[string]*fnv1.Condition{}
	for _, c := range a.Response.GetConditions() {
		got[c.GetType()] = c
	}
	accepted := got["Accepted"]
	if accepted.GetStatus() != fnv1.Status_STATUS_CONDITION_FALSE || accepted.GetReason() != "InvalidSpec" || accepted.GetMessage() != a.Fatal.Error() {
		return breaks("fatalConditions", "a Fatal without its condition: Accepted is %v", accepted)
	}
	for _, c := range list(had, "status", "conditions") {
		if typ := text(c, "type"); slices.Contains([]string{"Accepted", "DatabaseReady", "Available", "Progressing", "BackupReady"}, typ) && got[typ] == nil && (l.takenOver == "" || l.reached) {
			return breaks("fatalConditions", "a Fatal lets condition %s turn to Unknown", typ)
		}
	}
	// A good database is not made bad by an invalid edit.
	if c := got["DatabaseReady"]; c.GetReason() == "InvalidSpec" && l.perconaReady() && strings.HasPrefix(wiredTo(l.n, l.object("server")), "percona") {
		return breaks("fatalConditions", "an invalid edit makes a good database unready")
	}
	return nil
}

// nothingDropped: what exists and is ours stays in the answer.
func (l *life) nothingDropped(before map[key]object, a *lifecycle.Answer) error {
	for _, name := range a.Deleted {
		if !l.unwanted(name) {
			return breaks("nothingDropped", "%s exists, is ours, and is dropped", name)
		}
	}
	for name, o := range a.Request.GetObserved().GetResources() {
		was := o.GetResource().AsMap()
		is := a.Response.GetDesired().GetResources()[name]
		if is == nil && l.unwanted(name) {
			continue
		}
		if is == nil {
			return breaks("nothingDropped", "%s (%s) is observed and dropped", name, keyOf(was))
		}
		now := is.GetResource().AsMap()
		if ns := text(l.xr(), "metadata", "namespace"); ns != "" {
			set(now, ns, "metadata", "namespace")
		}
		if keyOf(now) != keyOf(was) {
			return breaks("nothingDropped", "%s was %s and is now %s", name, keyOf(was), keyOf(now))
		}
	}
	// What is ours and not observed counts all the same, if the server needs it.
	for name, k := range l.keys() {
		o := before[k]
		if o == nil || deleting(o) || !l.ours(o) || a.Response.GetDesired().GetResources()[name] != nil {
			continue
		}
		switch name {
		case "jwt", "admin", "backup-credentials", "postgres", "metrics", "service-monitor", "network-policy", "network-policy-nfs", "network-policy-smb":
			// Only where the spec wants them.
			continue
		}
		if l.unwanted(name) {
			continue
		}
		return breaks("nothingDropped", "%s (%s) is ours, not observed, and left out", name, k)
	}
	return nil
}

// unwanted reports whether an object is kept only while the spec asks for it, and
// the spec does not.
func (l *life) unwanted(resource string) bool {
	switch resource {
	case "metrics":
		return !isTrue(l.merged(), "metrics", "enabled")
	case "service-monitor":
		return !isTrue(l.merged(), "metrics", "enabled") || !isTrue(l.merged(), "metrics", "serviceMonitor", "enabled")
	case "network-policy":
		return !isTrue(l.merged(), "networkPolicy", "enabled")
	case "network-policy-nfs", "network-policy-smb":
		return !isTrue(l.merged(), "networkPolicy", "enabled") || l.unwanted(strings.TrimPrefix(resource, "network-policy-"))
	case "nfs", "smb":
		on, stated := at(l.merged(), "adapters", resource, "enabled").(bool)
		return stated && !on
	}
	return false
}

// nothingTaken: what is somebody else's is not composed, nor what is on its way
// out, unless Crossplane knows it as this XR's.
func (l *life) nothingTaken(before map[key]object, a *lifecycle.Answer) error {
	for name, r := range a.Response.GetDesired().GetResources() {
		o := before[keyOf(r.GetResource().AsMap())]
		if o == nil || l.w.Earlier.GetResources()[name] != nil {
			continue
		}
		if deleting(o) && a.Request.GetObserved().GetResources()[name] == nil {
			return breaks("nothingTaken", "%s is being deleted, and composed", keyOf(o))
		}
		// Judged before Crossplane took it.
		if mine, anybody := l.controlled(o); anybody && mine {
			continue
		}
		if !l.ours(o) {
			return breaks("nothingTaken", "%s is foreign, and taken over", keyOf(o))
		}
	}
	for name, k := range l.keys() {
		o := before[k]
		if o == nil || !deleting(o) && l.ours(o) {
			continue
		}
		if a.Request.GetObserved().GetResources()[name] == nil && !reflect.DeepEqual(o, l.get(k)) {
			return breaks("nothingTaken", "%s is not ours to change, and changed", k)
		}
		if !l.wanted(name) {
			continue
		}
		if status, reason, msg := l.condition("Accepted"); status != "False" || reason != "NameTaken" && reason != "ChangeHeld" || !strings.Contains(msg, k.name) {
			return breaks("nothingTaken", "%s is in the way, and Accepted is %s, %s: %s", k, status, reason, msg)
		}
	}
	return nil
}

// wanted reports whether the spec certainly wants an object.
func (l *life) wanted(resource string) bool {
	m := l.merged()
	switch resource {
	case "jwt":
		return at(m, "identity", "jwt", "secretRef") == nil
	case "admin":
		return at(m, "identity", "admin", "passwordSecretRef") == nil
	case "postgres":
		return isTrue(m, "percona", "enabled") && (l.wired == "" || strings.HasPrefix(l.wired, "percona")) && l.serves("PerconaPGCluster")
	case "backup-credentials":
		return false
	}
	return !l.unwanted(resource)
}

// gateOf is the gate of a database: every SQLite file is as good as another.
func gateOf(wired string) string {
	if strings.HasPrefix(wired, "sqlite:") {
		return "sqlite:"
	}
	return wired
}

// serverGated: the StatefulSet is not created before its database is ready.
func (l *life) serverGated(before map[key]object, gate map[string]bool) error {
	k := l.keys()["server"]
	if before[k] != nil || l.get(k) == nil {
		return nil
	}
	wired := wiredTo(l.n, l.get(k))
	if !gate[gateOf(wired)] {
		return breaks("serverGated", "the server is created on %s, which is not ready", wired)
	}
	return nil
}

// secretsKept: no value of a Secret changes, but those that are translated.
func (l *life) secretsKept(before map[key]object) error {
	for k, o := range before {
		if k.kind != "Secret" || k.name == l.n+"-pgbackrest-secret" {
			continue
		}
		for field, v := range mapOf(o["data"]) {
			if now := at(l.get(k), "data", field); now != v {
				return breaks("secretsKept", "%s: the value of %s changed", k, field)
			}
		}
	}
	was, is := before[l.keys()["backup-credentials"]], l.object("backup-credentials")
	if was == nil || reflect.DeepEqual(was["data"], is["data"]) {
		return nil
	}
	user := l.get(l.secretKey("s3-keys"))
	for _, pair := range [][2]string{{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}, {"s3-key", "s3-key-secret"}} {
		id, ok := decoded(user, pair[0])
		s, _ := decoded(user, pair[1])
		conf, _ := decoded(is, "s3.conf")
		if ok && conf == "[global]\nrepo1-s3-key="+id+"\nrepo1-s3-key-secret="+s+"\n" {
			return nil
		}
	}
	return breaks("secretsKept", "the translated credentials changed to something else")
}

// clusterKept: what holds data does not change or shrink.
func (l *life) clusterKept(before map[key]object) error {
	was, is := before[l.keys()["postgres"]], l.object("postgres")
	if was == nil || is == nil || at(was, "metadata", "uid") != at(is, "metadata", "uid") {
		return nil
	}
	if !l.everReady[text(is, "metadata", "uid")] && text(was, "status", "state") != "ready" && number(was, "status", "postgres", "ready") == 0 && l.managed(was) && l.w.Files(l.ns, l.n+"-postgres") == nil {
		// It never held data, and follows. Its volume keeps the class that it was
		// made with, and what is asked for may be set back to that later.
		class := func(o object) string {
			return text(named(o, "instance1", "spec", "instances"), "dataVolumeClaimSpec", "storageClassName")
		}
		l.classMoved = l.classMoved || class(was) != class(is)
		return nil
	}
	same := map[string]func(o object) any{
		"PostgreSQL version": func(o object) any { return at(o, "spec", "postgresVersion") },
		"database name": func(o object) any {
			if l.managed(was) {
				return nil // chosenKept.
			}
			if dbs, _ := at(named(o, "dittofs", "spec", "users"), "databases").([]any); len(dbs) > 0 {
				return dbs[0]
			}
			return nil
		},
		"storage class": func(o object) any {
			return text(named(o, "instance1", "spec", "instances"), "dataVolumeClaimSpec", "storageClassName")
		},
		"repository path": func(o object) any {
			if l.managed(was) {
				return "" // chosenKept.
			}
			return text(o, "spec", "backups", "pgbackrest", "global", "repo1-path")
		},
	}
	for _, what := range slices.Sorted(maps.Keys(same)) {
		w, i := same[what](was), same[what](is)
		if what == "storage class" && l.classMoved {
			continue
		}
		if what == "repository path" && (w == "" || isTrue(l.merged(), "percona", "backup", "confirmRemoval") && i == "") {
			continue
		}
		if w != nil && !reflect.DeepEqual(w, i) {
			return breaks("clusterKept", "the cluster's %s was %v and is %v", what, w, i)
		}
	}
	size := func(o object) resource.Quantity {
		q, _ := resource.ParseQuantity(text(named(o, "instance1", "spec", "instances"), "dataVolumeClaimSpec", "resources", "requests", "storage"))
		return q
	}
	if w, i := size(was), size(is); i.Cmp(w) < 0 {
		return breaks("clusterKept", "the database's volumes shrink from %s to %s", w.String(), i.String())
	}
	on := backupsOn
	if on(was) && !on(is) && !l.handBackups {
		if !l.removalConfirmed() {
			if l.spent["confirmRemoval"] != "" {
				return breaks("spent confirmation of removal", "backups are switched off by a confirmation that was used before")
			}
			return breaks("backups off", "backups are switched off, unconfirmed")
		}
		l.spent["confirmRemoval"] = "used"
	}
	if major := tagMajor(text(is, "spec", "image")); major != 0 && major != int(number(is, "spec", "postgresVersion")) {
		return breaks("clusterKept", "image %s on the files of PostgreSQL %v", text(is, "spec", "image"), at(is, "spec", "postgresVersion"))
	}
	return nil
}

// adoptedAsItWas: of a cluster that somebody else made, what nobody asks for
// stays.
func (l *life) adoptedAsItWas(before map[key]object) error {
	const record = "dittoserver.fn.crossplane.io/rendered"
	was, is := before[l.keys()["postgres"]], l.object("postgres")
	if was == nil || is == nil || at(was, "metadata", "annotations", record) != nil || at(is, "metadata", "annotations", record) == nil {
		return nil
	}
	m := l.merged()
	if text(m, "percona", "driftPolicy") == "Revert" {
		return nil
	}
	replicas := func(o object) any { return at(named(o, "instance1", "spec", "instances"), "replicas") }
	for what, v := range map[string][3]any{
		"replicas":        {at(m, "percona", "replicas"), replicas(was), replicas(is)},
		"crVersion":       {at(m, "percona", "crVersion"), at(was, "spec", "crVersion"), at(is, "spec", "crVersion")},
		"image":           {at(m, "percona", "image"), at(was, "spec", "image"), at(is, "spec", "image")},
		"postgresVersion": {nil, at(was, "spec", "postgresVersion"), at(is, "spec", "postgresVersion")},
	} {
		if v[0] == nil && v[1] != nil && v[1] != v[2] {
			return breaks("adoptedAsItWas", "a cluster is taken over, and its %s goes from %v to %v", what, v[1], v[2])
		}
	}
	return nil
}

// templateKept: the pod is not restarted for nothing.
func (l *life) templateKept(before map[key]object, wired string) error {
	concern := l.concern(wired)
	was, is := before[l.keys()["server"]], l.object("server")
	defer func() {
		l.known["concern"], l.known["concern.wired"] = concern, wired
		if before[l.keys()["jwt"]] == nil {
			// A secret that was generated meanwhile concerns the pod, too.
			delete(l.known, "concern.wired")
		}
	}()
	if was == nil || is == nil || at(was, "metadata", "annotations", annotationResource) == nil || !composedBefore(was) {
		return nil
	}
	if l.known["concern.wired"] != wired || wiredTo(l.n, is) != wired || l.known["concern"] != concern {
		return nil
	}
	if reflect.DeepEqual(at(was, "spec", "template"), at(is, "spec", "template")) {
		return nil
	}
	return breaks("templateKept", "the pod is restarted for nothing (-was +is):\n%s", gocmp.Diff(at(was, "spec", "template"), at(is, "spec", "template")))
}

// composedBefore reports whether a StatefulSet was composed before. One whose
// identity alone was taken over gets its new pod with the rest.
func composedBefore(sts object) bool {
	return text(sts, "spec", "template", "metadata", "annotations", "checksum.dittoserver.fn.crossplane.io/config") != ""
}

// notReadyWhileGated: the XR is not ready while its server waits.
//
// Ready is judged by what the function could see, which is the world before its
// answer was applied.
func (l *life) notReadyWhileGated(gate map[string]bool) error {
	ready, _, _ := l.condition("Ready")
	if ready != "True" {
		return nil
	}
	sts := l.object("server")
	if sts == nil {
		return breaks("notReadyWhileGated", "the XR is ready without a server")
	}
	for name, k := range l.keys() {
		if deleting(l.get(k)) && l.wanted(name) {
			return breaks("notReadyWhileGated", "the XR is ready, and %s is being deleted", k)
		}
	}
	if wired := wiredTo(l.n, sts); !gate[gateOf(wired)] {
		return breaks("notReadyWhileGated", "the XR is ready, and its database %s is not", wired)
	}
	if s, reason, _ := l.condition("DatabaseReady"); s == "False" {
		return breaks("notReadyWhileGated", "the XR is ready with DatabaseReady False, %s", reason)
	}
	return nil
}

// passedThrough: what earlier steps desire passes through untouched.
func (l *life) passedThrough(a *lifecycle.Answer) error {
	want := l.w.Context
	if want == nil {
		want = &structpb.Struct{}
	}
	if diff := difference(want, a.Response.GetContext()); diff != "" {
		return breaks("passedThrough", "the context changed:\n%s", diff)
	}
	for name, r := range l.w.Earlier.GetResources() {
		if diff := difference(r, a.Response.GetDesired().GetResources()[name]); diff != "" {
			return breaks("passedThrough", "another step's %s changed:\n%s", name, diff)
		}
	}
	e := l.w.Earlier.GetComposite()
	if e == nil {
		return nil
	}
	got := a.Response.GetDesired().GetComposite()
	if got.GetResource().GetFields()["metadata"] == nil {
		return breaks("passedThrough", "another step's labels of the XR are gone")
	}
	if got.GetReady() != e.GetReady() && got.GetReady() != fnv1.Ready_READY_FALSE {
		return breaks("passedThrough", "another step's verdict %s became %s", e.GetReady(), got.GetReady())
	}
	return nil
}

// editsKept: a person's edits of the cluster stay while the ask does not change,
// and fields that nobody asks for always do.
func (l *life) editsKept() error {
	is := l.object("postgres")
	left := make([]personsEdit, 0, len(l.edits))
	for _, e := range l.edits {
		if is == nil || text(is, "metadata", "uid") != e.uid {
			continue
		}
		if !e.foreign && e.ask != l.askDigest() {
			continue
		}
		left = append(left, e)
		if got := e.value(is); !reflect.DeepEqual(got, e.want) {
			return breaks("editsKept", "a person's edit of %s to %v is now %v", e.path, e.want, got)
		}
	}
	l.edits = left
	return nil
}

// agedKept: a new function does not change what an older one chose.
func (l *life) agedKept() error {
	for path, want := range l.aged {
		var got any
		switch path {
		case "server":
			sts := l.object("server")
			if sts == nil || text(l.merged(), "image") != "" {
				delete(l.aged, path)
				continue
			}
			got = named(sts, "dittofs", "spec", "template", "spec", "containers")["image"]
		case "init":
			sts := l.object("server")
			i := named(sts, "wait-for-postgres", "spec", "template", "spec", "initContainers")
			if i == nil || text(l.merged(), "percona", "image") != "" {
				delete(l.aged, path)
				continue
			}
			got = i["image"]
		case "postgres", "pgbackrest", "crVersion":
			c := l.object("postgres")
			if c == nil || text(l.merged(), "percona", "image") != "" || text(l.merged(), "percona", "crVersion") != "" {
				delete(l.aged, path)
				continue
			}
			got = map[string]any{
				"postgres": at(c, "spec", "image"), "pgbackrest": at(c, "spec", "backups", "pgbackrest", "image"), "crVersion": at(c, "spec", "crVersion"),
			}[path]
		}
		if got != want {
			return breaks("agedKept", "an upgrade of the function changes %s from %v to %v", path, want, got)
		}
	}
	return nil
}

// onlyIntended: nothing is sent that nobody means.
func (l *life) onlyIntended(a *lifecycle.Answer) error {
	for name, r := range a.Response.GetDesired().GetResources() {
		if bad := conformance.Residue(name, r.GetResource().AsMap()); len(bad) > 0 {
			return breaks("onlyIntended", "sent unasked: %s", strings.Join(bad, ", "))
		}
	}
	return nil
}

// contradictionsTold: what is held is told.
func (l *life) contradictionsTold() error {
	m, c := l.merged(), l.object("postgres")
	status, reason, _ := l.condition("Accepted")
	if status == "" {
		return breaks("contradictionsTold", "no condition Accepted")
	}
	if v := number(m, "percona", "postgresVersion"); c != nil && isTrue(m, "percona", "enabled") && v != 0 && l.ours(c) && !deleting(c) &&
		v != number(c, "spec", "postgresVersion") && status != "False" {
		return breaks("contradictionsTold", "PostgreSQL %v is asked for, %v stays, and Accepted is %s, %s", v, at(c, "spec", "postgresVersion"), status, reason)
	}
	if wired := wiredTo(l.n, l.object("server")); isTrue(m, "percona", "enabled") && wired != "" && !strings.HasPrefix(wired, "percona") &&
		text(m, "database", "confirmSwitch") != "percona" && status != "False" {
		return breaks("contradictionsTold", "Percona is asked for, the server stays on %s, and Accepted is %s, %s", wired, status, reason)
	}
	return nil
}

// concern is everything that a pod template may depend on while its server
// stays on one database.
func (l *life) concern(wired string) string {
	m := l.merged()
	of := object{}
	for _, p := range [][]string{
		{"image"}, {"resources"}, {"securityContext"}, {"podSecurityContext"}, {"terminationGracePeriodSeconds"}, {"controlPlane"},
		{"identity", "jwt"}, {"identity", "admin", "passwordSecretRef"}, {"logging"}, {"metrics"}, {"gc"}, {"extraConfig"}, {"identity", "ldap"}, {"identity", "kerberos"},
		{"adapters"}, {"extraEnv"}, {"nodeSelector"}, {"podLabels"},
	} {
		of[strings.Join(p, ".")] = at(m, p...)
	}
	// A reference to a Secret that is not there is held at the one before, so both
	// concern the pod, and so does it whether they are there.
	of["jwtValues"] = []string{l.known[l.n+"-jwt-secret"], l.known["own-jwt"]}
	for _, p := range [][]string{{"identity", "jwt", "secretRef"}, {"identity", "admin", "passwordSecretRef"}, {"metrics", "bearerTokenSecret"}} {
		ref, _ := at(m, p...).(object)
		of[strings.Join(p, ".")+" is there"] = ref != nil && l.has(text(ref, "name"), text(ref, "key"))
	}
	for _, name := range certificateSecrets {
		// A renewed certificate restarts nothing, and other authorities do.
		of[name+" is whole"] = l.hasPair(name)
		of["authorities of "+name] = l.authorities(name)
	}
	keytab, _ := decoded(l.get(l.secretKey("own-keytab")), "keytab")
	conf, _ := decoded(l.get(l.secretKey("own-keytab")), "krb5.conf")
	of["own-keytab"] = []any{len(keytab) > 20, conf}
	of["own-ldap is there"] = l.has("own-ldap", "password")
	of["own-ldap"] = l.known["own-ldap"]
	of["own-admin is there"] = l.has("own-admin", "password")
	// A server that has started does not need it any more.
	admin, named := at(m, "identity", "admin", "passwordSecretRef").(object)
	lacks := !l.has("own-admin", "password") || named && !l.has(text(admin, "name"), text(admin, "key"))
	of["started without"] = lacks && number(l.object("server"), "status", "readyReplicas") > 0
	if strings.HasPrefix(wired, "percona") {
		of["perconaImage"], of["version"] = at(m, "percona", "image"), at(l.object("postgres"), "spec", "postgresVersion")
		// They are not looked at while the cluster is on its way out.
		of["cluster leaves"] = deleting(l.object("postgres"))
		of["credentials"], of["ca"] = l.known[l.n+"-postgres-pguser-dittofs"], l.known[l.n+"-postgres-cluster-cert"]
	}
	if strings.HasPrefix(wired, "external") {
		of["external"] = l.known[strings.TrimPrefix(wired, "external:")]
	}
	b, _ := json.Marshal(of)
	return string(b)
}

// certificateSecrets are the Secrets that specs name for TLS.
var certificateSecrets = []string{"own-cert", "other-cert", "own-ca"} //nolint:gochecknoglobals // A constant.

// hasPair reports whether a Secret has a certificate and its key.
func (l *life) hasPair(name string) bool {
	s := l.get(l.secretKey(name))
	cert, _ := decoded(s, "tls.crt")
	key, _ := decoded(s, "tls.key")
	_, err := tls.X509KeyPair([]byte(cert), []byte(key))
	return err == nil
}

// authorities returns the authorities of clients that a Secret has.
func (l *life) authorities(name string) string {
	ca, _ := decoded(l.get(l.secretKey(name)), "ca.crt")
	return ca
}

// remember notes the values of Secrets that can be read, and which confirmations were
// taken out.
func (l *life) remember() {
	_, _ = l.confirmation(), l.removalConfirmed()
	for name, keys := range map[string][]string{
		l.n + "-postgres-pguser-dittofs": {"host", "port", "user", "password"},
		l.n + "-postgres-cluster-cert":   {"ca.crt"},
		l.n + "-jwt-secret":              {"jwt-secret"},
		"own-jwt":                        {"key"},
		"own-ldap":                       {"password"},
	} {
		if l.has(name, keys...) {
			parts := make([]string, 0, len(keys))
			for _, k := range keys {
				v, _ := decoded(l.get(l.secretKey(name)), k)
				parts = append(parts, v)
			}
			l.known[name] = strings.Join(parts, "\n")
		}
	}
	for _, name := range append([]string{"corp-db"}, externals...) {
		s := l.get(l.secretKey(name))
		if s == nil || !l.has(name, "host", "database", "user", "password") {
			continue
		}
		had := object{}
		_ = json.Unmarshal([]byte(l.known[name]), &had)
		if slices.ContainsFunc([]string{"port", "sslmode", "ca.crt"}, func(k string) bool { return had[k] != nil && at(s, "data", k) == nil }) {
			// What goes missing changes nothing.
			continue
		}
		b, _ := json.Marshal(s["data"])
		l.known[name] = string(b)
	}
}

// perconaReady reports whether a server can be started on the PerconaPGCluster.
func (l *life) perconaReady() bool {
	o := l.object("postgres")
	if o == nil || deleting(o) || !l.ours(o) || text(o, "status", "state") != "ready" {
		return false
	}
	if g := number(o, "status", "observedGeneration"); g > 0 && g < number(o, "metadata", "generation") {
		return false
	}
	if size := number(o, "status", "postgres", "size"); size < 1 || number(o, "status", "postgres", "ready") < size {
		return false
	}
	return l.has(l.n+"-postgres-pguser-dittofs", "host", "port", "dbname", "user", "password", "uri") && l.has(l.n+"-postgres-cluster-cert", "ca.crt")
}

func (l *life) has(secretName string, keys ...string) bool {
	s := l.get(l.secretKey(secretName))
	for _, k := range keys {
		if _, ok := decoded(s, k); !ok {
			return false
		}
	}
	return s != nil
}

// databaseReady reports whether the database that a StatefulSet is wired to can be
// used.
func (l *life) databaseReady(wired string) bool {
	switch kind, name, _ := strings.Cut(wired, ":"); kind {
	case "percona":
		return l.perconaReady()
	case "external":
		return l.has(name, "host", "database", "user", "password")
	}
	return true
}

// askDigest is what is said of the PerconaPGCluster.
func (l *life) askDigest() string { b, _ := json.Marshal(l.merged()["percona"]); return string(b) }

// ours reports whether an object may be composed.
func (l *life) ours(o object) bool {
	if mine, anybody := l.controlled(o); anybody {
		return mine
	}
	if isTrue(l.merged(), "adoptExisting") {
		return true
	}
	if claim := text(l.xr(), "spec", "claimRef", "name"); claim != "" {
		return text(o, "metadata", "labels", labelClaimName) == claim && text(o, "metadata", "labels", labelClaimNamespace) == text(l.xr(), "spec", "claimRef", "namespace")
	}
	return text(o, "metadata", "labels", labelComposite) == text(l.xr(), "metadata", "name")
}

// valid reports whether the spec certainly has no invalid value.
func (l *life) valid() bool {
	m := l.merged()
	b, _ := json.Marshal(m)
	if s := string(b); strings.Contains(s, "POISON") || strings.Contains(s, "99999") {
		return false
	}
	if text(m, "storage", "metadataSize") == "" {
		return false
	}
	if isTrue(m, "identity", "kerberos", "enabled") && isTrue(m, "identity", "kerberos", "switchedOff") {
		return false
	}
	if isTrue(m, "metrics", "enabled") && cmp.Or(number(m, "metrics", "port"), 9090) == cmp.Or(number(m, "controlPlane", "port"), 8080) {
		return false
	}
	if !isTrue(m, "percona", "enabled") {
		return text(m, "database", "type") != "postgres" || at(m, "database", "postgresSecretRef") != nil
	}
	if isTrue(m, "percona", "backup", "enabled") && (text(m, "percona", "backup", "bucket") == "" || text(m, "percona", "backup", "endpoint") == "") {
		return false
	}
	major := tagMajor(text(m, "percona", "image"))
	return major == 0 || major == int(cmp.Or(number(m, "percona", "postgresVersion"), 16))
}

// merged is the spec over the platform's defaults.
func (l *life) merged() object {
	defaults, _ := at(l.input, "defaults").(object)
	spec, _ := l.xr()["spec"].(object)
	return overlaid(defaults, spec)
}
