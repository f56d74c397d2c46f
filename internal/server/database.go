package server

import (
	"cmp"
	"fmt"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/pgstate"
)

// database decides which database the server uses. One that a live server was
// not told to leave by name is never left: the other one would be empty.
func (r *resolver) database() {
	asked := r.askedDatabase()
	r.readCluster(asked.Kind)
	have := r.live.database
	if have == nil && r.live.cluster != nil {
		// No server has been there yet, but a cluster is on its way.
		have = &Database{Kind: Percona}
	}
	if len(r.errs) > 0 {
		// Nothing is going to change, and the conditions tell of what is live.
		if have == nil {
			have = &asked
		}
		r.s.Target, r.s.Database = *have, *have
		return
	}
	confirmed := DatabaseKind(or(r.ask.Spec.Database, v1alpha1.DatabaseConfig{}).ConfirmSwitch) == asked.Kind

	switch {
	case have == nil || have.Same(asked):
		r.s.Target, r.s.Database = asked, asked
	case !confirmed:
		r.hold("database", "the server keeps its control plane in %s and goes on using it; %s would be empty. To move it there, set %s to %s",
			r.describe(*have), r.describe(asked), r.ask.Path("database.confirmSwitch"), asked.Kind)
		r.s.Target, r.s.Database = r.external(*have), r.external(*have)
	default:
		r.s.Target, r.s.Database = asked, asked
		if r.live.database != nil && !r.ready(asked) {
			// A server that runs is not stopped for a database that does not.
			r.s.Database = r.external(*r.live.database)
		}
	}
}

// askedDatabase is the database that the spec alone asks for.
func (r *resolver) askedDatabase() Database {
	spec := or(r.ask.Spec.Database, v1alpha1.DatabaseConfig{})
	if spec.Type != "" {
		r.oneOf("database.type", spec.Type, v1alpha1.DatabaseTypeSQLite, v1alpha1.DatabaseTypePostgres)
	}
	if spec.ConfirmSwitch != "" {
		r.oneOf("database.confirmSwitch", spec.ConfirmSwitch, string(SQLite), string(External), string(Percona))
	}

	if p := r.ask.Spec.Percona; p != nil && p.Enabled {
		if spec.PostgresSecretRef != nil {
			r.warn("database.postgresSecretRef", "is ignored: %s wins over it; remove one of them", r.ask.Path("percona.enabled"))
		}
		if spec.Type == v1alpha1.DatabaseTypeSQLite {
			r.warn("database.type", "sqlite is ignored: %s wins over it; remove one of them", r.ask.Path("percona.enabled"))
		}
		return Database{Kind: Percona}
	}
	if spec.PostgresSecretRef != nil {
		name, _ := r.secretRef("database.postgresSecretRef", spec.PostgresSecretRef, "-")
		if len(r.errs) > 0 {
			return Database{Kind: External, Secret: name}
		}
		if s := r.w.Secret(name); s.Exists() && s.Has("data", pgstate.KeyConnectionString) && !s.Has("data", pgstate.KeyHost) {
			r.invalid("database.postgresSecretRef.name", name, "the Secret has only the key connection-string, which the server cannot read; give it the keys host, port, database, user, password and, if wanted, sslmode and ca.crt")
		}
		return r.external(Database{Kind: External, Secret: name})
	}
	if spec.Type == v1alpha1.DatabaseTypePostgres {
		r.invalid("database.type", spec.Type, fmt.Sprintf("needs a database: set %s, or name the Secret of your own in %s", r.ask.Path("percona.enabled"), r.ask.Path("database.postgresSecretRef")))
	}
	path := cmp.Or(or(spec.SQLite, v1alpha1.SQLiteConfig{}).Path, DefaultSQLitePath)
	if !r.onVolume(path) {
		r.invalid("database.sqlite.path", path, "must be a file below "+r.volumeDirs()+": the rest of the container is read-only and gone with the pod")
	}
	return Database{Kind: SQLite, Path: path}
}

// external fills in what the Secret of an external database holds. One that
// cannot be read for a moment changes nothing.
func (r *resolver) external(d Database) Database {
	if d.Kind != External {
		return d
	}
	s := r.w.Secret(d.Secret)
	if !s.Exists() {
		if l := r.live.database; l != nil && l.Same(d) {
			return *l
		}
	}
	has := func(k string) bool { _, ok := s.Data(k); return ok }
	d.HasPort, d.HasSSLMode, d.HasCA = has(pgstate.KeyPort), has(pgstate.KeySSLMode), has(names.CAKey)
	switch {
	case d.HasSSLMode:
		d.SSLMode = ""
	case d.HasCA:
		d.SSLMode = "verify-full"
	default:
		// The server's own default is to send everything in the clear, even
		// where the database offers TLS.
		d.SSLMode = "prefer"
	}
	return d
}

// ready says whether a server can be started on the database.
func (r *resolver) ready(d Database) bool {
	switch d.Kind {
	case Percona:
		return pgstate.ReadCluster(r.w, r.name).Ready
	case External:
		return pgstate.ReadExternal(r.w.Secret(d.Secret)).Ready
	case SQLite:
	}
	return true
}

func (r *resolver) describe(d Database) string {
	switch d.Kind {
	case Percona:
		return "PerconaPGCluster " + names.Cluster(r.name)
	case External:
		return "the database of Secret " + d.Secret
	case SQLite:
	}
	return "SQLite at " + d.Path
}
