package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/egress"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/secretscan"
)

// start is when a request began, and its id.
type start struct {
	at time.Time
	id string
}

func (s *service) begin() start { return start{time.Now(), audit.NewRequestID()} }

// entry describes a decision for the audit log.
func (st start) entry(rd egress.Request, d policy.Decision, status int) audit.Entry {
	return audit.Entry{
		Event: "request", Decision: d.Verdict, Reason: d.Reason, Rule: d.Rule,
		Method: masked(rd.Method), Host: masked(rd.Authority()), Path: masked(rd.Path),
		Status: status, Duration: time.Since(st.at), RequestID: st.id,
	}
}

// masked hides a value in which a secret of a known shape stands: what the
// agent tried to send away must not be kept in the log instead.
func masked(s string) string {
	if _, found := secretscan.Field.Find([]byte(s)); found {
		return "[masked]"
	}
	if strings.IndexFunc(s, func(c rune) bool { return c < ' ' || c > '~' }) >= 0 {
		return strconv.QuoteToASCII(s) // nothing that acts on a terminal
	}
	return s
}
