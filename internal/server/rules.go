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
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/version"
)

// tmpDir is writable, and gone with the pod.
const tmpDir = "/tmp"

const (
	// minGracePeriodSeconds is 5 seconds of draining, 30 of shutdown, and one.
	minGracePeriodSeconds = 36
	// MinJWTLength is what the server asks for. Source: dittofs v0.29.0
	// pkg/controlplane/api/server.go.
	MinJWTLength = 32
	// maxIdentifier is PostgreSQL's limit for names (NAMEDATALEN - 1).
	maxIdentifier = 63
	// maxRetention is the largest value of pgBackRest's repo-retention-full.
	maxRetention = 9999999
	minPostgres  = 14
	maxPostgres  = 18
	// minSchedule is the least length of a schedule in Percona's CRD.
	minSchedule = 6
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
	// prometheusDuration is that of the ServiceMonitor's schema.
	// Source: prometheus-operator v0.89.0 pkg/apis/monitoring/v1/types.go, Duration.
	prometheusDuration = regexp.MustCompile(`^(0|([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$`)
	confirmPattern     = regexp.MustCompile(`^(sqlite|external|percona)(/.+)?$`)
)

func (v *validator) objectName(path, name string) {
	for _, msg := range validation.IsDNS1123Subdomain(name) {
		v.invalid(path, name, msg)
	}
}

func (v *validator) image(path, image string) {
	if !imagePattern.MatchString(image) {
		v.invalid(path, image, "must be an image reference such as "+DefaultImage)
	}
}

func (v *validator) duration(path, value string) {
	if d, err := time.ParseDuration(value); err != nil || d <= 0 {
		v.invalid(path, value, "must be a positive duration such as 15m or 168h")
	}
}

// below reports whether a path names something below a directory, without
// detours.
func below(dir, file string) bool {
	return path.Clean(file) == file && strings.HasPrefix(file, dir+"/")
}

func (v *validator) identifier(path, name string) {
	switch {
	case len(name) > maxIdentifier || !identifierPattern.MatchString(name):
		v.invalid(path, name, fmt.Sprintf("must begin with a lower-case letter or _, hold lower-case letters, digits, _ and -, and have at most %d characters", maxIdentifier))
	case slices.Contains([]string{"postgres", "template0", "template1"}, name):
		v.invalid(path, name, "is PostgreSQL's own database")
	}
}

// crVersion refuses what Percona's operator would panic on (anything but a
// version) or not reconcile (versions that make pgBouncer mandatory).
func (v *validator) crVersion(path, value string) {
	parsed, err := version.ParseSemantic(value)
	if err != nil {
		v.invalid(path, value, "must be a version of Percona's operator such as "+DefaultCRVersion)
		return
	}
	if parsed.LessThan(version.MustParseSemantic(DefaultCRVersion)) {
		v.invalid(path, value, "must be at least "+DefaultCRVersion+": below it the operator demands a pgBouncer and its image")
	}
}

// needsPgBouncer reports whether Percona's operator demands a pgBouncer and its
// image for a cluster of that crVersion.
// Source: percona-postgresql-operator v2.9.0 perconapgcluster_types.go, Default.
func needsPgBouncer(crVersion string) bool {
	parsed, err := version.ParseSemantic(crVersion)
	return err == nil && parsed.LessThan(version.MustParseSemantic(DefaultCRVersion))
}

// schedule refuses what Percona's operator only logs (a bad expression) or
// panics on (@every). Source: percona-postgresql-operator v2.9.0
// percona/controller/pgcluster/schedule.go and cron.go.
func (v *validator) schedule(path, value string) {
	const allowed = "must be a cron schedule of five fields such as \"0 2 * * *\", or @daily and its like, in UTC"
	s, err := cron.ParseStandard(value)
	if err != nil || len(value) < minSchedule {
		v.invalid(path, value, allowed)
		return
	}
	if _, ok := s.(*cron.SpecSchedule); !ok {
		v.invalid(path, value, "@every is not supported by Percona's operator; "+allowed)
	}
}

// ImageMajor returns the PostgreSQL major version that an image's tag begins with.
func ImageMajor(image string) (major int, ok bool) {
	m := imageMajorPattern.FindStringSubmatch(image)
	if m == nil {
		return 0, false
	}
	major, err := strconv.Atoi(m[1])
	return major, err == nil
}
