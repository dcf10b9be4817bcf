package main

import (
	"encoding/binary"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// udpChecksumErrors returns InCsumErrors of Udp in /proc/net/snmp, of the network namespace.
func udpChecksumErrors(t *testing.T) uint64 {
	t.Helper()
	content, err := os.ReadFile("/proc/net/snmp")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(line)
		if fields[0] != "Udp:" {
			continue
		}
		for i, name := range names {
			if name == "InCsumErrors" {
				n, err := strconv.ParseUint(fields[i], 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
		}
		names = fields
	}
	t.Fatal("no InCsumErrors in /proc/net/snmp")
	return 0
}

// Datagrams with wrong checksums, docs/guarantees.md: the ledger has short datagrams (at most 68
// bytes) nowhere, and long datagrams as dropped by the kernel.
func TestWrongChecksums(t *testing.T) {
	raw, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		t.Skipf("needs CAP_NET_RAW: grant it, or run as root: %v", err)
	}
	defer unix.Close(raw)
	const each = 10
	for size, atSocket := range map[int]bool{0: false, 68: false, 69: true, 1000: true} {
		address := freePort(t)
		at := netip.MustParseAddrPort(address)
		p := startServe(t, nil, "--listen", address, "--shards", "1", "--output", "discard")
		datagram := make([]byte, 8+size)
		for i, word := range []uint16{9, at.Port(), uint16(len(datagram)), 0xdead} { // RFC 768
			binary.BigEndian.PutUint16(datagram[2*i:], word)
		}
		before := udpChecksumErrors(t)
		for range each {
			if err := unix.Sendto(raw, datagram, 0, &unix.SockaddrInet4{Addr: at.Addr().As4()}); err != nil {
				t.Fatal(err)
			}
		}
		dropped := func() bool { return udpChecksumErrors(t) >= before+each }
		eventually(t, "the kernel has dropped all wrong datagrams", dropped)
		want := uint64(0)
		if atSocket {
			want = each
		}
		newSenders(t, address, 1).send(1, 0) // after all wrong datagrams
		eventually(t, "a datagram with a right checksum is received", func() bool { return p.total().Received > 0 })
		if got := p.total(); got.Received != 1 || got.Dropped.Kernel != want {
			t.Errorf("%d bytes: got %d received, %d dropped by the kernel, want 1 and %d",
				size, got.Received, got.Dropped.Kernel, want)
		}
	}
}
