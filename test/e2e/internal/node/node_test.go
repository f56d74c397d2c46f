package node

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

func TestExpand(t *testing.T) {
	env := []string{"A=a", "B=$(A)"}

	cases := map[string]struct {
		reason string
		in     string
		want   string
	}{
		"Known":      {"A variable is replaced by its value.", "x$(A)y", "xay"},
		"Once":       {"What comes out is not expanded again.", "$(B)", "$(A)"},
		"Unknown":    {"What is not known stays as it is.", "$(C) $A", "$(C) $A"},
		"Escaped":    {"Two dollars are one.", "$$(A)", "$(A)"},
		"Unfinished": {"Half of a reference is none.", "$(A", "$(A"},
		"AtTheEnd":   {"A dollar at the end is one.", "a$", "a$"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, expand(tc.in, env)); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	e := &environment{}
	e.set("A", "1")
	e.set("B", "2")
	e.set("A", "3")

	if diff := cmp.Diff([]string{"A=3", "B=2"}, e.list()); diff != "" {
		t.Errorf("The last value wins, in the first one's place.\n-want, +got:\n%s", diff)
	}
}

func TestProject(t *testing.T) {
	data := map[string][]byte{"ca.crt": []byte("ca"), "tls.key": []byte("key")}
	mode := int32(0o400)

	cases := map[string]struct {
		reason   string
		items    []corev1.KeyToPath
		optional bool
		want     map[string]string
		err      string
	}{
		"All":      {reason: "Without items all keys are files.", want: map[string]string{"ca.crt": "-rw-r--r-- ca", "tls.key": "-rw-r--r-- key"}},
		"Items":    {reason: "With items there is nothing else.", items: []corev1.KeyToPath{{Key: "ca.crt", Path: "a/b", Mode: &mode}}, want: map[string]string{"a/b": "-r-------- ca"}},
		"Missing":  {reason: "A key that is missing keeps the pod from starting.", items: []corev1.KeyToPath{{Key: "no", Path: "no"}}, err: "references non-existent secret key: no"},
		"Optional": {reason: "One that may be missing does not.", items: []corev1.KeyToPath{{Key: "no", Path: "no"}}, optional: true, want: map[string]string{}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			files, err := project(data, tc.items, 0o644, tc.optional, "secret")
			said := ""
			if err != nil {
				said = err.Error()
			}
			if diff := cmp.Diff(tc.err, said); diff != "" {
				t.Fatalf("%s\n-want error, +got error:\n%s", tc.reason, diff)
			}
			if err != nil {
				return
			}
			got := map[string]string{}
			for name, f := range files {
				got[name] = f.mode.String() + " " + string(f.data)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// What is mounted looks as from a kubelet, also after it has changed.
func TestPublish(t *testing.T) {
	dir := t.TempDir()
	see := func() map[string]string {
		got := map[string]string{}
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			name, _ := filepath.Rel(dir, path)
			if err != nil || strings.HasPrefix(name, "..files-") || name == "." {
				return err
			}
			got[name], err = os.Readlink(path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(got["..data"], "..files-") {
			got["..data"] = "the files"
		}
		return got
	}
	read := func(name, want string) {
		t.Helper()
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}

	for _, c := range []struct {
		files map[string]file
		want  map[string]string
	}{
		{
			files: map[string]file{"a": {[]byte("one"), 0o644}, "b/c": {[]byte("two"), 0o600}},
			want:  map[string]string{"..data": "the files", "a": "..data/a", "b": "..data/b"},
		},
		{
			files: map[string]file{"a": {[]byte("one"), 0o644}},
			want:  map[string]string{"..data": "the files", "a": "..data/a"},
		},
		{
			files: map[string]file{"a": {[]byte("three"), 0o644}, "d": {[]byte("four"), 0o400}},
			want:  map[string]string{"..data": "the files", "a": "..data/a", "d": "..data/d"},
		},
	} {
		if err := publish(dir, c.files, -1); err != nil {
			t.Fatal(err)
		}
		before, err := os.Readlink(filepath.Join(dir, "..data"))
		if err != nil {
			t.Fatal(err)
		}
		if err := publish(dir, c.files, -1); err != nil {
			t.Fatal(err)
		}
		if after, err := os.Readlink(filepath.Join(dir, "..data")); err != nil || after != before {
			t.Errorf("what has not changed is written again: %s, was %s (%v)", after, before, err)
		}
		if diff := cmp.Diff(c.want, see()); diff != "" {
			t.Errorf("-want, +got:\n%s", diff)
		}
		for name, f := range c.files {
			read(name, string(f.data))
		}
	}
	if l, err := filepath.Glob(filepath.Join(dir, "..files-*")); err != nil || len(l) != 1 {
		t.Errorf("there are the folders %v (%v)", l, err)
	}
}
