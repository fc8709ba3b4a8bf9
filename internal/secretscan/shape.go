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
	alnum     = chars("a-z", "A-Z", "0-9")
	word      = chars("a-z", "A-Z", "0-9", "_")
	urlSafe   = chars("a-z", "A-Z", "0-9", "_-")
	dotted    = chars("a-z", "A-Z", "0-9", "_.-")
	hexSet    = chars("a-f", "A-F", "0-9")
	lowHexSet = chars("a-f", "0-9")
	base32Set = chars("A-Z", "2-7")
	base64Set = chars("a-z", "A-Z", "0-9", "+/")
	encoded   = chars("a-z", "A-Z", "0-9", "+/_-=") // any base64
	bech32Set = chars("A-Z", "0-9")
)

// token is the shape of most credentials: a literal, then so many bytes of an
// alphabet.
type token struct {
	set *set
	// min is how many bytes make a token; more may follow.
	min int
	// exact refuses a longer run of the alphabet.
	exact bool
	// left wants the literal at the beginning of a word.
	left bool
	// short marks a literal that random base64 hits now and then.
	short bool
	// valid judges the body's first min bytes; random, if nil.
	valid func([]byte) bool
	// except judges the surroundings of what is otherwise a finding.
	except func(c Candidate, end int) Verdict
}

func (t token) check(c Candidate) Verdict {
	if t.left && c.Start > 0 && alnum[c.Data[c.Start-1]] {
		return No
	}
	end := c.Body + t.min
	for i := c.Body; i < end; i++ {
		if i >= len(c.Data) {
			return c.ranOut()
		}
		if !t.set[c.Data[i]] {
			return No
		}
	}
	if t.exact {
		if end >= len(c.Data) && !c.Final {
			return More
		}
		if end < len(c.Data) && t.set[c.Data[end]] {
			return No
		}
	}
	valid := t.valid
	if valid == nil {
		valid = random
	}
	if !valid(c.Data[c.Body:end]) {
		return No
	}
	if t.short {
		if v := embedded(c, end); v != Yes {
			return v
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
	var lower, upper, digit bool
	for _, ch := range body {
		lower = lower || 'a' <= ch && ch <= 'z'
		upper = upper || 'A' <= ch && ch <= 'Z'
		digit = digit || '0' <= ch && ch <= '9'
	}
	return lower && upper && digit && filled(body)
}

// How much encoded data must surround a candidate for it to be chance.
const (
	runBefore = 64
	runAfter  = 8
)

// embedded answers No for a candidate in the middle of a run of base64 or
// base64url: both sides go on in the alphabet, and what goes before looks
// random.
func embedded(c Candidate, end int) Verdict {
	if c.Start < runBefore {
		return Yes
	}
	var upper, lower, digit int
	for _, ch := range c.Data[c.Start-runBefore : c.Start] {
		switch {
		case !encoded[ch]:
			return Yes
		case 'a' <= ch && ch <= 'z':
			lower++
		case 'A' <= ch && ch <= 'Z':
			upper++
		case '0' <= ch && ch <= '9':
			digit++
		}
	}
	if upper < runBefore/8 || digit < runBefore/32 || lower < runBefore/8 && lower > 0 {
		return Yes // a path, a slug, filler
	}
	for i := end; i < end+runAfter; i++ {
		if i >= len(c.Data) {
			if c.Final {
				return Yes
			}
			return More
		}
		if !encoded[c.Data[i]] {
			return Yes
		}
	}
	return No
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
