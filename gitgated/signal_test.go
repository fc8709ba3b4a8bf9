package main

import "syscall"

// stopSignal makes a server that takes connections and says nothing.
const stopSignal = syscall.SIGSTOP
