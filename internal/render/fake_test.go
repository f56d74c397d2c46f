package render

import (
	"context"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A fake is a Function made of a function.
type fake func(req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error)

func (f fake) RunFunction(_ context.Context, req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
	return f(req)
}

func object(y string) *unstructured.Unstructured {
	docs, err := decode("test", []byte(y))
	if err != nil {
		panic(err)
	}
	return docs[0].Object
}

func byName(kind, name string) *fnv1.ResourceSelector {
	ns := "ns"
	return &fnv1.ResourceSelector{ApiVersion: "v1", Kind: kind, Namespace: &ns, Match: &fnv1.ResourceSelector_MatchName{MatchName: name}}
}

func requirements(names ...string) *fnv1.Requirements {
	out := &fnv1.Requirements{Resources: map[string]*fnv1.ResourceSelector{}}
	for _, n := range names {
		out.Resources[n] = byName("Secret", n)
	}
	return out
}

func result(s fnv1.Severity, message string) []*fnv1.Result {
	return []*fnv1.Result{{Severity: s, Message: message}}
}
