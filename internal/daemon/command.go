package daemon

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// Command is a subcommand that one daemon has beside the common ones.
type Command[C any] struct {
	// Usage is the command with its arguments, Summary one line about it.
	Usage, Summary string
	// Min and Max bound the number of arguments.
	Min, Max int
	// Run works off the command.
	Run func(ctx context.Context, call Call[C]) error
}

// Call is one use of a [Command].
type Call[C any] struct {
	Args  []string
	Stdio Stdio
	// Load reads and judges the configuration file.
	Load func() (*C, error)
	// Post sends a request to a path of the running daemon's admin listener
	// and writes the answer to out.
	Post func(ctx context.Context, path string, out io.Writer) error
}

// AdminHandler is a [Service] with endpoints of its own on the admin listener.
type AdminHandler interface {
	// HandleAdmin adds them. The common ones are /healthz, /status and /metrics.
	HandleAdmin(*http.ServeMux)
}

// MetricsWriter is a [Service] with metrics beyond its counters, as a [Recorder]
// has them.
type MetricsWriter interface {
	// WriteMetrics prints them in the Prometheus text format.
	WriteMetrics(w io.Writer, component string)
}

// own works off a subcommand of this daemon.
func (s Spec[C]) own(ctx context.Context, name, config string, args []string, stdio Stdio) error {
	return s.Commands[name].Run(ctx, Call[C]{
		Args: args, Stdio: stdio,
		Load: func() (*C, error) {
			l, err := s.load(config)
			if err != nil {
				return nil, err
			}
			return l.config, nil
		},
		Post: func(ctx context.Context, path string, out io.Writer) error {
			return s.ask(ctx, http.MethodPost, config, path, out)
		},
	})
}

// writeOwn prints the usage lines of the subcommands that are this daemon's own.
func (s Spec[C]) writeOwn(w io.Writer, names []string) {
	for _, name := range names {
		fmt.Fprintf(w, "  %-21s %s\n", s.Commands[name].Usage, s.Commands[name].Summary)
	}
}
