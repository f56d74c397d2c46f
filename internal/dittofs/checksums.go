package dittofs

import (
	"github.com/dittofs/function-dittoserver/internal/checksum"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/pgstate"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// The sources of a pod template's checksums.
const (
	SourceConfig   = "config"
	SourceDatabase = "database"
	SourceCA       = "ca"
	SourceJWT      = "jwt"
)

// Sources are what the server reads at its start and never again. The admin
// password is not among them: the server reads it at its first start only.
type Sources struct {
	Config   string
	JWT      observed.Secret
	Database observed.Secret
	CA       observed.Secret
}

// Checksums are those of the sources. A source that cannot be read at the
// moment keeps the checksum that the live pod template has.
func Checksums(s *server.Server, src Sources, live observed.Object) map[string]string {
	out := map[string]string{SourceConfig: checksum.Of(s.Salt(), []byte(src.Config))}
	add := func(source string, secret observed.Secret, keys []string, optional ...string) {
		parts := make([][]byte, 0, len(keys)+len(optional))
		readable := true
		for i, k := range append(keys, optional...) {
			v, ok := secret.Data(k)
			parts, readable = append(parts, v), readable && (ok || i >= len(keys))
		}
		if readable {
			out[source] = checksum.Of(s.Salt(), parts...)
			return
		}
		if last := live.String("spec", "template", "metadata", "annotations", names.AnnotationChecksumPrefix+source); last != "" {
			out[source] = last
		}
	}
	add(SourceJWT, src.JWT, []string{s.JWT.SecretKey})
	switch s.Database.Kind {
	case server.Percona:
		add(SourceDatabase, src.Database, []string{pgstate.KeyHost, pgstate.KeyPort, pgstate.KeyDBName, pgstate.KeyUser, pgstate.KeyPassword, pgstate.KeyURI})
		add(SourceCA, src.CA, []string{names.CAKey})
	case server.External:
		add(SourceDatabase, src.Database, []string{pgstate.KeyHost, pgstate.KeyDatabase, pgstate.KeyUser, pgstate.KeyPassword}, pgstate.KeyPort, pgstate.KeySSLMode)
		if s.Database.HasCA {
			add(SourceCA, src.Database, []string{names.CAKey})
		}
	case server.SQLite:
	}
	return out
}
