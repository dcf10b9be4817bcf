package rate

import (
	"net/netip"
	"testing"
)

// TestNetworks checks which addresses are in the same network, by prefix length.
func TestNetworks(t *testing.T) {
	for _, test := range []struct {
		prefix4, prefix6 int
		a, b             string
		same             bool
	}{
		{32, 64, "192.0.2.1", "192.0.2.1", true},
		{32, 64, "192.0.2.1", "192.0.2.2", false},
		{32, 64, "192.0.2.1", "::ffff:192.0.2.1", true},
		{24, 64, "192.0.2.1", "::ffff:192.0.2.254", true},
		{24, 64, "192.0.2.1", "192.0.3.1", false},
		{1, 1, "192.0.2.1", "128.0.0.1", true},
		{1, 1, "192.0.2.1", "127.0.0.1", false},
		{32, 64, "2001:db8::1", "2001:db8::ffff:0:0:1", true},
		{32, 64, "2001:db8::1", "2001:db8:0:1::1", false},
		{32, 56, "2001:db8::1", "2001:db8:0:1::1", true},
		{32, 56, "2001:db8::1", "2001:db8:0:80::1", true},
		{32, 56, "2001:db8::1", "2001:db8:0:100::1", false},
		{32, 128, "2001:db8::1", "2001:db8::2", false},
		{32, 127, "2001:db8::2", "2001:db8::3", true},
		{32, 65, "2001:db8::1", "2001:db8::8000:0:0:1", false},
		{32, 1, "2001:db8::1", "3fff::1", true},
		{32, 1, "2001:db8::1", "fd00::1", false},
		{32, 64, "fe80::1%lo", "fe80::2", true},
		{32, 64, "0.0.0.0", "::", false},
	} {
		n := NewNetworks(test.prefix4, test.prefix6)
		a, b := netip.MustParseAddr(test.a), netip.MustParseAddr(test.b)
		network, other := a.As16(), b.As16()
		n.Mask(a, &network)
		n.Mask(b, &other)
		if same := network == other; same != test.same {
			t.Errorf("/%d and /%d: %s and %s: one network is %t", test.prefix4, test.prefix6, test.a, test.b, same)
		}
	}
}
