package engine

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
)

// fake is a Handle that records its calls.
type fake struct {
	Handle
	name    string
	surplus int
	fails   string // step with an error
	calls   *[]string
}

var errFake = errors.New("fake error")

func (f fake) call(step string) error {
	*f.calls = append(*f.calls, f.name+" "+step)
	if f.fails == step {
		return errFake
	}
	return nil
}

func (f fake) AdoptSockets() (int, error)  { return f.surplus, f.call("adopt") }
func (f fake) ReadSurplus() error          { return f.call("read") }
func (f fake) DetachSurplus() (int, error) { return f.surplus, f.call("detach") }
func (f fake) CloseSurplus(func(metrics.Socket) error) error {
	return f.call("close")
}

// Each step is made for all groups before the next step, and an error ends the steps.
func TestStepsOfATakeover(t *testing.T) {
	for _, test := range []struct {
		fails   string
		surplus int
		want    []string
	}{
		{"", 0, []string{"a adopt", "b adopt", "a read", "b read", "a detach", "b detach"}},
		{"", 1, []string{"a adopt", "b adopt", "a read", "b read", "a detach", "b detach", "a close", "b close"}},
		{"adopt", 1, []string{"a adopt"}},
		{"read", 1, []string{"a adopt", "b adopt", "a read"}},
		{"detach", 1, []string{"a adopt", "b adopt", "a read", "b read", "a detach"}},
		{"close", 1, []string{"a adopt", "b adopt", "a read", "b read", "a detach", "b detach", "a close"}},
	} {
		t.Run(fmt.Sprintf("%d surplus, %s", test.surplus, test.fails), func(t *testing.T) {
			var calls []string
			groups := []fake{{name: "a", fails: test.fails, calls: &calls}, {name: "b", surplus: test.surplus, calls: &calls}}
			err := Adopt(groups)
			if err == nil {
				err = DrainSurplus(func(metrics.Socket) error { return nil }, groups)
			}
			if !slices.Equal(calls, test.want) || (test.fails == "") != (err == nil) {
				t.Errorf("%q, %v, want %q", calls, err, test.want)
			}
		})
	}
}

func TestSocketAddress(t *testing.T) {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	udp, err := conn.File()
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	if at, err := SocketAddress(udp); at.String() != conn.LocalAddr().String() || err != nil {
		t.Errorf("%s, %v", at, err)
	}
	refused := func(file *os.File, text string) {
		t.Helper()
		if at, err := SocketAddress(file); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s, %v, want %q", at, err, text)
		}
	}
	if err := sys.Control(udp, sys.DetachSocket); err != nil {
		t.Fatal(err)
	}
	refused(udp, "out of use")

	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	tcp := os.NewFile(uintptr(fd), "tcp")
	defer tcp.Close()
	refused(tcp, "protocol 6")

	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	refused(null, "SO_PROTOCOL")
}
