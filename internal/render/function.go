// Package render previews what Crossplane would make of a DittoServer, without
// Crossplane: it calls the function in this process, answers its requirements
// from files, and adds to its answer what Crossplane adds. What it prints is
// what "crossplane render" prints.
package render

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/crossplane/function-sdk-go/errors"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"google.golang.org/protobuf/proto"
)

// A Function answers calls as the function does behind gRPC.
type Function interface {
	RunFunction(ctx context.Context, req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error)
}

// A Fetcher finds what a selector selects, nothing if that does not exist.
type Fetcher func(sel *fnv1.ResourceSelector) ([]*fnv1.Resource, error)

// maxIterations is how often a function is called again because of what it
// requires. Source: crossplane v2.4.0 internal/xfn/required_resources.go.
const maxIterations = 5

// A FatalError is a Fatal result of the function.
type FatalError struct {
	Message string
}

func (e *FatalError) Error() string { return e.Message }

// Run calls the function as Crossplane does: with a tag and Crossplane's
// capabilities, and again with what it requires until that stays the same. A
// Fatal result is a response, not an error.
func Run(ctx context.Context, fn Function, req *fnv1.RunFunctionRequest, fetch Fetcher) (*fnv1.RunFunctionResponse, error) {
	req = clone(req)
	tag, err := tagOf(req)
	if err != nil {
		return nil, err
	}
	req.Meta = &fnv1.RequestMeta{Tag: tag, Capabilities: []fnv1.Capability{
		fnv1.Capability_CAPABILITY_CAPABILITIES,
		fnv1.Capability_CAPABILITY_REQUIRED_RESOURCES,
		fnv1.Capability_CAPABILITY_CREDENTIALS,
		fnv1.Capability_CAPABILITY_CONDITIONS,
		fnv1.Capability_CAPABILITY_REQUIRED_SCHEMAS,
	}}

	given := req.GetRequiredResources()
	var last *fnv1.Requirements
	for range maxIterations + 1 {
		// The function gets a copy, as it does over the wire: what it does to
		// its request must not reach the next one.
		rsp, err := fn.RunFunction(ctx, clone(req))
		if err != nil {
			return nil, errors.Wrap(err, "cannot run the function")
		}
		now := rsp.GetRequirements()
		if fatal(rsp) || proto.Equal(now, last) {
			return rsp, nil
		}
		last = now
		req.RequiredResources = map[string]*fnv1.Resources{}
		for name, rs := range given {
			req.RequiredResources[name] = rs
		}
		for name, sel := range now.GetResources() {
			items, err := fetch(sel)
			if err != nil {
				return nil, errors.Wrapf(err, "cannot fetch required resource %q", name)
			}
			// A missing object is a key without items.
			req.RequiredResources[name] = &fnv1.Resources{Items: items}
		}
		req.Context = rsp.GetContext()
	}
	return nil, errors.Errorf("what the function requires did not settle after %d calls; this is a bug of the function, please report it", maxIterations+1)
}

// Fatal is the function's Fatal result, nil if there is none.
func Fatal(rsp *fnv1.RunFunctionResponse) error {
	for _, r := range rsp.GetResults() {
		if r.GetSeverity() == fnv1.Severity_SEVERITY_FATAL {
			return &FatalError{Message: r.GetMessage()}
		}
	}
	return nil
}

func fatal(rsp *fnv1.RunFunctionResponse) bool { return Fatal(rsp) != nil }

func clone(req *fnv1.RunFunctionRequest) *fnv1.RunFunctionRequest {
	return proto.CloneOf(req)
}

func tagOf(req *fnv1.RunFunctionRequest) (string, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(req)
	if err != nil {
		return "", errors.Wrap(err, "cannot encode the request")
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}
