// Package doubles has what tests give a Function in place of a random source and
// a logger.
package doubles

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"

	"github.com/crossplane/crossplane-runtime/v2/pkg/logging"
)

// A Source is a stream of bytes that look random, and is the same each time it is
// set to the same seed.
type Source struct {
	Seed uint64
	// N is the number of bytes that have been read.
	N uint64
}

func (s *Source) Read(p []byte) (int, error) {
	for i := range p {
		h := fnv.New64a()
		var b [16]byte
		binary.LittleEndian.PutUint64(b[:], s.Seed)
		binary.LittleEndian.PutUint64(b[8:], s.N)
		_, _ = h.Write(b[:])
		p[i] = byte(h.Sum64() >> 24)
		s.N++
	}
	return len(p), nil
}

// A Log is a logger that keeps all that it is told.
type Log struct {
	mu   sync.Mutex
	b    strings.Builder
	more []any
	to   *Log
}

var _ logging.Logger = &Log{}

func (l *Log) write(msg string, kv []any) {
	to := l.root()
	to.mu.Lock()
	defer to.mu.Unlock()
	_, _ = fmt.Fprintln(&to.b, append(append([]any{msg}, l.more...), kv...)...)
}

func (l *Log) root() *Log {
	if l.to != nil {
		return l.to
	}
	return l
}

// Info keeps a message.
func (l *Log) Info(msg string, kv ...any) { l.write(msg, kv) }

// Debug keeps a message.
func (l *Log) Debug(msg string, kv ...any) { l.write(msg, kv) }

// WithValues returns a logger that writes to this one.
func (l *Log) WithValues(kv ...any) logging.Logger {
	return &Log{more: append(slices.Clone(l.more), kv...), to: l.root()}
}

// Take returns everything logged since the last time.
func (l *Log) Take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}
