// Package checksum makes the checksums by which a change of a source is seen.
package checksum

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
)

// Of returns the checksum of the parts, each of which may be nil. The salt, which
// is the server's namespace and name, makes equal contents of two servers differ.
// It is public, so a checksum of a password can be tried offline: use Keyed for
// those.
func Of(salt string, parts ...[]byte) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d:%s", len(salt), salt) //nolint:errcheck // Nothing is lost.
	return sum(h, parts)
}

// Keyed returns the checksum of the parts under a key, without which nobody can
// test guesses. It begins with a name of the key.
func Keyed(key []byte, parts ...[]byte) string {
	return keyName(key) + "-" + sum(hmac.New(sha256.New, key), parts)
}

// KeyedBy reports whether a checksum is one of Keyed with that key. One of another
// key says nothing about whether the source changed.
func KeyedBy(key []byte, checksum string) bool {
	name, _, ok := strings.Cut(checksum, "-")
	return ok && name == keyName(key)
}

func keyName(key []byte) string {
	return sum(hmac.New(sha256.New, key), [][]byte{[]byte("name of the key")})[:8]
}

func sum(h hash.Hash, parts [][]byte) string {
	for _, p := range parts {
		fmt.Fprintf(h, "%d:", len(p)) //nolint:errcheck // Nothing is lost.
		h.Write(p)
	}
	// 64 bits are enough to see a change and say little about a secret.
	return hex.EncodeToString(h.Sum(nil)[:8])
}
