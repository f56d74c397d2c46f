// Package desired decides what of all that is built goes into the answer. What
// is left out of an answer Crossplane deletes, so it is decided in one place:
// leaveOut.
package desired

import (
	"cmp"
	"io"

	"google.golang.org/protobuf/types/known/structpb"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/dittofs/function-dittoserver/internal/checksum"
	"github.com/dittofs/function-dittoserver/internal/dittofs"
	"github.com/dittofs/function-dittoserver/internal/manifest"
	"github.com/dittofs/function-dittoserver/internal/memo"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/pgstate"
	"github.com/dittofs/function-dittoserver/internal/postgres"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// A Reason says why an object is left out of an answer.
type Reason string

// Why an object is left out.
const (
	// NotLeftOut: it is in the answer.
	NotLeftOut Reason = ""
	// Unknown: whether it exists is being asked; Crossplane calls again.
	Unknown Reason = "Unknown"
	// Awaited: what it needs is not there yet.
	Awaited Reason = "Awaited"
	// Taken: an object of its name exists that is not ours.
	Taken Reason = "Taken"
	// Deleting: it exists and is being deleted.
	Deleting Reason = "Deleting"
)

// leaveOut is the only place that leaves something out. What exists and is ours
// is never left out, whatever the database, the spec or the gate says, and even
// if somebody has deleted it: Crossplane would strip its labels and delete it a
// second time, in the foreground, which takes what it owns with it even where
// that was to be orphaned. What does not exist is created when the gate is open;
// what is somebody else's, or was found on its way out, is not touched.
func leaveOut(p observed.Presence, gateOpen bool) Reason {
	switch p {
	case observed.Ours:
		return NotLeftOut
	case observed.Absent:
		if gateOpen {
			return NotLeftOut
		}
		return Awaited
	case observed.Foreign:
		return Taken
	case observed.Deleting:
		return Deleting
	case observed.Unknown:
	}
	return Unknown
}

// A Composed is an object of the answer.
type Composed struct {
	Resource names.Resource
	// Object may be shared with other answers: it is not to be written to.
	Object *structpb.Struct
	Ready  bool
}

// A LeftOut is an object that the server needs and the answer does not have.
type LeftOut struct {
	names.Ref

	Why   Reason
	Owner string
	// Controlled says that the object can never be taken over.
	Controlled bool
}

// An Answer is what is composed.
type Answer struct {
	Composed []Composed
	LeftOut  []LeftOut
	// Leaving are objects of the answer that somebody has deleted and that are
	// not gone yet.
	Leaving []names.Ref
	// KeptEdits are the paths of a person's edits of the cluster that stay.
	KeptEdits []string
	// Server is how the StatefulSet is.
	Server dittofs.State
}

// A composer makes an Answer.
type composer struct {
	w        *observed.World
	s        *server.Server
	database pgstate.State
	random   io.Reader
	memo     *memo.Cache
	answer   Answer
	// rendered is the record of the cluster.
	rendered string
	// generated are Secrets that come into being with this answer.
	generated map[names.Resource]map[string][]byte
}

// Compose builds every object that the server needs, and leaves out what must
// be left out. The database is the one that the server is wired to.
func Compose(w *observed.World, s *server.Server, database pgstate.State, random io.Reader, m *memo.Cache) (Answer, error) {
	// The same server as last time is the very same: seeing that it is takes one
	// comparison, and not one an object.
	s, err := memo.Do(m, s.Namespace+"/"+s.Name+"/resolved", []any{s}, func() (*server.Server, error) { return s, nil })
	if err != nil {
		return Answer{}, err
	}
	c := &composer{w: w, s: s, database: database, random: random, memo: m}
	for _, step := range []func() error{c.secrets, c.cluster, c.services, c.server} {
		if err := step(); err != nil {
			return Answer{}, err
		}
	}
	return c.answer, nil
}

func (c *composer) existing(r names.Resource) observed.Existing { return c.w.Existing(c.w.Ref(r)) }

// add puts an object into the answer unless it is left out. Readiness is asked
// of what exists; what does not exist is not ready.
func (c *composer) add(r names.Resource, gateOpen bool, ready func(live observed.Object) bool, build func(live observed.Object) (*structpb.Struct, error)) error {
	e := c.existing(r)
	if why := leaveOut(e.Presence, gateOpen); why != NotLeftOut {
		c.answer.LeftOut = append(c.answer.LeftOut, LeftOut{Ref: c.w.Ref(r), Why: why, Owner: e.Owner, Controlled: e.Controlled})
		return nil
	}
	m, err := build(e.Object)
	if err != nil {
		return err
	}
	if e.Leaving {
		c.answer.Leaving = append(c.answer.Leaving, c.w.Ref(r))
	}
	c.answer.Composed = append(c.answer.Composed, Composed{Resource: r, Object: m, Ready: e.Exists() && !e.Leaving && ready(e.Object)})
	return nil
}

func exists(observed.Object) bool { return true }

// convert converts what build makes of the server and the other inputs, unless
// they are the same as last time.
func (c *composer) convert(r names.Resource, build func() (runtime.Object, error), inputs ...any) (*structpb.Struct, error) {
	return memo.Do(c.memo, c.key(string(r)), append(inputs, c.s), func() (*structpb.Struct, error) {
		o, err := build()
		if err != nil {
			return nil, err
		}
		return manifest.Struct(o)
	})
}

// key is what something of this server is remembered under.
func (c *composer) key(what string) string { return c.s.Namespace + "/" + c.s.Name + "/" + what }

// wantedOrThere says whether an object is composed that the spec may not want
// any more: then, too, it stays if it is there.
func (c *composer) wantedOrThere(r names.Resource, wanted bool) bool {
	return wanted || c.w.Observed(r).Exists()
}

func (c *composer) secrets() error {
	if c.wantedOrThere(names.JWT, c.s.JWT.Generated) {
		err := c.add(names.JWT, true, exists, func(live observed.Object) (*structpb.Struct, error) {
			s, err := dittofs.JWTSecret(c.s, live, c.random)
			return c.secret(names.JWT, s, s.Data, live, err)
		})
		if err != nil {
			return err
		}
	}
	if c.wantedOrThere(names.Admin, c.s.Admin.Generated) {
		err := c.add(names.Admin, true, exists, func(live observed.Object) (*structpb.Struct, error) {
			s, err := dittofs.AdminSecret(c.s, live, c.random)
			return c.secret(names.Admin, s, s.Data, live, err)
		})
		if err != nil {
			return err
		}
	}
	if !c.wantedOrThere(names.BackupCredentials, c.s.Cluster.Backup.Keys != nil) {
		return nil
	}
	return c.add(names.BackupCredentials, true, exists, func(live observed.Object) (*structpb.Struct, error) {
		return c.convert(names.BackupCredentials, func() (runtime.Object, error) { return postgres.BackupCredentials(c.s, live), nil },
			live.String("data", names.PGBackRestKey), live.String("type"))
	})
}

func (c *composer) secret(r names.Resource, o runtime.Object, data map[string][]byte, live observed.Object, err error) (*structpb.Struct, error) {
	if err != nil {
		return nil, err
	}
	if c.generated == nil {
		c.generated = map[names.Resource]map[string][]byte{}
	}
	c.generated[r] = data
	return c.convert(r, func() (runtime.Object, error) { return o, nil }, data, live.String("type"))
}

func (c *composer) cluster() error {
	if !c.s.Cluster.Wanted {
		return nil
	}
	// A cluster that the server does not use does not hold up its readiness.
	ready := func(observed.Object) bool {
		return c.s.Target.Kind != server.Percona || pgstate.ReadCluster(c.w, c.s.Name).Ready
	}
	served := c.w.Observed(names.Postgres).Exists() || c.w.PerconaCRD() == observed.CRDServed
	return c.add(names.Postgres, served, ready, func(live observed.Object) (*structpb.Struct, error) {
		inputs := []any{c.s, live.At("spec").Struct(), live.Deleting(), live.Strings("metadata", "finalizers")}
		cluster, err := memo.Do(c.memo, c.key(string(names.Postgres)), inputs, func() (postgres.Composed, error) {
			return postgres.Compose(c.s, live)
		})
		c.answer.KeptEdits, c.rendered = cluster.Kept, cluster.Record
		return cluster.Object, err
	})
}

func (c *composer) services() error {
	for _, svc := range []struct {
		r     names.Resource
		build func(*server.Server) *corev1.Service
	}{
		{names.Headless, dittofs.Headless},
		{names.API, dittofs.API},
		{names.NFS, dittofs.NFS},
		{names.SMB, dittofs.SMB},
	} {
		err := c.add(svc.r, true, addressed, func(observed.Object) (*structpb.Struct, error) {
			return c.convert(svc.r, func() (runtime.Object, error) { return svc.build(c.s), nil })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// addressed says whether a Service can be reached: a load balancer cannot
// before it has an address.
func addressed(svc observed.Object) bool {
	return svc.String("spec", "type") != "LoadBalancer" || len(svc.List("status", "loadBalancer", "ingress")) > 0
}

func (c *composer) server() error {
	live := c.existing(names.Server).Object
	c.answer.Server = dittofs.ReadState(live)
	there := live.Exists() || c.existing(names.Server).Presence == observed.Absent && c.database.Ready

	yaml, err := memo.Do(c.memo, c.key(names.ConfigKey), []any{c.s}, func() (string, error) { return dittofs.Config(c.s) })
	if err != nil {
		return err
	}
	err = c.add(names.Config, true, exists, func(config observed.Object) (*structpb.Struct, error) {
		cluster, record := cmp.Or(c.rendered, config.Annotation(names.AnnotationRendered)), c.record(config, there)
		return c.convert(names.Config, func() (runtime.Object, error) { return dittofs.ConfigMap(c.s, yaml, cluster, record) }, yaml, cluster, record)
	})
	if err != nil {
		return err
	}

	src := dittofs.Sources{Config: yaml, JWT: c.source(names.JWT, c.s.JWT.SecretName)}
	switch c.s.Database.Kind {
	case server.Percona:
		src.Database = c.w.Secret(names.ClusterCredentials(c.s.Name))
		src.CA = c.w.Secret(names.ClusterCA(c.s.Name))
	case server.External:
		src.Database = c.w.Secret(c.s.Database.Secret)
	case server.SQLite:
	}
	settled := func(observed.Object) bool { return c.answer.Server.Settled(c.s.Replicas) }
	return c.add(names.Server, c.database.Ready, settled, func(live observed.Object) (*structpb.Struct, error) {
		checksums := dittofs.Checksums(c.s, src, live)
		return c.convert(names.Server, func() (runtime.Object, error) { return dittofs.StatefulSet(c.s, checksums), nil }, checksums)
	})
}

// record is what the ConfigMap remembers of the server, once there is one.
func (c *composer) record(config observed.Object, there bool) *dittofs.Record {
	if !there && config.Annotation(names.AnnotationDatabase) == "" {
		return nil
	}
	r := &dittofs.Record{Image: c.s.Image, Database: c.s.Database, AdminChecksum: config.Annotation(names.AnnotationAdminChecksum)}
	if r.AdminChecksum == "" {
		if v, ok := c.source(names.Admin, c.s.Admin.SecretName).Data(c.s.Admin.SecretKey); ok {
			r.AdminChecksum = checksum.Of(c.s.Salt(), v)
		}
	}
	return r
}

// source is a Secret as it is, or as it comes into being with this answer.
func (c *composer) source(r names.Resource, name string) observed.Secret {
	if data, ok := c.generated[r]; ok && c.w.Ref(r).Name == name {
		return observed.NewSecret(name, data)
	}
	return c.w.Secret(name)
}
