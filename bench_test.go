package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/crossplane/function-sdk-go/logging"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/dittofs/function-dittoserver/internal/cache"
	"github.com/dittofs/function-dittoserver/internal/lifecycle"
	"github.com/dittofs/function-dittoserver/internal/serve"
	"github.com/dittofs/function-dittoserver/test/conformance"
	"github.com/dittofs/function-dittoserver/test/doubles"
	"github.com/dittofs/function-dittoserver/test/served"
)

// BenchmarkRunFunction measures a request of a server of example/production.yaml
// as it comes from the wire and as its response goes back to it. codec is the
// part of that which no function can do without: decoding and encoding.
//
// The server over gRPC, with its cache and side by side with other functions, is
// measured by "make bench".
func BenchmarkRunFunction(b *testing.B) {
	wire := deterministic(b, productionRequest(b))
	fn := NewFunction(&doubles.Log{}, time.Minute, &doubles.Source{})
	decode := func() *fnv1.RunFunctionRequest {
		req := &fnv1.RunFunctionRequest{}
		if err := proto.Unmarshal(wire, req); err != nil {
			b.Fatal(err)
		}
		return req
	}
	run := func(req *fnv1.RunFunctionRequest) *fnv1.RunFunctionResponse {
		rsp, err := fn.RunFunction(b.Context(), req)
		if err != nil {
			b.Fatal(err)
		}
		return rsp
	}
	encode := func(rsp *fnv1.RunFunctionResponse) {
		if _, err := proto.Marshal(rsp); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			encode(run(decode()))
		}
	})
	b.Run("codec", func(b *testing.B) {
		b.ReportAllocs()
		rsp := run(decode())
		for b.Loop() {
			decode()
			encode(rsp)
		}
	})
}

// TestServedFromMemory asks one served function about many servers at once, and
// about each several times. Whether a response is a kept one or not, it is that
// of a function of the server's own, which keeps none.
func TestServedFromMemory(t *testing.T) {
	var reqs []*fnv1.RunFunctionRequest
	var want []*fnv1.RunFunctionResponse
	for _, e := range conformance.Examples(t, ".") {
		w := conformance.World(NewFunction(&doubles.Log{}, time.Minute, &doubles.Source{}), e.XR, e.Input)
		conformance.Live(w, func(string, func()) {
			out, err := w.Reconcile(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			src := &doubles.Source{}
			rsp, err := NewFunction(&doubles.Log{}, time.Minute, src).RunFunction(t.Context(), proto.CloneOf(out.Request))
			if err != nil {
				t.Fatal(err)
			}
			// One that generates secrets has no response to compare with.
			if src.N == 0 {
				reqs, want = append(reqs, out.Request), append(want, rsp)
			}
		})
	}
	if len(reqs) < 20 {
		t.Fatalf("only %d requests to compare", len(reqs))
	}

	// Small, so that responses come and go.
	o := cache.Options{Size: 20_000, Random: cache.NewRandom(iotest.ErrReader(io.ErrUnexpectedEOF))}
	s, err := serve.New(NewFunction(&doubles.Log{}, time.Minute, o.Random), logging.NewNopLogger(), serve.Options{
		Network: "tcp", Address: "127.0.0.1:0", Insecure: true, MaxRecvMessageSize: 16 << 20, MetricsAddress: "127.0.0.1:0", Cache: o,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	conn, err := grpc.NewClient(s.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}

	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 6 * len(reqs) {
				// Each twice or more before the next.
				i = (i/2*(worker+1) + worker) % len(reqs)
				req, want := proto.CloneOf(reqs[i]), proto.CloneOf(want[i])
				req.Meta.Tag = fmt.Sprint(worker)
				want.Meta.Tag = req.GetMeta().GetTag()
				rsp, err := fnv1.NewFunctionRunnerServiceClient(conn).RunFunction(t.Context(), req)
				if err != nil {
					t.Error(err)
					return
				}
				if !proto.Equal(rsp, want) {
					t.Errorf("request %d: a served function that is asked about many servers responds otherwise than one that is not", i)
					return
				}
			}
		})
	}
	wg.Wait()

	rsp, err := http.Get("http://" + s.MetricsAddr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := io.ReadAll(rsp.Body)
	_ = rsp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"function_dittoserver_cache_hits_total", "function_dittoserver_cache_misses_total", "function_dittoserver_cache_entries"} {
		if !regexp.MustCompile("(?m)^" + name + " [1-9]").Match(metrics) {
			t.Errorf("%s is not above zero", name)
		}
	}
	_ = conn.Close()
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// TestBenchmarkRequest keeps the benchmark's request what it says it is.
func TestBenchmarkRequest(t *testing.T) {
	req := productionRequest(t)
	if n := len(req.GetObserved().GetResources()); n < 8 {
		t.Errorf("the request has %d observed objects, not 8 or more", n)
	}
	if n := proto.Size(req); n < 40_000 || n > 55_000 {
		t.Errorf("the request has %d bytes, not about 46,000", n)
	}
	rsp, err := NewFunction(&doubles.Log{}, time.Minute, &doubles.Source{}).RunFunction(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if len(rsp.GetResults()) > 0 || len(rsp.GetDesired().GetResources()) < 8 {
		t.Errorf("the answer is not that of a server at rest: %d composed, %v", len(rsp.GetDesired().GetResources()), rsp.GetResults())
	}
}

// productionRequest is the request of an idle server of example/production.yaml,
// as the API server writes its objects: with managedFields.
func productionRequest(tb testing.TB) *fnv1.RunFunctionRequest {
	tb.Helper()
	e := conformance.Examples(tb, ".")["production.yaml+input"]
	w := conformance.World(NewFunction(&doubles.Log{}, time.Minute, &doubles.Source{}), e.XR, e.Input)
	var req *fnv1.RunFunctionRequest
	conformance.Live(w, func(name string, play func()) {
		for range 4 {
			a, err := w.Reconcile(tb.Context())
			if err != nil || a.Fatal != nil {
				tb.Fatal(err, a.Fatal)
			}
			if play(); name == lifecycle.AllReady.Name {
				req = a.Request
			}
		}
	})
	req = proto.CloneOf(req)
	if err := served.Add(req); err != nil {
		tb.Fatal(err)
	}
	return req
}
