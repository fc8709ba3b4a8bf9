package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// Frames that wait for what follows are few, and each costs the same.
func TestFrameBurstIsCut(t *testing.T) {
	held := frame(0x101, []byte("gh"+"p_"), true) // could be the beginning of a token
	for name, one := range map[string][]byte{
		"pings": frame(9, nil, true), "full pings": frame(9, make([]byte, 125), true), "empty fragments": frame(0x100, nil, true),
	} {
		raw := append(bytes.Clone(held), bytes.Repeat(one, 100000)...)
		c := newFrameConn(nil, bufio.NewReader(bytes.NewReader(raw)), bare())
		began := time.Now()
		out, err := io.ReadAll(c)
		if !errors.Is(err, errFrame) || len(c.pending) > 2*maxPending {
			t.Errorf("%s: %v, %d segments wait", name, err, len(c.pending))
		}
		if !bytes.HasPrefix(raw, out) || len(out) > len(held) {
			t.Errorf("%s: %d bytes went", name, len(out))
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: %s", name, took)
		}
	}
}

// A burst of frames that nothing holds back passes, in linear time.
func TestFrameBurstPasses(t *testing.T) {
	raw := bytes.Repeat(append(frame(9, []byte("x"), true), frame(1, []byte("y"), true)...), 100000)
	out, err := io.ReadAll(newFrameConn(nil, bufio.NewReader(bytes.NewReader(raw)), bare()))
	if err != nil || !bytes.Equal(out, raw) {
		t.Errorf("%d of %d bytes, %v", len(out), len(raw), err)
	}
}

// When either end has closed the connection, what was received is not judged.
func TestClosedFrameConnStops(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	c := newFrameConn(server, bufio.NewReader(bytes.NewReader(frame(1, []byte("hello"), true))), bare())
	_ = c.Close()
	if out, err := io.ReadAll(c); len(out) != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("%q %v", out, err)
	}
}
