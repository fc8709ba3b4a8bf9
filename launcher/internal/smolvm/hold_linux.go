package smolvm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bottlesuite/bottle/launcher/internal/framing"
	"github.com/bottlesuite/bottle/launcher/internal/smolfile"
)

// WireFD is the descriptor at which a holder inherits its connection with the
// gateway.
const WireFD = 3

// Report is the one line that a holder writes.
type Report struct {
	Failure string `json:"failure,omitempty"`
}

// Hold is a holder's whole life: it reads a [Plan], starts the machine, reports, and
// keeps it until in ends, when it deletes the machine. What smolvm prints goes to
// log. The process must be in namespaces of its own, and their first.
func Hold(in io.Reader, out, log io.Writer) error {
	var h holder
	d := json.NewDecoder(in)
	d.DisallowUnknownFields()
	err := d.Decode(&h.plan)
	if err == nil {
		h.log = log
		err = h.start()
	}
	if err != nil {
		h.remove()
		return errors.Join(err, json.NewEncoder(out).Encode(Report{Failure: err.Error()}))
	}
	if err := json.NewEncoder(out).Encode(Report{}); err != nil {
		return err
	}
	left := make(chan error, 1)
	go func() { _, err := io.Copy(io.Discard, in); left <- err }()
	for {
		select {
		case <-left:
			h.remove()
			return nil
		case <-time.After(200 * time.Millisecond):
			if !alive(h.pid) {
				return errors.New("the machine ended")
			}
		}
	}
}

// taggedLen is how much longer a frame may be than the packet in it: a header of
// Ethernet with the tag of a virtual network, which a device takes beyond its MTU. That
// it is denied, and why, is for the gateway to say.
const taggedLen = 18

type holder struct {
	plan    Plan
	log     io.Writer
	created bool
	pid     int
}

// start does everything up to a machine that runs and is proven.
func (h *holder) start() error {
	if os.Getpid() != 1 {
		return errors.New("the holder of a machine must be the first process of its namespace")
	}
	if err := h.enter(); err != nil {
		return err
	}
	tap, err := h.plan.Link.open()
	if err != nil {
		return err
	}
	if err := alone(); err != nil {
		return err
	}
	inherited := os.NewFile(WireFD, "gateway")
	wire, err := net.FileConn(inherited)
	_ = inherited.Close() // FileConn has a copy
	if err != nil {
		return fmt.Errorf("cannot take over the connection with the gateway: %w", err)
	}
	go func() {
		framing.Carry(framing.NewDatagrams(tap), framing.NewStream(wire), h.plan.Link.MTU+taggedLen)
		fmt.Fprintln(h.log, "the gateway is gone, and with it the machine's network")
	}()
	data, err := os.ReadFile(Smolfile)
	if err != nil {
		return fmt.Errorf("cannot read the Smolfile: %w", err)
	}
	file, err := smolfile.Parse(Smolfile, data)
	if err != nil {
		return err
	}
	if err := file.Confined(); err != nil {
		return err
	}
	expect := Expect{Name: h.plan.Name, File: file, Link: h.plan.Link}
	h.created = true // or in part
	if _, err := h.smolvm(h.plan.Create()); err != nil {
		return err
	}
	if _, err := h.readBack(expect, "created"); err != nil {
		return err
	}
	if _, err := h.smolvm(h.plan.Start()); err != nil {
		return err
	}
	s, err := h.readBack(expect, "running")
	if err != nil {
		return err
	}
	h.pid = s.PID
	return h.inside(s.PID)
}

// enter makes a private view of the host's files, with the machine's directory at
// its place and the processes of this namespace, and goes there.
func (h *holder) enter() error {
	for _, m := range []struct {
		source, target, kind string
		flags                uintptr
		data                 string
	}{
		{"", "/", "", unix.MS_REC | unix.MS_PRIVATE, ""},
		{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"tmpfs", filepath.Dir(Place), "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755,size=1m"},
		{h.plan.Dir, Place, "", unix.MS_BIND, ""},
	} {
		if m.target == Place {
			if err := os.Mkdir(Place, 0o755); err != nil {
				return fmt.Errorf("cannot make the machine's place: %w", err)
			}
		}
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("cannot make the machine's view of %s: %w", m.target, err)
		}
	}
	return os.Chdir(Place)
}

// commandTime bounds a command of smolvm's: the longest unpacks the image.
const commandTime = 5 * time.Minute

// smolvm runs a command of smolvm's and returns what it printed.
func (h *holder) smolvm(args []string) ([]byte, error) {
	var out bytes.Buffer
	cmd := exec.Command(h.plan.Program, args...)
	cmd.Env, cmd.Dir = h.plan.Env(), Place
	cmd.Stdout, cmd.Stderr = &capped{w: &out, left: 1 << 20}, h.log
	cmd.SysProcAttr = h.user()
	cmd.WaitDelay = 2 * time.Second // the machine's process may keep the pipes
	stop := time.AfterFunc(commandTime, func() { _ = cmd.Process.Kill() })
	err := cmd.Start()
	if err == nil {
		err = cmd.Wait()
		stop.Stop()
	}
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return nil, fmt.Errorf("`smolvm %s` failed: %w; what it said is in the machine's console", strings.Join(args[:2], " "), err)
	}
	return out.Bytes(), nil
}

// user is who smolvm is: not root, where the holder is the host's.
func (h *holder) user() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true}
	if h.plan.UID != 0 {
		a.Credential = &syscall.Credential{Uid: uint32(h.plan.UID), Gid: uint32(h.plan.GID)}
		for _, g := range h.plan.Groups {
			a.Credential.Groups = append(a.Credential.Groups, uint32(g))
		}
	}
	return a
}

// readBack compares the machine with what was asked for.
func (h *holder) readBack(e Expect, state string) (State, error) {
	out, err := h.smolvm(h.plan.Status())
	if err != nil {
		return State{}, err
	}
	return e.Compare(state, out)
}

// inside makes sure that a process is in the holder's own network and is nobody
// else than smolvm's user.
func (h *holder) inside(pid int) error {
	if pid <= 1 {
		return errors.New("smolvm does not tell the machine's process, so it cannot be proven where it is")
	}
	mine, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return err
	}
	its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return fmt.Errorf("the machine's process is not to be seen: %w", err)
	}
	if its != mine {
		return errors.New("the machine's process is in another network than the bottle's")
	}
	fi, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		return err
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); h.plan.UID != 0 && (!ok || int(st.Uid) != h.plan.UID) {
		return errors.New("the machine's process is another user's than smolvm's")
	}
	return alone()
}

// remove deletes the machine. What that leaves ends with the holder.
func (h *holder) remove() {
	if h.created {
		if _, err := h.smolvm(h.plan.Delete()); err != nil {
			fmt.Fprintln(h.log, err)
		}
	}
}

// alive reports whether a process runs. One that has ended and was left to the
// holder is buried.
func alive(pid int) bool {
	if got, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); err == nil && got == pid {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, rest, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}

// capped drops what is beyond a bound.
type capped struct {
	w    io.Writer
	left int
}

// Write implements [io.Writer].
func (c *capped) Write(p []byte) (int, error) {
	n := min(len(p), c.left)
	c.left -= n
	_, err := c.w.Write(p[:n])
	return len(p), err
}
