package real

import (
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/e2e"
)

// adapterCommand is a command for the server in the message of a condition.
var adapterCommand = regexp.MustCompile(`dfsctl (adapter [^.]+)`)

// The server listens where the spec says once it is told as the condition says, and
// goes on so after a restart.
func TestAdapters(t *testing.T) {
	parallel(t)

	s := newServer(t, "files", sqlite+"  adapters: {nfs: {port: 2049}, smb: {enabled: false}}\n")
	s.waitReady()
	s.wantListening(12049, 1445)

	c := s.login()
	commands := adapterCommand.FindAllStringSubmatch(s.waitCondition("Accepted", "True", "AcceptedWithWarnings"), -1)
	if len(commands) != 2 {
		t.Fatalf("want a command for each adapter, got %v", commands)
	}
	for _, m := range commands {
		c.dfsctl(strings.Fields(m[1])...)
	}
	s.wantListening(2049)

	s.replaces(s.serverPod(), func() { s.Kubectl("delete", "pod", s.name+"-0") })
	s.wantListening(2049)
}

// wantListening waits until the server listens on these of the ports that it may listen
// on for NFS and SMB, and on no other.
func (s *server) wantListening(ports ...int) {
	s.t.Helper()

	e2e.Eventually(s.t, fmt.Sprintf("the server listens on %v", ports), func() error {
		pod, err := s.pod(s.serverLabels())
		if err != nil {
			return err
		}
		want := map[int]bool{}
		for _, p := range ports {
			want[p] = true
		}
		// The portmapper's, and those of a server that listened on what its help says.
		for _, p := range []int{2049, 12049, 1445, 12445, 111, 10111} {
			conn, err := net.DialTimeout("tcp", net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(p)), 5*time.Second)
			if err == nil {
				conn.Close() //nolint:errcheck // Nothing was written.
			}
			if (err == nil) != want[p] {
				return fmt.Errorf("on port %d: it listens: %t", p, err == nil)
			}
		}
		return nil
	})
}
