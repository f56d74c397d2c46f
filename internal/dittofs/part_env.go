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
	keys, needed := map[string][]string{}, map[string]map[string]bool{}
	for _, e := range s.Pod.Env {
		ref, optional, ok := server.SecretOf(e)
		if !ok {
			continue
		}
		if needed[ref.Name] == nil {
			needed[ref.Name] = map[string]bool{}
		}
		needed[ref.Name][ref.Key] = needed[ref.Name][ref.Key] || !optional
		keys[ref.Name] = append(keys[ref.Name], ref.Key)
	}
	p := part{env: s.Pod.Env}
	for _, secret := range slices.Sorted(maps.Keys(keys)) {
		src := source{name: sourceEnv(secret), secret: secret, keys: slices.Compact(slices.Sorted(slices.Values(keys[secret])))}
		for _, k := range src.keys {
			if !needed[secret][k] {
				src.mayLack = append(src.mayLack, k)
			}
		}
		p.sources = append(p.sources, src)
	}
	return p
}

// sourceEnv returns the name of the checksum of a Secret with variables. A Secret's
// own name may be too long for that of an annotation.
func sourceEnv(secret string) string {
	h := sha256.Sum256([]byte(secret))
	return "env-" + hex.EncodeToString(h[:4])
}
