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

	udp    [2]udpCounters // IPv4's and IPv6's
	udpErr error

	drops map[netip.AddrPort]uint64 // by the address of the sockets there

	softnet    []procfs.SoftnetStat
	softnetErr error

	conntrack    []procfs.ConntrackStatEntry
	conntrackErr error

	throttled uint64               // times that a control group of the process was
	rings     map[string]ringDrops // by interface
}

// read takes a reading. What has no file has no counters.
func (e *examination) read() reading {
	r := reading{at: time.Now(), rings: make(map[string]ringDrops)}
	r.udp, r.udpErr = e.readUDP()
	r.drops = e.readDrops()
	r.softnet, r.softnetErr = e.fs.NetSoftnetStat()
	r.conntrack, r.conntrackErr = e.fs.ConntrackStat()
	r.throttled = e.readThrottled()
	for _, name := range e.devices() {
		r.rings[name] = e.readRing(name)
	}
	return r
}

// readDrops adds up what each address's sockets have dropped. Hosts without
// IPv6 have no second table.
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

// udpCounters are a protocol's datagrams since boot (RFC 4113, and Linux's
// own): the errors are parts of InErrors.
type udpCounters struct {
	InDatagrams, InErrors, RcvbufErrors, MemErrors, InCsumErrors uint64
}

func (c *udpCounters) field(name string) *uint64 {
	switch name {
	case "InDatagrams":
		return &c.InDatagrams
	case "InErrors":
		return &c.InErrors
	case "RcvbufErrors":
		return &c.RcvbufErrors
	case "MemErrors":
		return &c.MemErrors
	case "InCsumErrors":
		return &c.InCsumErrors
	}
	return new(uint64)
}

// since returns what was counted after an earlier reading.
func (c udpCounters) since(earlier udpCounters) udpCounters {
	return udpCounters{
		InDatagrams:  grown(earlier.InDatagrams, c.InDatagrams),
		InErrors:     grown(earlier.InErrors, c.InErrors),
		RcvbufErrors: grown(earlier.RcvbufErrors, c.RcvbufErrors),
		MemErrors:    grown(earlier.MemErrors, c.MemErrors),
		InCsumErrors: grown(earlier.InCsumErrors, c.InCsumErrors),
	}
}

// readUDP reads net/snmp and net/snmp6: procfs.ProcSnmp leaves MemErrors
// (Linux 5.11) out. Hosts without IPv6 have no second file.
func (e *examination) readUDP() (counters [2]udpCounters, err error) {
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
		for i, value := range fields[1:min(len(fields), len(names))] {
			*counters[0].field(names[i+1]), _ = strconv.ParseUint(value, 10, 64)
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
			*counters[1].field(name), _ = strconv.ParseUint(strings.TrimSpace(value), 10, 64)
		}
	}
	return counters, err
}
