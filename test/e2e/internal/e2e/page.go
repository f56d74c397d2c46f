package e2e

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
)

// A Page is a document of this repository: by the heading of each section the blocks
// of shell commands in it, each of which is a list of lines.
type Page map[string][][]string

var shell = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// ReadPage reads a document.
func ReadPage(t testing.TB, path string) Page {
	t.Helper()

	data, err := disk.Read(filepath.Join(Repository(t), path))
	if err != nil {
		t.Fatal(err)
	}
	p := Page{}
	for _, section := range strings.Split(string(data), "\n## ")[1:] {
		heading, text, _ := strings.Cut(section, "\n")
		for _, m := range shell.FindAllStringSubmatch(text, -1) {
			p[heading] = append(p[heading], strings.Split(strings.TrimSpace(m[1]), "\n"))
		}
	}

	return p
}
