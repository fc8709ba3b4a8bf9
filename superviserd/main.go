// Command superviserd is the door at which a stuck agent asks its operator: an
// MCP server with tools that put proposals into the bottle's queue and wait for
// the answer. It holds no credential, has no way out, and cannot decide: the
// operator's decisions are files that it can only read.
//
// Each file has one subject: run.go the command line, service.go the life of the
// daemon, guard.go who may speak to it, tools.go what it offers, ask.go how a
// call waits for its answer.
package main

import (
	"os"

	"github.com/bottlesuite/bottle/internal/daemon"
)

func main() { os.Exit(daemon.Main(Run)) }
