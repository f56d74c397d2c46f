package v1alpha1

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group and Version of the DittoServer API.
const (
	Group   = "dittofs.dittofs.com"
	Version = "v1alpha1"
)

// Kinds that serve this API: the namespaced composite resource (which is also the
// kind of a claim), and the cluster-scoped composite resource behind a claim.
const (
	Kind          = "DittoServer"
	ClaimableKind = "XDittoServer"
)

// CRDName is the name of the CustomResourceDefinition that Crossplane creates for
// DittoServer.
const CRDName = "dittoservers." + Group

// GroupVersion identifies this version of the API.
var GroupVersion = schema.GroupVersion{Group: Group, Version: Version} //nolint:gochecknoglobals // A constant that Go cannot declare as one.

// AddToScheme registers this API's types with a scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &DittoServer{}, &DittoServerList{})

	return nil
}
