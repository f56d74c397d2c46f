// Package validity carries the moment until which a response holds from the
// function that makes it to whoever keeps it. Most responses follow from their
// request alone and hold for as long as the request stays the same; a function
// whose response also depends on the clock states when it would change.
package validity

import (
	"context"
	"sync"
	"time"
)

// A Deadline is the moment until which a response holds.
type Deadline struct {
	mu sync.Mutex
	t  time.Time
}

type key struct{}

// With returns a context in which Until has an effect, and the Deadline that it
// sets.
func With(ctx context.Context) (context.Context, *Deadline) {
	d := &Deadline{}
	return context.WithValue(ctx, key{}, d), d
}

// Until states that the response being made in ctx may be a different one from
// t on, even if its request is the same. The earliest of several moments counts.
// Without a Deadline in ctx it does nothing.
func Until(ctx context.Context, t time.Time) {
	d, ok := ctx.Value(key{}).(*Deadline)
	if !ok {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.t.IsZero() || t.Before(d.t) {
		d.t = t
	}
}

// Time returns the earliest moment stated so far, or the zero time if there is
// none.
func (d *Deadline) Time() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.t
}
