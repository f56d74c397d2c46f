package render

import (
	"bufio"
	"bytes"
	"encoding/base64"
	stderrors "errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/crossplane/function-sdk-go/errors"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/input/v1beta1"
)

// Stdin is the path that stands for standard input.
const Stdin = "-"

// A Loader reads the files of a preview. Its errors name the file and say what
// to do.
type Loader struct {
	// Stdin is read where a path is "-".
	Stdin io.Reader
}

// A Document is one object of a file.
type Document struct {
	// Where the object is, for messages.
	Where  string
	Object *unstructured.Unstructured
}

// LoadXR reads the composite resource, alone in its file.
func (l Loader) LoadXR(path string) (*unstructured.Unstructured, error) {
	docs, err := l.Load(path)
	if err != nil {
		return nil, err
	}
	if len(docs) != 1 {
		return nil, errors.Errorf("%s holds %d objects: give a file with the DittoServer alone, and others with --observed or --required", path, len(docs))
	}
	xr := docs[0].Object
	if g := xr.GroupVersionKind().Group; strings.HasSuffix(g, "crossplane.io") {
		return nil, errors.Errorf("%s is a %s, not a DittoServer: give the DittoServer first, and a Composition with --composition", docs[0].Where, xr.GetKind())
	}
	if err := checkKind(xr); err != nil {
		return nil, errors.Wrap(err, docs[0].Where)
	}
	if xr.GetName() == "" {
		return nil, errors.Errorf("%s has no name: set metadata.name", docs[0].Where)
	}
	claim, _, _ := unstructured.NestedString(xr.Object, "spec", "claimRef", "name")
	if xr.GetKind() == v1alpha1.Kind && xr.GetNamespace() == "" && claim == "" {
		return nil, errors.Errorf("%s has no namespace: add metadata.namespace to the file", docs[0].Where)
	}
	return xr, nil
}

// checkKind refuses what the API server would not take for a DittoServer: another
// kind, of which the function would compose something all the same, and fields
// beside the spec, which it would not see.
func checkKind(xr *unstructured.Unstructured) error {
	kinds := []string{v1alpha1.Kind, v1alpha1.ClaimableKind}
	if want := v1alpha1.GroupVersion.String(); xr.GetAPIVersion() != want || !slices.Contains(kinds, xr.GetKind()) {
		return errors.Errorf("%s %s is no DittoServer: apiVersion must be %s, and kind %s", xr.GetAPIVersion(), xr.GetKind(), want, strings.Join(kinds, " or "))
	}
	for _, f := range slices.Sorted(maps.Keys(xr.Object)) {
		if !slices.Contains([]string{"apiVersion", "kind", "metadata", "spec", "status"}, f) {
			return errors.Errorf("%s is not a field of a %s; check for typos", f, xr.GetKind())
		}
	}
	return nil
}

// LoadInput reads the function's Input.
func (l Loader) LoadInput(path string) (*structpb.Struct, error) {
	docs, err := l.Load(path)
	if err != nil {
		return nil, err
	}
	if len(docs) != 1 || !isInput(docs[0].Object.Object) {
		return nil, errors.Errorf("%s is not an Input: give a file with one object of apiVersion %s and kind %s, or a Composition with --composition", path, inputAPIVersion, v1beta1.Kind)
	}
	return ToStruct(docs[0].Object)
}

// A Step is the pipeline step of a Composition that runs this function.
type Step struct {
	Name  string
	Input *structpb.Struct
	// Others are the pipeline's other steps, which a preview does not run.
	Others []string
}

// functionName is what a reference to this function ends in, whatever the
// platform team prefixes it with.
const functionName = "function-dittoserver"

const inputAPIVersion = v1beta1.Group + "/" + v1beta1.Version

// LoadComposition reads the step that runs this function from the Composition
// for the XR's kind.
func (l Loader) LoadComposition(path string, xr *unstructured.Unstructured) (*Step, error) {
	docs, err := l.Load(path)
	if err != nil {
		return nil, err
	}
	var made []string
	for _, d := range docs {
		if d.Object.GetKind() != "Composition" {
			continue
		}
		apiVersion, _, _ := unstructured.NestedString(d.Object.Object, "spec", "compositeTypeRef", "apiVersion")
		kind, _, _ := unstructured.NestedString(d.Object.Object, "spec", "compositeTypeRef", "kind")
		if apiVersion != xr.GetAPIVersion() || kind != xr.GetKind() {
			made = append(made, apiVersion+" "+kind)
			continue
		}
		return stepOf(d)
	}
	if len(made) > 0 {
		return nil, errors.Errorf("%s is a Composition for %s, and the XR is %s %s: give the Composition for that kind", path, strings.Join(made, ", "), xr.GetAPIVersion(), xr.GetKind())
	}
	return nil, errors.Errorf("%s holds no Composition: give one, or an Input with --input", path)
}

func stepOf(d Document) (*Step, error) {
	pipeline, _, _ := unstructured.NestedSlice(d.Object.Object, "spec", "pipeline")
	var out *Step
	var others []string
	for _, e := range pipeline {
		m, _ := e.(map[string]any)
		name, _, _ := unstructured.NestedString(m, "step")
		fn, _, _ := unstructured.NestedString(m, "functionRef", "name")
		input, _ := m["input"].(map[string]any)
		if out != nil || !isInput(input) && !strings.HasSuffix(fn, functionName) {
			others = append(others, name)
			continue
		}
		out = &Step{Name: name}
		if input == nil {
			continue
		}
		s, err := structpb.NewStruct(input)
		if err != nil {
			return nil, errors.Wrapf(err, "cannot encode the input of step %q of %s", name, d.Where)
		}
		out.Input = s
	}
	if out == nil {
		return nil, errors.Errorf("%s has no step for this function: its functionRef.name ends in %s, or its input is an %s of %s", d.Where, functionName, v1beta1.Kind, inputAPIVersion)
	}
	out.Others = others
	return out, nil
}

func isInput(o map[string]any) bool {
	apiVersion, _ := o["apiVersion"].(string)
	group, _, _ := strings.Cut(apiVersion, "/")
	return group == v1beta1.Group && o["kind"] == v1beta1.Kind
}

// LoadObserved reads observed composed resources, each of which says by an
// annotation which one it is.
func (l Loader) LoadObserved(path string) (map[string]*unstructured.Unstructured, error) {
	docs, err := l.Load(path)
	if err != nil {
		return nil, err
	}
	out := make(map[string]*unstructured.Unstructured, len(docs))
	where := make(map[string]string, len(docs))
	for _, d := range docs {
		name := d.Object.GetAnnotations()[AnnotationResourceName]
		if name == "" {
			return nil, errors.Errorf("%s has no annotation %s: add it, with the name that this object has in the output of render, or give the object with --required", d.Where, AnnotationResourceName)
		}
		if first, ok := where[name]; ok {
			return nil, errors.Errorf("%s and %s both say that they are the composed resource %q: correct the annotation %s of one of them", first, d.Where, name, AnnotationResourceName)
		}
		out[name], where[name] = d.Object, d.Where
	}
	return out, nil
}

// LoadRequired reads whatever else exists.
func (l Loader) LoadRequired(path string) (Objects, error) {
	docs, err := l.Load(path)
	if err != nil {
		return nil, err
	}
	out := make(Objects, 0, len(docs))
	seen := make(map[string]string, len(docs))
	for _, d := range docs {
		o := d.Object
		id := strings.Join([]string{o.GetAPIVersion(), o.GetKind(), o.GetNamespace(), o.GetName()}, " ")
		if first, ok := seen[id]; ok {
			return nil, errors.Errorf("%s and %s are the same object: remove one of them", first, d.Where)
		}
		seen[id] = d.Where
		out = append(out, o)
	}
	return out, nil
}

// Load reads every object of a file, of the YAML files of a folder, or of
// standard input. A List counts as what it holds.
func (l Loader) Load(path string) ([]Document, error) {
	out, err := l.load(path)
	if err == nil && len(out) == 0 {
		return nil, errors.Errorf("%s holds no objects", path)
	}
	return out, err
}

func (l Loader) load(path string) ([]Document, error) {
	if path == Stdin {
		return parse("standard input", l.Stdin)
	}
	files, err := yamlFiles(path)
	if err != nil {
		return nil, err
	}
	var out []Document
	for _, f := range files {
		b, err := os.ReadFile(f) //nolint:gosec // A file that the user named.
		if err != nil {
			return nil, errors.Wrapf(err, "cannot read %s", f)
		}
		docs, err := parse(f, bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		out = append(out, docs...)
	}
	return out, nil
}

func yamlFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if stderrors.Is(err, fs.ErrNotExist) {
		return nil, errors.Errorf("%s does not exist: check the path", path)
	}
	if err != nil {
		return nil, errors.Wrapf(err, "cannot read %s", path)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, errors.Wrapf(err, "cannot read %s", path)
	}
	var out []string
	for _, e := range entries {
		if !e.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(e.Name())) {
			out = append(out, filepath.Join(path, e.Name()))
		}
	}
	if len(out) == 0 {
		return nil, errors.Errorf("%s has no .yaml, .yml or .json files", path)
	}
	return out, nil
}

func parse(name string, r io.Reader) ([]Document, error) {
	var out []Document
	stream := utilyaml.NewYAMLReader(bufio.NewReader(r))
	for n := 1; ; n++ {
		b, err := stream.Read()
		if stderrors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, errors.Wrapf(err, "cannot read %s", name)
		}
		where := name
		if n > 1 || len(out) > 0 {
			where = fmt.Sprintf("%s (document %d)", name, n)
		}
		docs, err := decode(where, b)
		if err != nil {
			return nil, err
		}
		out = append(out, docs...)
	}
}

func decode(where string, b []byte) ([]Document, error) {
	j, err := yaml.YAMLToJSONStrict(b)
	if err != nil {
		return nil, errors.Wrapf(err, "%s is not valid YAML", where)
	}
	var v any
	if err := json.Unmarshal(j, &v); err != nil {
		return nil, errors.Wrapf(err, "%s is not valid YAML", where)
	}
	if v == nil {
		// Nothing but comments.
		return nil, nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errors.Errorf("%s is not a Kubernetes object", where)
	}
	if items, ok := m["items"].([]any); ok && strings.HasSuffix(fmt.Sprint(m["kind"]), "List") {
		return list(where, items)
	}
	o := &unstructured.Unstructured{Object: m}
	if o.GetAPIVersion() == "" || o.GetKind() == "" {
		return nil, errors.Errorf("%s is not a Kubernetes object: it lacks apiVersion or kind", where)
	}
	encodeStringData(o)
	return []Document{{Where: where, Object: o}}, nil
}

func list(where string, items []any) ([]Document, error) {
	out := make([]Document, 0, len(items))
	for i, e := range items {
		m, _ := e.(map[string]any)
		o := &unstructured.Unstructured{Object: m}
		if o.GetAPIVersion() == "" || o.GetKind() == "" {
			return nil, errors.Errorf("item %d of %s is not a Kubernetes object: it lacks apiVersion or kind", i+1, where)
		}
		out = append(out, Document{Where: fmt.Sprintf("%s (item %d)", where, i+1), Object: o})
	}
	return out, nil
}

// encodeStringData does to a Secret what the API server does: nobody who reads
// one sees stringData.
func encodeStringData(o *unstructured.Unstructured) {
	plain, ok := o.Object["stringData"].(map[string]any)
	if !ok || o.GetKind() != "Secret" || o.GetAPIVersion() != "v1" {
		return
	}
	delete(o.Object, "stringData")
	data, _ := o.Object["data"].(map[string]any)
	if data == nil {
		data = make(map[string]any, len(plain))
		o.Object["data"] = data
	}
	for k, v := range plain {
		if s, ok := v.(string); ok {
			data[k] = base64.StdEncoding.EncodeToString([]byte(s))
		}
	}
}
