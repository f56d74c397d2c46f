// Package cache answers calls of the function from memory. Crossplane calls a
// function again and again about a server at which nothing changes, and decoding
// such a request, building the response and encoding that cost many times what
// it takes to see that the request is the same.
//
// A call gets a kept response if its request has the content of the one that the
// response was made for: all of it, except for its tag and for the order of map
// entries, which encoding leaves open. Neither is decoded. The response carries
// the tag of its own request. Since a response follows from its request alone it
// holds for as long as the request stays the same, however long that is. These
// are not kept:
//
//   - errors,
//   - a response for which random bytes were read, such as a generated secret,
//   - a response that states until when it holds (package validity), from that
//     moment on.
//
// A response with a Fatal result is kept: it follows from its request like any
// other, and a refused spec is asked about most often.
//
// The function does not know of the cache.
package cache

import (
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// recent is of how many calls about one XR the responses are kept. Crossplane
	// up to 2.3 calls twice per reconcile, without and with what the function
	// requires, and a pipeline may have the function in two steps.
	recent = 4

	// admitOne is how many responses about XRs that are not in a full cache it
	// takes for one to replace others. If each did, then a number of servers a
	// little above what fits, asked about in turns, would have every response
	// replaced before it is needed. If none did, then XRs that were deleted would
	// stay. This way the share of hits is about the share of what fits.
	admitOne = 16

	// overhead is what an entry takes beside its response, in bytes: the entry,
	// its XR, and their places in maps.
	overhead = 400
)

// Options of a Cache.
type Options struct {
	// Size is the memory for responses, in bytes. 0 keeps none. What they are
	// packed with takes a megabyte at the most beside it.
	Size int
	// Random is the source of random bytes that the function reads.
	Random *Random
	// Now is the clock, time.Now if nil.
	Now func() time.Time
}

// A Cache keeps responses. It is safe for use by several goroutines.
type Cache struct {
	size   int
	random *Random
	now    func() time.Time
	hasher *hasher
	seed   maphash.Seed

	buffers buffers

	hits, misses prometheus.Counter

	mu      sync.Mutex
	packer  packer
	entries map[digest]*entry
	// xrs holds every XR of the entries by its identity, and order the same XRs
	// in no order, for one to be picked at random.
	xrs   map[uint64]*xr
	order []*xr
	bytes int
}

// An entry is the kept response to one request. It does not change.
type entry struct {
	request digest
	xr      *xr
	packed
	ttl time.Duration
	// until is when the response may no longer hold; zero for never.
	until time.Time
}

func (e *entry) bytes() int { return len(e.data) + overhead }

// An xr is an XR that responses are kept for.
type xr struct {
	id    uint64
	index int
	// calls are the entries of the most recent calls. An entry that is in none of
	// them is dropped.
	calls [recent]*entry
	next  int
}

// New returns an empty Cache.
func New(o Options) *Cache {
	c := &Cache{
		size:    o.Size,
		random:  o.Random,
		now:     o.Now,
		hasher:  newHasher((&fnv1.RunFunctionRequest{}).ProtoReflect().Descriptor(), "apiextensions.fn.proto.v1.RequestMeta.tag"),
		seed:    maphash.MakeSeed(),
		entries: map[digest]*entry{},
		xrs:     map[uint64]*xr{},
	}
	if c.now == nil {
		c.now = time.Now
	}
	c.hits = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "function_dittoserver_cache_hits_total",
		Help: "Calls that were answered with a kept response.",
	})
	c.misses = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "function_dittoserver_cache_misses_total",
		Help: "Calls for which the function was run.",
	})
	return c
}

// Register registers the cache's metrics.
func (c *Cache) Register(r prometheus.Registerer) {
	gauge := func(name, help string, value func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			c.mu.Lock()
			defer c.mu.Unlock()
			return float64(value())
		})
	}
	r.MustRegister(
		c.hits,
		c.misses,
		gauge("function_dittoserver_cache_entries", "Responses that are kept.", func() int { return len(c.entries) }),
		gauge("function_dittoserver_cache_size_bytes", "Memory that kept responses take.", func() int { return c.bytes }),
		gauge("function_dittoserver_cache_max_size_bytes", "Memory that kept responses may take.", func() int { return c.size }),
	)
}

// get returns the entry of a request, nil if there is none.
func (c *Cache) get(request digest) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[request]
	if !ok {
		return nil
	}
	if !e.until.IsZero() && !c.now().Before(e.until) {
		c.forget(e)
		return nil
	}
	c.call(e)
	return e
}

// put keeps the response of a new entry, which is about an XR.
func (c *Cache) put(id identity, e *entry, response []byte) {
	key := maphash.Comparable(c.seed, id)
	if len(response) > c.size || !c.admits(key) {
		return
	}
	e.packed = c.packer.pack(response)
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.entries[e.request]; ok || e.bytes() > c.size || !e.until.IsZero() && !c.now().Before(e.until) {
		// Another call was quicker, it does not fit, or it took too long.
		c.packer.release(e.packed)
		return
	}
	x, ok := c.xrs[key]
	if !ok {
		x = &xr{id: key, index: len(c.order)}
		c.xrs[key], c.order = x, append(c.order, x)
	}
	e.xr = x
	c.entries[e.request] = e
	c.bytes += e.bytes()
	c.call(e)
	for c.bytes > c.size {
		c.evict(e)
	}
}

// admits reports whether to keep a response about an XR.
func (c *Cache) admits(key uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, known := c.xrs[key]
	full := len(c.order) > 0 && c.bytes+c.bytes/len(c.order) > c.size
	return known || !full || rand.IntN(admitOne) == 0 //nolint:gosec // Nothing depends on it but speed.
}

// call notes a call that is answered with an entry.
func (c *Cache) call(e *entry) {
	x := e.xr
	old := x.calls[x.next]
	x.calls[x.next] = e
	x.next = (x.next + 1) % recent
	if old != nil && !slices.Contains(x.calls[:], old) {
		c.drop(old)
	}
}

// forget drops an entry that no longer holds.
func (c *Cache) forget(e *entry) {
	for i, o := range e.xr.calls {
		if o == e {
			e.xr.calls[i] = nil
		}
	}
	c.drop(e)
	if e.xr.calls == [recent]*entry{} {
		c.remove(e.xr)
	}
}

// evict drops the entries of an XR at random, or, where there is only one XR,
// all of its entries but one.
func (c *Cache) evict(but *entry) {
	x := c.order[rand.IntN(len(c.order))] //nolint:gosec // Nothing depends on it but speed.
	if x == but.xr && len(c.order) > 1 {
		x = c.order[(x.index+1)%len(c.order)]
	}
	for i, e := range x.calls {
		if e == nil || e == but {
			continue
		}
		x.calls[i] = nil
		if !slices.Contains(x.calls[:], e) {
			c.drop(e)
		}
	}
	if x != but.xr {
		c.remove(x)
	}
}

func (c *Cache) drop(e *entry) {
	delete(c.entries, e.request)
	c.bytes -= e.bytes()
	c.packer.release(e.packed)
}

func (c *Cache) remove(x *xr) {
	last := len(c.order) - 1
	c.order[x.index] = c.order[last]
	c.order[x.index].index = x.index
	c.order[last] = nil
	c.order = c.order[:last]
	delete(c.xrs, x.id)
}
