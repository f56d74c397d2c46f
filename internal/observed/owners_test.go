package observed

import (
	"testing"

	"github.com/dittofs/function-dittoserver/internal/yamltest"
)

func TestOwnedByOthers(t *testing.T) {
	const (
		crossplane = `"apiextensions.crossplane.io/composed/0123abcd"`
		port       = `{"f:spec": {"f:ports": {'k:{"port":8080,"protocol":"TCP"}': {".": {}, "f:name": {}}}}}`
		turned     = `{"f:spec": {"f:ports": {'k:{"protocol":"TCP","port":8080}': {".": {}}}}}`
		envs       = `{"f:spec": {"f:containers": {'k:{"name":"dittofs"}': {"f:env": {'k:{"name":"A"}': {"f:value": {}}}}}}}`
	)
	managed := func(entries ...string) string {
		out := "metadata: {managedFields: ["
		for _, e := range entries {
			out += e + ", "
		}
		return out + "]}"
	}
	by := func(manager, fields string) string { return `{manager: ` + manager + `, fieldsV1: ` + fields + `}` }
	ports := []any{"spec", "ports", Item{"port": 8080.0, "protocol": "TCP"}}

	cases := map[string]struct {
		reason string
		object string
		path   []any
		want   bool
	}{
		"Nothing":          {reason: "an object that does not exist is nobody's", path: ports},
		"NoManagers":       {reason: "nor is one without managers", object: "metadata: {name: x}", path: ports},
		"Other":            {reason: "another manager has the entry", object: managed(by("operator", port)), path: ports, want: true},
		"OtherOrder":       {reason: "the order of an entry's keys is not known", object: managed(by("operator", turned)), path: ports, want: true},
		"Crossplane":       {reason: "what Crossplane alone has goes when it is not sent", object: managed(by(crossplane, port)), path: ports},
		"CrossplaneXR":     {reason: "only the manager of composed resources is Crossplane's here", object: managed(by("apiextensions.crossplane.io/composite", port)), path: ports, want: true},
		"Both":             {reason: "what somebody else has too stays", object: managed(by(crossplane, port), by("operator", port)), path: ports, want: true},
		"Status":           {reason: "who writes a subresource owns nothing else", object: managed(`{manager: operator, subresource: status, fieldsV1: ` + port + `}`), path: ports},
		"AnotherEntry":     {reason: "an entry is known by its keys", object: managed(by("operator", port)), path: []any{"spec", "ports", Item{"port": 8081.0, "protocol": "TCP"}}},
		"FewerKeys":        {reason: "by all of them", object: managed(by("operator", port)), path: []any{"spec", "ports", Item{"port": 8080.0}}},
		"MoreKeys":         {reason: "and by no more", object: managed(by("operator", port)), path: []any{"spec", "ports", Item{"port": 8080.0, "protocol": "TCP", "name": "api"}}},
		"Field":            {reason: "a field of an entry", object: managed(by("operator", port)), path: append(ports[:3:3], "name"), want: true},
		"AnotherField":     {reason: "that nobody has", object: managed(by("operator", port)), path: append(ports[:3:3], "nodePort")},
		"EntryWithinEntry": {reason: "lists within lists", object: managed(by("operator", envs)), path: []any{"spec", "containers", Item{"name": "dittofs"}, "env", Item{"name": "A"}, "value"}, want: true},
		"Parent":           {reason: "who has a field has what it is in", object: managed(by("operator", envs)), path: []any{"spec", "containers"}, want: true},
		"Elsewhere":        {reason: "the path is that of the object, from its root", object: managed(by("operator", port)), path: []any{"ports", Item{"port": 8080.0, "protocol": "TCP"}}},
		"NotFields":        {reason: "what is no set of fields is nobody's", object: "metadata: {managedFields: [{manager: operator, fieldsV1: all}, 1, {manager: operator}]}", path: ports},
		"NotAKey":          {reason: "nor is an entry that is not known by keys", object: managed(by("operator", `{"f:spec": {"f:ports": {'v:8080': {}, 'k:{': {}}}}`)), path: ports},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o := FromStruct(yamltest.Struct(t, tc.object))
			if got := o.OwnedByOthers(tc.path...); got != tc.want {
				t.Errorf("%s\nOwnedByOthers(%v): want %t, got %t", tc.reason, tc.path, tc.want, got)
			}
		})
	}
}
