package strict

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

type document struct {
	Name  string                       `json:"name,omitempty"`
	Count *int32                       `json:"count,omitempty"`
	Inner *inner                       `json:"inner,omitempty"`
	Some  []inner                      `json:"some,omitempty"`
	Res   *corev1.ResourceRequirements `json:"res,omitempty"`
}

type inner struct {
	Fast bool              `json:"fast,omitempty"`
	Tags map[string]string `json:"tags,omitempty"`
}

func TestDecode(t *testing.T) {
	cases := map[string]struct {
		reason  string
		doc     string
		unknown []string
		errs    []string
	}{
		"Sound":           {reason: "nothing is wrong", doc: `{name: a, count: 1, inner: {fast: true}}`},
		"Unknown":         {reason: "unknown fields are told by their path", doc: `{nam: a, inner: {slow: true}}`, unknown: []string{"inner.slow", "nam"}},
		"EveryWrongValue": {reason: "not the first one alone", doc: `{name: 1, inner: {fast: maybe, tags: {a: 1, b: c}}}`, errs: []string{`inner.fast: Invalid value: "maybe": must be of type boolean, not string`, `inner.tags.a: Invalid value: 1: must be of type string, not number`, `name: Invalid value: 1: must be of type string, not number`}},
		"Quantity":        {reason: "decoders of their own do not tell a path", doc: `{res: {limits: {cpu: lots, memory: 1Gi}}}`, errs: []string{`res.limits.cpu: Invalid value: "lots": must be a quantity such as 500m or 1Gi`}},
		"List":            {reason: "a list is a list", doc: `{some: none}`, errs: []string{`some: Invalid value: "none": must be of type list, not string`}},
		"Object":          {reason: "an object is an object", doc: `{inner: [1]}`, errs: []string{`inner: Invalid value: [1]: must be of type object, not array`}},
		"WrongAndUnknown": {reason: "a wrong value hides no unknown field", doc: `{name: 1, coun: 2}`, unknown: []string{"coun"}, errs: []string{`name: Invalid value: 1: must be of type string, not number`}},
		"Fraction":        {reason: "integers are whole", doc: `{count: 1.5}`, errs: []string{`count: Invalid value: 1.5: must be of type integer, not number 1.5`}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			doc := map[string]any{}
			if err := yaml.Unmarshal([]byte(tc.doc), &doc); err != nil {
				t.Fatal(err)
			}
			unknown, errs := Decode(doc, &document{}, func(p []string) *field.Path { return field.NewPath(p[0], p[1:]...) })
			if diff := cmp.Diff(tc.unknown, unknown); diff != "" && len(tc.unknown)+len(unknown) > 0 {
				t.Errorf("%s\nunknown: -want, +got:\n%s", tc.reason, diff)
			}
			var got []string
			for _, e := range errs {
				got = append(got, e.Error())
			}
			if diff := cmp.Diff(tc.errs, got); diff != "" {
				t.Errorf("%s\nerrors: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestDecodeKeepsWhatIsSound(t *testing.T) {
	doc := map[string]any{"name": "a", "count": "one", "inner": map[string]any{"fast": true, "tags": 1.0}}
	got := &document{}
	_, errs := Decode(doc, got, func(p []string) *field.Path { return field.NewPath(p[0], p[1:]...) })
	if len(errs) != 2 {
		t.Errorf("want two errors, got %v", errs)
	}
	if diff := cmp.Diff(&document{Name: "a", Inner: &inner{Fast: true}}, got); diff != "" {
		t.Errorf("want everything that can be decoded: -want, +got:\n%s", diff)
	}
}
