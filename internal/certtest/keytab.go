package certtest

import (
	"crypto/sha256"
	"encoding/binary"
)

// Keytab returns a keytab of the principal nfs/files.example.com@EXAMPLE.COM, with a
// key that is always the same for a name.
// Source: https://web.mit.edu/kerberos/krb5-devel/doc/formats/keytab_file_format.html.
func Keytab(name string) string {
	const (
		nameType   = 1  // KRB5_NT_PRINCIPAL
		encryption = 18 // aes256-cts-hmac-sha1-96
		version    = 1
	)
	text := func(b []byte, s string) []byte {
		return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...) //nolint:gosec // It is short.
	}
	key := sha256.Sum256([]byte(name))
	e := binary.BigEndian.AppendUint16(nil, 2)
	for _, s := range []string{"EXAMPLE.COM", "nfs", "files.example.com"} {
		e = text(e, s)
	}
	e = binary.BigEndian.AppendUint32(e, nameType)
	e = binary.BigEndian.AppendUint32(e, 0)
	e = append(e, version)
	e = binary.BigEndian.AppendUint16(e, encryption)
	e = text(e, string(key[:]))
	e = binary.BigEndian.AppendUint32(e, version)
	return string(append(binary.BigEndian.AppendUint32([]byte{5, 2}, uint32(len(e))), e...)) //nolint:gosec // It is short.
}
