package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/internal/lifecycle"
	"github.com/dittofs/function-dittoserver/internal/render"
	"github.com/dittofs/function-dittoserver/test/served"
)

// Parts of the request of which every server has others. They are replaced in
// the encoded request, so the replacements have the same length.
const (
	serverName = "bench-server-0000000"
	revision   = "8000000000"
	tag        = "tag-tag-tag-tag-tag-tag-tag-tag-tag-tag-tag-tag-tag-tag-tag-tag"
)

// An uid is one in the simulation, as in a real cluster.
var uid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}`)

// A recorder is a function that remembers the last call.
type recorder struct {
	fnv1.FunctionRunnerServiceClient

	req *fnv1.RunFunctionRequest
	rsp *fnv1.RunFunctionResponse
}

func (r *recorder) RunFunction(ctx context.Context, req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
	rsp, err := r.FunctionRunnerServiceClient.RunFunction(ctx, req)
	r.req, r.rsp = req, rsp
	return rsp, err
}

// capture has a server of example/percona.yaml live, and returns the last call of
// its function: that of a server at rest, with all that it requires.
func capture(ctx context.Context, root string, p *process) (*fnv1.RunFunctionRequest, *fnv1.RunFunctionResponse, error) {
	xr, err := render.Loader{}.LoadXR(filepath.Join(root, "example", "percona.yaml"))
	if err != nil {
		return nil, nil, err
	}
	xr.SetName(serverName)
	r := &recorder{FunctionRunnerServiceClient: fnv1.NewFunctionRunnerServiceClient(p.conn)}
	if _, err := lifecycle.New(adapter{r}, xr, nil).Walk(ctx); err != nil {
		return nil, nil, err
	}
	if err := served.Add(r.req); err != nil {
		return nil, nil, err
	}
	server, ok := r.req.GetObserved().GetResources()["server"]
	if !ok {
		return nil, nil, errors.New("the request has no StatefulSet")
	}
	// It is what changes with every call.
	server.GetResource().GetFields()["metadata"].GetStructValue().GetFields()["resourceVersion"] = structpb.NewStringValue(revision)
	r.req.Meta.Tag = tag
	if _, err := r.RunFunction(ctx, r.req); err != nil {
		return nil, nil, err
	}
	if n := len(r.rsp.GetDesired().GetResources()); n < 8 || len(r.rsp.GetResults()) > 0 {
		return nil, nil, fmt.Errorf("this is not a server at rest: %d composed resources and results %v", n, r.rsp.GetResults())
	}
	return r.req, r.rsp, nil
}

// An adapter makes a client a function.
type adapter struct{ *recorder }

func (a adapter) RunFunction(ctx context.Context, req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
	return a.recorder.RunFunction(ctx, req)
}

// Requests makes encoded requests of any number of servers out of one.
type Requests struct {
	variants []variant
}

// A variant is the request in one of the orders that its map entries may have.
type variant struct {
	wire                        []byte
	names, uids, tags, revision []int
}

// newRequests takes a request apart.
func newRequests(req *fnv1.RunFunctionRequest) (*Requests, error) {
	out := &Requests{}
	for range 16 {
		wire, err := proto.Marshal(req)
		if err != nil {
			return nil, err
		}
		v := variant{wire: wire, names: all(wire, serverName), tags: all(wire, tag), revision: all(wire, revision)}
		for _, m := range uid.FindAllIndex(wire, -1) {
			v.uids = append(v.uids, m[1]-12)
		}
		if len(v.names) == 0 || len(v.uids) == 0 || len(v.tags) != 1 || len(v.revision) != 1 {
			return nil, fmt.Errorf("the request has %d names, %d UIDs, %d tags and %d revisions", len(v.names), len(v.uids), len(v.tags), len(v.revision))
		}
		out.variants = append(out.variants, v)
	}
	return out, nil
}

func all(wire []byte, s string) []int {
	var out []int
	for i, from := 0, 0; ; from = i + len(s) {
		n := strings.Index(string(wire[from:]), s)
		if n < 0 {
			return out
		}
		i = from + n
		out = append(out, i)
	}
}

// size returns the size of each request.
func (r *Requests) size() int { return len(r.variants[0].wire) }

// make makes, in place of b, the request of a server, whose StatefulSet has
// changed so many times.
func (r *Requests) make(b []byte, server, changes int) []byte {
	v := r.variants[rand.IntN(len(r.variants))] //nolint:gosec // No secret.
	b = append(b[:0], v.wire...)
	digits(b, v.names, len(serverName)-7, 7, server)
	digits(b, v.uids, 0, 12, server)
	digits(b, v.revision, 1, 9, changes)
	digits(b, v.tags, 0, 20, server)
	digits(b, v.tags, 20, 20, changes)
	return b
}

// digits writes a number in so many digits at each place.
func digits(b []byte, places []int, offset, n, value int) {
	text := fmt.Appendf(nil, "%0*d", n, value)
	for _, p := range places {
		copy(b[p+offset:], text)
	}
}

// templateOf makes the template that renders the objects of a response.
func templateOf(rsp *fnv1.RunFunctionResponse) (string, error) {
	resources := rsp.GetDesired().GetResources()
	documents := make([]string, 0, len(resources))
	for _, name := range slices.Sorted(maps.Keys(resources)) {
		o := resources[name].GetResource().AsMap()
		meta, ok := o["metadata"].(map[string]any)
		if !ok {
			return "", errors.New("a composed resource has no metadata")
		}
		annotations, _ := meta["annotations"].(map[string]any)
		if annotations == nil {
			annotations = map[string]any{}
		}
		annotations["bench/composition-resource-name"] = name
		meta["annotations"] = annotations
		j, err := json.Marshal(o)
		if err != nil {
			return "", err
		}
		y, err := yaml.JSONToYAML(j)
		if err != nil {
			return "", err
		}
		text := strings.ReplaceAll(string(y), "{{", `{{ "{{" }}`)
		documents = append(documents, strings.ReplaceAll(text, serverName, "{{ $name }}"))
	}
	return "{{- $name := .xr.metadata.name | lower | trunc 28 -}}\n" + strings.Join(documents, "---\n"), nil
}

// settle waits until a process that was just started has come to rest.
func settle() { time.Sleep(2 * time.Second) }
