// Package desired decides what of all that is built goes into the response. What
// is left out of a response Crossplane deletes, so it is decided in one place:
// leaveOut.
package desired

import (
	"io"
	"slices"
	"strings"

	"github.com/crossplane/function-sdk-go/errors"
	"google.golang.org/protobuf/types/known/structpb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dittofs/function-dittoserver/internal/checksum"
	"github.com/dittofs/function-dittoserver/internal/dittofs"
	"github.com/dittofs/function-dittoserver/internal/kinds"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/override"
	"github.com/dittofs/function-dittoserver/internal/pgstate"
	"github.com/dittofs/function-dittoserver/internal/postgres"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/world"
)

// A Reason is why an object is left out of a response.
type Reason string

// Why an object is left out.
const (
	// NotLeftOut: it is in the response.
	NotLeftOut Reason = ""
	// NotWanted: the spec does not ask for it.
	NotWanted Reason = "NotWanted"
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
// that was to be orphaned. What does not exist is created when it is wanted and its
// gate is open; what is somebody else's, or was found on its way out, is not
// touched. Only a row that says so is left out because it is not wanted any more.
func leaveOut(e world.Existing, keep kinds.Keep, wanted, gateOpen bool) Reason {
	switch {
	case e.Observed && (wanted || keep == kinds.Always):
		return NotLeftOut
	case !wanted:
		return NotWanted
	}
	switch e.Presence {
	case world.Ours:
		return NotLeftOut
	case world.Absent:
		if gateOpen {
			return NotLeftOut
		}
		return Awaited
	case world.Foreign:
		return Taken
	case world.Deleting:
		return Deleting
	case world.Unknown:
	}
	return Unknown
}

// A Composed is an object of the response.
type Composed struct {
	Resource names.Resource
	Object   *structpb.Struct
	Ready    bool
}

// A LeftOut is an object that the server needs and the response does not have.
type LeftOut struct {
	names.Ref

	Why   Reason
	Owner string
	// Controlled is true if the object can never be taken over.
	Controlled bool
}

// A State is the desired state of a server.
type State struct {
	Composed []Composed
	LeftOut  []LeftOut
	// Leaving are composed objects that somebody has deleted and that are not gone
	// yet.
	Leaving []names.Ref
	// KeptEdits are the paths of a person's edits of the cluster that stay.
	KeptEdits []string
	// AdminChanged is the Secret whose password for the administrator was changed
	// after the server had read it; empty for none.
	AdminChanged string
}

// Compose walks the table of kinds, builds every object that the server needs, and
// leaves out what must be left out. The database is the one that the server runs
// on, the target the one that it is asked to run on.
func Compose(w world.World, s *server.Server, database, target pgstate.State, random io.Reader) (State, error) {
	c := &composer{w: w, s: s, database: database}
	if err := c.prepare(target, random); err != nil {
		return State{}, err
	}
	for _, row := range kinds.Table() {
		if err := c.compose(row); err != nil {
			return State{}, errors.Wrapf(err, "cannot compose %s %s", row.Kind, row.Ref(s.Name).Name)
		}
	}
	return c.state, nil
}

// A composer makes a State.
type composer struct {
	w        world.World
	s        *server.Server
	database pgstate.State
	in       kinds.Inputs
	state    State
}

func (c *composer) compose(row kinds.Row) error {
	e := c.w.Object(row.Resource)
	if why := c.leaveOut(row); why != NotLeftOut {
		if why != NotWanted {
			// An override that cannot be applied is told before it is needed.
			if err := c.try(row, e); err != nil {
				return err
			}
			c.state.LeftOut = append(c.state.LeftOut, LeftOut{Ref: row.Ref(c.s.Name), Why: why, Owner: e.Owner, Controlled: e.Controlled})
		}
		return nil
	}
	o, err := c.build(row, e)
	if err != nil {
		return err
	}
	if e.Leaving {
		c.state.Leaving = append(c.state.Leaving, row.Ref(c.s.Name))
	}
	ready := e.Exists() && !e.Leaving && !e.New && (row.Ready == nil || row.Ready(c.in, e.Object))
	c.state.Composed = append(c.state.Composed, Composed{Resource: row.Resource, Object: o, Ready: ready})
	return nil
}

// build returns an object with the platform's overrides, or its identity alone while it
// is being taken over.
func (c *composer) build(row kinds.Row, e world.Existing) (*structpb.Struct, error) {
	if !e.New {
		o, err := row.Build(c.in, e.Object)
		if err != nil {
			return nil, err
		}
		return override.Apply(c.s.Overrides, row.Ref(c.s.Name), o)
	}
	return structpb.NewStruct(map[string]any{
		"apiVersion": row.APIVersion,
		"kind":       row.Kind,
		"metadata":   map[string]any{"name": e.Name, "namespace": c.s.Namespace},
	})
}

// try builds an object that is left out, for the errors of overrides alone.
func (c *composer) try(row kinds.Row, e world.Existing) error {
	if len(c.s.Overrides) == 0 {
		return nil
	}
	_, err := c.build(row, e)
	return err
}

func (c *composer) leaveOut(row kinds.Row) Reason {
	return leaveOut(c.w.Object(row.Resource), row.Keep, row.Wanted(c.s), c.open(row.Gate))
}

func (c *composer) open(g kinds.Gate) bool {
	switch g {
	case kinds.PerconaServed:
		return c.w.Percona == observed.IsServed
	case kinds.Startable:
		return c.startable()
	case kinds.Open:
	}
	return true
}

// startable reports whether a server can be created: on its database, and of
// nothing that is somebody else's.
func (c *composer) startable() bool {
	foreign := slices.ContainsFunc(kinds.Table(), func(r kinds.Row) bool {
		return r.PartOfPod && r.Wanted(c.s) && c.w.Object(r.Resource).InTheWay()
	})
	return c.database.Ready && !foreign && !c.s.Undecided
}

// prepare makes everything that objects are built from.
func (c *composer) prepare(target pgstate.State, random io.Reader) error {
	c.in = kinds.Inputs{Server: c.s, DatabaseReady: target.Ready}
	var err error
	if c.in.JWT, err = c.secret(names.JWT, names.JWTKey, random, dittofs.GenerateJWT); err != nil {
		return err
	}
	if c.in.Admin, err = c.secret(names.Admin, names.AdminPasswordKey, random, dittofs.GenerateAdminPassword); err != nil {
		return err
	}
	if c.in.ConfigYAML, err = dittofs.Config(c.s); err != nil {
		return err
	}
	if err := c.cluster(); err != nil {
		return err
	}
	live := c.w.Object(names.Server)
	c.in.Checksums = dittofs.Checksums(c.s, c.in.ConfigYAML, c.read, live.Object)
	return c.record()
}

// secret returns the value of a generated Secret. What exists is carried over: a
// new signing key would end every session, and a new password would be wrong, since
// the server reads it once. It is made only where it is about to be composed.
func (c *composer) secret(r names.Resource, key string, random io.Reader, generate func(io.Reader) ([]byte, error)) ([]byte, error) {
	e := c.w.Object(r)
	if v, ok := e.Object.Data(key); ok {
		return v, nil
	}
	i := slices.IndexFunc(kinds.Table(), func(row kinds.Row) bool { return row.Resource == r })
	if c.leaveOut(kinds.Table()[i]) != NotLeftOut || e.New {
		return nil, nil
	}
	return generate(random)
}

func (c *composer) cluster() error {
	if c.s.Cluster == nil {
		return nil
	}
	e := c.w.Object(names.Postgres)
	composed, err := postgres.Compose(c.s, e.Object)
	if err != nil {
		return err
	}
	c.in.Cluster = composed.Object
	if e.Exists() && !e.New || e.Presence == world.Absent && c.open(kinds.PerconaServed) {
		c.state.KeptEdits, c.s.Record.Cluster = composed.Kept, composed.Record
	}
	return nil
}

// read returns a Secret as it is, or as it comes into being with this response.
func (c *composer) read(name string) observed.Object {
	switch {
	case name == names.JWTSecret(c.s.Name) && c.s.JWT.Generated && c.in.JWT != nil:
		return observed.NewSecret(map[string][]byte{names.JWTKey: c.in.JWT})
	case name == names.AdminSecret(c.s.Name) && c.s.Admin.Generated && c.in.Admin != nil:
		return observed.NewSecret(map[string][]byte{names.AdminPasswordKey: c.in.Admin})
	}
	return c.w.Secret(name).Object
}

// record makes the record, which is written to the ConfigMap and, where there is
// one, to the PerconaPGCluster.
func (c *composer) record() error {
	r := &c.s.Record
	e := c.w.Object(names.Server)
	created := e.Presence == world.Absent && c.startable()
	if !e.Exists() && c.w.Record.Server == nil && !created {
		// There is no server yet, and nothing is chosen for it.
		r.Server = nil
	}
	if r.Server != nil {
		c.fingerprint(r.Server)
	}
	doc, err := r.Encode()
	if err != nil {
		return err
	}
	c.in.Record = doc
	c.in.Owners = c.owners()
	if meta, ok := c.in.Cluster["metadata"].(map[string]any); ok {
		annotations, _ := meta["annotations"].(map[string]any)
		if annotations == nil {
			annotations = map[string]any{}
			meta["annotations"] = annotations
		}
		annotations[names.AnnotationRecord] = doc
	}
	return nil
}

// fingerprint records the fingerprint of the administrator's password, and finds
// out whether it was changed since the server has read it. A server that moves to
// another database starts there for the first time, and reads it again.
func (c *composer) fingerprint(s *record.Server) {
	key, ok := c.read(c.s.JWT.Name).Data(c.s.JWT.Key)
	password, ok2 := c.read(s.Admin.Name).Data(s.Admin.Key)
	had := c.w.Record.Server
	if had != nil {
		s.AdminFingerprint = had.AdminFingerprint
	}
	if !ok || !ok2 {
		return
	}
	now := checksum.Keyed(key, password)
	last := s.AdminFingerprint
	s.AdminFingerprint = now
	switch {
	case last == "" || last == now || !s.Started || !had.Database.Same(s.Database):
	case strings.Contains(last, "-") && !checksum.KeyedBy(key, last):
		// It was made with another key, and nothing can be told.
	case last != checksum.Of(c.s.Salt(), password):
		c.state.AdminChanged = s.Admin.Name
	}
}

// owners returns the Secrets that keep the ConfigMap, and with it the record, when
// the server is deleted: those that are kept together with its data. Percona keeps
// the credentials of a cluster as long as its volumes.
func (c *composer) owners() []metav1.OwnerReference {
	var secrets []string
	if c.s.Current.Kind == record.External {
		secrets = append(secrets, c.s.Current.Secret)
	}
	if c.s.Record.Cluster != nil {
		secrets = append(secrets, names.ClusterCredentials(c.s.Name))
	}
	out := make([]metav1.OwnerReference, 0, len(secrets))
	for _, name := range secrets {
		s := c.w.Secret(name)
		uid := s.String("metadata", "uid")
		if uid == "" || s.Deleting() {
			continue
		}
		// Neither a controller, which is the XR, nor one that blocks.
		out = append(out, metav1.OwnerReference{APIVersion: names.CoreV1, Kind: names.SecretKind, Name: name, UID: types.UID(uid)})
	}
	return out
}
