// Package desired decides what of all that is built goes into the answer. What
// is left out of an answer Crossplane deletes, so it is decided in one place:
// leaveOut.
package desired

import (
	"cmp"
	"io"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/dittofs/function-dittoserver/internal/checksum"
	"github.com/dittofs/function-dittoserver/internal/dittofs"
	"github.com/dittofs/function-dittoserver/internal/manifest"
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
// is never left out, whatever the database, the spec or the gate says; what
// does not exist is created when the gate is open; what is somebody else's, or
// on its way out, is not touched.
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
	Object   map[string]any
	Ready    bool
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
	refs     map[names.Resource]names.Ref
	answer   Answer
	// rendered is the record of the cluster.
	rendered string
	// generated are Secrets that come into being with this answer.
	generated map[names.Resource]map[string][]byte
}

// Compose builds every object that the server needs, and leaves out what must
// be left out. The database is the one that the server is wired to.
func Compose(w *observed.World, s *server.Server, database pgstate.State, random io.Reader) (Answer, error) {
	c := &composer{w: w, s: s, database: database, random: random, refs: map[names.Resource]names.Ref{}}
	for _, ref := range names.All(s.Name) {
		c.refs[ref.Resource] = ref
	}
	for _, step := range []func() error{c.secrets, c.cluster, c.services, c.server} {
		if err := step(); err != nil {
			return Answer{}, err
		}
	}
	return c.answer, nil
}

func (c *composer) existing(r names.Resource) observed.Existing { return c.w.Existing(c.refs[r]) }

// add puts an object into the answer unless it is left out. Readiness is asked
// of what exists; what does not exist is not ready.
func (c *composer) add(r names.Resource, gateOpen bool, ready func(live observed.Object) bool, build func(live observed.Object) (map[string]any, error)) error {
	e := c.existing(r)
	if why := leaveOut(e.Presence, gateOpen); why != NotLeftOut {
		c.answer.LeftOut = append(c.answer.LeftOut, LeftOut{Ref: c.refs[r], Why: why, Owner: e.Owner, Controlled: e.Controlled})
		return nil
	}
	m, err := build(e.Object)
	if err != nil {
		return err
	}
	c.answer.Composed = append(c.answer.Composed, Composed{Resource: r, Object: m, Ready: e.Exists() && ready(e.Object)})
	return nil
}

func exists(observed.Object) bool { return true }

func always(o runtime.Object) func(observed.Object) (map[string]any, error) {
	return func(observed.Object) (map[string]any, error) { return manifest.Of(o) }
}

// wantedOrThere says whether an object is composed that the spec may not want
// any more: then, too, it stays if it is there.
func (c *composer) wantedOrThere(r names.Resource, wanted bool) bool {
	return wanted || c.w.Observed(r).Exists()
}

func (c *composer) secrets() error {
	if c.wantedOrThere(names.JWT, c.s.JWT.Generated) {
		err := c.add(names.JWT, true, exists, func(live observed.Object) (map[string]any, error) {
			s, err := dittofs.JWTSecret(c.s, live, c.random)
			return c.secret(names.JWT, s, s.Data, err)
		})
		if err != nil {
			return err
		}
	}
	if c.wantedOrThere(names.Admin, c.s.Admin.Generated) {
		err := c.add(names.Admin, true, exists, func(live observed.Object) (map[string]any, error) {
			s, err := dittofs.AdminSecret(c.s, live, c.random)
			return c.secret(names.Admin, s, s.Data, err)
		})
		if err != nil {
			return err
		}
	}
	if !c.wantedOrThere(names.BackupCredentials, c.s.Cluster.Backup.Keys != nil) {
		return nil
	}
	return c.add(names.BackupCredentials, true, exists, func(live observed.Object) (map[string]any, error) {
		return manifest.Of(postgres.BackupCredentials(c.s, live))
	})
}

func (c *composer) secret(r names.Resource, o runtime.Object, data map[string][]byte, err error) (map[string]any, error) {
	if err != nil {
		return nil, err
	}
	if c.generated == nil {
		c.generated = map[names.Resource]map[string][]byte{}
	}
	c.generated[r] = data
	return manifest.Of(o)
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
	return c.add(names.Postgres, served, ready, func(live observed.Object) (map[string]any, error) {
		cluster, err := postgres.Compose(c.s, live)
		c.answer.KeptEdits, c.rendered = cluster.Kept, cluster.Record
		return cluster.Object, err
	})
}

func (c *composer) services() error {
	for _, svc := range []struct {
		r names.Resource
		o runtime.Object
	}{
		{names.Headless, dittofs.Headless(c.s)},
		{names.API, dittofs.API(c.s)},
		{names.NFS, dittofs.NFS(c.s)},
		{names.SMB, dittofs.SMB(c.s)},
	} {
		if err := c.add(svc.r, true, addressed, always(svc.o)); err != nil {
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

	yaml, err := dittofs.Config(c.s)
	if err != nil {
		return err
	}
	err = c.add(names.Config, true, exists, func(config observed.Object) (map[string]any, error) {
		cm, err := dittofs.ConfigMap(c.s, yaml, cmp.Or(c.rendered, config.Annotation(names.AnnotationRendered)), c.record(config, there))
		if err != nil {
			return nil, err
		}
		return manifest.Of(cm)
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
	return c.add(names.Server, c.database.Ready, settled, func(live observed.Object) (map[string]any, error) {
		return manifest.Of(dittofs.StatefulSet(c.s, dittofs.Checksums(c.s, src, live)))
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
	if data, ok := c.generated[r]; ok && c.refs[r].Name == name {
		return observed.NewSecret(name, data)
	}
	return c.w.Secret(name)
}
