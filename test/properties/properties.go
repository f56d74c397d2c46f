// Package properties leads servers through random lives and asserts after every
// step what must always hold. A life is a seed and a list of events; every event
// has random draws of its own, so that a failing life can be made shorter by
// leaving events out, until each that is left is needed.
package properties

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crossplane/function-sdk-go/logging"

	"github.com/dittofs/function-dittoserver/internal/render"
	"github.com/dittofs/function-dittoserver/test/conformance"
)

// New makes a function that logs to log, whose responses hold for ttl, and whose
// generated secrets come from random.
type New func(log logging.Logger, ttl time.Duration, random io.Reader) render.Function

// A case that failed is run again by its seed: -property.seed=N, or
// PROPERTY_SEED=N.
var (
	oneSeed  = flag.Uint64("property.seed", seedFromEnv(), "run only the case of this seed; 0 runs all")                            //nolint:gochecknoglobals // A constant, or a flag.
	first    = flag.Uint64("property.first", firstSeed, "the first case's seed")                                                    //nolint:gochecknoglobals // A constant, or a flag.
	cases    = flag.Int("property.cases", 100_000, "how many cases to run at most")                                                 //nolint:gochecknoglobals // A constant, or a flag.
	fails    = flag.Int("property.fails", 3, "how many failures to show")                                                           //nolint:gochecknoglobals // A constant, or a flag.
	duration = flag.Duration("property.time", 15*time.Second, "how long to run at most")                                            //nolint:gochecknoglobals // A constant, or a flag.
	only     = flag.String("property.only", "", "fail by this rule only, and let others pass")                                      //nolint:gochecknoglobals // A constant, or a flag.
	survey   = flag.Bool("property.survey", false, "do not fail: count failures by their kind, and show the shortest life of each") //nolint:gochecknoglobals // A constant, or a flag.
)

func seedFromEnv() uint64 {
	n, _ := strconv.ParseUint(os.Getenv("PROPERTY_SEED"), 10, 64)
	return n
}

// firstSeed is that of the first case, fixed so that what a change breaks is
// seen with that change.
const firstSeed = 20260101

// events is how many events a life has.
const events = 16

// A history is a life as data.
type history struct {
	seed uint64
	// without are the parts of the beginning that are left out.
	without []string
	events  []event
}

// An event is one thing that happens, and whether the server comes to rest
// after it.
type event struct {
	action int
	seed   uint64
	settle bool
}

func newHistory(seed uint64) history {
	r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // Not for secrets.
	h := history{seed: seed}
	// Every other life is about something, which happens again and again: much
	// goes wrong the second time only.
	theme, themed := pickAction(r), r.IntN(2) == 0
	for range events {
		e := event{action: pickAction(r), seed: r.Uint64(), settle: r.IntN(100) < 60}
		if r.IntN(100) < 40 && themed {
			e.action = theme
		}
		h.events = append(h.events, e)
	}
	return h
}

// A failure is how a life went wrong.
type failure struct {
	rule, message string
	trace         []string
	spec, input   string
	record        string
}

func (f *failure) String() string {
	return fmt.Sprintf("%s: %s\n%s\nspec: %s\ninput: %s\nrecord: %s", f.rule, f.message, strings.Join(f.trace, "\n"), f.spec, f.input, f.record)
}

// A suite is what all lives have in common.
type suite struct {
	fn     New
	judges map[string]func(object) error
}

// A judgement says which broken rules end a life. The zero value ends it at
// any.
type judgement struct {
	// only ends it at one rule; others are let pass where life can go on.
	only string
	// all lets every rule pass where life can go on, and collects them.
	all bool
}

// Test leads functions through lives on all cores for as long as the flags say.
// The working directory is the repository's root.
func Test(t *testing.T, fn New) {
	t.Helper()
	s := &suite{fn: fn, judges: conformance.Judges(t, ".")}
	if *oneSeed != 0 {
		l, f := s.run(newHistory(*oneSeed), judgement{only: *only})
		if f == nil {
			t.Log(strings.Join(l.trace, "\n"))
			return
		}
		t.Error(s.report(newHistory(*oneSeed), f))
		return
	}

	var mu sync.Mutex
	var wg sync.WaitGroup
	next, reached, ran, steps, failed := 0, 0, 0, 0, 0
	kinds := map[string][]uint64{}
	deadline := time.Now().Add(*duration)
	old := foundSeeds()
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				mu.Lock()
				if next >= *cases || time.Now().After(deadline) && next >= len(old) || failed >= *fails && !*survey {
					mu.Unlock()
					return
				}
				h := newHistory(*first + uint64(next)) //nolint:gosec // Small.
				if next < len(old) {
					h = newHistory(old[next])
				}
				next++
				mu.Unlock()
				l, f := s.run(h, judgement{all: *survey, only: *only})
				if f != nil && *only != "" && f.rule != *only {
					f = nil // Life could not go on.
				}
				mu.Lock()
				ran++
				steps += l.steps
				if l.reached {
					reached++
				}
				report := f != nil && !*survey && failed < *fails
				if f != nil {
					failed++
					l.broke[f.rule] = true
				}
				for rule := range l.broke {
					kinds[rule] = append(kinds[rule], h.seed)
				}
				mu.Unlock()
				if report {
					t.Error(s.report(h, f))
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d lives, %d reconciles, %d lives reached the builders, %d failed", ran, steps, reached, failed)
	if reached*2 < ran {
		t.Errorf("only %d of %d lives reached the builders", reached, ran)
	}
	if *survey {
		s.survey(t, kinds)
	}
}

// survey shows the shortest of a few lives of each kind of failure.
func (s *suite) survey(t *testing.T, kinds map[string][]uint64) {
	t.Helper()
	names := slices.Sorted(maps.Keys(kinds))
	for _, k := range names {
		slices.Sort(kinds[k])
		t.Logf("%s: %d lives, seeds %v", k, len(kinds[k]), kinds[k][:min(8, len(kinds[k]))])
	}
	for _, k := range names {
		seeds := kinds[k]
		var best history
		var bestFailure *failure
		for _, seed := range seeds[:min(2, len(seeds))] {
			h := newHistory(seed)
			_, f := s.run(h, judgement{only: k})
			if f == nil {
				continue
			}
			h, f = s.shrink(h, f)
			if bestFailure == nil || len(h.events) < len(best.events) {
				best, bestFailure = h, f
			}
		}
		if bestFailure != nil {
			t.Logf("=== %s: %d lives, seeds %v\nshortest, of seed %d: %v", k, len(seeds), seeds[:min(5, len(seeds))], best.seed, bestFailure)
		}
	}
}

func (s *suite) report(h history, f *failure) string {
	short, f := s.shrink(h, f)
	return fmt.Sprintf("seed %d (run it again with PROPERTY_SEED=%d), shrunk from %d events to %d: %v", h.seed, h.seed, len(h.events), len(short.events), f)
}

// maxShrinks bounds how often a failing life is tried again.
const maxShrinks = 200

// shrink leaves out what a failing life does not need to fail in the same way:
// events, and parts of the beginning.
func (s *suite) shrink(h history, f *failure) (history, *failure) {
	runs := 0
	try := func(candidate history) bool {
		if runs++; runs > maxShrinks {
			return false
		}
		_, g := s.run(candidate, judgement{only: f.rule})
		if g == nil || g.rule != f.rule {
			return false
		}
		h, f = candidate, g
		return true
	}
	for again := true; again; {
		again = false
		for size := max(len(h.events)/2, 1); size >= 1; size /= 2 {
			for i := 0; i+size <= len(h.events); {
				if try(history{h.seed, h.without, slices.Concat(h.events[:i], h.events[i+size:])}) {
					again = true
					continue
				}
				i += size
			}
		}
	}
	for _, part := range parts {
		try(history{h.seed, append(slices.Clone(h.without), part), h.events})
	}
	return h, f
}
