package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dittofs/function-dittoserver/internal/lifecycle"
	"github.com/dittofs/function-dittoserver/internal/pgstate"
	"github.com/dittofs/function-dittoserver/internal/render"
	"github.com/dittofs/function-dittoserver/internal/report"
	"github.com/dittofs/function-dittoserver/internal/xrdgen/apiserver"
)

// TestOperatorSamples renders and runs the manifests of the DittoFS operator, none of
// which is refused.
func TestOperatorSamples(t *testing.T) {
	b, err := os.ReadFile("example/xrd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	judge, _, err := apiserver.ForXRD(b)
	if err != nil {
		t.Fatal(err)
	}
	// ignored are fields of samples that the operator's API does not have either: an
	// API server drops them, or refuses them where kubectl is strict, as it always is
	// unless it is told otherwise.
	ignored := map[string]string{"s3-smb-server": "spec.smb", "s3-smb-server-with-secrets": "spec.smb"}
	// waits are those that cannot run before their Secret is corrected: the operator's
	// documentation names a key that nothing reads.
	waits := map[string]string{"s3-smb-server-with-secrets": "postgres-credentials"}

	for _, c := range casesIn(t, "operator-samples") {
		t.Run(c.name, func(t *testing.T) {
			objects, err := render.Loader{}.LoadRequired(c.file(""))
			if err != nil {
				t.Fatal(err)
			}
			xr, secrets := objects[0], objects[1:]
			if ignored[c.name] == "" {
				if errs := judge.Judge(t.Context(), xr.Object); len(errs) > 0 {
					t.Errorf("the API server refuses it: %v", errs.ToAggregate())
				}
			}

			w := lifecycle.New(testFunction(), xr, nil, secrets...)
			w.InstallOperator()
			w.Put(crdOf(xr))
			row, err := w.Step(t.Context(), lifecycle.AllReady)
			if err != nil {
				t.Fatal(err)
			}
			rsp := row.Answers[len(row.Answers)-1].Response
			accepted := conditionOf(rsp, report.TypeAccepted)
			if accepted.Status != render.StatusTrue || !strings.Contains(accepted.Message, ignored[c.name]) {
				t.Errorf("Accepted is %s %s: %s", accepted.Status, accepted.Reason, accepted.Message)
			}
			noCredentials(t, rsp)

			if secret := waits[c.name]; secret != "" {
				database := conditionOf(rsp, report.TypeDatabaseReady)
				if database.Reason != pgstate.ReasonCredentialsNotFound || !strings.Contains(database.Message, secret) || slices.Contains(row.Composed, "server") {
					t.Errorf("DatabaseReady is %s %s: %s, composed: %v", database.Status, database.Reason, database.Message, row.Composed)
				}
				complete(t, w, secret)
				row = playStage(t, w, lifecycle.AllReady)
			}
			if row.Ready != "True Available" {
				t.Errorf("Ready is %q", row.Ready)
			}
			if pod := w.Composed("server"); pod == nil || !runs(pod, xr) {
				t.Errorf("there is no server of the image that is asked for: %v", pod)
			}
		})
	}
}

// complete puts into a Secret what the server reads of it.
func complete(t *testing.T, w *lifecycle.World, name string) {
	t.Helper()
	k := lifecycle.Key{APIVersion: "v1", Kind: "Secret", Namespace: "dittofs", Name: name}
	found := w.Edit(k, func(o *unstructured.Unstructured) {
		for _, key := range []string{"host", "database", "user", "password"} {
			_ = unstructured.SetNestedField(o.Object, "bm90LWEtcmVhbC12YWx1ZQ==", "data", key)
		}
	})
	if !found {
		t.Fatalf("there is no Secret %s", name)
	}
}

// runs reports whether a StatefulSet runs the image of an XR.
func runs(sts, xr *unstructured.Unstructured) bool {
	image, _, _ := unstructured.NestedString(xr.Object, "spec", "image")
	containers, _, _ := unstructured.NestedSlice(sts.Object, "spec", "template", "spec", "containers")
	return slices.ContainsFunc(containers, func(c any) bool {
		m, _ := c.(map[string]any)
		return m["image"] == image
	})
}
