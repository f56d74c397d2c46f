package cache

import (
	"bytes"
	"cmp"
	"slices"
	"sync"

	"github.com/klauspost/compress/s2"
)

const (
	// dictionaries is how many there are at the most. Each takes about 100 KB.
	dictionaries = 8

	// wellPacked is to what share of its size, one in so many, a dictionary that
	// suits a response packs it.
	wellPacked = 5

	// small responses are not worth a dictionary, in bytes.
	small = 1 << 10
)

// A packer packs responses. Those about two servers differ in little more than
// names, so each is kept as its difference from another one, the dictionary. It
// is safe for use by several goroutines.
type packer struct {
	mu           sync.Mutex
	dictionaries []*dictionary
	scratch      sync.Pool
}

// A dictionary is a response that others are packed with.
type dictionary struct {
	*s2.Dict

	size int
	// users are the responses that are packed with it, and attempts to.
	users int
}

// packed is a response as it is kept.
type packed struct {
	data []byte
	// with is the dictionary, nil for none.
	with *dictionary
}

// size returns the size of the response.
func (p packed) size() (int, error) { return s2.DecodedLen(p.data) }

// unpack returns the response, in dst if its capacity suffices.
func (p packed) unpack(dst []byte) ([]byte, error) {
	if p.with == nil {
		return s2.Decode(dst, p.data)
	}
	return p.with.Decode(dst, p.data)
}

// pack packs a response. Release it once it is not needed any more.
func (p *packer) pack(b []byte) packed {
	if len(b) < small {
		return packed{data: bytes.Clone(s2.Encode(nil, b))}
	}
	scratch, _ := p.scratch.Get().(*[]byte)
	if scratch == nil {
		scratch = &[]byte{}
	}
	defer p.scratch.Put(scratch)
	*scratch = slices.Grow((*scratch)[:0], s2.MaxEncodedLen(len(b)))

	best := packed{}
	for _, d := range p.take(len(b)) {
		if best.with != nil && len(best.data)*wellPacked <= len(b) {
			p.release(packed{with: d})
			continue
		}
		data := d.Encode((*scratch)[:0], b)
		if best.with != nil && len(data) >= len(best.data) {
			p.release(packed{with: d})
			continue
		}
		p.release(best)
		best = packed{data: bytes.Clone(data), with: d}
	}
	if best.with != nil && len(best.data)*wellPacked <= len(b) {
		return best
	}
	if d := p.add(b); d != nil {
		p.release(best)
		return packed{data: bytes.Clone(d.Encode((*scratch)[:0], b)), with: d}
	}
	if best.with == nil {
		best.data = bytes.Clone(s2.Encode((*scratch)[:0], b))
	}
	return best
}

// take returns all dictionaries, the one whose size is closest first: what is of
// the same kind has about the same size. Each is to be released.
func (p *packer) take(size int) []*dictionary {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.dictionaries {
		d.users++
	}
	return slices.SortedFunc(slices.Values(p.dictionaries), func(a, b *dictionary) int {
		return cmp.Compare(max(a.size-size, size-a.size), max(b.size-size, size-b.size))
	})
}

// add makes a response a dictionary. It returns nil if there are enough of them
// that are used.
func (p *packer) add(b []byte) *dictionary {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dictionaries = slices.DeleteFunc(p.dictionaries, func(d *dictionary) bool {
		return d.users == 0 && len(p.dictionaries) == dictionaries
	})
	if len(p.dictionaries) == dictionaries {
		return nil
	}
	d := &dictionary{Dict: s2.MakeDict(bytes.Clone(b[max(0, len(b)-s2.MaxDictSize):]), nil), size: len(b), users: 1}
	p.dictionaries = append(p.dictionaries, d)
	return d
}

func (p *packer) release(r packed) {
	if r.with == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r.with.users--
}
