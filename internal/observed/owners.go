package observed

import (
	"encoding/json"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"
)

// composedManager begins the names of the field managers with which Crossplane
// applies composed resources. Source: crossplane v2.4.0
// internal/controller/apiextensions/composite/composition_functions.go.
const composedManager = "apiextensions.crossplane.io/composed"

// An Item names an entry of a list that server-side apply merges by keys, such as
// {"name": "dittofs"}.
type Item map[string]any

// OwnedByOthers reports whether a field manager other than Crossplane's owns the
// field at a path, which is made of names and Items. What somebody else owns stays
// when it is applied without it.
func (o Object) OwnedByOthers(path ...any) bool {
	for _, m := range o.List("metadata", "managedFields") {
		if strings.HasPrefix(m.String("manager"), composedManager) || m.String("subresource") != "" {
			continue
		}
		if owns(m.Value("fieldsV1").GetStructValue(), path) {
			return true
		}
	}
	return false
}

func owns(fields *structpb.Struct, path []any) bool {
	for _, p := range path {
		var next *structpb.Value
		switch p := p.(type) {
		case string:
			next = fields.GetFields()["f:"+p]
		case Item:
			next = item(fields, p)
		}
		if next == nil {
			return false
		}
		fields = next.GetStructValue()
	}
	return true
}

// item returns the entry of a list that has the keys. They are written as JSON, of
// which the order of the names is not known.
func item(fields *structpb.Struct, want Item) *structpb.Value {
	for k, v := range fields.GetFields() {
		doc, ok := strings.CutPrefix(k, "k:")
		got := Item{}
		if !ok || json.Unmarshal([]byte(doc), &got) != nil || len(got) != len(want) {
			continue
		}
		same := true
		for n, w := range want {
			same = same && got[n] == w
		}
		if same {
			return v
		}
	}
	return nil
}
