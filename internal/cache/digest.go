package cache

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A digest stands for the content of an encoded message. Its two halves are
// hashes under different random keys, which nobody outside of the process
// knows: two different contents do not share a digest, neither by chance nor by
// design.
type digest struct{ a, b uint64 }

func (d digest) plus(o digest) digest { return digest{d.a + o.a, d.b + o.b} }

// A shape is what a digester needs to know about a message type: by field number,
// which fields are messages, and which of them are maps.
type shape struct {
	// fields begins with a scalar, since there is no field 0.
	fields []field
}

type field struct {
	// message is the shape of a message or of a map's entries, nil for a scalar.
	message *shape
	isMap   bool
	// ignored is a string that is no part of the content.
	ignored bool
}

// field returns what there is to know of a field, that it is a scalar if it is
// not known.
func (s *shape) field(n protowire.Number) *field {
	if int(n) < len(s.fields) {
		return &s.fields[n]
	}
	return &s.fields[0]
}

// shapeOf returns the shape of a message type. The field named ignored, a
// string, is no part of the content.
func shapeOf(d protoreflect.MessageDescriptor, ignored protoreflect.FullName, known map[protoreflect.FullName]*shape) *shape {
	if s, ok := known[d.FullName()]; ok {
		return s
	}
	s := &shape{fields: make([]field, 1)}
	known[d.FullName()] = s
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		f := field{isMap: fd.IsMap(), ignored: fd.FullName() == ignored}
		if fd.Kind() == protoreflect.MessageKind {
			f.message = shapeOf(fd.Message(), ignored, known)
		}
		for len(s.fields) <= int(fd.Number()) {
			s.fields = append(s.fields, field{})
		}
		s.fields[fd.Number()] = f
	}
	return s
}

// A hasher computes digests of messages of one type.
type hasher struct {
	shape        *shape
	seedA, seedB maphash.Seed
	// flat tells the digest of an entry as it is encoded from that of the
	// canonical form of another.
	flat    digest
	walkers sync.Pool
}

func newHasher(d protoreflect.MessageDescriptor, ignored protoreflect.FullName) *hasher {
	h := &hasher{
		shape: shapeOf(d, ignored, map[protoreflect.FullName]*shape{}),
		seedA: maphash.MakeSeed(),
		seedB: maphash.MakeSeed(),
	}
	h.flat = h.hash([]byte("flat"))
	h.walkers.New = func() any { return &walker{hasher: h} }
	return h
}

func (h *hasher) hash(b []byte) digest {
	return digest{maphash.Bytes(h.seedA, b), maphash.Bytes(h.seedB, b)}
}

// digest returns the digest of an encoded message, and the value of the ignored
// field. It reports false if the message cannot be read.
//
// Messages of the same digest decode to the same message, but for the ignored
// field, if unique holds for one of them. The converse is not so: what no
// encoder of Go does, such as splitting a message into two that merge, gives
// another digest.
func (h *hasher) digest(b []byte) (d digest, ignored []byte, ok bool) {
	w := h.walker(false)
	defer h.walkers.Put(w)
	if !w.message(b, h.shape, 0) {
		return digest{}, nil, false
	}
	return h.hash(w.buf), w.ignored, true
}

// unique reports whether no map in an encoded message has a key twice. Of two
// entries of one key the later counts, and a digest knows of no order.
//
// It is enough to ask this of one of two messages that have the same digest,
// since then the entries of their maps are the same.
func (h *hasher) unique(b []byte) bool {
	w := h.walker(true)
	defer h.walkers.Put(w)
	return w.message(b, h.shape, 0)
}

func (h *hasher) walker(unique bool) *walker {
	w, _ := h.walkers.Get().(*walker)
	w.unique = unique
	w.buf, w.keys, w.ignored = w.buf[:0], w.keys[:0], nil
	return w
}

// A walker walks through one encoded message, and writes its canonical form:
// the bytes of its fields in the order in which they come, except that
//
//   - instead of its length, a message has a mark at its end,
//   - the entries of maps are taken out, and instead of them the sum of their
//     digests follows that mark, so that their order makes no difference,
//   - the ignored field is left out.
//
// The digest of an entry is that of its canonical form. One without messages
// inside, as most are, is digested as it is encoded.
//
// The canonical form says all that the encoded one does: a mark is no field
// (there is no field 0), so a reader who knows the type could tell every part.
// That makes it as good as the message to compare by.
type walker struct {
	*hasher

	buf     []byte
	ignored []byte

	unique bool
	keys   []uint64
}

// Marks of the end of a message.
const (
	endOfMessage         = 0
	endOfMessageWithMaps = 1
)

// message appends the canonical form of an encoded message to the buffer. It
// reports whether the message can be read.
func (w *walker) message(b []byte, s *shape, depth int) bool {
	// As deep as protobuf decodes.
	if depth > protowire.DefaultRecursionLimit {
		return false
	}
	var sum digest
	maps, firstKey := false, len(w.keys)
	for len(b) > 0 {
		// What takes one byte is read here, as protowire's functions are not
		// inlined. They read the rest.
		num, typ, n := protowire.Number(b[0]>>3), protowire.Type(b[0]&7), 1
		if num == 0 || b[0] >= 0x80 {
			if num, typ, n = protowire.ConsumeTag(b); n < 0 {
				return false
			}
		}
		f := s.field(num)
		// A known field of another wire type is an unknown field.
		if typ != protowire.BytesType {
			m := protowire.ConsumeFieldValue(num, typ, b[n:])
			if m < 0 {
				return false
			}
			w.buf = append(w.buf, b[:n+m]...)
			b = b[n+m:]
			continue
		}
		var v []byte
		m := 0
		if n < len(b) && b[n] < 0x80 && int(b[n]) < len(b)-n {
			m = 1 + int(b[n])
			v = b[n+1 : n+m]
		} else if v, m = protowire.ConsumeBytes(b[n:]); m < 0 {
			return false
		}
		switch {
		case f.ignored:
			w.ignored = v
		case f.isMap:
			if w.unique && !w.note(num, v) {
				return false
			}
			maps = true
			if flat(v, f.message) {
				d := w.hash(b[:n+m])
				sum = sum.plus(digest{d.a ^ w.flat.a, d.b ^ w.flat.b})
				break
			}
			start := len(w.buf)
			w.buf = append(w.buf, b[:n]...)
			if !w.message(v, f.message, depth+1) {
				return false
			}
			sum = sum.plus(w.hash(w.buf[start:]))
			w.buf = w.buf[:start]
		case f.message == nil:
			w.buf = append(w.buf, b[:n+m]...)
		default:
			w.buf = append(w.buf, b[:n]...)
			if !w.message(v, f.message, depth+1) {
				return false
			}
		}
		b = b[n+m:]
	}
	if !maps {
		w.buf = append(w.buf, endOfMessage)
		return true
	}
	w.buf = append(w.buf, endOfMessageWithMaps)
	w.buf = binary.LittleEndian.AppendUint64(w.buf, sum.a)
	w.buf = binary.LittleEndian.AppendUint64(w.buf, sum.b)
	return !w.unique || w.noneTwice(firstKey)
}

// note notes the key of an entry of a map, which has a number. It reports false
// if the entry has an odd form.
func (w *walker) note(num protowire.Number, entry []byte) bool {
	key, ok := entryKey(entry)
	if !ok {
		return false
	}
	// That two keys share a hash is unlikely, and then the message is only taken
	// for one that has a key twice.
	w.keys = append(w.keys, maphash.Bytes(w.seedA, key)^uint64(num)) //nolint:gosec // Numbers are positive.
	return true
}

// flat reports whether an entry is a key and then a value that is one scalar or
// one empty message, so that there are no maps in it. It does not know those in
// which a length takes more than one byte.
func flat(b []byte, s *shape) bool {
	const key, value = 1<<3 | byte(protowire.BytesType), 2<<3 | byte(protowire.BytesType)
	if len(b) < 4 || b[0] != key || b[1] >= 0x80 {
		return false
	}
	b = b[1:]
	rest := len(b) - int(b[0]) - 1
	if rest < 2 {
		return false
	}
	b = b[len(b)-rest:]
	if b[0] != value || b[1] >= 0x80 || int(b[1]) != rest-2 {
		return false
	}
	v, message := b[2:], s.field(2).message
	if message == nil {
		return true
	}
	if len(v) < 2 || v[0] < 8 || v[0] >= 0x80 {
		return false
	}
	switch protowire.Type(v[0] & 7) {
	case protowire.VarintType:
		return len(v) == 2 && v[1] < 0x80
	case protowire.Fixed64Type:
		return len(v) == 9
	case protowire.BytesType:
		f := message.field(protowire.Number(v[0] >> 3))
		return int(v[1]) == len(v)-2 && v[1] < 0x80 && !f.ignored && (f.message == nil || v[1] == 0)
	}
	return false
}

// entryKey returns the key of an entry as encoders write it: a key, which is a
// string, and then a value. It reports false for any other.
func entryKey(b []byte) ([]byte, bool) {
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 || num != 1 || typ != protowire.BytesType {
		return nil, false
	}
	key, m := protowire.ConsumeBytes(b[n:])
	if m < 0 {
		return nil, false
	}
	b = b[n+m:]
	num, typ, n = protowire.ConsumeTag(b)
	if n < 0 || num != 2 || protowire.ConsumeFieldValue(num, typ, b[n:]) != len(b)-n {
		return nil, false
	}
	return key, true
}

// noneTwice reports whether the keys from first on differ, and forgets them.
func (w *walker) noneTwice(first int) bool {
	keys := w.keys[first:]
	slices.Sort(keys)
	for i := 1; i < len(keys); i++ {
		if keys[i] == keys[i-1] {
			return false
		}
	}
	w.keys = w.keys[:first]
	return true
}
