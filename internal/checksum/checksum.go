// Package checksum makes the checksums by which a change of a source is seen.
package checksum

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Of is the checksum of the parts, each of which may be nil. The salt, which is
// the server's namespace and name, makes equal passwords of two servers differ;
// 64 bits of the hash are enough to see a change and say little about a
// password.
func Of(salt string, parts ...[]byte) string {
	h := sha256.New()
	h.Write(fmt.Appendf(nil, "%d:%s", len(salt), salt))
	for _, p := range parts {
		h.Write(fmt.Appendf(nil, "%d:", len(p)))
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
