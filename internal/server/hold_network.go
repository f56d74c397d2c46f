package server

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/dittofs/function-dittoserver/internal/pgstate"
	"github.com/dittofs/function-dittoserver/internal/record"
)

// network decides which port of a database that somebody else runs a restricted server
// may connect to. While its Secret is not whole, that is the port that it had: the server
// that runs goes on with that one.
func (h *holder) network() {
	n := &h.s.Network
	if !n.Restricted || h.s.Current.Kind != record.External {
		return
	}
	n.DatabasePort = defaultDatabasePort
	had := int32(0)
	if h.had != nil && h.had.Database.Same(h.s.Current) {
		had = h.had.DatabasePort
	}
	if had != 0 && (h.s.Frozen || !h.usable(h.s.Current)) {
		n.DatabasePort = had
		return
	}
	port, ok := h.w.Secret(h.s.Current.Secret).Text(pgstate.KeyPort)
	if !ok || !h.s.Current.HasPort {
		return
	}
	p, err := strconv.ParseUint(strings.TrimSpace(port), 10, 16)
	if err != nil || p == 0 {
		n.DatabasePort = cmp.Or(had, n.DatabasePort)
		h.warn("database.postgresSecretRef", "the key port of Secret %s is no port; correct it. The NetworkPolicy opens %d", h.s.Current.Secret, n.DatabasePort)
		return
	}
	n.DatabasePort = int32(p)
}
