package server_test

import (
	"testing"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
)

// TestDatabasePort guards that a restricted server is not cut off from its database by a
// Secret that loses keys, and follows one that is whole.
func TestDatabasePort(t *testing.T) {
	const secret = "Secret/corp-db"
	const spec = onCorp + `, networkPolicy: {enabled: true, egress: Restricted}`
	with := func(port string) string {
		return secretYAML("corp-db", map[string]string{"host": "h", "database": "d", "user": "u", "password": "p", "port": port})
	}
	without := func(key string) string {
		data := map[string]string{"host": "h", "database": "d", "user": "u", "password": "p", "port": "7777"}
		delete(data, key)
		return secretYAML("corp-db", data)
	}
	cases := map[string]struct {
		reason      string
		first, then string
		want        int64
	}{
		"Default":   {reason: "PostgreSQL's port where none is named", first: without("port"), then: without("port"), want: 5432},
		"Named":     {reason: "the Secret's", first: with("6432"), then: with("6432"), want: 6432},
		"Moved":     {reason: "the server follows a whole Secret, and so does the policy", first: with("6432"), then: with("6433"), want: 6433},
		"KeyGone":   {reason: "the server that runs keeps its port", first: with("6432"), then: without("port"), want: 6432},
		"HalfGone":  {reason: "a Secret that is half written decides nothing", first: with("6432"), then: without("host"), want: 6432},
		"Gone":      {reason: "nor does one that is gone", first: with("6432"), then: "", want: 6432},
		"NoNumber":  {reason: "what is no port changes nothing", first: with("6432"), then: with("postgres"), want: 6432},
		"Surrounds": {reason: "a newline at the end is not part of it", first: with("6432"), then: with("6433\n"), want: 6433},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t)
			h.others[secret] = tc.first
			h.started(spec)
			h.others[secret] = tc.then
			res := h.apply(spec)
			rules := observed.FromStruct(toStruct(t, h.live[names.NetworkPolicy])).List("spec", "egress")
			if len(rules) != 3 {
				t.Fatalf("%s: want rules for DNS, the database and S3, got %d", tc.reason, len(rules))
			}
			if got := rules[1].List("ports")[0].Int("port"); got != tc.want {
				t.Errorf("%s: want port %v opened, got %v; warnings: %v", tc.reason, tc.want, got, res.Warnings)
			}
		})
	}

	// What is not restricted records nothing.
	h := newHistory(t)
	h.others[secret] = with("6432")
	h.started(onCorp)
	if got := h.record().Server.DatabasePort; got != 0 {
		t.Errorf("without a NetworkPolicy: want no port recorded, got %d", got)
	}
}
