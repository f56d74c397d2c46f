package server_test

import "testing"

// TestNotEnabled guards that a block that looks as if it were on is not taken for that.
func TestNotEnabled(t *testing.T) {
	const on = ": has no effect, since it is not enabled: set "
	cases := map[string]struct {
		reason   string
		spec     string
		defaults string
		want     []string
	}{
		"NetworkPolicy": {reason: "nothing is restricted", spec: `{networkPolicy: {egress: Restricted}}`, want: []string{"spec.networkPolicy" + on + "spec.networkPolicy.enabled to true"}},
		"Backup":        {reason: "there is no database, and so no backup", spec: `{percona: {backup: {enabled: true, bucket: b, endpoint: e}}}`, want: []string{"spec.percona" + on}},
		"NoBackup":      {reason: "nor here", spec: `{percona: {enabled: true, backup: {bucket: b, endpoint: e}}}`, want: []string{"spec.percona.backup" + on}},
		"Metrics":       {reason: "there is nothing to scrape", spec: `{metrics: {serviceMonitor: {enabled: true}}}`, want: []string{"spec.metrics" + on}},
		"LDAP":          {reason: "nobody can log in", spec: `{identity: {ldap: {url: "ldaps://dc"}}}`, want: []string{"spec.identity.ldap" + on}},
		"Off":           {reason: "a false is a decision", spec: `{networkPolicy: {enabled: false, egress: Restricted}, percona: {enabled: false, replicas: 3}}`},
		"SwitchedOff":   {reason: "so is this", spec: `{identity: {ldap: {switchedOff: true}}}`},
		"Empty":         {reason: "nothing is said", spec: `{percona: {}, metrics: {}}`},
		"Defaults":      {reason: "the platform says it to those who enable it", spec: `{}`, defaults: `{percona: {replicas: 3}, networkPolicy: {egress: Restricted}}`},
		"Enabled":       {reason: "and can enable it for all", spec: `{networkPolicy: {egress: Restricted}}`, defaults: `{networkPolicy: {enabled: true}}`},
		"TwoDatabases":  {reason: "one of the two is ignored", spec: `{database: {type: sqlite, postgresSecretRef: {name: corp-db, key: x}}}`, want: []string{"spec.database.type: sqlite is ignored: spec.database.postgresSecretRef wins over it; remove one of them"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			res := call{spec: tc.spec, defaults: tc.defaults, answers: map[string]string{"Secret/corp-db": external("corp-db", "sslmode")}}.resolve(t)
			wantWarned(t, tc.reason, res, tc.want...)
		})
	}
}
