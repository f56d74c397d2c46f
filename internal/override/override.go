// Package override applies the platform's patches to what is composed: the Input's
// overrides. A patch does not reach what decides over data, identity and ownership of an
// object, and weakens neither the wiring nor the security of a pod. One that tries is an
// error. What else a server's own fields decide of a pod, a patch wins over.
package override

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dittofs/function-dittoserver/input/v1beta1"
	"github.com/dittofs/function-dittoserver/internal/manifest"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/strict"
)

// An Override is a patch that may be tried.
type Override struct {
	kind     string
	resource names.Resource
	patch    map[string]any
	at       *field.Path
	checks   Checks
}

// Checks are those of a server's own spec that patches have to pass too. They are package
// server's, which imports this one.
type Checks struct {
	// Wired reports whether the server is wired by an environment variable, and which
	// field of the spec says what it does.
	Wired func(variable string) (instead string, ok bool)
	// Peer returns what is wrong with a peer of a NetworkPolicy.
	Peer func(at *field.Path, p networkingv1.NetworkPolicyPeer) field.ErrorList
}

// Read reads the overrides of an Input, and returns what is wrong with them by
// themselves. The refs are everything that a server can have.
func Read(in []v1beta1.Override, refs []names.Ref, checks Checks) ([]Override, field.ErrorList) {
	out := make([]Override, 0, len(in))
	var errs field.ErrorList
	for i, raw := range in {
		r := &reader{Override: Override{kind: raw.Kind, resource: names.Resource(raw.Resource), at: field.NewPath("input", "overrides").Index(i), checks: checks}}
		r.read(raw.Patch, refs)
		out, errs = append(out, r.Override), append(errs, r.errs...)
	}
	return out, errs
}

// Apply returns a composed object with those of the overrides that are for it, in their
// order. The object itself is not modified. The error is a *field.Error.
func Apply(overrides []Override, ref names.Ref, o *structpb.Struct) (*structpb.Struct, error) {
	var was, is map[string]any
	for _, p := range overrides {
		if p.resource != ref.Resource && p.kind != ref.Kind {
			continue
		}
		if is == nil {
			was, is = o.AsMap(), o.AsMap()
		}
		next, err := p.merge(rules[ref.Kind], is)
		if err != nil {
			return nil, field.Invalid(p.at.Child("patch"), field.OmitValueType{}, fmt.Sprintf("cannot be merged into %s %s: %v", ref.Kind, ref.Name, err))
		}
		if err := p.allowed(rules[ref.Kind], ref, was, next); err != nil {
			return nil, err
		}
		is = next
	}
	if is == nil {
		return o, nil
	}
	dropNulls(is)
	return manifest.FromMap(is), nil
}

// dropNulls removes the nulls that a merge leaves in what it adds: server-side apply
// would own them.
func dropNulls(v any) {
	switch v := v.(type) {
	case map[string]any:
		maps.DeleteFunc(v, func(_ string, e any) bool { return e == nil })
		for _, e := range v {
			dropNulls(e)
		}
	case []any:
		for _, e := range v {
			dropNulls(e)
		}
	}
}

// allowed returns what is wrong with an object that an override has been merged into, nil
// if nothing is. The object was composed as was.
func (p Override) allowed(r rule, ref names.Ref, was, is map[string]any) *field.Error {
	at := p.at.Child("patch")
	if path, instead := r.broken(p.checks, was, is); path != "" {
		return field.Forbidden(at, fmt.Sprintf("adds, changes or removes %s of %s %s, which the server depends on; %s", path, ref.Kind, ref.Name, hint(instead)))
	}
	before, err := r.decoded(was)
	if err != nil {
		return field.InternalError(at, err)
	}
	after, err := r.decoded(is)
	if err != nil {
		return field.Invalid(at, field.OmitValueType{}, fmt.Sprintf("merged into %s %s, cannot be decoded: %v", ref.Kind, ref.Name, err))
	}
	if why := invalid(after); why != "" {
		return field.Invalid(at, field.OmitValueType{}, fmt.Sprintf("merged into %s %s, %s", ref.Kind, ref.Name, why))
	}
	if why := r.weakened(before, after); len(why) > 0 {
		return field.Forbidden(at, fmt.Sprintf("makes the pods of %s %s violate Pod Security \"restricted\": %s", ref.Kind, ref.Name, strings.Join(why, ", ")))
	}
	return nil
}

// decoded returns an object as its kind's type.
func (r rule) decoded(o map[string]any) (any, error) {
	if !r.strategic {
		// The rest may be newer than the types known here.
		reached := map[string]any{}
		for _, p := range r.open {
			path := strings.Split(p, ".")
			if v := strict.Lookup(o, path); v != nil {
				_ = unstructured.SetNestedField(reached, v, path...)
			}
		}
		o = reached
	}
	b, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	into := r.typed()
	return into, json.Unmarshal(b, into)
}

// hint returns what to do about a patch that reaches for what is not open. There may be a
// field of a server's spec that says it instead.
func hint(instead string) string {
	if instead == "" {
		return "take it out"
	}
	return "take it out, and set " + instead + " in defaults or in the server's spec"
}

// merge returns an object with the patch. The object is modified, the patch is not.
func (p Override) merge(r rule, o map[string]any) (map[string]any, error) {
	if r.strategic {
		return strategicpatch.StrategicMergeMapPatch(o, runtime.DeepCopyJSON(p.patch), r.typed())
	}
	doc, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	patch, err := json.Marshal(p.patch)
	if err != nil {
		return nil, err
	}
	if doc, err = jsonpatch.MergePatch(doc, patch); err != nil {
		return nil, err
	}
	out := map[string]any{}
	return out, json.Unmarshal(doc, &out)
}

// A reader reads one override.
type reader struct {
	Override
	errs field.ErrorList
}

func (r *reader) read(raw *runtime.RawExtension, refs []names.Ref) {
	kinds, resources := map[string]bool{}, map[string]string{}
	for _, ref := range refs {
		kinds[ref.Kind], resources[string(ref.Resource)] = true, ref.Kind
	}
	kind := r.kind
	switch {
	case r.kind == "" && r.resource == "":
		r.errs = append(r.errs, field.Required(r.at, "set kind or resource"))
		return
	case r.kind != "" && r.resource != "":
		r.errs = append(r.errs, field.Invalid(r.at, field.OmitValueType{}, "set kind or resource, not both"))
		return
	case r.resource != "":
		if kind = resources[string(r.resource)]; kind == "" {
			r.errs = append(r.errs, field.NotSupported(r.at.Child("resource"), string(r.resource), slices.Sorted(maps.Keys(resources))))
			return
		}
	case !kinds[r.kind]:
		r.errs = append(r.errs, field.NotSupported(r.at.Child("kind"), r.kind, slices.Sorted(maps.Keys(kinds))))
		return
	}
	at := r.at.Child("patch")
	if raw == nil || json.Unmarshal(raw.Raw, &r.patch) != nil || r.patch == nil {
		r.errs = append(r.errs, field.Required(at, "an object: what is to be merged into the composed one"))
		return
	}
	r.reach(rules[kind], kind, at, nil, r.patch)
	if len(r.errs) == 0 {
		r.decode(rules[kind], kind, at)
	}
}

// reach checks that a patch says nothing but what is open. What is on the way there has
// to be an object.
func (r *reader) reach(rule rule, kind string, at *field.Path, path []string, patch map[string]any) {
	open := slices.Concat(metadata, rule.open)
	for _, k := range slices.Sorted(maps.Keys(patch)) {
		here := append(slices.Clone(path), k)
		dotted := strings.Join(here, ".")
		to := at.Child(k)
		inner, isObject := patch[k].(map[string]any)
		switch {
		case strings.HasPrefix(k, "$"):
			r.errs = append(r.errs, field.Forbidden(to, "directives may only be where something may be patched: "+strings.Join(open, ", ")))
		case slices.Contains(open, dotted):
			r.inside(rule, to, here, patch[k])
		case !slices.ContainsFunc(open, func(o string) bool { return strings.HasPrefix(o, dotted+".") }):
			r.errs = append(r.errs, field.Forbidden(to, fmt.Sprintf("is out of the reach of overrides. Of a %s may be patched: %s", kind, strings.Join(open, ", "))))
		case !isObject:
			r.errs = append(r.errs, field.Invalid(to, field.OmitValueType{}, "must be an object: what it holds cannot be replaced or removed as a whole"))
		default:
			r.reach(rule, kind, to, here, inner)
		}
	}
}

// inside checks what a patch says below an open path.
func (r *reader) inside(rule rule, at *field.Path, path []string, v any) {
	dotted := strings.Join(path, ".")
	if slices.Contains(rule.closed, dotted) {
		r.errs = append(r.errs, field.Forbidden(at, "is out of the reach of overrides; "+hint(fields[dotted])))
		return
	}
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			to := at.Child(k)
			switch {
			case k == "$patch" && rule.strategic:
				if d := v[k]; d != "delete" && d != "replace" && d != "merge" {
					r.errs = append(r.errs, field.NotSupported(to, fmt.Sprint(d), []string{"delete", "merge", "replace"}))
				}
			case strings.HasPrefix(k, "$") && rule.strategic:
				r.errs = append(r.errs, field.Forbidden(to, "is not supported; the only directive is $patch"))
			case strings.HasPrefix(k, "$"):
				r.errs = append(r.errs, field.Forbidden(to, "is not supported: this kind is patched by a JSON merge patch, which has no directives"))
			case (strings.HasSuffix(dotted, "metadata.labels") || strings.HasSuffix(dotted, "metadata.annotations")) && reserved(k):
				r.errs = append(r.errs, field.Forbidden(at.Key(k), "belongs to Crossplane, Percona's operator or this function; take it out"))
			default:
				r.inside(rule, to, append(slices.Clone(path), k), v[k])
			}
		}
	case []any:
		for i, e := range v {
			r.inside(rule, at.Index(i), append(slices.Clone(path), "[]"), e)
		}
	}
}

// decode checks the types of what a patch says, and that Kubernetes' own kinds have such
// fields.
func (r *reader) decode(rule rule, kind string, at *field.Path) {
	doc, _ := withoutDirectives(r.patch).(map[string]any)
	into := rule.typed()
	unknown, errs := strict.Decode(doc, into, func(path []string) *field.Path {
		if len(path) == 0 {
			return at
		}
		return at.Child(path[0], path[1:]...)
	})
	r.errs = append(r.errs, errs...)
	for _, f := range unknown {
		if rule.strategic {
			r.errs = append(r.errs, field.Forbidden(at.Child(f), "is not a field of a "+kind+"; check for typos"))
		}
	}
	if len(r.errs) > 0 || !rule.strategic {
		return
	}
	if p, ok := into.(*networkingv1.NetworkPolicy); ok {
		r.errs = append(r.errs, r.checks.peers(p, at)...)
	}
	// The type is a struct's.
	meta, _ := strategicpatch.NewPatchMetaFromStruct(into)
	r.entries(meta, at, r.patch, false)
}

// entries checks that the entries of lists can be told apart where they are merged one by
// one, and that no directive is in a list that is replaced as a whole, where it would stay.
func (r *reader) entries(meta strategicpatch.LookupPatchMeta, at *field.Path, patch map[string]any, whole bool) {
	if _, ok := patch["$patch"]; ok && whole {
		r.errs = append(r.errs, field.Forbidden(at.Child("$patch"), "has no effect within a list that is replaced as a whole; take it out"))
	}
	for _, k := range slices.Sorted(maps.Keys(patch)) {
		switch v := patch[k].(type) {
		case map[string]any:
			if inner, _, err := meta.LookupPatchMetadataForStruct(k); err == nil {
				r.entries(inner, at.Child(k), v, whole)
			}
		case []any:
			inner, how, err := meta.LookupPatchMetadataForSlice(k)
			if err != nil {
				continue
			}
			key := how.GetPatchMergeKey()
			merged := slices.Contains(how.GetPatchStrategies(), "merge")
			for i, e := range v {
				entry, ok := e.(map[string]any)
				if !ok {
					continue
				}
				if merged && entry[key] == nil && entry["$patch"] != "replace" {
					r.errs = append(r.errs, field.Required(at.Child(k).Index(i).Child(key), fmt.Sprintf("an entry of %s has no %s", k, key)))
				}
				r.entries(inner, at.Child(k).Index(i), entry, whole || !merged)
			}
		}
	}
}

func withoutDirectives(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			if !strings.HasPrefix(k, "$") {
				out[k] = withoutDirectives(e)
			}
		}
		return out
	case []any:
		out := make([]any, 0, len(v))
		for _, e := range v {
			out = append(out, withoutDirectives(e))
		}
		return out
	}
	return v
}

// broken returns the path of something that a patch has changed and must not, empty if
// there is nothing of that kind, and the field of a server's spec to set instead, if there
// is one.
func (r rule) broken(c Checks, was, is map[string]any) (path, instead string) {
	for _, p := range slices.Concat([]string{"apiVersion", "kind", "metadata.name", "metadata.namespace", "metadata.ownerReferences", "metadata.finalizers"}, r.closed) {
		at := strings.Split(p, ".")
		if !reflect.DeepEqual(strict.Lookup(was, at), strict.Lookup(is, at)) {
			return p, fields[p]
		}
	}
	for _, k := range slices.Concat([]kept{{path: metadata[0]}, {path: metadata[1]}}, r.kept) {
		if p, instead := k.broken(c, was, is); p != "" {
			return p, cmp.Or(instead, fields[p])
		}
	}
	return "", ""
}

// broken returns the path of something that was in the map or the list, and is not any
// more, or has been added and must not be.
func (k kept) broken(c Checks, was, is map[string]any) (at, instead string) {
	path := strings.Split(k.path, ".")
	before, after := strict.Lookup(was, path), strict.Lookup(is, path)
	if len(k.keys) == 0 {
		now, _ := after.(map[string]any)
		m, _ := before.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !reflect.DeepEqual(m[key], now[key]) {
				return fmt.Sprintf("%s[%s]", k.path, key), ""
			}
		}
		return "", ""
	}
	had, now := strict.Objects(before), strict.Objects(after)
	composed := make([]string, 0, len(had))
	for _, e := range had {
		composed = append(composed, k.id(e))
		here := fmt.Sprintf("%s[%s]", k.path, k.id(e))
		i := slices.IndexFunc(now, func(n map[string]any) bool { return k.id(n) == k.id(e) })
		if i < 0 {
			return here, k.field(c, k.id(e))
		}
		if p, instead := k.changed(c, e, now[i]); p != "" {
			return strings.TrimRight(here+"."+p, "."), cmp.Or(instead, k.field(c, k.id(e)))
		}
	}
	for _, e := range now {
		if id := k.id(e); k.alien != nil && !slices.Contains(composed, id) && k.alien(c, id, composed) {
			return fmt.Sprintf("%s[%s]", k.path, id), k.field(c, id)
		}
	}
	return "", ""
}

// field returns the field of a server's spec that says what an entry does.
func (k kept) field(c Checks, id string) string {
	if k.instead == nil {
		return ""
	}
	return k.instead(c, id)
}

// changed returns what has changed of an entry, "." for all of it.
func (k kept) changed(c Checks, was, is map[string]any) (what, instead string) {
	if len(k.fields) == 0 && len(k.nested) == 0 {
		if !reflect.DeepEqual(was, is) {
			return ".", ""
		}
		return "", ""
	}
	for _, f := range k.fields {
		if !reflect.DeepEqual(was[f], is[f]) {
			return f, ""
		}
	}
	for _, n := range k.nested {
		if p, instead := n.broken(c, was, is); p != "" {
			return p, instead
		}
	}
	return "", ""
}

// id tells an entry from the others of its list.
func (k kept) id(e map[string]any) string {
	out := make([]string, 0, len(k.keys))
	for _, key := range k.keys {
		v := e[key]
		if v == nil && key == "protocol" {
			v = "TCP"
		}
		out = append(out, fmt.Sprint(v))
	}
	return strings.Join(out, "/")
}
