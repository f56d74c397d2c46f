package properties

import (
	"math/rand/v2"
	"regexp"
	"strconv"
)

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// randomSpec is a spec that is valid by itself.
func randomSpec(r *rand.Rand) object {
	maybe := func(percent int) bool { return r.IntN(100) < percent }
	sizes := []string{"5Gi", "10Gi", "20Gi"}
	storage := object{"metadataSize": pick(r, sizes...)}
	if maybe(40) {
		storage["contentSize"] = pick(r, sizes...)
	}
	if maybe(20) {
		storage["controlPlaneSize"] = pick(r, sizes...)
	}
	if maybe(30) {
		storage["storageClassName"] = pick(r, "fast", "slow", "")
	}
	s := object{"storage": storage}
	if maybe(80) {
		s["percona"] = randomPercona(r)
	}
	if maybe(30) {
		s["image"] = pick(r, "example.org/ditto:v1", "example.org/ditto:v2")
	}
	if maybe(20) {
		s["replicas"] = pick(r, 0.0, 1.0)
	}
	if maybe(35) {
		db := object{}
		switch r.IntN(4) {
		case 0:
			db["type"] = "sqlite"
		case 1:
			db["sqlite"] = object{"path": pick(r, "/data/controlplane/other.db", "/data/store/metadata/c.db")}
		default:
			db["postgresSecretRef"] = object{"name": "external-db", "key": "any"}
		}
		if maybe(50) {
			db["confirmSwitch"] = pick(r, "sqlite", "external", "percona")
		}
		s["database"] = db
	}
	if maybe(20) {
		s["controlPlane"] = object{"port": pick(r, 8080.0, 9090.0, 443.0)}
	}
	if maybe(15) {
		set(s, pick(r, "own-cert", "other-cert"), "controlPlane", "certSecretName")
		if maybe(50) {
			set(s, pick(r, "own-cert", "own-ca"), "controlPlane", "clientCASecretName")
		}
	}
	if maybe(25) {
		id := object{}
		if maybe(50) {
			id["jwt"] = object{"secretRef": object{"name": "own-jwt", "key": "key"}, "accessTokenDuration": "30m"}
		}
		if maybe(50) {
			id["admin"] = object{"passwordSecretRef": object{"name": "own-admin", "key": "password"}}
		}
		s["identity"] = id
	}
	if maybe(12) {
		ldap := object{"enabled": maybe(80), "url": pick(r, "ldaps://dc1", "ldaps://dc2"), "baseDN": "DC=x", "bindDN": "CN=y", "bindPasswordSecretRef": object{"name": "own-ldap", "key": "password"}}
		if maybe(40) {
			ldap["caCertSecretRef"] = object{"name": "own-ca"}
		}
		set(s, ldap, "identity", "ldap")
	}
	if maybe(12) {
		kerberos := object{"enabled": maybe(80), "servicePrincipal": pick(r, "nfs/a@X", "nfs/b@X"), "keytabSecretRef": object{"name": "own-keytab", "key": "keytab"}}
		if maybe(30) {
			kerberos["krb5ConfSecretRef"] = object{"name": "own-keytab", "key": "krb5.conf"}
		}
		if !isTrue(kerberos, "enabled") {
			kerberos["switchedOff"] = maybe(30)
		}
		set(s, kerberos, "identity", "kerberos")
	}
	if maybe(20) {
		s["logging"] = object{"level": pick(r, "DEBUG", "info"), "format": pick(r, "json", "text")}
	}
	if maybe(20) {
		s["service"] = object{"type": pick(r, "ClusterIP", "LoadBalancer", "NodePort"), "annotations": object{"a": "b"}}
	}
	if maybe(20) {
		s["adapterServices"] = object{"type": pick(r, "ClusterIP", "LoadBalancer")}
	}
	if maybe(20) {
		s["resources"] = object{"requests": object{"cpu": "100m", "memory": "128Mi"}, "limits": object{"memory": pick(r, "1Gi", "2Gi")}}
	}
	if maybe(15) {
		s["securityContext"] = object{"readOnlyRootFilesystem": true, "runAsUser": 1000.0}
	}
	if maybe(15) {
		s["podSecurityContext"] = object{"fsGroup": 1000.0, "runAsNonRoot": true}
	}
	if maybe(15) {
		s["terminationGracePeriodSeconds"] = pick(r, 60.0, 200.0)
	}
	if maybe(15) {
		s["adoptExisting"] = maybe(70)
	}
	if maybe(10) {
		s["metrics"] = object{"enabled": true}
	}
	if maybe(10) {
		s["gc"] = object{"autoEnabled": maybe(50), "interval": pick(r, "15m", "1h")}
	}
	if maybe(10) {
		s["extraConfig"] = object{"snapshot": object{"scheduler_poll_interval": pick(r, "1m", "5m")}}
	}
	if maybe(5) {
		s["typingError"] = true
	}
	if maybe(10) {
		s["networkPolicy"] = object{"enabled": maybe(80), "egress": pick(r, "Open", "Restricted")}
	}
	if maybe(10) {
		s["adapters"] = object{"nfs": object{"enabled": maybe(80), "port": pick(r, 2049.0, 12049.0)}, "smb": object{"enabled": maybe(80)}}
	}
	if maybe(10) {
		s["extraEnv"] = []any{object{"name": "EXTRA", "valueFrom": object{"secretKeyRef": object{"name": "own-ldap", "key": "password"}}}}
	}
	if maybe(10) {
		s["nodeSelector"], s["podLabels"] = object{"disk": pick(r, "ssd", "hdd")}, object{"team": "a"}
	}
	if maybe(5) {
		set(s, object{"enabled": true}, "metrics", "serviceMonitor")
		set(s, true, "metrics", "enabled")
	}
	return s
}

func randomPercona(r *rand.Rand) object {
	maybe := func(percent int) bool { return r.IntN(100) < percent }
	p := object{"enabled": maybe(90)}
	if maybe(30) {
		p["replicas"] = float64(1 + r.IntN(5))
	}
	if maybe(40) {
		p["storageSize"] = pick(r, "5Gi", "10Gi", "20480Mi", "50Gi")
	}
	if maybe(25) {
		p["storageClassName"] = pick(r, "fast", "slow", "")
	}
	if maybe(30) {
		p["postgresVersion"] = float64(14 + r.IntN(5))
	}
	if maybe(10) {
		p["crVersion"] = pick(r, "2.9.0", "2.10.0")
	}
	if maybe(15) {
		p["image"] = pick(r, "example.org/postgres:16.1", "example.org/postgres:17.1", "example.org/postgres:mine")
	}
	if maybe(20) {
		p["databaseName"] = pick(r, "dittofs", "other")
	}
	if maybe(15) {
		p["metadataDatabaseName"] = "meta"
	}
	if maybe(20) {
		p["deleteWithServer"] = maybe(50)
	}
	if maybe(20) {
		p["driftPolicy"] = pick(r, "Keep", "Revert")
	}
	if maybe(20) {
		p["resources"] = object{"requests": object{"cpu": "1", "memory": "1Gi"}}
	}
	if maybe(50) {
		b := object{"enabled": maybe(85), "bucket": pick(r, "one", "two"), "endpoint": pick(r, "https://s3.example.com/", "s3.example.com")}
		if maybe(75) {
			b["credentialsSecretRef"] = object{"name": "s3-keys"}
		}
		if maybe(20) {
			b["path"] = pick(r, "/pgbackrest/mine/repo1", "/elsewhere")
		}
		if maybe(20) {
			b["retentionDays"] = pick(r, 7.0, 14.0)
		}
		if maybe(20) {
			b["confirmRemoval"] = true
		}
		if maybe(20) {
			b["fullSchedule"] = pick(r, "0 3 * * *", "@daily")
		}
		p["backup"] = b
	}
	return p
}

// poisons are values that are invalid in themselves.
var poisons = []struct { //nolint:gochecknoglobals // A constant.
	path  []string
	value any
}{
	{[]string{"controlPlane", "port"}, 99999.0},
	{[]string{"storage", "metadataSize"}, "POISON"},
	{[]string{"percona", "postgresVersion"}, 99999.0},
	{[]string{"percona", "storageSize"}, "POISON"},
	{[]string{"percona", "backup", "fullSchedule"}, "POISON"},
	{[]string{"replicas"}, 99999.0},
	{[]string{"replicas"}, "POISON"},
	{[]string{"percona"}, "POISON"},
	{[]string{"logging", "level"}, "POISON"},
	{[]string{"database", "confirmSwitch"}, "POISON"},
	{[]string{"image"}, "POISON with a space"},
	{[]string{"controlPlane", "certSecretName"}, "POISON"},
	{[]string{"extraConfig"}, object{"database": object{"type": "POISON"}}},
	{[]string{"gc", "gracePeriod"}, "POISON"},
	{[]string{"identity", "ldap"}, object{"enabled": true, "url": "POISON"}},
}

func overlaid(bottom, top object) object {
	out := object{}
	for k, v := range bottom {
		out[k] = v
	}
	for k, v := range top {
		tm, ok := v.(object)
		if !ok {
			out[k] = v
			continue
		}
		bm, _ := out[k].(object)
		out[k] = overlaid(bm, tm)
	}
	return out
}

// majorTag finds the PostgreSQL version in an image's tag.
var majorTag = regexp.MustCompile(`:([0-9]{2})[.-]`)

func tagMajor(image string) int {
	m := majorTag.FindStringSubmatch(image)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}
