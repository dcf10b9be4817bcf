package sys

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// A datagram that arrived before IP_PKTINFO was set is no broadcast.
func TestDestinationsThatTheKernelDoesNotKnow(t *testing.T) {
	for _, c := range []struct{ asked, spec, local string }{
		{"192.0.2.1", "192.0.2.1", "192.0.2.1"},
		{"192.0.2.255", "192.0.2.1", "192.0.2.1"},
		{"192.0.2.1", "0.0.0.0", "192.0.2.1"},
		{"224.0.0.1", "0.0.0.0", ""},
		{"255.255.255.255", "0.0.0.0", ""},
	} {
		message := make([]byte, unix.CmsgSpace(pktinfo4))
		binary.NativeEndian.PutUint64(message, uint64(cmsgHeader+pktinfo4))
		binary.NativeEndian.PutUint32(message[8:], unix.SOL_IP)
		binary.NativeEndian.PutUint32(message[12:], unix.IP_PKTINFO)
		asked, spec := netip.MustParseAddr(c.asked).As4(), netip.MustParseAddr(c.spec).As4()
		copy(message[cmsgHeader+4:], spec[:])
		copy(message[cmsgHeader+8:], asked[:])
		var local netip.Addr
		if c.local != "" {
			local = netip.MustParseAddr(c.local)
		}
		if control := parseControl(message); control.destination.String() != c.asked || control.local != local {
			t.Errorf("sent to %s, the kernel says %s: %+v", c.asked, c.spec, control)
		}
	}
}
