package vm

import (
	"os"
	"syscall"
)

// confined makes the monitor a process without a network that ends with the
// launcher. Where the operator is root it becomes uid, who may use KVM if that is
// there.
func confined(uid, gid int) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC}
	if os.Getuid() != 0 {
		a.Cloneflags |= syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
		return a
	}
	a.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	if fi, err := os.Stat("/dev/kvm"); err == nil {
		if st, ok := fi.Sys().(*syscall.Stat_t); ok && st.Gid != 0 {
			a.Credential.Groups = []uint32{st.Gid}
		}
	}
	return a
}

// holding makes the holder of a machine the first process of namespaces of its own,
// which ends with the launcher. Where the operator is not root, the holder is in
// there, with no more rights outside than the operator has.
func holding() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{
		Setpgid: true, Pdeathsig: syscall.SIGKILL,
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS,
	}
	if os.Getuid() != 0 {
		a.Cloneflags |= syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return a
}

// unprivileged makes a program another user than root.
func unprivileged() *syscall.SysProcAttr {
	if os.Getuid() != 0 {
		return nil
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}

// groupOf is the group of a device, if it has one of its own.
func groupOf(device string) []int {
	fi, err := os.Stat(device)
	if err != nil {
		return nil
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && st.Gid != 0 {
		return []int{int(st.Gid)}
	}
	return nil
}

// rootsAlone reports whether a device is of no use to any other user than root.
func rootsAlone(device string) bool {
	fi, err := os.Stat(device)
	if err != nil {
		return false
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	const all, group = 0o006, 0o060
	return ok && fi.Mode()&all != all && (st.Gid == 0 || fi.Mode()&group != group)
}
