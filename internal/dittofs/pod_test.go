package dittofs

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// TestWiringCannotBeReplaced guards that every variable that the function sets, and
// every field of config.yaml, of which the server reads a variable that wins over it,
// is one that nobody may set beside the function.
func TestWiringCannotBeReplaced(t *testing.T) {
	wired := func(variable string) {
		t.Helper()
		if _, ok := server.Wired(variable); !ok {
			t.Errorf("%s would replace what the function sets: want it in server.Wired", variable)
		}
	}
	var fields func(prefix string, s section)
	fields = func(prefix string, s section) {
		for k, v := range s {
			name := prefix + "_" + strings.ToUpper(k)
			if inner, ok := v.(section); ok {
				fields(name, inner)
				continue
			}
			wired(name)
		}
	}
	gc := func(s *server.Server) { s.GC.Interval = "15m" }
	for _, s := range []*server.Server{resolved(withToken, gc), resolved(onExternal), resolved(onSQLite)} {
		for _, p := range parts(s) {
			for _, e := range p.env {
				wired(e.Name)
			}
			fields("DITTOFS", p.config)
		}
	}
	for _, free := range []string{"DITTOFS_ENCRYPTION_PASSPHRASE", "TZ", "GOMEMLIMIT", "HTTPS_PROXY", "AWS_REGION", "MY_PGHOST"} {
		if instead, ok := server.Wired(free); ok {
			t.Errorf("%s: want it free to be set, got %s", free, instead)
		}
	}
}

// TestServiceAccount guards that an account can be taken back: Kubernetes puts one that
// is left out back from a deprecated field.
func TestServiceAccount(t *testing.T) {
	live := func(name, manager string) string {
		return `
metadata: {managedFields: [{manager: ` + manager + `, operation: Update, fieldsV1: {"f:spec": {"f:template": {"f:spec": {"f:serviceAccountName": {}}}}}}]}
spec: {template: {spec: {serviceAccountName: ` + name + `, serviceAccount: ` + name + `}}}`
	}
	const crossplane = "apiextensions.crossplane.io/composed/x"
	cases := map[string]struct {
		reason string
		asked  string
		live   string
		want   string
	}{
		"None":      {reason: "a server without one is not touched", live: `{spec: {template: {spec: {}}}}`},
		"New":       {reason: "nor is one that does not exist yet"},
		"Asked":     {reason: "what is asked for is sent", asked: "mine", want: "mine"},
		"Changed":   {reason: "whatever was there", asked: "mine", live: live("first", crossplane), want: "mine"},
		"Removed":   {reason: "the default one is what a pod without one has", live: live("mine", crossplane), want: "default"},
		"Back":      {reason: "and once it has it, nothing is sent any more", live: live("default", crossplane)},
		"SetByHand": {reason: "what a person has set stays", live: live("theirs", "kubectl")},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var o observed.Object
			if tc.live != "" {
				o = parse(t, tc.live)
			}
			s := resolved(func(s *server.Server) { s.Pod.ServiceAccount = tc.asked })
			if got := StatefulSet(s, nil, o).Spec.Template.Spec.ServiceAccountName; got != tc.want {
				t.Errorf("%s: want %q, got %q", tc.reason, tc.want, got)
			}
		})
	}
}

// TestPodKeepsWhatIsTheFunctions guards that labels and annotations come beside the
// function's own, and variables after them.
func TestPodKeepsWhatIsTheFunctions(t *testing.T) {
	s := resolved(withToken, func(s *server.Server) {
		s.Pod = server.Pod{
			Labels: map[string]string{"team": "a"}, Annotations: map[string]string{"note": "b"},
			Env: []corev1.EnvVar{{Name: "A", Value: "$(DITTOFS_DATABASE_POSTGRES_HOST)"}},
		}
	})
	sts := StatefulSet(s, map[string]string{"config": "c"}, observed.Object{})
	pod := sts.Spec.Template
	for k, v := range sts.Spec.Selector.MatchLabels {
		if pod.Labels[k] != v {
			t.Errorf("label %s: the StatefulSet selects by %q, the pod has %q", k, v, pod.Labels[k])
		}
	}
	if pod.Labels["team"] != "a" || pod.Annotations["note"] != "b" || pod.Annotations["checksum.dittoserver.fn.crossplane.io/config"] != "c" {
		t.Errorf("want both ours and theirs, got labels %v, annotations %v", pod.Labels, pod.Annotations)
	}
	if _, there := sts.Labels["team"]; there {
		t.Error("want the labels on the pod alone")
	}
	env := pod.Spec.Containers[0].Env
	if last := env[len(env)-1]; last.Name != "A" {
		t.Errorf("want it after ours, which it may refer to, got %v", last)
	}
	for _, e := range pod.Spec.InitContainers[0].Env {
		if e.Name == "A" {
			t.Error("want it in the server's container alone")
		}
	}
}
