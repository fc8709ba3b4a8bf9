package guestinit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/yamux"
	"golang.org/x/sys/unix"

	"github.com/bottlesuite/bottle/launcher/internal/guest"
)

// serve runs commands until the launcher is gone.
func serve(port io.ReadWriteCloser) error {
	go reap()
	session, err := yamux.Server(port, guest.Mux())
	if err != nil {
		return err
	}
	for {
		c, err := session.Accept()
		if err != nil {
			return fmt.Errorf("the launcher is gone: %w", err)
		}
		go func() {
			defer c.Close()
			req, err := guest.ReadRequest(c)
			if err != nil {
				return
			}
			setClock(req.Now)
			if len(req.Argv) == 0 {
				off()
			}
			if err := run(c, req); err != nil {
				_ = guest.WriteFrame(c, guest.KindFailed, []byte(err.Error()))
			}
		}()
	}
}

// setClock follows the launcher's clock, which a machine that was halted falls
// behind.
func setClock(now time.Time) {
	if d := time.Since(now); d.Abs() > 2*time.Second {
		t := unix.NsecToTimespec(now.UnixNano())
		_ = unix.ClockSettime(unix.CLOCK_REALTIME, &t)
	}
}

// ours are the processes that somebody waits for.
var ours = struct {
	sync.Mutex
	pids map[int]bool
}{pids: map[int]bool{}}

// reap takes leave of orphans, which are init's to bury.
func reap() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	for {
		select {
		case <-ended:
		case <-time.After(time.Second):
		}
		ours.Lock()
		for {
			var info unix.Siginfo
			if unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil) != nil {
				break
			}
			// struct siginfo: three ints and, on 64-bit, padding; then the pid.
			pid := int(int32(binary.NativeEndian.Uint32(infoBytes(&info)[16:])))
			if pid == 0 || ours.pids[pid] {
				break // nobody, or one whose end somebody is about to take
			}
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
		}
		ours.Unlock()
	}
}

// run runs one command.
func run(c net.Conn, req guest.Request) error {
	cmd, err := command(req)
	if err != nil {
		return err
	}
	var io session
	if req.Card {
		if err := io.card(cmd); err != nil {
			return err
		}
	}
	if req.Terminal != nil {
		err = io.terminal(cmd, c, *req.Terminal)
	} else {
		err = io.pipes(cmd, c)
	}
	if err != nil {
		return err
	}
	ours.Lock()
	err = cmd.Start()
	if err == nil {
		ours.pids[cmd.Process.Pid] = true
	}
	ours.Unlock()
	io.started()
	if err != nil {
		return err
	}
	go io.listen(cmd, c)
	status := io.wait(cmd)
	ours.Lock()
	delete(ours.pids, cmd.Process.Pid)
	ours.Unlock()
	return guest.WriteFrame(c, guest.KindExit, binary.BigEndian.AppendUint32(nil, uint32(status)))
}

// session are the ends of one command.
type session struct {
	in      io.WriteCloser
	control *os.File // of the terminal
	child   []*os.File
	copies  sync.WaitGroup
}

// pipes gives a command three pipes. They are ours to close: a process that
// outlives the command keeps them open and must not keep it from ending.
func (s *session) pipes(cmd *exec.Cmd, c net.Conn) error {
	stdin, in, err := os.Pipe()
	if err != nil {
		return err
	}
	s.in, cmd.Stdin, s.child = in, stdin, append(s.child, stdin)
	for _, out := range []struct {
		kind guest.Kind
		to   *io.Writer
	}{{guest.KindOutput, &cmd.Stdout}, {guest.KindError, &cmd.Stderr}} {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		*out.to, s.child = w, append(s.child, w)
		s.copies.Go(func() { s.copy(guest.Framed(c, out.kind), r) })
	}
	return nil
}

func (s *session) copy(to io.Writer, from *os.File) {
	defer from.Close()
	buf := make([]byte, guest.MaxFrame)
	_, _ = io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, buf) // a terminal ends with EIO
}

// started closes the command's own ends.
func (s *session) started() {
	for _, f := range s.child {
		_ = f.Close()
	}
}

// wait returns the command's status, as a shell tells it.
func (s *session) wait(cmd *exec.Cmd) int {
	err := cmd.Wait()
	done := make(chan struct{})
	go func() { s.copies.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Second): // somebody else holds the pipes
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return 128 + int(ws.Signal())
		}
		return exit.ExitCode()
	}
	return 0
}

// listen works off what the launcher sends. When it goes away the command is
// hung up on, as by a terminal.
func (s *session) listen(cmd *exec.Cmd, c net.Conn) {
	for {
		kind, data, err := guest.ReadFrame(c)
		if err != nil {
			_ = s.in.Close()
			_ = unix.Kill(-cmd.Process.Pid, unix.SIGHUP)
			return
		}
		switch kind {
		case guest.KindInput:
			_, _ = s.in.Write(data) // who does not read any more has a reason
		case guest.KindInputEnd:
			_ = s.in.Close()
		case guest.KindSignal:
			if len(data) == 1 {
				_ = unix.Kill(-cmd.Process.Pid, unix.Signal(data[0]))
			}
		case guest.KindResize:
			if s.control != nil && len(data) == 4 {
				resize(s.control, guest.Size{Rows: binary.BigEndian.Uint16(data), Cols: binary.BigEndian.Uint16(data[2:])})
			}
		}
	}
}
