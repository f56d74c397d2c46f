package main

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crossplane/crossplane-runtime/v2/pkg/logging"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"sigs.k8s.io/yaml"
)

// An object is a Kubernetes object, with float64 for every number.
type object = map[string]any

// A key finds an object in a cluster.
type key struct{ kind, namespace, name string }

func (k key) String() string { return k.kind + " " + k.namespace + "/" + k.name }

// Names by which Crossplane marks what it composes.
const (
	labelComposite      = "crossplane.io/composite"
	labelClaimName      = "crossplane.io/claim-name"
	labelClaimNamespace = "crossplane.io/claim-namespace"
	annotationResource  = "crossplane.io/composition-resource-name"

	perconaCRD = "perconapgclusters.pgv2.percona.com"
)

// maxRounds is how often Crossplane calls a function again because of what it
// requires. Source: crossplane v2.4.0 internal/xfn/required_resources.go.
const maxRounds = 5

// A cluster is an API server and Crossplane's XR controller on top of it, as far
// as a composition function can tell them from real ones.
type cluster struct {
	fn  *Function
	log *captured
	src *source

	xr    object
	input object
	// earlier is what an earlier pipeline step desires, and has put into the
	// context.
	earlier *fnv1.State
	context *structpb.Struct

	// offline is a preview: no kind is registered, and every kind is served.
	offline bool
	store   map[key]object
	// refs are the XR's references to what it is composed of.
	refs map[string]key
	// applied is what Crossplane's field manager owns of each object.
	applied map[key]object
	uids    int
	// judge says what the XRD's schema has against an XR; nil to accept all.
	judge func(xr object) error
}

// An outcome is what one reconcile did.
type outcome struct {
	// request is that of the last call.
	request  *fnv1.RunFunctionRequest
	response *fnv1.RunFunctionResponse
	calls    int
	fatal    string
	// problems are what a real cluster would have refused.
	problems []string
	deleted  []key
}

func newCluster(xr object) *cluster {
	log := &captured{}
	src := &source{}
	c := &cluster{
		fn: NewFunction(log, time.Minute, src).Remembering(), log: log, src: src,
		xr: clone(xr), store: map[key]object{}, refs: map[string]key{}, applied: map[key]object{},
	}
	if text(c.xr, "metadata", "uid") == "" {
		set(c.xr, c.uid(), "metadata", "uid")
	}
	c.installCRD(strings.ToLower(text(xr, "kind"))+"s.dittofs.dittofs.com", true)
	return c
}

func (c *cluster) uid() string {
	c.uids++
	return fmt.Sprintf("%08x-0000-4000-8000-%012x", 0xabcd0000+c.uids, c.uids)
}

func (c *cluster) installCRD(name string, established bool) {
	status := "False"
	if established {
		status = "True"
	}
	c.store[key{"CustomResourceDefinition", "", name}] = object{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": object{"name": name, "uid": c.uid()},
		"status":   object{"conditions": []any{object{"type": "Established", "status": status}}},
	}
}

// put creates or replaces an object as somebody other than Crossplane does.
func (c *cluster) put(o object) object {
	o = clone(o)
	k := keyOf(o)
	if text(o, "metadata", "uid") == "" {
		set(o, c.uid(), "metadata", "uid")
	}
	set(o, 1.0, "metadata", "generation")
	c.store[k] = o
	delete(c.applied, k)
	return o
}

// edit changes an object's spec as somebody other than Crossplane does.
func (c *cluster) edit(k key, change func(o object)) {
	o := c.store[k]
	before := clone(o)
	change(o)
	if !reflect.DeepEqual(before["spec"], o["spec"]) {
		set(o, number(o, "metadata", "generation")+1, "metadata", "generation")
	}
}

func keyOf(o object) key {
	return key{text(o, "kind"), text(o, "metadata", "namespace"), text(o, "metadata", "name")}
}

// controlled says whether the XR is an object's controller, and whether anybody
// is.
func (c *cluster) controlled(o object) (byXR, byAnybody bool) {
	for _, r := range list(o, "metadata", "ownerReferences") {
		if isTrue(r, "controller") {
			return text(r, "uid") == text(c.xr, "metadata", "uid"), true
		}
	}
	return false, false
}

// observed is what Crossplane observes: what the XR refers to and controls.
func (c *cluster) observed() map[string]*fnv1.Resource {
	out := map[string]*fnv1.Resource{}
	for name, k := range c.refs {
		o, ok := c.store[k]
		if !ok {
			continue
		}
		if mine, _ := c.controlled(o); mine {
			out[name] = &fnv1.Resource{Resource: toStruct(o)}
		}
	}
	return out
}

// request is the first request of a reconcile.
func (c *cluster) request() *fnv1.RunFunctionRequest {
	req := &fnv1.RunFunctionRequest{
		Meta:     &fnv1.RequestMeta{Tag: "test"},
		Observed: &fnv1.State{Composite: &fnv1.Resource{Resource: toStruct(c.xr)}, Resources: c.observed()},
		Desired:  proto.CloneOf(c.earlier),
		Context:  proto.CloneOf(c.context),
	}
	if c.input != nil {
		req.Input = toStruct(c.input)
	}
	return req
}

// reconcile calls the function until it knows all it wants to, and does what
// Crossplane does with its answer.
func (c *cluster) reconcile() (outcome, error) {
	out, err := c.run()
	if err != nil {
		return out, err
	}
	if out.fatal != "" {
		c.conditions(out.response, true)
		return out, nil
	}
	c.apply(&out)
	return out, nil
}

func (c *cluster) run() (outcome, error) {
	out := outcome{request: c.request()}
	var last *fnv1.Requirements
	for range maxRounds + 1 {
		out.calls++
		// The function gets a copy, as it does over the wire.
		rsp, err := c.fn.RunFunction(context.Background(), proto.CloneOf(out.request))
		if err != nil {
			return out, err
		}
		out.response = rsp
		for _, r := range rsp.GetResults() {
			if r.GetSeverity() == fnv1.Severity_SEVERITY_FATAL {
				out.fatal = r.GetMessage()
			}
		}
		now := rsp.GetRequirements()
		if out.fatal != "" || proto.Equal(now, last) {
			return out, nil
		}
		last = now
		next := proto.CloneOf(out.request)
		next.Context = rsp.GetContext()
		next.RequiredResources = map[string]*fnv1.Resources{}
		for name, sel := range now.GetResources() {
			rs, err := c.fetch(sel)
			if err != nil {
				return out, err
			}
			next.RequiredResources[name] = rs
		}
		out.request = next
	}
	return out, fmt.Errorf("requirements did not settle in %d calls", out.calls)
}

func (c *cluster) serves(kind string) bool {
	if c.offline || kind != "PerconaPGCluster" {
		return true
	}
	crd, ok := c.store[key{"CustomResourceDefinition", "", perconaCRD}]
	return ok && text(list(crd, "status", "conditions")[0], "status") == "True"
}

// fetch answers a requirement. A missing object is a key without items.
func (c *cluster) fetch(sel *fnv1.ResourceSelector) (*fnv1.Resources, error) {
	if !c.serves(sel.GetKind()) {
		return nil, fmt.Errorf("no matches for kind %q", sel.GetKind())
	}
	if sel.GetMatchName() == "" {
		return nil, fmt.Errorf("requirement without a name: %v", sel)
	}
	out := &fnv1.Resources{}
	if o, ok := c.store[key{sel.GetKind(), sel.GetNamespace(), sel.GetMatchName()}]; ok && !(c.offline && sel.GetKind() == "CustomResourceDefinition") {
		out.Items = []*fnv1.Resource{{Resource: toStruct(o)}}
	}
	return out, nil
}

// apply deletes what the answer leaves out, and applies the rest.
func (c *cluster) apply(out *outcome) {
	refs := map[string]key{}
	for _, name := range slices.Sorted(maps.Keys(out.response.GetDesired().GetResources())) {
		want := out.response.GetDesired().GetResources()[name].GetResource().AsMap()
		if ns := text(c.xr, "metadata", "namespace"); ns != "" {
			set(want, ns, "metadata", "namespace")
		}
		refs[name] = keyOf(want)
	}
	for _, name := range slices.Sorted(maps.Keys(out.request.GetObserved().GetResources())) {
		// It deletes in the foreground, and so what somebody deletes with
		// --cascade=orphan loses its dependents after all.
		if _, ok := refs[name]; !ok {
			out.deleted = append(out.deleted, c.refs[name])
			delete(c.store, c.refs[name])
			delete(c.applied, c.refs[name])
		}
	}
	c.refs = refs
	ready := true
	for _, name := range slices.Sorted(maps.Keys(refs)) {
		r := out.response.GetDesired().GetResources()[name]
		ready = ready && r.GetReady() == fnv1.Ready_READY_TRUE
		if err := c.applyOne(name, refs[name], r.GetResource().AsMap()); err != nil {
			out.problems = append(out.problems, err.Error())
		}
	}
	c.status(out)
	c.conditions(out.response, false)
	switch out.response.GetDesired().GetComposite().GetReady() {
	case fnv1.Ready_READY_TRUE:
		ready = true
	case fnv1.Ready_READY_FALSE:
		ready = false
	case fnv1.Ready_READY_UNSPECIFIED:
	}
	c.condition("Ready", boolStatus(ready), "", "")
}

// applyOne is a server-side apply by Crossplane.
func (c *cluster) applyOne(name string, k key, want object) error {
	if !c.serves(k.kind) {
		return fmt.Errorf("%s: no matches for kind %q", name, k.kind)
	}
	set(want, k.namespace, "metadata", "namespace")
	set(want, text(c.xr, "metadata", "name"), "metadata", "labels", labelComposite)
	if claim := text(c.xr, "spec", "claimRef", "name"); claim != "" {
		set(want, claim, "metadata", "labels", labelClaimName)
		set(want, text(c.xr, "spec", "claimRef", "namespace"), "metadata", "labels", labelClaimNamespace)
	}
	set(want, name, "metadata", "annotations", annotationResource)
	owner := object{
		"apiVersion": c.xr["apiVersion"], "kind": c.xr["kind"], "name": at(c.xr, "metadata", "name"),
		"uid": at(c.xr, "metadata", "uid"), "controller": true, "blockOwnerDeletion": true,
	}
	live, exists := c.store[k]
	if !exists {
		live = object{"metadata": object{"uid": c.uid(), "generation": 1.0, "creationTimestamp": "2026-01-01T00:00:00Z"}}
	}
	if mine, anybody := c.controlled(live); anybody && !mine {
		return fmt.Errorf("%s: %s has another controller", name, k)
	}
	next := clone(live)
	mergeApplied(next, c.applied[k], want)
	set(next, []any{owner}, "metadata", "ownerReferences")
	admit(next)
	if exists {
		if err := immutable(live, next); err != nil {
			return fmt.Errorf("%s: %s: %w", name, k, err)
		}
		if !reflect.DeepEqual(live["spec"], next["spec"]) {
			set(next, number(next, "metadata", "generation")+1, "metadata", "generation")
		}
	}
	c.store[k], c.applied[k] = next, clone(want)
	return nil
}

// immutable is what an API server does not let anybody change.
func immutable(live, next object) error {
	if live["type"] != nil && live["type"] != next["type"] {
		return fmt.Errorf("field type is immutable")
	}
	if at(live, "metadata", "deletionTimestamp") != nil {
		had, _ := at(live, "metadata", "finalizers").([]any)
		has, _ := at(next, "metadata", "finalizers").([]any)
		if slices.ContainsFunc(has, func(f any) bool { return !slices.Contains(had, f) }) {
			return fmt.Errorf("no new finalizers can be added if the object is being deleted: %v", has)
		}
	}
	if text(live, "kind") != "StatefulSet" {
		return nil
	}
	for _, f := range []string{"volumeClaimTemplates", "selector", "serviceName", "podManagementPolicy"} {
		if !reflect.DeepEqual(at(live, "spec", f), at(next, "spec", f)) {
			return fmt.Errorf("field spec.%s is immutable: %v became %v", f, at(live, "spec", f), at(next, "spec", f))
		}
	}
	return nil
}

// admit adds what an API server adds by itself.
func admit(o object) {
	def := func(m object, k string, v any) {
		if _, ok := m[k]; !ok {
			m[k] = v
		}
	}
	spec, _ := o["spec"].(object)
	switch text(o, "kind") {
	case "StatefulSet":
		def(spec, "podManagementPolicy", "OrderedReady")
		def(spec, "revisionHistoryLimit", 10.0)
		def(spec, "updateStrategy", object{"type": "RollingUpdate", "rollingUpdate": object{"partition": 0.0}})
		pod := at(spec, "template", "spec").(object)
		def(pod, "restartPolicy", "Always")
		def(pod, "dnsPolicy", "ClusterFirst")
		for _, c := range list(pod, "containers") {
			def(c, "imagePullPolicy", "IfNotPresent")
		}
		for _, t := range list(spec, "volumeClaimTemplates") {
			def(t, "apiVersion", "v1")
			def(t, "kind", "PersistentVolumeClaim")
			def(t["spec"].(object), "volumeMode", "Filesystem")
			def(t, "status", object{"phase": "Pending"})
		}
	case "Service":
		def(spec, "clusterIP", "10.96.0.7")
		def(spec, "sessionAffinity", "None")
	case "PerconaPGCluster":
		def(spec, "port", 5432.0)
		for _, i := range list(spec, "instances") {
			def(i, "replicas", 1.0)
		}
	}
}

// status replaces the XR's status by what the function wants, unless the XRD's
// schema refuses it.
func (c *cluster) status(out *outcome) {
	conditions := at(c.xr, "status", "conditions")
	status, _ := out.response.GetDesired().GetComposite().GetResource().AsMap()["status"].(object)
	next := clone(c.xr)
	next["status"] = clone(status)
	if next["status"] == nil {
		next["status"] = object{}
	}
	if c.judge != nil {
		if err := c.judge(next); err != nil {
			out.problems = append(out.problems, "the XRD refuses the status: "+err.Error())
			return
		}
	}
	if conditions != nil {
		set(next, conditions, "status", "conditions")
	}
	c.xr = next
}

// conditions puts a response's conditions onto the XR. With a Fatal those that
// are missing turn to Unknown; otherwise they stay.
func (c *cluster) conditions(rsp *fnv1.RunFunctionResponse, fatal bool) {
	returned := map[string]bool{"Ready": true, "Synced": true}
	for _, cond := range rsp.GetConditions() {
		returned[cond.GetType()] = true
		status := "Unknown"
		switch cond.GetStatus() {
		case fnv1.Status_STATUS_CONDITION_TRUE:
			status = "True"
		case fnv1.Status_STATUS_CONDITION_FALSE:
			status = "False"
		case fnv1.Status_STATUS_CONDITION_UNKNOWN, fnv1.Status_STATUS_CONDITION_UNSPECIFIED:
		}
		c.condition(cond.GetType(), status, cond.GetReason(), cond.GetMessage())
	}
	c.condition("Synced", boolStatus(!fatal), "", "")
	if !fatal {
		return
	}
	for _, cond := range list(c.xr, "status", "conditions") {
		if !returned[text(cond, "type")] {
			cond["status"] = "Unknown"
		}
	}
}

func (c *cluster) condition(typ, status, reason, message string) {
	next := object{"type": typ, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-01-01T00:00:00Z"}
	all, _ := at(c.xr, "status", "conditions").([]any)
	i := slices.IndexFunc(all, func(v any) bool { return text(v.(object), "type") == typ })
	if i < 0 {
		set(c.xr, append(slices.Clone(all), any(next)), "status", "conditions")
		return
	}
	all[i] = next
}

// has is one of the XR's conditions.
func (c *cluster) has(typ string) (status, reason, message string) {
	for _, cond := range list(c.xr, "status", "conditions") {
		if text(cond, "type") == typ {
			return text(cond, "status"), text(cond, "reason"), text(cond, "message")
		}
	}
	return "", "", ""
}

func boolStatus(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

// listKeys are the lists that server-side apply merges by a key.
var listKeys = map[string]string{ //nolint:gochecknoglobals // A constant.
	"instances": "name", "users": "name", "repos": "name", "containers": "name", "initContainers": "name",
	"env": "name", "volumes": "name", "volumeMounts": "mountPath",
}

// mergeApplied makes live what it is after one manager's apply: what it owned
// and does not want any more is gone, what it wants is there, the rest stays.
func mergeApplied(live, owned, want object) {
	for k, o := range owned {
		if _, ok := want[k]; ok {
			continue
		}
		om, isMap := o.(object)
		lm, liveMap := live[k].(object)
		if isMap && liveMap {
			mergeApplied(lm, om, nil)
			if len(lm) > 0 {
				continue
			}
		}
		delete(live, k)
	}
	for k, w := range want {
		switch wv := w.(type) {
		case object:
			lm, ok := live[k].(object)
			if !ok {
				lm = object{}
				live[k] = lm
			}
			om, _ := owned[k].(object)
			mergeApplied(lm, om, wv)
		case []any:
			live[k] = mergeList(k, live[k], owned[k], wv)
		default:
			live[k] = w
		}
	}
}

func mergeList(name string, live, owned any, want []any) []any {
	l, _ := live.([]any)
	o, _ := owned.([]any)
	if name == "finalizers" {
		var out []any
		for _, f := range l {
			if !slices.Contains(o, f) || slices.Contains(want, f) {
				out = append(out, f)
			}
		}
		for _, f := range want {
			if !slices.Contains(out, f) {
				out = append(out, f)
			}
		}
		return out
	}
	id, keyed := listKeys[name]
	if !keyed {
		return cloneAny(want).([]any)
	}
	find := func(in []any, v any) object {
		for _, e := range in {
			if m, ok := e.(object); ok && m[id] == v.(object)[id] {
				return m
			}
		}
		return nil
	}
	var out []any
	for _, e := range l {
		if find(want, e) != nil || find(o, e) == nil {
			out = append(out, e)
		}
	}
	for _, w := range want {
		e := find(out, w)
		if e == nil {
			e = object{}
			out = append(out, e)
		}
		mergeApplied(e, find(o, w), w.(object))
	}
	return out
}

// A source is a stream of bytes that look random, and is the same each time it
// is set to the same seed.
type source struct{ seed, n uint64 }

func (s *source) Read(p []byte) (int, error) {
	for i := range p {
		h := fnv.New64a()
		var b [16]byte
		binary.LittleEndian.PutUint64(b[:], s.seed)
		binary.LittleEndian.PutUint64(b[8:], s.n)
		_, _ = h.Write(b[:])
		p[i] = byte(h.Sum64() >> 24)
		s.n++
	}
	return len(p), nil
}

var _ io.Reader = &source{}

// captured is a logger that keeps all that it is told.
type captured struct {
	mu   sync.Mutex
	b    strings.Builder
	more []any
	to   *captured
}

func (l *captured) write(msg string, kv []any) {
	to := l
	if l.to != nil {
		to = l.to
	}
	to.mu.Lock()
	defer to.mu.Unlock()
	fmt.Fprintln(&to.b, append(append([]any{msg}, l.more...), kv...)...)
}

func (l *captured) Info(msg string, kv ...any)  { l.write(msg, kv) }
func (l *captured) Debug(msg string, kv ...any) { l.write(msg, kv) }

func (l *captured) WithValues(kv ...any) logging.Logger {
	to := l
	if l.to != nil {
		to = l.to
	}
	return &captured{more: append(slices.Clone(l.more), kv...), to: to}
}

// take is everything logged since the last time.
func (l *captured) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}

// at is what lies at the path, nil if nothing does.
func at(o object, path ...string) any {
	var v any = o
	for _, p := range path {
		m, ok := v.(object)
		if !ok {
			return nil
		}
		v = m[p]
	}
	return v
}

func text(o object, path ...string) string    { s, _ := at(o, path...).(string); return s }
func isTrue(o object, path ...string) bool    { b, _ := at(o, path...).(bool); return b }
func number(o object, path ...string) float64 { n, _ := at(o, path...).(float64); return n }

// list is the objects in a list.
func list(o object, path ...string) []object {
	l, _ := at(o, path...).([]any)
	var out []object
	for _, e := range l {
		if m, ok := e.(object); ok {
			out = append(out, m)
		}
	}
	return out
}

// named is the object of a list that has the name, nil if none has.
func named(o object, name string, path ...string) object {
	for _, e := range list(o, path...) {
		if e["name"] == name {
			return e
		}
	}
	return nil
}

// set puts a value at the path and makes what is missing on the way.
func set(o object, v any, path ...string) {
	for _, p := range path[:len(path)-1] {
		m, ok := o[p].(object)
		if !ok {
			m = object{}
			o[p] = m
		}
		o = m
	}
	o[path[len(path)-1]] = v
}

// unset removes what lies at the path.
func unset(o object, path ...string) {
	if parent, ok := at(o, path[:len(path)-1]...).(object); ok {
		delete(parent, path[len(path)-1])
	}
}

func clone(o object) object {
	if o == nil {
		return nil
	}
	return cloneAny(o).(object)
}

// cloneAny copies a JSON value, with float64 for every number.
func cloneAny(v any) any {
	switch t := v.(type) {
	case object:
		out := make(object, len(t))
		for k, e := range t {
			out[k] = cloneAny(e)
		}
		return out
	case []any:
		out := make([]any, 0, len(t))
		for _, e := range t {
			out = append(out, cloneAny(e))
		}
		return out
	case int:
		return float64(t)
	case int64:
		return float64(t)
	}
	return v
}

func toStruct(o object) *structpb.Struct {
	s, err := structpb.NewStruct(o)
	if err != nil {
		panic(err) // The tests make only JSON.
	}
	return s
}

// secret is a Secret with that data, in clear.
func secret(namespace, name string, data map[string]string) object {
	encoded := object{}
	for k, v := range data {
		encoded[k] = base64.StdEncoding.EncodeToString([]byte(v))
	}
	return object{
		"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
		"metadata": object{"name": name, "namespace": namespace},
		"data":     encoded,
	}
}

// decoded is a value of a Secret in clear; ok is false where it is missing or
// empty.
func decoded(s object, k string) (string, bool) {
	b, err := base64.StdEncoding.DecodeString(text(s, "data", k))
	return string(b), err == nil && len(b) > 0
}

func parse(t testing.TB, y string) object {
	t.Helper()
	o := object{}
	if err := yaml.Unmarshal([]byte(y), &o); err != nil {
		t.Fatal(err)
	}
	return clone(o)
}

func readYAML(t testing.TB, path string) object {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(b))
}

// namespacedXR, claimXR and clusterXR are the three kinds of XR that there are.
func namespacedXR(name string, spec object) object {
	return object{
		"apiVersion": "dittofs.dittofs.com/v1alpha1", "kind": "DittoServer",
		"metadata": object{"name": name, "namespace": "storage", "generation": 1.0},
		"spec":     spec,
	}
}

func claimXR(name string, spec object) object {
	spec = clone(spec)
	spec["claimRef"] = object{"apiVersion": "dittofs.dittofs.com/v1alpha1", "kind": "DittoServer", "name": name, "namespace": "storage"}
	return object{
		"apiVersion": "dittofs.dittofs.com/v1alpha1", "kind": "XDittoServer",
		"metadata": object{
			"name": name + "-x7k2p", "generation": 1.0,
			"labels": object{labelClaimName: name, labelClaimNamespace: "storage", labelComposite: name + "-x7k2p"},
		},
		"spec": spec,
	}
}

func clusterXR(name string, spec object) object {
	return object{
		"apiVersion": "dittofs.dittofs.com/v1alpha1", "kind": "XDittoServer",
		"metadata": object{"name": name, "generation": 1.0},
		"spec":     spec,
	}
}

// deterministic is a response's bytes.
func deterministic(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// residue finds what must not be sent: nulls, empty objects and lists, status,
// and the zero values that typed APIs leak. The exception is an emptyDir, which
// is a volume by being there.
func residue(path string, v any) []string {
	switch t := v.(type) {
	case nil:
		return []string{path + " is null"}
	case object:
		var out []string
		if len(t) == 0 && !strings.HasSuffix(path, ".emptyDir") {
			out = append(out, path+" is an empty object")
		}
		for _, k := range slices.Sorted(maps.Keys(t)) {
			if k == "status" && strings.Count(path, ".") == 0 || k == "creationTimestamp" {
				out = append(out, path+"."+k+" is not the function's")
				continue
			}
			out = append(out, residue(path+"."+k, t[k])...)
		}
		return out
	case []any:
		var out []string
		if len(t) == 0 {
			out = append(out, path+" is an empty list")
		}
		for i, e := range t {
			out = append(out, residue(fmt.Sprintf("%s[%d]", path, i), e)...)
		}
		return out
	case string:
		// Empty strings mean something in one place: volumes without a class.
		if t == "" && !strings.HasSuffix(path, ".storageClassName") {
			return []string{path + " is an empty string"}
		}
	}
	return nil
}
