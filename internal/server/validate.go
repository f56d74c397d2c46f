package server

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/dittofs/function-dittoserver/internal/names"
)

// Names of the server's volumes, which are those of the DittoFS operator.
const (
	VolumeMetadata     = "metadata"
	VolumeContent      = "content"
	VolumeControlPlane = "controlplane"
)

// tmpDir is writable, and gone with the pod.
const tmpDir = "/tmp"

const (
	// minGracePeriodSeconds is 5 seconds of draining, 30 of shutdown, and one.
	minGracePeriodSeconds = 36
	// minJWTLength is what the server asks for. Source: dittofs v0.29.0
	// pkg/controlplane/api/server.go.
	minJWTLength = 32
	// maxIdentifier is PostgreSQL's limit for names (NAMEDATALEN - 1).
	maxIdentifier = 63
	// maxRetention is the largest value of pgBackRest's repo-retention-full.
	maxRetention = 9999999
	minPostgres  = 14
	maxPostgres  = 18
)

var (
	sizePattern       = regexp.MustCompile(`^[0-9]+(Gi|Mi|Ti)$`)
	identifierPattern = regexp.MustCompile(`^[a-z_][a-z0-9_-]*$`)
	imagePattern      = regexp.MustCompile(`^[^\s@:]+(:[0-9]+/[^\s@:]+)?(:[\w][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?$`)
	imageMajorPattern = regexp.MustCompile(`:([0-9]{2})([.-][\w.-]*)?(@.*)?$`)
	bucketPattern     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	regionPattern     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]*$`)
	endpointPattern   = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)
	repoPathPattern   = regexp.MustCompile(`^(/[A-Za-z0-9._-]+)+$`)
)

// names checks the server's own name. Percona and Kubernetes build longer names
// and label values from it and do not check them.
func (r *resolver) names() {
	path := field.NewPath("metadata", "name")
	limit, why := names.MaxWithoutPercona, "Services are named after it"
	if p := r.ask.Spec.Percona; p != nil && p.Enabled {
		limit, why = names.MaxWithPercona, "Percona builds the names of the database's pods from it"
	}
	if len(r.name) > limit {
		r.errs = append(r.errs, field.Invalid(path, r.name, fmt.Sprintf("must have at most %d characters, it has %d: %s", limit, len(r.name), why)))
	}
	for _, msg := range validation.IsDNS1035Label(r.name) {
		r.errs = append(r.errs, field.Invalid(path, r.name, msg))
	}
}

func (r *resolver) objectName(path, name string) {
	for _, msg := range validation.IsDNS1123Subdomain(name) {
		r.invalid(path, name, msg)
	}
}

func (r *resolver) image(path, image string) {
	if !imagePattern.MatchString(image) {
		r.invalid(path, image, "must be an image reference such as "+DefaultImage)
	}
}

func (r *resolver) size(path, value string) resource.Quantity {
	if !sizePattern.MatchString(value) {
		r.invalid(path, value, "must be a whole number of Mi, Gi or Ti, such as 10Gi")
		return resource.Quantity{}
	}
	return r.quantity(path, value)
}

func (r *resolver) duration(path, value string) {
	if d, err := time.ParseDuration(value); err != nil || d <= 0 {
		r.invalid(path, value, "must be a positive duration such as 15m or 168h")
	}
}

func (r *resolver) volumeDirs() string {
	dirs := []string{ControlPlaneDir, MetadataDir}
	if r.s.Storage.HasContent() {
		dirs = append(dirs, ContentDir)
	}
	return strings.Join(dirs, ", ")
}

// onVolume says whether a file lies on a volume of the server's.
func (r *resolver) onVolume(file string) bool {
	return slices.ContainsFunc(strings.Split(r.volumeDirs(), ", "), func(dir string) bool { return below(dir, file) })
}

// below says whether a path names something below a directory, without detours.
func below(dir, file string) bool {
	return path.Clean(file) == file && strings.HasPrefix(file, dir+"/")
}

func (r *resolver) identifier(path, name string) {
	switch {
	case len(name) > maxIdentifier || !identifierPattern.MatchString(name):
		r.invalid(path, name, fmt.Sprintf("must begin with a lower-case letter or _, hold lower-case letters, digits, _ and -, and have at most %d characters", maxIdentifier))
	case slices.Contains([]string{"postgres", "template0", "template1"}, name):
		r.invalid(path, name, "is PostgreSQL's own database")
	}
}

// crVersion refuses what Percona's operator would panic on (anything but a
// version) or not reconcile (versions that make pgBouncer mandatory).
func (r *resolver) crVersion(path, value string) {
	v, err := version.ParseSemantic(value)
	if err != nil {
		r.invalid(path, value, "must be a version of Percona's operator such as "+DefaultCRVersion)
		return
	}
	if v.LessThan(version.MustParseSemantic(DefaultCRVersion)) {
		r.invalid(path, value, "must be at least "+DefaultCRVersion+": below it the operator demands a pgBouncer and its image")
	}
}

// schedule refuses what Percona's operator only logs (a bad expression) or
// panics on (@every). Source: percona-postgresql-operator v2.9.0
// percona/controller/pgcluster/schedule.go and cron.go.
func (r *resolver) schedule(path, value string) {
	const allowed = "must be a cron schedule of five fields such as \"0 2 * * *\", or @daily and its like, in UTC"
	s, err := cron.ParseStandard(value)
	if err != nil || len(value) < minSchedule {
		r.invalid(path, value, allowed)
		return
	}
	if _, ok := s.(*cron.SpecSchedule); !ok {
		r.invalid(path, value, "@every is not supported by Percona's operator; "+allowed)
	}
}

// minSchedule is the least length of a schedule in Percona's CRD.
const minSchedule = 6

// imageMajor is the PostgreSQL major version that an image's tag begins with.
func imageMajor(image string) (major int, ok bool) {
	m := imageMajorPattern.FindStringSubmatch(image)
	if m == nil {
		return 0, false
	}
	major, err := strconv.Atoi(m[1])
	return major, err == nil
}
