package secretscan

import "bytes"

// set is a set of bytes.
type set [256]bool

func chars(ranges ...string) *set {
	var s set
	for _, r := range ranges {
		if len(r) == 3 && r[1] == '-' {
			for c := int(r[0]); c <= int(r[2]); c++ {
				s[c] = true
			}
			continue
		}
		for i := range len(r) {
			s[r[i]] = true
		}
	}
	return &s
}

var (
	alnum        = chars("a-z", "A-Z", "0-9")
	word         = chars("a-z", "A-Z", "0-9", "_")
	urlSafe      = chars("a-z", "A-Z", "0-9", "_-")
	dotted       = chars("a-z", "A-Z", "0-9", "_.-")
	hexSet       = chars("a-f", "A-F", "0-9")
	lowHexSet    = chars("a-f", "0-9")
	base32Set    = chars("A-Z", "2-7")
	lowBase32Set = chars("a-z", "2-7")
	base64Set    = chars("a-z", "A-Z", "0-9", "+/")
	encoded      = chars("a-z", "A-Z", "0-9", "+/_-") // any base64
	bech32Set    = chars("A-Z", "0-9")
)

// token is the shape of most credentials: a literal, then so many bytes of an
// alphabet. What stands to the left does not matter, and more may follow: a
// letter in front, or an escape's ("\nhf_…"), must not hide a token.
type token struct {
	set *set
	// min is how many bytes make a token.
	min int
	// run, if not zero, is for literals so short that random base64 holds one
	// now and then: within a run of so many bytes of it a match is chance.
	run int
	// strong tells a real token's body even from chance.
	strong func([]byte) bool
	// valid judges the body's first min bytes; random, if nil.
	valid func([]byte) bool
	// except judges the surroundings of what is otherwise a finding.
	except func(c Candidate, end int) Verdict
}

// Runs by the length of a literal. Random base64 holds any one of three bytes
// once in 256 KiB, one of four in 16 MiB, one of five in 1 GiB.
const (
	run3 = 256
	run4 = 1024
	run5 = 2048
)

func (t token) check(c Candidate) Verdict {
	end := c.Body + t.min
	for i := c.Body; i < end; i++ {
		if i >= len(c.Data) {
			return c.ranOut()
		}
		if !t.set[c.Data[i]] {
			return No
		}
	}
	body := c.Data[c.Body:end]
	valid := t.valid
	if valid == nil {
		valid = random
	}
	if !valid(body) {
		return No
	}
	if t.run != 0 && (t.strong == nil || !t.strong(body)) {
		if v := c.byChance(end, t.run); v != No {
			return v.not()
		}
	}
	if t.except != nil {
		return t.except(c, end)
	}
	return Yes
}

// ranOut is the answer of a check that met the end of the data.
func (c Candidate) ranOut() Verdict {
	if c.Final {
		return No
	}
	return More
}

// random tells a token's body from a word of documentation: it has a digit or a
// capital, and is not mostly filler.
func random(body []byte) bool {
	filler, marks := 0, 0
	for _, ch := range body {
		switch {
		case ch == 'x' || ch == 'X' || ch == '0' || ch == '_' || ch == '-' || ch == '.':
			filler++
		case ch >= '1' && ch <= '9' || ch >= 'A' && ch <= 'Z':
			marks++
		}
	}
	return marks > 0 && filler*10 < len(body)*8
}

// filled accepts everything but filler, for alphabets of one case.
func filled(body []byte) bool {
	filler := 0
	for _, ch := range body {
		if ch == 'x' || ch == 'X' || ch == '0' {
			filler++
		}
	}
	return filler*10 < len(body)*8
}

// mixed wants small letters, capitals and digits, as random base62 has them.
func mixed(body []byte) bool {
	var n census
	for _, ch := range body {
		n.add(ch)
	}
	return n.lower > 0 && n.upper > 0 && n.digit > 0 && filled(body)
}

// hexadecimal wants letters and digits, as random hexadecimal digits have them.
func hexadecimal(body []byte) bool {
	var n census
	for _, ch := range body {
		n.add(ch)
	}
	return n.lower > 0 && n.digit > 0 && filled(body)
}

// byChance answers Yes for a candidate in the middle of a long run of base64 or
// base64url: both sides go on in the alphabet, together for run bytes, and look
// random.
func (c Candidate) byChance(end, run int) Verdict {
	if c.Field && run > run3 {
		return No // a field is too short for chance, except for that of a long signature
	}
	var seen census
	before := 0
	for ; before < run && before < c.Start && encoded[c.Data[c.Start-1-before]]; before++ {
		seen.add(c.Data[c.Start-1-before])
	}
	if before == 0 {
		return No
	}
	want := max(1, run-before)
	for i := end; i < end+want; i++ {
		if i >= len(c.Data) {
			return c.ranOut()
		}
		if !encoded[c.Data[i]] {
			return No
		}
		seen.add(c.Data[i])
	}
	n := before + want
	if seen.upper < n/8 || seen.lower < n/8 || seen.digit < n/32 {
		return No // a path, a slug, filler
	}
	return Yes
}

// census counts bytes by class.
type census struct{ lower, upper, digit int }

func (n *census) add(ch byte) {
	switch {
	case 'a' <= ch && ch <= 'z':
		n.lower++
	case 'A' <= ch && ch <= 'Z':
		n.upper++
	case '0' <= ch && ch <= '9':
		n.digit++
	}
}

// signature passes an access key id that scopes a request signature: it names
// the key in a signed URL or an Authorization header and opens nothing.
func signature(c Candidate, end int) Verdict {
	before := c.Data[max(0, c.Start-Context):c.Start]
	after := c.Data[end:min(len(c.Data), end+Context)]
	switch {
	case hasSuffixFold(before, "credential=") || hasSuffixFold(before, "credential%3d"):
		if len(after) < 11 && !c.Final {
			return More
		}
		if rest, ok := bytes.CutPrefix(after, []byte("/")); ok && digits(rest, 8) {
			return No
		}
		if len(after) > 3 && hasSuffixFold(after[:3], "%2f") && digits(after[3:], 8) {
			return No
		}
	case hasSuffixFold(before, "awsaccesskeyid="):
		if bytes.Contains(before, []byte("Signature=")) || bytes.Contains(after, []byte("Signature=")) {
			return No
		}
		if len(after) < Context && !c.Final {
			return More
		}
	}
	return Yes
}

func digits(b []byte, n int) bool {
	if len(b) < n {
		return false
	}
	for _, ch := range b[:n] {
		if ch < '0' || ch > '9' {
			return false
		}
	}
	return true
}

func hasSuffixFold(b []byte, suffix string) bool {
	return len(b) >= len(suffix) && bytes.EqualFold(b[len(b)-len(suffix):], []byte(suffix))
}
