package server

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Paths of fields that several messages name.
const (
	pathJWT     = "identity.jwt.secretRef"
	pathAdmin   = "identity.admin.passwordSecretRef"
	pathToken   = "metrics.bearerTokenSecret"
	pathMonitor = "metrics.serviceMonitor"
	pathNFS     = "adapters.nfs"
	pathSMB     = "adapters.smb"
	pathSwitch  = "database.confirmSwitch"
	pathRemoval = "percona.backup.confirmRemoval"
)

// messages are what is to be told about a spec.
type messages struct {
	spec Spec

	errs     field.ErrorList
	held     []string
	warnings []string
	// typos are those of the warnings that are of a name that nobody knows.
	typos []string
}

func (m *messages) invalid(path string, value any, detail string) {
	m.errs = append(m.errs, field.Invalid(m.spec.Path(path), value, detail))
}

func (m *messages) forbidden(path, detail string) {
	m.errs = append(m.errs, field.Forbidden(m.spec.Path(path), detail))
}

func (m *messages) required(path, detail string) {
	if !m.spec.decoded(path) {
		// It is there, and what is wrong with it has been said.
		return
	}
	m.errs = append(m.errs, field.Required(m.spec.Path(path), detail))
}

func (m *messages) oneOf(path, value string, allowed ...string) string {
	if !slices.Contains(allowed, value) {
		m.errs = append(m.errs, field.NotSupported(m.spec.Path(path), value, allowed))
	}
	return value
}

func (m *messages) inRange(path string, value, low, high int64) {
	if value < low || value > high {
		m.invalid(path, value, fmt.Sprintf("must be between %d and %d", low, high))
	}
}

func (m *messages) warn(path, format string, a ...any) {
	m.warnings = append(m.warnings, m.spec.Path(path).String()+": "+fmt.Sprintf(format, a...))
}

// typo warns of a name that nobody knows.
func (m *messages) typo(path, what string) {
	m.warn(path, "%s; check for typos", what)
	m.typos = append(m.typos, m.warnings[len(m.warnings)-1])
}

func (m *messages) hold(path, format string, a ...any) {
	m.held = append(m.held, m.spec.Path(path).String()+": "+fmt.Sprintf(format, a...))
}
