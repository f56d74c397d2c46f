package main

import (
	"context"
	"io"
	"maps"
	"time"

	"github.com/crossplane/function-sdk-go/errors"
	"github.com/crossplane/function-sdk-go/logging"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/crossplane/function-sdk-go/response"
	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dittofs/function-dittoserver/internal/desired"
	"github.com/dittofs/function-dittoserver/internal/kinds"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/pgstate"
	"github.com/dittofs/function-dittoserver/internal/platform"
	"github.com/dittofs/function-dittoserver/internal/report"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/world"
)

// Function composes DittoServers. It is a pure function of the request, but for
// the secrets that it generates, and remembers nothing.
type Function struct {
	fnv1.UnimplementedFunctionRunnerServiceServer

	log    logging.Logger
	ttl    time.Duration
	random io.Reader
}

// NewFunction returns a Function whose responses hold for ttl where the Input does
// not set another, and whose generated secrets come from random.
func NewFunction(log logging.Logger, ttl time.Duration, random io.Reader) *Function {
	return &Function{log: log, ttl: ttl, random: random}
}

// RunFunction returns the desired resources, the status and the conditions of a
// DittoServer.
func (f *Function) RunFunction(_ context.Context, req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
	in := observed.NewReader(req)
	xr := in.XR()
	settings, errs := platform.Read(in.Input(), f.ttl)
	spec, specErrs := server.Decode(xr.Spec(), settings.Defaults)
	rsp := response.To(req, settings.TTL)

	id, held := world.Identify(in, xr, kinds.Suffixes(), settings.Namespace)
	id.AdoptExisting = spec.AdoptExisting
	unidentified := server.CheckIdentity(xr, id)

	ask := kinds.Ask(id.Name, spec)
	ask.MonitorsServed = settings.ServiceMonitors
	w := world.Read(in, xr, id, ask)
	res := server.Resolve(spec, w)
	res.Server.Overrides = settings.Overrides
	res.Held = append(held, res.Held...)
	res.Errors = append(append(append(errs, specErrs...), unidentified...), res.Errors...)

	log := f.log.WithValues("xr", xr.Name, "server", id.Name, "namespace", id.Namespace)
	current, target := pgstate.Read(w, res.Server.Current), pgstate.Read(w, res.Server.Target)
	out := report.Report{World: w, Result: res, Target: target}
	if len(res.Errors) == 0 {
		err := f.compose(rsp, &out, current)
		if err == nil {
			rsp.Requirements = w.Requirements
			log.Debug("Composed", "resources", len(out.State.Composed), "leftOut", len(out.State.LeftOut), "databaseReady", target.Ready)
			return rsp, nil
		}
		out.Result.Errors = field.ErrorList{asField(err)}
	}

	// What is not known yet is asked first: a Fatal ends the questions, and with
	// them what its conditions could tell.
	if len(unidentified) == 0 && w.Pending {
		rsp.Requirements = w.Requirements
		return rsp, nil
	}
	rsp = response.To(req, settings.TTL)
	out.WriteInvalid(rsp)
	log.Info("Refused", "error", report.Error(out.Result.Errors))
	return rsp, nil
}

// asField returns an error of composing as one of a field: that of an override names it.
func asField(err error) *field.Error {
	if wrong := new(field.Error); errors.As(err, &wrong) {
		return wrong
	}
	return field.InternalError(field.NewPath("composition"), err)
}

// compose writes the desired state of a server, and the report of it.
func (f *Function) compose(rsp *fnv1.RunFunctionResponse, out *report.Report, current pgstate.State) error {
	st, err := desired.Compose(out.World, out.Result.Server, current, out.Target, f.random)
	if err != nil {
		return err
	}
	out.State = st
	if err := add(rsp, st); err != nil {
		return err
	}
	return out.Write(rsp)
}

// add puts the objects of a server beside those of earlier pipeline steps. The
// request's own desired state is not modified.
func add(rsp *fnv1.RunFunctionResponse, st desired.State) error {
	earlier := rsp.GetDesired()
	rsp.Desired = &fnv1.State{
		Composite: proto.CloneOf(earlier.GetComposite()),
		Resources: make(map[string]*fnv1.Resource, len(earlier.GetResources())+len(st.Composed)),
	}
	maps.Copy(rsp.Desired.Resources, earlier.GetResources())
	for _, c := range st.Composed {
		name := string(c.Resource)
		if _, taken := rsp.GetDesired().GetResources()[name]; taken {
			return errors.Errorf("an earlier step of the pipeline composes a resource named %q too; give its resource another name", name)
		}
		r := &fnv1.Resource{Resource: c.Object, Ready: fnv1.Ready_READY_FALSE}
		if c.Ready {
			r.Ready = fnv1.Ready_READY_TRUE
		}
		rsp.Desired.Resources[name] = r
	}
	return nil
}
