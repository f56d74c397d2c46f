package xrdgen

import (
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
)

const (
	generatedHeader = "# Generated from the Go types by `go generate ./...`. Do not edit.\n"

	namespacedXRDHeader = generatedHeader + `#
# DittoServer as a namespaced composite resource: the default. Its alternative, for
# claims, is claim/xrd.yaml. They cannot be installed together, since both define
# dittoservers.
`

	claimXRDHeader = generatedHeader + `#
# DittoServer as the claim of a cluster-scoped XDittoServer: the alternative to
# ../xrd.yaml. They cannot be installed together, since both define dittoservers.
`

	inputHeader = generatedHeader
)

// namespacedXRD is the definition of the namespaced composite resource.
func namespacedXRD(crd *extv1.CustomResourceDefinition) map[string]any {
	return definition("v2", crd.Spec.Names.Plural, map[string]any{
		"scope":    "Namespaced",
		"group":    crd.Spec.Group,
		"names":    crd.Spec.Names,
		"versions": versions(crd),
	})
}

// claimXRD is the definition of the cluster-scoped composite resource and its claim. Only
// a v1 definition has claims.
func claimXRD(crd *extv1.CustomResourceDefinition) map[string]any {
	claim := crd.Spec.Names

	names := extv1.CustomResourceDefinitionNames{
		Kind:       v1alpha1.ClaimableKind,
		ListKind:   v1alpha1.ClaimableKind + "List",
		Plural:     "x" + claim.Plural,
		Singular:   "x" + claim.Singular,
		Categories: claim.Categories,
	}
	for _, n := range claim.ShortNames {
		names.ShortNames = append(names.ShortNames, "x"+n)
	}

	return definition("v1", names.Plural, map[string]any{
		"group":      crd.Spec.Group,
		"names":      names,
		"claimNames": claim,
		"versions":   versions(crd),
	})
}

func definition(version, plural string, spec map[string]any) map[string]any {
	return map[string]any{
		"apiVersion": "apiextensions.crossplane.io/" + version,
		"kind":       "CompositeResourceDefinition",
		"metadata":   map[string]any{"name": plural + "." + v1alpha1.Group},
		"spec":       spec,
	}
}

// versions of a CompositeResourceDefinition. Crossplane reads spec and status of the schema
// and supplies the rest of it: conditions, further printer columns, the subresource status.
func versions(crd *extv1.CustomResourceDefinition) []any {
	v := crd.Spec.Versions[0]

	return []any{map[string]any{
		"name":                     v.Name,
		"served":                   true,
		"referenceable":            true,
		"additionalPrinterColumns": v.AdditionalPrinterColumns,
		"subresources":             map[string]any{"scale": v.Subresources.Scale},
		"schema": map[string]any{"openAPIV3Schema": extv1.JSONSchemaProps{
			Type:        "object",
			Description: v.Schema.OpenAPIV3Schema.Description,
			Properties: map[string]extv1.JSONSchemaProps{
				"spec":   v.Schema.OpenAPIV3Schema.Properties["spec"],
				"status": v.Schema.OpenAPIV3Schema.Properties["status"],
			},
		}},
	}}
}

// inputCRD is the definition of the Input. No API server ever serves it: a package has it
// for those who write Compositions, and for their tools.
func inputCRD(crd *extv1.CustomResourceDefinition) map[string]any {
	v := crd.Spec.Versions[0]

	return map[string]any{
		"apiVersion": extv1.SchemeGroupVersion.String(),
		"kind":       "CustomResourceDefinition",
		"metadata":   map[string]any{"name": crd.GetName()},
		"spec": map[string]any{
			"group": crd.Spec.Group,
			"names": crd.Spec.Names,
			"scope": crd.Spec.Scope,
			"versions": []any{map[string]any{
				"name":    v.Name,
				"served":  true,
				"storage": true,
				"schema":  v.Schema,
			}},
		},
	}
}
