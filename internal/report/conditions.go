// Package report tells the state of a server: in conditions, which carry state, in
// events, which carry news, in the XR's status, and in readiness.
package report

import (
	"slices"
	"strings"

	"github.com/crossplane/function-sdk-go/errors"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/crossplane/function-sdk-go/response"

	"github.com/dittofs/function-dittoserver/internal/desired"
	"github.com/dittofs/function-dittoserver/internal/dittofs"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/pgstate"
	"github.com/dittofs/function-dittoserver/internal/record"
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
	ReasonWaitingForSecret   = "WaitingForSecret"
	ReasonUpdating           = "StatefulSetUpdating"
	ReasonScaling            = "ScalingReplicas"
	ReasonComplete           = "ReconcileComplete"
)

// EventPasswordNotRead is the reason of the event that tells of a new password for
// the administrator that the server does not read any more. It is no condition:
// whether the password was changed in the server too, nobody here knows.
const EventPasswordNotRead = "PasswordNotRead"

// ReasonNotUsed is the reason of a condition that does not apply to a server
// any more. Crossplane keeps a condition that is no longer returned as it was.
const ReasonNotUsed = "NotUsed"

// A Condition is one condition of a response.
type Condition struct {
	Type    string
	Status  bool
	Reason  string
	Message string
}

func condition(typ string, ok bool, reason, message string) Condition {
	return Condition{Type: typ, Status: ok, Reason: reason, Message: message}
}

// accepted tells what became of the spec. Standing warnings live here.
func accepted(res server.Resolution, st desired.State) Condition {
	taken, warnings := taken(st), warnings(res.Warnings)
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

func warnings(told []string) []string {
	out := make([]string, 0, len(told))
	for _, w := range told {
		out = append(out, "Warning: "+w)
	}
	return out
}

// taken tells which objects are left out because they are not ours, and which are
// on their way out.
func taken(st desired.State) []string {
	out := make([]string, 0, len(st.Leaving)+len(st.LeftOut))
	for _, ref := range st.Leaving {
		out = append(out, leaving(ref))
	}
	for _, l := range st.LeftOut {
		switch l.Why {
		case desired.Taken:
			out = append(out, l.Kind+" "+l.Name+" exists and is not touched, because "+l.Owner+"; "+makeWay(l))
		case desired.Deleting:
			out = append(out, leaving(l.Ref))
		case desired.NotLeftOut, desired.NotWanted, desired.Unknown, desired.Awaited:
		}
	}
	return out
}

func leaving(ref names.Ref) string {
	return ref.Kind + " " + ref.Name + " is being deleted; it is created again when it is gone"
}

// makeWay tells what a person can do about an object that is in the way.
func makeWay(l desired.LeftOut) string {
	if l.Controlled {
		return "delete it there, or give this server another name"
	}
	return "delete it, or give this server another name, or, if it belongs to this server and may be overwritten, set spec.adoptExisting to true"
}

// available and progressing tell the state of the server. While its pod does not
// come up, they hold the command that shows why.
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
	case !st.Exists && s.Undecided:
		return condition(TypeProgressing, true, ReasonWaitingForDatabase, "the server is created when it is decided which database it uses; the condition Accepted tells how")
	case !st.Exists && !database.Ready:
		return condition(TypeProgressing, true, ReasonWaitingForDatabase, "the server is created when its database is ready; the condition DatabaseReady tells what that waits for")
	case !st.Exists:
		return condition(TypeProgressing, true, ReasonUpdating, "the server is being created")
	case !s.Current.Same(s.Target):
		return condition(TypeProgressing, true, ReasonWaitingForDatabase, "the server moves to "+string(s.Target.Kind)+" when that database is ready and no Secret is missing; the conditions DatabaseReady and Accepted tell what that waits for")
	case st.Replicas != s.Replicas:
		return condition(TypeProgressing, true, ReasonScaling, "the number of replicas is being changed")
	case !st.Current && s.Frozen:
		return condition(TypeProgressing, true, ReasonWaitingForSecret, "the server runs as it was, and its pod is replaced when the Secret is whole that a new one could not start without; the conditions Accepted and DatabaseReady tell which")
	case !st.Current:
		return condition(TypeProgressing, true, ReasonUpdating, "the server's pod is being replaced. "+why(s))
	case st.Ready != st.Replicas:
		return condition(TypeProgressing, true, ReasonScaling, "the server's pod is starting. "+why(s))
	}
	return condition(TypeProgressing, false, ReasonComplete, "everything is up to date")
}

// why returns the commands that show why the pod does not come up.
func why(s *server.Server) string {
	cmd := "See: kubectl -n " + s.Namespace + " describe pod " + s.Name + "-0"
	if s.Current.Kind == record.Percona {
		cmd += ", and: kubectl -n " + s.Namespace + " logs " + s.Name + "-0 -c " + names.InitContainerName
	}
	return cmd
}

// databaseReady tells the state of the database that the server is to use. A server on
// SQLite has no such condition.
func databaseReady(s *server.Server, st pgstate.State, had map[string]observed.Condition) []Condition {
	if s.Target.Kind != record.SQLite {
		return []Condition{condition(TypeDatabaseReady, st.Ready, st.Reason, st.Message)}
	}
	if _, ok := had[TypeDatabaseReady]; !ok {
		return nil
	}
	return []Condition{condition(TypeDatabaseReady, true, ReasonNotUsed, "the server keeps its control plane in SQLite on its own volume")}
}

// backupReady tells the state of the backups, where there are any.
func backupReady(s *server.Server, cluster observed.Object, had map[string]observed.Condition) []Condition {
	b := server.Backup{}
	if s.Cluster != nil {
		b = s.Cluster.Backup
	}
	on := cluster.Exists() && pgstate.BackupsOn(cluster)
	_, told := had[TypeBackupReady]
	byHand := b.Mode.On() && switchedOff(s, cluster)
	switch {
	case b.Problem != "" && on:
		return []Condition{condition(TypeBackupReady, false, pgstate.ReasonCredentialsNotFound, b.Problem+". Backups stay configured with the credentials that they had")}
	case b.Problem != "" && !byHand:
		return []Condition{condition(TypeBackupReady, false, pgstate.ReasonCredentialsNotFound, b.Problem+". Until then the database has no backups")}
	case on:
		// What runs is told, whoever switched it on.
		st := pgstate.ReadBackups(cluster)
		return []Condition{condition(TypeBackupReady, st.Ready, st.Reason, st.Message)}
	case byHand:
		return []Condition{condition(TypeBackupReady, false, pgstate.ReasonBackupsOff, "backups were switched off on PerconaPGCluster "+cluster.Name()+" itself; set its spec.backups.enabled to true to have them again")}
	case b.Mode.On():
		return []Condition{condition(TypeBackupReady, false, pgstate.ReasonWaiting, "backups begin with the database")}
	case told:
		return []Condition{condition(TypeBackupReady, false, pgstate.ReasonBackupsOff, "the database has no backups, as the spec asks")}
	}
	return nil
}

// switchedOff reports whether a person has switched off backups on the live
// cluster, which was composed with them last time.
func switchedOff(s *server.Server, cluster observed.Object) bool {
	return cluster.Exists() && s.Cluster.Last.BackupsOn()
}

// write puts conditions into a response, and an event beside each that tells what
// the XR's conditions do not tell yet.
func write(rsp *fnv1.RunFunctionResponse, conditions []Condition, had map[string]observed.Condition, events bool) {
	for _, c := range conditions {
		set := response.ConditionFalse
		if c.Status {
			set = response.ConditionTrue
		}
		set(rsp, c.Type, c.Reason).WithMessage(c.Message).TargetCompositeAndClaim()
		if events && news(c, had[c.Type]) {
			event(rsp, c.Reason, c.Type+": "+c.Message)
		}
	}
}

// event adds an event to a response: a warning where a person has to do something.
func event(rsp *fnv1.RunFunctionResponse, reason, message string) {
	switch reason {
	case ReasonWithWarnings, ReasonInvalidSpec, ReasonChangeHeld, ReasonNameTaken, EventPasswordNotRead,
		pgstate.ReasonOperatorNotInstalled, pgstate.ReasonCredentialsNotFound:
		response.Warning(rsp, errors.New(message)).WithReason(reason).TargetCompositeAndClaim()
	default:
		response.Normal(rsp, message).WithReason(reason).TargetCompositeAndClaim()
	}
}

// news reports whether a condition tells what the XR does not tell yet, and what is
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
	if c.Status {
		return "True"
	}
	return "False"
}

// missing reports whether something is left out that stays so until somebody acts
// or time passes.
func missing(st desired.State) bool {
	return len(st.Leaving) > 0 || slices.ContainsFunc(st.LeftOut, func(l desired.LeftOut) bool { return l.Resource != names.Server || l.Why != desired.Awaited })
}
