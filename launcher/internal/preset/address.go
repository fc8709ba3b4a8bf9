package preset

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/bottlesuite/bottle/internal/safedial"
)

// lookupTime bounds the lookup of one name. A start should not wait for a name
// server; a name without an answer only loses its exception.
const lookupTime = 2 * time.Second

// judge finds out which sites have an address that is not public here. Those,
// and only those, may have one in the bottle, too: a registry of a company's
// own network works, and a public one whose name is bent to an inner address
// later does not.
func (p *Preset) judge(ctx context.Context, m *Machine) error {
	for i := range p.Sites {
		s := &p.Sites[i]
		addresses, err := lookup(ctx, m, s.Name())
		if err != nil || len(addresses) == 0 {
			p.note("%s has no address here, so the bottle may reach it at public addresses only", s.Name())
			continue
		}
		for _, a := range addresses {
			switch c := safedial.Classify(a); c {
			case safedial.Public:
			case safedial.Private, safedial.CGNAT, safedial.ULA, safedial.Documentation, safedial.Benchmarking:
				s.Private = a.Unmap().String()
			default:
				return fmt.Errorf("%s, which %s names, leads to %s, a %s address, which is not for a bottle to dial; give the host an address of its own, or write it as a route with pipelock.hosts and allow_private",
					s.Name(), s.Source, a.Unmap(), c)
			}
		}
	}
	return nil
}

func lookup(ctx context.Context, m *Machine, host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	return m.Lookup(ctx, host)
}
