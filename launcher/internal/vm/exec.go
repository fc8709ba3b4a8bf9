package vm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/bottlesuite/bottle/launcher/internal/engine"
	"github.com/bottlesuite/bottle/launcher/internal/guest"
)

// Exec runs a command over a stream of a machine and waits. A status other than 0
// is an [engine.ExitStatus]. The stream is closed at the end.
func Exec(ctx context.Context, c net.Conn, user string, argv []string, s engine.Streams) error {
	return execute(ctx, c, guest.Request{Argv: argv, User: user}, s)
}

// ExecOnCard is [Exec] for a command that gets the machine's network card itself,
// as [guest.CardFD].
func ExecOnCard(ctx context.Context, c net.Conn, user string, argv []string, s engine.Streams) error {
	return execute(ctx, c, guest.Request{Argv: argv, User: user, Card: true}, s)
}

func execute(ctx context.Context, c net.Conn, req guest.Request, s engine.Streams) error {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	req.Now = time.Now()
	if s.EnvFile != "" {
		data, err := os.ReadFile(s.EnvFile)
		if err != nil {
			return fmt.Errorf("cannot read the command's environment: %w", err)
		}
		req.Env = strings.FieldsFunc(string(data), func(r rune) bool { return r == '\n' })
	}
	if s.Terminal {
		restore := terminal(&req, s)
		defer restore()
	}
	if err := guest.WriteRequest(c, req); err != nil {
		return fmt.Errorf("cannot send the command to the machine: %w", err)
	}
	go input(c, s)
	if s.Terminal {
		stop := watchSize(c, s)
		defer stop()
	}
	err := output(c, s)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// input sends what the command reads.
func input(c net.Conn, s engine.Streams) {
	if s.In != nil {
		buf := make([]byte, guest.MaxFrame)
		if _, err := io.CopyBuffer(struct{ io.Writer }{guest.Framed(c, guest.KindInput)}, struct{ io.Reader }{s.In}, buf); err != nil {
			return
		}
	}
	if !s.Terminal { // a terminal has no end but the one that is typed
		_ = guest.WriteFrame(c, guest.KindInputEnd, nil)
	}
}

// output shows what the command writes, until its end.
func output(c net.Conn, s engine.Streams) error {
	for {
		kind, data, err := guest.ReadFrame(c)
		if err != nil {
			return fmt.Errorf("the machine went away while the command ran: %w", err)
		}
		switch kind {
		case guest.KindOutput:
			_, err = s.Out.Write(data)
		case guest.KindError:
			_, err = s.Err.Write(data)
		case guest.KindExit:
			if len(data) != 4 {
				return errors.New("the machine does not tell how the command ended")
			}
			if n := binary.BigEndian.Uint32(data) & 0xff; n != 0 {
				return engine.ExitStatus(n)
			}
			return nil
		case guest.KindFailed:
			return fmt.Errorf("cannot run the command in the bottle: %.300q", data)
		}
		if err != nil {
			return err
		}
	}
}

// terminal makes the operator's terminal raw, and asks for one in the machine.
func terminal(req *guest.Request, s engine.Streams) (restore func()) {
	in, _ := s.In.(*os.File)
	if in == nil {
		return func() {}
	}
	req.Terminal = &guest.Size{Rows: 24, Cols: 80}
	if w, h, err := term.GetSize(int(in.Fd())); err == nil {
		req.Terminal = &guest.Size{Rows: uint16(h), Cols: uint16(w)}
	}
	req.Env = append(req.Env, "TERM="+termName(os.Getenv("TERM")))
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return func() {}
	}
	return func() { _ = term.Restore(int(in.Fd()), before) }
}

func termName(s string) string {
	if s == "" {
		return "xterm"
	}
	return s
}

// watchSize tells the machine when the terminal changes its size.
func watchSize(c net.Conn, s engine.Streams) (stop func()) {
	in, _ := s.In.(*os.File)
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	go func() {
		for range changed {
			if in == nil {
				continue
			}
			if w, h, err := term.GetSize(int(in.Fd())); err == nil {
				size := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, uint16(h)), uint16(w))
				_ = guest.WriteFrame(c, guest.KindResize, size)
			}
		}
	}()
	return func() { signal.Stop(changed); close(changed) }
}
