package server

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/dittofs/function-dittoserver/internal/checksum"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/record"
)

// A use is a reference to a Secret that the pod reads for an identity provider.
type use struct {
	name, path string
	ref        *record.SecretKey
	problem    func(record.SecretKey) problem
}

// ldapUses returns the Secrets that the pod reads for LDAP.
func (h *holder) ldapUses() []use {
	return []use{
		{record.UseBindPassword, pathBindPassword, &h.s.LDAP.BindPassword, h.textProblem},
		{record.UseLDAPCA, pathLDAPCA, &h.s.LDAP.CA, h.caProblem},
	}
}

// ldap keeps the Secrets of a live server where the pod could not start with those
// that the spec names.
func (h *holder) ldap() {
	if h.s.LDAP.Enabled && h.provider("LDAP", h.hadProvider(ofLDAP), h.ldapUses()) {
		h.s.LDAP = LDAP{}
	}
}

func ofLDAP(s record.Server) *record.Provider { return s.LDAP }

func (h *holder) hadProvider(of func(record.Server) *record.Provider) *record.Provider {
	if h.had == nil {
		return nil
	}
	return of(*h.had)
}

// provider keeps the references of an identity provider at what the running pod has.
// It reports whether the provider stays off.
func (h *holder) provider(what string, had *record.Provider, uses []use) (off bool) {
	on := h.live.Exists() && had != nil && !had.Off
	for _, u := range uses {
		before := record.SecretKey{}
		if on {
			before = had.Secrets[u.name]
		} else if p := u.problem(*u.ref); h.live.Exists() && !p.none() {
			h.hold(u.path, "%s. The server goes on without %s until that is mended", p.what, what)
			return true
		}
		*u.ref = h.keep(u.path, *u.ref, before, u.problem, "The server goes on without it")
	}
	return false
}

// lacksIdentity reports whether the pod could not start again for want of a Secret
// of an identity provider.
func (h *holder) lacksIdentity() bool {
	for _, u := range append(h.ldapUses(), h.kerberosUses()...) {
		if !u.problem(*u.ref).none() {
			return true
		}
	}
	return false
}

// textProblem returns what is wrong with a reference to a text, which may be none.
func (h *holder) textProblem(ref record.SecretKey) problem {
	if ref == (record.SecretKey{}) {
		return problem{}
	}
	return h.problem(ref, false, "")
}

// caProblem returns what is wrong with a reference to authorities, which may be none.
func (h *holder) caProblem(ref record.SecretKey) problem {
	return h.authoritiesProblem(ref, "nobody's certificate can be verified with it")
}

// identityProviders tells what the server does not take from its file any more. It
// reads its configuration of a provider when it first starts with it on a database,
// and goes on with its own copy in that database.
// Source: dittofs v0.29.0 cmd/dfs/commands/start.go, resolveIdentityProviders.
func (h *holder) identityProviders() {
	h.ldapTaken()
	h.kerberosTaken()
}

func (h *holder) ldapTaken() {
	l := h.s.LDAP
	had := h.hadProvider(ofLDAP)
	off := h.spec.Identity != nil && h.spec.Identity.LDAP != nil && h.spec.Identity.LDAP.SwitchedOff
	h.providers.LDAP = h.take(had, l.Enabled, off, l.Config(), h.ldapUses(), h.podHas(names.EnvLDAPBindPassword))
	switch p := h.providers.LDAP; {
	case p == nil || p.Taken == "" || p.Taken == p.Asked && !p.Off:
	case p.Off:
		h.warn(pathLDAP, "is off, and the server goes on with LDAP: it has kept a copy of its configuration since it first started with it. Switch it off there as well: %s. Then set %s.switchedOff to true", set("ldap", map[string]any{"enabled": false}), h.spec.Path(pathLDAP))
	default:
		h.warn(pathLDAP, "has changed since the server first started with it, and the server goes on with the copy that it has kept. Change that as well: %s", set("ldap", l.Config()))
	}
}

// take returns what is to be remembered of an identity provider, nil for nothing: of
// one that is off, and that was switched off in the server, too. inPod is whether the
// live pod template has the provider.
func (h *holder) take(had *record.Provider, on, switchedOff bool, config map[string]any, uses []use, inPod bool) *record.Provider {
	if had != nil && !h.had.Database.Same(h.s.Current) {
		// On another database the server reads its file again.
		had = nil
	}
	p := &record.Provider{Off: !on, Secrets: map[string]record.SecretKey{}}
	if on {
		p.Asked = h.digest(config)
		for _, u := range uses {
			if *u.ref != (record.SecretKey{}) {
				p.Secrets[u.name] = *u.ref
			}
		}
	}
	switch {
	case had == nil:
	case had.Taken == record.TakenBefore && on:
		// What it was is not known. It counts as what is asked for now.
		p.Taken = p.Asked
	case had.Taken != "":
		p.Taken = had.Taken
	case !had.Off && h.live.Int("status", "readyReplicas") > 0 && h.current() && inPod:
		p.Taken = had.Asked
	}
	if !on && (p.Taken == "" || switchedOff) {
		return nil
	}
	if !on {
		p.Secrets = had.Secrets
	}
	return p
}

// podHas reports whether the live pod template has a variable.
func (h *holder) podHas(variable string) bool {
	for _, e := range record.Container(h.live).List("env") {
		if e.String("name") == variable {
			return true
		}
	}
	return false
}

func (h *holder) digest(config map[string]any) string {
	return checksum.Of(h.s.Salt(), []byte(asJSON(config)))
}

// set returns the command that gives the server a configuration of an identity
// provider. Without a password it keeps the one that it has.
func set(provider string, config map[string]any) string {
	return fmt.Sprintf("dfsctl identity-provider set %s --config '%s'", provider, strings.ReplaceAll(asJSON(config), "'", `'\''`))
}

func asJSON(m map[string]any) string {
	b, err := json.Marshal(m)
	if err != nil {
		// What is in it comes from JSON.
		return "{}"
	}
	return string(b)
}
