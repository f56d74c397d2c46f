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

	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
)

// An auditEvent is a request to the API server, as far as tests care.
type auditEvent struct {
	Verb           string    `json:"verb"`
	RequestURI     string    `json:"requestURI"`
	UserAgent      string    `json:"userAgent"`
	Received       time.Time `json:"requestReceivedTimestamp"`
	User           struct{ Username string }
	ObjectRef      *objectRef
	ResponseStatus struct{ Code int }
}

type objectRef struct{ Resource, Subresource, Namespace, Name, APIGroup string }

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

	f, err := disk.Open(ControlPlane.AuditLog(), os.O_RDONLY, 0)
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

	f, err := disk.Open(ControlPlane.AuditLog(), os.O_RDONLY, 0)
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

// A Reconcile is one reconcile of a server by Crossplane.
type Reconcile struct {
	// Began is when Crossplane recorded what it is about to apply, which is its
	// first write.
	Began time.Time

	// Writes is how often Crossplane asked to write in the server's namespace,
	// whether that changed something or not.
	Writes int
}

// Reconciles returns the reconciles of the only server of a namespace that began
// after a time and have ended. One that is cut by the edge of that window counts
// neither at its beginning nor at its end: what it writes is not all there.
func Reconciles(t testing.TB, namespace, server string, since time.Time) []Reconcile {
	t.Helper()

	return reconciles((&auditTail{t: t}).next(), namespace, server, since)
}

func reconciles(events []auditEvent, namespace, server string, since time.Time) []Reconcile {
	out := []Reconcile{}
	for _, e := range events {
		if !e.writes(namespace) || !e.Received.After(since) {
			continue
		}
		if e.begins(server) {
			out = append(out, Reconcile{Began: e.Received})
		}
		if len(out) > 0 {
			out[len(out)-1].Writes++
		}
	}
	if len(out) == 0 {
		return nil
	}

	// Only the next one shows that a reconcile has ended.
	return out[:len(out)-1]
}

// begins reports whether the request is the first one of a reconcile of a server:
// Crossplane writes the references to the objects before the objects. Writes of
// the status are to a subresource.
func (e *auditEvent) begins(server string) bool {
	return e.ObjectRef.Resource == "dittoservers" && e.ObjectRef.Name == server && e.ObjectRef.Subresource == "" && e.Verb == "patch"
}

// writes reports whether Crossplane asks to write in a namespace.
func (e *auditEvent) writes(namespace string) bool {
	return e.ObjectRef.Namespace == namespace && e.User.Username == crossplaneUser && !slices.Contains([]string{"get", "list", "watch"}, e.Verb)
}
