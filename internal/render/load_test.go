package render

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLoad(t *testing.T) {
	dir := write(t, map[string]string{
		"a.yaml":     "# A comment alone.\n---\napiVersion: v1\nkind: A\n---\n---\napiVersion: v1\nkind: B\n",
		"b.yml":      "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: C}\n- {apiVersion: v1, kind: D}\n",
		"c.json":     `{"apiVersion": "v1", "kind": "E"}`,
		"ignore.txt": "not YAML: [",
	})
	docs, err := Loader{}.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, d := range docs {
		got = append(got, d.Object.GetKind())
	}
	if diff := cmp.Diff([]string{"A", "B", "C", "D", "E"}, got); diff != "" {
		t.Errorf("folders, streams and lists are read: -want, +got:\n%s", diff)
	}
	if want := dir + "/a.yaml (document 3)"; docs[1].Where != want {
		t.Errorf("got %q, want %q", docs[1].Where, want)
	}

	docs, err = Loader{Stdin: strings.NewReader("{apiVersion: v1, kind: F}")}.Load(Stdin)
	if err != nil || len(docs) != 1 || docs[0].Object.GetKind() != "F" {
		t.Errorf("got %v and %v from standard input, want F", docs, err)
	}
}

func TestLoadSecret(t *testing.T) {
	o := object("{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {a: QQ==, b: QQ==}, stringData: {b: B}}")
	want := map[string]any{"a": "QQ==", "b": "Qg=="}
	if diff := cmp.Diff(want, o.Object["data"]); diff != "" || o.Object["stringData"] != nil {
		t.Errorf("stringData is encoded as the API server does: -want, +got:\n%s", diff)
	}
}

// TestLoadErrors: every error names the file and says what to do.
func TestLoadErrors(t *testing.T) {
	dir := write(t, map[string]string{
		"xr.yaml":          "{apiVersion: dittofs.dittofs.com/v1alpha1, kind: DittoServer, metadata: {name: x, namespace: team}}",
		"homeless.yaml":    "{apiVersion: dittofs.dittofs.com/v1alpha1, kind: DittoServer, metadata: {name: x}}",
		"typo.yaml":        "{apiVersion: dittofs.dittofs.com/v1alpha1, kind: DittoServer, metadata: {name: x, namespace: team}, spc: {}}",
		"miscased.yaml":    "{apiVersion: dittofs.dittofs.com/v1alpha1, kind: Dittoserver, metadata: {name: x, namespace: team}}",
		"foreign.yaml":     "{apiVersion: example.org/v1alpha1, kind: DittoServer, metadata: {name: x, namespace: team}}",
		"nameless.yaml":    "{apiVersion: dittofs.dittofs.com/v1alpha1, kind: DittoServer}",
		"two.yaml":         "{apiVersion: v1, kind: A}\n---\n{apiVersion: v1, kind: B}",
		"composition.yaml": "{apiVersion: apiextensions.crossplane.io/v1, kind: Composition, metadata: {name: c}, spec: {compositeTypeRef: {apiVersion: dittofs.dittofs.com/v1alpha1, kind: XDittoServer}}}",
		"stepless.yaml":    "{apiVersion: apiextensions.crossplane.io/v1, kind: Composition, spec: {compositeTypeRef: {apiVersion: dittofs.dittofs.com/v1alpha1, kind: DittoServer}, pipeline: [{step: other, functionRef: {name: other}}]}}",
		"broken.yaml":      "a: [",
		"duplicate.yaml":   "{apiVersion: v1, kind: A, kind: B}",
		"text.yaml":        "just text",
		"kindless.yaml":    "{apiVersion: v1}",
		"list.yaml":        "{apiVersion: v1, kind: List, items: [{kind: A}]}",
		"empty.yaml":       "# Nothing.\n",
		"unnamed.yaml":     "{apiVersion: v1, kind: Secret, metadata: {name: s}}",
		"twice.yaml":       "{apiVersion: v1, kind: A, metadata: {annotations: {crossplane.io/composition-resource-name: a}}}\n---\n{apiVersion: v1, kind: B, metadata: {annotations: {crossplane.io/composition-resource-name: a}}}",
		"same.yaml":        "{apiVersion: v1, kind: A, metadata: {name: a}}\n---\n{apiVersion: v1, kind: A, metadata: {name: a}}",
	})
	l := Loader{}
	xr, err := l.LoadXR(filepath.Join(dir, "xr.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	loadXR := func(p string) error { _, err := l.LoadXR(p); return err }
	loadInput := func(p string) error { _, err := l.LoadInput(p); return err }
	loadComposition := func(p string) error { _, err := l.LoadComposition(p, xr); return err }
	loadObserved := func(p string) error { _, err := l.LoadObserved(p); return err }
	loadRequired := func(p string) error { _, err := l.LoadRequired(p); return err }

	cases := map[string]struct {
		load func(string) error
		file string
		want []string
	}{
		"Missing":            {loadXR, "none.yaml", []string{"does not exist", "check the path"}},
		"Broken":             {loadXR, "broken.yaml", []string{"is not valid YAML"}},
		"DuplicateField":     {loadXR, "duplicate.yaml", []string{"is not valid YAML", "kind"}},
		"NotAnObject":        {loadXR, "text.yaml", []string{"is not a Kubernetes object"}},
		"NoKind":             {loadXR, "kindless.yaml", []string{"lacks apiVersion or kind"}},
		"BadItem":            {loadRequired, "list.yaml", []string{"item 1", "lacks apiVersion or kind"}},
		"Empty":              {loadXR, "empty.yaml", []string{"holds no objects"}},
		"TwoXRs":             {loadXR, "two.yaml", []string{"holds 2 objects", "--observed", "--required"}},
		"NamelessXR":         {loadXR, "nameless.yaml", []string{"set metadata.name"}},
		"NoNamespace":        {loadXR, "homeless.yaml", []string{"homeless.yaml has no namespace", "add metadata.namespace to the file"}},
		"TypoBesideSpec":     {loadXR, "typo.yaml", []string{"typo.yaml: spc is not a field of a DittoServer", "check for typos"}},
		"MiscasedKind":       {loadXR, "miscased.yaml", []string{"miscased.yaml: dittofs.dittofs.com/v1alpha1 Dittoserver is no DittoServer", "kind DittoServer or XDittoServer"}},
		"ForeignGroup":       {loadXR, "foreign.yaml", []string{"foreign.yaml: example.org/v1alpha1 DittoServer", "apiVersion must be dittofs.dittofs.com/v1alpha1"}},
		"CompositionAsXR":    {loadXR, "composition.yaml", []string{"is a Composition", "--composition"}},
		"XRAsInput":          {loadInput, "xr.yaml", []string{"is not an Input", "dittoserver.fn.crossplane.io/v1beta1", "--composition"}},
		"XRAsComposition":    {loadComposition, "xr.yaml", []string{"holds no Composition", "--input"}},
		"CompositionForElse": {loadComposition, "composition.yaml", []string{"XDittoServer", "and the XR is dittofs.dittofs.com/v1alpha1 DittoServer"}},
		"NoStep":             {loadComposition, "stepless.yaml", []string{"has no step for this function", "functionRef.name", "Input"}},
		"NoAnnotation":       {loadObserved, "unnamed.yaml", []string{"crossplane.io/composition-resource-name", "add it", "--required"}},
		"SameAnnotation":     {loadObserved, "twice.yaml", []string{"(document 2)", `"a"`, "correct the annotation"}},
		"SameObject":         {loadRequired, "same.yaml", []string{"are the same object", "remove one"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			err := tc.load(filepath.Join(dir, tc.file))
			if err == nil {
				t.Fatal("got no error")
			}
			for _, want := range append(tc.want, filepath.Join(dir, tc.file)) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want it to contain %q", err, want)
				}
			}
		})
	}

	t.Run("EmptyFolder", func(t *testing.T) {
		if err := loadRequired(t.TempDir()); err == nil || !strings.Contains(err.Error(), "has no .yaml") {
			t.Errorf("got %v, want it to say that there are no files", err)
		}
	})
}

func TestLoadComposition(t *testing.T) {
	const kind = "compositeTypeRef: {apiVersion: dittofs.dittofs.com/v1alpha1, kind: DittoServer}"
	const head = "apiVersion: apiextensions.crossplane.io/v1\nkind: Composition\nmetadata: {name: c}\nspec:\n  " + kind + "\n  pipeline:\n"
	xr := object("{apiVersion: dittofs.dittofs.com/v1alpha1, kind: DittoServer, metadata: {name: x}}")
	cases := map[string]struct {
		reason string
		file   string
		name   string
		ttl    string
		others []string
	}{
		"ByReference": {
			reason: "The step that refers to this function is taken, whatever its prefix.",
			file:   head + "  - {step: a, functionRef: {name: function-auto-ready}}\n  - {step: b, functionRef: {name: acme-function-dittoserver}}\n",
			name:   "b",
			others: []string{"a"},
		},
		"ByInput": {
			reason: "The step with this function's Input is taken, whatever it calls the function.",
			file:   head + "  - {step: a, functionRef: {name: files}, input: {apiVersion: dittoserver.fn.crossplane.io/v1beta1, kind: Input, ttl: 5m}}\n",
			name:   "a",
			ttl:    "5m",
		},
		"OtherCompositions": {
			reason: "The Composition for the XR's kind is taken.",
			file:   "apiVersion: apiextensions.crossplane.io/v1\nkind: Composition\nspec: {compositeTypeRef: {apiVersion: v1, kind: Else}}\n---\n" + head + "  - {step: a, functionRef: {name: function-dittoserver}}\n",
			name:   "a",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string]string{"c.yaml": tc.file})
			got, err := Loader{}.LoadComposition(filepath.Join(dir, "c.yaml"), xr)
			if err != nil {
				t.Fatal(err)
			}
			if got.Name != tc.name || got.Input.GetFields()["ttl"].GetStringValue() != tc.ttl {
				t.Errorf("%s\ngot step %q with input %v", tc.reason, got.Name, got.Input)
			}
			if diff := cmp.Diff(tc.others, got.Others); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestLoadXR: only the namespaced kind needs a namespace, and a claim has one.
func TestLoadXR(t *testing.T) {
	dir := write(t, map[string]string{
		"namespaced.yaml": "{apiVersion: dittofs.dittofs.com/v1alpha1, kind: DittoServer, metadata: {name: x, namespace: team}, spec: {}, status: {}}",
		"cluster.yaml":    "{apiVersion: dittofs.dittofs.com/v1alpha1, kind: XDittoServer, metadata: {name: x}}",
		"claimed.yaml":    "{apiVersion: dittofs.dittofs.com/v1alpha1, kind: DittoServer, metadata: {name: x}, spec: {claimRef: {name: files, namespace: team}}}",
	})
	for _, f := range []string{"namespaced.yaml", "cluster.yaml", "claimed.yaml"} {
		if _, err := (Loader{}).LoadXR(filepath.Join(dir, f)); err != nil {
			t.Errorf("LoadXR(%s): %v", f, err)
		}
	}
}

func TestLoadObserved(t *testing.T) {
	dir := write(t, map[string]string{"o.yaml": "{apiVersion: v1, kind: A, metadata: {name: x, annotations: {crossplane.io/composition-resource-name: a}}}"})
	got, err := Loader{}.LoadObserved(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a"}, slices.Collect(maps.Keys(got))); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
}
