package main

import (
	"encoding/base64"
	goflag "flag"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dittofs/function-dittoserver/internal/lifecycle"
	"github.com/dittofs/function-dittoserver/internal/render"
	"github.com/dittofs/function-dittoserver/test/doubles"
)

// FuzzRunFunction edits requests of servers at every stage of their lives: the
// XR, the Input, live objects and Secrets. The function must not panic, must give
// the same response to the same request, must send only what can be sent, and
// must not tell anybody a credential. Every credential has a canary.
//
// What is fuzzed is which request is edited, and a program of edits: bytes that
// choose an object, walk into it, and change what they come to. So nearly every
// input is a request that may come over the wire, and costs little to make. The
// corpus is kept in testdata/fuzz.
func FuzzRunFunction(f *testing.F) {
	bases := fuzzBases(f)
	words := fuzzWords(bases)
	for i := range bases {
		f.Add(uint8(i), []byte{})
	}
	f.Fuzz(func(t *testing.T, base uint8, edits []byte) { fuzz(t, bases, words, base, edits) })
}

// editTime is how long TestRandomEdits runs.
var editTime = goflag.Duration("edits.time", 2*time.Second, "how long to run random edits")

// TestRandomEdits makes the edits that FuzzRunFunction makes, at random: without
// guidance, and many times as fast. What fails is a file to put into
// testdata/fuzz/FuzzRunFunction.
func TestRandomEdits(t *testing.T) {
	bases := fuzzBases(t)
	words := fuzzWords(bases)
	var wg sync.WaitGroup
	var n atomic.Int64
	deadline := time.Now().Add(*editTime)
	for worker := range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(20260101, uint64(worker)))
			for time.Now().Before(deadline) && !t.Failed() {
				edits := make([]byte, 4+r.IntN(60))
				for i := range edits {
					edits[i] = byte(r.Uint32())
				}
				base := uint8(r.IntN(len(bases)))
				if fuzz(t, bases, words, base, edits); t.Failed() {
					t.Errorf("go test fuzz v1\nbyte(%q)\n[]byte(%q)", base, edits)
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	t.Logf("%d requests in %s", n.Load(), *editTime)
}

// fuzz edits a request, gives it to the function, and judges the response.
func fuzz(t *testing.T, bases []*fnv1.RunFunctionRequest, words fuzzVocabulary, base uint8, edits []byte) {
	t.Helper()
	req := shallow(bases[int(base)%len(bases)])
	(&fuzzEdits{edits: edits, words: words}).edit(req)

	log := &doubles.Log{}
	run := func() *fnv1.RunFunctionResponse {
		rsp, err := NewFunction(log, time.Minute, &doubles.Source{}).RunFunction(t.Context(), req)
		if err != nil {
			t.Errorf("cannot run: %v", err)
		}
		return rsp
	}
	before := digest(edits)
	var copied *fnv1.RunFunctionRequest
	if before%8 == 0 {
		copied = proto.CloneOf(req)
	}
	rsp := run()
	wire, err := proto.Marshal(rsp)
	if err != nil {
		t.Errorf("the response cannot be sent: %v", err)
	}
	for _, r := range rsp.GetResults() {
		if strings.Contains(r.GetMessage(), "Internal error") {
			t.Errorf("what the request says is an internal error: %s", r.GetMessage())
		}
	}
	told := string(wire)
	if strings.Contains(told, canary) || strings.Contains(told, encodedCanary) {
		told = string(deterministic(t, withoutSecrets(rsp)))
	}
	if told += log.Take(); strings.Contains(told, canary) || strings.Contains(told, encodedCanary) {
		t.Errorf("a credential is told:\n%s", protojson.Format(withoutSecrets(rsp)))
	}
	// What costs as much again is done now and then.
	if copied == nil {
		return
	}
	if !proto.Equal(req, copied) {
		t.Errorf("the function wrote to its request:\n%s", gocmpProto(copied, req))
	}
	if again := run(); string(deterministic(t, rsp)) != string(deterministic(t, again)) {
		t.Errorf("the same request got two responses:\n%s", gocmpProto(rsp, again))
	}
}

// encodedCanary is how a Secret's data begins whose value begins with the canary.
const encodedCanary = "Y2FuYXJ5LTdjMW"

func digest(b []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(b)
	return h.Sum64()
}

// fuzzBases are the requests of every example when it is created and when it is
// ready, and of what the DittoFS operator leaves, before and after it is taken
// over.
func fuzzBases(f testing.TB) []*fnv1.RunFunctionRequest {
	f.Helper()
	var out []*fnv1.RunFunctionRequest
	live := func(w *lifecycle.World) {
		for _, s := range []lifecycle.Stage{lifecycle.Created, lifecycle.DatabaseInitializing, lifecycle.AllReady} {
			s.Play(w)
			for range 3 {
				a, err := w.Reconcile(f.Context())
				if err != nil || a.Fatal != nil {
					f.Fatal(err, a.Fatal)
				}
				if a.Request == nil {
					return // Crossplane has come to a dead end.
				}
				s.Play(w)
				if s.Name == lifecycle.AllReady.Name || len(a.Request.GetObserved().GetResources()) == 0 {
					out = append(out, withCanary(a.Request))
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(examples)) {
		ex := examples[name]
		xr, err := render.Loader{}.LoadXR(ex.file)
		if err != nil {
			f.Fatal(err)
		}
		var input *structpb.Struct
		if ex.input != "" {
			if input, err = (render.Loader{}).LoadInput(ex.input); err != nil {
				f.Fatal(err)
			}
		}
		w := lifecycle.New(testFunction(), xr, input)
		w.MakeMissingSecrets()
		w.InstallOperator()
		w.Put(crdOf(xr))
		live(w)
	}
	for _, name := range []string{"plain", "withpg", "corp"} {
		docs, err := render.Loader{}.LoadRequired(filepath.Join("testdata", "operator-layout", name+".yaml"))
		if err != nil {
			f.Fatal(err)
		}
		i := slices.IndexFunc(docs, func(o *unstructured.Unstructured) bool { return o.GetKind() == "DittoServer" })
		xr := docs[i]
		w := lifecycle.New(testFunction(), xr, nil, slices.Delete(docs, i, i+1)...)
		w.InstallOperator()
		w.Put(crdOf(xr))
		live(w)
	}
	return out
}

// withCanary is a request whose credentials have canaries.
func withCanary(req *fnv1.RunFunctionRequest) *fnv1.RunFunctionRequest {
	req = proto.CloneOf(req)
	mark := func(r *fnv1.Resource) {
		if r.GetResource().GetFields()["kind"].GetStringValue() != "Secret" {
			return
		}
		data := r.GetResource().GetFields()["data"].GetStructValue().GetFields()
		for k := range data {
			switch k {
			case "host", "port", "dbname", "database", "user", "username", "ca.crt", "tls.crt", "sslmode":
			default:
				data[k] = structpb.NewStringValue(base64.StdEncoding.EncodeToString([]byte(canary + "-of-thirty-two-characters-" + k)))
			}
		}
	}
	for _, r := range req.GetObserved().GetResources() {
		mark(r)
	}
	for _, rs := range req.GetRequiredResources() {
		for _, r := range rs.GetItems() {
			mark(r)
		}
	}
	return req
}

// fuzzWords are the names of all fields, and values that mean something.
type fuzzVocabulary struct {
	fields []string
	values []*structpb.Value
}

func fuzzWords(bases []*fnv1.RunFunctionRequest) fuzzVocabulary {
	fields, texts := map[string]bool{}, map[string]bool{}
	var walk func(v *structpb.Value, secret bool)
	walk = func(v *structpb.Value, secret bool) {
		for k, e := range v.GetStructValue().GetFields() {
			fields[k] = true
			walk(e, secret || k == "data")
		}
		for _, e := range v.GetListValue().GetValues() {
			walk(e, secret)
		}
		if s := v.GetStringValue(); s != "" && len(s) < 60 && !secret && !strings.Contains(s, "anary") {
			texts[s] = true
		}
	}
	for _, b := range bases {
		walk(structpb.NewStructValue(b.GetObserved().GetComposite().GetResource()), false)
		walk(structpb.NewStructValue(b.GetInput()), false)
		for _, r := range b.GetObserved().GetResources() {
			walk(structpb.NewStructValue(r.GetResource()), false)
		}
	}
	for _, k := range []string{
		"percona", "database", "sqlite", "postgresSecretRef", "confirmSwitch", "confirmRemoval", "databaseName", "metadataDatabaseName", "postgresVersion", "crVersion",
		"image", "driftPolicy", "deleteWithServer", "storageClassName", "adoptExisting", "identity", "jwt", "admin", "secretRef", "passwordSecretRef", "metrics",
		"deletionTimestamp", "claimRef", "enabled", "replicas", "key", "name", "path", "sslmode", "ca.crt", "port", "controller", "pause",
	} {
		fields[k] = true
	}
	for _, s := range []string{"", "sqlite", "external", "percona", "postgres", "external/projects-database", "Revert", "Keep", "5Gi", "500Gi", "fast", "POISON", "../x", "2.8.0", "18", "not-there", "/data/controlplane/other.db"} {
		texts[s] = true
	}
	v := fuzzVocabulary{fields: slices.Sorted(maps.Keys(fields))}
	for _, s := range slices.Sorted(maps.Keys(texts)) {
		v.values = append(v.values, structpb.NewStringValue(s))
	}
	for _, n := range []float64{0, 1, -1, 2, 3, 14, 15, 16, 17, 18, 443, 8080, 65536, 1.5, 1e300} {
		v.values = append(v.values, structpb.NewNumberValue(n))
	}
	v.values = append(v.values, structpb.NewBoolValue(true), structpb.NewBoolValue(false), structpb.NewNullValue(),
		structpb.NewStructValue(&structpb.Struct{}), structpb.NewListValue(&structpb.ListValue{}))
	return v
}

// shallow is a request that shares its objects with another. Copying all of them
// would cost as much as the function does.
func shallow(req *fnv1.RunFunctionRequest) *fnv1.RunFunctionRequest {
	return &fnv1.RunFunctionRequest{
		Meta: req.GetMeta(), Desired: req.GetDesired(), Input: req.GetInput(), Context: req.GetContext(), RequiredSchemas: req.GetRequiredSchemas(),
		Observed:          &fnv1.State{Composite: req.GetObserved().GetComposite(), Resources: maps.Clone(req.GetObserved().GetResources())},
		RequiredResources: maps.Clone(req.GetRequiredResources()),
	}
}

// fuzzEdits is a program of edits.
type fuzzEdits struct {
	edits []byte
	words fuzzVocabulary
}

// own is a copy to be edited.
func (*fuzzEdits) own(r *fnv1.Resource) *fnv1.Resource { return proto.CloneOf(r) }

func (e *fuzzEdits) next() int {
	if len(e.edits) == 0 {
		return 0
	}
	b := e.edits[0]
	e.edits = e.edits[1:]
	return int(b)
}

// edit makes at most eight edits.
func (e *fuzzEdits) edit(req *fnv1.RunFunctionRequest) {
	for n := 0; len(e.edits) > 0 && n < 8; n++ {
		observed, required := req.GetObserved().GetResources(), req.GetRequiredResources()
		switch e.next() % 8 {
		case 0, 1, 2:
			req.Observed.Composite = e.own(req.GetObserved().GetComposite())
			e.object(req.GetObserved().GetComposite().GetResource().GetFields()["spec"].GetStructValue())
		case 3:
			req.Observed.Composite = e.own(req.GetObserved().GetComposite())
			e.object(req.GetObserved().GetComposite().GetResource())
		case 4, 5:
			if name := e.of(slices.Sorted(maps.Keys(observed))); name != "" {
				if e.next()%16 == 0 {
					delete(observed, name)
					continue
				}
				observed[name] = e.own(observed[name])
				e.object(observed[name].GetResource())
			}
		case 6:
			if name := e.of(slices.Sorted(maps.Keys(required))); name != "" {
				required[name] = proto.CloneOf(required[name])
				items := required[name].GetItems()
				switch m := e.next() % 16; {
				case m == 0:
					required[name] = &fnv1.Resources{}
				case m == 1:
					delete(required, name)
				case len(items) > 0 && m < 6:
					e.secret(items[0].GetResource())
				case len(items) > 0:
					e.object(items[0].GetResource())
				}
			}
		case 7:
			if req.Input = proto.CloneOf(req.GetInput()); req.GetInput() != nil {
				e.object(req.GetInput())
			}
		}
	}
}

func (e *fuzzEdits) of(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[e.next()%len(names)]
}

// secret puts any bytes into a Secret.
func (e *fuzzEdits) secret(o *structpb.Struct) {
	data := o.GetFields()["data"].GetStructValue().GetFields()
	k := e.of(slices.Sorted(maps.Keys(data)))
	if k == "" {
		return
	}
	n := min(e.next()%9, len(e.edits))
	raw := e.edits[:n]
	e.edits = e.edits[n:]
	data[k] = structpb.NewStringValue(base64.StdEncoding.EncodeToString(raw))
}

// object walks into an object and changes what it comes to.
func (e *fuzzEdits) object(o *structpb.Struct) {
	if o == nil {
		return
	}
	if o.Fields == nil {
		o.Fields = map[string]*structpb.Value{}
	}
	keys := slices.Sorted(maps.Keys(o.GetFields()))
	i := e.next() % (len(keys) + 1)
	if i == len(keys) {
		o.Fields[e.of(e.words.fields)] = e.value()
		return
	}
	v := o.GetFields()[keys[i]]
	if e.next()%4 > 0 {
		if s := v.GetStructValue(); s != nil {
			e.object(s)
			return
		}
		if l := v.GetListValue(); len(l.GetValues()) > 0 {
			e.list(l)
			return
		}
	}
	if e.next()%4 == 0 {
		delete(o.GetFields(), keys[i])
		return
	}
	o.Fields[keys[i]] = e.value()
}

func (e *fuzzEdits) list(l *structpb.ListValue) {
	i := e.next() % len(l.GetValues())
	switch e.next() % 8 {
	case 0:
		l.Values = slices.Delete(l.GetValues(), i, i+1)
	case 1:
		l.Values = append(l.Values, proto.CloneOf(l.GetValues()[i]))
	case 2:
		l.Values[i] = e.value()
	case 3:
		l.Values = slices.Insert(l.GetValues(), 0, e.value())
	default:
		if s := l.GetValues()[i].GetStructValue(); s != nil {
			e.object(s)
		}
	}
}

func (e *fuzzEdits) value() *structpb.Value {
	i := e.next()<<8 + e.next()
	return proto.CloneOf(e.words.values[i%len(e.words.values)])
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

// gocmpProto returns how two messages differ.
func gocmpProto(a, b proto.Message) string {
	if proto.Equal(a, b) {
		return ""
	}
	return cmp.Diff(a, b, protocmp.Transform())
}
