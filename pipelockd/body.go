package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/secretscan"
)

// wholeBody is how much of a body is read and judged before the upstream hears
// of the request at all.
const wholeBody = 256 << 10

// admitBody judges a short body whole and replaces it by what was read; a long
// one is judged as far as wholeBody and then watched while it is sent.
func (s *service) admitBody(x *exchange, r *http.Request) *policy.Decision {
	coding, ok := contentCoding(r.Header)
	if !ok {
		return refuse(policy.ReasonUnscannable, "The body's Content-Encoding cannot be read; send it plain, or as gzip, deflate, zstd or br.")
	}
	// The client was told to go on by the first read; upstream need not be asked.
	r.Header.Del("Expect")

	if coding != "" {
		if err := x.room.add(decoderCost); err != nil {
			return bodyDenial(err)
		}
	}
	if isCall(r) && coding == "" {
		r.Body = &watchedBody{Reader: x.newCallReader(r.Body, r.Header.Get("Grpc-Encoding"), &x.room), Closer: r.Body, x: x, r: r}
		return nil
	}
	head, more, err := readHead(r.Body, r.ContentLength, &x.room)
	if err != nil {
		return bodyDenial(err)
	}
	if more {
		return s.watchBody(r, x, head, coding)
	}
	if err := x.scanWhole(head, coding); err != nil {
		return bodyDenial(err)
	}
	if l := x.scanHeader(r.Trailer, nil, "trailer"); l != nil {
		return bodyDenial(l)
	}
	r.TransferEncoding = nil
	r.ContentLength = int64(len(head))
	r.Body = io.NopCloser(bytes.NewReader(head))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(head)), nil }
	if len(r.Trailer) > 0 {
		r.ContentLength = -1 // only a chunked body has trailers
	} else if len(head) == 0 {
		r.Body = http.NoBody
	}
	return nil
}

// scanWhole judges a body that is at hand as a whole.
func (x *exchange) scanWhole(body []byte, coding string) error {
	if coding != "" {
		_, err := io.Copy(io.Discard, x.newDecodedReader(bytes.NewReader(body), coding))
		return err
	}
	if found := x.table.scanning.bodies.Scan(body, x.options(true, "body")); found != nil {
		return &leak{found.Finding, "body"}
	}
	return nil
}

// watchBody replaces the body by a reader that fails, and so aborts the upstream
// request, before the last byte of a secret goes.
func (s *service) watchBody(r *http.Request, x *exchange, head []byte, coding string) *policy.Decision {
	var watched io.Reader
	if coding != "" {
		watched = x.newDecodedReader(io.MultiReader(bytes.NewReader(head), r.Body), coding)
	} else if packed := markOf(head); packed != "" { // an archive, on its way as it is
		d := x.newDecodedReader(io.MultiReader(bytes.NewReader(head), r.Body), packed)
		d.lenient = true
		watched = d
	} else {
		clean := x.table.scanning.bodies.NewReader(r.Body).With(x.options(true, "body"))
		if err := clean.Prime(head); err != nil {
			return bodyDenial(asLeak(err))
		}
		watched = clean
	}
	r.Body = &watchedBody{Reader: watched, Closer: r.Body, x: x, r: r}
	return nil
}

// watchedBody notes why a body was stopped, and judges the trailers at its end.
type watchedBody struct {
	io.Reader
	io.Closer
	x *exchange
	r *http.Request
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		if l := b.x.scanHeader(b.r.Trailer, nil, "trailer"); l != nil {
			err = l
		}
		cleanTrailer(b.r.Trailer)
	}
	err = asLeak(err)
	if err != nil && err != io.EOF {
		if d := bodyDenial(err); d.Reason != policy.ReasonBadRequest {
			b.x.fail(*d)
		}
		n = 0
	}
	return n, err
}

// asLeak names the place of what the scan found.
func asLeak(err error) error {
	var found *secretscan.Found
	if errors.As(err, &found) {
		return &leak{found.Finding, "body"}
	}
	return err
}

// bodyDenial says why a body was stopped.
func bodyDenial(err error) *policy.Decision {
	var l *leak
	switch {
	case errors.As(err, &l):
		d := l.denied()
		return &d
	case errors.Is(err, errBudget):
		return budgetDenial()
	case errors.Is(err, errBusy):
		return refuse(policy.ReasonOverloaded, "Too many bodies wait to be judged; try again later.")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refuse(policy.ReasonBadRequest, "The body came too slowly.")
	case errors.Is(err, errUnscannable):
		return refuse(policy.ReasonUnscannable, "The body cannot be decompressed within bounds, so it cannot be cleared to leave.")
	}
	return refuse(policy.ReasonBadRequest, "The body ended early or is not well-formed.")
}
