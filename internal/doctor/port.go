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

// port checks the sockets at a listener's port: whether sockets of other programs keep serve from
// the port or take a share of the datagrams, whether all sockets are read, and what they drop.
func (e *examination) port(r *results, l Listener) {
	port := l.Address.Port()
	found, err := e.holding(l)
	if err != nil && port != 0 {
		r.skip("the sockets at port %d can't be listed: %v%s", port, err, hint(err))
		return
	}
	if len(found) == 0 {
		e.freePort(r, l)
		return
	}
	var own, read, others, unseen []sockets.Watched
	blocked := make(map[string][]sockets.Watched) // not read, by holder
	for _, s := range found {
		isOwn, isBlocked := e.isOwn(s), s.Unread || e.stopped(s) != ""
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
		e.unread(r, who, blocked[who])
	}
	if n := dropped(read); n > 0 {
		r.fail("udpshard selftest", "datagrams are dropped at the sockets of %s: %s %s (%s); shards read more slowly than datagrams arrive, or wait for the output",
			holders(read), format.Count(n), e.within(), e.places(own, now))
	}
	if n := dropped(unseen); n > 0 {
		r.fail(fmt.Sprintf("udpshard sockets :%d", port), "datagrams are dropped at the sockets of %s, whose process is not visible: %s %s",
			holders(unseen), format.Count(n), e.within())
	}
	for _, all := range [][]sockets.Watched{own, unseen} {
		before := slices.DeleteFunc(slices.Clone(all), func(s sockets.Watched) bool { return past(s) == 0 })
		if len(before) > 0 {
			r.warn("udpshard doctor --interval 1m", "datagrams were dropped at the sockets of %s since the sockets were opened: %s",
				holders(before), e.places(all, past))
		}
	}
	if len(others) > 0 {
		e.others(r, l, own, others)
	}
	if len(r.findings) > 0 {
		return
	}
	sockets := format.Plural(len(own), "socket") + " of " + holders(own)
	if len(own) == 0 {
		remedy := "run doctor as root"
		if os.Geteuid() == 0 {
			remedy = "the kernel has the socket, or a process of another PID namespace"
		}
		r.skip("%s of %s, whose process uid %d may not see: %s", format.Plural(len(unseen), "socket"), uids(unseen), os.Geteuid(), remedy)
		return
	}
	if len(unseen) > 0 {
		sockets += fmt.Sprintf(", and %d of %s, whose process uid %d may not see", len(unseen), uids(unseen), os.Geteuid())
	}
	if e.watching() {
		sockets += ": nothing was dropped " + e.within()
	}
	r.ok("%s", sockets)
}

// unread reports the sockets of a holder that are not read. A member of a group that is not read
// loses the datagrams of its share of the senders.
func (e *examination) unread(r *results, who string, all []sockets.Watched) {
	var waiting, room uint64
	for _, s := range all {
		waiting += uint64(s.QueueBytes)
		room += uint64(s.BufferBytes)
	}
	are := "are"
	if len(all) == 1 {
		are = "is"
	}
	said := fmt.Sprintf("%s of %s %s not read: %s wait in queues of %s", format.Plural(len(all), "socket"), who, are, format.Size(waiting), format.Size(room))
	if e.watching() {
		said += fmt.Sprintf(", and %s were dropped %s", format.Plural(int(dropped(all)), "datagram"), e.within())
	}
	level := Fail
	if dropped(all) == 0 {
		level = Warn // the queue has room yet
	}
	first := all[0]
	switch state := e.stopped(first); {
	case state == "T":
		r.fail("kill -CONT"+list(pids(all)), "%s: the process is stopped", said)
	case state == "t":
		r.fail(fmt.Sprintf("grep TracerPid /proc/%d/status", first.Processes[0].PID), "%s: a debugger has stopped the process", said)
	case len(first.Processes) == 0:
		r.add(level, fmt.Sprintf("udpshard sockets :%d", first.Local.Port()), "%s", said)
	case e.isOwn(first):
		r.add(level, "udpshard health", "%s: the output accepts no records", said)
	default:
		r.fail(e.stop(all), "%s", said)
	}
}

// others reports the sockets of other programs that are not known to be unread.
func (e *examination) others(r *results, l Listener, own, others []sockets.Watched) {
	who, port, stop := holders(others), l.Address.Port(), e.stop(others)
	isForeign := func(s sockets.Watched) bool { return int(s.UID) != os.Geteuid() }
	switch {
	case len(own) > 0 && l.Join:
		r.ok("port %d is shared with %s, as --join asks", port, who)
	case len(own) > 0:
		r.warn(stop, "%s has port %d too, and receives a share of the datagrams", who, port)
	case !l.Join:
		r.fail(stop, "%s has port %d: serve would not start", who, port)
	case slices.ContainsFunc(others, isForeign):
		r.fail(stop, "%s has port %d: only processes of one user can share a port, and doctor runs as uid %d (SO_REUSEPORT, socket(7))", who, port, os.Geteuid())
	default:
		r.skip("%s has port %d; serve starts only if that socket has SO_REUSEPORT, which is not visible from outside", who, port)
	}
}

// now is what a socket dropped between the readings, and past what the socket had dropped before,
// since it was opened. Drops wraps.
func now(s sockets.Watched) uint64  { return uint64(s.Dropped) }
func past(s sockets.Watched) uint64 { return uint64(s.Drops - s.Dropped) }

// places writes how many datagrams each socket dropped. The sockets of an instance at one address
// are in the order in which they were bound (sockets.List), which is the order of shards. A cookie
// identifies a socket in the output of udpshard sockets.
func (e *examination) places(all []sockets.Watched, count func(sockets.Watched) uint64) string {
	type group struct {
		instance int
		local    netip.AddrPort
	}
	var places []string
	shards := make(map[group]int)
	for _, s := range all {
		g := group{e.instanceOf(s), s.Local}
		name := "socket"
		if g.instance != 0 {
			name = fmt.Sprintf("shard %d, socket", shards[g])
		}
		shards[g]++
		if n := count(s); n > 0 {
			places = append(places, fmt.Sprintf("%s at %s %#x", format.Count(n), name, s.Cookie))
		}
	}
	return strings.Join(places, "; ")
}

func uids(all []sockets.Watched) string {
	var names []string
	for _, s := range all {
		names = append(names, fmt.Sprintf("uid %d", s.UID))
	}
	return strings.Join(unique(names), ", ")
}
