// Package bench measures what a bottle's two proxies cost end to end: the real
// binaries of egressd and pipelockd, all checks on, on loopback, against a direct
// connection to the same TLS upstream in the same run.
//
//	make bench, or: go test -run '^$' -bench . ./test/bench
//
// After the benchmarks it prints a table of direct against chain. Nothing here
// asserts on time: what a number means is for a reader to judge, on a quiet machine.
// The binaries come from BOTTLE_BIN, or from bin/.
package bench
