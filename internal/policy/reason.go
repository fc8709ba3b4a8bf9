package policy

// Reason is the machine-readable cause of a denial. The list below is closed:
// docs/reasons.md is generated from it, and a test holds the two together.
type Reason string

// Reasons for which a request is denied.
const (
	// The destination.
	ReasonHostNotAllowed    Reason = "host_not_allowed"     // no route names the host and port
	ReasonPathNotAllowed    Reason = "path_not_allowed"     // the host has a route, none of its matches takes the path
	ReasonMethodNotAllowed  Reason = "method_not_allowed"   // the path is allowed, not with this method
	ReasonAuthorityMismatch Reason = "authority_mismatch"   // TLS name, CONNECT authority and Host disagree
	ReasonBadAuthority      Reason = "bad_authority"        // the host is not a plain lower-case DNS name with a port
	ReasonAddressForbidden  Reason = "address_forbidden"    // the name resolves to an address that is not public
	ReasonNestedProxy       Reason = "nested_proxy"         // CONNECT or an absolute-form target inside a tunnel
	ReasonPlaintextAuth     Reason = "plaintext_credential" // a credentialed route asked for without TLS

	// Requests with two readings.
	ReasonAmbiguousPath Reason = "ambiguous_path" // the path could be read in two ways
	ReasonBadRequest    Reason = "bad_request"    // the request breaks HTTP or uses a part of it that is refused
	ReasonUpgrade       Reason = "upgrade_not_allowed"

	// What leaves.
	ReasonGitPush              Reason = "git_push_over_https" // pushes go through the git gate
	ReasonSecretFound          Reason = "secret_found"        // a credential in URL, headers or body
	ReasonUnscannable          Reason = "unscannable_body"    // a body that cannot be read, so cannot be cleared
	ReasonRelayForged          Reason = "relay_forged"        // a relay header whose MAC does not verify
	ReasonBodyTooLarge         Reason = "body_too_large"
	ReasonCredentialGone       Reason = "credential_missing"    // the route's credential cannot be read
	ReasonAgentCredential      Reason = "agent_credential"      // a credential that the bottle did not provide
	ReasonPlaceholderMisplaced Reason = "placeholder_misplaced" // a placeholder in another place than its own

	ReasonBudget Reason = "budget_exhausted" // more bytes than the bottle or the host may be sent
	ReasonRate   Reason = "rate_limited"
	ReasonKilled Reason = "killed" // the operator has stopped everything

	// The git gate.
	ReasonRemoteUnknown   Reason = "remote_unknown"       // no remote of this name or URL is declared
	ReasonRefNotAllowed   Reason = "ref_not_allowed"      // the ref's name fits no allowed pattern
	ReasonRefForced       Reason = "ref_not_fast_forward" // a branch would lose commits
	ReasonRefDelete       Reason = "ref_delete"           // deleting is not allowed
	ReasonTagMoved        Reason = "tag_moved"            // an existing tag would change
	ReasonRefStale        Reason = "ref_stale"            // the upstream's ref is not what the agent believes
	ReasonBadPack         Reason = "bad_pack"             // objects that are broken, incomplete or hostile
	ReasonPushLimit       Reason = "push_limit"           // more bytes, objects, refs or time than one push may take
	ReasonLFSUpload       Reason = "lfs_upload"           // LFS objects are downloaded only
	ReasonHostKeyMissing  Reason = "host_key_missing"     // no known_host_key, so no connection
	ReasonHostKeyChanged  Reason = "host_key_changed"     // the server shows another key
	ReasonCredential      Reason = "credential_refused"   // the upstream does not take the bottle's credential
	ReasonUpstreamRefused Reason = "upstream_refused"     // the upstream took the connection and refused the push

	// Failing closed.
	ReasonUpstreamUnreachable Reason = "upstream_unreachable"
	ReasonUpstreamUntrusted   Reason = "upstream_untrusted" // the upstream's certificate does not verify
	ReasonAuditUnavailable    Reason = "audit_unavailable"  // the decision cannot be recorded
	ReasonNameNotAnswered     Reason = "name_not_answered"  // a DNS name outside the bottle
	ReasonOverloaded          Reason = "overloaded"         // a proxy is holding as much as it can
	ReasonFlowNotForwarded    Reason = "flow_not_forwarded" // a packet of a virtual machine for anywhere but a sidecar
)

// Reasons lists every reason with one sentence that explains it to a reader of
// the docs, in the order in which docs/reasons.md prints them.
var Reasons = []struct {
	Reason Reason
	Means  string
}{
	{ReasonHostNotAllowed, "No route names this host and port."},
	{ReasonPathNotAllowed, "The host is allowed, but no match of its routes takes this path."},
	{ReasonMethodNotAllowed, "The path is allowed, but not with this method."},
	{ReasonAuthorityMismatch, "The TLS server name, the CONNECT authority and the Host header do not agree, port included."},
	{ReasonBadAuthority, "The host is not a plain DNS name: an address literal, a trailing dot, user information or odd characters."},
	{ReasonAddressForbidden, "The name resolves to an address that is not public, and the bottle does not allow it by allow_private."},
	{ReasonNestedProxy, "CONNECT or an absolute-form target was sent inside a tunnel."},
	{ReasonPlaintextAuth, "The route injects a credential, and the request came without TLS."},
	{ReasonAmbiguousPath, "The path has two readings (dot segments, encoded separators, backslashes, empty segments, control bytes)."},
	{ReasonBadRequest, "The request breaks HTTP, or uses a part of it that is refused."},
	{ReasonUpgrade, "The request asks for a protocol upgrade that the route does not allow."},
	{ReasonGitPush, "Git pushes over HTTPS are refused on every route; push through the git gate."},
	{ReasonSecretFound, "The URL, a header, the body or an object of a push holds what looks like a credential."},
	{ReasonUnscannable, "A body, or an archive in a push, cannot be read, so it cannot be cleared to pass."},
	{ReasonRelayForged, "A relay header arrived that egressd did not sign."},
	{ReasonBodyTooLarge, "The body is larger than the limit of the route."},
	{ReasonAgentCredential, "The request carries a credential of the agent's own on a host whose credential the bottle provides."},
	{ReasonPlaceholderMisplaced, "A placeholder stands in another place than the field of the route that its token belongs to."},
	{ReasonCredentialGone, "The credential of the route cannot be read, so the request is not sent without it."},
	{ReasonBudget, "The bottle, or this host, has been sent as many bytes as the operator allows."},
	{ReasonRate, "This host has been sent as many requests in a minute as the operator allows; try again later."},
	{ReasonKilled, "The operator has stopped everything that leaves this bottle."},
	{ReasonRemoteUnknown, "The git gate has no remote of this name; the manifest declares remotes under git."},
	{ReasonRefNotAllowed, "The name of the ref fits none of the patterns under refs.allow, or is not a proper branch, tag or note."},
	{ReasonRefForced, "The push would drop commits from a branch, and refs.force is not set."},
	{ReasonRefDelete, "The push would delete a ref, and refs.delete is not set."},
	{ReasonTagMoved, "The push would change an existing tag, or make one where refs.tags says deny."},
	{ReasonRefStale, "The upstream's ref has changed since the agent last fetched it."},
	{ReasonBadPack, "The objects of the push are malformed, incomplete or hostile, by the judgement of git's own checks."},
	{ReasonPushLimit, "The push has more bytes, objects or refs, or takes more time, than one push may."},
	{ReasonLFSUpload, "LFS objects can be downloaded through the git gate, not uploaded."},
	{ReasonHostKeyMissing, "The remote has no known_host_key, and no key is trusted on first use."},
	{ReasonHostKeyChanged, "The SSH server shows another key than known_host_key."},
	{ReasonCredential, "The upstream does not take the bottle's credential for this remote."},
	{ReasonUpstreamRefused, "The upstream itself refused the push; its own words are in the answer."},
	{ReasonUpstreamUnreachable, "The upstream did not answer."},
	{ReasonUpstreamUntrusted, "The upstream's certificate does not verify against the roots that the bottle trusts."},
	{ReasonAuditUnavailable, "The decision could not be recorded, so nothing was sent."},
	{ReasonOverloaded, "The proxy is serving or holding as much as it can; try again later."},
	{ReasonNameNotAnswered, "The name is outside the bottle; the guest resolves sidecar names only."},
	{ReasonFlowNotForwarded, "A virtual machine sent a packet to something else than a port of a sidecar, or in a way that is not carried."},
}
