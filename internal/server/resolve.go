package server

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/world"
)

// A Resolution is what became of a spec.
type Resolution struct {
	Server *Server
	// Errors are values that are invalid in themselves. If there are any, the
	// Server must not be composed: it only says which database there is.
	Errors field.ErrorList
	// Held are edits that contradict what exists, each with what would let it
	// through.
	Held []string
	// Warnings stand as long as their cause does.
	Warnings []string
	// Typos are those of the Warnings that are of a name that nobody knows: what is
	// wrong elsewhere may be due to them.
	Typos []string
}

// Resolve decides every value of the server: what the spec asks for, but for what
// contradicts what exists.
func Resolve(spec Spec, w world.World) Resolution {
	s, m := validate(spec, w.Name, w.Namespace)
	h := &holder{messages: m, w: w, s: s, had: w.Record.Server}
	if e := w.Object(names.Server); e.Exists() {
		h.live = e.Object
	}
	if e := w.Object(names.Postgres); e.Exists() {
		h.cluster = e.Object
	}
	if len(h.errs) == 0 {
		h.all()
	}
	if len(h.errs) > 0 {
		h.refuse()
	}
	return Resolution{Server: h.s, Errors: h.errs, Held: h.held, Warnings: h.warnings, Typos: h.typos}
}

// CheckIdentity returns what is wrong with an identity.
func CheckIdentity(xr observed.XR, id world.Identity) field.ErrorList {
	var errs field.ErrorList
	if id.Name == "" {
		errs = append(errs, field.Required(field.NewPath("metadata", "name"), "the composite resource has no name"))
	}
	if id.Namespace == "" {
		errs = append(errs, field.Required(field.NewPath("input", "namespace"), "the composite resource "+xr.Name+" has neither a namespace nor a claim; set the namespace of its objects"))
	}
	return errs
}

// A holder keeps what contradicts what exists.
type holder struct {
	messages
	w world.World
	s *Server

	// live and cluster are the StatefulSet and the PerconaPGCluster, if they exist
	// and are ours.
	live, cluster observed.Object
	// had is what was chosen for the server, or what a live server without a record
	// says of itself; nil before there is a server.
	had *record.Server
	// providers are what is to be remembered of identity providers.
	providers struct{ LDAP, Kerberos *record.Provider }
	// loadBalancerClasses are what is to be remembered of load balancers: the classes
	// that were asked for.
	loadBalancerClasses map[names.Resource]string
}

func (h *holder) all() {
	h.operator()
	h.pod()
	h.services()
	h.storage()
	h.files()
	h.secrets()
	h.podSecrets()
	h.loadBalancers()
	h.database()
	h.adminOfNewDatabase()
	h.identityProviders()
	h.s.Frozen = h.frozen()
	h.postgres()
	if h.s.Current.Kind == record.Percona {
		h.s.Connection.WaitImage = h.s.Cluster.Image
	}
	h.adminOfEarlierServer()
	h.network()
	h.monitor()
	h.record()
}

// refuse leaves of the server what the conditions need: nothing changes.
func (h *holder) refuse() {
	d := h.s.Target
	if have := h.have(); have != nil {
		d = *have
	}
	h.s = &Server{Name: h.s.Name, Namespace: h.s.Namespace, Current: d, Target: d, JWT: h.s.JWT, Admin: h.s.Admin, Cluster: h.s.Cluster}
}

// operatorFinalizer is what the DittoFS operator puts on its DittoServers.
const operatorFinalizer = "dittofs.dittofs.com/finalizer"

// operator warns of a finalizer that nobody will take off any more.
func (h *holder) operator() {
	i := slices.Index(h.w.XR.Finalizers(), operatorFinalizer)
	if i < 0 {
		return
	}
	kind := strings.ToLower(h.w.XR.Kind)
	h.warnings = append(h.warnings, fmt.Sprintf("metadata.finalizers: %s is the DittoFS operator's. Without that operator a deletion of this %s never ends. Once the operator is uninstalled, remove it: kubectl -n %s patch %s %s --type=json -p '[{\"op\":\"test\",\"path\":\"/metadata/finalizers/%[6]d\",\"value\":\"%[1]s\"},{\"op\":\"remove\",\"path\":\"/metadata/finalizers/%[6]d\"}]'",
		operatorFinalizer, h.w.XR.Kind, h.s.Namespace, kind, h.w.XR.Name, i))
}

// pod keeps what a live server runs where the spec does not say, so that a new
// default does not reach it.
func (h *holder) pod() {
	if h.had != nil && h.had.Image != "" && !h.spec.States("image") {
		h.s.Image = h.had.Image
	}
	if h.live.Exists() {
		h.s.PodManagement = podManagement(h.live)
	}
}

// files checks the files that the server is to write to: only its volumes, and a
// temporary folder, can be written to.
func (h *holder) files() {
	dirs := []string{ControlPlaneDir, MetadataDir}
	if h.s.Storage.Has(names.VolumeContent) {
		dirs = append(dirs, ContentDir)
	}
	onVolume := func(file string) bool {
		return slices.ContainsFunc(dirs, func(dir string) bool { return below(dir, file) })
	}
	all := strings.Join(dirs, ", ")
	if p := h.s.Target.Path; h.s.Target.Kind == record.SQLite && !onVolume(p) {
		h.invalid("database.sqlite.path", p, "must be a file below "+all+": the rest of the container is read-only and gone with the pod")
	}
	if o := h.s.Logging.Output; o != "stdout" && o != "stderr" && !onVolume(o) && !below(tmpDir, o) {
		h.invalid("logging.output", o, "must be stdout, stderr or a file below "+all+" or "+tmpDir+": the rest of the container is read-only")
	}
}

// started reports whether the server has read the administrator's password, which
// it does on its first start with a database only.
func (h *holder) started() bool {
	return h.had != nil && h.had.Started || h.live.Int("status", "readyReplicas") > 0 && h.current()
}

// current reports whether the server's pod is made of the latest pod template.
func (h *holder) current() bool {
	return h.live.Int("status", "updatedReplicas") > 0 && h.live.Int("status", "observedGeneration") >= h.live.Int("metadata", "generation")
}

// record is what is to be remembered.
func (h *holder) record() {
	r := record.Record{XR: h.w.XR.UID, Cluster: h.w.Record.Cluster, VersionGuessed: h.s.Record.VersionGuessed, Spent: h.s.Record.Spent}
	r.Server = &record.Server{
		Image:         h.s.Image,
		Database:      h.s.Current,
		Started:       h.started() && (h.had == nil || h.had.Database.Same(h.s.Current)),
		JWT:           h.s.JWT.SecretKey,
		Admin:         h.s.Admin.SecretKey,
		AdminOptional: h.s.Admin.Optional,
	}
	if m := h.s.Metrics; m.Enabled {
		r.Server.Metrics = &record.Metrics{Port: m.Port, Path: m.Path, Token: m.Token}
	}
	r.Server.DatabasePort = h.s.Network.DatabasePort
	r.Server.LDAP, r.Server.Kerberos = h.providers.LDAP, h.providers.Kerberos
	if t := h.s.TLS; t.Cert != "" {
		r.Server.TLS = &record.TLS{Cert: t.Cert, ClientCA: t.ClientCA}
	}
	r.LoadBalancerClasses = h.loadBalancerClasses
	h.s.Record = r
}
