package secretscan

// minLine is the shortest line that may be one of many.
const minLine = 20

// maxGap bounds what may stand between two lines of one text.
const maxGap = 24

// lines joins the run from start to end with those that follow it on lines of
// their own, decodes the whole, and returns where it ended.
func (j *job) lines(v *view, start, end int) (next, decided int) {
	decided = len(v.b)
	if lineAfter(v.b, end) < 0 {
		return end, decided
	}
	if start == 0 && v.parent == nil && v.start > 0 { // the line began before
		start = end - (end-start)&^3
	}
	for {
		s := &j.scratch[v.depth+1]
		s.joined, s.joints = s.joined[:0], s.joints[:0]
		lineAt, count := start, 0
		again := -1 // the line at which the next piece begins
		for {
			if again < 0 && len(s.joined) >= piece-overlap && count > 0 {
				again = lineAt
			}
			for i := lineAt; i < end; i++ {
				s.joined, s.joints = append(s.joined, v.b[i]), append(s.joints, int32(i))
			}
			count++
			at := lineAfter(v.b, end)
			if at < 0 || len(s.joined) >= piece {
				break
			}
			lineAt = at
			for end = at; end < len(v.b) && encoded[v.b[end]]; end++ {
			}
		}
		if count > 1 {
			s.joints = append(s.joints, int32(end))
			c := j.child(v, "", s.joined, start, end)
			c.layers, c.pos = v.layers, s.joints
			if j.work += len(s.joined); j.work > j.limit {
				j.emit(v, TooDeep, "…", start, end)
				return end, decided
			}
			if d := j.oneRun(c, 0, len(c.b)); d < len(c.b) && !c.final {
				decided = min(decided, int(c.pos[d]))
			}
		}
		if j.found || len(s.joined) < piece || again <= start {
			return end, decided
		}
		start = again
		for end = start; end < len(v.b) && encoded[v.b[end]]; end++ {
		}
	}
}

// lineAfter returns where the line after the one that ends at i begins, or -1:
// behind a line break, as it stands or as an escape, with blanks, quotes and a
// joining operator around it.
func lineAfter(b []byte, i int) int {
	broken := false
	for end := min(len(b), i+maxGap); i < end; i++ {
		switch c := b[i]; {
		case c == '\n' || c == '\r':
			broken = true
		case c == '\\' && i+1 < len(b):
			i++
			broken = broken || b[i] == 'n' || b[i] == 'r' || b[i] == '\n'
		case c == ' ' || c == '\t' || c == '"' || c == '\'' || c == ',' || c == '>' || c == '#' || c == '*':
		case encoded[c] && broken && c != '+' && c != '-':
			return i
		case c != '+' && c != '-':
			return -1
		}
	}
	return -1
}
