package scrub

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/bottlesuite/bottle/internal/secret"
)

// filler stands where a mask is longer than a credential's name. It is a letter
// of every alphabet that is used here, so that what is masked still decodes.
const filler = "0"

// spellings lists the ways in which a credential is looked for. The plain one
// comes first.
func spellings(s Secret) []needle {
	v := s.Value.Reveal()
	var out []needle
	add := func(text string) {
		if len(text) >= MinLength {
			out = append(out, needle{text: text, mask: strings.Repeat(filler, len(text))})
		}
	}
	out = append(out, needle{text: v, mask: plainMask(s.Name, len(v))})
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		for phase := range 3 {
			add(phased(enc, v, phase))
		}
	}
	add(hex.EncodeToString([]byte(v)))
	add(strings.ToUpper(hex.EncodeToString([]byte(v))))
	for _, e := range []string{url.QueryEscape(v), url.PathEscape(v)} {
		add(e)
		add(lowerEscapes(e))
	}
	for _, e := range jsonSpellings(v) {
		add(e)
	}
	return out
}

// plainMask is the placeholder, cut or filled to n bytes.
func plainMask(name string, n int) string {
	m := secret.Placeholder(name)
	if len(m) >= n {
		return m[:n]
	}
	return m + strings.Repeat(filler, n-len(m))
}

// phased returns the part of v's base64 that does not depend on its neighbours
// when phase bytes of a group stand before it.
func phased(enc *base64.Encoding, v string, phase int) string {
	text := enc.WithPadding(base64.NoPadding).EncodeToString([]byte(strings.Repeat("\x00", phase) + v))
	from := (phase*8 + 5) / 6 // letters that hold a bit of what stands before
	to := (phase + len(v)) * 8 / 6
	return text[from:to] // a last letter that is not full depends on what follows
}

// lowerEscapes writes percent escapes with lower-case digits.
func lowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:], strings.ToLower(s[i+1:i+3]))
		}
	}
	return string(b)
}

// jsonSpellings are those of common encoders: with and without HTML escapes,
// with escaped slashes.
func jsonSpellings(v string) []string {
	var out []string
	if b, err := json.Marshal(v); err == nil {
		out = append(out, string(b[1:len(b)-1]))
	}
	var plain strings.Builder
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) == nil {
		p := strings.TrimSuffix(plain.String(), "\n")
		out = append(out, p[1:len(p)-1])
	}
	for _, s := range out {
		out = append(out, strings.ReplaceAll(s, "/", `\/`))
	}
	return out
}
