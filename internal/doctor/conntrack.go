package doctor

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/prometheus/procfs"

	"github.com/udpshard/udpshard/internal/format"
)

// conntrackFull is the share of the table from which it is nearly full, in
// percent.
const conntrackFull = 90

// conntrack judges whether each datagram has its connection looked up, which
// costs more than the rest of its way, and whose table, when full, has new
// senders dropped. What is tracked is told by the table alone: rules can't be
// read without privilege, and differ in where they stand.
func (e *examination) conntrack() []Finding {
	const c check = "conntrack"
	used, err := number(e.Proc, "sys/net/netfilter/nf_conntrack_count")
	switch {
	case errors.Is(err, os.ErrNotExist):
		return []Finding{c.ok("connections are not tracked here")}
	case err != nil:
		return []Finding{c.skip("%s", why(err))}
	}
	most, err := number(e.Proc, "sys/net/netfilter/nf_conntrack_max")
	if err != nil {
		most = 0
	}
	table := fmt.Sprintf("%s of %s entries are used", format.Count(used), format.Count(most))
	larger := fmt.Sprintf("sysctl -w net.netfilter.nf_conntrack_max=%d", 2*max(most, 65536))
	if lost := refused(e.before.conntrack, e.after.conntrack); lost > 0 {
		return []Finding{c.fail(larger, "packets are dropped now that could not be tracked: %s %s; %s", format.Count(lost), e.within(), table)}
	}
	if used == 0 {
		return []Finding{c.ok("no connection is tracked here")}
	}
	if most > 0 && used >= most/100*conntrackFull {
		return []Finding{c.warn(larger, "the table is nearly full, and then new senders' datagrams are dropped: %s", table)}
	}
	port, forwarded, err := e.tracked()
	switch {
	case errors.Is(err, os.ErrPermission):
		return []Finding{c.skip("whether datagrams are tracked only root sees (%s); %s", why(err), table)}
	case errors.Is(err, os.ErrNotExist):
		return []Finding{c.skip("this kernel does not list what is tracked (CONFIG_NF_CONNTRACK_PROCFS); %s", table)}
	case err != nil:
		return []Finding{c.skip("whether datagrams are tracked can't be seen: %s; %s", why(err), table)}
	case port != 0 && forwarded != 0:
		return []Finding{c.ok("datagrams to port %d are forwarded to port %d (NAT), for which they have to be tracked; %s", forwarded, port, table)}
	case port != 0:
		return []Finding{c.warn(e.untrack(port), "datagrams to port %d are tracked, each at the price of a look-up and each new sender of an entry; %s. "+
			"Untracked, NAT and rules that go by connections (ct state) no longer see that port; entries that are there stay until they expire, in some minutes", port, table)}
	}
	return []Finding{c.ok("no datagram to the listeners is tracked at present; %s", table)}
}

// refused counts packets that were dropped for want of an entry. The counters
// are 32 bits of each CPU, and wrap.
func refused(before, after []procfs.ConntrackStatEntry) (n uint64) {
	for i := range min(len(before), len(after)) {
		n += uint64(uint32(after[i].Drop) - uint32(before[i].Drop))
		n += uint64(uint32(after[i].InsertFailed) - uint32(before[i].InsertFailed))
	}
	return n
}

// longTable is how many entries are read: a table of millions takes seconds.
const longTable = 200_000

// tracked returns the port of a listener whose datagrams have entries, 0 if
// none has, and, if all those are for a forwarded port, that one.
func (e *examination) tracked() (port, forwarded uint16, err error) {
	file, err := os.Open(filepath.Join(e.Proc, "net/nf_conntrack"))
	if err != nil {
		return 0, 0, err
	}
	defer file.Close()
	if e.interfacesErr != nil {
		return 0, 0, e.interfacesErr
	}
	lines := bufio.NewScanner(file)
	for range longTable {
		if !lines.Scan() {
			return port, forwarded, lines.Err()
		}
		entry, ok := parseEntry(lines.Text())
		if !ok || !e.tracks(entry) {
			continue
		}
		if entry.to == entry.by {
			return entry.by.Port(), 0, nil
		}
		port, forwarded = entry.by.Port(), entry.to.Port()
	}
	return port, forwarded, nil
}

// tracks says whether an entry is one of datagrams that come to a listener.
// What this host sends to itself is tracked on its way out, and counts where
// nothing else comes.
func (e *examination) tracks(n entry) bool {
	return e.local(n.by.Addr()) && (e.loopbackOnly() || !e.local(n.from)) &&
		slices.ContainsFunc(e.listeners, func(l Listener) bool { return l.Holds(n.by, false) })
}

// local says whether an address is this host's.
func (e *examination) local(addr netip.Addr) bool {
	return addr.IsLoopback() || slices.ContainsFunc(e.interfaces, func(i Interface) bool {
		return slices.ContainsFunc(i.Addresses, func(own netip.Addr) bool { return own.Unmap().WithZone("") == addr })
	})
}

// entry is a tracked flow of UDP: who sent to which address, and which one it
// is that answers, which differs where a port is forwarded.
type entry struct {
	from   netip.Addr
	to, by netip.AddrPort
}

// parseEntry reads a line of nf_conntrack, which has two tuples: the sender's
// way first, then the answers'.
func parseEntry(line string) (n entry, ok bool) {
	if !strings.Contains(line, " udp ") {
		return n, false
	}
	values := make(map[string][]string)
	for _, field := range strings.Fields(line) {
		if key, value, found := strings.Cut(field, "="); found {
			values[key] = append(values[key], value)
		}
	}
	for _, key := range []string{"src", "dst", "sport", "dport"} {
		if len(values[key]) != 2 {
			return n, false
		}
	}
	var errs [3]error
	n.from, errs[0] = netip.ParseAddr(values["src"][0])
	n.to, errs[1] = netip.ParseAddrPort(net.JoinHostPort(values["dst"][0], values["dport"][0]))
	n.by, errs[2] = netip.ParseAddrPort(net.JoinHostPort(values["src"][1], values["sport"][1]))
	return n, errors.Join(errs[:]...) == nil
}

// untrack exempts a port, in both directions (nft(8), notrack), in a table of
// its own that replaces the one of an earlier time. What comes from this host
// itself is tracked on its way out.
func (e *examination) untrack(port uint16) string {
	answers := "sport"
	if e.loopbackOnly() {
		answers = "dport"
	}
	return fmt.Sprintf("nft 'add table inet udpshard_%[1]d; delete table inet udpshard_%[1]d; add table inet udpshard_%[1]d; "+
		"add chain inet udpshard_%[1]d in { type filter hook prerouting priority raw; }; add rule inet udpshard_%[1]d in udp dport %[1]d notrack; "+
		"add chain inet udpshard_%[1]d out { type filter hook output priority raw; }; add rule inet udpshard_%[1]d out udp %[2]s %[1]d notrack'", port, answers)
}
