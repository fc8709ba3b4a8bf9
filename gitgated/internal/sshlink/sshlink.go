// Package sshlink is how git reaches an upstream over SSH: the program that git
// runs as its "ssh". It knows one server by one key, one identity by one file,
// and nothing else: no configuration file, no agent's socket, no trust on first
// use, no password. What goes wrong is a [policy.Reason] with a sentence that
// names the remedy, instead of text to be guessed at.
//
// It is golang.org/x/crypto/ssh and not the ssh program, because that one
// refuses to run for a user that /etc/passwd does not know, which sidecars'
// users are, and because its errors are for people.
package sshlink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/bottlesuite/bottle/internal/policy"
)

// ConnectTimeout bounds the way to a server that has answered the handshake.
const ConnectTimeout = 10 * time.Second

// Server is what a connection needs.
type Server struct {
	Address      string `json:"address"` // host:port
	User         string `json:"user"`
	IdentityFile string `json:"identity_file"`
	KnownHostKey string `json:"known_host_key"`
}

// Fault is a connection that did not come about, or a credential that cannot
// be used.
type Fault struct {
	Reason policy.Reason `json:"reason"`
	Detail string        `json:"detail"`
}

func (f *Fault) Error() string { return f.Detail }

func fault(reason policy.Reason, format string, args ...any) *Fault {
	return &Fault{reason, fmt.Sprintf(format, args...)}
}

// maxKey bounds a key file; a larger one is a mistake.
const maxKey = 64 << 10

// ReadIdentity reads a private key. An encrypted one is refused: there is nobody
// here who could be asked for the passphrase.
func ReadIdentity(file string) (ssh.Signer, error) {
	fi, err := os.Stat(file)
	if err == nil && (!fi.Mode().IsRegular() || fi.Size() > maxKey) {
		return nil, fmt.Errorf("%s is no private key (an agent's socket is not used); name the file that holds the key", file)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the private key: %w", err)
	}
	return ParseIdentity(file, data)
}

// ParseIdentity reads a private key whose file is known.
func ParseIdentity(file string, data []byte) (ssh.Signer, error) {
	key, err := ssh.ParsePrivateKey(data)
	var locked *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &locked):
		return nil, fmt.Errorf("the private key %s is encrypted, and nobody can be asked for its passphrase; make a key for this bottle with ssh-keygen -t ed25519 -N '' and give it to the server as a deploy key", file)
	case err != nil:
		return nil, fmt.Errorf("%s is not a private key: %w", file, err)
	}
	return key, nil
}

// ParseHostKey reads "ssh-ed25519 AAAA...", as ssh-keyscan prints it after the
// host's name.
func ParseHostKey(line string) (ssh.PublicKey, error) {
	key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(strings.TrimSpace(line)))
	if err != nil || len(options) > 0 || len(strings.TrimSpace(string(rest))) > 0 {
		return nil, errors.New(`known_host_key is not a key such as "ssh-ed25519 AAAA..."; take it from the server's operator, or from "ssh-keyscan HOST" after comparing the fingerprint`)
	}
	return key, nil
}

// Run connects, runs command on the server and joins its streams to ours. The
// error is a [*Fault] when the command did not start, else an [*ssh.ExitError]
// or what broke the connection.
func Run(ctx context.Context, s Server, protocol, command string, in io.Reader, out, errOut io.Writer) error {
	client, err := dial(ctx, s)
	if err != nil {
		return err
	}
	defer client.Close()
	stop := context.AfterFunc(ctx, func() { _ = client.Close() })
	defer stop()
	session, err := client.NewSession()
	if err != nil {
		return fault(policy.ReasonUpstreamUnreachable, "The SSH server %s opens no session: %v.", s.Address, err)
	}
	if protocol != "" {
		_ = session.Setenv("GIT_PROTOCOL", protocol) // a server that does not take it speaks version 0
	}
	session.Stdout, session.Stderr = out, errOut
	// Not session.Stdin: its copying would keep Run waiting for the end of in
	// when the command is over.
	pipe, err := session.StdinPipe()
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(pipe, in) // a broken pipe shows as the command's end
		_ = pipe.Close()
	}()
	return session.Run(command)
}

func dial(ctx context.Context, s Server) (*ssh.Client, error) {
	if s.KnownHostKey == "" {
		return nil, missingKey(ctx, s)
	}
	want, err := ParseHostKey(s.KnownHostKey)
	if err != nil {
		return nil, fault(policy.ReasonHostKeyMissing, "%v.", err)
	}
	key, err := ReadIdentity(s.IdentityFile)
	if err != nil {
		return nil, fault(policy.ReasonCredentialGone, "The bottle's key for this remote cannot be used: %v.", err)
	}
	var shown ssh.PublicKey
	client, err := connect(ctx, s, &ssh.ClientConfig{
		User: s.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyAlgorithms: algorithms(want),
		HostKeyCallback: func(_ string, _ net.Addr, got ssh.PublicKey) error {
			shown = got
			return ssh.FixedHostKey(want)("", nil, got)
		},
	})
	switch {
	case err == nil:
		return client, nil
	case shown != nil && string(shown.Marshal()) != string(want.Marshal()):
		return nil, fault(policy.ReasonHostKeyChanged,
			"The SSH server %s shows the host key %s, but known_host_key is %s. If the server really has a new key, ask its operator for the fingerprint and correct known_host_key in the manifest; otherwise somebody is in between.",
			s.Address, ssh.FingerprintSHA256(shown), ssh.FingerprintSHA256(want))
	case strings.Contains(err.Error(), "no common algorithm for host key"):
		return nil, fault(policy.ReasonHostKeyChanged,
			"The SSH server %s has no host key of the kind %s, which known_host_key is (%s). Correct known_host_key in the manifest after comparing the fingerprint with the server's operator.",
			s.Address, want.Type(), ssh.FingerprintSHA256(want))
	case shown != nil && strings.Contains(err.Error(), "unable to authenticate"):
		return nil, fault(policy.ReasonCredential,
			"The SSH server %s does not take the key %s of the bottle for the user %s; add its public half there as a deploy key with write access.",
			s.Address, ssh.FingerprintSHA256(key.PublicKey()), s.User)
	}
	return nil, fault(policy.ReasonUpstreamUnreachable, "The SSH server %s cannot be reached: %v.", s.Address, err)
}

// connect makes the connection and its handshake within [ConnectTimeout].
func connect(ctx context.Context, s Server, config *ssh.ClientConfig) (*ssh.Client, error) {
	d := net.Dialer{Timeout: ConnectTimeout}
	deadline := time.Now().Add(ConnectTimeout)
	conn, err := d.DialContext(ctx, "tcp", s.Address)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(deadline) // never fails on an open connection
	c, chans, reqs, err := ssh.NewClientConn(conn, s.Address, config)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	return ssh.NewClient(c, chans, reqs), nil
}

// algorithms are the ways in which a server can prove that it has key.
func algorithms(key ssh.PublicKey) []string {
	if key.Type() == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{key.Type()}
}

var errLooked = errors.New("only looked at the key")

// missingKey asks the server for its key, sends it nothing, and says what it
// was: the operator compares and decides.
func missingKey(ctx context.Context, s Server) error {
	var shown ssh.PublicKey
	_, err := connect(ctx, s, &ssh.ClientConfig{User: s.User, HostKeyCallback: func(_ string, _ net.Addr, got ssh.PublicKey) error {
		shown = got
		return errLooked
	}})
	if shown == nil {
		return fault(policy.ReasonHostKeyMissing, "The remote has no known_host_key, so nothing is sent to %s (which cannot be reached either: %v).", s.Address, err)
	}
	return fault(policy.ReasonHostKeyMissing,
		"The remote has no known_host_key, and no key is trusted on first use. The SSH server %s shows %s; compare it with what the server's operator publishes, and if it is the same write known_host_key: %s",
		s.Address, ssh.FingerprintSHA256(shown), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(shown))))
}
