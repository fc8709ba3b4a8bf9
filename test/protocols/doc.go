// Package protocols is a set of tests: what people send over HTTP passes both
// proxies as it would pass none. Bodies of a gibibyte in bounded memory, events
// one by one, answers that take long, calls of gRPC with their trailers, and
// WebSocket where a route allows it. The binaries run on the loopback interface
// (see [github.com/bottlesuite/bottle/test/chain]); `make test` builds them.
package protocols
