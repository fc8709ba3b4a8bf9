package verify

import (
	"fmt"
	"strings"
)

// Judges refuses a virtual machine of which nothing could be proven. It is told what
// runs the machine: the name of its driver, and what may stand behind a comma. Without
// a name it is the usual driver, qemu.
func Judges(monitor string) error {
	driver, _, _ := strings.Cut(monitor, ",")
	switch driver {
	case "", "qemu":
		return nil
	case "smolvm":
		return fmt.Errorf("verify cannot judge a machine of smolvm's: the other end of its network card is a network stack of smolvm's own, so what the gateway has denied does not tell what became of a frame or a connection; " + instead)
	case "unixgram":
		return fmt.Errorf("verify cannot judge a machine of the driver unixgram: it listens on the engine's host and looks at the machine's monitor as Linux shows them, and here neither is Linux's; " + instead)
	}
	return fmt.Errorf("verify does not know the driver %.40q, so it cannot judge its machines; "+instead, driver)
}

// instead is what there is to do.
const instead = "the driver qemu runs the same bottle so that it can be verified, and docs/microvm.md says what is proven as a machine starts"
