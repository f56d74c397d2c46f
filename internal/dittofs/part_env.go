package dittofs

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"

	"github.com/dittofs/function-dittoserver/internal/server"
)

// extraEnv is the environment that a person adds. What it has from Secrets is read at
// the start, and never again.
func extraEnv(s *server.Server) part {
	sources := map[string]source{}
	for _, e := range s.Pod.Env {
		ref, optional, ok := server.SecretOf(e)
		if !ok {
			continue
		}
		of := ref.Name
		if optional {
			// On its own, so that one that is not there hides no change of the others, and
			// one that goes missing keeps the checksum that it had.
			of += "/" + ref.Key
		}
		src := sources[of]
		src.name, src.secret, src.optional = sourceEnv(of), ref.Name, optional
		src.keys = slices.Compact(slices.Sorted(slices.Values(append(src.keys, ref.Key))))
		sources[of] = src
	}
	p := part{env: s.Pod.Env}
	for _, of := range slices.Sorted(maps.Keys(sources)) {
		p.sources = append(p.sources, sources[of])
	}
	return p
}

// sourceEnv returns the name of the checksum of a Secret with variables, or of one of its
// keys. Their own names may be too long for that of an annotation.
func sourceEnv(of string) string {
	h := sha256.Sum256([]byte(of))
	return "env-" + hex.EncodeToString(h[:4])
}
