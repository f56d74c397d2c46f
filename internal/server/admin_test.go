package server_test

import (
	"strings"
	"testing"
)

// TestAdminOfAnEarlierServer guards that nobody is left with a password that
// does not log in and is not told: a database outlives its server, the generated
// Secret does not.
func TestAdminOfAnEarlierServer(t *testing.T) {
	at := func(y, created string) string {
		return strings.Replace(y, "{", "{metadata: {creationTimestamp: "+created+"},", 1)
	}
	xr := strings.Replace(namespacedXR, "uid:", `creationTimestamp: "2026-02-01T00:00:00Z", uid:`, 1)
	const (
		before    = `"2026-01-01T00:00:00Z"`
		after     = `"2026-02-01T00:00:05Z"`
		published = "Secret/files-postgres-pguser-dittofs"
	)
	served := `{metadata: {name: x}, status: {conditions: [{type: Established, status: "True"}]}}`

	cases := map[string]struct {
		reason string
		call   call
		want   bool
	}{
		"New": {
			reason: "a new server has a new database",
			call:   call{xr: xr, answers: map[string]string{published: at(`{data: {host: eA==}}`, after)}},
		},
		"EarlierDatabase": {
			reason: "the database was there before, the generated Secret is about to be made",
			call:   call{xr: xr, answers: map[string]string{published: at(`{data: {host: eA==}}`, before)}},
			want:   true,
		},
		"GeneratedAgain": {
			reason: "it stands as long as the Secret is the new one",
			call: call{xr: xr, answers: map[string]string{published: at(`{data: {host: eA==}}`, before)},
				composed: map[string]string{"admin": at(`{data: {password: eA==}}`, after)}},
			want: true,
		},
		"SecretKept": {
			reason: "a Secret that is as old as the database has its password",
			call: call{xr: xr, answers: map[string]string{published: at(`{data: {host: eA==}}`, before)},
				composed: map[string]string{"admin": at(`{data: {password: eA==}}`, before)}},
		},
		"SecretOfTheUser": {
			reason: "whoever names a Secret knows the password",
			call: call{xr: xr, spec: `identity: {admin: {passwordSecretRef: {name: a}}}`,
				answers: map[string]string{published: at(`{data: {host: eA==}}`, before), "Secret/a": `{data: {password: eA==}}`}},
		},
		"MadeInAdvance": {
			reason: "a Secret that somebody made to choose the password belongs to no database",
			call:   call{xr: xr, answers: map[string]string{published: at(`{data: {password: eA==}}`, before)}},
		},
		"Preview": {
			reason: "nothing has an age offline",
			call:   call{answers: map[string]string{published: `{data: {host: eA==}}`}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tc.call.answers["CustomResourceDefinition/perconapgclusters.pgv2.percona.com"] = served
			extra := ""
			if tc.call.spec != "" {
				extra = ", " + tc.call.spec
			}
			tc.call.spec = "{percona: {enabled: true}" + extra + "}"
			res := tc.call.resolve(t)
			if len(res.Errors) > 0 {
				t.Fatal(res.Errors)
			}
			got := strings.Contains(strings.Join(res.Warnings, "\n"), "has the password of then")
			if got != tc.want {
				t.Errorf("%s\nwarned: want %t, got %t: %q", tc.reason, tc.want, got, res.Warnings)
			}
		})
	}
}
