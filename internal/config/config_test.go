package config

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/client"
	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/shard"
)

// usableCPU returns the number of a usable CPU.
func usableCPU(t testing.TB) string {
	cpus, err := sys.UsableCPUs()
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(cpus[0])
}

func formatPrefixes(prefixes []netip.Prefix) string {
	texts := make([]string, len(prefixes))
	for i, p := range prefixes {
		texts[i] = p.String()
	}
	return strings.Join(texts, " ")
}

// The contract's table: flag, key, default.
func TestSettingsAreTheContracts(t *testing.T) {
	type row struct{ flag, key, init string }
	rows := func(rows []row, have []row) {
		t.Helper()
		for _, want := range rows {
			if !slices.Contains(have, want) {
				t.Errorf("%+v is missing in %+v", want, have)
			}
		}
	}
	var listener, process []row
	for _, s := range listenerSettings {
		listener = append(listener, row{s.flag, s.key, s.init})
	}
	for _, s := range configSettings {
		process = append(process, row{s.flag, s.key, s.init})
	}
	rows([]row{
		{"listen", "address", ":5514"},
		{"", "name", ""},
		{"protocol", "protocol", "syslog"},
		{"shards", "shards", ""},
		{"cpus", "cpus", ""},
		{"batch", "batch", "64"},
		{"max-datagram", "max_datagram", "8192"},
		{"receive-buffer", "receive_buffer", "32MiB"},
		{"steer", "steer", "auto"},
		{"allow", "allow", ""},
		{"rate-limit", "rate_limit", ""},
		{"rate-limit-prefix-ipv4", "rate_limit_prefix.ipv4", "32"},
		{"rate-limit-prefix-ipv6", "rate_limit_prefix.ipv6", "64"},
		{"join", "join", "false"},
		{"output", "output", "stdout"},
		{"to", "to", ""},
		{"format", "format", "json"},
	}, listener)
	rows([]row{
		{"http", "http", client.DefaultAddress},
		{"log-level", "log.level", "info"},
		{"log-format", "log.format", "auto"},
		{"spool", "spool.path", ""},
	}, process)
}

// Without flags, and with an empty listener in a file, all settings have the defaults of the
// tables, which are the defaults of the engine.
func TestDefaults(t *testing.T) {
	fromFlags, err := (&Flags{}).Config()
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]*Config{"flags": fromFlags, "a file": read(t, "listeners: [{}]\n")} {
		if c.LogLevel != "info" || c.LogFormat != "auto" || c.StatsInterval != 10*time.Second || c.HTTP != client.DefaultAddress {
			t.Errorf("%s: log %s %s, stats every %s, http %s", what, c.LogLevel, c.LogFormat, c.StatsInterval, c.HTTP)
		}
		l := c.Listeners[0]
		if l.Name != "syslog" || l.Address != ":5514" || l.Protocol != "syslog" || l.Batch != 64 || l.MaxDatagram != 8192 ||
			l.ReceiveBuffer != 32<<20 || l.Steer != "auto" || l.Output != "stdout" {
			t.Errorf("%s: %+v", what, l)
		}
		if l.Shards != 0 || l.CPUs != nil || l.allow != nil || l.rateLimit != 0 || l.Join {
			t.Errorf("%s: not left to the engine: %+v", what, l)
		}
		if policy := l.Policy(); policy.RateLimitPrefix4 != 32 || policy.RateLimitPrefix6 != 64 {
			t.Errorf("%s: policy %+v", what, policy)
		}
		if engine := l.Engine(); !engine.OneWay || engine.Policy.Allow != nil || engine.Join || !engine.OneOutput || engine.Steering != (shard.Steering{Mode: steer.Auto, StallAfter: 500 * time.Millisecond, SprayAbove: 50_000}) {
			t.Errorf("%s: engine %+v", what, engine)
		}
	}
}

// The flag and the key of a setting have the same syntax.
func TestFlagsAndFileAreOneConfiguration(t *testing.T) {
	useFakeTargets(t)
	cpu := usableCPU(t)
	given := map[string]string{
		"listen": "127.0.0.1:5514", "protocol": "syslog", "shards": "3", "cpus": cpu, "batch": "1024", "max-datagram": "65535",
		"receive-buffer": "1GiB", "steer": "hash", "allow": "10.0.0.0/8,::1", "rate-limit": "1000", "rate-limit-prefix-ipv4": "24", "rate-limit-prefix-ipv6": "56", "join": "true", "to": "tcp://a,b:1#framing=newline\ntcp://c:2", "format": "original",
		"spool": "/x",
		"http":  ":80", "log-level": "warn", "log-format": "json", "stats-interval": "1m", "drain-timeout": "0",
	}
	a, err := (&Flags{set: given}).Config()
	if err != nil {
		t.Fatal(err)
	}
	b := read(t, `
http: :80
log: {level: warn, format: json}
stats_interval: 1m
drain_timeout: 0
listeners:
  - address: 127.0.0.1:5514
    shards: 3
    protocol: syslog
    cpus: `+cpu+`
    batch: 1024
    max_datagram: 65535
    receive_buffer: 1GiB
    steer: hash
    allow: 10.0.0.0/8,::1
    rate_limit: 1000
    rate_limit_prefix: {ipv4: 24, ipv6: 56}
    join: true
    to: [{url: 'tcp://a,b:1', framing: newline}, 'tcp://c:2']
    format: original
spool: {path: /x}
`)
	a.origins, b.origins, a.Listeners[0].origins, b.Listeners[0].origins = origins{}, origins{}, origins{}, origins{}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("by flags %+v %+v\nby file  %+v %+v", a, a.Listeners[0], b, b.Listeners[0])
	}
}

// With a file, flags of a listener are errors, and flags of the process override the file.
func TestFlagsBesideAFile(t *testing.T) {
	for _, s := range listenerSettings {
		if s.flag == "" {
			continue
		}
		f := written(t, "listeners: [{}]\n")
		f.set = map[string]string{s.flag: "x", "http": ""}
		_, err := f.Config()
		var remedy interface{ Hint() string }
		if err == nil || !cli.IsUsage(err) || !strings.HasPrefix(err.Error(), "--"+s.flag+": ") || !strings.Contains(err.Error(), "--config") {
			t.Errorf("--%s with --config: error %v", s.flag, err)
		} else if !errors.As(err, &remedy) || !strings.Contains(remedy.Hint(), f.File) {
			t.Errorf("--%s with --config: want a hint with the file", s.flag)
		}
	}
	f := written(t, "http: :1\nlog: {level: debug}\nlisteners: [{}]\n")
	f.set = map[string]string{"http": "", "stats-interval": "3s"}
	c, err := f.Config()
	if err != nil {
		t.Fatal(err)
	}
	if c.HTTP != "" || c.StatsInterval != 3*time.Second || c.LogLevel != "debug" {
		t.Errorf("http %q, stats every %s, log level %s", c.HTTP, c.StatsInterval, c.LogLevel)
	}
}

// A value of the environment is checked like a flag.
func TestEnvironment(t *testing.T) {
	t.Setenv(client.AddressVariable, "nowhere")
	_, err := (&Flags{}).Config()
	if err == nil || !cli.IsConfig(err) || !strings.Contains(err.Error(), "$"+client.AddressVariable) {
		t.Errorf("error %v: want the name $%s", err, client.AddressVariable)
	}
}

func TestListenersAreNamed(t *testing.T) {
	c := read(t, `
listeners:
  - {address: ":1"}
  - {address: ":2", name: syslog-2}
  - {address: ":3"}
  - {address: ":4", protocol: raw}
  - {address: ":5", name: raw-1}
  - {address: ":6", protocol: raw}
`)
	var names []string
	for _, l := range c.Listeners {
		names = append(names, l.Name)
	}
	if want := []string{"syslog", "syslog-2", "syslog-3", "raw", "raw-1", "raw-2"}; !slices.Equal(names, want) {
		t.Errorf("names are %v, want %v", names, want)
	}
}

// The protocol echo answers forged senders too, so the default of allow is loopback.
func TestEchoAnswersOnlyLoopbackByDefault(t *testing.T) {
	c := read(t, `
listeners:
  - {address: ":1", protocol: echo}
  - {address: ":2", protocol: echo, allow: 10.0.0.0/8}
  - {address: ":3", protocol: raw}
`)
	for i, want := range []string{"127.0.0.0/8 ::1/128", "10.0.0.0/8", ""} {
		engine := c.Listeners[i].Engine()
		if got := formatPrefixes(engine.Policy.Allow); got != want {
			t.Errorf("listener %d allows %s, want %s", i, got, want)
		}
		if engine.OneWay == (i < 2) {
			t.Errorf("listener %d: one way is %v", i, engine.OneWay)
		}
	}
}

func TestPrefixes(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.0/8": "10.0.0.0/8", "10.1.2.3": "10.1.2.3/32", "::1": "::1/128", "0.0.0.0/0,::/0": "0.0.0.0/0 ::/0",
		" 10.0.0.0/8 , 2001:db8::/32": "10.0.0.0/8 2001:db8::/32", "::ffff:10.0.0.0/104": "::ffff:10.0.0.0/104",
	} {
		if got, err := cli.ParsePrefixes(text); err != nil || formatPrefixes(got) != want {
			t.Errorf("%q is %v (%v), want %s", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "neither an address nor a prefix", "10.0.0.0/33": "neither", "10.0.0": "neither", "host": "neither", "10.0.0.0/8,": `"" is neither`,
		"fe80::1%eth0": "neither", "10.0.0.1/8": "has bits set behind its length", "2001:db8::1/32": "has bits set", "10.0.0.0/8 11.0.0.0/8": "neither",
	} {
		if got, err := cli.ParsePrefixes(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is %v, error %v, want %q", text, got, err, want)
		}
	}
}

func TestOtherValues(t *testing.T) {
	for text, want := range map[string]time.Duration{"0": 0, "0s": 0, "10s": 10 * time.Second, "1m30s": 90 * time.Second, "500ms": 500 * time.Millisecond} {
		if got, err := cli.ParseDuration(text); err != nil || got != want {
			t.Errorf("%q is %s (%v), want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "10", "-1s", "1d", "s"} {
		if got, err := cli.ParseDuration(text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
	for text, want := range map[string]int{"off": 0, "0": 0, "1": 1, "1000000": 1000000} {
		if got, err := parseRate(text); err != nil || got != want {
			t.Errorf("%q is %d (%v), want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "1.5", "1k", "none"} {
		if got, err := parseRate(text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
	for _, text := range []string{"", "127.0.0.1:9514", ":80", "[::1]:http", "localhost:0"} {
		if got, err := parseHTTP(text); err != nil || got != text {
			t.Errorf("%q is %q (%v)", text, got, err)
		}
	}
	for _, text := range []string{"9514", "localhost", "127.0.0.1:", "::1:9514", ":65536", ":-1", "http://x:80", ":nosuchservice"} {
		if got, err := parseHTTP(text); err == nil {
			t.Errorf("%q is %q", text, got)
		}
	}
}

// A reload may change live settings. For all settings, only effective values count.
func TestCheckReload(t *testing.T) {
	const before = `
http: :9514
log: {level: info, format: json}
listeners:
  - {address: ":1", name: a, receive_buffer: 1MiB, batch: 32}
  - {address: ":2", name: b, allow: 10.0.0.0/8}
`
	change := func(old, new string) string {
		after := strings.Replace(before, old, new, 1)
		if after == before {
			t.Fatalf("%q is missing", old)
		}
		return after
	}
	for _, after := range []string{
		before,
		change("info", "debug"),
		change(", allow: 10.0.0.0/8", ""),
		change("batch: 32", "batch: 32, allow: ['::1'], rate_limit: 5"),
		change("batch: 32", "batch: 32, rate_limit_prefix: {ipv4: 24, ipv6: 48}"),
		change("http:", "stats_interval: 1m\ndrain_timeout: 3s\nhttp:"),
		change("1MiB", "1024KiB"),
		change("batch: 32", "batch: 32, max_datagram: 8192, join: false"),
		change("  - {address: \":1\", name: a, receive_buffer: 1MiB, batch: 32}", "  -\n    batch: 32\n    address: ':1'\n    receive_buffer: 1MiB\n    name: a"),
	} {
		if err := read(t, before).CheckReload(read(t, after)); err != nil {
			t.Errorf("%v: want no error, for%s", err, after)
		}
	}
	for _, test := range []struct{ after, want string }{
		{change("http: :9514", "http: :9515"), `:2:7: http: was ":9514" and is ":9515": a change needs a restart`},
		{change("http: :9514", "http:"), `:2:1: http: was ":9514" and is "": a change needs a restart`},
		{change("format: json", "format: console"), `:3:28: log.format: was "json" and is "console": a change needs a restart`},
		{change("batch: 32", "batch: 33"), `:5:59: listeners[0].batch: was "32" and is "33": a change needs a restart`},
		{change(", batch: 32", ""), `:5:5: listeners[0].batch: was "32" and is "64": a change needs a restart`},
		{change(`":2"`, `":3"`), `:6:15: listeners[1].address: was ":2" and is ":3": a change needs a restart`},
		{change("name: b", "name: c"), `listeners[1].name: was "b" and is "c"`},
		{change("name: b", "name: b, join: true"), `listeners[1].join: was `},
		{change("name: b", "name: b, output: discard"), `listeners[1].output: was "stdout" and is "discard"`},
		{change("name: b", "name: b, shards: 1"), `listeners[1].shards: was `},
		{before + "  - {address: \":3\"}\n", "listeners: was 2 and is 3: a change needs a restart"},
	} {
		err := read(t, before).CheckReload(read(t, test.after))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v\nwant  %s, of%s", err, test.want, test.after)
		}
	}
}

// A reload refuses another effective value of a setting, and accepts another spelling.
func TestReloadComparesEffectiveValues(t *testing.T) {
	const before = `
http: 127.0.0.1:9514
takeover: run/t.sock
listeners:
  - {address: ":1", output: file:a.json, cpus: CPU}
  - {address: "127.0.0.1:2", protocol: raw, cpus: "CPU,CPU"}
  - {address: ":3"}
`
	cpu := usableCPU(t)
	running := read(t, strings.ReplaceAll(before, "CPU", cpu))
	all, err := shard.Config{}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		old, new string
		key      string // of the refused setting; "" if the reload is accepted
	}{
		{"127.0.0.1:9514", "localhost:9514", ""},
		{"127.0.0.1:9514", "localhost:9515", "http"},
		{"127.0.0.1:9514", ":9514", "http"},
		{"127.0.0.1:9514", "", "http"},
		{"run/t.sock", "./run/t.sock", ""},
		{"run/t.sock", here + "/run/t.sock", ""},
		{"run/t.sock", "t.sock", "takeover"},
		{`":1",`, `":1", name: syslog,`, ""},
		{`":1",`, `":1", name: syslog-1,`, "listeners[0].name"},
		{`":1",`, `":1", shards: 1,`, ""},
		{`":1",`, `":1", shards: 2,`, "listeners[0].shards"},
		{`":1"`, `"[::]:1"`, "listeners[0].address"},
		{`":1"`, `"0.0.0.0:1"`, "listeners[0].address"},
		{`":1"`, `":4"`, "listeners[0].address"},
		{"file:a.json", "file:./a.json", ""},
		{"file:a.json", "file:" + here + "/a.json", ""},
		{"file:a.json", "file:../a.json", "listeners[0].output"},
		{"127.0.0.1:2", "localhost:2", ""},
		{"127.0.0.1:2", "127.0.0.2:2", "listeners[1].address"},
		{"protocol: raw", "protocol: raw, name: raw", ""},
		{"protocol: raw", "protocol: raw, shards: 2", ""},
		{`"CPU,CPU"`, "CPU, shards: 2", ""},
		{`"CPU,CPU"`, "CPU", "listeners[1].cpus"},
		{`":3"`, fmt.Sprintf(`":3", name: syslog-2, shards: %d`, all.Shards), ""},
		{`":3"`, fmt.Sprintf(`":3", cpus: %s`, strings.ReplaceAll(fmt.Sprint(all.CPUs), " ", ", ")), ""},
		{`":3"`, fmt.Sprintf(`":3", shards: %d`, all.Shards+1), "listeners[2].shards"},
	} {
		after := strings.Replace(before, test.old, test.new, 1)
		if after == before {
			t.Fatalf("%q is missing", test.old)
		}
		switch err := running.CheckReload(read(t, strings.ReplaceAll(after, "CPU", cpu))); {
		case test.key == "" && err != nil:
			t.Errorf("%s instead of %s: %v", test.new, test.old, err)
		case test.key != "" && (err == nil || !strings.Contains(err.Error(), test.key+": was ") || !strings.HasSuffix(err.Error(), ": a change needs a restart")):
			t.Errorf("%s instead of %s: error %v, and not of %s", test.new, test.old, err, test.key)
		}
	}
}

func TestTheDefaultTakeoverPath(t *testing.T) {
	for folders, want := range map[string]string{
		"":                                    "",
		"/run/udpshard":                       "/run/udpshard/takeover.sock",
		"/run/udpshard:/run/udpshard/records": "/run/udpshard/takeover.sock",
	} {
		t.Setenv("RUNTIME_DIRECTORY", folders)
		c, err := new(Flags).Config()
		if err != nil || c.Takeover != want {
			t.Errorf("%q: %v, %v, want %s", folders, c, err, want)
		}
	}
}
