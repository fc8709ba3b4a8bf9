package provider

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"text/template"
)

// functions are those of the templates. Whatever a manifest holds becomes one
// string of the file's language, never a part of its structure.
var functions = template.FuncMap{"json": quoteJSON, "toml": quoteTOML, "last": last}

// quoteJSON writes a text as a JSON string.
func quoteJSON(s string) (string, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(s)
	return strings.TrimSuffix(buf.String(), "\n"), err
}

// quoteTOML writes a text as a basic string of TOML, on one line.
func quoteTOML(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s { // what is no UTF-8 becomes U+FFFD, as TOML has no bytes
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// last is the end of a text, at most n bytes.
func last(n int, s string) string { return s[max(0, len(s)-n):] }
