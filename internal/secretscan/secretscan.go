// Package secretscan finds credentials in bytes that are about to leave: in a
// request (pipelockd) or in the objects of a push (gitgated).
//
// It is built to be run over every byte. A table of byte pairs discards almost
// every position in about a nanosecond; only where a rule's literal really
// stands ("ghp_", "AKIA", "-----BEGIN ", "cloudflare") does a check read on, and
// says no, yes, or that the data ended too early to tell. Checks are hand-written
// for what a development machine holds most, and anchored automata (machine.go)
// for the rules of gitleaks (vendored.go). Clean input allocates nothing.
//
// Secrets are also found where they are encoded: spans of base64, base32, hex,
// escapes of URLs, JSON, HTML and programs, UTF-16, look-alike letters and
// compressed data are taken off wherever they stand, up to [MaxDepth] layers, and
// what comes out is judged like the rest (decode.go and the files beside it).
//
// What to use:
//
//   - [Scanner.Find] judges a buffer: the first secret, or none.
//   - [Scanner.FindAll] lists all of them, for a blob.
//   - A [Window] judges a stream: it says which bytes may go on, and holds back
//     the few that could be the beginning of a secret until what follows
//     decides. A [Reader] is a Window around an io.Reader.
//
// There are two profiles. [Traffic] is for requests, where a wrong finding breaks
// a build or a conversation: rules that only fit files are not in it. [Git] has
// every rule. [Default] and [Field] scan traffic; [ForGit] scans blobs. A scanner
// is immutable and safe for concurrent use.
//
// What is found is named by its rule and place. The secret itself is never part
// of a [Finding], so that a log of findings is not a second leak.
//
// False positives are failures, so shapes are exact: the body of a token is
// checked for alphabet, length and, where it has one, its checksum; placeholders
// such as ghp_xxxxxxxx pass, an access key id that scopes a signed URL passes,
// and a literal of a few bytes in the middle of a kibibyte of base64 is chance.
package secretscan

import "sync"

// Verdict is what a rule makes of a candidate.
type Verdict int

// The verdicts.
const (
	No   Verdict = iota
	Yes          // a secret
	More         // the data ends before it can be told
)

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
	// Name is stable: audit lines, actions and exemptions use it.
	Name string
	// Literals are the ways in which the secret, or the name in front of it,
	// begins: two bytes at least, in lower case if Fold is set.
	Literals []string
	// Fold says that the case of a literal does not matter.
	Fold bool
	// Check decides about a candidate. It must decide within [MaxReach] bytes
	// of Start and look back [Context] bytes at most.
	Check func(Candidate) Verdict
	// span says where the secret of a found candidate stands; if nil, from Start
	// to the end of the run of token bytes.
	span func(Candidate) (from, to int)
	// optional says that the rule is ignored unless somebody asks for it.
	optional bool
}

// Bounds of what a check may look at.
const (
	Context  = 2048 // before a candidate
	MaxReach = 2304 // from its start on
)

// Finding says which rule matched and where.
type Finding struct {
	Rule string
	// Offset and End bound the secret in what was scanned, encoded as it stands
	// there.
	Offset, End int
	// Masked is the public beginning of the secret, then an ellipsis.
	Masked string
	// Via names the encodings that were taken off, innermost first, such as
	// "base64 in gzip"; "" for a secret in plain sight.
	Via string
}

// Scanner looks for secrets. It is immutable and safe for concurrent use.
type Scanner struct {
	rules   []Rule
	filter  *prefilter
	literal []literal
	field   bool
	known   *Known // nil without known values
	jobs    *sync.Pool
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
			s.literal = append(s.literal, literal{text: l, rule: i, fold: r.Fold})
		}
	}
	s.filter.build(s.literal)
	s.jobs = &sync.Pool{New: func() any { return new(job) }}
	return s
}

// Default scans the bodies of traffic, Field its URLs and headers, where hardly
// anything passes for chance.
var (
	Default = New(Rules(Traffic))
	Field   = Default.ForFields()
)

// ForGit returns the scanner of blobs, with every rule. It is built on first use.
var ForGit = sync.OnceValue(func() *Scanner { return New(Rules(Git)) })

// ForFields returns the same scanner for URLs and headers.
func (s *Scanner) ForFields() *Scanner {
	f := *s
	f.field = true
	return &f
}

// WithKnown returns a scanner that also finds known values.
func (s *Scanner) WithKnown(k *Known) *Scanner {
	c := *s
	c.known = k
	return &c
}

// Find returns the first secret in b.
func (s *Scanner) Find(b []byte) (Finding, bool) {
	j := s.job(b, 0, true)
	defer s.free(j)
	j.run()
	return j.first, j.found
}

// FindAll returns the secrets in b, in the order in which they were found. After
// 4096 of them it ends with one of the rule [TooDeep]. What is found in b is named once for each rule and place.
func (s *Scanner) FindAll(b []byte) []Finding {
	j := s.job(b, 0, true)
	defer s.free(j)
	j.all = true
	j.run()
	if len(j.list) == 0 {
		return nil
	}
	return append([]Finding(nil), j.list...)
}

// text judges the candidates of a view that start at from or later. It returns
// the position before which everything is decided, which is the view's end unless
// a candidate or a literal is cut off by it. What begins after an undecided
// candidate is judged when that one is.
func (j *job) text(v *view) (decided int) {
	s, b := j.s, v.b
	decided = len(b)
	for i := v.from; i < decided+maxLiteral; i++ {
		i = s.filter.next(b, i)
		if i < 0 {
			break
		}
		for _, n := range s.filter.at(b[i], b[i+1]) {
			l := &s.literal[n]
			start := i - l.anchor
			if start < v.from || start > decided || !l.at(b, start) {
				continue
			}
			c := Candidate{Data: b, Start: start, Body: start + len(l.text), Field: s.field && v.depth == 0, Final: v.final}
			r := &s.rules[l.rule]
			if r.optional && !j.all && j.action(r.Name) == Ignore {
				continue
			}
			switch r.Check(c) {
			case Yes:
				from, to := r.bounds(c)
				if to == len(b) && !v.final && to-start < MaxReach && j.redacts(r.Name) {
					decided = min(decided, start) // its end decides how much is rewritten
				} else if j.emit(v, r.Name, l.text+"…", from, to) {
					return start
				}
			case More:
				decided = min(decided, start)
			}
		}
	}
	if !v.final {
		decided = min(decided, s.filter.cutOff(b, v.from, s.literal))
	}
	return decided
}

// bounds says where a found secret stands.
func (r *Rule) bounds(c Candidate) (from, to int) {
	if r.span != nil {
		return r.span(c)
	}
	to = c.Body
	for to < len(c.Data) && to < c.Start+MaxReach && (encoded[c.Data[to]] || c.Data[to] == '.' || c.Data[to] == '=') {
		to++
	}
	return c.Start, to
}

func hasAt(b []byte, at int, text string) bool {
	return len(b)-at >= len(text) && string(b[at:at+len(text)]) == text
}
