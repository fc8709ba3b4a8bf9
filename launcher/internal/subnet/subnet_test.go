package subnet

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

func TestPick(t *testing.T) {
	pool, err := ParsePool("")
	if err != nil {
		t.Fatal(err)
	}
	first, err := Pick("demo-ab12z", pool, nil)
	if err != nil || first.Bits() != 27 || !pool.Contains(first.Addr()) || first != first.Masked() {
		t.Fatalf("got %s, %v", first, err)
	}
	if again, _ := Pick("demo-ab12z", pool, nil); again != first {
		t.Errorf("%s, then %s", first, again)
	}
	next, err := Pick("demo-ab12z", pool, []netip.Prefix{netip.PrefixFrom(first.Addr().Next(), 32)})
	if err != nil || next.Overlaps(first) {
		t.Errorf("a used block was taken: %s, %v", next, err)
	}
	if _, err := Pick("demo-ab12z", pool, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}); err == nil || !strings.Contains(err.Error(), PoolVariable) {
		t.Errorf("an exhausted pool: %v", err)
	}
	distinct := map[netip.Prefix]bool{}
	for i := range 100 {
		b, _ := Pick(fmt.Sprint("x-", i), pool, nil)
		distinct[b] = true
	}
	if len(distinct) < 85 {
		t.Errorf("100 identities share %d blocks", len(distinct))
	}
}

// Launchers that start at the same moment, and know nothing of each other, get
// blocks of their own; one that had its block to itself gets it again.
func TestClaimAtOnce(t *testing.T) {
	pool, err := ParsePool("")
	if err != nil {
		t.Fatal(err)
	}
	arbiter := struct {
		sync.Mutex
		owner map[netip.Prefix]string
	}{owner: map[netip.Prefix]string{}}
	ask := func(id string) func(netip.Prefix) (bool, error) {
		return func(b netip.Prefix) (bool, error) {
			arbiter.Lock()
			defer arbiter.Unlock()
			for other := range arbiter.owner {
				if other.Overlaps(b) {
					return true, errors.New("it overlaps")
				}
			}
			arbiter.owner[b] = id
			return false, nil
		}
	}
	const launchers = 100
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range launchers {
		id := fmt.Sprint("x-", i)
		all.Go(func() {
			<-start
			if err := Claim(id, pool, nil, ask(id)); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		})
	}
	close(start)
	all.Wait()
	if len(arbiter.owner) != launchers {
		t.Errorf("%d launchers have %d blocks", launchers, len(arbiter.owner))
	}
	own, err := Pick("x-0", pool, nil)
	if err != nil {
		t.Fatal(err)
	}
	clear(arbiter.owner)
	if err := Claim("x-0", pool, nil, ask("x-0")); err != nil || arbiter.owner[own] != "x-0" {
		t.Errorf("%v, %v", arbiter.owner, err)
	}
}

// What cannot be had is an error in the arbiter's words.
func TestClaimFails(t *testing.T) {
	pool, _ := ParsePool("")
	asked := map[netip.Prefix]bool{}
	err := Claim("x-0", pool, nil, func(b netip.Prefix) (bool, error) {
		asked[b] = true
		return true, errors.New("it overlaps")
	})
	if err == nil || err.Error() != "it overlaps" || len(asked) != maxClaims {
		t.Errorf("%v after %d blocks", err, len(asked))
	}
	down := errors.New("the engine is down")
	if err := Claim("x-0", pool, nil, func(netip.Prefix) (bool, error) { return false, down }); err != down {
		t.Error(err)
	}
}

func TestParsePool(t *testing.T) {
	for s, ok := range map[string]bool{"": true, "10.1.0.0/16": true, "10.1.2.0/27": true, "10.1.2.0/28": false, "x": false, "fd00::/16": false, "0.0.0.0/0": false} {
		if _, err := ParsePool(s); (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestParseRoutes(t *testing.T) {
	got := parseRoutes(strings.NewReader(`Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010011AC	0003	0	0	0	00000000	0	0	0
eth0	0000D50A	00000000	0001	0	0	0	0000FFFF	0	0	0
tun0	4001A8C0	00000000	0001	0	0	0	C0FFFFFF	0	0	0
`))
	if len(got) != 2 || got[0].String() != "10.213.0.0/16" || got[1].String() != "192.168.1.64/26" {
		t.Errorf("got %v", got)
	}
}
