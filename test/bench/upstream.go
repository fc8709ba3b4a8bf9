package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Bodies of the cases.
const (
	small = 1 << 10
	large = 1 << 20
)

// upstreamJob is what the upstream is told: the files of its certificate.
type upstreamJob struct{ Certificate, Key string }

// serveUpstream plays the upstream until its input ends. It prints its port.
func serveUpstream(in io.Reader, out io.Writer) error {
	var job upstreamJob
	if err := json.NewDecoder(in).Decode(&job); err != nil {
		return err
	}
	cert, err := tls.LoadX509KeyPair(job.Certificate, job.Key)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /v1/small", body(small))
	mux.Handle("GET /v1/large", body(large))
	mux.HandleFunc("POST /v1/large", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body) // the client sees the count
		fmt.Fprint(w, n)
	})
	mux.HandleFunc("GET /v1/events", events)
	server := &http.Server{
		Handler: mux, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}},
		ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0),
	}
	go func() {
		_, _ = io.Copy(io.Discard, in) // it ends when the parent does
		_ = server.Close()
	}()
	fmt.Fprintln(out, l.Addr().(*net.TCPAddr).Port)
	if err := server.ServeTLS(l, "", ""); err != http.ErrServerClosed {
		return err
	}
	return nil
}

func body(n int) http.Handler {
	payload := bytes.Repeat([]byte("0123456789abcdef"), n/16)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(n))
		_, _ = w.Write(payload) // a client that is gone needs no answer
	})
}

// eventInterval is the pause between two events.
const eventInterval = 5 * time.Millisecond

// events sends as many events as ?n= says, each with the time of its sending.
func events(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.FormValue("n"))
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w).Flush
	tick := time.NewTicker(eventInterval)
	defer tick.Stop()
	for range n {
		<-tick.C
		fmt.Fprintf(w, "data: %d\n\n", time.Now().UnixNano())
		if flush() != nil {
			return
		}
	}
}
