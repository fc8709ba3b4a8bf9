package verify

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/bottlesuite/bottle/launcher/internal/engine"
	"github.com/bottlesuite/bottle/launcher/internal/plain"
)

// harvestTool marks the plan for which the guest's files come out, to be searched
// here: no secret goes in to be looked for.
const harvestTool = "harvest"

// found is what a harvest held.
type found struct {
	secrets []string // their names, with where they stood
	looked  int      // for how many
	end     string   // its last line
}

// harvest searches all that the guest could know for the bottle's secrets.
func (p *installed) harvest(ctx context.Context, pl *plan) error {
	secrets, err := p.site.secrets()
	if err != nil {
		pl.died = err
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, p.site.probeTime())
	defer cancel()
	s := &searcher{secrets: secrets}
	var complaint limited
	err = p.site.exec(bounded, pl.user, []string{p.program(), "probe", "harvest"}, engine.Streams{Out: s, Err: &complaint})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		pl.died = fmt.Errorf("the probe died: %w %s", err, plain.Line(complaint.String()))
		return nil
	}
	_, end, ok := bytes.Cut(s.tail, []byte(harvestEnd))
	if !ok {
		pl.died = fmt.Errorf("the probe ended before its last line: %w", io.ErrUnexpectedEOF)
		return nil
	}
	pl.found = &found{secrets: s.found, looked: len(secrets), end: strings.TrimSpace(string(end))}
	return nil
}

// harvestEnd begins the last line of a harvest; the probe's is the same.
const harvestEnd = "\nend of the harvest: "

func judgeHarvest(e *evidence, p *plan) (result, seen string) {
	switch {
	case p.found == nil:
		return Error, "nothing came back to be searched"
	case len(p.found.secrets) > 0:
		return Open, strings.Join(p.found.secrets, ", ")
	case p.found.looked == 0:
		return Error, "the bottle has no secret that could be looked for"
	}
	return Held, fmt.Sprintf("none of %d secrets in %s", p.found.looked, p.found.end)
}

// searcher looks for secrets in what is written to it. It keeps the end of what came
// before, so that none is overlooked that lies across two pieces.
type searcher struct {
	secrets map[string][]byte
	tail    []byte
	place   string // the file that is being read
	found   []string
}

// overlap is longer than any secret, and than the name of a file.
const overlap = 8 << 10

// Write implements [io.Writer].
func (s *searcher) Write(p []byte) (int, error) {
	s.tail = append(s.tail, p...)
	for name, value := range s.secrets {
		if at := bytes.Index(s.tail, value); at >= 0 {
			delete(s.secrets, name) // once is enough
			s.found = append(s.found, name+" in "+s.placeOf(at))
		}
	}
	if len(s.tail) > 2*overlap {
		cut := len(s.tail) - overlap
		s.place = s.placeOf(cut)
		s.tail = append(s.tail[:0], s.tail[cut:]...)
	}
	return len(p), nil
}

// placeOf is the name of the file that stands before a place: a line of its own, in
// quotes.
func (s *searcher) placeOf(at int) string {
	for end := at; end > 0; {
		line := bytes.LastIndexByte(s.tail[:end], '\n')
		if line < 0 {
			break
		}
		text := s.tail[line+1 : end]
		if bytes.HasPrefix(text, []byte(`"/`)) && bytes.HasSuffix(text, []byte(`"`)) {
			return string(text)
		}
		end = line
	}
	if s.place == "" {
		return "what came first"
	}
	return s.place
}
