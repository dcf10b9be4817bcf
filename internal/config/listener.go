package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/hostport"
	"github.com/udpshard/udpshard/internal/output"
	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/packet"
	"github.com/udpshard/udpshard/packet/dns"
	"github.com/udpshard/udpshard/packet/syslog"
	"github.com/udpshard/udpshard/shard"
)

// Listener is one address and what becomes of its datagrams.
type Listener struct {
	Name          string
	Address       string
	Protocol      string
	Shards        int
	CPUs          []int
	Batch         int
	MaxDatagram   int
	ReceiveBuffer int
	GRO           bool
	busyPoll      time.Duration
	Steer         steer.Mode
	stallAfter    time.Duration
	sprayAbove    int
	allow         []netip.Prefix
	rateLimit     int
	ratePrefix4   int
	ratePrefix6   int
	Join          bool
	Output        string
	Zones         []string
	Sinkhole      []netip.Addr
	RRL           int
	RRLSlip       int
	Cookies       bool

	origins
	numeric    string // address, with that of its host name; "": not looked up yet
	unresolved error  // why the host name has no address
}

var listenerSettings = []setting[Listener]{
	{flag: "listen", key: "address", init: ":5514",
		usage: "`ADDR` to receive on: 127.0.0.1:5514, [::1]:5514, or :5514 for IPv6 and IPv4",
		field: bind(parseAddress, func(l *Listener) *string { return &l.Address })},
	{key: "name",
		field: bind(parseName, func(l *Listener) *string { return &l.Name })},
	{flag: "protocol", key: "protocol", init: "syslog",
		usage: "`PROTOCOL` of the datagrams: syslog, dns, raw, echo or discard",
		field: bind(cli.ParseChoice("syslog", "dns", "raw", "echo", "discard"),
			func(l *Listener) *string { return &l.Protocol })},
	{flag: "shards", key: "shards",
		usage: "`N` sockets, each with its thread (default one per usable CPU)",
		field: bind(cli.ParseCount, func(l *Listener) *int { return &l.Shards })},
	{flag: "cpus", key: "cpus", isList: true,
		usage: "`LIST` of CPUs such as 0,2-5, to which shards are pinned in turn (default all usable)",
		field: bind(cli.ParseCPUs, func(l *Listener) *[]int { return &l.CPUs })},
	{flag: "batch", key: "batch", init: "64",
		usage: "receive at most `N` datagrams with one call, 1 to 1024",
		field: bind(cli.ParseCount, func(l *Listener) *int { return &l.Batch })},
	{flag: "max-datagram", key: "max_datagram", init: "8192",
		usage: "cut datagrams that are longer than `SIZE`, up to 65535 bytes; cut ones are marked and counted",
		field: bind(cli.ParseSize, func(l *Listener) *int { return &l.MaxDatagram })},
	{flag: "receive-buffer", key: "receive_buffer", init: "32MiB",
		usage: "ask for a receive buffer of `SIZE` for each socket, up to 1GiB",
		field: bind(cli.ParseSize, func(l *Listener) *int { return &l.ReceiveBuffer })},
	{flag: "gro", key: "gro", init: "false", isSwitch: true,
		usage: "receive GRO batches, datagrams of one sender as one unit (UDP_GRO); a batch that the kernel drops counts as one datagram",
		field: bind(cli.ParseBool, func(l *Listener) *bool { return &l.GRO })},
	{flag: "busy-poll", key: "busy_poll", init: "0",
		usage: "poll the socket for `DURATION` after the last datagram, up to 1m: less delay, but up to a whole core",
		field: bind(cli.ParseDuration, func(l *Listener) *time.Duration { return &l.busyPoll })},
	{flag: "steer", key: "steer", init: "auto", live: true,
		usage: "`MODE` of spreading datagrams over shards: auto (by flow, corrected where a shard can't keep up), hash (the kernel's 4-tuple hash), source (by source address), cpu (the CPU that received) or spray (at random)",
		field: bind(parseSteer, func(l *Listener) *steer.Mode { return &l.Steer })},
	{flag: "stall-after", key: "stall_after", init: "500ms", live: true,
		usage: "give a shard's datagrams to other shards when it leaves its queue unread for `DURATION`; 0 is never",
		field: bind(parseStall, func(l *Listener) *time.Duration { return &l.stallAfter })},
	{flag: "spray-above", key: "spray_above", init: "50000", live: true,
		usage: "in auto, spread a sender over all shards above `N` datagrams a second, if that is more than a shard's fair part; or off",
		field: bind(parseRate, func(l *Listener) *int { return &l.sprayAbove })},
	{flag: "allow", key: "allow", live: true, isList: true,
		usage: "accept datagrams from `CIDR,...`; others are dropped and counted (default all)",
		field: bind(cli.ParsePrefixes, func(l *Listener) *[]netip.Prefix { return &l.allow })},
	{flag: "rate-limit", key: "rate_limit", live: true,
		usage: "accept at most `N` datagrams a second from one source network (default off)",
		field: bind(parseRate, func(l *Listener) *int { return &l.rateLimit })},
	{flag: "rate-limit-prefix-ipv4", key: ratePrefix + ".ipv4", init: "32", live: true,
		usage: "`BITS` of the prefix that makes IPv4 addresses one source network for --rate-limit, 1 to 32",
		field: bind(parsePrefixLength(32), func(l *Listener) *int { return &l.ratePrefix4 })},
	{flag: "rate-limit-prefix-ipv6", key: ratePrefix + ".ipv6", init: "64", live: true,
		usage: "`BITS` of the prefix that makes IPv6 addresses one source network for --rate-limit, 1 to 128",
		field: bind(parsePrefixLength(128), func(l *Listener) *int { return &l.ratePrefix6 })},
	{flag: "join", key: "join", isSwitch: true, init: "false",
		usage: "share the port with sockets of another process of this user",
		field: bind(cli.ParseBool, func(l *Listener) *bool { return &l.Join })},
	{flag: "output", key: "output", init: "stdout",
		usage: "`OUTPUT` of records: stdout, discard, or file:PATH; {shard} in PATH stands for the shard's number",
		field: bind(parseOutput, func(l *Listener) *string { return &l.Output })},
}

func parseAddress(text string) (string, error) {
	if _, err := hostport.Parse("udp", text); err != nil {
		return "", cli.Suggest(err, cli.MeantAddress(text, "", DefaultPort))
	}
	return text, nil
}

// DefaultPort is that of serve's default address.
const DefaultPort = "5514"

func parseOutput(text string) (string, error) {
	err := output.Check(text)
	if err == nil {
		return text, nil
	}
	meant := cli.Nearest(text, []string{"stdout", "discard"})
	switch kind, path, hasPath := strings.Cut(text, ":"); {
	case text == "-":
		meant = "stdout"
	case hasPath && path != "" && kind != "file" && cli.Nearest(kind, []string{"file"}) != "":
		meant = "file:" + path
	case strings.Contains(text, "/") && !hasPath:
		meant = "file:" + text
	}
	return text, cli.Suggest(err, meant)
}

func parseSteer(text string) (steer.Mode, error) {
	mode, err := steer.Parse(text)
	if err != nil {
		err = cli.SuggestChoice(err, text, steer.Modes)
	}
	return mode, err
}

// parseStall leaves the range to the engine.
func parseStall(text string) (time.Duration, error) {
	if text == "off" {
		return 0, nil
	}
	d, err := cli.ParseDuration(text)
	if err != nil {
		const leastMillis = 50 // nobody means so many seconds
		bare := time.Second
		if n, _ := strconv.Atoi(text); n >= leastMillis {
			bare = time.Millisecond
		}
		err = fmt.Errorf("%q is not a duration such as 250ms or 1s, or off", text)
		err = cli.Suggest(err, cli.MeantDuration(text, bare))
	}
	return d, err
}

// ratePrefix is a key with keys of its own in the file.
const ratePrefix = "rate_limit_prefix"

// parsePrefixLength returns a parser of a prefix length from 1 to most.
func parsePrefixLength(most int) func(string) (int, error) {
	return func(text string) (int, error) {
		value, err := strconv.Atoi(text)
		if err != nil || value < 1 || value > most {
			meant := strings.TrimPrefix(text, "/")
			if n, err := strconv.Atoi(meant); meant == text || err != nil || n < 1 || n > most {
				meant = ""
			}
			return 0, cli.Suggest(fmt.Errorf("%q is not a whole number from 1 to %d", text, most), meant)
		}
		return value, nil
	}
}

// parseRate reads a limit that can be off.
func parseRate(text string) (int, error) {
	if text == "off" || text == "0" {
		return 0, nil
	}
	value, err := cli.ParseCount(text)
	if err != nil {
		err = cli.Suggest(fmt.Errorf("%q is not a whole number from 1, or off", text), cli.MeantCount(text))
	}
	return value, err
}

// maxName keeps records and metrics short.
const maxName = 64

func parseName(text string) (string, error) {
	if text == "" || len(text) > maxName {
		return "", fmt.Errorf("%q is not a name of 1 to %d bytes", text, maxName)
	}
	for _, c := range text {
		if c <= ' ' || c > '~' {
			return "", fmt.Errorf("%q has characters that are not printable ASCII", text)
		}
	}
	return text, nil
}

func NewListener() *Listener {
	l := &Listener{origins: origins{keys: make(map[string]origin)}}
	l.scope().setDefaults()
	return l
}

func (l *Listener) scope() scope[Listener] {
	return scope[Listener]{listenerSettings, l, &l.origins, nil}
}

// endpoint is the address without a host name, as far as that could be looked up.
func (l *Listener) endpoint() string {
	if l.numeric != "" {
		return l.numeric
	}
	return l.Address
}

// Resolved returns the endpoint in a form that can be compared: [::]:5514 for :5514, and the zero
// AddrPort for a host name that was not found.
func (l *Listener) Resolved() netip.AddrPort {
	at, _ := hostport.Parse("udp", l.endpoint())
	return at.AddrPort()
}

// DualStack reports whether the sockets are for IPv6 and IPv4: the address has no host.
func (l *Listener) DualStack() bool { return strings.HasPrefix(l.Address, ":") }

// ShardCPUs are the CPUs of its shards, of one after the other.
func (l *Listener) ShardCPUs() []int {
	engine, err := l.Engine().Complete()
	if err != nil { // of CPUs that this process may use no more
		engine = l.Engine()
	}
	pins := make([]int, engine.Shards)
	for i := range pins {
		if len(engine.CPUs) > 0 {
			pins[i] = engine.CPUs[i%len(engine.CPUs)]
		}
	}
	return pins
}

// WithPosition says where what the engine finds wrong was set.
func (l *Listener) WithPosition(err error) error {
	var wrong *shard.ConfigError
	if !errors.As(err, &wrong) {
		return err
	}
	key := map[string]string{
		"Address": "address", "Shards": "shards", "CPUs": "cpus", "Batch": "batch", "MaxDatagram": "max_datagram",
		"ReceiveBuffer": "receive_buffer", "GRO": "gro", "BusyPoll": "busy_poll", "Allow": "allow", "RateLimit": "rate_limit",
		"RateLimitPrefix4": ratePrefix + ".ipv4", "RateLimitPrefix6": ratePrefix + ".ipv6",
		"Steering.Mode": "steer", "Steering.StallAfter": "stall_after",
	}[wrong.Field]
	if !l.IsSet(key) && l.start == "" {
		return cli.Config(fmt.Errorf("listener %s: %s: %w", l.Name, key, wrong.Err))
	}
	return l.ErrorAt(key, wrong.Err)
}

// Engine is the listener as the engine wants it, without its outputs.
func (l *Listener) Engine() shard.Config {
	return shard.Config{
		Address:       l.endpoint(),
		Shards:        l.Shards,
		CPUs:          l.CPUs,
		Batch:         l.Batch,
		MaxDatagram:   l.MaxDatagram,
		ReceiveBuffer: l.ReceiveBuffer,
		GRO:           l.GRO,
		BusyPoll:      l.busyPoll,
		Join:          l.Join,
		OneWay:        l.Protocol != "echo" && l.Protocol != "dns",
		OwnPort:       l.Protocol == "dns", // its answers are no questions
		ReplySize:     l.replySize(),
		OneOutput:     !strings.Contains(l.Output, output.PerShard),
		Steering:      l.Steering(),
		Policy:        l.Policy(),
		Handler:       l.handler(),
	}
}

// Steering is the engine's, where 0 stands for its defaults.
func (l *Listener) Steering() shard.Steering {
	s := shard.Steering{Mode: l.Steer, StallAfter: l.stallAfter, SprayAbove: l.sprayAbove}
	if s.StallAfter == 0 {
		s.StallAfter = -1
	}
	if s.SprayAbove == 0 {
		s.SprayAbove = -1
	}
	return s
}

func (l *Listener) replySize() int {
	if l.Protocol == "dns" {
		return dns.MaxUDPSize
	}
	return 0
}

// loopback is whom echo answers unless it is told: an open echo service is a
// reflector, since UDP sources can be forged (RFC 4732, 3.1).
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func (l *Listener) Policy() shard.Policy {
	allow := l.allow
	if allow == nil && l.Protocol == "echo" {
		allow = loopback
	}
	return shard.Policy{Allow: allow, RateLimit: l.rateLimit,
		RateLimitPrefix4: l.ratePrefix4, RateLimitPrefix6: l.ratePrefix6}
}

func (l *Listener) handler() func(int) packet.Handler {
	return func(shard int) packet.Handler {
		switch l.Protocol {
		case "syslog":
			return syslog.NewHandler(l.Name, shard)
		case "raw":
			return packet.NewRaw(l.Name, shard)
		case "echo":
			return packet.Echo{}
		}
		return packet.Discard{}
	}
}
