package vm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
	"github.com/bottlesuite/bottle/launcher/internal/guest"
)

func TestUnixgramGolden(t *testing.T) {
	c := Config{Name: "demo-abcde", CPUs: 2, Memory: 4 << 30, MAC: "52:00:00:00:00:01", MTU: 65520}
	d := disks{"/kit/vmlinuz", "/run/initrd", "/run/efi.img", "/cache/image.ext4", "/run/layer.ext4", "/net/gateway.sock", "/run/port.sock"}
	got := "vfkit\n" + strings.Join(vfkitArgs(c, d), "\n") + "\n\nkrunkit\n" + strings.Join(krunkitArgs(c, d), "\n") + "\n"
	file := filepath.Join("testdata", "unixgram.golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != got {
		t.Errorf("%s is not what is run (-update after a look): %v\n%s", file, err, got)
	}
}

func TestUnixgramCheck(t *testing.T) {
	env := map[string]string{"PATH": t.TempDir()}
	d := &unixgramDriver{getenv: func(n string) string { return env[n] }, goos: "linux"}
	if _, err := d.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "which are macOS's; use the driver qemu here") {
		t.Error(err)
	}
	if _, err := tool("mke2fs"); err != nil {
		t.Skip(err)
	}
	d.goos = "darwin"
	if _, err := d.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "neither vfkit nor krunkit is in the PATH; install one of them") {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(env["PATH"], "krunkit"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if on, err := d.Check(t.Context()); err != nil || on != "krunkit" {
		t.Errorf("%q, %v", on, err)
	}
}

func TestUnusablePaths(t *testing.T) {
	for _, d := range []disks{{image: "/a,b"}, {kernel: `/a"b`}, {port: "/" + strings.Repeat("x", 103)}, {net: "/" + strings.Repeat("x", 103)}} {
		var p *engine.Problem
		if err := d.usable(); !errors.As(err, &p) {
			t.Errorf("%+v: %v", d, err)
		}
	}
	if err := (disks{image: "/" + strings.Repeat("x", 300), port: "/p", net: "/n"}).usable(); err != nil {
		t.Error(err)
	}
}

// fakeKit is in the place of vfkit and krunkit, as the machine that they start: it
// attaches itself to the gateway's socket with their greeting, asks for a sidecar's
// hardware address, and tells the answer to whoever runs a command.
func fakeKit(args []string) error {
	option := func(device, key string) string {
		for _, a := range args {
			if strings.HasPrefix(a, device+",") {
				for _, o := range strings.Split(a, ",") {
					if v, ok := strings.CutPrefix(o, key+"="); ok {
						return v
					}
				}
			}
		}
		return ""
	}
	if err := os.WriteFile(option("virtio-vsock", "socketURL")+".args", []byte(strings.Join(args[1:], "\n")), 0o600); err != nil {
		return err
	}
	at := option("virtio-net", "unixSocketPath") + option("virtio-net", "path")
	mac, err := net.ParseMAC(option("virtio-net", "mac"))
	if err != nil {
		return err
	}
	c, err := net.DialUnix("unixgram", &net.UnixAddr{Name: at + ".guest", Net: "unixgram"}, &net.UnixAddr{Name: at, Net: "unixgram"})
	if err != nil {
		return err
	}
	arp := append(append(bytes.Repeat([]byte{0xff}, 6), mac...), 8, 6, 0, 1, 8, 0, 6, 4, 0, 1)
	arp = append(append(append(append(arp, mac...), 10, 213, 1, 3), make([]byte, 6)...), 10, 213, 1, 2)
	_, err1 := c.Write([]byte("VFKT"))
	_, err2 := c.Write(arp)
	answer := make([]byte, 1500)
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, err3 := c.Read(answer)
	if err := errors.Join(err1, err2, err3); err != nil || n < 42 {
		return fmt.Errorf("%d bytes: %w", n, err)
	}
	port, err := net.Dial("unix", option("virtio-vsock", "socketURL"))
	if err != nil {
		return err
	}
	if err := guest.WriteBanner(port, nil); err != nil {
		return err
	}
	s, err := yamux.Server(port, guest.Mux())
	if err != nil {
		return err
	}
	for {
		c, err := s.Accept()
		if err != nil {
			return nil
		}
		req, err := guest.ReadRequest(c)
		if err != nil || len(req.Argv) == 0 {
			return err
		}
		_ = guest.WriteFrame(c, guest.KindOutput, fmt.Appendf(nil, "%s: %s", req.Argv[0], net.HardwareAddr(answer[22:28])))
		_ = guest.WriteFrame(c, guest.KindExit, binary.BigEndian.AppendUint32(nil, 0))
	}
}

// TestUnixgram runs the driver with the stand-ins, on the real gateway.
func TestUnixgram(t *testing.T) {
	if _, err := tool("mke2fs"); err != nil {
		t.Skip(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"vfkit", "krunkit"} {
		t.Run(name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "u-") // sockets have short paths
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			bin, kit, run := filepath.Join(dir, "bin"), filepath.Join(dir, "kit"), filepath.Join(dir, "run")
			if err := errors.Join(os.Mkdir(bin, 0o755), os.MkdirAll(filepath.Join(kit, "modules"), 0o755), os.Mkdir(run, 0o700), os.Symlink(self, filepath.Join(bin, name))); err != nil {
				t.Fatal(err)
			}
			for _, f := range []string{"vmlinuz", "guestinit", "modules/order", "image.ext4"} {
				if err := os.WriteFile(filepath.Join(kit, f), []byte(f), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			d := &unixgramDriver{getenv: func(string) string { return bin }, goos: "darwin"}
			if on, err := d.Check(t.Context()); err != nil || on != name {
				t.Fatalf("%q, %v", on, err)
			}
			var console bytes.Buffer
			p := Parts{
				Config: Config{Name: "demo-abcde", CPUs: 2, Memory: 1 << 30, MAC: "52:00:00:00:00:03", MTU: 1500},
				Kit:    &Kit{Kernel: filepath.Join(kit, "vmlinuz"), Modules: filepath.Join(kit, "modules"), Init: filepath.Join(kit, "guestinit")},
				Dir:    dir, Run: run, Console: &console, Guest: wire.Guest{Version: 1}, Socket: datagramGateway(t, dir),
				Layer: Layer{filepath.Join(dir, "disk")},
				Disk:  func(context.Context) (string, error) { return filepath.Join(kit, "image.ext4"), nil },
			}
			if name == "krunkit" {
				if _, err := Start(t.Context(), d, p); err == nil || !strings.Contains(err.Error(), "krunkit boots by EFI only") {
					t.Errorf("without a disk to boot from: %v", err)
				}
				if err := os.WriteFile(filepath.Join(kit, "efi.img"), []byte("efi"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			m, err := Start(t.Context(), d, p)
			if err != nil {
				t.Fatalf("%v\n%s", err, console.String())
			}
			defer m.Kill()
			c, err := m.Open()
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := Exec(t.Context(), c, "", []string{"arp"}, engine.Streams{Out: &out, Err: io.Discard}); err != nil || out.String() != "arp: 52:00:00:00:00:01" {
				t.Errorf("%q, %v", out.String(), err)
			}
			args, err := os.ReadFile(filepath.Join(run, "port.sock.args"))
			if err != nil || strings.Contains(string(args), kit+"/image.ext4") != (name == "vfkit") {
				t.Errorf("%v\n%s", err, args)
			}
			if err := m.Stop(); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(run); !os.IsNotExist(err) {
				t.Errorf("the machine's files are there: %v", err)
			}
		})
	}
}
