package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// encodedCanary is how a Secret's data begins whose value begins with the canary.
const encodedCanary = "Y2FuYXJ5LTdjMW"

// FuzzRunFunction gives the function requests as they come over the wire, with
// another XR put into some: it must not panic, must give the same answer to the
// same request, and must not tell anybody a credential.
//
// The seeds are the requests of every example at every stage of its life, and
// with them every XR under testdata. Every credential in them has a canary.
func FuzzRunFunction(f *testing.F) {
	var percona []byte
	for name, e := range exampleXRs(f) {
		w := watch(e.xr, e.input)
		w.live(func(stage string) {
			out, err := w.c.reconcile()
			if err != nil || out.fatal != "" {
				f.Fatalf("%s, %s: %v %s", name, stage, err, out.fatal)
			}
			if e.input != nil && stage != "the server runs" {
				return // Much like the request without an Input.
			}
			wire := deterministic(f, out.request)
			f.Add(wire, "")
			if name == "percona.yaml" && stage == "the server runs" {
				percona = wire
			}
		})
	}
	if percona == nil {
		f.Fatal("no request of example/percona.yaml")
	}
	for _, dir := range []string{"invalid", "held", "taken"} {
		files, err := filepath.Glob(filepath.Join("testdata", dir, "*.yaml"))
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			if !strings.Contains(string(b), "DittoServer\n") || strings.Contains(string(b), "\n---\n") {
				continue
			}
			xr, err := json.Marshal(readYAML(f, file))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(percona, string(xr))
		}
	}

	f.Fuzz(func(t *testing.T, wire []byte, xr string) {
		req := &fnv1.RunFunctionRequest{}
		if proto.Unmarshal(wire, req) != nil {
			return
		}
		if xr != "" {
			s := &structpb.Struct{}
			if protojson.Unmarshal([]byte(xr), s) != nil {
				return
			}
			req.Observed = &fnv1.State{Composite: &fnv1.Resource{Resource: s}, Resources: req.GetObserved().GetResources()}
		}

		log := &captured{}
		src := &source{}
		fn := NewFunction(log, time.Minute, src).Remembering()
		run := func(fn *Function) *fnv1.RunFunctionResponse {
			src.n = 0
			rsp, err := fn.RunFunction(t.Context(), proto.CloneOf(req))
			if err != nil {
				t.Fatalf("cannot run: %v", err)
			}
			return rsp
		}
		rsp := run(fn)
		if again := run(fn); string(deterministic(t, rsp)) != string(deterministic(t, again)) {
			t.Errorf("the same request got two answers:\n%s", gocmpProto(rsp, again))
		}
		if again := run(NewFunction(log, time.Minute, src)); string(deterministic(t, rsp)) != string(deterministic(t, again)) {
			t.Errorf("a function that remembers nothing answers the same request otherwise:\n%s", gocmpProto(rsp, again))
		}
		if tellable(t, req) {
			return
		}
		told := string(deterministic(t, withoutSecrets(rsp))) + log.take()
		if strings.Contains(told, canary) || strings.Contains(told, encodedCanary) {
			t.Errorf("a credential is told:\n%s", protojson.Format(withoutSecrets(rsp)))
		}
	})
}

// tellable says whether a canary stands, in a request, where it is no secret:
// outside of Secrets' data, or where a Secret says how to reach a database.
func tellable(t *testing.T, req *fnv1.RunFunctionRequest) bool {
	t.Helper()
	req = proto.CloneOf(req)
	strip := func(r *fnv1.Resource) {
		data := r.GetResource().GetFields()["data"].GetStructValue().GetFields()
		for k := range data {
			switch k {
			case "host", "port", "dbname", "database", "user":
			default:
				delete(data, k)
			}
		}
	}
	for _, r := range req.GetObserved().GetResources() {
		strip(r)
	}
	for _, rs := range req.GetRequiredResources() {
		for _, r := range rs.GetItems() {
			strip(r)
		}
	}
	for _, rs := range req.GetExtraResources() { //nolint:staticcheck // Crossplane may still send them.
		for _, r := range rs.GetItems() {
			strip(r)
		}
	}
	rest := string(deterministic(t, req))
	return strings.Contains(rest, "anary") || strings.Contains(rest, "2FuYX")
}

// withoutSecrets is a response without the Secrets that it composes.
func withoutSecrets(rsp *fnv1.RunFunctionResponse) *fnv1.RunFunctionResponse {
	rsp = proto.CloneOf(rsp)
	for name, r := range rsp.GetDesired().GetResources() {
		if r.GetResource().GetFields()["kind"].GetStringValue() == "Secret" {
			delete(rsp.GetDesired().GetResources(), name)
		}
	}
	return rsp
}
