// Package secretscan finds credentials of known shapes in bytes that are about
// to leave.
//
// It is built to be run over every byte of every request. A table of byte pairs
// discards almost every position in about a nanosecond; only where a rule's
// literal really stands ("ghp_", "AKIA", "-----BEGIN ") does a small hand-written
// check read on, and says no, yes, or that the data ended too early to tell.
// There are no regular expressions, and clean input allocates nothing.
//
// [Scanner.Find] judges a whole buffer. A [Window] judges a stream: it says
// which bytes may go on, and holds back the few that could be the beginning of
// a secret until what follows decides. A [Reader] is a Window around an
// io.Reader.
//
// What is found is named by its rule and place. The secret itself is never part
// of a [Finding], so that a log of findings is not a second leak.
//
// False positives break builds and conversations, so shapes are exact: the body
// of a token is checked for alphabet and length, placeholders such as
// ghp_xxxxxxxx pass, an access key id that scopes a signed URL passes, and a
// literal of a few bytes in the middle of a kibibyte of base64 is chance, unless
// its token proves itself by a checksum or the like.
package secretscan

// Verdict is what a rule makes of a candidate.
type Verdict int

// not turns the answer of a question into that of its opposite.
func (v Verdict) not() Verdict {
	switch v {
	case No:
		return Yes
	case Yes:
		return No
	}
	return v
}

// The verdicts.
const (
	No   Verdict = iota
	Yes          // a secret
	More         // the data ends before it can be told
)

// Candidate is a place at which a literal of a rule stands.
type Candidate struct {
	// Data is everything at hand: some of what went before, and what follows.
	Data []byte
	// Start is where the literal begins, Body where it ends.
	Start, Body int
	// Field says that Data is a URL or a header, where no encoded file is.
	Field bool
	// Final says that nothing follows Data. Otherwise a check that runs into
	// the end answers More.
	Final bool
}

// Rule describes one kind of secret.
type Rule struct {
	// Name is stable: audit lines and exemptions use it.
	Name string
	// Literals are the ways in which the secret begins, two bytes at least.
	Literals []string
	// Check decides about a candidate. It must decide within [MaxReach] bytes
	// of Start and look back [Context] bytes at most.
	Check func(Candidate) Verdict
}

// Bounds of what a check may look at.
const (
	Context  = 2048 // before a candidate
	MaxReach = 2304 // from its start on
)

// Finding says which rule matched and where.
type Finding struct {
	Rule   string
	Offset int
	// Masked is the public beginning of the secret, then an ellipsis.
	Masked string
}

// Scanner looks for secrets. It is immutable and safe for concurrent use.
type Scanner struct {
	rules   []Rule
	filter  *prefilter
	literal []literal
	field   bool
}

// New builds a scanner. It panics on a rule without a check or with a literal
// shorter than two bytes, because rules are part of the program.
func New(rules []Rule) *Scanner {
	s := &Scanner{rules: rules, filter: new(prefilter)}
	for i, r := range rules {
		if r.Name == "" || r.Check == nil || len(r.Literals) == 0 {
			panic("secretscan: a rule needs a name, a check and a literal: " + r.Name)
		}
		for _, l := range r.Literals {
			if len(l) < 2 || len(l) > maxLiteral {
				panic("secretscan: a literal of " + r.Name + " is too short or too long: " + l)
			}
			s.literal = append(s.literal, literal{text: l, rule: i})
		}
	}
	s.filter.build(s.literal)
	return s
}

// Default is the scanner with the rules of [Rules], for bodies. Field is the
// same for URLs and headers, where hardly anything passes for chance.
var (
	Default = New(Rules())
	Field   = Default.forFields()
)

func (s *Scanner) forFields() *Scanner {
	f := *s
	f.field = true
	return &f
}

// Find returns the first secret in b.
func (s *Scanner) Find(b []byte) (Finding, bool) {
	_, f, ok := s.scan(b, 0, true)
	return f, ok
}

// scan judges the candidates that start at from or later. It returns the first
// secret; else the position before which everything is decided, which is len(b)
// unless a candidate or a literal is cut off by the end of b. What begins after
// an undecided candidate is judged when that one is.
func (s *Scanner) scan(b []byte, from int, final bool) (decided int, f Finding, found bool) {
	decided = len(b)
	for i := from; i < decided+maxLiteral; i++ {
		i = s.filter.next(b, i)
		if i < 0 {
			break
		}
		for _, n := range s.filter.bucket(b[i], b[i+1]) {
			l := &s.literal[n]
			start := i - l.anchor
			if start < from || start > decided || !hasAt(b, start, l.text) {
				continue
			}
			c := Candidate{Data: b, Start: start, Body: start + len(l.text), Field: s.field, Final: final}
			switch s.rules[l.rule].Check(c) {
			case Yes:
				return 0, Finding{Rule: s.rules[l.rule].Name, Offset: start, Masked: l.text + "…"}, true
			case More:
				decided = min(decided, start)
			}
		}
	}
	if !final {
		decided = min(decided, s.filter.cutOff(b, from, s.literal))
	}
	return decided, Finding{}, false
}

func hasAt(b []byte, at int, text string) bool {
	return len(b)-at >= len(text) && string(b[at:at+len(text)]) == text
}
