package report

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/crossplane/function-sdk-go/errors"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/desired"
	"github.com/dittofs/function-dittoserver/internal/dittofs"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/pgstate"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// awaitedTTL is how long an answer holds while something is awaited that
// Crossplane does not watch.
const awaitedTTL = 10 * time.Second

// Report writes everything that is to be said of a server into a response that
// has its desired composed resources already.
func Report(rsp *fnv1.RunFunctionResponse, w *observed.World, res server.Resolution, database pgstate.State, a desired.Answer) error {
	had := w.XR.Conditions()
	cluster := w.Observed(names.Postgres)
	if res.Server.Cluster.Wanted {
		cluster = clusterOf(w)
	}
	conditions := []Condition{accepted(res, a)}
	conditions = append(conditions, databaseReady(res.Server, database, had)...)
	conditions = append(conditions, backupReady(res.Server, cluster, had)...)
	conditions = append(conditions, available(res.Server, a.Server), progressing(res.Server, a.Server, database))
	write(rsp, conditions, had, true)

	awaited := !database.Ready || missing(a) || !a.Server.Settled(res.Server.Replicas) || res.Server.Cluster.Backup.Problem != ""
	if ttl := rsp.GetMeta().GetTtl().AsDuration(); awaited && ttl > awaitedTTL {
		rsp.Meta.Ttl = durationpb.New(awaitedTTL)
	}
	return composite(rsp, w, xrStatus(w, res.Server, database, a), !database.Ready || missing(a))
}

// Invalid writes what is to be said of a server whose spec is refused: the
// error, and beside it every condition that is known all the same, since
// Crossplane turns those that are missing to Unknown.
func Invalid(rsp *fnv1.RunFunctionResponse, w *observed.World, res server.Resolution, database pgstate.State) {
	had := w.XR.Conditions()
	err := Error(res.Errors)
	s := res.Server
	cluster := observed.Object{}
	if s.Target.Kind == server.Percona || w.Observed(names.Postgres).Exists() {
		cluster = clusterOf(w)
	}
	if s.Target.Kind == server.Percona && !cluster.Exists() {
		database = pgstate.State{Reason: ReasonInvalidSpec, Message: "there is no database, and none is created while the spec is invalid; the condition Accepted says what is wrong"}
	}
	s.Cluster.Backup.On = pgstate.BackupsOn(cluster)
	var server observed.Object
	if e := w.Existing(w.Ref(names.Server)); e.Exists() {
		server = e.Object
	}
	st := dittofs.ReadState(server)
	s.Replicas = st.Replicas

	conditions := []Condition{condition(TypeAccepted, false, ReasonInvalidSpec, err.Error())}
	conditions = append(conditions, databaseReady(s, database, had)...)
	conditions = append(conditions, backupReady(s, cluster, had)...)
	conditions = append(conditions, available(s, st))
	if st.Exists {
		conditions = append(conditions, progressing(s, st, database))
	} else {
		conditions = append(conditions, condition(TypeProgressing, false, ReasonInvalidSpec, "nothing is created while the spec is invalid; the condition Accepted says what is wrong"))
	}
	write(rsp, conditions, had, false)
	rsp.Results = append(rsp.Results, &fnv1.Result{
		Severity: fnv1.Severity_SEVERITY_FATAL,
		Message:  err.Error(),
		Target:   fnv1.Target_TARGET_COMPOSITE.Enum(),
	})
}

// Error is one message with every wrong field, its value and what is allowed.
func Error(errs field.ErrorList) error {
	return errors.Wrap(errs.ToAggregate(), "invalid DittoServer")
}

func clusterOf(w *observed.World) observed.Object {
	if e := w.Existing(w.Ref(names.Postgres)); e.Exists() {
		return e.Object
	}
	return observed.Object{}
}

// composite writes the XR: its status, and that it is not ready while it
// cannot be. What an earlier step said of the XR stays.
func composite(rsp *fnv1.RunFunctionResponse, w *observed.World, status map[string]any, notReady bool) error {
	xr := rsp.GetDesired().GetComposite()
	if xr == nil {
		xr = &fnv1.Resource{}
		rsp.Desired.Composite = xr
	}
	if xr.GetResource() == nil {
		xr.Resource = &structpb.Struct{}
	}
	if xr.Resource.Fields == nil {
		xr.Resource.Fields = map[string]*structpb.Value{}
	}
	f := xr.Resource.Fields
	if f["apiVersion"] == nil {
		f["apiVersion"] = structpb.NewStringValue(w.XR.APIVersion)
	}
	if f["kind"] == nil {
		f["kind"] = structpb.NewStringValue(w.XR.Kind)
	}
	s, err := structpb.NewStruct(status)
	if err != nil {
		return errors.Wrap(err, "cannot convert the status of the composite resource")
	}
	if earlier := f["status"].GetStructValue(); earlier != nil {
		for k, v := range earlier.GetFields() {
			if _, ours := s.Fields[k]; !ours {
				s.Fields[k] = v
			}
		}
	}
	f["status"] = structpb.NewStructValue(s)
	if notReady {
		xr.Ready = fnv1.Ready_READY_FALSE
	}
	return nil
}

// xrStatus is the XR's status, every field of which is in the XRDs' schema. One
// that is not, and Crossplane writes neither status nor conditions.
func xrStatus(w *observed.World, s *server.Server, database pgstate.State, a desired.Answer) map[string]any {
	out := map[string]any{
		"phase":             phase(s, a.Server),
		"replicas":          int64(a.Server.Replicas),
		"readyReplicas":     int64(a.Server.Ready),
		"availableReplicas": int64(a.Server.Available),
		"endpoints":         endpoints(w, s),
		"secrets":           map[string]any{"admin": s.Admin.SecretName, "jwt": s.JWT.SecretName},
	}
	if s.Cluster.Wanted {
		out["perconaClusterName"] = names.Cluster(s.Name)
	}
	if db := databaseStatus(s, database, a.KeptEdits); len(db) > 0 {
		out["database"] = db
	}
	return out
}

func phase(s *server.Server, st dittofs.State) string {
	switch {
	case st.Exists && st.Replicas == 0 && s.Replicas == 0:
		return v1alpha1.PhaseStopped
	case st.Ready > 0:
		return v1alpha1.PhaseRunning
	}
	return v1alpha1.PhasePending
}

func databaseStatus(s *server.Server, st pgstate.State, kept []string) map[string]any {
	out := map[string]any{}
	set := func(k, v string) {
		if v != "" {
			out[k] = v
		}
	}
	switch s.Target.Kind {
	case server.Percona:
		out["clusterName"] = names.Cluster(s.Name)
		out["secretName"] = names.ClusterCredentials(s.Name)
		out["postgresVersion"] = int64(s.Cluster.PostgresVersion)
		out["instances"] = int64(st.Instances)
		out["readyInstances"] = int64(st.ReadyInstances)
		set("state", st.ClusterState)
		set("metadataName", s.Cluster.MetadataDatabaseName)
		if st.Name == "" {
			st.Name = s.Cluster.DatabaseName
		}
	case server.External:
		out["secretName"] = s.Target.Secret
	case server.SQLite:
		// A cluster that is kept may have edits all the same.
		st = pgstate.State{}
	}
	set("host", st.Host)
	set("name", st.Name)
	set("user", st.User)
	if p, err := strconv.ParseInt(strings.TrimSpace(st.Port), 10, 32); err == nil {
		out["port"] = p
	}
	if len(kept) > 0 {
		l := make([]any, 0, len(kept))
		for _, k := range kept {
			l = append(l, k)
		}
		out["keptEdits"] = l
	}
	return out
}

// endpoints are where clients reach the server: the load balancer's address
// where there is one, the Service's name otherwise.
func endpoints(w *observed.World, s *server.Server) map[string]any {
	at := func(r names.Resource, port int32) string {
		host := fmt.Sprintf("%s.%s.svc", w.Ref(r).Name, s.Namespace)
		if lbs := w.Existing(w.Ref(r)).Object.List("status", "loadBalancer", "ingress"); len(lbs) > 0 {
			i := slices.IndexFunc(lbs, func(o observed.Object) bool { return o.String("hostname") != "" || o.String("ip") != "" })
			if i >= 0 {
				host = lbs[i].String("hostname")
				if host == "" {
					host = lbs[i].String("ip")
				}
			}
		}
		return net.JoinHostPort(host, strconv.Itoa(int(port)))
	}
	return map[string]any{
		"api": "http://" + at(names.API, s.APIPort),
		"nfs": at(names.NFS, server.NFSPort),
		"smb": at(names.SMB, server.SMBPort),
	}
}
