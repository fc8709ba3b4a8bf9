// Package guestinit is the init of a virtual machine. It runs from the initial
// file system that the launcher builds for each start (kernel modules, guest.json
// and the files of the bottle that the agent may see), puts the agent's image
// under a writable layer, and then does what a container engine does: mounts,
// names, network, users, and commands over a serial port (package guest).
//
// Whatever runs in the machine, the machine's only card ends at the gateway; init
// is no boundary. It still gives commands no more than a container gives them: no
// capability, even for root, and no way to gain one.
package guestinit
