package cache

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// check checks that a cache's books are right.
func check(t *testing.T, c *Cache) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	size, users := 0, map[*dictionary]int{}
	for d, e := range c.entries {
		size += e.bytes()
		if e.with != nil {
			users[e.with]++
		}
		if e.request != d || c.xrs[e.xr.id] != e.xr || !slices.Contains(e.xr.calls[:], e) {
			t.Errorf("an entry is not among the calls of its XR")
		}
	}
	if size != c.bytes || size > c.size {
		t.Errorf("got %d bytes on the books, %d in entries, and at most %d", c.bytes, size, c.size)
	}
	if len(c.order) != len(c.xrs) {
		t.Errorf("got %d XRs in order, and %d by identity", len(c.order), len(c.xrs))
	}
	for i, x := range c.order {
		if x.index != i || c.xrs[x.id] != x || x.calls == [recent]*entry{} {
			t.Errorf("XR %d of the order: index %d, calls %v", i, x.index, x.calls)
		}
	}
	for _, d := range c.packer.dictionaries {
		if d.users != users[d] {
			t.Errorf("a dictionary has %d users on the books, and %d entries", d.users, users[d])
		}
	}
	if len(c.packer.dictionaries) > dictionaries {
		t.Errorf("got %d dictionaries", len(c.packer.dictionaries))
	}
}

// ask asks a cache about an XR as a call does, and reports whether it was a hit.
func ask(c *Cache, xr, state int, response []byte) bool {
	d := c.hasher.hash(fmt.Appendf(nil, "%d %d", xr, state))
	if c.get(d) != nil {
		return true
	}
	c.put(identity{name: fmt.Sprint(xr)}, &entry{request: d}, response)
	return false
}

// TestNoCliff: asked about more XRs in turns than fit, a cache still answers
// about as many as fit.
func TestNoCliff(t *testing.T) {
	const fit = 400
	size := fit * (overhead + len(New(Options{}).packer.pack([]byte("response")).data))
	for _, times := range []float64{0.9, 1, 1.1, 1.5, 2, 4} {
		t.Run(fmt.Sprint(times), func(t *testing.T) {
			n := int(times * fit)
			c := New(Options{Size: size})
			hits, calls := 0, 0
			for round := range 60 {
				for xr := range n {
					hit := ask(c, xr, 0, []byte("response"))
					if round >= 30 {
						calls++
						if hit {
							hits++
						}
					}
				}
			}
			check(t, c)
			got, want := float64(hits)/float64(calls), min(1, 1/times)
			if got < 0.8*want {
				t.Errorf("%v times what fits: %.2f of the calls are hits, want about %.2f", times, got, want)
			}
			t.Logf("%v times what fits: %.2f hits", times, got)
		})
	}
}

// TestDeletedMakeRoom: XRs that are not asked about any more go.
func TestDeletedMakeRoom(t *testing.T) {
	const fit = 100
	c := New(Options{Size: fit * (overhead + 20)})
	for xr := range fit {
		ask(c, -xr, 0, []byte("response"))
	}
	hits := 0
	for round := range 200 {
		hits = 0
		for xr := range fit / 2 {
			if ask(c, xr, round/100, []byte("response")) {
				hits++
			}
		}
	}
	check(t, c)
	if hits < fit/2*9/10 {
		t.Errorf("%d of %d are hits long after the others were deleted", hits, fit/2)
	}
}

// TestTooLarge: a response that alone is larger than the cache is not kept, and
// replaces nothing.
func TestTooLarge(t *testing.T) {
	c := New(Options{Size: 2000})
	ask(c, 1, 0, []byte("small"))
	large := make([]byte, 10_000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(large)
	for range 100 {
		ask(c, 2, 0, large)
	}
	check(t, c)
	if len(c.entries) != 1 || !ask(c, 1, 0, nil) {
		t.Errorf("got %d entries, want the small one", len(c.entries))
	}
}

// TestConcurrent does everything at once.
func TestConcurrent(t *testing.T) {
	var mu sync.Mutex
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := New(Options{Size: 100_000, Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Millisecond)
		return now
	}})
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 0))
			for range 2000 {
				xr, state := r.IntN(60), r.IntN(6)
				want := fmt.Appendf(nil, "%d %d %s", xr, state, strings.Repeat("x", 50*xr))
				d := c.hasher.hash(fmt.Appendf(nil, "%d %d", xr, state))
				if e := c.get(d); e != nil {
					if got, err := e.unpack(nil); err != nil || !bytes.Equal(got, want) {
						t.Errorf("got %q and %v, want %q", got, err, want)
					}
					continue
				}
				e := &entry{request: d}
				if r.IntN(3) == 0 {
					mu.Lock()
					e.until = now.Add(time.Duration(r.IntN(1000)) * time.Millisecond)
					mu.Unlock()
				}
				c.put(identity{name: fmt.Sprint(xr)}, e, want)
			}
		})
	}
	wg.Wait()
	check(t, c)
	if len(c.entries) == 0 {
		t.Error("nothing was kept")
	}
}

func TestMetrics(t *testing.T) {
	c := New(Options{Size: 100_000})
	r := prometheus.NewPedanticRegistry()
	c.Register(r)
	ask(c, 1, 0, []byte("response"))
	want := fmt.Sprintf(`
# HELP function_dittoserver_cache_entries Responses that are kept.
# TYPE function_dittoserver_cache_entries gauge
function_dittoserver_cache_entries 1
# HELP function_dittoserver_cache_max_size_bytes Memory that kept responses may take.
# TYPE function_dittoserver_cache_max_size_bytes gauge
function_dittoserver_cache_max_size_bytes 100000
# HELP function_dittoserver_cache_size_bytes Memory that kept responses take.
# TYPE function_dittoserver_cache_size_bytes gauge
function_dittoserver_cache_size_bytes %d
# HELP function_dittoserver_cache_hits_total Calls that were answered with a kept response.
# TYPE function_dittoserver_cache_hits_total counter
function_dittoserver_cache_hits_total 0
# HELP function_dittoserver_cache_misses_total Calls for which the function was run.
# TYPE function_dittoserver_cache_misses_total counter
function_dittoserver_cache_misses_total 0
`, c.bytes)
	if err := testutil.GatherAndCompare(r, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(r); err != nil || len(problems) > 0 {
		t.Errorf("got %v and %v", problems, err)
	}
}

// TestPack: what is packed is unpacked, with few bytes for what is alike, and
// dictionaries are given up.
func TestPack(t *testing.T) {
	r := rand.NewChaCha8([32]byte{})
	noise := func(n int) []byte {
		b := make([]byte, n)
		_, _ = r.Read(b)
		return b
	}
	base := noise(20_000)
	p := &packer{}
	var all []packed
	pack := func(b []byte) packed {
		t.Helper()
		got := p.pack(b)
		all = append(all, got)
		back, err := got.unpack(nil)
		if err != nil || !bytes.Equal(back, b) {
			t.Fatalf("a response of %d bytes does not come back: %v", len(b), err)
		}
		if n, err := got.size(); err != nil || n != len(b) {
			t.Fatalf("got size %d and %v, want %d", n, err, len(b))
		}
		return got
	}
	for _, n := range []int{0, 1, small - 1, small, 70_000, 300_000} {
		pack(noise(n))
	}
	pack(base)
	for i := range 50 {
		alike := bytes.Clone(base)
		copy(alike[i*300:], "a name")
		if got := pack(alike); len(got.data) > 200 {
			t.Errorf("a response that is like another one takes %d bytes", len(got.data))
		}
	}
	for range 20 {
		pack(noise(5000))
	}
	if got := len(p.dictionaries); got != dictionaries {
		t.Errorf("got %d dictionaries, want %d at the most, and no fewer", got, dictionaries)
	}
	for _, e := range all {
		p.release(e)
	}
	other := noise(20_000)
	pack(other)
	copy(other[100:], "a name")
	if got := pack(other); len(got.data) > 200 {
		t.Errorf("once dictionaries are not used any more there is room for others: got %d bytes", len(got.data))
	}
}
