package checksum

import (
	"strings"
	"testing"
)

func TestOf(t *testing.T) {
	type args struct {
		salt  string
		parts [][]byte
	}
	base := args{salt: "ns/a", parts: [][]byte{[]byte("user"), []byte("word")}}

	cases := map[string]struct {
		reason string
		other  args
		same   bool
	}{
		"Same": {
			reason: "the same parts have the same checksum",
			other:  args{salt: "ns/a", parts: [][]byte{[]byte("user"), []byte("word")}},
			same:   true,
		},
		"OtherServer": {
			reason: "equal passwords of two servers differ",
			other:  args{salt: "ns/b", parts: [][]byte{[]byte("user"), []byte("word")}},
		},
		"OtherPart": {
			reason: "a change of a part is seen",
			other:  args{salt: "ns/a", parts: [][]byte{[]byte("user"), []byte("work")}},
		},
		"OtherBorder": {
			reason: "what moves from one part to the next is a change",
			other:  args{salt: "ns/a", parts: [][]byte{[]byte("userw"), []byte("ord")}},
		},
		"SaltIsNoPart": {
			reason: "what moves from the salt to the first part is a change",
			other:  args{salt: "ns/au", parts: [][]byte{[]byte("ser"), []byte("word")}},
		},
		"MissingPart": {
			reason: "a part that goes is a change",
			other:  args{salt: "ns/a", parts: [][]byte{[]byte("user")}},
		},
		"OtherOrder": {
			reason: "the order of the parts matters",
			other:  args{salt: "ns/a", parts: [][]byte{[]byte("word"), []byte("user")}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := Of(base.salt, base.parts...) == Of(tc.other.salt, tc.other.parts...)
			if got != tc.same {
				t.Errorf("%s: want the same checksum: %t, got %t", tc.reason, tc.same, got)
			}
		})
	}
}

// TestFrozen: another algorithm would restart every server there is.
func TestFrozen(t *testing.T) {
	if got, want := Of("default/files", []byte("a"), nil, []byte("bc")), "3329a020443b0bd6"; got != want {
		t.Errorf("Of(...): want %s, got %s", want, got)
	}
}

func TestHidesWhatItIsOf(t *testing.T) {
	got := Of("ns/a", []byte("password"))
	if len(got) != 16 || strings.Contains(got, "password") {
		t.Errorf("Of(...): want 64 bits in hexadecimal, got %q", got)
	}
}

// TestKeyed: nobody without the key can test a guess, and a checksum of another
// key is known as one.
func TestKeyed(t *testing.T) {
	key, parts := []byte("key"), [][]byte{[]byte("user"), []byte("word")}
	base := Keyed(key, parts...)

	cases := map[string]struct {
		reason  string
		key     []byte
		parts   [][]byte
		same    bool
		keyedBy bool
	}{
		"Same":        {reason: "the same parts under the same key have the same checksum", key: key, parts: parts, same: true, keyedBy: true},
		"OtherKey":    {reason: "another key makes another checksum", key: []byte("KEY"), parts: parts},
		"OtherPart":   {reason: "a change of a part is seen", key: key, parts: [][]byte{[]byte("user"), []byte("work")}, keyedBy: true},
		"OtherBorder": {reason: "what moves from one part to the next is a change", key: key, parts: [][]byte{[]byte("userw"), []byte("ord")}, keyedBy: true},
		"MissingPart": {reason: "a part that goes is a change", key: key, parts: parts[:1], keyedBy: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := Keyed(tc.key, tc.parts...)
			if same := got == base; same != tc.same {
				t.Errorf("%s: want the same checksum: %t, got %s and %s", tc.reason, tc.same, base, got)
			}
			if by := KeyedBy(key, got); by != tc.keyedBy {
				t.Errorf("%s\nKeyedBy(...): want %t, got %t", tc.reason, tc.keyedBy, by)
			}
		})
	}

	for _, plain := range []string{"", Of("ns/a", parts...), "0123456789abcdef"} {
		if KeyedBy(key, plain) {
			t.Errorf("KeyedBy(%q): want false for a checksum without a key", plain)
		}
	}
	// The name of the key must not be the beginning of anything that depends on the
	// parts, and the checksum must be no public one.
	if strings.Contains(base, Of("", parts...)) {
		t.Errorf("Keyed(...): want nothing in it that can be made without the key, got %s", base)
	}
}

// TestKeyedIsFrozen: another algorithm would restart every server whose checksums
// are keyed.
func TestKeyedIsFrozen(t *testing.T) {
	if got, want := Keyed([]byte("key"), []byte("a"), nil, []byte("bc")), "2b88ef4c-4827ffa5f5c2f26f"; got != want {
		t.Errorf("Keyed(...): want %s, got %s", want, got)
	}
}
