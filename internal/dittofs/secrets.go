package dittofs

import (
	"cmp"
	"encoding/base64"
	"io"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/crossplane/function-sdk-go/errors"

	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
)

const (
	jwtBytes = 32
	// adminBytes make 24 characters.
	adminBytes = 18
)

// GenerateJWT returns a new secret that signs API tokens.
func GenerateJWT(random io.Reader) ([]byte, error) { return generate(jwtBytes, random) }

// GenerateAdminPassword returns a new password of the first administrator.
func GenerateAdminPassword(random io.Reader) ([]byte, error) { return generate(adminBytes, random) }

func generate(bytes int, random io.Reader) ([]byte, error) {
	b := make([]byte, bytes)
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, errors.Wrap(err, "cannot generate a secret")
	}
	return []byte(base64.RawURLEncoding.EncodeToString(b)), nil
}

// JWTSecret returns the Secret that signs API tokens.
func JWTSecret(s *server.Server, value []byte, live observed.Object) *corev1.Secret {
	return secret(s, names.JWTSecret(s.Name), live, map[string][]byte{names.JWTKey: value})
}

// AdminSecret returns the Secret with the first administrator's credentials.
func AdminSecret(s *server.Server, value []byte, live observed.Object) *corev1.Secret {
	return secret(s, names.AdminSecret(s.Name), live, map[string][]byte{
		names.AdminUserKey:     []byte(server.AdminUser),
		names.AdminPasswordKey: value,
	})
}

func secret(s *server.Server, name string, live observed.Object, data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: names.CoreV1, Kind: names.SecretKind},
		ObjectMeta: meta(s, name),
		// A Secret's type cannot be changed.
		Type: corev1.SecretType(cmp.Or(live.String("type"), string(corev1.SecretTypeOpaque))),
		Data: data,
	}
}
