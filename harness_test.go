package main

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/dittofs/function-dittoserver/test/conformance"
)

// canary marks a credential, so that it can be found where it must not be.
const canary = conformance.Canary

// deterministic is a response's bytes.
func deterministic(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
