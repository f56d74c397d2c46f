package xrdgen

import (
	"bytes"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/input/v1beta1"
)

// reference is the field reference, in Markdown.
func reference(server, input *extv1.JSONSchemaProps) []byte {
	b := &bytes.Buffer{}

	b.WriteString("<!-- Generated from the Go types by `go generate ./...`. Do not edit. -->\n")
	b.WriteString("# Field reference\n\n")
	b.WriteString("- [DittoServer](#dittoserver): one server. What its `spec` does not say comes from the\n" +
		"  Composition's Input, else from the built-in defaults, which are those in the tables.\n" +
		"- [Input](#input): what the Composition says for all servers.\n")

	fmt.Fprintf(b, "\n## %s\n\n`%s`, `kind: %s`.\n", v1alpha1.Kind, v1alpha1.GroupVersion, v1alpha1.Kind)
	section(b, "spec", server.Properties["spec"], reflect.TypeFor[v1alpha1.DittoServerSpec](), true)
	section(b, "status", server.Properties["status"], reflect.TypeFor[v1alpha1.DittoServerStatus](), false)
	b.WriteString("\n`status.conditions` is Crossplane's: `Synced`, `Ready`, and the function's own conditions.\n")

	fmt.Fprintf(b, "\n## %s\n\n`%s/%s`, `kind: %s`.\n", v1beta1.Kind, v1beta1.Group, v1beta1.Version, v1beta1.Kind)
	b.WriteString("\n" + cell(input.Description) + "\n")
	b.WriteString("\n| Field | Type | Default | Description |\n|---|---|---|---|\n")

	overrides := input.Properties["overrides"]

	for _, f := range fields(reflect.TypeFor[v1beta1.Input]()) {
		p := input.Properties[f.name]

		switch f.name {
		case "defaults":
			row(b, f.name, "a partial [spec](#spec)", p.Description, true, isRequired(input, f.name))
		case "overrides":
			row(b, f.name, "list of [objects](#overrides)", p.Description, true, isRequired(input, f.name))
		default:
			row(b, f.name, typeName(p, f.typ), p.Description, true, isRequired(input, f.name))
		}
	}

	section(b, "overrides[]", *overrides.Items.Schema, reflect.TypeFor[v1beta1.Override](), true)

	return b.Bytes()
}

// section writes the table of an object of ours, and those of the objects in it.
func section(b *bytes.Buffer, path string, s extv1.JSONSchemaProps, t reflect.Type, defaults bool) {
	intro, _ := splitDefault(s.Description)
	fmt.Fprintf(b, "\n### %s\n\n%s\n\n", path, cell(intro))

	if defaults {
		b.WriteString("| Field | Type | Default | Description |\n|---|---|---|---|\n")
	} else {
		b.WriteString("| Field | Type | Description |\n|---|---|---|\n")
	}

	type object struct {
		path string
		s    extv1.JSONSchemaProps
		t    reflect.Type
	}

	members := fields(t)
	inner := make([]object, 0, len(members))

	for _, f := range members {
		p := s.Properties[f.name]
		e := elem(f.typ)

		if e.Kind() != reflect.Struct || ofKubernetes(e) || p.XPreserveUnknownFields != nil {
			row(b, f.name, typeName(p, f.typ), p.Description, defaults, isRequired(&s, f.name))

			continue
		}

		o := object{path: path + "." + f.name, s: p, t: e}
		kind := "[object](#" + anchor(o.path) + ")"

		if p.Items != nil {
			o.path += "[]"
			o.s = *p.Items.Schema
			o.s.Description = p.Description
			kind = "list of [objects](#" + anchor(o.path) + ")"
		}

		row(b, f.name, kind, p.Description, defaults, isRequired(&s, f.name))

		inner = append(inner, o)
	}

	for _, o := range inner {
		section(b, o.path, o.s, o.t, defaults)
	}
}

// isRequired reports whether an object must have a field.
func isRequired(s *extv1.JSONSchemaProps, name string) bool { return slices.Contains(s.Required, name) }

func row(b *bytes.Buffer, name, kind, description string, defaults, required bool) {
	if !defaults {
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, kind, cell(description))

		return
	}

	rest, def := splitDefault(description)
	if required {
		def = "required"
	}

	fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", name, kind, cell(def), cell(rest))
}

// defaultSentence names a default, or says when a field that has none is required.
var defaultSentence = regexp.MustCompile(`(?s)\s*(?:Default:\s+|R(equired\s+where\s))(.*?)\.(\s+[A-Z]|\s*$)`)

// splitDefault takes the sentence that names the default out of a description, or the
// one that says when the field is required.
func splitDefault(d string) (rest, def string) {
	m := defaultSentence.FindStringSubmatchIndex(d)
	if m == nil {
		return d, ""
	}

	def = d[m[4]:m[5]]
	if m[2] >= 0 {
		def = "r" + d[m[2]:m[5]]
	}

	return strings.TrimSpace(d[:m[0]] + d[m[6]:]), def
}

var (
	spaces  = regexp.MustCompile(`\s+`)
	escapes = strings.NewReplacer("|", `\|`, "*", `\*`, "<", "&lt;", ">", "&gt;") //nolint:gochecknoglobals // A constant.
	dropped = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// cell is a text as a cell of a table takes it.
func cell(s string) string {
	return escapes.Replace(strings.TrimSpace(spaces.ReplaceAllString(s, " ")))
}

// anchor is the link target that a heading gets.
func anchor(heading string) string {
	return strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

// links to the documentation of Kubernetes' types.
var links = map[reflect.Type]string{ //nolint:gochecknoglobals // A constant.
	reflect.TypeFor[corev1.ResourceRequirements]():    "https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#resources",
	reflect.TypeFor[corev1.SecurityContext]():         "https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#security-context-1",
	reflect.TypeFor[corev1.PodSecurityContext]():      "https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#security-context",
	reflect.TypeFor[networkingv1.NetworkPolicyPeer](): "https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/#NetworkPolicySpec",

	reflect.TypeFor[corev1.Affinity]():                 "https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#scheduling",
	reflect.TypeFor[corev1.Toleration]():               "https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#scheduling",
	reflect.TypeFor[corev1.TopologySpreadConstraint](): "https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#scheduling",
	reflect.TypeFor[corev1.EnvVar]():                   "https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#environment-variables",
}

// typeName returns what a field takes, in a reader's words.
func typeName(s extv1.JSONSchemaProps, t reflect.Type) string {
	switch e := elem(t); {
	case e == reflect.TypeFor[corev1.SecretKeySelector]():
		return "Secret: `name`, `key`"
	case e == reflect.TypeFor[corev1.LocalObjectReference]() && s.Type == "array":
		return "list of Secrets: `name`"
	case e == reflect.TypeFor[corev1.LocalObjectReference]():
		return "Secret: `name`"
	case links[e] != "" && s.Type == "array":
		return "list of [" + e.Name() + "s](" + links[e] + ")"
	case links[e] != "":
		return "[" + e.Name() + "](" + links[e] + ")"
	case s.XPreserveUnknownFields != nil:
		return "object"
	case s.Type == "array":
		return "list of " + s.Items.Schema.Type + "s"
	case s.Type == "object":
		return "map of " + s.AdditionalProperties.Schema.Type + "s"
	case len(s.Enum) > 0:
		return enum(s.Enum)
	case s.Type == "integer":
		return "integer" + limits(s)
	}

	return s.Type
}

func enum(values []extv1.JSON) string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = "`" + strings.Trim(string(v.Raw), `"`) + "`"
	}

	return strings.Join(out, ", ")
}

func limits(s extv1.JSONSchemaProps) string {
	switch {
	case s.Minimum != nil && s.Maximum != nil:
		return fmt.Sprintf(", %.0f to %.0f", *s.Minimum, *s.Maximum)
	case s.Minimum != nil:
		return fmt.Sprintf(", %.0f or more", *s.Minimum)
	}

	return ""
}
