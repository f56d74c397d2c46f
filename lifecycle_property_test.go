package main

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/api/resource"
)

// A case that failed is run again by its seed: -property.seed=N, or
// PROPERTY_SEED=N.
var (
	propertySeed  = flag.Uint64("property.seed", seedFromEnv(), "run only the case of this seed; 0 runs all")
	propertyFirst = flag.Uint64("property.first", firstSeed, "the first case's seed")
	propertyCases = flag.Int("property.cases", 400, "how many cases to run at most")
	propertyFails = flag.Int("property.fails", 5, "how many failures to show")
	propertyTime  = flag.Duration("property.time", 15*time.Second, "how long to run at most")
)

func seedFromEnv() uint64 {
	n, _ := strconv.ParseUint(os.Getenv("PROPERTY_SEED"), 10, 64)
	return n
}

// firstSeed is that of the first case, fixed so that what a change breaks is
// seen with that change.
const firstSeed = 20260101

// TestLifecycleProperties leads servers through random lives: specs, edits of
// specs and of platforms' defaults, and whatever may happen to the objects
// below; and asserts after every step what must always hold.
func TestLifecycleProperties(t *testing.T) {
	judges := xrdJudges(t)
	if *propertySeed != 0 {
		newLife(*propertySeed, judges).run(t, true)
		return
	}
	reached, cases, failed, steps := 0, 0, 0, 0
	for deadline := time.Now().Add(*propertyTime); cases < *propertyCases && time.Now().Before(deadline) && failed < *propertyFails; cases++ {
		l := newLife(*propertyFirst+uint64(cases), judges)
		if !l.run(t, false) {
			failed++
		}
		if l.reached {
			reached++
		}
		steps += l.steps
	}
	t.Logf("%d cases, %d reconciles, %d cases reached the builders, %d failed", cases, steps, reached, failed)
	if reached*2 < cases {
		t.Errorf("only %d of %d cases reached the builders", reached, cases)
	}
}

// A life is one case.
type life struct {
	seed uint64
	r    *rand.Rand
	c    *cluster
	// n and ns are the server's name and namespace.
	n, ns string

	// known are the values of Secrets when they were last readable.
	known map[string]string
	// wired is the database that the server was last seen on.
	wired string
	edits []personsEdit
	// aged are images that an older function chose.
	aged map[string]string

	reached bool
	steps   int
	trace   []string
}

// A personsEdit is an edit of the PerconaPGCluster itself.
type personsEdit struct {
	path    string
	value   func(cluster object) any
	want    any
	ask     string
	uid     string
	foreign bool
}

func newLife(seed uint64, judges map[string]func(object) error) *life {
	r := rand.New(rand.NewPCG(seed, 0))
	l := &life{seed: seed, r: r, n: "files", ns: "storage", known: map[string]string{}, aged: map[string]string{}}
	spec := randomSpec(r)
	var xr object
	judge := "composite"
	switch r.IntN(4) {
	case 0:
		xr = claimXR(l.n, spec)
	case 1:
		l.ns = "servers"
		xr = clusterXR(l.n, spec)
	default:
		xr, judge = namespacedXR(l.n, spec), "namespaced"
	}
	l.c = newCluster(xr)
	l.c.judge = judges[judge]
	l.c.offline = l.chance(5)
	if !l.chance(15) {
		l.c.installCRD(perconaCRD, true)
	}
	l.setInput()
	l.earlierStep()
	if l.chance(25) {
		l.operatorWasHere()
	}
	for _, name := range []string{"external-db", "s3-keys", "own-jwt", "own-admin"} {
		if l.chance(70) {
			l.userSecret(name)
		}
	}
	return l
}

func (l *life) chance(percent int) bool { return l.r.IntN(100) < percent }

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// setInput is an Input, with defaults or without.
func (l *life) setInput() {
	l.c.input = nil
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
		l.c.input = in
	}
}

// earlierStep is what another function composes before this one.
func (l *life) earlierStep() {
	if !l.chance(30) {
		return
	}
	l.c.earlier = &fnv1.State{
		Composite: &fnv1.Resource{
			Resource: toStruct(object{"apiVersion": l.c.xr["apiVersion"], "kind": l.c.xr["kind"], "metadata": object{"labels": object{"team": "a"}}}),
			Ready:    pick(l.r, fnv1.Ready_READY_UNSPECIFIED, fnv1.Ready_READY_TRUE, fnv1.Ready_READY_FALSE),
		},
		Resources: map[string]*fnv1.Resource{"bucket": {
			Resource: toStruct(object{"apiVersion": "v1", "kind": "ConfigMap", "metadata": object{"name": "bucket", "namespace": l.ns}, "data": object{"a": "b"}}),
			Ready:    fnv1.Ready_READY_TRUE,
		}},
	}
	if l.c.xr["kind"] == "XDittoServer" && l.chance(50) {
		l.c.earlier.Composite = nil
	}
	l.c.context = &structpb.Struct{Fields: map[string]*structpb.Value{"apiextensions.crossplane.io/environment": structpb.NewStructValue(toStruct(object{"region": "x"}))}}
}

// userSecret creates or replaces a Secret of a user's.
func (l *life) userSecret(name string) {
	v := func(what string) string { return fmt.Sprintf("canary-%s-%d-%032d", what, l.r.IntN(4), 0) }
	data := map[string]string{}
	switch name {
	case "external-db":
		data = map[string]string{"host": "db.example.com", "database": "x", "user": v("user"), "password": v("password")}
		for k, val := range map[string]string{"port": "5433", "sslmode": "require", "ca.crt": "a certificate"} {
			if l.chance(40) {
				data[k] = val
			}
		}
		if l.chance(10) {
			delete(data, "password")
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
	}
	l.c.put(secret(l.ns, name, data))
}

// randomSpec is a spec that is valid by itself.
func randomSpec(r *rand.Rand) object {
	maybe := func(percent int) bool { return r.IntN(100) < percent }
	sizes := []string{"5Gi", "10Gi", "20Gi"}
	storage := object{"metadataSize": pick(r, sizes...)}
	if maybe(40) {
		storage["contentSize"] = pick(r, sizes...)
	}
	if maybe(20) {
		storage["controlPlaneSize"] = pick(r, sizes...)
	}
	if maybe(30) {
		storage["storageClassName"] = pick(r, "fast", "slow", "")
	}
	s := object{"storage": storage}
	if maybe(80) {
		s["percona"] = randomPercona(r)
	}
	if maybe(30) {
		s["image"] = pick(r, "example.org/ditto:v1", "example.org/ditto:v2")
	}
	if maybe(20) {
		s["replicas"] = pick(r, 0.0, 1.0)
	}
	if maybe(35) {
		db := object{}
		switch r.IntN(4) {
		case 0:
			db["type"] = "sqlite"
		case 1:
			db["sqlite"] = object{"path": pick(r, "/data/controlplane/other.db", "/data/store/metadata/c.db")}
		default:
			db["postgresSecretRef"] = object{"name": "external-db", "key": "any"}
		}
		if maybe(50) {
			db["confirmSwitch"] = pick(r, "sqlite", "external", "percona")
		}
		s["database"] = db
	}
	if maybe(20) {
		s["controlPlane"] = object{"port": pick(r, 8080.0, 9090.0, 443.0)}
	}
	if maybe(25) {
		id := object{}
		if maybe(50) {
			id["jwt"] = object{"secretRef": object{"name": "own-jwt", "key": "key"}, "accessTokenDuration": "30m"}
		}
		if maybe(50) {
			id["admin"] = object{"passwordSecretRef": object{"name": "own-admin", "key": "password"}}
		}
		s["identity"] = id
	}
	if maybe(20) {
		s["logging"] = object{"level": pick(r, "DEBUG", "info"), "format": pick(r, "json", "text")}
	}
	if maybe(20) {
		s["service"] = object{"type": pick(r, "ClusterIP", "LoadBalancer", "NodePort"), "annotations": object{"a": "b"}}
	}
	if maybe(20) {
		s["adapterServices"] = object{"type": pick(r, "ClusterIP", "LoadBalancer")}
	}
	if maybe(20) {
		s["resources"] = object{"requests": object{"cpu": "100m", "memory": "128Mi"}, "limits": object{"memory": pick(r, "1Gi", "2Gi")}}
	}
	if maybe(15) {
		s["securityContext"] = object{"readOnlyRootFilesystem": true, "runAsUser": 1000.0}
	}
	if maybe(15) {
		s["podSecurityContext"] = object{"fsGroup": 1000.0, "runAsNonRoot": true}
	}
	if maybe(15) {
		s["terminationGracePeriodSeconds"] = pick(r, 60.0, 200.0)
	}
	if maybe(15) {
		s["adoptExisting"] = maybe(70)
	}
	if maybe(10) {
		s["metrics"] = object{"enabled": true}
	}
	if maybe(5) {
		s["typingError"] = true
	}
	return s
}

func randomPercona(r *rand.Rand) object {
	maybe := func(percent int) bool { return r.IntN(100) < percent }
	p := object{"enabled": maybe(90)}
	if maybe(30) {
		p["replicas"] = float64(1 + r.IntN(5))
	}
	if maybe(40) {
		p["storageSize"] = pick(r, "5Gi", "10Gi", "20480Mi", "50Gi")
	}
	if maybe(25) {
		p["storageClassName"] = pick(r, "fast", "slow", "")
	}
	if maybe(30) {
		p["postgresVersion"] = float64(14 + r.IntN(5))
	}
	if maybe(10) {
		p["crVersion"] = pick(r, "2.9.0", "2.10.0")
	}
	if maybe(15) {
		p["image"] = pick(r, "example.org/postgres:16.1", "example.org/postgres:17.1", "example.org/postgres:mine")
	}
	if maybe(20) {
		p["databaseName"] = pick(r, "dittofs", "other")
	}
	if maybe(15) {
		p["metadataDatabaseName"] = "meta"
	}
	if maybe(20) {
		p["deleteWithServer"] = maybe(50)
	}
	if maybe(20) {
		p["driftPolicy"] = pick(r, "Keep", "Revert")
	}
	if maybe(20) {
		p["resources"] = object{"requests": object{"cpu": "1", "memory": "1Gi"}}
	}
	if maybe(50) {
		b := object{"enabled": maybe(85), "bucket": pick(r, "one", "two"), "endpoint": pick(r, "https://s3.example.com/", "s3.example.com")}
		if maybe(75) {
			b["credentialsSecretRef"] = object{"name": "s3-keys"}
		}
		if maybe(20) {
			b["path"] = pick(r, "/pgbackrest/mine/repo1", "/elsewhere")
		}
		if maybe(20) {
			b["retentionDays"] = pick(r, 7.0, 14.0)
		}
		if maybe(20) {
			b["confirmRemoval"] = true
		}
		if maybe(20) {
			b["fullSchedule"] = pick(r, "0 3 * * *", "@daily")
		}
		p["backup"] = b
	}
	return p
}

// poisons are values that are invalid in themselves.
var poisons = []struct { //nolint:gochecknoglobals // A constant.
	path  []string
	value any
}{
	{[]string{"controlPlane", "port"}, 99999.0},
	{[]string{"storage", "metadataSize"}, "POISON"},
	{[]string{"percona", "postgresVersion"}, 99999.0},
	{[]string{"percona", "storageSize"}, "POISON"},
	{[]string{"percona", "backup", "fullSchedule"}, "POISON"},
	{[]string{"replicas"}, 99999.0},
	{[]string{"replicas"}, "POISON"},
	{[]string{"percona"}, "POISON"},
	{[]string{"logging", "level"}, "POISON"},
	{[]string{"database", "confirmSwitch"}, "POISON"},
	{[]string{"image"}, "POISON with a space"},
	{[]string{"controlPlane", "certSecretName"}, "POISON"},
	{[]string{"identity", "ldap"}, object{"url": "POISON"}},
}

// merged is the spec over the platform's defaults.
func (l *life) merged() object {
	defaults, _ := at(l.c.input, "defaults").(object)
	spec, _ := l.c.xr["spec"].(object)
	return overlaid(defaults, spec)
}

func overlaid(bottom, top object) object {
	out := clone(bottom)
	if out == nil {
		out = object{}
	}
	for k, v := range top {
		tm, ok := v.(object)
		if !ok {
			out[k] = v
			continue
		}
		bm, _ := out[k].(object)
		out[k] = overlaid(bm, tm)
	}
	return out
}

// valid says whether the spec is certain to have no invalid value.
func (l *life) valid() bool {
	m := l.merged()
	b, _ := json.Marshal(m)
	if s := string(b); strings.Contains(s, "POISON") || strings.Contains(s, "99999") {
		return false
	}
	if text(m, "storage", "metadataSize") == "" {
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

var majorTag = regexp.MustCompile(`:([0-9]{2})[.-]`)

func tagMajor(image string) int {
	m := majorTag.FindStringSubmatch(image)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// keys are the names of everything that is composed for a server.
func (l *life) keys() map[string]key {
	k := func(kind, suffix string) key { return key{kind, l.ns, l.n + suffix} }
	return map[string]key{
		"postgres": k("PerconaPGCluster", "-postgres"), "server": k("StatefulSet", ""), "config": k("ConfigMap", "-config"),
		"headless": k("Service", "-headless"), "api": k("Service", "-api"), "nfs": k("Service", "-adapter-nfs"),
		"smb": k("Service", "-adapter-smb"), "jwt": k("Secret", "-jwt-secret"),
		"admin": k("Secret", "-admin-bootstrap-credentials"), "backup-credentials": k("Secret", "-pgbackrest-secret"),
	}
}

func (l *life) object(resource string) object { return l.c.store[l.keys()[resource]] }

// secretKey is the key of a Secret by its name.
func (l *life) secretKey(name string) key { return key{"Secret", l.ns, name} }

func deleting(o object) bool { return at(o, "metadata", "deletionTimestamp") != nil }

// ours says whether an object may be composed.
func (l *life) ours(o object) bool {
	if mine, anybody := l.c.controlled(o); anybody {
		return mine
	}
	if isTrue(l.merged(), "adoptExisting") {
		return true
	}
	if claim := text(l.c.xr, "spec", "claimRef", "name"); claim != "" {
		return text(o, "metadata", "labels", labelClaimName) == claim && text(o, "metadata", "labels", labelClaimNamespace) == "storage"
	}
	return text(o, "metadata", "labels", labelComposite) == text(l.c.xr, "metadata", "name")
}

// perconaReady says whether a server can be started on the PerconaPGCluster.
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
	s := l.c.store[l.secretKey(secretName)]
	for _, k := range keys {
		if _, ok := decoded(s, k); !ok {
			return false
		}
	}
	return s != nil
}

// databaseReady says whether the database that a StatefulSet is wired to can be
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

// wiredTo is the database that a StatefulSet uses, empty if there is none.
func wiredTo(n string, sts object) string {
	if sts == nil {
		return ""
	}
	c := named(sts, "dittofs", "spec", "template", "spec", "containers")
	switch s := text(named(c, "DITTOFS_DATABASE_POSTGRES_HOST", "env"), "valueFrom", "secretKeyRef", "name"); s {
	case "":
	case n + "-postgres-pguser-dittofs":
		return "percona:"
	default:
		return "external:" + s
	}
	return "sqlite:" + cmp.Or(text(named(c, "DITTOFS_DATABASE_SQLITE_PATH", "env"), "value"), "/data/controlplane/controlplane.db")
}

// askDigest is what is said of the PerconaPGCluster.
func (l *life) askDigest() string { b, _ := json.Marshal(l.merged()["percona"]); return string(b) }

// remember notes the values of Secrets that can be read.
func (l *life) remember() {
	for name, keys := range map[string][]string{
		l.n + "-postgres-pguser-dittofs": {"host", "port", "dbname", "user", "password", "uri"},
		l.n + "-postgres-cluster-cert":   {"ca.crt"},
		l.n + "-jwt-secret":              {"jwt-secret"},
		"own-jwt":                        {"key"},
	} {
		if l.has(name, keys...) {
			parts := make([]string, 0, len(keys))
			for _, k := range keys {
				v, _ := decoded(l.c.store[l.secretKey(name)], k)
				parts = append(parts, v)
			}
			l.known[name] = strings.Join(parts, "\n")
		}
	}
	if s := l.c.store[l.secretKey("external-db")]; s != nil {
		b, _ := json.Marshal(s["data"])
		l.known["external-db"] = string(b)
	}
}

// concern is everything that a pod template may depend on while its server
// stays on one database.
func (l *life) concern(wired string) string {
	m := l.merged()
	of := object{}
	for _, p := range [][]string{
		{"image"}, {"resources"}, {"securityContext"}, {"podSecurityContext"}, {"terminationGracePeriodSeconds"}, {"controlPlane", "port"},
		{"identity", "jwt"}, {"identity", "admin", "passwordSecretRef"}, {"logging"},
	} {
		of[strings.Join(p, ".")] = at(m, p...)
	}
	jwt := l.n + "-jwt-secret"
	if at(m, "identity", "jwt", "secretRef") != nil {
		jwt = "own-jwt"
	}
	of["jwtValue"] = l.known[jwt]
	if strings.HasPrefix(wired, "percona") {
		of["perconaImage"], of["version"] = at(m, "percona", "image"), at(l.object("postgres"), "spec", "postgresVersion")
		of["credentials"], of["ca"] = l.known[l.n+"-postgres-pguser-dittofs"], l.known[l.n+"-postgres-cluster-cert"]
	}
	if strings.HasPrefix(wired, "external") {
		of["external"] = l.known["external-db"]
	}
	b, _ := json.Marshal(of)
	return string(b)
}

// run leads the life, and says whether all went well.
func (l *life) run(t *testing.T, verbose bool) bool {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("seed %d: panic: %v\n%s", l.seed, p, strings.Join(l.trace, "\n"))
			panic(p)
		}
	}()
	for i := range 14 {
		action := "begin"
		if i > 0 {
			action = l.act()
		}
		l.trace = append(l.trace, fmt.Sprintf("%2d %s", i, action))
		settle := l.chance(50)
		if err := l.live(t, settle); err != nil {
			b, _ := json.Marshal(l.c.xr["spec"])
			in, _ := json.Marshal(l.c.input)
			t.Errorf("seed %d (run it again with PROPERTY_SEED=%d): %v\n%s\nspec: %s\ninput: %s", l.seed, l.seed, err, strings.Join(l.trace, "\n"), b, in)
			return false
		}
	}
	if verbose {
		t.Log(strings.Join(l.trace, "\n"))
	}
	return true
}

// live reconciles once, or until nothing changes any more.
func (l *life) live(t *testing.T, settle bool) error {
	t.Helper()
	if err := l.step(t); err != nil || !settle {
		return err
	}
	for range 8 {
		xr, store := clone(l.c.xr), l.snapshot()
		out, err := l.stepOut(t)
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(xr, l.c.xr) || !reflect.DeepEqual(store, l.c.store) {
			continue
		}
		// Twice the same world: the second time is idle.
		again, err := l.stepOut(t)
		if err != nil {
			return err
		}
		if diff := gocmpProto(out.response, again.response); diff != "" {
			return fmt.Errorf("an idle server gets another answer (-first +second):\n%s", diff)
		}
		for _, r := range again.response.GetResults() {
			if r.GetSeverity() != fnv1.Severity_SEVERITY_FATAL {
				return fmt.Errorf("an idle server gets an event: %s", r.GetMessage())
			}
		}
		return nil
	}
	return fmt.Errorf("the server does not come to rest")
}

// gocmpProto is the difference of two messages. To find that there is none is
// cheaper otherwise.
func gocmpProto(a, b proto.Message) string {
	if proto.Equal(a, b) {
		return ""
	}
	return gocmp.Diff(a, b, protocmp.Transform())
}

func (l *life) snapshot() map[key]object {
	out := make(map[key]object, len(l.c.store))
	for k, o := range l.c.store {
		out[k] = clone(o)
	}
	return out
}

func (l *life) step(t *testing.T) error {
	t.Helper()
	_, err := l.stepOut(t)
	return err
}

// stepOut reconciles once and asserts what must always hold.
func (l *life) stepOut(t *testing.T) (outcome, error) {
	t.Helper()
	l.steps++
	l.remember()
	before := l.snapshot()
	had := clone(l.c.xr)
	wired := wiredTo(l.n, l.object("server"))
	gate := map[string]bool{}
	for _, d := range []string{"percona:", "external:external-db", "sqlite:"} {
		gate[d] = l.databaseReady(d)
	}
	valid := l.valid()
	l.c.src.seed, l.c.src.n = l.seed<<16+uint64(l.steps), 0
	_ = l.c.log.take()

	out, err := l.c.reconcile()
	if err != nil {
		return out, err
	}
	if len(out.problems) > 0 {
		return out, fmt.Errorf("the cluster refuses: %s", strings.Join(out.problems, "; "))
	}
	logs := l.c.log.take()
	checks := []func() error{func() error { return l.quiet(out, logs) }}
	if l.steps%3 == 0 {
		checks = append(checks, func() error { return l.sameBytes(t, out) })
	}
	if out.fatal != "" {
		l.trace = append(l.trace, "   fatal: "+out.fatal)
		if valid {
			return out, fmt.Errorf("a valid spec is refused: %s", out.fatal)
		}
		checks = append(checks, func() error { return l.fatalConditions(out, had) })
	} else {
		if _, ok := out.response.GetDesired().GetResources()["config"]; ok {
			l.reached = true
		}
		checks = append(checks,
			func() error { return l.nothingDropped(before, out) },
			func() error { return l.nothingTaken(before, out) },
			func() error { return l.serverGated(before, out, gate) },
			func() error { return l.secretsKept(before) },
			func() error { return l.databaseNotSwitched(before) },
			func() error { return l.clusterKept(before) },
			func() error { return l.adoptedAsItWas(before) },
			func() error { return l.templateKept(before, wired) },
			func() error { return l.notReadyWhileGated(gate) },
			func() error { return l.passedThrough(out) },
			func() error { return l.editsKept() },
			func() error { return l.agedKept() },
			func() error { return l.onlyIntended(out) },
			func() error { return l.contradictionsTold() },
		)
	}
	for _, check := range checks {
		if err := check(); err != nil {
			return out, err
		}
	}
	if w := wiredTo(l.n, l.object("server")); w != "" {
		l.wired = w
	}
	return out, nil
}

// sameBytes: the same request gives the same bytes, whatever the function has
// been asked before.
func (l *life) sameBytes(t *testing.T, out outcome) error {
	t.Helper()
	l.c.src.n = 0
	first, err := l.c.fn.RunFunction(t.Context(), proto.CloneOf(out.request))
	if err != nil {
		return err
	}
	l.c.src.n = 0
	second, err := NewFunction(l.c.log, time.Minute, l.c.src).RunFunction(t.Context(), proto.CloneOf(out.request))
	if err != nil {
		return err
	}
	if string(deterministic(t, first)) != string(deterministic(t, second)) {
		return fmt.Errorf("the same request got two answers, the second from a function that remembers nothing:\n%s", gocmpProto(first, second))
	}
	return nil
}

// quiet: no credential is told to anybody.
func (l *life) quiet(out outcome, logs string) error {
	where := map[string]string{"a log": logs}
	for _, c := range out.response.GetConditions() {
		where["condition "+c.GetType()] = c.GetMessage() + c.GetReason()
	}
	for i, r := range out.response.GetResults() {
		where[fmt.Sprintf("result %d", i)] = r.GetMessage() + r.GetReason()
	}
	for name, r := range out.response.GetDesired().GetResources() {
		if r.GetResource().GetFields()["kind"].GetStringValue() != "Secret" {
			where["composed "+name] = wire(r)
		}
	}
	where["the XR"] = wire(out.response.GetDesired().GetComposite())
	for _, place := range slices.Sorted(maps.Keys(where)) {
		if strings.Contains(where[place], "canary-") && !strings.HasPrefix(place, "the XR") {
			return fmt.Errorf("%s has a credential: %s", place, where[place])
		}
		// The status names the database's user, which is not secret.
		if strings.Contains(strings.ReplaceAll(where[place], "canary-user", ""), "canary-") {
			return fmt.Errorf("%s has a credential: %s", place, where[place])
		}
		for _, s := range []object{l.object("jwt"), l.object("admin")} {
			for _, k := range []string{"jwt-secret", "password"} {
				if v, ok := decoded(s, k); ok && strings.Contains(where[place], v) {
					return fmt.Errorf("%s has a generated secret", place)
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
func (l *life) fatalConditions(out outcome, had object) error {
	got := map[string]*fnv1.Condition{}
	for _, c := range out.response.GetConditions() {
		got[c.GetType()] = c
	}
	a := got["Accepted"]
	if a.GetStatus() != fnv1.Status_STATUS_CONDITION_FALSE || a.GetReason() != "InvalidSpec" || a.GetMessage() != out.fatal {
		return fmt.Errorf("a Fatal without its condition: Accepted is %v", a)
	}
	for _, c := range list(had, "status", "conditions") {
		if typ := text(c, "type"); typ != "Ready" && typ != "Synced" && got[typ] == nil {
			return fmt.Errorf("a Fatal lets condition %s turn to Unknown", typ)
		}
	}
	// A good database is not made bad by an invalid edit.
	if c := got["DatabaseReady"]; c.GetReason() == "InvalidSpec" && l.perconaReady() && strings.HasPrefix(wiredTo(l.n, l.object("server")), "percona") {
		return fmt.Errorf("an invalid edit makes a good database unready")
	}
	return nil
}

// nothingDropped: what exists and is ours stays in the answer.
func (l *life) nothingDropped(before map[key]object, out outcome) error {
	if len(out.deleted) > 0 {
		return fmt.Errorf("%s exists, is ours, and is dropped", out.deleted[0])
	}
	for name, o := range out.request.GetObserved().GetResources() {
		was := o.GetResource().AsMap()
		is := out.response.GetDesired().GetResources()[name]
		if is == nil {
			return fmt.Errorf("%s (%s) is observed and dropped", name, keyOf(was))
		}
		now := is.GetResource().AsMap()
		if ns := text(l.c.xr, "metadata", "namespace"); ns != "" {
			set(now, ns, "metadata", "namespace")
		}
		if keyOf(now) != keyOf(was) {
			return fmt.Errorf("%s was %s and is now %s", name, keyOf(was), keyOf(now))
		}
	}
	// What is ours and not observed counts all the same, if the server needs it.
	for name, k := range l.keys() {
		o := before[k]
		if o == nil || deleting(o) || !l.ours(o) || out.response.GetDesired().GetResources()[name] != nil {
			continue
		}
		switch name {
		case "jwt", "admin", "backup-credentials", "postgres":
			// Only where the spec wants them.
			continue
		}
		return fmt.Errorf("%s (%s) is ours, not observed, and left out", name, k)
	}
	return nil
}

// nothingTaken: what is somebody else's is not composed, nor what is on its way
// out, unless Crossplane knows it as this XR's.
func (l *life) nothingTaken(before map[key]object, out outcome) error {
	for name, r := range out.response.GetDesired().GetResources() {
		o := before[keyOf(r.GetResource().AsMap())]
		if o == nil || l.c.earlier.GetResources()[name] != nil {
			continue
		}
		if deleting(o) && out.request.GetObserved().GetResources()[name] == nil {
			return fmt.Errorf("%s is being deleted, and composed", keyOf(o))
		}
		// Judged before Crossplane took it.
		if mine, anybody := l.c.controlled(o); anybody && mine {
			continue
		}
		if !l.ours(o) {
			return fmt.Errorf("%s is foreign, and taken over", keyOf(o))
		}
	}
	for name, k := range l.keys() {
		o := before[k]
		if o == nil || !deleting(o) && l.ours(o) {
			continue
		}
		if out.request.GetObserved().GetResources()[name] == nil && !reflect.DeepEqual(o, l.c.store[k]) {
			return fmt.Errorf("%s is not ours to change, and changed", k)
		}
		if !l.wanted(name) {
			continue
		}
		if status, reason, msg := l.c.has("Accepted"); status != "False" || reason != "NameTaken" || !strings.Contains(msg, k.name) {
			return fmt.Errorf("%s is in the way, and Accepted is %s, %s: %s", k, status, reason, msg)
		}
	}
	return nil
}

// wanted says whether the spec certainly wants an object.
func (l *life) wanted(resource string) bool {
	m := l.merged()
	switch resource {
	case "jwt":
		return at(m, "identity", "jwt", "secretRef") == nil
	case "admin":
		return at(m, "identity", "admin", "passwordSecretRef") == nil
	case "postgres":
		return isTrue(m, "percona", "enabled") && (l.wired == "" || strings.HasPrefix(l.wired, "percona")) && l.c.serves("PerconaPGCluster")
	case "backup-credentials":
		return false
	}
	return true
}

// gateOf is the gate of a database: every SQLite file is as good as another.
func gateOf(wired string) string {
	if strings.HasPrefix(wired, "sqlite:") {
		return "sqlite:"
	}
	return wired
}

// serverGated: the StatefulSet is not created before its database is ready.
func (l *life) serverGated(before map[key]object, out outcome, gate map[string]bool) error {
	k := l.keys()["server"]
	if before[k] != nil || l.c.store[k] == nil {
		return nil
	}
	wired := wiredTo(l.n, l.c.store[k])
	if !gate[gateOf(wired)] {
		return fmt.Errorf("the server is created on %s, which is not ready; calls: %d", wired, out.calls)
	}
	return nil
}

// secretsKept: no value of a Secret changes, but those that are translated.
func (l *life) secretsKept(before map[key]object) error {
	for k, o := range before {
		if k.kind != "Secret" || k.name == l.n+"-pgbackrest-secret" {
			continue
		}
		for field, v := range o["data"].(object) {
			if now := at(l.c.store[k], "data", field); now != v {
				return fmt.Errorf("%s: the value of %s changed", k, field)
			}
		}
	}
	was, is := before[l.keys()["backup-credentials"]], l.object("backup-credentials")
	if was == nil || reflect.DeepEqual(was["data"], is["data"]) {
		return nil
	}
	user := l.c.store[l.secretKey("s3-keys")]
	for _, pair := range [][2]string{{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}, {"s3-key", "s3-key-secret"}} {
		id, ok := decoded(user, pair[0])
		s, _ := decoded(user, pair[1])
		conf, _ := decoded(is, "s3.conf")
		if ok && conf == "[global]\nrepo1-s3-key="+id+"\nrepo1-s3-key-secret="+s+"\n" {
			return nil
		}
	}
	return fmt.Errorf("the translated credentials changed to something else")
}

// databaseNotSwitched: a live server stays on its database unless confirmSwitch
// names the other one; one that comes back after its StatefulSet was deleted
// does so, too.
func (l *life) databaseNotSwitched(before map[key]object) error {
	was := wiredTo(l.n, before[l.keys()["server"]])
	if was == "" && before[l.keys()["config"]] != nil && l.ours(before[l.keys()["config"]]) && at(before[l.keys()["config"]], "metadata", "annotations", "dittoserver.fn.crossplane.io/database") != nil {
		was = l.wired
	}
	is := wiredTo(l.n, l.object("server"))
	if was == "" || is == "" || was == is {
		return nil
	}
	kind, _, _ := strings.Cut(is, ":")
	if text(l.merged(), "database", "confirmSwitch") != kind {
		return fmt.Errorf("the server was on %s and is on %s, unconfirmed", was, is)
	}
	return nil
}

// clusterKept: what holds data does not change or shrink.
func (l *life) clusterKept(before map[key]object) error {
	was, is := before[l.keys()["postgres"]], l.object("postgres")
	if was == nil || is == nil || at(was, "metadata", "uid") != at(is, "metadata", "uid") {
		return nil
	}
	same := map[string]func(o object) any{
		"PostgreSQL version": func(o object) any { return at(o, "spec", "postgresVersion") },
		"database name": func(o object) any {
			if dbs, _ := at(named(o, "dittofs", "spec", "users"), "databases").([]any); len(dbs) > 0 {
				return dbs[0]
			}
			return nil
		},
		"storage class": func(o object) any {
			return text(named(o, "instance1", "spec", "instances"), "dataVolumeClaimSpec", "storageClassName")
		},
		"repository path": func(o object) any { return text(o, "spec", "backups", "pgbackrest", "global", "repo1-path") },
	}
	for _, what := range slices.Sorted(maps.Keys(same)) {
		w, i := same[what](was), same[what](is)
		if what == "repository path" && (w == "" || isTrue(l.merged(), "percona", "backup", "confirmRemoval") && i == "") {
			continue
		}
		if w != nil && !reflect.DeepEqual(w, i) {
			return fmt.Errorf("the cluster's %s was %v and is %v", what, w, i)
		}
	}
	size := func(o object) resource.Quantity {
		q, _ := resource.ParseQuantity(text(named(o, "instance1", "spec", "instances"), "dataVolumeClaimSpec", "resources", "requests", "storage"))
		return q
	}
	if w, i := size(was), size(is); i.Cmp(w) < 0 {
		return fmt.Errorf("the database's volumes shrink from %s to %s", w.String(), i.String())
	}
	on := func(o object) bool { return at(o, "spec", "backups", "enabled") == true }
	if on(was) && !on(is) && !isTrue(l.merged(), "percona", "backup", "confirmRemoval") {
		return fmt.Errorf("backups are switched off, unconfirmed")
	}
	if major := tagMajor(text(is, "spec", "image")); major != 0 && major != int(number(is, "spec", "postgresVersion")) {
		return fmt.Errorf("image %s on the files of PostgreSQL %v", text(is, "spec", "image"), at(is, "spec", "postgresVersion"))
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
			return fmt.Errorf("a cluster is taken over, and its %s goes from %v to %v", what, v[1], v[2])
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
	if was == nil || is == nil || at(was, "metadata", "annotations", annotationResource) == nil {
		return nil
	}
	if l.known["concern.wired"] != wired || wiredTo(l.n, is) != wired || l.known["concern"] != concern {
		return nil
	}
	if reflect.DeepEqual(at(was, "spec", "template"), at(is, "spec", "template")) {
		return nil
	}
	return fmt.Errorf("the pod is restarted for nothing (-was +is):\n%s", gocmp.Diff(at(was, "spec", "template"), at(is, "spec", "template")))
}

// notReadyWhileGated: the XR is not ready while its server waits.
//
// Ready is judged by what the function could see, which is the world before its
// answer was applied.
func (l *life) notReadyWhileGated(gate map[string]bool) error {
	ready, _, _ := l.c.has("Ready")
	if ready != "True" {
		return nil
	}
	sts := l.object("server")
	if sts == nil {
		return fmt.Errorf("the XR is ready without a server")
	}
	for name, k := range l.keys() {
		if deleting(l.c.store[k]) && l.wanted(name) {
			return fmt.Errorf("the XR is ready, and %s is being deleted", k)
		}
	}
	if wired := wiredTo(l.n, sts); !gate[gateOf(wired)] {
		return fmt.Errorf("the XR is ready, and its database %s is not", wired)
	}
	if s, reason, _ := l.c.has("DatabaseReady"); s == "False" {
		return fmt.Errorf("the XR is ready with DatabaseReady False, %s", reason)
	}
	return nil
}

// passedThrough: what earlier steps desire passes through untouched.
func (l *life) passedThrough(out outcome) error {
	if diff := gocmpProto(l.c.context, out.response.GetContext()); diff != "" {
		return fmt.Errorf("the context changed:\n%s", diff)
	}
	for name, r := range l.c.earlier.GetResources() {
		if diff := gocmpProto(r, out.response.GetDesired().GetResources()[name]); diff != "" {
			return fmt.Errorf("another step's %s changed:\n%s", name, diff)
		}
	}
	e := l.c.earlier.GetComposite()
	if e == nil {
		return nil
	}
	got := out.response.GetDesired().GetComposite()
	if got.GetResource().GetFields()["metadata"] == nil {
		return fmt.Errorf("another step's labels of the XR are gone")
	}
	if got.GetReady() != e.GetReady() && got.GetReady() != fnv1.Ready_READY_FALSE {
		return fmt.Errorf("another step's verdict %s became %s", e.GetReady(), got.GetReady())
	}
	return nil
}

// editsKept: a person's edits of the cluster stay while the ask does not change,
// and fields that nobody asks for always do.
func (l *life) editsKept() error {
	is := l.object("postgres")
	var left []personsEdit
	for _, e := range l.edits {
		if is == nil || text(is, "metadata", "uid") != e.uid {
			continue
		}
		if !e.foreign && e.ask != l.askDigest() {
			continue
		}
		left = append(left, e)
		if got := e.value(is); !reflect.DeepEqual(got, e.want) {
			return fmt.Errorf("a person's edit of %s to %v is now %v", e.path, e.want, got)
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
			return fmt.Errorf("an upgrade of the function changes %s from %v to %v", path, want, got)
		}
	}
	return nil
}

// onlyIntended: nothing is sent that nobody means.
func (l *life) onlyIntended(out outcome) error {
	for name, r := range out.response.GetDesired().GetResources() {
		if bad := residue(name, r.GetResource().AsMap()); len(bad) > 0 {
			return fmt.Errorf("sent unasked: %s", strings.Join(bad, ", "))
		}
	}
	return nil
}

// contradictionsTold: what is held is told.
func (l *life) contradictionsTold() error {
	m, c := l.merged(), l.object("postgres")
	status, reason, _ := l.c.has("Accepted")
	if status == "" {
		return fmt.Errorf("no condition Accepted")
	}
	if v := number(m, "percona", "postgresVersion"); c != nil && isTrue(m, "percona", "enabled") && v != 0 && l.ours(c) && !deleting(c) &&
		v != number(c, "spec", "postgresVersion") && status != "False" {
		return fmt.Errorf("PostgreSQL %v is asked for, %v stays, and Accepted is %s, %s", v, at(c, "spec", "postgresVersion"), status, reason)
	}
	if wired := wiredTo(l.n, l.object("server")); isTrue(m, "percona", "enabled") && wired != "" && !strings.HasPrefix(wired, "percona") &&
		text(m, "database", "confirmSwitch") != "percona" && status != "False" {
		return fmt.Errorf("Percona is asked for, the server stays on %s, and Accepted is %s, %s", wired, status, reason)
	}
	return nil
}

// An action is what may happen to a server between two reconciles. It answers
// what it did, and nothing if it could not.
type action struct {
	weight int
	do     func(l *life) string
}

var actions = []action{ //nolint:gochecknoglobals // A constant.
	{10, (*life).editSpec},
	{10, (*life).editPercona},
	{3, (*life).editInput},
	{4, (*life).poison},
	{3, (*life).moveInput},
	{20, (*life).perconaActs},
	{12, (*life).perconaSettles},
	{8, (*life).perconaAlmostSettles},
	{8, (*life).serverActs},
	{5, (*life).rotate},
	{5, (*life).userSecretActs},
	{8, (*life).personEditsCluster},
	{3, (*life).foreignFields},
	{5, (*life).deleteObject},
	{4, (*life).serverDeletedAndMoved},
	{4, (*life).deletionBegins},
	{3, (*life).deletionEnds},
	{4, (*life).somethingInTheWay},
	{3, (*life).somethingOutOfTheWay},
	{4, (*life).recreated},
	{2, (*life).forgotten},
	{3, (*life).upgradedPostgres},
	{3, (*life).functionUpgraded},
	{3, (*life).crdActs},
	{2, func(*life) string { return "nothing happens" }},
}

// act has something happen.
func (l *life) act() string {
	if l.ns == "servers" {
		// Only an observed server holds its namespace.
		set(l.c.input, l.ns, "namespace")
	}
	total := 0
	for _, a := range actions {
		total += a.weight
	}
	for {
		n := l.r.IntN(total)
		for _, a := range actions {
			if n -= a.weight; n >= 0 {
				continue
			}
			if did := a.do(l); did != "" {
				return did
			}
			break
		}
	}
}

func (l *life) spec() object { return l.c.xr["spec"].(object) }

func (l *life) editSpec() string {
	other := randomSpec(l.r)
	k := pick(l.r, "storage", "percona", "image", "replicas", "database", "controlPlane", "identity", "logging", "service", "adapterServices", "resources", "securityContext", "adoptExisting", "database")
	if v, ok := other[k]; ok {
		l.spec()[k] = v
	} else if k != "storage" {
		delete(l.spec(), k)
	}
	return "the spec is edited: " + k
}

func (l *life) editPercona() string {
	p, ok := l.spec()["percona"].(object)
	if !ok {
		return ""
	}
	other := randomPercona(l.r)
	ks := []string{"enabled", "replicas", "storageSize", "storageClassName", "postgresVersion", "image", "databaseName", "metadataDatabaseName", "deleteWithServer", "driftPolicy", "resources", "backup", "backup"}
	k := ks[l.r.IntN(len(ks))]
	if v, ok := other[k]; ok {
		p[k] = v
	} else {
		delete(p, k)
	}
	return "the spec is edited: percona." + k
}

func (l *life) editInput() string {
	l.setInput()
	return "the Input is edited"
}

// moveInput changes the namespace of an Input where it is already used.
func (l *life) moveInput() string {
	if l.ns != "servers" || len(l.c.observed()) == 0 {
		return ""
	}
	set(l.c.input, "elsewhere", "namespace")
	return "the Input's namespace is edited for a while"
}

func (l *life) poison() string {
	if b, _ := json.Marshal(l.spec()); strings.Contains(string(b), "POISON") || strings.Contains(string(b), "99999") {
		// What was made invalid is corrected.
		set(l.c.xr, randomSpec(l.r), "spec")
		if l.c.xr["kind"] == "XDittoServer" && l.ns == "storage" {
			l.c.xr["spec"] = claimXR(l.n, l.spec())["spec"]
		}
		return "the spec is corrected"
	}
	p := poisons[l.r.IntN(len(poisons))]
	if l.chance(50) {
		return ""
	}
	set(l.spec(), cloneAny(p.value), p.path...)
	return "the spec becomes invalid: " + strings.Join(p.path, ".")
}

// perconaActs is something that Percona's operator does.
func (l *life) perconaActs() string {
	k := l.keys()["postgres"]
	o := l.c.store[k]
	if o == nil {
		return ""
	}
	switch l.r.IntN(9) {
	case 0, 1:
		state := pick(l.r, "", "initializing", "ready", "ready", "paused", "stopping", "unheard-of")
		set(o, state, "status", "state")
		return "Percona: state " + state
	case 2:
		size := float64(l.r.IntN(4))
		set(o, object{"size": size, "ready": float64(l.r.IntN(int(size) + 1)), "version": 16.0}, "status", "postgres")
		return "Percona: some instances"
	case 3:
		set(o, number(o, "metadata", "generation")-float64(l.r.IntN(2)), "status", "observedGeneration")
		return "Percona: a generation is observed"
	case 4:
		delete(o, "status")
		return "Percona: no status"
	case 5:
		s := secret(l.ns, l.n+"-postgres-pguser-dittofs", l.credentials(0))
		if l.chance(30) {
			unset(s, "data", pick(l.r, "uri", "password", "dbname"))
		}
		l.c.put(s)
		return "Percona: credentials, perhaps some"
	case 6:
		delete(l.c.store, l.secretKey(pick(l.r, l.n+"-postgres-pguser-dittofs", l.n+"-postgres-cluster-cert")))
		return "Percona: a Secret is gone"
	case 7:
		l.c.edit(k, func(o object) {
			set(o, object{"repoName": "repo1", "options": []any{"--type=full"}}, "spec", "backups", "pgbackrest", "manual")
			set(o, "x", "metadata", "annotations", "pgv2.percona.com/backup-in-progress")
			set(o, []any{"internal.percona.com/stop-watchers"}, "metadata", "finalizers")
		})
		return "Percona: a backup runs"
	default:
		set(o, []any{
			object{"type": "PGBackRestRepoHostReady", "status": pick(l.r, "True", "False")},
			object{"type": "PGBackRestReplicaRepoReady", "status": pick(l.r, "True", "False")},
			object{"type": "PGBackRestReplicaCreate", "status": pick(l.r, "True", "False")},
		}, "status", "conditions")
		return "Percona: conditions"
	}
}

func (l *life) credentials(generation int) map[string]string {
	return map[string]string{
		"host": l.n + "-postgres-primary." + l.ns + ".svc", "port": "5432", "dbname": "dittofs", "user": "dittofs",
		"password": fmt.Sprintf("canary-password-%d", generation), "uri": fmt.Sprintf("postgresql://dittofs:canary-password-%d@x/y", generation),
		"verifier": fmt.Sprintf("canary-verifier-%d", l.r.IntN(1000)),
	}
}

// perconaSettles makes everything of Percona's ready.
func (l *life) perconaSettles() string {
	o := l.object("postgres")
	if o == nil {
		return ""
	}
	set(o, object{
		"state": "ready", "observedGeneration": at(o, "metadata", "generation"), "host": "x",
		"postgres": object{"size": 1.0, "ready": 1.0, "instances": []any{object{"name": "instance1", "size": 1.0, "ready": 1.0}}},
	}, "status")
	l.c.put(secret(l.ns, l.n+"-postgres-pguser-dittofs", l.credentials(0)))
	l.c.put(secret(l.ns, l.n+"-postgres-cluster-cert", map[string]string{"ca.crt": "a certificate", "tls.crt": "x", "tls.key": fmt.Sprintf("canary-key-%d", l.r.IntN(1000))}))
	return "Percona: all is ready"
}

// perconaAlmostSettles makes everything of Percona's ready but for one thing.
func (l *life) perconaAlmostSettles() string {
	if l.perconaSettles() == "" {
		return ""
	}
	o := l.object("postgres")
	switch l.r.IntN(7) {
	case 0:
		set(o, number(o, "metadata", "generation")+1, "metadata", "generation")
		return "Percona: all is ready, of an older generation"
	case 1:
		set(o, 2.0, "status", "postgres", "size")
		return "Percona: all is ready but an instance"
	case 2:
		set(o, object{"size": 0.0, "ready": 0.0}, "status", "postgres")
		return "Percona: all is ready, and no instance"
	case 3:
		s := l.c.store[l.secretKey(l.n+"-postgres-pguser-dittofs")]
		unset(s, "data", pick(l.r, "host", "port", "dbname", "user", "password", "uri"))
		return "Percona: all is ready but a key of the credentials"
	case 4:
		delete(l.c.store, l.secretKey(l.n+"-postgres-cluster-cert"))
		return "Percona: all is ready but the certificate"
	case 5:
		unset(l.c.store[l.secretKey(l.n+"-postgres-cluster-cert")], "data", "ca.crt")
		return "Percona: all is ready but the CA"
	default:
		set(o, pick(l.r, "initializing", "paused", "stopping", ""), "status", "state")
		return "Percona: all is ready but the state"
	}
}

// serverActs is something that the StatefulSet controller does.
func (l *life) serverActs() string {
	o := l.object("server")
	if o == nil {
		return ""
	}
	replicas := number(o, "spec", "replicas")
	if l.chance(60) {
		set(o, object{"observedGeneration": at(o, "metadata", "generation"), "replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas, "updatedReplicas": replicas}, "status")
		return "the server runs"
	}
	set(o, object{"observedGeneration": pick(l.r, 1.0, number(o, "metadata", "generation")), "replicas": replicas, "updatedReplicas": pick(l.r, 0.0, 1.0)}, "status")
	return "the server's pod is not ready"
}

func (l *life) rotate() string {
	switch l.r.IntN(4) {
	case 0:
		name := l.n + "-postgres-pguser-dittofs"
		if l.c.store[l.secretKey(name)] == nil {
			return ""
		}
		l.c.put(secret(l.ns, name, l.credentials(l.r.IntN(3))))
		return "the database's password is rotated, perhaps"
	case 1:
		name := l.n + "-postgres-cluster-cert"
		if l.c.store[l.secretKey(name)] == nil {
			return ""
		}
		l.c.put(secret(l.ns, name, map[string]string{"ca.crt": fmt.Sprintf("certificate %d", l.r.IntN(2)), "tls.key": fmt.Sprintf("canary-key-%d", l.r.IntN(1000))}))
		return "the database's certificate is rotated"
	case 2:
		s := l.object("admin")
		if s == nil {
			return ""
		}
		set(s, "Y2FuYXJ5LXBlcnNvbnMtcGFzc3dvcmQ=", "data", "password")
		return "a person changes the admin password's Secret"
	default:
		s := l.object("jwt")
		if s == nil {
			return ""
		}
		set(s, "Y2FuYXJ5LXBlcnNvbnMtand0LXNlY3JldC13aXRoLXN1ZmZpY2llbnQtbGVuZ3Ro", "data", "jwt-secret")
		return "a person changes the JWT secret"
	}
}

func (l *life) userSecretActs() string {
	name := pick(l.r, "external-db", "s3-keys", "own-jwt", "own-admin")
	if l.chance(25) {
		delete(l.c.store, l.secretKey(name))
		return "Secret " + name + " is gone"
	}
	l.userSecret(name)
	return "Secret " + name + " is written"
}

// personEditsCluster is kubectl edit perconapgcluster.
func (l *life) personEditsCluster() string {
	k := l.keys()["postgres"]
	o := l.c.store[k]
	if o == nil || deleting(o) || at(o, "metadata", "annotations", "dittoserver.fn.crossplane.io/rendered") == nil {
		return ""
	}
	instance := func(o object) object { return named(o, "instance1", "spec", "instances") }
	version := number(o, "spec", "postgresVersion")
	type candidate struct {
		path    string
		foreign bool
		want    any
		get     func(o object) any
		put     func(o object, v any)
	}
	field := func(foreign bool, want any, path ...string) candidate {
		return candidate{strings.Join(path, "."), foreign, want,
			func(o object) any { return at(o, path...) },
			func(o object, v any) { set(o, v, path...) }}
	}
	ofInstance := func(foreign bool, want any, path ...string) candidate {
		return candidate{"instance1." + strings.Join(path, "."), foreign, want,
			func(o object) any { return at(instance(o), path...) },
			func(o object, v any) { set(instance(o), v, path...) }}
	}
	candidates := []candidate{
		ofInstance(false, float64(1+l.r.IntN(5)), "replicas"),
		ofInstance(false, "500Gi", "dataVolumeClaimSpec", "resources", "requests", "storage"),
		field(false, fmt.Sprintf("example.org/person:%v.9", version), "spec", "image"),
		field(false, false, "spec", "autoCreateUserSchema"),
		field(true, true, "spec", "pause"),
		field(true, object{"dynamicConfiguration": object{"postgresql": object{"parameters": object{"work_mem": "8MB"}}}}, "spec", "patroni"),
		ofInstance(true, "high", "priorityClassName"),
		field(true, "3", "spec", "backups", "pgbackrest", "global", "process-max"),
		{"users[reporter]", true, object{"name": "reporter", "databases": []any{"dittofs"}},
			func(o object) any { return any(named(o, "reporter", "spec", "users")) },
			func(o object, v any) {
				if named(o, "reporter", "spec", "users") == nil {
					set(o, append(at(o, "spec", "users").([]any), v), "spec", "users")
				}
			}},
	}
	if text(o, "spec", "backups", "pgbackrest", "global", "repo1-path") != "" {
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
	if c.path == "spec.backups.pgbackrest.global.process-max" && text(o, "spec", "backups", "pgbackrest", "global", "repo1-path") == "" {
		return ""
	}
	revert := text(l.merged(), "percona", "driftPolicy") == "Revert"
	if tagMajor(fmt.Sprint(c.want)) != 0 && revert {
		return ""
	}
	l.c.edit(k, func(o object) { c.put(o, cloneAny(c.want)) })
	l.edits = slices.DeleteFunc(l.edits, func(e personsEdit) bool { return e.path == c.path })
	if c.foreign || !revert {
		l.edits = append(l.edits, personsEdit{path: c.path, value: c.get, want: c.want, ask: l.askDigest(), uid: text(o, "metadata", "uid"), foreign: c.foreign})
	}
	if c.path == "spec.image" {
		delete(l.aged, "postgres")
	}
	return fmt.Sprintf("a person edits the cluster: %s = %v", c.path, c.want)
}

// foreignFields are those that others add to what is composed.
func (l *life) foreignFields() string {
	name := pick(l.r, slices.Sorted(maps.Keys(l.keys()))...)
	o := l.object(name)
	if o == nil || deleting(o) {
		return ""
	}
	set(o, "yes", "metadata", "annotations", "example.org/foreign")
	set(o, "yes", "metadata", "labels", "example.org/foreign")
	if name == "server" && at(o, "spec", "template") != nil {
		l.c.edit(l.keys()["server"], func(o object) {
			set(o, "now", "spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt")
		})
	}
	return "somebody adds fields to " + name
}

// deleteObject is kubectl delete.
func (l *life) deleteObject() string {
	name := pick(l.r, slices.Sorted(maps.Keys(l.keys()))...)
	k := l.keys()[name]
	if l.c.store[k] == nil {
		return ""
	}
	delete(l.c.store, k)
	delete(l.c.applied, k)
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
	if o := l.c.store[k]; o == nil || !l.ours(o) {
		return ""
	}
	delete(l.c.store, k)
	delete(l.c.applied, k)
	l.forget("server")
	if strings.HasPrefix(l.wired, "sqlite") {
		set(l.spec(), object{"enabled": false}, "percona")
		set(l.spec(), object{"postgresSecretRef": object{"name": "external-db", "key": "any"}}, "database")
		l.c.put(secret(l.ns, "external-db", map[string]string{"host": "db", "database": "x", "user": "canary-user", "password": "canary-password"}))
	} else {
		set(l.spec(), object{"enabled": false}, "percona")
		set(l.spec(), object{"type": "sqlite"}, "database")
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
	set(o, "2026-01-02T00:00:00Z", "metadata", "deletionTimestamp")
	had, _ := at(o, "metadata", "finalizers").([]any)
	set(o, append(slices.Clone(had), "example.org/hold"), "metadata", "finalizers")
	return "the deletion begins of " + keyOf(o).String()
}

func (l *life) deletionEnds() string {
	keys := l.keys()
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		k := keys[name]
		if deleting(l.c.store[k]) {
			delete(l.c.store, k)
			delete(l.c.applied, k)
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
	if l.c.store[k] != nil || !l.c.serves(k.kind) {
		return ""
	}
	api := map[string]string{"StatefulSet": "apps/v1", "PerconaPGCluster": "pgv2.percona.com/v2"}
	o := object{"apiVersion": cmp.Or(api[k.kind], "v1"), "kind": k.kind, "metadata": object{"name": k.name, "namespace": k.namespace}}
	if k.kind == "Secret" {
		o["type"], o["data"] = "Opaque", object{"password": "Y2FuYXJ5LWZvcmVpZ24=", "jwt-secret": "Y2FuYXJ5LWZvcmVpZ24="}
	}
	if l.chance(50) || k.kind == "StatefulSet" || k.kind == "PerconaPGCluster" {
		set(o, []any{object{"apiVersion": "v1", "kind": "Other", "name": "somebody", "uid": "other", "controller": true}}, "metadata", "ownerReferences")
	}
	l.c.put(o)
	l.forget(name)
	return "something is in the way: " + k.String()
}

func (l *life) somethingOutOfTheWay() string {
	for _, name := range slices.Sorted(maps.Keys(l.keys())) {
		k := l.keys()[name]
		if o := l.c.store[k]; o != nil && !l.ours(o) {
			delete(l.c.store, k)
			delete(l.c.applied, k)
			l.forget(name)
			return k.String() + " is out of the way"
		}
	}
	return ""
}

// recreated is an XR that was deleted with --cascade=orphan and applied again:
// everything is there, and nothing is observed.
func (l *life) recreated() string {
	if len(l.c.observed()) == 0 {
		return ""
	}
	for _, o := range l.c.store {
		if mine, _ := l.c.controlled(o); mine {
			unset(o, "metadata", "ownerReferences")
		}
	}
	delete(l.c.xr, "status")
	set(l.c.xr, l.c.uid(), "metadata", "uid")
	l.c.refs = map[string]key{}
	return "the XR is created again"
}

// forgotten is an XR that lost its references.
func (l *life) forgotten() string {
	if len(l.c.refs) == 0 {
		return ""
	}
	l.c.refs = map[string]key{}
	return "the XR loses its references"
}

// upgradedPostgres is a PerconaPGUpgrade.
func (l *life) upgradedPostgres() string {
	o := l.object("postgres")
	if o == nil || deleting(o) {
		return ""
	}
	version := number(o, "spec", "postgresVersion") + 1
	if version > 18 || version < 15 {
		return ""
	}
	l.c.edit(l.keys()["postgres"], func(o object) {
		set(o, version, "spec", "postgresVersion")
		set(o, fmt.Sprintf("docker.io/percona/percona-distribution-postgresql:%v.0-upgraded", version), "spec", "image")
		set(o, "docker.io/percona/percona-pgbackrest:upgraded", "spec", "backups", "pgbackrest", "image")
	})
	l.edits = slices.DeleteFunc(l.edits, func(e personsEdit) bool { return e.path == "spec.image" })
	delete(l.aged, "postgres")
	delete(l.aged, "pgbackrest")
	delete(l.aged, "init")
	return fmt.Sprintf("Percona upgrades PostgreSQL to %v", version)
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
		o := l.c.store[k]
		if o == nil || !l.ours(o) {
			continue
		}
		for _, m := range []map[key]object{l.c.store, l.c.applied} {
			if m[k] == nil {
				continue
			}
			b, _ := json.Marshal(m[k])
			next := object{}
			if err := json.Unmarshal([]byte(older.Replace(string(b))), &next); err != nil {
				panic(err)
			}
			m[k] = next
		}
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
		l.aged["postgres"], l.aged["pgbackrest"] = text(c, "spec", "image"), text(c, "spec", "backups", "pgbackrest", "image")
	}
	return "the function is upgraded"
}

// crdActs installs Percona's operator, or removes it with all its clusters.
func (l *life) crdActs() string {
	k := key{"CustomResourceDefinition", "", perconaCRD}
	if l.c.offline {
		return ""
	}
	if l.c.store[k] == nil {
		l.c.installCRD(perconaCRD, l.chance(70))
		return "Percona's operator is installed, perhaps"
	}
	if l.c.serves("PerconaPGCluster") && l.chance(70) {
		return ""
	}
	if l.chance(50) {
		l.c.installCRD(perconaCRD, true)
		return "Percona's operator is installed"
	}
	delete(l.c.store, k)
	delete(l.c.store, l.keys()["postgres"])
	delete(l.c.applied, l.keys()["postgres"])
	l.forget("postgres")
	return "Percona's operator is removed"
}

// operatorWasHere leaves what the DittoFS operator makes, with Percona switched
// on, which means a server that really runs on SQLite.
func (l *life) operatorWasHere() {
	owners := []any{object{"apiVersion": "dittofs.dittofs.com/v1alpha1", "kind": "DittoServer", "name": l.n, "uid": "operator", "controller": true}}
	labels := object{"app": "dittofs-server", "instance": l.n}
	with := func(o object, owned bool) {
		set(o, clone(labels), "metadata", "labels")
		set(o, l.ns, "metadata", "namespace")
		if owned {
			set(o, owners, "metadata", "ownerReferences")
		}
		l.c.put(o)
	}
	owned := l.chance(30)
	claim := func(name, size string) any {
		return object{
			"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": object{"name": name}, "status": object{"phase": "Pending"},
			"spec": object{"accessModes": []any{"ReadWriteOnce"}, "volumeMode": "Filesystem", "resources": object{"requests": object{"storage": size}}},
		}
	}
	with(object{
		"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": object{"name": l.n},
		"spec": object{
			"replicas": 1.0, "serviceName": l.n + "-headless", "selector": object{"matchLabels": clone(labels)}, "podManagementPolicy": "OrderedReady",
			"template": object{"metadata": object{"labels": clone(labels)}, "spec": object{
				"initContainers": []any{object{"name": "wait-for-postgres", "image": "postgres:16-alpine"}},
				"containers": []any{object{"name": "dittofs", "image": "marmos91c/dittofs:latest", "env": []any{
					object{"name": "DATABASE_URL", "valueFrom": object{"secretKeyRef": object{"name": l.n + "-postgres-pguser-dittofs", "key": "uri"}}},
				}}},
			}},
			"volumeClaimTemplates": []any{claim("metadata", "10Gi"), claim("controlplane", "1Gi")},
		},
		"status": object{"observedGeneration": 1.0, "replicas": 1.0, "readyReplicas": 1.0, "updatedReplicas": 1.0, "availableReplicas": 1.0},
	}, owned)
	with(object{"apiVersion": "v1", "kind": "ConfigMap", "metadata": object{"name": l.n + "-config"}, "data": object{"config.yaml": "database:\n  type: sqlite\n  sqlite:\n    path: /data/controlplane/controlplane.db\n"}}, owned)
	for _, s := range []string{"-headless", "-api"} {
		with(object{"apiVersion": "v1", "kind": "Service", "metadata": object{"name": l.n + s}, "spec": object{"selector": clone(labels), "clusterIP": "None"}}, owned)
	}
	with(secret(l.ns, l.n+"-jwt-secret", map[string]string{"jwt-secret": "canary-operators-jwt-secret-of-some-length"}), owned)
	with(secret(l.ns, l.n+"-admin-bootstrap-credentials", map[string]string{"username": "admin", "password": "canary-operators-admin"}), owned)
	if !l.c.serves("PerconaPGCluster") {
		return
	}
	with(object{
		"apiVersion": "pgv2.percona.com/v2", "kind": "PerconaPGCluster", "metadata": object{"name": l.n + "-postgres"},
		"spec": object{
			"crVersion": "2.8.0", "postgresVersion": 16.0, "port": 5432.0,
			"users":     []any{object{"name": "dittofs", "databases": []any{"dittofs"}}},
			"instances": []any{object{"name": "instance1", "replicas": 1.0, "dataVolumeClaimSpec": object{"accessModes": []any{"ReadWriteOnce"}, "resources": object{"requests": object{"storage": "10Gi"}}}}},
			"backups":   object{"enabled": false},
		},
	}, owned)
}
