// Package smolvm runs smolvm, a program that starts virtual machines, so that
// nothing is left to its own policy.
//
// A holder, which is a process of the launcher's own in fresh namespaces, has a
// network whose only link is a TAP device, and carries its frames to and from the
// bottle's gateway. In there it runs `smolvm machine create`, reads back what
// smolvm made of it, starts the machine, and proves that the machine's process is
// in that network and no other. Whatever is not as it was asked for is a refusal,
// and the machine is deleted. The holder is the first process of its namespace: its
// end, by whatever cause, is the end of everything that smolvm started.
//
// Where the launcher is root, smolvm is not: it is the user of the sidecars. Its
// registry, caches and sockets are in the machine's own directory, and of the
// operator's environment it sees nothing but where its own files are.
//
// The command lines are those of smolvm 1.x (github.com/smol-machines/smolvm,
// src/cli/machine.rs and src/cli/vm_common.rs). No smolvm was at hand to run: the
// tests run a program in its place, which records what it is asked and answers like
// it.
package smolvm
