// Package e2e runs real bottles on the engine: the launcher's binary, the images,
// a shell agent inside, and a recording upstream outside. It has tests only.
//
// A block passes when the upstream, or the host, saw nothing of what was tried
// and the audit log has its line; see evidence_test.go. What is tried from
// inside is tried by programs in testdata that say what ordinary clients would
// not, and as the agent's user as well as root.
//
// Most tests share one bottle, which the first of them starts; those about the
// life of a bottle start their own. The binaries come from BOTTLE_BIN, or from
// bin/ as `make build` leaves it, the images from `make images`. Without them, or
// without an engine, the tests are skipped with the reason; BOTTLE_REQUIRE_DOCKER=1
// makes them fail instead. They need root, or a sudo that does not ask, for
// documentation addresses on the loopback interface.
package e2e
