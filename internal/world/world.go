// Package world is what exists of a server, as far as a request tells: its
// objects, the Secrets that matter to it, and the record of what was chosen. It is
// read once; nothing after that goes back to the request.
package world

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/record"
)

// Labels and the annotation that Crossplane puts on what it composes.
// Source: crossplane v2.4.0 internal/xcrd and crossplane-runtime/pkg/meta.
const (
	labelComposite      = "crossplane.io/composite"
	labelClaimName      = "crossplane.io/claim-name"
	labelClaimNamespace = "crossplane.io/claim-namespace"

	annotationResourceName = "crossplane.io/composition-resource-name"
)

// An Identity says whose objects are meant, and where they are.
type Identity struct {
	// Name of the server: the XR's, for a claim the claim's.
	Name string
	// Namespace of everything composed.
	Namespace string
	// AdoptExisting takes objects for ours that nobody controls.
	AdoptExisting bool
}

// Presence is what is known about an object that may exist.
type Presence int

// What can be known about an object.
const (
	// Unknown: it has not been looked for, or the answer is not there yet.
	Unknown Presence = iota
	// Absent: nothing of that name exists.
	Absent
	// Ours exists and belongs to this XR.
	Ours
	// Foreign exists and belongs to somebody else, or to nobody that we know.
	Foreign
	// Deleting exists, is not known to Crossplane as this XR's, and is on its way
	// out.
	Deleting
)

// An Existing is what is known about one object.
type Existing struct {
	names.Ref

	Presence Presence
	// Object is the object if it is Ours, and nothing otherwise.
	Object observed.Object
	// Record is the object if it is Ours, or was before it was deleted: what is
	// recorded on it holds as long as it can be read.
	Record observed.Object
	// Observed is true if Crossplane knows the object as composed by this XR. What
	// it knows and a response leaves out, it deletes.
	Observed bool
	// Leaving is true if the object is Ours and somebody has deleted it.
	Leaving bool
	// New is true if the object is Ours and was never composed by Crossplane: it
	// is taken over in two steps, its identity first. If the first apply of an
	// object that exists is refused, Crossplane refers to it without its annotation
	// crossplane.io/composition-resource-name, fails at that from then on, and never
	// calls the function again. To apply metadata alone is always valid.
	//
	// An object that has the annotation is not New, even if it is not observed: the
	// field manager of an XR that was made again under its name is the same, so to
	// apply metadata alone would remove all the rest.
	New bool
	// Owner describes who has the object if it is Foreign.
	Owner string
	// Controlled is true if somebody controls the object, so that it can never be
	// taken over.
	Controlled bool

	found observed.Object
}

// Exists reports whether the object exists and is ours.
func (e Existing) Exists() bool { return e.Presence == Ours }

// InTheWay reports whether an object of the name exists that must not be touched.
func (e Existing) InTheWay() bool { return e.Presence == Foreign || e.Presence == Deleting }

// A Secret is what is known about a Secret.
type Secret struct {
	Name string
	// Known is false until the requirement has been answered.
	Known bool
	observed.Object
}

// Missing reports whether it is known that there is no value under the key.
func (s Secret) Missing(key string) bool {
	_, ok := s.Text(key)
	return s.Known && !ok
}

// An Ask is what is looked for.
type Ask struct {
	// Refs are all objects that a server can have. Those in Unasked are not looked
	// for unless Crossplane knows them: the spec does not ask for them.
	Refs    []names.Ref
	Unasked map[names.Resource]bool
	// Percona is true if the spec asks for a PerconaPGCluster, Backups if it says
	// something of backups.
	Percona bool
	Backups bool
	// Monitor is true if the spec asks for a ServiceMonitor. MonitorsServed is what
	// the platform says of that kind, nil for nothing.
	Monitor        bool
	MonitorsServed *bool
	// Database is the kind of database that the spec asks for.
	Database record.DatabaseKind
	// Secrets are those that the spec names.
	Secrets []string
}

// A World is what exists of a server.
type World struct {
	XR observed.XR
	Identity

	Objects map[names.Resource]Existing
	Secrets map[string]Secret
	// Percona is whether the cluster knows PerconaPGClusters.
	Percona observed.Served
	// Monitors is whether it knows ServiceMonitors, where one is asked for.
	Monitors observed.Served
	// Record is what was chosen. Without a record it is what the live objects say;
	// Recorded is whether the server's part is a record.
	Record   record.Record
	Recorded bool
	// Earlier are objects of an earlier server of this name that have no record: they
	// may have the server's data.
	Earlier Earlier

	Requirements *fnv1.Requirements
	// Pending is true if something that was asked for is not answered yet.
	Pending bool
}

// Earlier is what is left of an earlier server of the name, without a record.
type Earlier struct {
	// Credentials is the Secret with the credentials of a PerconaPGCluster, which
	// Percona keeps as long as the cluster's volumes.
	Credentials observed.Object
	// Volume is the PersistentVolumeClaim of the control plane, on which SQLite's
	// file may be.
	Volume observed.Object
}

// Object returns what is known about an object.
func (w World) Object(r names.Resource) Existing { return w.Objects[r] }

// Secret returns what is known about a Secret.
func (w World) Secret(name string) Secret {
	s := w.Secrets[name]
	s.Name = name
	return s
}

// KeptCredentials returns the Secret with the credentials of the PerconaPGCluster
// if it is older than the XR: Percona keeps it, as long as the volumes, when a
// cluster is deleted. One that somebody made in advance, to choose the password,
// has no host.
func (w World) KeptCredentials() observed.Object {
	s := w.Secret(names.ClusterCredentials(w.Name))
	older := w.XR.Older(s.Object)
	if w.Record.Cluster == nil && !w.Object(names.Postgres).Exists() {
		// This XR has had no cluster that it could be of.
		older = w.XR.NoNewer(s.Object)
	}
	if _, ok := s.Data("host"); !ok || !older {
		return observed.Object{}
	}
	return s.Object
}

// Read reads the world of a server.
func Read(r *observed.Reader, xr observed.XR, id Identity, ask Ask) World {
	b := &builder{r: r, World: World{
		XR: xr, Identity: id,
		Objects: make(map[names.Resource]Existing, len(ask.Refs)),
		Secrets: make(map[string]Secret, len(ask.Secrets)),
	}}
	b.readMonitors(ask)
	for _, ref := range ask.Refs {
		if !ofDatabase(ref) {
			b.Objects[ref.Resource] = b.find(ref, b.asked(ref.Resource, ask))
		}
	}
	b.readRecord()
	b.readDatabase(ask)
	if b.Record.Version == 0 || b.Objects[names.Config].Record.Deleting() {
		// There is none on the ConfigMap, or an old one, or one of the first format, of
		// which the cluster has a part: read both.
		b.readRecord()
	}
	b.readSecrets(ask)
	b.forgetDeleted()
	b.readEarlier(ask)
	b.Requirements, b.Pending = r.Requirements(), r.Pending()
	return b.World
}

// A builder makes a World.
type builder struct {
	World
	r *observed.Reader
}

// ofDatabase reports whether an object is there only where there is a
// PerconaPGCluster.
func ofDatabase(ref names.Ref) bool {
	return ref.Resource == names.Postgres || ref.Resource == names.BackupCredentials
}

// readMonitors finds out whether a ServiceMonitor can be composed: to compose or to ask
// for one where the kind is not served fails everything else, and so does asking a
// cluster in which Crossplane may not read them.
func (b *builder) readMonitors(ask Ask) {
	switch {
	case !ask.Monitor:
	case ask.MonitorsServed != nil && !*ask.MonitorsServed:
		b.Monitors = observed.SwitchedOff
	case b.r.Composed(names.ServiceMonitor).Exists():
		b.Monitors = observed.IsServed
	default:
		b.Monitors = b.r.KindServed(b.XR, names.MonitoringV1, names.ServiceMonitorKind)
		if b.Monitors == observed.CannotTell && ask.MonitorsServed != nil {
			b.Monitors = observed.IsServed
		}
	}
}

// asked reports whether an object is looked for.
func (b *builder) asked(res names.Resource, ask Ask) bool {
	return !ask.Unasked[res] && (res != names.ServiceMonitor || b.Monitors == observed.IsServed)
}

// readDatabase looks for the objects of the PerconaPGCluster where there may be
// one: where the spec asks for it, there has been one, or Crossplane knows it. A
// server that never had one does not depend on Percona's CRDs.
func (b *builder) readDatabase(ask Ask) {
	had := b.Record.Cluster != nil || b.Record.Server != nil && b.Record.Server.Database.Kind == record.Percona
	look := ask.Percona || had || b.r.Composed(names.Postgres).Exists()
	b.Percona = observed.IsServed
	if look && !b.r.Composed(names.Postgres).Exists() {
		b.Percona = b.r.PerconaServed(b.XR)
	}
	backups := ask.Backups || b.Record.Cluster != nil && b.Record.Cluster.BackupSecret != ""
	for _, ref := range ask.Refs {
		switch {
		case ref.Resource == names.BackupCredentials:
			b.Objects[ref.Resource] = b.find(ref, look && backups)
		case ref.Resource == names.Postgres && b.Percona == observed.ServedUnknown:
			b.Objects[ref.Resource] = Existing{Ref: ref, Presence: Unknown}
		case ref.Resource == names.Postgres:
			b.Objects[ref.Resource] = b.find(ref, look && b.Percona == observed.IsServed)
		}
	}
}

func (b *builder) readRecord() {
	config, cluster := b.Objects[names.Config].Record, b.Objects[names.Postgres].Record
	b.Record = record.Read(config, cluster)
	live := record.OfLive(b.Name, b.Objects[names.Server].Record, config)
	if b.Recorded = b.Record.Server != nil; !b.Recorded {
		b.Record.Server = live
		return
	}
	b.Record.Server.Complete(live)
}

// readSecrets reads the Secrets that the spec names, those that the server runs
// with, and those of its database.
func (b *builder) readSecrets(ask Ask) {
	for _, name := range ask.Secrets {
		b.secret(name, true)
	}
	var own []string
	if s := b.Record.Server; s != nil {
		own = append(own, s.Database.Secret, s.JWT.Name, s.Admin.Name)
		if s.Metrics != nil {
			own = append(own, s.Metrics.Token.Name)
		}
		if s.TLS != nil {
			own = append(own, s.TLS.Cert, s.TLS.ClientCA)
		}
		for _, p := range []*record.Provider{s.LDAP, s.Kerberos} {
			if p == nil {
				continue
			}
			for _, k := range slices.Sorted(maps.Keys(p.Secrets)) {
				own = append(own, p.Secrets[k].Name)
			}
		}
	}
	if c := b.Record.Cluster; c != nil {
		own = append(own, c.BackupSecret)
	}
	// Those of a cluster that is somebody else's are somebody else's too.
	cluster := b.Objects[names.Postgres]
	if cluster.Exists() || !cluster.InTheWay() && (ask.Percona || b.Record.Cluster != nil) {
		own = append(own, names.ClusterCredentials(b.Name), names.ClusterCA(b.Name))
	}
	for _, name := range own {
		b.secret(name, false)
	}
}

// secret reads a Secret. One that has a name of the server's own objects and is in
// the way is as if it were not there, unless the spec names it.
func (b *builder) secret(name string, named bool) {
	if _, ok := b.Secrets[name]; ok || name == "" {
		return
	}
	for _, e := range b.Objects {
		if e.Kind != names.SecretKind || e.Name != name {
			continue
		}
		s := Secret{Name: name, Known: e.Presence != Unknown, Object: e.Object}
		if named {
			s.Object = e.found
		}
		b.Secrets[name] = s
		return
	}
	o, known := b.r.Require(names.CoreV1, names.SecretKind, name, b.Namespace)
	b.Secrets[name] = Secret{Name: name, Known: known, Object: o}
}

// forgetDeleted forgets a database that Percona has deleted together with an
// earlier server: it keeps the credentials exactly as long as the volumes.
func (b *builder) forgetDeleted() {
	if b.Record.XR == "" || b.XR.UID == "" || b.Record.XR == b.XR.UID || b.Objects[names.Postgres].Presence != Absent {
		return
	}
	if s, ok := b.Secrets[names.ClusterCredentials(b.Name)]; !ok || !s.Known || s.Exists() {
		return
	}
	b.Record.Cluster = nil
	if s := b.Record.Server; s != nil && s.Database.Kind == record.Percona && b.Objects[names.Server].Presence == Absent {
		b.Record.Server, b.Recorded = nil, false
	}
}

// readEarlier looks for what an earlier server of the name left, where there is
// no record and the server does not exist yet. A server at rest never asks.
func (b *builder) readEarlier(ask Ask) {
	if b.Record.Server != nil || b.XR.Created == "" || b.Objects[names.Server].Presence != Absent {
		return
	}
	if c := b.Record.Cluster; c == nil || !c.Unused {
		b.secret(names.ClusterCredentials(b.Name), false)
		b.Earlier.Credentials = b.KeptCredentials()
	}
	if ask.Database == record.SQLite {
		return
	}
	if pvc, _ := b.r.Require(names.CoreV1, names.VolumeClaimKind, names.ControlPlaneVolume(b.Name), b.Namespace); pvc.Exists() {
		// There is no server that it could be of but an earlier one.
		b.Earlier.Volume = pvc
	}
}

// find returns what is known about an object. Crossplane observes only what the XR
// already refers to; anything else is asked for by its name.
func (b *builder) find(ref names.Ref, ask bool) Existing {
	e := Existing{Ref: ref}
	if o := b.r.Composed(ref.Resource); o.Exists() {
		e.Presence, e.Object, e.Record, e.found = Ours, o, o, o
		e.Observed, e.Leaving = true, o.Deleting()
		return e
	}
	if !ask {
		e.Presence = Absent
		return e
	}
	o, known := b.r.Require(ref.APIVersion, ref.Kind, ref.Name, b.Namespace)
	e.found = o
	switch {
	case !known:
		e.Presence = Unknown
	case !o.Exists():
		e.Presence = Absent
	case o.Deleting():
		e.Presence = Deleting
		if b.ours(o) {
			e.Record = o
		}
	case b.ours(o):
		e.Presence, e.Object, e.Record = Ours, o, o
		e.New = o.Annotation(annotationResourceName) == ""
	default:
		e.Presence = Foreign
		e.Owner, e.Controlled = owner(o)
	}
	return e
}

// ours reports whether an object that Crossplane does not know as composed by
// this XR may be taken for it.
func (b *builder) ours(o observed.Object) bool {
	if c, ok := o.Controller(); ok {
		// Another controller's object can never be taken: Crossplane's apply
		// would be refused, since an object has one controller.
		return b.XR.UID != "" && c.String("uid") == b.XR.UID
	}
	if b.AdoptExisting {
		return true
	}
	if claim := b.XR.Claim; claim != nil {
		return o.Label(labelClaimName) == claim.Name && o.Label(labelClaimNamespace) == claim.Namespace
	}
	// Crossplane labels what an XR composes with the XR's own label: for one that
	// another XR composes, that is the other's name.
	return o.Label(labelComposite) == cmp.Or(b.XR.Label(labelComposite), b.XR.Name)
}

func owner(o observed.Object) (who string, controlled bool) {
	c, ok := o.Controller()
	if !ok {
		return "nobody controls it and it does not bear the labels of this server", false
	}
	return "it is controlled by " + c.String("kind") + " " + c.String("name"), true
}

// Identify decides whose objects are meant and where they are. Neither the name
// nor the namespace changes while there are any: the server would be created
// again, and empty. What is held is told. The suffixes are those that make the
// names of the server's objects.
func Identify(r *observed.Reader, xr observed.XR, suffixes map[names.Resource]string, fallback string) (id Identity, held []string) {
	id = Identity{Name: xr.ServerName(), Namespace: xr.ServerNamespace(fallback)}
	name, namespace := existing(r, xr, suffixes, cmp.Or(fallback, id.Namespace))
	if name != "" && name != id.Name {
		held = append(held, fmt.Sprintf("spec.claimRef.name: %q is held at %q, the name of the server's objects. A server cannot be renamed: bind the XR to a claim of that name", id.Name, name))
		id.Name = name
	}
	if namespace != "" && namespace != id.Namespace && xr.Namespace == "" {
		held = append(held, namespaceHeld(xr, id.Namespace, namespace))
		id.Namespace = namespace
	}
	return id, held
}

// existing returns the name and the namespace that the server's objects have, and
// nothing if there are none.
func existing(r *observed.Reader, xr observed.XR, suffixes map[names.Resource]string, namespace string) (string, string) {
	for _, res := range slices.Sorted(maps.Keys(suffixes)) {
		o := r.Composed(res)
		if name, ok := strings.CutSuffix(o.Name(), suffixes[res]); ok && name != "" && o.Namespace() != "" {
			return name, o.Namespace()
		}
	}
	if xr.Claim == nil || xr.Claim.Name == xr.Name {
		return "", ""
	}
	// Nothing is observed: an XR that existed before its claim may have lost what it
	// refers to. Its objects have its own name then.
	o, _ := r.Require(names.CoreV1, names.ConfigMapKind, names.ConfigMap(xr.Name), namespace)
	if c, ok := o.Controller(); !ok || xr.UID == "" || c.String("uid") != xr.UID {
		return "", ""
	}
	return xr.Name, o.Namespace()
}

func namespaceHeld(xr observed.XR, asked, have string) string {
	if c := xr.Claim; c != nil && c.Namespace == asked {
		return fmt.Sprintf("spec.claimRef.namespace: %q is held at %s, where the server is. A server cannot move to another namespace: bind the XR to a claim in that one", asked, have)
	}
	return fmt.Sprintf("input.namespace: %q is held at %s, where the server is. Set it back; a server cannot move to another namespace", asked, have)
}
