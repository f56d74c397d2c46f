package server

import (
	"encoding/binary"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/record"
)

// kerberosUses returns the Secrets that the pod reads for Kerberos.
func (h *holder) kerberosUses() []use {
	k := &h.s.Kerberos
	return []use{
		{record.UseKeytab, pathKeytab, &k.Keytab, h.keytabProblem},
		{record.UseKrb5Conf, pathKrb5Conf, &k.Krb5Conf, h.textProblem},
		{record.UseMachineSecret, pathMachineSecret, &k.Machine.Secret, h.textProblem},
		{record.UseMachineKeytab, pathMachineKeytab, &k.Machine.Keytab, h.keytabProblem},
	}
}

// kerberos keeps the Secrets of a live server where the pod could not start with
// those that the spec names.
func (h *holder) kerberos() {
	if h.s.Kerberos.Enabled && h.provider("Kerberos", h.hadProvider(ofKerberos), h.kerberosUses()) {
		h.s.Kerberos = Kerberos{}
	}
}

func ofKerberos(s record.Server) *record.Provider { return s.Kerberos }

// kerberosTaken tells what the server does not take from its file any more, and keeps
// the keytab of a server that goes on with Kerberos: it does not start without.
func (h *holder) kerberosTaken() {
	k := h.s.Kerberos
	had := h.hadProvider(ofKerberos)
	off := h.spec.Identity != nil && h.spec.Identity.Kerberos != nil && h.spec.Identity.Kerberos.SwitchedOff
	inPod := h.live.Named(names.VolumeKeytab, "spec", "template", "spec", "volumes").Exists()
	h.providers.Kerberos = h.take(had, k.Enabled, off, k.Config(), h.kerberosUses(), inPod)
	restart := ", and restart it: kubectl -n " + h.s.Namespace + " rollout restart statefulset " + h.s.Name
	switch p := h.providers.Kerberos; {
	case p == nil || p.Taken == "" || p.Taken == p.Asked && !p.Off:
	case p.Off:
		h.s.Kerberos = Kerberos{Kept: true, Keytab: p.Secrets[record.UseKeytab], Krb5Conf: p.Secrets[record.UseKrb5Conf]}
		for _, u := range h.kerberosUses() {
			h.tell(u.path, u.problem(*u.ref))
		}
		h.warn(pathKerberos, "is off, and the server goes on with Kerberos: it has kept a copy of its configuration since it first started with it. Its keytab stays mounted, since it does not start without. Switch it off there as well: %s%s. Then set %s.switchedOff to true", set("kerberos", map[string]any{"enabled": false}), restart, h.spec.Path(pathKerberos))
	default:
		h.warn(pathKerberos, "has changed since the server first started with it, and the server goes on with the copy that it has kept, but for the files. Change that as well: %s%s", set("kerberos", k.Config()), restart)
	}
}

// keytabProblem returns what is wrong with a reference to a keytab, which may be none.
func (h *holder) keytabProblem(ref record.SecretKey) problem {
	if ref == (record.SecretKey{}) {
		return problem{}
	}
	s := h.w.Secret(ref.Name)
	data, ok := s.Data(ref.Key)
	switch {
	case !s.Known || ok && isKeytab(data):
		return problem{}
	case ok:
		return problem{"the key " + ref.Key + " of Secret " + ref.Name + " is no keytab, or half of one", "the server cannot start with it; correct it"}
	}
	return h.problem(ref, false, "")
}

// isKeytab reports whether the server can read a keytab: it begins with 5 and its
// version, and has entries, each behind its length, which is negative for a hole.
// Source: https://web.mit.edu/kerberos/krb5-devel/doc/formats/keytab_file_format.html;
// gokrb5 v8 keytab.Unmarshal.
func isKeytab(b []byte) bool {
	const header, size = 2, 4
	if len(b) < header+size || b[0] != 5 || b[1] != 1 && b[1] != 2 {
		return false
	}
	if b[1] == 1 {
		// Its numbers are in the byte order of the machine that wrote it.
		return true
	}
	for b = b[header:]; len(b) >= size; {
		n := int64(int32(binary.BigEndian.Uint32(b))) //nolint:gosec // The format says so.
		b = b[size:]
		if n == 0 {
			return true
		}
		if n = max(n, -n); n > int64(len(b)) {
			return false
		}
		b = b[n:]
	}
	return true
}
