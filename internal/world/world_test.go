package world_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/internal/kinds"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/world"
	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

const (
	namespaced = `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: DittoServer, metadata: {name: files, namespace: default, uid: uid-1}}`
	offline    = `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: DittoServer, metadata: {name: files, namespace: default}}`
	claimed    = `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: XDittoServer, metadata: {name: files-x7k2p, uid: uid-1}, spec: {claimRef: {name: files, namespace: team-a}}}`
	// dated is an XR that was created later than what others left.
	dated = `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: DittoServer, metadata: {name: files, namespace: default, uid: uid-1, creationTimestamp: "2026-02-01T00:00:00Z"}}`

	sqlite  = `{}`
	percona = `{percona: {enabled: true}}`

	perconaCRD  = "CustomResourceDefinition/perconapgclusters.pgv2.percona.com"
	ownCRD      = "CustomResourceDefinition/dittoservers.dittofs.dittofs.com"
	cluster     = "PerconaPGCluster/files-postgres"
	credentials = "Secret/files-postgres-pguser-dittofs"
	ca          = "Secret/files-postgres-cluster-cert"
	volume      = "PersistentVolumeClaim/controlplane-files-0"

	served = `{metadata: {name: x}}`
	before = `metadata: {name: x, creationTimestamp: "2026-01-01T00:00:00Z"}`
	same   = `metadata: {name: x, creationTimestamp: "2026-02-01T00:00:00Z"}`
	after  = `metadata: {name: x, creationTimestamp: "2026-02-01T00:00:09Z"}`
	// kept is a Secret with a host, as Percona makes it.
	kept = `{` + before + `, data: {host: eA==, dbname: b2xk}}`
)

// A call is a request: an XR, its spec, what Crossplane observes, and what it
// answers to requirements, of which an empty answer tells that there is no such
// object. If rest is true, nothing else exists.
type call struct {
	xr       string
	spec     string
	adopt    bool
	composed map[string]string
	answers  map[string]string
	rest     bool
}

// read reads the world, in as many rounds as it takes if everything is answered.
func (c call) read(t *testing.T) world.World {
	t.Helper()
	req := &fnv1.RunFunctionRequest{
		Observed: &fnv1.State{
			Composite: &fnv1.Resource{Resource: yamltest.Struct(t, c.xr)},
			Resources: map[string]*fnv1.Resource{},
		},
		RequiredResources: map[string]*fnv1.Resources{},
	}
	for k, y := range c.composed {
		req.Observed.Resources[k] = &fnv1.Resource{Resource: yamltest.Struct(t, y)}
	}
	answer := func(k, y string) {
		rs := &fnv1.Resources{}
		if y != "" {
			rs.Items = []*fnv1.Resource{{Resource: yamltest.Struct(t, y)}}
		}
		req.RequiredResources[k] = rs
	}
	for k, y := range c.answers {
		answer(k, y)
	}
	spec, errs := server.Decode(observed.FromStruct(yamltest.Struct(t, c.spec)), observed.Object{})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	// Crossplane allows five rounds, of which the last one must not ask.
	for range 5 {
		r := observed.NewReader(req)
		xr := r.XR()
		id := world.Identity{Name: xr.ServerName(), Namespace: xr.ServerNamespace(""), AdoptExisting: c.adopt}
		w := world.Read(r, xr, id, kinds.Ask(id.Name, spec))
		if !c.rest || !w.Pending {
			return w
		}
		for k := range w.Requirements.GetResources() {
			if req.GetRequiredResources()[k] == nil {
				answer(k, "")
			}
		}
	}
	t.Fatal("Read(...): still asks after five rounds, which is all that Crossplane allows")
	return world.World{}
}

func asked(w world.World) []string {
	return slices.Sorted(maps.Keys(w.Requirements.GetResources()))
}

func TestFind(t *testing.T) {
	const (
		sts    = "StatefulSet/files"
		nobody = "nobody controls it and it does not bear the labels of this server"
	)
	type args struct {
		xr       string
		adopt    bool
		composed map[string]string
		answers  map[string]string
	}
	type want struct {
		presence   world.Presence
		owner      string
		controlled bool
		leaving    bool
		isNew      bool
		// record is true if what is recorded on the object holds, although it is
		// not Ours.
		record bool
	}

	cases := map[string]struct {
		reason string
		args   args
		want   want
	}{
		"Unknown": {
			reason: "what is not observed is asked for, and unknown until it is answered",
			args:   args{xr: namespaced},
			want:   want{presence: world.Unknown},
		},
		"Absent": {
			reason: "an answer without items tells that nothing of the name exists",
			args:   args{xr: namespaced, answers: map[string]string{sts: ""}},
			want:   want{presence: world.Absent},
		},
		"Observed": {
			reason: "what Crossplane observes is ours",
			args:   args{xr: namespaced, composed: map[string]string{"server": `{metadata: {name: files}}`}},
			want:   want{presence: world.Ours},
		},
		"ObservedDeleting": {
			reason: "what Crossplane observes may be on its way out, and is ours until it is gone",
			args:   args{xr: namespaced, composed: map[string]string{"server": `{metadata: {name: files, deletionTimestamp: "2026-01-01T00:00:00Z"}}`}},
			want:   want{presence: world.Ours, leaving: true},
		},
		"OursByController": {
			reason: "its controller is this XR",
			args: args{xr: namespaced, answers: map[string]string{
				sts: `{metadata: {name: files, ownerReferences: [{kind: DittoServer, name: files, uid: uid-1, controller: true}]}}`,
			}},
			want: want{presence: world.Ours, isNew: true},
		},
		"OtherController": {
			reason: "another controller's object is that controller's, whatever its labels",
			args: args{xr: namespaced, answers: map[string]string{
				sts: `{metadata: {name: files, labels: {crossplane.io/composite: files}, ownerReferences: [{kind: DittoServer, name: files, uid: uid-0, controller: true}]}}`,
			}},
			want: want{presence: world.Foreign, controlled: true, owner: "it is controlled by DittoServer files"},
		},
		"OtherControllerNotAdopted": {
			reason: "another controller's object cannot be adopted",
			args: args{xr: namespaced, adopt: true, answers: map[string]string{
				sts: `{metadata: {name: files, ownerReferences: [{kind: Deployment, name: d, uid: uid-0, controller: true}]}}`,
			}},
			want: want{presence: world.Foreign, controlled: true, owner: "it is controlled by Deployment d"},
		},
		"OwnerThatIsNoController": {
			reason: "an owner that does not control the object does not make it ours",
			args: args{xr: namespaced, answers: map[string]string{
				sts: `{metadata: {name: files, ownerReferences: [{kind: DittoServer, name: files, uid: uid-1}]}}`,
			}},
			want: want{presence: world.Foreign, owner: nobody},
		},
		"OursByLabel": {
			reason: "nobody controls it and it bears this XR's label, as after a deletion with --cascade=orphan",
			args:   args{xr: namespaced, answers: map[string]string{sts: `{metadata: {name: files, labels: {crossplane.io/composite: files}}}`}},
			want:   want{presence: world.Ours, isNew: true},
		},
		"OtherLabel": {
			reason: "it bears the label of another XR",
			args:   args{xr: namespaced, answers: map[string]string{sts: `{metadata: {name: files, labels: {crossplane.io/composite: other}}}`}},
			want:   want{presence: world.Foreign, owner: nobody},
		},
		"NoLabel": {
			reason: "it is nobody's that we know",
			args:   args{xr: namespaced, answers: map[string]string{sts: `{metadata: {name: files}}`}},
			want:   want{presence: world.Foreign, owner: nobody},
		},
		"Adopted": {
			reason: "spec.adoptExisting takes what nobody controls",
			args:   args{xr: namespaced, adopt: true, answers: map[string]string{sts: `{metadata: {name: files}}`}},
			want:   want{presence: world.Ours, isNew: true},
		},
		"AdoptedDeleting": {
			reason: "what is being deleted is not adopted",
			args:   args{xr: namespaced, adopt: true, answers: map[string]string{sts: `{metadata: {name: files, deletionTimestamp: "2026-01-01T00:00:00Z"}}`}},
			want:   want{presence: world.Deleting, record: true},
		},
		"OursDeleting": {
			reason: "what is ours and being deleted is on its way out all the same",
			args: args{xr: namespaced, answers: map[string]string{
				sts: `{metadata: {name: files, deletionTimestamp: "2026-01-01T00:00:00Z", labels: {crossplane.io/composite: files}}}`,
			}},
			want: want{presence: world.Deleting, record: true},
		},
		"OursByClaim": {
			reason: "the XR of a claim gets another name when it is made again, the claim keeps its own",
			args: args{xr: claimed, answers: map[string]string{
				sts: `{metadata: {name: files, labels: {crossplane.io/composite: files-other, crossplane.io/claim-name: files, crossplane.io/claim-namespace: team-a}}}`,
			}},
			want: want{presence: world.Ours, isNew: true},
		},
		"ClaimOfAnotherNamespace": {
			reason: "a claim of the same name in another namespace is another claim",
			args: args{xr: claimed, answers: map[string]string{
				sts: `{metadata: {name: files, labels: {crossplane.io/claim-name: files, crossplane.io/claim-namespace: team-b}}}`,
			}},
			want: want{presence: world.Foreign, owner: nobody},
		},
		"OfflineController": {
			reason: "an XR without a UID controls nothing, least of all what has an owner without one",
			args: args{xr: offline, answers: map[string]string{
				sts: `{metadata: {name: files, ownerReferences: [{kind: X, name: z, controller: true}]}}`,
			}},
			want: want{presence: world.Foreign, controlled: true, owner: "it is controlled by X z"},
		},
		"ComposedByAnEarlierXR": {
			reason: "an XR that was made again under its name has the same field manager, so that to apply metadata alone would remove the rest",
			args: args{xr: namespaced, answers: map[string]string{
				sts: `{metadata: {name: files, labels: {crossplane.io/composite: files}, annotations: {crossplane.io/composition-resource-name: server}}}`,
			}},
			want: want{presence: world.Ours},
		},
		"LabelOfItsOwn": {
			reason: "what an XR composes bears the XR's own label, if it has one",
			args: args{
				xr:      `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: DittoServer, metadata: {name: files, namespace: default, uid: uid-1, labels: {crossplane.io/composite: outer}}}`,
				answers: map[string]string{sts: `{metadata: {name: files, labels: {crossplane.io/composite: outer}}}`},
			},
			want: want{presence: world.Ours, isNew: true},
		},
		"LabelOfItsOwnAndNotThat": {
			reason: "and an object that bears the XR's name is another's then",
			args: args{
				xr:      `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: DittoServer, metadata: {name: files, namespace: default, uid: uid-1, labels: {crossplane.io/composite: outer}}}`,
				answers: map[string]string{sts: `{metadata: {name: files, labels: {crossplane.io/composite: files}}}`},
			},
			want: want{presence: world.Foreign, owner: nobody},
		},
		"ForeignDeleting": {
			reason: "what is somebody else's and on its way out holds no record of ours",
			args: args{xr: namespaced, answers: map[string]string{
				sts: `{metadata: {name: files, deletionTimestamp: "2026-01-01T00:00:00Z"}}`,
			}},
			want: want{presence: world.Deleting},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := call{xr: tc.args.xr, spec: sqlite, adopt: tc.args.adopt, composed: tc.args.composed, answers: tc.args.answers}.read(t)
			e := w.Object(names.Server)
			record := e.Record.Exists() && e.Presence != world.Ours
			if diff := cmp.Diff(tc.want, want{e.Presence, e.Owner, e.Controlled, e.Leaving, e.New, record}, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("%s\nObject(server): -want, +got:\n%s", tc.reason, diff)
			}
			if e.Object.Exists() != (e.Presence == world.Ours) {
				t.Errorf("%s\nObject(server): want an object if, and only if, it is ours", tc.reason)
			}
			if _, observed := tc.args.composed["server"]; e.Observed != observed {
				t.Errorf("%s\nObject(server): want Observed %t", tc.reason, observed)
			}
		})
	}
}

func TestDatabase(t *testing.T) {
	const (
		recordedCluster = `{metadata: {name: files-config, namespace: default, annotations: {dittoserver.fn.crossplane.io/record: '{"version":1,"cluster":{"spec":{}}}'}}}`
		recordedServer  = `{metadata: {name: files-config, namespace: default, annotations: {dittoserver.fn.crossplane.io/record: '{"version":1,"server":{"database":{"kind":"percona"}}}'}}}`
	)
	type want struct {
		presence world.Presence
		served   observed.Served
		// asked is what is asked for of Percona's.
		asked []string
	}
	crds := []string{ownCRD, perconaCRD}
	all := []string{ownCRD, perconaCRD, cluster, ca, credentials}

	cases := map[string]struct {
		reason string
		call   call
		want   want
	}{
		"NotAskedFor": {
			reason: "a server that never had one does not depend on Percona's CRDs",
			call:   call{xr: namespaced, spec: sqlite},
			want:   want{presence: world.Absent, served: observed.IsServed},
		},
		"NothingKnown": {
			reason: "a kind that is not served must not be asked for",
			call:   call{xr: namespaced, spec: percona},
			want:   want{presence: world.Unknown, served: observed.ServedUnknown, asked: []string{ownCRD, perconaCRD, ca, credentials}},
		},
		"NotInstalled": {
			reason: "and never is",
			call:   call{xr: namespaced, spec: percona, answers: map[string]string{perconaCRD: "", ownCRD: served}},
			want:   want{presence: world.Absent, served: observed.NotServed, asked: []string{ownCRD, perconaCRD, ca, credentials}},
		},
		"Installed": {
			reason: "a kind that is served is asked for",
			call:   call{xr: namespaced, spec: percona, answers: map[string]string{perconaCRD: served, ownCRD: served, cluster: ""}},
			want:   want{presence: world.Absent, served: observed.IsServed, asked: all},
		},
		"Observed": {
			reason: "a cluster that is there proves that its kind is served",
			call:   call{xr: namespaced, spec: percona, composed: map[string]string{"postgres": `{metadata: {name: files-postgres}}`}},
			want:   want{presence: world.Ours, served: observed.IsServed, asked: []string{ca, credentials}},
		},
		"ObservedAndNotAskedFor": {
			reason: "whatever the spec says",
			call:   call{xr: namespaced, spec: sqlite, composed: map[string]string{"postgres": `{metadata: {name: files-postgres}}`}},
			want:   want{presence: world.Ours, served: observed.IsServed, asked: []string{ca, credentials}},
		},
		"RecordedServer": {
			reason: "a server that ran on one is looked after, whatever the spec says",
			call:   call{xr: namespaced, spec: sqlite, composed: map[string]string{"config": recordedServer}, answers: map[string]string{perconaCRD: served, ownCRD: served, cluster: ""}},
			want:   want{presence: world.Absent, served: observed.IsServed, asked: []string{ownCRD, perconaCRD, cluster}},
		},
		"RecordedCluster": {
			reason: "and so is a cluster that was made",
			call:   call{xr: namespaced, spec: sqlite, composed: map[string]string{"config": recordedCluster}, answers: map[string]string{perconaCRD: served, ownCRD: served, cluster: ""}},
			want:   want{presence: world.Absent, served: observed.IsServed, asked: all},
		},
		"Foreign": {
			reason: "the Secrets of somebody else's cluster are somebody else's",
			call:   call{xr: namespaced, spec: percona, answers: map[string]string{perconaCRD: served, ownCRD: served, cluster: `{metadata: {name: files-postgres}}`}},
			want:   want{presence: world.Foreign, served: observed.IsServed, asked: append(slices.Clone(crds), cluster)},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := tc.call.read(t)
			got := want{presence: w.Object(names.Postgres).Presence, served: w.Percona}
			for _, k := range all {
				if w.Requirements.GetResources()[k] != nil {
					got.asked = append(got.asked, k)
				}
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("%s\nRead(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestSecrets(t *testing.T) {
	const (
		jwt    = `{metadata: {name: files-jwt-secret, namespace: default}, data: {jwt-secret: b2xk}}`
		config = `{metadata: {name: files-config, namespace: default, annotations: {dittoserver.fn.crossplane.io/record: '{"version":1,"server":{"database":{"kind":"external","secret":"pg"},"jwt":{"name":"j","key":"k"},"admin":{"name":"a","key":"p"},"metrics":{"port":1,"path":"/","token":{"name":"t","key":"k"}}},"cluster":{"backupSecret":"s3","spec":{}}}'}}}`
	)
	type want struct {
		known, exists bool
		data          string
		asked         bool
	}
	cases := map[string]struct {
		reason string
		call   call
		secret string
		want   want
	}{
		"Composed": {
			reason: "a Secret that the function composes and Crossplane observes is not asked for again",
			call:   call{spec: sqlite, composed: map[string]string{"jwt": jwt, "config": `{metadata: {name: files-config, annotations: {dittoserver.fn.crossplane.io/record: '{"version":1,"server":{"database":{"kind":"sqlite"},"jwt":{"name":"files-jwt-secret","key":"jwt-secret"}}}'}}}`}},
			secret: "files-jwt-secret",
			want:   want{known: true, exists: true, data: "old"},
		},
		"Unanswered": {
			reason: "a Secret is not known before the answer",
			call:   call{spec: `{identity: {jwt: {secretRef: {name: mine, key: k}}}}`},
			secret: "mine",
			want:   want{asked: true},
		},
		"Missing": {
			reason: "a Secret that does not exist is known not to",
			call:   call{spec: `{identity: {jwt: {secretRef: {name: mine, key: k}}}}`, answers: map[string]string{"Secret/mine": ""}},
			secret: "mine",
			want:   want{known: true, asked: true},
		},
		"Found": {
			reason: "a Secret of the user's",
			call:   call{spec: `{identity: {jwt: {secretRef: {name: mine, key: k}}}}`, answers: map[string]string{"Secret/mine": `{metadata: {name: mine}, data: {jwt-secret: bmV3}}`}},
			secret: "mine",
			want:   want{known: true, exists: true, data: "new", asked: true},
		},
		"ForeignOfOurName": {
			reason: "a Secret of ours that is somebody else's is as if it were not there",
			call: call{
				spec:     sqlite,
				composed: map[string]string{"config": `{metadata: {name: files-config, annotations: {dittoserver.fn.crossplane.io/record: '{"version":1,"server":{"database":{"kind":"sqlite"},"jwt":{"name":"files-jwt-secret","key":"jwt-secret"}}}'}}}`},
				answers:  map[string]string{"Secret/files-jwt-secret": jwt},
			},
			secret: "files-jwt-secret",
			want:   want{known: true, asked: true},
		},
		"ForeignOfOurNameThatIsNamed": {
			reason: "unless the spec names it",
			call: call{
				spec:    `{identity: {jwt: {secretRef: {name: files-jwt-secret, key: k}}}}`,
				answers: map[string]string{"Secret/files-jwt-secret": jwt},
			},
			secret: "files-jwt-secret",
			want:   want{known: true, exists: true, data: "old", asked: true},
		},
		"RecordedDatabase": {
			reason: "what the server runs with is read although the spec names others",
			call:   call{spec: sqlite, composed: map[string]string{"config": config}},
			secret: "pg",
			want:   want{asked: true},
		},
		"RecordedJWT":     {reason: "the same", call: call{spec: sqlite, composed: map[string]string{"config": config}}, secret: "j", want: want{asked: true}},
		"RecordedAdmin":   {reason: "the same", call: call{spec: sqlite, composed: map[string]string{"config": config}}, secret: "a", want: want{asked: true}},
		"RecordedToken":   {reason: "the same", call: call{spec: sqlite, composed: map[string]string{"config": config}}, secret: "t", want: want{asked: true}},
		"RecordedBackups": {reason: "the same", call: call{spec: sqlite, composed: map[string]string{"config": config}}, secret: "s3", want: want{asked: true}},
		"BackupsOfAServerWithoutPercona": {
			reason: "keys are rotated while percona.enabled: false is held",
			call:   call{spec: `{percona: {enabled: false, backup: {credentialsSecretRef: {name: keys}}}}`},
			secret: "keys",
			want:   want{asked: true},
		},
		"IgnoredDatabase": {
			reason: "a Secret that percona.enabled wins over is not read",
			call:   call{spec: `{percona: {enabled: true}, database: {postgresSecretRef: {name: pg, key: x}}}`},
			secret: "pg",
		},
		"TokenOfMetricsThatAreOff": {
			reason: "nor is one that nobody uses",
			call:   call{spec: `{metrics: {enabled: false, bearerTokenSecret: {name: t, key: k}}}`},
			secret: "t",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tc.call.xr = namespaced
			w := tc.call.read(t)
			s := w.Secret(tc.secret)
			v, _ := s.Data("jwt-secret")
			got := want{s.Known, s.Exists(), string(v), w.Requirements.GetResources()["Secret/"+tc.secret] != nil}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("%s\nSecret(%q): -want, +got:\n%s", tc.reason, tc.secret, diff)
			}
			if s.Name != tc.secret {
				t.Errorf("%s\nSecret(%q): want its name for messages, got %q", tc.reason, tc.secret, s.Name)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	full := observed.NewSecret(map[string][]byte{"k": []byte("v"), "garbled": {0xff}})
	cases := map[string]struct {
		reason string
		secret world.Secret
		key    string
		want   bool
	}{
		"There":      {reason: "the value is there", secret: world.Secret{Known: true, Object: full}, key: "k"},
		"NotThere":   {reason: "the value is not there", secret: world.Secret{Known: true, Object: full}, key: "x", want: true},
		"Garbled":    {reason: "bytes that are no text are no value", secret: world.Secret{Known: true, Object: full}, key: "garbled", want: true},
		"NoSecret":   {reason: "a Secret that does not exist has no values", secret: world.Secret{Known: true}, key: "k", want: true},
		"Unanswered": {reason: "nothing is missing before the answer", secret: world.Secret{}, key: "k"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := tc.secret.Missing(tc.key); got != tc.want {
				t.Errorf("%s: want %t, got %t", tc.reason, tc.want, got)
			}
		})
	}
}

// TestRecord: what was chosen is read from the record, and from what is live only
// where there is none.
func TestRecord(t *testing.T) {
	const (
		onSQLite = `{metadata: {name: files, namespace: default}, spec: {template: {spec: {containers: [{name: dittofs, image: "dittofs:live", env: [
{name: DITTOFS_DATABASE_SQLITE_PATH, value: /live.db},
{name: DITTOFS_CONTROLPLANE_SECRET, valueFrom: {secretKeyRef: {name: j, key: k}}},
{name: DITTOFS_ADMIN_INITIAL_PASSWORD, valueFrom: {secretKeyRef: {name: a, key: p, optional: true}}}]}]}}}}`
		leaving = `{metadata: {name: files, namespace: default, deletionTimestamp: "2026-01-01T00:00:00Z", labels: {crossplane.io/composite: files}}, spec: {template: {spec: {containers: [{name: dittofs, image: "dittofs:live"}]}}}}`
		config  = `{metadata: {name: files-config, namespace: default, annotations: {dittoserver.fn.crossplane.io/record: '{"version":1,"server":{"image":"dittofs:chosen","database":{"kind":"percona"},"jwt":{"name":"j2","key":"k"},"admin":{"name":"a2","key":"p"}}}'}}}`
		first   = `{metadata: {name: files-config, namespace: default, annotations: {dittoserver.fn.crossplane.io/database: '{"kind":"external","secret":"pg"}', dittoserver.fn.crossplane.io/admin-at-first-start: "01"}}}`
	)
	cases := map[string]struct {
		reason   string
		call     call
		want     *record.Server
		recorded bool
	}{
		"Nothing": {
			reason: "there is no server, and never was",
			call:   call{},
		},
		"Record": {
			reason: "the record wins over a live server that somebody wired elsewhere",
			call:   call{composed: map[string]string{"server": onSQLite, "config": config}},
			want: &record.Server{
				Image: "dittofs:chosen", Database: record.Database{Kind: record.Percona},
				JWT: record.SecretKey{Name: "j2", Key: "k"}, Admin: record.SecretKey{Name: "a2", Key: "p"},
			},
			recorded: true,
		},
		"Live": {
			reason: "a live server without a record says what it is of itself",
			call:   call{composed: map[string]string{"server": onSQLite}},
			want: &record.Server{
				Image: "dittofs:live", Database: record.Database{Kind: record.SQLite, Path: "/live.db"},
				JWT: record.SecretKey{Name: "j", Key: "k"}, Admin: record.SecretKey{Name: "a", Key: "p"}, AdminOptional: true,
			},
		},
		"Leaving": {
			reason: "and so does one that is being deleted",
			call:   call{answers: map[string]string{"StatefulSet/files": leaving}},
			want:   &record.Server{Image: "dittofs:live", Database: record.Database{Kind: record.SQLite, Path: record.DefaultSQLitePath}},
		},
		"First": {
			reason: "the first format has no image here, nor the Secrets that the pod starts with: they are those of the live server; what is sent of a pod at rest stays the same",
			call:   call{composed: map[string]string{"server": onSQLite, "config": first}},
			want: &record.Server{
				Image: "dittofs:live", Database: record.Database{Kind: record.External, Secret: "pg"}, AdminFingerprint: "01",
				JWT: record.SecretKey{Name: "j", Key: "k"}, Admin: record.SecretKey{Name: "a", Key: "p"},
			},
			recorded: true,
		},
		"CopyOnTheCluster": {
			reason:   "the copy on the cluster serves where the ConfigMap is gone",
			call:     call{composed: map[string]string{"postgres": `{metadata: {name: files-postgres, annotations: {dittoserver.fn.crossplane.io/record: '{"version":1,"server":{"image":"dittofs:chosen","database":{"kind":"percona"}}}'}}}`}},
			want:     &record.Server{Image: "dittofs:chosen", Database: record.Database{Kind: record.Percona}},
			recorded: true,
		},
		"CopyWhileTheConfigLeaves": {
			reason: "nor is one that is being deleted written any more, and the copy is newer",
			call: call{composed: map[string]string{
				"postgres": `{metadata: {name: files-postgres, annotations: {dittoserver.fn.crossplane.io/record: '{"version":1,"server":{"image":"dittofs:newer","database":{"kind":"percona"}}}'}}}`,
				"config":   strings.Replace(config, "name: files-config,", `name: files-config, deletionTimestamp: "2026-01-01T00:00:00Z",`, 1),
			}},
			want:     &record.Server{Image: "dittofs:newer", Database: record.Database{Kind: record.Percona}},
			recorded: true,
		},
		"ForeignConfig": {
			reason: "what somebody else wrote is no record",
			call:   call{answers: map[string]string{"ConfigMap/files-config": config}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tc.call.xr, tc.call.spec, tc.call.rest = namespaced, sqlite, true
			w := tc.call.read(t)
			if diff := cmp.Diff(tc.want, w.Record.Server); diff != "" || w.Recorded != tc.recorded {
				t.Errorf("%s\nRecord.Server: want recorded %t, got %t: -want, +got:\n%s", tc.reason, tc.recorded, w.Recorded, diff)
			}
		})
	}
}

// TestMadeAgain: a server that is made again finds what an earlier one left.
func TestMadeAgain(t *testing.T) {
	const (
		recordOf = `{metadata: {name: files-config, namespace: default, labels: {crossplane.io/composite: files}, annotations: {dittoserver.fn.crossplane.io/record: '{"version":1,"xr":"%XR","server":{"database":{"kind":"percona"}},"cluster":{"initialized":true,"spec":{"postgresVersion":15}}}'}}}`
		config   = "ConfigMap/files-config"
		live     = `{metadata: {name: files, namespace: default}, spec: {template: {spec: {containers: [{name: dittofs}]}}}}`
	)
	of := func(xr string) string {
		return strings.Replace(recordOf, "%XR", xr, 1)
	}
	type want struct {
		server, cluster     bool
		credentials, volume bool
		keptCredentials     bool
	}
	cases := map[string]struct {
		reason string
		call   call
		want   want
	}{
		"Record": {
			reason: "the record survives with the credentials, and holds",
			call:   call{xr: dated, spec: percona, answers: map[string]string{config: of("uid-0"), credentials: kept}},
			want:   want{server: true, cluster: true, keptCredentials: true},
		},
		"RecordOfADatabaseThatIsGone": {
			reason: "Percona has deleted the credentials, and with them the volumes: nothing is left to hold",
			call:   call{xr: dated, spec: percona, answers: map[string]string{config: of("uid-0"), credentials: ""}},
		},
		"RecordOfThisXR": {
			reason: "a database that is awaited has no credentials yet, and is not gone because of that",
			call:   call{xr: dated, spec: percona, answers: map[string]string{config: of("uid-1"), credentials: ""}},
			want:   want{server: true, cluster: true},
		},
		"RecordOfALiveServer": {
			reason: "a server that lives tells what it runs on",
			call:   call{xr: dated, spec: percona, composed: map[string]string{"server": live}, answers: map[string]string{config: of("uid-0"), credentials: ""}},
			want:   want{server: true},
		},
		"RecordOfADatabaseThatLives": {
			reason: "a cluster that is there has its data, whatever became of the Secret",
			call: call{xr: dated, spec: percona, composed: map[string]string{"postgres": `{metadata: {name: files-postgres, namespace: default}}`},
				answers: map[string]string{config: of("uid-0"), credentials: ""}},
			want: want{server: true, cluster: true},
		},
		"Credentials": {
			reason: "credentials without a record may have the server's data",
			call:   call{xr: dated, spec: sqlite, answers: map[string]string{credentials: kept}},
			want:   want{credentials: true, keptCredentials: true},
		},
		"Volume": {
			reason: "and so may a volume",
			call:   call{xr: dated, spec: percona, answers: map[string]string{volume: `{` + before + `}`}},
			want:   want{volume: true},
		},
		"SameSecond": {
			reason: "this XR has had no server yet that a volume of its own second could be of, nor a cluster",
			call:   call{xr: dated, spec: percona, answers: map[string]string{volume: `{` + same + `}`, credentials: `{` + same + `, data: {host: eA==}}`}},
			want:   want{volume: true, credentials: true, keptCredentials: true},
		},
		"SameSecondAsTheCluster": {
			reason: "the Secret of a cluster that was just made is that cluster's",
			call: call{xr: dated, spec: percona, composed: map[string]string{"postgres": `{metadata: {name: files-postgres, namespace: default}}`},
				answers: map[string]string{credentials: `{` + same + `, data: {host: eA==}}`}},
		},
		"VolumeAndSQLite": {
			reason: "who asks for SQLite gets the file that is on it",
			call:   call{xr: dated, spec: sqlite, answers: map[string]string{volume: `{` + before + `}`}},
		},
		"Later": {
			reason: "credentials that came after the XR are this server's own; a volume without a server is not",
			call:   call{xr: dated, spec: percona, answers: map[string]string{credentials: `{` + after + `, data: {host: eA==}}`, volume: `{` + after + `}`}},
			want:   want{volume: true},
		},
		"MadeInAdvance": {
			reason: "a Secret that somebody made to choose the password has no host",
			call:   call{xr: dated, spec: percona, answers: map[string]string{credentials: `{` + before + `, data: {password: eA==}}`}},
		},
		"Offline": {
			reason: "nothing is older than the XR of a preview",
			call:   call{xr: offline, spec: percona, answers: map[string]string{credentials: kept, volume: `{` + before + `}`}},
		},
		"ServerExists": {
			reason: "a server that lives does not ask what others left",
			call:   call{xr: dated, spec: sqlite, composed: map[string]string{"server": live}, answers: map[string]string{credentials: kept, volume: `{` + before + `}`}},
			want:   want{server: true},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tc.call.rest = true
			w := tc.call.read(t)
			got := want{
				server: w.Record.Server != nil, cluster: w.Record.Cluster != nil,
				credentials: w.Earlier.Credentials.Exists(), volume: w.Earlier.Volume.Exists(),
				keptCredentials: w.KeptCredentials().Exists(),
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("%s\nRead(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestAtRestAsksNothingMore: what only a server that is made again asks for is not
// watched for ever by all the others.
func TestAtRestAsksNothingMore(t *testing.T) {
	const (
		live   = `{metadata: {name: files, namespace: default}, spec: {template: {spec: {containers: [{name: dittofs}]}}}}`
		config = `{metadata: {name: files-config, namespace: default, annotations: {dittoserver.fn.crossplane.io/record: '{"version":1,"server":{"database":{"kind":"percona"}},"cluster":{"spec":{}}}'}}}`
	)
	composed := map[string]string{"server": live, "config": config, "postgres": `{metadata: {name: files-postgres}}`}
	for _, r := range []names.Resource{names.JWT, names.Admin, names.Headless, names.API, names.NFS, names.SMB} {
		composed[string(r)] = `{metadata: {name: x}}`
	}
	w := call{xr: dated, spec: percona, composed: composed, rest: true}.read(t)
	if diff := cmp.Diff([]string{ca, credentials}, asked(w)); diff != "" {
		t.Errorf("a server at rest: want the Secrets of its database asked for alone: -want, +got:\n%s", diff)
	}
}

func TestIdentify(t *testing.T) {
	const unnamed = `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: XDittoServer, metadata: {name: files, uid: uid-1}}`
	bound := func(name, namespace string) string {
		return `{apiVersion: dittofs.dittofs.com/v1alpha1, kind: XDittoServer, metadata: {name: files, uid: uid-1}, spec: {claimRef: {name: ` + name + `, namespace: ` + namespace + `}}}`
	}
	there := map[string]string{"server": `{metadata: {name: files, namespace: default}}`, "config": `{metadata: {name: files-config, namespace: default}}`}

	cases := map[string]struct {
		reason   string
		xr       string
		composed map[string]string
		fallback string
		want     world.Identity
		held     []string
	}{
		"New":   {reason: "a new server is called what the XR is", xr: namespaced, fallback: "platform", want: world.Identity{Name: "files", Namespace: "default"}},
		"Claim": {reason: "or what the claim is", xr: claimed, want: world.Identity{Name: "files", Namespace: "team-a"}},
		"Input": {reason: "the Input's namespace is the last resort", xr: unnamed, fallback: "platform", want: world.Identity{Name: "files", Namespace: "platform"}},
		"Same":  {reason: "it stays so", xr: namespaced, composed: there, want: world.Identity{Name: "files", Namespace: "default"}},
		"ClaimOfAnotherName": {
			reason: "an XR that is bound to a claim of another name renames nothing",
			xr:     bound("reports", "default"), composed: there,
			want: world.Identity{Name: "files", Namespace: "default"},
			held: []string{`spec.claimRef.name: "reports" is held at "files", the name of the server's objects. A server cannot be renamed: bind the XR to a claim of that name`},
		},
		"ClaimOfAnotherNamespace": {
			reason: "nor does it move anything",
			xr:     bound("files", "team-b"), composed: there,
			want: world.Identity{Name: "files", Namespace: "default"},
			held: []string{`spec.claimRef.namespace: "team-b" is held at default, where the server is. A server cannot move to another namespace: bind the XR to a claim in that one`},
		},
		"InputOfAnotherNamespace": {
			reason: "nor does the Input",
			xr:     unnamed, composed: there, fallback: "elsewhere",
			want: world.Identity{Name: "files", Namespace: "default"},
			held: []string{`input.namespace: "elsewhere" is held at default, where the server is. Set it back; a server cannot move to another namespace`},
		},
		"NamespaceGone": {
			reason: "nor does an Input that names none any more",
			xr:     unnamed, composed: there,
			want: world.Identity{Name: "files", Namespace: "default"},
			held: []string{`input.namespace: "" is held at default, where the server is. Set it back; a server cannot move to another namespace`},
		},
		"AnyObject": {
			reason: "any object tells, whatever its suffix",
			xr:     bound("reports", "default"), composed: map[string]string{"postgres": `{metadata: {name: files-postgres, namespace: default}}`},
			want: world.Identity{Name: "files", Namespace: "default"},
			held: []string{`spec.claimRef.name: "reports" is held at "files", the name of the server's objects. A server cannot be renamed: bind the XR to a claim of that name`},
		},
		"ObjectOfAnotherName": {
			reason: "one that has not the name of its kind tells nothing",
			xr:     namespaced, composed: map[string]string{"config": `{metadata: {name: something, namespace: default}}`},
			want: world.Identity{Name: "files", Namespace: "default"},
		},
		"NameThatEndsInASuffix": {
			reason: "a server may be called what ends like one of its objects",
			xr:     strings.Replace(namespaced, "name: files,", "name: my-config,", 1), composed: map[string]string{"server": `{metadata: {name: my-config, namespace: default}}`, "config": `{metadata: {name: my-config-config, namespace: default}}`},
			want: world.Identity{Name: "my-config", Namespace: "default"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			req := &fnv1.RunFunctionRequest{Observed: &fnv1.State{
				Composite: &fnv1.Resource{Resource: yamltest.Struct(t, tc.xr)},
				Resources: map[string]*fnv1.Resource{},
			}}
			for k, y := range tc.composed {
				req.Observed.Resources[k] = &fnv1.Resource{Resource: yamltest.Struct(t, y)}
			}
			r := observed.NewReader(req)
			id, held := world.Identify(r, r.XR(), kinds.Suffixes(), tc.fallback)
			if diff := cmp.Diff(tc.want, id); diff != "" {
				t.Errorf("%s\nIdentify(...): -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.held, held); diff != "" {
				t.Errorf("%s\nIdentify(...): held: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
