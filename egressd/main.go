// Command egressd is an agent's only way to HTTP: a proxy that intercepts TLS
// with the bottle's own CA, allows by host, path and method, removes the
// agent's credentials, injects the real ones, refuses git pushes over HTTPS and
// answers DNS for sidecar names only.
//
// A request passes these files in this order: front.go takes the CONNECT (or a
// plain HTTP request), package internal/egress reads the request in the one way
// it may be read, or refuses it, and decides, forward.go rewrites it and sends it
// on through upstream.go, with the credential from credentials.go, and record.go
// writes the audit line.
package main

import (
	"os"

	"github.com/bottlesuite/bottle/internal/daemon"
)

func main() { os.Exit(daemon.Main(Run)) }
