package render

import (
	"context"
	"maps"
	"slices"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// DefaultStep is what the pipeline step is called where no Composition names
// it.
const DefaultStep = "dittoserver"

// Inputs are what a preview is made from.
type Inputs struct {
	XR *unstructured.Unstructured
	// Input of the pipeline step; nil for none.
	Input *structpb.Struct
	// Step is the name of the pipeline step, which results bear.
	Step string
	// Observed composed resources by their composition resource names.
	Observed map[string]*unstructured.Unstructured
	// Required is what else exists.
	Required Objects
}

// Outputs are what Crossplane would write.
type Outputs struct {
	// XR as far as the function decides it: its identity and its status.
	XR *unstructured.Unstructured
	// Composed resources, sorted by their composition resource names.
	Composed []*unstructured.Unstructured
	// Results are the events, in the order in which the function made them.
	Results []*unstructured.Unstructured
	// Notes are about the inputs, for whoever made them.
	Notes []string
}

// Render runs the function on the inputs. A Fatal result is a *FatalError.
func Render(ctx context.Context, fn Function, in Inputs) (*Outputs, error) {
	req, err := Request(in.XR, in.Input, in.Observed)
	if err != nil {
		return nil, err
	}
	files := &noting{Objects: in.Required}
	rsp, err := Run(ctx, fn, req, files)
	if err != nil {
		return nil, err
	}
	if err := Fatal(rsp); err != nil {
		return nil, err
	}

	desired := rsp.GetDesired()
	slices.Sort(files.notes)
	out := &Outputs{XR: renderXR(in.XR, rsp), Notes: slices.Compact(files.notes)}
	for _, name := range slices.Sorted(maps.Keys(desired.GetResources())) {
		out.Composed = append(out.Composed, Compose(name, desired.GetResources()[name].GetResource(), in.XR, in.Observed[name]))
	}
	for _, r := range rsp.GetResults() {
		out.Results = append(out.Results, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "render.crossplane.io/v1beta1",
			"kind":       "Result",
			"step":       in.Step,
			"severity":   r.GetSeverity().String(),
			"message":    r.GetMessage(),
		}})
	}
	return out, nil
}

// noting notes what is asked for and lies in another namespace.
type noting struct {
	Objects

	notes []string
}

func (n *noting) Fetch(sel *fnv1.ResourceSelector) ([]*fnv1.Resource, error) {
	found, err := n.Objects.Fetch(sel)
	if len(found) == 0 {
		n.notes = append(n.notes, n.misplaced(sel)...)
	}
	return found, err
}

// Request is the request that Crossplane begins a pipeline with.
func Request(xr *unstructured.Unstructured, input *structpb.Struct, observed map[string]*unstructured.Unstructured) (*fnv1.RunFunctionRequest, error) {
	s, err := ToStruct(xr)
	if err != nil {
		return nil, err
	}
	state := &fnv1.State{Composite: &fnv1.Resource{Resource: s}, Resources: map[string]*fnv1.Resource{}}
	for name, o := range observed {
		s, err := ToStruct(o)
		if err != nil {
			return nil, err
		}
		state.Resources[name] = &fnv1.Resource{Resource: s}
	}
	return &fnv1.RunFunctionRequest{
		Observed: state,
		Desired:  &fnv1.State{},
		Input:    input,
		Context:  &structpb.Struct{Fields: map[string]*structpb.Value{}},
	}, nil
}

// renderXR is the XR as the answer leaves it. A function decides its status
// only; the rest says which XR it is.
func renderXR(xr *unstructured.Unstructured, rsp *fnv1.RunFunctionResponse) *unstructured.Unstructured {
	out := &unstructured.Unstructured{Object: ToMap(rsp.GetDesired().GetComposite().GetResource())}
	out.SetAPIVersion(xr.GetAPIVersion())
	out.SetKind(xr.GetKind())
	out.SetName(xr.GetName())
	out.SetNamespace(xr.GetNamespace())
	SetConditions(out, ReadyCondition(rsp.GetDesired()))
	SetConditions(out, Conditions(rsp)...)
	return out
}
