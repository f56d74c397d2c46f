package merge

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type (
	object = map[string]any
	list   = []any
)

// among returns a function that reports whether a path is one of those, or below one.
func among(paths []string) func(path string) bool {
	return func(path string) bool {
		return slices.ContainsFunc(paths, func(p string) bool { return path == p || strings.HasPrefix(path, p+".") })
	}
}

func TestMerge(t *testing.T) {
	type args struct {
		askChanged bool
		newly      []string
		fixed      []string
		base       object
		ours       object
		live       object
	}
	type want struct {
		merged object
		kept   []string
	}

	cases := map[string]struct {
		reason string
		args   args
		want   want
	}{
		"NothingDiffers": {
			reason: "what is as it was asked for is sent as it is asked for",
			args: args{
				base: object{"a": "1", "o": object{"b": true}},
				ours: object{"a": "1", "o": object{"b": true}},
				live: object{"a": "1", "o": object{"b": true}},
			},
			want: want{merged: object{"a": "1", "o": object{"b": true}}},
		},
		"EditKept": {
			reason: "an edit of what was asked for and still is stays",
			args: args{
				base: object{"a": "1", "b": "1"},
				ours: object{"a": "1", "b": "1"},
				live: object{"a": "9", "b": "1"},
			},
			want: want{merged: object{"a": "9", "b": "1"}, kept: []string{"spec.a"}},
		},
		"EditKeptBesideAChangedAsk": {
			reason: "a change of one field of the spec does not undo the edit of another",
			args: args{
				askChanged: true,
				base:       object{"a": "1", "b": "1"},
				ours:       object{"a": "1", "b": "2"},
				live:       object{"a": "9", "b": "1"},
			},
			want: want{merged: object{"a": "9", "b": "2"}, kept: []string{"spec.a"}},
		},
		"AskChanged": {
			reason: "a field that the spec newly asks for is what the spec asks for",
			args: args{
				askChanged: true,
				base:       object{"a": "1"},
				ours:       object{"a": "2"},
				live:       object{"a": "9"},
			},
			want: want{merged: object{"a": "2"}},
		},
		"AskChangedToTheEdit": {
			reason: "an edit that the spec has caught up with is no edit any more",
			args: args{
				askChanged: true,
				base:       object{"a": "1"},
				ours:       object{"a": "9"},
				live:       object{"a": "9"},
			},
			want: want{merged: object{"a": "9"}},
		},
		"OwnRenderingChanged": {
			reason: "where nobody edited, a change of the function's own rendering is applied",
			args: args{
				base: object{"a": "1"},
				ours: object{"a": "2"},
				live: object{"a": "1"},
			},
			want: want{merged: object{"a": "2"}},
		},
		"OwnRenderingNeverBeatsAnEdit": {
			reason: "a change of the function's own rendering without one of the ask loses against an edit",
			args: args{
				base: object{"a": "1"},
				ours: object{"a": "2"},
				live: object{"a": "9"},
			},
			want: want{merged: object{"a": "9"}, kept: []string{"spec.a"}},
		},
		"OwnRenderingHasANewField": {
			reason: "a field that the function renders for the first time is not set where somebody has set it",
			args: args{
				base: object{},
				ours: object{"a": "2", "b": "2"},
				live: object{"a": "9"},
			},
			want: want{merged: object{"a": "9", "b": "2"}, kept: []string{"spec.a"}},
		},
		"AskHasANewField": {
			reason: "a field that the spec newly asks for is set even where somebody has set it",
			args: args{
				askChanged: true,
				base:       object{},
				ours:       object{"a": "2"},
				live:       object{"a": "9"},
			},
			want: want{merged: object{"a": "2"}},
		},
		"OwnRenderingHasANewObject": {
			reason: "within an object that is rendered for the first time, what somebody has set stays",
			args: args{
				base: object{"x": "1"},
				ours: object{"x": "1", "o": object{"a": "2", "b": "2"}},
				live: object{"x": "1", "o": object{"a": "9"}},
			},
			want: want{merged: object{"x": "1", "o": object{"a": "9", "b": "2"}}, kept: []string{"spec.o.a"}},
		},
		"RemovedField": {
			reason: "a field that somebody removed stays away",
			args: args{
				base: object{"a": "1", "b": "1"},
				ours: object{"a": "1", "b": "1"},
				live: object{"b": "1"},
			},
			want: want{merged: object{"b": "1"}, kept: []string{"spec.a (removed)"}},
		},
		"RemovedObject": {
			reason: "an object that somebody removed stays away, whole",
			args: args{
				base: object{"x": "1", "o": object{"a": "1"}},
				ours: object{"x": "1", "o": object{"a": "1"}},
				live: object{"x": "1"},
			},
			want: want{merged: object{"x": "1"}, kept: []string{"spec.o (removed)"}},
		},
		"RemovedFieldThatTheAskChanged": {
			reason: "a removed field comes back when the spec asks for another value",
			args: args{
				askChanged: true,
				base:       object{"a": "1"},
				ours:       object{"a": "2"},
				live:       object{},
			},
			want: want{merged: object{"a": "2"}},
		},
		"RemovedFieldThatIsRenderedAnother": {
			reason: "a removed field does not come back because the function renders another value",
			args: args{
				base: object{"a": "1", "b": "1"},
				ours: object{"a": "2", "b": "1"},
				live: object{"b": "1"},
			},
			want: want{merged: object{"b": "1"}, kept: []string{"spec.a (removed)"}},
		},
		"RemovedWithinAnObject": {
			reason: "an object of which nothing is left is not sent empty",
			args: args{
				base: object{"x": "1", "o": object{"a": "1"}},
				ours: object{"x": "1", "o": object{"a": "1"}},
				live: object{"x": "1", "o": object{}},
			},
			want: want{merged: object{"x": "1"}, kept: []string{"spec.o.a (removed)"}},
		},
		"NotAskedForAnyMore": {
			reason: "what is not asked for any more is not sent, edited or not",
			args: args{
				askChanged: true,
				base:       object{"a": "1", "b": "1"},
				ours:       object{"b": "1"},
				live:       object{"a": "9", "b": "1"},
			},
			want: want{merged: object{"b": "1"}},
		},
		"ForeignFields": {
			reason: "what others have set beside ours is not sent",
			args: args{
				base: object{"a": "1"},
				ours: object{"a": "1"},
				live: object{"a": "1", "pause": true, "patroni": object{"port": 8008.0}},
			},
			want: want{merged: object{"a": "1"}},
		},
		"NoBaseExistingWins": {
			reason: "without a record what exists wins over a default",
			args: args{
				ours: object{"a": "1", "b": "1", "o": object{"c": "1"}},
				live: object{"a": "9", "o": object{"c": "9"}},
			},
			want: want{
				merged: object{"a": "9", "b": "1", "o": object{"c": "9"}},
				kept:   []string{"spec.a", "spec.o.c"},
			},
		},
		"NoBaseStatedWins": {
			reason: "without a record what the XR states wins over what exists",
			args: args{
				newly: []string{"spec.a", "spec.o"},
				ours:  object{"a": "1", "b": "1", "o": object{"c": "1"}},
				live:  object{"a": "9", "b": "9", "o": object{"c": "9"}},
			},
			want: want{
				merged: object{"a": "1", "b": "9", "o": object{"c": "1"}},
				kept:   []string{"spec.b"},
			},
		},
		"NoBaseNothingThere": {
			reason: "without a record and without anything that exists, all is sent",
			args: args{
				ours: object{"a": "1", "users": list{object{"name": "dittofs"}}},
			},
			want: want{merged: object{"a": "1", "users": list{object{"name": "dittofs"}}}},
		},
		"QuantitiesEqual": {
			reason: "a quantity that somebody wrote in another way is no edit",
			args: args{
				base: object{"resources": object{"requests": object{"storage": "1Gi"}, "limits": object{"cpu": "1"}}},
				ours: object{"resources": object{"requests": object{"storage": "1Gi"}, "limits": object{"cpu": "1"}}},
				live: object{"resources": object{"requests": object{"storage": "1024Mi"}, "limits": object{"cpu": "1000m"}}},
			},
			want: want{merged: object{"resources": object{"requests": object{"storage": "1Gi"}, "limits": object{"cpu": "1"}}}},
		},
		"QuantitiesDiffer": {
			reason: "a larger volume is an edit",
			args: args{
				base: object{"resources": object{"requests": object{"storage": "1Gi"}}},
				ours: object{"resources": object{"requests": object{"storage": "1Gi"}}},
				live: object{"resources": object{"requests": object{"storage": "2Gi"}}},
			},
			want: want{
				merged: object{"resources": object{"requests": object{"storage": "2Gi"}}},
				kept:   []string{"spec.resources.requests.storage"},
			},
		},
		"QuantitiesOnlyWhereTheyAre": {
			reason: "elsewhere two ways of writing a number are two strings",
			args: args{
				base: object{"retention": "1000m"},
				ours: object{"retention": "1000m"},
				live: object{"retention": "1"},
			},
			want: want{merged: object{"retention": "1"}, kept: []string{"spec.retention"}},
		},
		"Numbers": {
			reason: "a number is the same number however it was decoded",
			args: args{
				base: object{"a": 1.0, "b": 3.0},
				ours: object{"a": int64(1), "b": int64(3)},
				live: object{"a": 1.0, "b": 5.0},
			},
			want: want{merged: object{"a": int64(1), "b": 5.0}, kept: []string{"spec.b"}},
		},
		"Lists": {
			reason: "a list of values is one value",
			args: args{
				base: object{"databases": list{"a", "b"}, "modes": list{"rwo"}},
				ours: object{"databases": list{"a", "b"}, "modes": list{"rwo"}},
				live: object{"databases": list{"a", "b", "c"}, "modes": list{"rwo"}},
			},
			want: want{
				merged: object{"databases": list{"a", "b", "c"}, "modes": list{"rwo"}},
				kept:   []string{"spec.databases"},
			},
		},
		"KeyedLists": {
			reason: "the entries of instances, users and repos are merged by name, whatever their order",
			args: args{
				base: object{"users": list{object{"name": "a", "x": "1"}, object{"name": "b", "x": "1"}}},
				ours: object{"users": list{object{"name": "a", "x": "1"}, object{"name": "b", "x": "1"}}},
				live: object{"users": list{object{"name": "b", "x": "9"}, object{"name": "a", "x": "1"}}},
			},
			want: want{
				merged: object{"users": list{object{"name": "a", "x": "1"}, object{"name": "b", "x": "9"}}},
				kept:   []string{"spec.users[b].x"},
			},
		},
		"ForeignEntries": {
			reason: "entries of others are not sent",
			args: args{
				base: object{"instances": list{object{"name": "instance1", "replicas": 1.0}}},
				ours: object{"instances": list{object{"name": "instance1", "replicas": 1.0}}},
				live: object{"instances": list{object{"name": "theirs"}, object{"name": "instance1", "replicas": 3.0}}},
			},
			want: want{
				merged: object{"instances": list{object{"name": "instance1", "replicas": 3.0}}},
				kept:   []string{"spec.instances[instance1].replicas"},
			},
		},
		"RemovedEntry": {
			reason: "an entry that somebody removed stays away",
			args: args{
				base: object{"repos": list{object{"name": "repo1"}, object{"name": "repo2"}}},
				ours: object{"repos": list{object{"name": "repo1"}, object{"name": "repo2"}}},
				live: object{"repos": list{object{"name": "repo1"}}},
			},
			want: want{
				merged: object{"repos": list{object{"name": "repo1"}}},
				kept:   []string{"spec.repos[repo2] (removed)"},
			},
		},
		"RemovedLastEntry": {
			reason: "a list of which no entry is left is not sent empty",
			args: args{
				base: object{"a": "1", "users": list{object{"name": "u"}}},
				ours: object{"a": "1", "users": list{object{"name": "u"}}},
				live: object{"a": "1", "users": list{object{"name": "theirs"}}},
			},
			want: want{merged: object{"a": "1"}, kept: []string{"spec.users[u] (removed)"}},
		},
		"RemovedEntryThatTheAskChanged": {
			reason: "a removed entry comes back when the spec asks for another",
			args: args{
				askChanged: true,
				base:       object{"repos": list{object{"name": "repo1", "b": "1"}}},
				ours:       object{"repos": list{object{"name": "repo1", "b": "2"}}},
				live:       object{"repos": list{}},
			},
			want: want{merged: object{"repos": list{object{"name": "repo1", "b": "2"}}}},
		},
		"NewEntry": {
			reason: "an entry that is rendered for the first time is added, and what somebody set in one of its name stays",
			args: args{
				base: object{"users": list{object{"name": "a"}}},
				ours: object{"users": list{object{"name": "a"}, object{"name": "b", "x": "1"}, object{"name": "c", "x": "1"}}},
				live: object{"users": list{object{"name": "a"}, object{"name": "b", "x": "9"}}},
			},
			want: want{
				merged: object{"users": list{object{"name": "a"}, object{"name": "b", "x": "9"}, object{"name": "c", "x": "1"}}},
				kept:   []string{"spec.users[b].x"},
			},
		},
		"NewEntryAsked": {
			reason: "an entry that the spec asks for is as the spec asks",
			args: args{
				askChanged: true,
				base:       object{"users": list{object{"name": "a"}}},
				ours:       object{"users": list{object{"name": "a"}, object{"name": "b", "x": "1"}}},
				live:       object{"users": list{object{"name": "a"}, object{"name": "b", "x": "9"}}},
			},
			want: want{merged: object{"users": list{object{"name": "a"}, object{"name": "b", "x": "1"}}}},
		},
		"KeyedListNoBase": {
			reason: "without a record entries of one name are merged, and what exists wins",
			args: args{
				newly: []string{"spec.instances[instance1].replicas"},
				ours:  object{"instances": list{object{"name": "instance1", "replicas": 2.0, "size": "10Gi"}}},
				live:  object{"instances": list{object{"name": "instance1", "replicas": 1.0, "size": "20Gi"}}},
			},
			want: want{
				merged: object{"instances": list{object{"name": "instance1", "replicas": 2.0, "size": "20Gi"}}},
				kept:   []string{"spec.instances[instance1].size"},
			},
		},
		"RemovedKeyedList": {
			reason: "a keyed list that somebody removed stays away, whole",
			args: args{
				base: object{"a": "1", "users": list{object{"name": "u"}}},
				ours: object{"a": "1", "users": list{object{"name": "u"}}},
				live: object{"a": "1"},
			},
			want: want{merged: object{"a": "1"}, kept: []string{"spec.users (removed)"}},
		},
		"NewlyAskedForTheSame": {
			reason: "what is newly asked for wins over an edit, even if it is what was rendered before anybody asked",
			args: args{
				askChanged: true,
				newly:      []string{"spec.instances[instance1].replicas"},
				base:       object{"instances": list{object{"name": "instance1", "replicas": 1.0, "x": "1"}}},
				ours:       object{"instances": list{object{"name": "instance1", "replicas": 1.0, "x": "1"}}},
				live:       object{"instances": list{object{"name": "instance1", "replicas": 3.0, "x": "9"}}},
			},
			want: want{
				merged: object{"instances": list{object{"name": "instance1", "replicas": 1.0, "x": "9"}}},
				kept:   []string{"spec.instances[instance1].x"},
			},
		},
		"NewlyAskedForWhatIsGone": {
			reason: "a field that somebody removed comes back when it is newly asked for",
			args: args{
				askChanged: true,
				newly:      []string{"spec.a"},
				base:       object{"a": "1", "b": "1"},
				ours:       object{"a": "1", "b": "1"},
				live:       object{},
			},
			want: want{merged: object{"a": "1"}, kept: []string{"spec.b (removed)"}},
		},
		"FixedEdited": {
			reason: "a field that is nobody's to edit is put back, whoever asked for what",
			args: args{
				fixed: []string{"spec.a", "spec.o.b"},
				base:  object{"a": "1", "o": object{"b": "1", "c": "1"}},
				ours:  object{"a": "1", "o": object{"b": "1", "c": "1"}},
				live:  object{"a": "9", "o": object{"b": "9", "c": "9"}},
			},
			want: want{merged: object{"a": "1", "o": object{"b": "1", "c": "9"}}, kept: []string{"spec.o.c"}},
		},
		"FixedRemoved": {
			reason: "and so is one that somebody removed",
			args: args{
				fixed: []string{"spec.a"},
				base:  object{"a": "1"},
				ours:  object{"a": "1"},
				live:  object{},
			},
			want: want{merged: object{"a": "1"}},
		},
		"FixedOwnRenderingChanged": {
			reason: "it is as it is rendered, even without a change of the ask",
			args: args{
				fixed: []string{"spec.a"},
				base:  object{"a": "1"},
				ours:  object{"a": "2"},
				live:  object{"a": "9"},
			},
			want: want{merged: object{"a": "2"}},
		},
		"FixedNoBase": {
			reason: "without a record, too",
			args: args{
				fixed: []string{"spec.a"},
				ours:  object{"a": "1", "b": "1"},
				live:  object{"a": "9", "b": "9"},
			},
			want: want{merged: object{"a": "1", "b": "9"}, kept: []string{"spec.b"}},
		},
		"FixedList": {
			reason: "a list of values is one value, whose order counts",
			args: args{
				fixed: []string{"spec.users[u].databases"},
				base:  object{"users": list{object{"name": "u", "databases": list{"a"}}}},
				ours:  object{"users": list{object{"name": "u", "databases": list{"a"}}}},
				live:  object{"users": list{object{"name": "u", "databases": list{"b", "a"}}}},
			},
			want: want{merged: object{"users": list{object{"name": "u", "databases": list{"a"}}}}},
		},
		"OtherType": {
			reason: "an edit may be of another type",
			args: args{
				base: object{"o": object{"a": "1"}},
				ours: object{"o": object{"a": "1"}},
				live: object{"o": "all"},
			},
			want: want{merged: object{"o": "all"}, kept: []string{"spec.o"}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := &Merger{AskChanged: tc.args.askChanged, Newly: among(tc.args.newly), Fixed: among(tc.args.fixed)}
			got := m.Merge("spec", tc.args.base, tc.args.ours, tc.args.live)
			if diff := cmp.Diff(tc.want.merged, got); diff != "" {
				t.Errorf("%s\nMerge(...): -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.want.kept, m.Kept()); diff != "" {
				t.Errorf("%s\nKept(): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestKeep(t *testing.T) {
	m := &Merger{}
	for _, p := range []string{"spec.b", "spec.a", "spec.b"} {
		m.Keep(p)
	}
	if diff := cmp.Diff([]string{"spec.a", "spec.b"}, m.Kept()); diff != "" {
		t.Errorf("Kept(): want each path once, sorted: -want, +got:\n%s", diff)
	}
}

// TestMergeLeavesItsArgumentsAlone: the base is the record, and the live object
// is the request.
func TestMergeLeavesItsArgumentsAlone(t *testing.T) {
	build := func() (base, ours, live object) {
		return object{"o": object{"a": "1"}, "users": list{object{"name": "u", "x": "1"}}},
			object{"o": object{"a": "2"}, "users": list{object{"name": "u", "x": "2"}}},
			object{"o": object{"a": "9"}, "users": list{object{"name": "u", "x": "9"}}}
	}
	base, ours, live := build()
	m := &Merger{Newly: among(nil), Fixed: among(nil)}
	m.Keep("spec.x")
	m.Merge("spec", base, ours, live)
	wantBase, wantOurs, wantLive := build()
	if diff := cmp.Diff(list{wantBase, wantOurs, wantLive}, list{base, ours, live}); diff != "" {
		t.Errorf("Merge(...) changed its arguments: -before, +after:\n%s", diff)
	}
}
