package upstream

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// Hello is the answer of /v1/hello.
type Hello struct {
	Method string `json:"method"`
	Host   string `json:"host"`
	Path   string `json:"path"`
	// Credentials maps each field that carried a credential to the SHA-256 of
	// its value, never to the value.
	Credentials map[string]string `json:"credentials"`
}

// credentialFields are where a client may show a credential.
var credentialFields = []string{"Authorization", "X-Api-Key"}

// Digest is how the upstream writes down a credential.
func Digest(value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:])
}

// endpoints are what the upstream serves; every other path is answered with
// "recorded", so that a client can tell that it got through.
func endpoints() http.Handler {
	acks := &acknowledgements{arrived: map[string]chan struct{}{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/hello", whole(hello))
	mux.HandleFunc("/v1/upload", whole(upload))
	mux.HandleFunc("/v1/download", whole(download))
	mux.HandleFunc("/v1/reflect", whole(reflect))
	mux.HandleFunc("/v1/events", whole(acks.events))
	mux.HandleFunc("/v1/ack", whole(acks.ack))
	mux.HandleFunc("/v1/echo", echo)
	mux.HandleFunc("/v1/ws", echoFrames)
	other := whole(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "recorded") })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The mux would redirect what is not canonical; such a path must be
		// seen to have arrived as it is.
		if _, pattern := mux.Handler(r); pattern == r.URL.Path {
			mux.ServeHTTP(w, r)
			return
		}
		other(w, r)
	})
}

// whole reads the body to its end, for the record, before it lets h answer. A
// request that is cut off gets no answer.
func whole(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		h(w, r)
	}
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a client that is gone needs no answer
}

func hello(w http.ResponseWriter, r *http.Request) {
	h := Hello{Method: r.Method, Host: r.Host, Path: r.URL.Path, Credentials: map[string]string{}}
	for _, field := range credentialFields {
		if v := r.Header.Get(field); v != "" {
			h.Credentials[field] = Digest(v)
		}
	}
	answer(w, h)
}

// reflect is a server that has no manners: it sends the credential that it got
// back, in the spelling that ?as= asks for.
func reflect(w http.ResponseWriter, r *http.Request) {
	value := r.Header.Get("Authorization")
	var out io.Writer = w
	switch r.URL.Query().Get("as") {
	case "header":
		w.Header().Set("X-Seen", value)
		value = "see the header"
	case "base64":
		value = base64.StdEncoding.EncodeToString([]byte("seen: " + value))
	case "url":
		value = url.QueryEscape(value)
	case "gzip":
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		out = z
	case "chunks": // a byte at a time
		out = bytewise{flushing{w}}
	}
	fmt.Fprintf(out, "you sent %s\n", value)
}

// upload says what arrived.
func upload(w http.ResponseWriter, r *http.Request) {
	body := r.Body.(*recordedBody)
	answer(w, map[string]any{"bytes": body.req.BodyBytes, "sha256": hex.EncodeToString(body.sum.Sum(nil))})
}

// download sends as many bytes of [Content] as ?bytes= asks for.
func download(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseInt(r.URL.Query().Get("bytes"), 10, 64)
	if err != nil || n < 0 {
		http.Error(w, "bytes must be a number", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	_, _ = io.Copy(w, Content(n))
}

// Content is n bytes that look random and are always the same.
func Content(n int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte([]byte("the content of every download...")[:32])), n)
}

// echo sends the body back while it arrives.
func echo(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/2 always is
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = io.Copy(flushing{w}, r.Body)
}

// flushing sends each write at once.
type flushing struct{ http.ResponseWriter }

// Write implements [io.Writer].
func (f flushing) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	if err == nil {
		err = http.NewResponseController(f.ResponseWriter).Flush()
	}
	return n, err
}

// bytewise sends each byte by itself.
type bytewise struct{ io.Writer }

// Write implements [io.Writer].
func (b bytewise) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := b.Writer.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// ackPatience is how long the event stream waits for the client to acknowledge
// an event. It only ever runs out when something holds an event back.
const ackPatience = 10 * time.Second

// acknowledgements make a stream of events prove that each was forwarded at
// once: event n+1 is not sent before the client has answered event n by a
// request of its own. A proxy that holds an event back stops the stream.
type acknowledgements struct {
	mu      sync.Mutex
	arrived map[string]chan struct{}
}

func (a *acknowledgements) of(id, n string) chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := id + "/" + n
	if a.arrived[key] == nil {
		a.arrived[key] = make(chan struct{}, 1)
	}
	return a.arrived[key]
}

// ack takes ?id= and ?n=.
func (a *acknowledgements) ack(w http.ResponseWriter, r *http.Request) {
	select {
	case a.of(r.URL.Query().Get("id"), r.URL.Query().Get("n")) <- struct{}{}:
	default:
	}
	w.WriteHeader(http.StatusNoContent)
}

// events sends ?n= events of the stream ?id=, then one called "end".
func (a *acknowledgements) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	out := flushing{w}
	id := r.URL.Query().Get("id")
	count, _ := strconv.Atoi(r.URL.Query().Get("n"))
	ctx, cancel := context.WithTimeout(r.Context(), ackPatience)
	defer cancel()
	for i := range count {
		var event bytes.Buffer
		fmt.Fprintf(&event, "id: %d\ndata: event %d\n\n", i, i)
		if _, err := out.Write(event.Bytes()); err != nil {
			return
		}
		select {
		case <-a.of(id, strconv.Itoa(i)):
		case <-ctx.Done():
			fmt.Fprintf(out, "event: stuck\ndata: event %d was not acknowledged\n\n", i)
			return
		}
	}
	fmt.Fprint(out, "event: end\ndata: all were acknowledged\n\n")
}
