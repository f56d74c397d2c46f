package namespaced

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/binaries"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

const (
	// ttl is how long the function's response holds where the Input says nothing:
	// until then, Crossplane before 2.4 does not look at Secrets that it does not
	// compose.
	ttl = time.Minute

	// watched is how long it takes at most where Crossplane watches them.
	watched = 10 * time.Second

	// load is what a loaded machine may add to the TTL.
	load = 20 * time.Second
)

// A Secret that a server only refers to is made, and later its keys are rotated:
// how long it takes until the server has them.
func TestReactionToSecrets(t *testing.T) {
	t.Parallel()

	within := watched
	if e2e.ControlPlane.Crossplane().Version == binaries.CrossplanePrevious().Version {
		within = ttl + load
	}

	ns := e2e.NewNamespace(t)
	ns.RunDatabase("files")
	ns.RunServer("files")
	ns.Apply(e2e.Server("files", withBackups))
	ns.WaitMessage("dittoserver", "files", "BackupReady", "False", "s3")
	ns.WaitCondition("dittoserver", "files", "Ready", "True", "Available")
	ns.Settle("files")
	listening(ns)

	start := time.Now()
	ns.Apply(s3Secret)
	e2e.EventuallyWithin(t, within, "keys for the backups", func() error {
		o, err := ns.Find("secret", "files-pgbackrest-secret")
		if err == nil && o == nil {
			err = errors.New("there are none")
		}
		return err
	})
	made := time.Since(start)

	ns.Settle("files")
	listening(ns)
	before := ns.Get("secret", "files-pgbackrest-secret").Value("data", "s3.conf")
	start = time.Now()
	ns.Patch("secret", "s3", `{"stringData": {"AWS_ACCESS_KEY_ID": "another", "AWS_SECRET_ACCESS_KEY": "another"}}`)
	e2e.EventuallyWithin(t, within, "rotated keys for the backups", func() error {
		if got := ns.Get("secret", "files-pgbackrest-secret").Value("data", "s3.conf"); got == before {
			return fmt.Errorf("they are the old ones")
		}
		return nil
	})

	t.Logf("Crossplane %s: a Secret that is made is seen after %s, one that is changed after %s",
		e2e.ControlPlane.Crossplane().Version, made.Round(time.Second/10), time.Since(start).Round(time.Second/10))
}

// listening waits until Crossplane looks at the next change of a server's. After some 50
// in a short time, which one that is just made has on a machine that is fast, it looks at
// one every 30 seconds only, until it has been told of another after five minutes.
// Source: crossplane v2.4.0 internal/circuit/token_bucket.go.
func listening(ns *e2e.Namespace) {
	if ns.Get("dittoserver", "files").Condition("Responsive").Status == "False" {
		e2e.Pause(ns.T, 35*time.Second)
	}
}
