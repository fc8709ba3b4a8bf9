package wire

// GuestLayer is what the init of a virtual machine is told of the disk that holds
// what the machine writes.
type GuestLayer struct {
	// Image names the image that the machine runs, as a directory can be named.
	// What was written over another image does not fit over this one.
	Image string `json:"image"`
	// Kept says that the disk is of a machine that was not stopped in order: it
	// must be there and whole. Else it is new and empty.
	Kept bool `json:"kept,omitempty"`
}
