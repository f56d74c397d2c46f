package node

import (
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
