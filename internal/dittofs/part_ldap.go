package dittofs

import (
	"path"

	corev1 "k8s.io/api/core/v1"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/record"
	"github.com/dittofs/function-dittoserver/internal/server"
)

const volumeLDAPCA = "ldap-ca"

// ldap is how the server asks a directory. The password is no source: the server
// takes it once, and goes on with its own copy. The authorities are none either: the
// file is read with every connection.
// Source: dittofs v0.29.0 cmd/dfs/commands/start.go, pkg/identity/ldap/config.go.
func ldap(s *server.Server) part {
	p := part{
		env:    []corev1.EnvVar{variable(names.EnvLDAPBindPassword, server.Value{SecretKey: s.LDAP.BindPassword})},
		config: section{"ldap": sectionOf(s.LDAP.Config())},
	}
	if s.LDAP.CA != (record.SecretKey{}) {
		p.mounts = []corev1.VolumeMount{{Name: volumeLDAPCA, MountPath: path.Dir(server.LDAPCAFile), ReadOnly: true}}
		p.volumes = []corev1.Volume{fileVolume(volumeLDAPCA, s.LDAP.CA, server.LDAPCAFile, nil)}
	}
	return p
}

// fileVolume returns a volume with one key of a Secret, which is the file.
func fileVolume(name string, ref record.SecretKey, file string, mode *int32) corev1.Volume {
	v := secretVolume(name, ref.Name, ref.Key)
	v.Secret.Items[0].Path = path.Base(file)
	v.Secret.DefaultMode = mode
	return v
}
