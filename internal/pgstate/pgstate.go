// Package pgstate reads how a server's database is: from what Percona reports
// of a PerconaPGCluster, and from the Secrets that a client needs.
package pgstate

import (
	"strings"

	pgv2 "github.com/percona/percona-postgresql-operator/v2/pkg/apis/pgv2.percona.com/v2"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/world"
)

// Reasons of the condition DatabaseReady.
const (
	ReasonReady                = "PostgreSQLReady"
	ReasonOperatorNotInstalled = "PerconaOperatorNotInstalled"
	ReasonClusterNotFound      = "PerconaPGClusterNotFound"
	ReasonWaiting              = "WaitingForPostgreSQL"
	ReasonUpdating             = "PostgreSQLUpdating"
	ReasonPaused               = "PostgreSQLPaused"
	ReasonStopping             = "PostgreSQLStopping"
	ReasonCredentialsNotFound  = "CredentialsNotFound"
	ReasonCredentialsFound     = "CredentialsFound"
)

// Keys of the Secrets with a connection: Percona's, and a user's own.
// Source: percona-postgresql-operator v2.9.0
// internal/controller/postgrescluster/postgres.go; dittofs-operator.
const (
	KeyHost     = "host"
	KeyPort     = "port"
	KeyUser     = "user"
	KeyPassword = "password"
	KeyDBName   = "dbname"
	KeyURI      = "uri"

	KeyDatabase = "database"
	KeySSLMode  = "sslmode"
	// KeyConnectionString is the key that the DittoFS operator documents and
	// nothing reads.
	KeyConnectionString = "connection-string"
)

// A State is how a database is.
type State struct {
	Ready   bool
	Reason  string
	Message string

	// What Percona reports of a cluster.
	ClusterState    string
	Instances       int32
	ReadyInstances  int32
	PostgresVersion int32

	// What the credentials say of the connection, none of it secret.
	Host string
	Port string
	Name string
	User string
}

func (s State) because(reason, message string) State {
	s.Ready, s.Reason, s.Message = false, reason, message
	return s
}

// Read reads the state of a database that a server is or may be wired to.
func Read(w world.World, d record.Database) State {
	switch d.Kind {
	case record.Percona:
		return readCluster(w)
	case record.External:
		return ReadExternal(w.Secret(d.Secret), d)
	case record.SQLite:
	}
	return State{Ready: true}
}

func readCluster(w world.World) State {
	e := w.Object(names.Postgres)
	if e.Presence == world.Absent && w.Percona == observed.NotServed {
		return State{}.because(ReasonOperatorNotInstalled,
			"Percona Operator for PostgreSQL is not installed: the platform team installs it (its CustomResourceDefinition "+names.PostgresCRD+" is missing), and the database is created then")
	}
	switch e.Presence {
	case world.Unknown, world.Absent:
		return State{}.because(ReasonClusterNotFound, "PerconaPGCluster "+e.Name+" does not exist yet; it is being created")
	case world.Foreign:
		return State{}.because(ReasonClusterNotFound, "PerconaPGCluster "+e.Name+" exists and is not this server's; the condition Accepted tells what to do")
	case world.Deleting:
		return leaving(e.Name)
	case world.Ours:
	}
	if e.Leaving {
		return leaving(e.Name)
	}

	s := status(e.Object)
	creds := w.Secret(names.ClusterCredentials(w.Name))
	ca := w.Secret(names.ClusterCA(w.Name))
	s.Host, s.Port, s.Name, s.User = text(creds, KeyHost), text(creds, KeyPort), text(creds, KeyDBName), text(creds, KeyUser)
	if !s.Ready {
		return s
	}
	if missing, _ := lacks(creds, KeyHost, KeyPort, KeyDBName, KeyUser, KeyPassword, KeyURI); missing != "" {
		return s.because(ReasonCredentialsNotFound, "PostgreSQL is ready, and "+missing+"; Percona's operator makes it")
	}
	if missing, _ := lacks(ca, names.CAKey); missing != "" {
		return s.because(ReasonCredentialsNotFound, "PostgreSQL is ready, and "+missing+"; Percona's operator makes it")
	}
	return s
}

func leaving(cluster string) State {
	return State{}.because(ReasonClusterNotFound, "PerconaPGCluster "+cluster+" is being deleted; it is created again when it is gone")
}

// status reads what Percona reports. Its state is set from another generation
// of the spec than observedGeneration says, now and then, and counts pods that
// exist, not pods that are wanted: so ready alone does not prove much.
func status(c observed.Object) State {
	s := State{
		ClusterState:    c.String("status", "state"),
		Instances:       int32(c.Int("status", "postgres", "size")),  //nolint:gosec // A handful.
		ReadyInstances:  int32(c.Int("status", "postgres", "ready")), //nolint:gosec // A handful.
		PostgresVersion: int32(c.Int("spec", "postgresVersion")),     //nolint:gosec // Two digits.
	}
	name := c.Name()
	switch pgv2.AppState(s.ClusterState) {
	case pgv2.AppStatePaused:
		return s.because(ReasonPaused, "PerconaPGCluster "+name+" is paused; the database is started again by setting its spec.pause to false")
	case pgv2.AppStateStopping:
		return s.because(ReasonStopping, "PerconaPGCluster "+name+" is being paused")
	case pgv2.AppStateReady:
	default:
		return s.because(ReasonWaiting, "PostgreSQL is not ready; Percona's operator is starting or restarting it. See: kubectl -n "+c.Namespace()+" describe perconapgcluster "+name)
	}
	if g := c.Int("status", "observedGeneration"); g > 0 && g < c.Int("metadata", "generation") {
		return s.because(ReasonUpdating, "Percona's operator has not seen the latest change of PerconaPGCluster "+name+" yet")
	}
	if s.Instances < 1 || s.ReadyInstances < s.Instances {
		return s.because(ReasonUpdating, "not every PostgreSQL instance of PerconaPGCluster "+name+" is ready")
	}
	s.Ready, s.Reason, s.Message = true, ReasonReady, "PostgreSQL is ready, and the server has its credentials and its CA"
	return s
}

// ReadExternal reads whether the Secret of somebody else's database holds what
// the server needs, and what it is wired to take from it. How that database is,
// nobody here knows.
func ReadExternal(s world.Secret, d record.Database) State {
	st := State{Host: text(s, KeyHost), Port: text(s, KeyPort), Name: text(s, KeyDatabase), User: text(s, KeyUser)}
	keys := []string{KeyHost, KeyDatabase, KeyUser, KeyPassword}
	if d.NeedsPort() {
		keys = append(keys, KeyPort)
	}
	if d.NeedsSSLMode() {
		keys = append(keys, KeySSLMode)
	}
	if d.HasCA {
		keys = append(keys, names.CAKey)
	}
	missing, fix := lacks(s, keys...)
	switch {
	case missing != "" && s.Has("data", KeyConnectionString):
		return st.because(ReasonCredentialsNotFound, missing+". The server cannot read the key "+KeyConnectionString+"; add the keys host, port, database, user, password and, if wanted, sslmode and ca.crt")
	case missing != "":
		return st.because(ReasonCredentialsNotFound, missing+"; "+fix)
	}
	st.Ready, st.Reason = true, ReasonCredentialsFound
	st.Message = "Secret " + s.Name + " tells how to reach the database; whether it can be reached is not known here"
	return st
}

// lacks tells what a Secret does not hold and what to do about it, and is empty if
// that is nothing.
func lacks(s world.Secret, keys ...string) (problem, fix string) {
	if !s.Exists() {
		return "Secret " + s.Name + " does not exist", "create it with " + enumerate(keys)
	}
	var missing, garbled []string
	for _, k := range keys {
		if _, ok := s.Data(k); !ok {
			missing = append(missing, k)
		} else if _, ok := s.Text(k); !ok {
			garbled = append(garbled, k)
		}
	}
	switch {
	case len(missing) > 0:
		return "Secret " + s.Name + " lacks " + strings.Join(missing, ", "), "add " + them(missing)
	case len(garbled) > 0:
		return "Secret " + s.Name + " has bytes that are no text in " + strings.Join(garbled, ", "), "correct " + them(garbled)
	}
	return "", ""
}

func enumerate(keys []string) string {
	last := len(keys) - 1
	if last == 0 {
		return "the key " + keys[0]
	}
	return "the keys " + strings.Join(keys[:last], ", ") + " and " + keys[last]
}

func them(keys []string) string {
	if len(keys) == 1 {
		return "it"
	}
	return "them"
}

func text(s world.Secret, key string) string {
	t, _ := s.Text(key)
	return t
}

// Conditions of a PerconaPGCluster that tell how its backups are.
// Source: percona-postgresql-operator v2.9.0
// internal/controller/postgrescluster/pgbackrest.go.
const (
	conditionRepoHost    = "PGBackRestRepoHostReady"
	conditionRepo        = "PGBackRestReplicaRepoReady"
	conditionFirstBackup = "PGBackRestReplicaCreate"
)

// Reasons of the condition BackupReady.
const (
	ReasonBackupsReady       = "BackupsReady"
	ReasonRepositoryNotReady = "RepositoryNotReady"
	ReasonFirstBackupPending = "FirstBackupPending"
	ReasonBackupsOff         = "BackupsOff"
)

// ReadBackups reads how the backups of a cluster are that has some. Wrong
// credentials do not change a cluster's state; they are seen here only.
func ReadBackups(c observed.Object) State {
	is := map[string]bool{}
	for _, cond := range c.List("status", "conditions") {
		is[cond.String("type")] = cond.String("status") == "True"
	}
	see := " See: kubectl -n " + c.Namespace() + " describe perconapgcluster " + c.Name()
	switch {
	case !is[conditionRepoHost]:
		return State{Reason: ReasonRepositoryNotReady, Message: "pgBackRest's repository host is not ready yet." + see}
	case !is[conditionRepo]:
		return State{Reason: ReasonRepositoryNotReady, Message: "pgBackRest has not created its stanza in the bucket; if this lasts, the bucket, the endpoint or the credentials are wrong." + see}
	case !is[conditionFirstBackup]:
		// The operator's Job does not ask for pgBackRest's start-fast.
		return State{Reason: ReasonFirstBackupPending, Message: "the first full backup is not complete yet; it begins with PostgreSQL's next checkpoint, which is within five minutes." + see}
	}
	return State{Ready: true, Reason: ReasonBackupsReady, Message: "a full backup exists and the schedules are set. List the backups with: kubectl -n " + c.Namespace() + " get perconapgbackups"}
}

// BackupsOn reports whether a cluster has backups.
func BackupsOn(c observed.Object) bool {
	if v := c.Value("spec", "backups", "enabled"); v != nil && !v.GetBoolValue() {
		return false
	}
	return len(c.List("spec", "backups", "pgbackrest", "repos")) > 0
}
