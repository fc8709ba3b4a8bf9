package wire

// ProbeJob is what `launcher verify` gives its probe inside a bottle: the whole
// of its standard input, as one JSON document. It holds no secret.
type ProbeJob struct {
	Version int         `json:"version"`
	Tasks   []ProbeTask `json:"tasks"`
	// Together has the tasks made all at once instead of one after the other.
	Together bool `json:"together,omitempty"`
	// Slow has the probe wait longer for everything, and try less at a time: its
	// guest may be emulated.
	Slow bool `json:"slow,omitempty"`
}

// ProbeTask is one thing to try. Its tool says what becomes of the rest.
type ProbeTask struct {
	ID   string `json:"id"`
	Tool string `json:"tool"`
	// Targets are addresses, names or files, as the tool takes them.
	Targets []string `json:"targets,omitempty"`
	// Token is sent along wherever something is sent, so that whoever receives
	// it can tell.
	Token string     `json:"token"`
	Web   *ProbeWeb  `json:"web,omitempty"`
	Link  *ProbeLink `json:"link,omitempty"`
}

// ProbeWeb is a conversation with a proxy or a server, byte by byte.
type ProbeWeb struct {
	Dial string `json:"dial"`
	// Mark is a request that is sent first over a connection of its own, so that
	// the audit shows where this attempt begins.
	Mark []byte `json:"mark,omitempty"`
	// Connect is the authority of the CONNECT; "" speaks to Dial itself.
	Connect []byte `json:"connect,omitempty"`
	// TLS begins a handshake in the tunnel, with Name as its server name, in
	// single bytes if Slow, with a long hello if Long.
	TLS  bool   `json:"tls,omitempty"`
	Name string `json:"name,omitempty"`
	Slow bool   `json:"slow,omitempty"`
	Long bool   `json:"long,omitempty"`
	// Send is what is said then; Fields are a request of HTTP/2 instead, as
	// "name: value".
	Send   []byte   `json:"send,omitempty"`
	Fields []string `json:"fields,omitempty"`
}

// ProbeReport is what became of a task: one line of the probe's output. The last
// line has the id [ProbeEnd]; without it the probe has died.
type ProbeReport struct {
	ID string `json:"id"`
	// Millis is how long it took.
	Millis int64 `json:"ms"`
	// Unmade says why the attempt could not be made.
	Unmade string        `json:"unmade,omitempty"`
	Seen   []ProbeSeen   `json:"seen,omitempty"`
	Web    []ProbeAnswer `json:"web,omitempty"`
	Facts  []string      `json:"facts,omitempty"`
	// Heard are the beginnings of the frames that arrived meanwhile.
	Heard [][]byte `json:"heard,omitempty"`
}

// ProbeEnd is the id of the probe's last line.
const ProbeEnd = "end"

// ProbeSeen is what became of one target.
type ProbeSeen struct {
	Target string `json:"target"`
	// Open says that it worked, as far as the probe can tell.
	Open bool   `json:"open,omitempty"`
	What string `json:"what"`
}

// ProbeAnswer is one answer in a conversation.
type ProbeAnswer struct {
	// Stage is "connect", "tls" or "answer".
	Stage     string `json:"stage"`
	Status    int    `json:"status,omitempty"`
	Reason    string `json:"reason,omitempty"`
	RequestID string `json:"request_id,omitempty"`
	// Error says how the conversation ended without an answer.
	Error string `json:"error,omitempty"`
	// Body is the beginning of the body.
	Body string `json:"body,omitempty"`
}

// ProbeSilence is the word for a target that did not answer in time. Other words
// are the names of the kernel's errors.
const ProbeSilence = "no answer"
