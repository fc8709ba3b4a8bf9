package vm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/bottlesuite/bottle/internal/testkit"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
	"github.com/bottlesuite/bottle/launcher/internal/guest"
)

// taped keeps what is written.
type taped struct {
	net.Conn
	mu   sync.Mutex
	tape bytes.Buffer
}

// Write implements [io.Writer].
func (t *taped) Write(p []byte) (int, error) {
	t.mu.Lock()
	t.tape.Write(p)
	t.mu.Unlock()
	return t.Conn.Write(p)
}

// ask is what a launcher does with a machine's port: it waits for the machine, and runs
// a command there.
func ask(ctx context.Context, port net.Conn, out io.Writer) error {
	if err := guest.ReadBanner(port); err != nil {
		return err
	}
	s, err := yamux.Client(port, hostMux())
	if err != nil {
		return err
	}
	defer s.Close()
	c, err := s.Open()
	if err != nil {
		return err
	}
	return Exec(ctx, c, "agent", []string{"true"}, engine.Streams{Out: out, Err: out})
}

// record is what an honest machine says on its port.
func record(f *testing.F) []byte {
	far, near := testkit.SocketPair(f)
	machine := &taped{Conn: far}
	go func() {
		_ = guest.WriteBanner(machine, nil)
		s, err := yamux.Server(machine, guest.Mux())
		if err != nil {
			return
		}
		c, err := s.Accept()
		if err != nil {
			return
		}
		_, _ = guest.ReadRequest(c)
		_, _ = guest.Framed(c, guest.KindOutput).Write([]byte("hello"))
		_ = guest.WriteFrame(c, guest.KindExit, []byte{0, 0, 0, 7})
	}()
	var out bytes.Buffer
	var status engine.ExitStatus
	if err := ask(f.Context(), near, &out); !errors.As(err, &status) || status != 7 || out.String() != "hello" {
		f.Fatalf("%q, %v", out.String(), err)
	}
	machine.mu.Lock()
	defer machine.mu.Unlock()
	return bytes.Clone(machine.tape.Bytes())
}

// FuzzPort has a machine say anything on its port. The command ends when the machine
// does, and shows no more than was said.
func FuzzPort(f *testing.F) {
	said := record(f)
	f.Add(said)
	f.Add(said[:len(said)-3])
	f.Add([]byte("bottle-guest 2 ready\n\x00\x02\x00\x01\x00\x00\x00\x01\xff\xff\xff\xff"))
	f.Add([]byte("bottle-guest 2 ready\n\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x05hello\x00\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, said []byte) {
		far, near := testkit.SocketPair(t)
		defer near.Close()
		go func() {
			defer far.Close()
			_, _ = far.Write(said)
			_ = far.(*net.UnixConn).CloseWrite()
			_, _ = io.Copy(io.Discard, far)
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var out bytes.Buffer
		err := ask(ctx, near, &out)
		if ctx.Err() != nil {
			t.Fatal("the command outlives its machine: ", err)
		}
		if out.Len() > len(said) {
			t.Fatalf("%d bytes were said, and %d shown", len(said), out.Len())
		}
	})
}

// Streams that a machine opens are accepted by nobody, and few of them are held.
func TestMachineOpensStreams(t *testing.T) {
	far, near := testkit.SocketPair(t)
	host, err := yamux.Client(near, hostMux())
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	c := guest.Mux()
	c.AcceptBacklog = 4 * unasked // the machine is its own
	machine, err := yamux.Server(far, c)
	if err != nil {
		t.Fatal(err)
	}
	defer machine.Close()
	for range 4 * unasked {
		if _, err := machine.Open(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := machine.Ping(); err != nil { // behind all of them
		t.Fatal(err)
	}
	if n := host.NumStreams(); n > unasked {
		t.Errorf("the host holds %d streams that it has not asked for", n)
	}
}
