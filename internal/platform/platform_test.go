package platform

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

func parse(t *testing.T, y string) observed.Object {
	t.Helper()
	return observed.FromStruct(yamltest.Struct(t, y))
}

func TestRead(t *testing.T) {
	type want struct {
		namespace string
		ttl       time.Duration
		defaults  map[string]any
		errs      []string
	}
	const head = "apiVersion: dittoserver.fn.crossplane.io/v1beta1\nkind: Input\n"

	cases := map[string]struct {
		reason string
		in     string
		want   want
	}{
		"None": {
			reason: "there need not be an Input",
			want:   want{ttl: time.Minute},
		},
		"Empty": {
			reason: "every field is optional",
			in:     head,
			want:   want{ttl: time.Minute},
		},
		"All": {
			reason: "what is set is set for all servers",
			in:     head + "metadata: {name: x}\nttl: 90s\nnamespace: files\ndefaults: {replicas: 0, percona: {enabled: false}}",
			want: want{
				namespace: "files",
				ttl:       90 * time.Second,
				defaults:  map[string]any{"replicas": 0.0, "percona": map[string]any{"enabled": false}},
			},
		},
		"UnknownField": {
			reason: "a typo would take a default from every server",
			in:     head + "default: {}",
			want:   want{ttl: time.Minute, errs: []string{`input.default: Forbidden: is not a field of the Input; check for typos`}},
		},
		"WrongKind": {
			reason: "somebody else's input",
			in:     "apiVersion: pt.fn.crossplane.io/v1beta1\nkind: Resources",
			want:   want{ttl: time.Minute, errs: []string{`input.kind: Unsupported value: "Resources": supported values: "Input"`}},
		},
		"DefaultsOfAnotherType": {
			reason: "the defaults are a partial spec",
			in:     head + "defaults: [1]",
			want:   want{ttl: time.Minute, errs: []string{`input.defaults: Invalid value: "[1]": must be an object: a partial spec of a DittoServer`}},
		},
		"TTL": {
			reason: "a time to live is a duration",
			in:     head + "ttl: soon",
			want:   want{ttl: time.Minute, errs: []string{`input.ttl: Invalid value: "soon": must be a positive duration such as 90s or 5m`}},
		},
		"TTLZero": {
			reason: "a response that does not hold is asked for without end",
			in:     head + "ttl: 0s",
			want:   want{ttl: time.Minute, errs: []string{`input.ttl: Invalid value: "0s": must be a positive duration such as 90s or 5m`}},
		},
		"TTLOfAnotherType": {
			reason: "what cannot be decoded is named with its path and value",
			in:     head + "ttl: 60",
			want:   want{ttl: time.Minute, errs: []string{`input.ttl: Invalid value: 60: must be of type string, not number`}},
		},
		"Namespace": {
			reason: "a namespace is a DNS label",
			in:     head + "namespace: My_NS",
			want: want{namespace: "My_NS", ttl: time.Minute, errs: []string{
				`input.namespace: Invalid value: "My_NS": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`,
			}},
		},
		"Everything": {
			reason: "one message has every wrong field",
			in:     head + "ttl: x\nnamespace: A\nnonsense: 1",
			want: want{namespace: "A", ttl: time.Minute, errs: []string{
				`input.nonsense: Forbidden: is not a field of the Input; check for typos`,
				`input.ttl: Invalid value: "x": must be a positive duration such as 90s or 5m`,
				`input.namespace: Invalid value: "A": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`,
			}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s, errs := Read(parse(t, tc.in), time.Minute)
			got := want{namespace: s.Namespace, ttl: s.TTL, defaults: s.Defaults.Map()}
			for _, e := range errs {
				got.errs = append(got.errs, e.Error())
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("%s\nRead(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
