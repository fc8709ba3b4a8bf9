package testkit

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// Terminal is a person at a terminal in front of a program.
type Terminal struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd
	mu     sync.Mutex
	screen bytes.Buffer
	ended  chan struct{}
}

// StartAtTerminal starts a program with all of its streams on a terminal of its
// own, and ends it with the test.
func StartAtTerminal(t *testing.T, cmd *exec.Cmd) *Terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there are no terminals here: %v", err)
	}
	var unlocked, number int32
	for request, arg := range map[uintptr]*int32{syscall.TIOCSPTLCK: &unlocked, syscall.TIOCGPTN: &number} {
		if err := ioctl(master, request, unsafe.Pointer(arg)); err != nil {
			t.Fatal(err)
		}
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &Terminal{t: t, master: master, cmd: cmd, ended: make(chan struct{})}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	go p.watch()
	t.Cleanup(func() { _ = cmd.Process.Kill(); master.Close(); <-p.ended })
	return p
}

func ioctl(f *os.File, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(arg)); errno != 0 {
		return fmt.Errorf("the terminal: %w", errno)
	}
	return nil
}

func (p *Terminal) watch() {
	defer close(p.ended)
	buf := make([]byte, 4096)
	for {
		n, err := p.master.Read(buf)
		p.mu.Lock()
		p.screen.Write(buf[:n])
		p.mu.Unlock()
		if err != nil { // the other end is closed
			return
		}
	}
}

// Resize changes the size of the window.
func (p *Terminal) Resize(rows, columns uint16) {
	p.t.Helper()
	size := [4]uint16{rows, columns}
	if err := ioctl(p.master, syscall.TIOCSWINSZ, unsafe.Pointer(&size)); err != nil {
		p.t.Fatal(err)
	}
}

// Shown is all that was on the screen.
func (p *Terminal) Shown() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.screen.String()
}

// Type types a line.
func (p *Terminal) Type(line string) {
	p.t.Helper()
	if _, err := p.master.WriteString(line + "\n"); err != nil {
		p.t.Fatal(err)
	}
}

// Answer waits for a text on the screen and types a line.
func (p *Terminal) Answer(text, line string) {
	p.t.Helper()
	p.Until(text)
	time.Sleep(50 * time.Millisecond) // for who asks to be ready to hear
	p.Type(line)
}

// Until waits for a text on the screen.
func (p *Terminal) Until(text string) {
	p.t.Helper()
	for end := time.Now().Add(30 * time.Second); !strings.Contains(p.Shown(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("%q is not on the screen:\n%s", text, p.Shown())
		}
	}
}

// Status waits for the program's end.
func (p *Terminal) Status() int {
	p.t.Helper()
	_ = p.cmd.Wait()
	<-p.ended
	return p.cmd.ProcessState.ExitCode()
}
