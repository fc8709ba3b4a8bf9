package safedial

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// recorder is a listener that remembers how many connections it took.
type recorder struct {
	net.Listener
	mu sync.Mutex
	n  int
}

func listen(t *testing.T, address string) *recorder {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{Listener: l}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.n++
			r.mu.Unlock()
			_, _ = c.Write([]byte{'.'}) // the dialer waits for this, so that counts are settled
			_ = c.Close()
		}
	}()
	return r
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

func (r *recorder) port() string {
	_, p, _ := net.SplitHostPort(r.Addr().String())
	return p
}

// answers is a resolver that gives one answer after the other.
type answers struct {
	mu    sync.Mutex
	list  [][]string
	calls int
}

func (a *answers) LookupNetIP(_ context.Context, _, _ string) ([]netip.Addr, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	answer := a.list[a.calls%len(a.list)]
	a.calls++
	var out []netip.Addr
	for _, s := range answer {
		out = append(out, netip.MustParseAddr(s))
	}
	return out, nil
}

func dialer(t *testing.T, opt Options) *Dialer {
	t.Helper()
	d, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// reach dials and waits until the listener has counted.
func reach(d *Dialer, address string) error {
	c, err := d.DialContext(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Read(make([]byte, 1))
	return err
}

func wantForbidden(t *testing.T, err error, class Class) {
	t.Helper()
	var ae *AddressError
	if !errors.As(err, &ae) || ae.Class != class {
		t.Errorf("error %v, want an AddressError of class %s", err, class)
	}
}

// A name that answers with a good address first and with a forbidden one next
// gets one connection to the good address and none to the other.
func TestRebinding(t *testing.T) {
	victim := listen(t, "127.0.0.1:0")
	good := listen(t, "127.0.0.2:"+victim.port())
	res := &answers{list: [][]string{{"127.0.0.2"}, {"127.0.0.1"}}}
	d := dialer(t, Options{Resolver: res, AllowPrivate: []string{"127.0.0.2/32"}})
	if err := reach(d, "x.example:"+victim.port()); err != nil {
		t.Fatal(err)
	}
	if res.calls != 1 {
		t.Errorf("one dial made %d lookups", res.calls)
	}
	wantForbidden(t, reach(d, "x.example:"+victim.port()), Loopback)
	if good.count() != 1 || victim.count() != 0 {
		t.Errorf("good saw %d, victim saw %d connections; want 1 and 0", good.count(), victim.count())
	}
}

// One forbidden address in an answer refuses the name, wherever it stands.
func TestMixedAnswers(t *testing.T) {
	victim := listen(t, "127.0.0.1:0")
	good := listen(t, "127.0.0.2:"+victim.port())
	for _, list := range [][]string{{"127.0.0.2", "127.0.0.1"}, {"127.0.0.1", "127.0.0.2"}, {"127.0.0.2", "::ffff:127.0.0.1"}} {
		d := dialer(t, Options{Resolver: &answers{list: [][]string{list}}, AllowPrivate: []string{"127.0.0.2/32"}})
		wantForbidden(t, reach(d, "x.example:"+victim.port()), Loopback)
	}
	if good.count() != 0 || victim.count() != 0 {
		t.Errorf("good saw %d, victim saw %d connections; want none", good.count(), victim.count())
	}
}

func TestResolveJudges(t *testing.T) {
	tests := []struct {
		name   string
		host   string
		answer []string
		pins   map[string]string
		allow  []string
		want   Class // "" = allowed
	}{
		{"public", "a.example", []string{"8.8.8.8", "2606:4700::1"}, nil, nil, ""},
		{"private", "a.example", []string{"10.1.2.3"}, nil, nil, Private},
		{"private by network", "a.example", []string{"10.1.2.3"}, nil, []string{"10.1.0.0/16"}, ""},
		{"mapped by network", "a.example", []string{"::ffff:10.1.2.3"}, nil, []string{"10.1.0.0/16"}, ""},
		{"outside the network", "a.example", []string{"10.2.2.3"}, nil, []string{"10.1.0.0/16"}, Private},
		{"private by name", "a.example", []string{"10.1.2.3"}, nil, []string{"A.example"}, ""},
		{"private by suffix", "a.corp.example", []string{"10.1.2.3"}, nil, []string{"*.corp.example"}, ""},
		{"suffix is not the apex", "corp.example", []string{"10.1.2.3"}, nil, []string{"*.corp.example"}, Private},
		{"suffix confusion", "evilcorp.example", []string{"10.1.2.3"}, nil, []string{"*.corp.example"}, Private},
		{"metadata by name", "a.example", []string{"169.254.169.254"}, nil, []string{"a.example"}, LinkLocal},
		{"metadata by network", "a.example", []string{"169.254.169.254"}, nil, []string{"169.254.169.254"}, ""},
		{"unspecified never", "a.example", []string{"0.0.0.0"}, nil, []string{"a.example", "0.0.0.0/0"}, Unspecified},
		{"pin", "a.example", []string{"8.8.8.8"}, map[string]string{"A.example": "10.0.0.1"}, nil, Private},
		{"pin allowed", "a.example", []string{"8.8.8.8"}, map[string]string{"a.example": "10.0.0.1"}, []string{"10.0.0.0/8"}, ""},
		{"literal", "127.0.0.1", nil, nil, nil, Loopback},
		{"literal v6", "::1", nil, nil, nil, Loopback},
		{"decimal", "2130706433", nil, nil, nil, Invalid},
		{"octal", "0177.0.0.1", nil, nil, nil, Invalid},
		{"hex", "0x7f.0.0.1", nil, nil, nil, Invalid},
		{"short", "127.1", nil, nil, nil, Invalid},
		{"dotted decimal", "127.0.0.1.", nil, nil, nil, Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := dialer(t, Options{Resolver: &answers{list: [][]string{tt.answer}}, Hosts: tt.pins, AllowPrivate: tt.allow})
			_, err := d.Resolve(context.Background(), tt.host)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantForbidden(t, err, tt.want)
		})
	}
}

// A dead address does not take the name down, and a silent one does not hold it
// up; every address that is dialled is one of the answer.
func TestFallback(t *testing.T) {
	for _, silent := range []bool{false, true} {
		l := listen(t, "127.0.0.1:0")
		d := dialer(t, Options{
			Resolver:      &answers{list: [][]string{{"127.0.0.3", "127.0.0.1"}}},
			AllowPrivate:  []string{"127.0.0.0/8"},
			FallbackDelay: time.Millisecond,
		})
		var mu sync.Mutex
		var dialled []string
		real := d.dial
		d.dial = func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
			mu.Lock()
			dialled = append(dialled, a.Addr().String())
			mu.Unlock()
			if a.Addr().String() == "127.0.0.3" {
				if silent {
					<-ctx.Done()
				}
				return nil, errors.New("dead")
			}
			return real(ctx, a)
		}
		if err := reach(d, "x.example:"+l.port()); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		if want := []string{"127.0.0.3", "127.0.0.1"}; !slices.Equal(dialled, want) || l.count() != 1 {
			t.Errorf("dialled %v, want %v; listener saw %d", dialled, want, l.count())
		}
		mu.Unlock()
	}
}

func TestDialErrors(t *testing.T) {
	d := dialer(t, Options{Resolver: &answers{list: [][]string{nil}}})
	var re *ResolveError
	if err := reach(d, "x.example:443"); !errors.As(err, &re) {
		t.Errorf("an empty answer gives %v, want a ResolveError", err)
	}
	if _, err := d.DialContext(context.Background(), "udp", "x.example:443"); err == nil {
		t.Error("udp was dialled")
	}
	dead := dialer(t, Options{Hosts: map[string]string{"x.example": "127.0.0.1"}, AllowPrivate: []string{"x.example"}})
	l := listen(t, "127.0.0.1:0")
	_ = l.Close()
	if err := reach(dead, "x.example:"+l.port()); err == nil {
		t.Error("a closed port was reached")
	}
}

func TestNewRefuses(t *testing.T) {
	tests := []struct {
		opt  Options
		want string
	}{
		{Options{Hosts: map[string]string{"a": "b"}}, "not an IP address"},
		{Options{AllowPrivate: []string{"10.0.0.1/8"}}, "write 10.0.0.0/8"},
		{Options{AllowPrivate: []string{"10.0.0.0/99"}}, "not a network"},
		{Options{AllowPrivate: []string{"*"}}, "neither"},
		{Options{AllowPrivate: []string{"a.*.b"}}, "neither"},
		{Options{AllowPrivate: []string{""}}, "neither"},
	}
	for _, tt := range tests {
		if _, err := New(tt.opt); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("New(%+v) = %v, want an error with %q", tt.opt, err, tt.want)
		}
	}
}
