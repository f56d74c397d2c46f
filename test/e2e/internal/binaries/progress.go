package binaries

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

// progress counts the packages that go build -v names on its standard error.
type progress struct {
	w     io.Writer
	what  string
	total int
	start time.Time

	mu   sync.Mutex
	done int
	tail bytes.Buffer
}

func (p *progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()

	p.done += bytes.Count(b, []byte("\n"))
	if p.tail.Len() > 64<<10 {
		p.tail.Reset()
	}
	p.tail.Write(b)

	return len(b), nil
}

// tick prints how far the build is, until stop is called.
func (p *progress) tick(every time.Duration) (stop func()) {
	done := make(chan struct{})

	go func() {
		t := time.NewTicker(every)
		defer t.Stop()

		for {
			select {
			case <-done:
				return
			case <-t.C:
				p.mu.Lock()
				_, _ = fmt.Fprintf(p.w, "%s: %d of at most %d packages, %s\n", p.what, p.done, p.total, time.Since(p.start).Round(time.Second))
				p.mu.Unlock()
			}
		}
	}()

	return func() { close(done) }
}
