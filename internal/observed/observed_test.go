package observed

import (
	"maps"
	"slices"
	"testing"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

// request is a request with an XR, observed composed resources, and answers to
// requirements, of which an empty one says that there is no such object.
func request(t *testing.T, xr string, composed, answers map[string]string) *fnv1.RunFunctionRequest {
	t.Helper()
	req := &fnv1.RunFunctionRequest{
		Observed: &fnv1.State{
			Composite: &fnv1.Resource{Resource: yamltest.Struct(t, xr)},
			Resources: map[string]*fnv1.Resource{},
		},
		RequiredResources: map[string]*fnv1.Resources{},
	}
	for k, y := range composed {
		req.Observed.Resources[k] = &fnv1.Resource{Resource: yamltest.Struct(t, y)}
	}
	for k, y := range answers {
		rs := &fnv1.Resources{}
		if y != "" {
			rs.Items = []*fnv1.Resource{{Resource: yamltest.Struct(t, y)}}
		}
		req.RequiredResources[k] = rs
	}
	return req
}

const (
	namespaced = `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: DittoServer, metadata: {name: files, namespace: default, uid: uid-1}}`
	claimed    = `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: XDittoServer, metadata: {name: files-x7k2p, uid: uid-1}, spec: {claimRef: {name: files, namespace: team-a}}}`
)

func TestRequire(t *testing.T) {
	const crd = "CustomResourceDefinition/perconapgclusters.pgv2.percona.com"
	mine := &fnv1.Requirements{Resources: map[string]*fnv1.ResourceSelector{
		"Secret/mine": {ApiVersion: "v1", Kind: "Secret", Match: &fnv1.ResourceSelector_MatchName{MatchName: "mine"}, Namespace: ptr.To("default")},
	}}
	type ask struct{ apiVersion, kind, name, namespace string }
	secret := ask{"v1", "Secret", "mine", "default"}
	type want struct {
		exists, known, pending bool
	}
	cases := map[string]struct {
		reason  string
		ask     []ask
		answers map[string]string
		want    want
		asked   *fnv1.Requirements
	}{
		"Nothing": {
			reason: "who asks nothing requires nothing",
			want:   want{},
		},
		"Unanswered": {
			reason: "an object is asked for by name, in its namespace, and not known before the answer",
			ask:    []ask{secret},
			want:   want{pending: true},
			asked:  mine,
		},
		"Missing": {
			reason:  "an answer without items tells that nothing of the name exists; it stays required, since Crossplane forgets the rest",
			ask:     []ask{secret, secret},
			answers: map[string]string{"Secret/mine": ""},
			want:    want{known: true},
			asked:   mine,
		},
		"Found": {
			reason:  "an answer has the object",
			ask:     []ask{secret},
			answers: map[string]string{"Secret/mine": `{metadata: {name: mine}}`},
			want:    want{exists: true, known: true},
			asked:   mine,
		},
		"ClusterScoped": {
			reason: "a CRD has no namespace",
			ask:    []ask{{"apiextensions.k8s.io/v1", "CustomResourceDefinition", "perconapgclusters.pgv2.percona.com", ""}},
			want:   want{pending: true},
			asked: &fnv1.Requirements{Resources: map[string]*fnv1.ResourceSelector{
				crd: {ApiVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition", Match: &fnv1.ResourceSelector_MatchName{MatchName: "perconapgclusters.pgv2.percona.com"}},
			}},
		},
		"OneOfTwo": {
			reason:  "one answer of two leaves the request pending",
			ask:     []ask{{"v1", "Secret", "other", "default"}, secret},
			answers: map[string]string{"Secret/mine": ""},
			want:    want{known: true, pending: true},
			asked: &fnv1.Requirements{Resources: map[string]*fnv1.ResourceSelector{
				"Secret/mine":  mine.GetResources()["Secret/mine"],
				"Secret/other": {ApiVersion: "v1", Kind: "Secret", Match: &fnv1.ResourceSelector_MatchName{MatchName: "other"}, Namespace: ptr.To("default")},
			}},
		},
		"NoName": {
			reason: "nothing has an empty name, and to ask for it would ask for everything",
			ask:    []ask{{"v1", "Secret", "", "default"}},
			want:   want{known: true},
		},
		"NameThatIsNone": {
			reason: "a name with a slash fails the pipeline before anybody is told",
			ask:    []ask{{"v1", "Secret", "a/b", "default"}},
			want:   want{known: true},
		},
		"NamespaceThatIsNone": {
			reason: "and so does such a namespace",
			ask:    []ask{{"v1", "Secret", "a", ".."}},
			want:   want{known: true},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := NewReader(request(t, namespaced, nil, tc.answers))
			got := want{}
			for _, a := range tc.ask {
				o, known := r.Require(a.apiVersion, a.kind, a.name, a.namespace)
				got.exists, got.known = o.Exists(), known
			}
			got.pending = r.Pending()
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("%s\nRequire(...): -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.asked, r.Requirements(), protocmp.Transform()); diff != "" {
				t.Errorf("%s\nRequirements(): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestComposed(t *testing.T) {
	r := NewReader(request(t, namespaced, map[string]string{"server": `{metadata: {name: files}}`}, nil))
	if got := r.Composed(names.Server).Name(); got != "files" {
		t.Errorf("Composed(server): want what Crossplane observed, got %q", got)
	}
	if r.Composed(names.Postgres).Exists() {
		t.Error("Composed(postgres): want nothing")
	}
	if r.Requirements() != nil || r.Pending() {
		t.Error("what was observed: want nothing asked for")
	}
}

// TestPerconaServedByCRD: a Crossplane before v2.2 does not know schemas.
func TestPerconaServedByCRD(t *testing.T) {
	const (
		perconaCRD = "CustomResourceDefinition/perconapgclusters.pgv2.percona.com"
		ownCRD     = "CustomResourceDefinition/dittoservers.dittofs.dittofs.com"
	)
	cases := map[string]struct {
		reason  string
		answers map[string]string
		want    Served
	}{
		"NothingKnown": {
			reason: "a kind that is not served must not be asked for, so its CRD comes first",
			want:   ServedUnknown,
		},
		"HalfKnown": {
			reason:  "one answer of two does not tell a cluster from a preview",
			answers: map[string]string{perconaCRD: ""},
			want:    ServedUnknown,
		},
		"NotInstalled": {
			reason:  "a cluster has the XR's own CRD, and this one lacks Percona's",
			answers: map[string]string{perconaCRD: "", ownCRD: `{metadata: {name: x}}`},
			want:    NotServed,
		},
		"Offline": {
			reason:  "a preview has neither, and the operator is taken as installed there",
			answers: map[string]string{perconaCRD: "", ownCRD: ""},
			want:    IsServed,
		},
		"Installed": {
			reason: "the kind is served and can be asked for",
			answers: map[string]string{
				perconaCRD: `{status: {conditions: [{type: NamesAccepted, status: "True"}, {type: Established, status: "True"}]}}`,
				ownCRD:     `{metadata: {name: x}}`,
			},
			want: IsServed,
		},
		"NotEstablished": {
			reason: "a CRD that is not established is not served",
			answers: map[string]string{
				perconaCRD: `{status: {conditions: [{type: Established, status: "False"}]}}`,
				ownCRD:     `{metadata: {name: x}}`,
			},
			want: NotServed,
		},
		"CRDWithoutConditions": {
			reason:  "the API server has not looked at the CRD yet",
			answers: map[string]string{perconaCRD: `{status: {storedVersions: [v2]}}`, ownCRD: `{metadata: {name: x}}`},
			want:    NotServed,
		},
		"CRDDeleting": {
			reason: "a CRD that goes takes its objects along",
			answers: map[string]string{
				perconaCRD: `{metadata: {deletionTimestamp: "2026-01-01T00:00:00Z"}, status: {conditions: [{type: Established, status: "True"}]}}`,
				ownCRD:     `{metadata: {name: x}}`,
			},
			want: NotServed,
		},
		"CRDFromAFile": {
			reason:  "a preview may be given the CRD's file, which has no status",
			answers: map[string]string{perconaCRD: `{metadata: {name: x}}`, ownCRD: ""},
			want:    IsServed,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := NewReader(request(t, namespaced, nil, tc.answers))
			if got := r.PerconaServed(r.XR()); got != tc.want {
				t.Errorf("%s\nPerconaServed(...): want %v, got %v", tc.reason, tc.want, got)
			}
			want := []string{ownCRD, perconaCRD}
			if diff := cmp.Diff(want, slices.Sorted(maps.Keys(r.Requirements().GetResources()))); diff != "" || r.Requirements().GetSchemas() != nil {
				t.Errorf("%s\nRequirements(): -want, +got:\n%s", tc.reason, diff)
			}
			if got, want := r.Pending(), tc.want == ServedUnknown; got != want {
				t.Errorf("%s\nPending(): want %t, got %t", tc.reason, want, got)
			}
		})
	}
}

// TestPerconaServedBySchema: the CRD of PerconaPGCluster has 1 MB, and the schema
// of a small kind of the same operator answers the same question.
func TestPerconaServedBySchema(t *testing.T) {
	const percona, own = "PerconaPGRestore", "DittoServer"
	has, hasNot := yamltest.Struct(t, `{type: object}`), yamltest.Struct(t, `{}`)
	cases := map[string]struct {
		reason  string
		answers map[string]*structpb.Struct
		want    Served
		asked   []string
		pending bool
	}{
		"NothingKnown": {
			reason:  "Percona's kind is asked about first: in a cluster that serves it, that is all",
			want:    ServedUnknown,
			asked:   []string{percona},
			pending: true,
		},
		"Installed": {
			reason:  "one answer is enough, and nothing more is asked",
			answers: map[string]*structpb.Struct{percona: has},
			want:    IsServed,
			asked:   []string{percona},
		},
		"HalfKnown": {
			reason:  "a kind that is missing does not tell a cluster from a preview",
			answers: map[string]*structpb.Struct{percona: hasNot},
			want:    ServedUnknown,
			asked:   []string{own, percona},
			pending: true,
		},
		"NotInstalled": {
			reason:  "a cluster serves the XR's own kind",
			answers: map[string]*structpb.Struct{percona: hasNot, own: has},
			want:    NotServed,
			asked:   []string{own, percona},
		},
		"Offline": {
			reason:  "a preview serves nothing",
			answers: map[string]*structpb.Struct{percona: hasNot, own: hasNot},
			want:    IsServed,
			asked:   []string{own, percona},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			req := request(t, namespaced, nil, nil)
			req.Meta = &fnv1.RequestMeta{Capabilities: []fnv1.Capability{fnv1.Capability_CAPABILITY_REQUIRED_SCHEMAS}}
			req.RequiredSchemas = map[string]*fnv1.Schema{}
			for k, s := range tc.answers {
				req.RequiredSchemas[k] = &fnv1.Schema{OpenapiV3: s}
			}
			r := NewReader(req)
			if got := r.PerconaServed(r.XR()); got != tc.want {
				t.Errorf("%s\nPerconaServed(...): want %v, got %v", tc.reason, tc.want, got)
			}
			if diff := cmp.Diff(tc.asked, slices.Sorted(maps.Keys(r.Requirements().GetSchemas()))); diff != "" || r.Requirements().GetResources() != nil {
				t.Errorf("%s\nRequirements(): want schemas alone: -want, +got:\n%s", tc.reason, diff)
			}
			if r.Pending() != tc.pending {
				t.Errorf("%s\nPending(): want %t, got %t", tc.reason, tc.pending, r.Pending())
			}
		})
	}
}

// TestKindServed: a Crossplane without the capability is not asked, and says nothing.
func TestKindServed(t *testing.T) {
	r := NewReader(request(t, namespaced, nil, nil))
	if got := r.KindServed(r.XR(), "monitoring.coreos.com/v1", "ServiceMonitor"); got != CannotTell || r.Requirements() != nil || r.Pending() {
		t.Errorf("KindServed(...) of a Crossplane without schemas: want CannotTell and nothing asked, got %v and %v", got, r.Requirements())
	}
	req := request(t, namespaced, nil, nil)
	req.Meta = &fnv1.RequestMeta{Capabilities: []fnv1.Capability{fnv1.Capability_CAPABILITY_REQUIRED_SCHEMAS}}
	r = NewReader(req)
	if got := r.KindServed(r.XR(), "monitoring.coreos.com/v1", "ServiceMonitor"); got != ServedUnknown || !r.Pending() {
		t.Errorf("KindServed(...): want it asked, got %v", got)
	}
	want := &fnv1.SchemaSelector{ApiVersion: "monitoring.coreos.com/v1", Kind: "ServiceMonitor"}
	if diff := cmp.Diff(want, r.Requirements().GetSchemas()["ServiceMonitor"], protocmp.Transform()); diff != "" {
		t.Errorf("Requirements(): -want, +got:\n%s", diff)
	}
}
