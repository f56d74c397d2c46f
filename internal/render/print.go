package render

import (
	"encoding/json"
	"io"

	"github.com/crossplane/function-sdk-go/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Formats of the output.
const (
	FormatYAML = "yaml"
	FormatJSON = "json"
)

// Print writes the XR, the composed resources and, if asked for, the results:
// as a stream of YAML documents, or as one JSON document, a v1 List.
func (o *Outputs) Print(w io.Writer, format string, results bool) error {
	all := append([]*unstructured.Unstructured{o.XR}, o.Composed...)
	if results {
		all = append(all, o.Results...)
	}
	if format == FormatJSON {
		items := make([]any, 0, len(all))
		for _, u := range all {
			items = append(items, u.Object)
		}
		return PrintJSON(w, map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	}
	for _, u := range all {
		b, err := yaml.Marshal(u.Object)
		if err != nil {
			return errors.Wrapf(err, "cannot print %s %q", u.GetKind(), u.GetName())
		}
		if _, err := w.Write(append([]byte("---\n"), b...)); err != nil {
			return errors.Wrap(err, "cannot print")
		}
	}
	return nil
}

// PrintJSON writes v as one indented JSON document.
func PrintJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return errors.Wrap(e.Encode(v), "cannot print")
}
