package guestinit

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bottlesuite/bottle/launcher/internal/guest"
)

// account is a user of the machine's.
type account struct {
	uid, gid uint32
	home     string
	groups   []uint32
}

// lookup finds a user in the files of the machine.
func lookup(passwd, group, name string) (account, error) {
	for line := range strings.Lines(passwd) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) < 7 || f[0] != name {
			continue
		}
		uid, err1 := strconv.ParseUint(f[2], 10, 32)
		gid, err2 := strconv.ParseUint(f[3], 10, 32)
		if err1 != nil || err2 != nil {
			return account{}, fmt.Errorf("the entry of %s in /etc/passwd is damaged", name)
		}
		a := account{uid: uint32(uid), gid: uint32(gid), home: f[5]}
		for line := range strings.Lines(group) {
			g := strings.Split(strings.TrimSpace(line), ":")
			if len(g) == 4 && strings.Contains(","+g[3]+",", ","+name+",") {
				if id, err := strconv.ParseUint(g[2], 10, 32); err == nil {
					a.groups = append(a.groups, uint32(id))
				}
			}
		}
		return a, nil
	}
	return account{}, fmt.Errorf("the machine has no user %s", name)
}

// command prepares a command of a request.
func command(req guest.Request) (*exec.Cmd, error) {
	user := req.User
	if user == "" {
		user = spec.User
	}
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return nil, err
	}
	group, _ := os.ReadFile("/etc/group") // a machine without groups has none
	who, err := lookup(string(passwd), string(group), user)
	if err != nil {
		return nil, err
	}
	env := []string{"HOME=" + who.home}
	path := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for k, v := range spec.Env {
		if k == "PATH" {
			path = v
		}
		env = append(env, k+"="+v)
	}
	if spec.Env["PATH"] == "" {
		env = append(env, "PATH="+path)
	}
	program, err := find(req.Argv[0], path)
	if err != nil {
		return nil, err
	}
	return &exec.Cmd{
		Path: program, Args: req.Argv, Env: append(env, req.Env...), Dir: spec.WorkDir,
		SysProcAttr: &syscall.SysProcAttr{
			Setsid:     true,
			Credential: &syscall.Credential{Uid: who.uid, Gid: who.gid, Groups: who.groups},
		},
	}, nil
}

// find looks for a program on a path of the machine's.
func find(name, path string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, name)
		if fi, err := os.Stat(file); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("there is no command %q in the machine", name)
}

// terminal gives a command a terminal of its own.
func (s *session) terminal(cmd *exec.Cmd, c net.Conn, size guest.Size) error {
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC, 0)
	if err != nil {
		// The machine's own ptmx is that of its devpts.
		if control, err = os.OpenFile("/dev/pts/ptmx", os.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC, 0); err != nil {
			return err
		}
	}
	if err := unix.IoctlSetPointerInt(int(control.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return err
	}
	n, err := unix.IoctlGetInt(int(control.Fd()), unix.TIOCGPTN)
	if err != nil {
		return err
	}
	name := "/dev/pts/" + strconv.Itoa(n)
	side, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	resize(control, size)
	_ = os.Chown(name, int(cmd.SysProcAttr.Credential.Uid), -1)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = side, side, side
	cmd.SysProcAttr.Setctty = true
	s.in, s.control, s.child = control, control, []*os.File{side}
	s.copies.Go(func() { s.copy(guest.Framed(c, guest.KindOutput), control) })
	return nil
}

func resize(control *os.File, size guest.Size) {
	_ = unix.IoctlSetWinsize(int(control.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Rows, Col: size.Cols})
}

// infoBytes is a siginfo as the kernel wrote it.
func infoBytes(i *unix.Siginfo) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(i)), unsafe.Sizeof(*i))
}
