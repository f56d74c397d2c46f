// Package merge keeps a person's edits of an object that the function composes.
// It is a three-way merge: what was asked for last time (the base), what is
// asked for now (ours) and what there is (live).
//
// apimachinery's own three-way merges do not fit: a JSON merge patch replaces
// whole lists, a strategic merge patch needs patch tags, which Percona's types
// do not have, and neither can tell which values it kept.
package merge

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// keyed are the lists whose entries are known by their name.
var keyed = map[string]bool{"instances": true, "users": true, "repos": true} //nolint:gochecknoglobals // A constant.

// A Merger merges one object.
type Merger struct {
	// AskChanged is true if the spec or the Input changed since the base was
	// recorded. While it did not, every difference between base and ours is a
	// change of the function's own rendering, and never beats an edit.
	AskChanged bool
	// Newly reports whether the XR or the Input say something new about a field:
	// then ours wins, even if it is what the base has. Without a base, that is all
	// that they say; elsewhere what exists wins.
	Newly func(path string) bool
	// Fixed reports whether a field is never anybody's to edit.
	Fixed func(path string) bool

	kept []string
}

// Merge merges the three, of which base may be nil. Entries and fields that are
// in live alone are somebody else's and are not in the result, nor are those
// that somebody removed.
func (m *Merger) Merge(path string, base, ours, live map[string]any) map[string]any {
	hasBase := base != nil
	out := make(map[string]any, len(ours))
	for _, k := range slices.Sorted(maps.Keys(ours)) {
		b, inBase := base[k]
		l, inLive := live[k]
		v, ok := m.value(path+"."+k, k, side{b, inBase}, ours[k], side{l, inLive}, hasBase)
		if ok {
			out[k] = v
		}
	}
	return out
}

// Keep adds the path of an edit that is kept.
func (m *Merger) Keep(path string) { m.kept = append(m.kept, path) }

// Kept returns the paths of the edits that were kept, sorted.
func (m *Merger) Kept() []string {
	slices.Sort(m.kept)
	return slices.Compact(m.kept)
}

// A side is a value of base or live that may not be there.
type side struct {
	v  any
	ok bool
}

func (s side) object() map[string]any { o, _ := s.v.(map[string]any); return o }

func (m *Merger) value(path, key string, base side, ours any, live side, hasBase bool) (any, bool) {
	switch o := ours.(type) {
	case map[string]any:
		if live.object() != nil || !live.ok && !base.ok {
			if hasBase && base.object() == nil {
				// New to us: nothing of it was asked for before.
				base = side{map[string]any{}, true}
			}
			merged := m.Merge(path, base.object(), o, live.object())
			return merged, len(merged) > 0
		}
	case []any:
		if keyed[key] && (live.ok || !base.ok) {
			merged := m.entries(path, base, o, live, hasBase)
			return merged, len(merged) > 0
		}
	}
	if live.ok && equal(path, ours, live.v) {
		return ours, true
	}
	if !m.edited(path, base, ours, live, hasBase) {
		return ours, true
	}
	if !live.ok {
		m.kept = append(m.kept, path+" (removed)")
		return nil, false
	}
	m.kept = append(m.kept, path)
	return live.v, true
}

// edited reports whether a value of live that differs from ours is somebody's edit
// that stays.
func (m *Merger) edited(path string, base side, ours any, live side, hasBase bool) bool {
	switch {
	case m.Fixed(path) || m.Newly(path):
		return false
	case !hasBase:
		return live.ok
	case base.ok && equal(path, base.v, ours):
		return true
	case m.AskChanged:
		return false
	case !base.ok:
		return live.ok
	}
	return !live.ok || !equal(path, base.v, live.v)
}

// entries merges a list whose entries are known by their name, in our order.
func (m *Merger) entries(path string, base side, ours []any, live side, hasBase bool) []any {
	b, l := byName(base.v), byName(live.v)
	out := make([]any, 0, len(ours))
	for _, e := range ours {
		o, _ := e.(map[string]any)
		name, _ := o["name"].(string)
		at := fmt.Sprintf("%s[%s]", path, name)
		be, inBase := b[name]
		le, inLive := l[name]
		if !inLive && m.edited(at, side{be, inBase}, o, side{}, hasBase) {
			m.kept = append(m.kept, at+" (removed)")
			continue
		}
		if !inLive {
			out = append(out, o)
			continue
		}
		if hasBase && !inBase {
			be = map[string]any{}
		}
		out = append(out, m.Merge(at, be, o, le))
	}
	return out
}

func byName(v any) map[string]map[string]any {
	l, _ := v.([]any)
	out := make(map[string]map[string]any, len(l))
	for _, e := range l {
		if o, ok := e.(map[string]any); ok {
			name, _ := o["name"].(string)
			out[name] = o
		}
	}
	return out
}

// equal compares two JSON values. Quantities are compared by what they mean:
// a client that writes the whole object writes them in its own way.
func equal(path string, a, b any) bool {
	switch av := a.(type) {
	case map[string]any:
		bv, ok := b.(map[string]any)
		return ok && maps.EqualFunc(av, bv, func(x, y any) bool { return equal(path, x, y) })
	case []any:
		bv, ok := b.([]any)
		return ok && slices.EqualFunc(av, bv, func(x, y any) bool { return equal(path, x, y) })
	case string:
		bv, ok := b.(string)
		return ok && (av == bv || quantities(path, av, bv))
	}
	an, aok := number(a)
	bn, bok := number(b)
	if aok || bok {
		return aok && bok && an == bn
	}
	return a == b
}

func quantities(path, a, b string) bool {
	if !strings.Contains(path, ".requests.") && !strings.Contains(path, ".limits.") {
		return false
	}
	qa, err := resource.ParseQuantity(a)
	if err != nil {
		return false
	}
	qb, err := resource.ParseQuantity(b)
	return err == nil && qa.Cmp(qb) == 0
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case float64:
		return n, true
	case int64:
		return float64(n), true
	case int:
		return float64(n), true
	}
	return 0, false
}
