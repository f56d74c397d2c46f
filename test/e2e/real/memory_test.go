package real

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/controlplane"
)

// envMemory names a file for the most memory that everything together has used
// at a time, in MiB.
const envMemory = "DITTOSERVER_E2E_MEMORY"

// measureMemory for as long as this process lives.
func measureMemory() {
	path := os.Getenv(envMemory)
	if path == "" || !controlplane.Inside() {
		return
	}

	go func() {
		most := int64(0)
		for range time.Tick(5 * time.Second) {
			if now := memory(); now > most {
				most = now
				_ = os.WriteFile(path, []byte(strconv.FormatInt(most>>20, 10)), 0o644)
			}
		}
	}()
}

// memory of all processes of the control plane, what they share counted once,
// and of the file systems in memory that its folder lies in.
func memory() int64 {
	sum := int64(0)
	files, _ := filepath.Glob("/proc/[0-9]*/smaps_rollup")
	for _, f := range files {
		// Processes end at any time.
		data, _ := os.ReadFile(f)
		for l := range strings.Lines(string(data)) {
			if v, ok := strings.CutPrefix(l, "Pss:"); ok {
				kb, _ := strconv.ParseInt(strings.Fields(v)[0], 10, 64)
				sum += kb << 10
			}
		}
	}

	st := syscall.Statfs_t{}
	if err := syscall.Statfs(filepath.Join(os.Getenv("DITTOSERVER_E2E_DIR"), "run"), &st); err == nil {
		sum += int64(st.Blocks-st.Bfree) * st.Bsize
	}

	return sum
}
