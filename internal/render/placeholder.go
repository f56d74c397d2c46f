package render

import "encoding/base64"

// placeholder is what generated secrets read in a preview. Its length is a
// multiple of what base64 encodes at once, so that it repeats without a seam.
const placeholder = "preview-not-a-secret----"

// Placeholder stands for randomness in a preview: it makes every generated
// secret read "preview-not-a-secret", so that a preview is the same each time
// and nobody takes what it prints for a secret.
type Placeholder struct{}

// Read fills p, from the beginning of the placeholder each time.
func (Placeholder) Read(p []byte) (int, error) {
	pattern, err := base64.RawURLEncoding.DecodeString(placeholder)
	if err != nil {
		return 0, err
	}
	for i := range p {
		p[i] = pattern[i%len(pattern)]
	}
	return len(p), nil
}
