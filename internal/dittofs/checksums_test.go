package dittofs

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
)

func secretOf(kv ...string) observed.Secret {
	data := map[string][]byte{}
	for i := 0; i < len(kv); i += 2 {
		data[kv[i]] = []byte(kv[i+1])
	}
	return observed.NewSecret("s", data)
}

func perconaSources() Sources {
	return Sources{
		Config:   "config",
		JWT:      secretOf("jwt-secret", "j"),
		Database: secretOf("host", "h", "port", "p", "dbname", "d", "user", "u", "password", "w", "uri", "x", "verifier", "v"),
		CA:       secretOf("ca.crt", "c", "tls.crt", "t"),
	}
}

// TestChecksumsRollForTheirSourceOnly guards that a change of a source rolls the
// pod, that of its own checksum alone, and that nothing else does.
func TestChecksumsRollForTheirSourceOnly(t *testing.T) {
	external := func() Sources {
		return Sources{Config: "config", JWT: secretOf("jwt-secret", "j"), Database: secretOf("host", "h", "database", "d", "user", "u", "password", "w", "port", "1", "ca.crt", "c")}
	}
	cases := map[string]struct {
		reason string
		server *server.Server
		before Sources
		change func(*Sources)
		want   []string
	}{
		"Nothing":     {reason: "nothing changed", change: func(*Sources) {}},
		"Config":      {reason: "the configuration is read at the start", change: func(s *Sources) { s.Config = "other" }, want: []string{"config"}},
		"JWT":         {reason: "so is the signing secret", change: func(s *Sources) { s.JWT = secretOf("jwt-secret", "k") }, want: []string{"jwt"}},
		"JWTOtherKey": {reason: "another key of its Secret is not read", change: func(s *Sources) { s.JWT = secretOf("jwt-secret", "j", "other", "x") }},
		"Password": {reason: "a rotated password is not noticed by a server that runs", change: func(s *Sources) {
			s.Database = secretOf("host", "h", "port", "p", "dbname", "d", "user", "u", "password", "W", "uri", "x")
		}, want: []string{"database"}},
		"Host": {reason: "nor is another host", change: func(s *Sources) {
			s.Database = secretOf("host", "H", "port", "p", "dbname", "d", "user", "u", "password", "w", "uri", "x")
		}, want: []string{"database"}},
		"Verifier": {reason: "what the server does not read does not roll it", change: func(s *Sources) {
			s.Database = secretOf("host", "h", "port", "p", "dbname", "d", "user", "u", "password", "w", "uri", "x", "verifier", "V")
		}},
		"CA":          {reason: "a new CA", change: func(s *Sources) { s.CA = secretOf("ca.crt", "C", "tls.crt", "t") }, want: []string{"ca"}},
		"Certificate": {reason: "the leaf certificate is renewed every year and rolls nothing", change: func(s *Sources) { s.CA = secretOf("ca.crt", "c", "tls.crt", "T") }},
		"ExternalPort": {reason: "an optional key that changes", server: resolved(onExternal), before: external(), change: func(s *Sources) {
			s.Database = secretOf("host", "h", "database", "d", "user", "u", "password", "w", "port", "2", "ca.crt", "c")
		}, want: []string{"database"}},
		"ExternalNoCA": {reason: "an optional key that goes keeps its last checksum", server: resolved(onExternal), before: external(), change: func(s *Sources) {
			s.Database = secretOf("host", "h", "database", "d", "user", "u", "password", "w", "port", "1")
		}},
		"ExternalCA": {reason: "a CA of one's own", server: resolved(onExternal), before: external(), change: func(s *Sources) {
			s.Database = secretOf("host", "h", "database", "d", "user", "u", "password", "w", "port", "1", "ca.crt", "C")
		}, want: []string{"ca"}},
		"SQLiteHasNone": {reason: "a file has no credentials", server: resolved(onSQLite), change: func(s *Sources) { s.Database, s.CA = observed.Secret{}, observed.Secret{} }},
		"JWTGone":       {reason: "a Secret that cannot be read for a moment keeps its last checksum", change: func(s *Sources) { s.JWT = observed.Secret{Name: "s", Known: true} }},
		"DatabaseGone":  {reason: "so does the database's", change: func(s *Sources) { s.Database = observed.Secret{} }},
		"PasswordGone": {reason: "and one that lacks a key for a moment", change: func(s *Sources) {
			s.Database = secretOf("host", "h", "port", "p", "dbname", "d", "user", "u", "uri", "x")
		}},
		"CAGone":        {reason: "and the CA", change: func(s *Sources) { s.CA = observed.Secret{} }},
		"AllGoneButOne": {reason: "one unreadable source does not hide a change of another", change: func(s *Sources) { s.CA, s.JWT = observed.Secret{}, secretOf("jwt-secret", "k") }, want: []string{"jwt"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s, src := tc.server, tc.before
			if s == nil {
				s = resolved()
			}
			if src.Config == "" {
				src = perconaSources()
			}
			before := Checksums(s, src, observed.Object{})
			annotations := map[string]any{}
			for k, v := range before {
				annotations["checksum.dittoserver.fn.crossplane.io/"+k] = v
			}
			live := object(t, map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": annotations}}}})
			tc.change(&src)
			after := Checksums(s, src, live)

			if diff := cmp.Diff(slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after))); diff != "" {
				t.Errorf("%s\nChecksums(...): want the same sources: -want, +got:\n%s", tc.reason, diff)
			}
			var rolled []string
			for _, k := range slices.Sorted(maps.Keys(after)) {
				if before[k] != after[k] {
					rolled = append(rolled, k)
				}
			}
			if diff := cmp.Diff(tc.want, rolled); diff != "" {
				t.Errorf("%s\nChecksums(...): sources that changed: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestChecksumSources(t *testing.T) {
	cases := map[string]struct {
		reason string
		server *server.Server
		want   []string
	}{
		"Percona":      {reason: "configuration, token key, credentials and CA", server: resolved(), want: []string{"ca", "config", "database", "jwt"}},
		"SQLite":       {reason: "a file has no credentials, and the admin password is read once", server: resolved(onSQLite), want: []string{"config", "jwt"}},
		"ExternalNoCA": {reason: "a CA only where there is one", server: resolved(onExternal, func(s *server.Server) { s.Database.HasCA = false }), want: []string{"config", "database", "jwt"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			src := perconaSources()
			if tc.server.Database.Kind == server.External {
				src.Database = secretOf("host", "h", "database", "d", "user", "u", "password", "w", "ca.crt", "c")
			}
			got := slices.Sorted(maps.Keys(Checksums(tc.server, src, observed.Object{})))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\nChecksums(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
