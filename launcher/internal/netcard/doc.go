// Package netcard gives a network card its address and a network its default route,
// by the kernel's own calls: where a virtual machine begins there is no ip(8).
package netcard
