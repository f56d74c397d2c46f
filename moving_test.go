package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dittofs/function-dittoserver/internal/lifecycle"
	"github.com/dittofs/function-dittoserver/internal/moving"
	"github.com/dittofs/function-dittoserver/internal/render"
)

const operatorLayout = "testdata/operator-layout"

// TestMovingTable is what becomes of everything that the DittoFS operator leaves,
// as it is printed. End-to-end, TestServersOfTheOperator compares such a table with what
// then happens.
func TestMovingTable(t *testing.T) {
	got, note, err := runCLI(t, "render", "--observed", operatorLayout, "--required", "testdata/moving/orphans.yaml")
	if err != nil {
		t.Fatal(err)
	}
	compareGolden(t, got, "testdata", "moving", "operator.txt")
	if want := "note: 1 objects belong to no DittoServer"; !strings.Contains(note, want) {
		t.Errorf("want the note %q, got %q", want, note)
	}
	if showsCredential(got) {
		t.Errorf("the table shows a credential:\n%s", got)
	}
	again, _, _ := runCLI(t, "render", "--observed", operatorLayout, "--required", "testdata/moving/orphans.yaml")
	if diff := cmp.Diff(got, again); diff != "" {
		t.Errorf("the same twice: -first, +second:\n%s", diff)
	}

	asJSON, _, err := runCLI(t, "render", "--observed", operatorLayout, "--output", "json")
	if err != nil {
		t.Fatal(err)
	}
	plan := &moving.Plan{}
	if err := json.Unmarshal([]byte(asJSON), plan); err != nil || len(plan.Servers) != 4 {
		t.Errorf("the same as JSON: got %d servers and %v", len(plan.Servers), err)
	}
}

// TestMoving has what an installation may have otherwise.
func TestMoving(t *testing.T) {
	type row struct{ Becomes, Why string }
	const named = "the one that is asked about"

	cases := map[string]struct {
		reason string
		file   string
		edit   func(objects []*unstructured.Unstructured) []*unstructured.Unstructured
		input  string
		object string
		want   row
		// restarts is whether the server's pod is replaced.
		restarts bool
		// accepted is what the condition has in its reason or message, refused what
		// the error has.
		accepted string
		refused  string
		changes  []string
	}{
		"Stopped": {
			reason: "A server without a pod has none to restart.",
			file:   "plain",
			edit: each(func(o *unstructured.Unstructured) {
				if k := o.GetKind(); k == "StatefulSet" || k == "DittoServer" {
					_ = unstructured.SetNestedField(o.Object, int64(0), "spec", "replicas")
				}
			}),
			object: "StatefulSet plain", want: row{Becomes: moving.TakenOver},
		},
		"OnDelete": {
			reason: "A person has decided when the pod is replaced.",
			file:   "plain",
			edit: of("StatefulSet plain", func(o *unstructured.Unstructured) {
				_ = unstructured.SetNestedMap(o.Object, map[string]any{"type": "OnDelete"}, "spec", "updateStrategy")
			}),
			object: "StatefulSet plain", want: row{Becomes: moving.TakenOver},
		},
		"Controlled": {
			reason: "What somebody else controls is left to them, and named.",
			file:   "plain",
			edit: of("Service plain-api", func(o *unstructured.Unstructured) {
				owners := o.GetOwnerReferences()
				owners[0].Kind, owners[0].Name, owners[0].UID = "Gateway", "other", "7c1a1f0e-2f8a-4a55-9b0e-0d6c2e1f9b11"
				o.SetOwnerReferences(owners)
			}),
			object: "Service plain-api", want: row{Becomes: moving.InTheWay, Why: "controlled by Gateway other"},
			restarts: true, accepted: "NameTaken",
		},
		"Claims": {
			reason: "With the API for claims an XR would own the objects, and the claim does: nothing can be taken over.",
			file:   "plain",
			edit: of("DittoServer plain", func(o *unstructured.Unstructured) {
				o.SetKind("XDittoServer")
				o.SetName("plain-x7k2p")
				o.SetNamespace("")
				o.SetUID("0d3c7e52-1b0f-4f57-9a53-5a3f2f8f7a01")
				ref := map[string]any{"apiVersion": "dittofs.dittofs.com/v1alpha1", "kind": "DittoServer", "name": "plain", "namespace": "team-a"}
				_ = unstructured.SetNestedMap(o.Object, ref, "spec", "claimRef")
			}),
			object: "StatefulSet plain", want: row{Becomes: moving.InTheWay, Why: "controlled by DittoServer plain"},
			accepted: "NameTaken",
		},
		"NobodysOwn": {
			reason: "A cluster that the operator let go has nobody: it is in the way of a server of its name.",
			file:   "withpg",
			edit:   of("PerconaPGCluster withpg-postgres", func(o *unstructured.Unstructured) { o.SetOwnerReferences(nil) }),
			object: "PerconaPGCluster withpg-postgres", want: row{Becomes: moving.InTheWay, Why: "nobody controls it; spec.adoptExisting takes it over"},
			restarts: true, accepted: "ChangeHeld",
		},
		"Adopted": {
			reason: "It is taken over when that is asked for.",
			file:   "withpg",
			edit: func(os []*unstructured.Unstructured) []*unstructured.Unstructured {
				os = of("PerconaPGCluster withpg-postgres", func(o *unstructured.Unstructured) { o.SetOwnerReferences(nil) })(os)
				return of("DittoServer withpg", func(o *unstructured.Unstructured) {
					_ = unstructured.SetNestedField(o.Object, true, "spec", "adoptExisting")
				})(os)
			},
			object: "PerconaPGCluster withpg-postgres", want: row{Becomes: moving.TakenOver},
			restarts: true, accepted: "ChangeHeld",
		},
		"Address": {
			reason: "An address that is not asked for is given up, and the table says which.",
			file:   "shared",
			edit: of("DittoServer shared", func(o *unstructured.Unstructured) {
				_ = unstructured.SetNestedField(o.Object, "ClusterIP", "spec", "adapterServices", "type")
			}),
			object: "Service shared-adapter-nfs", want: row{Becomes: moving.TakenOver, Why: "gives up 192.0.2.10"},
			restarts: true,
			changes:  []string{"~ spec.ports[12049/TCP].name: adapter-nfs -> nfs", "~ spec.type: LoadBalancer -> ClusterIP"},
		},
		"OtherPort": {
			reason: "A port that the server was told to listen on stays beside the one that it has by default.",
			file:   "shared",
			edit: of("Service shared-adapter-nfs", func(o *unstructured.Unstructured) {
				ports, _, _ := unstructured.NestedSlice(o.Object, "spec", "ports")
				ports[0].(map[string]any)["port"], ports[0].(map[string]any)["targetPort"] = int64(2049), int64(2049)
				_ = unstructured.SetNestedSlice(o.Object, ports, "spec", "ports")
			}),
			object: "Service shared-adapter-nfs", want: row{Becomes: moving.TakenOver, Why: "keeps 192.0.2.10"},
			restarts: true,
			changes:  []string{"+ spec.ports[12049/TCP]"},
		},
		"Input": {
			reason: "The platform's defaults lie beneath the servers that are taken over.",
			file:   "shared", input: "defaults: {adapterServices: {type: NodePort}}",
			object: "Service shared-adapter-smb", want: row{Becomes: moving.TakenOver, Why: "gives up 192.0.2.11"},
			restarts: true,
			changes:  []string{"~ spec.ports[1445/TCP].name: adapter-smb -> smb", "~ spec.type: LoadBalancer -> NodePort"},
		},
		"Merged": {
			reason: "What the API server would not accept is told before it is asked.",
			file:   "corp",
			edit: of("StatefulSet corp", func(o *unstructured.Unstructured) {
				containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
				env := containers[0].(map[string]any)["env"].([]any)
				for _, e := range env {
					if v := e.(map[string]any); v["name"] == "DITTOFS_ADMIN_INITIAL_PASSWORD" {
						delete(v, "valueFrom")
						v["value"] = "not-a-real-password"
					}
				}
				_ = unstructured.SetNestedSlice(o.Object, containers, "spec", "template", "spec", "containers")
			}),
			object: "StatefulSet corp",
			want:   row{Becomes: moving.Refused, Why: "StatefulSet \"corp\" is invalid: spec.template.spec.containers[dittofs].env[DITTOFS_ADMIN_INITIAL_PASSWORD].valueFrom: Invalid value: may not be specified when `value` is not empty"},
		},
		"Invalid": {
			reason: "What the function refuses changes nothing.",
			file:   "plain",
			edit: of("DittoServer plain", func(o *unstructured.Unstructured) {
				_ = unstructured.SetNestedField(o.Object, "many", "spec", "storage", "metadataSize")
			}),
			object: "StatefulSet plain", want: row{Becomes: moving.LeftAlone, Why: "composed by nobody, deleted with the server"},
			refused: "spec.storage.metadataSize",
		},
		"NoOperatorOfPercona": {
			reason: "Where the CustomResourceDefinitions are given, they say what is installed.",
			file:   "withpg",
			edit: func(os []*unstructured.Unstructured) []*unstructured.Unstructured {
				os = without("PerconaPGCluster withpg-postgres")(os)
				return append(os, &unstructured.Unstructured{Object: map[string]any{
					"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": "dittoservers.dittofs.dittofs.com"},
				}})
			},
			object: "PerconaPGCluster withpg-postgres", restarts: true, accepted: "ChangeHeld",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			objects := layoutOf(t, tc.file)
			if tc.edit != nil {
				objects = tc.edit(objects)
			}
			plan := planOf(t, objects, tc.input)
			if len(plan.Servers) != 1 {
				t.Fatalf("want one server, got %d", len(plan.Servers))
			}
			s := plan.Servers[0]
			got, restarts := row{}, false
			var changes []string
			for _, o := range s.Objects {
				restarts = restarts || o.Restarts
				if o.Kind+" "+o.Name == tc.object {
					got = row{o.Becomes, o.Why}
					for _, c := range o.Changes {
						changes = append(changes, c.String())
					}
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\n%s, %s: -want, +got:\n%s", tc.reason, tc.object, named, diff)
			}
			if restarts != tc.restarts {
				t.Errorf("%s\nthe pod is replaced: want %t, got %t", tc.reason, tc.restarts, restarts)
			}
			if tc.changes != nil {
				if diff := cmp.Diff(tc.changes, changes); diff != "" {
					t.Errorf("%s\nchanges: -want, +got:\n%s", tc.reason, diff)
				}
			}
			if said := s.Accepted.Reason + " " + s.Accepted.Message; !strings.Contains(said, tc.accepted) {
				t.Errorf("%s\nAccepted lacks %q: %s", tc.reason, tc.accepted, said)
			}
			if (s.Error != "") != (tc.refused != "") || !strings.Contains(s.Error, tc.refused) || (plan.Err() != nil) != (tc.refused != "") {
				t.Errorf("%s\nwant refused with %q, got %q", tc.reason, tc.refused, s.Error)
			}
			var out bytes.Buffer
			if err := plan.Print(&out); err != nil || showsCredential(out.String()) {
				t.Errorf("%s\nthe table: %v\n%s", tc.reason, err, out.String())
			}
		})
	}
}

// TestMovedAlready: of a server that has been taken over, nothing changes any more,
// so the table of a second look is one of things that stay.
func TestMovedAlready(t *testing.T) {
	for _, name := range []string{"plain", "withpg", "corp", "shared"} {
		t.Run(name, func(t *testing.T) {
			objects := layoutOf(t, name)
			i := slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == "DittoServer" })
			w := lifecycle.New(testFunction(), objects[i], nil, slices.Delete(slices.Clone(objects), i, i+1)...)
			if _, err := w.Settle(t.Context()); err != nil {
				t.Fatal(err)
			}
			xr := w.XR()
			after := []*unstructured.Unstructured{xr}
			var refs []any
			for k, o := range w.Snapshot() {
				after = append(after, o)
				if w.IsComposed(k) {
					refs = append(refs, map[string]any{"apiVersion": k.APIVersion, "kind": k.Kind, "name": k.Name})
				}
			}
			if err := unstructured.SetNestedSlice(xr.Object, refs, "spec", "crossplane", "resourceRefs"); err != nil {
				t.Fatal(err)
			}

			kept := 0
			for _, o := range planOf(t, after, "").Servers[0].Objects {
				switch {
				case o.Becomes == moving.Kept:
					kept++
				case o.Becomes != moving.LeftAlone:
					t.Errorf("%s %s is %s", o.Kind, o.Name, o.Becomes)
				}
				if len(o.Changes) > 0 || o.Restarts {
					t.Errorf("%s %s changes, restarts: %t: %v", o.Kind, o.Name, o.Restarts, o.Changes)
				}
			}
			if kept != len(refs) || kept < 8 {
				t.Errorf("%d objects of %d are kept", kept, len(refs))
			}
		})
	}
}

// TestMovingPage compares what docs/moving.md shows with what is printed, and follows
// its links. The end-to-end tests run its commands.
func TestMovingPage(t *testing.T) {
	b, err := os.ReadFile("docs/moving.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	_, shown, _ := strings.Cut(text, "```text\n")
	shown, _, _ = strings.Cut(shown, "```")
	got, _, err := runCLI(t, "render", "--observed", operatorLayout+"/plain.yaml", "--composition", "example/composition.yaml")
	if err != nil {
		t.Fatal(err)
	}
	table, _, _ := strings.Cut(got, "\n\n")
	if diff := cmp.Diff(trimLines(table), trimLines(shown)); diff != "" {
		t.Errorf("-what is printed, +what the page shows:\n%s", diff)
	}

	anchors := map[string]bool{}
	for _, doc := range []string{text, readme(t)} {
		for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(doc, -1) {
			anchors[anchor(m[1])] = true
		}
	}
	for _, m := range regexp.MustCompile(`\]\(([^)]*)\)`).FindAllStringSubmatch(text, -1) {
		file, at, _ := strings.Cut(m[1], "#")
		if strings.Contains(file, "://") {
			continue
		}
		if _, err := os.Stat(filepath.Join("docs", file)); err != nil || at != "" && !anchors[at] {
			t.Errorf("link %s: %v", m[1], err)
		}
	}
	for _, becomes := range []string{moving.TakenOver, moving.Kept, moving.Created, moving.Deleted, moving.Refused, moving.InTheWay, moving.LeftAlone} {
		if !strings.Contains(text, "| `"+becomes+"` |") {
			t.Errorf("the page does not explain %q", becomes)
		}
	}
}

func TestMovingRefusesItsArguments(t *testing.T) {
	dir := cliFiles(t, map[string]string{"secret.yaml": "{apiVersion: v1, kind: Secret, metadata: {name: s}}"})
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"Nothing":   {[]string{"render"}, "--observed"},
		"Lifecycle": {[]string{"render", "--lifecycle", "--observed", operatorLayout}, "no DittoServer is given"},
		"NoServer":  {[]string{"render", "--observed", dir + "/secret.yaml"}, "kubectl get dittoservers -o yaml"},
	} {
		if _, _, err := runCLI(t, tc.args...); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: want an error with %q, got %v", name, tc.want, err)
		}
	}
}

func layoutOf(t *testing.T, name string) []*unstructured.Unstructured {
	t.Helper()
	objects, err := render.Loader{}.LoadRequired(filepath.Join(operatorLayout, name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func planOf(t *testing.T, objects []*unstructured.Unstructured, input string) *moving.Plan {
	t.Helper()
	var in *structpb.Struct
	if input != "" {
		dir := cliFiles(t, map[string]string{"input.yaml": "apiVersion: dittoserver.fn.crossplane.io/v1beta1\nkind: Input\n" + input})
		in = inputFrom(t, dir+"/input.yaml")
	}
	plan, err := moving.Of(t.Context(), testFunction(), func(*unstructured.Unstructured) (*structpb.Struct, error) { return in, nil }, objects)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

type edit = func([]*unstructured.Unstructured) []*unstructured.Unstructured

func each(change func(o *unstructured.Unstructured)) edit {
	return func(os []*unstructured.Unstructured) []*unstructured.Unstructured {
		for _, o := range os {
			change(o)
		}
		return os
	}
}

func of(id string, change func(o *unstructured.Unstructured)) edit {
	return each(func(o *unstructured.Unstructured) {
		if o.GetKind()+" "+o.GetName() == id {
			change(o)
		}
	})
}

func without(id string) edit {
	return func(os []*unstructured.Unstructured) []*unstructured.Unstructured {
		return slices.DeleteFunc(os, func(o *unstructured.Unstructured) bool { return o.GetKind()+" "+o.GetName() == id })
	}
}
