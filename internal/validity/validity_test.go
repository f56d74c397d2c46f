package validity

import (
	"context"
	"testing"
	"time"
)

func TestUntil(t *testing.T) {
	soon := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	late := soon.Add(time.Hour)

	cases := map[string]struct {
		reason string
		stated []time.Time
		want   time.Time
	}{
		"None":     {"A response without a deadline holds for as long as its request stays the same.", nil, time.Time{}},
		"One":      {"The moment that was stated counts.", []time.Time{late}, late},
		"Earliest": {"Of several moments the earliest counts, whatever their order.", []time.Time{late, soon, late}, soon},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			ctx, d := With(t.Context())
			for _, s := range tc.stated {
				Until(ctx, s)
			}
			if got := d.Time(); !got.Equal(tc.want) {
				t.Errorf("%s\ngot %v, want %v", tc.reason, got, tc.want)
			}
		})
	}

	// Nobody keeps the response: nothing to tell.
	Until(context.Background(), soon)
}
