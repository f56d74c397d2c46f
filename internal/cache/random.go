package cache

import (
	"io"
	"sync/atomic"
)

// Random is a source of random bytes that can tell whether it was read from. A
// response for which it was is not kept.
type Random struct {
	source io.Reader
	reads  atomic.Uint64
}

// NewRandom returns a Random that reads from source.
func NewRandom(source io.Reader) *Random { return &Random{source: source} }

// Read reads random bytes.
func (r *Random) Read(p []byte) (int, error) {
	r.reads.Add(1)
	return r.source.Read(p)
}

// count returns how often r was read from, 0 for a nil Random.
func (r *Random) count() uint64 {
	if r == nil {
		return 0
	}
	return r.reads.Load()
}
