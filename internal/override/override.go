// Package override applies the platform's patches to what is composed: the Input's
// overrides. A patch reaches neither what decides over data, identity and ownership of an
// object, nor what a server's own fields decide. One that tries is an error.
package override

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
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
}

// Read reads the overrides of an Input, and returns what is wrong with them by
// themselves. The refs are everything that a server can have.
func Read(in []v1beta1.Override, refs []names.Ref) ([]Override, field.ErrorList) {
	out := make([]Override, 0, len(in))
	var errs field.ErrorList
	for i, raw := range in {
		r := &reader{Override: Override{kind: raw.Kind, resource: names.Resource(raw.Resource), at: field.NewPath("input", "overrides").Index(i)}}
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
		if path := rules[ref.Kind].broken(was, next); path != "" {
			return nil, field.Forbidden(p.at.Child("patch"), fmt.Sprintf("adds, changes or removes %s of %s %s, which the server depends on; %s", path, ref.Kind, ref.Name, hint))
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

// hint is what to do about a patch that reaches for what is not open.
const hint = "take it out, and use the fields of a server's spec, which defaults can set for all of them"

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
	case (r.kind == "") == (r.resource == ""):
		r.errs = append(r.errs, field.Invalid(r.at, field.OmitValueType{}, "must have either a kind or a resource"))
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
		r.errs = append(r.errs, field.Forbidden(at, "is out of the reach of overrides; "+hint))
		return
	}
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			to := at.Child(k)
			switch {
			case k == "$patch":
				if d := v[k]; d != "delete" && d != "replace" && d != "merge" {
					r.errs = append(r.errs, field.NotSupported(to, fmt.Sprint(d), []string{"delete", "merge", "replace"}))
				}
			case strings.HasPrefix(k, "$"):
				r.errs = append(r.errs, field.Forbidden(to, "is not supported; the only directive is $patch"))
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
	unknown, errs := strict.Decode(doc, rule.typed(), func(path []string) *field.Path {
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

// broken returns the path of something that a patch has changed and must not; empty if
// there is nothing of that kind.
func (r rule) broken(was, is map[string]any) string {
	for _, p := range slices.Concat([]string{"apiVersion", "kind", "metadata.name", "metadata.namespace", "metadata.ownerReferences", "metadata.finalizers"}, r.closed) {
		path := strings.Split(p, ".")
		if !reflect.DeepEqual(strict.Lookup(was, path), strict.Lookup(is, path)) {
			return p
		}
	}
	for _, k := range slices.Concat([]kept{{path: metadata[0]}, {path: metadata[1]}}, r.kept) {
		if p := k.broken(was, is); p != "" {
			return p
		}
	}
	return ""
}

// broken returns the path of something that was in the map or the list, and is not any
// more.
func (k kept) broken(was, is map[string]any) string {
	path := strings.Split(k.path, ".")
	before, after := strict.Lookup(was, path), strict.Lookup(is, path)
	if len(k.keys) == 0 {
		now, _ := after.(map[string]any)
		m, _ := before.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !reflect.DeepEqual(m[key], now[key]) {
				return fmt.Sprintf("%s[%s]", k.path, key)
			}
		}
		return ""
	}
	had, now := k.entries(before), k.entries(after)
	composed := make([]string, 0, len(had))
	for _, e := range had {
		composed = append(composed, k.id(e))
		here := fmt.Sprintf("%s[%s]", k.path, k.id(e))
		i := slices.IndexFunc(now, func(n map[string]any) bool { return k.id(n) == k.id(e) })
		if i < 0 {
			return here
		}
		if p := k.changed(e, now[i]); p != "" {
			return strings.TrimRight(here+"."+p, ".")
		}
	}
	for _, e := range now {
		if id := k.id(e); k.alien != nil && !slices.Contains(composed, id) && k.alien(id, composed) {
			return fmt.Sprintf("%s[%s]", k.path, id)
		}
	}
	return ""
}

// changed returns what has changed of an entry, "." for all of it.
func (k kept) changed(was, is map[string]any) string {
	if len(k.fields) == 0 && len(k.nested) == 0 {
		if !reflect.DeepEqual(was, is) {
			return "."
		}
		return ""
	}
	for _, f := range k.fields {
		if !reflect.DeepEqual(was[f], is[f]) {
			return f
		}
	}
	for _, n := range k.nested {
		if p := n.broken(was, is); p != "" {
			return p
		}
	}
	return ""
}

func (k kept) entries(v any) []map[string]any {
	list, _ := v.([]any)
	out := make([]map[string]any, 0, len(list))
	for _, e := range list {
		if m, ok := e.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
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
