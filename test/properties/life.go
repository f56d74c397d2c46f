package properties

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dittofs/function-dittoserver/internal/lifecycle"
	"github.com/dittofs/function-dittoserver/internal/render"
	"github.com/dittofs/function-dittoserver/test/doubles"
)

// Names by which Crossplane marks what it composes.
const (
	labelComposite      = "crossplane.io/composite"
	labelClaimName      = "crossplane.io/claim-name"
	labelClaimNamespace = "crossplane.io/claim-namespace"
	annotationResource  = "crossplane.io/composition-resource-name"

	perconaCRD = "perconapgclusters.pgv2.percona.com"
)

// A life is one case as it runs.
type life struct {
	s *suite
	h history
	// r are the draws of the event that happens now.
	r   *rand.Rand
	w   *lifecycle.World
	fn  render.Function
	log *doubles.Log
	src *doubles.Source

	input object
	// n and ns are the server's name and namespace, and claim the claim's name.
	n, ns, claim string
	// offline is a preview, in which no kind is defined.
	offline bool
	// alive lives have Percona's operator and the kubelet at work. In the others
	// only events change what they report.
	alive bool
	// takenOver is the operator's server that this one was.
	takenOver string

	// known are the values of Secrets when they were last readable.
	known map[string]string
	// wired is the database that the server was last seen on, home the place
	// where its data is, and mayMove a database that a confirmation lets it
	// move to.
	wired, home, mayMove string
	// spent are confirmations that have been used, by their field.
	spent map[string]string
	// chosen is what the cluster was made with.
	chosen chosen
	edits  []personsEdit
	// aged are images that an older function chose.
	aged map[string]string
	// seen is the state after the last step, while tracing.
	seen map[string]string
	// handBackups says that a person has switched backups on the live cluster.
	handBackups bool
	// everReady are the UIDs of clusters that reported an instance.
	everReady map[string]bool
	// classMoved says that another storage class was asked for before the database
	// had data.
	classMoved bool
	// bound says that the XR was bound to a claim of another name.
	bound bool
	// newlyStated says that the spec states percona.replicas since the last edit
	// of the live ones.
	newlyStated bool
	// moved and evicted are what the event asked for.
	moved, evicted bool
	// remade says that the XR is not the first of its name.
	remade bool
	// rested says that nothing has happened since the server came to rest.
	rested bool

	judge judgement
	// broke are the rules that were let pass.
	broke   map[string]bool
	reached bool
	steps   int
	trace   []string
}

// chosen is what the data of a cluster hangs on.
type chosen struct {
	uid, database, path string
	major               int64
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

// parts of a life's beginning, which may be left out of a failing one.
var parts = []string{ //nolint:gochecknoglobals // A constant.
	"input", "earlier", "schemas", "image", "replicas", "controlPlane", "identity", "logging", "service", "adapterServices", "resources", "securityContext",
	"podSecurityContext", "terminationGracePeriodSeconds", "adoptExisting", "metrics", "gc", "extraConfig", "typingError", "database", "percona.resources", "percona.image", "percona.crVersion",
	"percona.backup", "percona.driftPolicy", "percona.metadataDatabaseName", "percona.databaseName", "percona.postgresVersion", "percona.storageClassName", "percona.storageSize", "percona.replicas", "percona.deleteWithServer",
}

func (s *suite) begin(h history) *life {
	l := &life{
		s: s, h: h, r: rand.New(rand.NewPCG(h.seed, 0)), n: "files", ns: "storage", //nolint:gosec // Not for secrets.
		known: map[string]string{}, spent: map[string]string{}, aged: map[string]string{}, everReady: map[string]bool{}, broke: map[string]bool{},
		log: &doubles.Log{}, src: &doubles.Source{},
	}
	without := func(part string) bool { return slices.Contains(h.without, part) }
	l.fn = s.fn(l.log, time.Minute, l.src)
	spec := clone(randomSpec(l.r))
	for _, p := range h.without {
		unset(spec, strings.Split(p, ".")...)
	}
	l.alive = l.chance(65)
	kind, judge := l.r.IntN(4), "composite"
	var xr object
	var existing []*unstructured.Unstructured
	if l.chance(12) {
		xr, existing = l.takeOver(pick(l.r, "plain", "withpg", "corp"))
		judge = "namespaced"
	} else {
		switch kind {
		case 0:
			l.claim = l.n
			xr = claimXR(l.n, spec)
		case 1:
			l.ns = "servers"
			xr = object{"apiVersion": "dittofs.dittofs.com/v1alpha1", "kind": "XDittoServer", "metadata": object{"name": l.n}, "spec": spec}
		default:
			xr, judge = object{"apiVersion": "dittofs.dittofs.com/v1alpha1", "kind": "DittoServer", "metadata": object{"name": l.n, "namespace": "storage"}, "spec": spec}, "namespaced"
		}
	}
	l.w = lifecycle.New(l.fn, kube(xr), nil, existing...)
	l.w.Judge = s.judges[judge]
	l.w.Classes = []string{"", "fast", "standard"}
	if l.chance(30) && !without("schemas") {
		l.w.Capabilities = render.Capabilities[:4]
	}
	if l.offline = l.chance(5) && l.takenOver == ""; !l.offline {
		l.installCRD(strings.ToLower(text(xr, "kind"))+"s.dittofs.dittofs.com", true)
		if !l.chance(15) {
			l.installCRD(perconaCRD, true)
		}
	}
	l.setInput()
	if without("input") && l.input != nil {
		namespace := l.input["namespace"]
		l.input = nil
		if namespace != nil {
			l.input = object{"apiVersion": "dittoserver.fn.crossplane.io/v1beta1", "kind": "Input", "namespace": namespace}
		}
	}
	l.earlierStep()
	if without("earlier") {
		l.w.Earlier, l.w.Context = nil, nil
	}
	if l.chance(12) && l.takenOver == "" {
		l.operatorWasHere()
	}
	for _, name := range userSecrets {
		if l.chance(70) {
			l.userSecret(name)
		}
	}
	if l.takenOver == "" && len(l.w.XR().GetFinalizers()) == 0 && l.chance(3) {
		l.w.EditXR(func(xr *unstructured.Unstructured) { xr.SetFinalizers([]string{"dittofs.dittofs.com/finalizer"}) })
	}
	return l
}

func claimXR(name string, spec object) object {
	spec = clone(spec)
	spec["claimRef"] = object{"apiVersion": "dittofs.dittofs.com/v1alpha1", "kind": "DittoServer", "name": name, "namespace": "storage"}
	return object{
		"apiVersion": "dittofs.dittofs.com/v1alpha1", "kind": "XDittoServer",
		"metadata": object{"name": name + "-x7k2p", "labels": object{labelClaimName: name, labelClaimNamespace: "storage", labelComposite: name + "-x7k2p"}},
		"spec":     spec,
	}
}

// takeOver begins with a server as the DittoFS operator leaves it.
func (l *life) takeOver(name string) (object, []*unstructured.Unstructured) {
	l.takenOver, l.n, l.ns = name, name, "team-a"
	docs, err := render.Loader{}.LoadRequired(filepath.Join("testdata", "operator-layout", name+".yaml"))
	if err != nil {
		panic(err) // A file of the repository's.
	}
	i := slices.IndexFunc(docs, func(o *unstructured.Unstructured) bool { return o.GetKind() == "DittoServer" })
	xr := docs[i].Object
	return xr, slices.Delete(docs, i, i+1)
}

func (l *life) installCRD(name string, established bool) {
	status := "False"
	if established {
		status = "True"
	}
	l.put(object{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": object{"name": name},
		"status": object{"conditions": []any{object{"type": "Established", "status": status}}},
	})
}

func (l *life) xr() object   { return l.w.PeekXR().Object }
func (l *life) spec() object { s, _ := l.xr()["spec"].(object); return s }

func (l *life) editXR(edit func(spec object)) {
	l.w.EditXR(func(xr *unstructured.Unstructured) {
		spec, _ := xr.Object["spec"].(object)
		if spec == nil {
			spec = object{}
			xr.Object["spec"] = spec
		}
		edit(spec)
		xr.Object["spec"] = clone(spec)
	})
}

func (l *life) get(k key) object {
	o := l.w.Peek(k.full())
	if o == nil {
		return nil
	}
	return o.Object
}

func (l *life) put(o object) { l.w.Put(kube(o)) }
func (l *life) remove(k key) { l.w.Remove(k.full()) }
func (l *life) edit(k key, change func(o object)) {
	l.w.Edit(k.full(), func(o *unstructured.Unstructured) { change(o.Object); o.Object = clone(o.Object) })
}

func (l *life) serves(kind string) bool {
	if l.offline || kind != "PerconaPGCluster" {
		return true
	}
	crd := l.get(key{"CustomResourceDefinition", "", perconaCRD})
	return crd != nil && text(list(crd, "status", "conditions")[0], "status") == "True"
}

// controlled reports whether the XR is an object's controller, and whether
// anybody is.
func (l *life) controlled(o object) (byXR, byAnybody bool) {
	for _, r := range list(o, "metadata", "ownerReferences") {
		if isTrue(r, "controller") {
			return text(r, "uid") == text(l.xr(), "metadata", "uid"), true
		}
	}
	return false, false
}

// condition returns one of the XR's conditions.
func (l *life) condition(typ string) (status, reason, message string) {
	for _, c := range list(l.xr(), "status", "conditions") {
		if text(c, "type") == typ {
			return text(c, "status"), text(c, "reason"), text(c, "message")
		}
	}
	return "", "", ""
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

func (l *life) object(resource string) object { return l.get(l.keys()[resource]) }

func (l *life) secretKey(name string) key { return key{"Secret", l.ns, name} }

func deleting(o object) bool { return at(o, "metadata", "deletionTimestamp") != nil }

// managed reports whether Crossplane has applied an object: only then does the
// function know what it chose.
func (l *life) managed(o object) bool {
	return at(o, "metadata", "annotations", annotationResource) != nil
}

func (l *life) snapshot() map[key]object {
	all := l.w.Snapshot()
	out := make(map[key]object, len(all))
	for k, o := range all {
		out[key{k.Kind, k.Namespace, k.Name}] = o.Object
	}
	return out
}

// run leads a life to its end, or to its first failure.
func (s *suite) run(h history, j judgement) (l *life, f *failure) {
	l = s.begin(h)
	l.judge = j
	fail := func(rule, message string) *failure {
		return &failure{rule: rule, message: message, trace: l.trace, spec: asJSON(l.spec()), input: asJSON(l.input), record: l.recorded()}
	}
	defer func() {
		if p := recover(); p != nil {
			f = fail("panic", fmt.Sprint(p))
			panic(fmt.Sprintf("%v: %v", p, f))
		}
	}()
	for i := -1; i < len(h.events); i++ {
		settle := true
		did := fmt.Sprintf("begin: alive %t, offline %t, taken over %q, %s", l.alive, l.offline, l.takenOver, asJSON(l.spec()))
		l.moved, l.evicted = false, false
		if i >= 0 {
			e := h.events[i]
			settle = e.settle
			l.r = rand.New(rand.NewPCG(e.seed, 0)) //nolint:gosec // Not for secrets.
			if did = actions[e.action].do(l); did == "" {
				continue
			}
			l.rested = false
		}
		l.trace = append(l.trace, fmt.Sprintf("%2d %s", i+1, did))
		if l.ns == "servers" {
			// Only an observed server holds its namespace.
			if l.input == nil {
				l.input = object{"apiVersion": "dittoserver.fn.crossplane.io/v1beta1", "kind": "Input"}
			}
			l.input["namespace"] = l.ns
			if l.moved {
				l.input["namespace"] = "elsewhere"
			}
		}
		l.pushInput()
		if l.evicted {
			l.kubelet(true)
			if err := l.pass(l.podIsRight(true)); err != nil {
				return l, fail(ruleOf(err), err.Error())
			}
		}
		if err := l.live(settle); err != nil {
			return l, fail(ruleOf(err), err.Error())
		}
	}
	return l, nil
}

// recorded returns the record of what was chosen.
func (l *life) recorded() string {
	return text(l.object("config"), "metadata", "annotations", "dittoserver.fn.crossplane.io/record")
}

// A broken rule is an error with the rule's name.
type broken struct {
	rule string
	err  error
}

func (b broken) Error() string { return b.err.Error() }

func ruleOf(err error) string {
	if b, ok := err.(broken); ok { //nolint:errorlint // Never wrapped.
		return b.rule
	}
	return "other"
}

func breaks(rule, format string, a ...any) error { return broken{rule, fmt.Errorf(format, a...)} }

// pass returns a broken rule unless it is to be let pass.
func (l *life) pass(err error) error {
	if err == nil {
		return nil
	}
	rule := ruleOf(err)
	if l.judge.all || l.judge.only != "" && l.judge.only != rule {
		l.broke[rule] = true
		return nil
	}
	return err
}

// live reconciles once, or until nothing changes any more.
func (l *life) live(settle bool) error {
	if _, err := l.step(); err != nil || !settle {
		return err
	}
	for range 10 {
		xr, store := l.xr(), l.w.Snapshot()
		a, err := l.step()
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(xr, l.xr()) || !maps.Equal(store, l.w.Snapshot()) {
			continue
		}
		// Twice the same world: the second time is idle.
		again, err := l.step()
		if err != nil {
			return err
		}
		if a.Response == nil || again.Response == nil {
			return nil
		}
		if diff := difference(a.Response, again.Response); diff != "" {
			return l.pass(breaks("idle", "an idle server gets another response (-first +second):\n%s", diff))
		}
		for _, r := range again.Response.GetResults() {
			if r.GetSeverity() != fnv1.Severity_SEVERITY_FATAL {
				return l.pass(breaks("idle", "an idle server gets an event: %s", r.GetMessage()))
			}
		}
		l.rested = true
		return l.pass(l.atRest(again))
	}
	return l.pass(breaks("restless", "the server does not come to rest"))
}

// difference returns how two messages differ. To find that they do not is
// cheaper otherwise.
func difference(a, b proto.Message) string {
	if proto.Equal(a, b) {
		return ""
	}
	return gocmp.Diff(a, b, protocmp.Transform())
}

// kubelet starts pods, and notes what they read.
func (l *life) kubelet(restart bool) {
	l.w.PodsStart(restart)
}

// step reconciles once and asserts what must always hold.
func (l *life) step() (*lifecycle.Answer, error) {
	l.steps++
	l.remember()
	before := l.snapshot()
	had := l.xr()
	wired := wiredTo(l.n, l.object("server"))
	gate := map[string]bool{"sqlite:": true, "percona:": l.databaseReady("percona:")}
	for _, e := range append([]string{"corp-db"}, externals...) {
		gate["external:"+e] = l.databaseReady("external:" + e)
	}
	valid := l.valid()
	l.src.Seed, l.src.N = l.h.seed<<16+uint64(l.steps), 0 //nolint:gosec // Small.
	_ = l.log.Take()

	a, err := l.w.Reconcile(context.Background())
	if err != nil {
		return a, breaks("error", "%v", err)
	}
	if a.Response == nil {
		return a, breaks("dead end", "%v", a.Failed)
	}
	if _, err := proto.Marshal(a.Response); err != nil {
		return a, breaks("no text", "the response cannot be sent: %v", err)
	}
	if a.Failed != nil {
		return a, breaks("failed", "%v", a.Failed)
	}
	for name, err := range a.Rejected {
		if err := l.pass(breaks("refused", "the API server refuses %s: %v", name, err)); err != nil {
			return a, err
		}
	}
	logs := l.log.Take()
	if tracing {
		l.trace = append(l.trace, l.state())
	}
	checks := []func() error{func() error { return l.quiet(a, logs) }}
	if l.steps%4 == 0 {
		checks = append(checks, func() error { return l.sameBytes(a) })
	}
	if a.Fatal != nil {
		l.trace = append(l.trace, "   fatal: "+a.Fatal.Error())
		if valid {
			if err := l.pass(breaks("refuses what is valid", "a valid spec is refused: %v", a.Fatal)); err != nil {
				return a, err
			}
		}
		checks = append(checks, func() error { return l.fatalConditions(a, had) })
	} else {
		if _, ok := a.Response.GetDesired().GetResources()["config"]; ok {
			l.reached = true
		}
		checks = append(checks,
			func() error { return l.nothingDropped(before, a) },
			func() error { return l.nothingTaken(before, a) },
			func() error { return l.serverGated(before, gate) },
			func() error { return l.nothingForeignIsMounted(before) },
			func() error { return l.secretsKept(before) },
			func() error { return l.databaseNotSwitched(before) },
			func() error { return l.clusterKept(before) },
			l.chosenKept,
			func() error { return l.adoptedAsItWas(before) },
			func() error { return l.wiringKept(before) },
			func() error { return l.referencesKept(before) },
			func() error { return l.templateKept(before, wired) },
			func() error { return l.notReadyWhileGated(gate) },
			func() error { return l.passedThrough(a) },
			func() error { return l.editsKept() },
			func() error { return l.agedKept() },
			func() error { return l.onlyIntended(a) },
			func() error { return l.contradictionsTold() },
			func() error { return l.passwordIsRead(a) },
			func() error { return l.keysTranslated() },
		)
	}
	for _, check := range checks {
		if err := l.pass(check()); err != nil {
			return a, err
		}
	}
	if w := wiredTo(l.n, l.object("server")); w != "" && l.ours(l.object("server")) {
		l.wired = w
	}
	l.noteCluster()
	if l.alive && a.Fatal == nil {
		l.w.PerconaReconciles()
		ran, did := l.w.Pod(l.ns, l.n)
		l.kubelet(false)
		if err := l.pass(l.rolledWell(ran, did)); err != nil {
			return a, err
		}
	}
	return a, l.pass(l.podIsRight(false))
}

// tracing shows what the world is after every step of a life that failed.
var tracing = os.Getenv("PROPERTY_TRACE") != "" //nolint:gochecknoglobals // A constant, or from the environment.

// state tells what a step led to, and leaves out what is as it was.
func (l *life) state() string {
	pod, _ := l.w.Pod(l.ns, l.n)
	now := map[string]string{
		"spec": asJSON(l.spec()), "record": l.recorded(),
		"pod": fmt.Sprintf("on %q, blocked %q, wired to %q", pod.On, pod.Blocked, wiredTo(l.n, l.object("server"))),
	}
	for _, c := range list(l.xr(), "status", "conditions") {
		now[text(c, "type")] = text(c, "status") + " " + text(c, "reason") + ": " + text(c, "message")
	}
	for name, k := range l.keys() {
		now[name] = "none"
		if o := l.get(k); o != nil {
			now[name] = fmt.Sprintf("%s, deleting %t, composed %t, status %s", text(o, "metadata", "uid"), deleting(o), l.managed(o), asJSON(o["status"]))
		}
	}
	var out strings.Builder
	for _, k := range slices.Sorted(maps.Keys(now)) {
		if now[k] != l.seen[k] {
			fmt.Fprintf(&out, "      %s: %s\n", k, now[k])
		}
	}
	l.seen = now
	return fmt.Sprintf("   step %d\n%s", l.steps, out.String())
}

// sameBytes: the same request gives the same bytes, from a function that was
// asked nothing before, too.
func (l *life) sameBytes(a *lifecycle.Answer) error {
	l.src.N = 0
	first, err := l.fn.RunFunction(context.Background(), proto.CloneOf(a.Request))
	if err != nil {
		return breaks("error", "%v", err)
	}
	l.src.N = 0
	second, err := l.s.fn(l.log, time.Minute, l.src).RunFunction(context.Background(), proto.CloneOf(a.Request))
	if err != nil {
		return breaks("error", "%v", err)
	}
	if string(deterministic(first)) != string(deterministic(second)) {
		return breaks("same bytes", "the same request got two responses, the second from a function that was just started:\n%s", difference(first, second))
	}
	return nil
}

func deterministic(m proto.Message) []byte {
	b, _ := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	return b
}

// operatorWasHere leaves what the DittoFS operator makes, with Percona switched
// on, which means a server that really runs on SQLite.
func (l *life) operatorWasHere() {
	owners := []any{object{"apiVersion": "dittofs.dittofs.com/v1alpha1", "kind": "DittoServer", "name": l.n, "uid": "operator", "controller": true}}
	labels := object{"app": "dittofs-server", "instance": l.n}
	owned := l.chance(30)
	with := func(o object) {
		set(o, clone(labels), "metadata", "labels")
		set(o, l.ns, "metadata", "namespace")
		if owned {
			set(o, owners, "metadata", "ownerReferences")
		}
		l.put(o)
	}
	claim := func(name, size string) any {
		return object{
			"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": object{"name": name}, "status": object{"phase": "Pending"},
			"spec": object{"accessModes": []any{"ReadWriteOnce"}, "volumeMode": "Filesystem", "resources": object{"requests": object{"storage": size}}},
		}
	}
	with(object{
		"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": object{"name": l.n},
		"spec": object{
			"replicas": 1, "serviceName": l.n + "-headless", "selector": object{"matchLabels": clone(labels)}, "podManagementPolicy": "OrderedReady",
			"template": object{"metadata": object{"labels": clone(labels)}, "spec": object{
				"initContainers": []any{object{"name": "wait-for-postgres", "image": "postgres:16-alpine"}},
				"containers": []any{object{"name": "dittofs", "image": "marmos91c/dittofs:latest", "env": []any{
					object{"name": "DATABASE_URL", "valueFrom": object{"secretKeyRef": object{"name": l.n + "-postgres-pguser-dittofs", "key": "uri"}}},
				}}},
			}},
			"volumeClaimTemplates": []any{claim("metadata", "10Gi"), claim("controlplane", "1Gi")},
		},
		"status": object{"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
	})
	with(object{"apiVersion": "v1", "kind": "ConfigMap", "metadata": object{"name": l.n + "-config"}, "data": object{"config.yaml": "database:\n  type: sqlite\n  sqlite:\n    path: /data/controlplane/controlplane.db\n"}})
	for _, s := range []string{"-headless", "-api"} {
		with(object{"apiVersion": "v1", "kind": "Service", "metadata": object{"name": l.n + s}, "spec": object{"selector": clone(labels), "clusterIP": "None"}})
	}
	with(secret(l.ns, l.n+"-jwt-secret", map[string]string{"jwt-secret": "canary-operators-jwt-secret-of-some-length"}))
	with(secret(l.ns, l.n+"-admin-bootstrap-credentials", map[string]string{"username": "admin", "password": "canary-operators-admin"}))
	if !l.serves("PerconaPGCluster") {
		return
	}
	with(object{
		"apiVersion": "pgv2.percona.com/v2", "kind": "PerconaPGCluster", "metadata": object{"name": l.n + "-postgres"},
		"spec": object{
			"crVersion": "2.8.0", "postgresVersion": 16, "port": 5432,
			"users":     []any{object{"name": "dittofs", "databases": []any{"dittofs"}}},
			"instances": []any{object{"name": "instance1", "replicas": 1, "dataVolumeClaimSpec": object{"accessModes": []any{"ReadWriteOnce"}, "resources": object{"requests": object{"storage": "10Gi"}}}}},
			"backups":   object{"enabled": false},
		},
	})
}
