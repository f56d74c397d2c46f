package properties

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"

	"github.com/crossplane/crossplane-runtime/v2/pkg/logging"
)

// A source is a stream of bytes that look random, and is the same each time it
// is set to the same seed.
type source struct{ seed, n uint64 }

func (s *source) Read(p []byte) (int, error) {
	for i := range p {
		h := fnv.New64a()
		var b [16]byte
		binary.LittleEndian.PutUint64(b[:], s.seed)
		binary.LittleEndian.PutUint64(b[8:], s.n)
		_, _ = h.Write(b[:])
		p[i] = byte(h.Sum64() >> 24)
		s.n++
	}
	return len(p), nil
}

// captured is a logger that keeps all that it is told.
type captured struct {
	mu   sync.Mutex
	b    strings.Builder
	more []any
	to   *captured
}

func (l *captured) write(msg string, kv []any) {
	to := l
	if l.to != nil {
		to = l.to
	}
	to.mu.Lock()
	defer to.mu.Unlock()
	_, _ = fmt.Fprintln(&to.b, append(append([]any{msg}, l.more...), kv...)...)
}

func (l *captured) Info(msg string, kv ...any)  { l.write(msg, kv) }
func (l *captured) Debug(msg string, kv ...any) { l.write(msg, kv) }

func (l *captured) WithValues(kv ...any) logging.Logger {
	to := l
	if l.to != nil {
		to = l.to
	}
	return &captured{more: append(slices.Clone(l.more), kv...), to: to}
}

// take returns everything logged since the last time.
func (l *captured) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}
