// Package yamltest reads the objects of tests, which are written as YAML.
package yamltest

import (
	"testing"

	"google.golang.org/protobuf/types/known/structpb"
	"sigs.k8s.io/yaml"
)

// Struct returns an object as a request carries it, nil if y is empty. The test
// fails if y is not an object.
func Struct(tb testing.TB, y string) *structpb.Struct {
	tb.Helper()
	if y == "" {
		return nil
	}
	m := map[string]any{}
	if err := yaml.Unmarshal([]byte(y), &m); err != nil {
		tb.Fatalf("%v in:\n%s", err, y)
	}
	s, err := structpb.NewStruct(m)
	if err != nil {
		tb.Fatalf("%v in:\n%s", err, y)
	}
	return s
}
