package server_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
)

const (
	onCorp   = `database: {type: postgres, postgresSecretRef: {name: corp-db, key: x}}`
	onOther  = `database: {type: postgres, postgresSecretRef: {name: other-db, key: x}}`
	onSQLite = `replicas: 1`
)

// confirmed adds a confirmation to a spec.
func confirmed(spec, confirmation string) string {
	if strings.Contains(spec, "database: {") {
		return strings.Replace(spec, "database: {", "database: {confirmSwitch: "+confirmation+", ", 1)
	}
	return spec + ", database: {confirmSwitch: " + confirmation + "}"
}

// external is the Secret of a database with those keys beside the necessary ones.
func external(name string, more ...string) string {
	data := map[string]string{"host": "h", "database": "d", "user": "u", "password": "p"}
	for _, k := range more {
		data[k] = "x"
	}
	return secretYAML(name, data)
}

func withDatabases(h *history) *history {
	h.others["Secret/corp-db"], h.others["Secret/other-db"] = external("corp-db"), external("other-db")
	return h
}

// TestRecordBeforeWiring guards that a server is held on the database that was
// chosen for it, not on one that somebody has wired it to.
func TestRecordBeforeWiring(t *testing.T) {
	first := func(database string) string {
		return `{metadata: {name: files-config, annotations: {dittoserver.fn.crossplane.io/database: '` + database + `'}}}`
	}
	asked := `{database: {sqlite: {path: /data/controlplane/asked.db}}}`
	claims := metadataClaim + "," + controlClaim
	cases := map[string]struct {
		reason   string
		composed map[string]string
		want     record.Database
		held     []string
	}{
		"Never": {
			reason:   "there never was a server",
			composed: map[string]string{"config": `{data: {config.yaml: "database: {type: sqlite}"}}`},
			want:     record.Database{Kind: record.SQLite, Path: "/data/controlplane/asked.db"},
		},
		"Record": {
			reason:   "the record wins over what somebody wired the server to",
			composed: map[string]string{"server": liveServer(wiredToSQLite, claims), "config": config(t, record.Record{Server: &record.Server{Database: record.Database{Kind: record.External, Secret: "pg", HasCA: true}}})},
			want:     record.Database{Kind: record.External, Secret: "pg", HasCA: true},
			held:     []string{"the database of Secret pg"},
		},
		"FirstFormat": {
			reason:   "so does one of the first format",
			composed: map[string]string{"server": liveServer(wiredToSQLite, claims), "config": first(`{"kind":"external","secret":"pg","hasCA":true}`)},
			want:     record.Database{Kind: record.External, Secret: "pg", HasCA: true},
			held:     []string{"the database of Secret pg"},
		},
		"ServerGone": {
			reason:   "the record tells what a server that was deleted ran on",
			composed: map[string]string{"config": first(`{"kind":"external","secret":"pg","hasCA":true}`)},
			want:     record.Database{Kind: record.External, Secret: "pg", HasCA: true},
			held:     []string{"the database of Secret pg"},
		},
		"Broken": {
			reason:   "a broken record is none",
			composed: map[string]string{"config": first(`{`)},
			want:     record.Database{Kind: record.SQLite, Path: "/data/controlplane/asked.db"},
		},
		"BrokenAndLive": {
			reason:   "and what lives tells what it is on",
			composed: map[string]string{"server": liveServer(wiredToOther, claims), "config": first(`{`)},
			want:     record.Database{Kind: record.External, Secret: "pg", SSLMode: "prefer"},
			held:     []string{"the database of Secret pg"},
		},
		"LivePercona": {
			reason:   "be it Percona's",
			composed: map[string]string{"server": liveServer(wiredToPercona, claims)},
			want:     record.Database{Kind: record.Percona},
			held:     []string{"PerconaPGCluster files-postgres"},
		},
		"LiveOperator": {
			reason:   "or the file of a server whose DATABASE_URL nobody reads",
			composed: map[string]string{"server": liveServer(wiredByOperator, claims)},
			want:     record.Database{Kind: record.SQLite, Path: server.DefaultSQLitePath},
			held:     []string{"SQLite at " + server.DefaultSQLitePath},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			res := call{spec: asked, composed: tc.composed}.resolve(t)
			if diff := cmp.Diff(tc.want, res.Server.Current); diff != "" {
				t.Errorf("%s\nResolve(...).Server.Current: -want, +got:\n%s", tc.reason, diff)
			}
			wantHeld(t, tc.reason, res, tc.held...)
		})
	}
}

// TestConfirmSwitchIsSpent guards that a confirmation lets one move through.
func TestConfirmSwitchIsSpent(t *testing.T) {
	const (
		stays    = "goes on using it"
		standing = "The confirmation in spec.database.confirmSwitch was there before this change, and confirms nothing. To move it there, set the field to "
	)
	type step struct {
		spec string
		// on is the database that the server is on then.
		on   string
		held []string
		left bool
	}
	cases := map[string]struct {
		reason string
		start  string
		steps  []step
	}{
		"UsedOnce": {
			reason: "a bare confirmation is used up by the move",
			start:  onSQLite,
			steps: []step{
				{spec: confirmed(onCorp, "external"), on: "external/corp-db", left: true},
				{spec: confirmed(onOther, "external"), on: "external/corp-db", held: []string{standing + "external/other-db"}, left: true},
				{spec: confirmed(onOther, "external"), on: "external/corp-db", held: []string{standing + "external/other-db"}, left: true},
				{spec: confirmed(onCorp, "external"), on: "external/corp-db", left: true},
				{spec: confirmed(onOther, "external/other-db"), on: "external/other-db", left: true},
			},
		},
		"Named": {
			reason: "one that names a database lets no other through",
			start:  onSQLite,
			steps: []step{
				{spec: confirmed(onOther, "external/corp-db"), on: "sqlite", held: []string{stays}},
				{spec: confirmed(onCorp, "external/corp-db"), on: "external/corp-db", left: true},
				{spec: confirmed(onOther, "external/corp-db"), on: "external/corp-db", held: []string{"To move it there, set spec.database.confirmSwitch to external"}, left: true},
			},
		},
		"LeftOver": {
			reason: "one that is left over lets nothing back either",
			start:  onSQLite,
			steps: []step{
				{spec: confirmed(onCorp, "external"), on: "external/corp-db", left: true},
				{spec: confirmed(onSQLite, "sqlite"), on: "sqlite", left: true},
				{spec: confirmed(onCorp, "sqlite"), on: "sqlite", held: []string{"To move it there, set spec.database.confirmSwitch to external"}, left: true},
			},
		},
		"TakenOut": {
			reason: "one that was taken out and set again is a new one",
			start:  onSQLite,
			steps: []step{
				{spec: confirmed(onCorp, "external"), on: "external/corp-db", left: true},
				{spec: onOther, on: "external/corp-db", held: []string{"To move it there, set spec.database.confirmSwitch to external"}},
				{spec: confirmed(onOther, "external"), on: "external/other-db", left: true},
			},
		},
		"InAdvance": {
			reason: "one that stands before the change confirms nothing",
			start:  onSQLite,
			steps: []step{
				{spec: confirmed(onSQLite, "external"), on: "sqlite", left: true},
				{spec: confirmed(onCorp, "external"), on: "sqlite", held: []string{standing + "external/corp-db"}, left: true},
				{spec: confirmed(onCorp, "external/corp-db"), on: "external/corp-db", left: true},
			},
		},
		"InAdvanceFromTheStart": {
			reason: "even from the start",
			start:  confirmed(onSQLite, "external"),
			steps: []step{
				{spec: confirmed(onCorp, "external"), on: "sqlite", held: []string{standing}, left: true},
			},
		},
		"InAdvanceByName": {
			reason: "one that names the database itself means it, whenever",
			start:  onSQLite,
			steps: []step{
				{spec: confirmed(onSQLite, "external/corp-db"), on: "sqlite"},
				{spec: confirmed(onOther, "external/corp-db"), on: "sqlite", held: []string{stays}},
				{spec: confirmed(onCorp, "external/corp-db"), on: "external/corp-db", left: true},
			},
		},
		"InAdvanceWhileAnotherEditIsHeld": {
			reason: "whatever else is held at the time",
			start:  onSQLite,
			steps: []step{
				{spec: confirmed(onSQLite, "external") + `, storage: {metadataSize: 5Gi}`, on: "sqlite", held: []string{"spec.storage.metadataSize"}, left: true},
				{spec: confirmed(onCorp, "external"), on: "sqlite", held: []string{standing}, left: true},
			},
		},
		"WhereItIs": {
			reason: "one that says where the server is confirms nothing later",
			start:  onCorp,
			steps: []step{
				{spec: confirmed(onCorp, "external"), on: "external/corp-db", left: true},
				{spec: confirmed(onOther, "external"), on: "external/corp-db", held: []string{standing}, left: true},
			},
		},
		"AwaitedAndUndone": {
			reason: "a move that is undone before it happens uses up its confirmation",
			start:  onSQLite,
			steps: []step{
				{spec: confirmed(onPercona, "percona"), on: "sqlite"},
				{spec: confirmed(onSQLite, "percona"), on: "sqlite", left: true},
				{spec: confirmed(onPercona, "percona"), on: "sqlite", held: []string{standing + "percona/files-postgres"}, left: true},
				{spec: onPercona, on: "sqlite", held: []string{"set spec.database.confirmSwitch to percona"}},
			},
		},
		"AnotherFile": {
			reason: "a file is confirmed by its path",
			start:  onSQLite,
			steps: []step{
				{spec: `database: {confirmSwitch: sqlite, sqlite: {path: /data/store/metadata/b.db}}`, on: "sqlite/data/store/metadata/b.db", left: true},
				{spec: `database: {confirmSwitch: sqlite, sqlite: {path: /data/store/metadata/c.db}}`, on: "sqlite/data/store/metadata/b.db", held: []string{standing + "sqlite/data/store/metadata/c.db"}, left: true},
				{spec: `database: {confirmSwitch: sqlite/data/store/metadata/c.db, sqlite: {path: /data/store/metadata/c.db}}`, on: "sqlite/data/store/metadata/c.db", left: true},
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := withDatabases(newHistory(t))
			h.started(tc.start)
			for i, s := range tc.steps {
				res := h.apply(s.spec)
				wantHeld(t, tc.reason, res, s.held...)
				on := string(res.Server.Current.Kind)
				switch d := res.Server.Current; {
				case d.Secret != "":
					on += "/" + d.Secret
				case d.Path != "" && d.Path != server.DefaultSQLitePath:
					on += d.Path
				}
				if on != s.on {
					t.Errorf("%s: step %d: want the server on %s, it is on %s", tc.reason, i+1, s.on, on)
				}
				left := slices.ContainsFunc(res.Warnings, func(w string) bool {
					return strings.HasPrefix(w, "spec.database.confirmSwitch: ") && strings.HasSuffix(w, " is left over: it confirms no other change; remove it")
				})
				if left != s.left {
					t.Errorf("%s: step %d: want a warning of a confirmation that is left over: %t, got %q", tc.reason, i+1, s.left, res.Warnings)
				}
			}
		})
	}
}

// TestExternalSecretLosesKeys guards that nothing becomes weaker by going missing,
// and that what is added is used.
func TestExternalSecretLosesKeys(t *testing.T) {
	const (
		secret = "Secret/corp-db"
		spec   = onCorp
	)
	full := external("corp-db", "port", "sslmode", "ca.crt")
	garbled := func(key string) string {
		data := map[string]string{"host": "h", "database": "d", "user": "u", "password": "p", "port": "x", "sslmode": "x", "ca.crt": "x"}
		data[key] = "\xff\xfe"
		return secretYAML("corp-db", data)
	}
	strong := record.Database{Kind: record.External, Secret: "corp-db", HasPort: true, HasSSLMode: true, HasCA: true}
	plain := record.Database{Kind: record.External, Secret: "corp-db", SSLMode: "prefer"}

	cases := map[string]struct {
		reason      string
		first, then string
		want        record.Database
	}{
		"CAMissing":       {reason: "verification is not switched off by a key that is gone", first: full, then: external("corp-db", "port", "sslmode"), want: strong},
		"SSLModeMissing":  {reason: "nor is TLS", first: full, then: external("corp-db", "port", "ca.crt"), want: strong},
		"PortMissing":     {reason: "nor does the server go to the default port", first: full, then: external("corp-db", "sslmode", "ca.crt"), want: strong},
		"AllMissing":      {reason: "nor all of it together", first: full, then: external("corp-db"), want: strong},
		"Gone":            {reason: "nor a Secret that is gone for a moment", first: full, then: "", want: strong},
		"Empty":           {reason: "nor one that is written in two steps", first: full, then: secretYAML("corp-db", nil), want: strong},
		"GarbledCA":       {reason: "bytes that are no text are as good as missing", first: full, then: garbled("ca.crt"), want: strong},
		"GarbledHost":     {reason: "wherever they are", first: full, then: garbled("host"), want: strong},
		"GarbledPassword": {reason: "wherever they are", first: external("corp-db"), then: garbled("password"), want: plain},
		"CAAdded":         {reason: "who adds a CA wants it verified", first: external("corp-db"), then: external("corp-db", "ca.crt"), want: record.Database{Kind: record.External, Secret: "corp-db", HasCA: true, SSLMode: "verify-full"}},
		"SSLModeAdded":    {reason: "who adds a mode wants it used", first: external("corp-db"), then: external("corp-db", "sslmode"), want: record.Database{Kind: record.External, Secret: "corp-db", HasSSLMode: true}},
		"PortAdded":       {reason: "and a port likewise", first: external("corp-db"), then: external("corp-db", "port"), want: record.Database{Kind: record.External, Secret: "corp-db", HasPort: true, SSLMode: "prefer"}},
		"AddedHalf":       {reason: "what is added to a Secret that is half written waits for the rest", first: external("corp-db"), then: secretYAML("corp-db", map[string]string{"host": "h", "sslmode": "disable"}), want: plain},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t)
			h.others[secret] = tc.first
			h.started(spec)
			before := h.record().Server.Database
			pod := h.get(names.Server, "spec", "template")
			h.others[secret] = tc.then
			res := h.apply(spec)
			wantHeld(t, tc.reason, res)
			wantWarned(t, tc.reason, res)
			if diff := cmp.Diff(tc.want, h.record().Server.Database); diff != "" {
				t.Errorf("%s: the wiring: -want, +got:\n%s", tc.reason, diff)
			}
			if cmp.Equal(before, tc.want) {
				if diff := cmp.Diff(pod, h.get(names.Server, "spec", "template")); diff != "" {
					t.Errorf("%s: want the pod as it was: -want, +got:\n%s", tc.reason, diff)
				}
			}
			// And back.
			h.others[secret] = tc.first
			h.apply(spec)
			if got := h.record().Server.Database; tc.want.HasCA && !got.HasCA || tc.want.HasSSLMode && !got.HasSSLMode || got.SSLMode == "prefer" && tc.want.SSLMode != "prefer" {
				t.Errorf("%s: want nothing weaker than %+v, got %+v", tc.reason, tc.want, got)
			}
		})
	}
}

// TestExternalSecretMadeLater: a server that is not there yet waits for what it is
// wired to take, and is wired when it is created.
func TestExternalSecretMadeLater(t *testing.T) {
	h := newHistory(t)
	h.apply(onCorp)
	if h.live[names.Server] != nil || h.record().Server != nil {
		t.Fatal("without the Secret: want no server, and nothing chosen for it")
	}
	h.others["Secret/corp-db"] = external("corp-db", "ca.crt")
	h.apply(onCorp)
	if got := h.env(names.EnvSSLMode); got != "verify-full" {
		t.Errorf("with the Secret: want the CA verified from the start, the mode is %q", got)
	}
}

// TestTakenOverWiring guards that a server of the DittoFS operator keeps the shape
// of its environment: the API server refuses a value where there is a reference.
func TestTakenOverWiring(t *testing.T) {
	const optional = `{name: DITTOFS_DATABASE_TYPE, value: postgres}, {name: DITTOFS_DATABASE_POSTGRES_HOST, valueFrom: {secretKeyRef: {name: corp-db, key: host}}}, ` +
		`{name: DITTOFS_DATABASE_POSTGRES_PORT, valueFrom: {secretKeyRef: {name: corp-db, key: port, optional: true}}}, ` +
		`{name: DITTOFS_DATABASE_POSTGRES_SSLMODE, valueFrom: {secretKeyRef: {name: corp-db, key: sslmode, optional: true}}}`
	const warned = "spec.database.postgresSecretRef: Secret corp-db has no key sslmode, and so the server, as the DittoFS operator made it, talks to the database without TLS; add the key, for example with the value require"
	ref := func(key string, needed bool) server.Value {
		return server.Value{SecretKey: record.SecretKey{Name: "corp-db", Key: key}, Optional: true, Needed: needed}
	}
	cases := map[string]struct {
		reason  string
		secret  string
		ca      string
		mayLack []string
		warned  []string
	}{
		"NoKeys":  {reason: "references stay references, and what they lack is told, once", secret: external("corp-db"), mayLack: []string{"port", "sslmode"}, warned: []string{warned}},
		"SSLMode": {reason: "what the warning asks for ends it, and is not lost again", secret: external("corp-db", "sslmode"), mayLack: []string{"port"}},
		"CA":      {reason: "a CA is mounted", secret: external("corp-db", "sslmode", "ca.crt"), ca: "corp-db", mayLack: []string{"port"}},
		"Gone":    {reason: "a Secret that is gone changes nothing, and nothing is known of it", mayLack: []string{"port", "sslmode"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := call{spec: braced(onCorp), composed: map[string]string{"server": liveServer(optional, metadataClaim+","+controlClaim)}, answers: map[string]string{}}
			if tc.secret != "" {
				c.answers["Secret/corp-db"] = tc.secret
			}
			res := c.resolve(t)
			wantHeld(t, tc.reason, res)
			wantWarned(t, tc.reason, res, tc.warned...)
			conn := res.Server.Connection
			if diff := cmp.Diff([]server.Value{ref("port", !slices.Contains(tc.mayLack, "port")), ref("sslmode", !slices.Contains(tc.mayLack, "sslmode"))}, []server.Value{conn.Port, conn.SSLMode}); diff != "" {
				t.Errorf("%s: port and sslmode: -want, +got:\n%s", tc.reason, diff)
			}
			if conn.CASecret != tc.ca || !cmp.Equal(conn.MayLack, tc.mayLack) {
				t.Errorf("%s: want the CA of %q and without %v, got %q and %v", tc.reason, tc.ca, tc.mayLack, conn.CASecret, conn.MayLack)
			}
		})
	}
}

func TestConnection(t *testing.T) {
	ref := func(secret, key string) server.Value {
		return server.Value{SecretKey: record.SecretKey{Name: secret, Key: key}}
	}
	const pg = "files-postgres-pguser-dittofs"
	cases := map[string]struct {
		reason string
		call   call
		want   server.Connection
	}{
		"SQLite": {reason: "a file", call: call{spec: `{}`}, want: server.Connection{SQLitePath: server.DefaultSQLitePath}},
		"Percona": {
			reason: "verified TLS, whatever anybody says",
			call:   call{spec: `{percona: {enabled: true}}`},
			want: server.Connection{
				URL: ref(pg, "uri"), Host: ref(pg, "host"), Port: ref(pg, "port"), Name: server.Value{Value: "dittofs"}, User: ref(pg, "user"), Password: ref(pg, "password"),
				SSLMode: server.Value{Value: "verify-full"}, CASecret: "files-postgres-cluster-cert",
				WaitImage: "docker.io/percona/percona-distribution-postgresql:16.13-1",
				Secret:    pg, Keys: []string{"host", "port", "user", "password"},
			},
		},
		"ExternalLeast": {
			reason: "TLS where the database offers it",
			call:   call{spec: braced(onCorp), answers: map[string]string{"Secret/corp-db": external("corp-db")}},
			want: server.Connection{
				Host: ref("corp-db", "host"), Name: ref("corp-db", "database"), User: ref("corp-db", "user"), Password: ref("corp-db", "password"),
				SSLMode: server.Value{Value: "prefer"},
				Secret:  "corp-db", Keys: []string{"host", "database", "user", "password", "port", "sslmode"}, MayLack: []string{"port", "sslmode"},
			},
		},
		"ExternalFull": {
			reason: "everything from the Secret",
			call:   call{spec: braced(onCorp), answers: map[string]string{"Secret/corp-db": external("corp-db", "port", "sslmode", "ca.crt")}},
			want: server.Connection{
				Host: ref("corp-db", "host"), Name: ref("corp-db", "database"), User: ref("corp-db", "user"), Password: ref("corp-db", "password"),
				Port: ref("corp-db", "port"), SSLMode: ref("corp-db", "sslmode"), CASecret: "corp-db",
				Secret: "corp-db", Keys: []string{"host", "database", "user", "password", "port", "sslmode"},
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, tc.call.resolve(t).Server.Connection); diff != "" {
				t.Errorf("%s\nConnection: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestFixedName: the pod has the name of its database as a value, whatever Percona's
// Secret says. A server of an earlier version keeps its reference until the Secret has
// named another database, and is not rolled back and forth.
func TestFixedName(t *testing.T) {
	const fixed, reference = "dittofs", "files-postgres-pguser-dittofs/dbname"
	for name, first := range map[string]string{"New": fixed, "Older": reference} {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t)
			h.started(onPercona)
			if first == reference {
				h.forgetFixedName()
			}
			steps := []struct {
				what string
				do   func()
				want string
			}{
				{"an ordinary server", func() {}, first},
				{"Percona's Secret is gone", func() { h.others["Secret/files-postgres-pguser-dittofs"] = "" }, first},
				{"it names another database", func() { h.credentials("theirs") }, fixed},
				{"it is mended", func() { h.credentials("dittofs") }, fixed},
				{"it is gone again", func() { h.others["Secret/files-postgres-pguser-dittofs"] = "" }, fixed},
			}
			for _, s := range steps {
				s.do()
				h.apply(onPercona)
				if got := h.env(names.EnvDatabase); got != s.want {
					t.Errorf("%s: want %s, got %s", s.what, s.want, got)
				}
			}
		})
	}
}

// TestFoundKeysAreKept: a server that the DittoFS operator made, whose references are
// optional, does not lose TLS with a key.
func TestFoundKeysAreKept(t *testing.T) {
	h := newHistory(t)
	h.others["Secret/corp-db"] = external("corp-db", "sslmode")
	h.started(onCorp)
	h.editRecord(`"hasSSLMode":true`, `"hasPort":true,"hasSSLMode":true,"optionalKeys":true`)
	h.apply(onCorp)
	pod := h.get(names.Server, "spec", "template")
	if got := h.env(names.EnvSSLMode); got != "corp-db/sslmode?" {
		t.Fatalf("want an optional reference, got %s", got)
	}
	h.others["Secret/corp-db"] = external("corp-db")
	if !h.apply(onCorp + ", logging: {level: DEBUG}").Server.Frozen {
		t.Error("the Secret lost sslmode: want the pod kept")
	}
	h.apply(onCorp)
	if diff := cmp.Diff(pod, h.get(names.Server, "spec", "template")); diff != "" {
		t.Errorf("want the pod as it was: -want, +got:\n%s", diff)
	}
}

// TestMoveAwaits: a confirmed move waits for whatever the server could not start
// without, and happens then.
func TestMoveAwaits(t *testing.T) {
	const away = `database: {type: postgres, postgresSecretRef: {name: corp-db, key: k}, confirmSwitch: external}`
	const mine = `, identity: {admin: {passwordSecretRef: {name: a}}}`
	const extra = `, extraEnv: [{name: E, valueFrom: {secretKeyRef: {name: e, key: k}}}]`
	cases := map[string]struct {
		reason string
		spec   string
		mend   func(h *history)
	}{
		"Database":      {reason: "a database", spec: away, mend: func(h *history) { h.others["Secret/corp-db"] = external("corp-db") }},
		"Administrator": {reason: "somebody who can log in to the new one", spec: away + mine, mend: func(h *history) { h.others["Secret/a"] = secretYAML("a", map[string]string{"password": "p"}) }},
		"Variable":      {reason: "what a variable is taken from", spec: away + extra, mend: func(h *history) { h.others["Secret/e"] = secretYAML("e", map[string]string{"k": "v"}) }},
		"Owner": {reason: "a StatefulSet that the API server lets change", spec: away, mend: func(h *history) {
			delete(h.live[names.Server]["metadata"].(map[string]any), "managedFields")
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t)
			h.others["Secret/a"], h.others["Secret/corp-db"] = secretYAML("a", map[string]string{"password": "p"}), external("corp-db")
			h.others["Secret/e"] = secretYAML("e", map[string]string{"k": "v"})
			h.started(onSQLite + strings.TrimPrefix(tc.spec, away))
			switch name {
			case "Database":
				h.others["Secret/corp-db"] = ""
			case "Administrator":
				h.others["Secret/a"] = ""
			case "Variable":
				h.others["Secret/e"] = ""
			case "Owner":
				h.set(names.Server, []any{map[string]any{"manager": "manager", "operation": "Update", "fieldsV1": owns("DITTOFS_DATABASE_POSTGRES_SSLMODE")}}, "metadata", "managedFields")
			}
			owned := h.live[names.Server]["metadata"].(map[string]any)["managedFields"]
			for range 2 {
				s := h.reconcile(tc.spec).Server
				if owned != nil {
					h.set(names.Server, owned, "metadata", "managedFields")
				}
				if s.Current.Kind != record.SQLite || s.Target.Kind != record.External {
					t.Errorf("want the move awaited: %s; got it on %s", tc.reason, s.Current.Kind)
				}
			}
			tc.mend(h)
			if s := h.apply(tc.spec).Server; s.Current.Kind != record.External {
				t.Errorf("%s is there: want the move, got it on %s", tc.reason, s.Current.Kind)
			}
		})
	}
}

// owns returns the fields of a manager that owns a variable as a reference.
func owns(env string) map[string]any {
	f := map[string]any{"f:valueFrom": map[string]any{}}
	for _, k := range []string{`k:{"name":"` + env + `"}`, "f:env", `k:{"name":"dittofs"}`, "f:containers", "f:spec", "f:template", "f:spec"} {
		f = map[string]any{k: f}
	}
	return f
}

// TestMadeAgain guards that a server that is made again finds its data, or is not
// created before somebody has decided.
func TestMadeAgain(t *testing.T) {
	const stays = "goes on using it"
	other := strings.Replace(onPercona, "enabled: true,", "enabled: true, databaseName: other,", 1)
	later := strings.Replace(onPercona, "enabled: true,", "enabled: true, databaseName: mine, postgresVersion: 18,", 1)
	old := `{metadata: {name: controlplane-files-0, creationTimestamp: "2026-02-01T00:00:09Z"}}`

	t.Run("RecordSurvives", func(t *testing.T) {
		h := newHistory(t)
		h.started(strings.Replace(onPercona, "enabled: true,", "enabled: true, databaseName: mine, postgresVersion: 17,", 1))
		h.again(true)
		res := h.apply(other)
		wantHeld(t, "the data is in the database of before", res, "spec.percona.databaseName: other is held at mine, where the server's data is")
		if res.Server.Cluster.PostgresVersion != 17 {
			t.Errorf("want the version of the files, 17, got %d", res.Server.Cluster.PostgresVersion)
		}
		h.again(true)
		wantHeld(t, "and of the version of before", h.reconcile(later), "spec.percona.postgresVersion: 18 is held at 17, the version of the files that the cluster left on its volumes. Set it back; to begin again without them, delete the volumes, the Secret files-postgres-pguser-dittofs and the ConfigMap files-config")
		wantHeld(t, "set back", h.apply(strings.Replace(later, "18", "17", 1)))
		h.again(true)
		wantHeld(t, "the server does not come up on another database", h.apply(onSQLite), stays)
		h.again(true)
		// Percona deletes the credentials together with the volumes.
		delete(h.others, "Secret/files-postgres-pguser-dittofs")
		res = h.apply(strings.Replace(onPercona, "enabled: true,", "enabled: true, databaseName: other, postgresVersion: 18,", 1))
		wantHeld(t, "nothing is held once the data is deleted", res)
		if c := res.Server.Cluster; c.DatabaseName != "other" || c.PostgresVersion != 18 {
			t.Errorf("want what is asked for, got %s and %d", c.DatabaseName, c.PostgresVersion)
		}
	})
	t.Run("SQLiteSurvives", func(t *testing.T) {
		h := newHistory(t)
		h.started(onSQLite)
		h.again(true)
		wantHeld(t, "the file is on the volume", h.apply(onPercona), "the server keeps its control plane in SQLite at /data/controlplane/controlplane.db and "+stays)
	})
	t.Run("CredentialsAlone", func(t *testing.T) {
		h := newHistory(t)
		h.started(strings.Replace(onPercona, "enabled: true,", "enabled: true, databaseName: mine, postgresVersion: 17,", 1))
		h.again(false)
		res := h.reconcile(other)
		wantHeld(t, "the credentials name the database", res, "spec.percona.databaseName: other is held at mine, where the server's data is")
		wantWarned(t, "and not the version", res,
			"spec.percona.postgresVersion: the volumes of PerconaPGCluster files-postgres are older than this server, and nothing tells the version of the files on them; PostgreSQL starts only if it is 16.",
			"spec.identity.admin.passwordSecretRef: is not set, and Secret files-postgres-pguser-dittofs is older than this server")
		wantHeld(t, "which holds", h.apply(other), "spec.percona.databaseName: other is held at mine")

		right := strings.Replace(other, "enabled: true,", "enabled: true, postgresVersion: 17,", 1)
		res = h.apply(right)
		wantHeld(t, "a guess of the version can be corrected, as the warning asks", res, "spec.percona.databaseName")
		if c := res.Server.Cluster; c.PostgresVersion != 17 || !strings.Contains(c.Image, ":17.") {
			t.Errorf("want PostgreSQL 17, got %d and %s", c.PostgresVersion, c.Image)
		}
		h.live[names.Postgres]["status"] = map[string]any{"state": "ready", "postgres": map[string]any{"size": 1.0, "ready": 1.0}}
		res = h.apply(right)
		wantWarned(t, "PostgreSQL runs, so the version is known", res, "spec.identity.admin.passwordSecretRef")
		h.live[names.Postgres]["status"] = map[string]any{"state": "initializing"}
		wantHeld(t, "and held from now on", h.apply(other+", x: y"), "spec.percona.databaseName")
		wantHeld(t, "and held from now on", h.apply(strings.Replace(right, "17", "18", 1)), "spec.percona.postgresVersion: 18 is held at 17", "spec.percona.databaseName")
	})
	t.Run("CredentialsAndAnotherDatabase", func(t *testing.T) {
		for name, asked := range map[string]string{"SQLite": onSQLite, "External": onCorp} {
			h := withDatabases(newHistory(t))
			h.started(onPercona)
			h.again(false)
			res := h.apply(asked)
			wantHeld(t, name+": the credentials may have the data", res, "an earlier server of this name kept its control plane in PerconaPGCluster files-postgres: Secret files-postgres-pguser-dittofs, which Percona keeps together with the volumes, is older than this server")
			if !res.Server.Undecided || h.live[names.Server] != nil {
				t.Errorf("%s: want no server before that is decided", name)
			}
			confirmation := map[string]string{"SQLite": "sqlite", "External": "external"}[name]
			wantHeld(t, name+": confirmed", h.apply(confirmed(asked, confirmation)))
			if h.live[names.Server] == nil || h.live[names.Postgres] != nil {
				t.Errorf("%s: want the server, and no cluster for nothing", name)
			}
		}
	})
	t.Run("CredentialsAndTheSameDatabase", func(t *testing.T) {
		h := newHistory(t)
		h.started(onPercona)
		h.again(false)
		h.others["PersistentVolumeClaim/controlplane-files-0"] = old
		res := h.reconcile(onPercona)
		wantHeld(t, "the credentials tell more than a volume that every server has", res)
		if res.Server.Undecided {
			t.Error("want nothing to decide")
		}
	})
	t.Run("Volume", func(t *testing.T) {
		for name, asked := range map[string]string{"Percona": onPercona, "External": onCorp} {
			h := withDatabases(newHistory(t))
			h.others["PersistentVolumeClaim/controlplane-files-0"] = old
			h.created = "2026-03-01T00:00:00Z"
			res := h.apply(asked)
			wantHeld(t, name+": the volume may have the file", res, "there is a volume controlplane-files-0 already: an earlier server of this name may have kept its control plane in SQLite on it")
			if !res.Server.Undecided || h.live[names.Server] != nil {
				t.Errorf("%s: want no server before that is decided", name)
			}
			wantHeld(t, name+": whoever asks for SQLite goes on with the file", h.apply(onSQLite))
			if h.live[names.Server] == nil {
				t.Errorf("%s: want the server", name)
			}
		}
	})
	t.Run("VolumeConfirmed", func(t *testing.T) {
		h := withDatabases(newHistory(t))
		h.others["PersistentVolumeClaim/controlplane-files-0"] = old
		h.created = "2026-03-01T00:00:00Z"
		wantHeld(t, "another file confirms nothing", h.apply(confirmed(onCorp, "sqlite")), "a volume controlplane-files-0")
		wantHeld(t, "confirmed", h.apply(confirmed(onCorp, "external")))
		if h.live[names.Server] == nil {
			t.Error("want the server")
		}
		wantHeld(t, "the confirmation is used up like any other", h.apply(confirmed(onOther, "external")), "The confirmation in spec.database.confirmSwitch was there before this change")
	})
}

// TestDatabaseOfAnInvalidSpec: a spec that is refused changes nothing, and the
// conditions tell of the database that there is.
func TestDatabaseOfAnInvalidSpec(t *testing.T) {
	h := withDatabases(newHistory(t))
	h.started(onCorp)
	res := h.reconcile(onSQLite + ", image: 'a b'")
	if len(res.Errors) != 1 || res.Server.Current.Secret != "corp-db" || res.Server.Target.Secret != "corp-db" {
		t.Errorf("want the database that there is, got %+v with %v", res.Server.Current, messages(res))
	}
}

// TestForeignReferences: what whoever made the StatefulSet still owns cannot be
// applied away, and how to make way is told.
func TestForeignReferences(t *testing.T) {
	const owned = `{metadata: {name: files, namespace: default, managedFields: [{manager: MANAGER, operation: Update, fieldsV1: {"f:spec": {"f:template": {"f:spec": {"f:containers": {
"k:{\"name\":\"dittofs\"}": {"f:env": {"k:{\"name\":\"DITTOFS_DATABASE_POSTGRES_SSLMODE\"}": {"f:valueFrom": {}}}}}}}}}}]},
spec: {replicas: 1, template: {spec: {containers: [{name: dittofs, image: "x:1", env: [` + wiredToPercona + `]}]}}, volumeClaimTemplates: [` + metadataClaim + "," + controlClaim + `]}}`
	cases := map[string]struct {
		reason  string
		manager string
		want    bool
	}{
		"Operator":   {reason: "the operator that made it owns the reference", manager: "manager", want: true},
		"Crossplane": {reason: "what Crossplane owns it takes away itself", manager: "apiextensions.crossplane.io/composed/0123"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := call{
				spec:     `{percona: {enabled: true}, storage: {metadataSize: 10Gi}}`,
				composed: map[string]string{"server": strings.ReplaceAll(owned, "MANAGER", tc.manager), "postgres": liveCluster(t, clusterSpec, nil)},
			}
			got := strings.Join(c.resolve(t).Warnings, "\n")
			if told := strings.Contains(got, "DITTOFS_DATABASE_POSTGRES_SSLMODE is still a reference of whoever made it. Delete it with kubectl -n default delete statefulset files --cascade=orphan"); told != tc.want {
				t.Errorf("%s: want it told: %t, got warnings:\n%s", tc.reason, tc.want, got)
			}
		})
	}
}
