package namespaced

import (
	"fmt"
	"testing"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// Adapters that are not published have no Service, and the class of a load balancer,
// which the API server does not let anybody change, is held until the Service goes.
func TestAdapters(t *testing.T) {
	t.Parallel()

	ns := e2e.NewNamespace(t)
	ns.Apply(e2e.Server("files", `{storage: {metadataSize: 1Gi}, adapters: {nfs: {service: {type: LoadBalancer, loadBalancerClass: example.org/one}}, smb: {enabled: false}}}`))
	class := func(want string) *e2e.Object {
		t.Helper()
		return ns.Wait("service", "files-adapter-nfs", func(o *e2e.Object) error {
			if got := o.String("spec", "loadBalancerClass"); got != want {
				return fmt.Errorf("its class is %q", got)
			}
			return nil
		})
	}
	uid := class("example.org/one").GetUID()
	ns.WaitMessage("dittoserver", "files", "Accepted", "True", "dfsctl adapter disable smb")
	ns.Missing("service", "files-adapter-smb")

	// Another class is held, and so is none. The rest of the edit is applied.
	ns.Patch("dittoserver", "files", `{"spec": {"adapters": {"nfs": {"service": {"loadBalancerClass": "example.org/two", "externalTrafficPolicy": "Local"}}}}}`)
	ns.WaitMessage("dittoserver", "files", "Accepted", "False", "example.org/two is held at example.org/one")
	ns.Wait("service", "files-adapter-nfs", func(o *e2e.Object) error {
		if got := o.String("spec", "externalTrafficPolicy"); got != "Local" {
			return fmt.Errorf("its policy is %q", got)
		}
		return nil
	})
	ns.WaitCondition("dittoserver", "files", "Synced", "True", "ReconcileSuccess")
	ns.Patch("dittoserver", "files", `{"spec": {"adapters": {"nfs": {"service": {"loadBalancerClass": null}}}}}`)
	ns.WaitMessage("dittoserver", "files", "Accepted", "False", "its removal is held at example.org/one")
	ns.WaitCondition("dittoserver", "files", "Synced", "True", "ReconcileSuccess")
	if got := class("example.org/one").GetUID(); got != uid {
		t.Errorf("the Service is another one: %s was %s", got, uid)
	}

	// As the message says, it is let through when the Service is made again. A reconcile
	// that is under way would make it as it was.
	ns.Patch("dittoserver", "files", `{"spec": {"adapters": {"nfs": {"service": {"loadBalancerClass": "example.org/two"}}}}}`)
	ns.WaitMessage("dittoserver", "files", "Accepted", "False", "example.org/two is held at example.org/one")
	ns.Settle("files")
	ns.Kubectl("delete", "service", "files-adapter-nfs")
	class("example.org/two")
	ns.WaitMessage("dittoserver", "files", "Accepted", "True", "dfsctl adapter disable smb")

	// A load balancer that becomes something else loses all that only it has.
	ns.Patch("dittoserver", "files", `{"spec": {"adapters": {"nfs": {"service": null}, "smb": null}}}`)
	class("")
	ns.Wait("service", "files-adapter-smb", nil)
	ns.WaitCondition("dittoserver", "files", "Accepted", "True", "SpecAccepted")
	ns.WaitCondition("dittoserver", "files", "Synced", "True", "ReconcileSuccess")

	// What is not published any more goes.
	ns.Patch("dittoserver", "files", `{"spec": {"adapters": {"nfs": {"enabled": false}}}}`)
	ns.WaitGone("service", "files-adapter-nfs")
	ns.WaitMessage("dittoserver", "files", "Accepted", "True", "dfsctl adapter disable nfs")
}
