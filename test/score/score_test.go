package score

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zegl/kube-score/config"
	ks "github.com/zegl/kube-score/domain"
	"github.com/zegl/kube-score/parser"
	"github.com/zegl/kube-score/score"
	"github.com/zegl/kube-score/scorecard"
)

// goldens hold what is composed for each example, stage by stage. TestExamples, in the
// root module, keeps them true and complete.
const goldens = "../../testdata/golden"

// A finding is what kube-score criticizes, and in which container.
type finding struct {
	kind, check, container, summary string
}

// An answer is why a finding stays.
type answer struct {
	reason string
	// changed are the examples that the finding was right about: it must not come back
	// there.
	changed []string
}

const (
	versioned = "With IfNotPresent, Kubernetes' default for every tag but latest, a pod starts where the image is while the registry cannot be reached. A cluster whose tenants share nodes enables the admission plugin AlwaysPullImages."
	oneThing  = "An example shows one thing, and a server's size depends on its load. The platform's defaults or spec.resources set it, as the changed examples do."
	waits     = "The init container writes no files: its root file system is read-only, and so is what it mounts."
)

var sized = []string{"minimal-and-input", "placement", "production"}

var answers = map[finding]answer{
	{"StatefulSet", "container-image-pull-policy", "dittofs", "ImagePullPolicy is not set to Always"}:           {reason: versioned},
	{"StatefulSet", "container-image-pull-policy", "wait-for-postgres", "ImagePullPolicy is not set to Always"}: {reason: versioned},

	{"StatefulSet", "container-resources", "dittofs", "CPU limit is not set"}: {
		reason: "A CPU limit throttles the server, and its probes, while the node has CPU to spare; the request is its share when there is none. Where a quota asks for a limit, spec.resources takes one.",
	},
	{"StatefulSet", "container-resources", "wait-for-postgres", "CPU limit is not set"}: {
		reason: "It sleeps between two connections. A limit would be new in the pod template and restart every server.",
	},
	{"StatefulSet", "container-resources", "dittofs", "CPU request is not set"}:    {reason: oneThing, changed: sized},
	{"StatefulSet", "container-resources", "dittofs", "Memory request is not set"}: {reason: oneThing, changed: sized},
	// Right for a server that is meant to last: DittoFS sizes its caches by the limit, or
	// by the node's memory without one. Source: dittofs v0.29.0
	// internal/sysinfo/sysinfo_linux.go, pkg/block/defaults.go.
	{"StatefulSet", "container-resources", "dittofs", "Memory limit is not set"}: {reason: oneThing, changed: sized},

	// Source: dittofs v0.29.0 pkg/block/engine/gc.go, gcstate.go.
	{"StatefulSet", "container-ephemeral-storage-request-and-limit", "dittofs", "Ephemeral Storage limit is not set"}: {
		reason: "Above the limit the kubelet evicts the only pod. Logs count, which the kubelet rotates, and so does /tmp, where garbage collection without a local store on disk keeps a database that grows with the blocks.",
	},
	{"StatefulSet", "container-ephemeral-storage-request-and-limit", "dittofs", "Ephemeral Storage request is not set"}: {
		reason: "Data is on volumes, and the rest has no size to ask for in general. spec.resources takes a request.",
	},
	{"StatefulSet", "container-ephemeral-storage-request-and-limit", "wait-for-postgres", "Ephemeral Storage limit is not set"}:   {reason: waits},
	{"StatefulSet", "container-ephemeral-storage-request-and-limit", "wait-for-postgres", "Ephemeral Storage request is not set"}: {reason: waits},

	{"StatefulSet", "pod-networkpolicy", "", "The pod does not have a matching NetworkPolicy"}: {
		reason:  "spec.networkPolicy is off by default: an update of the function must not close a port of a server that runs.",
		changed: []string{"network-policy", "production"},
	},

	{"StatefulSet", "pod-probes-identical", "", "Container has the same readiness and liveness probe"}: {
		// Source: dittofs v0.29.0 pkg/controlplane/api/server.go.
		reason: "With spec.controlPlane.clientCASecretName the API accepts no connection without a client's certificate, and the kubelet has none: both probes only connect.",
	},
}

// TestFindings compares what kube-score finds in the examples with the answers: a finding
// has one, and an answer has a finding.
func TestFindings(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(goldens, "*"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no goldens in %s: %v", goldens, err)
	}
	found := map[finding]bool{}
	examples := map[string]bool{}
	for _, dir := range dirs {
		example := filepath.Base(dir)
		examples[example] = true
		for f := range judge(t, example, composed(t, dir)) {
			found[f] = true
			a, ok := answers[f]
			if !ok {
				t.Errorf("%s: %+v: change it, or say in answers why it stays", example, f)
			}
			if slices.Contains(a.changed, example) {
				t.Errorf("%s: %+v is back", example, f)
			}
		}
	}
	for f, a := range answers {
		if !found[f] {
			t.Errorf("%+v is not found any more: delete its answer", f)
		}
		for _, example := range a.changed {
			if !examples[example] {
				t.Errorf("%+v: there is no example %s", f, example)
			}
		}
	}
}

// composed returns the objects that are composed at the last stage of an example, as YAML.
// A golden shows in full only what changed since the stage before.
func composed(t *testing.T, dir string) string {
	t.Helper()
	stages, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]string{}
	for _, stage := range stages {
		b, err := os.ReadFile(stage)
		if err != nil {
			t.Fatal(err)
		}
		now := map[string]string{}
		for _, doc := range strings.Split(string(b), "\n--- # ")[1:] {
			head, object, _ := strings.Cut(doc, "\n")
			name, state, ok := strings.Cut(head, ", ")
			if !ok {
				continue // The XR, or an event.
			}
			if strings.HasSuffix(state, "as before") {
				object = objects[name]
			}
			now[name] = object
		}
		objects = now
	}
	return strings.Join(slices.Collect(maps.Values(objects)), "\n---\n")
}

// judge returns what kube-score finds in objects, critical or as a warning. It leaves out
// kinds that it does not know.
func judge(t *testing.T, example, objects string) map[finding]bool {
	t.Helper()
	p, err := parser.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	all, err := p.ParseFiles([]ks.NamedReader{file{strings.NewReader(objects), example}})
	if err != nil {
		t.Fatalf("%s: %v", example, err)
	}
	if len(all.StatefulSets()) != 1 || len(all.Services()) < 2 {
		t.Fatalf("%s: want a StatefulSet and its Services, got %d and %d", example, len(all.StatefulSets()), len(all.Services()))
	}
	run := &config.RunConfiguration{
		KubernetesVersion: config.Semver{Major: 1, Minor: 34},
		// Off by default, and met. The others compare requests with limits.
		EnabledOptionalTests: map[string]struct{}{"container-seccomp-profile": {}, "container-ports-check": {}},
	}
	card, err := score.Score(all, score.RegisterAllChecks(all, nil, run), run)
	if err != nil {
		t.Fatalf("%s: %v", example, err)
	}
	out := map[finding]bool{}
	for _, o := range *card {
		for _, c := range o.Checks {
			if c.Skipped || c.Grade > scorecard.GradeWarning {
				continue
			}
			if len(c.Comments) == 0 {
				out[finding{kind: o.TypeMeta.Kind, check: c.Check.ID}] = true
			}
			for _, comment := range c.Comments {
				out[finding{o.TypeMeta.Kind, c.Check.ID, comment.Path, comment.Summary}] = true
			}
		}
	}
	return out
}

type file struct {
	*strings.Reader
	name string
}

func (f file) Name() string { return f.name }
