package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
)

// BenchmarkRunFunction measures the CPU time that the function itself takes for
// a request as a server of example/production.yaml has them, and beside it, on
// the same request, in turns, and in the same run:
//
//   - function: an idle server, which is asked about again and again,
//   - cold: the same by a function that was just started and remembers nothing,
//   - proto: decoding the request and encoding the response, which is what no
//     function can do without,
//   - floor: a gRPC call of a function that does nothing but answer, which is
//     what the SDK costs. The client sends bytes that are encoded already.
//
// ratio is function over floor, and should stay under 0.2.
func BenchmarkRunFunction(b *testing.B) {
	req := productionRequest(b)
	wire := deterministic(b, req)
	fn := NewFunction(&captured{}, time.Minute, &source{}).Remembering()
	rsp, err := fn.RunFunction(b.Context(), proto.CloneOf(req))
	if err != nil {
		b.Fatal(err)
	}
	answer := deterministic(b, rsp)
	call := floor(b, rsp, wire)

	// In batches, so that each pays for its own garbage. Every call gets a
	// request of its own, as over the wire: what is the same pointer is seen to
	// be the same for nothing.
	const batch = 25
	var function, cold, codec, sdk time.Duration
	n := 0
	for b.Loop() {
		n += batch
		function += runAll(b, requests(b, wire, batch), func() *Function { return fn })
		cold += runAll(b, requests(b, wire, batch), func() *Function { return NewFunction(&captured{}, time.Minute, &source{}).Remembering() })
		codec += cpu(func() {
			for range batch {
				if err := proto.Unmarshal(wire, &fnv1.RunFunctionRequest{}); err != nil {
					b.Fatal(err)
				}
				if _, err := proto.Marshal(rsp); err != nil {
					b.Fatal(err)
				}
			}
		})
		sdk += cpu(func() {
			for range batch {
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	per := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(n) }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(per(function), "function-µs/call")
	b.ReportMetric(per(cold), "cold-µs/call")
	b.ReportMetric(per(codec), "proto-µs/call")
	b.ReportMetric(per(sdk), "floor-µs/call")
	b.ReportMetric(per(function)/per(sdk), "ratio")
	b.ReportMetric(per(cold)/per(sdk), "cold-ratio")
	b.ReportMetric(float64(len(wire)), "request-B")
	b.ReportMetric(float64(len(answer)), "response-B")
}

// requests are n copies of a request, which share nothing.
func requests(tb testing.TB, wire []byte, n int) []*fnv1.RunFunctionRequest {
	tb.Helper()
	out := make([]*fnv1.RunFunctionRequest, 0, n)
	for range n {
		req := &fnv1.RunFunctionRequest{}
		if err := proto.Unmarshal(wire, req); err != nil {
			tb.Fatal(err)
		}
		out = append(out, req)
	}
	runtime.GC()
	return out
}

// runAll is the CPU time that the requests take.
func runAll(tb testing.TB, reqs []*fnv1.RunFunctionRequest, fn func() *Function) time.Duration {
	tb.Helper()
	return cpu(func() {
		for _, req := range reqs {
			if _, err := fn().RunFunction(tb.Context(), req); err != nil {
				tb.Fatal(err)
			}
		}
	})
}

// BenchmarkFunctionAlone is for profiles: the function and nothing else, warm
// and cold.
func BenchmarkFunctionAlone(b *testing.B) {
	wire := deterministic(b, productionRequest(b))
	started := func() *Function { return NewFunction(&captured{}, time.Minute, &source{}).Remembering() }
	warm := started()
	for name, fn := range map[string]func() *Function{"warm": func() *Function { return warm }, "cold": started} {
		b.Run(name, func(b *testing.B) {
			// Taken in turns, so that no two calls after each other share one.
			reqs := requests(b, wire, 50)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := fn().RunFunction(b.Context(), reqs[i%len(reqs)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestOneFunctionForAll asks one function about many servers at once, which it
// must not mix up, and compares with a function of each server's own.
func TestOneFunctionForAll(t *testing.T) {
	var reqs []*fnv1.RunFunctionRequest
	var want [][]byte
	for _, e := range exampleXRs(t) {
		w := watch(e.xr, e.input)
		w.live(func(string) {
			out, err := w.c.reconcile()
			if err != nil {
				t.Fatal(err)
			}
			src := &source{}
			rsp, err := NewFunction(&captured{}, time.Minute, src).RunFunction(t.Context(), proto.CloneOf(out.request))
			if err != nil {
				t.Fatal(err)
			}
			// One that makes up secrets has no answer to compare with.
			if src.n == 0 {
				reqs, want = append(reqs, out.request), append(want, deterministic(t, rsp))
			}
		})
	}
	if len(reqs) < 20 {
		t.Fatalf("only %d requests to compare", len(reqs))
	}
	fn := NewFunction(&captured{}, time.Minute, iotest.ErrReader(io.ErrUnexpectedEOF)).Remembering()
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 3 * len(reqs) {
				i = (i*(worker+1) + worker) % len(reqs)
				rsp, err := fn.RunFunction(t.Context(), proto.CloneOf(reqs[i]))
				if err != nil {
					t.Error(err)
					return
				}
				if !bytes.Equal(deterministic(t, rsp), want[i]) {
					t.Errorf("request %d: a function that is asked about many servers answers otherwise than one that is not", i)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestBenchmarkRequest keeps the benchmark's request what it says it is.
func TestBenchmarkRequest(t *testing.T) {
	req := productionRequest(t)
	if n := len(req.GetObserved().GetResources()); n < 8 {
		t.Errorf("the request has %d observed objects, not 8 or more", n)
	}
	if n := proto.Size(req); n < 25_000 || n > 40_000 {
		t.Errorf("the request has %d bytes, not about 30,000", n)
	}
	rsp, err := NewFunction(&captured{}, time.Minute, &source{}).Remembering().RunFunction(t.Context(), req)
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
	xr := readYAML(tb, filepath.Join("example", "production.yaml"))
	w := watch(xr, readYAML(tb, filepath.Join("example", "input.yaml")))
	var req *fnv1.RunFunctionRequest
	settle := func(string) {
		for range 3 {
			out, err := w.c.reconcile()
			if err != nil || out.fatal != "" {
				tb.Fatal(err, out.fatal)
			}
			req = out.request
		}
	}
	w.userSecrets()
	settle("")
	w.percona("ready")
	settle("")
	w.server()
	settle("")
	w.percona("ready")
	w.server()
	for k, o := range w.c.store {
		if k.kind == "CustomResourceDefinition" {
			continue
		}
		set(o, "2026-01-01T00:00:00Z", "metadata", "creationTimestamp")
		set(o, "123456", "metadata", "resourceVersion")
		managed := func(manager string, fields object) any {
			return object{"manager": manager, "operation": "Apply", "apiVersion": o["apiVersion"], "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": fields}
		}
		managers := []any{managed("apiextensions.crossplane.io/composed/0123456789abcdef", fieldsOf(w.c.applied[k]))}
		if o["status"] != nil {
			managers = append(managers, managed("kube-controller-manager", object{"f:status": fieldsOf(o["status"])}))
		}
		set(o, managers, "metadata", "managedFields")
	}
	settle("")
	return req
}

// fieldsOf is how managedFields write the fields of a value.
func fieldsOf(v any) object {
	out := object{}
	switch t := v.(type) {
	case object:
		for k, e := range t {
			out["f:"+k] = fieldsOf(e)
		}
	case []any:
		for i, e := range t {
			k := fmt.Sprintf("k:{\"index\":%d}", i)
			if m, ok := e.(object); ok && m["name"] != nil {
				k = fmt.Sprintf("k:{\"name\":%q}", m["name"])
			}
			out[k] = object{".": object{}}
		}
	}
	return out
}

// cpu is the CPU time of the whole process while do runs.
func cpu(do func()) time.Duration {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			panic(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	do()
	return used() - before
}

// A constant answers always the same.
type constant struct {
	fnv1.UnimplementedFunctionRunnerServiceServer

	rsp *fnv1.RunFunctionResponse
}

func (c constant) RunFunction(context.Context, *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
	return c.rsp, nil
}

// raw is the client's codec: it neither encodes nor decodes, since that is no
// cost of the function's side.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (raw) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append((*v.(*[]byte))[:0], data...)
	return nil
}

// floor calls a function that only answers, over gRPC.
func floor(b *testing.B, rsp *fnv1.RunFunctionResponse, wire []byte) func() error {
	b.Helper()
	l, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := grpc.NewServer()
	fnv1.RegisterFunctionRunnerServiceServer(srv, constant{rsp: rsp})
	go func() { _ = srv.Serve(l) }()
	b.Cleanup(srv.Stop)
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	var got []byte
	return func() error {
		return conn.Invoke(context.Background(), fnv1.FunctionRunnerService_RunFunction_FullMethodName, &wire, &got, grpc.ForceCodec(raw{}))
	}
}
