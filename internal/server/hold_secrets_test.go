package server_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
)

const longKey = "0123456789abcdef0123456789abcdef"

// TestSecretsOfALiveServer guards that an edit that names a Secret which the pod
// could not start with leaves the pod as it is, and that mending it is enough.
func TestSecretsOfALiveServer(t *testing.T) {
	const metrics = `metrics: {enabled: true, bearerTokenSecret: {name: token, key: k}}`
	cases := map[string]struct {
		reason string
		start  string
		edit   string
		// secret is what the edit names, as it is at first; empty if it does not exist.
		name, secret string
		mended       string
		held         string
	}{
		"JWTMissing": {
			reason: "the pod would not start",
			edit:   `identity: {jwt: {secretRef: {name: mine, key: k}}}`, name: "mine",
			mended: secretYAML("mine", map[string]string{"k": longKey}),
			held:   "spec.identity.jwt.secretRef: Secret mine does not exist in namespace default. The server goes on with Secret files-jwt-secret until that is mended",
		},
		"JWTWithoutKey": {
			reason: "nor without the key",
			edit:   `identity: {jwt: {secretRef: {name: mine, key: k}}}`, name: "mine", secret: secretYAML("mine", map[string]string{"other": longKey}),
			mended: secretYAML("mine", map[string]string{"k": longKey}),
			held:   "spec.identity.jwt.secretRef: Secret mine has no key k. The server goes on with Secret files-jwt-secret until that is mended",
		},
		"JWTShort": {
			reason: "nor with a key that the server refuses",
			edit:   `identity: {jwt: {secretRef: {name: mine, key: k}}}`, name: "mine", secret: secretYAML("mine", map[string]string{"k": "short"}),
			mended: secretYAML("mine", map[string]string{"k": longKey}),
			held:   "spec.identity.jwt.secretRef: the key k of Secret mine is shorter than the 32 characters that the server asks for. The server goes on with Secret files-jwt-secret until that is mended",
		},
		"JWTGarbled": {
			reason: "nor with bytes that are no text",
			edit:   `identity: {jwt: {secretRef: {name: mine, key: k}}}`, name: "mine", secret: secretYAML("mine", map[string]string{"k": longKey + "\xff"}),
			mended: secretYAML("mine", map[string]string{"k": longKey}),
			held:   "spec.identity.jwt.secretRef: the key k of Secret mine has bytes that are no text. The server goes on with Secret files-jwt-secret until that is mended",
		},
		"AdminMissing": {
			reason: "the same for the administrator's Secret",
			edit:   `identity: {admin: {passwordSecretRef: {name: mine}}}`, name: "mine",
			mended: secretYAML("mine", map[string]string{"password": "p"}),
			held:   "spec.identity.admin.passwordSecretRef: Secret mine does not exist in namespace default. The server goes on with Secret files-admin-bootstrap-credentials until that is mended",
		},
		"TokenMissing": {
			reason: "metrics are not switched on without their token",
			edit:   metrics, name: "token",
			mended: secretYAML("token", map[string]string{"k": "t"}),
			held:   "spec.metrics.bearerTokenSecret: Secret token does not exist in namespace default. Metrics stay off until that is mended",
		},
		"TokenAdded": {
			reason: "nor with one that is not there",
			start:  `metrics: {enabled: true}`,
			edit:   metrics, name: "token",
			mended: secretYAML("token", map[string]string{"k": "t"}),
			held:   "spec.metrics.bearerTokenSecret: Secret token does not exist in namespace default. The server goes on without a token until that is mended",
		},
		"TokenChanged": {
			reason: "nor do they lose the one that they have",
			start:  `metrics: {enabled: true, bearerTokenSecret: {name: first, key: k}}`,
			edit:   metrics, name: "token", secret: secretYAML("token", map[string]string{"other": "t"}),
			mended: secretYAML("token", map[string]string{"k": "t"}),
			held:   "spec.metrics.bearerTokenSecret: Secret token has no key k. The server goes on with Secret first until that is mended",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t)
			h.others["Secret/first"] = secretYAML("first", map[string]string{"k": "t"})
			h.started(tc.start)
			pod := h.get(names.Server, "spec", "template")
			same := func(when string) {
				t.Helper()
				if diff := cmp.Diff(pod, h.get(names.Server, "spec", "template")); diff != "" {
					t.Errorf("%s: %s: want the pod as it was: -want, +got:\n%s", tc.reason, when, diff)
				}
			}
			h.others["Secret/"+tc.name] = tc.secret
			wantHeld(t, tc.reason, h.apply(tc.edit), tc.held)
			same("edited")
			wantHeld(t, tc.reason, h.apply(tc.edit), tc.held)
			same("edited twice")
			wantHeld(t, tc.reason+": undone", h.apply(tc.start))
			same("undone")
			h.apply(tc.edit)
			h.others["Secret/"+tc.name] = tc.mended
			wantHeld(t, tc.reason+": mended", h.apply(tc.edit))
			if cmp.Equal(pod, h.get(names.Server, "spec", "template")) {
				t.Errorf("%s: mended: want the edit applied", tc.reason)
			}
		})
	}
}

// TestSecretsOfTheFirstFormat: the first call after an upgrade holds as well.
func TestSecretsOfTheFirstFormat(t *testing.T) {
	env := wiredToSQLite + `, {name: DITTOFS_CONTROLPLANE_SECRET, valueFrom: {secretKeyRef: {name: files-jwt-secret, key: jwt-secret}}}, {name: DITTOFS_ADMIN_INITIAL_PASSWORD, valueFrom: {secretKeyRef: {name: files-admin-bootstrap-credentials, key: password}}}`
	res := call{
		spec: `{identity: {jwt: {secretRef: {name: mine, key: k}}, admin: {passwordSecretRef: {name: theirs}}}}`,
		composed: map[string]string{
			"server": liveServer(env, metadataClaim+","+controlClaim),
			"config": `{metadata: {annotations: {dittoserver.fn.crossplane.io/database: '{"kind":"sqlite","path":"/data/controlplane/controlplane.db"}'}}}`,
			"jwt":    `{metadata: {name: files-jwt-secret}, data: {jwt-secret: eA==}}`, "admin": `{metadata: {name: files-admin-bootstrap-credentials}, data: {password: eA==}}`,
		},
	}.resolve(t)
	wantHeld(t, "the live server tells what the record does not", res, "The server goes on with Secret files-jwt-secret", "The server goes on with Secret files-admin-bootstrap-credentials")
}

// TestMetricsWithoutTheirToken: what does not depend on the token is applied.
func TestMetricsWithoutTheirToken(t *testing.T) {
	h := newHistory(t)
	h.others["Secret/first"] = secretYAML("first", map[string]string{"k": "t"})
	h.started(`metrics: {enabled: true, bearerTokenSecret: {name: first, key: k}}`)
	// The API moves to the port that the metrics leave.
	res := h.apply(`controlPlane: {port: 9090}, metrics: {enabled: true, port: 9191, path: /m, bearerTokenSecret: {name: missing, key: k}}`)
	wantHeld(t, "the token is held", res, "The server goes on with Secret first")
	want := server.Metrics{Enabled: true, Port: 9191, Path: "/m", Token: record.SecretKey{Name: "first", Key: "k"}}
	if diff := cmp.Diff(want, res.Server.Metrics); diff != "" {
		t.Errorf("Metrics: -want, +got:\n%s", diff)
	}
	wantHeld(t, "metrics can be switched off without it", h.apply(`metrics: {enabled: false, bearerTokenSecret: {name: missing, key: k}}`))
	if h.live[names.Metrics] != nil {
		t.Error("want the Service gone with the metrics")
	}
}

// TestSecretsOfANewServer: there is nothing to go on with, and what the pod waits
// for is told.
func TestSecretsOfANewServer(t *testing.T) {
	res := call{
		spec: `{metrics: {enabled: true, bearerTokenSecret: {name: t, key: k}}, identity: {jwt: {secretRef: {name: j, key: k}}, admin: {passwordSecretRef: {name: a}}}}`,
		answers: map[string]string{
			"Secret/j": secretYAML("j", map[string]string{"k": "\xff"}),
			"Secret/a": secretYAML("a", map[string]string{"other": "p"}),
		},
	}.resolve(t)
	wantHeld(t, "nothing is held", res)
	wantWarned(t, "everything is told", res,
		"spec.identity.jwt.secretRef: the key k of Secret j has bytes that are no text, and the server cannot start without it; correct it",
		"spec.identity.admin.passwordSecretRef: Secret a has no key password, and the server cannot start without it; add the key",
		"spec.metrics.bearerTokenSecret: Secret t does not exist in namespace default, and the server cannot start without it; create it",
	)
	if m := res.Server.Metrics; !m.Enabled || m.Token.Name != "t" {
		t.Errorf("want what is asked for, got %+v", m)
	}
}

// TestVanishedSecrets guards that a Secret that is gone while the server runs does
// not keep it from starting again where it need not.
func TestVanishedSecrets(t *testing.T) {
	const mine = `identity: {jwt: {secretRef: {name: j, key: k}}, admin: {passwordSecretRef: {name: a}}}, metrics: {enabled: true, bearerTokenSecret: {name: t, key: k}}`
	fill := func(h *history) {
		h.others["Secret/j"], h.others["Secret/a"], h.others["Secret/t"] = secretYAML("j", map[string]string{"k": longKey}), secretYAML("a", map[string]string{"password": "p"}), secretYAML("t", map[string]string{"k": "t"})
	}
	const admin, optional = "a/password", "a/password?"

	t.Run("Admin", func(t *testing.T) {
		h := newHistory(t)
		fill(h)
		h.started(mine)
		if got := h.env(names.EnvAdminPassword); got != admin {
			t.Fatalf("want %s, got %s", admin, got)
		}
		h.others["Secret/a"] = ""
		res := h.apply(mine)
		wantHeld(t, "the server has read the password", res)
		wantWarned(t, "and nobody has to do anything", res)
		if got := h.env(names.EnvAdminPassword); got != optional {
			t.Errorf("want %s, got %s", optional, got)
		}
		fill(h)
		h.apply(mine)
		if got := h.env(names.EnvAdminPassword); got != optional {
			t.Errorf("the Secret is back: want the pod as it is, got %s", got)
		}
	})
	t.Run("AdminBeforeTheFirstStart", func(t *testing.T) {
		h := newHistory(t)
		fill(h)
		h.apply(mine)
		h.others["Secret/a"] = ""
		res := h.apply(mine)
		wantWarned(t, "the server has not read it yet", res, "spec.identity.admin.passwordSecretRef: Secret a does not exist in namespace default, and the server cannot start without it; create it")
		if got := h.env(names.EnvAdminPassword); got != admin {
			t.Errorf("a server without its administrator: want %s, got %s", admin, got)
		}
	})
	t.Run("AdminOfAStoppedServer", func(t *testing.T) {
		h := newHistory(t)
		fill(h)
		h.started(mine)
		h.live[names.Server]["status"] = map[string]any{"replicas": 0.0}
		h.others["Secret/a"] = ""
		wantWarned(t, "it has been started before", h.apply("replicas: 0, "+mine))
		if got := h.env(names.EnvAdminPassword); got != optional {
			t.Errorf("want %s, got %s", optional, got)
		}
	})
	t.Run("AdminOfAStatefulSetMadeAgain", func(t *testing.T) {
		h := newHistory(t)
		fill(h)
		h.started(mine)
		h.others["Secret/a"] = ""
		h.apply(mine)
		fill(h)
		delete(h.live, names.Server)
		h.apply(mine)
		if got := h.env(names.EnvAdminPassword); got != admin {
			t.Errorf("nothing has to stay as it is: want %s, got %s", admin, got)
		}
	})
	for name, tc := range map[string]struct {
		secret, path string
		// reason is why the reference is not held at another.
		reason string
	}{
		"JWT":   {secret: "j", path: "spec.identity.jwt.secretRef", reason: "there is nothing to go on with but that"},
		"Token": {secret: "t", path: "spec.metrics.bearerTokenSecret", reason: "metrics are not opened to everybody"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t)
			fill(h)
			h.started(mine)
			pod := h.get(names.Server, "spec", "template")
			h.others["Secret/"+tc.secret] = ""
			res := h.apply(mine)
			wantHeld(t, tc.reason, res)
			wantWarned(t, "the next start needs it", res, tc.path+": Secret "+tc.secret+" does not exist in namespace default, and the server cannot start without it; create it")
			if diff := cmp.Diff(pod, h.get(names.Server, "spec", "template")); diff != "" {
				t.Errorf("want the pod as it was: -want, +got:\n%s", diff)
			}
		})
	}
}

// TestFrozen guards that a server that runs is not replaced, whatever is edited, while
// its pod could not start again, and that this ends by itself.
func TestFrozen(t *testing.T) {
	const mine = `identity: {jwt: {secretRef: {name: j, key: k}}, admin: {passwordSecretRef: {name: a}}}, metrics: {enabled: true, bearerTokenSecret: {name: t, key: k}}`
	const edited = mine + `, logging: {level: DEBUG}`
	whole := map[string]string{"j": secretYAML("j", map[string]string{"k": longKey}), "a": secretYAML("a", map[string]string{"password": "p"}), "t": secretYAML("t", map[string]string{"k": "t"})}
	cases := map[string]struct {
		reason       string
		name, secret string
		stopped      bool
		frozen       bool
		// warned is what the person is told.
		warned string
	}{
		"Whole":         {reason: "nothing is missing", name: "j", secret: whole["j"]},
		"JWTMissing":    {reason: "the new pod would wait for the key for ever", name: "j", frozen: true, warned: "spec.identity.jwt.secretRef: Secret j does not exist in namespace default, and the server cannot start without it; create it"},
		"JWTWithoutKey": {reason: "the same", name: "j", secret: secretYAML("j", map[string]string{"other": longKey}), frozen: true, warned: "spec.identity.jwt.secretRef: Secret j has no key k, and the server cannot start without it; add the key"},
		"JWTShort":      {reason: "the server would end at once", name: "j", secret: secretYAML("j", map[string]string{"k": "short"}), frozen: true, warned: "spec.identity.jwt.secretRef: the key k of Secret j is shorter than the 32 characters that the server asks for, and it cannot start"},
		"TokenMissing":  {reason: "the new pod would wait for the token for ever", name: "t", frozen: true, warned: "spec.metrics.bearerTokenSecret: Secret t does not exist in namespace default, and the server cannot start without it; create it"},
		"AdminMissing":  {reason: "the server has read it, and goes on without", name: "a"},
		"Stopped":       {reason: "no pod is there to be kept", name: "j", stopped: true, warned: "spec.identity.jwt.secretRef: Secret j does not exist in namespace default, and the server cannot start without it; create it"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t)
			for n, s := range whole {
				h.others["Secret/"+n] = s
			}
			h.started(mine)
			if tc.stopped {
				h.apply("replicas: 0, " + mine)
				h.live[names.Server]["status"] = map[string]any{"replicas": 0.0}
			}
			h.others["Secret/"+tc.name] = tc.secret
			res := h.reconcile(edited)
			if got := res.Server.Frozen; got != tc.frozen {
				t.Errorf("%s: want frozen %t, got %t", tc.reason, tc.frozen, got)
			}
			var warned []string
			if tc.warned != "" {
				warned = append(warned, tc.warned)
			}
			wantWarned(t, tc.reason, res, warned...)
			h.others["Secret/"+tc.name] = whole[tc.name]
			if tc.frozen {
				h.others["Secret/"+tc.name] = tc.secret
				for what, status := range map[string]map[string]any{"not ready": {"replicas": 1.0}, "made again": {"replicas": 0.0}} {
					h.live[names.Server]["status"] = status
					if !h.apply(edited).Server.Frozen {
						t.Errorf("%s: want it kept while its pod is %s", tc.reason, what)
					}
				}
				delete(h.get(names.Config, "metadata", "annotations").(map[string]any), names.AnnotationRecord)
				// That metrics have a token is only in the record.
				if !h.reconcile(edited).Server.Frozen && tc.name == "j" {
					t.Errorf("%s: want it kept when the record is lost", tc.reason)
				}
				h.others["Secret/"+tc.name] = whole[tc.name]
			}
			if h.apply(edited).Server.Frozen {
				t.Errorf("%s: want the edit applied once the Secret is whole", tc.reason)
			}
		})
	}
	t.Run("HeldToken", func(t *testing.T) {
		h := newHistory(t)
		for n, s := range whole {
			h.others["Secret/"+n] = s
		}
		h.started(mine)
		h.others["Secret/t"] = ""
		res := h.apply(strings.Replace(mine, "name: t", "name: missing", 1))
		wantHeld(t, "the one it goes on with is missing as well", res, "spec.metrics.bearerTokenSecret: Secret missing does not exist in namespace default. The server goes on with Secret t until that is mended")
		wantWarned(t, "and that is told", res, "spec.metrics.bearerTokenSecret: Secret t does not exist in namespace default, and the server cannot start without it; create it")
	})
	t.Run("Held", func(t *testing.T) {
		h := newHistory(t)
		for n, s := range whole {
			h.others["Secret/"+n] = s
		}
		h.started(mine)
		h.others["Secret/j"] = ""
		res := h.apply(strings.Replace(edited, "name: j", "name: missing", 1))
		wantHeld(t, "the one it goes on with is missing as well", res, "spec.identity.jwt.secretRef: Secret missing does not exist in namespace default. The server goes on with Secret j until that is mended")
		wantWarned(t, "and that is told", res, "spec.identity.jwt.secretRef: Secret j does not exist in namespace default, and the server cannot start without it; create it")
		if !res.Server.Frozen {
			t.Error("want the pod kept")
		}
	})
}

// TestOptionalVariable guards that a server does not lose a variable, and is not
// restarted, because an optional Secret is gone.
func TestOptionalVariable(t *testing.T) {
	const spec = onSQLite + `, extraEnv: [{name: A, valueFrom: {secretKeyRef: {name: a, key: k, optional: true}}}, {name: B, valueFrom: {secretKeyRef: {name: a, key: never, optional: true}}}, {name: C, valueFrom: {secretKeyRef: {name: a, key: c}}}]`
	h := newHistory(t)
	h.others["Secret/a"] = secretYAML("a", map[string]string{"k": "v", "c": "v"})
	h.started(spec)
	template := func() any { return h.get(names.Server, "spec", "template") }
	was := template()
	h.others["Secret/a"] = secretYAML("a", map[string]string{"c": "v"})
	h.apply(spec)
	if diff := cmp.Diff(was, template()); diff != "" {
		t.Errorf("an optional key is gone: want the pod as it was: -want, +got:\n%s", diff)
	}
	h.others["Secret/a"] = secretYAML("a", map[string]string{"k": "v", "c": "w"})
	h.apply(spec)
	if cmp.Equal(was, template()) {
		t.Error("another key has changed: want another pod")
	}
	was = template()
	h.others["Secret/a"] = secretYAML("a", map[string]string{"k": "w", "c": "w"})
	h.apply(spec)
	if cmp.Equal(was, template()) {
		t.Error("the optional one has changed: want another pod")
	}
}

// TestVariableSetByHand guards that a variable is not sent in a form that cannot be merged
// with what a person has set.
func TestVariableSetByHand(t *testing.T) {
	const spec = onSQLite + `, extraEnv: [{name: A, value: x}, {name: B, value: z}]`
	h := newHistory(t)
	h.started(onSQLite)
	h.set(names.Server, []any{map[string]any{"manager": "kubectl", "operation": "Update", "fieldsV1": owns("A")}}, "metadata", "managedFields")
	wantHeld(t, "A is a reference there", h.reconcile(spec), "spec.extraEnv: A was set by hand on StatefulSet files, and stays as it is there. Remove it: kubectl -n default set env statefulset/files A-")
	if a, b := h.env("A"), h.env("B"); a != "" || b != "z" {
		t.Errorf("want B alone, got %q and %q", a, b)
	}
	wantHeld(t, "it is removed", h.apply(spec))
	if a := h.env("A"); a != "x" {
		t.Errorf("want A, got %q", a)
	}
}

// TestForeignSecretsOfOurNames: what is somebody else's is neither mounted nor read.
func TestForeignSecretsOfOurNames(t *testing.T) {
	h := newHistory(t)
	h.others["Secret/mine"] = secretYAML("mine", map[string]string{"k": longKey})
	h.others["Secret/files-jwt-secret"] = secretYAML("files-jwt-secret", map[string]string{"jwt-secret": longKey})
	const mine = `identity: {jwt: {secretRef: {name: mine, key: k}}}`
	h.started(mine)
	wantHeld(t, "the generated Secret's name is taken", h.apply(onSQLite), "spec.identity.jwt.secretRef: Secret files-jwt-secret is not this server's. The server goes on with Secret mine until that is mended")
	if got := h.env(names.EnvJWTSecret); got != "mine/k" {
		t.Errorf("want the server's own key, got %s", got)
	}
}

// TestOperatorFinalizer: nobody takes the DittoFS operator's finalizer off.
func TestOperatorFinalizer(t *testing.T) {
	with := func(finalizers string) string {
		return strings.Replace(namespacedXR, "{name: files,", "{name: files, finalizers: ["+finalizers+"],", 1)
	}
	cases := map[string]struct {
		reason string
		xr     string
		want   []string
	}{
		"None":       {reason: "an ordinary XR has none", xr: namespacedXR},
		"Crossplane": {reason: "or Crossplane's", xr: with("composite.apiextensions.crossplane.io")},
		"Operator": {
			reason: "the command takes away that one alone",
			xr:     with("composite.apiextensions.crossplane.io, dittofs.dittofs.com/finalizer"),
			want: []string{"metadata.finalizers: dittofs.dittofs.com/finalizer is the DittoFS operator's. Without that operator a deletion of this DittoServer never ends. Once the operator is uninstalled, remove it: " +
				`kubectl -n default patch dittoserver files --type=json -p '[{"op":"test","path":"/metadata/finalizers/1","value":"dittofs.dittofs.com/finalizer"},{"op":"remove","path":"/metadata/finalizers/1"}]'`},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, call{xr: tc.xr, spec: `{}`}.resolve(t).Warnings); diff != "" {
				t.Errorf("%s\nResolve(...).Warnings: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestStarted: that the server has read the administrator's password is remembered
// while its pod is away.
func TestStarted(t *testing.T) {
	h := newHistory(t)
	h.apply(onSQLite)
	if h.record().Server.Started {
		t.Error("a pod that was never ready: want it not started")
	}
	h.started(onSQLite)
	h.live[names.Server]["status"] = map[string]any{"replicas": 1.0}
	h.apply(onSQLite)
	if !h.record().Server.Started {
		t.Error("a pod that was ready once: want it started")
	}
}
