package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/dittofs/function-dittoserver/internal/render"
)

// encoded is the client's codec: it sends and receives messages as they are, so
// that the client takes as little as possible of a machine that it shares with
// the server.
type encoded struct{}

func (encoded) Name() string { return "proto" }

func (encoded) Marshal(v any) ([]byte, error) {
	b, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("cannot encode %T", v)
	}
	return *b, nil
}

func (encoded) Unmarshal(data []byte, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("cannot decode into %T", v)
	}
	*b = append((*b)[:0], data...)
	return nil
}

// A load is a number of calls about a number of servers in turns.
type load struct {
	servers, callers, calls int
	// changing has every call find its server changed, by the status of its
	// StatefulSet. Otherwise none has changed.
	changing bool
}

// changes counts the changes of all servers, so that no two are the same.
var changes atomic.Int64 //nolint:gochecknoglobals // One count for the whole run.

// A cost is what calls took.
type cost struct {
	calls   int
	cpu     time.Duration
	elapsed time.Duration
}

func (c cost) plus(o cost) cost {
	return cost{c.calls + o.calls, c.cpu + o.cpu, c.elapsed + o.elapsed}
}

// perCall returns the CPU time of the server's process for a call, in
// microseconds.
func (c cost) perCall() float64 {
	return float64(c.cpu.Microseconds()) / float64(max(1, c.calls))
}

// perSecond returns how many calls were answered in a second.
func (c cost) perSecond() float64 { return float64(c.calls) / c.elapsed.Seconds() }

// run calls a function.
func (l load) run(ctx context.Context, p *process, requests *Requests) (cost, error) {
	before, err := p.cpu()
	if err != nil {
		return cost{}, err
	}
	start := time.Now()
	var next atomic.Int64
	var wg sync.WaitGroup
	failed := make([]error, l.callers)
	for caller := range l.callers {
		wg.Go(func() {
			req, rsp := make([]byte, 0, requests.size()), []byte{}
			for failed[caller] == nil {
				n := int(next.Add(1)) - 1
				if n >= l.calls {
					return
				}
				change := 0
				if l.changing {
					change = int(changes.Add(1))
				}
				req = requests.make(req, n%l.servers, change)
				failed[caller] = p.conn.Invoke(ctx, fnv1.FunctionRunnerService_RunFunction_FullMethodName, &req, &rsp, grpc.ForceCodec(encoded{}))
				if n%1000 == 0 && failed[caller] == nil {
					failed[caller] = check(rsp, req)
				}
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(start)
	after, err := p.cpu()
	return cost{l.calls, after - before, elapsed}, errors.Join(append(failed, err)...)
}

// check checks that a response is one to a request.
func check(wireRsp, wireReq []byte) error {
	req, rsp := &fnv1.RunFunctionRequest{}, &fnv1.RunFunctionResponse{}
	if err := errors.Join(proto.Unmarshal(wireReq, req), proto.Unmarshal(wireRsp, rsp)); err != nil {
		return err
	}
	if rsp.GetMeta().GetTag() != req.GetMeta().GetTag() {
		return fmt.Errorf("the response has tag %q, its request %q", rsp.GetMeta().GetTag(), req.GetMeta().GetTag())
	}
	return render.Fatal(rsp)
}
