package report

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/crossplane/function-sdk-go/errors"
	"github.com/crossplane/function-sdk-go/response"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/desired"
	"github.com/dittofs/function-dittoserver/internal/dittofs"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/pgstate"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/world"
)

// awaitedTTL is how long a response holds while something is awaited that
// Crossplane does not watch.
const awaitedTTL = 10 * time.Second

// A Report is what is known of a server.
type Report struct {
	World  world.World
	Result server.Resolution
	// Target is the database that the server is asked to run on.
	Target pgstate.State
	State  desired.State
}

// Write writes everything that is to be told of a server into a response that has
// its desired composed resources already.
func (r Report) Write(rsp *fnv1.RunFunctionResponse) error {
	had, s := r.World.XR.Conditions(), r.Result.Server
	st := dittofs.ReadState(r.World.Object(names.Server).Object)
	conditions := []Condition{accepted(r.Result, r.State)}
	conditions = append(conditions, databaseReady(s, r.Target, had)...)
	conditions = append(conditions, backupReady(s, r.World.Object(names.Postgres).Object, had)...)
	conditions = append(conditions, available(s, st), progressing(s, st, r.Target))
	write(rsp, conditions, had, true)
	if name := r.State.AdminChanged; name != "" {
		event(rsp, EventPasswordNotRead, "the administrator's password in Secret "+name+" has changed, and the server read it on its first start only: if it was not changed on the server too, change it there, or set the Secret back")
	}

	moving := !s.Current.Same(s.Target)
	awaited := moving || !r.Target.Ready || missing(r.State) || !st.Settled(s.Replicas) || s.Cluster != nil && s.Cluster.Backup.Problem != ""
	if ttl := rsp.GetMeta().GetTtl().AsDuration(); awaited && ttl > awaitedTTL {
		rsp.Meta.Ttl = durationpb.New(awaitedTTL)
	}
	return composite(rsp, r.World.XR, r.status(st), moving || !r.Target.Ready || missing(r.State) || s.Undecided)
}

// WriteInvalid writes what is to be told of a server whose spec is refused: the
// error with the names that are not known (the other warnings are of values that are not
// applied now), and beside it every condition that is known
// all the same, since Crossplane turns those that are missing to Unknown.
func (r Report) WriteInvalid(rsp *fnv1.RunFunctionResponse) {
	had, s := r.World.XR.Conditions(), r.Result.Server
	refusal := strings.Join(append([]string{Error(r.Result.Errors).Error()}, warnings(r.Result.Typos)...), ". ")
	cluster := r.World.Object(names.Postgres).Object
	database := r.Target
	if s.Target.Kind == record.Percona && !cluster.Exists() {
		database = pgstate.State{Reason: ReasonInvalidSpec, Message: "there is no database, and none is created while the spec is invalid; the condition Accepted tells what is wrong"}
	}
	st := dittofs.ReadState(r.World.Object(names.Server).Object)
	live := *s
	live.Replicas, live.Cluster = st.Replicas, nil

	conditions := []Condition{condition(TypeAccepted, false, ReasonInvalidSpec, refusal)}
	conditions = append(conditions, databaseReady(&live, database, had)...)
	on := cluster.Exists() && pgstate.BackupsOn(cluster)
	if last, told := had[TypeBackupReady]; told && !on {
		// Why there are none is not known while the spec is invalid.
		conditions = append(conditions, condition(TypeBackupReady, last.Status == "True", last.Reason, last.Message))
	} else {
		conditions = append(conditions, backupReady(&live, cluster, had)...)
	}
	conditions = append(conditions, available(&live, st))
	if st.Exists {
		conditions = append(conditions, progressing(&live, st, database))
	} else {
		conditions = append(conditions, condition(TypeProgressing, false, ReasonInvalidSpec, "nothing is created while the spec is invalid; the condition Accepted tells what is wrong"))
	}
	write(rsp, conditions, had, false)
	response.Fatal(rsp, errors.New(refusal))
}

// Error returns one message with every wrong field, its value and what is allowed.
// It says whose they are: a user cannot correct the Input.
func Error(errs field.ErrorList) error {
	what := "invalid Input"
	if slices.ContainsFunc(errs, func(e *field.Error) bool { return !ofInput(e.Field) }) {
		what = "invalid DittoServer"
	}
	return errors.Wrap(errs.ToAggregate(), what)
}

func ofInput(path string) bool { return path == "input" || strings.HasPrefix(path, "input.") }

// composite writes the XR: its status, and that it is not ready while it
// cannot be. What an earlier step said of the XR stays.
func composite(rsp *fnv1.RunFunctionResponse, of observed.XR, status v1alpha1.DittoServerStatus, notReady bool) error {
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
		f["apiVersion"] = structpb.NewStringValue(of.APIVersion)
	}
	if f["kind"] == nil {
		f["kind"] = structpb.NewStringValue(of.Kind)
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&status)
	if err != nil {
		return errors.Wrap(err, "cannot convert the status of the composite resource")
	}
	s, err := structpb.NewStruct(fields)
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

// status returns the XR's status, every field of which is in the XRDs' schema. One
// that is not, and Crossplane writes neither status nor conditions.
func (r Report) status(st dittofs.State) v1alpha1.DittoServerStatus {
	s := r.Result.Server
	out := v1alpha1.DittoServerStatus{
		Phase:             phase(s, st),
		Replicas:          st.Replicas,
		ReadyReplicas:     st.Ready,
		AvailableReplicas: st.Available,
		Endpoints:         r.endpoints(),
		Secrets:           &v1alpha1.SecretsStatus{Admin: s.Admin.Name, JWT: s.JWT.Name},
		Database:          r.database(),
	}
	if s.Cluster != nil {
		out.PerconaClusterName = names.Cluster(s.Name)
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

func (r Report) database() *v1alpha1.DatabaseStatus {
	s, st := r.Result.Server, r.Target
	out := v1alpha1.DatabaseStatus{KeptEdits: r.State.KeptEdits}
	switch s.Target.Kind {
	case record.Percona:
		out.ClusterName = names.Cluster(s.Name)
		out.SecretName = names.ClusterCredentials(s.Name)
		out.PostgresVersion = int32(s.Cluster.PostgresVersion) //nolint:gosec // Two digits.
		out.Instances, out.ReadyInstances = &st.Instances, &st.ReadyInstances
		out.State = st.ClusterState
		out.MetadataName = s.Cluster.MetadataDatabaseName
		// Percona's Secret may name another database than the server uses.
		st.Name = s.Cluster.DatabaseName
	case record.External:
		out.SecretName = s.Target.Secret
	case record.SQLite:
		if len(out.KeptEdits) == 0 {
			return nil
		}
		// A cluster that is kept may have edits all the same.
		return &out
	}
	out.Host, out.Name, out.User = st.Host, st.Name, st.User
	if p, err := strconv.ParseInt(strings.TrimSpace(st.Port), 10, 32); err == nil {
		out.Port = int32(p)
	}
	return &out
}

// endpoints returns where clients reach the server: the load balancer's address
// where there is one, the Service's name otherwise.
func (r Report) endpoints() *v1alpha1.EndpointsStatus {
	s := r.Result.Server
	at := func(res names.Resource, port int32) string {
		e := r.World.Object(res)
		host := fmt.Sprintf("%s.%s.svc", e.Name, s.Namespace)
		for _, lb := range e.Object.List("status", "loadBalancer", "ingress") {
			if address := cmp.Or(lb.String("hostname"), lb.String("ip")); address != "" {
				host = address
				break
			}
		}
		return net.JoinHostPort(host, strconv.Itoa(int(port)))
	}
	out := &v1alpha1.EndpointsStatus{API: s.TLS.Scheme() + "://" + at(names.API, s.APIPort)}
	if s.NFS.Published {
		out.NFS = at(names.NFS, s.NFS.Port)
	}
	if s.SMB.Published {
		out.SMB = at(names.SMB, s.SMB.Port)
	}
	return out
}
