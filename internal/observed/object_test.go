package observed

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

func TestObject(t *testing.T) {
	o := Object{s: yamltest.Struct(t, `
s: text
b: true
num: 7.9
huge: 1e300
nothing: null
m: {k: v, l: [{name: a, x: "1"}, text, {name: b, x: "2"}, 3]}
metadata: {name: files, namespace: ns, labels: {l: "1"}, annotations: {a: "2"}, creationTimestamp: "2026-01-01T00:00:00Z"}
data: {full: c2VjcmV0, empty: "", broken: "%%"}
`)}
	type read struct {
		String  string
		Bool    bool
		Int     int64
		Has     bool
		List    int
		Strings []string
		Map     map[string]any
	}
	at := func(path ...string) read {
		return read{o.String(path...), o.Bool(path...), o.Int(path...), o.Has(path...), len(o.List(path...)), o.Strings(path...), o.Map(path...)}
	}
	none := read{Strings: []string{}}

	cases := map[string]struct {
		reason string
		path   []string
		want   read
	}{
		"String":      {reason: "a string", path: []string{"s"}, want: read{String: "text", Has: true, Strings: []string{}}},
		"Bool":        {reason: "a boolean", path: []string{"b"}, want: read{Bool: true, Has: true, Strings: []string{}}},
		"Int":         {reason: "a number without its fraction", path: []string{"num"}, want: read{Int: 7, Has: true, Strings: []string{}}},
		"Huge":        {reason: "a number that is no integer", path: []string{"huge"}, want: read{Has: true, Strings: []string{}}},
		"Null":        {reason: "null is as if it were not there", path: []string{"nothing"}, want: none},
		"Nothing":     {reason: "nothing lies at the path", path: []string{"x", "y"}, want: none},
		"BelowAValue": {reason: "nothing lies below a value", path: []string{"s", "y"}, want: none},
		"List":        {reason: "the objects and the strings of a list", path: []string{"m", "l"}, want: read{Has: true, List: 2, Strings: []string{"text"}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, at(tc.path...)); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}

	if got := o.Named("b", "m", "l").String("x"); got != "2" {
		t.Errorf("Named(b): want the entry of that name, got %q", got)
	}
	if o.Named("c", "m", "l").Exists() {
		t.Error("Named(c): want nothing")
	}
	if diff := cmp.Diff([]string{"files", "ns", "1", "2", "2026-01-01T00:00:00Z"}, []string{o.Name(), o.Namespace(), o.Label("l"), o.Annotation("a"), o.Created()}); diff != "" {
		t.Errorf("metadata: -want, +got:\n%s", diff)
	}
	if v, ok := o.Data("full"); string(v) != "secret" || !ok {
		t.Errorf("Data(full): want the decoded value, got %q, %t", v, ok)
	}
	for _, k := range []string{"empty", "broken", "missing"} {
		if v, ok := o.Data(k); v != nil || ok {
			t.Errorf("Data(%s): want nothing, got %q, %t", k, v, ok)
		}
	}
}

func TestNilObject(t *testing.T) {
	var o Object
	if o.Exists() || o.Has("a") || o.String("a") != "" || o.Map() != nil || len(o.Keys()) != 0 || o.At("a").Exists() || o.Deleting() {
		t.Error("the Object that does not exist: want zero values")
	}
	if _, ok := o.Controller(); ok {
		t.Error("Controller() of what does not exist: want none")
	}
}

func TestNewSecret(t *testing.T) {
	s := NewSecret(map[string][]byte{"k": []byte("v")})
	if v, ok := s.Data("k"); !s.Exists() || !ok || string(v) != "v" {
		t.Errorf("NewSecret(...): want a Secret that reads as one, got %q, %t", v, ok)
	}
}

func TestText(t *testing.T) {
	s := NewSecret(map[string][]byte{
		"text":  []byte("grüße"),
		"bytes": {0xff, 0xfe, 'a'},
		"nul":   []byte("a\x00b"),
		"empty": nil,
	})
	cases := map[string]struct {
		reason string
		key    string
		want   string
		ok     bool
	}{
		"Text":    {reason: "UTF-8 is text", key: "text", want: "grüße", ok: true},
		"Bytes":   {reason: "bytes that are not UTF-8 fit into no message", key: "bytes"},
		"NUL":     {reason: "nor does a NUL byte fit into an environment variable", key: "nul"},
		"Empty":   {reason: "a key that holds nothing is as good as missing", key: "empty"},
		"Missing": {reason: "there is no such key", key: "missing"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got, ok := s.Text(tc.key); got != tc.want || ok != tc.ok {
				t.Errorf("%s\nText(%q): want %q, %t, got %q, %t", tc.reason, tc.key, tc.want, tc.ok, got, ok)
			}
		})
	}
}
