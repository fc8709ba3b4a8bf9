// Package relay is the short message that egressd sends to pipelockd with each
// request, in a header that never leaves the bottle: the request's id, and the
// names of the fields that egressd itself injected, which the DLP scan must not
// mistake for a leak. It is authenticated with a key that only the two share,
// over the request line and the injected values, so that an agent can neither
// forge an exemption nor move one to another request.
//
// Form: Bottle-Relay: v1 id=<id> t=<unix seconds> f=<field,field> mac=<hex>
package relay

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"time"
)

// Header is the field that carries the message. Both sides remove it from what
// they did not write themselves.
const Header = "Bottle-Relay"

// window bounds the age of a message. Both ends share a clock, so this only has
// to cover queueing.
const window = 5 * time.Minute

// KeyBytes is the length of a key.
const KeyBytes = 32

var (
	// ErrAbsent means that a request carries no relay message.
	ErrAbsent = errors.New("no relay header")
	// ErrForged means that it carries one that does not verify.
	ErrForged = errors.New("the relay header does not verify")
)

// Key authenticates messages. The zero Key verifies nothing.
type Key struct{ k []byte }

// NewKey makes a key from its bytes.
func NewKey(k []byte) (Key, error) {
	if len(k) != KeyBytes {
		return Key{}, fmt.Errorf("a relay key has %d bytes, not %d", KeyBytes, len(k))
	}
	return Key{k}, nil
}

// LoadKey reads a key from a file of 64 hexadecimal digits.
func LoadKey(file string) (Key, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Key{}, fmt.Errorf("cannot read the relay key: %w", err)
	}
	k, err := hex.DecodeString(strings.TrimSpace(string(data)))
	if err != nil || len(k) != KeyBytes {
		return Key{}, fmt.Errorf("the relay key in %s is not %d hexadecimal digits", file, 2*KeyBytes)
	}
	return NewKey(k)
}

// String masks the key under %v and %s.
func (Key) String() string { return "[redacted]" }

// Claim is what a verified message says.
type Claim struct {
	RequestID string
	// Fields are the canonical names of the injected header fields.
	Fields []string
}

// Sign sets the header on an outgoing request. Call it last, when the request
// line and the injected fields are final.
func (k Key) Sign(r *http.Request, requestID string, fields []string) {
	names := strings.ToLower(strings.Join(fields, ","))
	t := strconv.FormatInt(time.Now().Unix(), 10)
	r.Header.Set(Header, "v1 id="+requestID+" t="+t+" f="+names+" mac="+k.mac(r, requestID, t, names))
}

// Verify removes the header from a request and returns what it says. It returns
// ErrAbsent when there is none and ErrForged when it does not hold for this
// request.
func (k Key) Verify(r *http.Request) (Claim, error) {
	values := r.Header.Values(Header)
	r.Header.Del(Header)
	switch {
	case len(values) == 0:
		return Claim{}, ErrAbsent
	case len(values) > 1 || len(k.k) == 0:
		return Claim{}, ErrForged
	}
	var id, t, names, mac string
	parts := strings.Split(values[0], " ")
	if len(parts) != 5 || parts[0] != "v1" ||
		!cut(parts[1], "id=", &id) || !cut(parts[2], "t=", &t) || !cut(parts[3], "f=", &names) || !cut(parts[4], "mac=", &mac) {
		return Claim{}, ErrForged
	}
	if !hmac.Equal([]byte(mac), []byte(k.mac(r, id, t, names))) {
		return Claim{}, ErrForged
	}
	sent, err := strconv.ParseInt(t, 10, 64)
	if age := time.Since(time.Unix(sent, 0)); err != nil || age > window || age < -window {
		return Claim{}, ErrForged
	}
	c := Claim{RequestID: id}
	if names != "" {
		for _, n := range strings.Split(names, ",") {
			c.Fields = append(c.Fields, textproto.CanonicalMIMEHeaderKey(n))
		}
	}
	return c, nil
}

func cut(s, prefix string, rest *string) (ok bool) {
	*rest, ok = strings.CutPrefix(s, prefix)
	return ok
}

// mac covers everything that gives the exemption its meaning. Lengths stand
// before values, so that no two requests have the same input.
func (k Key) mac(r *http.Request, id, t, names string) string {
	h := hmac.New(sha256.New, k.k)
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	for _, part := range []string{"bottle relay v1", r.Method, host, r.URL.RequestURI(), id, t, names} {
		writePart(h, part)
	}
	if names != "" {
		for _, n := range strings.Split(names, ",") {
			values := r.Header.Values(n)
			writePart(h, strconv.Itoa(len(values)))
			for _, v := range values {
				writePart(h, v)
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

func writePart(w io.Writer, s string) {
	_, _ = io.WriteString(w, strconv.Itoa(len(s))+":"+s+"\n") // a hash never fails
}
