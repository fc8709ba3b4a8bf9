package main

import (
	"net/http"
	"slices"
	"strings"

	"github.com/bottlesuite/bottle/internal/gitpush"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/route"
)

// judgePath refuses a path that has two readings, and a push by git, on every
// host: in a bottle without routes nobody else does. It returns the path in its
// one spelling.
func judgePath(escaped, rawQuery string) (string, *policy.Decision) {
	if escaped == "" {
		escaped = "/"
	}
	path, _, err := route.PathWithSlashes(escaped)
	if err != nil {
		return "", refuse(policy.ReasonAmbiguousPath, "The path is refused: "+err.Error()+".")
	}
	if gitpush.IsPush(path, rawQuery) {
		return "", refuse(policy.ReasonGitPush, gitpush.Detail)
	}
	return path, nil
}

// judgeLFS refuses uploads by Git LFS, which a request's body tells. What is
// read for that takes room like any body that is judged.
func judgeLFS(x *exchange, r *http.Request) *policy.Decision {
	paid := &paidBody{ReadCloser: r.Body, room: &x.room}
	r.Body = paid
	refused := gitpush.RefuseLFS(r, x.cleanPath)
	paid.room = nil // what follows is on its way
	switch {
	case x.room.refused:
		return bodyDenial(errBusy)
	case refused:
		return refuse(policy.ReasonGitPush, gitpush.Detail)
	}
	if r.Body == paid {
		r.Body = paid.ReadCloser
	}
	return nil
}

// overrides are the fields by which a request asks to be taken for one with
// another method than it was judged by.
var overrides = []string{"x-http-method-override", "x-http-method", "x-method-override"}

// removeOverrides removes them in every spelling that a server may fold into
// one.
func removeOverrides(h http.Header) {
	for name := range h {
		if slices.Contains(overrides, strings.ReplaceAll(strings.ToLower(name), "_", "-")) {
			delete(h, name)
		}
	}
}
