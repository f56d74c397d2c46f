// Package moving tells, before anything is changed, what becomes of servers that
// exist when this function takes them over: which of their objects are taken over,
// changed, restarted and left alone. It plays what Crossplane and the API server do
// with the function's responses on objects as "kubectl get -o yaml" shows them.
package moving

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/crossplane/function-sdk-go/errors"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/kinds"
	"github.com/dittofs/function-dittoserver/internal/lifecycle"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/render"
)

// What becomes of an object.
const (
	// TakenOver: it existed, and the server composes it from now on.
	TakenOver = "taken over"
	// Kept: the server composes it already.
	Kept = "kept"
	// Created: it does not exist yet.
	Created = "created"
	// Deleted: the server composes it, and does not want it any more.
	Deleted = "deleted"
	// Refused: the API server does not accept what is applied to it.
	Refused = "refused"
	// InTheWay: it has the name of an object that the server needs, and is somebody
	// else's.
	InTheWay = "in the way"
	// LeftAlone: nothing is applied to it.
	LeftAlone = "left alone"
)

// A Plan is what becomes of all that was read.
type Plan struct {
	Servers []Server `json:"servers"`
	// Orphans are objects of servers that do not exist any more.
	Orphans []Object `json:"orphans,omitempty"`
	// Unrelated counts objects that belong to no server.
	Unrelated int `json:"unrelated"`
}

// A Server is a DittoServer, and what becomes of its objects.
type Server struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// Error is why nothing happens to the server at all; empty if it is accepted.
	Error string `json:"error,omitempty"`
	// Accepted is that condition, as the function sets it in the end.
	Accepted render.Condition `json:"accepted"`
	Objects  []Object         `json:"objects"`
}

// An Object is what becomes of one.
type Object struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// Becomes is what becomes of it, and Why the reason where there is one to tell.
	Becomes string `json:"becomes"`
	Why     string `json:"why,omitempty"`
	// Restarts reports that the server's pod is replaced.
	Restarts bool `json:"restarts,omitempty"`
	// Changes are those of its fields, sorted.
	Changes []Change `json:"changes,omitempty"`
}

// An Input returns the function's Input for an XR; nil for none.
type Input func(xr *unstructured.Unstructured) (*structpb.Struct, error)

// Of returns what becomes of objects that exist, the DittoServers among them.
func Of(ctx context.Context, fn render.Function, input Input, objects render.Objects) (*Plan, error) {
	now := latest(objects)
	p := &Plan{Servers: []Server{}}
	related := map[lifecycle.Key]bool{}
	for _, xr := range objects {
		if !isXR(xr) {
			continue
		}
		related[lifecycle.KeyOf(xr)] = true
		in, err := input(xr)
		if err != nil {
			return nil, err
		}
		m := &move{fn: fn, xr: xr.DeepCopy(), before: map[lifecycle.Key]*unstructured.Unstructured{}}
		s, err := m.plan(ctx, in, objects, now)
		if err != nil {
			return nil, errors.Wrapf(err, "%s %q", xr.GetKind(), xr.GetName())
		}
		for _, o := range s.Objects {
			related[o.key(m.before)] = true
		}
		p.Servers = append(p.Servers, s)
	}
	if len(p.Servers) == 0 {
		return nil, errors.New("there is no DittoServer among the objects: add the output of \"kubectl get dittoservers -o yaml\"")
	}
	for _, o := range objects {
		switch why := orphaned(o); {
		case related[lifecycle.KeyOf(o)] || o.GetKind() == names.CRDKind:
		case why != "":
			p.Orphans = append(p.Orphans, Object{Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName(), Becomes: LeftAlone, Why: why})
		default:
			p.Unrelated++
		}
	}
	slices.SortFunc(p.Servers, func(a, b Server) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	sortObjects(p.Orphans)
	return p, nil
}

// Err returns an error if a server is refused.
func (p *Plan) Err() error {
	var refused []string
	for _, s := range p.Servers {
		if s.Error != "" {
			refused = append(refused, s.id())
		}
	}
	if len(refused) == 0 {
		return nil
	}
	return errors.Errorf("nothing is done for %s: correct what is printed for it", strings.Join(refused, ", "))
}

func (s Server) id() string {
	if s.Namespace == "" {
		return s.Name
	}
	return s.Namespace + "/" + s.Name
}

func (o Object) key(all map[lifecycle.Key]*unstructured.Unstructured) lifecycle.Key {
	for k := range all {
		if k.Kind == o.Kind && k.Namespace == o.Namespace && k.Name == o.Name {
			return k
		}
	}
	return lifecycle.Key{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}
}

func sortObjects(os []Object) {
	slices.SortFunc(os, func(a, b Object) int {
		return cmp.Or(cmp.Compare(rank(a.Becomes), rank(b.Becomes)), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
}

// rank has what nothing happens to come last.
func rank(becomes string) int {
	return slices.Index([]string{InTheWay, Refused, Deleted, TakenOver, Kept, Created, LeftAlone}, becomes)
}

// isXR reports whether an object is a server. A claim has one elsewhere.
func isXR(o *unstructured.Unstructured) bool {
	if o.GroupVersionKind().Group != v1alpha1.Group {
		return false
	}
	_, claim, _ := unstructured.NestedMap(o.Object, "spec", "resourceRef")
	return o.GetKind() == v1alpha1.ClaimableKind || o.GetKind() == v1alpha1.Kind && !claim
}

// latest is when the newest object was created: what is created now is younger.
func latest(objects render.Objects) time.Time {
	var out time.Time
	for _, o := range objects {
		if t := o.GetCreationTimestamp().Time; t.After(out) {
			out = t
		}
	}
	return out.Add(time.Second)
}

// orphaned tells what a server that is gone has left.
func orphaned(o *unstructured.Unstructured) string {
	switch {
	case ownedByServer(o) != "":
		return "its DittoServer " + ownedByServer(o) + " is not among the objects"
	case metav1.GetControllerOf(o) != nil:
	case o.GetKind() == names.PostgresKind:
		return "nobody controls it; delete it if its data is not needed any more"
	case isServers(o) && o.GetKind() == names.VolumeClaimKind:
		return "volume of a server that is not among the objects"
	}
	return ""
}

// isServers reports whether an object bears the label of the objects of servers.
func isServers(o *unstructured.Unstructured) bool {
	const app = "app"
	return o.GetLabels()[app] == names.Labels("")[app]
}

func ownedByServer(o *unstructured.Unstructured) string {
	for _, r := range o.GetOwnerReferences() {
		if strings.HasPrefix(r.APIVersion, v1alpha1.Group+"/") {
			return r.Name
		}
	}
	return ""
}

// A move takes over one server.
type move struct {
	fn     render.Function
	xr     *unstructured.Unstructured
	before map[lifecycle.Key]*unstructured.Unstructured
	w      *lifecycle.World
	last   *lifecycle.Answer
	// composed are the objects that the server composed before.
	composed map[lifecycle.Key]bool
	// asked are the objects that the function looked at.
	asked map[lifecycle.Key]bool
}

func (m *move) plan(ctx context.Context, in *structpb.Struct, objects render.Objects, now time.Time) (Server, error) {
	s := Server{Namespace: m.xr.GetNamespace(), Name: m.xr.GetName(), Objects: []Object{}}
	if m.xr.GetCreationTimestamp().Time.IsZero() {
		m.xr.SetCreationTimestamp(metav1.NewTime(now))
	}
	m.w = lifecycle.New(m.fn, m.xr, in)
	m.w.After(now)
	for _, o := range objects {
		// A namespaced server has to do with nothing in other namespaces.
		elsewhere := o.GetNamespace() != "" && m.xr.GetNamespace() != "" && o.GetNamespace() != m.xr.GetNamespace()
		if isXR(o) || elsewhere {
			continue
		}
		m.before[lifecycle.KeyOf(o)] = o
		if err := m.w.Load(o); err != nil {
			return s, err
		}
	}
	if err := m.w.LoadRefs(); err != nil {
		return s, err
	}
	m.composed = m.composedNow()

	answers, err := m.w.Settle(ctx)
	if err != nil {
		return s, err
	}
	m.last = answers[len(answers)-1]
	m.asked = map[lifecycle.Key]bool{}
	for _, a := range answers {
		for _, k := range a.Required() {
			m.asked[k] = true
		}
	}
	s.Accepted = m.condition("Accepted")
	switch {
	case m.last.Fatal != nil:
		s.Error = m.last.Fatal.Error()
	case m.last.Failed != nil:
		s.Error = m.last.Failed.Error()
	}
	s.Objects = append(s.Objects, m.touched()...)
	s.Objects = append(s.Objects, m.untouched()...)
	sortObjects(s.Objects)
	return s, nil
}

func (m *move) condition(typ string) render.Condition {
	for _, c := range render.GetConditions(m.w.PeekXR()) {
		if c.Type == typ {
			return c
		}
	}
	return render.Condition{Type: typ}
}

func (m *move) composedNow() map[lifecycle.Key]bool {
	out := map[lifecycle.Key]bool{}
	for _, k := range m.w.Keys() {
		if m.w.IsComposed(k) {
			out[k] = true
		}
	}
	return out
}

// touched returns what becomes of the objects that the server composes, or did.
func (m *move) touched() []Object {
	all := m.composedNow()
	maps.Copy(all, m.composed)
	out := make([]Object, 0, len(all))
	for k := range all {
		was, is := m.before[k], m.w.Peek(k)
		o := Object{Kind: k.Kind, Namespace: k.Namespace, Name: k.Name}
		name := ""
		if is != nil {
			name = is.GetAnnotations()[render.AnnotationResourceName]
		}
		switch err := m.last.Rejected[name]; {
		case is == nil:
			o.Becomes = Deleted
		case err != nil:
			o.Becomes, o.Why = Refused, err.Error()
		case was == nil:
			o.Becomes = Created
		case m.composed[k]:
			o.Becomes = Kept
		default:
			o.Becomes = TakenOver
		}
		if was != nil && is != nil {
			o.Changes = Diff(was, is)
			o.Restarts = restarts(was, is)
			o.Why = cmp.Or(o.Why, addresses(was, is))
		}
		out = append(out, o)
	}
	return out
}

// untouched returns the objects that have to do with the server, and to which
// nothing is applied.
func (m *move) untouched() []Object {
	composed := m.composedNow()
	var out []Object
	for k, was := range m.before {
		if composed[k] || m.composed[k] {
			continue
		}
		if becomes, why := m.relation(k, was); why != "" {
			out = append(out, Object{Kind: k.Kind, Namespace: k.Namespace, Name: k.Name, Becomes: becomes, Why: why})
		}
	}
	return out
}

// relation tells what an object that the server does not compose has to do with it;
// nothing for nothing.
func (m *move) relation(k lifecycle.Key, o *unstructured.Unstructured) (becomes, why string) {
	owned := slices.ContainsFunc(o.GetOwnerReferences(), func(r metav1.OwnerReference) bool {
		return m.xr.GetUID() != "" && r.UID == m.xr.GetUID()
	})
	labelled := k.Namespace == m.namespace() && labels.SelectorFromSet(names.Labels(m.serverName())).Matches(labels.Set(o.GetLabels()))
	named := m.asked[k] && slices.ContainsFunc(kinds.Refs(m.serverName()), func(r names.Ref) bool {
		return r.Kind == k.Kind && r.Name == k.Name
	})
	switch {
	case k.Kind == names.CRDKind:
		return "", ""
	case owned:
		return LeftAlone, "composed by nobody, deleted with the server"
	case named && o.GetDeletionTimestamp() != nil:
		return InTheWay, "it is being deleted"
	case named:
		return InTheWay, controller(o)
	case labelled && k.Kind == names.VolumeClaimKind:
		return LeftAlone, "the server's volume"
	case m.asked[k]:
		return LeftAlone, "read by the function"
	case labelled:
		return LeftAlone, "composed by nobody"
	}
	return "", ""
}

func controller(o *unstructured.Unstructured) string {
	if c := metav1.GetControllerOf(o); c != nil {
		return "controlled by " + c.Kind + " " + c.Name
	}
	return "nobody controls it; spec.adoptExisting takes it over"
}

func (m *move) serverName() string {
	name, _, _ := unstructured.NestedString(m.xr.Object, "spec", "claimRef", "name")
	return cmp.Or(name, m.xr.GetName())
}

func (m *move) namespace() string {
	ns, _, _ := unstructured.NestedString(m.xr.Object, "spec", "claimRef", "namespace")
	return cmp.Or(m.xr.GetNamespace(), ns)
}

// restarts reports whether the pod of a StatefulSet is replaced: its template is
// another one, and neither a partition nor its strategy keeps the pod.
// Source: k8s.io/kubernetes v1.34 pkg/controller/statefulset/stateful_set_control.go.
func restarts(was, is *unstructured.Unstructured) bool {
	if is.GetKind() != names.StatefulSetKind {
		return false
	}
	before, _, _ := unstructured.NestedMap(was.Object, "spec", "template")
	after, _, _ := unstructured.NestedMap(is.Object, "spec", "template")
	replicas, found, _ := unstructured.NestedInt64(was.Object, "spec", "replicas")
	if !found {
		replicas = 1
	}
	strategy, _, _ := unstructured.NestedString(is.Object, "spec", "updateStrategy", "type")
	partition, _, _ := unstructured.NestedInt64(is.Object, "spec", "updateStrategy", "rollingUpdate", "partition")
	return replicas > 0 && !equality.Semantic.DeepEqual(before, after) && strategy != "OnDelete" && partition < replicas
}

// addresses tells whether a Service keeps the addresses that a load balancer gave
// it; empty if it has none.
func addresses(was, is *unstructured.Unstructured) string {
	list, _, _ := unstructured.NestedSlice(was.Object, "status", "loadBalancer", "ingress")
	var have []string
	for _, e := range list {
		m, _ := e.(map[string]any)
		for _, f := range []string{"ip", "hostname"} {
			if s, _ := m[f].(string); s != "" {
				have = append(have, s)
			}
		}
	}
	if len(have) == 0 {
		return ""
	}
	if t, _, _ := unstructured.NestedString(is.Object, "spec", "type"); t != "LoadBalancer" {
		return fmt.Sprintf("gives up %s", strings.Join(have, ", "))
	}
	return fmt.Sprintf("keeps %s", strings.Join(have, ", "))
}
