package server

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	pgv2 "github.com/percona/percona-postgresql-operator/v2/pkg/apis/pgv2.percona.com/v2"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/pgstate"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/strict"
	"github.com/dittofs/function-dittoserver/internal/world"
)

// last returns what was recorded of the cluster, nil if there is no record.
func (h *holder) last() *record.Cluster { return h.w.Record.Cluster }

// initialized reports whether the database has files, or may have some. A
// database without any follows every edit.
func (h *holder) initialized() bool {
	if c := h.last(); c != nil && c.Initialized || h.had != nil && h.had.Database.Kind == record.Percona {
		return true
	}
	if !h.cluster.Exists() {
		return h.w.KeptCredentials().Exists()
	}
	if h.last() == nil {
		// Somebody else made it.
		return true
	}
	switch pgv2.AppState(h.cluster.String("status", "state")) {
	case pgv2.AppStateReady, pgv2.AppStatePaused, pgv2.AppStateStopping:
		return true
	}
	// Patroni writes the identifier when it has initialised the database.
	// Source: percona-postgresql-operator v2.9.0
	// internal/controller/postgrescluster/patroni.go.
	return h.cluster.String("status", "patroni", "status", "systemIdentifier") != "" || h.cluster.Int("status", "postgres", "ready") > 0
}

// lastSpec returns what was recorded at a path of the cluster's spec or, where
// there is no record, what the live cluster has there.
func (h *holder) lastSpec(path ...string) string {
	if c := h.last(); c != nil {
		return c.String(path...)
	}
	return h.cluster.String(append([]string{"spec"}, path...)...)
}

// unused reports whether it is certain that no server has kept its control plane
// in the cluster: this server's XR made it, and no server was on it since.
func (h *holder) unused() bool {
	if h.had != nil && h.had.Database.Kind == record.Percona {
		return false
	}
	if c := h.last(); c != nil {
		return c.Unused
	}
	return !h.cluster.Exists() && !h.w.KeptCredentials().Exists()
}

// keptDatabaseName returns the name of the database that has the server's data,
// empty if there is none.
func (h *holder) keptDatabaseName() string {
	if !h.initialized() {
		return ""
	}
	if name := h.last().DatabaseName(); name != "" {
		return name
	}
	if h.cluster.Exists() {
		if dbs := h.cluster.Named(names.PostgresUser, "spec", "users").Strings("databases"); len(dbs) > 0 {
			return dbs[0]
		}
	}
	name, _ := h.w.KeptCredentials().Text(pgstate.KeyDBName)
	return name
}

// databaseName returns the name of the database that the server is to use.
func (h *holder) databaseName() string {
	asked := defaultDatabaseName
	if h.s.Cluster != nil {
		asked = h.s.Cluster.DatabaseName
	}
	return cmp.Or(h.keptDatabaseName(), asked)
}

// postgres decides every value of the PerconaPGCluster. Once there is one, it
// stays, whatever the spec says.
func (h *holder) postgres() {
	h.s.Record.VersionGuessed = h.w.Record.VersionGuessed
	// One that never held data, and that nobody asks for, is not made again.
	there := h.cluster.Exists() || h.s.Target.Kind == record.Percona || h.s.Current.Kind == record.Percona
	if !there {
		// The server is held elsewhere, and no cluster is made for nothing.
		h.s.Cluster = nil
		return
	}
	if h.s.Cluster == nil {
		h.s.Cluster = h.keptCluster()
	}
	c := h.s.Cluster
	c.Last = h.last()
	c.Initialized = h.initialized()
	c.Unused = h.unused()
	c.Asked = h.spec.AskedOfPercona()
	c.AskChanged, c.NewlyAsked = h.changes(c.Asked)

	h.clusterVersion(c)
	h.clusterStorage(c)
	h.clusterDatabases(c)
	h.backup(c)

	if c.Kept && h.s.Target.Kind != record.Percona {
		h.warn("percona", "PerconaPGCluster %s is kept although the server does not use it; delete it with kubectl when its data is not needed any more", names.Cluster(h.s.Name))
	}
}

// keptCluster returns what a cluster is made of that the spec does not ask for any
// more. That Percona is to delete the volumes with the cluster is no longer said,
// either: data is kept.
func (h *holder) keptCluster() *Cluster {
	spec := or(h.spec.Percona, v1alpha1.PerconaConfig{})
	return &Cluster{
		Kept:            true,
		PostgresVersion: cmp.Or(h.last().PostgresVersion(), int(h.cluster.Int("spec", "postgresVersion")), DefaultPostgresVersion),
		CRVersion:       DefaultCRVersion,
		Replicas:        defaultClusterReplicas,
		StorageSize:     resource.MustParse(defaultClusterStorage),
		DatabaseName:    defaultDatabaseName,
		DriftPolicy:     cmp.Or(spec.DriftPolicy, v1alpha1.DriftPolicyKeep),
	}
}

// changes compares what is said of the cluster with what was said last time.
func (h *holder) changes(asked map[string]any) (changed bool, newly func(path string) bool) {
	last := h.last()
	newly = func(path string) bool {
		keys := strings.Split(path, ".")
		now := strict.Lookup(asked, keys)
		if last == nil {
			return now != nil
		}
		return last.Digest == "" && now != nil && !reflect.DeepEqual(now, strict.Lookup(last.Asked, keys))
	}
	switch {
	case last == nil:
		return true, newly
	case last.Digest != "":
		return last.Digest != digest(h.spec.merged["percona"]), newly
	}
	return (len(asked) > 0 || len(last.Asked) > 0) && !reflect.DeepEqual(asked, last.Asked), newly
}

// digest is how the first format of the record names what is asked for.
func digest(v any) string {
	// Maps are marshalled in the order of their keys.
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// filesVersion returns the major version of the database's files, 0 if there are
// none or it is not known. It is the recorded one, unless Percona's own upgrade has
// written another, together with its image.
func (h *holder) filesVersion() int {
	if !h.initialized() || h.w.Record.VersionGuessed && h.cluster.Int("status", "postgres", "ready") == 0 {
		return 0
	}
	recorded, live := h.last().PostgresVersion(), int(h.cluster.Int("spec", "postgresVersion"))
	if recorded == 0 || !h.cluster.Exists() {
		return cmp.Or(recorded, live)
	}
	image := h.cluster.String("spec", "image")
	major, known := ImageMajor(image)
	if live > recorded && image != h.last().String("image") && (!known || major == live) {
		return live
	}
	return recorded
}

// clusterVersion decides what software runs. The binaries of one major version on
// the data of another destroy it.
func (h *holder) clusterVersion(c *Cluster) {
	asked, stated := c.PostgresVersion, h.spec.States("percona.postgresVersion") && !c.Kept
	files := h.filesVersion()
	if version := cmp.Or(files, asked); version != asked {
		c.PostgresVersion = version
		switch {
		case !stated:
		case h.cluster.Exists():
			h.hold("percona.postgresVersion", "%d is held at %d, the version of the database's files. To upgrade, create a PerconaPGUpgrade; when it is done, set this field to its version", asked, version)
		default:
			h.hold("percona.postgresVersion", "%d is held at %d, the version of the files that the cluster left on its volumes. Set it back; to begin again without them, delete the volumes, the Secret %s and the ConfigMap %s", asked, version, names.ClusterCredentials(h.s.Name), names.ConfigMap(h.s.Name))
		}
	}
	version := c.PostgresVersion
	h.s.Record.VersionGuessed = files == 0 && c.Initialized
	if h.s.Record.VersionGuessed {
		h.warn("percona.postgresVersion", "the volumes of PerconaPGCluster %s are older than this server, and nothing tells the version of the files on them; PostgreSQL starts only if it is %d. If it does not, set this field to the version that they are of", names.Cluster(h.s.Name), version)
	}

	// What neither XR nor Input states is what was chosen, or what is live.
	if !h.spec.States("percona.crVersion") || c.Kept {
		c.CRVersion = cmp.Or(h.last().String("crVersion"), h.cluster.String("spec", "crVersion"), DefaultCRVersion)
		if needsPgBouncer(c.CRVersion) {
			h.warn("percona.crVersion", "PerconaPGCluster %s is of version %s, for which Percona's operator 2.9 and newer demand a pgBouncer and its image, and it does not become ready; set this field to %s", names.Cluster(h.s.Name), c.CRVersion, DefaultCRVersion)
		}
	}
	// What was chosen for the version that the cluster had before an upgrade does
	// not fit the one that it has now.
	chosen := func(path ...string) string {
		switch {
		case h.last().PostgresVersion() == version:
			return h.last().String(path...)
		case int(h.cluster.Int("spec", "postgresVersion")) == version:
			return h.cluster.String(append([]string{"spec"}, path...)...)
		}
		return ""
	}
	unstated := cmp.Or(chosen("image"), defaultPostgresImage(version))
	c.Backup.Image = cmp.Or(chosen("backups", "pgbackrest", "image"), h.last().String("backups", "pgbackrest", "image"), DefaultBackupImage)
	image := c.Image
	if image == "" {
		c.Image = unstated
		return
	}
	c.Stated = record.StatedImage{Image: image, PostgresVersion: version}
	if l := h.last(); l != nil && l.Stated.Image == image && files != 0 {
		c.Stated.PostgresVersion = l.Stated.PostgresVersion
	}
	major, known := ImageMajor(image)
	switch {
	case files == 0 && known && major != asked:
		h.invalid("percona.image", image, fmt.Sprintf("its tag says PostgreSQL %d, and %s is %d", major, h.spec.Path("percona.postgresVersion"), asked))
	case files != 0 && (known && major != version || c.Stated.PostgresVersion != version || asked != version && stated):
		h.hold("percona.image", "%s is held at %s: the database's files are of PostgreSQL %d. Name an image of that version", image, unstated, version)
		c.Image = unstated
	}
}

// clusterStorage decides the size and class of the database's volumes. Volumes
// cannot shrink, and do not move.
func (h *holder) clusterStorage(c *Cluster) {
	live := h.cluster.Named(names.InstanceSet, "spec", "instances").At("dataVolumeClaimSpec")
	asked := record.Volume{Size: c.StorageSize.String(), Class: c.StorageClassName}
	last, _ := h.last().Instance()["dataVolumeClaimSpec"].(map[string]any)
	if !c.Initialized {
		h.followStorage(c, asked)
		return
	}
	c.Volume = asked
	switch {
	case h.last() != nil:
		c.Volume = h.last().Volume
	case live.Exists():
		// Whoever made the cluster chose it.
		c.Volume = record.Volume{Size: cmp.Or(live.String("resources", "requests", "storage"), asked.Size), Class: classOf(live)}
	}

	c.StorageSize = h.heldSize(c, live, last)
	var have *string
	switch {
	case last != nil:
		if s, ok := last["storageClassName"].(string); ok {
			have = &s
		}
	case live.Exists():
		have = classOf(live)
	default:
		return
	}
	if sameClass(c.StorageClassName, have) {
		return
	}
	// An edit from the time when the database had no files never reached the volume,
	// and can be undone.
	if v := c.Volume; h.last() != nil && v.Size != "" && sameClass(c.StorageClassName, v.Class) {
		return
	}
	if !c.Kept && (h.spec.States("percona.storageClassName") || last != nil) {
		h.hold("percona.storageClassName", "%s is held at %s, where the database's volumes are. Set it back; a database moves to another class by being restored into a new server", class(c.StorageClassName), class(have))
	}
	c.StorageClassName = have
}

// followStorage follows every edit of a database that was never initialised, and
// warns of what cannot be changed in place: the volume that it was given first.
func (h *holder) followStorage(c *Cluster, asked record.Volume) {
	c.Volume = asked
	last := h.last()
	if last == nil || !h.cluster.Exists() || last.Volume.Size == "" {
		return
	}
	c.Volume = last.Volume
	if c.Kept {
		// Nothing is asked for that the volume could lack.
		return
	}
	// The volume grows with the spec, and does not shrink again.
	if grown, err := resource.ParseQuantity(last.Volume.Size); err == nil && c.StorageSize.Cmp(grown) > 0 {
		c.Volume.Size = asked.Size
	}
	size, err := resource.ParseQuantity(last.Volume.Size)
	remove := fmt.Sprintf("The database was never initialised: delete it, kubectl -n %[1]s delete perconapgcluster %[2]s, then its volumes (kubectl -n %[1]s get pvc shows those whose name begins with %[2]s), and it is created again", h.s.Namespace, names.Cluster(h.s.Name))
	if !sameClass(asked.Class, last.Volume.Class) {
		h.warn("percona.storageClassName", "%s cannot be given to the volume that was made with %s. %s", class(asked.Class), class(last.Volume.Class), remove)
	}
	if err == nil && c.StorageSize.Cmp(size) < 0 {
		h.warn("percona.storageSize", "the volume was made with %s and cannot shrink to %s. %s", last.Volume.Size, asked.Size, remove)
	}
}

func (h *holder) heldSize(c *Cluster, live observed.Object, last map[string]any) resource.Quantity {
	asked := c.StorageSize
	recorded, _ := strict.Lookup(last, []string{"resources", "requests", "storage"}).(string)
	have, err := resource.ParseQuantity(cmp.Or(recorded, live.String("resources", "requests", "storage")))
	// The larger of both: a person can have grown the volume, and nobody can have
	// made it smaller.
	if grown, err2 := resource.ParseQuantity(live.String("resources", "requests", "storage")); err2 == nil && grown.Cmp(have) > 0 {
		have, err = grown, nil
	}
	if err != nil || asked.Cmp(have) >= 0 {
		return asked
	}
	if recorded != "" {
		q, err := resource.ParseQuantity(recorded)
		if err == nil && q.Cmp(asked) == 0 && c.DriftPolicy == v1alpha1.DriftPolicyKeep && !c.NewlyAsked("storageSize") {
			// Nobody asked for less: somebody grew the live volume, and that is
			// an edit like any other.
			return asked
		}
	}
	if c.Kept || !h.spec.States("percona.storageSize") {
		// Nobody asks for less.
		return have
	}
	h.hold("percona.storageSize", "%s is held at %s: volumes cannot shrink. Ask for at least %s", asked.String(), have.String(), have.String())
	return have
}

// clusterDatabases decides the names of the databases.
func (h *holder) clusterDatabases(c *Cluster) {
	if kept := h.keptDatabaseName(); kept != "" && kept != c.DatabaseName {
		if !c.Kept && (h.spec.States("percona.databaseName") || h.last() != nil) {
			h.hold("percona.databaseName", "%s is held at %s, where the server's data is. Set it back: another name would be another, empty database", c.DatabaseName, kept)
		}
		c.DatabaseName = kept
	}
	if c.MetadataDatabaseName != "" && c.MetadataDatabaseName == c.DatabaseName {
		h.invalid("percona.metadataDatabaseName", c.MetadataDatabaseName, "must differ from the database of the control plane: both have a table named shares")
	}
}

// backup decides how the cluster is backed up. Backups never end because of
// something that is missing.
func (h *holder) backup(c *Cluster) {
	b := &c.Backup
	on := h.last().BackupsOn()
	if h.last() == nil {
		on = h.cluster.Exists() && pgstate.BackupsOn(h.cluster)
	}
	h.confirmRemoval(b, on)
	if b.Mode == BackupOn {
		h.repositoryPath(c)
	}
	if b.Mode == BackupHeld {
		b.Secret = h.backupSecret()
	}
	if b.Secret != "" && b.Mode.On() {
		h.credentials(b, on)
	}
	h.backupsByHand(c, on)
}

// backupsByHand tells of backups that a person has switched on or off on the live
// cluster itself. Such an edit stays, or is reverted, like any other.
func (h *holder) backupsByHand(c *Cluster, on bool) {
	live := h.cluster.Exists() && pgstate.BackupsOn(h.cluster)
	revert := c.DriftPolicy == v1alpha1.DriftPolicyRevert && !c.Kept
	switch {
	case !h.cluster.Exists() || h.last() == nil || live == on:
	case on && !revert && c.Backup.Mode.On():
		h.warn("percona.backup.enabled", "backups were switched off on PerconaPGCluster %[1]s itself, and the database has none; to have them again, set its spec.backups.enabled to true, or %[2]s to %[3]s", names.Cluster(h.s.Name), h.spec.Path("percona.driftPolicy"), v1alpha1.DriftPolicyRevert)
	case live && revert && !c.Backup.Mode.On():
		// Percona does not reconcile a cluster whose backups are switched off
		// without authorization.
		c.Backup.Mode = BackupRemoved
	case live && !c.Backup.Mode.On():
		h.warn("percona.backup.enabled", "backups were switched on on PerconaPGCluster %s itself, and not here: they run, and nothing here says where to and for how long; state them here, or switch them off there", names.Cluster(h.s.Name))
	}
}

// confirmRemoval decides whether backups are switched off. A confirmation is used
// up like that of a switch.
func (h *holder) confirmRemoval(b *Backup, on bool) {
	confirm := false
	if p := h.spec.Percona; p != nil && p.Enabled && p.Backup != nil {
		confirm = p.Backup.ConfirmRemoval
	}
	spent := h.w.Record.Spent.Removal
	h.s.Record.Spent.Removal = confirm || spent && h.s.Cluster.Kept
	switch {
	case b.Mode == BackupOn:
		if confirm && spent {
			h.warn(pathRemoval, "is left over: it confirms no later removal; remove it")
		}
	case !h.s.Cluster.Kept && !h.s.Cluster.Initialized && (on || h.cluster.Annotation(names.AnnotationAuthorizeBackupRemoval) == "true"):
		// There is nothing that could be restored. Percona has to be told, even so,
		// and nothing tells when it has noticed.
		b.Mode = BackupRemoved
	case on && (!confirm || spent):
		b.Mode = BackupHeld
		if h.s.Cluster.Kept {
			return
		}
		how := "To switch them off, set %s to true"
		if confirm {
			how = "The confirmation in %s was there before this change, and confirms nothing: set it to false, and then to true again"
		}
		h.hold("percona.backup.enabled", "backups stay on: without them the data cannot be restored. "+how, h.spec.Path(pathRemoval))
	case confirm:
		b.Mode = BackupRemoved
	}
}

// repositoryPath decides where in the bucket the backups lie. Two clusters in
// one place destroy each other's backups, and so does a cluster made again on
// fresh volumes; hence the UID.
func (h *holder) repositoryPath(c *Cluster) {
	b := &c.Backup
	const option = "repo1-path"
	kept := h.lastSpec("backups", "pgbackrest", "global", option)
	if b.Path != "" && !c.Initialized {
		kept = ""
	}
	switch {
	case b.Path == "" && kept != "":
		b.Path = kept
	case b.Path == "":
		b.Path = fmt.Sprintf("/pgbackrest/%s/%s", h.s.Namespace, h.s.Name)
		if uid := h.w.XR.UID; uid != "" {
			b.Path += "-" + uid[:min(len(uid), 8)]
		}
		b.Path += "/repo1"
	case kept != "" && kept != b.Path:
		h.hold("percona.backup.path", "%s is held at %s, where the backups are. Set it back; to begin again elsewhere, switch backups off with %s first", b.Path, kept, h.spec.Path(pathRemoval))
		b.Path = kept
	}
}

// backupSecret returns the Secret with the credentials of backups that the spec
// does not ask for any more: the one that it still names, else the recorded one.
func (h *holder) backupSecret() string {
	if p := h.spec.Percona; p != nil && p.Backup != nil && p.Backup.CredentialsSecretRef != nil && p.Backup.CredentialsSecretRef.Name != "" {
		return p.Backup.CredentialsSecretRef.Name
	}
	if c := h.last(); c != nil {
		return c.BackupSecret
	}
	return ""
}

// credentials decides how pgBackRest gets at the bucket. A Secret that is
// projected into the database's pods and does not exist keeps them from
// starting, so backups begin when it is there, and never end because it is not.
func (h *holder) credentials(b *Backup, on bool) {
	own := names.PGBackRestSecret(h.s.Name)
	secret := h.w.Secret(b.Secret)
	keys, problem := s3Keys(secret)
	taken := h.w.Object(names.BackupCredentials).InTheWay()
	switch {
	case b.Mode == BackupHeld && h.lastConfigSecret() != own:
		// It is the user's own configuration, which is mounted as it is.
		return
	case b.Mode == BackupOn && slices.ContainsFunc(secret.Keys("data"), func(k string) bool { return strings.HasSuffix(k, ".conf") }):
		b.ConfigSecret = b.Secret
	case b.Secret == own && secret.Exists():
		problem = "Secret " + own + " is where the function puts what it translates; keep your keys in a Secret of another name"
	case keys != nil && taken:
		problem = "Secret " + own + ", into which the credentials are to be translated, is not this server's"
	case keys != nil:
		b.ConfigSecret, b.Keys = own, keys
	}
	if b.ConfigSecret != "" {
		return
	}
	b.Problem = problem
	if !on {
		b.Mode = BackupOff
		// What is asked for is not applied, and switches off nothing that a person
		// has switched on.
		newly := h.s.Cluster.NewlyAsked
		h.s.Cluster.NewlyAsked = func(path string) bool { return !strings.HasPrefix(path, "backup.") && newly(path) }
		return
	}
	b.ConfigSecret = h.lastConfigSecret()
}

// lastConfigSecret returns the Secret that pgBackRest's configuration is mounted
// from already.
func (h *holder) lastConfigSecret() string {
	if c := h.last(); c != nil {
		l, _ := c.Value("backups", "pgbackrest", "configuration").([]any)
		for _, e := range l {
			if m, ok := e.(map[string]any); ok {
				if n, _ := strict.Lookup(m, []string{"secret", "name"}).(string); n != "" {
					return n
				}
			}
		}
		return ""
	}
	for _, c := range h.cluster.List("spec", "backups", "pgbackrest", "configuration") {
		if n := c.String("secret", "name"); n != "" {
			return n
		}
	}
	return ""
}

// s3Keys reads the credentials of a bucket, or tells why it cannot.
func s3Keys(s world.Secret) (*S3Keys, string) {
	if !s.Exists() {
		return nil, "Secret " + s.Name + " does not exist; create it"
	}
	for _, pair := range [][2]string{{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}, {"s3-key", "s3-key-secret"}} {
		id, ok := s.Data(pair[0])
		secret, ok2 := s.Data(pair[1])
		if !ok || !ok2 {
			continue
		}
		id, secret = bytes.TrimSpace(id), bytes.TrimSpace(secret)
		if !printable(id) || !printable(secret) {
			return nil, "Secret " + s.Name + " has a line break or another character in its keys that no S3 key has; correct it"
		}
		return &S3Keys{ID: string(id), Secret: string(secret)}, ""
	}
	return nil, "Secret " + s.Name + " has neither a key that ends in .conf nor AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; add them"
}

// printable reports whether b is one word. A line break would let a key write
// further options into pgBackRest's configuration.
func printable(b []byte) bool {
	return len(b) > 0 && !slices.ContainsFunc(b, func(c byte) bool { return c <= ' ' || c > '~' })
}
