package server

import (
	"fmt"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dittofs/function-dittoserver/internal/observed"
)

// Identify decides whose objects are meant and where they are. Where they are
// does not change while there are any: they would be created anew, and empty.
func Identify(req *fnv1.RunFunctionRequest, xr observed.XR, ask Ask, fallback string) (observed.Identity, []string) {
	id := observed.Identity{
		Name:          xr.ServerName(),
		Namespace:     xr.ServerNamespace(fallback),
		AdoptExisting: ask.Spec.AdoptExisting,
	}
	there := observed.New(req, xr, id).Namespaces()
	if len(there) == 0 || there[0] == id.Namespace || xr.Namespace != "" {
		return id, nil
	}
	held := fmt.Sprintf("input.namespace: %q is held at %s, where the server is. Set it back; a server cannot move to another namespace", id.Namespace, there[0])
	id.Namespace = there[0]
	return id, []string{held}
}

// CheckIdentity says what is wrong with an identity.
func CheckIdentity(xr observed.XR, id observed.Identity) field.ErrorList {
	var errs field.ErrorList
	if id.Name == "" {
		errs = append(errs, field.Required(field.NewPath("metadata", "name"), "the composite resource has no name"))
	}
	if id.Namespace == "" {
		errs = append(errs, field.Required(field.NewPath("input", "namespace"), "the composite resource "+xr.Name+" has neither a namespace nor a claim; set the namespace of its objects"))
	}
	return errs
}
