// Package gitgated is the room of the git gate: the sidecar that will mirror the
// declared remotes, hold their credentials and scan every new object of a push
// before any upstream contact (ports 9418 and 9420, see docs/ARCHITECTURE.md).
//
// Nothing is built here yet. Until it is, the launcher refuses a manifest that
// declares git remotes, and egressd refuses every push over HTTPS, so that no
// push leaves a bottle at all.
package gitgated
