package wire

// ProbeLink are frames that the probe puts on the card of a virtual machine, past
// the machine's own network stack.
type ProbeLink struct {
	// Frames are sent in this order, as they are.
	Frames [][]byte `json:"frames"`
}

// Bounds of what a probe tells of the frames that came back.
const (
	// ProbeFrameBytes is how much of a frame is told.
	ProbeFrameBytes = 96
	// ProbeFrames is how many frames are told.
	ProbeFrames = 256
)
