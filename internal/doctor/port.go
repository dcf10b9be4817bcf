package doctor

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/internal/sockets"
)

// port says who has a listener's port: an instance of this program, as it
// should be; others, that keep serve out of it or take their share; and
// whether anybody reads.
func (e *examination) port(l Listener) []Finding {
	const c check = "port"
	port := l.Address.Port()
	found, err := e.at(l)
	if err != nil && port != 0 {
		return []Finding{c.skip("who has port %d can't be seen: %v%s", port, err, hint(err))}
	}
	if len(found) == 0 {
		return []Finding{e.free(c, l)}
	}
	var findings []Finding
	var own, read, others, unseen []sockets.Watched
	blocked := make(map[string][]sockets.Watched) // by who does not read
	for _, s := range found {
		isOwn, isBlocked := e.own(s), s.Unread || e.stopped(s) != ""
		if isBlocked {
			who := holders([]sockets.Watched{s})
			blocked[who] = append(blocked[who], s)
		}
		switch {
		case isOwn && isBlocked:
			own = append(own, s)
		case isOwn:
			own, read = append(own, s), append(read, s)
		case isBlocked:
		case len(s.Processes) == 0:
			unseen = append(unseen, s)
		default:
			others = append(others, s)
		}
	}
	for _, who := range slices.Sorted(maps.Keys(blocked)) {
		findings = append(findings, e.unread(c, who, blocked[who]))
	}
	if dropped(read) > 0 {
		findings = append(findings, c.fail("udpshard selftest",
			"datagrams are dropped at the sockets of %s: %s %s (%s); they come faster than shards read, or the output holds shards up",
			holders(read), format.Count(dropped(read)), e.within(), e.places(own, now)))
	}
	if dropped(unseen) > 0 {
		findings = append(findings, c.fail(fmt.Sprintf("udpshard sockets :%d", port),
			"datagrams are dropped at the sockets of %s, whose process can't be seen: %s %s", holders(unseen), format.Count(dropped(unseen)), e.within()))
	}
	for _, all := range [][]sockets.Watched{own, unseen} {
		if before := droppedBefore(all); len(before) > 0 {
			findings = append(findings, c.warn("udpshard doctor --interval 1m", "datagrams were dropped at the sockets of %s since these were opened: %s",
				holders(before), e.places(all, past)))
		}
	}
	if len(others) > 0 {
		findings = append(findings, e.others(c, l, own, others))
	}
	switch {
	case len(findings) > 0:
	case len(own) == 0:
		remedy := ": run doctor as root"
		if os.Geteuid() == 0 {
			remedy = ": the kernel itself has it, or one of another PID namespace"
		}
		findings = append(findings, c.skip("%s of uid %s, whose process uid %d may not see%s",
			format.Plural(len(unseen), "socket"), uids(unseen), os.Geteuid(), remedy))
	default:
		said := fmt.Sprintf("%s of %s", format.Plural(len(own), "socket"), holders(own))
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
	said := fmt.Sprintf("nobody reads %s of %s: %s wait in queues of %s", format.Plural(len(all), "socket"), who, format.Size(waiting), format.Size(room))
	if e.watching() {
		said += fmt.Sprintf(", and %s were dropped %s", format.Plural(int(dropped(all)), "datagram"), e.within())
	}
	level := c.fail
	if dropped(all) == 0 {
		level = c.warn // there is room as yet
	}
	switch state := e.stopped(all[0]); {
	case state == "T":
		return c.fail("kill -CONT"+numbers(pids(all)), "%s: it is stopped", said)
	case state == "t":
		return c.fail(fmt.Sprintf("grep TracerPid /proc/%d/status", all[0].Processes[0].PID), "%s: a debugger has stopped it", said)
	case len(all[0].Processes) == 0:
		return level(fmt.Sprintf("udpshard sockets :%d", all[0].Local.Port()), "%s", said)
	case e.own(all[0]):
		return level("udpshard health", "%s: its output does not take records", said)
	}
	return c.fail(e.stop(all), "%s", said)
}

// others judges sockets of other programs that are read, as far as one sees.
func (e *examination) others(c check, l Listener, own, others []sockets.Watched) Finding {
	who, port, stop := holders(others), l.Address.Port(), e.stop(others)
	switch {
	case len(own) > 0 && l.Join:
		return c.ok("shared with %s, as --join asks", who)
	case len(own) > 0:
		return c.warn(stop, "%s has port %d too, and gets a share of its datagrams", who, port)
	case !l.Join:
		return c.fail(stop, "%s has port %d: serve would not start", who, port)
	case slices.ContainsFunc(others, func(s sockets.Watched) bool { return int(s.UID) != os.Geteuid() }):
		return c.fail(stop, "%s has port %d: only processes of one user can share it, and this is uid %d (SO_REUSEPORT, socket(7))", who, port, os.Geteuid())
	}
	return c.skip("%s has port %d; whether its socket can be joined (SO_REUSEPORT) can't be seen from outside: serve would not start if not", who, port)
}

// stop returns the commands that end the processes of sockets: by what would
// start them again if they were killed.
func (e *examination) stop(all []sockets.Watched) string {
	var commands []string
	var kill []int
	here := managerOf(e.fs, e.self)
	for _, pid := range pids(all) {
		switch m := managerOf(e.fs, pid); {
		case pid == 1:
			commands = append(commands, e.stopFirst())
		case m.stop() != "" && m != here:
			commands = append(commands, m.stop())
		default:
			kill = append(kill, pid)
		}
	}
	if len(kill) > 0 {
		commands = append(commands, "kill"+numbers(kill))
	}
	slices.Sort(commands)
	return strings.Join(slices.Compact(commands), "; ")
}

// stopFirst returns what frees a socket of pid 1: the host's holds those of
// units (systemd.socket(5)), a container's is what the container is for.
func (e *examination) stopFirst() string {
	if p, err := e.fs.Proc(1); err == nil && program(p) == "systemd" {
		return "systemctl list-sockets"
	}
	return "stop this container, whose first process it is"
}

func numbers(all []int) (text string) {
	for _, n := range all {
		text += fmt.Sprintf(" %d", n)
	}
	return text
}

// watching says whether there were two looks.
func (e *examination) watching() bool { return e.after.at.After(e.before.at) }

func dropped(all []sockets.Watched) (n uint64) {
	for _, s := range all {
		n += uint64(s.Dropped)
	}
	return n
}

// now is what a socket has dropped in the interval, and past what it had dropped before
// that, since it was opened.
func now(s sockets.Watched) uint64  { return uint64(s.Dropped) }
func past(s sockets.Watched) uint64 { return uint64(s.Drops - s.Dropped) } // it wraps

// droppedBefore returns the sockets that had dropped datagrams before the interval.
func droppedBefore(all []sockets.Watched) []sockets.Watched {
	return slices.DeleteFunc(slices.Clone(all), func(s sockets.Watched) bool { return past(s) == 0 })
}

// places says at which of some sockets how many datagrams were dropped. The sockets of an
// instance at one address are its shards', in the order in which they were bound
// (sockets.List); each has its cookie, by which udpshard sockets shows it.
func (e *examination) places(all []sockets.Watched, count func(sockets.Watched) uint64) string {
	type group struct {
		instance int
		local    netip.AddrPort
	}
	var said []string
	next := make(map[group]int) // shard
	for _, s := range all {
		g := group{e.instanceOf(s), s.Local}
		name := "socket"
		if g.instance != 0 {
			name = fmt.Sprintf("shard %d, socket", next[g])
		}
		next[g]++
		if n := count(s); n > 0 {
			said = append(said, fmt.Sprintf("%s at %s %#x", format.Count(n), name, s.Cookie))
		}
	}
	return strings.Join(said, "; ")
}

// holders names the processes of sockets, each once, and users other than
// this process's.
func holders(all []sockets.Watched) string {
	var names []string
	for _, s := range all {
		user := ""
		if int(s.UID) != os.Geteuid() {
			user = fmt.Sprintf(" of uid %d", s.UID)
		}
		for _, p := range s.Processes {
			names = append(names, p.String()+user)
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
