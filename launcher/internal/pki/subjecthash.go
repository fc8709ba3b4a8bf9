package pki

import (
	"bytes"
	"crypto/sha1"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"unicode/utf16"
)

// SubjectHash is the name under which OpenSSL looks for a root in a directory
// of certificates: what `openssl x509 -subject_hash` prints, X509_NAME_hash.
// It is the head of the SHA-1 of the subject in a canonical form: each
// attribute's text as UTF-8, in lower case, without white space at its ends and
// with single spaces inside; SETs one after the other, without the SEQUENCE
// around them. SHA-1 serves as a lookup key here, not as a promise.
func SubjectHash(c *x509.Certificate) (string, error) {
	var rdns []asn1.RawValue
	if _, err := asn1.Unmarshal(c.RawSubject, &rdns); err != nil {
		return "", fmt.Errorf("cannot read the subject of the certificate: %w", err)
	}
	var canonical []byte
	for _, rdn := range rdns {
		set, err := canonicalSet(rdn.Bytes)
		if err != nil {
			return "", fmt.Errorf("cannot read the subject of the certificate: %w", err)
		}
		canonical = append(canonical, set...)
	}
	sum := sha1.Sum(canonical)
	return fmt.Sprintf("%08x", binary.LittleEndian.Uint32(sum[:4])), nil
}

type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

func canonicalSet(content []byte) ([]byte, error) {
	var encoded []attribute
	for len(content) > 0 {
		var a attribute
		rest, err := asn1.Unmarshal(content, &a)
		if err != nil {
			return nil, err
		}
		content = rest
		if text, ok := text(a.Value); ok {
			a.Value = asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagUTF8String, Bytes: canonicalText(text)}
		}
		encoded = append(encoded, a)
	}
	return asn1.MarshalWithParams(encoded, "set")
}

// text decodes the string types that OpenSSL canonicalises; other values stay
// as they are.
func text(v asn1.RawValue) ([]byte, bool) {
	switch v.Tag {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String, asn1.TagNumericString, 26: // VisibleString
		return v.Bytes, true
	case asn1.TagT61String: // taken for Latin-1
		var out []rune
		for _, b := range v.Bytes {
			out = append(out, rune(b))
		}
		return []byte(string(out)), true
	case asn1.TagBMPString:
		var units []uint16
		for i := 0; i+1 < len(v.Bytes); i += 2 {
			units = append(units, binary.BigEndian.Uint16(v.Bytes[i:]))
		}
		return []byte(string(utf16.Decode(units))), true
	}
	return nil, false
}

func canonicalText(s []byte) []byte {
	out := bytes.Join(bytes.FieldsFunc(s, isSpace), []byte(" "))
	for i, b := range out {
		if 'A' <= b && b <= 'Z' {
			out[i] = b + 'a' - 'A'
		}
	}
	return out
}

// isSpace is isspace of the C locale.
func isSpace(r rune) bool { return r == ' ' || '\t' <= r && r <= '\r' }
