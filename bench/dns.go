package main

import (
	"context"
	_ "embed"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

//go:embed knot.conf
var knotConf string

//go:embed nsd.conf
var nsdConf string

const (
	dnsRate    = 60_000
	dnsNames   = 1000
	dnsQueries = 50_000
)

func compareDNS(ctx context.Context, l *lab) (section, error) {
	s := section{title: "DNS"}
	if l.has["dnsperf"] == "" {
		l.lacks("DNS", "apt-get install dnsperf")
		return s, nil
	}
	var servers []contender
	if l.has["knotd"] == "" {
		l.lacks("Knot", "apt-get install knot")
	} else {
		servers = append(servers, l.knot())
	}
	ours := -1
	if help, err := exec.CommandContext(ctx, l.has["udpshard"], "serve", "--help").Output(); err != nil || !strings.Contains(string(help), "--zone") {
		l.lacks("udpshard as a name server", "this version has no --zone")
	} else {
		ours = len(servers)
		servers = append(servers, l.nameServer())
	}
	if l.has["nsd"] == "" {
		l.lacks("NSD", "apt-get install nsd")
	} else {
		servers = append(servers, l.nsd())
	}
	if len(servers) == 0 {
		return s, nil
	}
	zone, queries := dnsZone(rand.New(rand.NewPCG(1034, 1035)))
	for name, text := range map[string]string{"example.zone": zone, "queries.txt": queries} {
		if err := os.WriteFile(l.path(name), []byte(text), 0o600); err != nil {
			return s, err
		}
	}
	entrants := against(load{rate: dnsRate, dns: true}, servers...)
	if err := l.rounds(ctx, "DNS", entrants); err != nil {
		return s, err
	}
	if ours > 0 {
		s.goal(fmt.Sprintf("answering %s queries/s to Knot", thousands(dnsRate)), 1.05, entrants[ours].to(entrants[0]))
	}
	if ours >= 0 {
		lost := entrants[ours].lost()
		s.goals = append(s.goals, goal{fmt.Sprintf("answering %s queries/s, lost", thousands(dnsRate)), "nothing", percent(lost), lost == 0})
	}
	var highest [][]string
	for _, c := range servers {
		row, err := l.highest(ctx, c)
		if err != nil {
			return s, err
		}
		highest = append(highest, row)
	}
	s.text = fmt.Sprintf(`%s names with an address, and a wildcard; %s queries with EDNS, 70%% of them for the names, 15%% below the wildcard and
15%% for names that do not exist, in an order that is the same for all and again in each run. Each server has one thread or
process for UDP, on CPU %d; Knot and NSD are configured as [bench/knot.conf](../bench/knot.conf) and [bench/nsd.conf](../bench/nsd.conf)
say. What NSD's processes used is added up. dnsperf, on CPU %d, has at most %d queries under way: those fit into the buffer
that Knot's socket has by default. Lost is what it had no answer to within a second.

`, thousands(dnsNames), thousands(dnsQueries), l.cpus[0], l.senderCPU(), maxOutstanding) +
		table([]string{"load", "server", "answered/s", "CPU a query", "to " + servers[0].name, "lost"}, rows(entrants)) + `
The highest rate at which, in one of three tries, nothing was lost and as much was sent as was asked for (2% less will do). A
server that was not busy all the time could have answered more than dnsperf, on one CPU, sends and reads.

` + table([]string{"server", "answered/s", "busy"}, highest) + "\n" + l.commands(entrants)
	return s, nil
}

// nameServer is udpshard with the zone. The client's counts are used, not the ledger.
func (l *lab) nameServer() contender {
	return l.udpshard("udpshard", l.receiverCPUs(1), 1, "--protocol", "dns", "--zone", l.path("example.zone"), "--rrl", "off", "--output", "discard")
}

func (l *lab) knot() contender {
	return contender{
		name: "Knot", cpus: l.receiverCPUs(1), sockets: 1,
		command: func(port int, _ string) ([]string, error) {
			conf := l.path("knot.conf")
			return []string{l.has["knotd"], "--config", conf}, l.configure(conf, knotConf, port, "")
		},
	}
}

func (l *lab) nsd() contender {
	return contender{
		name: "NSD", cpus: l.receiverCPUs(1), sockets: 1,
		command: func(port int, _ string) ([]string, error) {
			conf := l.path("nsd.conf")
			return []string{l.has["nsd"], "-d", "-c", conf}, l.configure(conf, nsdConf, port, "")
		},
	}
}

// dnsZone writes a zone, and queries for its names.
func dnsZone(random *rand.Rand) (zone, queries string) {
	var z, q strings.Builder
	z.WriteString(`$ORIGIN example.
$TTL 3600
@	SOA	ns hostmaster 1 7200 3600 1209600 300
@	NS	ns
ns	A	192.0.2.1
*.wild	A	192.0.2.2
`)
	names := make([]string, dnsNames)
	for i := range names {
		names[i] = fmt.Sprintf("host%d-%x", i, random.Uint32())
		fmt.Fprintf(&z, "%s\tA\t198.51.100.%d\n", names[i], i%254+1)
	}
	for range dnsQueries {
		var name string
		switch n := random.IntN(100); {
		case n < 70:
			name = names[random.IntN(len(names))]
		case n < 85:
			name = fmt.Sprintf("x%x.wild", random.Uint32())
		default:
			name = fmt.Sprintf("missing-%x", random.Uint32())
		}
		fmt.Fprintf(&q, "%s.example. A\n", name)
	}
	return z.String(), q.String()
}

// maxOutstanding is how many queries dnsperf waits for. dnsperf begins with a burst: all queries
// that are due before its threads run. With 250 and more, some queries did not fit into a socket
// buffer of net.core.rmem_default (208 KiB), such as Knot's. udpshard may coalesce for 2 ms, in
// which 120 queries arrive at 60,000/s.
const maxOutstanding = 190

// queryCommand is dnsperf's.
func (d load) queryCommand(l *lab, port int) []string {
	return []string{l.has["dnsperf"], "-s", "127.0.0.1", "-p", strconv.Itoa(port), "-d", l.path("queries.txt"), "-e",
		"-c", strconv.Itoa(or(d.flows, 16)), "-T", "1", "-q", strconv.Itoa(maxOutstanding), "-t", "1", "-Q", strconv.Itoa(d.rate), "-l", fmt.Sprintf("%g", l.seconds)}
}

// query runs dnsperf, and returns how many queries were sent, how many were answered, and the rate
// of sending.
func (l *lab) query(ctx context.Context, port int, d load) (sent, answered uint64, rate float64, err error) {
	p, err := start([]int{l.senderCPU()}, nil, d.queryCommand(l, port)...)
	if err != nil {
		return 0, 0, 0, err
	}
	if err := p.wait(ctx); err != nil {
		return 0, 0, 0, err
	}
	return queried(p.stdout.String())
}

var (
	perfNumber = regexp.MustCompile(`(?m)^ *(Queries sent|Queries completed|Run time \(s\)): *([0-9.]+)`)
	perfCodes  = regexp.MustCompile(`(?m)^ *Response codes: *(.*)$`)
)

// queried reads dnsperf's statistics.
func queried(text string) (sent, answered uint64, rate float64, err error) {
	numbers := make(map[string]float64)
	for _, m := range perfNumber.FindAllStringSubmatch(text, -1) {
		if numbers[m[1]], err = strconv.ParseFloat(m[2], 64); err != nil {
			return 0, 0, 0, fmt.Errorf("dnsperf: %w", err)
		}
	}
	codes := perfCodes.FindStringSubmatch(text)
	seconds := numbers["Run time (s)"]
	if codes == nil || seconds == 0 || numbers["Queries completed"] == 0 {
		return 0, 0, 0, fmt.Errorf("dnsperf got no answers: %s", text)
	}
	for code := range strings.SplitSeq(codes[1], ", ") {
		if name, _, _ := strings.Cut(code, " "); name != "NOERROR" && name != "NXDOMAIN" {
			return 0, 0, 0, fmt.Errorf("dnsperf got %s", codes[1])
		}
	}
	return uint64(numbers["Queries sent"]), uint64(numbers["Queries completed"]), numbers["Queries sent"] / seconds, nil
}

// highest finds the highest rate without losses, to 5%. One of three tries must be without losses,
// since other work of the machine may cause a loss.
func (l *lab) highest(ctx context.Context, c contender) ([]string, error) {
	const (
		lowest = 20_000
		most   = 5_000_000
		step   = 1.3
		fine   = 1.05
	)
	var best trial
	kept := func(rate float64) (bool, error) {
		d := load{rate: int(rate) / 1000 * 1000, dns: true}
		for range 3 {
			t, err := l.try(ctx, c, d)
			if err != nil {
				return false, err
			}
			l.logf("%s at %s: sent %s/s, lost %d (kernel %d), %.2f µs", c.name, d, thousands(int(t.rate)), t.lost(), t.dropped, t.perDatagram())
			if t.lost() == 0 && t.rate > 0.98*float64(d.rate) {
				best = t
				return true, nil
			}
		}
		return false, nil
	}
	good, bad := 0.0, float64(most)
	for rate := float64(lowest); rate < most; rate *= step {
		ok, err := kept(rate)
		if err != nil {
			return nil, err
		}
		if !ok {
			bad = rate
			break
		}
		good = rate
	}
	if good == 0 {
		return []string{c.name, fmt.Sprintf("below %s", thousands(lowest)), ""}, nil
	}
	for bad/good > fine {
		middle := (good + bad) / 2
		ok, err := kept(middle)
		if err != nil {
			return nil, err
		}
		if ok {
			good = middle
		} else {
			bad = middle
		}
	}
	busy := best.cpu.Seconds() / (float64(best.sent) / best.rate)
	return []string{c.name, thousands(int(best.rate)), fmt.Sprintf("%.0f%%", 100*busy)}, nil
}
