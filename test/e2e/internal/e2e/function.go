package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/controlplane"
	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
)

// FunctionCalls that were answered since the function was started, as its
// metrics have it.
func FunctionCalls(t testing.TB) int {
	t.Helper()

	pods, err := ControlPlane.Client.CoreV1().Pods(controlplane.SystemNamespace).List(t.Context(), metav1.ListOptions{LabelSelector: "pkg.crossplane.io/function"})
	if err != nil {
		t.Fatal(err)
	}

	total := 0
	for _, p := range pods.Items {
		rsp, err := http.Get("http://" + p.Status.PodIP + ":8080/metrics") //nolint:noctx // On this machine.
		if err != nil {
			t.Fatal(err)
		}
		defer rsp.Body.Close() //nolint:errcheck // It is only read.

		for s := bufio.NewScanner(rsp.Body); s.Scan(); {
			n := 0.0
			if name, value, _ := strings.Cut(s.Text(), "} "); strings.HasPrefix(name, "grpc_server_handled_total{") && strings.Contains(name, `grpc_method="RunFunction"`) {
				if _, err := fmt.Sscan(value, &n); err != nil {
					t.Fatal(err)
				}
				total += int(n)
			}
		}
	}

	return total
}

// Function is the path of the function's binary: that of a pod that runs.
func Function(t testing.TB) string {
	t.Helper()

	paths, err := filepath.Glob(filepath.Join(filepath.Dir(ControlPlane.Kubeconfig()), "pods", controlplane.FunctionName+"-*", "*", "function"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no pod of the function has ever run: %v", err)
	}

	return paths[len(paths)-1]
}

// FunctionMemory is the resident memory of the function, in bytes.
func FunctionMemory(t testing.TB) int {
	t.Helper()

	statuses, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		t.Fatal(err)
	}

	total := 0
	for _, path := range statuses {
		data, err := disk.Read(path)
		if err != nil || !bytes.HasPrefix(data, []byte("Name:\tfunction\n")) {
			continue // It may have ended.
		}
		for line := range strings.Lines(string(data)) {
			kib := 0
			if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 {
				total += kib << 10
			}
		}
	}

	return total
}
