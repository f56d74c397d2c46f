package server_test

import (
	"encoding/json"
	"maps"
	"math/rand"
	"slices"
	"strings"
	"testing"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/internal/desired"
	"github.com/dittofs/function-dittoserver/internal/kinds"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/pgstate"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/strict"
	"github.com/dittofs/function-dittoserver/internal/world"
	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

// A history is a server through several edits: what is composed is what is
// observed next time, so that what one call records is what the next one holds at.
type history struct {
	t *testing.T

	uid, created string
	// live are the composed objects, others what else there is, by requirement.
	live   map[names.Resource]map[string]any
	others map[string]string
}

func newHistory(t *testing.T) *history {
	t.Helper()
	return &history{
		t: t, uid: "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9", created: "2026-02-01T00:00:00Z",
		live: map[names.Resource]map[string]any{}, others: map[string]string{},
	}
}

// apply applies a spec and reconciles twice, since the first reconcile records what
// the second one reads. It returns what the second one resolved.
func (h *history) apply(spec string) server.Resolution {
	h.t.Helper()
	h.reconcile(spec)
	return h.reconcile(spec)
}

func (h *history) reconcile(spec string) server.Resolution {
	h.t.Helper()
	xr := map[string]any{
		"apiVersion": "dittofs.dittofs.com/v1alpha1", "kind": "DittoServer",
		"metadata": map[string]any{"name": "files", "namespace": "default", "uid": h.uid, "creationTimestamp": h.created},
		"spec":     yamltest.Struct(h.t, braced(spec)).AsMap(),
	}
	if s := xr["spec"].(map[string]any); s["storage"] == nil {
		s["storage"] = map[string]any{"metadataSize": "10Gi"}
	}
	req := &fnv1.RunFunctionRequest{
		Observed:          &fnv1.State{Composite: &fnv1.Resource{Resource: toStruct(h.t, xr)}, Resources: map[string]*fnv1.Resource{}},
		RequiredResources: map[string]*fnv1.Resources{},
	}
	for r, o := range h.live {
		req.Observed.Resources[string(r)] = &fnv1.Resource{Resource: toStruct(h.t, o)}
	}
	for range 5 {
		r := observed.NewReader(req)
		s, errs := server.Decode(r.XR().Spec(), observed.Object{})
		id, _ := world.Identify(r, r.XR(), kinds.Suffixes(), "")
		w := world.Read(r, r.XR(), id, kinds.Ask(id.Name, s))
		if w.Pending {
			for _, k := range slices.Sorted(maps.Keys(w.Requirements.GetResources())) {
				req.RequiredResources[k] = &fnv1.Resources{}
				if y := h.others[k]; y != "" {
					req.RequiredResources[k].Items = []*fnv1.Resource{{Resource: yamltest.Struct(h.t, y)}}
				}
			}
			continue
		}
		res := server.Resolve(s, w)
		if res.Errors = append(errs, res.Errors...); len(res.Errors) > 0 {
			return res
		}
		st, err := desired.Compose(w, res.Server, pgstate.Read(w, res.Server.Current), pgstate.Read(w, res.Server.Target), rand.New(rand.NewSource(1)))
		if err != nil {
			h.t.Fatal(err)
		}
		h.take(st)
		return res
	}
	h.t.Fatal("still asks after five rounds, which is all that Crossplane allows")
	return server.Resolution{}
}

// take takes what is composed into the cluster. Crossplane deletes what is observed
// and no longer composed.
func (h *history) take(st desired.State) {
	next := map[names.Resource]map[string]any{}
	for _, c := range st.Composed {
		m := c.Object.AsMap()
		if status := h.live[c.Resource]["status"]; status != nil {
			m["status"] = status
		}
		next[c.Resource] = m
	}
	h.live = next
}

// started has Percona start the database, and the server start on it.
func (h *history) started(spec string) {
	h.t.Helper()
	h.apply(spec)
	if c := h.live[names.Postgres]; c != nil {
		c["status"] = map[string]any{"state": "ready", "postgres": map[string]any{"size": 1.0, "ready": 1.0}}
		h.credentials(strings.Join(h.databases(), ","))
		h.apply(spec)
	}
	sts := h.live[names.Server]
	if sts == nil {
		h.t.Fatal("the server was not created")
	}
	sts["status"] = map[string]any{"replicas": 1.0, "readyReplicas": 1.0, "updatedReplicas": 1.0}
	h.apply(spec)
}

// credentials has Percona write its Secrets, which name the first database.
func (h *history) credentials(databases string) {
	first, _, _ := strings.Cut(databases, ",")
	h.others["Secret/files-postgres-pguser-dittofs"] = secretYAML("files-postgres-pguser-dittofs", map[string]string{
		"host": "h", "port": "5432", "dbname": first, "user": "dittofs", "password": "p", "uri": "postgresql://h/" + first,
	})
	h.others["Secret/files-postgres-cluster-cert"] = secretYAML("files-postgres-cluster-cert", map[string]string{"ca.crt": "CA"})
}

func secretYAML(name string, data map[string]string) string {
	b := map[string][]byte{}
	for k, v := range data {
		b[k] = []byte(v)
	}
	m := observed.NewSecret(b).Map()
	m["metadata"] = map[string]any{"name": name, "namespace": "default", "uid": "uid-of-" + name, "creationTimestamp": "2026-02-01T00:00:05Z"}
	j, err := structJSON(m)
	if err != nil {
		panic(err)
	}
	return j
}

// again deletes the server and makes it again: what survives are the Secrets of the
// database, the volumes and, if it is kept, the ConfigMap.
func (h *history) again(keepConfig bool) {
	h.uid, h.created = h.uid+"-again", "2026-03-01T00:00:00Z"
	config := h.live[names.Config]
	h.live = map[names.Resource]map[string]any{}
	if keepConfig {
		config["metadata"].(map[string]any)["labels"] = map[string]any{"crossplane.io/composite": "files"}
		config["metadata"].(map[string]any)["annotations"].(map[string]any)["crossplane.io/composition-resource-name"] = "config"
		j, err := structJSON(config)
		if err != nil {
			h.t.Fatal(err)
		}
		h.others["ConfigMap/files-config"] = j
	}
}

// get returns what a live object has at a path.
func (h *history) get(r names.Resource, path ...string) any { return strict.Lookup(h.live[r], path) }

// set edits a live object by hand.
func (h *history) set(r names.Resource, value any, path ...string) {
	m := h.live[r]
	for _, p := range path[:len(path)-1] {
		next, ok := m[p].(map[string]any)
		if !ok {
			next = map[string]any{}
			m[p] = next
		}
		m = next
	}
	m[path[len(path)-1]] = value
}

func (h *history) user() map[string]any {
	l, _ := h.get(names.Postgres, "spec", "users").([]any)
	return l[0].(map[string]any)
}

func (h *history) databases() []string {
	databases := h.user()["databases"].([]any)
	out := make([]string, 0, len(databases))
	for _, d := range databases {
		out = append(out, d.(string))
	}
	return out
}

func (h *history) instance() map[string]any {
	return h.get(names.Postgres, "spec", "instances").([]any)[0].(map[string]any)
}

// env returns how the pod gets a variable: its value, or SECRET/KEY, with a
// question mark if that is optional; empty if it does not.
func (h *history) env(name string) string {
	containers, _ := h.get(names.Server, "spec", "template", "spec", "containers").([]any)
	env, _ := containers[0].(map[string]any)["env"].([]any)
	for _, e := range env {
		m := e.(map[string]any)
		if m["name"] != name {
			continue
		}
		if ref, ok := strict.Lookup(m, []string{"valueFrom", "secretKeyRef"}).(map[string]any); ok {
			out := ref["name"].(string) + "/" + ref["key"].(string)
			if ref["optional"] == true {
				out += "?"
			}
			return out
		}
		v, _ := m["value"].(string)
		return v
	}
	return ""
}

// editRecord replaces a part of the record.
func (h *history) editRecord(was, is string) {
	h.t.Helper()
	annotations := h.get(names.Config, "metadata", "annotations").(map[string]any)
	doc := annotations[names.AnnotationRecord].(string)
	if !strings.Contains(doc, was) {
		h.t.Fatalf("want %s in the record, got %s", was, doc)
	}
	annotations[names.AnnotationRecord] = strings.Replace(doc, was, is, 1)
}

// forgetFixedName makes the server one of an earlier version, which took the name of
// its database from Percona's Secret.
func (h *history) forgetFixedName() {
	h.t.Helper()
	h.editRecord(`"kind":"percona","fixedName":true`, `"kind":"percona"`)
}

// record returns the record as it is written.
func (h *history) record() record.Record {
	return record.Read(observed.FromStruct(toStruct(h.t, h.live[names.Config])), observed.Object{})
}

// wantHeld fails unless exactly one edit is held for each of the parts, in their
// order.
func wantHeld(t *testing.T, reason string, res server.Resolution, parts ...string) {
	t.Helper()
	if len(res.Errors) > 0 {
		t.Fatalf("%s: want nothing refused, got %v", reason, messages(res))
	}
	if !match(res.Held, parts) {
		t.Errorf("%s: want held:\n%s\ngot:\n%s", reason, strings.Join(parts, "\n"), strings.Join(res.Held, "\n"))
	}
}

// wantWarned fails unless there is exactly one warning for each of the parts.
func wantWarned(t *testing.T, reason string, res server.Resolution, parts ...string) {
	t.Helper()
	if !match(res.Warnings, parts) {
		t.Errorf("%s: want warnings:\n%s\ngot:\n%s", reason, strings.Join(parts, "\n"), strings.Join(res.Warnings, "\n"))
	}
}

func match(got, parts []string) bool {
	return slices.EqualFunc(got, parts, strings.Contains)
}

func structJSON(m map[string]any) (string, error) {
	b, err := json.Marshal(m)
	return string(b), err
}
