package server

import (
	"strings"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/pgstate"
	"github.com/dittofs/function-dittoserver/internal/record"
)

// have returns the database that the server keeps its control plane in, nil if it
// never had one.
func (h *holder) have() *record.Database {
	switch {
	case h.had != nil:
		return &h.had.Database
	case h.cluster.Exists() && h.initialized():
		// No server has been there yet, but a cluster with files is.
		return &record.Database{Kind: record.Percona}
	}
	return nil
}

// database decides which database the server uses. One that the server was not
// told to leave by name is never left: the other one would be empty.
func (h *holder) database() {
	asked := h.s.Target
	have := h.have()
	confirmed := h.confirmed(asked)

	if have != nil && !have.Same(asked) && !confirmed {
		h.hold("database", "the server keeps its control plane in %s and goes on using it; %s would be empty. %s",
			h.describe(*have), h.describe(asked), h.howToSwitch(asked))
		asked = *have
	}
	if h.had == nil && !confirmed {
		// A cluster that is there already may be as new as this server.
		h.s.Undecided = h.undecided(asked)
	}
	h.s.Target = h.wired(asked)
	h.s.Current = h.s.Target
	if h.had != nil && !have.Same(asked) && (!h.usable(asked) || h.lacksAdmin() || h.lacksSecret() || h.ownedByOthers(h.s.Target)) {
		// A server that runs is not stopped for a database that does not run, or that
		// nobody could log in to, nor is it said to be where it cannot get.
		h.s.Current = h.wired(*have)
	}
	h.spendSwitch(have)
	h.s.Connection = h.connection(h.s.Current)
	if h.s.Current.Same(h.s.Target) {
		h.ownedByOthers(h.s.Current)
	}
}

// moves reports whether the server leaves a database for another one.
func (h *holder) moves() bool { return h.had != nil && !h.s.Current.Same(h.had.Database) }

// ownedByOthers reports whether the pod is to have a variable as a value that whoever
// made the StatefulSet still owns as a reference, and tells so: server-side apply
// cannot take that away, and the API server refuses both together.
func (h *holder) ownedByOthers(d record.Database) bool {
	c, owned := h.connection(d), false
	for _, v := range []struct {
		name  string
		value Value
	}{{names.EnvDatabase, c.Name}, {names.EnvSSLMode, c.SSLMode}} {
		if v.value.Value != "" && h.formOfOthers(v.name, "valueFrom") {
			h.warn("database", "the StatefulSet cannot be changed to use %s: its variable %s is still a reference of whoever made it. Delete it with kubectl -n %s delete statefulset %s --cascade=orphan, and it is composed again", h.describe(d), v.name, h.s.Namespace, h.s.Name)
			owned = true
		}
	}
	return owned
}

// undecided reports whether an earlier server of this name left a database that
// may have its data, other than the one that is asked for, and tells so.
func (h *holder) undecided(asked record.Database) bool {
	credentials, volume := h.w.Earlier.Credentials, h.w.Earlier.Volume
	switch {
	case credentials.Exists() && asked.Kind != record.Percona:
		h.hold("database", "an earlier server of this name kept its control plane in PerconaPGCluster %s: Secret %s, which Percona keeps together with the volumes, is older than this server, and %s would be empty. No server is created until that is decided. Set %s to true to go on with that database. %s",
			names.Cluster(h.s.Name), credentials.Name(), h.describe(asked), h.spec.Path("percona.enabled"), h.howToSwitch(asked))
	case volume.Exists() && asked.Kind != record.SQLite && !credentials.Exists():
		h.hold("database", "there is a volume %s already: an earlier server of this name may have kept its control plane in SQLite on it, and %s would be empty. No server is created until that is decided. Ask for SQLite to go on with that file. %s",
			volume.Name(), h.describe(asked), h.howToSwitch(asked))
	default:
		return false
	}
	return true
}

// formOfOthers reports whether somebody else owns a variable of the server's container in
// a form: its value, or its valueFrom.
func (h *holder) formOfOthers(env, form string) bool {
	return h.live.OwnedByOthers(variable("containers", names.ContainerName, env, form)...)
}

// variable returns the path of a form of a container's variable in a StatefulSet.
func variable(containers, container, env, form string) []any {
	return []any{"spec", "template", "spec", containers, observed.Item{"name": container}, "env", observed.Item{"name": env}, form}
}

func (h *holder) howToSwitch(asked record.Database) string {
	at := h.spec.Path(pathSwitch)
	if c := h.confirmation(); c != "" && c == h.w.Record.Spent.Switch && confirms(c, asked, h.s.Name) {
		return "The confirmation in " + at.String() + " was there before this change, and confirms nothing. To move it there, set the field to " + h.name(asked)
	}
	return "To move it there, set " + at.String() + " to " + h.name(asked)
}

// confirmation returns what spec.database.confirmSwitch says.
func (h *holder) confirmation() string {
	return or(h.spec.Database, v1alpha1.DatabaseConfig{}).ConfirmSwitch
}

// confirmed reports whether the spec confirms a move to a database. A confirmation
// that was used, or stood in the spec of a server that did not move, confirms
// nothing: otherwise it would let every later move of the kind through.
func (h *holder) confirmed(asked record.Database) bool {
	c := h.confirmation()
	return c != h.w.Record.Spent.Switch && confirms(c, asked, h.s.Name)
}

// confirms reports whether a confirmation names a database: its kind, or the
// database itself.
func confirms(confirmation string, d record.Database, server string) bool {
	return confirmation == string(d.Kind) || confirmation == fullName(d, server)
}

// fullName is how a confirmation names a database itself.
func fullName(d record.Database, server string) string {
	switch d.Kind {
	case record.Percona:
		return string(d.Kind) + "/" + names.Cluster(server)
	case record.External:
		return string(d.Kind) + "/" + d.Secret
	case record.SQLite:
	}
	return string(d.Kind) + d.Path
}

// name is how a message names a database for a confirmation: by its kind, unless
// the spec has that already.
func (h *holder) name(d record.Database) string {
	if h.confirmation() == string(d.Kind) {
		return fullName(d, h.s.Name)
	}
	return string(d.Kind)
}

// spendSwitch records that a confirmation is used up: it let the server move, or
// the server is where it says. One that names another database itself is not.
func (h *holder) spendSwitch(have *record.Database) {
	c, spent := h.confirmation(), &h.s.Record.Spent
	switch {
	case c == "":
	case c == h.w.Record.Spent.Switch:
		spent.Switch = c
		h.warn(pathSwitch, "%s is left over: it confirms no other change; remove it", c)
	case !h.s.Current.Same(h.s.Target) || h.had == nil:
		// It is awaited what it confirms, or there is no server yet that could move.
	case confirms(c, h.s.Current, h.s.Name), have.Same(h.s.Target) && !strings.Contains(c, "/"):
		spent.Switch = c
	}
}

// wired returns how the server is connected to a database. Nothing of it becomes
// weaker because a Secret lost a key, is written in two steps, or is not there.
func (h *holder) wired(d record.Database) record.Database {
	same := h.had != nil && h.had.Database.Same(d)
	switch {
	case same:
		d = h.had.Database
	case h.had != nil && h.had.Database.OptionalKeys && d.Kind == record.External:
		// The references are the pod's, whichever database they are of.
		d.OptionalKeys, d.HasPort, d.HasSSLMode = true, true, true
	}
	switch d.Kind {
	case record.External:
		return h.wiredToExternal(d, same)
	case record.Percona:
		if h.formOfOthers(names.EnvDatabase, "valueFrom") || h.live.OwnedByOthers(variable("initContainers", names.InitContainerName, names.EnvPGDatabase, "valueFrom")...) {
			// It cannot become a value.
			return d
		}
		// A server that runs keeps the reference as long as it finds the right name.
		if name, ok := h.w.Secret(names.ClusterCredentials(h.s.Name)).Text(pgstate.KeyDBName); !same || ok && name != h.databaseName() {
			d.FixedName = true
		}
	case record.SQLite:
	}
	return d
}

func (h *holder) wiredToExternal(d record.Database, same bool) record.Database {
	s := h.w.Secret(d.Secret)
	if same && !pgstate.ReadExternal(s, d).Ready {
		return d
	}
	has := func(k string) bool { _, ok := s.Text(k); return ok }
	if d.OptionalKeys {
		d.FoundPort = d.FoundPort || has(pgstate.KeyPort)
		d.FoundSSLMode = d.FoundSSLMode || has(pgstate.KeySSLMode)
	}
	d.HasPort = d.HasPort || has(pgstate.KeyPort)
	d.HasSSLMode = d.HasSSLMode || has(pgstate.KeySSLMode)
	hadCA := d.HasCA
	d.HasCA = d.HasCA || has(names.CAKey)
	switch {
	case d.HasSSLMode:
		d.SSLMode = ""
	case d.HasCA && !hadCA:
		d.SSLMode = sslVerifyFull
	case d.SSLMode == "":
		// The server's own default is to send everything in the clear, even
		// where the database offers TLS.
		d.SSLMode = "prefer"
	}
	if d.OptionalKeys && !has(pgstate.KeySSLMode) {
		h.warn("database.postgresSecretRef", "Secret %s has no key sslmode, and so the server, as the DittoFS operator made it, talks to the database without TLS; add the key, for example with the value require", d.Secret)
	}
	return d
}

// usable reports whether a server can be started on a database.
func (h *holder) usable(d record.Database) bool {
	return pgstate.Read(h.w, d).Ready
}

func (h *holder) describe(d record.Database) string {
	switch d.Kind {
	case record.Percona:
		return "PerconaPGCluster " + names.Cluster(h.s.Name)
	case record.External:
		return "the database of Secret " + d.Secret
	case record.SQLite:
	}
	return "SQLite at " + d.Path
}

const sslVerifyFull = "verify-full"

// connection returns how the server reaches a database.
func (h *holder) connection(d record.Database) Connection {
	ref := func(secret, key string) Value { return Value{SecretKey: record.SecretKey{Name: secret, Key: key}} }
	switch d.Kind {
	case record.Percona:
		secret := names.ClusterCredentials(h.s.Name)
		c := Connection{
			URL:      ref(secret, pgstate.KeyURI),
			Host:     ref(secret, pgstate.KeyHost),
			Port:     ref(secret, pgstate.KeyPort),
			Name:     ref(secret, pgstate.KeyDBName),
			User:     ref(secret, pgstate.KeyUser),
			Password: ref(secret, pgstate.KeyPassword),
			// Percona's PostgreSQL refuses what is not TLS, and the server's own
			// default is not TLS.
			SSLMode:  Value{Value: sslVerifyFull},
			CASecret: names.ClusterCA(h.s.Name),
			Secret:   secret,
			Keys:     []string{pgstate.KeyHost, pgstate.KeyPort, pgstate.KeyDBName, pgstate.KeyUser, pgstate.KeyPassword, pgstate.KeyURI},
		}
		if d.FixedName {
			// Nothing comes from a Secret that names another database than ours.
			c.Name = Value{Value: h.databaseName()}
			c.Keys = []string{pgstate.KeyHost, pgstate.KeyPort, pgstate.KeyUser, pgstate.KeyPassword}
		}
		return c
	case record.External:
		c := Connection{
			Host:     ref(d.Secret, pgstate.KeyHost),
			Name:     ref(d.Secret, pgstate.KeyDatabase),
			User:     ref(d.Secret, pgstate.KeyUser),
			Password: ref(d.Secret, pgstate.KeyPassword),
			SSLMode:  Value{Value: d.SSLMode},
			Secret:   d.Secret,
			Keys:     []string{pgstate.KeyHost, pgstate.KeyDatabase, pgstate.KeyUser, pgstate.KeyPassword, pgstate.KeyPort, pgstate.KeySSLMode},
		}
		if d.HasPort {
			c.Port = ref(d.Secret, pgstate.KeyPort)
			c.Port.Optional, c.Port.Needed = d.OptionalKeys, d.FoundPort
		}
		if d.HasSSLMode {
			c.SSLMode = ref(d.Secret, pgstate.KeySSLMode)
			c.SSLMode.Optional, c.SSLMode.Needed = d.OptionalKeys, d.FoundSSLMode
		}
		if !d.NeedsPort() {
			c.MayLack = append(c.MayLack, pgstate.KeyPort)
		}
		if !d.NeedsSSLMode() {
			c.MayLack = append(c.MayLack, pgstate.KeySSLMode)
		}
		if d.HasCA {
			c.CASecret = d.Secret
		}
		return c
	case record.SQLite:
	}
	return Connection{SQLitePath: d.Path}
}
