package e2e

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReconciles(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(second int) time.Time { return start.Add(time.Duration(second) * time.Second) }
	write := func(second int, resource, name, subresource string) auditEvent {
		e := auditEvent{Verb: "patch", Received: at(second)}
		e.User.Username = crossplaneUser
		e.ObjectRef = &objectRef{Resource: resource, Name: name, Subresource: subresource, Namespace: "ns"}
		return e
	}
	reconcile := func(second int) []auditEvent {
		return []auditEvent{
			write(second, "dittoservers", "files", ""),
			write(second, "configmaps", "files-config", ""),
			write(second, "dittoservers", "files", "status"),
		}
	}
	join := func(events ...[]auditEvent) []auditEvent {
		out := []auditEvent{}
		for _, e := range events {
			out = append(out, e...)
		}
		return out
	}
	read, other, user := write(2, "configmaps", "files-config", ""), write(2, "configmaps", "files-config", ""), write(2, "configmaps", "files-config", "")
	read.Verb, other.ObjectRef.Namespace, user.User.Username = "get", "elsewhere", "admin"

	for name, tc := range map[string]struct {
		reason string
		events []auditEvent
		want   []Reconcile
	}{
		"Whole": {
			reason: "A reconcile is whole if another one follows it.",
			events: join(reconcile(1), reconcile(5), reconcile(9)),
			want:   []Reconcile{{Began: at(1), Writes: 3}, {Began: at(5), Writes: 3}},
		},
		"CutAtTheBeginning": {
			reason: "What is left of a reconcile that began before the window is not counted.",
			events: join(reconcile(-1)[:1], reconcile(1)[1:], reconcile(5), reconcile(9)),
			want:   []Reconcile{{Began: at(5), Writes: 3}},
		},
		"CutAtTheEnd": {
			reason: "A reconcile of which not all is there is not counted.",
			events: join(reconcile(1), reconcile(5)[:2]),
			want:   []Reconcile{{Began: at(1), Writes: 3}},
		},
		"OthersAreNotCounted": {
			reason: "Reads, other namespaces and other users do not count.",
			events: join(reconcile(1), []auditEvent{read, other, user}, reconcile(5)),
			want:   []Reconcile{{Began: at(1), Writes: 3}},
		},
		"None": {reason: "Nothing was written."},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, reconciles(tc.events, "ns", "files", start)); diff != "" {
				t.Errorf("%s\nreconciles(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
