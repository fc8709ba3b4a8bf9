package secretscan

import (
	"bytes"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// pattern is a vendored rule, in the pieces that tools/secretrules made of it.
type pattern struct {
	id    string
	kind  kind
	words []string // literals, in lower case if fold is set
	fold  bool
	regex string
	// entropy is what a secret has at least, in bits a byte.
	entropy float64
	allow   []allowance
	// path is of files in which alone the rule means something.
	path string
}

// kind says how a pattern is matched where one of its words stands.
type kind uint8

const (
	// assigned: the word is part of a name, which an operator and a value follow.
	assigned kind = iota
	// prefixed: the word is the beginning of a match.
	prefixed
	// anywhere: the match is somewhere around the word.
	anywhere
)

// allowance lists what is no secret though a pattern matches it.
type allowance struct {
	// target is what the expressions judge: the secret if empty, else "match" or
	// "line".
	target    string
	regexes   []string
	stopwords string // divided by blanks; always of the secret
}

// Bounds of a name and of the surroundings that a pattern may look at.
const (
	nameReach = 40
	aroundMax = 600
)

// compiled is a pattern with its machine, made on first use: most programs never
// meet most words.
type compiled struct {
	pattern
	traffic bool
	machine func() *machine
	search  func() *regexp.Regexp
	allowed func() []judge
}

// judge is an allowance, compiled.
type judge struct {
	target    string
	regexes   []*regexp.Regexp
	stopwords []string
}

func compile(p pattern, traffic bool) *compiled {
	c := &compiled{pattern: p, traffic: traffic}
	c.machine = sync.OnceValue(func() *machine { return newMachine(p.regex) })
	c.search = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(p.regex) })
	c.allowed = sync.OnceValue(func() []judge {
		out := slices.Clone(globalJudge())
		for _, a := range p.allow {
			out = append(out, a.compile())
		}
		return out
	})
	return c
}

var globalJudge = sync.OnceValue(func() []judge { return []judge{vendoredAllow.compile()} })

func (a allowance) compile() judge {
	j := judge{target: a.target, stopwords: strings.Fields(a.stopwords)}
	for _, r := range a.regexes {
		j.regexes = append(j.regexes, regexp.MustCompile(r))
	}
	return j
}

// rule is the pattern as the scanner takes it.
func (p *compiled) rule() Rule {
	return Rule{
		Name: p.id, Literals: p.words, Fold: p.fold,
		Check: func(c Candidate) Verdict { v, _, _ := p.find(c); return v },
		span:  func(c Candidate) (int, int) { _, from, to := p.find(c); return from, to },
	}
}

// find decides about a candidate and says where the secret stands.
func (p *compiled) find(c Candidate) (v Verdict, from, to int) {
	switch p.kind {
	case anywhere:
		return p.findAround(c)
	case assigned:
		if from, v = c.valueAt(p.traffic); v != Yes {
			return v, 0, 0
		}
	default:
		from = c.Start
	}
	v, to = p.machine().match(c.Data, from, c.Start+MaxReach, c.Final)
	if v != Yes {
		return v, 0, 0
	}
	if last := c.Data[to-1]; strings.HasSuffix(p.regex, "/-]|$)") && !encoded[last] && last != '=' {
		to-- // the byte that ended it
	}
	if p.kind == prefixed && len(c.Data[c.Start:c.Body]) <= 5 {
		if v := c.byChance(to, runOf(c.Body-c.Start)); v != No {
			return v.not(), 0, 0
		}
	}
	if !p.isSecret(c, from, to) {
		return No, 0, 0
	}
	return Yes, from, to
}

// runOf is the run in which a literal of n bytes is chance.
func runOf(n int) int {
	switch {
	case n <= 3:
		return run3
	case n == 4:
		return run4
	}
	return run5
}

// findAround searches the surroundings of a word.
func (p *compiled) findAround(c Candidate) (v Verdict, from, to int) {
	if len(c.Data) < c.Body+aroundMax && !c.Final {
		return More, 0, 0
	}
	low, high := max(0, c.Start-aroundMax), min(len(c.Data), c.Body+aroundMax)
	m := p.search().FindSubmatchIndex(c.Data[low:high])
	if m == nil {
		return No, 0, 0
	}
	from, to = low+m[0], low+m[1]
	for g := 2; g+1 < len(m); g += 2 {
		if m[g] >= 0 {
			from, to = low+m[g], low+m[g+1]
			break
		}
	}
	if !p.isSecret(c, from, to) {
		return No, 0, 0
	}
	return Yes, from, to
}

// valueAt finds the value that is given to a name around the candidate. Names go
// on, may be quoted, and stand before one of the operators of configuration
// files, programs, JSON and XML. In traffic the name must say that it is one of
// a secret, because a mere product's name stands before hashes and identifiers
// all day.
func (c Candidate) valueAt(traffic bool) (at int, v Verdict) {
	i := c.Body
	for ; i < len(c.Data) && i < c.Body+nameReach && (word[c.Data[i]] || strings.IndexByte(" \t.-'\"\\\r\n[]", c.Data[i]) >= 0); i++ {
	}
	if i >= len(c.Data) {
		return 0, c.ranOut()
	}
	name := c.Data[max(0, c.Start-nameReach):i]
	if i, v = c.operatorAt(i); v != Yes {
		return 0, v
	}
	for n := 0; n < 8; n++ {
		if i >= len(c.Data) {
			return 0, c.ranOut()
		}
		if strings.IndexByte("`'\"\\= \t\r\n", c.Data[i]) < 0 {
			break
		}
		i++
	}
	if traffic && !saysSecret(name) {
		return 0, No
	}
	return i, Yes
}

// operatorAt skips the operator at i.
func (c Candidate) operatorAt(i int) (next int, v Verdict) {
	if i+3 >= len(c.Data) && !c.Final {
		return 0, More
	}
	at := func(j int) byte {
		if j < len(c.Data) {
			return c.Data[j]
		}
		return 0
	}
	switch at(i) {
	case '=':
		if at(i+1) == '>' {
			i++
		}
	case ':':
		for n := 0; n < 2 && at(i+1) == ':'; n++ {
			i++
		}
		if at(i+1) == '=' {
			i++
		}
	case '>', ',':
	case '|':
		if at(i+1) != '|' {
			return 0, No
		}
		i++
	case '?':
		if at(i+1) != '=' {
			return 0, No
		}
		i++
	default:
		return 0, No
	}
	return i + 1, Yes
}

var secretWords = []string{"key", "token", "secret", "pass", "pwd", "auth", "cred", "api"}

// saysSecret reports whether a name is one of a secret.
func saysSecret(name []byte) bool {
	if i := bytes.LastIndexAny(name, "\n,;{("); i >= 0 && i < len(name)-nameReach {
		name = name[i:]
	}
	low := bytes.ToLower(name)
	for _, w := range secretWords {
		if bytes.Contains(low, []byte(w)) {
			return true
		}
	}
	return false
}

// isSecret asks the pattern's entropy and what it allows.
func (p *compiled) isSecret(c Candidate, from, to int) bool {
	secret := c.Data[from:to]
	need := p.entropy
	if p.traffic && p.kind == assigned {
		need = max(need, 3)
		var n census
		for _, ch := range secret {
			n.add(ch)
		}
		if n.digit == 0 || n.lower+n.upper == 0 {
			return false // a word, or a number
		}
	}
	if len(secret) == 0 || entropy(secret) < need || p.traffic && !filled(secret) {
		return false
	}
	for _, j := range p.allowed() {
		if j.allows(c, from, to) {
			return false
		}
	}
	return true
}

func (j judge) allows(c Candidate, from, to int) bool {
	target := c.Data[from:to]
	switch j.target {
	case "match":
		target = c.Data[max(0, c.Start-nameReach):to]
	case "line":
		low := bytes.LastIndexByte(c.Data[:from], '\n') + 1
		high := len(c.Data)
		if i := bytes.IndexByte(c.Data[to:], '\n'); i >= 0 {
			high = to + i
		}
		target = c.Data[max(low, from-aroundMax):min(high, to+aroundMax)]
	}
	for _, r := range j.regexes {
		if r.Match(target) {
			return true
		}
	}
	if len(j.stopwords) == 0 {
		return false
	}
	low := string(bytes.ToLower(c.Data[from:to]))
	return slices.ContainsFunc(j.stopwords, func(w string) bool { return strings.Contains(low, w) })
}

// entropy is Shannon's, in bits a byte.
func entropy(b []byte) float64 {
	var count [256]int
	for _, ch := range b {
		count[ch]++
	}
	e := 0.0
	for _, n := range count {
		if n > 0 {
			f := float64(n) / float64(len(b))
			e -= f * math.Log2(f)
		}
	}
	return e
}
