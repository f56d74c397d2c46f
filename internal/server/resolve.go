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
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/checksum"
	"github.com/dittofs/function-dittoserver/internal/memo"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
)

// A Resolution is what became of an Ask.
type Resolution struct {
	Server *Server
	// Errors are values that are invalid in themselves. If there are any, the
	// Server must not be composed.
	Errors field.ErrorList
	// Held are edits that contradict what exists, each with what would let it
	// through.
	Held []string
	// Warnings stand as long as their cause does.
	Warnings []string
}

// A resolver makes a Server of an Ask.
type resolver struct {
	w    *observed.World
	memo *memo.Cache
	ask  Ask
	name string
	live live

	s        *Server
	errs     field.ErrorList
	held     []string
	warnings []string
}

// Resolve decides every value of the server. It reads what exists to hold what
// contradicts it, and the Secrets that the spec names.
func Resolve(w *observed.World, id observed.Identity, ask Ask, m *memo.Cache) Resolution {
	r := &resolver{
		w: w, memo: m, ask: ask, name: id.Name,
		s: &Server{Name: id.Name, Namespace: id.Namespace},
	}
	r.readLive()
	r.names()
	r.unbuilt()
	r.pod()
	r.storage()
	r.identity()
	r.services()
	r.logging()
	r.database()
	r.adminOfEarlierServer()
	r.cluster()
	r.unknown()
	return Resolution{Server: r.s, Errors: r.errs, Held: r.held, Warnings: r.warnings}
}

// key is what something of this server is remembered under.
func (r *resolver) key(what string) string { return r.s.Namespace + "/" + r.s.Name + "/" + what }

func (r *resolver) invalid(path string, value any, detail string) {
	r.errs = append(r.errs, field.Invalid(r.ask.Path(path), value, detail))
}

func (r *resolver) required(path, detail string) {
	if slices.ContainsFunc(r.ask.undecoded, func(u string) bool { return u == path || strings.HasPrefix(path, u+".") }) {
		// It is there, and what is wrong with it has been said.
		return
	}
	r.errs = append(r.errs, field.Required(r.ask.Path(path), detail))
}

func (r *resolver) forbidden(path, detail string) {
	r.errs = append(r.errs, field.Forbidden(r.ask.Path(path), detail))
}

func (r *resolver) oneOf(path, value string, allowed ...string) string {
	if !slices.Contains(allowed, value) {
		r.errs = append(r.errs, field.NotSupported(r.ask.Path(path), value, allowed))
	}
	return value
}

func (r *resolver) inRange(path string, value, low, high int64) {
	if value < low || value > high {
		r.invalid(path, value, fmt.Sprintf("must be between %d and %d", low, high))
	}
}

func (r *resolver) warn(path, format string, a ...any) {
	r.warnings = append(r.warnings, r.ask.Path(path).String()+": "+fmt.Sprintf(format, a...))
}

func (r *resolver) hold(path, format string, a ...any) {
	r.held = append(r.held, r.ask.Path(path).String()+": "+fmt.Sprintf(format, a...))
}

// quantity parses a positive amount of storage.
func (r *resolver) quantity(path, value string) resource.Quantity {
	q, err := resource.ParseQuantity(value)
	if err != nil || q.Sign() <= 0 {
		r.invalid(path, value, "must be a positive size such as 10Gi")
		return resource.Quantity{}
	}
	return q
}

// or is the value that v points to, or the default.
func or[T any](v *T, def T) T {
	if v == nil {
		return def
	}
	return *v
}

func (r *resolver) pod() {
	spec := r.ask.Spec
	r.s.Image = cmp.Or(spec.Image, r.live.image, DefaultImage)
	r.image("image", r.s.Image)

	r.s.Replicas = or(spec.Replicas, defaultReplicas)
	r.inRange("replicas", int64(r.s.Replicas), 0, 1)

	r.s.GracePeriodSeconds = or(spec.TerminationGracePeriodSeconds, defaultGracePeriodSeconds)
	if r.s.GracePeriodSeconds < minGracePeriodSeconds {
		r.invalid("terminationGracePeriodSeconds", r.s.GracePeriodSeconds, fmt.Sprintf("must be at least %d: the server needs up to 30 seconds, after 5 in which it is taken out of its Services", minGracePeriodSeconds))
	}
	// With OrderedReady, Kubernetes' default, a pod that never became ready is
	// not replaced, not even when what ailed it is corrected
	// (https://github.com/kubernetes/kubernetes/issues/67250).
	r.s.PodManagement = appsv1.ParallelPodManagement
	if live := r.live.server; live != nil {
		r.s.PodManagement = appsv1.PodManagementPolicyType(cmp.Or(live.String("spec", "podManagementPolicy"), string(appsv1.OrderedReadyPodManagement)))
	}
	r.s.Resources = r.resources("resources", spec.Resources)
	r.s.SecurityContext = spec.SecurityContext
	r.s.PodSecurityContext = spec.PodSecurityContext

	port := or(or(spec.ControlPlane, v1alpha1.ControlPlaneAPIConfig{}).Port, defaultAPIPort)
	r.s.APIPort = port
	r.inRange("controlPlane.port", int64(port), 1, 65535)
	switch {
	case port == NFSPort || port == SMBPort:
		r.invalid("controlPlane.port", port, fmt.Sprintf("is taken: the server listens for NFS on %d and for SMB on %d", NFSPort, SMBPort))
	case port > 0 && port < 1024:
		r.warn("controlPlane.port", "%d is a privileged port, and the server does not run as root; where the container runtime does not allow it, the server cannot start", port)
	}
}

func (r *resolver) resources(path string, rr *corev1.ResourceRequirements) corev1.ResourceRequirements {
	if rr == nil {
		return corev1.ResourceRequirements{}
	}
	for _, n := range slices.Sorted(maps.Keys(rr.Requests)) {
		req := rr.Requests[n]
		if limit, ok := rr.Limits[n]; ok && limit.Cmp(req) < 0 {
			r.invalid(path+".requests."+string(n), req.String(), "must not be above the limit of "+limit.String())
		}
		if req.Sign() < 0 {
			r.invalid(path+".requests."+string(n), req.String(), "must not be negative")
		}
	}
	for _, n := range slices.Sorted(maps.Keys(rr.Limits)) {
		if limit := rr.Limits[n]; limit.Sign() < 0 {
			r.invalid(path+".limits."+string(n), limit.String(), "must not be negative")
		}
	}
	return *rr
}

func (r *resolver) storage() {
	spec := or(r.ask.Spec.Storage, v1alpha1.StorageSpec{})
	if spec.MetadataSize == "" {
		r.required("storage.metadataSize", "the size of the volume for file metadata, such as 10Gi")
	} else {
		r.s.Storage.Metadata = r.size("storage.metadataSize", spec.MetadataSize)
	}
	if spec.ContentSize != "" {
		q := r.size("storage.contentSize", spec.ContentSize)
		r.s.Storage.Content = &q
	}
	r.s.Storage.ControlPlane = r.size("storage.controlPlaneSize", cmp.Or(spec.ControlPlaneSize, defaultControlPlaneSize))
	r.s.Storage.ClassName = spec.StorageClassName
	if spec.StorageClassName != nil && *spec.StorageClassName != "" {
		r.objectName("storage.storageClassName", *spec.StorageClassName)
	}
	if r.live.server != nil && len(r.errs) == 0 {
		r.holdClaims()
	}
}

// holdClaims keeps the claim templates of a live StatefulSet, verbatim. They
// cannot be changed: the API server would refuse the whole object, and with it
// every other change.
func (r *resolver) holdClaims() {
	templates := r.live.server.Value("spec", "volumeClaimTemplates")
	got, err := memo.Do(r.memo, r.key("claims"), []any{templates}, func() ([]corev1.PersistentVolumeClaim, error) { return liveClaims(templates) })
	if err != nil || len(got) == 0 {
		return
	}
	r.s.Storage.Claims = got

	const (
		fixed   = "the claim templates of a StatefulSet cannot be changed"
		grow    = fixed + ". To grow the volume, edit the PersistentVolumeClaim %s-%s-0; set the field back, or, to have new templates, delete the StatefulSet with --cascade=orphan"
		through = fixed + ". Set the field back, or, to have new templates, delete the StatefulSet with --cascade=orphan"
	)
	live := map[string]corev1.PersistentVolumeClaim{}
	for _, c := range got {
		live[c.Name] = c
	}
	for _, v := range []struct {
		name, field string
		size        *resource.Quantity
	}{
		{VolumeMetadata, "storage.metadataSize", &r.s.Storage.Metadata},
		{VolumeContent, "storage.contentSize", r.s.Storage.Content},
		{VolumeControlPlane, "storage.controlPlaneSize", &r.s.Storage.ControlPlane},
	} {
		c, there := live[v.name]
		have := c.Spec.Resources.Requests[corev1.ResourceStorage]
		switch {
		case there && v.size == nil:
			r.hold(v.field, "its removal is held, the server has a volume of %s: "+through, have.String())
		case !there && v.size != nil:
			r.hold(v.field, "%s is held, the server has no such volume: "+through, v.size.String())
		case there && v.size.Cmp(have) != 0:
			r.hold(v.field, "%s is held at %s: "+grow, v.size.String(), have.String(), v.name, r.name)
		}
	}
	if c, there := live[VolumeMetadata]; there && !sameClass(r.s.Storage.ClassName, c.Spec.StorageClassName) {
		r.hold("storage.storageClassName", "%s is held at %s: "+through, class(r.s.Storage.ClassName), class(c.Spec.StorageClassName))
	}
}

// sameClass says whether two claims ask for the same class. One that names none
// asks for the default class, one that names the empty one for no class.
func sameClass(a, b *string) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

func class(c *string) string {
	switch {
	case c == nil:
		return "the default class"
	case *c == "":
		return "no class"
	}
	return *c
}

func (r *resolver) identity() {
	spec := or(r.ask.Spec.Identity, v1alpha1.IdentityConfig{})
	if spec.Type != "" {
		r.oneOf("identity.type", spec.Type, "memory")
	}

	jwt := or(spec.JWT, v1alpha1.JWTConfig{})
	r.s.JWT = JWT{
		Generated:       true,
		SecretName:      names.JWTSecret(r.name),
		SecretKey:       names.JWTKey,
		AccessDuration:  cmp.Or(jwt.AccessTokenDuration, defaultAccessDuration),
		RefreshDuration: cmp.Or(jwt.RefreshTokenDuration, defaultRefreshDuration),
	}
	r.duration("identity.jwt.accessTokenDuration", r.s.JWT.AccessDuration)
	r.duration("identity.jwt.refreshTokenDuration", r.s.JWT.RefreshDuration)
	if ref := jwt.SecretRef; ref != nil {
		r.s.JWT.Generated = false
		r.s.JWT.SecretName, r.s.JWT.SecretKey = r.secretRef("identity.jwt.secretRef", ref, "")
		if v, ok := r.userSecret("identity.jwt.secretRef", r.s.JWT.SecretName, r.s.JWT.SecretKey); ok && len(v) < minJWTLength {
			r.warn("identity.jwt.secretRef", "the key %s of Secret %s is shorter than the %d characters that the server asks for, and it cannot start", r.s.JWT.SecretKey, r.s.JWT.SecretName, minJWTLength)
		}
	}

	admin := or(spec.Admin, v1alpha1.AdminConfig{})
	if admin.Username != "" && admin.Username != AdminUser {
		r.warn("identity.admin.username", "%s is ignored: the server's first administrator is always %s", admin.Username, AdminUser)
	}
	r.s.Admin = Admin{Generated: true, SecretName: names.AdminSecret(r.name), SecretKey: names.AdminPasswordKey}
	if ref := admin.PasswordSecretRef; ref != nil {
		r.s.Admin.Generated = false
		r.s.Admin.SecretName, r.s.Admin.SecretKey = r.secretRef("identity.admin.passwordSecretRef", ref, names.AdminPasswordKey)
		r.userSecret("identity.admin.passwordSecretRef", r.s.Admin.SecretName, r.s.Admin.SecretKey)
	}
	r.adminChanged()
}

// adminChanged warns of an admin password that the server will never read: it
// does so on its first start only.
func (r *resolver) adminChanged() {
	if r.live.admin == "" || len(r.errs) > 0 {
		return
	}
	v, ok := r.w.Secret(r.s.Admin.SecretName).Data(r.s.Admin.SecretKey)
	if ok && checksum.Of(r.s.Salt(), v) != r.live.admin {
		r.warn("identity.admin", "the password in Secret %s is not the one that the server was first started with, and the server reads it on its first start only; change the password on the server itself", r.s.Admin.SecretName)
	}
}

// adminOfEarlierServer warns of a database that is older than this server: what
// Percona keeps when a server is deleted has the administrator of then, while the
// generated Secret was deleted with the server and made anew.
func (r *resolver) adminOfEarlierServer() {
	if !r.s.Admin.Generated || r.s.Target.Kind != Percona || r.w.XR.Created == "" || len(r.errs) > 0 {
		return
	}
	database := r.w.Secret(names.ClusterCredentials(r.name))
	admin := r.w.Existing(r.w.Ref(names.Admin)).Record
	older := func(created string) bool { return created != "" && created < r.w.XR.Created }
	if older(database.Created()) && !older(admin.Created()) {
		r.warn("identity.admin.passwordSecretRef", "is not set, and Secret %s is older than this server: if a server of this name used the database before, its administrator still has the password of then, and not that of Secret %s. Name a Secret with the password of then", database.Name, r.s.Admin.SecretName)
	}
}

// Salt is what the server's checksums are salted with.
func (s *Server) Salt() string { return s.Namespace + "/" + s.Name }

// secretRef checks a reference to a key of a Secret.
func (r *resolver) secretRef(path string, ref *corev1.SecretKeySelector, defaultKey string) (name, key string) {
	key = cmp.Or(ref.Key, defaultKey)
	if ref.Name == "" {
		r.required(path+".name", "the name of a Secret in the server's namespace")
	} else {
		r.objectName(path+".name", ref.Name)
	}
	if key == "" {
		r.required(path+".key", "the key within the Secret")
	}
	return ref.Name, key
}

// userSecret reads a key that the pod cannot start without, and warns while it
// is not there.
func (r *resolver) userSecret(path, name, key string) ([]byte, bool) {
	if len(r.errs) > 0 || name == "" {
		return nil, false
	}
	s := r.w.Secret(name)
	v, ok := s.Data(key)
	switch {
	case s.Known && !s.Exists():
		r.warn(path, "Secret %s does not exist in namespace %s, and the server cannot start without it; create it", name, r.s.Namespace)
	case s.Known && !ok:
		r.warn(path, "Secret %s has no key %s, and the server cannot start without it; add the key", name, key)
	}
	return v, ok
}

func (r *resolver) services() {
	svc := or(r.ask.Spec.Service, v1alpha1.ServiceSpec{})
	r.s.Service = Service{Type: r.serviceType("service.type", svc.Type), Annotations: svc.Annotations}
	ad := or(r.ask.Spec.AdapterServices, v1alpha1.AdapterServiceConfig{})
	r.s.AdapterService = Service{Type: r.serviceType("adapterServices.type", ad.Type), Annotations: ad.Annotations}
}

func (r *resolver) serviceType(path, t string) corev1.ServiceType {
	return corev1.ServiceType(r.oneOf(path, cmp.Or(t, string(corev1.ServiceTypeClusterIP)),
		string(corev1.ServiceTypeClusterIP), string(corev1.ServiceTypeNodePort), string(corev1.ServiceTypeLoadBalancer)))
}

func (r *resolver) logging() {
	l := or(r.ask.Spec.Logging, v1alpha1.LoggingSpec{})
	r.s.Logging = Logging{
		Level:  r.oneOf("logging.level", cmp.Or(l.Level, defaultLogLevel), "DEBUG", "INFO", "WARN", "ERROR", "debug", "info", "warn", "error"),
		Format: r.oneOf("logging.format", cmp.Or(l.Format, defaultLogFormat), "json", "text"),
		Output: cmp.Or(l.Output, defaultLogOutput),
	}
	if o := r.s.Logging.Output; o != "stdout" && o != "stderr" && !r.onVolume(o) && !below(tmpDir, o) {
		r.invalid("logging.output", o, "must be stdout, stderr or a file below "+r.volumeDirs()+" or "+tmpDir+": the rest of the container is read-only")
	}
}

// unknown warns of fields that no DittoServer has.
func (r *resolver) unknown() {
	for _, f := range r.ask.Unknown {
		r.warn(f, "is not a field of a DittoServer and is ignored; look for a typing error")
	}
}

// unbuilt refuses what the function does not build yet where leaving it out
// would be a downgrade in silence, and warns of the rest.
func (r *resolver) unbuilt() {
	const refused = "is not supported yet, and a server without it would be less secure than asked for; remove the field"
	spec := r.ask.Spec
	if cp := spec.ControlPlane; cp != nil {
		if cp.TLS {
			r.forbidden("controlPlane.tls", refused)
		}
		if cp.CertSecretName != "" {
			r.forbidden("controlPlane.certSecretName", refused)
		}
		if cp.ClientCASecretName != "" {
			r.forbidden("controlPlane.clientCASecretName", refused)
		}
	}
	if id := spec.Identity; id != nil {
		if id.LDAP != nil && id.LDAP.Enabled {
			r.forbidden("identity.ldap", refused)
		}
		if id.Kerberos != nil && id.Kerberos.Enabled {
			r.forbidden("identity.kerberos", refused)
		}
	}
	if m := spec.Metrics; m != nil {
		if m.BearerTokenSecret != nil {
			r.forbidden("metrics.bearerTokenSecret", refused)
		}
		if m.Enabled {
			r.warn("metrics", "is not supported yet and is ignored: the server serves no metrics")
		}
	}
	if spec.AdapterDiscovery != nil {
		r.warn("adapterDiscovery", "is ignored: the Services for NFS and SMB are always composed")
	}
	if len(spec.SnapshotPolicies) > 0 {
		r.warn("snapshotPolicies", "is not supported yet and is ignored: set the policies with dfsctl")
	}
}
