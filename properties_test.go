package main

import (
	"io"
	"testing"
	"time"

	"github.com/crossplane/function-sdk-go/logging"

	"github.com/dittofs/function-dittoserver/internal/render"
	"github.com/dittofs/function-dittoserver/test/conformance"
	"github.com/dittofs/function-dittoserver/test/doubles"
	"github.com/dittofs/function-dittoserver/test/properties"
)

// TestProperties leads servers through random lives: see test/properties.
func TestProperties(t *testing.T) {
	properties.Test(t, func(log logging.Logger, ttl time.Duration, random io.Reader) render.Function {
		return NewFunction(log, ttl, random)
	})
}

// TestConformance has every spec composed and judged: see test/conformance.
func TestConformance(t *testing.T) {
	conformance.Test(t, func() render.Function { return NewFunction(&doubles.Log{}, time.Minute, &doubles.Source{}) })
}
