package protocols

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/test/chain"
	"github.com/bottlesuite/bottle/test/upstream"
)

// started is a chain with an upstream that counts what reached it.
type started struct {
	*chain.Chain
	requests atomic.Int64
	// acked has the events that the client has seen.
	acked chan int
	// came and sum are the length and the hash of the last upload.
	came atomic.Int64
	sum  atomic.Value
}

// start serves the endpoints of these tests behind a chain.
func start(t *testing.T, route wire.Route) *started {
	t.Helper()
	s := &started{acked: make(chan int, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /download", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.ParseInt(r.URL.Query().Get("bytes"), 10, 64)
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
		_, _ = io.Copy(w, upstream.Content(n)) // a client that is gone needs no answer
	})
	mux.HandleFunc("PUT /upload", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		n, err := io.Copy(sum, r.Body)
		if err != nil {
			n = -1
		}
		s.came.Store(n)
		s.sum.Store(fmt.Sprintf("%x", sum.Sum(nil)))
	})
	mux.HandleFunc("GET /events", s.events)
	mux.HandleFunc("GET /slow", func(w http.ResponseWriter, r *http.Request) {
		wait, _ := time.ParseDuration(r.URL.Query().Get("for"))
		select {
		case <-time.After(wait):
			fmt.Fprint(w, "at last")
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST /call", call)
	mux.HandleFunc("POST /refuse", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "16")
		w.WriteHeader(http.StatusOK)
	})
	mux.HandleFunc("GET /socket", socket)
	address, l, certificate := chain.Listen(t)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		if r.Header.Get("Authorization") != "Bearer "+chain.Token {
			http.Error(w, "without the credential", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	_ = srv.Listener.Close()
	srv.Listener = l
	srv.EnableHTTP2 = true
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	s.Chain = chain.Start(t, address, route)
	return s
}

// protocols are the versions of HTTP that an agent speaks.
var protocols = map[string]bool{"http1.1": false, "http2": true}
