// Package report says how a server is: in conditions, which carry state, in
// events, which carry news, in the XR's status, and in readiness.
package report

import (
	"slices"
	"strings"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/internal/desired"
	"github.com/dittofs/function-dittoserver/internal/dittofs"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/pgstate"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// Types of conditions.
const (
	TypeAccepted      = "Accepted"
	TypeDatabaseReady = "DatabaseReady"
	TypeBackupReady   = "BackupReady"
	TypeAvailable     = "Available"
	TypeProgressing   = "Progressing"
)

// Reasons of the condition Accepted.
const (
	ReasonSpecAccepted = "SpecAccepted"
	ReasonWithWarnings = "AcceptedWithWarnings"
	ReasonInvalidSpec  = "InvalidSpec"
	ReasonChangeHeld   = "ChangeHeld"
	ReasonNameTaken    = "NameTaken"
)

// Reasons of the conditions Available and Progressing, which are those of the
// DittoFS operator where it has them.
const (
	ReasonAvailable          = "MinimumReplicasAvailable"
	ReasonStopped            = "Stopped"
	ReasonNotAvailable       = "NoReplicasAvailable"
	ReasonWaitingForDatabase = "WaitingForDatabase"
	ReasonUpdating           = "StatefulSetUpdating"
	ReasonScaling            = "ScalingReplicas"
	ReasonComplete           = "ReconcileComplete"
)

// ReasonNotUsed is the reason of a condition that does not apply to a server
// any more. Crossplane keeps a condition that is no longer returned as it was.
const ReasonNotUsed = "NotUsed"

// A Condition is one condition of an answer.
type Condition struct {
	Type    string
	Status  fnv1.Status
	Reason  string
	Message string
}

func condition(typ string, ok bool, reason, message string) Condition {
	s := fnv1.Status_STATUS_CONDITION_FALSE
	if ok {
		s = fnv1.Status_STATUS_CONDITION_TRUE
	}
	return Condition{Type: typ, Status: s, Reason: reason, Message: message}
}

// accepted says what became of the spec. Standing warnings live here.
func accepted(res server.Resolution, a desired.Answer) Condition {
	taken := taken(a)
	warnings := make([]string, 0, len(res.Warnings))
	for _, w := range res.Warnings {
		warnings = append(warnings, "Warning: "+w)
	}
	message := strings.Join(slices.Concat(taken, res.Held, warnings), ". ")
	switch {
	case len(taken) > 0:
		return condition(TypeAccepted, false, ReasonNameTaken, message)
	case len(res.Held) > 0:
		return condition(TypeAccepted, false, ReasonChangeHeld, message)
	case len(warnings) > 0:
		return condition(TypeAccepted, true, ReasonWithWarnings, message)
	}
	return condition(TypeAccepted, true, ReasonSpecAccepted, "everything that the spec says is applied")
}

// taken says which objects are left out because they are not ours, and which are
// on their way out.
func taken(a desired.Answer) []string {
	var out []string
	for _, ref := range a.Leaving {
		out = append(out, leaving(ref))
	}
	for _, l := range a.LeftOut {
		switch l.Why {
		case desired.Taken:
			out = append(out, l.Kind+" "+l.Name+" exists and is not touched, because "+l.Owner+"; "+makeWay(l))
		case desired.Deleting:
			out = append(out, leaving(l.Ref))
		case desired.NotLeftOut, desired.Unknown, desired.Awaited:
		}
	}
	return out
}

func leaving(ref names.Ref) string {
	return ref.Kind + " " + ref.Name + " is being deleted; it is created again when it is gone"
}

// makeWay is what a person can do about an object that is in the way.
func makeWay(l desired.LeftOut) string {
	if l.Controlled {
		return "delete it there, or give this server another name"
	}
	return "delete it, or give this server another name, or, if it belongs to this server and may be overwritten, set spec.adoptExisting to true"
}

// available and progressing say how the server is. While its pod does not come
// up, they hold the command that shows why.
func available(s *server.Server, st dittofs.State) Condition {
	switch {
	case !st.Exists:
		return condition(TypeAvailable, false, ReasonNotAvailable, "the server does not exist yet")
	case st.Replicas == 0 && s.Replicas == 0:
		return condition(TypeAvailable, true, ReasonStopped, "the server is stopped, as spec.replicas asks")
	case st.Ready > 0:
		return condition(TypeAvailable, true, ReasonAvailable, "the server is running")
	}
	return condition(TypeAvailable, false, ReasonNotAvailable, "the server's pod is not ready. "+why(s))
}

func progressing(s *server.Server, st dittofs.State, database pgstate.State) Condition {
	switch {
	case !st.Exists && !database.Ready:
		return condition(TypeProgressing, true, ReasonWaitingForDatabase, "the server is created when its database is ready; the condition DatabaseReady says what that waits for")
	case !st.Exists:
		return condition(TypeProgressing, true, ReasonUpdating, "the server is being created")
	case !s.Database.Same(s.Target):
		return condition(TypeProgressing, true, ReasonWaitingForDatabase, "the server moves to "+string(s.Target.Kind)+" when that database is ready; the condition DatabaseReady says what that waits for")
	case st.Replicas != s.Replicas:
		return condition(TypeProgressing, true, ReasonScaling, "the number of replicas is being changed")
	case !st.Current:
		return condition(TypeProgressing, true, ReasonUpdating, "the server's pod is being replaced. "+why(s))
	case st.Ready != st.Replicas:
		return condition(TypeProgressing, true, ReasonScaling, "the server's pod is starting. "+why(s))
	}
	return condition(TypeProgressing, false, ReasonComplete, "everything is up to date")
}

// why is how a person sees why the pod does not come up.
func why(s *server.Server) string {
	cmd := "See: kubectl -n " + s.Namespace + " describe pod " + s.Name + "-0"
	if s.Database.Kind == server.Percona {
		cmd += ", and: kubectl -n " + s.Namespace + " logs " + s.Name + "-0 -c " + dittofs.InitContainerName
	}
	return cmd
}

// databaseReady says how the database is that the server is to use. A server on
// SQLite has no such condition.
func databaseReady(s *server.Server, st pgstate.State, had map[string]observed.Condition) []Condition {
	if s.Target.Kind != server.SQLite {
		return []Condition{condition(TypeDatabaseReady, st.Ready, st.Reason, st.Message)}
	}
	if _, ok := had[TypeDatabaseReady]; !ok {
		return nil
	}
	return []Condition{condition(TypeDatabaseReady, true, ReasonNotUsed, "the server keeps its control plane in SQLite on its own volume")}
}

// backupReady says how the backups are, where there are any.
func backupReady(s *server.Server, cluster observed.Object, had map[string]observed.Condition) []Condition {
	b := s.Cluster.Backup
	on := cluster.Exists() && pgstate.BackupsOn(cluster)
	switch {
	case b.Problem != "" && on:
		return []Condition{condition(TypeBackupReady, false, pgstate.ReasonCredentialsNotFound, b.Problem+". Backups stay configured with the credentials that they had")}
	case b.Problem != "":
		return []Condition{condition(TypeBackupReady, false, pgstate.ReasonCredentialsNotFound, b.Problem+". Until then the database has no backups")}
	case b.On && on:
		st := pgstate.ReadBackups(cluster)
		return []Condition{condition(TypeBackupReady, st.Ready, st.Reason, st.Message)}
	case b.On:
		return []Condition{condition(TypeBackupReady, false, pgstate.ReasonWaiting, "backups begin with the database")}
	}
	if _, ok := had[TypeBackupReady]; !ok {
		return nil
	}
	return []Condition{condition(TypeBackupReady, false, pgstate.ReasonBackupsOff, "the database has no backups, as the spec asks")}
}

// write puts conditions into a response, and an event beside each that says
// what the XR's conditions do not say yet.
func write(rsp *fnv1.RunFunctionResponse, conditions []Condition, had map[string]observed.Condition, events bool) {
	for _, c := range conditions {
		rsp.Conditions = append(rsp.Conditions, &fnv1.Condition{
			Type:    c.Type,
			Status:  c.Status,
			Reason:  c.Reason,
			Message: &c.Message,
			Target:  fnv1.Target_TARGET_COMPOSITE_AND_CLAIM.Enum(),
		})
		if !events || !news(c, had[c.Type]) {
			continue
		}
		rsp.Results = append(rsp.Results, &fnv1.Result{
			Severity: severity(c),
			Reason:   &c.Reason,
			Message:  c.Type + ": " + c.Message,
			Target:   fnv1.Target_TARGET_COMPOSITE_AND_CLAIM.Enum(),
		})
	}
}

// news says whether a condition says what the XR does not say yet, and what is
// worth an event: how a rollout is doing is not.
func news(c Condition, had observed.Condition) bool {
	same := had.Status == status(c) && had.Reason == c.Reason
	if c.Type == TypeAccepted {
		// What is held or warned of is in the message alone.
		same = same && had.Message == c.Message
	}
	if c.Type == TypeProgressing || same {
		return false
	}
	// That all is as expected at the beginning is no news.
	first := had.Status == ""
	return !first || c.Type == TypeDatabaseReady || c.Type == TypeBackupReady || c.Type == TypeAccepted && c.Reason != ReasonSpecAccepted
}

func status(c Condition) string {
	if c.Status == fnv1.Status_STATUS_CONDITION_TRUE {
		return "True"
	}
	return "False"
}

// severity is a warning where a person has to do something.
func severity(c Condition) fnv1.Severity {
	switch c.Reason {
	case ReasonWithWarnings, ReasonInvalidSpec, ReasonChangeHeld, ReasonNameTaken,
		pgstate.ReasonOperatorNotInstalled, pgstate.ReasonCredentialsNotFound:
		return fnv1.Severity_SEVERITY_WARNING
	}
	return fnv1.Severity_SEVERITY_NORMAL
}

// missing says whether something is left out that stays so until somebody acts
// or time passes.
func missing(a desired.Answer) bool {
	return len(a.Leaving) > 0 || slices.ContainsFunc(a.LeftOut, func(l desired.LeftOut) bool { return l.Resource != names.Server || l.Why != desired.Awaited })
}
