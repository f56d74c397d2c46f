package namespaced

import (
	"fmt"
	"testing"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// A server is stopped and started as any other workload is.
func TestScale(t *testing.T) {
	t.Parallel()

	ns := e2e.NewNamespace(t)
	ns.Running("files", e2e.WithSQLite)
	ns.Settle("files")

	scaled := func(replicas int32) {
		t.Helper()
		ns.Kubectl("scale", "dittoserver/files", fmt.Sprintf("--replicas=%d", replicas))
		ns.Wait("statefulset", "files", func(o *e2e.Object) error {
			if got := o.Value("spec", "replicas"); got != int64(replicas) {
				return fmt.Errorf("it has %v replicas", got)
			}
			return nil
		})
		// What the subresource says is what autoscalers and kubectl read.
		ns.Eventually("the scale that is shown", func() error {
			scale := autoscalingv1.Scale{}
			if err := yaml.Unmarshal([]byte(ns.Kubectl("get", "dittoserver", "files", "--subresource=scale", "-o", "yaml")), &scale); err != nil {
				return err
			}
			if scale.Spec.Replicas != replicas || scale.Status.Replicas != replicas {
				return fmt.Errorf("it is %d of %d", scale.Status.Replicas, scale.Spec.Replicas)
			}
			return nil
		})
	}
	scaled(0)
	ns.WaitCondition("dittoserver", "files", "Available", "True", "Stopped")
	ns.Wait("dittoserver", "files", func(o *e2e.Object) error {
		if phase := o.String("status", "phase"); phase != "Stopped" {
			return fmt.Errorf("its phase is %q", phase)
		}
		return nil
	})
	scaled(1)
	ns.WaitCondition("dittoserver", "files", "Available", "True", "MinimumReplicasAvailable")
	ns.WaitCondition("dittoserver", "files", "Ready", "True", "Available")
}
