package hop

import (
	"sync"
	"time"
)

// pool keeps idle connections, the newest used first.
type pool struct {
	perHost, all int           // bounds
	timeout      time.Duration // of idleness; 0 means none

	mu     sync.Mutex
	idle   map[string][]*conn
	n      int
	closed bool        // what comes back is closed
	sweep  *time.Timer // nil when nothing is idle
}

// get takes a connection to an address on which a request may be sent, nil when
// there is none. What the server has closed meanwhile is thrown away.
func (p *pool) get(address string) *conn {
	for {
		c := p.pop(address)
		if c == nil || alive(c.raw) {
			return c
		}
		c.abort()
	}
}

func (p *pool) pop(address string) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = false
	list := p.idle[address]
	if len(list) == 0 {
		return nil
	}
	c := list[len(list)-1]
	list[len(list)-1] = nil
	p.idle[address] = list[:len(list)-1]
	p.n--
	return c
}

// put gives a connection back.
func (p *pool) put(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle[c.address]) >= p.perHost || p.all > 0 && p.n >= p.all {
		c.abort()
		return
	}
	if p.idle == nil {
		p.idle = map[string][]*conn{}
	}
	c.idle = time.Now()
	p.idle[c.address] = append(p.idle[c.address], c)
	p.n++
	if p.sweep == nil && p.timeout > 0 {
		p.sweep = time.AfterFunc(p.timeout, p.expire)
	}
}

// expire closes what has been idle for too long, and what its server closed.
func (p *pool) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for address, list := range p.idle {
		kept := list[:0]
		for _, c := range list {
			if time.Since(c.idle) >= p.timeout || !alive(c.raw) {
				c.abort()
				p.n--
				continue
			}
			kept = append(kept, c)
		}
		clear(list[len(kept):])
		if p.idle[address] = kept; len(kept) == 0 {
			delete(p.idle, address)
		}
	}
	if p.n == 0 {
		p.sweep = nil
		return
	}
	p.sweep.Reset(p.timeout / 2)
}

// close closes what is idle and, until the next request, what comes back.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, list := range p.idle {
		for _, c := range list {
			c.abort()
		}
	}
	p.idle, p.n, p.closed = nil, 0, true
}
