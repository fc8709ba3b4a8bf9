package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bottlesuite/bottle/internal/testkit"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/test/proxies"
)

type options struct {
	bin              string
	duration, reload time.Duration
	rate             int
	chain            bool
	growth           float64
}

const host = "localhost"

// paths are asked for in turn.
var paths = []string{"/v1/always", "/v1/flip/0", "/v1/flip/1", "/v1/never"}

// routes are the table of a generation.
func routes(authority string, generation int) []wire.Route {
	return []wire.Route{{
		Host: authority,
		Matches: []wire.Match{
			{Path: &wire.PathMatch{Exact: "/v1/always"}},
			{Path: &wire.PathMatch{Exact: "/v1/flip/" + strconv.Itoa(generation%2)}},
		},
		Auth: &wire.Auth{Scheme: wire.SchemeBearer, TokenRef: "TOKEN"},
	}}
}

// allows says what the table of a generation must do.
func allows(path string, generation int) bool {
	return path == "/v1/always" || path == "/v1/flip/"+strconv.Itoa(generation%2)
}

// run state of a soak.
type soaking struct {
	options
	proxies   *proxies.Proxies
	authority string
	client    *http.Client
	seen      sync.Map // id of a request to how often it reached the upstream (*atomic.Int64)
	tables    timeline
	ledger    ledger
}

// soak makes the load and judges it.
func soak(ctx context.Context, o options) (_ *result, err error) {
	dir, err := os.MkdirTemp("", "bottle-soak-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	s := &soaking{options: o}
	ca, err := testkit.MakeCA("upstream")
	if err != nil {
		return nil, err
	}
	roots, _, err := ca.Save(dir, "upstream")
	if err != nil {
		return nil, err
	}
	closeUpstream, err := s.serve(ca)
	if err != nil {
		return nil, err
	}
	defer closeUpstream()
	s.proxies, err = proxies.Start(proxies.Config{
		Bin: o.bin, Dir: dir, Alone: !o.chain, UpstreamCA: roots,
		Hosts: []string{s.authority}, Routes: routes(s.authority, 0),
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.proxies.Stop()) }()
	if err := s.newClient(); err != nil {
		return nil, err
	}
	defer s.client.CloseIdleConnections()
	s.tables.began(0)
	return s.wear(ctx)
}

// wear runs load, reloads and memory samples side by side.
func (s *soaking) wear(ctx context.Context) (*result, error) {
	ctx, cancel := context.WithTimeout(ctx, s.duration)
	defer cancel()
	r := &result{options: s.options, memory: map[string][]sample{}}
	var group sync.WaitGroup
	var reloads, samples error
	group.Go(func() { r.reloads, reloads = s.reloadAll(ctx) })
	group.Go(func() { samples = s.sampleAll(ctx, r.memory) })
	s.load(ctx)
	cancel()
	group.Wait()
	s.ledger.judge(r, &s.tables, func(id string) int64 {
		n, ok := s.seen.Load(id)
		if !ok {
			return 0
		}
		return n.(*atomic.Int64).Load()
	})
	for _, err := range []error{reloads, samples} {
		if err != nil {
			r.faults = append(r.faults, err)
		}
	}
	r.judgeMemory()
	return r, nil
}

// serve starts the upstream, which counts by id what reaches it.
func (s *soaking) serve(ca *testkit.CA) (func(), error) {
	leaf, err := ca.MakeLeaf(host)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.authority = fmt.Sprintf("%s:%d", host, l.Addr().(*net.TCPAddr).Port)
	server := &http.Server{
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{leaf}},
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, _ := s.seen.LoadOrStore(r.Header.Get("X-Soak"), new(atomic.Int64))
			n.(*atomic.Int64).Add(1)
			fmt.Fprint(w, "reached ", r.Header.Get("X-Soak"))
		}),
	}
	go func() { _ = server.ServeTLS(l, "", "") }() // ends with ErrServerClosed
	return func() { _ = server.Close() }, nil
}

func (s *soaking) newClient() error {
	pem, err := os.ReadFile(s.proxies.CA)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	proxy, err := url.Parse(s.proxies.URL)
	if err != nil {
		return err
	}
	s.client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: pool},
		// As many as there are agents' connections; a burst waits for one of
		// them, instead of opening hundreds and making itself longer.
		MaxConnsPerHost: 64, MaxIdleConnsPerHost: 64,
	}}
	return nil
}

// load starts requests at an even pace and waits for the last of them. A
// request starts when it is due, however slow those before it are.
func (s *soaking) load(ctx context.Context) {
	var group sync.WaitGroup
	defer group.Wait()
	began, pause := time.Now(), time.Second/time.Duration(s.rate)
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(began.Add(time.Duration(i) * pause))):
		}
		group.Go(func() { s.ledger.add(s.ask(i)) })
	}
}

// ask makes one request. It is not cut off when the time is up.
func (s *soaking) ask(i int) exchange {
	x := exchange{path: paths[i%len(paths)], id: strconv.Itoa(i), start: time.Now()}
	r, err := http.NewRequest(http.MethodGet, "https://"+s.authority+x.path, nil)
	if err != nil {
		x.err = err
		return x
	}
	r.Header.Set("X-Soak", x.id)
	resp, err := s.client.Do(r)
	if err == nil {
		defer resp.Body.Close()
		var body []byte
		body, err = io.ReadAll(resp.Body)
		x.status, x.reason = resp.StatusCode, resp.Header.Get(wire.DenyHeader)
		if err == nil && x.status == http.StatusOK && string(body) != "reached "+x.id {
			err = fmt.Errorf("another request's answer came: %q", body)
		}
	}
	x.end, x.err = time.Now(), err
	return x
}

// reloadAll swaps the tables until ctx ends.
func (s *soaking) reloadAll(ctx context.Context) (n int, err error) {
	tick := time.NewTicker(s.reload)
	defer tick.Stop()
	for generation := 1; ; generation++ {
		select {
		case <-ctx.Done():
			return n, nil
		case <-tick.C:
		}
		s.tables.began(generation)
		sum, err := s.proxies.SetRoutes(routes(s.authority, generation))
		if err != nil {
			return n, err
		}
		if err := s.confirm(sum); err != nil {
			return n, err
		}
		s.tables.ended(generation - 1)
		n++
	}
}

// confirm waits until a configuration is in force.
func (s *soaking) confirm(sum string) error {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		st, err := s.proxies.Egressd.Status()
		if err != nil {
			return err
		}
		if st.LastError != "" {
			return errors.New("a good configuration was refused: " + st.LastError)
		}
		if st.ConfigSHA256 == sum {
			return nil
		}
	}
	return errors.New("a reload did not come into force within 10 s")
}

// sampleAll notes the daemons' memory once a second.
func (s *soaking) sampleAll(ctx context.Context, into map[string][]sample) error {
	began := time.Now()
	tick := time.NewTicker(min(time.Second, s.duration/20))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, d := range s.proxies.Daemons() {
			now, _, err := d.ResidentMiB()
			if err != nil {
				return err
			}
			into[d.Name] = append(into[d.Name], sample{time.Since(began), now})
		}
	}
}

// timeline knows when each generation's table was, or may have been, in force.
type timeline struct {
	mu    sync.Mutex
	spans []span
}

type span struct{ from, to time.Time } // to is zero while it is in force

func (t *timeline) began(generation int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spans = append(t.spans, span{from: time.Now()})
	if len(t.spans) != generation+1 {
		panic("generations begin in order")
	}
}

func (t *timeline) ended(generation int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spans[generation].to = time.Now()
}

// during returns the generations in force at some time between two moments.
func (t *timeline) during(from, to time.Time) []int {
	var all []int
	for i, s := range slices.Backward(t.spans) {
		if s.from.After(to) {
			continue
		}
		if !s.to.IsZero() && s.to.Before(from) {
			break
		}
		all = append(all, i)
	}
	return all
}
