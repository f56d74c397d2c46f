package server

import (
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/record"
)

// secrets keeps the references of a live server to the Secrets that it has where
// the spec names one that the pod could not start with.
func (h *holder) secrets() {
	h.jwt()
	h.admin()
	h.metricsToken()
	h.tls()
	h.ldap()
	h.kerberos()
}

func (h *holder) jwt() {
	jwt := &h.s.JWT
	p := h.jwtProblem()
	if p.none() {
		return
	}
	if h.holds(func(s record.Server) record.SecretKey { return s.JWT }, jwt.SecretKey) {
		h.hold(pathJWT, "%s. The server goes on with Secret %s until that is mended", p.what, h.had.JWT.Name)
		jwt.SecretKey, jwt.Generated = h.had.JWT, h.had.JWT.Name == names.JWTSecret(h.s.Name)
		p = h.jwtProblem()
	}
	if !p.none() && !jwt.Generated {
		h.warn(pathJWT, "%s, and %s", p.what, p.so)
	}
}

// jwtProblem returns what is wrong with the signing key that the pod is to have.
func (h *holder) jwtProblem() problem {
	jwt := h.s.JWT
	p := h.problem(jwt.SecretKey, jwt.Generated, names.JWT)
	if v, ok := h.w.Secret(jwt.Name).Text(jwt.Key); p.none() && !jwt.Generated && ok && len(v) < MinJWTLength {
		return problem{"the key " + jwt.Key + " of Secret " + jwt.Name + " is shorter than the 32 characters that the server asks for", "it cannot start"}
	}
	return p
}

func (h *holder) admin() {
	admin := &h.s.Admin
	admin.Optional = h.had != nil && h.had.AdminOptional && h.live.Exists()
	p := h.problem(admin.SecretKey, admin.Generated, names.Admin)
	if p.none() {
		return
	}
	if h.holds(func(s record.Server) record.SecretKey { return s.Admin }, admin.SecretKey) {
		h.hold(pathAdmin, "%s. The server goes on with Secret %s until that is mended", p.what, h.had.Admin.Name)
		admin.SecretKey, admin.Generated = h.had.Admin, h.had.Admin.Name == names.AdminSecret(h.s.Name)
		p = h.problem(admin.SecretKey, admin.Generated, names.Admin)
	}
	switch {
	case p.none() || admin.Generated:
	case h.live.Exists() && h.started():
		// The server has read the password and does not need it any more.
		admin.Optional = true
	default:
		h.warn(pathAdmin, "%s, and %s", p.what, p.so)
	}
}

// metricsToken keeps what a scraper has to show where the pod could not start with
// what it is asked to show. The rest of the metrics is applied: a port that stayed
// could be one that the API has moved to.
func (h *holder) metricsToken() {
	m := &h.s.Metrics
	if m.Token == (record.SecretKey{}) {
		return
	}
	p := h.problem(m.Token, false, "")
	if p.none() {
		return
	}
	var had *record.Metrics
	if h.had != nil {
		had = h.had.Metrics
	}
	switch {
	case !h.live.Exists(), had != nil && had.Token == m.Token:
		h.warn(pathToken, "%s, and %s", p.what, p.so)
	case had == nil:
		h.hold(pathToken, "%s. Metrics stay off until that is mended", p.what)
		*m = Metrics{}
	case had.Token == (record.SecretKey{}):
		h.hold(pathToken, "%s. The server goes on without a token until that is mended", p.what)
		m.Token = had.Token
	default:
		h.hold(pathToken, "%s. The server goes on with Secret %s until that is mended", p.what, had.Token.Name)
		m.Token = had.Token
		h.lacksToo(pathToken, h.problem(m.Token, false, ""))
	}
}

// lacksToo warns that what is held at has a problem as well.
func (h *holder) lacksToo(path string, p problem) {
	if !p.none() {
		h.warn(path, "%s, and %s", p.what, p.so)
	}
}

// adminOfNewDatabase has the pod need the administrator's Secret again: on a
// database that it moves to, the server reads the password.
func (h *holder) adminOfNewDatabase() {
	if h.moves() {
		h.s.Admin.Optional = false
	}
}

// lacksAdmin reports whether a database that the server moves to would begin without
// an administrator, and tells so.
func (h *holder) lacksAdmin() bool {
	p := h.problem(h.s.Admin.SecretKey, h.s.Admin.Generated, names.Admin)
	if p.none() {
		return false
	}
	h.warn(pathAdmin, "%s, and %s", p.what, p.so)
	return true
}

// frozen reports whether a server has a pod that could not start again, for want of a
// Secret. It may not be ready for the moment.
func (h *holder) frozen() bool {
	stopped := h.live.Has("spec", "replicas") && h.live.Int("spec", "replicas") == 0
	// A pod that is kept already is not of the latest template, and a pod that is being
	// made again is counted nowhere.
	has := h.had != nil && h.had.Started || h.live.Int("status", "readyReplicas") > 0 || h.live.Int("spec", "updateStrategy", "rollingUpdate", "partition") > 0
	if !h.live.Exists() || stopped || !has {
		return false
	}
	admin := h.s.Admin
	return h.lacksSecret() || h.lacksConnection() ||
		!admin.Optional && !h.problem(admin.SecretKey, admin.Generated, names.Admin).none()
}

// lacksSecret reports whether a Secret is missing that a pod needs whatever its database
// is.
func (h *holder) lacksSecret() bool {
	token := h.s.Metrics.Token
	return !h.jwtProblem().none() || h.lacksTLS() || h.lacksIdentity() || h.lacksEnv() ||
		token != (record.SecretKey{}) && !h.problem(token, false, "").none()
}

// lacksConnection reports whether a Secret of the current database lacks what the
// pod refers to.
func (h *holder) lacksConnection() bool {
	c := h.s.Connection
	for _, v := range []Value{c.URL, c.Host, c.Port, c.Name, c.User, c.Password, c.SSLMode} {
		if v.Name != "" && (!v.Optional || v.Needed) && h.w.Secret(v.Name).Missing(v.Key) {
			return true
		}
	}
	return c.CASecret != "" && h.w.Secret(c.CASecret).Missing(names.CAKey)
}

// holds reports whether a live server has another reference than the one asked
// for, which it can go on with.
func (h *holder) holds(of func(record.Server) record.SecretKey, asked record.SecretKey) bool {
	if h.had == nil || !h.live.Exists() {
		return false
	}
	had := of(*h.had)
	return had.Name != "" && had != asked
}

// A problem tells why a pod could not start with a Secret. The zero problem is
// none.
type problem struct {
	what string
	// so is what follows for a pod that has to start with it, and what to do.
	so string
}

func (p problem) none() bool { return p.what == "" }

// problem returns what is wrong with a reference. A Secret of the function's own is
// made if it does not exist.
func (h *holder) problem(ref record.SecretKey, generated bool, res names.Resource) problem {
	if generated {
		if h.w.Object(res).InTheWay() {
			return problem{what: "Secret " + ref.Name + " is not this server's"}
		}
		return problem{}
	}
	const cannot = "the server cannot start without it; "
	s := h.w.Secret(ref.Name)
	_, there := s.Data(ref.Key)
	switch {
	case !s.Missing(ref.Key):
		return problem{}
	case !s.Exists():
		return problem{"Secret " + s.Name + " does not exist in namespace " + h.s.Namespace, cannot + "create it"}
	case there:
		return problem{"the key " + ref.Key + " of Secret " + s.Name + " has bytes that are no text", cannot + "correct it"}
	}
	return problem{"Secret " + s.Name + " has no key " + ref.Key, cannot + "add the key"}
}

// adminOfEarlierServer warns of a database that is older than this server: what
// Percona keeps when a server is deleted has the administrator of then, while the
// generated Secret was deleted with the server and made again.
func (h *holder) adminOfEarlierServer() {
	if !h.s.Admin.Generated || h.s.Target.Kind != record.Percona {
		return
	}
	database, admin := h.w.KeptCredentials(), h.w.Object(names.Admin).Record
	if database.Exists() && !h.w.XR.Older(admin) {
		h.warn(pathAdmin, "is not set, and Secret %s is older than this server: if a server of this name used the database before, its administrator still has the password of then, and not that of Secret %s. Name a Secret with the password of then", database.Name(), h.s.Admin.Name)
	}
}
