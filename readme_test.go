package main

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/kinds"
	"github.com/dittofs/function-dittoserver/internal/names"
	"github.com/dittofs/function-dittoserver/internal/render"
	"github.com/dittofs/function-dittoserver/internal/report"
)

// TestREADMECommands runs every command of the README that needs no cluster,
// and looks at the others as far as it can.
func TestREADMECommands(t *testing.T) {
	const renderCommand, goRun = "go run . render ", "go run . "
	var bin string // built when it is needed first
	for _, b := range readmeBlocks(t, "sh") {
		for _, cmd := range b.lines {
			for _, path := range repositoryPath.FindAllString(cmd, -1) {
				if _, err := os.Stat(path); err != nil {
					t.Errorf("%s: %v", cmd, err)
				}
			}
			for _, name := range exampleObject.FindAllString(cmd, -1) {
				if !exampleObjects()[name] {
					t.Errorf("%s: no object of the examples is named %s", cmd, name)
				}
			}
			args, isRender := strings.CutPrefix(cmd, renderCommand)
			switch {
			case isRender:
				if testing.Short() {
					continue
				}
				if bin == "" {
					bin = buildFunction(t)
				}
				checkRender(t, bin, cmd, strings.Fields(args), b.then)
			case strings.HasPrefix(cmd, goRun):
				checkFlags(t, cmd, strings.Fields(strings.TrimPrefix(cmd, goRun)))
			case !knownCommand.MatchString(cmd):
				t.Errorf("%s: no test looks at such a command", cmd)
			}
		}
	}
}

var (
	repositoryPath = regexp.MustCompile(`\b(example|testdata|docs)/[^\s"']*`)
	// exampleObject is what is called after the servers that the README uses.
	exampleObject = regexp.MustCompile(`\b(files|archive|measured)-[a-z0-9-]+`)
	// The end-to-end tests run what make runs.
	knownCommand = regexp.MustCompile(`^(make (playground|playground-stop|e2e|real)$|go test \./\.\.\.$|go install |kubectl |crossplane |dfsctl |sudo mount |(PASSWORD|TOKEN)=\$\(kubectl |curl -H "Authorization: Bearer )`)
)

// exampleObjects are the objects of the servers that the README uses, and those
// that Percona's operator makes of them.
func exampleObjects() map[string]bool {
	out := map[string]bool{}
	for _, n := range []string{"files", "archive", "measured"} {
		for _, ref := range kinds.Refs(n) {
			out[ref.Name] = true
		}
		out[names.ClusterCredentials(n)] = true
		out[names.Cluster(n)+"-primary"] = true
		out[names.Cluster(n)+"-repo-host-0"] = true
	}
	return out
}

func buildFunction(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "function-dittoserver")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// checkRender runs the command. What is invalid is refused, and what the README
// says that it prints, it prints.
func checkRender(t *testing.T, bin, cmd string, args []string, want string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), bin, append([]string{"render"}, args...)...)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()

	if strings.Contains(cmd, "testdata/invalid/") {
		if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(stderr.String(), "invalid DittoServer: ") {
			t.Errorf("%s: is not refused: %v\n%s", cmd, err, stderr.String())
		}
		return
	}
	switch {
	case err != nil:
		t.Errorf("%s: %v\n%s", cmd, err, stderr.String())
	case stderr.Len() > 0:
		t.Errorf("%s: has a note:\n%s", cmd, stderr.String())
	case stdout.Len() == 0:
		t.Errorf("%s: prints nothing", cmd)
	}
	if want == "" {
		return
	}
	if diff := cmp.Diff(trimLines(want), trimLines(stdout.String())); diff != "" {
		t.Errorf("%s: -what the README says, +what it prints:\n%s", cmd, diff)
	}
}

func trimLines(s string) []string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}

func checkFlags(t *testing.T, cmd string, args []string) {
	t.Helper()
	p, err := kong.New(&CLI{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Parse(args); err != nil {
		t.Errorf("%s: %v", cmd, err)
	}
}

// TestREADMEManifests decodes the fragments of DittoServers in the README.
func TestREADMEManifests(t *testing.T) {
	for _, b := range readmeBlocks(t, "yaml") {
		text := strings.Join(b.lines, "\n")
		if err := yaml.UnmarshalStrict([]byte(text), &v1alpha1.DittoServer{}); err != nil {
			t.Errorf("%v:\n%s", err, text)
		}
	}
}

// TestREADMELinks follows the links within the repository.
func TestREADMELinks(t *testing.T) {
	text := readme(t)
	anchors := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		anchors[anchor(m[1])] = true
	}
	for _, m := range regexp.MustCompile(`\]\(([^)]*)\)`).FindAllStringSubmatch(text, -1) {
		file, at, _ := strings.Cut(m[1], "#")
		switch {
		case strings.Contains(file, "://"):
		case file == "" && !anchors[at]:
			t.Errorf("no heading for #%s", at)
		case file != "":
			if _, err := os.Stat(file); err != nil {
				t.Errorf("link: %v", err)
			}
		}
	}
}

// anchor is what GitHub makes of a heading.
func anchor(heading string) string {
	a := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(heading), "")
	return strings.ReplaceAll(a, " ", "-")
}

// TestREADMEConditions compares the README's table with the code: it explains every
// condition that the code can return, by type, status and reason, and no other.
func TestREADMEConditions(t *testing.T) {
	rows, coded := conditionRows(t), codedConditions(t)
	if diff := cmp.Diff(told(coded), told(rows)); diff != "" {
		t.Errorf("-in the code, +in the README:\n%s", diff)
	}
	for _, c := range goldenConditions(t) {
		if !c.IsSystem() && !rows[render.Condition{Type: c.Type, Status: c.Status, Reason: c.Reason}] {
			t.Errorf("an example has %s %s %s, which the README does not explain", c.Type, c.Status, c.Reason)
		}
	}
}

// told are conditions, sorted, each as one line.
func told(conditions map[render.Condition]bool) []string {
	out := make([]string, 0, len(conditions))
	for c := range conditions {
		out = append(out, c.Type+" "+c.Status+" "+c.Reason)
	}
	slices.Sort(out)
	return out
}

// conditionRows are the rows of the table of conditions, without messages.
func conditionRows(t *testing.T) map[render.Condition]bool {
	t.Helper()
	out := map[render.Condition]bool{}
	row := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (True|False) \\| `(\\w+)` \\| ([^|]+) \\| ([^|]+) \\| ([^|]+) \\|$")
	for _, m := range row.FindAllStringSubmatch(readme(t), -1) {
		c := render.Condition{Type: m[1], Status: m[2], Reason: m[3]}
		if out[c] {
			t.Errorf("two rows for %v", c)
		}
		out[c] = true
	}
	return out
}

// codedConditions are the conditions that the code can return, without messages. They
// are read from its source: calls of report's function condition, and what pgstate says
// of a database or of backups. Every reason that there is has to be found.
func codedConditions(t *testing.T) map[render.Condition]bool {
	t.Helper()
	const reportDir, stateDir = "internal/report", "internal/pgstate"
	values := map[string]map[string]string{"report": constants(t, reportDir), "pgstate": constants(t, stateDir)}
	out := map[render.Condition]bool{}
	for pkg, dir := range map[string]string{"report": reportDir, "pgstate": stateDir} {
		// value returns that of a constant, which may be of the other package.
		value := func(e ast.Expr) string {
			switch e := e.(type) {
			case *ast.Ident:
				return values[pkg][e.Name]
			case *ast.SelectorExpr:
				if of, ok := e.X.(*ast.Ident); ok {
					return values[of.Name][e.Sel.Name]
				}
			}
			return ""
		}
		for _, f := range parsed(t, dir) {
			for _, d := range f.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok {
					continue
				}
				of := report.TypeDatabaseReady
				if fn.Name.Name == "ReadBackups" {
					of = report.TypeBackupReady
				}
				ast.Inspect(fn, func(n ast.Node) bool {
					if c := codedCondition(n, of, value); c.Type != "" && c.Reason != "" {
						out[c] = true
					}
					return true
				})
			}
		}
	}
	found := map[string]bool{}
	for c := range out {
		found[c.Type], found[c.Reason] = true, true
	}
	for pkg, constants := range values {
		for name, v := range constants {
			if (strings.HasPrefix(name, "Type") || strings.HasPrefix(name, "Reason")) && !found[v] {
				t.Errorf("%s.%s: no condition has it that this test finds", pkg, name)
			}
		}
	}
	return out
}

// codedCondition returns the condition that a piece of code makes, of a type if it does
// not say so itself. Its status is False unless the code says true.
func codedCondition(n ast.Node, of string, value func(ast.Expr) string) render.Condition {
	c := render.Condition{Type: of, Status: "False"}
	set := func(field string, v ast.Expr) {
		switch field {
		case "Ready":
			if id, ok := v.(*ast.Ident); ok && id.Name == "true" {
				c.Status = "True"
			}
		case "Reason":
			c.Reason = value(v)
		}
	}
	switch n := n.(type) {
	case *ast.CallExpr:
		switch fn := n.Fun.(type) {
		case *ast.Ident:
			if fn.Name == "condition" && len(n.Args) == 4 {
				c.Type = value(n.Args[0])
				set("Ready", n.Args[1])
				set("Reason", n.Args[2])
			}
		case *ast.SelectorExpr:
			if fn.Sel.Name == "because" {
				set("Reason", n.Args[0])
			}
		}
	case *ast.CompositeLit:
		for _, e := range n.Elts {
			kv, ok := e.(*ast.KeyValueExpr)
			if !ok {
				continue
			}
			if key, ok := kv.Key.(*ast.Ident); ok {
				set(key.Name, kv.Value)
			}
		}
	case *ast.AssignStmt:
		for i, l := range n.Lhs {
			if field, ok := l.(*ast.SelectorExpr); ok && len(n.Rhs) == len(n.Lhs) {
				set(field.Sel.Name, n.Rhs[i])
			}
		}
	}
	return c
}

// constants are the values of a package's string constants, by their names.
func constants(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, f := range parsed(t, dir) {
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			for i, name := range spec.Names {
				if i >= len(spec.Values) {
					continue
				}
				lit, ok := spec.Values[i].(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING {
					continue
				}
				v, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				out[name.Name] = v
			}
			return true
		})
	}
	return out
}

// parsed are the files of a package, without its tests.
func parsed(t *testing.T, dir string) []*ast.File {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no Go files in %s: %v", dir, err)
	}
	out := make([]*ast.File, 0, len(files))
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	return out
}

// goldenConditions are all conditions in the goldens of the examples.
func goldenConditions(t *testing.T) []render.Condition {
	t.Helper()
	var out []render.Condition
	err := filepath.WalkDir("testdata/golden", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for doc := range strings.SplitSeq(string(b), "\n---") {
			// What follows the separator on its line is a comment.
			_, text, _ := strings.Cut(doc, "\n")
			o := map[string]any{}
			if err := yaml.Unmarshal([]byte(text), &o); err != nil {
				return err
			}
			out = append(out, render.GetConditions(&unstructured.Unstructured{Object: o})...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func readme(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A codeBlock is a fenced block of the README.
type codeBlock struct {
	lines []string
	// then is the text block that follows, which is what its command prints.
	then string
}

// readmeBlocks are the README's blocks of a language, each with the text block
// that follows it before any other.
func readmeBlocks(t *testing.T, language string) []codeBlock {
	t.Helper()
	fence := regexp.MustCompile("(?ms)^( *)```(\\w+)\n(.*?)^ *```$")
	var out []codeBlock
	last := -1 // the block that a text block would belong to
	for _, m := range fence.FindAllStringSubmatch(readme(t), -1) {
		indent, lang, text := m[1], m[2], m[3]
		switch lang {
		case language:
			var lines []string
			for l := range strings.Lines(text) {
				lines = append(lines, strings.TrimPrefix(strings.TrimRight(l, "\n"), indent))
			}
			out = append(out, codeBlock{lines: lines})
			last = len(out) - 1
		case "text":
			if last >= 0 {
				out[last].then = text
			}
			last = -1
		default:
			last = -1
		}
	}
	if len(out) == 0 {
		t.Fatalf("the README has no block of %s", language)
	}
	return out
}
