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
