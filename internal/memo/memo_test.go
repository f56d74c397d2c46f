package memo

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestDo(t *testing.T) {
	type object struct {
		Size   resource.Quantity
		Labels map[string]string
	}
	text := func(s string) *structpb.Value { return structpb.NewStringValue(s) }
	gi := object{Size: resource.MustParse("1Gi")}

	cases := map[string]struct {
		reason        string
		first, second []any
		again         bool
	}{
		"Strings":         {"equal inputs are remembered", []any{"a", "b"}, []any{"a", "b"}, false},
		"OtherString":     {"other inputs are not", []any{"a"}, []any{"b"}, true},
		"More":            {"nor are more of them", []any{"a"}, []any{"a", "a"}, true},
		"Messages":        {"a message is decoded anew in each request", []any{text("a")}, []any{text("a")}, false},
		"OtherMessage":    {"and compared by what it says", []any{text("a")}, []any{text("b")}, true},
		"Pointers":        {"what is behind a pointer counts", []any{&object{Labels: map[string]string{"a": "b"}}}, []any{&object{Labels: map[string]string{"a": "b"}}}, false},
		"SameQuantity":    {"a quantity is remembered as it was written", []any{&gi}, []any{&object{Size: resource.MustParse("1Gi")}}, false},
		"OtherWayToWrite": {"another way to write a quantity makes other bytes", []any{gi}, []any{object{Size: resource.MustParse("1073741824")}}, true},
		"NilAndEmpty":     {"so do nil and empty", []any{object{}}, []any{object{Labels: map[string]string{}}}, true},
		"OtherType":       {"another type is another input", []any{"1"}, []any{1}, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := New()
			calls := 0
			build := func() (int, error) { calls++; return calls, nil }
			_, _ = Do(c, "key", tc.first, build)
			got, err := Do(c, "key", tc.second, build)
			if err != nil {
				t.Fatal(err)
			}
			if again := calls == 2; again != tc.again || again != (got == 2) {
				t.Errorf("%s: built again: want %t, got %t", tc.reason, tc.again, again)
			}
		})
	}
}

func TestDoRemembersNoErrors(t *testing.T) {
	c := New()
	broken := errors.New("broken")
	if _, err := Do(c, "key", nil, func() (int, error) { return 0, broken }); !errors.Is(err, broken) {
		t.Fatalf("want the error of the build, got %v", err)
	}
	if got, err := Do(c, "key", nil, func() (int, error) { return 7, nil }); got != 7 || err != nil {
		t.Errorf("want another try after an error, got %d, %v", got, err)
	}
}

func TestDoKeepsKeysAndTypesApart(t *testing.T) {
	c := New()
	_, _ = Do(c, "a", nil, func() (int, error) { return 1, nil })
	if got, _ := Do(c, "b", nil, func() (int, error) { return 2, nil }); got != 2 {
		t.Errorf("another key: want 2, got %d", got)
	}
	if got, _ := Do(c, "a", nil, func() (string, error) { return "x", nil }); got != "x" {
		t.Errorf("another type under a key: want x, got %q", got)
	}
}

func TestNoCache(t *testing.T) {
	calls := 0
	for range 2 {
		_, _ = Do(nil, "key", nil, func() (int, error) { calls++; return calls, nil })
	}
	if calls != 2 {
		t.Errorf("a nil Cache remembers nothing: want 2 calls, got %d", calls)
	}
}
