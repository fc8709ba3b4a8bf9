// Package superviserd is the room of the supervisor: the MCP server with which a
// stuck agent will ask its operator for a change of policy (port 9100, see
// docs/ARCHITECTURE.md).
//
// Nothing is built here yet. Until it is, the launcher refuses a manifest that
// says "supervise: true". Denials carry the arguments to ask with already.
package superviserd
