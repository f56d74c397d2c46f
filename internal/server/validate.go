package server

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/record"
)

// A validator makes the Server that a spec asks for.
type validator struct {
	messages
	s *Server
}

// validate returns the Server that the spec asks for by itself, with the built-in
// defaults, and everything that is wrong with it. It does not know what exists.
func validate(spec Spec, name, namespace string) (*Server, messages) {
	v := &validator{messages: messages{spec: spec}, s: &Server{Name: name, Namespace: namespace}}
	v.name()
	v.notBuiltYet()
	v.adapterPorts()
	v.pod()
	v.tls()
	v.podOptions()
	v.storage()
	v.identity()
	v.ldap()
	v.kerberos()
	v.services()
	v.logging()
	v.metrics()
	v.network()
	v.gc()
	v.extraConfig()
	v.database()
	if p := spec.Percona; p != nil && p.Enabled {
		v.s.Cluster = v.cluster(*p)
	}
	v.notEnabled()
	for _, f := range spec.Unknown {
		v.typo(f, "is not a field of a DittoServer and is ignored")
	}
	return v.s, v.messages
}

// or returns the value that v points to, or the default.
func or[T any](v *T, def T) T {
	if v == nil {
		return def
	}
	return *v
}

// name checks the server's own name. Percona and Kubernetes build longer names
// and label values from it and do not check them.
func (v *validator) name() {
	path := field.NewPath("metadata", "name")
	limit, why := names.MaxWithoutPercona, "Services are named after it"
	if p := v.spec.Percona; p != nil && p.Enabled {
		limit, why = names.MaxWithPercona, "Percona builds the names of the database's pods from it"
	}
	if n := len(v.s.Name); n > limit {
		v.errs = append(v.errs, field.Invalid(path, v.s.Name, fmt.Sprintf("must have at most %d characters, it has %d: %s", limit, n, why)))
	}
	for _, msg := range validation.IsDNS1035Label(v.s.Name) {
		v.errs = append(v.errs, field.Invalid(path, v.s.Name, msg))
	}
}

func (v *validator) pod() {
	spec := v.spec
	v.s.Image = cmp.Or(spec.Image, DefaultImage)
	v.image("image", v.s.Image)

	v.s.Replicas = or(spec.Replicas, defaultReplicas)
	v.inRange("replicas", int64(v.s.Replicas), 0, 1)

	v.s.GracePeriodSeconds = or(spec.TerminationGracePeriodSeconds, defaultGracePeriodSeconds)
	if v.s.GracePeriodSeconds < minGracePeriodSeconds {
		v.invalid("terminationGracePeriodSeconds", v.s.GracePeriodSeconds, fmt.Sprintf("must be at least %d: the server needs up to 30 seconds, after 5 in which it is taken out of its Services", minGracePeriodSeconds))
	}
	// With OrderedReady, Kubernetes' default, a pod that never became ready is
	// not replaced, not even when what ailed it is corrected
	// (https://github.com/kubernetes/kubernetes/issues/67250).
	v.s.PodManagement = appsv1.ParallelPodManagement
	v.s.Resources = v.resources("resources", spec.Resources)
	v.s.SecurityContext = spec.SecurityContext
	v.s.PodSecurityContext = spec.PodSecurityContext

	port := or(or(spec.ControlPlane, v1alpha1.ControlPlaneAPIConfig{}).Port, defaultAPIPort)
	v.s.APIPort = port
	v.port("controlPlane.port", port)
}

// port checks a port that the server is to listen on.
func (v *validator) port(path string, port int32) {
	v.inRange(path, int64(port), 1, 65535)
	switch {
	case port == NFSPort || port == SMBPort:
		v.invalid(path, port, fmt.Sprintf("is taken: when it first starts, the server listens for NFS on %d and for SMB on %d, whatever %s says", NFSPort, SMBPort, v.spec.Path("adapters")))
	case port == v.s.NFS.Port:
		v.taken(path, port, pathNFS+".port", "NFS")
	case port == v.s.SMB.Port:
		v.taken(path, port, pathSMB+".port", "SMB")
	case port > 0 && port < 1024:
		v.warn(path, "%d is a privileged port, and the server does not run as root; where the container runtime does not allow it, the server cannot start", port)
	}
}

// taken refuses a port that an adapter has too, in the field that somebody has set.
func (v *validator) taken(path string, port int32, adapter, name string) {
	if v.spec.States(path) {
		v.invalid(path, port, fmt.Sprintf("is taken: it is that of %s, %s", name, v.spec.Path(adapter)))
		return
	}
	v.invalid(adapter, port, fmt.Sprintf("is taken: it is that of %s", v.spec.Path(path)))
}

func (v *validator) resources(path string, rr *corev1.ResourceRequirements) corev1.ResourceRequirements {
	if rr == nil {
		return corev1.ResourceRequirements{}
	}
	for _, n := range slices.Sorted(maps.Keys(rr.Requests)) {
		req := rr.Requests[n]
		if limit, ok := rr.Limits[n]; ok && limit.Cmp(req) < 0 {
			v.invalid(path+".requests."+string(n), req.String(), "must not be above the limit of "+limit.String())
		}
		if req.Sign() < 0 {
			v.invalid(path+".requests."+string(n), req.String(), "must not be negative")
		}
	}
	for _, n := range slices.Sorted(maps.Keys(rr.Limits)) {
		if limit := rr.Limits[n]; limit.Sign() < 0 {
			v.invalid(path+".limits."+string(n), limit.String(), "must not be negative")
		}
	}
	return *rr
}

func (v *validator) storage() {
	spec := or(v.spec.Storage, v1alpha1.StorageSpec{})
	if spec.MetadataSize == "" {
		v.required("storage.metadataSize", "the size of the volume for file metadata, such as 10Gi")
	} else {
		v.s.Storage.Metadata = v.size("storage.metadataSize", spec.MetadataSize)
	}
	if spec.ContentSize != "" {
		q := v.size("storage.contentSize", spec.ContentSize)
		v.s.Storage.Content = &q
	}
	v.s.Storage.ControlPlane = v.size("storage.controlPlaneSize", cmp.Or(spec.ControlPlaneSize, defaultControlPlaneSize))
	v.s.Storage.ClassName = v.class("storage.storageClassName", spec.StorageClassName)
}

func (v *validator) class(path string, class *string) *string {
	if class != nil && *class != "" {
		v.objectName(path, *class)
	}
	return class
}

func (v *validator) identity() {
	spec := or(v.spec.Identity, v1alpha1.IdentityConfig{})
	if spec.Type != "" {
		v.oneOf("identity.type", spec.Type, "memory")
	}

	jwt := or(spec.JWT, v1alpha1.JWTConfig{})
	v.s.JWT = JWT{
		Generated:       true,
		SecretKey:       record.SecretKey{Name: names.JWTSecret(v.s.Name), Key: names.JWTKey},
		AccessDuration:  cmp.Or(jwt.AccessTokenDuration, defaultAccessDuration),
		RefreshDuration: cmp.Or(jwt.RefreshTokenDuration, defaultRefreshDuration),
	}
	v.duration("identity.jwt.accessTokenDuration", v.s.JWT.AccessDuration)
	v.duration("identity.jwt.refreshTokenDuration", v.s.JWT.RefreshDuration)
	if ref := jwt.SecretRef; ref != nil {
		v.s.JWT.Generated = false
		v.s.JWT.SecretKey = v.secretRef(pathJWT, ref, "")
	}

	admin := or(spec.Admin, v1alpha1.AdminConfig{})
	if admin.Username != "" && admin.Username != AdminUser {
		v.warn("identity.admin.username", "%s is ignored: the server's first administrator is always %s", admin.Username, AdminUser)
	}
	v.s.Admin = Admin{Generated: true, SecretKey: record.SecretKey{Name: names.AdminSecret(v.s.Name), Key: names.AdminPasswordKey}}
	if ref := admin.PasswordSecretRef; ref != nil {
		v.s.Admin.Generated = false
		v.s.Admin.SecretKey = v.secretRef(pathAdmin, ref, names.AdminPasswordKey)
	}
}

// secretRef checks a reference to a key of a Secret.
func (v *validator) secretRef(path string, ref *corev1.SecretKeySelector, defaultKey string) record.SecretKey {
	out := record.SecretKey{Name: ref.Name, Key: cmp.Or(ref.Key, defaultKey)}
	if out.Name == "" {
		v.required(path+".name", "the name of a Secret in the server's namespace")
	} else {
		v.objectName(path+".name", out.Name)
	}
	if out.Key == "" {
		v.required(path+".key", "the key within the Secret")
	}
	return out
}

func (v *validator) services() {
	svc := or(v.spec.Service, v1alpha1.ServiceSpec{})
	v.s.Service = Exposure{Type: v.serviceType("service.type", svc.Type), Annotations: svc.Annotations}
	v.adapterServices()
}

func (v *validator) serviceType(path, t string) corev1.ServiceType {
	return corev1.ServiceType(v.oneOf(path, cmp.Or(t, string(corev1.ServiceTypeClusterIP)),
		string(corev1.ServiceTypeClusterIP), string(corev1.ServiceTypeNodePort), string(corev1.ServiceTypeLoadBalancer)))
}

func (v *validator) logging() {
	l := or(v.spec.Logging, v1alpha1.LoggingSpec{})
	v.s.Logging = Logging{
		Level:  v.oneOf("logging.level", cmp.Or(l.Level, defaultLogLevel), "DEBUG", "INFO", "WARN", "ERROR", "debug", "info", "warn", "error"),
		Format: v.oneOf("logging.format", cmp.Or(l.Format, defaultLogFormat), "json", "text"),
		Output: cmp.Or(l.Output, defaultLogOutput),
	}
}

// metrics decides how metrics are served. What is wrong in a block that is
// switched off is not told.
func (v *validator) metrics() {
	m := or(v.spec.Metrics, v1alpha1.MetricsSpec{})
	if !m.Enabled {
		return
	}
	v.s.Metrics = Metrics{Enabled: true, Port: or(m.Port, defaultMetricsPort), Path: cmp.Or(m.Path, defaultMetricsPath)}
	v.port("metrics.port", v.s.Metrics.Port)
	if v.s.Metrics.Port == v.s.APIPort {
		v.invalid("metrics.port", v.s.Metrics.Port, fmt.Sprintf("is taken: it is that of the REST API, %s", v.spec.Path("controlPlane.port")))
	}
	if !strings.HasPrefix(v.s.Metrics.Path, "/") || strings.ContainsAny(v.s.Metrics.Path, " \t\n?#{}") {
		v.invalid("metrics.path", v.s.Metrics.Path, "must be the path of a URL, such as /metrics")
	}
	if ref := m.BearerTokenSecret; ref != nil {
		v.s.Metrics.Token = v.secretRef(pathToken, ref, "")
	}
	if v.spec.AsksForMonitor() {
		v.s.Metrics.Monitor = v.monitor(*m.ServiceMonitor)
	}
}

// monitor decides what the ServiceMonitor is to be.
func (v *validator) monitor(spec v1alpha1.ServiceMonitorSpec) *Monitor {
	if !prometheusDuration.MatchString(spec.Interval) {
		v.invalid(pathMonitor+".interval", spec.Interval, "must be a duration of Prometheus, such as 30s or 1m30s")
	}
	v.labels(pathMonitor+".labels", spec.Labels)
	return &Monitor{Interval: spec.Interval, Labels: spec.Labels}
}

// database decides which database the spec asks for.
func (v *validator) database() {
	spec := or(v.spec.Database, v1alpha1.DatabaseConfig{})
	if spec.Type != "" {
		v.oneOf("database.type", spec.Type, v1alpha1.DatabaseTypeSQLite, v1alpha1.DatabaseTypePostgres)
	}
	if c := spec.ConfirmSwitch; c != "" && !confirmPattern.MatchString(c) {
		v.invalid(pathSwitch, c, "must be sqlite, external or percona, or name the database itself, such as external/SECRET")
	}
	v.s.Target = v.target(spec)
	v.s.Current = v.s.Target
}

func (v *validator) target(spec v1alpha1.DatabaseConfig) record.Database {
	if p := v.spec.Percona; p != nil && p.Enabled {
		if spec.PostgresSecretRef != nil {
			v.warn("database.postgresSecretRef", "is ignored: %s wins over it; remove one of them", v.spec.Path("percona.enabled"))
		}
		if spec.Type == v1alpha1.DatabaseTypeSQLite {
			v.warn("database.type", "sqlite is ignored: %s wins over it; remove one of them", v.spec.Path("percona.enabled"))
		}
		return record.Database{Kind: record.Percona}
	}
	if spec.PostgresSecretRef != nil {
		if spec.Type == v1alpha1.DatabaseTypeSQLite {
			v.warn("database.type", "sqlite is ignored: %s wins over it; remove one of them", v.spec.Path("database.postgresSecretRef"))
		}
		ref := v.secretRef("database.postgresSecretRef", spec.PostgresSecretRef, "-")
		return record.Database{Kind: record.External, Secret: ref.Name}
	}
	if spec.Type == v1alpha1.DatabaseTypePostgres {
		v.invalid("database.type", spec.Type, fmt.Sprintf("needs a database: set %s, or name the Secret of your own in %s", v.spec.Path("percona.enabled"), v.spec.Path("database.postgresSecretRef")))
	}
	return record.Database{Kind: record.SQLite, Path: cmp.Or(or(spec.SQLite, v1alpha1.SQLiteConfig{}).Path, DefaultSQLitePath)}
}

// cluster decides what the spec asks of the PerconaPGCluster.
func (v *validator) cluster(spec v1alpha1.PerconaConfig) *Cluster {
	c := &Cluster{
		PostgresVersion:      int(or(spec.PostgresVersion, DefaultPostgresVersion)),
		CRVersion:            cmp.Or(spec.CRVersion, DefaultCRVersion),
		Image:                spec.Image,
		Replicas:             or(spec.Replicas, defaultClusterReplicas),
		DatabaseName:         cmp.Or(spec.DatabaseName, defaultDatabaseName),
		MetadataDatabaseName: spec.MetadataDatabaseName,
		DeleteWithServer:     spec.DeleteWithServer,
		DriftPolicy:          cmp.Or(spec.DriftPolicy, v1alpha1.DriftPolicyKeep),
	}
	v.oneOf("percona.driftPolicy", c.DriftPolicy, v1alpha1.DriftPolicyKeep, v1alpha1.DriftPolicyRevert)
	v.inRange("percona.replicas", int64(c.Replicas), 1, 5)
	c.Resources = v.resources("percona.resources", spec.Resources)
	v.inRange("percona.postgresVersion", int64(c.PostgresVersion), minPostgres, maxPostgres)
	if spec.CRVersion != "" {
		v.crVersion("percona.crVersion", spec.CRVersion)
	}
	if spec.Image != "" {
		v.image("percona.image", spec.Image)
	}
	c.StorageSize = v.quantity("percona.storageSize", cmp.Or(spec.StorageSize, defaultClusterStorage))
	c.StorageClassName = v.class("percona.storageClassName", spec.StorageClassName)
	v.identifier("percona.databaseName", c.DatabaseName)
	if c.MetadataDatabaseName != "" {
		v.identifier("percona.metadataDatabaseName", c.MetadataDatabaseName)
	}
	c.Backup = v.backup(or(spec.Backup, v1alpha1.PerconaBackupConfig{}))
	return c
}

// backup decides how the spec asks the cluster to be backed up.
func (v *validator) backup(spec v1alpha1.PerconaBackupConfig) Backup {
	if !spec.Enabled {
		return Backup{}
	}
	b := Backup{
		Mode:          BackupOn,
		Bucket:        spec.Bucket,
		Region:        cmp.Or(spec.Region, defaultRegion),
		Path:          spec.Path,
		FullSchedule:  cmp.Or(spec.FullSchedule, defaultFullSchedule),
		IncrSchedule:  cmp.Or(spec.IncrSchedule, defaultIncrSchedule),
		RetentionDays: or(spec.RetentionDays, defaultRetentionDays),
	}
	if b.Bucket == "" {
		v.required("percona.backup.bucket", "the S3 bucket to back up into")
	} else if !bucketPattern.MatchString(b.Bucket) {
		v.invalid("percona.backup.bucket", b.Bucket, "must be the name of an S3 bucket")
	}
	if !regionPattern.MatchString(b.Region) {
		v.invalid("percona.backup.region", b.Region, "must be the name of an S3 region")
	}
	b.Endpoint = v.endpoint("percona.backup.endpoint", spec.Endpoint)
	v.schedule("percona.backup.fullSchedule", b.FullSchedule)
	v.schedule("percona.backup.incrSchedule", b.IncrSchedule)
	v.inRange("percona.backup.retentionDays", int64(b.RetentionDays), 1, maxRetention)
	if b.Path != "" && (!repoPathPattern.MatchString(b.Path) || strings.Contains(b.Path+"/", "/../") || strings.Contains(b.Path+"/", "/./")) {
		v.invalid("percona.backup.path", b.Path, "must be an absolute path of letters, digits, '.', '_' and '-', without a slash at its end")
	}
	switch ref := spec.CredentialsSecretRef; {
	case ref == nil:
		v.warn("percona.backup.credentialsSecretRef", "is not set: backups work only if the nodes have a role that may write to the bucket")
	case ref.Name == "":
		v.required("percona.backup.credentialsSecretRef.name", "the Secret with the credentials of the bucket")
	default:
		v.objectName("percona.backup.credentialsSecretRef.name", ref.Name)
		b.Secret = ref.Name
	}
	return b
}

// endpoint returns the endpoint as pgBackRest takes it: a host and perhaps a port.
// It speaks HTTPS only.
func (v *validator) endpoint(path, value string) string {
	if value == "" {
		v.required(path, "the S3 endpoint, such as s3.eu-west-1.amazonaws.com")
		return ""
	}
	if strings.HasPrefix(strings.ToLower(value), "http://") {
		v.invalid(path, value, "must not be http://: pgBackRest speaks HTTPS only")
		return ""
	}
	host := value
	if scheme := "https://"; len(host) >= len(scheme) && strings.EqualFold(host[:len(scheme)], scheme) {
		host = host[len(scheme):]
	}
	host = strings.TrimRight(host, "/")
	if !endpointPattern.MatchString(host) {
		v.invalid(path, value, "must be a host, with a port if it is not 443, such as s3.eu-west-1.amazonaws.com or https://minio.example.com:9000")
	}
	return host
}

// notBuiltYet warns of what the function does not build yet.
func (v *validator) notBuiltYet() {
	spec := v.spec
	if spec.AdapterDiscovery != nil {
		v.warn("adapterDiscovery", "is ignored: the server is not asked for its adapters; %s says which of them have a Service", v.spec.Path("adapters"))
	}
	if len(spec.SnapshotPolicies) > 0 {
		v.warn("snapshotPolicies", "is not supported yet and is ignored: set the policies with dfsctl")
	}
}

// quantity parses a positive amount of storage.
func (v *validator) quantity(path, value string) resource.Quantity {
	q, err := resource.ParseQuantity(value)
	if err != nil || q.Sign() <= 0 {
		v.invalid(path, value, "must be a positive size such as 10Gi")
		return resource.Quantity{}
	}
	return q
}

func (v *validator) size(path, value string) resource.Quantity {
	if !sizePattern.MatchString(value) {
		v.invalid(path, value, "must be a whole number of Mi, Gi or Ti, such as 10Gi")
		return resource.Quantity{}
	}
	return v.quantity(path, value)
}
