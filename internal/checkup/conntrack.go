package checkup

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/prometheus/procfs"
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
	table := fmt.Sprintf("%s of %s entries are used", count(used), count(most))
	larger := fmt.Sprintf("sysctl -w net.netfilter.nf_conntrack_max=%d", 2*max(most, 65536))
	if lost := refused(e.before.conntrack, e.after.conntrack); lost > 0 {
		return []Finding{c.fail(larger, "packets are dropped now that could not be tracked: %s %s; %s", count(lost), e.within(), table)}
	}
	if used == 0 {
		return []Finding{c.ok("no connection is tracked here")}
	}
	if most > 0 && used >= most/100*conntrackFull {
		return []Finding{c.warn(larger, "the table is nearly full, and then new senders' datagrams are dropped: %s", table)}
	}
	port, err := e.tracked()
	switch {
	case err != nil:
		return []Finding{c.skip("whether datagrams are tracked only root sees (%s); %s", why(err), table)}
	case port != 0:
		return []Finding{c.warn(e.untrack(port), "datagrams to port %d are tracked, each at the price of a look-up and each new sender of an entry; %s", port, table)}
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

// tracked returns the port of a listener that the table has an entry to, 0 if
// none has: as what was sent to it, or by what it answers from, which differs
// where a port is forwarded.
func (e *examination) tracked() (uint16, error) {
	file, err := os.Open(filepath.Join(e.Proc, "net/nf_conntrack"))
	if err != nil {
		return 0, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for range longTable {
		if !lines.Scan() {
			return 0, lines.Err()
		}
		line := lines.Text() + " "
		if !strings.Contains(line, " udp ") {
			continue
		}
		for _, l := range e.listeners {
			to, from := fmt.Sprintf(" dport=%d ", l.Address.Port()), fmt.Sprintf(" sport=%d ", l.Address.Port())
			// Two tuples: the sender's way first, then the answers'.
			if first, second := strings.Index(line, to), strings.LastIndex(line, from); first >= 0 && first < strings.LastIndex(line, " src=") || second > strings.LastIndex(line, " src=") {
				return l.Address.Port(), nil
			}
		}
	}
	return 0, nil
}

// untrack exempts a port, in both directions (nft(8), notrack). What comes
// from this host itself is tracked on its way out.
func (e *examination) untrack(port uint16) string {
	answers := "sport"
	if e.loopbackOnly() {
		answers = "dport"
	}
	return fmt.Sprintf("nft 'add table inet udpshard; "+
		"add chain inet udpshard in { type filter hook prerouting priority raw; }; add rule inet udpshard in udp dport %[1]d notrack; "+
		"add chain inet udpshard out { type filter hook output priority raw; }; add rule inet udpshard out udp %[2]s %[1]d notrack'", port, answers)
}
