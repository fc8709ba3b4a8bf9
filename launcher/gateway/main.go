// Command gateway is the network of one virtual machine. It leads to the
// sidecars of the machine's bottle and nowhere else. See docs/microvm.md.
package main

import (
	"os"

	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/launcher/internal/gateway"
)

func main() { os.Exit(daemon.Main(gateway.Run)) }
