package proxies

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/bottlesuite/bottle/internal/wire"
)

// readyTime and stopTime bound the start and the end of a daemon.
const (
	readyTime = 10 * time.Second
	stopTime  = 10 * time.Second
)

// Daemon is a running process with its configuration file.
type Daemon struct {
	Process
	Name  string
	cmd   *exec.Cmd
	file  string
	log   *bytes.Buffer
	ended chan struct{}
}

func (c Config) startDaemon(name string, config any) (*Daemon, error) {
	d := &Daemon{Name: name, file: filepath.Join(c.Dir, name+".yaml"), log: new(bytes.Buffer), ended: make(chan struct{})}
	if _, err := d.configure(config); err != nil {
		return nil, err
	}
	d.cmd = exec.Command(filepath.Join(c.Bin, name), "--config", d.file)
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	d.cmd.SysProcAttr = endsWithParent()
	if c.Processors > 0 {
		d.cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(c.Processors))
	}
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	d.PID = d.cmd.Process.Pid
	go func() {
		_ = d.cmd.Wait() // its state is what counts
		close(d.ended)
	}()
	for deadline := time.Now().Add(readyTime); ; {
		if d.command("healthcheck").Run() == nil {
			return d, nil
		}
		select {
		case <-d.ended:
			return nil, fmt.Errorf("%s ended: %s", name, d.log)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("%s was not healthy within %s", name, readyTime), d.Stop())
		}
	}
}

func (d *Daemon) command(name string) *exec.Cmd {
	return exec.Command(d.cmd.Path, "--config", d.file, name)
}

// configure puts a configuration file in place of the one that is there, and
// returns its hash.
func (d *Daemon) configure(config any) (string, error) {
	data, err := yaml.Marshal(config)
	if err != nil {
		return "", err
	}
	next := d.file + ".next"
	if err := os.WriteFile(next, data, 0o600); err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), os.Rename(next, d.file)
}

func (d *Daemon) hangUp() error { return d.cmd.Process.Signal(syscall.SIGHUP) }

// Status asks the daemon what it has in force.
func (d *Daemon) Status() (wire.Status, error) {
	var s wire.Status
	out, err := d.command("status").Output()
	if err != nil {
		return s, fmt.Errorf("%s status: %w", d.Name, err)
	}
	return s, json.Unmarshal(out, &s)
}

// Stop ends the daemon by SIGTERM.
func (d *Daemon) Stop() error {
	select {
	case <-d.ended:
		return fmt.Errorf("%s had ended by itself: %s: %s", d.Name, d.cmd.ProcessState, d.log)
	default:
	}
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-d.ended:
	case <-time.After(stopTime):
		_ = d.cmd.Process.Kill()
		<-d.ended
		return fmt.Errorf("%s did not end within %s of SIGTERM: %s", d.Name, stopTime, d.log)
	}
	if !d.cmd.ProcessState.Success() {
		return fmt.Errorf("%s: %s: %s", d.Name, d.cmd.ProcessState, d.log)
	}
	return nil
}
