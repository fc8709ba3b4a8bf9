package framing

import "net"

// Carry moves frames between two attachments until either ends; then both are closed.
// Frames are cut off at limit bytes, which is to be more than their link carries: the
// other side sees that they are too long.
func Carry(a, b Attachment, limit int) {
	ended := make(chan struct{}, 2)
	for _, way := range [][2]Attachment{{a, b}, {b, a}} {
		go func() {
			defer func() { ended <- struct{}{} }()
			move(way[1], way[0], limit)
		}()
	}
	<-ended
	_, _ = a.Close(), b.Close()
	<-ended
}

func move(to, from Attachment, limit int) {
	one := []net.Buffers{make(net.Buffers, 1)}
	for {
		frame, err := from.ReadFrame(limit)
		if err != nil {
			return
		}
		one[0] = append(one[0][:0], frame)
		if to.WriteFrames(one) != nil {
			return
		}
	}
}
