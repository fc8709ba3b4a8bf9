// Command pipelockd is a bottle's last door: the only process with a way to the
// internet. It dials what its allowlist names and nothing else, at public
// addresses only, trusts real certificates only, and lets no credential leave
// in a URL, a header, a body or a WebSocket message, except those that egressd
// vouches for.
//
// A request passes these files in this order: front.go takes the CONNECT (or a
// plain HTTP request), handler.go reads it and asks judge.go about its
// destination and push.go whether it is a push, scan.go and body.go look for
// secrets (decode.go inside compressed bodies) in the room that budget.go gives
// them, forward.go sends it on through upstream.go, websocket.go watches what
// follows an upgrade, and record.go writes the audit line. What a reload can
// change is in table.go.
package main

import (
	"os"

	"github.com/bottlesuite/bottle/internal/daemon"
)

func main() { os.Exit(daemon.Main(Run)) }
