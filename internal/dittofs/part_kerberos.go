package dittofs

import (
	"path"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
)

const (
	volumeKrb5Conf      = "kerberos-krb5"
	volumeMachineKeytab = "kerberos-machine-keytab"
)

// kerberos is how clients authenticate by tickets. Keytabs are no sources: the server
// reads them again when they have changed. It reads krb5.conf once; and at each
// start the password of its machine account, unless it has taken one before.
// Source: dittofs v0.29.0 pkg/auth/kerberos/keytab.go, cmd/dfs/commands/start.go.
func kerberos(s *server.Server) part {
	k := s.Kerberos
	p := part{config: section{"kerberos": sectionOf(k.Config())}}
	mount := func(volume, file string, ref record.SecretKey, mode *int32) {
		if ref == (record.SecretKey{}) {
			return
		}
		p.mounts = append(p.mounts, corev1.VolumeMount{Name: volume, MountPath: path.Dir(file), ReadOnly: true})
		p.volumes = append(p.volumes, fileVolume(volume, ref, file, mode))
	}
	mount(names.VolumeKeytab, server.KeytabFile, k.Keytab, ptr.To(secretMode))
	mount(volumeKrb5Conf, server.Krb5ConfFile, k.Krb5Conf, nil)
	mount(volumeMachineKeytab, server.MachineKeytabFile, k.Machine.Keytab, ptr.To(secretMode))
	if ref := k.Krb5Conf; ref != (record.SecretKey{}) {
		p.sources = append(p.sources, source{name: SourceKrb5Conf, secret: ref.Name, keys: []string{ref.Key}})
	}
	if ref := k.Machine.Secret; ref != (record.SecretKey{}) {
		p.env = []corev1.EnvVar{variable(names.EnvMachineSecret, server.Value{SecretKey: ref})}
		p.sources = append(p.sources, source{name: SourceMachineAccount, secret: ref.Name, keys: []string{ref.Key}})
	}
	return p
}

// krb5Conf returns the function's own krb5.conf, for images without one: domain
// controllers are those that DNS names.
func krb5Conf(k server.Kerberos) string {
	out := "[libdefaults]\n"
	if k.Realm != "" {
		out += "  default_realm = " + k.Realm + "\n"
	}
	return out + "  dns_lookup_kdc = true\n"
}
