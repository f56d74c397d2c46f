package server

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/pgstate"
	"github.com/dittofs/function-dittoserver/internal/strict"
)

// cluster decides every value of the PerconaPGCluster. Once there is one, it
// stays, whatever the spec says.
func (r *resolver) cluster() {
	spec := or(r.ask.Spec.Percona, v1alpha1.PerconaConfig{})
	c := &r.s.Cluster
	c.Wanted = r.s.Target.Kind == Percona || r.live.cluster != nil
	c.Kept = c.Wanted && !spec.Enabled
	if !spec.Enabled {
		// Nothing of the rest means anything. That Percona is to delete the
		// volumes with the cluster is no longer said, either: data is kept.
		spec = v1alpha1.PerconaConfig{DriftPolicy: spec.DriftPolicy}
	}
	c.Ask = r.ask.Cluster
	if r.live.recorded {
		c.Base = r.live.rendered
	}
	c.DeleteWithServer = spec.DeleteWithServer
	c.DriftPolicy = r.oneOf("percona.driftPolicy", cmp.Or(spec.DriftPolicy, v1alpha1.DriftPolicyKeep), v1alpha1.DriftPolicyKeep, v1alpha1.DriftPolicyRevert)
	c.Replicas = or(spec.Replicas, defaultClusterReplicas)
	r.inRange("percona.replicas", int64(c.Replicas), 1, 5)
	c.Resources = r.resources("percona.resources", spec.Resources)
	c.States = States{
		PostgresVersion:  spec.PostgresVersion != nil,
		CRVersion:        spec.CRVersion != "",
		Image:            spec.Image != "",
		Replicas:         spec.Replicas != nil,
		StorageSize:      spec.StorageSize != "",
		StorageClassName: spec.StorageClassName != nil,
		Databases:        spec.DatabaseName != "" || spec.MetadataDatabaseName != "",
		Resources:        spec.Resources != nil,
		Backup:           spec.Backup != nil,
	}

	r.clusterVersion(spec)
	r.clusterStorage(spec)
	r.clusterDatabases(spec)
	r.backup(or(spec.Backup, v1alpha1.PerconaBackupConfig{}))

	if c.Kept && r.s.Target.Kind != Percona {
		r.warn("percona", "PerconaPGCluster %s is kept although the server does not use it; delete it with kubectl when its data is not needed any more", names.Cluster(r.name))
	}
}

// clusterVersion decides what software runs. The major version is the live
// one, always: the binaries of one on the data of another destroy it, and when
// it changes on a live cluster, it was Percona's own upgrade that did it.
func (r *resolver) clusterVersion(spec v1alpha1.PerconaConfig) {
	c := &r.s.Cluster
	c.PostgresVersion = int(or(spec.PostgresVersion, DefaultPostgresVersion))
	r.inRange("percona.postgresVersion", int64(c.PostgresVersion), minPostgres, maxPostgres)
	if spec.CRVersion != "" {
		r.crVersion("percona.crVersion", spec.CRVersion)
	}
	if spec.Image != "" {
		r.image("percona.image", spec.Image)
	}

	live, rendered := r.live.clusterSpec, r.live.rendered
	version := int(live.Int("postgresVersion"))
	if version == 0 {
		version = c.PostgresVersion
	}
	switch {
	case spec.PostgresVersion == nil || c.PostgresVersion == version:
	case r.live.cluster != nil:
		r.hold("percona.postgresVersion", "%d is held at %d, the version of the database's files. To upgrade, create a PerconaPGUpgrade; when it is done, set this field to its version", c.PostgresVersion, version)
	default:
		r.hold("percona.postgresVersion", "%d is held at %d, the version of the files that the cluster left on its volumes. Set it back; to begin anew, delete the volumes, and the annotation %s of ConfigMap %s", c.PostgresVersion, version, names.AnnotationRendered, names.ConfigMap(r.name))
	}
	asked := c.PostgresVersion
	c.PostgresVersion = version

	c.CRVersion = cmp.Or(spec.CRVersion, rendered.string("crVersion"), live.String("crVersion"), DefaultCRVersion)

	// What was chosen for the version that the cluster had before an upgrade
	// does not fit the one that it has now.
	chosen := func(path ...string) string {
		if rendered.postgresVersion() == version {
			return rendered.string(path...)
		}
		return live.String(path...)
	}
	unstated := cmp.Or(chosen("image"), defaultPostgresImage(version))
	c.Backup.Image = cmp.Or(chosen("backups", "pgbackrest", "image"), DefaultBackupImage)
	c.Image = cmp.Or(spec.Image, unstated)
	if spec.Image == "" {
		return
	}
	c.Stated = StatedImage{Image: spec.Image, PostgresVersion: version}
	if r.live.recorded && rendered.Stated.Image == spec.Image {
		c.Stated.PostgresVersion = rendered.Stated.PostgresVersion
	}
	major, known := imageMajor(spec.Image)
	switch {
	case !live.Exists() && known && major != asked:
		r.invalid("percona.image", spec.Image, fmt.Sprintf("its tag says PostgreSQL %d, and %s is %d", major, r.ask.Path("percona.postgresVersion"), asked))
	case live.Exists() && (known && major != version || c.Stated.PostgresVersion != version || asked != version && spec.PostgresVersion != nil):
		r.hold("percona.image", "%s is held at %s: the database's files are of PostgreSQL %d. Name an image of that version", spec.Image, unstated, version)
		c.Image = unstated
	}
}

// clusterStorage decides the size and class of the database's volumes. Volumes
// cannot shrink.
func (r *resolver) clusterStorage(spec v1alpha1.PerconaConfig) {
	c := &r.s.Cluster
	c.StorageSize = r.quantity("percona.storageSize", cmp.Or(spec.StorageSize, defaultClusterStorage))
	c.StorageClassName = spec.StorageClassName
	if spec.StorageClassName != nil && *spec.StorageClassName != "" {
		r.objectName("percona.storageClassName", *spec.StorageClassName)
	}
	if len(r.errs) > 0 {
		return
	}
	claim := r.live.clusterSpec.Named(names.InstanceSet, "instances").At("dataVolumeClaimSpec")
	if !claim.Exists() {
		return
	}
	base, _ := strict.Lookup(r.live.rendered.instance(), []string{"dataVolumeClaimSpec"}).(map[string]any)
	c.StorageSize = r.heldSize(spec, claim, base)

	var have *string
	if claim.Has("storageClassName") {
		have = ptr.To(claim.String("storageClassName"))
	}
	if sameClass(c.StorageClassName, have) {
		return
	}
	if !c.Kept && (spec.StorageClassName != nil || r.live.recorded) {
		r.hold("percona.storageClassName", "%s is held at %s, where the database's volumes are. Set it back; a database moves to another class by being restored into a new server", class(c.StorageClassName), class(have))
	}
	c.StorageClassName = have
}

func (r *resolver) heldSize(spec v1alpha1.PerconaConfig, claim observed.Object, base map[string]any) resource.Quantity {
	asked := r.s.Cluster.StorageSize
	have, err := resource.ParseQuantity(claim.String("resources", "requests", "storage"))
	if err != nil || asked.Cmp(have) >= 0 {
		return asked
	}
	if recorded, _ := strict.Lookup(base, []string{"resources", "requests", "storage"}).(string); recorded != "" {
		q, err := resource.ParseQuantity(recorded)
		if err == nil && q.Cmp(asked) == 0 && r.s.Cluster.DriftPolicy == v1alpha1.DriftPolicyKeep {
			// Nobody asked for less: somebody grew the live volume, and that is
			// an edit like any other.
			return asked
		}
	} else if spec.StorageSize == "" {
		return have
	}
	if r.s.Cluster.Kept {
		return have
	}
	r.hold("percona.storageSize", "%s is held at %s: volumes cannot shrink. Ask for at least %s", asked.String(), have.String(), have.String())
	return have
}

// clusterDatabases decides the names of the databases.
func (r *resolver) clusterDatabases(spec v1alpha1.PerconaConfig) {
	c := &r.s.Cluster
	c.DatabaseName = cmp.Or(spec.DatabaseName, defaultDatabaseName)
	r.identifier("percona.databaseName", c.DatabaseName)
	live := r.live.clusterSpec.Named(names.PostgresUser, "users").Strings("databases")
	if len(live) > 0 && live[0] != c.DatabaseName {
		if !c.Kept && (spec.DatabaseName != "" || r.live.recorded) {
			r.hold("percona.databaseName", "%s is held at %s, where the server's data is. Set it back: another name would be another, empty database", c.DatabaseName, live[0])
		}
		c.DatabaseName = live[0]
	}
	c.MetadataDatabaseName = spec.MetadataDatabaseName
	if c.MetadataDatabaseName == "" {
		return
	}
	r.identifier("percona.metadataDatabaseName", c.MetadataDatabaseName)
	if c.MetadataDatabaseName == c.DatabaseName {
		r.invalid("percona.metadataDatabaseName", c.MetadataDatabaseName, "must differ from the database of the control plane: both have a table named shares")
	}
}

// backup decides how the cluster is backed up.
func (r *resolver) backup(spec v1alpha1.PerconaBackupConfig) {
	b := &r.s.Cluster.Backup
	b.Asked = spec.Enabled
	on := r.live.cluster != nil && pgstate.BackupsOn(*r.live.cluster)
	if !spec.Enabled {
		b.On, b.Kept = on, on && !spec.ConfirmRemoval
		b.Removed = spec.ConfirmRemoval
		if on && spec.ConfirmRemoval {
			b.On = false
		}
		if b.Kept && !r.s.Cluster.Kept {
			r.hold("percona.backup.enabled", "backups stay on: without them the data cannot be restored. To switch them off, set %s to true", r.ask.Path("percona.backup.confirmRemoval"))
		}
		return
	}

	b.Bucket, b.Region = spec.Bucket, cmp.Or(spec.Region, defaultRegion)
	if b.Bucket == "" {
		r.required("percona.backup.bucket", "the S3 bucket to back up into")
	} else if !bucketPattern.MatchString(b.Bucket) {
		r.invalid("percona.backup.bucket", b.Bucket, "must be the name of an S3 bucket")
	}
	if !regionPattern.MatchString(b.Region) {
		r.invalid("percona.backup.region", b.Region, "must be the name of an S3 region")
	}
	b.Endpoint = r.endpoint("percona.backup.endpoint", spec.Endpoint)
	b.FullSchedule = cmp.Or(spec.FullSchedule, defaultFullSchedule)
	r.schedule("percona.backup.fullSchedule", b.FullSchedule)
	b.IncrSchedule = cmp.Or(spec.IncrSchedule, defaultIncrSchedule)
	r.schedule("percona.backup.incrSchedule", b.IncrSchedule)
	b.RetentionDays = or(spec.RetentionDays, defaultRetentionDays)
	r.inRange("percona.backup.retentionDays", int64(b.RetentionDays), 1, maxRetention)
	r.repositoryPath(spec)
	r.credentials(spec, on)
}

// endpoint is the endpoint as pgBackRest takes it: a host and perhaps a port.
// It speaks HTTPS only.
func (r *resolver) endpoint(path, value string) string {
	if value == "" {
		r.required(path, "the S3 endpoint, such as s3.eu-west-1.amazonaws.com")
		return ""
	}
	if strings.HasPrefix(strings.ToLower(value), "http://") {
		r.invalid(path, value, "must not be http://: pgBackRest speaks HTTPS only")
		return ""
	}
	host := value
	if scheme := "https://"; len(host) >= len(scheme) && strings.EqualFold(host[:len(scheme)], scheme) {
		host = host[len(scheme):]
	}
	host = strings.TrimRight(host, "/")
	if !endpointPattern.MatchString(host) {
		r.invalid(path, value, "must be a host, with a port if it is not 443, such as s3.eu-west-1.amazonaws.com or https://minio.example.com:9000")
	}
	return host
}

// repositoryPath decides where in the bucket the backups lie. Two clusters in
// one place destroy each other's backups, and so does a cluster made again on
// fresh volumes; hence the UID.
func (r *resolver) repositoryPath(spec v1alpha1.PerconaBackupConfig) {
	b := &r.s.Cluster.Backup
	const option = "repo1-path"
	global := []string{"backups", "pgbackrest", "global", option}
	live := cmp.Or(r.live.clusterSpec.String(global...), r.live.rendered.string(global...))
	switch {
	case spec.Path == "" && live != "":
		b.Path = live
	case spec.Path == "":
		b.Path = fmt.Sprintf("/pgbackrest/%s/%s", r.s.Namespace, r.name)
		if uid := r.w.XR.UID; uid != "" {
			b.Path += "-" + uid[:min(len(uid), 8)]
		}
		b.Path += "/repo1"
	default:
		b.Path = spec.Path
		if !repoPathPattern.MatchString(spec.Path) || strings.Contains(spec.Path+"/", "/../") || strings.Contains(spec.Path+"/", "/./") {
			r.invalid("percona.backup.path", spec.Path, "must be an absolute path of letters, digits, '.', '_' and '-', without a slash at its end")
		}
		if live != "" && live != spec.Path {
			r.hold("percona.backup.path", "%s is held at %s, where the backups are. Set it back; to begin anew elsewhere, switch backups off with %s first", spec.Path, live, r.ask.Path("percona.backup.confirmRemoval"))
			b.Path = live
		}
	}
}

// credentials decides how pgBackRest gets at the bucket. A Secret that is
// projected into the database's pods and does not exist keeps them from
// starting, so backups begin when it is there, and never end because it is not.
func (r *resolver) credentials(spec v1alpha1.PerconaBackupConfig, on bool) {
	b := &r.s.Cluster.Backup
	b.On = true
	if spec.CredentialsSecretRef == nil {
		r.warn("percona.backup.credentialsSecretRef", "is not set: backups work only if the nodes have a role that may write to the bucket")
		return
	}
	name := spec.CredentialsSecretRef.Name
	if name == "" {
		r.required("percona.backup.credentialsSecretRef.name", "the Secret with the credentials of the bucket")
		return
	}
	r.objectName("percona.backup.credentialsSecretRef.name", name)
	if len(r.errs) > 0 {
		return
	}

	own := names.PGBackRestSecret(r.name)
	secret := r.w.Secret(name)
	keys, problem := s3Keys(secret)
	switch {
	case slices.ContainsFunc(secret.Keys("data"), func(k string) bool { return strings.HasSuffix(k, ".conf") }):
		b.ConfigSecret = name
	case name == own && secret.Exists():
		r.invalid("percona.backup.credentialsSecretRef.name", name, "is where the function puts what it translates; keep your keys in a Secret of another name")
	case keys != nil && r.taken(names.BackupCredentials):
		problem = "Secret " + own + ", into which the credentials are to be translated, is not this server's"
	case keys != nil:
		b.ConfigSecret, b.Keys = own, keys
	}
	if b.ConfigSecret != "" {
		return
	}
	b.Problem = problem
	b.On = on
	if on {
		b.ConfigSecret = r.liveConfigSecret()
	}
}

func (r *resolver) taken(res names.Resource) bool {
	p := r.w.Existing(r.w.Ref(res)).Presence
	return p == observed.Foreign || p == observed.Deleting
}

// liveConfigSecret is the Secret that pgBackRest's configuration is mounted
// from already.
func (r *resolver) liveConfigSecret() string {
	for _, c := range r.live.cluster.List("spec", "backups", "pgbackrest", "configuration") {
		if n := c.String("secret", "name"); n != "" {
			return n
		}
	}
	return ""
}

// s3Keys reads the credentials of a bucket, or says why it cannot.
func s3Keys(s observed.Secret) (*S3Keys, string) {
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

// printable says whether b is one word. A line break would let a key write
// further options into pgBackRest's configuration.
func printable(b []byte) bool {
	return len(b) > 0 && !slices.ContainsFunc(b, func(c byte) bool { return c <= ' ' || c > '~' })
}
