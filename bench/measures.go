package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// small is the size of datagrams for comparisons of receiving alone.
const small = 100

const compilerRemedy = "apt-get install gcc libc6-dev"

func compareFloor(ctx context.Context, l *lab) (section, error) {
	s := section{title: "Receiving beside a bare C loop"}
	var all []*entrant
	var lines [][]string
	ours := l.discard("udpshard discard", l.receiverCPUs(1), 1)
	others := []contender{l.counter("x/net ReadBatch", "readbatch"), l.counter("net ReadFromUDPAddrPort", "readfrom")}
	contenders := append([]contender{ours}, others...)
	if l.has["floor"] == "" {
		l.lacks("the C loop", compilerRemedy)
	} else {
		contenders = append([]contender{l.floor()}, contenders...)
	}
	for _, rate := range []int{50_000, 300_000, 0} {
		d := load{rate: rate, size: small}
		entrants := against(d, contenders...)
		if err := l.rounds(ctx, d.String(), entrants); err != nil {
			return s, err
		}
		all = append(all, entrants...)
		lines = append(lines, rows(entrants)...)
		if rate == 300_000 && l.has["floor"] != "" {
			s.goal("one shard's discard at 300,000/s to the C loop", 1.10, entrants[1].to(entrants[0]))
		}
	}
	s.text = fmt.Sprintf(`Datagrams of %d bytes from 16 flows. The C loop is [bench/floor.c](../bench/floor.c), the Go programs are
[bench/receivers](../bench/receivers/main.go): one goroutine each, GOMAXPROCS 1, since each receiver has one CPU. All but the
last have batches of 64. All have slots of 8192 bytes, and ask for 32 MiB of receive buffer. udpshard costs less than the C
loop because it reads at intervals under load, so that one wake-up serves many datagrams; a C loop could do the same.

`, small) + table(head(contenders[0].name), lines) + "\n" + l.commands(all)
	return s, nil
}

func compareGRO(ctx context.Context, l *lab) (section, error) {
	s := section{title: "UDP GRO"}
	cpus := l.receiverCPUs(1)
	off, on := l.discard("udpshard discard", cpus, 1), l.discard("udpshard discard --gro", cpus, 1, "--gro")
	var all []*entrant
	var lines [][]string
	if l.has["floor"] == "" {
		l.lacks("the C loop", compilerRemedy)
	} else {
		for _, rate := range []int{300_000, 0} {
			d := load{rate: rate, size: small, gso: 16}
			entrants := against(d, l.floor(), off, on)
			if err := l.rounds(ctx, d.String(), entrants); err != nil {
				return s, err
			}
			all = append(all, entrants...)
			lines = append(lines, rows(entrants)...)
			if rate > 0 {
				s.goal("--gro on GRO batches of 16 at 300,000/s to the C loop without GRO", 0.25, entrants[2].to(entrants[0]))
			}
		}
		s.text = "The kernel splits a GRO batch for a socket without UDP_GRO, such as that of the C loop.\n\n" + table(head("C loop"), lines) + "\n"
	}
	lines = nil
	for _, d := range []load{{rate: 50_000}, {rate: 300_000}, {rate: 0}, {rate: 300_000, gso: 2}, {rate: 300_000, gso: 4}, {rate: 300_000, gso: 16}, {rate: 300_000, gso: 64}} {
		d.size = small
		entrants := against(d, off, on)
		if err := l.rounds(ctx, d.String(), entrants); err != nil {
			return s, err
		}
		all = append(all, entrants...)
		lines = append(lines, []string{d.String(), fmt.Sprintf("%.3f µs", newSpread(entrants[0].costs()).median), fmt.Sprintf("%.3f µs", newSpread(entrants[1].costs()).median),
			entrants[1].to(entrants[0]).String(), percent(entrants[0].lost()), percent(entrants[1].lost())})
	}
	s.text += `The cost of ` + "`--gro`" + ` without GRO batches, and the length of batches from which on ` + "`--gro`" + ` pays: where the ratio is below 1. On a
real network GRO batches come from a driver that coalesces (ethtool -k: rx-udp-gro-forwarding or rx-gro-list), or from a
sender on the same host that uses UDP_SEGMENT. The datagrams of a batch have one sender and one length. With many senders and
lines of any length, as with syslog, there are no batches.

` + table([]string{"load", "off", "on", "on to off", "lost off", "lost on"}, lines) + "\n" + l.commands(all)
	return s, nil
}

func measureIdle(ctx context.Context, l *lab) (section, error) {
	s := section{title: "Idle"}
	over := 10 * time.Second
	if l.quick {
		over = 5 * time.Second
	}
	const shards = 4
	c := l.defaults(shards)
	r, err := l.launch(ctx, c)
	if err != nil {
		return s, err
	}
	defer r.kill()
	before, err := r.cpu()
	if err != nil {
		return s, err
	}
	began := time.Now()
	if err := sleep(ctx, over); err != nil {
		return s, err
	}
	after, err := r.cpu()
	if err != nil {
		return s, err
	}
	share := 100 * (after - before).Seconds() / time.Since(began).Seconds()
	s.goals = append(s.goals, goal{"idle with 4 shards", "under 1% of a core", fmt.Sprintf("%.2f%%", share), share < 1})
	s.text = fmt.Sprintf("%d shards at default settings used %.2f%% of a core over %v.\n\n```console skip bench/run runs it\n$ %s\n```\n", shards, share, over, l.command(c))
	return s, r.stop()
}

// defaults is serve with default settings, except for its addresses.
func (l *lab) defaults(shards int) contender {
	return contender{
		name: "udpshard", cpus: l.cpus, sockets: shards,
		command: func(port int, _ string) ([]string, error) {
			return []string{l.has["udpshard"], "serve", "--listen", at(port), "--shards", strconv.Itoa(shards), "--http", "127.0.0.1:0", "--output", "file:/dev/null"}, nil
		},
	}
}

func compareShards(ctx context.Context, l *lab) (section, error) {
	s := section{title: "Two shards beside one"}
	if len(l.cpus) < 2 {
		l.lacks("two shards beside one", "needs two CPUs")
		return s, nil
	}
	const rate = 100_000
	first, second := l.cpus[0], l.cpus[1]
	one := load{rate: rate, size: small, flows: 32}
	two := one
	two.rate = 2 * rate
	entrants := []*entrant{
		{contender: l.discard(fmt.Sprintf("one shard on CPU %d", first), []int{first}, 1), load: one},
		{contender: l.discard(fmt.Sprintf("one shard on CPU %d", second), []int{second}, 1), load: one},
		{contender: l.discard(fmt.Sprintf("two shards on CPUs %d and %d", first, second), []int{first, second}, 2), load: two},
	}
	if err := l.rounds(ctx, "shards", entrants); err != nil {
		return s, err
	}
	mean := make([]float64, l.pairs)
	for i := range mean {
		mean[i] = (entrants[0].costs()[i] + entrants[1].costs()[i]) / 2
	}
	ratio := ratios(entrants[2].costs(), mean)
	s.goal("two shards, a datagram, to one shard at the rate of each", 1.10, ratio)
	s.text = "The same rate for each shard. Ratio of two shards to the mean of one shard on either CPU: " + ratio.String() + "."
	if second == l.senderCPU() {
		s.text += "\nThis machine has two CPUs, so one of the two shards shares its CPU with the sender; so does one of the single shards."
	}
	s.text += "\n\n" + table(head(entrants[0].name), rows(entrants)) + "\n" + l.commands(entrants)
	return s, nil
}

func measureMemory(ctx context.Context, l *lab) (section, error) {
	s := section{title: "Resident memory"}
	const mebi = 1 << 20
	var lines [][]string
	full := make(map[int]float64)
	var shown string
	for _, shards := range []int{1, 2, 4, 8} {
		c := l.defaults(shards)
		r, err := l.launch(ctx, c)
		if err != nil {
			return s, err
		}
		defer r.kill()
		line := []string{strconv.Itoa(shards)}
		for _, d := range []load{{}, {rate: 50_000, flows: 64}, {rate: 20_000, flows: 256, count: 20_000, size: 8000}} {
			if d.rate > 0 {
				if _, err := l.measure(ctx, r, d); err != nil {
					return s, err
				}
			}
			bytes, err := r.resident()
			if err != nil {
				return s, err
			}
			full[shards] = float64(bytes) / mebi
			line = append(line, fmt.Sprintf("%.1f MiB", full[shards]))
		}
		l.logf("memory, %s shards: %s", line[0], line[1:])
		lines = append(lines, line)
		shown = l.command(c)
		if err := r.stop(); err != nil {
			return s, err
		}
	}
	s.goals = append(s.goals, goal{"resident memory with 2 shards, at its most", "under 24 MiB", fmt.Sprintf("%.1f MiB", full[2]), full[2] < 24})
	s.text = fmt.Sprintf(`VmRSS at default settings. The last column is after datagrams of 8000 bytes, which have touched every page of the
receive slabs and output buffers that datagrams can touch: a further shard takes %.2f MiB. The kernel's receive buffers are
not in it. They take up to 64 MiB for each socket in the kernel's count, and only while datagrams wait.

`, (full[8]-full[1])/7) + table([]string{"shards", "idle", "after syslog lines", "after long datagrams"}, lines) + "\n```console skip bench/run runs it\n$ " + shown + "\n```\n"
	return s, nil
}

var standstill = regexp.MustCompile(`stood still for (\S+) in the median, \S+ at the most.*`)

func measureCollection(ctx context.Context, l *lab) (section, error) {
	s := section{title: "A garbage collection"}
	argv := []string{"go", "test", "-count=1", "-run", "Collections", "-v", "./shard"}
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return s, fmt.Errorf("%w: %s", err, out)
	}
	matches := standstill.FindAllSubmatch(out, -1)
	if matches == nil {
		return s, errors.New("the test in ./shard has not logged how long collections stop the world")
	}
	var worst time.Duration
	s.text = "Forced collections beside 8 idle and 2 busy shards, with pauses between the bursts and without:\n\n"
	for _, m := range matches {
		median, err := time.ParseDuration(string(m[1]))
		if err != nil {
			return s, err
		}
		worst = max(worst, median)
		s.text += fmt.Sprintf("- the world %s\n", m[0])
	}
	s.goals = append(s.goals, goal{"a forced collection beside 8 idle and 2 busy shards stops the world, median", "under 10 ms", worst.Round(10 * time.Microsecond).String(), worst < 10*time.Millisecond})
	s.text += "\n```console skip bench/run runs it\n$ " + l.shown(argv) + "\n```\n"
	return s, nil
}
