package sockets

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// answer returns the kernel's answer for a real socket.
func answer(t testing.TB, family uint8, port uint16) []byte {
	t.Helper()
	d, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	messages, err := d.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.SOCK_DIAG_BY_FAMILY, Flags: netlink.Request | netlink.Dump},
		Data:   request(udp, family, port),
	})
	if err != nil || len(messages) != 1 {
		t.Fatalf("%d messages, %v", len(messages), err)
	}
	return messages[0].Data
}

func TestAnswersThatMakeNoSense(t *testing.T) {
	whole := answer(t, unix.AF_INET, bind(t, "127.0.0.1:0").port())
	if _, _, err := parse(whole); err != nil {
		t.Fatal(err)
	}
	other := append([]byte(nil), whole...)
	other[messageFamily] = unix.AF_UNIX
	short := append(append([]byte(nil), whole[:sizeOfMessage]...), 8, 0, attributeMemory, 0, 1, 2, 3, 4)
	for want, b := range map[string][]byte{
		"less than the 72":                      whole[:sizeOfMessage-1],
		"address family 1":                      other,
		"without a socket's memory":             whole[:sizeOfMessage],
		"does not report the drops of a socket": short,
		"invalid attribute":                     whole[:len(whole)-3],
		"an answer of 0 bytes, less than the":   nil,
	} {
		if _, _, err := parse(b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", hex.EncodeToString(b), err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{})
	f.Add(answer(f, unix.AF_INET, bind(f, "127.0.0.1:0").port()))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, _, err := parse(b); err == nil && !s.Local.IsValid() {
			t.Errorf("%+v has no address", s)
		}
	})
}
