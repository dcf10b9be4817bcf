package doctor

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"
)

// reading is the counters of one moment.
type reading struct {
	at time.Time

	udp    [2]udpCounters // of IPv4 and of IPv6
	udpErr error

	drops map[netip.AddrPort]uint64 // at all sockets of an address

	softnet    []procfs.SoftnetStat
	softnetErr error

	conntrack []procfs.ConntrackStatEntry
	throttled uint64               // how often a control group of the process was
	rings     map[string]ringDrops // by interface
}

// read takes a reading. A file that is missing has no counters.
func (e *examination) read() reading {
	r := reading{at: time.Now(), rings: make(map[string]ringDrops)}
	r.udp, r.udpErr = e.readUDP()
	r.drops = e.readDrops()
	r.softnet, r.softnetErr = e.fs.NetSoftnetStat()
	r.conntrack, _ = e.fs.ConntrackStat()
	r.throttled = e.readThrottled()
	for _, name := range e.devices() {
		r.rings[name] = e.readRing(name)
	}
	return r
}

// readDrops returns the sum of the drops of each address's sockets. A host without IPv6 has no
// second table.
func (e *examination) readDrops() map[netip.AddrPort]uint64 {
	drops := make(map[netip.AddrPort]uint64)
	for _, read := range []func() (procfs.NetUDP, error){e.fs.NetUDP, e.fs.NetUDP6} {
		lines, _ := read()
		for _, line := range lines {
			if addr, ok := netip.AddrFromSlice(line.LocalAddr); ok && line.Drops != nil {
				drops[netip.AddrPortFrom(addr, uint16(line.LocalPort))] += *line.Drops
			}
		}
	}
	return drops
}

// udpCounters are the datagrams of a protocol since boot, by the names of RFC 4113 and of Linux:
// InDatagrams, and RcvbufErrors, MemErrors and InCsumErrors, which are parts of InErrors.
type udpCounters map[string]uint64

// readUDP reads net/snmp and net/snmp6: procfs.ProcSnmp has no MemErrors (Linux 5.11). A host
// without IPv6 has no second file.
func (e *examination) readUDP() (counters [2]udpCounters, err error) {
	counters = [2]udpCounters{{}, {}}
	content, err := text(e.Proc, "net/snmp")
	if err != nil {
		return counters, err
	}
	var names []string
	for line := range strings.Lines(content) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "Udp:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		for i, value := range fields[:min(len(fields), len(names))] {
			counters[0][names[i]], _ = strconv.ParseUint(value, 10, 64)
		}
	}
	if names == nil {
		return counters, errors.New("no Udp: in " + filepath.Join(e.Proc, "net/snmp"))
	}
	content, err = text(e.Proc, "net/snmp6")
	if errors.Is(err, os.ErrNotExist) {
		return counters, nil
	}
	for line := range strings.Lines(content) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name, found := strings.CutPrefix(name, "Udp6"); found {
			counters[1][name], _ = strconv.ParseUint(strings.TrimSpace(value), 10, 64)
		}
	}
	return counters, err
}
