package dittofs

import (
	"slices"

	"github.com/dittofs/function-dittoserver/internal/checksum"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// The sources of a pod template's checksums.
const (
	SourceConfig         = "config"
	SourceDatabase       = "database"
	SourceCA             = "ca"
	SourceJWT            = "jwt"
	SourceMetricsToken   = "metrics-token"
	SourceClientCA       = "client-ca"
	SourceKrb5Conf       = "krb5-conf"
	SourceMachineAccount = "machine-account"
)

// Checksums returns the checksums of what the server reads at its start and never
// again. A source that is not complete at the moment, because its Secret is missing
// or half written, keeps the checksum that the live pod template has.
//
// Checksums of secrets are keyed, so that nobody who can read the pod can test
// guesses. A live one of the first form, which was not, stays as long as it matches.
func Checksums(s *server.Server, configYAML string, secret func(name string) observed.Object, live observed.Object) map[string]string {
	out := map[string]string{SourceConfig: checksum.Of(s.Salt(), []byte(configYAML))}
	key, _ := secret(s.JWT.Name).Data(s.JWT.Key)
	hasKey := len(key) >= server.MinJWTLength
	var sources []source
	torn := map[string]bool{}
	for _, p := range parts(s) {
		for _, src := range p.sources {
			sources = append(sources, src)
			if _, complete := src.contents(secret(src.secret)); !complete && !src.optional {
				torn[src.secret] = true
			}
		}
	}
	for _, src := range sources {
		last := live.String("spec", "template", "metadata", "annotations", names.AnnotationChecksumPrefix+src.name)
		contents, complete := src.contents(secret(src.secret))
		switch plain := checksum.Of(s.Salt(), contents...); {
		case torn[src.secret], src.optional && !complete:
			// The pod needs all of a Secret.
			if last != "" {
				out[src.name] = last
			}
		case src.public || plain == last:
			out[src.name] = plain
		case hasKey:
			out[src.name] = checksum.Keyed(key, contents...)
		case last != "":
			out[src.name] = last
		}
	}
	return out
}

// contents returns what a source holds, and whether it is complete.
func (s source) contents(secret observed.Object) (contents [][]byte, complete bool) {
	complete = true
	for _, k := range s.keys {
		v, _ := secret.Data(k)
		if text, ok := secret.Text(k); (!ok || len(text) < s.atLeast) && !slices.Contains(s.mayLack, k) {
			complete = false
		}
		contents = append(contents, v)
	}
	return contents, complete
}
