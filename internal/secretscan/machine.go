package secretscan

import (
	"regexp/syntax"
	"sync"
	"unicode/utf8"
)

// machine runs a regular expression from one place on, and nowhere else. Unlike
// package regexp it can answer that the data ended before it could be told, and
// it stops at the first byte that no match can go through, so that an expression
// costs what its literal prefix costs almost everywhere.
//
// It reports the shortest match: whether there is one is what counts.
type machine struct {
	prog *syntax.Prog
	pool sync.Pool // of *threads
}

// threads are the states that a run is in, and those that it goes on to.
type threads struct {
	now, next []uint32
	seen      []uint32 // by instruction: the step at which it was last added
	step      uint32
	matched   bool
	// cutOff says that a state hangs on the byte behind the data.
	cutOff bool
}

// newMachine compiles an expression. It panics on a bad one, because rules are
// part of the program.
func newMachine(expr string) *machine {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		panic("secretscan: " + err.Error())
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		panic("secretscan: " + err.Error())
	}
	m := &machine{prog: prog}
	m.pool.New = func() any { return &threads{seen: make([]uint32, len(prog.Inst))} }
	return m
}

// match looks for a match of b that begins at from and ends at limit at most.
func (m *machine) match(b []byte, from, limit int, final bool) (v Verdict, end int) {
	t := m.pool.Get().(*threads)
	defer m.pool.Put(t)
	t.now, t.next, t.cutOff = t.now[:0], t.next[:0], false
	t.begin()
	m.add(t, uint32(m.prog.Start), b, from, final)
	for pos := from; ; pos++ {
		t.now, t.next = t.next, t.now[:0]
		switch {
		case t.matched:
			return Yes, pos
		case len(t.now) == 0 && !t.cutOff || pos >= limit:
			return No, 0
		case pos >= len(b) && final:
			return No, 0
		case pos >= len(b):
			return More, 0
		}
		r := rune(b[pos])
		if r >= utf8.RuneSelf {
			r = utf8.RuneError
		}
		t.begin()
		for _, pc := range t.now {
			if inst := &m.prog.Inst[pc]; inst.MatchRune(r) {
				m.add(t, inst.Out, b, pos+1, final)
			}
		}
	}
}

// begin starts a step.
func (t *threads) begin() {
	t.matched = false
	if t.step++; t.step == 0 { // it went around
		clear(t.seen)
		t.step = 1
	}
}

// add adds a state and all that follow from it without a byte.
func (m *machine) add(t *threads, pc uint32, b []byte, pos int, final bool) {
	if t.seen[pc] == t.step {
		return
	}
	t.seen[pc] = t.step
	switch inst := &m.prog.Inst[pc]; inst.Op {
	case syntax.InstAlt, syntax.InstAltMatch:
		m.add(t, inst.Out, b, pos, final)
		m.add(t, inst.Arg, b, pos, final)
	case syntax.InstCapture, syntax.InstNop:
		m.add(t, inst.Out, b, pos, final)
	case syntax.InstEmptyWidth:
		if pos >= len(b) && !final {
			t.cutOff = true
			return
		}
		if syntax.EmptyOp(inst.Arg)&^around(b, pos) == 0 {
			m.add(t, inst.Out, b, pos, final)
		}
	case syntax.InstMatch:
		t.matched = true
	case syntax.InstFail:
	default:
		t.next = append(t.next, pc)
	}
}

// around says what holds between the bytes at pos.
func around(b []byte, pos int) syntax.EmptyOp {
	before, after := rune(-1), rune(-1)
	if pos > 0 {
		before = rune(b[pos-1])
	}
	if pos < len(b) {
		after = rune(b[pos])
	}
	return syntax.EmptyOpContext(before, after)
}
