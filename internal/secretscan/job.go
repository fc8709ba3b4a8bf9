package secretscan

// Action is what becomes of a secret that was found.
type Action uint8

// The actions. Block is what holds where nobody has said anything.
const (
	Block  Action = iota // stop
	Redact               // overwrite it, then judge again
	Warn                 // let it pass, and say so
	Ignore               // let it pass
)

// Policy says what becomes of the secrets of one rule. A nil Policy is
// [DefaultAction].
type Policy func(rule string) Action

// Bounds of decoding.
const (
	// MaxDepth is how many layers of encoding are taken off.
	MaxDepth = 3
	// Work bounds what decoders put out for each byte that is scanned, beyond a
	// free allowance. Who nests encodings so that they multiply is refused.
	workRatio = 32
	freeWork  = 256 << 10
)

// Bounds of what is found in one buffer: of what is listed, and of what is
// overwritten.
const (
	maxFindings = 256
	maxRedacted = 4096
)

// TooDeep is the rule of a finding that is no secret: decoding came to its
// bounds, so that what was scanned cannot be cleared.
const TooDeep = "undecodable"

// job is one use of a scanner: what it is looking at, and what it found. Jobs are
// pooled with their buffers, so that clean input allocates nothing.
type job struct {
	s      *Scanner
	policy Policy
	seen   *Sightings // of known values, nil without any
	all    bool

	found bool
	first Finding
	list  []Finding

	work, limit int
	// unpacked is what decompressors put out of the stream so far, mayUnpack what
	// they may.
	unpacked, mayUnpack int
	steps               int // all that was done beyond looking at each byte once
	views               [2*MaxDepth + 2]view
	scratch             [2*MaxDepth + 2]scratch
	phrase              []uint16
}

// scratch are the buffers of one depth.
type scratch struct {
	out, joined []byte
	pos, joints []int32
	inflater    inflater
}

// view is a text that is judged: what came in, at depth 0, or what a decoder put
// out.
type view struct {
	b     []byte
	from  int // candidates before it were judged already
	final bool
	depth int // among the views of the job
	// layers is how many encodings were taken off.
	layers int
	// name is the decoder's, "" at depth 0.
	name   string
	parent *view
	// A byte of this view stands in its parent at pos[i], or at base + i*num/den,
	// or, when den is 0, somewhere from base to baseEnd.
	pos []int32
	// whole says that the view begins where its encoding does.
	whole         bool
	base, baseEnd int
	num, den      int
	// start is the offset in the stream of b[0], at depth 0.
	start int
	// runStart is the offset in the stream at which a run of encoded bytes began
	// that b begins within, or -1.
	runStart int
}

func (s *Scanner) job(b []byte, from int, final bool) *job {
	j := s.jobs.Get().(*job)
	j.s, j.policy, j.seen, j.all = s, nil, nil, false
	j.found, j.first, j.list = false, Finding{}, j.list[:0]
	j.work, j.limit, j.steps = 0, freeWork+workRatio*(len(b)-from), 0
	j.unpacked, j.mayUnpack = 0, freeUnpacked+maxRatio*len(b)
	j.views[0] = view{b: b, from: from, final: final, runStart: -1}
	return j
}

func (s *Scanner) free(j *job) {
	for i := range j.views {
		j.views[i] = view{} // no view of somebody's body stays behind
	}
	j.first, j.seen, j.policy = Finding{}, nil, nil
	clear(j.list)
	s.jobs.Put(j)
}

// run judges the outermost view and returns the position before which everything
// is decided.
func (j *job) run() (decided int) { return j.judge(&j.views[0]) }

// judge looks at a view as it stands, then at what is encoded in it.
func (j *job) judge(v *view) (decided int) {
	decided = j.text(v)
	if j.found {
		return decided
	}
	decided = min(decided, j.known(v))
	if j.found {
		return decided
	}
	j.seeds(v)
	if j.found || v.layers == MaxDepth {
		return decided
	}
	return min(decided, j.decode(v))
}

// child prepares the view of what a decoder put out, of the bytes from base to
// baseEnd of its parent.
func (j *job) child(parent *view, name string, b []byte, base, baseEnd int) *view {
	v := &j.views[parent.depth+1]
	*v = view{
		b: b, depth: parent.depth + 1, layers: parent.layers + 1, name: name, parent: parent, base: base, baseEnd: baseEnd,
		final: parent.final || baseEnd < len(parent.b), runStart: -1,
	}
	return v
}

// nested judges a child and returns how far its parent is decided by it.
func (j *job) nested(v *view) (decided int) {
	j.steps += len(v.b)
	if j.work += len(v.b); j.work > j.limit {
		j.emit(v.parent, TooDeep, "…", v.base, v.baseEnd)
		return len(v.parent.b)
	}
	d := j.judge(v)
	if v.final || d >= len(v.b) {
		return len(v.parent.b)
	}
	at, _ := v.outer(d, d)
	return at
}

// outer translates bounds in a view into bounds in its parent.
func (v *view) outer(from, to int) (int, int) {
	switch {
	case v.pos != nil:
		return int(v.pos[from]), int(v.pos[to])
	case v.den == 0:
		return v.base, v.baseEnd
	}
	return v.base + from*v.num/v.den, min(v.baseEnd, v.base+(to*v.num+v.den-1)/v.den)
}

// action is what becomes of a rule's findings.
func (j *job) action(rule string) Action {
	if j.policy == nil {
		return DefaultAction(rule)
	}
	return j.policy(rule)
}

// redacts reports whether findings of a rule are rewritten.
func (j *job) redacts(rule string) bool { return j.policy != nil && j.policy(rule) == Redact }

// emit takes note of a finding. It reports whether the job is done with it.
func (j *job) emit(v *view, rule, masked string, from, to int) (stop bool) {
	via := ""
	for ; v.parent != nil; v = v.parent {
		from, to = v.outer(from, to)
		if v.name != "" {
			if via != "" {
				via += " in "
			}
			via += v.name
		}
	}
	if to <= v.from {
		return false // it was found when that was scanned
	}
	action := Block
	if !j.all && rule != TooDeep {
		action = j.action(rule)
	}
	f := Finding{Rule: rule, Offset: from, End: to, Masked: masked, Via: via}
	switch {
	case action == Ignore:
		return false
	case action == Block && !j.all:
		j.found, j.first = true, f
		return true
	}
	for i := range j.list {
		if l := &j.list[i]; l.Rule == rule && l.Offset == from {
			return false
		}
	}
	switch {
	case len(j.list) < maxFindings || (j.all || action == Redact) && len(j.list) < maxRedacted:
		j.list = append(j.list, f)
		return false
	case action == Warn && !j.all:
		return false // it was said often enough
	}
	f.Rule = TooDeep // a list that is full says so by its last finding
	if j.all {
		j.list = append(j.list, f)
	}
	j.found, j.first = true, f
	return true
}
