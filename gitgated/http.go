package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bottlesuite/bottle/gitgated/internal/pktline"
	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

// Services of git's protocol.
const (
	uploadPack  = "git-upload-pack"  // the agent fetches
	receivePack = "git-receive-pack" // the agent pushes
)

func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.introspect)
	mux.HandleFunc("GET /{name}/info/refs", s.infoRefs)
	mux.HandleFunc("POST /{name}/"+uploadPack, s.postUploadPack)
	mux.HandleFunc("POST /{name}/"+receivePack, s.postReceivePack)
	mux.HandleFunc("POST /{name}/info/lfs/objects/batch", s.lfsBatch)
	mux.HandleFunc("GET /{name}/info/lfs/objects/{oid}", s.lfsObject)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.deny(w, r, begin(), policy.Denied(policy.ReasonPathNotAllowed, "", "The git gate serves git's smart HTTP and LFS downloads: clone http://git-gate:9420/NAME.git"))
	})
	return mux
}

// start is when a request began, and its id.
type start struct {
	at time.Time
	id string
}

func begin() start { return start{time.Now(), audit.NewRequestID()} }

// deny answers what is not git's protocol with a problem document.
func (s *service) deny(w http.ResponseWriter, r *http.Request, st start, d policy.Decision) {
	path := masked(r.URL.EscapedPath())
	s.Record(audit.Entry{Event: "request", Decision: d.Verdict, Reason: d.Reason, Rule: d.Rule, Method: masked(r.Method), Path: path, RequestID: st.id, Duration: time.Since(st.at)})
	wire.NewProblem(d, st.id, r.Method, "git-gate", path).Write(w)
}

// remoteOf finds the remote that a request names, with or without ".git".
func (s *service) remoteOf(name string) (*remote, *policy.Decision) {
	name = strings.TrimSuffix(strings.Trim(name, "/"), ".git")
	if r, ok := s.policy.Load().remotes[name]; ok {
		return r, nil
	}
	d := unknownRemote(masked(clip(name)))
	return nil, &d
}

var versionShape = regexp.MustCompile(`^version=[012]$`)

// protocolOf is the version that a client asks for, in git's words.
func protocolOf(r *http.Request) string {
	if v := r.Header.Get("Git-Protocol"); versionShape.MatchString(v) {
		return v
	}
	return ""
}

// infoRefs answers the question with which every fetch and push begins.
func (s *service) infoRefs(w http.ResponseWriter, r *http.Request) {
	st, service := begin(), r.URL.Query().Get("service")
	if service != uploadPack && service != receivePack {
		s.deny(w, r, st, policy.Denied(policy.ReasonBadRequest, "", "Git's dumb HTTP protocol is not served; use git 1.6.6 or newer."))
		return
	}
	head(w, service+"-advertisement")
	_ = pktline.Writef(w, "# service=%s\n", service)
	_ = pktline.WriteFlush(w)
	to, refs, d := s.look(r.Context(), st, r.PathValue("name"), service, s.maxAge())
	if d != nil {
		refuse(w, *d)
		return
	}
	if service == receivePack {
		_ = advertise(w, refs) // a client that is gone needs no answer
		return
	}
	cmd := to.mirror.Command(r.Context(), "upload-pack", "--strict", "--stateless-rpc", "--http-backend-info-refs", to.mirror.Dir())
	s.serve(cmd, protocolOf(r), strings.NewReader(""), w)
}

// head sets the header of an answer in git's protocol.
func head(w http.ResponseWriter, kind string) {
	w.Header().Set("Content-Type", "application/x-"+kind)
	w.Header().Set("Cache-Control", "no-store")
}

// refuse tells git why there is nothing more to come; it shows this as "fatal:
// remote error".
func refuse(w io.Writer, d policy.Decision) {
	if h, ok := w.(http.ResponseWriter); ok {
		h.Header().Set(wire.DenyHeader, string(d.Reason))
	}
	_ = pktline.Writef(w, "ERR bottle: %s (%s)", d.Detail, d.Reason)
}

// maxQuestion bounds what a fetch says: which objects it wants and has.
const maxQuestion = 64 << 20

// body undoes the compression of a request.
func body(r *http.Request, limit int64) (io.Reader, error) {
	in := io.Reader(http.MaxBytesReader(nil, r.Body, limit))
	switch r.Header.Get("Content-Encoding") {
	case "":
		return in, nil
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("the body is not gzip: %w", err)
		}
		return io.LimitReader(z, limit), nil
	}
	return nil, fmt.Errorf("the encoding %q is not known", r.Header.Get("Content-Encoding"))
}

// Times that a request over HTTP may take, in and out.
const (
	questionTime = 2 * time.Minute
	answerTime   = time.Hour
)

func (s *service) postUploadPack(w http.ResponseWriter, r *http.Request) {
	st := begin()
	in, ok := s.question(w, r, st, uploadPack, maxQuestion, questionTime)
	if !ok {
		return
	}
	// A listing must be fresh; who already knows what to fetch has just had one.
	age := time.Minute
	if first, err := peek(in); err == nil && strings.HasPrefix(first, "command=ls-refs") {
		age = s.maxAge()
	}
	head(w, uploadPack+"-result")
	to, _, d := s.look(r.Context(), st, r.PathValue("name"), uploadPack, age)
	if d != nil {
		refuse(w, *d)
		return
	}
	leave, d := s.reads.enter(r.Context())
	if d != nil {
		s.recordFetch(st, to, *d)
		refuse(w, *d)
		return
	}
	defer leave()
	cmd := to.mirror.Command(r.Context(), "upload-pack", "--strict", "--stateless-rpc", "--timeout=300", to.mirror.Dir())
	s.serve(cmd, protocolOf(r), in, flushing{w, http.NewResponseController(w)})
}

// question checks a POST of git's protocol and opens its body.
func (s *service) question(w http.ResponseWriter, r *http.Request, st start, service string, limit int64, patience time.Duration) (*bufio.Reader, bool) {
	if r.Header.Get("Content-Type") != "application/x-"+service+"-request" {
		s.deny(w, r, st, policy.Denied(policy.ReasonBadRequest, "", "The content type is not that of "+service+"."))
		return nil, false
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(patience)) // over HTTP/1.1 it cannot fail
	_ = rc.SetWriteDeadline(time.Now().Add(answerTime))
	in, err := body(r, limit)
	if err != nil {
		s.deny(w, r, st, policy.Denied(policy.ReasonBadRequest, "", fmt.Sprintf("The body cannot be read: %v.", err)))
		return nil, false
	}
	return bufio.NewReaderSize(in, 64<<10), true
}

// peek reads the first line of git's protocol without taking it.
func peek(in *bufio.Reader) (string, error) {
	length, err := in.Peek(4)
	if err != nil {
		return "", err
	}
	var n int
	if _, err := fmt.Sscanf(string(length), "%04x", &n); err != nil || n < 4 || n > 256 {
		return "", pktline.ErrSyntax
	}
	line, err := in.Peek(n)
	if err != nil {
		return "", err
	}
	return string(line[4:]), nil
}

func (s *service) postReceivePack(w http.ResponseWriter, r *http.Request) {
	st := begin()
	to, d := s.remoteOf(r.PathValue("name"))
	if d != nil {
		s.deny(w, r, st, *d)
		return
	}
	patience := time.Duration(to.Limits.MaxTime)
	in, ok := s.question(w, r, st, receivePack, int64(to.Limits.MaxPushBytes)+maxCommands, patience)
	if !ok {
		return
	}
	head(w, receivePack+"-result")
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	s.receive(ctx, st, to, in, flushing{w, http.NewResponseController(w)})
}

// flushing sends on what is written at once.
type flushing struct {
	w  io.Writer
	rc *http.ResponseController
}

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err == nil {
		err = f.rc.Flush()
	}
	return n, err
}

// introspect tells the agent which remotes there are and what it may push.
func (s *service) introspect(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	remotes := s.policy.Load().remotes
	var names []string
	for name := range remotes {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		r := remotes[name]
		push := "read only"
		if len(r.Refs.Allow) > 0 {
			push = "push to " + strings.Join(r.Refs.Allow, ", ")
		}
		fmt.Fprintf(w, "http://git-gate:9420/%s.git  %s  %s\n", name, r.upstream.URL(), push)
	}
}
