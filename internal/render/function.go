// Package render previews what Crossplane would make of a DittoServer, without
// Crossplane: it calls the function in this process, answers its requirements
// from files, and adds to its answer what Crossplane adds. What it prints is
// what "crossplane render" prints.
package render

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"

	"github.com/crossplane/function-sdk-go/errors"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"google.golang.org/protobuf/proto"
)

// A Function answers calls as the function does behind gRPC.
type Function interface {
	RunFunction(ctx context.Context, req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error)
}

// A Cluster answers what a function requires.
type Cluster interface {
	// Fetch returns what a selector selects, nothing if that does not exist.
	Fetch(sel *fnv1.ResourceSelector) ([]*fnv1.Resource, error)
	// Schema returns the schema of a kind, an empty one if it is not served.
	Schema(sel *fnv1.SchemaSelector) (*fnv1.Schema, error)
}

// Capabilities are those of Crossplane 2.4.
var Capabilities = []fnv1.Capability{ //nolint:gochecknoglobals // A constant.
	fnv1.Capability_CAPABILITY_CAPABILITIES,
	fnv1.Capability_CAPABILITY_REQUIRED_RESOURCES,
	fnv1.Capability_CAPABILITY_CREDENTIALS,
	fnv1.Capability_CAPABILITY_CONDITIONS,
	fnv1.Capability_CAPABILITY_REQUIRED_SCHEMAS,
}

// maxIterations is how often a function is called again because of what it
// requires. Source: crossplane v2.4.0 internal/xfn/required_resources.go.
const maxIterations = 5

// A FatalError is a Fatal result of the function.
type FatalError struct {
	Message string
}

func (e *FatalError) Error() string { return e.Message }

// Run calls the function as Crossplane does: with a tag and, unless the request
// names others, Crossplane's capabilities, and again with what it requires until
// that stays the same. A Fatal result is a response, not an error.
func Run(ctx context.Context, fn Function, req *fnv1.RunFunctionRequest, c Cluster) (*fnv1.RunFunctionResponse, error) {
	rsp, _, err := RunTraced(ctx, fn, req, c)
	return rsp, err
}

// RunTraced is Run, and also returns the request of the last call.
func RunTraced(ctx context.Context, fn Function, req *fnv1.RunFunctionRequest, c Cluster) (*fnv1.RunFunctionResponse, *fnv1.RunFunctionRequest, error) {
	// Only what is written to below is copied. The function gets a copy of all.
	req = &fnv1.RunFunctionRequest{
		Meta: req.GetMeta(), Observed: req.GetObserved(), Desired: req.GetDesired(), Input: req.GetInput(), Context: req.GetContext(),
		RequiredResources: req.GetRequiredResources(), RequiredSchemas: req.GetRequiredSchemas(), Credentials: req.GetCredentials(),
	}
	capabilities := req.GetMeta().GetCapabilities()
	if capabilities == nil {
		capabilities = Capabilities
	}
	req.Meta = nil
	tag, err := tagOf(req)
	if err != nil {
		return nil, nil, err
	}
	req.Meta = &fnv1.RequestMeta{Tag: tag, Capabilities: capabilities}

	given, givenSchemas := req.GetRequiredResources(), req.GetRequiredSchemas()
	var last *fnv1.Requirements
	for range maxIterations + 1 {
		// The function gets a copy, as it does over the wire: what it does to
		// its request must not reach the next one.
		rsp, err := fn.RunFunction(ctx, clone(req))
		if err != nil {
			return nil, req, errors.Wrap(err, "cannot run the function")
		}
		now := rsp.GetRequirements()
		if fatal(rsp) || proto.Equal(now, last) {
			return rsp, req, nil
		}
		last = now
		req.RequiredResources = map[string]*fnv1.Resources{}
		maps.Copy(req.RequiredResources, given)
		for name, sel := range now.GetResources() {
			items, err := c.Fetch(sel)
			if err != nil {
				return nil, req, errors.Wrapf(err, "cannot fetch required resource %q", name)
			}
			// A missing object is a key without items.
			req.RequiredResources[name] = &fnv1.Resources{Items: items}
		}
		req.RequiredSchemas = maps.Clone(givenSchemas)
		// A Crossplane without the capability does not know the field.
		if slices.Contains(capabilities, fnv1.Capability_CAPABILITY_REQUIRED_SCHEMAS) {
			if req.RequiredSchemas == nil {
				req.RequiredSchemas = map[string]*fnv1.Schema{}
			}
			for name, sel := range now.GetSchemas() {
				s, err := c.Schema(sel)
				if err != nil {
					return nil, req, errors.Wrapf(err, "cannot fetch required schema %q", name)
				}
				req.RequiredSchemas[name] = s
			}
		}
		req.Context = rsp.GetContext()
	}
	return nil, req, errors.Errorf("what the function requires did not settle after %d calls; this is a bug of the function, please report it", maxIterations+1)
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
