// Command guestinit is the first program of a virtual machine: it makes the
// machine what its bottle says and runs the commands that the launcher sends.
package main

import (
	"fmt"
	"os"

	"github.com/bottlesuite/bottle/launcher/internal/guest"
	"github.com/bottlesuite/bottle/launcher/internal/guestinit"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "service" { // as the Smolfile says
		if err := guestinit.Service(guest.Socket); err != nil {
			fmt.Fprintln(os.Stderr, "guestinit:", err)
			os.Exit(1)
		}
		return
	}
	guestinit.Main()
}
