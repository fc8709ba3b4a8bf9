// Command gitgated is an agent's only way to git remotes: it mirrors the
// declared ones, holds their credentials, and looks at every object of a push
// before the upstream hears of it. The system's git does the work; what is asked
// of it, and who may ask, is decided here.
//
// A request comes in through http.go or gitport.go. A fetch is refreshed and
// handed to git upload-pack (fetch.go). A push is read by receive.go, judged by
// judge.go and answered by report.go. lfs.go passes LFS downloads on. helpers.go
// is what git calls back: the way over SSH and the token for HTTPS.
package main

import (
	"os"

	"github.com/bottlesuite/bottle/internal/daemon"
)

func main() { os.Exit(daemon.Main(Run)) }
