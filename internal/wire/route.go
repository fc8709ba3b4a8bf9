package wire

// Route allows requests to one host. It is the same struct in a bottle's
// manifest and in egressd.yaml.
type Route struct {
	// Host is an exact DNS name or "*.suffix", with ":port" unless 443.
	Host string `yaml:"host"`
	// Matches are alternatives. None means every path and every method.
	Matches []Match `yaml:"matches,omitempty"`
	Auth    *Auth   `yaml:"auth,omitempty"`
	// WebSocket allows a protocol upgrade to websocket.
	WebSocket bool `yaml:"websocket,omitempty"`
	// EncodedSlash takes paths with "%2F" in them, as package registries use
	// it in "@scope%2Fname". Matching takes it for an ordinary byte.
	EncodedSlash bool `yaml:"encoded_slash,omitempty"`
	// BodyPlaceholders lets placeholders pass in request bodies, where they
	// are never replaced: a conversation may quote the agent's environment.
	// Unset, they pass to the hosts of [ModelHosts] only.
	BodyPlaceholders *bool   `yaml:"body_placeholders,omitempty"`
	Limits           *Limits `yaml:"limits,omitempty"`
	// Expires is when the route ends, together with the requests that are on
	// their way by it; absent means never.
	Expires Instant `yaml:"expires,omitempty"`
}

// Match is one alternative of a route; all of its conditions must hold.
type Match struct {
	Path *PathMatch `yaml:"path,omitempty"`
	// Methods are upper-case HTTP methods; none means every method.
	Methods []string `yaml:"methods,omitempty"`
	// Headers must each be present once with exactly this value.
	Headers map[string]string `yaml:"headers,omitempty"`
}

// PathMatch has exactly one field set.
type PathMatch struct {
	// Exact matches the canonical path as a whole.
	Exact string `yaml:"exact,omitempty"`
	// Prefix matches on segment boundaries: /v1 takes /v1 and /v1/x, not /v10.
	Prefix string `yaml:"prefix,omitempty"`
	// Regex is a RE2 expression that must match the whole path.
	Regex string `yaml:"regex,omitempty"`
}

// Auth schemes.
const (
	SchemeBearer = "Bearer" // Authorization: Bearer <token>
	SchemeToken  = "token"  // Authorization: token <token>
	SchemeBasic  = "Basic"  // Authorization: Basic base64(<token>); the token is user:password
	SchemeHeader = "header" // <Header>: <token>
)

// What becomes of the agent's own credential on a host whose credential the
// bottle provides.
const (
	AgentCredentialRefuse = "refuse"
	AgentCredentialStrip  = "strip" // header fields are removed; queries pass
)

// Auth names the credential that egressd injects on a route. It holds a
// reference, never a value.
type Auth struct {
	// Scheme is one of the Scheme constants.
	Scheme string `yaml:"scheme"`
	// TokenRef names the environment variable (launcher) or secret file
	// (egressd) that holds the token: [A-Z][A-Z0-9_]*.
	TokenRef string `yaml:"token_ref"`
	// Header is the field to set, for SchemeHeader only.
	Header string `yaml:"header,omitempty"`
	// Query names keys of the query that carry a credential on this host, in
	// addition to those that egressd knows. A request with one is refused.
	Query []string `yaml:"query,omitempty"`
	// AgentCredential is what becomes of a credential that the agent brings
	// itself: AgentCredentialRefuse, the default, or AgentCredentialStrip.
	AgentCredential string `yaml:"agent_credential,omitempty"`
	// Scrub is false to leave this token, on this route, in what comes back.
	Scrub *bool `yaml:"scrub,omitempty"`
}

// Limits bound one request on a route.
type Limits struct {
	// MaxRequestBytes is a size such as 10MiB; "" means no limit of the route.
	MaxRequestBytes Size `yaml:"max_request_bytes,omitempty"`
}
