// Package xrdgen makes what users install and read out of the Go types of the API: the
// CompositeResourceDefinitions, the Input's CustomResourceDefinition, the field reference,
// and the types' deep-copy methods.
//
// The types are the one source. Nothing here knows a field by its name.
package xrdgen

//go:generate go run ./generate -root ../..
