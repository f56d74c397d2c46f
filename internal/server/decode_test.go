package server_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

func decodeYAML(t *testing.T, spec, defaults string) (server.Spec, []string) {
	t.Helper()
	a, errs := server.Decode(observed.FromStruct(yamltest.Struct(t, spec)), observed.FromStruct(yamltest.Struct(t, defaults)))
	out := make([]string, 0, len(errs))
	for _, e := range errs {
		out = append(out, e.Error())
	}
	return a, out
}

// TestDecodeDefaults: a typo in a default would take it from every server, and a
// wrong value does not hide a wrong name.
func TestDecodeDefaults(t *testing.T) {
	cases := map[string]struct {
		reason   string
		spec     string
		defaults string
		want     []string
		unknown  []string
	}{
		"Unknown": {
			reason:   "a field that no DittoServer has is an error in the defaults",
			defaults: `{percona: {enable: true}, storge: {}}`,
			want: []string{
				"input.defaults.percona.enable: Forbidden: is not a field of a DittoServer's spec; check for typos",
				"input.defaults.storge: Forbidden: is not a field of a DittoServer's spec; check for typos",
			},
		},
		"UnknownBesideAWrongOne": {
			reason:   "one message has every wrong field",
			defaults: `{replicas: one, storge: {}}`,
			want: []string{
				"input.defaults.storge: Forbidden: is not a field of a DittoServer's spec; check for typos",
				`input.defaults.replicas: Invalid value: "one": must be of type integer, not string`,
			},
		},
		"UnknownInAList": {
			reason:   "so is one of an entry of a list",
			defaults: `{snapshotPolicies: [{share: /a, interval: 1h}, {share: /b, intervall: 1h}]}`,
			want:     []string{"input.defaults.snapshotPolicies[1].intervall: Forbidden: is not a field of a DittoServer's spec; check for typos"},
		},
		"UnknownInTheXR": {
			reason:  "in the XR it is a warning: the platform may have extended the XRD",
			spec:    `{storge: {}}`,
			unknown: []string{"storge"},
			want:    []string{},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s, got := decodeYAML(t, tc.spec, tc.defaults)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\nerrors: -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.unknown, s.Unknown); diff != "" {
				t.Errorf("%s\nunknown: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestDecode(t *testing.T) {
	type want struct {
		spec    v1alpha1.DittoServerSpec
		unknown []string
	}
	cases := map[string]struct {
		reason   string
		spec     string
		defaults string
		want     want
	}{
		"Nothing": {
			reason: "an empty spec is a spec",
		},
		"Own": {
			reason: "a value comes from the XR",
			spec:   `{image: a}`,
			want:   want{spec: v1alpha1.DittoServerSpec{Image: "a"}},
		},
		"Default": {
			reason:   "what the XR does not say the Input may",
			spec:     `{image: a}`,
			defaults: `{image: b, percona: {enabled: true, replicas: 3}}`,
			want: want{spec: v1alpha1.DittoServerSpec{
				Image:   "a",
				Percona: &v1alpha1.PerconaConfig{Enabled: true, Replicas: ptr.To[int32](3)},
			}},
		},
		"FalseAndZeroWin": {
			reason:   "an explicit false or 0 wins over a default",
			spec:     `{replicas: 0, percona: {enabled: false}}`,
			defaults: `{replicas: 1, percona: {enabled: true, replicas: 3}}`,
			want: want{spec: v1alpha1.DittoServerSpec{
				Replicas: ptr.To[int32](0),
				Percona:  &v1alpha1.PerconaConfig{Replicas: ptr.To[int32](3)},
			}},
		},
		"EmptyStringWins": {
			reason:   "an explicit empty class asks for volumes without one",
			spec:     `{storage: {storageClassName: ""}}`,
			defaults: `{storage: {storageClassName: fast, metadataSize: 1Gi}}`,
			want: want{spec: v1alpha1.DittoServerSpec{
				Storage: &v1alpha1.StorageSpec{StorageClassName: ptr.To(""), MetadataSize: "1Gi"},
			}},
		},
		"NullIsNothing": {
			reason:   "a null is as if it were not there, on either side",
			spec:     `{image: null, logging: {level: null}}`,
			defaults: `{image: b, logging: {level: DEBUG}, service: null}`,
			want:     want{spec: v1alpha1.DittoServerSpec{Image: "b", Logging: &v1alpha1.LoggingSpec{Level: "DEBUG"}}},
		},
		"ListsAreWhole": {
			reason:   "a list is one value",
			spec:     `{snapshotPolicies: [{share: /a, interval: 1h}]}`,
			defaults: `{snapshotPolicies: [{share: /b, interval: 2h}, {share: /c, interval: 3h}]}`,
			want: want{spec: v1alpha1.DittoServerSpec{
				SnapshotPolicies: []v1alpha1.ShareSnapshotPolicySpec{{Share: "/a", Interval: "1h"}},
			}},
		},
		"MapsMerge": {
			reason:   "annotations of both are there",
			spec:     `{service: {annotations: {a: "1", b: ""}}}`,
			defaults: `{service: {annotations: {b: "2", c: "3"}}}`,
			want: want{spec: v1alpha1.DittoServerSpec{
				Service: &v1alpha1.ServiceSpec{Annotations: map[string]string{"a": "1", "b": "", "c": "3"}},
			}},
		},
		"Machinery": {
			reason: "fields of Crossplane's own are not the server's, nor unknown",
			spec: `{image: a, crossplane: {compositionRef: {name: c}}, claimRef: {name: c}, compositionRef: {name: c},
compositionSelector: {}, compositionRevisionRef: {name: r}, compositionRevisionSelector: {}, compositionUpdatePolicy: Automatic,
resourceRefs: [], resourceRef: {}, writeConnectionSecretToRef: {name: s}, publishConnectionDetailsTo: {name: s}, compositeDeletePolicy: Background}`,
			want: want{spec: v1alpha1.DittoServerSpec{Image: "a"}},
		},
		"Unknown": {
			reason: "fields that no DittoServer has are told, sorted",
			spec:   `{imge: a, percona: {enable: true}, snapshotPolicies: [{share: /a, interval: 1h, keep: 3}]}`,
			want: want{
				spec: v1alpha1.DittoServerSpec{
					Percona:          &v1alpha1.PerconaConfig{},
					SnapshotPolicies: []v1alpha1.ShareSnapshotPolicySpec{{Share: "/a", Interval: "1h"}},
				},
				unknown: []string{"imge", "percona.enable", "snapshotPolicies[0].keep"},
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			a, errs := decodeYAML(t, tc.spec, tc.defaults)
			if len(errs) > 0 {
				t.Fatalf("Decode(...): %v", errs)
			}
			unknown := a.Unknown
			if len(unknown) == 0 {
				unknown = nil
			}
			if diff := cmp.Diff(tc.want, want{a.DittoServerSpec, unknown}, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("%s\nDecode(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestDecodeErrors(t *testing.T) {
	cases := map[string]struct {
		reason   string
		spec     string
		defaults string
		want     []string
	}{
		"String": {
			reason: "the field, its value and what it must be are named",
			spec:   `{replicas: one}`,
			want:   []string{`spec.replicas: Invalid value: "one": must be of type integer, not string`},
		},
		"Fraction": {
			reason: "an integer has no fraction",
			spec:   `{replicas: 0.5}`,
			want:   []string{`spec.replicas: Invalid value: 0.5: must be of type integer, not number 0.5`},
		},
		"Deep": {
			reason: "the path leads to the value",
			spec:   `{percona: {backup: {retentionDays: "7"}}}`,
			want:   []string{`spec.percona.backup.retentionDays: Invalid value: "7": must be of type integer, not string`},
		},
		"Boolean": {
			reason: "a quoted true is a string",
			spec:   `{percona: {enabled: "true"}}`,
			want:   []string{`spec.percona.enabled: Invalid value: "true": must be of type boolean, not string`},
		},
		"Object": {
			reason: "a block is an object",
			spec:   `{storage: 10Gi}`,
			want:   []string{`spec.storage: Invalid value: "10Gi": must be of type object, not string`},
		},
		"List": {
			reason: "a list is a list",
			spec:   `{snapshotPolicies: hourly}`,
			want:   []string{`spec.snapshotPolicies: Invalid value: "hourly": must be of type list, not string`},
		},
		"Defaults": {
			reason:   "a value of the Input's is named there",
			spec:     `{percona: {enabled: true}}`,
			defaults: `{percona: {replicas: many}}`,
			want:     []string{`input.defaults.percona.replicas: Invalid value: "many": must be of type integer, not string`},
		},
		"SeveralBlocks": {
			reason:   "one message has every wrong field",
			spec:     `{replicas: one, percona: {enabled: "yes"}}`,
			defaults: `{logging: {level: 3}}`,
			want: []string{
				`input.defaults.logging.level: Invalid value: 3: must be of type string, not number`,
				`spec.percona.enabled: Invalid value: "yes": must be of type boolean, not string`,
				`spec.replicas: Invalid value: "one": must be of type integer, not string`,
			},
		},
		"SeveralInOneBlock": {
			reason: "one message has every wrong field, however close they are",
			spec:   `{percona: {enabled: "yes", replicas: two}}`,
			want: []string{
				`spec.percona.enabled: Invalid value: "yes": must be of type boolean, not string`,
				`spec.percona.replicas: Invalid value: "two": must be of type integer, not string`,
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, errs := decodeYAML(t, tc.spec, tc.defaults)
			if diff := cmp.Diff(tc.want, errs); diff != "" {
				t.Errorf("%s\nDecode(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestDecodeErrorsOfNestedValues: where the decoder does not tell which entry is
// wrong, the message does.
func TestDecodeErrorsOfNestedValues(t *testing.T) {
	cases := map[string]struct {
		reason string
		spec   string
		path   string
		value  string
	}{
		"Quantity": {
			reason: "a quantity's decoder does not know where it is",
			spec:   `{resources: {limits: {cpu: lots, memory: 1Gi}}}`,
			path:   "spec.resources.limits.cpu",
			value:  "lots",
		},
		"NestedQuantity": {
			reason: "the same, deeper",
			spec:   `{percona: {enabled: true, resources: {requests: {memory: much}}}}`,
			path:   "spec.percona.resources.requests.memory",
			value:  "much",
		},
		"Map": {
			reason: "an annotation that YAML took for a number",
			spec:   `{service: {annotations: {a: x, b: 1}}}`,
			path:   "spec.service.annotations.b",
			value:  "1",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, errs := decodeYAML(t, tc.spec, "")
			if len(errs) != 1 || !strings.HasPrefix(errs[0], tc.path+": ") || !strings.Contains(errs[0], tc.value) {
				t.Errorf("%s\nDecode(...): want one error of %s that says %s, got:\n%s", tc.reason, tc.path, tc.value, strings.Join(errs, "\n"))
			}
		})
	}
}

// TestAskedOfPercona guards the invariant that the base of the merge
// changes with the spec and the Input and with nothing else.
func TestAskedOfPercona(t *testing.T) {
	base, _ := decodeYAML(t, `{percona: {enabled: true, replicas: 2}}`, ``)
	cases := map[string]struct {
		reason   string
		spec     string
		defaults string
		same     bool
	}{
		"SameFromDefaults": {
			reason:   "it does not matter who says it",
			spec:     `{percona: {enabled: true}}`,
			defaults: `{percona: {replicas: 2}}`,
			same:     true,
		},
		"OtherBlock": {
			reason: "what is not said of the cluster does not matter",
			spec:   `{image: x, percona: {replicas: 2, enabled: true}}`,
			same:   true,
		},
		"Null": {
			reason: "a null says nothing",
			spec:   `{percona: {replicas: 2, enabled: true, image: null}}`,
			same:   true,
		},
		"Changed": {
			reason: "another value is another ask",
			spec:   `{percona: {replicas: 3, enabled: true}}`,
		},
		"Stated": {
			reason: "to state a default is to ask for it",
			spec:   `{percona: {replicas: 2, enabled: true, postgresVersion: 16}}`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			a, _ := decodeYAML(t, tc.spec, tc.defaults)
			if got := cmp.Equal(a.AskedOfPercona(), base.AskedOfPercona()); got != tc.same {
				t.Errorf("%s: want the same ask: %t, got %t", tc.reason, tc.same, got)
			}
		})
	}
}

func TestPath(t *testing.T) {
	a, _ := decodeYAML(t, `{percona: {enabled: true}}`, `{percona: {enabled: false, replicas: 2}}`)
	cases := map[string]struct{ reason, path, want string }{
		"Own":     {"the XR's value is the XR's", "percona.enabled", "spec.percona.enabled"},
		"Default": {"the Input's value is the Input's", "percona.replicas", "input.defaults.percona.replicas"},
		"Neither": {"what nobody says is for the XR to say", "storage.metadataSize", "spec.storage.metadataSize"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := a.Path(tc.path).String(); got != tc.want {
				t.Errorf("%s: want %s, got %s", tc.reason, tc.want, got)
			}
		})
	}
}

func toStruct(t *testing.T, m map[string]any) *structpb.Struct {
	t.Helper()
	s, err := structpb.NewStruct(m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
