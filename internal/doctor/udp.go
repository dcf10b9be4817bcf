package doctor

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/internal/sockets"
)

// protocols are the names of the two protocols with counters of their own.
var protocols = [2]string{"IPv4", "IPv6"}

// udpErrors checks the counters of each protocol, which are those of the whole network namespace.
// The drops of a listener's own sockets are under "port".
func (e *examination) udpErrors(r *results) {
	if err := cmp.Or(e.after.udpErr, e.before.udpErr); err != nil {
		r.skip("%s", why(err))
		return
	}
	var ever []string
	var received, dropped uint64
	for i, protocol := range protocols {
		before, total := e.before.udp[i], e.after.udp[i]
		received += total["InDatagrams"]
		dropped += total["RcvbufErrors"]
		if n := growth(before["RcvbufErrors"], total["RcvbufErrors"]); n > 0 {
			e.bufferErrors(r, protocol, n)
		}
		if n := growth(before["InCsumErrors"], total["InCsumErrors"]); n > 0 {
			r.warn("ethtool -S "+e.anyDevice(), "%s datagrams arrive with wrong checksums: %s %s (InCsumErrors); a sender, a cable or an offload is broken", protocol, format.Count(n), e.within())
		}
		for _, name := range []string{"RcvbufErrors", "InCsumErrors", "MemErrors"} {
			if total[name] > 0 {
				ever = append(ever, fmt.Sprintf("%s %s %s", protocol, name, format.Count(total[name])))
			}
		}
	}
	if len(r.findings) > 0 {
		return
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
	if dropped > received/rare && !e.noneAtListeners() {
		where, remedy := e.whereDropped()
		r.warn(remedy, "%s; %s", said, where)
		return
	}
	r.ok("%s", said)
}

// bufferErrors reports datagrams that were dropped at full receive buffers between the readings,
// and the sockets that dropped them.
func (e *examination) bufferErrors(r *results, protocol string, n uint64) {
	var ours, theirs []sockets.Watched // at the listeners' addresses
	unknown := false
	for _, l := range e.listeners {
		found, err := e.holding(l)
		unknown = unknown || err != nil
		for _, s := range found {
			switch {
			case s.Dropped == 0:
			case e.isOwn(s):
				ours = append(ours, s)
			default:
				theirs = append(theirs, s)
			}
		}
	}
	var others, listeners uint64
	var other netip.AddrPort // with the most drops elsewhere
	for local, drops := range e.after.drops {
		more := growth(e.before.drops[local], drops)
		if e.holds(local) {
			listeners += more
		} else if more > others {
			other, others = local, more
		}
	}
	said := fmt.Sprintf("%s datagrams are dropped at full receive buffers now: %s %s (RcvbufErrors)", protocol, format.Count(n), e.within())
	switch {
	case len(ours) > 0:
		r.fail("udpshard selftest", "%s; %s of them at the sockets of %s", said, format.Count(dropped(ours)), holders(ours))
	case len(theirs) > 0:
		r.warn(fmt.Sprintf("udpshard sockets :%d", theirs[0].Local.Port()), "%s; %s of them at the sockets of %s", said, format.Count(dropped(theirs)), holders(theirs))
	case unknown && (listeners > 0 || others == 0):
		r.fail("ss -lunmp", "%s; the sockets are not visible", said)
	case others > 0:
		r.warn(fmt.Sprintf("udpshard sockets :%d", other.Port()), "%s; not at the listeners' sockets but at %s", said, other)
	default:
		r.warn("ss -lunmp", "%s; not at the listeners' sockets but at a socket that was closed", said)
	}
}

// whereDropped returns where datagrams were dropped before the readings, as far as the sockets are
// open still, and the command that shows more.
func (e *examination) whereDropped() (where, remedy string) {
	var ours uint64
	for _, l := range e.listeners {
		for _, s := range e.ownSockets(l) {
			ours += uint64(s.Drops)
		}
	}
	if ours > 0 {
		return fmt.Sprintf("%s RcvbufErrors at the listeners' sockets since the sockets were opened: see the check port", format.Count(ours)),
			fmt.Sprintf("udpshard sockets :%d", e.listeners[0].Address.Port())
	}
	at, most := netip.AddrPort{}, uint64(0)
	for local, drops := range e.after.drops {
		if drops > most {
			at, most = local, drops
		}
	}
	if most > 0 {
		return fmt.Sprintf("%s RcvbufErrors at the sockets of %s since the sockets were opened", format.Count(most), at),
			fmt.Sprintf("udpshard sockets :%d", at.Port())
	}
	return "no open socket has dropped datagrams", "udpshard doctor --interval 1m"
}

// noneAtListeners reports whether an instance has sockets of the listeners, and these have dropped
// nothing since they were opened.
func (e *examination) noneAtListeners() bool {
	var own []sockets.Watched
	var drops uint64
	for _, l := range e.listeners {
		own = append(own, e.ownSockets(l)...)
	}
	for _, s := range own {
		drops += uint64(s.Drops)
	}
	return len(own) > 0 && drops == 0
}

// anyDevice returns a device for a command that needs one.
func (e *examination) anyDevice() string {
	if devices := e.devices(); len(devices) > 0 {
		return devices[0]
	}
	return "eth0"
}

// udpMemory compares all full receive buffers with the memory that the kernel gives to UDP
// (net.ipv4.udp_mem, in pages; udp(7)).
func (e *examination) udpMemory(r *results) {
	page := uint64(os.Getpagesize())
	_, need := e.maxMemory()
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
		if n := growth(e.before.udp[i]["MemErrors"], e.after.udp[i]["MemErrors"]); n > 0 {
			r.fail(enlarge, "%s datagrams are dropped now for lack of kernel memory: %s %s (MemErrors)", protocol, format.Count(n), e.within())
		}
	}
	if len(r.findings) > 0 {
		return
	}
	if err != nil {
		r.skip("net.ipv4.udp_mem, a setting of the host, can't be read here: %s", why(err))
		return
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
		r.fail(enlarge, "%s: datagrams are dropped until less is used (net.ipv4.udp_mem)", said)
	case need > most*page:
		r.warn(enlarge, "%s (net.ipv4.udp_mem): receive buffers can't fill", said)
	default:
		r.ok("%s", said)
	}
}
