package main

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/bottlesuite/bottle/gitgated/internal/pktline"
	"github.com/bottlesuite/bottle/internal/policy"
)

// serveGit takes git:// connections until ctx ends.
func (s *service) serveGit(ctx context.Context, l net.Listener) error {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			time.Sleep(50 * time.Millisecond) // out of descriptors, say
			continue
		}
		go func() {
			defer conn.Close()
			s.conversation(ctx, conn)
		}()
	}
}

// request is the first line of a git:// connection.
type request struct{ service, name, protocol string }

// parseRequest reads "git-upload-pack /app.git\0host=x\0\0version=2\0".
func parseRequest(line string) (request, bool) {
	words, rest, ok := strings.Cut(line, "\x00")
	service, path, found := strings.Cut(words, " ")
	if !ok || !found || service != uploadPack && service != receivePack || !strings.HasPrefix(path, "/") {
		return request{}, false
	}
	r := request{service: service, name: path}
	if _, extra, ok := strings.Cut(rest, "\x00\x00"); ok {
		for _, p := range strings.Split(extra, "\x00") {
			if versionShape.MatchString(p) {
				r.protocol = p
			}
		}
	}
	return r, true
}

// conversation is one git:// connection.
func (s *service) conversation(ctx context.Context, conn net.Conn) {
	st := begin()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second)) // never fails on an open connection
	in := bufio.NewReaderSize(conn, 64<<10)
	line, _, err := pktline.Read(in)
	if err != nil {
		return
	}
	req, ok := parseRequest(string(line))
	if !ok {
		refuse(conn, policy.Denied(policy.ReasonBadRequest, "", "The git gate serves git-upload-pack and git-receive-pack."))
		return
	}
	_ = conn.SetDeadline(time.Now().Add(answerTime))
	to, refs, d := s.look(ctx, st, req.name, req.service, s.maxAge())
	if d != nil {
		refuse(conn, *d)
		return
	}
	if req.service == receivePack {
		ctx, cancel := context.WithTimeout(ctx, time.Duration(to.Limits.MaxTime))
		defer cancel()
		if advertise(conn, refs) == nil {
			s.receive(ctx, st, to, in, conn)
		}
		return
	}
	leave, d := s.reads.enter(ctx)
	if d != nil {
		s.recordFetch(st, to, *d)
		refuse(conn, *d)
		return
	}
	defer leave()
	cmd := to.mirror.Command(ctx, "upload-pack", "--strict", "--timeout=300", to.mirror.Dir())
	s.serve(cmd, req.protocol, in, conn)
}
