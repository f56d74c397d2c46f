package strict

import (
	"strings"
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
	Env   []corev1.EnvVar              `json:"env,omitempty"`
	Tol   []corev1.Toleration          `json:"tol,omitempty"`
	Grid  [][]int                      `json:"grid,omitempty"`
	Share *float64                     `json:"share,omitempty"`
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
		"Object":          {reason: "an object is an object", doc: `{inner: [1]}`, errs: []string{`inner: Invalid value: "list": must be of type object, not list`}},
		"WrongAndUnknown": {reason: "a wrong value hides no unknown field", doc: `{name: 1, coun: 2}`, unknown: []string{"coun"}, errs: []string{`name: Invalid value: 1: must be of type string, not number`}},
		"Fraction":        {reason: "integers are whole", doc: `{count: 1.5}`, errs: []string{`count: Invalid value: 1.5: must be of type integer, not number 1.5`}},
		"Entry": {
			reason: "an entry of a list is told by its index, without what else is in the list",
			doc:    `{env: [{name: TOKEN, value: secret}, {name: RETRIES, value: 3}, {name: 4, value: true}]}`,
			errs: []string{
				`env[1].value: Invalid value: 3: must be of type string, not number`,
				`env[2].name: Invalid value: 4: must be of type string, not number`,
				`env[2].value: Invalid value: true: must be of type string, not boolean`,
			},
		},
		"WholeEntry":      {reason: "an entry may be wrong as a whole", doc: `{env: [{name: A}, TOKEN=secret, [secret]]}`, errs: []string{`env[1]: Invalid value: "TOKEN=secret": must be of type object, not string`, `env[2]: Invalid value: "list": must be of type object, not list`}},
		"ListInEntry":     {reason: "objects in entries are looked into too", doc: `{env: [{valueFrom: {secretKeyRef: {key: [secret]}}}]}`, errs: []string{`env[0].valueFrom.secretKeyRef.key: Invalid value: "list": must be of type string, not list`}},
		"ListInList":      {reason: "each list has its index", doc: `{grid: [[1], [2, x]]}`, errs: []string{`grid[1][1]: Invalid value: "x": must be of type integer, not string`}},
		"ObjectForScalar": {reason: "the fields of an object are not to blame for it", doc: `{inner: {fast: {enabled: secret}}}`, errs: []string{`inner.fast: Invalid value: "object": must be of type boolean, not object`}},
		"ListForScalar":   {reason: "nor are the entries of a list", doc: `{name: [secret]}`, errs: []string{`name: Invalid value: "list": must be of type string, not list`}},
		"ObjectForList":   {reason: "a list with one entry is a list", doc: `{tol: {key: 1}}`, errs: []string{`tol: Invalid value: "object": must be of type list, not object`}},
		"ObjectForNumber": {reason: "decoders of their own refuse objects too", doc: `{res: {limits: {cpu: {cores: 1}}}}`, errs: []string{`res.limits.cpu: Invalid value: "object": must be a quantity such as 500m or 1Gi`}},
		"EmptyObject":     {reason: "an empty object is shown like any other", doc: `{name: {}}`, errs: []string{`name: Invalid value: "object": must be of type string, not object`}},
		"NamedType":       {reason: "types are called what a person calls them", doc: `{tol: [{effect: true}], share: much}`, errs: []string{`share: Invalid value: "much": must be of type number, not string`, `tol[0].effect: Invalid value: true: must be of type string, not boolean`}},
		"KeyLikeAnIndex":  {reason: "a key may look as if it had an index", doc: `{inner: {tags: {"a[0]": 1}}}`, errs: []string{`inner.tags.a[0]: Invalid value: 1: must be of type string, not number`}},
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

func TestLookup(t *testing.T) {
	doc := map[string]any{
		"a":    map[string]any{"b": "c", "b[0]": "key", "null": nil},
		"list": []any{map[string]any{"x": "y"}, []any{"z"}},
	}
	cases := map[string]struct {
		reason string
		path   []string
		want   any
		has    bool
	}{
		"Field":       {reason: "fields of objects are found", path: []string{"a", "b"}, want: "c", has: true},
		"Entry":       {reason: "entries of lists are found", path: []string{"list[0]", "x"}, want: "y", has: true},
		"ListInList":  {reason: "in lists of lists too", path: []string{"list[1][0]"}, want: "z", has: true},
		"Key":         {reason: "a key that looks like an index is a key", path: []string{"a", "b[0]"}, want: "key", has: true},
		"Null":        {reason: "null is there", path: []string{"a", "null"}, has: true},
		"Missing":     {reason: "there is no such field", path: []string{"a", "c"}},
		"BelowScalar": {reason: "a scalar has no fields", path: []string{"a", "b", "c"}},
		"OutOfRange":  {reason: "the list is shorter", path: []string{"list[2]"}},
		"NotAList":    {reason: "an object has no entries", path: []string{"a[0]"}},
		"NotANumber":  {reason: "an index is a number", path: []string{"list[x]"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, Lookup(doc, tc.path)); diff != "" {
				t.Errorf("%s\nLookup(...): -want, +got:\n%s", tc.reason, diff)
			}
			if got := Has(doc, strings.Join(tc.path, ".")); got != tc.has {
				t.Errorf("%s\nHas(...): got %t, want %t", tc.reason, got, tc.has)
			}
		})
	}
}
