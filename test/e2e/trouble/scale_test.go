package trouble

import (
	"fmt"
	"testing"
	"time"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// Fifty servers at once, ten of them with a database: what it takes until they
// run.
func TestFiftyServers(t *testing.T) {
	const servers, databases = 50, 10

	ns := e2e.NewNamespace(t)
	calls, start := e2e.FunctionCalls(t), time.Now()

	manifests := ""
	for i := range servers {
		name, spec := fmt.Sprintf("s-%d", i), e2e.WithSQLite
		if i < databases {
			spec = e2e.WithDatabase
		}
		manifests += "---" + e2e.Server(name, spec)
		ns.RunDatabase(name)
		ns.RunServer(name)
	}
	ns.Apply(manifests)

	e2e.EventuallyWithin(t, 5*time.Minute, "all servers run", func() error {
		run := 0
		for _, o := range ns.List("dittoserver", nil) {
			if o.Condition("Ready").Status == "True" {
				run++
			}
		}
		if run != servers {
			return fmt.Errorf("%d run", run)
		}
		return nil
	})

	t.Logf("%d servers, %d of them with a database: %s, %d calls of the function, which has %d MiB of memory",
		servers, databases, time.Since(start).Round(time.Second/10), e2e.FunctionCalls(t)-calls, e2e.FunctionMemory(t)>>20)
}
