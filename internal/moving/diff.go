package moving

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/render"
)

// A Change is one of a field.
type Change struct {
	// Path of the field. An entry of a list is named by what makes it one: its name,
	// or its port and protocol.
	Path string `json:"path"`
	// Op is "added", "removed" or "changed".
	Op string `json:"op"`
	// From and To are the values of a field that was changed, where they are short
	// and can be no credential.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// Operations of a Change.
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
)

func (c Change) String() string {
	switch {
	case c.Op == Added:
		return "+ " + c.Path
	case c.Op == Removed:
		return "- " + c.Path
	case c.From != "" || c.To != "":
		return "~ " + c.Path + ": " + c.From + " -> " + c.To
	}
	return "~ " + c.Path
}

// Diff returns what changes of an object, but for its status, what the API server
// keeps of it, and the marks by which Crossplane and the function know it again.
func Diff(was, is *unstructured.Unstructured) []Change {
	var out []Change
	diff("", content(was), content(is), &out)
	slices.SortFunc(out, func(a, b Change) int { return cmp.Compare(a.Path, b.Path) })
	return out
}

// content is what a person can change of an object.
func content(o *unstructured.Unstructured) map[string]any {
	out := map[string]any{}
	for f, v := range o.Object {
		if f != "status" && f != "apiVersion" && f != "kind" && f != "metadata" {
			out[f] = v
		}
	}
	meta := map[string]any{}
	labels, annotations := map[string]any{}, map[string]any{}
	for k, v := range o.GetLabels() {
		if !strings.HasPrefix(k, "crossplane.io/") {
			labels[k] = v
		}
	}
	for k, v := range o.GetAnnotations() {
		if k != render.AnnotationResourceName && k != names.AnnotationRecord {
			annotations[k] = v
		}
	}
	owners := []any{}
	for _, r := range o.GetOwnerReferences() {
		owners = append(owners, map[string]any{"name": r.Kind + " " + r.Name})
	}
	finalizers := []any{}
	for _, f := range o.GetFinalizers() {
		finalizers = append(finalizers, map[string]any{"name": f})
	}
	meta["labels"], meta["annotations"], meta["ownerReferences"], meta["finalizers"] = labels, annotations, owners, finalizers
	out["metadata"] = meta
	return out
}

func diff(path string, was, is any, out *[]Change) {
	if equality.Semantic.DeepEqual(was, is) {
		return
	}
	a, b, ok := asMaps(was, is)
	if !ok {
		from, to := shown(path, was), shown(path, is)
		if from == "" || to == "" {
			from, to = "", ""
		}
		*out = append(*out, Change{Path: path, Op: Changed, From: from, To: to})
		return
	}
	for _, k := range slices.Sorted(maps.Keys(merged(a, b))) {
		at := path + k
		if !strings.HasPrefix(k, "[") && path != "" {
			at = path + "." + k
		}
		v, had := a[k]
		n, has := b[k]
		switch {
		case !had && !empty(n):
			*out = append(*out, Change{Path: at, Op: Added})
		case !has && !empty(v):
			*out = append(*out, Change{Path: at, Op: Removed})
		case had && has:
			diff(at, v, n, out)
		}
	}
}

func empty(v any) bool {
	m, isMap := v.(map[string]any)
	l, isList := v.([]any)
	return v == nil || isMap && len(m) == 0 || isList && len(l) == 0
}

// asMaps returns two values as maps: objects by their fields, whose names are put
// into brackets where they have dots, and lists of named things by their names.
func asMaps(a, b any) (map[string]any, map[string]any, bool) {
	if a, b, ok := both[map[string]any](a, b); ok {
		return bracketed(a), bracketed(b), true
	}
	if a, b, ok := both[[]any](a, b); ok {
		byA, okA := keyed(a)
		byB, okB := keyed(b)
		return byA, byB, okA && okB
	}
	return nil, nil, false
}

func both[T any](a, b any) (T, T, bool) {
	x, ok := a.(T)
	y, ok2 := b.(T)
	return x, y, ok && ok2
}

func bracketed(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		if strings.ContainsAny(k, "./") {
			k = "[" + k + "]"
		}
		out[k] = v
	}
	return out
}

// keyed is a list by what its entries are known by.
func keyed(list []any) (map[string]any, bool) {
	out := make(map[string]any, len(list))
	for _, e := range list {
		m, ok := e.(map[string]any)
		if !ok {
			return nil, false
		}
		k := keyOf(m)
		if _, twice := out[k]; k == "" || twice {
			return nil, false
		}
		out[k] = m
	}
	return out, true
}

func keyOf(m map[string]any) string {
	for _, f := range []string{"mountPath", "port", "containerPort", "name"} {
		v, ok := m[f]
		if !ok {
			continue
		}
		if strings.HasSuffix(strings.ToLower(f), "port") {
			protocol, _ := m["protocol"].(string)
			return fmt.Sprintf("[%v/%s]", v, cmp.Or(protocol, "TCP"))
		}
		return fmt.Sprintf("[%v]", v)
	}
	if name, ok, _ := unstructured.NestedString(m, "metadata", "name"); ok {
		return "[" + name + "]"
	}
	return ""
}

func merged(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// secretive are parts of paths below which values may be credentials: those of
// Secrets and ConfigMaps, of the environment, and of pgBackRest's options.
var secretive = []string{"data", "stringData", "binaryData", "env", "global", "annotations", "args", "command"} //nolint:gochecknoglobals // A constant.

// shown is a value as it is printed; empty if it is not.
func shown(path string, v any) string {
	for part := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		if slices.Contains(secretive, part) {
			return ""
		}
	}
	switch v.(type) {
	case map[string]any, []any, nil:
		return ""
	}
	b, err := json.Marshal(v)
	if err != nil || len(b) > 80 {
		return ""
	}
	return strings.Trim(string(b), `"`)
}
