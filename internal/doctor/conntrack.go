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

// nearlyFull is the share of the table from which the table is nearly full, in percent.
const nearlyFull = 90

// conntrack checks whether the kernel tracks the listeners' datagrams: the look-up of a connection
// costs more than the rest of a datagram's way, and a full table drops the datagrams of new
// senders. Only the table shows what is tracked: rules need privilege to read, and differ in
// where they stand.
func (e *examination) conntrack(r *results) {
	used, err := number(e.Proc, "sys/net/netfilter/nf_conntrack_count")
	switch {
	case errors.Is(err, os.ErrNotExist):
		r.ok("connections are not tracked here")
		return
	case err != nil:
		r.skip("%s", why(err))
		return
	}
	most, _ := number(e.Proc, "sys/net/netfilter/nf_conntrack_max")
	table := fmt.Sprintf("%s of %s entries are used", format.Count(used), format.Count(most))
	enlarge := fmt.Sprintf("sysctl -w net.netfilter.nf_conntrack_max=%d", 2*max(most, 65536))
	dropped := untracked(e.before.conntrack, e.after.conntrack)
	switch {
	case dropped > 0:
		r.fail(enlarge, "packets are dropped now because the table has no room: %s %s; %s", format.Count(dropped), e.within(), table)
		return
	case used == 0:
		r.ok("no connection is tracked here")
		return
	case most > 0 && used >= most/100*nearlyFull:
		r.warn(enlarge, "the table is nearly full, and a full table drops the datagrams of new senders: %s", table)
		return
	}
	port, forwarded, err := e.tracked()
	switch {
	case errors.Is(err, os.ErrPermission):
		r.skip("only root sees whether datagrams are tracked (%s); %s", why(err), table)
	case errors.Is(err, os.ErrNotExist):
		r.skip("this kernel does not list tracked connections (CONFIG_NF_CONNTRACK_PROCFS); %s", table)
	case err != nil:
		r.skip("not known whether datagrams are tracked: %s; %s", why(err), table)
	case port != 0 && forwarded != 0:
		r.ok("datagrams to port %d are forwarded to port %d (NAT), which needs tracking; %s", forwarded, port, table)
	case port != 0:
		r.warn(e.untrack(port), "datagrams to port %d are tracked: each costs a look-up, and each new sender an entry; %s. "+
			"Without tracking, NAT and rules that use the state of connections (ct state) do not apply to that port; existing entries expire after some minutes", port, table)
	default:
		r.ok("no datagram to the listeners is tracked at present; %s", table)
	}
}

// untracked returns how many packets were dropped because the table had no room. The counters of
// each CPU have 32 bits, and wrap.
func untracked(before, after []procfs.ConntrackStatEntry) (n uint64) {
	for i := range min(len(before), len(after)) {
		n += uint64(uint32(after[i].Drop) - uint32(before[i].Drop))
		n += uint64(uint32(after[i].InsertFailed) - uint32(before[i].InsertFailed))
	}
	return n
}

// maxEntries is how many entries are read: reading a table of millions takes seconds.
const maxEntries = 200_000

// tracked returns the port of a listener whose datagrams have entries, or 0. If all these entries
// are for a forwarded port, tracked returns the forwarded port too.
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
	for range maxEntries {
		if !lines.Scan() {
			return port, forwarded, lines.Err()
		}
		entry, ok := parseEntry(lines.Text())
		if !ok || !e.isToListener(entry) {
			continue
		}
		if entry.to == entry.by {
			return entry.by.Port(), 0, nil
		}
		port, forwarded = entry.by.Port(), entry.to.Port()
	}
	return port, forwarded, nil
}

// isToListener reports whether an entry is of datagrams to a listener. A datagram from this host to
// itself is tracked on its way out, and counts only where all datagrams come from this host.
func (e *examination) isToListener(n entry) bool {
	return e.isLocal(n.by.Addr()) && (e.loopbackOnly() || !e.isLocal(n.from)) && e.holds(n.by)
}

// isLocal reports whether an address is an address of this host.
func (e *examination) isLocal(addr netip.Addr) bool {
	return addr.IsLoopback() || slices.ContainsFunc(e.interfaces, func(i Interface) bool {
		return slices.ContainsFunc(i.Addresses, func(own netip.Addr) bool { return own.Unmap().WithZone("") == addr })
	})
}

// entry is a tracked flow of UDP. to is the address that the sender used, by the address that
// answers; the two differ where a port is forwarded.
type entry struct {
	from   netip.Addr
	to, by netip.AddrPort
}

// parseEntry parses a line of nf_conntrack, with a tuple for each direction: first that of the
// sender, then that of the answers.
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

// untrack returns the command that exempts a port from tracking in both directions (nft(8),
// notrack), in a table of its own that replaces an earlier one. Datagrams from this host are
// tracked on their way out.
func (e *examination) untrack(port uint16) string {
	answers := "sport"
	if e.loopbackOnly() {
		answers = "dport"
	}
	return fmt.Sprintf("nft 'add table inet udpshard_%[1]d; delete table inet udpshard_%[1]d; add table inet udpshard_%[1]d; "+
		"add chain inet udpshard_%[1]d in { type filter hook prerouting priority raw; }; add rule inet udpshard_%[1]d in udp dport %[1]d notrack; "+
		"add chain inet udpshard_%[1]d out { type filter hook output priority raw; }; add rule inet udpshard_%[1]d out udp %[2]s %[1]d notrack'", port, answers)
}
