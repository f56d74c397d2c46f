package properties

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dittofs/function-dittoserver/internal/certtest"
	"github.com/dittofs/function-dittoserver/internal/lifecycle"
	"github.com/dittofs/function-dittoserver/test/conformance"
)

// An action is what may happen to a server between two reconciles. It returns
// what it did, and nothing if it could not.
type action struct {
	weight int
	do     func(l *life) string
}

var actions = []action{ //nolint:gochecknoglobals // A constant.
	{10, (*life).editSpec},
	{10, (*life).editPercona},
	{8, (*life).asksForAnotherDatabase},
	{4, (*life).typoCorrected},
	{3, (*life).editInput},
	{3, (*life).poison},
	{2, (*life).moveInput},
	{10, (*life).perconaActs},
	{8, (*life).perconaSettles},
	{6, (*life).perconaAlmostSettles},
	{5, (*life).serverActs},
	{3, (*life).podEvicted},
	{5, (*life).rotate},
	{8, (*life).userSecretActs},
	{6, (*life).externalSecretInTwoSteps},
	{4, (*life).namesASecretThatIsNotThere},
	{8, (*life).personEditsCluster},
	{5, (*life).personEditsWhatIsHeld},
	{3, (*life).personSwitchesBackups},
	{3, (*life).personScales},
	{3, (*life).statesReplicas},
	{12, (*life).switchesBackups},
	{3, (*life).foreignFields},
	{5, (*life).deleteObject},
	{3, (*life).serverDeletedAndMoved},
	{4, (*life).deletionBegins},
	{3, (*life).deletionEnds},
	{4, (*life).somethingInTheWay},
	{3, (*life).somethingOutOfTheWay},
	{4, (*life).orphanedAndCreatedAgain},
	{6, (*life).deletedAndCreatedAgain},
	{2, (*life).forgotten},
	{2, (*life).boundToAClaim},
	{3, (*life).upgradedPostgres},
	{3, (*life).functionUpgraded},
	{3, (*life).crdActs},
	{2, func(*life) string { return "nothing happens" }},
}

func pickAction(r *rand.Rand) int {
	total := 0
	for _, a := range actions {
		total += a.weight
	}
	n := r.IntN(total)
	for i, a := range actions {
		if n -= a.weight; n < 0 {
			return i
		}
	}
	return 0
}

func (l *life) chance(percent int) bool { return l.r.IntN(100) < percent }

// setInput makes an Input, with defaults or without.
func (l *life) setInput() {
	l.input = nil
	in := object{"apiVersion": "dittoserver.fn.crossplane.io/v1beta1", "kind": "Input"}
	if l.chance(40) {
		defaults := randomSpec(l.r)
		delete(defaults, "typingError")
		for _, k := range slices.Sorted(maps.Keys(defaults)) {
			if l.chance(50) {
				delete(defaults, k)
			}
		}
		if len(defaults) > 0 {
			in["defaults"] = defaults
		}
	}
	if l.chance(20) {
		in["ttl"] = "5m"
	}
	if l.ns == "servers" {
		in["namespace"] = l.ns
	}
	if len(in) > 2 {
		l.input = clone(in)
	}
}

func (l *life) pushInput() {
	if l.input == nil {
		l.w.SetInput(nil)
		return
	}
	l.w.SetInput(toStruct(l.input))
}

// earlierStep is what another function composes before this one.
func (l *life) earlierStep() {
	if !l.chance(30) {
		return
	}
	xr := l.xr()
	l.w.Earlier = &fnv1.State{
		Composite: &fnv1.Resource{
			Resource: toStruct(object{"apiVersion": xr["apiVersion"], "kind": xr["kind"], "metadata": object{"labels": object{"team": "a"}}}),
			Ready:    pick(l.r, fnv1.Ready_READY_UNSPECIFIED, fnv1.Ready_READY_TRUE, fnv1.Ready_READY_FALSE),
		},
		Resources: map[string]*fnv1.Resource{"bucket": {
			Resource: toStruct(object{"apiVersion": "v1", "kind": "ConfigMap", "metadata": object{"name": "bucket", "namespace": l.ns}, "data": object{"a": "b"}}),
			Ready:    fnv1.Ready_READY_TRUE,
		}},
	}
	if xr["kind"] == "XDittoServer" && l.chance(50) {
		l.w.Earlier.Composite = nil
	}
	l.w.Context = &structpb.Struct{Fields: map[string]*structpb.Value{"apiextensions.crossplane.io/environment": structpb.NewStructValue(toStruct(object{"region": "x"}))}}
}

// externals are the Secrets of databases of somebody else's.
var externals = []string{"external-db", "other-db"} //nolint:gochecknoglobals // A constant.

// userSecret creates or replaces a Secret of a user's.
func (l *life) userSecret(name string) {
	v := func(what string) string { return fmt.Sprintf("canary-%s-%d-%032d", what, l.r.IntN(4), 0) }
	data := map[string]string{}
	switch name {
	case "external-db", "other-db":
		data = map[string]string{"host": name + ".example.com", "database": "x", "user": v("user"), "password": v("password")}
		for _, k := range []string{"port", "sslmode", "ca.crt"} {
			val := map[string]string{"port": "5433", "sslmode": "require", "ca.crt": "a certificate"}[k]
			if l.chance(40) {
				data[k] = val
			}
		}
		if l.chance(10) {
			delete(data, pick(l.r, "password", "host", "user"))
		}
		if l.chance(6) {
			data[pick(l.r, "sslmode", "port", "password", "ca.crt", "user", "host")] = "\xff\xfe\x00no text"
		}
	case "s3-keys":
		switch l.r.IntN(4) {
		case 0:
			data = map[string]string{"s3.conf": "[global]\nrepo1-s3-key=" + v("s3") + "\n"}
		case 1:
			data = map[string]string{"s3-key": v("id"), "s3-key-secret": v("s3")}
		case 2:
			data = map[string]string{"AWS_ACCESS_KEY_ID": v("id"), "AWS_SECRET_ACCESS_KEY": v("s3")}
		default:
			data = map[string]string{"other": v("s3")}
		}
	case "own-jwt":
		data = map[string]string{"key": v("jwt")}
	case "own-admin":
		data = map[string]string{"password": v("admin")}
	case "own-keytab":
		data = map[string]string{"keytab": certtest.Keytab(v("keytab")), "krb5.conf": pick(l.r, "[libdefaults]\n", "[libdefaults]\n  dns_lookup_kdc = true\n")}
		if l.chance(20) {
			data["keytab"] = data["keytab"][:20]
		}
	case "own-ldap":
		data = map[string]string{"password": v("ldap")}
	case "own-cert", "other-cert":
		data = certificates(l.r)
	case "own-ca":
		data["ca.crt"], _ = certtest.Pair(pick(l.r, "a", "b"))
		if l.chance(15) {
			data["ca.crt"] = "no certificate"
		}
	}
	l.put(secret(l.ns, name, data))
}

// randomXR is what a user applies instead.
func (l *life) editSpec() string {
	other := randomSpec(l.r)
	k := pick(l.r, "storage", "percona", "image", "replicas", "database", "controlPlane", "identity", "logging", "service", "adapterServices", "resources", "securityContext", "adoptExisting", "database", "networkPolicy", "adapters", "extraEnv", "nodeSelector", "metrics")
	l.editXR(func(spec object) {
		if v, ok := other[k]; ok {
			set(spec, v, k)
		} else if k != "storage" {
			delete(spec, k)
		}
	})
	return "the spec is edited: " + k + " = " + asJSON(other[k])
}

func (l *life) editPercona() string {
	if _, ok := l.spec()["percona"].(object); !ok {
		return ""
	}
	other := randomPercona(l.r)
	ks := []string{"enabled", "replicas", "storageSize", "storageClassName", "postgresVersion", "image", "databaseName", "metadataDatabaseName", "deleteWithServer", "driftPolicy", "resources", "backup", "backup"}
	k := ks[l.r.IntN(len(ks))]
	l.editXR(func(spec object) {
		if v, ok := other[k]; ok {
			set(spec, v, "percona", k)
		} else {
			delete(spec["percona"].(object), k)
		}
	})
	return "the spec is edited: percona." + k + " = " + asJSON(other[k])
}

// asksForAnotherDatabase asks for a database, confirmed or not, and may leave an
// older confirmation where it is.
func (l *life) asksForAnotherDatabase() string {
	kind := pick(l.r, "sqlite", "external", "external", "percona")
	confirm := l.chance(40)
	l.editXR(func(spec object) {
		had := text(spec, "database", "confirmSwitch")
		db := object{}
		switch kind {
		case "sqlite":
			set(db, pick(l.r, "/data/controlplane/controlplane.db", "/data/controlplane/other.db"), "sqlite", "path")
			db["type"] = "sqlite"
		case "external":
			db["postgresSecretRef"] = object{"name": pick(l.r, externals...), "key": "any"}
		}
		if confirm {
			had = kind
		}
		if had != "" {
			db["confirmSwitch"] = had
		}
		set(spec, db, "database")
		if kind == "percona" {
			if at(spec, "percona") == nil {
				set(spec, object{}, "percona")
			}
			set(spec, true, "percona", "enabled")
		} else if p, ok := spec["percona"].(object); ok {
			p["enabled"] = false
		}
	})
	return "another database is asked for: " + asJSON(l.spec()["database"]) + ", percona.enabled " + asJSON(at(l.spec(), "percona", "enabled"))
}

// typoCorrected corrects what keeps a database from starting, while there is no
// such database yet.
func (l *life) typoCorrected() string {
	if !isTrue(l.merged(), "percona", "enabled") || l.w.Files(l.ns, l.n+"-postgres") != nil || l.takenOver != "" {
		return ""
	}
	class, major := pick(l.r, "fast", "standard", "slow"), 14+l.r.IntN(5)
	what := pick(l.r, "storageClassName", "postgresVersion")
	l.editXR(func(spec object) {
		if what == "storageClassName" {
			set(spec, class, "percona", what)
			return
		}
		set(spec, major, "percona", what)
		unset(spec, "percona", "image")
	})
	return fmt.Sprintf("a database that has not started gets another %s: %v", what, at(l.spec(), "percona", what))
}

func (l *life) editInput() string {
	l.setInput()
	return "the Input is edited"
}

// moveInput changes the namespace of an Input where it is already used.
func (l *life) moveInput() string {
	if l.ns != "servers" || l.object("config") == nil {
		return ""
	}
	l.moved = true
	return "the Input's namespace is edited for a while"
}

func (l *life) poison() string {
	if s := asJSON(l.spec()); strings.Contains(s, "POISON") || strings.Contains(s, "99999") {
		// What was made invalid is corrected.
		spec := randomSpec(l.r)
		l.editXR(func(old object) {
			claim := old["claimRef"]
			clear(old)
			maps.Copy(old, clone(spec))
			if claim != nil {
				old["claimRef"] = claim
			}
		})
		return "the spec is corrected"
	}
	p := poisons[l.r.IntN(len(poisons))]
	l.editXR(func(spec object) { set(spec, p.value, p.path...) })
	return "the spec becomes invalid: " + strings.Join(p.path, ".")
}

// perconaActs is something that Percona's operator does.
func (l *life) perconaActs() string {
	k := l.keys()["postgres"]
	o := l.get(k)
	if o == nil || o["spec"] == nil {
		return ""
	}
	switch l.r.IntN(9) {
	case 0, 1:
		state := pick(l.r, "", "initializing", "ready", "ready", "paused", "stopping", "unheard-of")
		l.edit(k, func(o object) { set(o, state, "status", "state") })
		return "Percona: state " + state
	case 2:
		size := int64(l.r.IntN(4))
		ready := int64(l.r.IntN(int(size) + 1))
		l.edit(k, func(o object) { set(o, object{"size": size, "ready": ready, "version": 16}, "status", "postgres") })
		return "Percona: some instances"
	case 3:
		g := number(o, "metadata", "generation") - int64(l.r.IntN(2))
		l.edit(k, func(o object) { set(o, g, "status", "observedGeneration") })
		return "Percona: a generation is observed"
	case 4:
		l.edit(k, func(o object) { delete(o, "status") })
		return "Percona: no status"
	case 5:
		s := secret(l.ns, l.n+"-postgres-pguser-dittofs", l.credentials(0))
		if l.chance(30) {
			unset(s, "data", pick(l.r, "uri", "password", "dbname"))
		}
		l.put(s)
		return "Percona: credentials, perhaps some"
	case 6:
		name := pick(l.r, l.n+"-postgres-pguser-dittofs", l.n+"-postgres-cluster-cert")
		l.remove(l.secretKey(name))
		return "Percona: Secret " + name + " is gone"
	case 7:
		if at(o, "spec", "backups", "pgbackrest") == nil {
			return ""
		}
		l.edit(k, func(o object) {
			set(o, object{"repoName": "repo1", "options": []any{"--type=full"}}, "spec", "backups", "pgbackrest", "manual")
			set(o, "x", "metadata", "annotations", "pgv2.percona.com/backup-in-progress")
			set(o, []any{"internal.percona.com/stop-watchers"}, "metadata", "finalizers")
		})
		return "Percona: a backup runs"
	default:
		a, b, c := pick(l.r, "True", "False"), pick(l.r, "True", "False"), pick(l.r, "True", "False")
		l.edit(k, func(o object) {
			set(o, []any{
				object{"type": "PGBackRestRepoHostReady", "status": a},
				object{"type": "PGBackRestReplicaRepoReady", "status": b},
				object{"type": "PGBackRestReplicaCreate", "status": c},
			}, "status", "conditions")
		})
		return "Percona: conditions"
	}
}

// credentials are those that Percona's operator makes: the database is the first
// of the live spec.
func (l *life) credentials(generation int) map[string]string {
	database := "dittofs"
	if dbs, _ := at(named(l.object("postgres"), "dittofs", "spec", "users"), "databases").([]any); len(dbs) > 0 {
		database = fmt.Sprint(dbs[0])
	}
	host := l.n + "-postgres-primary." + l.ns + ".svc"
	return map[string]string{
		"host": host, "port": "5432", "dbname": database, "user": "dittofs",
		"password": fmt.Sprintf("canary-password-%d", generation), "uri": fmt.Sprintf("postgresql://dittofs:canary-password-%d@%s:5432/%s", generation, host, database),
		"verifier": fmt.Sprintf("canary-verifier-%d", l.r.IntN(1000)),
	}
}

// perconaSettles makes everything of Percona's ready.
func (l *life) perconaSettles() string {
	o := l.object("postgres")
	if o == nil || o["spec"] == nil {
		return ""
	}
	if l.alive {
		// The operator does what it can, and says so.
		if why := l.w.PerconaReconciles()[l.n+"-postgres"]; why != "" {
			return "Percona: not ready: " + why
		}
		return "Percona: all is ready"
	}
	l.edit(l.keys()["postgres"], func(o object) {
		set(o, object{
			"state": "ready", "observedGeneration": at(o, "metadata", "generation"), "host": "x",
			"postgres": object{"size": 1, "ready": 1, "instances": []any{object{"name": "instance1", "size": 1, "ready": 1}}},
		}, "status")
	})
	l.put(secret(l.ns, l.n+"-postgres-pguser-dittofs", l.credentials(0)))
	l.put(secret(l.ns, l.n+"-postgres-cluster-cert", map[string]string{"ca.crt": "a certificate", "tls.crt": "x", "tls.key": fmt.Sprintf("canary-key-%d", l.r.IntN(1000))}))
	return "Percona: all is ready"
}

// perconaAlmostSettles makes everything of Percona's ready but for one thing.
func (l *life) perconaAlmostSettles() string {
	if l.perconaSettles() == "" {
		return ""
	}
	k := l.keys()["postgres"]
	credentials, certificate := l.secretKey(l.n+"-postgres-pguser-dittofs"), l.secretKey(l.n+"-postgres-cluster-cert")
	switch l.r.IntN(7) {
	case 0:
		l.edit(k, func(o object) {
			set(o, number(o, "metadata", "generation")+1, "metadata", "generation")
		})
		return "Percona: all is ready, of an older generation"
	case 1:
		l.edit(k, func(o object) { set(o, 2, "status", "postgres", "size") })
		return "Percona: all is ready but an instance"
	case 2:
		l.edit(k, func(o object) { set(o, object{"size": 0, "ready": 0}, "status", "postgres") })
		return "Percona: all is ready, and no instance"
	case 3:
		key := pick(l.r, "host", "port", "dbname", "user", "password", "uri")
		l.edit(credentials, func(o object) { unset(o, "data", key) })
		return "Percona: all is ready but the key " + key + " of the credentials"
	case 4:
		l.remove(certificate)
		return "Percona: all is ready but the certificate"
	case 5:
		l.edit(certificate, func(o object) { unset(o, "data", "ca.crt") })
		return "Percona: all is ready but the CA"
	default:
		state := pick(l.r, "initializing", "paused", "stopping", "")
		l.edit(k, func(o object) { set(o, state, "status", "state") })
		return "Percona: all is ready but the state"
	}
}

// serverActs is something that the StatefulSet controller does.
func (l *life) serverActs() string {
	k := l.keys()["server"]
	o := l.get(k)
	if o == nil || o["spec"] == nil {
		return ""
	}
	replicas := number(o, "spec", "replicas")
	if l.chance(60) {
		l.edit(k, func(o object) {
			set(o, object{"observedGeneration": at(o, "metadata", "generation"), "replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas, "updatedReplicas": replicas}, "status")
		})
		return "the server runs"
	}
	generation, updated := pick(l.r, 1, number(o, "metadata", "generation")), pick(l.r, 0, 1)
	l.edit(k, func(o object) {
		set(o, object{"observedGeneration": generation, "replicas": replicas, "updatedReplicas": updated}, "status")
	})
	return "the server's pod is not ready"
}

// podEvicted replaces the pod. Between an edit of the cluster by hand and the
// next reconcile Percona's Secret may name another database, and nobody can help
// a pod that starts just then.
func (l *life) podEvicted() string {
	if !l.alive || l.object("server") == nil || !l.rested {
		return ""
	}
	l.evicted = true
	return "the server's pod is evicted"
}

func (l *life) rotate() string {
	switch l.r.IntN(4) {
	case 0:
		name := l.n + "-postgres-pguser-dittofs"
		if l.get(l.secretKey(name)) == nil {
			return ""
		}
		l.put(secret(l.ns, name, l.credentials(l.r.IntN(3))))
		return "the database's password is rotated, perhaps"
	case 1:
		name := l.n + "-postgres-cluster-cert"
		if l.get(l.secretKey(name)) == nil {
			return ""
		}
		l.put(secret(l.ns, name, map[string]string{"ca.crt": fmt.Sprintf("certificate %d", l.r.IntN(2)), "tls.key": fmt.Sprintf("canary-key-%d", l.r.IntN(1000))}))
		return "the database's certificate is rotated"
	case 2:
		if l.object("admin") == nil {
			return ""
		}
		l.edit(l.keys()["admin"], func(o object) { set(o, "Y2FuYXJ5LXBlcnNvbnMtcGFzc3dvcmQ=", "data", "password") })
		return "a person changes the admin password's Secret"
	default:
		if l.object("jwt") == nil {
			return ""
		}
		l.edit(l.keys()["jwt"], func(o object) {
			set(o, "Y2FuYXJ5LXBlcnNvbnMtand0LXNlY3JldC13aXRoLXN1ZmZpY2llbnQtbGVuZ3Ro", "data", "jwt-secret")
		})
		return "a person changes the JWT secret"
	}
}

// certificates are what a Secret of cert-manager's has, now and then in halves.
func certificates(r *rand.Rand) map[string]string {
	name := pick(r, "a", "b", "c")
	cert, key := certtest.Pair(name)
	data := map[string]string{"tls.crt": cert, "tls.key": key, "ca.crt": cert}
	switch r.IntN(8) {
	case 0:
		data["tls.crt"], _ = certtest.Pair(name + name)
	case 1:
		delete(data, pick(r, "tls.crt", "tls.key", "ca.crt"))
	case 2:
		data[pick(r, "tls.crt", "tls.key", "ca.crt")] = pick(r, "no PEM", "\xff\xfe\x00")
	}
	return data
}

var userSecrets = []string{"external-db", "other-db", "s3-keys", "own-jwt", "own-admin", "own-cert", "other-cert", "own-ca", "own-ldap", "own-keytab"} //nolint:gochecknoglobals // A constant.

func (l *life) userSecretActs() string {
	name := pick(l.r, userSecrets...)
	if l.chance(25) {
		l.remove(l.secretKey(name))
		return "Secret " + name + " is gone"
	}
	l.userSecret(name)
	return "Secret " + name + " is written: " + strings.Join(slices.Sorted(maps.Keys(l.get(l.secretKey(name))["data"].(object))), ", ")
}

// externalSecretInTwoSteps takes something out of the Secret of an external
// database, or puts the rest into it.
func (l *life) externalSecretInTwoSteps() string {
	name := pick(l.r, externals...)
	if w := l.wired; strings.HasPrefix(w, "external:") && l.chance(80) {
		name = strings.TrimPrefix(w, "external:")
	}
	s := l.get(l.secretKey(name))
	whole := map[string]string{"host": name + ".example.com", "database": "x", "user": "canary-user-0", "password": "canary-password", "port": "5433", "sslmode": "verify-full", "ca.crt": "a certificate"}
	if l.takenOver == "corp" && name == "corp-db" {
		// It stays the database that it names.
		whole["host"], whole["database"] = "pg.corp.example", "files"
	}
	if s == nil || l.chance(50) {
		l.put(secret(l.ns, name, whole))
		return "Secret " + name + " is whole"
	}
	var lost []string
	l.edit(keyOf(s), func(o object) {
		for _, k := range slices.Sorted(maps.Keys(whole)) {
			if l.chance(30) && at(o, "data", k) != nil {
				unset(o, "data", k)
				lost = append(lost, k)
			}
		}
	})
	if len(lost) == 0 {
		return ""
	}
	return "Secret " + name + " loses " + strings.Join(lost, ", ")
}

// namesASecretThatIsNotThere refers to a Secret that its user has yet to make.
func (l *life) namesASecretThatIsNotThere() string {
	if l.chance(30) {
		l.editXR(func(spec object) { set(spec, "not-there-yet", "controlPlane", "certSecretName") })
		return "the spec names a certificate that does not exist"
	}
	path := pick(l.r, []string{"identity", "jwt", "secretRef"}, []string{"identity", "admin", "passwordSecretRef"})
	l.editXR(func(spec object) { set(spec, object{"name": "not-there-yet", "key": "key"}, path...) })
	return "the spec names a Secret that does not exist: " + strings.Join(path, ".")
}

// personEditsCluster is kubectl edit perconapgcluster.
func (l *life) personEditsCluster() string {
	k := l.keys()["postgres"]
	o := l.get(k)
	if o == nil || deleting(o) || !l.managed(o) {
		return ""
	}
	instance := func(o object) object { return named(o, "instance1", "spec", "instances") }
	major := number(o, "spec", "postgresVersion")
	type candidate struct {
		path    string
		foreign bool
		want    any
		get     func(o object) any
		put     func(o object, v any)
	}
	field := func(foreign bool, want any, path ...string) candidate {
		return candidate{strings.Join(path, "."), foreign, conformance.Whole(want),
			func(o object) any { return at(o, path...) },
			func(o object, v any) { set(o, v, path...) }}
	}
	ofInstance := func(foreign bool, want any, path ...string) candidate {
		return candidate{"instance1." + strings.Join(path, "."), foreign, conformance.Whole(want),
			func(o object) any { return at(instance(o), path...) },
			func(o object, v any) { set(instance(o), v, path...) }}
	}
	candidates := []candidate{
		ofInstance(false, 1+l.r.IntN(5), "replicas"),
		ofInstance(false, "500Gi", "dataVolumeClaimSpec", "resources", "requests", "storage"),
		field(false, fmt.Sprintf("example.org/person:%v.9", major), "spec", "image"),
		field(false, false, "spec", "autoCreateUserSchema"),
		field(true, true, "spec", "pause"),
		field(true, object{"dynamicConfiguration": object{"postgresql": object{"parameters": object{"work_mem": "8MB"}}}}, "spec", "patroni"),
		ofInstance(true, "high", "priorityClassName"),
		field(true, "3", "spec", "backups", "pgbackrest", "global", "process-max"),
		{"users[reporter]", true, object{"name": "reporter", "databases": []any{"dittofs"}},
			func(o object) any {
				if u := named(o, "reporter", "spec", "users"); u != nil {
					return u
				}
				return nil
			},
			func(o object, v any) {
				if named(o, "reporter", "spec", "users") == nil {
					set(o, append(at(o, "spec", "users").([]any), v), "spec", "users")
				}
			}},
	}
	if text(o, "spec", "backups", "pgbackrest", "global", "repo1-path") != "" && named(o, "repo1", "spec", "backups", "pgbackrest", "repos") != nil {
		candidates = append(candidates,
			field(false, "99", "spec", "backups", "pgbackrest", "global", "repo1-retention-full"),
			candidate{"repo1.schedules.full", false, "5 5 * * *",
				func(o object) any {
					return at(named(o, "repo1", "spec", "backups", "pgbackrest", "repos"), "schedules", "full")
				},
				func(o object, v any) {
					set(named(o, "repo1", "spec", "backups", "pgbackrest", "repos"), v, "schedules", "full")
				}},
		)
	}
	c := candidates[l.r.IntN(len(candidates))]
	if c.path == "spec.backups.pgbackrest.global.process-max" && text(o, "spec", "backups", "pgbackrest", "global", "repo1-path") == "" || instance(o) == nil {
		return ""
	}
	revert := text(l.merged(), "percona", "driftPolicy") == "Revert"
	if tagMajor(fmt.Sprint(c.want)) != 0 && revert {
		return ""
	}
	l.edit(k, func(o object) { c.put(o, conformance.Whole(c.want)) })
	l.edits = slices.DeleteFunc(l.edits, func(e personsEdit) bool { return e.path == c.path })
	l.newlyStated = l.newlyStated && !strings.HasSuffix(c.path, "replicas")
	if c.foreign || !revert {
		l.edits = append(l.edits, personsEdit{path: c.path, value: c.get, want: c.want, ask: l.askDigest(), uid: text(o, "metadata", "uid"), foreign: c.foreign})
	}
	if c.path == "spec.image" {
		delete(l.aged, "postgres")
	}
	return fmt.Sprintf("a person edits the cluster: %s = %v", c.path, c.want)
}

// personEditsWhatIsHeld edits by hand what the data hangs on: the first database
// or the path of the backups. Percona's Secret follows the first database at once.
func (l *life) personEditsWhatIsHeld() string {
	k := l.keys()["postgres"]
	o := l.get(k)
	if o == nil || deleting(o) || !l.managed(o) || named(o, "dittofs", "spec", "users") == nil {
		return ""
	}
	if l.chance(40) && text(o, "spec", "backups", "pgbackrest", "global", "repo1-path") != "" {
		l.edit(k, func(o object) {
			set(o, "/pgbackrest/by-hand/repo1", "spec", "backups", "pgbackrest", "global", "repo1-path")
		})
		return "a person edits the cluster: repo1-path"
	}
	l.edit(k, func(o object) {
		u := named(o, "dittofs", "spec", "users")
		dbs, _ := u["databases"].([]any)
		u["databases"] = append([]any{"reports"}, slices.DeleteFunc(slices.Clone(dbs), func(v any) bool { return v == "reports" })...)
	})
	if l.alive {
		l.w.PerconaReconciles()
	} else if l.get(l.secretKey(l.n+"-postgres-pguser-dittofs")) != nil {
		l.put(secret(l.ns, l.n+"-postgres-pguser-dittofs", l.credentials(0)))
	}
	return "a person adds a database in front of the server's"
}

// personSwitchesBackups switches backups off or on by hand.
func (l *life) personSwitchesBackups() string {
	k := l.keys()["postgres"]
	o := l.get(k)
	if o == nil || deleting(o) || !l.managed(o) {
		return ""
	}
	if backupsOn(o) {
		l.edit(k, func(o object) {
			set(o, false, "spec", "backups", "enabled")
			set(o, "true", "metadata", "annotations", "pgv2.percona.com/authorizeBackupRemoval")
		})
		l.handBackups = true
		return "a person switches backups off on the cluster"
	}
	l.edit(k, func(o object) {
		set(o, true, "spec", "backups", "enabled")
		if len(list(o, "spec", "backups", "pgbackrest", "repos")) == 0 {
			set(o, []any{object{"name": "repo1", "s3": object{"bucket": "hand", "endpoint": "s3.example.com", "region": "x"}}}, "spec", "backups", "pgbackrest", "repos")
		}
	})
	l.handBackups = true
	return "a person switches backups on on the cluster"
}

// personScales is kubectl scale, as far as there is one.
func (l *life) personScales() string {
	k := l.keys()["postgres"]
	o := l.get(k)
	if o == nil || deleting(o) || !l.managed(o) || named(o, "instance1", "spec", "instances") == nil {
		return ""
	}
	l.edit(k, func(o object) { set(named(o, "instance1", "spec", "instances"), 3, "replicas") })
	l.newlyStated = false
	l.edits = slices.DeleteFunc(l.edits, func(e personsEdit) bool { return strings.HasSuffix(e.path, "replicas") })
	return "a person scales the cluster to 3"
}

// statesReplicas states what was a default.
func (l *life) statesReplicas() string {
	if !isTrue(l.merged(), "percona", "enabled") {
		return ""
	}
	if number(l.merged(), "percona", "replicas") != 1 {
		l.newlyStated = true
	}
	l.editXR(func(spec object) { set(spec, 1, "percona", "replicas") })
	return "the spec states percona.replicas = 1"
}

// switchesBackups switches backups off or on in the spec, and may leave an older
// confirmation where it is.
func (l *life) switchesBackups() string {
	if !isTrue(l.merged(), "percona", "enabled") {
		return ""
	}
	on := !isTrue(l.merged(), "percona", "backup", "enabled")
	confirm, withRole := l.chance(40), l.chance(60)
	l.editXR(func(spec object) {
		set(spec, on, "percona", "backup", "enabled")
		if on && text(spec, "percona", "backup", "bucket") == "" {
			set(spec, "one", "percona", "backup", "bucket")
			set(spec, "s3.example.com", "percona", "backup", "endpoint")
		}
		if on && withRole {
			delete(spec["percona"].(object)["backup"].(object), "credentialsSecretRef")
		}
		if !on && confirm {
			set(spec, true, "percona", "backup", "confirmRemoval")
		}
	})
	return "the spec is edited: percona.backup = " + asJSON(at(l.spec(), "percona", "backup"))
}

// foreignFields are those that others add to what is composed.
func (l *life) foreignFields() string {
	name := pick(l.r, slices.Sorted(maps.Keys(l.keys()))...)
	o := l.object(name)
	if o == nil || deleting(o) {
		return ""
	}
	l.edit(keyOf(o), func(o object) {
		set(o, "yes", "metadata", "annotations", "example.org/foreign")
		set(o, "yes", "metadata", "labels", "example.org/foreign")
		if name == "server" && at(o, "spec", "template") != nil {
			set(o, "now", "spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt")
		}
	})
	return "somebody adds fields to " + name
}

// deleteObject is kubectl delete.
func (l *life) deleteObject() string {
	name := pick(l.r, slices.Sorted(maps.Keys(l.keys()))...)
	k := l.keys()[name]
	if l.get(k) == nil {
		return ""
	}
	l.remove(k)
	l.forget(name)
	return "a person deletes " + k.String()
}

// forget forgets what was known of an object that is gone.
func (l *life) forget(name string) {
	delete(l.known, "concern.wired")
	switch name {
	case "postgres":
		l.edits = nil
		for _, a := range []string{"postgres", "pgbackrest", "crVersion", "init"} {
			delete(l.aged, a)
		}
	case "config", "server":
		// Without the record a new server takes what it is given.
		delete(l.aged, "server")
		delete(l.aged, "init")
	}
}

// serverDeletedAndMoved deletes the StatefulSet and asks for another database
// before anybody looks: what comes back must still be on the one it was on.
func (l *life) serverDeletedAndMoved() string {
	k := l.keys()["server"]
	if o := l.get(k); o == nil || !l.ours(o) {
		return ""
	}
	l.remove(k)
	l.forget("server")
	sqlite := strings.HasPrefix(l.wired, "sqlite")
	l.editXR(func(spec object) {
		set(spec, object{"enabled": false}, "percona")
		if sqlite {
			set(spec, object{"postgresSecretRef": object{"name": "external-db", "key": "any"}}, "database")
			return
		}
		set(spec, object{"type": "sqlite"}, "database")
	})
	if sqlite {
		l.put(secret(l.ns, "external-db", map[string]string{"host": "external-db.example.com", "database": "x", "user": "canary-user", "password": "canary-password"}))
	}
	return "a person deletes " + k.String() + " and asks for another database"
}

// deletionBegins is a deletion that a finalizer holds up.
func (l *life) deletionBegins() string {
	name := pick(l.r, "postgres", "postgres", "server", "config", "api", "jwt")
	o := l.object(name)
	if o == nil || deleting(o) {
		return ""
	}
	l.edit(keyOf(o), func(o object) {
		set(o, "2026-01-02T00:00:00Z", "metadata", "deletionTimestamp")
		had, _ := at(o, "metadata", "finalizers").([]any)
		set(o, append(slices.Clone(had), "example.org/hold"), "metadata", "finalizers")
	})
	return "the deletion begins of " + keyOf(o).String()
}

func (l *life) deletionEnds() string {
	keys := l.keys()
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		k := keys[name]
		if deleting(l.get(k)) {
			l.remove(k)
			l.forget(name)
			return "deletions end"
		}
	}
	return ""
}

// somethingInTheWay is an object of a name that the server needs.
func (l *life) somethingInTheWay() string {
	name := pick(l.r, slices.Sorted(maps.Keys(l.keys()))...)
	k := l.keys()[name]
	if l.get(k) != nil || !l.serves(k.kind) {
		return ""
	}
	o := object{"apiVersion": k.full().APIVersion, "kind": k.kind, "metadata": object{"name": k.name, "namespace": k.namespace}}
	if k.kind == "Secret" {
		o["type"], o["data"] = "Opaque", object{"password": "Y2FuYXJ5LWZvcmVpZ24=", "jwt-secret": "Y2FuYXJ5LWZvcmVpZ24="}
	}
	if l.chance(50) || k.kind == "StatefulSet" || k.kind == "PerconaPGCluster" {
		set(o, []any{object{"apiVersion": "v1", "kind": "Other", "name": "somebody", "uid": "other", "controller": true}}, "metadata", "ownerReferences")
	}
	l.put(o)
	l.forget(name)
	return "something is in the way: " + k.String()
}

func (l *life) somethingOutOfTheWay() string {
	for _, name := range slices.Sorted(maps.Keys(l.keys())) {
		k := l.keys()[name]
		if o := l.get(k); o != nil && !l.ours(o) {
			l.remove(k)
			l.forget(name)
			return k.String() + " is out of the way"
		}
	}
	return ""
}

// orphanedAndCreatedAgain is an XR that was deleted with --cascade=orphan and
// applied again: everything is there, and nothing is observed.
func (l *life) orphanedAndCreatedAgain() string {
	if l.bound {
		return "" // Nothing that is left says what the server was called.
	}
	if l.object("config") == nil {
		return ""
	}
	l.w.Recreate()
	return "the XR is deleted with --cascade=orphan and created again"
}

// deletedAndCreatedAgain is an XR that was deleted, and one of its name that is
// created later, with the spec that it had or with another.
func (l *life) deletedAndCreatedAgain() string {
	if l.bound {
		return "" // Nothing that is left says what the server was called.
	}
	if l.object("config") == nil || l.takenOver != "" {
		return ""
	}
	xr := lifecycle.Renewed(l.w.PeekXR())
	finalizers := xr.GetFinalizers()
	xr.SetFinalizers(nil)
	if text(xr.Object, "spec", "claimRef", "name") != "" {
		name := fmt.Sprintf("%s-%05x", l.claim, l.r.IntN(0xfffff))
		xr.SetName(name)
		xr.SetLabels(map[string]string{labelClaimName: l.claim, labelClaimNamespace: l.ns, labelComposite: name})
	}
	_ = finalizers
	did := "the XR is deleted and created again"
	change := func(what string, do func(spec object)) {
		do(xr.Object["spec"].(object))
		did += ", with " + what
	}
	percona := isTrue(l.merged(), "percona", "enabled")
	switch n := l.r.IntN(6); {
	case n == 0 && percona:
		name := pick(l.r, "dittofs", "other", "third")
		change("databaseName "+name, func(spec object) { set(spec, name, "percona", "databaseName"); set(spec, true, "percona", "enabled") })
	case n == 1 && percona:
		major := 14 + l.r.IntN(5)
		change(fmt.Sprintf("postgresVersion %d", major), func(spec object) {
			set(spec, major, "percona", "postgresVersion")
			unset(spec, "percona", "image")
			set(spec, true, "percona", "enabled")
		})
	case n == 2:
		change("SQLite", func(spec object) {
			set(spec, object{"type": "sqlite"}, "database")
			set(spec, object{"enabled": false}, "percona")
		})
	case n == 3:
		change("Percona", func(spec object) { delete(spec, "database"); set(spec, object{"enabled": true}, "percona") })
	}
	l.w.DeleteXR(false)
	if l.alive {
		l.w.PerconaReconciles()
	}
	for k, o := range l.w.Snapshot() {
		// Whatever held a deletion up lets go.
		if o.GetDeletionTimestamp() != nil {
			l.w.Remove(k)
		}
	}
	l.w.CreateXR(xr)
	l.remade = true
	if strings.HasPrefix(l.home, "external:") {
		// Nothing in the cluster says where that server's data was.
		l.home = ""
	}
	for _, name := range []string{"server", "config", "postgres"} {
		l.forget(name)
	}
	l.wired, l.chosen, l.handBackups, l.spent = "", chosen{}, false, map[string]string{}
	delete(l.known, "admin")
	return did
}

// forgotten is an XR that lost its references.
func (l *life) forgotten() string {
	if l.bound {
		return "" // Nothing that is left says what the server was called.
	}
	l.w.Forget()
	return "the XR loses its references"
}

// boundToAClaim binds an XR without a claim to one of another name.
func (l *life) boundToAClaim() string {
	if l.ns != "servers" || text(l.xr(), "spec", "claimRef", "name") != "" || l.object("config") == nil || len(list(l.xr(), "spec", "resourceRefs")) == 0 {
		return "" // What Crossplane does not know tells nothing of the server's name.
	}
	l.w.BindClaim("another-name", l.ns)
	l.claim, l.bound = "another-name", true
	return "the XR is bound to the claim another-name"
}

// upgradedPostgres is a PerconaPGUpgrade.
func (l *life) upgradedPostgres() string {
	k := l.keys()["postgres"]
	o := l.get(k)
	if o == nil || deleting(o) || !l.managed(o) || at(o, "spec", "backups", "pgbackrest") == nil {
		return ""
	}
	major := number(o, "spec", "postgresVersion") + 1
	if major > 18 || major < 15 {
		return ""
	}
	image := fmt.Sprintf("docker.io/percona/percona-distribution-postgresql:%v.0-upgraded", major)
	if l.alive {
		if !l.w.PerconaUpgrades(k.full(), major, image, "docker.io/percona/percona-pgbackrest:upgraded") {
			return ""
		}
	} else {
		l.edit(k, func(o object) {
			set(o, major, "spec", "postgresVersion")
			set(o, image, "spec", "image")
			set(o, "docker.io/percona/percona-pgbackrest:upgraded", "spec", "backups", "pgbackrest", "image")
		})
	}
	l.chosen.major = major
	l.edits = slices.DeleteFunc(l.edits, func(e personsEdit) bool { return e.path == "spec.image" })
	for _, a := range []string{"postgres", "pgbackrest", "init"} {
		delete(l.aged, a)
	}
	return fmt.Sprintf("Percona upgrades PostgreSQL to %v", major)
}

// functionUpgraded makes everything there as an older function would have
// chosen it, with other images.
func (l *life) functionUpgraded() string {
	if l.object("server") == nil || l.object("config") == nil || len(l.aged) > 0 {
		return ""
	}
	older := strings.NewReplacer("dittofs:v0.29.0", "dittofs:v0.1.0", ".22-1", ".0-old", ".17-1", ".0-old", ".13-1", ".0-old", ".9-1", ".0-old", ".3-1", ".0-old", "2.58.0-1", "1.0.0-old")
	for _, name := range []string{"server", "config", "postgres"} {
		k := l.keys()[name]
		o := l.get(k)
		if o == nil || !l.ours(o) {
			continue
		}
		l.w.Rewrite(k.full(), func(o *unstructured.Unstructured) {
			b, _ := json.Marshal(o.Object)
			next := object{}
			if err := json.Unmarshal([]byte(older.Replace(string(b))), &next); err != nil {
				panic(err)
			}
			o.Object = clone(next)
		})
	}
	delete(l.known, "concern.wired")
	for i := range l.edits {
		if s, ok := l.edits[i].want.(string); ok {
			l.edits[i].want = older.Replace(s)
		}
	}
	sts, c := l.object("server"), l.object("postgres")
	if named(sts, "dittofs", "spec", "template", "spec", "containers") == nil || !l.ours(sts) {
		return "the function is upgraded"
	}
	if text(l.merged(), "image") == "" {
		l.aged["server"] = text(named(sts, "dittofs", "spec", "template", "spec", "containers"), "image")
	}
	if i := named(sts, "wait-for-postgres", "spec", "template", "spec", "initContainers"); i != nil && text(l.merged(), "percona", "image") == "" {
		l.aged["init"] = text(i, "image")
	}
	if c != nil && l.ours(c) && text(l.merged(), "percona", "image") == "" {
		for what, image := range map[string]string{"postgres": text(c, "spec", "image"), "pgbackrest": text(c, "spec", "backups", "pgbackrest", "image")} {
			// One that was taken over, and not composed yet, may have none.
			if image != "" {
				l.aged[what] = image
			}
		}
	}
	return "the function is upgraded"
}

// crdActs installs Percona's operator, or removes it with all its clusters.
func (l *life) crdActs() string {
	k := key{"CustomResourceDefinition", "", perconaCRD}
	if l.offline {
		return ""
	}
	if l.get(k) == nil {
		l.installCRD(perconaCRD, l.chance(70))
		return "Percona's operator is installed, perhaps"
	}
	if l.serves("PerconaPGCluster") && l.chance(70) {
		return ""
	}
	if l.chance(50) {
		l.installCRD(perconaCRD, true)
		return "Percona's operator is installed"
	}
	l.remove(k)
	l.remove(l.keys()["postgres"])
	l.forget("postgres")
	return "Percona's operator is removed"
}
