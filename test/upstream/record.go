package upstream

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Request is a request as it reached the upstream.
type Request struct {
	Time       time.Time   `json:"time"`
	Method     string      `json:"method"`
	Host       string      `json:"host"`
	URI        string      `json:"uri"`
	Proto      string      `json:"proto"`
	ServerName string      `json:"server_name"` // of the TLS handshake
	Header     http.Header `json:"header"`
	Trailer    http.Header `json:"trailer,omitempty"`
	// Body is the first part of the body.
	Body       []byte `json:"body"`
	BodyBytes  int64  `json:"body_bytes"`
	BodySHA256 string `json:"body_sha256"`
	// Complete says that the body came to its end, rather than being cut off.
	Complete bool `json:"complete"`
	// Ended says that nothing more will be recorded of this request.
	Ended bool `json:"-"`
}

// Contains reports whether any recorded part of the request holds needle.
func (r Request) Contains(needle string) bool {
	if bytes.Contains(r.Body, []byte(needle)) || strings.Contains(r.Host+"\n"+r.URI+"\n"+r.Method+"\n"+r.ServerName, needle) {
		return true
	}
	for _, h := range []http.Header{r.Header, r.Trailer} {
		for name, values := range h {
			if strings.Contains(name+"\n"+strings.Join(values, "\n"), needle) {
				return true
			}
		}
	}
	return false
}

// recorder keeps requests in the order of their arrival.
type recorder struct {
	keep int

	mu       sync.Mutex
	requests []*Request
	open     int
	changed  chan struct{} // closed and replaced when a request ends
	lines    *json.Encoder
}

func newRecorder(w io.Writer, keep int) *recorder {
	return &recorder{keep: keep, changed: make(chan struct{}), lines: json.NewEncoder(w)}
}

func (rec *recorder) len() int {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return len(rec.requests)
}

func (rec *recorder) since(n int) []Request {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	var out []Request
	for _, r := range rec.requests[n:] {
		c := *r
		c.Body = bytes.Clone(r.Body)
		out = append(out, c)
	}
	return out
}

// idle reports whether no request is open, and returns a channel that is closed
// when the next one ends.
func (rec *recorder) idle() (bool, <-chan struct{}) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.open == 0, rec.changed
}

// wrap records what reaches next.
func (rec *recorder) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req := &Request{
			Time: time.Now().UTC(), Method: r.Method, Host: r.Host, URI: r.RequestURI,
			Proto: r.Proto, Header: r.Header.Clone(),
		}
		if r.TLS != nil {
			req.ServerName = r.TLS.ServerName
		}
		rec.mu.Lock()
		rec.requests = append(rec.requests, req)
		rec.open++
		rec.mu.Unlock()

		body := &recordedBody{ReadCloser: r.Body, rec: rec, req: req, sum: sha256.New(), empty: r.Body == http.NoBody}
		r.Body = body
		defer func() {
			if body.empty {
				body.complete = true
			}
			rec.end(req, body, r.Trailer)
		}()
		next.ServeHTTP(w, r)
	})
}

func (rec *recorder) end(req *Request, body *recordedBody, trailer http.Header) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	req.BodySHA256 = hex.EncodeToString(body.sum.Sum(nil))
	req.Complete, req.Trailer, req.Ended = body.complete, trailer.Clone(), true
	rec.open--
	close(rec.changed)
	rec.changed = make(chan struct{})
	_ = rec.lines.Encode(req) // the record in memory is what counts
}

// recordedBody copies into the record what a handler reads.
type recordedBody struct {
	io.ReadCloser
	rec      *recorder
	req      *Request
	sum      hash.Hash
	empty    bool
	complete bool
}

// Read implements [io.Reader].
func (b *recordedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.rec.mu.Lock()
	defer b.rec.mu.Unlock()
	b.sum.Write(p[:n])
	b.req.BodyBytes += int64(n)
	if room := b.rec.keep - len(b.req.Body); room > 0 {
		b.req.Body = append(b.req.Body, p[:min(n, room)]...)
	}
	if errors.Is(err, io.EOF) {
		b.complete = true
	}
	return n, err
}
