//go:build linux

package probe

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/bottlesuite/bottle/internal/wire"
)

// types are the kinds of DNS records that are asked for, by name.
var types = map[string]uint16{
	"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "NULL": 10, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "NAPTR": 35, "DNSKEY": 48, "SVCB": 64, "HTTPS": 65, "AXFR": 252, "ANY": 255,
}

// ask asks for names by hand. A target is "udp 10.0.0.2:53 TXT name": transport,
// server, type, name. Open says that there was an answer with records in it, or
// one that says that the name exists.
func ask(ctx context.Context, t wire.ProbeTask, r *wire.ProbeReport) error {
	for _, target := range t.Targets {
		s := wire.ProbeSeen{Target: target}
		s.Open, s.What = askOne(ctx, strings.Fields(target))
		r.Seen = append(r.Seen, s)
		time.Sleep(askEvery)
	}
	return nil
}

// askEvery keeps to the rate at which the bottle's resolver writes down what it is
// asked; of what comes faster it writes down how many.
const askEvery = 70 * time.Millisecond

func askOne(ctx context.Context, f []string) (open bool, what string) {
	const words = 4
	if len(f) != words || types[f[2]] == 0 {
		return false, "not tried: the task is malformed"
	}
	reply, err := exchange(ctx, f[0], f[1], question(f[3], types[f[2]]))
	if err != nil {
		return false, word(err)
	}
	return read(reply)
}

// question is a query for one name.
func question(name string, kind uint16) []byte {
	q := []byte{0x12, 0x67, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		q = append(append(q, byte(len(label))), label...)
	}
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(append(q, 0), kind), 1)
}

// read says what a reply holds.
func read(reply []byte) (open bool, what string) {
	const header = 12
	if len(reply) < header {
		return true, "an answer that is no DNS"
	}
	code, records := reply[3]&15, 0
	for i := 6; i < header; i += 2 {
		records += int(binary.BigEndian.Uint16(reply[i:]))
	}
	what = map[byte]string{0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}[code]
	if what == "" {
		what = fmt.Sprintf("code %d", code)
	}
	if binary.BigEndian.Uint16(reply[6:]) > 0 {
		return true, fmt.Sprintf("%s with %d records", what, records)
	}
	return code == 0, what
}

func exchange(ctx context.Context, network, server string, query []byte) ([]byte, error) {
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if network == "udp" {
		if _, err := conn.Write(query); err != nil {
			return nil, err
		}
		reply := make([]byte, 4096)
		n, err := conn.Read(reply)
		return reply[:n], err
	}
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	reply := make([]byte, binary.BigEndian.Uint16(size[:]))
	n, err := io.ReadFull(conn, reply)
	return reply[:n], err
}
