// Command run serves the recording upstream by itself, to try a bottle on by
// hand:
//
//	go run ./test/upstream/run -address 198.51.100.30 -dir /tmp/upstream
//
// It prints the lines for a bottle's manifest, and at the end what it saw.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/bottlesuite/bottle/test/upstream"
)

func main() {
	address := flag.String("address", "198.51.100.30", "documentation `ADDRESS` to put on the loopback interface")
	port := flag.String("port", "443", "`PORT` to listen on")
	names := flag.String("names", "api.demo.example", "DNS `NAMES` of the certificate, by comma")
	dir := flag.String("dir", ".", "`DIR` for ca.pem and requests.jsonl")
	flag.Parse()
	if err := run(*address, *port, strings.Split(*names, ","), *dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(address, port string, names []string, dir string) (err error) {
	giveBack, err := upstream.Borrow(address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, giveBack()) }()
	s, err := upstream.Start(upstream.Config{Listen: net.JoinHostPort(address, port), Names: names, Dir: dir})
	if err != nil {
		return err
	}
	defer s.Close()
	ca, err := filepath.Abs(s.CAFile())
	if err != nil {
		return err
	}
	fmt.Printf("pipelock:\n  hosts: {%s: %s}\n  allow_private: [%s]\n  extra_ca: %s\n", names[0], address, strings.Join(names, ", "), ca)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
	record, err := os.Open(filepath.Join(dir, "requests.jsonl"))
	if err != nil {
		return err
	}
	defer record.Close()
	_, err = io.Copy(os.Stdout, record)
	return err
}
