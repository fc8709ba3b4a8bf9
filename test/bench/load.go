package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// job is one slice of load. The client keeps its connections from one slice of
// a case and way to the next.
type job struct {
	Case, Way   string
	Proxy       string // URL; "" for a direct connection
	Roots       string // PEM file that the client trusts
	URL         string // of the upstream's /v1/
	Kind        string // "small", "new", "events", "down", "up"
	HTTP2       bool
	Connections int
	Slice       time.Duration
}

// slice is what came of a job.
type slice struct {
	P50, P99, Max time.Duration
	Rate          float64 // requests a second
	N             int
	Held          int // events that came only after the next one had been sent
	Error         string
}

// serveLoad works off jobs until its input ends.
func serveLoad(in io.Reader, out io.Writer) error {
	clients := map[string][]*http.Client{}
	jobs, results := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var j job
		if err := jobs.Decode(&j); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		s, err := j.run(clients)
		if err != nil {
			s.Error = err.Error()
		}
		if err := results.Encode(s); err != nil {
			return err
		}
	}
}

func (j job) run(clients map[string][]*http.Client) (slice, error) {
	key := j.Case + " " + j.Way
	if clients[key] == nil {
		for range j.Connections {
			c, err := j.client()
			if err != nil {
				return slice{}, err
			}
			clients[key] = append(clients[key], c)
		}
		if _, err := j.work(clients[key], 0); err != nil { // open what is kept open
			return slice{}, err
		}
	}
	return j.work(clients[key], j.Slice)
}

// client is one connection: what has several has several clients.
func (j job) client() (*http.Client, error) {
	pem, err := os.ReadFile(j.Roots)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", j.Roots)
	}
	t := &http.Transport{
		MaxConnsPerHost: 1, DisableKeepAlives: j.Kind == "new", DisableCompression: true,
		TLSClientConfig: &tls.Config{RootCAs: roots}, Protocols: new(http.Protocols),
	}
	t.Protocols.SetHTTP1(!j.HTTP2)
	t.Protocols.SetHTTP2(j.HTTP2)
	if j.Proxy != "" {
		proxy, err := url.Parse(j.Proxy)
		if err != nil {
			return nil, err
		}
		t.Proxy = http.ProxyURL(proxy)
	}
	return &http.Client{Transport: t, Timeout: time.Minute}, nil
}

// work makes requests for a time, at least one on each connection.
func (j job) work(clients []*http.Client, d time.Duration) (slice, error) {
	var (
		mu        sync.Mutex
		group     sync.WaitGroup
		latencies []time.Duration
		failures  []error
		held      int
	)
	began := time.Now()
	for _, c := range clients {
		group.Go(func() {
			var own []time.Duration
			late := 0
			var err error
			for again := true; again && err == nil; again = time.Since(began) < d {
				var l []time.Duration
				l, err = j.request(c, d)
				if j.Kind == "events" {
					for _, took := range l {
						if took > eventInterval {
							late++
						}
					}
				}
				own = append(own, l...)
			}
			mu.Lock()
			defer mu.Unlock()
			latencies, held = append(latencies, own...), held+late
			if err != nil {
				failures = append(failures, err)
			}
		})
	}
	group.Wait()
	took := time.Since(began)
	if len(failures) > 0 {
		return slice{}, fmt.Errorf("%d connections failed: %w", len(failures), failures[0])
	}
	slices.Sort(latencies)
	n := len(latencies)
	return slice{
		P50: latencies[n/2], P99: latencies[n*99/100], Max: latencies[n-1],
		N: n, Rate: float64(n) / took.Seconds(), Held: held,
	}, nil
}

var upload = bytes.Repeat([]byte("lorem ipsum dolor sit amet, the "), large/32)

// request makes one request and returns how long it took: to the first byte of
// the answer on a new connection, each event's own way, else to the end.
func (j job) request(c *http.Client, d time.Duration) ([]time.Duration, error) {
	began := time.Now()
	method, target, body, want := http.MethodGet, "small", io.Reader(nil), int64(small)
	switch j.Kind {
	case "events":
		target = "events?n=" + strconv.Itoa(max(1, int(d/eventInterval)))
	case "down":
		target, want = "large", large
	case "up":
		method, target, body = http.MethodPost, "large", bytes.NewReader(upload)
		want = int64(len(strconv.Itoa(large)))
	}
	r, err := http.NewRequest(method, j.URL+target, body)
	if err != nil {
		return nil, err
	}
	resp, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	first := time.Since(began)
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 512))
		return nil, fmt.Errorf("%s: %s", resp.Status, text)
	}
	if j.HTTP2 != (resp.ProtoMajor == 2) {
		return nil, errors.New("the answer came by " + resp.Proto)
	}
	if j.Kind == "events" {
		return eventTimes(resp.Body)
	}
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && n != want {
		err = fmt.Errorf("an answer of %d bytes instead of %d", n, want)
	}
	if j.Kind == "new" {
		return []time.Duration{first}, err
	}
	return []time.Duration{time.Since(began)}, err
}

// eventTimes reads events and compares the time that each carries to now.
func eventTimes(r io.Reader) ([]time.Duration, error) {
	var all []time.Duration
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		sent, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(sent, 10, 64)
		if err != nil {
			return nil, err
		}
		all = append(all, time.Since(time.Unix(0, n)))
	}
	if len(all) == 0 {
		return nil, errors.Join(errors.New("no event came"), lines.Err())
	}
	return all, lines.Err()
}
