package e2e

import (
	"flag"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dittofs/function-dittoserver/test/e2e/internal/disk"
)

var update = flag.Bool("update", false, "write the golden files from what is seen") //nolint:gochecknoglobals // A flag.

// Golden waits until what is seen is what is in a file under testdata: while a
// reconcile is under way, it is not for a moment.
func Golden(t testing.TB, name string, see func() string) {
	t.Helper()

	path := filepath.Join("testdata", name)

	if *update {
		got := see()
		if err := disk.Dir(filepath.Dir(path)); err != nil {
			t.Fatal(err)
		}
		if err := disk.Write(path, []byte(got)); err != nil {
			t.Fatal(err)
		}
	}

	want, err := disk.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	EventuallyWithin(t, time.Minute, path, func() error {
		if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(see(), "\n")); diff != "" {
			return fmt.Errorf("it differs: -want, +got:\n%s\nIf it should, run the test with -update", diff)
		}
		return nil
	})
}

// volatile is what differs between two runs, in what kubectl prints.
//
//nolint:gochecknoglobals // A constant.
var volatile = []struct {
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UID"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "TIME"},
	{regexp.MustCompile(`(Resource Version: +)\d+`), "${1}VERSION"},
	{regexp.MustCompile(`(?m) +(\d+[smh])+$`), "   1m"},
	{regexp.MustCompile(`(/pgbackrest/[a-z0-9-]+/[a-z0-9-]+-)[0-9a-f]{8}\b`), "${1}UID"},
	{regexp.MustCompile(`-[0-9a-f]{7}\b`), "-1234567"},
	{regexp.MustCompile(`-instance1-[a-z0-9]{4}\b`), "-instance1-abcd"},
}

// Stable replaces what differs between two runs in what kubectl prints: times,
// ages, generated names.
func Stable(s string) string {
	for _, v := range volatile {
		s = v.what.ReplaceAllString(s, v.with)
	}

	return s
}
