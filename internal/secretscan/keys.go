package secretscan

import "bytes"

// Bounds of a private key: the label in its first line, and how much of a body
// makes it a key rather than talk about one.
const (
	keyLabel = 64
	keyBody  = 40
)

// privateKey wants the first line of PEM, OpenPGP or SSH2, which has a blank
// after its hyphens, and then a key.
func privateKey(c Candidate) Verdict {
	end := min(len(c.Data), c.Body+keyLabel)
	label := c.Data[c.Body:end]
	i := bytes.Index(label, []byte("PRIVATE KEY"))
	if i < 0 {
		if end == len(c.Data) {
			return c.ranOut()
		}
		return No
	}
	at := c.Body + i + len("PRIVATE KEY")
	const rest = " BLOCK-----"
	if at+len(rest) > len(c.Data) && !c.Final {
		return More
	}
	if hasAt(c.Data, at, " BLOCK") {
		at += len(" BLOCK")
	}
	if hasAt(c.Data, at, " ") {
		at++
	}
	if !hasAt(c.Data, at, "----") {
		return No
	}
	for at < len(c.Data) && c.Data[at] == '-' {
		at++
	}
	return keyFollows(c, at)
}

func puttyKey(c Candidate) Verdict { return keyFollows(c, c.Body) }

// keyFollows wants base64 within reach, and before a line of hyphens. It may be
// broken into lines of any width, indented, quoted, or escaped in JSON; text is
// told by what stands between two words of a line.
func keyFollows(c Candidate, at int) Verdict {
	var body census
	n := 0
	// broken says that a line has ended since the last byte of the body, split
	// that something else has come between, inner that the body began within a
	// line of text, and so ends with it.
	broken, split, inner := true, false, false
	for i := at; i < c.Start+MaxReach; i++ {
		if i >= len(c.Data) {
			return c.ranOut()
		}
		switch ch := c.Data[i]; {
		case base64Set[ch]:
			if within := split && !broken; within || inner && broken {
				n, body, inner = 0, census{}, within
			}
			broken, split = false, false
			body.add(ch)
			if n++; n >= keyBody && body.lower > 0 && body.upper > 0 && body.digit > 0 {
				return Yes
			}
		case ch == '\n' || ch == '\r':
			broken = true
		case ch == '\\' && i+1 < len(c.Data): // an escape
			i++
			broken = broken || bytes.IndexByte([]byte(`nrtu\`), c.Data[i]) >= 0
			if c.Data[i] == 'u' {
				i += 4
			}
		case ch == '-' && hasAt(c.Data, i, "----"):
			return No
		default:
			split = true
		}
	}
	return No
}

// endOfKey returns the bounds of a private key: to the end of the line that
// closes it, or of what is there.
func endOfKey(c Candidate) (from, to int) {
	const longest = 16 << 10
	data := c.Data[:min(len(c.Data), c.Start+longest)]
	if i := bytes.Index(data[c.Body:], []byte("END ")); i >= 0 {
		to = c.Body + i
		for to < len(data) && data[to] != '\n' && data[to] != '\\' && data[to] != '"' {
			to++
		}
		return c.Start, to
	}
	return c.Start, len(data)
}
