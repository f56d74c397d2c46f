package dittofs

import (
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

// JWTSecret signs API tokens. What exists is carried over: a new one would end
// every session.
func JWTSecret(s *server.Server, live observed.Object, random io.Reader) (*corev1.Secret, error) {
	value, err := carried(live, names.JWTKey, jwtBytes, random)
	return secret(s, names.JWTSecret(s.Name), live, map[string][]byte{names.JWTKey: value}), err
}

// AdminSecret holds the first administrator's credentials. What exists is
// carried over: the server reads the password once, and a new one would be
// wrong.
func AdminSecret(s *server.Server, live observed.Object, random io.Reader) (*corev1.Secret, error) {
	value, err := carried(live, names.AdminPasswordKey, adminBytes, random)
	return secret(s, names.AdminSecret(s.Name), live, map[string][]byte{
		names.AdminUserKey:     []byte(server.AdminUser),
		names.AdminPasswordKey: value,
	}), err
}

func carried(live observed.Object, key string, bytes int, random io.Reader) ([]byte, error) {
	if v, ok := live.Data(key); ok {
		return v, nil
	}
	b := make([]byte, bytes)
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, errors.Wrapf(err, "cannot generate %s", key)
	}
	return []byte(base64.RawURLEncoding.EncodeToString(b)), nil
}

func secret(s *server.Server, name string, live observed.Object, data map[string][]byte) *corev1.Secret {
	t := corev1.SecretTypeOpaque
	if l := live.String("type"); l != "" {
		// A Secret's type cannot be changed.
		t = corev1.SecretType(l)
	}
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: names.CoreV1, Kind: names.SecretKind},
		ObjectMeta: meta(s, name),
		Type:       t,
		Data:       data,
	}
}
