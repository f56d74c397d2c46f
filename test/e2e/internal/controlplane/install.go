package controlplane

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
)

// Configuration packages.
const (
	ConfigurationNamespaced = "configuration-dittoserver"
	ConfigurationClaim      = "configuration-dittoserver-claim"
)

// FunctionName is how Crossplane names the function that it installs because a
// configuration depends on it.
const FunctionName = Organization + "-function-dittoserver"

// imageConfig has Crossplane get the packages from the registry of the control
// plane, whatever registry they say they are in.
const imageConfig = `apiVersion: pkg.crossplane.io/v1beta1
kind: ImageConfig
metadata: {name: e2e}
spec:
  matchImages: [{type: Prefix, prefix: ghcr.io/dittofs/}]
  rewriteImage: {prefix: ` + Registry + `/dittofs/}
`

// Install installs what a team installs: the function's permissions, and a
// configuration, which brings the function.
func (cp *ControlPlane) Install(ctx context.Context, configuration string) error {
	root, err := repository()
	if err != nil {
		return err
	}

	rbac, err := disk.Read(filepath.Join(root, "example", "rbac.yaml"))
	if err != nil {
		return err
	}

	if err := cp.apply(ctx, fmt.Sprintf(`%s
---
%s
---
apiVersion: pkg.crossplane.io/v1
kind: Configuration
metadata: {name: %s}
spec: {package: "ghcr.io/%s/%s:%s"}
`, imageConfig, rbac, configuration, Organization, configuration, Version)); err != nil {
		return err
	}

	for _, p := range []struct{ resource, name string }{{"functions", FunctionName}, {"configurations", configuration}} {
		gvr := schema.GroupVersionResource{Group: "pkg.crossplane.io", Version: "v1", Resource: p.resource}
		if err := poll(ctx, 3*time.Minute, p.resource+" "+p.name+" healthy", func(ctx context.Context) error {
			o, err := cp.Dynamic.Resource(gvr).Get(ctx, p.name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			return errors.Join(conditionTrue(o, "Installed"), conditionTrue(o, "Healthy"))
		}); err != nil {
			return err
		}
	}

	return nil
}

func conditionTrue(o *unstructured.Unstructured, typ string) error {
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range conditions {
		m, ok := c.(map[string]any)
		if !ok || m["type"] != typ {
			continue
		}
		if m["status"] == "True" {
			return nil
		}
		return fmt.Errorf("%s is %v: %v: %v", typ, m["status"], m["reason"], m["message"])
	}

	return fmt.Errorf("no condition %s yet", typ)
}

// exampleNamespace is the one that the example says.
const exampleNamespace = "team-a"

// applyExample applies the example with a database.
func (cp *ControlPlane) applyExample(ctx context.Context) error {
	root, err := repository()
	if err != nil {
		return err
	}

	data, err := disk.Read(filepath.Join(root, "example", "percona.yaml"))
	if err != nil {
		return err
	}

	if _, err := cp.Kubectl(ctx, "", "create", "namespace", exampleNamespace); err != nil {
		return err
	}
	_, err = cp.Kubectl(ctx, string(data), "apply", "-f", "-")

	return err
}
