package main

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/policy"
)

// frame2 is a frame of HTTP/2 (RFC 9113, section 4.1).
func frame2(kind, flags byte, stream uint32, payload []byte) []byte {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

// TestHostBesideAuthority sends by HTTP/2 what no client library would: a host beside
// the authority that names another one. The frames are written by hand.
func TestHostBesideAuthority(t *testing.T) {
	d := open(t, nil, nil)
	authority := "api.example:" + d.upstream.Port()
	c, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", authority, authority)
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: http.MethodConnect})
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	tc := tls.Client(c, &tls.Config{RootCAs: d.ca.Pool(), ServerName: "api.example", NextProtos: []string{"h2"}})
	var block []byte
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", authority}, {":path", "/"}, {"host", "other.example"}} {
		block = append(append(block, 0, byte(len(f[0]))), f[0]...)
		block = append(append(block, byte(len(f[1]))), f[1]...)
	}
	const settings, headers, endOfBoth = 4, 1, 5
	out := append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame2(settings, 0, 0, nil)...)
	if _, err := tc.Write(append(out, frame2(headers, endOfBoth, 1, block)...)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, tc) }()
	if l := d.waitLines(t, 1)[0]; l.Decision != policy.Deny || l.Reason != policy.ReasonAuthorityMismatch {
		t.Errorf("%+v", l)
	}
	if seen := d.upstream.Seen(); len(seen) != 0 {
		t.Errorf("the upstream saw %+v", seen)
	}
}
