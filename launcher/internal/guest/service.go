package guest

// Socket is where a machine's init listens when it has no serial port: in a
// machine that another program's init has started.
const Socket = "/run/bottle/exec.sock"

// In a machine without a named serial port, init connects with the launcher over
// vsock: the kernel's command line has VsockWord with the port.
const (
	VsockPort = 1024
	VsockWord = "bottle.vsock="
)
