package main

import (
	"errors"
	"regexp/syntax"
	"slices"
	"strings"
)

// pattern is a rule in the form in which the scanner works with it.
type pattern struct {
	id string
	// kind is assigned (a name, an operator, a value), prefixed (it begins with
	// a literal) or anywhere (it must be searched for).
	kind string
	// words are the literals that are looked for: in lower case if fold is set.
	words []string
	fold  bool
	// regex is the value of an assigned pattern, the whole of another one.
	regex   string
	entropy float64
	path    string
	allow   []allowlist
}

// What gitleaks builds its rules from.
const (
	nameTail   = `(?:[ \t\w.-]{0,20})[\s'"]{0,3}`
	operator   = `(?:=|>|:{1,3}=|\|\||:|=>|\?=|,)[\x60'"\s=]{0,5}`
	boundary   = `(?:[\x60'"\s;]|\\[nr]|$)`
	schemeOpt  = `(?:https?://)?`
	scopedHead = `[\w.-]{0,50}?(?i:[\w.-]{0,50}?`
	foldedHead = `(?i)[\w.-]{0,50}?`
	// ends is the boundary that we use: nothing that could be more of a token.
	ends = `(?:[^A-Za-z0-9_+/-]|$)`
)

func classify(r rule) ([]pattern, error) {
	base := pattern{id: r.ID, entropy: r.Entropy, allow: r.Allowlists, path: r.Path}
	name, value, ok := strings.Cut(r.Regex, nameTail)
	if !ok {
		p, err := prefixed(base, r)
		return []pattern{p}, err
	}
	value, more, twice := strings.Cut(value, `|\b(`)
	out := []pattern{}
	p, err := assigned(base, name, value)
	if err != nil {
		return nil, err
	}
	out = append(out, p)
	if twice {
		r.Regex = `\b(` + more
		q, err := prefixed(base, r)
		if err != nil {
			return nil, err
		}
		out = append(out, q)
	}
	return out, nil
}

// assigned takes "name operator value" to pieces.
func assigned(p pattern, name, value string) (pattern, error) {
	p.kind, p.fold = "assigned", true
	flags := ""
	if rest, ok := strings.CutPrefix(name, foldedHead); ok {
		name, flags = rest, "(?i)"
	} else if rest, ok := strings.CutPrefix(name, scopedHead); ok {
		name, value = rest, strings.TrimPrefix(value, ")")
	} else {
		return p, errors.New("an assignment of an unknown form")
	}
	value, ok := strings.CutPrefix(value, operator)
	if !ok {
		return p, errors.New("an operator of an unknown form")
	}
	value, _ = strings.CutSuffix(value, boundary)
	re, err := syntax.Parse("(?i)"+name, syntax.Perl)
	if err != nil {
		return p, err
	}
	words, whole := literals(re.Simplify())
	if len(words) == 0 {
		return p, errors.New("a name without a literal")
	}
	_ = whole
	for i, w := range words {
		words[i] = strings.ToLower(w)
	}
	slices.Sort(words)
	p.words = slices.Compact(words)
	p.regex = flags + value + ends
	return p, nil
}

// prefixed finds the literals with which a pattern begins. A literal that
// random text may hold keeps its boundaries; one with a separator in it needs
// none, and nobody gets around it by a letter in front.
func prefixed(p pattern, r rule) (pattern, error) {
	regex := strings.TrimPrefix(r.Regex, schemeOpt)
	re, err := syntax.Parse(regex, syntax.Perl)
	if err != nil {
		return p, err
	}
	words, _ := literals(re.Simplify())
	short := slices.ContainsFunc(words, func(w string) bool { return len(w) < 2 })
	if len(words) == 0 || short || strings.HasPrefix(regex, "https://") {
		p.kind, p.regex, p.fold = "anywhere", r.Regex, true
		p.words = lower(r.Keywords)
		return p, nil
	}
	p.kind = "prefixed"
	p.fold = strings.HasPrefix(regex, "(?i)")
	p.words = words
	if p.fold {
		p.words = lower(words)
	}
	slices.Sort(p.words)
	p.words = slices.Compact(p.words)
	plain := slices.ContainsFunc(words, func(w string) bool { return !strings.ContainsAny(w, "_-.~=: /") })
	for _, b := range []string{boundary, `(?:[^\w-]|\z)`, `(?:[^a-zA-Z0-9+/]|\z)`, `(?:[\x60'"\s;]|\\[nr]|$|\b)`} {
		if rest, ok := strings.CutSuffix(regex, b); ok {
			if regex = rest; plain {
				regex += ends
			}
		}
	}
	if rest, ok := strings.CutSuffix(regex, `\b`); ok {
		if regex = rest; plain {
			regex += ends
		}
	}
	if !plain {
		regex = strings.TrimPrefix(regex, `\b`)
		regex = strings.Replace(regex, `(?i)\b`, `(?i)`, 1)
	}
	p.regex = regex
	return p, nil
}

func lower(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = strings.ToLower(w)
	}
	return out
}

// maxLiterals bounds into how many beginnings an expression may unfold.
const maxLiterals = 12

// literals lists the strings with which what re matches can begin, and says
// whether these are all of it. None means that it cannot be said.
func literals(re *syntax.Regexp) (words []string, whole bool) {
	switch re.Op {
	case syntax.OpLiteral:
		return []string{string(re.Rune)}, true
	case syntax.OpCharClass:
		return classLiterals(re)
	case syntax.OpCapture:
		return literals(re.Sub[0])
	case syntax.OpEmptyMatch, syntax.OpWordBoundary, syntax.OpBeginText, syntax.OpBeginLine:
		return []string{""}, true
	case syntax.OpAlternate:
		whole = true
		for _, sub := range re.Sub {
			w, all := literals(sub)
			if len(w) == 0 {
				return nil, false
			}
			words, whole = append(words, w...), whole && all
		}
		return words, whole
	case syntax.OpConcat:
		return concatenated(re.Sub)
	}
	return nil, false
}

// classLiterals unfolds a small class, such as one letter in both cases.
func classLiterals(re *syntax.Regexp) (words []string, whole bool) {
	for i := 0; i < len(re.Rune); i += 2 {
		for c := re.Rune[i]; c <= re.Rune[i+1]; c++ {
			if words = append(words, string(c)); len(words) > 6 {
				return nil, false
			}
		}
	}
	return words, true
}

func concatenated(subs []*syntax.Regexp) (words []string, whole bool) {
	words = []string{""}
	for _, sub := range subs {
		w, all := literals(sub)
		if len(w) == 0 || len(w)*len(words) > maxLiterals {
			return words, false
		}
		var next []string
		for _, a := range words {
			for _, b := range w {
				next = append(next, a+b)
			}
		}
		if words = next; !all {
			return words, false
		}
	}
	return words, true
}
