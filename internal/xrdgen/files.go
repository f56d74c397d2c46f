package xrdgen

import (
	"reflect"

	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/crossplane/crossplane-runtime/v2/pkg/errors"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/input/v1beta1"
)

// Paths of the generated files, below the module's root. The deep-copy methods come on
// top of these, beside the types that they belong to.
const (
	// NamespacedXRDPath is the definition of the namespaced DittoServer, the default one.
	NamespacedXRDPath = "example/xrd.yaml"

	// ClaimXRDPath is the definition of a cluster-scoped XDittoServer and its claim.
	ClaimXRDPath = "example/claim/xrd.yaml"

	// InputPath is the definition of the function's Input, for the function's package.
	InputPath = "package/input/" + v1beta1.Group + "_inputs.yaml"

	// ReferencePath is the field reference.
	ReferencePath = "docs/reference.md"
)

// Files generates every file, by its slash-separated path below root, which is the
// directory of go.mod.
func Files(root string) (map[string][]byte, error) {
	out, err := controllerGen(root)
	if err != nil {
		return nil, errors.Wrap(err, "cannot read the API's types")
	}

	server, err := takeCRD(out, v1alpha1.Group, "dittoservers")
	if err != nil {
		return nil, err
	}

	input, err := takeCRD(out, v1beta1.Group, "inputs")
	if err != nil {
		return nil, err
	}

	api := schemaOf(server)
	refine(api, reflect.TypeFor[v1alpha1.DittoServer]())

	in := schemaOf(input)
	in.Properties["defaults"] = partialSpec(in.Properties["defaults"], api.Properties["spec"])

	if out[NamespacedXRDPath], err = marshal(namespacedXRDHeader, namespacedXRD(server)); err != nil {
		return nil, err
	}

	if out[ClaimXRDPath], err = marshal(claimXRDHeader, claimXRD(server)); err != nil {
		return nil, err
	}

	if out[InputPath], err = marshal(inputHeader, inputCRD(input)); err != nil {
		return nil, err
	}

	out[ReferencePath] = reference(api, in)

	return out, nil
}

// takeCRD takes controller-gen's CustomResourceDefinition out of its files.
func takeCRD(files map[string][]byte, group, plural string) (*extv1.CustomResourceDefinition, error) {
	name := group + "_" + plural + ".yaml"

	crd := &extv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(files[name], crd); err != nil {
		return nil, errors.Wrapf(err, "cannot parse %s", name)
	}

	if len(crd.Spec.Versions) != 1 {
		return nil, errors.Errorf("%s has %d versions, not one", name, len(crd.Spec.Versions))
	}

	delete(files, name)

	return crd, nil
}

// schemaOf returns the schema of a CustomResourceDefinition with one version.
func schemaOf(crd *extv1.CustomResourceDefinition) *extv1.JSONSchemaProps {
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema
}

func marshal(header string, obj any) ([]byte, error) {
	y, err := yaml.Marshal(obj)
	if err != nil {
		return nil, errors.Wrap(err, "cannot marshal")
	}

	return append([]byte(header), y...), nil
}
