package doctor

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/internal/sockets"
)

// protocols are the two that are counted apart.
var protocols = [2]string{"IPv4", "IPv6"}

// udpErrors judges the protocol's own counters, which are of the whole
// network namespace: those of a listener's own sockets are under "port".
func (e *examination) udpErrors() []Finding {
	const c check = "udp errors"
	if err := cmp.Or(e.after.udpErr, e.before.udpErr); err != nil {
		return []Finding{c.skip("%s", why(err))}
	}
	var findings []Finding
	var ever []string
	var received, buffers uint64
	for i, protocol := range protocols {
		total := e.after.udp[i]
		received += total.InDatagrams
		buffers += total.RcvbufErrors
		now := total.since(e.before.udp[i])
		if now.RcvbufErrors > 0 {
			findings = append(findings, e.bufferErrors(c, protocol, now.RcvbufErrors))
		}
		if now.InCsumErrors > 0 {
			findings = append(findings, c.warn("ethtool -S "+e.anyDevice(), "%s datagrams come with wrong checksums: %s %s (InCsumErrors); a sender, a cable or an offload is broken", protocol, format.Count(now.InCsumErrors), e.within()))
		}
		for _, part := range []struct {
			name string
			n    uint64
		}{{"RcvbufErrors", total.RcvbufErrors}, {"InCsumErrors", total.InCsumErrors}, {"MemErrors", total.MemErrors}} {
			if part.n > 0 {
				ever = append(ever, fmt.Sprintf("%s %s %s", protocol, part.name, format.Count(part.n)))
			}
		}
	}
	if len(findings) > 0 {
		return findings
	}
	said := fmt.Sprintf("%s datagrams received so far", format.Count(received))
	if len(ever) > 0 {
		said += ", and lost: " + strings.Join(ever, ", ")
	} else {
		said += ", none lost"
	}
	if e.watching() {
		said += "; no loss " + e.within()
	}
	if buffers > received/rare && !e.cleared() {
		whose, remedy := e.whose()
		return []Finding{c.warn(remedy, "%s; %s", said, whose)}
	}
	return []Finding{c.ok("%s", said)}
}

// bufferErrors judges datagrams that were dropped for a full receive buffer
// while we looked. The sockets tell whose they were.
func (e *examination) bufferErrors(c check, protocol string, n uint64) Finding {
	var ours, theirs []sockets.Watched // at the listeners' addresses
	blind := false
	for _, l := range e.listeners {
		found, err := e.at(l)
		blind = blind || err != nil
		for _, s := range found {
			switch {
			case s.Dropped == 0:
			case e.own(s):
				ours = append(ours, s)
			default:
				theirs = append(theirs, s)
			}
		}
	}
	said := fmt.Sprintf("%s datagrams are dropped for full receive buffers now: %s %s (RcvbufErrors)", protocol, format.Count(n), e.within())
	switch {
	case len(ours) > 0:
		return c.fail("udpshard selftest", "%s; %s of them at the sockets of %s", said, format.Count(dropped(ours)), holders(ours))
	case len(theirs) > 0:
		return c.warn(fmt.Sprintf("udpshard sockets :%d", theirs[0].Local.Port()), "%s; %s of them at the sockets of %s", said, format.Count(dropped(theirs)), holders(theirs))
	}
	who, most, listeners := netip.AddrPort{}, uint64(0), uint64(0)
	for local, drops := range e.after.drops {
		more := grown(e.before.drops[local], drops)
		if slices.ContainsFunc(e.listeners, func(l Listener) bool { return l.Holds(local, false) }) {
			listeners += more
		} else if more > most {
			who, most = local, more
		}
	}
	switch {
	case blind && (listeners > 0 || most == 0):
		return c.fail("ss -lunmp", "%s; whose they are can't be seen", said)
	case most > 0:
		return c.warn(fmt.Sprintf("udpshard sockets :%d", who.Port()), "%s; not the listeners' but those of %s", said, who)
	}
	return c.warn("ss -lunmp", "%s; not the listeners', but those of a socket that has gone", said)
}

// whose says at which sockets datagrams were dropped before, as far as these are still
// there, and the command that shows more.
func (e *examination) whose() (said, remedy string) {
	var ours uint64
	for _, l := range e.listeners {
		for _, s := range e.ownAt(l) {
			ours += uint64(s.Drops)
		}
	}
	if ours > 0 {
		return fmt.Sprintf("%s of them at the listeners' sockets since these were opened: see port", format.Count(ours)),
			fmt.Sprintf("udpshard sockets :%d", e.listeners[0].Address.Port())
	}
	who, most := netip.AddrPort{}, uint64(0)
	for local, drops := range e.after.drops {
		if drops > most {
			who, most = local, drops
		}
	}
	if most > 0 {
		return fmt.Sprintf("%s of them at the sockets of %s since these were opened", format.Count(most), who),
			fmt.Sprintf("udpshard sockets :%d", who.Port())
	}
	return "whose they were can't be told afterwards: no socket that is open has dropped any", "udpshard doctor --interval 1m"
}

// cleared says that the listeners' sockets are there to be asked, and have
// dropped nothing since they were made.
func (e *examination) cleared() bool {
	some := false
	for _, l := range e.listeners {
		for _, s := range e.ownAt(l) {
			some = true
			if s.Drops > 0 {
				return false
			}
		}
	}
	return some
}

// anyDevice names a device for a command that wants one.
func (e *examination) anyDevice() string {
	if devices := e.devices(); len(devices) > 0 {
		return devices[0]
	}
	return "eth0"
}

// udpMemory compares what all full receive buffers would take with what the
// kernel gives to UDP as a whole (net.ipv4.udp_mem, in pages; udp(7)).
func (e *examination) udpMemory() []Finding {
	const c check = "udp memory"
	page := uint64(os.Getpagesize())
	var need uint64
	for _, l := range e.listeners {
		need += l.queues()
	}
	var findings []Finding
	content, err := text(e.Proc, "sys/net/ipv4/udp_mem")
	fields := strings.Fields(content)
	if err == nil && len(fields) != 3 {
		err = fmt.Errorf("net.ipv4.udp_mem is %q", content)
	}
	var most uint64
	if err == nil {
		most, err = strconv.ParseUint(fields[2], 10, 64)
	}
	enlarge := fmt.Sprintf("sysctl -w net.ipv4.udp_mem='%d %d %d'", need/page, need/page*3/2, need/page*2)
	if err == nil && most > need/page {
		enlarge = fmt.Sprintf("sysctl -w net.ipv4.udp_mem='%s %d %d'", fields[0], most*3/2, most*2)
	}
	for i, protocol := range protocols {
		if refused := e.after.udp[i].since(e.before.udp[i]).MemErrors; refused > 0 {
			findings = append(findings, c.fail(enlarge, "%s datagrams are dropped for want of kernel memory now: %s %s (MemErrors)", protocol, format.Count(refused), e.within()))
		}
	}
	switch {
	case len(findings) > 0:
		return findings
	case err != nil:
		return []Finding{c.skip("net.ipv4.udp_mem is the host's, and not to be seen here: %s", why(err))}
	}
	used, said := uint64(0), fmt.Sprintf("full receive buffers take %s of the %s that UDP may have", format.Size(need), format.Size(most*page))
	if stat, err := e.fs.NetSockstat(); err == nil {
		for _, p := range stat.Protocols {
			if p.Protocol == "UDP" && p.Mem != nil {
				used = uint64(*p.Mem)
				said += fmt.Sprintf(", %s is used", format.Size(used*page))
			}
		}
	}
	switch {
	case used >= most:
		return []Finding{c.fail(enlarge, "%s: datagrams are dropped until it sinks (net.ipv4.udp_mem)", said)}
	case need > most*page:
		return []Finding{c.warn(enlarge, "%s (net.ipv4.udp_mem): buffers can't fill", said)}
	}
	return []Finding{c.ok("%s", said)}
}
