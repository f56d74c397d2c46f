package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	fnv1beta1 "github.com/crossplane/function-sdk-go/proto/v1beta1"
	"github.com/crossplane/function-sdk-go/response"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/dittofs/function-dittoserver/internal/validity"
)

// A fake is a function whose response is its request's input, under the tag and
// with a TTL of a minute, and that counts its calls.
type fake struct {
	fnv1.UnimplementedFunctionRunnerServiceServer

	calls atomic.Int64
	// also does what else the function does, nil for nothing.
	also func(ctx context.Context, req *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) error
}

func (f *fake) RunFunction(ctx context.Context, req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
	f.calls.Add(1)
	rsp := response.To(req, time.Minute)
	rsp.Output = req.GetInput()
	if f.also == nil {
		return rsp, nil
	}
	return rsp, f.also(ctx, req, rsp)
}

// raw leaves a client's messages as they are.
type raw struct{}

func (raw) Name() string                  { return "proto" }
func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte{}, data...)
	return nil
}

// serve serves a function and returns a connection to it.
func serve(t *testing.T, register func(s *grpc.Server), o ...grpc.ServerOption) *grpc.ClientConn {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	s := grpc.NewServer(o...)
	register(s)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	conn, err := grpc.NewClient("passthrough:///bufconn",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func cached(t *testing.T, fn fnv1.FunctionRunnerServiceServer, o Options) (*Cache, *grpc.ClientConn) {
	t.Helper()
	if o.Size == 0 {
		o.Size = 1 << 20
	}
	c := New(o)
	return c, serve(t, func(s *grpc.Server) { c.Serve(s, fn) }, ServerOption())
}

func call(t *testing.T, conn *grpc.ClientConn, req *fnv1.RunFunctionRequest) *fnv1.RunFunctionResponse {
	t.Helper()
	rsp, err := fnv1.NewFunctionRunnerServiceClient(conn).RunFunction(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return rsp
}

// request returns a request about an XR, at a state of it.
func request(name string, state float64) *fnv1.RunFunctionRequest {
	xr, err := structpb.NewStruct(map[string]any{
		"apiVersion": "dittofs.dittofs.com/v1alpha1", "kind": "DittoServer",
		"metadata": map[string]any{"name": name, "namespace": "team", "uid": "uid-of-" + name},
		"status":   map[string]any{"state": state},
	})
	if err != nil {
		panic(err)
	}
	// Larger than what is kept without a dictionary.
	input := map[string]any{}
	for i := range 60 {
		input[fmt.Sprintf("%s-%d", name, i)] = strings.Repeat("x", i)
	}
	in, err := structpb.NewStruct(input)
	if err != nil {
		panic(err)
	}
	return &fnv1.RunFunctionRequest{Meta: &fnv1.RequestMeta{Tag: "tag"}, Observed: &fnv1.State{Composite: &fnv1.Resource{Resource: xr}}, Input: in}
}

func tagged(req *fnv1.RunFunctionRequest, tag string) *fnv1.RunFunctionRequest {
	req = proto.CloneOf(req)
	req.Meta.Tag = tag
	return req
}

// TestHit: a hit is what the function would return, and does not call it.
func TestHit(t *testing.T) {
	fn := &fake{}
	c, conn := cached(t, fn, Options{})
	first := request("a", 1)
	for _, tag := range []string{"tag", "another tag", "", strings.Repeat("a long tag", 100), "tag"} {
		req := tagged(first, tag)
		want, err := (&fake{}).RunFunction(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if got := call(t, conn, req); !proto.Equal(got, want) {
			t.Errorf("tag %q: got %v, want %v", tag, got, want)
		}
	}
	beta, err := fnv1beta1.NewFunctionRunnerServiceClient(conn).RunFunction(t.Context(), &fnv1beta1.RunFunctionRequest{Meta: &fnv1beta1.RequestMeta{Tag: "beta"}, Input: first.GetInput()})
	if err != nil || beta.GetMeta().GetTag() != "beta" || !proto.Equal(beta.GetOutput(), first.GetInput()) {
		t.Errorf("v1beta1: got %v and %v", beta, err)
	}
	if got := fn.calls.Load(); got != 2 {
		t.Errorf("the function was called %d times, want one for each version", got)
	}
	if hits, misses := testutil.ToFloat64(c.hits), testutil.ToFloat64(c.misses); hits != 4 || misses != 2 {
		t.Errorf("got %v hits and %v misses, want 4 and 2", hits, misses)
	}
}

// TestKept: what is kept, and what is not.
func TestKept(t *testing.T) {
	random := NewRandom(rand.NewChaCha8([32]byte{}))
	broken := NewRandom(iotest.ErrReader(errors.New("none")))
	type also = func(ctx context.Context, req *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) error
	read := func(r *Random) also {
		return func(context.Context, *fnv1.RunFunctionRequest, *fnv1.RunFunctionResponse) error {
			_, _ = r.Read(make([]byte, 8))
			return nil
		}
	}
	cases := map[string]struct {
		reason string
		also   also
		random *Random
		kept   bool
	}{
		"Plain": {"A response follows from its request.", nil, random, true},
		"Fatal": {"So does a refusal.", func(_ context.Context, _ *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) error {
			response.Fatal(rsp, errors.New("refused"))
			return nil
		}, random, true},
		"Error": {"An error may be gone the next time.", func(context.Context, *fnv1.RunFunctionRequest, *fnv1.RunFunctionResponse) error {
			return errors.New("failed")
		}, random, false},
		"Random":       {"A generated secret is another one the next time.", read(random), random, false},
		"RandomFailed": {"That there was no randomness is nothing to keep.", read(broken), broken, false},
		"ForeignTag": {"A response under a tag of its own is for one call.", func(_ context.Context, _ *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) error {
			rsp.Meta.Tag = "mine"
			return nil
		}, random, false},
		"Expired": {"What holds no longer when it is made is not kept.", func(ctx context.Context, _ *fnv1.RunFunctionRequest, _ *fnv1.RunFunctionResponse) error {
			validity.Until(ctx, time.Now().Add(-time.Second))
			return nil
		}, random, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			fn := &fake{also: tc.also}
			_, conn := cached(t, fn, Options{Random: tc.random})
			var rsps [2]*fnv1.RunFunctionResponse
			var errs [2]error
			for i := range 2 {
				rsps[i], errs[i] = fnv1.NewFunctionRunnerServiceClient(conn).RunFunction(t.Context(), request("a", 1))
			}
			if got := fn.calls.Load() == 1; got != tc.kept {
				t.Errorf("%s\ngot kept %t, want %t", tc.reason, got, tc.kept)
			}
			if status.Code(errs[0]) != status.Code(errs[1]) || !proto.Equal(rsps[0], rsps[1]) {
				t.Errorf("%s\nthe second call: got %v and %v, want %v and %v", tc.reason, rsps[1], errs[1], rsps[0], errs[0])
			}
		})
	}

	t.Run("Off", func(t *testing.T) {
		fn := &fake{}
		c := New(Options{})
		conn := serve(t, func(s *grpc.Server) { c.Serve(s, fn) }, ServerOption())
		for range 2 {
			call(t, conn, request("a", 1))
		}
		if got := fn.calls.Load(); got != 2 {
			t.Errorf("a cache of size 0: the function was called %d times, want 2", got)
		}
	})
}

// TestRandomOfAnother: a read by any call in the meantime counts, since nobody
// can tell whose it was.
func TestRandomOfAnother(t *testing.T) {
	random := NewRandom(rand.NewChaCha8([32]byte{}))
	inside, proceed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	fn := &fake{also: func(_ context.Context, req *fnv1.RunFunctionRequest, _ *fnv1.RunFunctionResponse) error {
		if req.GetMeta().GetTag() == "reader" {
			_, err := random.Read(make([]byte, 1))
			return err
		}
		once.Do(func() {
			close(inside)
			<-proceed
		})
		return nil
	}}
	_, conn := cached(t, fn, Options{Random: random})
	var wg sync.WaitGroup
	wg.Go(func() { call(t, conn, request("a", 1)) })
	<-inside
	call(t, conn, tagged(request("b", 1), "reader"))
	close(proceed)
	wg.Wait()
	call(t, conn, request("a", 1))
	call(t, conn, request("a", 1))
	if got := fn.calls.Load(); got != 3 {
		t.Errorf("the function was called %d times, want 3: not kept while another call read, kept after", got)
	}
}

// TestUntil: a response is not returned after the moment until which it holds,
// and its TTL makes Crossplane call then.
func TestUntil(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var now atomic.Int64
	clock := func() time.Time { return start.Add(time.Duration(now.Load())) }
	fn := &fake{also: func(ctx context.Context, _ *fnv1.RunFunctionRequest, _ *fnv1.RunFunctionResponse) error {
		if t := start.Add(90 * time.Second); clock().Before(t) {
			validity.Until(ctx, t)
		}
		return nil
	}}
	c, conn := cached(t, fn, Options{Now: clock})

	steps := []struct {
		at, ttl time.Duration
		calls   int64
	}{
		{0, time.Minute, 1},
		{20 * time.Second, time.Minute, 1},
		{50 * time.Second, 40 * time.Second, 1},
		{88*time.Second + 500*time.Millisecond, 2 * time.Second, 1},
		{90*time.Second - 1, time.Second, 1},
		{90 * time.Second, time.Minute, 2},
		{24 * time.Hour, time.Minute, 2},
	}
	for _, s := range steps {
		now.Store(int64(s.at))
		rsp := call(t, conn, tagged(request("a", 1), s.at.String()))
		if got := rsp.GetMeta().GetTtl().AsDuration(); got != s.ttl || rsp.GetMeta().GetTag() != s.at.String() {
			t.Errorf("after %s: got TTL %s and tag %q, want TTL %s", s.at, got, rsp.GetMeta().GetTag(), s.ttl)
		}
		if got := fn.calls.Load(); got != s.calls {
			t.Errorf("after %s: the function was called %d times, want %d", s.at, got, s.calls)
		}
	}
	if got := len(c.entries); got != 1 {
		t.Errorf("got %d entries, want that without a deadline alone", got)
	}

	// The response in which the moment is stated has it too.
	now.Store(int64(40*time.Second) + 1)
	rsp := call(t, conn, request("b", 1))
	if got := rsp.GetMeta().GetTtl().AsDuration(); got != 50*time.Second {
		t.Errorf("the first response: got TTL %s, want the 50s that are left", got)
	}
}

// TestRounds: Crossplane up to 2.3 calls twice per reconcile, and the function
// may be in two steps of a pipeline.
func TestRounds(t *testing.T) {
	fn := &fake{}
	c, conn := cached(t, fn, Options{})
	for range 5 {
		for round := range 4 {
			call(t, conn, request("a", float64(round)))
		}
	}
	if got := fn.calls.Load(); got != 4 {
		t.Errorf("the function was called %d times, want once for each of 4 contents", got)
	}
	for range recent {
		call(t, conn, request("a", 2))
	}
	if got := len(c.entries); got != 1 {
		t.Errorf("got %d entries, want that of the content that is still asked about", got)
	}
}

// TestKeyTwice: of two entries of one key the later counts, which the digest does
// not tell, so a response to such a request is not kept.
func TestKeyTwice(t *testing.T) {
	_, conn := cached(t, &fake{}, Options{})
	for _, values := range [][2]string{{"1", "2"}, {"2", "1"}, {"1", "2"}} {
		wire := bytesField(4, inputEntry("a", values[0]), inputEntry("a", values[1]))
		var out []byte
		if err := conn.Invoke(t.Context(), fnv1.FunctionRunnerService_RunFunction_FullMethodName, &wire, &out, grpc.ForceCodec(raw{})); err != nil {
			t.Fatal(err)
		}
		rsp := &fnv1.RunFunctionResponse{}
		if err := proto.Unmarshal(out, rsp); err != nil {
			t.Fatal(err)
		}
		if got := rsp.GetOutput().GetFields()["a"].GetStringValue(); got != values[1] {
			t.Errorf("%v: got the response to %q, want that to the later value", values, got)
		}
	}
}

// TestMalformed: what cannot be decoded gets the error that gRPC gives, whether
// or not a response is kept.
func TestMalformed(t *testing.T) {
	fn := &fake{}
	_, conn := cached(t, fn, Options{})
	plain := serve(t, func(s *grpc.Server) { fnv1.RegisterFunctionRunnerServiceServer(s, fn) })
	good := encode(t, request("a", 1))
	send := func(conn *grpc.ClientConn, wire []byte) error {
		var out []byte
		return conn.Invoke(t.Context(), fnv1.FunctionRunnerService_RunFunction_FullMethodName, &wire, &out, grpc.ForceCodec(raw{}))
	}
	if err := send(conn, good); err != nil {
		t.Fatal(err)
	}
	for name, wire := range map[string][]byte{
		"Truncated": good[:len(good)-1],
		"Garbage":   {0xff, 0xff, 0xff},
		"FieldZero": {0},
		// Without its tag this is the request that was answered.
		"InvalidTag": concat(good, protowire.AppendBytes([]byte{0x0a}, protowire.AppendBytes([]byte{0x0a}, []byte{0xff}))),
		"BadTag":     retag(t, request("a", 1)),
	} {
		got, want := send(conn, wire), send(plain, wire)
		if status.Code(want) != codes.Internal || status.Convert(got).String() != status.Convert(want).String() {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

// retag encodes a request with a tag that is no text.
func retag(t *testing.T, req *fnv1.RunFunctionRequest) []byte {
	t.Helper()
	good := encode(t, tagged(req, "TAG"))
	i := strings.Index(string(good), "TAG")
	good[i] = 0xff
	return good
}
