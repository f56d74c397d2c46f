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
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/internal/names"
)

func parse(t *testing.T, y string) *structpb.Struct {
	t.Helper()
	if y == "" {
		return nil
	}
	m := map[string]any{}
	if err := yaml.Unmarshal([]byte(y), &m); err != nil {
		t.Fatal(err)
	}
	s, err := structpb.NewStruct(m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// request is a request with an XR, observed composed resources, and answers to
// requirements, of which an empty one says that there is no such object.
func request(t *testing.T, xr string, composed, answers map[string]string) *fnv1.RunFunctionRequest {
	t.Helper()
	req := &fnv1.RunFunctionRequest{
		Observed: &fnv1.State{
			Composite: &fnv1.Resource{Resource: parse(t, xr)},
			Resources: map[string]*fnv1.Resource{},
		},
		RequiredResources: map[string]*fnv1.Resources{},
	}
	for k, y := range composed {
		req.Observed.Resources[k] = &fnv1.Resource{Resource: parse(t, y)}
	}
	for k, y := range answers {
		rs := &fnv1.Resources{}
		if y != "" {
			rs.Items = []*fnv1.Resource{{Resource: parse(t, y)}}
		}
		req.RequiredResources[k] = rs
	}
	return req
}

const (
	namespaced = `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: DittoServer, metadata: {name: files, namespace: default, uid: uid-1}}`
	offline    = `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: DittoServer, metadata: {name: files, namespace: default}}`
	claimed    = `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: XDittoServer, metadata: {name: files-x7k2p, uid: uid-1}, spec: {claimRef: {name: files, namespace: team-a}}}`
)

func TestExisting(t *testing.T) {
	const sts = "StatefulSet/files"
	type args struct {
		xr       string
		adopt    bool
		composed map[string]string
		answers  map[string]string
	}
	type want struct {
		presence Presence
		owner    string
		leaving  bool
	}
	const nobody = "nobody controls it and it does not bear the labels of this server"

	cases := map[string]struct {
		reason string
		args   args
		want   want
	}{
		"Unknown": {
			reason: "what is not observed is asked for, and unknown until it is answered",
			args:   args{xr: namespaced},
			want:   want{presence: Unknown},
		},
		"Absent": {
			reason: "an answer without items says that nothing of the name exists",
			args:   args{xr: namespaced, answers: map[string]string{sts: ""}},
			want:   want{presence: Absent},
		},
		"Observed": {
			reason: "what Crossplane observes is ours",
			args:   args{xr: namespaced, composed: map[string]string{"server": `{metadata: {name: files}}`}},
			want:   want{presence: Ours},
		},
		"ObservedDeleting": {
			reason: "what Crossplane observes may be on its way out, and is ours until it is gone",
			args:   args{xr: namespaced, composed: map[string]string{"server": `{metadata: {name: files, deletionTimestamp: "2026-01-01T00:00:00Z"}}`}},
			want:   want{presence: Ours, leaving: true},
		},
		"OursByController": {
			reason: "its controller is this XR",
			args: args{xr: namespaced, answers: map[string]string{
				sts: `{metadata: {name: files, ownerReferences: [{kind: DittoServer, name: files, uid: uid-1, controller: true}]}}`,
			}},
			want: want{presence: Ours},
		},
		"OtherController": {
			reason: "another controller's object is that controller's, whatever its labels",
			args: args{xr: namespaced, answers: map[string]string{
				sts: `{metadata: {name: files, labels: {crossplane.io/composite: files}, ownerReferences: [{kind: DittoServer, name: files, uid: uid-0, controller: true}]}}`,
			}},
			want: want{presence: Foreign, owner: "it is controlled by DittoServer files"},
		},
		"OtherControllerNotAdopted": {
			reason: "another controller's object cannot be adopted",
			args: args{xr: namespaced, adopt: true, answers: map[string]string{
				sts: `{metadata: {name: files, ownerReferences: [{kind: Deployment, name: d, uid: uid-0, controller: true}]}}`,
			}},
			want: want{presence: Foreign, owner: "it is controlled by Deployment d"},
		},
		"OwnerThatIsNoController": {
			reason: "an owner that does not control the object does not make it ours",
			args: args{xr: namespaced, answers: map[string]string{
				sts: `{metadata: {name: files, ownerReferences: [{kind: DittoServer, name: files, uid: uid-1}]}}`,
			}},
			want: want{presence: Foreign, owner: nobody},
		},
		"OursByLabel": {
			reason: "nobody controls it and it bears this XR's label, as after a deletion with --cascade=orphan",
			args:   args{xr: namespaced, answers: map[string]string{sts: `{metadata: {name: files, labels: {crossplane.io/composite: files}}}`}},
			want:   want{presence: Ours},
		},
		"OtherLabel": {
			reason: "it bears the label of another XR",
			args:   args{xr: namespaced, answers: map[string]string{sts: `{metadata: {name: files, labels: {crossplane.io/composite: other}}}`}},
			want:   want{presence: Foreign, owner: nobody},
		},
		"NoLabel": {
			reason: "it is nobody's that we know",
			args:   args{xr: namespaced, answers: map[string]string{sts: `{metadata: {name: files}}`}},
			want:   want{presence: Foreign, owner: nobody},
		},
		"Adopted": {
			reason: "spec.adoptExisting takes what nobody controls",
			args:   args{xr: namespaced, adopt: true, answers: map[string]string{sts: `{metadata: {name: files}}`}},
			want:   want{presence: Ours},
		},
		"AdoptedDeleting": {
			reason: "what is being deleted is not adopted",
			args:   args{xr: namespaced, adopt: true, answers: map[string]string{sts: `{metadata: {name: files, deletionTimestamp: "2026-01-01T00:00:00Z"}}`}},
			want:   want{presence: Deleting},
		},
		"OursDeleting": {
			reason: "what is ours and being deleted is on its way out all the same",
			args: args{xr: namespaced, answers: map[string]string{
				sts: `{metadata: {name: files, deletionTimestamp: "2026-01-01T00:00:00Z", labels: {crossplane.io/composite: files}}}`,
			}},
			want: want{presence: Deleting},
		},
		"OursByClaim": {
			reason: "the XR of a claim gets another name when it is made again, the claim keeps its own",
			args: args{xr: claimed, answers: map[string]string{
				sts: `{metadata: {name: files, labels: {crossplane.io/composite: files-other, crossplane.io/claim-name: files, crossplane.io/claim-namespace: team-a}}}`,
			}},
			want: want{presence: Ours},
		},
		"ClaimOfAnotherNamespace": {
			reason: "a claim of the same name in another namespace is another claim",
			args: args{xr: claimed, answers: map[string]string{
				sts: `{metadata: {name: files, labels: {crossplane.io/claim-name: files, crossplane.io/claim-namespace: team-b}}}`,
			}},
			want: want{presence: Foreign, owner: nobody},
		},
		"OfflineController": {
			reason: "an XR without a UID controls nothing, least of all what has an owner without one",
			args: args{xr: offline, answers: map[string]string{
				sts: `{metadata: {name: files, ownerReferences: [{kind: X, name: z, controller: true}]}}`,
			}},
			want: want{presence: Foreign, owner: "it is controlled by X z"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			req := request(t, tc.args.xr, tc.args.composed, tc.args.answers)
			xr := ReadXR(req)
			w := New(req, xr, Identity{Name: xr.ServerName(), Namespace: xr.ServerNamespace(""), AdoptExisting: tc.args.adopt})
			e := w.Existing(names.All("files")[1])
			if diff := cmp.Diff(tc.want, want{e.Presence, e.Owner, e.Leaving}, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("%s\nExisting(...): -want, +got:\n%s", tc.reason, diff)
			}
			if e.Object.Exists() != (e.Presence == Ours) {
				t.Errorf("%s\nExisting(...): want an object if, and only if, it is ours", tc.reason)
			}
		})
	}
}

func TestExistingCluster(t *testing.T) {
	const (
		perconaCRD = "CustomResourceDefinition/perconapgclusters.pgv2.percona.com"
		ownCRD     = "CustomResourceDefinition/dittoservers.dittofs.dittofs.com"
		cluster    = "PerconaPGCluster/files-postgres"
	)
	type want struct {
		presence Presence
		crd      CRD
		asked    []string
	}
	crds := []string{ownCRD, perconaCRD}

	cases := map[string]struct {
		reason   string
		composed map[string]string
		answers  map[string]string
		want     want
	}{
		"NothingKnown": {
			reason: "a kind that is not served is not asked for, so its CRD comes first",
			want:   want{presence: Unknown, crd: CRDUnknown, asked: crds},
		},
		"HalfKnown": {
			reason:  "one answer of two does not tell a cluster from a preview",
			answers: map[string]string{perconaCRD: ""},
			want:    want{presence: Unknown, crd: CRDUnknown, asked: crds},
		},
		"NotInstalled": {
			reason:  "a cluster has the XR's own CRD, and this one lacks Percona's",
			answers: map[string]string{perconaCRD: "", ownCRD: `{metadata: {name: x}}`},
			want:    want{presence: Absent, crd: CRDMissing, asked: crds},
		},
		"Offline": {
			reason:  "a preview has neither, and the operator is taken as installed there",
			answers: map[string]string{perconaCRD: "", ownCRD: ""},
			want:    want{presence: Unknown, crd: CRDServed, asked: append(slices.Clone(crds), cluster)},
		},
		"Installed": {
			reason: "the kind is served and can be asked for",
			answers: map[string]string{
				perconaCRD: `{status: {conditions: [{type: NamesAccepted, status: "True"}, {type: Established, status: "True"}]}}`,
				ownCRD:     `{metadata: {name: x}}`,
				cluster:    "",
			},
			want: want{presence: Absent, crd: CRDServed, asked: append(slices.Clone(crds), cluster)},
		},
		"NotEstablished": {
			reason: "a CRD that is not established is not served",
			answers: map[string]string{
				perconaCRD: `{status: {conditions: [{type: Established, status: "False"}]}}`,
				ownCRD:     `{metadata: {name: x}}`,
			},
			want: want{presence: Absent, crd: CRDMissing, asked: crds},
		},
		"CRDWithoutConditions": {
			reason:  "the API server has not looked at the CRD yet",
			answers: map[string]string{perconaCRD: `{status: {storedVersions: [v2]}}`, ownCRD: `{metadata: {name: x}}`},
			want:    want{presence: Absent, crd: CRDMissing, asked: crds},
		},
		"CRDDeleting": {
			reason: "a CRD that goes takes its objects along",
			answers: map[string]string{
				perconaCRD: `{metadata: {deletionTimestamp: "2026-01-01T00:00:00Z"}, status: {conditions: [{type: Established, status: "True"}]}}`,
				ownCRD:     `{metadata: {name: x}}`,
			},
			want: want{presence: Absent, crd: CRDMissing, asked: crds},
		},
		"CRDFromAFile": {
			reason:  "a preview may be given the CRD's file, which has no status",
			answers: map[string]string{perconaCRD: `{metadata: {name: x}}`, ownCRD: "", cluster: ""},
			want:    want{presence: Absent, crd: CRDServed, asked: append(slices.Clone(crds), cluster)},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			req := request(t, namespaced, tc.composed, tc.answers)
			w := New(req, ReadXR(req), Identity{Name: "files", Namespace: "default"})
			got := want{presence: w.Existing(names.All("files")[0]).Presence}
			got.asked = slices.Sorted(maps.Keys(w.Requirements().GetResources()))
			got.crd = w.PerconaCRD()
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("%s\nExisting(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestObservedClusterNeedsNoCRD: a cluster that is there proves that its kind is
// served, and the CRD has 1 MB.
func TestObservedClusterNeedsNoCRD(t *testing.T) {
	req := request(t, namespaced, map[string]string{"postgres": `{metadata: {name: files-postgres}}`}, nil)
	w := New(req, ReadXR(req), Identity{Name: "files", Namespace: "default"})
	if e := w.Existing(names.All("files")[0]); !e.Exists() {
		t.Errorf("Existing(...): want an observed cluster to be ours, got %v", e.Presence)
	}
	if got := w.Requirements(); got != nil {
		t.Errorf("Requirements(): want none, got %v", got)
	}
}

func TestRequirements(t *testing.T) {
	cases := map[string]struct {
		reason  string
		ask     func(w *World)
		answers map[string]string
		want    *fnv1.Requirements
		pending bool
	}{
		"Nothing": {
			reason: "who asks nothing requires nothing",
			ask:    func(*World) {},
		},
		"Secret": {
			reason: "a Secret is asked for by name, in the server's namespace",
			ask:    func(w *World) { w.Secret("mine") },
			want: &fnv1.Requirements{Resources: map[string]*fnv1.ResourceSelector{
				"Secret/mine": {ApiVersion: "v1", Kind: "Secret", Match: &fnv1.ResourceSelector_MatchName{MatchName: "mine"}, Namespace: ptr.To("default")},
			}},
			pending: true,
		},
		"ClusterScoped": {
			reason: "a CRD has no namespace",
			ask:    func(w *World) { w.PerconaCRD() },
			want: &fnv1.Requirements{Resources: map[string]*fnv1.ResourceSelector{
				"CustomResourceDefinition/perconapgclusters.pgv2.percona.com": {
					ApiVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition",
					Match: &fnv1.ResourceSelector_MatchName{MatchName: "perconapgclusters.pgv2.percona.com"},
				},
				"CustomResourceDefinition/dittoservers.dittofs.dittofs.com": {
					ApiVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition",
					Match: &fnv1.ResourceSelector_MatchName{MatchName: "dittoservers.dittofs.dittofs.com"},
				},
			}},
			pending: true,
		},
		"Answered": {
			reason:  "what has been answered stays required: Crossplane forgets the rest",
			ask:     func(w *World) { w.Secret("mine"); w.Secret("mine") },
			answers: map[string]string{"Secret/mine": ""},
			want: &fnv1.Requirements{Resources: map[string]*fnv1.ResourceSelector{
				"Secret/mine": {ApiVersion: "v1", Kind: "Secret", Match: &fnv1.ResourceSelector_MatchName{MatchName: "mine"}, Namespace: ptr.To("default")},
			}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			req := request(t, namespaced, nil, tc.answers)
			w := New(req, ReadXR(req), Identity{Name: "files", Namespace: "default"})
			tc.ask(w)
			if diff := cmp.Diff(tc.want, w.Requirements(), protocmp.Transform()); diff != "" {
				t.Errorf("%s\nRequirements(): -want, +got:\n%s", tc.reason, diff)
			}
			if got := w.Pending(); got != tc.pending {
				t.Errorf("%s\nPending(): want %t, got %t", tc.reason, tc.pending, got)
			}
		})
	}
}

func TestSecret(t *testing.T) {
	const jwt = `{metadata: {name: files-jwt-secret, namespace: default}, data: {jwt-secret: b2xk}}`
	type want struct {
		known, exists bool
		data          string
		asked         int
	}
	cases := map[string]struct {
		reason   string
		name     string
		composed map[string]string
		answers  map[string]string
		want     want
	}{
		"Composed": {
			reason:   "a Secret that the function composes and Crossplane observes is not asked for again",
			name:     "files-jwt-secret",
			composed: map[string]string{"jwt": jwt},
			want:     want{known: true, exists: true, data: "old"},
		},
		"Unanswered": {
			reason: "a Secret is not known before the answer",
			name:   "mine",
			want:   want{asked: 1},
		},
		"Missing": {
			reason:  "a Secret that does not exist is known not to",
			name:    "mine",
			answers: map[string]string{"Secret/mine": ""},
			want:    want{known: true, asked: 1},
		},
		"Found": {
			reason:  "a Secret of the user's",
			name:    "mine",
			answers: map[string]string{"Secret/mine": `{metadata: {name: mine}, data: {jwt-secret: bmV3}}`},
			want:    want{known: true, exists: true, data: "new", asked: 1},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			req := request(t, namespaced, tc.composed, tc.answers)
			w := New(req, ReadXR(req), Identity{Name: "files", Namespace: "default"})
			s := w.Secret(tc.name)
			v, _ := s.Data("jwt-secret")
			got := want{s.Known, s.Exists(), string(v), len(w.Requirements().GetResources())}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("%s\nSecret(%q): -want, +got:\n%s", tc.reason, tc.name, diff)
			}
		})
	}
}

func TestReadXR(t *testing.T) {
	type want struct {
		name, namespace, crd string
	}
	cases := map[string]struct {
		reason   string
		xr       string
		fallback string
		want     want
	}{
		"Namespaced": {
			reason:   "an XR's own namespace wins over the Input's",
			xr:       namespaced,
			fallback: "platform",
			want:     want{"files", "default", "dittoservers.dittofs.dittofs.com"},
		},
		"Claim": {
			reason:   "a claim's server is called what the claim is, and lives where it lives",
			xr:       claimed,
			fallback: "platform",
			want:     want{"files", "team-a", "xdittoservers.dittofs.dittofs.com"},
		},
		"ClusterScoped": {
			reason:   "the Input's namespace is the last resort",
			xr:       `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: XDittoServer, metadata: {name: files}}`,
			fallback: "platform",
			want:     want{"files", "platform", "xdittoservers.dittofs.dittofs.com"},
		},
		"Nowhere": {
			reason: "there is no namespace, which is for others to say",
			xr:     `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: XDittoServer, metadata: {name: files}}`,
			want:   want{"files", "", "xdittoservers.dittofs.dittofs.com"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			xr := ReadXR(request(t, tc.xr, nil, nil))
			got := want{xr.ServerName(), xr.ServerNamespace(tc.fallback), xr.CRD()}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("%s\nReadXR(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestConditions(t *testing.T) {
	xr := ReadXR(request(t, `{status: {conditions: [{type: Ready, status: "True", reason: Available, message: m, lastTransitionTime: x}, {type: Synced, status: "False"}]}}`, nil, nil))
	want := map[string]Condition{"Ready": {Status: "True", Reason: "Available", Message: "m"}, "Synced": {Status: "False"}}
	if diff := cmp.Diff(want, xr.Conditions()); diff != "" {
		t.Errorf("Conditions(): -want, +got:\n%s", diff)
	}
}
