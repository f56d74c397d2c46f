package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"testing"
	"time"
)

// An auditEvent is a request to the API server, as far as tests care.
type auditEvent struct {
	Verb           string    `json:"verb"`
	RequestURI     string    `json:"requestURI"`
	UserAgent      string    `json:"userAgent"`
	Received       time.Time `json:"requestReceivedTimestamp"`
	User           struct{ Username string }
	ObjectRef      *struct{ Resource, Subresource, Namespace, Name, APIGroup string }
	ResponseStatus struct{ Code int }
}

// crossplaneUser is who Crossplane is to the API server.
const crossplaneUser = "system:serviceaccount:crossplane-system:crossplane"

// An auditTail reads what is added to the audit log.
type auditTail struct {
	t      testing.TB
	offset int64
}

// tailAudit reads from the present end of the audit log on.
func tailAudit(t testing.TB) *auditTail {
	t.Helper()

	f, err := os.Open(ControlPlane.AuditLog())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // It is only read.

	fi, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}

	// The last line may still be being written: then it begins with that.
	end := make([]byte, min(fi.Size(), 1<<20))
	if _, err := f.ReadAt(end, fi.Size()-int64(len(end))); err != nil {
		t.Fatal(err)
	}

	return &auditTail{t: t, offset: fi.Size() - int64(len(end)-bytes.LastIndexByte(end, '\n')-1)}
}

// next are the requests that were added since.
func (a *auditTail) next() []auditEvent {
	a.t.Helper()

	f, err := os.Open(ControlPlane.AuditLog())
	if err != nil {
		a.t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // It is only read.

	if _, err := f.Seek(a.offset, io.SeekStart); err != nil {
		a.t.Fatal(err)
	}

	out := []auditEvent{}
	for r := bufio.NewReader(f); ; {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return out // The last line may still be being written.
		}
		if err != nil {
			a.t.Fatal(err)
		}
		a.offset += int64(len(line))

		e := auditEvent{}
		if err := json.Unmarshal(line, &e); err != nil {
			a.t.Fatal(err)
		}
		if e.ObjectRef != nil {
			out = append(out, e)
		}
	}
}

// Reconciles that Crossplane has made of a server since some time. In each it
// applies every composed object.
func Reconciles(t testing.TB, namespace, server string, since time.Time) int {
	t.Helper()

	n := 0
	for _, e := range (&auditTail{t: t}).next() {
		if e.ObjectRef.Namespace == namespace && e.ObjectRef.Resource == "configmaps" && e.ObjectRef.Name == server+"-config" &&
			e.Verb == "patch" && e.User.Username == crossplaneUser && e.Received.After(since) {
			n++
		}
	}

	return n
}

// Writes that Crossplane has asked for in a namespace since some time, whether
// they changed something or not.
func Writes(t testing.TB, namespace string, since time.Time) int {
	t.Helper()

	n := 0
	for _, e := range (&auditTail{t: t}).next() {
		if e.writes(namespace) && e.Received.After(since) {
			n++
		}
	}

	return n
}

// writes is whether Crossplane asks to write in a namespace.
func (e *auditEvent) writes(namespace string) bool {
	return e.ObjectRef.Namespace == namespace && e.User.Username == crossplaneUser && !slices.Contains([]string{"get", "list", "watch"}, e.Verb)
}
