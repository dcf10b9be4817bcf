package steer

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// group is the sockets of one address, in the order of the shards.
type group struct {
	t      *testing.T
	fds    []int
	at     netip.AddrPort
	next   uint32 // number of the next datagram
	buffer [2048]byte
}

// arrival is a datagram that was received.
type arrival struct {
	shard  int
	number uint32
	from   netip.AddrPort
}

// deadline: how long a test waits for datagrams before it fails. On loopback a datagram arrives
// before the sender returns, or a moment later.
const deadline = 20 * time.Second

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}

func addrPort(name unix.Sockaddr) netip.AddrPort {
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(name.Addr), uint16(name.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(name.Addr).Unmap(), uint16(name.Port))
	}
	return netip.AddrPort{}
}

// openUDP returns a bound socket, which the end of the test closes. SO_REUSEPORT is set after bind
// of port 0: otherwise the kernel may choose a port of another process with SO_REUSEPORT.
func openUDP(t *testing.T, at netip.AddrPort, share bool) (fd int, bound netip.AddrPort) {
	t.Helper()
	family := unix.AF_INET
	if at.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		t.Skip("needs IPv6: ipv6.disable=0 on the kernel's command line")
	}
	must(t, "socket", err)
	t.Cleanup(func() { unix.Close(fd) })
	if share && family == unix.AF_INET6 {
		must(t, "IPV6_V6ONLY", unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0))
	}
	if share && at.Port() != 0 {
		must(t, "SO_REUSEPORT", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
	}
	err = unix.Bind(fd, sockaddr(at))
	if errors.Is(err, unix.EADDRNOTAVAIL) && family == unix.AF_INET6 {
		t.Skip("needs ::1: sysctl net.ipv6.conf.lo.disable_ipv6=0")
	}
	must(t, "bind "+at.String(), err)
	if share && at.Port() == 0 {
		must(t, "SO_REUSEPORT", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
	}
	name, err := unix.Getsockname(fd)
	must(t, "getsockname", err)
	return fd, addrPort(name)
}

func openGroup(t *testing.T, address string, shards int) *group {
	t.Helper()
	g := &group{t: t, at: netip.AddrPortFrom(netip.MustParseAddr(address), 0)}
	for range shards {
		fd, bound := openUDP(t, g.at, true)
		g.fds = append(g.fds, fd)
		g.at = netip.AddrPortFrom(g.at.Addr(), bound.Port())
	}
	return g
}

// sender returns a socket that sends from an address to a group.
func (g *group) sender(from string) (fd int, source netip.AddrPort) {
	g.t.Helper()
	fd, source = openUDP(g.t, netip.AddrPortFrom(netip.MustParseAddr(from), 0), false)
	to := g.at
	if to.Addr().IsUnspecified() {
		to = netip.AddrPortFrom(netip.IPv6Loopback(), to.Port())
		if source.Addr().Is4() {
			to = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), to.Port())
		}
	}
	must(g.t, "connect", unix.Connect(fd, sockaddr(to)))
	return fd, source
}

// attach gives the group a plan's program.
func (g *group) attach(p Plan) {
	g.t.Helper()
	program, err := p.Program()
	must(g.t, "program", err)
	err = attach(g.fds[0], program)
	if errors.Is(err, unix.ENOPROTOOPT) {
		g.t.Skip("needs SO_ATTACH_REUSEPORT_CBPF: Linux 4.5")
	}
	must(g.t, "attach", err)
}

func attach(fd int, program []bpf.RawInstruction) error {
	var filters []unix.SockFilter
	for _, in := range program {
		filters = append(filters, unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K})
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
		&unix.SockFprog{Len: uint16(len(filters)), Filter: &filters[0]})
}

// send sends a datagram of a size, and returns its number.
func (g *group) send(fd, size int) uint32 {
	g.t.Helper()
	g.next++
	payload := make([]byte, size)
	binary.BigEndian.PutUint32(payload, g.next)
	must(g.t, "send", unix.Sendto(fd, payload, 0, nil))
	return g.next
}

// receive reads n datagrams from the sockets.
func (g *group) receive(n int) []arrival {
	g.t.Helper()
	var arrivals []arrival
	polls := make([]unix.PollFd, len(g.fds))
	for i, fd := range g.fds {
		polls[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	}
	for end := time.Now().Add(deadline); len(arrivals) < n; {
		left := time.Until(end)
		if left <= 0 {
			g.t.Fatalf("%d of %d datagrams have come after %s", len(arrivals), n, deadline)
		}
		if _, err := unix.Poll(polls, int(left.Milliseconds())+1); err != nil && !errors.Is(err, unix.EINTR) {
			g.t.Fatalf("poll: %v", err)
		}
		for shard, fd := range g.fds {
			for {
				size, name, err := unix.Recvfrom(fd, g.buffer[:], 0)
				if errors.Is(err, unix.EAGAIN) {
					break
				}
				if errors.Is(err, unix.EINTR) {
					continue
				}
				must(g.t, "recvfrom", err)
				if size < 4 {
					g.t.Fatalf("a datagram of %d bytes, which nobody sent", size)
				}
				arrivals = append(arrivals, arrival{shard, binary.BigEndian.Uint32(g.buffer[:]), addrPort(name)})
			}
		}
	}
	if len(arrivals) > n {
		g.t.Fatalf("%d datagrams have come, of %d", len(arrivals), n)
	}
	return arrivals
}

// each sends n datagrams from the senders in turn, and returns how many each shard got.
func (g *group) each(senders []int, n int, check func(a arrival)) []int {
	g.t.Helper()
	const atATime = 50 // fits into each receive buffer
	counts := make([]int, len(g.fds))
	for sent := 0; sent < n; {
		batch := min(atATime, n-sent)
		for i := range batch {
			g.send(senders[(sent+i)%len(senders)], 4)
		}
		for _, a := range g.receive(batch) {
			counts[a.shard]++
			if check != nil {
				check(a)
			}
		}
		sent += batch
	}
	return counts
}

// fair fails if the share of a usable shard is 6 standard deviations off the mean, or another shard
// has a datagram.
func (g *group) fair(what string, counts []int, usable []int) {
	g.t.Helper()
	n := 0
	for _, c := range counts {
		n += c
	}
	part := 1 / float64(len(usable))
	mean, sigma := float64(n)*part, math.Sqrt(float64(n)*part*(1-part))
	for shard, c := range counts {
		switch {
		case !slices.Contains(usable, shard) && c > 0:
			g.t.Errorf("%s: shard %d is to be avoided, and has %d of %v", what, shard, c, counts)
		case slices.Contains(usable, shard) && math.Abs(float64(c)-mean) > 6*sigma:
			g.t.Errorf("%s: shard %d has %d of %d datagrams, fair were %.0f", what, shard, c, n, mean)
		}
	}
}

// families are the kinds of groups, with the addresses of senders.
var families = []struct {
	name, listen string
	from         func(i int) string
}{
	{"IPv4", "127.0.0.1", loopback4},
	{"IPv6", "::1", func(int) string { return "::1" }},
	{"dual stack", "::", func(i int) string {
		if i%2 == 0 {
			return "::1"
		}
		return loopback4(i)
	}},
}

// loopback4 returns addresses of this host, in threes.
func loopback4(i int) string {
	return netip.AddrFrom4([4]byte{127, byte(i * 37), byte(i / 3), byte(1 + i/3%250)}).String()
}

func (g *group) senders(n int, from func(i int) string) []int {
	var fds []int
	for i := range n {
		fd, _ := g.sender(from(i))
		fds = append(fds, fd)
	}
	return fds
}

func TestKernelDoesAsPlans(t *testing.T) {
	const shards, senders = 5, 120
	moved := func(to int) map[int]int {
		moved := make(map[int]int)
		for b := 0; b < (Plan{Shards: shards}).Buckets(); b += 2 {
			moved[b] = (b + to) % shards
		}
		return moved
	}
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			g := openGroup(t, family.listen, shards)
			fds := g.senders(senders, family.from)
			for name, p := range map[string]Plan{
				"auto":                         {Mode: Auto},
				"auto, moved":                  {Mode: Auto, Moved: moved(1)},
				"auto, all moved to one":       {Mode: Auto, Moved: allTo(Plan{Shards: shards}, 4)},
				"auto, avoided":                {Mode: Auto, Avoid: []int{0, 3}},
				"auto, moved, avoided":         {Mode: Auto, Moved: moved(2), Avoid: []int{4}},
				"auto, one left":               {Mode: Auto, Moved: moved(2), Avoid: []int{0, 1, 3, 4}},
				"auto, all avoided":            {Mode: Auto, Moved: moved(3), Avoid: upTo(shards)},
				"auto, other flows sprayed":    {Mode: Auto, Sprayed: hashes(maxSprayed)},
				"source":                       {Mode: Source},
				"source, avoided":              {Mode: Source, Avoid: []int{1, 2}},
				"source, that moves no bucket": {Mode: Source, Moved: moved(1)},
			} {
				for range 3 {
					p.Shards, p.Seed = shards, rand.Uint32()
					g.attach(p)
					g.each(fds, senders, func(a arrival) {
						if want, one := p.Shard(a.from); a.shard != want || !one {
							t.Errorf("%s, seed %#x: %s is on shard %d, want %d", name, p.Seed, a.from, a.shard, want)
						}
					})
				}
			}
		})
	}
}

// allTo moves all buckets to one shard.
func allTo(p Plan, shard int) map[int]int {
	moved := make(map[int]int)
	for b := range p.Buckets() {
		moved[b] = shard
	}
	return moved
}

func TestKernelSprays(t *testing.T) {
	const shards, n = 5, 3000
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			g := openGroup(t, family.listen, shards)
			heavy, source := g.sender(family.from(0))
			other, _ := g.sender(family.from(1))
			for name, p := range map[string]Plan{
				"spray":          {Mode: Spray},
				"spray, avoided": {Mode: Spray, Avoid: []int{0, 2}},
				"spray, one":     {Mode: Spray, Avoid: []int{0, 1, 3, 4}},
				"auto":           {Mode: Auto, Sprayed: []uint32{1, Flow(7, source)}},
				"auto, avoided":  {Mode: Auto, Sprayed: []uint32{1, Flow(7, source)}, Avoid: []int{1, 4}},
				"auto, moved":    {Mode: Auto, Sprayed: []uint32{1, Flow(7, source)}, Moved: allTo(Plan{Shards: shards}, 4)},
			} {
				p.Shards, p.Seed = shards, 7
				g.attach(p)
				g.fair(name, g.each([]int{heavy}, n, nil), p.usable())
				if p.Mode == Auto { // a flow that is not sprayed stays on one shard
					g.each([]int{other}, 50, func(a arrival) {
						if want, _ := p.Shard(a.from); a.shard != want {
							t.Errorf("%s: %s, which is not sprayed, is on shard %d, want %d", name, a.from, a.shard, want)
						}
					})
				}
			}
		})
	}
}

// On loopback the kernel receives a datagram on the CPU of the sender.
func TestKernelFollowsCPUs(t *testing.T) {
	var allowed unix.CPUSet
	must(t, "sched_getaffinity", unix.SchedGetaffinity(0, &allowed))
	var cpus []int
	for cpu := 0; len(cpus) < min(allowed.Count(), 16); cpu++ {
		if allowed.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	if len(cpus) < 2 {
		t.Skipf("needs two CPUs, and may use %d", len(cpus))
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer unix.SchedSetaffinity(0, &allowed)

	shards := 2 * len(cpus)
	twice, nowhere := slices.Concat(cpus, cpus), slices.Repeat([]int{-1}, shards)
	for _, family := range families {
		g := openGroup(t, family.listen, shards)
		senders := g.senders(40, family.from)
		for _, cpu := range cpus {
			var here unix.CPUSet
			here.Set(cpu)
			must(t, "sched_setaffinity", unix.SchedSetaffinity(0, &here))
			for name, p := range map[string]Plan{
				"two shards a CPU":       {CPUs: twice},
				"its first avoided":      {CPUs: twice, Avoid: []int{slices.Index(cpus, cpu)}},
				"both avoided":           {CPUs: twice, Avoid: []int{slices.Index(cpus, cpu), slices.Index(cpus, cpu) + len(cpus)}},
				"all avoided":            {CPUs: twice, Avoid: upTo(shards)},
				"shards pinned nowhere":  {CPUs: nowhere},
				"nowhere, some avoided":  {CPUs: nowhere, Avoid: []int{0, 1}},
				"its CPU has all shards": {CPUs: slices.Repeat([]int{cpu}, shards)},
			} {
				p.Mode, p.Shards, p.Seed = CPU, shards, rand.Uint32()
				g.attach(p)
				g.each(senders, len(senders), func(a arrival) {
					if want := wanted(p, machine{cpu: uint32(cpu)}, datagram{source: a.from}); a.shard != want {
						t.Errorf("%s, %s, CPU %d: %s is on shard %d, want %d", family.name, name, cpu, a.from, a.shard, want)
					}
				})
			}
		}
	}
}

// A flow's port is found behind IPv4 options.
func TestKernelSkipsOptions(t *testing.T) {
	for _, test := range []struct {
		name    string
		options string
	}{
		{"no operation", "\x01\x01\x01\x01"},
		{"record route", "\x07\x0b\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00"},
		{"all 40 bytes", "\x07\x27\x04" + string(make([]byte, 36)) + "\x01"},
	} {
		for _, listen := range []string{"127.0.0.1", "::"} {
			t.Run(test.name+" to "+listen, func(t *testing.T) {
				g := openGroup(t, listen, 5)
				senders := g.senders(50, loopback4)
				for _, fd := range senders {
					err := unix.SetsockoptString(fd, unix.IPPROTO_IP, unix.IP_OPTIONS, test.options)
					if errors.Is(err, unix.EPERM) {
						t.Skip("needs CAP_NET_RAW for such IP options")
					}
					must(t, "IP_OPTIONS", err)
				}
				for _, mode := range []Mode{Auto, Source} {
					p := Plan{Mode: mode, Shards: 5, Seed: rand.Uint32()}
					g.attach(p)
					g.each(senders, len(senders), func(a arrival) {
						if want, _ := p.Shard(a.from); a.shard != want {
							t.Errorf("%s, seed %#x: %s is on shard %d, want %d, as without options", mode, p.Seed, a.from, a.shard, want)
						}
					})
				}
			})
		}
	}
}

// With IPv6 extension headers the address alone chooses the shard.
func TestKernelPassesExtensionHeaders(t *testing.T) {
	const padding = "\x00\x00\x01\x04\x00\x00\x00\x00" // of next header and length, and one option: PadN (RFC 8200, 4.2)
	for name, option := range map[string]int{"destination options": unix.IPV6_DSTOPTS, "hop-by-hop options": unix.IPV6_HOPOPTS} {
		t.Run(name, func(t *testing.T) {
			g := openGroup(t, "::1", 5)
			senders := g.senders(20, func(int) string { return "::1" })
			for _, fd := range senders {
				err := unix.SetsockoptString(fd, unix.IPPROTO_IPV6, option, padding)
				if errors.Is(err, unix.EPERM) {
					t.Skip("needs CAP_NET_RAW to send extension headers")
				}
				must(t, "setsockopt", err)
			}
			for _, p := range []Plan{{Mode: Auto}, {Mode: Auto, Avoid: []int{0, 1, 2}}, {Mode: Source}} {
				p.Shards, p.Seed = 5, rand.Uint32()
				g.attach(p)
				g.each(senders, len(senders), func(a arrival) {
					if want, _ := p.Shard(netip.AddrPortFrom(a.from.Addr(), 0)); a.shard != want {
						t.Errorf("%s, seed %#x: %s is on shard %d, want %d", p.Mode, p.Seed, a.from, a.shard, want)
					}
				})
			}
		})
	}
}

// A fragmented datagram is steered after reassembly, by its port.
func TestKernelSteersWholeDatagrams(t *testing.T) {
	g := openGroup(t, "::1", 5)
	senders := g.senders(20, func(int) string { return "::1" })
	p := Plan{Mode: Auto, Shards: 5, Seed: rand.Uint32()}
	g.attach(p)
	for _, fd := range senders {
		must(t, "IPV6_MTU", unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU, 1280))
		g.send(fd, 4000)
		for _, a := range g.receive(1) {
			if want, _ := p.Shard(a.from); a.shard != want {
				t.Errorf("seed %#x: %s is on shard %d, want %d", p.Seed, a.from, a.shard, want)
			}
		}
	}
}

// The kernel accepts the largest plans, without privilege.
var largestPlans = map[string]Plan{
	"512 moved, 32 sprayed":              largest(128),
	"512 moved, 32 sprayed, 4096 shards": largest(4096),
	"4096 shards, 64 avoided":            {Mode: Auto, Shards: 4096, Avoid: odd(128)},
	"512 moved, 32 sprayed, 50 avoided":  avoiding(largest(4096), odd(100)),
	"512 moved to avoided shards":        avoiding(largest(128), upTo(100)),
	"4096 shards, one left":              {Mode: Spray, Shards: 4096, Avoid: upTo(4095)},
	"128 shards, half avoided":           {Mode: Source, Shards: 128, Avoid: odd(128)},
	"cpu, 512 shards":                    {Mode: CPU, Shards: 512, CPUs: upTo(512)},
	"cpu, 256 shards, backwards":         {Mode: CPU, Shards: 256, CPUs: backwards(256)},
}

func avoiding(p Plan, avoid []int) Plan { p.Avoid = avoid; return p }

func TestKernelTakesTheLargestPlans(t *testing.T) {
	g := openGroup(t, "127.0.0.1", 2) // one socket has no group yet
	for name, p := range largestPlans {
		program, err := p.Program()
		must(t, name, err)
		if err := attach(g.fds[0], program); err != nil {
			t.Errorf("%s: %d instructions: %v", name, len(program), err)
		}
	}
}

// Before Linux 6.9 net.core.optmem_max was 20 KiB, and a program took 8 bytes of this memory for
// each of the kernel's own instructions.
func TestOlderKernelsTakeTheLargestPlans(t *testing.T) {
	runtime.LockOSThread() // for good: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("needs CAP_SYS_ADMIN for a network namespace: %v", err)
	}
	if err := os.WriteFile("/proc/sys/net/core/optmem_max", []byte("20480"), 0); err != nil {
		t.Skipf("needs net.core.optmem_max in a network namespace: Linux 6.9: %v", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(t, "socket", err)
	defer unix.Close(fd)
	must(t, "SO_REUSEPORT", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
	for name, p := range largestPlans {
		program, err := p.Program()
		must(t, name, err)
		if err := attach(fd, program); err != nil {
			t.Errorf("%s: %d instructions: %v", name, len(program), err)
		}
	}
	tooLong, err := (Plan{Mode: CPU, Shards: 1000, CPUs: backwards(1000)}).Program()
	must(t, "program", err)
	if err := attach(fd, tooLong); !errors.Is(err, unix.ENOMEM) {
		t.Errorf("%d instructions in 20 KiB: %v: the bound is not in force", len(tooLong), err)
	}
}

// While programs are replaced, each datagram gets a shard of the old or the new plan.
func TestSwapsLoseNothing(t *testing.T) {
	const shards, n = 5, 20_000
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			g := openGroup(t, family.listen, shards)
			senders := g.senders(30, family.from)
			plans := []Plan{
				{Mode: Auto, Shards: shards, Seed: 7},
				{Mode: Auto, Shards: shards, Seed: 7, Avoid: []int{0}, Moved: moving(Plan{Shards: shards}, 200)},
				{Mode: Source, Shards: shards, Seed: 8},
			}
			var programs [][]bpf.RawInstruction
			for _, p := range plans {
				program, err := p.Program()
				must(t, "program", err)
				programs = append(programs, program)
			}
			g.attach(plans[0])

			stop, stopped := make(chan struct{}), make(chan error)
			var swaps atomic.Int64
			go func() {
				for {
					select {
					case <-stop:
						stopped <- nil
						return
					default:
					}
					i := int(swaps.Load() + 1)
					if err := attach(g.fds[i%shards], programs[i%len(programs)]); err != nil {
						stopped <- err
						return
					}
					swaps.Add(1)
				}
			}()
			defer func() {
				close(stop)
				if err := <-stopped; err != nil {
					t.Errorf("attach: %v", err)
				}
			}()
			seen := make(map[uint32]bool)
			for rounds := 0; rounds < 1 || swaps.Load() < 100; rounds++ {
				if rounds == 20 {
					t.Fatalf("only %d swaps while %d datagrams came", swaps.Load(), len(seen))
				}
				g.each(senders, n, func(a arrival) {
					if seen[a.number] {
						t.Errorf("datagram %d has come twice", a.number)
					}
					seen[a.number] = true
					if !slices.ContainsFunc(plans, func(p Plan) bool { shard, _ := p.Shard(a.from); return shard == a.shard }) {
						t.Errorf("%s is on shard %d, as no plan says", a.from, a.shard)
					}
				})
			}
		})
	}
}
