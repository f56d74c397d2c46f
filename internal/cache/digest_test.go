package cache

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	fnv1beta1 "github.com/crossplane/function-sdk-go/proto/v1beta1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
)

const tagField = "apiextensions.fn.proto.v1.RequestMeta.tag"

func requestHasher() *hasher {
	return newHasher((&fnv1.RunFunctionRequest{}).ProtoReflect().Descriptor(), tagField)
}

func encode(tb testing.TB, m proto.Message) []byte {
	tb.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// fill sets random fields of a message to random values.
func fill(r *rand.Rand, m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		isMessage := fd.Kind() == protoreflect.MessageKind
		if r.IntN(4) == 0 || depth == 0 && isMessage {
			continue
		}
		switch {
		case fd.IsMap():
			for range r.IntN(5) {
				v := m.Mutable(fd).Map().NewValue()
				if fd.MapValue().Kind() == protoreflect.MessageKind {
					fill(r, v.Message(), depth-1)
				} else {
					v = scalar(r, fd.MapValue())
				}
				m.Mutable(fd).Map().Set(scalar(r, fd.MapKey()).MapKey(), v)
			}
		case fd.IsList():
			for range r.IntN(4) {
				v := m.Mutable(fd).List().NewElement()
				if isMessage {
					fill(r, v.Message(), depth-1)
				} else {
					v = scalar(r, fd)
				}
				m.Mutable(fd).List().Append(v)
			}
		case isMessage:
			fill(r, m.Mutable(fd).Message(), depth-1)
		default:
			m.Set(fd, scalar(r, fd))
		}
	}
}

func scalar(r *rand.Rand, fd protoreflect.FieldDescriptor) protoreflect.Value {
	text := strings.Repeat(string(rune('a'+r.IntN(26))), r.IntN(40))
	switch fd.Kind() { //nolint:exhaustive // Those of requests.
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(text)
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(text))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(r.IntN(2) == 0)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(float64(r.IntN(1000)) / 8)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(r.IntN(fd.Enum().Values().Len())))
	}
	panic("no values of kind " + fd.Kind().String())
}

// A leaf is something of a message that can be changed, and its path.
type leaf struct {
	path   string
	change func()
}

// leaves returns everything of a message that can be changed by itself.
func leaves(m protoreflect.Message, path string) []leaf {
	var out []leaf
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		at := path + "." + string(fd.Name())
		if fd.FullName() == tagField {
			return true
		}
		out = append(out, leaf{at + " cleared", func() { m.Clear(fd) }})
		switch {
		case fd.IsMap():
			v.Map().Range(func(k protoreflect.MapKey, e protoreflect.Value) bool {
				out = append(out, leaf{at + " without " + k.String(), func() { v.Map().Clear(k) }})
				out = append(out, leaf{at + " renamed " + k.String(), func() {
					v.Map().Clear(k)
					v.Map().Set(protoreflect.ValueOfString(k.String()+"'").MapKey(), e)
				}})
				if fd.MapValue().Kind() == protoreflect.MessageKind {
					out = append(out, leaves(e.Message(), at+"."+k.String())...)
				} else {
					out = append(out, leaf{at + "." + k.String(), func() { v.Map().Set(k, other(fd.MapValue(), e)) }})
				}
				return true
			})
		case fd.IsList():
			l := v.List()
			for i := range l.Len() {
				if fd.Kind() == protoreflect.MessageKind {
					out = append(out, leaves(l.Get(i).Message(), fmt.Sprintf("%s[%d]", at, i))...)
				} else {
					out = append(out, leaf{fmt.Sprintf("%s[%d]", at, i), func() { l.Set(i, other(fd, l.Get(i))) }})
				}
			}
		case fd.Kind() == protoreflect.MessageKind:
			out = append(out, leaves(v.Message(), at)...)
		default:
			out = append(out, leaf{at, func() { m.Set(fd, other(fd, v)) }})
		}
		return true
	})
	return out
}

// other returns another value than v.
func other(fd protoreflect.FieldDescriptor, v protoreflect.Value) protoreflect.Value {
	switch fd.Kind() { //nolint:exhaustive // Those of requests.
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(v.String() + "x")
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(append([]byte("x"), v.Bytes()...))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(!v.Bool())
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(v.Float() + 0.5)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(v.Enum() + 1)
	}
	panic("no other value of kind " + fd.Kind().String())
}

// shuffle shuffles the entries of all maps of an encoded message among each
// other, as an encoder may, and leaves alone what it cannot read.
func shuffle(r *rand.Rand, b []byte, s *shape) []byte {
	type part struct {
		num protowire.Number
		b   []byte
	}
	var parts []part
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			break
		}
		m := protowire.ConsumeFieldValue(num, typ, b[n:])
		if m < 0 {
			break
		}
		p := b[:n+m]
		if f := s.field(num); f.message != nil && typ == protowire.BytesType {
			v, _ := protowire.ConsumeBytes(b[n:])
			p = protowire.AppendBytes(append([]byte{}, b[:n]...), shuffle(r, v, f.message))
		}
		parts = append(parts, part{num, p})
		b = b[n+m:]
	}
	byField := map[protowire.Number][]int{}
	for i, p := range parts {
		if s.field(p.num).isMap {
			byField[p.num] = append(byField[p.num], i)
		}
	}
	for _, is := range byField {
		r.Shuffle(len(is), func(i, j int) { parts[is[i]], parts[is[j]] = parts[is[j]], parts[is[i]] })
	}
	var out []byte
	for _, p := range parts {
		out = append(out, p.b...)
	}
	return append(out, b...)
}

func TestDigestOfRandomRequests(t *testing.T) {
	h := requestHasher()
	changed, reordered := 0, 0
	for seed := range uint64(25) {
		r := rand.New(rand.NewPCG(seed, 0))
		req := &fnv1.RunFunctionRequest{}
		fill(r, req.ProtoReflect(), 6)
		if req.GetMeta() == nil {
			req.Meta = &fnv1.RequestMeta{}
		}
		wire := encode(t, req)
		want, tag, ok := h.digest(wire)
		if !ok || string(tag) != req.GetMeta().GetTag() || !h.unique(wire) {
			t.Fatalf("seed %d: got tag %q and ok %t, unique %t, want %q", seed, tag, ok, h.unique(wire), req.GetMeta().GetTag())
		}

		for range 5 {
			again := shuffle(r, encode(t, req), h.shape)
			if string(again) != string(wire) {
				reordered++
			}
			if got, _, _ := h.digest(again); got != want {
				t.Errorf("seed %d: another order of map entries makes another digest", seed)
			}
		}
		retagged := proto.CloneOf(req)
		retagged.Meta.Tag = "another tag, of another length"
		if got, tag, _ := h.digest(encode(t, retagged)); got != want || string(tag) != retagged.GetMeta().GetTag() {
			t.Errorf("seed %d: another tag makes another digest, or is not returned: %q", seed, tag)
		}

		for i := range leaves(proto.CloneOf(req).ProtoReflect(), "") {
			c := proto.CloneOf(req)
			ls := leaves(c.ProtoReflect(), "")
			// They come in random order.
			slices.SortFunc(ls, func(a, b leaf) int { return strings.Compare(a.path, b.path) })
			l := ls[i]
			l.change()
			if proto.Equal(c, req) {
				continue
			}
			changed++
			if got, _, ok := h.digest(encode(t, c)); !ok || got == want {
				t.Errorf("seed %d: %s: a changed request has the same digest as the one unchanged", seed, l.path)
			}
		}
	}
	if changed < 1000 || reordered < 100 {
		t.Errorf("only %d changes and %d orders were tried", changed, reordered)
	}
}

// TestDigestTellsApart holds pairs of requests whose encoded forms have much in
// common.
func TestDigestTellsApart(t *testing.T) {
	str := structpb.NewStringValue
	object := func(kv ...any) *structpb.Value {
		s := &structpb.Struct{Fields: map[string]*structpb.Value{}}
		for i := 0; i < len(kv); i += 2 {
			s.Fields[kv[i].(string)] = kv[i+1].(*structpb.Value)
		}
		return structpb.NewStructValue(s)
	}
	list := func(vs ...*structpb.Value) *structpb.Value {
		return structpb.NewListValue(&structpb.ListValue{Values: vs})
	}
	input := func(v *structpb.Value) *fnv1.RunFunctionRequest {
		return &fnv1.RunFunctionRequest{Input: v.GetStructValue()}
	}
	resources := func(items ...*fnv1.Resource) map[string]*fnv1.Resources {
		return map[string]*fnv1.Resources{"a": {Items: items}}
	}

	cases := map[string]struct {
		reason string
		a, b   *fnv1.RunFunctionRequest
	}{
		"EmptyAndAbsent":    {"An empty message is there.", &fnv1.RunFunctionRequest{}, &fnv1.RunFunctionRequest{Input: &structpb.Struct{}}},
		"MetaAndNone":       {"A meta with nothing but a tag is there.", &fnv1.RunFunctionRequest{}, &fnv1.RunFunctionRequest{Meta: &fnv1.RequestMeta{Tag: "t"}}},
		"NullAndAbsent":     {"A null is there.", input(object()), input(object("a", structpb.NewNullValue()))},
		"EmptyKinds":        {"An empty list is no empty object.", input(object("a", list())), input(object("a", object()))},
		"KeyAndValue":       {"Where a key ends counts.", input(object("ab", str("c"))), input(object("a", str("bc")))},
		"SwappedValues":     {"Which key has which value counts.", input(object("a", str("1"), "b", str("2"))), input(object("a", str("2"), "b", str("1")))},
		"SwappedObjects":    {"Which object has which entry counts.", input(object("a", object("x", str("1")), "b", object())), input(object("a", object(), "b", object("x", str("1"))))},
		"Depth":             {"How deep an entry is counts.", input(object("a", object("a", str("1")))), input(object("a", str("1")))},
		"OrderOfItems":      {"The order of a list counts.", input(object("a", list(object("x", str("1")), object("x", str("2"))))), input(object("a", list(object("x", str("2")), object("x", str("1")))))},
		"ListsOfLists":      {"Which list an item is in counts.", input(object("a", list(list(str("1")), list()))), input(object("a", list(list(), list(str("1")))))},
		"EndOfList":         {"Where a list ends counts.", input(object("a", list(list(str("1")), str("2")))), input(object("a", list(list(str("1"), str("2")))))},
		"FlatMapsOfOneType": {"Which map an entry without maps inside is in counts.", &fnv1.RunFunctionRequest{ExtraResources: resources(&fnv1.Resource{})}, &fnv1.RunFunctionRequest{RequiredResources: resources(&fnv1.Resource{})}},
		"TextAndNumber":     {"A number is no text.", input(object("a", str("1"))), input(object("a", structpb.NewNumberValue(1)))},
		"FieldsOfOneType":   {"Which field a value is in counts.", &fnv1.RunFunctionRequest{Input: object("a", str("1")).GetStructValue()}, &fnv1.RunFunctionRequest{Context: object("a", str("1")).GetStructValue()}},
		"MapsOfOneType":     {"Which map an entry is in counts.", &fnv1.RunFunctionRequest{ExtraResources: resources()}, &fnv1.RunFunctionRequest{RequiredResources: resources()}},
		"NoItemsAndOne":     {"An object without content is there.", &fnv1.RunFunctionRequest{RequiredResources: resources()}, &fnv1.RunFunctionRequest{RequiredResources: resources(&fnv1.Resource{})}},
		"Capabilities":      {"Capabilities count.", &fnv1.RunFunctionRequest{Meta: &fnv1.RequestMeta{}}, &fnv1.RunFunctionRequest{Meta: &fnv1.RequestMeta{Capabilities: []fnv1.Capability{fnv1.Capability_CAPABILITY_CONDITIONS}}}},
		"ObservedOrDesired": {"The desired state is not the observed one.", &fnv1.RunFunctionRequest{Observed: &fnv1.State{Composite: &fnv1.Resource{}}}, &fnv1.RunFunctionRequest{Desired: &fnv1.State{Composite: &fnv1.Resource{}}}},
		"SameEntries": {
			"Two maps of the same entries do not cancel out.",
			input(object("a", object("x", str("1")), "b", object("x", str("1")))),
			input(object("a", object("x", str("2")), "b", object("x", str("2")))),
		},
	}
	h := requestHasher()
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			a, _, okA := h.digest(encode(t, tc.a))
			b, _, okB := h.digest(encode(t, tc.b))
			if !okA || !okB || a == b {
				t.Errorf("%s\ngot digests %v (%t) and %v (%t), want two", tc.reason, a, okA, b, okB)
			}
		})
	}
}

func bytesField(num protowire.Number, b ...[]byte) []byte {
	var all []byte
	for _, p := range b {
		all = append(all, p...)
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), all)
}

func concat(bs ...[]byte) []byte {
	var out []byte
	for _, b := range bs {
		out = append(out, b...)
	}
	return out
}

// inputEntry is an entry of a Struct, of a text.
func inputEntry(key, value string) []byte {
	return bytesField(1, bytesField(1, []byte(key)), bytesField(2, bytesField(3, []byte(value))))
}

// TestDigestOfOddEncodings is about what encoders of Go do not write.
func TestDigestOfOddEncodings(t *testing.T) {
	h := requestHasher()
	a1, a2, b1 := inputEntry("a", "1"), inputEntry("a", "2"), inputEntry("b", "1")
	deep := []byte{}
	for range protowire.DefaultRecursionLimit / 2 {
		deep = bytesField(6, bytesField(1, deep))
	}
	cases := map[string]struct {
		reason string
		wire   []byte
		// unique is whether the message may be kept, readable whether it may be
		// looked for.
		readable, unique bool
	}{
		"Plain":          {"Keys that differ are unique.", bytesField(4, a1, b1), true, true},
		"KeyTwice":       {"The later of two entries of one key counts, and the digest does not tell which.", bytesField(4, a1, a2), true, false},
		"KeyTwiceLonger": {"A length in more bytes than it needs makes no other key.", bytesField(4, a1, []byte{0x0a, 0x09, 0x0a, 0x81, 0x00, 'a', 0x12, 0x03, 0x1a, 0x01, '2'}), true, false},
		"NoKey":          {"An entry without a key has the empty one.", bytesField(4, bytesField(1, bytesField(2, bytesField(3, []byte("1"))))), true, false},
		"KeyAfterValue":  {"An entry may have its key last.", bytesField(4, bytesField(1, bytesField(2, bytesField(3, []byte("1"))), bytesField(1, []byte("a")))), true, false},
		"TwoKeysInAnEntry": {"The later key of an entry counts.",
			bytesField(4, bytesField(1, bytesField(1, []byte("a")), bytesField(1, []byte("b")), bytesField(2, bytesField(3, []byte("1"))))), true, false},
		"Truncated":  {"A message that ends too early is for the decoder.", bytesField(4, a1, b1)[:9], false, false},
		"FieldZero":  {"There is no field 0: it marks the end of messages.", []byte{0x00}, false, false},
		"EndOfGroup": {"A group has a start.", []byte{0x0c}, false, false},
		"TooDeep":    {"What is nested too deep for the decoder is not read.", bytesField(4, bytesField(1, bytesField(1, []byte("a")), bytesField(2, deep))), false, false},
		"Empty":      {"The empty message is one.", nil, true, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if _, _, ok := h.digest(tc.wire); ok != tc.readable {
				t.Errorf("%s\ndigest: got ok %t, want %t", tc.reason, ok, tc.readable)
			}
			if got := h.unique(tc.wire); got != tc.unique {
				t.Errorf("%s\nunique: got %t, want %t", tc.reason, got, tc.unique)
			}
		})
	}

	// Parts of one message are merged, so their order counts: the later tells
	// which value a key has.
	one, _, _ := h.digest(concat(bytesField(4, a1), bytesField(4, a2)))
	two, _, _ := h.digest(concat(bytesField(4, a2), bytesField(4, a1)))
	if one == two {
		t.Error("a message in two parts has the same digest as that of the parts in the other order")
	}
	// So does that of the members of a oneof.
	member := func(num protowire.Number, s string) []byte { return bytesField(num, []byte(s)) }
	one, _, _ = h.digest(bytesField(4, bytesField(1, bytesField(1, []byte("a")), bytesField(2, member(3, "1"), member(3, "2")))))
	two, _, _ = h.digest(bytesField(4, bytesField(1, bytesField(1, []byte("a")), bytesField(2, member(3, "2"), member(3, "1")))))
	if one == two {
		t.Error("a value that is set twice has the same digest as in the other order")
	}
	// The last tag is the tag.
	if _, tag, _ := h.digest(concat(bytesField(1, member(1, "first")), bytesField(1, member(1, "last")))); string(tag) != "last" {
		t.Errorf("got tag %q, want the last one", tag)
	}
}

// TestUnknownFields: what a newer Crossplane sends is content too.
func TestUnknownFields(t *testing.T) {
	h := requestHasher()
	seen := map[digest]bool{}
	for _, wire := range [][]byte{nil, bytesField(99, []byte("a")), bytesField(99, []byte("b")), bytesField(98, []byte("a")), bytesField(1, bytesField(99, []byte("a")))} {
		d, _, ok := h.digest(wire)
		if !ok || seen[d] {
			t.Errorf("%x: got ok %t and a digest that was seen before, want another one", wire, ok)
		}
		seen[d] = true
	}
}

// FuzzDigest holds two things against any bytes: nothing panics, and bytes that
// share a digest with those of a request that may be kept decode to the same
// request.
func FuzzDigest(f *testing.F) {
	h := requestHasher()
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 1))
		req := &fnv1.RunFunctionRequest{}
		fill(r, req.ProtoReflect(), 5)
		f.Add(encode(f, req), seed)
	}
	f.Add(bytesField(4, inputEntry("a", "1"), inputEntry("a", "2")), uint64(0))
	f.Add(concat(bytesField(4, inputEntry("a", "1")), bytesField(4, inputEntry("a", "2"))), uint64(0))
	f.Fuzz(func(t *testing.T, wire []byte, seed uint64) {
		want, _, ok := h.digest(wire)
		unique := h.unique(wire)
		if unique && !ok {
			t.Fatal("unique, but not readable")
		}
		req := &fnv1.RunFunctionRequest{}
		if err := proto.Unmarshal(wire, req); err != nil || !ok {
			return
		}
		r := rand.New(rand.NewPCG(seed, 0))
		shuffled := shuffle(r, wire, h.shape)
		bent := append([]byte{}, wire...)
		for range r.IntN(3) {
			if len(bent) > 0 {
				bent[r.IntN(len(bent))] ^= 1 << r.IntN(8)
			}
		}
		for _, b := range [][]byte{shuffled, bent, bent[:r.IntN(len(bent)+1)], concat(wire, bent)} {
			got, _, ok := h.digest(b)
			if !ok || got != want || !unique {
				continue
			}
			o := &fnv1.RunFunctionRequest{}
			if err := proto.Unmarshal(b, o); err != nil {
				// All but the tag is the same, so it is the tag.
				continue
			}
			for _, m := range []*fnv1.RunFunctionRequest{req, o} {
				if m.GetMeta() != nil {
					m.Meta.Tag = ""
				}
			}
			if !proto.Equal(req, o) {
				t.Errorf("%x and %x have one digest, and are %v and %v", wire, b, req, o)
			}
		}
		if got, _, _ := h.digest(shuffled); got != want {
			t.Errorf("another order of map entries makes another digest: %x", wire)
		}
	})
}

// TestBetaIsTheSame: both versions of the protocol are served by one decoder.
func TestBetaIsTheSame(t *testing.T) {
	describe := func(d protoreflect.MessageDescriptor) string {
		text := protodesc.ToFileDescriptorProto(d.ParentFile())
		text.Options, text.Package, text.Name = nil, nil, nil
		return strings.ReplaceAll(text.String(), "v1beta1", "v1")
	}
	v1 := describe((&fnv1.RunFunctionRequest{}).ProtoReflect().Descriptor())
	beta := describe((&fnv1beta1.RunFunctionRequest{}).ProtoReflect().Descriptor())
	if v1 != beta {
		t.Errorf("the two versions of the protocol differ:\n%s\n%s", v1, beta)
	}
}
