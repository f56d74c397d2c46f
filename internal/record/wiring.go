package record

import (
	"cmp"

	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
)

// DefaultSQLitePath lies on the control-plane volume.
const DefaultSQLitePath = "/data/controlplane/controlplane.db"

// OfLive returns what a live StatefulSet without a record says of itself. Its
// database is read from what it is really wired to: every server of the DittoFS
// operator with a PerconaPGCluster runs on SQLite, because nothing reads the
// DATABASE_URL that it is given.
func OfLive(n string, sts, config observed.Object) *Server {
	if !sts.Exists() {
		return nil
	}
	c := Container(sts)
	env := map[string]observed.Object{}
	for _, e := range c.List("env") {
		env[e.String("name")] = e
	}
	return &Server{
		Image:         c.String("image"),
		Database:      wiring(n, env, config),
		JWT:           reference(env[names.EnvJWTSecret]),
		Admin:         reference(env[names.EnvAdminPassword]),
		AdminOptional: optional(env[names.EnvAdminPassword]),
		TLS:           tlsOf(sts),
		LDAP:          ldapOf(env),
		Kerberos:      kerberosOf(sts, env),
	}
}

// tlsOf returns the Secrets that the pod's volumes for TLS are of. The volumes have
// the names that the DittoFS operator gives them.
func tlsOf(sts observed.Object) *TLS {
	volume := func(name string) string {
		return sts.Named(name, "spec", "template", "spec", "volumes").String("secret", "secretName")
	}
	if cert := volume(names.VolumeTLS); cert != "" {
		return &TLS{Cert: cert, ClientCA: volume(names.VolumeClientCA)}
	}
	return nil
}

// ldapOf returns the Secret that the pod reads for LDAP.
func ldapOf(env map[string]observed.Object) *Provider {
	if ref := reference(env[names.EnvLDAPBindPassword]); ref.Name != "" {
		return &Provider{Taken: TakenBefore, Secrets: map[string]SecretKey{UseBindPassword: ref}}
	}
	return nil
}

// kerberosOf returns the Secrets that the pod reads for Kerberos. The volumes have the
// names that the DittoFS operator gives them.
func kerberosOf(sts observed.Object, env map[string]observed.Object) *Provider {
	out := &Provider{Taken: TakenBefore, Secrets: map[string]SecretKey{}}
	for use, volume := range map[string]string{UseKeytab: names.VolumeKeytab, UseKrb5Conf: "kerberos-krb5", UseMachineKeytab: "kerberos-machine-keytab"} {
		secret := sts.Named(volume, "spec", "template", "spec", "volumes").At("secret")
		for _, i := range secret.List("items") {
			out.Secrets[use] = SecretKey{Name: secret.String("secretName"), Key: i.String("key")}
		}
	}
	if ref := reference(env[names.EnvMachineSecret]); ref.Name != "" {
		out.Secrets[UseMachineSecret] = ref
	}
	if _, ok := out.Secrets[UseKeytab]; !ok {
		return nil
	}
	return out
}

// Container returns the server's container.
func Container(sts observed.Object) observed.Object {
	return sts.Named(names.ContainerName, "spec", "template", "spec", "containers")
}

func reference(env observed.Object) SecretKey {
	ref := env.At("valueFrom", "secretKeyRef")
	return SecretKey{Name: ref.String("name"), Key: ref.String("key")}
}

func optional(env observed.Object) bool { return env.Bool("valueFrom", "secretKeyRef", "optional") }

func wiring(n string, env map[string]observed.Object, config observed.Object) Database {
	// Any of the references names the Secret: a person may have replaced one by a
	// value.
	secret, postgres := "", false
	for _, v := range []string{names.EnvHost, names.EnvDatabase, names.EnvUser, names.EnvPassword} {
		secret = cmp.Or(secret, reference(env[v]).Name)
		postgres = postgres || env[v].Exists()
	}
	if env[names.EnvDatabaseType].String("value") == string(SQLite) {
		// References to another database may be left of whoever made the pod.
		secret, postgres = "", false
	}
	switch {
	case secret == names.ClusterCredentials(n):
		return Database{Kind: Percona, FixedName: env[names.EnvDatabase].Has("value")}
	case postgres:
		return Database{
			Kind:         External,
			Secret:       secret,
			HasPort:      env[names.EnvPort].Exists(),
			HasSSLMode:   env[names.EnvSSLMode].Has("valueFrom"),
			HasCA:        env[names.EnvSSLRootCert].Exists(),
			SSLMode:      env[names.EnvSSLMode].String("value"),
			OptionalKeys: optional(env[names.EnvSSLMode]) || optional(env[names.EnvPort]),
		}
	}
	if p := env[names.EnvSQLitePath].String("value"); p != "" {
		return Database{Kind: SQLite, Path: p}
	}
	return Database{Kind: SQLite, Path: configPath(config)}
}

// configPath returns where a config.yaml puts SQLite's file.
func configPath(config observed.Object) string {
	var c struct {
		Database struct {
			SQLite struct {
				Path string `json:"path"`
			} `json:"sqlite"`
		} `json:"database"`
	}
	if err := yaml.Unmarshal([]byte(config.String("data", names.ConfigKey)), &c); err != nil || c.Database.SQLite.Path == "" {
		return DefaultSQLitePath
	}
	return c.Database.SQLite.Path
}
