package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/bottlesuite/bottle/gitgated/internal/mirror"
	"github.com/bottlesuite/bottle/gitgated/internal/sshlink"
	"github.com/bottlesuite/bottle/internal/certs"
	"github.com/bottlesuite/bottle/internal/gitremote"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/safedial"
	"github.com/bottlesuite/bottle/internal/wire"
)

// The batch API of Git LFS, as far as downloads need it.
type (
	lfsRequest struct {
		Operation string   `json:"operation"`
		Transfers []string `json:"transfers,omitempty"`
		Objects   []lfsID  `json:"objects"`
	}
	lfsID struct {
		OID  string `json:"oid"`
		Size int64  `json:"size"`
	}
	lfsAction struct {
		Href   string            `json:"href"`
		Header map[string]string `json:"header,omitempty"`
	}
	lfsAnswer struct {
		Transfer string      `json:"transfer,omitempty"`
		Objects  []lfsObject `json:"objects"`
	}
	lfsObject struct {
		lfsID
		Authenticated bool                 `json:"authenticated,omitempty"`
		Actions       map[string]lfsAction `json:"actions,omitempty"`
		Error         *lfsError            `json:"error,omitempty"`
	}
	lfsError struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
)

const (
	lfsType    = "application/vnd.git-lfs+json"
	maxBatch   = 1 << 20
	maxObjects = 1000
)

var sha256Shape = regexp.MustCompile(`^[0-9a-f]{64}$`)

// newLFSClient is for what LFS needs beside git. Storage that an upstream names
// may be anywhere public; another host must be the upstream's own.
func newLFSClient(roots string) (*http.Client, error) {
	pool, err := certs.LoadPool(roots)
	if err != nil {
		pool = nil // no file of roots, so those of the system
	}
	public, err := safedial.New(safedial.Options{})
	if err != nil {
		return nil, err
	}
	direct := &net.Dialer{Timeout: sshlink.ConnectTimeout}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if host, _, err := net.SplitHostPort(address); err == nil && host == ctx.Value(ownHost{}) {
					return direct.DialContext(ctx, network, address)
				}
				return public.DialContext(ctx, network, address)
			},
			TLSClientConfig:       &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:   sshlink.ConnectTimeout,
			ResponseHeaderTimeout: 30 * time.Second,
			ForceAttemptHTTP2:     true,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > 4 || r.URL.Scheme != "https" {
				return errors.New("the storage redirects too often, or away from https")
			}
			return nil
		},
	}, nil
}

// ownHost is the context key of the host that may be private: the one that the
// operator declared. On which port its LFS server is, an upstream behind SSH says.
type ownHost struct{}

// lfsEndpoint is where the batch API of a remote is, with what authenticates
// there.
func (s *service) lfsEndpoint(ctx context.Context, to *remote) (lfsAction, error) {
	u := to.upstream
	if u.Scheme == gitremote.HTTPS {
		a := lfsAction{Href: strings.TrimSuffix("https://"+u.Address()+u.Path, ".git") + ".git/info/lfs", Header: map[string]string{}}
		if !to.token.Empty() {
			r := http.Request{Header: http.Header{}}
			r.SetBasicAuth(tokenUser(u), to.token.Reveal())
			a.Header["Authorization"] = r.Header.Get("Authorization")
		}
		return a, nil
	}
	return s.lfsAuthenticate(ctx, to)
}

// maxAnswer bounds what git-lfs-authenticate prints, in bytes.
const maxAnswer = 64 << 10

// lfsAuthenticate asks an upstream behind SSH where its LFS server is and what
// authenticates there, as git-lfs does.
func (s *service) lfsAuthenticate(ctx context.Context, to *remote) (lfsAction, error) {
	user := to.upstream.User
	if user == "" {
		user = "git"
	}
	out := &mirror.Tail{Max: maxAnswer}
	server := sshlink.Server{Address: to.upstream.Address(), User: user, IdentityFile: to.IdentityFile, KnownHostKey: to.KnownHostKey}
	err := sshlink.Run(ctx, server, "", "git-lfs-authenticate '"+to.upstream.Path+"' download", http.NoBody, out, io.Discard)
	var f *sshlink.Fault
	if errors.As(err, &f) {
		return lfsAction{}, f
	}
	var a lfsAction
	if err != nil || json.Unmarshal([]byte(out.String()), &a) != nil || !strings.HasPrefix(a.Href, "https://") {
		return lfsAction{}, &sshlink.Fault{Reason: policy.ReasonUpstreamRefused, Detail: fmt.Sprintf(
			"The server %s tells no LFS address over https when it is asked over SSH (git-lfs-authenticate). Clone without its objects (GIT_LFS_SKIP_SMUDGE=1 git clone), or ask the operator to declare the remote by its https URL with a token_ref.", to.upstream.Address())}
	}
	return a, nil
}

// lfsAsk asks the upstream where objects can be downloaded.
func (s *service) lfsAsk(ctx context.Context, to *remote, objects []lfsID) (*lfsAnswer, error) {
	end, err := s.lfsEndpoint(ctx, to)
	if err != nil {
		return nil, err
	}
	question, err := json.Marshal(lfsRequest{Operation: "download", Transfers: []string{"basic"}, Objects: objects})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, end.Href+"/objects/batch", bytes.NewReader(question))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", lfsType)
	r.Header.Set("Content-Type", lfsType)
	for k, v := range end.Header {
		r.Header.Set(k, v)
	}
	resp, err := s.lfs.Do(r)
	if err != nil {
		return nil, &sshlink.Fault{Reason: policy.ReasonUpstreamUnreachable, Detail: "The LFS server of the upstream cannot be reached: " + hideQuery(err)}
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return nil, &sshlink.Fault{Reason: policy.ReasonCredential, Detail: "The LFS server does not take the bottle's credential for this remote."}
	case resp.StatusCode != http.StatusOK:
		return nil, &sshlink.Fault{Reason: policy.ReasonUpstreamRefused, Detail: "The LFS server answered " + resp.Status + "."}
	}
	var a lfsAnswer
	if err := json.NewDecoder(io.LimitReader(resp.Body, 8*maxBatch)).Decode(&a); err != nil {
		return nil, &sshlink.Fault{Reason: policy.ReasonUpstreamRefused, Detail: "The LFS server's answer cannot be read."}
	}
	return &a, nil
}

// hideQuery leaves out of an error the URL, whose query may be a signature.
func hideQuery(err error) string {
	if u, ok := errors.AsType[interface {
		error
		Unwrap() error
	}](err); ok {
		err = u.Unwrap()
	}
	return err.Error() + "."
}

// readBatch reads a batch request. What is asked for is judged here: nothing but
// ids and sizes goes on to the upstream.
func readBatch(in io.Reader) (q lfsRequest, err error) {
	if json.NewDecoder(in).Decode(&q) != nil {
		return q, errors.New("it is no JSON of that form")
	}
	if q.Operation != "download" {
		return q, nil // which is refused anyway
	}
	if len(q.Objects) > maxObjects {
		return q, fmt.Errorf("it asks for more than %d objects", maxObjects)
	}
	for _, o := range q.Objects {
		if !sha256Shape.MatchString(o.OID) || o.Size < 0 {
			return q, errors.New("an object has no id of 64 hexadecimal digits, or no size")
		}
	}
	return q, nil
}

// lfsBatch answers a download batch with addresses of the gate's own, and
// refuses uploads: their objects would not pass the scan of a push.
func (s *service) lfsBatch(w http.ResponseWriter, r *http.Request) {
	st := begin()
	to, d := s.remoteOf(r.PathValue("name"))
	if d != nil {
		s.deny(w, r, st, *d)
		return
	}
	q, err := readBatch(http.MaxBytesReader(w, r.Body, maxBatch))
	switch {
	case err != nil:
		s.deny(w, r, st, policy.Denied(policy.ReasonBadRequest, "", "This is no batch request of Git LFS: "+err.Error()+"."))
		return
	case q.Operation != "download":
		s.lfsRefuse(w, st, to, policy.Denied(policy.ReasonLFSUpload, "remotes."+to.Name,
			"LFS objects cannot be uploaded through the git gate; commit the file as it is (git lfs untrack), or ask the operator to upload it."))
		return
	}
	ctx := context.WithValue(r.Context(), ownHost{}, to.upstream.Host)
	a, err := s.lfsAsk(ctx, to, q.Objects)
	if err != nil {
		s.lfsRefuse(w, st, to, s.decide(err))
		return
	}
	for i := range a.Objects {
		o := &a.Objects[i]
		if _, ok := o.Actions["download"]; ok && o.Error == nil {
			o.Actions = map[string]lfsAction{"download": {Href: "http://" + r.Host + "/" + to.Name + ".git/info/lfs/objects/" + o.OID + "?size=" + fmt.Sprint(o.Size)}}
			o.Authenticated = true
		} else {
			o.Actions = nil
		}
	}
	a.Transfer = "basic"
	w.Header().Set("Content-Type", lfsType)
	_ = json.NewEncoder(w).Encode(a) // a client that is gone needs no answer
}

// lfsRefuse answers in the words of LFS, which its client shows.
func (s *service) lfsRefuse(w http.ResponseWriter, st start, to *remote, d policy.Decision) {
	e := fetchEntry(st, to, d)
	e.Event, e.Method = "lfs", "LFS"
	s.Record(e)
	w.Header().Set("Content-Type", lfsType)
	w.Header().Set(wire.DenyHeader, string(d.Reason))
	w.WriteHeader(http.StatusForbidden)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": "bottle: " + d.Detail + " (" + string(d.Reason) + ")", "request_id": st.id})
}

// lfsObject passes one object on. What arrives must be what its name says.
func (s *service) lfsObject(w http.ResponseWriter, r *http.Request) {
	st, oid := begin(), r.PathValue("oid")
	to, d := s.remoteOf(r.PathValue("name"))
	if d == nil && !sha256Shape.MatchString(oid) {
		bad := policy.Denied(policy.ReasonBadRequest, "", "This is no id of an LFS object.")
		d = &bad
	}
	if d != nil {
		s.deny(w, r, st, *d)
		return
	}
	leave, d := s.reads.enter(r.Context())
	if d != nil {
		s.lfsRefuse(w, st, to, *d)
		return
	}
	defer leave()
	var size int64
	_, _ = fmt.Sscan(r.URL.Query().Get("size"), &size) // the server knows better
	ctx := context.WithValue(r.Context(), ownHost{}, to.upstream.Host)
	resp, err := s.lfsOpen(ctx, to, lfsID{oid, size})
	if err != nil {
		s.lfsRefuse(w, st, to, s.decide(err))
		return
	}
	defer resp.Body.Close()
	e := fetchEntry(st, to, policy.Allowed("remotes."+to.Name))
	e.Event, e.Method, e.Detail = "lfs", "LFS", "object "+oid
	if d := s.Require(e); d != nil {
		s.lfsRefuse(w, st, to, *d)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	sum := sha256.New()
	_, err = io.Copy(w, io.TeeReader(resp.Body, sum))
	if err != nil || hex.EncodeToString(sum.Sum(nil)) != oid {
		panic(http.ErrAbortHandler) // the client must not take it for whole
	}
}

func (s *service) lfsOpen(ctx context.Context, to *remote, id lfsID) (*http.Response, error) {
	a, err := s.lfsAsk(ctx, to, []lfsID{id})
	if err != nil {
		return nil, err
	}
	gone := &sshlink.Fault{Reason: policy.ReasonUpstreamRefused, Detail: "The LFS server does not have this object."}
	if len(a.Objects) != 1 || a.Objects[0].OID != id.OID || a.Objects[0].Error != nil {
		return nil, gone
	}
	from, ok := a.Objects[0].Actions["download"]
	if !ok || !strings.HasPrefix(from.Href, "https://") {
		return nil, gone
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from.Href, nil)
	if err != nil {
		return nil, gone
	}
	for k, v := range from.Header {
		r.Header.Set(k, v)
	}
	// A server that serves objects by itself and says so wants the same
	// credential as for the batch.
	if r.Header.Get("Authorization") == "" && r.URL.Host == to.upstream.Address() && !to.token.Empty() {
		r.SetBasicAuth(tokenUser(to.upstream), to.token.Reveal())
	}
	resp, err := s.lfs.Do(r)
	if err != nil {
		return nil, &sshlink.Fault{Reason: policy.ReasonUpstreamUnreachable, Detail: "The LFS storage cannot be reached: " + hideQuery(err)}
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return nil, &sshlink.Fault{Reason: policy.ReasonUpstreamRefused, Detail: "The LFS storage answered " + resp.Status + "."}
	}
	return resp, nil
}
