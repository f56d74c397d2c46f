package xrdgen

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	xpv1 "github.com/crossplane/crossplane/apis/v2/apiextensions/v1"
	metapkgv1 "github.com/crossplane/crossplane/apis/v2/pkg/meta/v1"
	pkgv1 "github.com/crossplane/crossplane/apis/v2/pkg/v1"
	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/input/v1beta1"
	"github.com/dittofs/function-dittoserver/internal/xrdgen/apiserver"
)

const root = "../.."

func TestGeneratedFilesAreFresh(t *testing.T) {
	files, err := Files(root)
	if err != nil {
		t.Fatalf("Files(%q): %v", root, err)
	}

	// Two of deep-copy methods, and the four that this package names.
	if len(files) != 6 {
		t.Errorf("Files(%q): %d files, want 6", root, len(files))
	}

	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			t.Errorf("%s is missing, run `go generate ./...`: %v", name, err)

			continue
		}

		if !bytes.Equal(want, got) {
			t.Errorf("%s is stale, run `go generate ./...` (-want, +got):\n%s", name, cmp.Diff(string(want), string(got)))
		}
	}
}

// The annotation in which kubectl apply keeps an object has a limit, which is reached before
// that of the API server's store.
const maxAnnotation = 256 << 10

func TestDefinitionsAreOfUse(t *testing.T) {
	cases := map[string]struct {
		reason string
		path   string
		claim  bool
	}{
		"Namespaced": {
			reason: "The default definition makes a CustomResourceDefinition that an API server takes, costs of its rules included, and has no claim.",
			path:   NamespacedXRDPath,
		},
		"Claim": {
			reason: "The definition for claims makes two.",
			path:   ClaimXRDPath,
			claim:  true,
		},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			xrd := read(t, tc.path)

			_, claim, err := apiserver.ForXRD(xrd)
			if err != nil {
				t.Fatalf("%s\nForXRD(%s): %v", tc.reason, tc.path, err)
			}

			if (claim != nil) != tc.claim {
				t.Errorf("%s\nForXRD(%s): has a claim: %t, want %t", tc.reason, tc.path, claim != nil, tc.claim)
			}

			j, err := yaml.YAMLToJSON(xrd)
			if err != nil {
				t.Fatal(err)
			}

			if len(j) > maxAnnotation {
				t.Errorf("%s\n%s has %d bytes as JSON, kubectl apply takes %d", tc.reason, tc.path, len(j), maxAnnotation)
			}
		})
	}
}

// TestScale guards that kubectl scale finds the number of replicas, in the XR and in the
// claim.
func TestScale(t *testing.T) {
	for _, path := range []string{NamespacedXRDPath, ClaimXRDPath} {
		d := &xpv1.CompositeResourceDefinition{}
		if err := yaml.UnmarshalStrict(read(t, path), d); err != nil {
			t.Fatal(err)
		}

		sub := d.Spec.Versions[0].Subresources
		if sub == nil || sub.Scale == nil {
			t.Fatalf("%s: there is no subresource scale", path)
		}

		s := schemaFrom(t, path)
		for at, p := range map[string]string{"spec": sub.Scale.SpecReplicasPath, "status": sub.Scale.StatusReplicasPath} {
			name, ok := strings.CutPrefix(p, "."+at+".")
			if f := s.Properties[at].Properties[name]; !ok || f.Type != "integer" {
				t.Errorf("%s: the number of replicas is at %s, which is no integer of %s", path, p, at)
			}
		}
	}
}

// No default may hide the platform's, and nothing may be required that it may supply.
func TestSchemaLeavesRoomForDefaults(t *testing.T) {
	for _, path := range []string{NamespacedXRDPath, ClaimXRDPath} {
		walk(schemaFrom(t, path), "", func(path string, s extv1.JSONSchemaProps) {
			if s.Default != nil {
				t.Errorf("%s has the default %s", path, s.Default.Raw)
			}

			if len(s.Required) > 0 && !strings.Contains(path, "[]") {
				t.Errorf("%s requires %v", path, s.Required)
			}
		})
	}
}

func TestEveryFieldIsDescribed(t *testing.T) {
	s := schemaFrom(t, NamespacedXRDPath)

	described(t, "spec", s.Properties["spec"], reflect.TypeFor[v1alpha1.DittoServerSpec](), true)
	described(t, "status", s.Properties["status"], reflect.TypeFor[v1alpha1.DittoServerStatus](), false)

	in := &extv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(read(t, InputPath), in); err != nil {
		t.Fatal(err)
	}

	for _, f := range fields(reflect.TypeFor[v1beta1.Input]()) {
		if p := schemaOf(in).Properties[f.name]; !strings.Contains(p.Description, "Default:") {
			t.Errorf("input.%s: the description names no default: %q", f.name, p.Description)
		}
	}
}

// described checks the descriptions of our own types. In the spec each names the default,
// unless the field is a block of fields, or one that somebody has to fill in.
func described(t *testing.T, path string, s extv1.JSONSchemaProps, typ reflect.Type, defaults bool) {
	t.Helper()

	for _, f := range fields(typ) {
		p, ok := s.Properties[f.name]
		path := path + "." + f.name

		if !ok {
			t.Errorf("%s is not in the schema", path)

			continue
		}

		if p.Description == "" {
			t.Errorf("%s has no description", path)
		}

		if strings.ContainsAny(p.Description, "\u2013\u2014\u201c\u201d") {
			t.Errorf("%s: the description has characters that a terminal may not show", path)
		}

		if p.Items != nil {
			p = *p.Items.Schema
		}

		if e := elem(f.typ); e.Kind() == reflect.Struct {
			if !ofKubernetes(e) {
				described(t, path, p, e, defaults)
			}

			continue
		}

		_, def := splitDefault(s.Properties[f.name].Description)
		named := def != "" || isRequired(&s, f.name)

		if defaults && !named {
			t.Errorf("%s: the description neither names a default nor says that the field is needed: %q", path, p.Description)
		}
	}
}

func TestSplitDefault(t *testing.T) {
	cases := map[string]struct {
		reason string
		in     string
		rest   string
		def    string
	}{
		"AtTheEnd": {
			reason: "The default is taken out, without its full stop.",
			in:     "A size. Default: 1Gi.",
			rest:   "A size.",
			def:    "1Gi",
		},
		"InTheMiddle": {
			reason: "Full stops within a default do not end it, and what follows it stays.",
			in:     "A version. Default:\n2.9.0. It does not follow.",
			rest:   "A version. It does not follow.",
			def:    "2.9.0",
		},
		"Required": {
			reason: "A field that is required in some cases has no default, and says when.",
			in:     "An account. Required where LDAP\nis enabled. It searches.",
			rest:   "An account. It searches.",
			def:    "required where LDAP\nis enabled",
		},
		"None": {
			reason: "A description may have no default.",
			in:     "A size.",
			rest:   "A size.",
		},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			rest, def := splitDefault(tc.in)
			if diff := cmp.Diff([]string{tc.rest, tc.def}, []string{rest, def}); diff != "" {
				t.Errorf("%s\nsplitDefault(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// The references between the reference's sections are links that work.
func TestReferenceLinks(t *testing.T) {
	ref := string(read(t, ReferencePath))
	targets := map[string]bool{}

	for line := range strings.Lines(ref) {
		if strings.HasPrefix(line, "#") {
			targets[anchor(strings.TrimLeft(strings.TrimSpace(line), "# "))] = true
		}
	}

	for _, part := range strings.Split(ref, "](#")[1:] {
		to, _, _ := strings.Cut(part, ")")
		if !targets[to] {
			t.Errorf("there is no section #%s", to)
		}
	}
}

// What users copy beside the definitions is of the kinds that it says it is.
func TestManifestsAreOfTheirKinds(t *testing.T) {
	cases := map[string]struct {
		reason string
		path   string
		into   any
	}{
		"Composition":      {reason: "The Composition has only fields of a Composition.", path: "example/composition.yaml", into: &xpv1.Composition{}},
		"ClaimComposition": {reason: "So does the one for claims.", path: "example/claim/composition.yaml", into: &xpv1.Composition{}},
		"Functions":        {reason: "The Function has only fields of a Function.", path: "example/functions.yaml", into: &pkgv1.Function{}},
		"Package":          {reason: "The package's metadata has only fields that Crossplane knows.", path: "package/crossplane.yaml", into: &metapkgv1.Function{}},
		"RBAC":             {reason: "The ClusterRole has only fields of a ClusterRole.", path: "example/rbac.yaml", into: &rbacv1.ClusterRole{}},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if err := yaml.UnmarshalStrict(read(t, tc.path), tc.into); err != nil {
				t.Errorf("%s\n%s: %v", tc.reason, tc.path, err)
			}
		})
	}
}

// A Composition is for the kind that the definition beside it defines.
func TestCompositionsMatchDefinitions(t *testing.T) {
	for xrd, composition := range map[string]string{
		NamespacedXRDPath: "example/composition.yaml",
		ClaimXRDPath:      "example/claim/composition.yaml",
	} {
		d := &xpv1.CompositeResourceDefinition{}
		if err := yaml.UnmarshalStrict(read(t, xrd), d); err != nil {
			t.Fatal(err)
		}

		c := &xpv1.Composition{}
		if err := yaml.UnmarshalStrict(read(t, composition), c); err != nil {
			t.Fatal(err)
		}

		want := xpv1.TypeReference{APIVersion: d.Spec.Group + "/" + d.Spec.Versions[0].Name, Kind: d.Spec.Names.Kind}
		if diff := cmp.Diff(want, c.Spec.CompositeTypeRef); diff != "" {
			t.Errorf("%s is not for what %s defines: -want, +got:\n%s", composition, xrd, diff)
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()

	b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}

	return b
}

// schemaFrom reads the schema in a CompositeResourceDefinition.
func schemaFrom(t *testing.T, path string) extv1.JSONSchemaProps {
	t.Helper()

	d := &xpv1.CompositeResourceDefinition{}
	if err := yaml.UnmarshalStrict(read(t, path), d); err != nil {
		t.Fatal(err)
	}

	s := extv1.JSONSchemaProps{}
	if err := yaml.UnmarshalStrict(d.Spec.Versions[0].Schema.OpenAPIV3Schema.Raw, &s); err != nil {
		t.Fatal(err)
	}

	return s
}

// walk calls fn with a schema and all in it.
func walk(s extv1.JSONSchemaProps, path string, fn func(path string, s extv1.JSONSchemaProps)) {
	fn(path, s)

	for name, p := range s.Properties {
		walk(p, path+"."+name, fn)
	}

	if s.Items != nil && s.Items.Schema != nil {
		walk(*s.Items.Schema, path+"[]", fn)
	}

	if a := s.AdditionalProperties; a != nil && a.Schema != nil {
		walk(*a.Schema, path+"{}", fn)
	}
}
