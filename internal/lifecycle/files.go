package lifecycle

import (
	"crypto/tls"
	"crypto/x509"
	"path"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dittofs/function-dittoserver/internal/strict"
)

// mounted returns the files of Secrets that the server's container sees, by their
// paths.
func (w *World) mounted(namespace string, spec map[string]any) map[string]string {
	volumes := map[string]map[string]any{}
	for _, v := range strict.Objects(spec["volumes"]) {
		if name, _ := v["name"].(string); v["secret"] != nil {
			volumes[name] = v
		}
	}
	out := map[string]string{}
	for _, c := range strict.Objects(spec["containers"]) {
		for _, m := range strict.Objects(c["volumeMounts"]) {
			name, _ := m["name"].(string)
			dir, _ := m["mountPath"].(string)
			secret, _, _ := unstructured.NestedString(volumes[name], "secret", "secretName")
			items, _, _ := unstructured.NestedSlice(volumes[name], "secret", "items")
			for _, i := range strict.Objects(items) {
				key, _ := i["key"].(string)
				file, _ := i["path"].(string)
				out[path.Join(dir, file)] = SecretValue(w.Peek(Key{"v1", "Secret", namespace, secret}), key)
			}
		}
	}
	return out
}

// refuses returns why the server ends at its start with a configuration and files,
// empty if it does not.
// Source: dittofs v0.29.0 internal/tlsconfig/tlsconfig.go.
func refuses(config map[string]any, files map[string]string) string {
	at := func(p ...string) string {
		s, _, _ := unstructured.NestedString(config, p...)
		return s
	}
	if cert := at("controlplane", "tls", "cert_file"); cert != "" {
		if _, err := tls.X509KeyPair([]byte(files[cert]), []byte(files[at("controlplane", "tls", "key_file")])); err != nil {
			return "the server refuses its certificate: " + err.Error()
		}
	}
	if ca := at("controlplane", "tls", "client_ca"); ca != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(files[ca])) {
		return "the server refuses the authorities of clients"
	}
	return ""
}
