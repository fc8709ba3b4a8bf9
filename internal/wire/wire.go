// Package wire defines every struct that crosses a process boundary of a
// bottle: the configuration files that the launcher renders and the daemons
// read, the problem document that a denied agent receives, and the status that
// a daemon reports. Files are decoded strictly by [Decode]: an unknown key is
// an error that names file, line, column and the nearest known key.
//
// Version is part of every configuration file. A daemon refuses a version that
// it does not know instead of guessing.
package wire

// Version is the version of the configuration files that this build writes and
// reads.
const Version = 1
