package cache

import (
	"context"
	"math"
	"sync"
	"time"
	"unicode/utf8"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	fnv1beta1 "github.com/crossplane/function-sdk-go/proto/v1beta1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/dittofs/function-dittoserver/internal/validity"
)

// A message is an encoded request or response.
type message struct {
	data mem.BufferSlice
}

// buffers are those of messages. They are not zeroed before they are used again,
// as gRPC's own are, since all of what is read was written before. They hold
// credentials, as all memory of the function does.
type buffers struct{ pool sync.Pool }

func (p *buffers) Get(length int) *[]byte {
	b, _ := p.pool.Get().(*[]byte)
	if b == nil || cap(*b) < length {
		b = new([]byte)
		*b = make([]byte, length, length+length/4)
	}
	*b = (*b)[:length]
	return b
}

func (p *buffers) Put(b *[]byte) { p.pool.Put(b) }

// codec is gRPC's codec for protobuf, except that it leaves messages encoded.
type codec struct{ encoding.CodecV2 }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if m, ok := v.(*message); ok {
		return m.data, nil
	}
	return c.CodecV2.Marshal(v)
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*message)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	data.Ref()
	m.data = data
	return nil
}

// ServerOption returns the option that a gRPC server needs to serve a function
// from a cache.
func ServerOption() grpc.ServerOption {
	return grpc.ForceServerCodecV2(codec{encoding.GetCodecV2(grpcproto.Name)})
}

// Serve registers a function with a gRPC server, in both versions of the
// protocol, which are the same but for their name. Crossplane before 1.17 speaks
// v1beta1.
func (c *Cache) Serve(s grpc.ServiceRegistrar, fn fnv1.FunctionRunnerServiceServer) {
	r := &runner{cache: c, fn: fn}
	s.RegisterService(service(fnv1.FunctionRunnerService_ServiceDesc, fnv1.FunctionRunnerService_RunFunction_FullMethodName), r)
	s.RegisterService(service(fnv1beta1.FunctionRunnerService_ServiceDesc, fnv1beta1.FunctionRunnerService_RunFunction_FullMethodName), r)
}

// service returns a service of the same name and method as that of generated
// code, which does not have its requests decoded.
func service(generated grpc.ServiceDesc, method string) *grpc.ServiceDesc {
	handle := func(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
		in := &message{}
		if err := decode(in); err != nil {
			return nil, err
		}
		defer in.data.Free()
		run := func(ctx context.Context, req any) (any, error) { return srv.(*runner).run(ctx, req.(*message)) } //nolint:forcetypeassert // Both are ours.
		if intercept == nil {
			return run(ctx, in)
		}
		return intercept(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: method}, run)
	}
	return &grpc.ServiceDesc{
		ServiceName: generated.ServiceName,
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: generated.Methods[0].MethodName, Handler: handle}},
		Metadata:    generated.Metadata,
	}
}

// A runner answers calls from a cache, or by running a function.
type runner struct {
	cache *Cache
	fn    fnv1.FunctionRunnerServiceServer
}

func (r *runner) run(ctx context.Context, in *message) (*message, error) {
	buf := in.data.MaterializeToBuffer(&r.cache.buffers)
	defer buf.Free()
	wire := buf.ReadOnlyData()

	c := r.cache
	d, tag, ok := digest{}, []byte(nil), false
	if c.size > 0 {
		d, tag, ok = c.hasher.digest(wire)
	}
	// The decoder refuses a tag that is not valid.
	if ok && utf8.Valid(tag) {
		if e := c.get(d); e != nil {
			if out, err := c.response(e, tag); err == nil {
				c.hits.Inc()
				return out, nil
			}
		}
	}
	c.misses.Inc()

	req := &fnv1.RunFunctionRequest{}
	if err := proto.Unmarshal(wire, req); err != nil {
		return nil, status.Errorf(codes.Internal, "grpc: error unmarshalling request: %v", err) // As gRPC itself.
	}
	id := identify(req)
	reads := c.random.count()
	ctx, deadline := validity.With(ctx)
	rsp, err := r.fn.RunFunction(ctx, req)
	if err != nil {
		return nil, err
	}
	e := &entry{request: d, ttl: ttl(rsp), until: deadline.Time()}
	// Calls at the same time may have read them too.
	random := c.random.count() != reads

	size := proto.Size(rsp)
	out := c.buffers.Get(size + metaSize(len(tag)))
	// Deterministic, so that the responses about two servers differ in little.
	encoded, err := proto.MarshalOptions{Deterministic: true, UseCachedSize: true}.MarshalAppend((*out)[:0], rsp)
	if err != nil {
		c.buffers.Put(out)
		return nil, status.Errorf(codes.Internal, "grpc: error while marshaling: %v", err) // As gRPC itself.
	}
	// What carries another tag is made for more than the content.
	if ok && !random && rsp.GetMeta().GetTag() == string(tag) && c.hasher.unique(wire) {
		c.put(id, e, encoded)
	}
	if !e.until.IsZero() {
		encoded = e.appendMeta(encoded, []byte(rsp.GetMeta().GetTag()), c.now())
	}
	*out = encoded
	return &message{data: mem.BufferSlice{mem.NewBuffer(out, &c.buffers)}}, nil
}

// response returns an entry's response with the tag of the request that it is
// for.
func (c *Cache) response(e *entry, tag []byte) (*message, error) {
	size, err := e.size()
	if err != nil {
		return nil, err
	}
	out := c.buffers.Get(size + metaSize(len(tag)))
	b, err := e.unpack((*out)[:0])
	if err != nil {
		c.buffers.Put(out)
		return nil, err
	}
	*out = e.appendMeta(b, tag, c.now())
	return &message{data: mem.BufferSlice{mem.NewBuffer(out, &c.buffers)}}, nil
}

// appendMeta appends a second meta to an encoded response, which has the tag,
// and, where the response will not hold for its TTL, a shorter one. A decoder
// merges the two: a field of the second, if it is there, replaces that of the
// first. So it is written even if it is empty, as encoders of whole messages do
// not.
func (e *entry) appendMeta(b, tag []byte, now time.Time) []byte {
	meta := protowire.AppendTag(make([]byte, 0, metaSize(len(tag))), 1, protowire.BytesType)
	meta = protowire.AppendBytes(meta, tag)
	if left := e.until.Sub(now); !e.until.IsZero() && left < e.ttl {
		// In whole seconds, so that the moment is past when Crossplane calls.
		seconds := max(1, math.Ceil(left.Seconds()))
		duration := protowire.AppendTag(nil, 1, protowire.VarintType)
		duration = protowire.AppendVarint(duration, uint64(seconds))
		duration = protowire.AppendTag(duration, 2, protowire.VarintType)
		duration = protowire.AppendVarint(duration, 0)
		meta = protowire.AppendTag(meta, 2, protowire.BytesType)
		meta = protowire.AppendBytes(meta, duration)
	}
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	return protowire.AppendBytes(b, meta)
}

// metaSize returns how much appendMeta may append for a tag of a length.
func metaSize(tag int) int { return tag + 64 }

// ttl returns the TTL of a response, the longest there is if it has none.
func ttl(rsp *fnv1.RunFunctionResponse) time.Duration {
	if t := rsp.GetMeta().GetTtl(); t != nil {
		return t.AsDuration()
	}
	return math.MaxInt64
}

// An identity tells XRs apart.
type identity struct{ apiVersion, kind, namespace, name, uid string }

func identify(req *fnv1.RunFunctionRequest) identity {
	xr := req.GetObserved().GetComposite().GetResource().GetFields()
	meta := xr["metadata"].GetStructValue().GetFields()
	return identity{
		apiVersion: xr["apiVersion"].GetStringValue(),
		kind:       xr["kind"].GetStringValue(),
		namespace:  meta["namespace"].GetStringValue(),
		name:       meta["name"].GetStringValue(),
		uid:        meta["uid"].GetStringValue(),
	}
}
