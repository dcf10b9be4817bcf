package checkup

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/udpshard/udpshard/internal/sockets"
)

// port says who has a listener's port: an instance of this program, as it
// should be; others, that keep serve out of it or take their share; and
// whether anybody reads.
func (e *examination) port(l Listener) []Finding {
	const c check = "port"
	port := l.Address.Port()
	if port == 0 {
		return []Finding{c.ok("any free port will be taken")}
	}
	found, err := e.at(l)
	if err != nil {
		return []Finding{c.skip("who has port %d can't be seen: %v%s", port, err, hint(err))}
	}
	if len(found) == 0 {
		return []Finding{c.ok("nobody has port %d: serve can take it", port)}
	}
	var findings []Finding
	var own, others, unseen, read []sockets.Watched
	blocked := make(map[string][]sockets.Watched) // by who does not read
	for _, s := range found {
		switch {
		case len(s.Processes) == 0:
			unseen = append(unseen, s)
		case e.own(s):
			own = append(own, s)
		default:
			others = append(others, s)
		}
		if _, stopped := e.stopped(s); s.Unread || stopped {
			who := holders([]sockets.Watched{s})
			blocked[who] = append(blocked[who], s)
		} else if len(s.Processes) == 0 || e.own(s) {
			read = append(read, s)
		}
	}
	for _, who := range slices.Sorted(maps.Keys(blocked)) {
		findings = append(findings, e.unread(c, who, blocked[who]))
	}
	flagged := len(findings) > 0
	if dropped := dropped(read); dropped > 0 {
		findings = append(findings, c.fail("udpshard selftest",
			"datagrams are dropped at the sockets of %s: %s %s; they come faster than shards read, or the output holds shards up", holders(read), count(dropped), e.within()))
	}
	if len(others) > 0 && !flagged {
		findings = append(findings, e.others(c, l, own, others))
	}
	switch {
	case len(findings) > 0:
	case len(own) == 0:
		findings = append(findings, c.skip("%s of uid %s, whose process uid %d may not see: run doctor as root",
			plural(len(unseen), "socket"), uids(unseen), os.Geteuid()))
	default:
		said := fmt.Sprintf("%s of %s", plural(len(own), "socket"), holders(own))
		if len(unseen) > 0 {
			said += fmt.Sprintf(", and %d of uid %s that uid %d may not look into", len(unseen), uids(unseen), os.Geteuid())
		}
		if e.watching() {
			said += ": nothing was dropped " + e.within()
		}
		findings = append(findings, c.ok("%s", said))
	}
	return findings
}

// unread judges the sockets of one holder, whose datagrams nobody takes. A
// member of a group that nobody reads is a hole for its share of the senders.
func (e *examination) unread(c check, who string, all []sockets.Watched) Finding {
	var waiting, room uint64
	for _, s := range all {
		waiting += uint64(s.QueueBytes)
		room += uint64(s.BufferBytes)
	}
	said := fmt.Sprintf("nobody reads %s of %s: %s wait in queues of %s", plural(len(all), "socket"), who, size(waiting), size(room))
	if e.watching() {
		said += fmt.Sprintf(", and %s were dropped %s", plural(int(dropped(all)), "datagram"), e.within())
	}
	pid, stopped := e.stopped(all[0])
	level := c.fail
	if dropped(all) == 0 {
		level = c.warn // there is room as yet
	}
	switch {
	case stopped:
		return c.fail(fmt.Sprintf("kill -CONT %d", pid), "%s: it is stopped", said)
	case len(all[0].Processes) == 0:
		return level(fmt.Sprintf("udpshard sockets :%d", all[0].Local.Port()), "%s", said)
	case e.own(all[0]):
		return level("udpshard health", "%s: its output does not take records", said)
	}
	return c.fail(fmt.Sprintf("kill %d", all[0].Processes[0].PID), "%s", said)
}

// others judges sockets of other programs that are read, as far as one sees.
func (e *examination) others(c check, l Listener, own, others []sockets.Watched) Finding {
	kill := "kill"
	for _, pid := range pids(others) {
		kill += fmt.Sprintf(" %d", pid)
	}
	who, port := holders(others), l.Address.Port()
	switch {
	case len(own) > 0 && l.Join:
		return c.ok("shared with %s, as --join asks", who)
	case len(own) > 0:
		return c.warn(kill, "%s has port %d too, and gets a share of its datagrams", who, port)
	case !l.Join:
		return c.fail(kill, "%s has port %d: serve would not start without --join", who, port)
	case slices.ContainsFunc(others, func(s sockets.Watched) bool { return int(s.UID) != os.Geteuid() }):
		return c.fail(kill, "%s has port %d as uid %s: only processes of one user can share it, and this is uid %d (SO_REUSEPORT, socket(7))",
			who, port, uids(others), os.Geteuid())
	}
	return c.warn(kill, "%s has port %d, and keeps a share of its datagrams from who joins", who, port)
}

// watching says whether there were two looks.
func (e *examination) watching() bool { return e.after.at.After(e.before.at) }

func dropped(all []sockets.Watched) (n uint64) {
	for _, s := range all {
		n += uint64(s.Dropped)
	}
	return n
}

// holders names the processes of sockets, each once.
func holders(all []sockets.Watched) string {
	var names []string
	for _, s := range all {
		for _, p := range s.Processes {
			names = append(names, fmt.Sprintf("pid %d (%s)", p.PID, p.Command))
		}
		if len(s.Processes) == 0 {
			names = append(names, fmt.Sprintf("uid %d", s.UID))
		}
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

func pids(all []sockets.Watched) (pids []int) {
	for _, s := range all {
		for _, p := range s.Processes {
			pids = append(pids, p.PID)
		}
	}
	slices.Sort(pids)
	return slices.Compact(pids)
}

func uids(all []sockets.Watched) string {
	var names []string
	for _, s := range all {
		names = append(names, fmt.Sprint(s.UID))
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}
