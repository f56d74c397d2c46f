package moving

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/crossplane/function-sdk-go/errors"
)

// Print writes a plan as a table for a person, and below it what the function says
// of each server.
func (p *Plan) Print(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(cells ...string) { _, _ = fmt.Fprintln(t, strings.TrimRight(strings.Join(cells, "\t"), "\t")) }
	line("SERVER", "OBJECT", "BECOMES", "POD", "CHANGES")
	for _, s := range p.Servers {
		if s.Error != "" {
			line(s.id(), "-", "refused", "-", "see below")
		}
		for _, o := range s.Objects {
			o.print(line, s.id())
		}
	}
	for _, o := range p.Orphans {
		o.print(line, "-")
	}
	if err := t.Flush(); err != nil {
		return errors.Wrap(err, "cannot print")
	}
	for _, s := range p.Servers {
		what := s.Error
		if what == "" {
			what = strings.TrimSuffix(fmt.Sprintf("Accepted %s %s: %s", s.Accepted.Status, s.Accepted.Reason, s.Accepted.Message), ": ")
		}
		if _, err := fmt.Fprintf(out, "\n%s: %s\n", s.id(), what); err != nil {
			return errors.Wrap(err, "cannot print")
		}
	}
	return nil
}

// print writes an object's row, and one for each further change.
func (o Object) print(line func(...string), server string) {
	cells := make([]string, 0, len(o.Changes)+1)
	if o.Why != "" {
		cells = append(cells, o.Why)
	}
	for _, c := range o.Changes {
		cells = append(cells, c.String())
	}
	if len(cells) == 0 {
		cells = []string{"-"}
	}
	pod := "-"
	if o.Restarts {
		pod = "restarted"
	}
	line(server, o.Kind+" "+o.Name, o.Becomes, pod, cells[0])
	for _, c := range cells[1:] {
		line("", "", "", "", c)
	}
}
