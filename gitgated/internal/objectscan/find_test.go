package objectscan

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

func token() string {
	b := make([]byte, 18)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return "ghp_" + hex.EncodeToString(b)
}

// TestOneSecretIsFoundOnce has several rules see the same token.
func TestOneSecretIsFoundOnce(t *testing.T) {
	if hits := find([]byte("token = " + token() + "\n")); len(hits) != 1 {
		t.Errorf("%d findings: %+v", len(hits), hits)
	}
	if hits := find([]byte(token() + "\n" + token() + "\n")); len(hits) != 2 {
		t.Errorf("%d findings of two tokens: %+v", len(hits), hits)
	}
}

// TestApprovedFindingsHideNoOther puts another secret behind more approved ones
// than an object is reported with.
func TestApprovedFindingsHideNoOther(t *testing.T) {
	var text strings.Builder
	for range 3 * maxPerObject {
		fmt.Fprintln(&text, token())
	}
	text.WriteString("-----BEGIN RSA PRIVATE KEY-----\n" + strings.Repeat(strings.Repeat("aB3d", 16)+"\n", 8) + "-----END RSA PRIVATE KEY-----\n")
	data := []byte(text.String())
	base := Finding{Object: "o", Kind: "blob"}
	approved := find(data)[0].rule
	s := &Scan{MaxFindings: 20, Allowed: func(object, rule string) bool { return object == "o" && rule == approved }}
	if err := s.report(placed(base, data, find(data))...); err != nil {
		t.Fatal(err)
	}
	if len(s.findings) == 0 || strings.Contains(s.findings[0].Rule, "github") {
		t.Errorf("left after the approval: %+v", s.findings)
	}
}

// TestAStreamIsNotApproved finds the first secret of a stream, behind which
// nobody has looked.
func TestAStreamIsNotApproved(t *testing.T) {
	found, err := findInStream(Finding{Object: "o", Kind: "blob"}, strings.NewReader(token()+"\n"+token()))
	if err != nil || len(found) != 1 || !found[0].Last {
		t.Fatalf("%+v, %v", found, err)
	}
	s := &Scan{MaxFindings: 20, Allowed: func(string, string) bool { return true }}
	if err := s.report(found...); err != nil || len(s.findings) != 1 {
		t.Errorf("%+v, %v", s.findings, err)
	}
}
