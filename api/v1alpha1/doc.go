// Package v1alpha1 holds the DittoServer API: what a user asks for and what the
// function reports.
//
// The spec has every field of the DittoFS operator's own DittoServer, by the same
// JSON names and shapes, so that its manifests apply unchanged. The schemas of both
// CompositeResourceDefinitions and the field reference are generated from these
// types.
//
// No field has a schema default, and none is required that a platform's defaults
// could supply: a default written by the API server would hide the platform's.
// Descriptions name the built-in defaults, which are resolved in Go.
//
// +kubebuilder:object:generate=true
// +groupName=dittofs.dittofs.com
package v1alpha1
