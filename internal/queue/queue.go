// Package queue is the box between an agent that asks and the operator who
// decides: two directories with one file for each proposal and one for each
// decision.
//
// superviserd writes proposals and cannot write decisions; the launcher writes
// decisions and believes nothing that it reads in a proposal. A file appears
// whole or not at all. The name of a proposal is made of its contents ([ID]), so
// what the operator has looked at cannot be exchanged for something else.
//
// The bounds keep a hostile agent from filling the disk or the operator's day:
// [MaxPending] proposals wait at a time, [MaxBytes] each, [PerMinute] new ones
// a minute; who asks for the same thing again is given the proposal that waits
// already, and one that nobody decides ends after [Lifetime].
package queue

import (
	"crypto/sha256"
	"encoding/base32"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/bottlesuite/bottle/internal/wire"
)

// Bounds of a queue.
const (
	MaxPending = 20
	MaxBytes   = 64 << 10
	PerMinute  = 10
	Lifetime   = 7 * 24 * time.Hour
)

// idLength is the number of base32 digits of an id: 80 bits of SHA-256.
const idLength = 16

var idShape = regexp.MustCompile(`^[a-z2-7]{16}$`)

// ValidID reports whether s can be the id of a proposal, and so a file name.
func ValidID(s string) bool { return idShape.MatchString(s) }

// ID is the name of a proposal: a hash of everything in it but the id itself.
func ID(p wire.Proposal) string {
	p.ID = ""
	return digest(p)
}

// Subject is equal for proposals that ask for the same thing, whenever and with
// whatever words.
func Subject(p wire.Proposal) string {
	p.ID, p.Justification, p.CreatedAt = "", "", wire.Instant{}
	return digest(p)
}

func digest(p wire.Proposal) string {
	data, err := yaml.Marshal(p)
	if err != nil {
		panic(err) // a struct of strings, numbers and lists
	}
	sum := sha256.Sum256(data)
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:idLength]
}

// Expired reports whether a proposal waited for longer than [Lifetime], or says
// that it was made in the future, by which it would wait for ever.
func Expired(p wire.Proposal, now time.Time) bool {
	return now.Sub(p.CreatedAt.Time) > Lifetime || p.CreatedAt.Sub(now) > time.Hour
}

// Refusal is why a proposal was not taken, as a sentence for the agent.
type Refusal struct{ Sentence string }

func (r *Refusal) Error() string { return r.Sentence }

// Admit decides whether a proposal joins those that are pending. Recent are the
// times at which the last ones were taken. It returns the pending proposal that
// asks for the same, if there is one, and a [Refusal] when there is no room. It
// is pure.
func Admit(p wire.Proposal, pending []wire.Proposal, recent []time.Time, now time.Time) (*wire.Proposal, error) {
	subject := Subject(p)
	if i := slices.IndexFunc(pending, func(q wire.Proposal) bool { return Subject(q) == subject }); i >= 0 {
		return &pending[i], nil
	}
	if len(pending) >= MaxPending {
		return nil, &Refusal{Sentence: "there are 20 proposals waiting for the operator already; wait until some are decided"}
	}
	lately := 0
	for _, t := range recent {
		if now.Sub(t) < time.Minute && !t.After(now) {
			lately++
		}
	}
	if lately >= PerMinute {
		return nil, &Refusal{Sentence: "more than 10 proposals came within a minute; wait a minute, then ask for everything that you need at once"}
	}
	return nil, nil
}
