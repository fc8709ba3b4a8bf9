// Package vm runs an agent in a virtual machine: it makes a disk out of the
// agent's image, an initial file system out of the bottle, starts the machine
// with its one network card on the bottle's gateway, and runs commands in it.
//
// The process of the machine's monitor is as confined as the machine: it has no
// network (the card and the serial port are descriptors that it inherits), no
// user of its own where the operator is root, and may start nothing. Who breaks
// out of the machine is in there.
package vm
