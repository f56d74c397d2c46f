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
	if !jwt.Generated {
		h.tell(pathJWT, p)
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

// adminProblem returns what is wrong with the administrator's password that the pod is
// to have.
func (h *holder) adminProblem() problem {
	return h.problem(h.s.Admin.SecretKey, h.s.Admin.Generated, names.Admin)
}

func (h *holder) admin() {
	admin := &h.s.Admin
	admin.Optional = h.had != nil && h.had.AdminOptional && h.live.Exists()
	p := h.adminProblem()
	if p.none() {
		return
	}
	if h.holds(func(s record.Server) record.SecretKey { return s.Admin }, admin.SecretKey) {
		h.hold(pathAdmin, "%s. The server goes on with Secret %s until that is mended", p.what, h.had.Admin.Name)
		admin.SecretKey, admin.Generated = h.had.Admin, h.had.Admin.Name == names.AdminSecret(h.s.Name)
		p = h.adminProblem()
	}
	switch {
	case p.none() || admin.Generated:
	case h.live.Exists() && h.started():
		// The server has read the password and does not need it any more.
		admin.Optional = true
	default:
		h.tell(pathAdmin, p)
	}
}

// metricsToken keeps what a scraper has to show where the pod could not start with
// what it is asked to show. The rest of the metrics is applied: a port that stayed
// could be one that the API has moved to.
func (h *holder) metricsToken() {
	m := &h.s.Metrics
	had := record.SecretKey{}
	if h.had != nil && h.had.Metrics != nil {
		had = h.had.Metrics.Token
	} else if p := h.textProblem(m.Token); h.live.Exists() && !p.none() {
		h.hold(pathToken, "%s. Metrics stay off until that is mended", p.what)
		*m = Metrics{}
		return
	}
	m.Token = h.keep(pathToken, m.Token, had, h.textProblem, "The server goes on without a token")
}

// keep returns the reference that the pod is to have: the one that is asked for, unless
// the pod could not start with it and a live server has another one, or none. What
// follows then is told by without.
func (h *holder) keep(path string, asked, had record.SecretKey, problem func(record.SecretKey) problem, without string) record.SecretKey {
	p := problem(asked)
	switch {
	case p.none():
		return asked
	case !h.live.Exists(), had == asked:
		h.tell(path, p)
		return asked
	case had == record.SecretKey{}:
		h.hold(path, "%s. %s until that is mended", p.what, without)
	default:
		h.hold(path, "%s. The server goes on with Secret %s until that is mended", p.what, had.Name)
		h.tell(path, problem(had))
	}
	return had
}

// tell warns of a problem, and reports whether there is one.
func (h *holder) tell(path string, p problem) bool {
	if !p.none() {
		h.warn(path, "%s, and %s", p.what, p.so)
	}
	return !p.none()
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
	return h.tell(pathAdmin, h.adminProblem())
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
	return h.lacksSecret() || h.lacksConnection() || !h.s.Admin.Optional && !h.adminProblem().none()
}

// lacksSecret reports whether a Secret is missing that a pod needs whatever its database
// is.
func (h *holder) lacksSecret() bool {
	return !h.jwtProblem().none() || h.lacksTLS() || h.lacksIdentity() || h.lacksEnv() || !h.textProblem(h.s.Metrics.Token).none()
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
