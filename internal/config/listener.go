package config

import (
	"net/netip"
	"slices"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/output"
	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/packet/dns"
)

// Listener is the configuration of a listener: an address, and how its datagrams are handled.
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
	To            []string    // targets as texts of targets.Text, with secrets
	Format        ship.Format // of records
	rotation      output.Rotation
	Zones         []dns.Source
	ZoneDirs      []string // folders of zone files
	Sinkhole      []netip.Addr
	RRL           int
	RRLAll        int
	RRLSlip       int
	RRLExempt     []netip.Prefix
	Cookies       bool
	RecordAnswers bool
	NSID          []byte

	origins
	resolved   string // Address with the IP address of the host name
	unresolved error  // of the look-up of the host name
}

// dnsSettings are the settings that only the protocol dns has.
var dnsSettings = []setting[Listener]{
	{flag: "zone", key: "zone", live: true, separator: ",",
		usage: "dns: `FILE` of a zone to answer from (RFC 1035 master file), or ORIGIN=FILE; may be given several times",
		item:  zoneText,
		offer: cli.Files,
		field: bind(parseZones, func(l *Listener) *[]dns.Source { return &l.Zones })},
	{flag: "zone-dir", key: "zone_dir", live: true, separator: ",",
		usage: "dns: answer from the zone files in the folder `DIR`; may be given several times",
		offer: cli.Folders,
		field: bind(parseList, func(l *Listener) *[]string { return &l.ZoneDirs })},
	{flag: "sinkhole", key: "sinkhole", live: true, separator: ",",
		usage: "dns: answer every A and AAAA query for names in no zone with `ADDR,...`",
		field: bind(parseAddresses, func(l *Listener) *[]netip.Addr { return &l.Sinkhole })},
	{flag: "rrl", key: "rrl", init: "200",
		usage: "dns: send at most `N` responses of one kind a second to a client's network, or off",
		field: bind(parseRate, func(l *Listener) *int { return &l.RRL })},
	{flag: "rrl-slip", key: "rrl_slip", init: "2",
		usage: "dns: send every `N`th response above the limit truncated, so that the client can come back over TCP; 0 is none",
		field: bind(parseRange(0, dns.MaxSlip), func(l *Listener) *int { return &l.RRLSlip })},
	{flag: "rrl-all", key: "rrl_all", init: "off",
		usage: "dns: send at most `N` responses of all kinds together a second to a client's network, or off",
		field: bind(parseRate, func(l *Listener) *int { return &l.RRLAll })},
	{flag: "rrl-exempt", key: "rrl_exempt", separator: ",",
		usage: "dns: do not limit responses to `CIDR,...`; loopback has no limit either",
		field: bind(cli.ParsePrefixes, func(l *Listener) *[]netip.Prefix { return &l.RRLExempt })},
	{flag: "cookies", key: "cookies", init: "true", isSwitch: true,
		usage: "dns: give cookies to clients, and do not limit clients that send them back",
		field: bind(cli.ParseBool, func(l *Listener) *bool { return &l.Cookies })},
	{flag: "record-answers", key: "record_answers", init: "false", isSwitch: true,
		usage: "dns: add the answer of each query to its record, as text, up to 4 KiB",
		field: bind(cli.ParseBool, func(l *Listener) *bool { return &l.RecordAnswers })},
	{flag: "nsid", key: "nsid",
		usage: "dns: name this server as `TEXT` to clients that ask for it (NSID, RFC 5001); 0x and hexadecimal digits are bytes",
		field: bind(parseNSID, func(l *Listener) *[]byte { return &l.NSID })},
}

// protocols are the protocols of a listener.
var protocols = []string{"syslog", "dns", "raw", "echo", "discard"}

var listenerSettings = slices.Concat(inGroup("Listener flags", receiveSettings),
	inGroup(outputGroup, outputSettings), inGroup(outputGroup, rotationSettings),
	inGroup("DNS flags", dnsSettings))

var receiveSettings = []setting[Listener]{
	{flag: "listen", key: "address", init: ":5514",
		usage: "`ADDR` to receive on: 127.0.0.1:5514, [::1]:5514, or :5514 for IPv6 and IPv4",
		field: bind(parseAddress, func(l *Listener) *string { return &l.Address })},
	{key: "name",
		field: bind(parseName, func(l *Listener) *string { return &l.Name })},
	{flag: "protocol", key: "protocol", init: "syslog",
		usage: "`PROTOCOL` of the datagrams: syslog, dns, raw, echo or discard",
		offer: cli.Words(protocols...),
		field: bind(cli.ParseChoice(protocols...), func(l *Listener) *string { return &l.Protocol })},
	{flag: "shards", key: "shards",
		usage: "`N` sockets, each with its thread (default one per usable CPU)",
		field: bind(cli.ParseCount, func(l *Listener) *int { return &l.Shards })},
	{flag: "cpus", key: "cpus", separator: ",",
		usage: "`LIST` of CPUs such as 0,2-5, to which shards are pinned in turn (default all usable)",
		field: bind(cli.ParseCPUs, func(l *Listener) *[]int { return &l.CPUs })},
	{flag: "batch", key: "batch", init: "64",
		usage: "receive at most `N` datagrams with one system call, 1 to 1024",
		field: bind(cli.ParseCount, func(l *Listener) *int { return &l.Batch })},
	{flag: "max-datagram", key: "max_datagram", init: "8192",
		usage: "cut datagrams that are longer than `SIZE`, up to 65535 bytes; cut datagrams are marked and counted",
		field: bind(cli.ParseSize, func(l *Listener) *int { return &l.MaxDatagram })},
	{flag: "receive-buffer", key: "receive_buffer", init: "32MiB",
		usage: "ask for a receive buffer of `SIZE` for each socket, up to 1GiB",
		field: bind(cli.ParseSize, func(l *Listener) *int { return &l.ReceiveBuffer })},
	{flag: "gro", key: "gro", init: "false", isSwitch: true,
		usage: "receive several datagrams of one sender as one unit, a GRO batch (UDP_GRO); a batch that the kernel drops counts as one datagram",
		field: bind(cli.ParseBool, func(l *Listener) *bool { return &l.GRO })},
	{flag: "busy-poll", key: "busy_poll", init: "0",
		usage: "poll the socket for `DURATION` after the last datagram, up to 1m: less delay, but up to a whole core",
		field: bind(cli.ParseDuration, func(l *Listener) *time.Duration { return &l.busyPoll })},
	{flag: "steer", key: "steer", init: "auto", live: true,
		usage: "`MODE` of spreading datagrams over shards: auto (by flow, corrected where a shard can't keep up), hash (the kernel's 4-tuple hash), source (by source address), cpu (the CPU that received) or spray (at random)",
		offer: cli.Words(steer.Modes...),
		field: bind(cli.ParseChoice(steer.Modes...), func(l *Listener) *steer.Mode { return &l.Steer })},
	{flag: "stall-after", key: "stall_after", init: "500ms", live: true,
		usage: "give a shard's datagrams to other shards when the shard leaves its queue unread for `DURATION`; 0 is never",
		field: bind(parseStall, func(l *Listener) *time.Duration { return &l.stallAfter })},
	{flag: "spray-above", key: "spray_above", init: "50000", live: true,
		usage: "with --steer auto, spread a sender of more than `N` datagrams a second over all shards, if the sender sends more than a shard's fair part; 0 or off is never",
		field: bind(parseRate, func(l *Listener) *int { return &l.sprayAbove })},
	{flag: "allow", key: "allow", live: true, separator: ",",
		usage: "accept only datagrams from `CIDR,...`; datagrams of other senders are dropped and counted (default all)",
		field: bind(cli.ParsePrefixes, func(l *Listener) *[]netip.Prefix { return &l.allow })},
	{flag: "rate-limit", key: "rate_limit", live: true,
		usage: "accept at most `N` datagrams a second from one source network; the rest is dropped and counted (default off)",
		field: bind(parseRate, func(l *Listener) *int { return &l.rateLimit })},
	{flag: "rate-limit-prefix-ipv4", key: "rate_limit_prefix.ipv4", init: "32", live: true,
		usage: "IPv4 addresses with the same first `BITS` bits are one source network of --rate-limit, 1 to 32",
		field: bind(parseRange(1, 32), func(l *Listener) *int { return &l.ratePrefix4 })},
	{flag: "rate-limit-prefix-ipv6", key: "rate_limit_prefix.ipv6", init: "64", live: true,
		usage: "IPv6 addresses with the same first `BITS` bits are one source network of --rate-limit, 1 to 128",
		field: bind(parseRange(1, 128), func(l *Listener) *int { return &l.ratePrefix6 })},
	{flag: "join", key: "join", isSwitch: true, init: "false",
		usage: "share the port with sockets of another process of this user",
		field: bind(cli.ParseBool, func(l *Listener) *bool { return &l.Join })},
}

// outputSettings are the settings of where records go, and of their format.
var outputSettings = []setting[Listener]{
	{flag: "output", key: "output", init: "stdout",
		usage: "`OUTPUT` of records: stdout, discard, or file:PATH; {shard} in PATH stands for the shard's number",
		offer: completeOutput,
		field: bind(parseOutput, func(l *Listener) *string { return &l.Output })},
	{flag: "to", key: "to", separator: "\n", item: targetText, hasSecrets: true,
		usage: "send records to the target at `URL`; records wait in the spool until the target has " +
			"acknowledged them; schemes: " + targetUsage +
			"; options follow a #: tcp://HOST:PORT#framing=octet-counting; may be given several times",
		offer: completeTarget,
		field: bind(parseTargets, func(l *Listener) *[]string { return &l.To })},
	{flag: "format", key: "format", init: "json",
		usage: "`FORMAT` of records: json; for syslog also rfc5424 (a syslog message) and original (the bytes of the datagram); for dns also dnstap",
		offer: cli.Words(ship.Formats...),
		field: bind(cli.ParseChoice(ship.Formats...), func(l *Listener) *ship.Format { return &l.Format })},
}

// NewListener returns a listener with the defaults.
func NewListener() *Listener {
	l := &Listener{origins: origins{keys: make(map[string]origin)}}
	l.scope().setDefaults()
	return l
}

func (l *Listener) scope() scope[Listener] {
	return scope[Listener]{listenerSettings, l, &l.origins, nil}
}
