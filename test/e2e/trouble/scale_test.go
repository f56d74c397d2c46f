package trouble

import (
	"fmt"
	"testing"
	"time"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// Fifty servers at once, ten of them with a database: what it takes until they
// run, or wait for nothing but their database.
func TestFiftyServers(t *testing.T) {
	const servers, databases = 50, 10

	ns := e2e.NewNamespace(t)
	calls, start := e2e.FunctionCalls(t), time.Now()

	manifests := ""
	for i := range servers {
		name, spec := fmt.Sprintf("s-%d", i), `{storage: {metadataSize: 1Gi}}`
		if i < databases {
			spec = withDatabase
		}
		manifests += "---" + server(name, spec)
		ns.RunServer(name)
	}
	ns.Apply(manifests)

	e2e.EventuallyWithin(t, 5*time.Minute, "all servers run, or wait for their databases", func() error {
		run, wait := 0, 0
		for _, o := range ns.List("dittoserver", nil) {
			switch {
			case o.Condition("Ready").Status == "True":
				run++
			case o.Condition("DatabaseReady").Reason == "WaitingForPostgreSQL":
				wait++
			}
		}
		if run != servers-databases || wait != databases {
			return fmt.Errorf("%d run and %d wait", run, wait)
		}
		return nil
	})

	t.Logf("%d servers: %s, %d calls of the function, which has %d MiB of memory",
		servers, time.Since(start).Round(time.Second/10), e2e.FunctionCalls(t)-calls, e2e.FunctionMemory(t)>>20)
}
