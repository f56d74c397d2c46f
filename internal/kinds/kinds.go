// Package kinds is the table of everything that is composed for a server: one row
// for each object. Whatever needs to know the objects reads the table: what is
// looked for, what is composed, what Crossplane has to be allowed, and the previews.
package kinds

import (
	"google.golang.org/protobuf/types/known/structpb"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/dittofs"
	"github.com/dittofs/function-dittoserver/internal/manifest"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/postgres"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/world"
)

// Keep is how long an object is kept once it exists.
type Keep int

const (
	// Always keeps it whatever the spec says: it holds data or identity.
	Always Keep = iota
	// WhileWanted keeps it as long as the spec asks for it. Crossplane deletes it
	// then.
	WhileWanted
)

// A Gate is what the creation of an object waits for.
type Gate int

const (
	// Open waits for nothing.
	Open Gate = iota
	// PerconaServed waits until the API server knows PerconaPGClusters.
	PerconaServed
	// Startable waits until the server's database is ready and every object that the
	// pod is made of is the server's own.
	Startable
)

// A Row is one kind of object that is composed.
type Row struct {
	Resource   names.Resource
	APIVersion string
	Kind       string
	// Suffix is appended to the server's name to make the object's.
	Suffix string

	// Wanted reports whether the spec asks for the object.
	Wanted func(s *server.Server) bool
	// Asked reports whether the object is looked for where Crossplane does not know
	// of it; nil for always. It is true of every spec by which Wanted can be.
	Asked func(spec server.Spec) bool
	Keep  Keep
	Gate  Gate
	// PartOfPod is true if the pod mounts the object or reads it.
	PartOfPod bool
	// Ready reports whether an object that exists is ready; nil for always.
	Ready func(in Inputs, live observed.Object) bool
	// Build returns the object as it is sent. Live is what exists, if it does.
	Build func(in Inputs, live observed.Object) (*structpb.Struct, error)
}

// Inputs are what objects are built from. Nothing in them is left to decide.
type Inputs struct {
	Server *server.Server
	// DatabaseReady is whether the database that the server is asked to run on is
	// ready.
	DatabaseReady bool
	// JWT and Admin are the values of the generated Secrets.
	JWT, Admin []byte
	// Cluster is the PerconaPGCluster as it is sent.
	Cluster map[string]any
	// ConfigYAML is the server's configuration, and Checksums are those of the pod
	// template.
	ConfigYAML string
	Checksums  map[string]string
	// Record is what is recorded, and Owners are what keeps it.
	Record string
	Owners []metav1.OwnerReference
}

// Ref returns the identity of the row's object for server n.
func (r Row) Ref(n string) names.Ref {
	return names.Ref{Resource: r.Resource, APIVersion: r.APIVersion, Kind: r.Kind, Name: n + r.Suffix}
}

// Table returns the rows, in the order in which they are composed.
func Table() []Row { return table }

var table = []Row{ //nolint:gochecknoglobals // A constant.
	{
		Resource: names.JWT, APIVersion: names.CoreV1, Kind: names.SecretKind, Suffix: names.JWTSuffix,
		Wanted: func(s *server.Server) bool { return s.JWT.Generated }, PartOfPod: true,
		Build: func(in Inputs, live observed.Object) (*structpb.Struct, error) {
			return manifest.Struct(dittofs.JWTSecret(in.Server, in.JWT, live))
		},
	},
	{
		Resource: names.Admin, APIVersion: names.CoreV1, Kind: names.SecretKind, Suffix: names.AdminSuffix,
		Wanted: func(s *server.Server) bool { return s.Admin.Generated }, PartOfPod: true,
		Build: func(in Inputs, live observed.Object) (*structpb.Struct, error) {
			return manifest.Struct(dittofs.AdminSecret(in.Server, in.Admin, live))
		},
	},
	{
		Resource: names.BackupCredentials, APIVersion: names.CoreV1, Kind: names.SecretKind, Suffix: names.BackupCredentialsSuffix,
		Wanted: func(s *server.Server) bool { return s.Cluster != nil && s.Cluster.Backup.Keys != nil },
		Build: func(in Inputs, live observed.Object) (*structpb.Struct, error) {
			return manifest.Struct(postgres.BackupCredentials(in.Server, live))
		},
	},
	{
		Resource: names.Postgres, APIVersion: names.PostgresAPIVersion, Kind: names.PostgresKind, Suffix: names.ClusterSuffix,
		Wanted: func(s *server.Server) bool { return s.Cluster != nil }, Gate: PerconaServed,
		// A cluster that the server does not use does not hold up its readiness.
		Ready: func(in Inputs, _ observed.Object) bool {
			return in.Server.Target.Kind != record.Percona || in.DatabaseReady
		},
		Build: func(in Inputs, _ observed.Object) (*structpb.Struct, error) { return manifest.FromMap(in.Cluster), nil },
	},
	service(names.Headless, names.HeadlessSuffix, dittofs.Headless),
	service(names.API, names.APISuffix, dittofs.API),
	ofAdapter(nfs, service(names.NFS, names.NFSSuffix, dittofs.NFS)),
	ofAdapter(smb, service(names.SMB, names.SMBSuffix, dittofs.SMB)),
	{
		Resource: names.Metrics, APIVersion: names.CoreV1, Kind: names.ServiceKind, Suffix: names.MetricsSuffix,
		Wanted: func(s *server.Server) bool { return s.Metrics.Enabled }, Keep: WhileWanted,
		Asked: func(spec server.Spec) bool { return spec.Metrics != nil && spec.Metrics.Enabled },
		Ready: addressed,
		Build: func(in Inputs, live observed.Object) (*structpb.Struct, error) {
			return manifest.Struct(dittofs.Metrics(in.Server, live))
		},
	},
	{
		Resource: names.ServiceMonitor, APIVersion: names.MonitoringV1, Kind: names.ServiceMonitorKind, Suffix: names.MetricsSuffix,
		Wanted: func(s *server.Server) bool { return s.Metrics.Monitor != nil }, Keep: WhileWanted,
		Asked: server.Spec.AsksForMonitor,
		Build: func(in Inputs, _ observed.Object) (*structpb.Struct, error) {
			// manifest.Struct loses what is in a struct that is inlined twice, as an
			// endpoint's authorization is.
			o, err := manifest.Of(dittofs.ServiceMonitor(in.Server))
			return manifest.FromMap(o), err
		},
	},
	networkPolicy(names.NetworkPolicy, names.NetworkPolicySuffix, dittofs.NetworkPolicy),
	ofAdapter(nfs, networkPolicy(names.NetworkPolicyNFS, names.NFSSuffix, dittofs.NFSPolicy)),
	ofAdapter(smb, networkPolicy(names.NetworkPolicySMB, names.SMBSuffix, dittofs.SMBPolicy)),
	{
		Resource: names.Config, APIVersion: names.CoreV1, Kind: names.ConfigMapKind, Suffix: names.ConfigSuffix,
		Wanted: always, PartOfPod: true,
		Build: func(in Inputs, live observed.Object) (*structpb.Struct, error) {
			return manifest.Struct(dittofs.ConfigMap(in.Server, in.ConfigYAML, in.Record, in.Owners, live))
		},
	},
	{
		Resource: names.Server, APIVersion: names.AppsV1, Kind: names.StatefulSetKind, Suffix: names.ServerSuffix,
		Wanted: always, Gate: Startable,
		Ready: func(in Inputs, live observed.Object) bool {
			return dittofs.ReadState(live).Settled(in.Server.Replicas)
		},
		Build: func(in Inputs, live observed.Object) (*structpb.Struct, error) {
			sts, err := manifest.Struct(dittofs.StatefulSet(in.Server, in.Checksums, live))
			if err != nil {
				return nil, err
			}
			return dittofs.WithClaims(sts, in.Server), nil
		},
	},
}

func always(*server.Server) bool { return true }

func service(res names.Resource, suffix string, build func(*server.Server, observed.Object) *corev1.Service) Row {
	return Row{
		Resource: res, APIVersion: names.CoreV1, Kind: names.ServiceKind, Suffix: suffix,
		Wanted: always, Ready: addressed,
		Build: func(in Inputs, live observed.Object) (*structpb.Struct, error) {
			return manifest.Struct(build(in.Server, live))
		},
	}
}

func networkPolicy(res names.Resource, suffix string, build func(*server.Server) *networkingv1.NetworkPolicy) Row {
	return Row{
		Resource: res, APIVersion: names.NetworkingV1, Kind: names.NetworkPolicyKind, Suffix: suffix,
		Wanted: func(s *server.Server) bool { return s.Network.Enabled }, Keep: WhileWanted,
		Asked: func(spec server.Spec) bool { return spec.NetworkPolicy != nil && spec.NetworkPolicy.Enabled },
		Build: func(in Inputs, _ observed.Object) (*structpb.Struct, error) {
			return manifest.Struct(build(in.Server))
		},
	}
}

// An adapter is one of the server's, which the spec may have nobody reach.
type adapter struct {
	of func(*server.Server) server.Adapter
	in func(v1alpha1.AdaptersSpec) *v1alpha1.AdapterSpec
}

var (
	nfs = adapter{ //nolint:gochecknoglobals // A constant.
		of: func(s *server.Server) server.Adapter { return s.NFS },
		in: func(a v1alpha1.AdaptersSpec) *v1alpha1.AdapterSpec { return a.NFS },
	}
	smb = adapter{ //nolint:gochecknoglobals // A constant.
		of: func(s *server.Server) server.Adapter { return s.SMB },
		in: func(a v1alpha1.AdaptersSpec) *v1alpha1.AdapterSpec { return a.SMB },
	}
)

// ofAdapter returns the row of what an adapter is reached by, which is there while the
// adapter is published.
func ofAdapter(a adapter, row Row) Row {
	wanted, asked := row.Wanted, row.Asked
	row.Keep = WhileWanted
	row.Wanted = func(s *server.Server) bool { return wanted(s) && a.of(s).Published }
	row.Asked = func(spec server.Spec) bool {
		return (asked == nil || asked(spec)) && server.Publishes(a.in(ptr.Deref(spec.Adapters, v1alpha1.AdaptersSpec{})))
	}
	return row
}

// addressed reports whether a Service can be reached: a load balancer cannot
// before it has an address.
func addressed(_ Inputs, svc observed.Object) bool {
	return svc.String("spec", "type") != "LoadBalancer" || len(svc.List("status", "loadBalancer", "ingress")) > 0
}

// Refs returns every object that server n can have.
func Refs(n string) []names.Ref {
	out := make([]names.Ref, 0, len(table))
	for _, r := range table {
		out = append(out, r.Ref(n))
	}
	return out
}

// Ask returns what is looked for on behalf of a server of that spec.
func Ask(n string, spec server.Spec) world.Ask {
	ask := world.Ask{
		Refs:     Refs(n),
		Unasked:  map[names.Resource]bool{},
		Percona:  spec.AsksForPercona(),
		Backups:  spec.Percona != nil && spec.Percona.Backup != nil,
		Monitor:  spec.AsksForMonitor(),
		Database: spec.AskedDatabase(),
		Secrets:  spec.Secrets(),
	}
	for _, r := range table {
		if r.Asked != nil && !r.Asked(spec) {
			ask.Unasked[r.Resource] = true
		}
	}
	return ask
}

// Suffixes returns what is appended to a server's name to make the names of its
// objects.
func Suffixes() map[names.Resource]string {
	out := map[names.Resource]string{}
	for _, r := range table {
		out[r.Resource] = r.Suffix
	}
	return out
}
