package dittofs

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/internal/checksum"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
)

func secretOf(kv ...string) observed.Object {
	data := map[string][]byte{}
	for i := 0; i < len(kv); i += 2 {
		data[kv[i]] = []byte(kv[i+1])
	}
	return observed.NewSecret(data)
}

// sources are what a server reads: its config.yaml, and Secrets by name.
type sources struct {
	config  string
	secrets map[string]observed.Object
}

const (
	credentials = "files-postgres-pguser-dittofs"
	clusterCA   = "files-postgres-cluster-cert"
	jwtSecret   = "files-jwt-secret"
	// signingKey is as long as the server asks for.
	signingKey = "a-made-up-signing-key-of-32-bytes"
)

func perconaSources() sources {
	return sources{config: "config", secrets: map[string]observed.Object{
		jwtSecret:   secretOf("jwt-secret", signingKey+"j"),
		credentials: secretOf("host", "h", "port", "p", "dbname", "d", "user", "u", "password", "w", "uri", "x", "verifier", "v"),
		clusterCA:   secretOf("ca.crt", "c", "tls.crt", "t"),
		"scrape":    secretOf("token", "s"),
		"api":       secretOf("tls.crt", "c", "tls.key", "k"),
		"clients":   secretOf("ca.crt", "a"),
		"krb":       secretOf("keytab", "k", "machine", "m", "conf", "c"),
		"machine":   secretOf("password", "p"),
	}}
}

// checksums returns the checksums of a server whose live pod template has others.
func (src sources) checksums(t *testing.T, s *server.Server, live map[string]string) map[string]string {
	t.Helper()
	annotations := map[string]any{}
	for k, v := range live {
		annotations["checksum.dittoserver.fn.crossplane.io/"+k] = v
	}
	sts := object(t, map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": annotations}}}})
	return Checksums(s, src.config, func(name string) observed.Object { return src.secrets[name] }, sts)
}

// TestChecksumsRollForTheirSourceOnly guards that a change of a source rolls the
// pod, with its own checksum alone, and that nothing else does: in pods whose
// checksums are keyed, and in those from before they were.
func TestChecksumsRollForTheirSourceOnly(t *testing.T) {
	external := func() sources {
		return sources{config: "config", secrets: map[string]observed.Object{
			jwtSecret: secretOf("jwt-secret", signingKey+"j"),
			"pg":      secretOf("host", "h", "database", "d", "user", "u", "password", "w", "port", "1", "ca.crt", "c"),
		}}
	}
	cases := map[string]struct {
		reason string
		server *server.Server
		before sources
		change func(*sources)
		want   []string
		// rekeyed are sources whose checksum changes because the key does.
		rekeyed []string
	}{
		"Nothing":     {reason: "nothing changed", change: func(*sources) {}},
		"Config":      {reason: "the configuration is read at the start", change: func(s *sources) { s.config = "other" }, want: []string{"config"}},
		"JWT":         {reason: "so is the signing secret", change: func(s *sources) { s.secrets[jwtSecret] = secretOf("jwt-secret", signingKey+"k") }, want: []string{"jwt"}, rekeyed: []string{"database"}},
		"JWTOtherKey": {reason: "another key of its Secret is not read", change: func(s *sources) { s.secrets[jwtSecret] = secretOf("jwt-secret", signingKey+"j", "other", "x") }},
		"Password": {reason: "a rotated password is not noticed by a server that runs", change: func(s *sources) {
			s.secrets[credentials] = secretOf("host", "h", "port", "p", "dbname", "d", "user", "u", "password", "W", "uri", "x")
		}, want: []string{"database"}},
		"Host": {reason: "nor is another host", change: func(s *sources) {
			s.secrets[credentials] = secretOf("host", "H", "port", "p", "dbname", "d", "user", "u", "password", "w", "uri", "x")
		}, want: []string{"database"}},
		"Verifier": {reason: "what the server does not read does not roll it", change: func(s *sources) {
			s.secrets[credentials] = secretOf("host", "h", "port", "p", "dbname", "d", "user", "u", "password", "w", "uri", "x", "verifier", "V")
		}},
		"CA":          {reason: "a new CA", change: func(s *sources) { s.secrets[clusterCA] = secretOf("ca.crt", "C", "tls.crt", "t") }, want: []string{"ca"}},
		"Certificate": {reason: "the leaf certificate is renewed every year and rolls nothing", change: func(s *sources) { s.secrets[clusterCA] = secretOf("ca.crt", "c", "tls.crt", "T") }},
		"ExternalPort": {reason: "an optional key that changes", server: resolved(onExternal), before: external(), change: func(s *sources) {
			s.secrets["pg"] = secretOf("host", "h", "database", "d", "user", "u", "password", "w", "port", "2", "ca.crt", "c")
		}, want: []string{"database"}},
		"ExternalNoCA": {reason: "an optional key that goes keeps its last checksum", server: resolved(onExternal), before: external(), change: func(s *sources) {
			s.secrets["pg"] = secretOf("host", "h", "database", "d", "user", "u", "password", "w", "port", "1")
		}},
		"ExternalCA": {reason: "a CA of one's own", server: resolved(onExternal), before: external(), change: func(s *sources) {
			s.secrets["pg"] = secretOf("host", "h", "database", "d", "user", "u", "password", "w", "port", "1", "ca.crt", "C")
		}, want: []string{"ca"}},
		"SQLiteHasNone": {reason: "a file has no credentials", server: resolved(onSQLite), change: func(s *sources) { s.secrets[credentials], s.secrets[clusterCA] = observed.Object{}, observed.Object{} }},
		"JWTTooShort":   {reason: "the server could not start with it", change: func(s *sources) { s.secrets[jwtSecret] = secretOf("jwt-secret", "short") }},
		"JWTGone":       {reason: "a Secret that cannot be read for a moment keeps its last checksum", change: func(s *sources) { s.secrets[jwtSecret] = observed.Object{} }},
		"DatabaseGone":  {reason: "so does the database's", change: func(s *sources) { s.secrets[credentials] = observed.Object{} }},
		"PasswordGone": {reason: "and one that lacks a key for a moment", change: func(s *sources) {
			s.secrets[credentials] = secretOf("host", "h", "port", "p", "dbname", "d", "user", "u", "uri", "x")
		}},
		"PasswordNoText": {reason: "and one with bytes that are no text", change: func(s *sources) {
			s.secrets[credentials] = secretOf("host", "h", "port", "p", "dbname", "d", "user", "u", "password", "\xff", "uri", "x")
		}},
		"ExternalPortGone": {reason: "a key that the pod refers to and that goes for a moment keeps the last checksum", server: resolved(onExternal), before: external(), change: func(s *sources) {
			s.secrets["pg"] = secretOf("host", "H", "database", "d", "user", "u", "password", "w", "ca.crt", "c")
		}},
		"ExternalPortOptional": {reason: "one that may be missing is a change", server: resolved(onExternal, mayLackPort), before: external(), change: func(s *sources) {
			s.secrets["pg"] = secretOf("host", "h", "database", "d", "user", "u", "password", "w", "ca.crt", "c")
		}, want: []string{"database"}},
		"Token":          {reason: "the metrics' token is read at the start", server: resolved(withToken), change: func(s *sources) { s.secrets["scrape"] = secretOf("token", "S") }, want: []string{"metrics-token"}},
		"TokenOther":     {reason: "another key of its Secret is not read", server: resolved(withToken), change: func(s *sources) { s.secrets["scrape"] = secretOf("token", "s", "other", "x") }},
		"TokenGone":      {reason: "a token that goes keeps its last checksum", server: resolved(withToken), change: func(s *sources) { delete(s.secrets, "scrape") }},
		"APICert":        {reason: "the server reads its certificate again by itself", server: resolved(withMutualTLS), change: func(s *sources) { s.secrets["api"] = secretOf("tls.crt", "C", "tls.key", "K") }},
		"ClientCA":       {reason: "the authorities of clients are read at the start", server: resolved(withMutualTLS), change: func(s *sources) { s.secrets["clients"] = secretOf("ca.crt", "A") }, want: []string{"client-ca"}},
		"ClientCAGone":   {reason: "authorities that go keep their last checksum", server: resolved(withMutualTLS), change: func(s *sources) { delete(s.secrets, "clients") }},
		"LDAP":           {reason: "the server takes the password once, and reads the authorities with every connection", server: resolved(withLDAP), change: func(s *sources) { s.secrets["ad"] = secretOf("password", "P", "corp.crt", "C") }},
		"Keytab":         {reason: "the server reads its keytab again by itself", server: resolved(withMachineAccount), change: func(s *sources) { s.secrets["krb"] = secretOf("keytab", "K", "machine", "M", "conf", "c") }},
		"Krb5Conf":       {reason: "its krb5.conf is read at the start", server: resolved(withMachineAccount), change: func(s *sources) { s.secrets["krb"] = secretOf("keytab", "k", "machine", "m", "conf", "C") }, want: []string{"krb5-conf"}},
		"MachineAccount": {reason: "so is the password of its account", server: resolved(withMachineAccount), change: func(s *sources) { s.secrets["machine"] = secretOf("password", "P") }, want: []string{"machine-account"}},
		"FixedName": {reason: "a name that is not read rolls nothing", server: resolved(fixedName), change: func(s *sources) {
			s.secrets[credentials] = secretOf("host", "h", "port", "p", "dbname", "theirs", "user", "u", "password", "w", "uri", "theirs")
		}},
		"CAGone": {reason: "and the CA", change: func(s *sources) { s.secrets[clusterCA] = observed.Object{} }},
		"AllGoneButOne": {reason: "one unreadable source does not hide a change of another", change: func(s *sources) {
			s.secrets[clusterCA], s.secrets[jwtSecret] = observed.Object{}, secretOf("jwt-secret", signingKey+"k")
		}, want: []string{"jwt"}, rekeyed: []string{"database"}},
	}
	for name, tc := range cases {
		for form, keyed := range map[string]bool{"Keyed": true, "Plain": false} {
			t.Run(name+form, func(t *testing.T) {
				s, src := tc.server, tc.before
				if s == nil {
					s = resolved()
				}
				if src.config == "" {
					src = perconaSources()
				}
				src.secrets = maps.Clone(src.secrets)
				want := slices.Clone(tc.want)
				before := src.plain(s)
				if keyed {
					before = src.checksums(t, s, nil)
					want = append(want, tc.rekeyed...)
				}
				slices.Sort(want)
				tc.change(&src)
				after := src.checksums(t, s, before)

				if diff := cmp.Diff(slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after))); diff != "" {
					t.Errorf("%s\nChecksums(...): want the same sources: -want, +got:\n%s", tc.reason, diff)
				}
				var rolled []string
				for _, k := range slices.Sorted(maps.Keys(after)) {
					if before[k] != after[k] {
						rolled = append(rolled, k)
					}
				}
				if diff := cmp.Diff(want, rolled); diff != "" {
					t.Errorf("%s\nChecksums(...): sources that changed: -want, +got:\n%s", tc.reason, diff)
				}
			})
		}
	}
}

func mayLackPort(s *server.Server) {
	s.Connection.Port = optional("pg", "port")
	s.Connection.MayLack = []string{"port", "sslmode"}
}

func fixedName(s *server.Server) {
	s.Connection.Name, s.Connection.Keys = server.Value{Value: "dittofs"}, []string{"host", "port", "user", "password"}
}

// plain returns the checksums of the first form, as the pods of servers have them
// that were made before checksums were keyed. It repeats what Checksums did then.
func (src sources) plain(s *server.Server) map[string]string {
	of := func(secret string, keys ...string) string {
		parts := make([][]byte, 0, len(keys))
		for _, k := range keys {
			v, _ := src.secrets[secret].Data(k)
			parts = append(parts, v)
		}
		return checksum.Of("default/files", parts...)
	}
	out := map[string]string{"config": checksum.Of("default/files", []byte(src.config)), "jwt": of(jwtSecret, "jwt-secret")}
	c := s.Connection
	switch {
	case c.Secret == credentials && c.Name.Value != "":
		out["database"] = of(credentials, "host", "port", "user", "password")
	case c.Secret == credentials:
		out["database"] = of(credentials, "host", "port", "dbname", "user", "password", "uri")
	case c.Secret == "pg":
		out["database"] = of("pg", "host", "database", "user", "password", "port", "sslmode")
	}
	if c.CASecret != "" {
		out["ca"] = of(c.CASecret, "ca.crt")
	}
	if s.TLS.ClientCA != "" {
		out["client-ca"] = of("clients", "ca.crt")
	}
	if s.Kerberos.Machine.Enabled {
		out["krb5-conf"], out["machine-account"] = of("krb", "conf"), of("machine", "password")
	}
	if s.Metrics.Token.Name != "" {
		out["metrics-token"] = of("scrape", "token")
	}
	return out
}

// TestChecksumsAreKeyed guards that no checksum of a secret can be tried offline,
// and that every old one is replaced once what it is of has changed.
func TestChecksumsAreKeyed(t *testing.T) {
	s, src := resolved(withToken), perconaSources()
	public := map[string]bool{"config": true, "ca": true}
	fresh, plain := src.checksums(t, s, nil), src.plain(s)
	for name, got := range fresh {
		if public[name] != (got == plain[name]) {
			t.Errorf("%s: want a checksum without a key: %t, got %s", name, public[name], got)
		}
		if !public[name] && !checksum.KeyedBy([]byte(signingKey+"j"), got) {
			t.Errorf("%s: want a checksum that is keyed with the signing secret, got %s", name, got)
		}
	}

	src.secrets[credentials] = secretOf("host", "h", "port", "p", "dbname", "d", "user", "u", "password", "W", "uri", "x")
	if got := src.checksums(t, s, plain)["database"]; !checksum.KeyedBy([]byte(signingKey+"j"), got) {
		t.Errorf("a password that changed: want a keyed checksum in place of the old one, got %s", got)
	}

	delete(src.secrets, jwtSecret)
	got := src.checksums(t, s, nil)
	if diff := cmp.Diff([]string{"ca", "config"}, slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("without a key: want no checksum of a secret: -want, +got:\n%s", diff)
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
		"External":     {reason: "credentials and CA of one Secret", server: resolved(onExternal), want: []string{"ca", "config", "database", "jwt"}},
		"Metrics":      {reason: "metrics that anybody may read have no token", server: resolved(withMetrics), want: []string{"ca", "config", "database", "jwt"}},
		"MetricsToken": {reason: "a token is read at the start", server: resolved(withToken), want: []string{"ca", "config", "database", "jwt", "metrics-token"}},
		"TLS":          {reason: "a certificate is none", server: resolved(withTLS), want: []string{"ca", "config", "database", "jwt"}},
		"MutualTLS":    {reason: "the authorities of clients are one", server: resolved(withMutualTLS), want: []string{"ca", "client-ca", "config", "database", "jwt"}},
		"Kerberos":     {reason: "a keytab is none", server: resolved(withKerberos), want: []string{"ca", "config", "database", "jwt"}},
		"MachineAcct":  {reason: "krb5.conf and password are", server: resolved(withMachineAccount), want: []string{"ca", "config", "database", "jwt", "krb5-conf", "machine-account"}},
		"ExternalNoCA": {reason: "a CA only where there is one", server: resolved(onExternal, withoutCA), want: []string{"config", "database", "jwt"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			src := perconaSources()
			src.secrets["pg"] = secretOf("host", "h", "database", "d", "user", "u", "password", "w", "port", "1", "ca.crt", "c")
			got := slices.Sorted(maps.Keys(src.checksums(t, tc.server, nil)))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\nChecksums(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
