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
	"github.com/dittofs/function-dittoserver/internal/memo"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/pgstate"
	"github.com/dittofs/function-dittoserver/internal/platform"
	"github.com/dittofs/function-dittoserver/internal/report"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// Function composes DittoServers.
type Function struct {
	fnv1.UnimplementedFunctionRunnerServiceServer

	log    logging.Logger
	ttl    time.Duration
	random io.Reader
	memo   *memo.Cache
}

// NewFunction is a Function whose answers hold for the TTL where the Input does
// not say otherwise, and whose generated secrets come from random.
func NewFunction(log logging.Logger, ttl time.Duration, random io.Reader) *Function {
	return &Function{log: log, ttl: ttl, random: random}
}

// Remembering is the function with a memory of what it made of the same inputs.
// Its answers share objects: they are to be sent, and not to be written to.
func (f *Function) Remembering() *Function {
	f.memo = memo.New()
	return f
}

// RunFunction answers what a DittoServer is made of, and how it is.
func (f *Function) RunFunction(_ context.Context, req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
	xr := observed.ReadXR(req)
	key := xr.Namespace + "/" + xr.Name
	settings, errs := platform.ReadOnce(f.memo, key+"/input", req.GetInput(), f.ttl)
	rsp := response.To(req, settings.TTL)

	ask, askErrs := server.DecodeOnce(f.memo, key+"/ask", xr.Spec(), settings.Defaults)
	errs = append(errs, askErrs...)

	id, held := server.Identify(req, xr, ask, settings.Namespace)
	w := observed.New(req, xr, id)
	res := server.Resolve(w, id, ask, f.memo)
	res.Held = append(held, res.Held...)
	unidentified := server.CheckIdentity(xr, id)
	res.Errors = append(append(errs, unidentified...), res.Errors...)

	wired, database := databases(w, res.Server)
	log := f.log.WithValues("xr", xr.Name, "server", id.Name, "namespace", id.Namespace)

	if len(res.Errors) == 0 {
		answer, err := desired.Compose(w, res.Server, wired, f.random, f.memo)
		if err == nil {
			err = compose(rsp, answer)
		}
		if err == nil {
			err = report.Report(rsp, w, res, database, answer)
		}
		if err == nil {
			rsp.Requirements = w.Requirements()
			log.Debug("Composed", "resources", len(answer.Composed), "leftOut", len(answer.LeftOut), "databaseReady", database.Ready)
			return rsp, nil
		}
		res.Errors = append(res.Errors, field.InternalError(field.NewPath("composition"), err))
	}

	// What is not known yet is asked first: a Fatal ends the questions, and with
	// them what its conditions could say.
	if len(unidentified) == 0 && w.Pending() {
		rsp.Requirements = w.Requirements()
		return rsp, nil
	}
	report.Invalid(rsp, w, res, database)
	log.Info("Refused", "error", report.Error(res.Errors))
	return rsp, nil
}

// databases are the states of the database that the server is wired to, and of
// the one that it is to be wired to.
func databases(w *observed.World, s *server.Server) (wired, target pgstate.State) {
	target = state(w, s, s.Target)
	if s.Database.Same(s.Target) {
		return target, target
	}
	return state(w, s, s.Database), target
}

func state(w *observed.World, s *server.Server, d server.Database) pgstate.State {
	switch d.Kind {
	case server.Percona:
		return pgstate.ReadCluster(w, s.Name)
	case server.External:
		return pgstate.ReadExternal(w.Secret(d.Secret))
	case server.SQLite:
	}
	return pgstate.State{Ready: true}
}

// compose puts an answer's objects beside those of earlier pipeline steps. The
// request's own desired state is not written to.
func compose(rsp *fnv1.RunFunctionResponse, a desired.Answer) error {
	earlier := rsp.GetDesired()
	rsp.Desired = &fnv1.State{
		Composite: proto.CloneOf(earlier.GetComposite()),
		Resources: make(map[string]*fnv1.Resource, len(earlier.GetResources())+len(a.Composed)),
	}
	maps.Copy(rsp.Desired.Resources, earlier.GetResources())
	for _, c := range a.Composed {
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
