// Package apiserver judges objects by a CustomResourceDefinition as a Kubernetes API server
// does, with that server's own code: defaults, schema, CEL rules, list keys, unknown fields.
// It is for tests.
package apiserver

import (
	"context"
	"strings"

	v1 "github.com/crossplane/crossplane/apis/v2/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"github.com/crossplane/crossplane-runtime/v2/pkg/errors"
	"github.com/crossplane/crossplane-runtime/v2/pkg/xcrd"
)

// A Judge tells whether objects fit one version of a CustomResourceDefinition.
type Judge struct {
	structural *schema.Structural
	validator  validation.SchemaValidator
	rules      *cel.Validator
}

// ForCRD returns the judge of a version. A definition that an API server would refuse, be it
// for its schema or for the estimated cost of its CEL rules, is an error.
func ForCRD(crd *extv1.CustomResourceDefinition, version string) (*Judge, error) {
	crd = crd.DeepCopy()
	extv1.SetDefaults_CustomResourceDefinition(crd)

	// The API server does this when it stores a definition, before it validates it.
	for _, v := range crd.Spec.Versions {
		if v.Storage {
			crd.Status.StoredVersions = []string{v.Name}
		}
	}

	internal := &apiextensions.CustomResourceDefinition{}
	if err := extv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(crd, internal, nil); err != nil {
		return nil, errors.Wrap(err, "cannot convert the definition")
	}

	if errs := crdvalidation.ValidateCustomResourceDefinition(context.Background(), internal); len(errs) > 0 {
		return nil, errors.Wrap(errs.ToAggregate(), "the definition is invalid")
	}

	props, err := apiextensions.GetSchemaForVersion(internal, version)
	if err != nil {
		return nil, errors.Wrap(err, "cannot find the version")
	}

	structural, err := schema.NewStructural(props.OpenAPIV3Schema)
	if err != nil {
		return nil, errors.Wrap(err, "the schema is not structural")
	}

	validator, _, err := validation.NewSchemaValidator(props.OpenAPIV3Schema)
	if err != nil {
		return nil, errors.Wrap(err, "cannot build the schema's validator")
	}

	return &Judge{
		structural: structural,
		validator:  validator,
		rules:      cel.NewValidator(structural, true, celconfig.PerCallLimit),
	}, nil
}

// ForXRD returns the judges of the composite resource and, if there is one, of the claim
// that Crossplane makes out of a CompositeResourceDefinition. They are made by Crossplane's
// own code, so that its additions are theirs.
func ForXRD(xrd []byte) (composite, claim *Judge, err error) {
	d := &v1.CompositeResourceDefinition{}
	if err := yaml.UnmarshalStrict(xrd, d); err != nil {
		return nil, nil, errors.Wrap(err, "cannot parse the definition")
	}

	if len(d.Spec.Versions) != 1 {
		return nil, nil, errors.Errorf("the definition has %d versions, not one", len(d.Spec.Versions))
	}

	// What Crossplane makes is owned by the definition, and an owner has an identity.
	d.SetUID(types.UID(d.GetName()))

	version := d.Spec.Versions[0].Name

	crd, err := xcrd.ForCompositeResource(d)
	if err != nil {
		return nil, nil, err
	}

	if composite, err = ForCRD(crd, version); err != nil {
		return nil, nil, err
	}

	if d.Spec.ClaimNames == nil {
		return composite, nil, nil
	}

	if crd, err = xcrd.ForCompositeResourceClaim(d); err != nil {
		return nil, nil, err
	}

	claim, err = ForCRD(crd, version)

	return composite, claim, err
}

// Judge an object, its status included. A field that the schema does not know is an error
// too: an API server would drop it, with a warning at best.
func (j *Judge) Judge(ctx context.Context, obj map[string]any) field.ErrorList {
	// Numbers get the types that they have after Kubernetes has read them.
	b, err := json.Marshal(obj)
	if err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}

	obj = map[string]any{}
	if err := json.Unmarshal(b, &obj); err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}

	defaulting.PruneNonNullableNullsWithoutDefaults(obj, j.structural)
	defaulting.Default(obj, j.structural)

	var errs field.ErrorList

	for _, path := range pruning.PruneWithOptions(runtime.DeepCopyJSON(obj), j.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
		parts := strings.Split(path, ".")
		errs = append(errs, field.Invalid(field.NewPath(parts[0], parts[1:]...), nil, "is not a field of the schema"))
	}

	errs = append(errs, validation.ValidateCustomResource(nil, obj, j.validator)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, j.structural, obj)...)

	// Rules are only run on what the schema accepts, as by the API server.
	if len(errs) > 0 || j.rules == nil {
		return errs
	}

	violations, _ := j.rules.Validate(ctx, nil, j.structural, obj, nil, celconfig.RuntimeCELCostBudget)

	return violations
}
