package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/client"
)

// written writes a file with the text, and returns the flags with the file.
func written(t testing.TB, text string) *Flags {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return &Flags{File: path}
}

// read returns the configuration of a file with the text.
func read(t *testing.T, text string) *Config {
	t.Helper()
	c, err := written(t, text).Config()
	if err != nil {
		t.Fatalf("%v, of\n%s", err, text)
	}
	return c
}

// Each error of a file has line, column, key and the required form.
func TestBadFiles(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"unknown key", "listen: :5514\nlisteners: [{}]\n", ":1:1: listen: unknown key: use one of takeover, "},
		{"unknown key is told where the key is", "listeners: [{}]\nhtpp: x\n", ":2:1: htpp: unknown key"},
		{"unknown key of log", "log:\n  levl: info\nlisteners: [{}]\n", ":2:3: log.levl: unknown key: use one of takeover, standby, standby_after, drain_timeout, http, http_hosts, http_token, log.level, "},
		{"key written with its dot", "log.level: info\nlisteners: [{}]\n", ":1:1: log.level: write log: and, indented in the next line, level:"},
		{"unknown key of a listener", "listeners:\n  - address: :1\n  - adress: :2\n", ":3:5: listeners[1].adress: unknown key: use one of address, name, "},
		{"a flag's name", "listeners:\n  - max-datagram: 9000\n", ":2:5: listeners[0].max-datagram: unknown key: use one of "},
		{"key of a later version", "listeners:\n  - colour: x\n", ":2:5: listeners[0].colour: unknown key"},

		{"size", "listeners:\n  - receive_buffer: 3MB\n", `:2:21: listeners[0].receive_buffer: "3MB" is not a size such as 8192, 64KiB, 32MiB or 1GiB`},
		{"size beyond the engine's", "listeners:\n  - max_datagram: 64KiB\n", `:2:19: listeners[0].max_datagram: 65536 is not in 1 to 65535`},
		{"batch", "listeners:\n  - {address: :1}\n  - {address: :2,\n     batch: 1025}\n", `:4:13: listeners[1].batch: 1025 is not in 1 to 1024`},
		{"count", "listeners:\n  - shards: 1.5\n", `:2:13: listeners[0].shards: "1.5" is not a whole number from 1`},
		{"no count", "listeners:\n  - shards: 0\n", `:2:13: listeners[0].shards: "0" is not a whole number from 1`},
		{"cpu list", "listeners:\n  - cpus: 0-x\n", `:2:11: listeners[0].cpus: "0-x" is not a list of CPUs such as 0,2-5`},
		{"cpu list backwards", "listeners:\n  - cpus: [5-2]\n", `:2:11: listeners[0].cpus: "5-2" is not a list of CPUs`},
		{"unusable cpu", "listeners:\n  - cpus: [8191]\n", `:2:11: listeners[0].cpus: cpu 8191 is not among those that this process may use (`},
		{"prefix", "listeners:\n  - allow: [10.0.0.0/8, 10.0.0/8]\n", `:2:12: listeners[0].allow: "10.0.0/8" is neither an address nor a prefix such as`},
		{"prefix with host bits", "listeners:\n  - allow: 10.0.0.1/8\n", `:2:12: listeners[0].allow: 10.0.0.1/8 has bits set behind its length`},
		{"protocol", "listeners:\n  - protocol: sylog\n", `:2:15: listeners[0].protocol: "sylog" is not one of syslog, dns, raw, echo, discard`},
		{"output", "listeners:\n  - output: /var/log/x\n", `:2:13: listeners[0].output: "/var/log/x" is no output: use stdout, discard or file:PATH`},
		{"address", "listeners:\n  - address: 5514\n", `:2:14: listeners[0].address: "5514" is not host:port, [ipv6]:port or :port`},
		{"address without a port", "listeners:\n  - address: '127.0.0.1:'\n", `:2:14: listeners[0].address: "127.0.0.1:" is not host:port`},
		{"port", "listeners:\n  - address: 127.0.0.1:70000\n", `:2:14: listeners[0].address: "127.0.0.1:70000": `},
		{"rate", "listeners:\n  - rate_limit: -1\n", `:2:17: listeners[0].rate_limit: "-1" is not a whole number`},
		{"IPv4 prefix length", "listeners:\n  - rate_limit_prefix: {ipv4: 33}\n", `:2:31: listeners[0].rate_limit_prefix.ipv4: "33" is not a whole number from 1 to 32`},
		{"IPv6 prefix length", "listeners:\n  - rate_limit_prefix:\n      ipv6: 0\n", `:3:13: listeners[0].rate_limit_prefix.ipv6: "0" is not a whole number from 1 to 128`},
		{"prefix length of nothing", "listeners:\n  - rate_limit_prefix: {ipv5: 1}\n", `:2:25: listeners[0].rate_limit_prefix.ipv5: unknown key: use one of address, `},
		{"one prefix length for both", "listeners:\n  - rate_limit_prefix: 64\n", `:2:24: listeners[0].rate_limit_prefix: must be keys with values`},
		{"no prefix length", "listeners:\n  - rate_limit_prefix:\n", `listeners[0].rate_limit_prefix: must be keys with values`},
		{"prefix length written with its dot", "listeners:\n  - rate_limit_prefix.ipv6: 64\n", ":2:5: listeners[0].rate_limit_prefix.ipv6: write rate_limit_prefix: and, indented in the next line, ipv6:"},
		{"switch", "listeners:\n  - join: maybe\n", `:2:11: listeners[0].join: "maybe" is neither true nor false`},
		{"name", "listeners:\n  - name: a b\n", `:2:11: listeners[0].name: "a b" has characters that are not printable ASCII`},
		{"long name", "listeners:\n  - name: " + strings.Repeat("x", 65) + "\n", ` is not a name of 1 to 64 bytes`},
		{"http", "http: 9514\nlisteners: [{}]\n", `:1:7: http: "9514" is not host:port`},
		{"http port", "http: :99999\nlisteners: [{}]\n", `:1:7: http: ":99999": port "99999" is neither a number`},
		{"log level", "log: {level: loud}\nlisteners: [{}]\n", `:1:14: log.level: "loud" is not one of debug, info, warn, error`},
		{"log format", "log: {format: xml}\nlisteners: [{}]\n", `:1:15: log.format: "xml" is not one of auto, console, json`},
		{"duration", "stats_interval: 5\nlisteners: [{}]\n", `:1:17: stats_interval: "5" is not a duration such as 500ms, 10s or 1m`},
		{"negative duration", "drain_timeout: -1s\nlisteners: [{}]\n", `:1:16: drain_timeout: "-1s" is not a duration`},

		{"duplicate name", "listeners:\n  - {name: a, address: :1}\n  - {address: :2, name: a}\n", `:3:25: listeners[1].name: another listener has the name "a"`},
		{"duplicate address", "listeners:\n  - {name: a, address: :5514}\n  - name: b\n    address: :5514\n", `:4:14: listeners[1].address: listener a has the address :5514 already`},
		{"one address in two spellings", "listeners:\n  - {name: a, address: 127.0.0.1:5514}\n  - {address: '[::ffff:127.0.0.1]:5514'}\n", `:3:15: listeners[1].address: listener a has the address 127.0.0.1:5514 already`},
		{"the default address twice", "listeners:\n  - name: a\n  - name: b\n", `address: listener a has the address :5514 already`},

		{"scalar for a mapping", "log: info\nlisteners: [{}]\n", ":1:6: log: must be keys with values"},
		{"list for a mapping", "log: [info]\nlisteners: [{}]\n", ":1:6: log: must be keys with values"},
		{"scalar for a listener", "listeners:\n  - :5514\n", ":2:5: listeners[0]: must be keys with values"},
		{"nothing for a listener", "listeners:\n  - name: a\n  -\n", "listeners[1]: must be keys with values"},
		{"scalar for the listeners", "listeners: :5514\n", ":1:12: listeners: must be a list, with - before each item"},
		{"mapping for the listeners", "listeners:\n  address: :5514\n", ":2:3: listeners: must be a list, with - before each item"},
		{"mapping for a value", "listeners:\n  - batch: {a: 1}\n", ":2:12: listeners[0].batch: must be a single value"},
		{"indented mapping for a value", "listeners:\n  - batch:\n      a: 1\n", ":3:7: listeners[0].batch: must be a single value"},
		{"list for a value", "listeners:\n  - batch: [64]\n", ":2:12: listeners[0].batch: must be a single value"},
		{"list in a list", "listeners:\n  - allow: [[10.0.0.0/8]]\n", ":2:12: listeners[0].allow: must be a single value"},
		{"empty list", "listeners:\n  - allow: []\n", ":2:12: listeners[0].allow: the list is empty"},
		{"no value", "listeners:\n  - address: :5514\n    batch:\n", `:3:5: listeners[0].batch: "" is not a whole number from 1`},
		{"no value at all", "log: {level: }\nlisteners: [{}]\n", `:1:7: log.level: "" is not one of`},
		{"no address", "listeners:\n  - address:\n", `:2:5: listeners[0].address: "" is not host:port`},

		{"syntax", "listeners:\n  - address: \"127.0.0.1:5514\n", ":2:14: "},
		{"indentation", "listeners:\n  - address: :1\n   batch: 3\n", ":3:4: "},
		{"tabs", "listeners:\n\t- address: :1\n", ":2:1: YAML syntax: found character '\t' that cannot start any token"},
		{"duplicate key", "listeners:\n  - batch: 3\n    batch: 4\n", ":3:5: listeners[0].batch: the key is already set at 2:5"},
		{"duplicate key at the top", "listeners: [{}]\nlisteners: [{}]\n", ":2:1: listeners: the key is already set at 1:1"},
		{"duplicate merge key", "listeners:\n  - <<: {batch: 3}\n    <<: {batch: 4}\n", ":3:5: listeners[0].<<: the key is already set at 2:5"},
		{"no listeners", "http: :9514\n", ":1:1: listeners: at least one listener is required"},
		{"an empty list of them", "http: :9514\nlisteners: []\n", ":2:1: listeners: at least one listener is required"},
		{"nothing at all", "{}\n", ":1:1: listeners: at least one listener is required"},
		{"nothing after the key", "listeners:\n", ":1:1: listeners: at least one listener is required"},
		{"two without an address", "listeners: [{}, {name: b}]\n", ":1:17: listeners[1].address: listener syslog has the address :5514 already"},
		{"the same below each other", "listeners:\n  - name: a\n  - name: b\n", ":3:5: listeners[1].address: listener a has the address :5514 already"},
		{"empty file", "", ":1:1: the file is empty: the key listeners is required"},
		{"only a comment", "# listeners: [{}]\n", ":1:1: the file is empty: the key listeners is required"},
		{"only a start", "---\n", ":1:1: the file is empty: the key listeners is required"},
		{"a scalar", "udpshard\n", ":1:1: the file: must be keys with values"},
		{"a list", "- address: :5514\n", ":1:1: the file: must be keys with values"},
		{"two documents", "listeners: [{}]\n---\nlisteners: [{}]\n", ":3:1: a second document: the file can only have one"},
		{"unknown alias", "listeners:\n  - batch: *b\n", ":2:12: *b: no anchor &b"},
		{"unknown alias in a list", "listeners:\n  - allow: [*b]\n", ":2:13: *b: no anchor &b"},
		{"merging itself", "listeners:\n  - &a {<<: *a}\n", ":2:13: *a: no anchor &a ends before this alias"},
		{"merging itself twice", "listeners:\n  - &a {<<: [*a, *a]}\n", ":2:18: *a: no anchor &a ends before this alias"},
		{"alias before its anchor", "listeners:\n  - batch: *b\n  - {batch: &b 5, address: ':1'}\n", ":2:12: *b: no anchor &b ends before this alias"},
		{"unknown alias as a key", "listeners:\n  - {*b : 5}\n", ":2:6: *b: no anchor &b"},
		{"unknown alias as a listener", "listeners:\n  - *b\n", ":2:5: *b: no anchor &b"},
		{"unknown alias as all listeners", "listeners: *b\n", ":1:12: *b: no anchor &b"},
		{"merging an unknown alias", "listeners:\n  - {<<: *b}\n  - {address: ':5514'}\n", ":2:10: *b: no anchor &b"},
		{"list as a key", "listeners:\n  - {[a]: 1}\n", ":2:9: YAML syntax: found an invalid key for this map"},
		{"merging a scalar", "listeners:\n  - {<<: a}\n", "listeners[0]: must be keys with values"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := written(t, test.text)
			_, err := f.Config()
			if err == nil {
				t.Fatalf("no error:\n%s", test.text)
			}
			if !cli.IsConfig(err) {
				t.Errorf("%v is not an error in the configuration: the exit code would be 1", err)
			}
			if n := len(cli.Separate(err)); n > 1 && !strings.Contains(test.text, "*a, *a") {
				t.Errorf("%d errors, and one is wrong: %v", n, err)
			}
			if message := err.Error(); !strings.HasPrefix(strings.TrimPrefix(message, f.File), ":") ||
				!strings.Contains(message, test.want) {
				t.Errorf("error %q\nwant  %q, of\n%s", message, f.File+test.want, test.text)
			}
		})
	}
}

// Deep nesting is one error: the recursion is limited.
func TestManyLevels(t *testing.T) {
	for _, text := range []string{
		"listeners: [{}]\nlog: " + strings.Repeat("{level: ", 5000) + strings.Repeat("}", 5000) + "\n",
		"listeners: [{}]\nhttp: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "\n",
	} {
		_, err := written(t, text).Config()
		if err == nil || strings.Count(err.Error(), "values are nested more than 32 deep") != 1 {
			t.Errorf("errors %.500v", err)
		}
	}
}

// All errors of a file are reported at once: first unusable texts in the order of the file, then
// ranges and combinations. Consequences of reported errors are not reported.
func TestAllErrorsOfAFile(t *testing.T) {
	f := written(t, `htpp: :9514
stats_interval: often
log: {level: loud, format: xml}
listeners:
  - protocol: dsn
    zone: example.zone
    batch: 2000
    shards: 5000
    receive_buffer: 3MB
  - address: nowhere
    allow: [*b]
  - address: nowhere
    name: a
    max_datagram: 70000
    bach: 3
    name: b
  - {address: ':1', name: a, protocol: dns, rrl: off, rrl_slip: 2, max_datagram: 10}
  - {address: ':1', busy_poll: 2m, stall_after: 5ms}
`)
	_, err := f.Config()
	var got []string
	for _, err := range cli.Separate(err) {
		if !cli.IsConfig(err) {
			t.Errorf("%v is no error in the configuration", err)
		}
		got = append(got, strings.TrimPrefix(err.Error(), f.File))
	}
	want := []string{
		":1:1: htpp: unknown key: ",
		":2:17: stats_interval: ",
		":3:14: log.level: ",
		":3:28: log.format: ",
		":5:15: listeners[0].protocol: ",
		":9:21: listeners[0].receive_buffer: ",
		":10:14: listeners[1].address: ",
		":11:13: *b: no anchor &b",
		":12:14: listeners[2].address: ",
		":15:5: listeners[2].bach: unknown key: ",
		":16:5: listeners[2].name: the key is already set at 13:5",
		":17:27: listeners[3].name: another listener has the name",
		":8:13: listeners[0].shards: 5000 is not in ",
		":7:12: listeners[0].batch: 2000 is not in ",
		":14:19: listeners[2].max_datagram: 70000 is not in ",
		":17:82: listeners[3].max_datagram: 10 is less than 512",
		":17:65: listeners[3].rrl_slip: without effect",
		":18:32: listeners[4].busy_poll: 2m0s is not in ",
		":18:49: listeners[4].stall_after: 5ms is less than ",
		":18:15: listeners[4].address: listener a has the address :1 already",
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || !strings.HasPrefix(got[i], want[i]) {
			t.Fatalf("error %d differs: told are\n%s\nwant\n%s", i, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// An IPv6 address without quotes is the beginning of a YAML list.
func TestUnquotedIPv6Address(t *testing.T) {
	_, err := written(t, "listeners:\n  - address: [::1]:5514\n").Config()
	if err == nil || !strings.Contains(err.Error(), ":2:19: YAML syntax: ") || !strings.Contains(cli.Hint(err), "quote") {
		t.Errorf("error %v with the hint %q", err, cli.Hint(err))
	}
}

// The null key is similar to no known key: the key name of a listener, which has no flag, is no
// suggestion.
func TestNullKey(t *testing.T) {
	_, err := written(t, "listeners: [{~: 1}]\n").Config()
	if err == nil || !strings.Contains(err.Error(), ":1:14: listeners[0].: unknown key: use one of ") || cli.Hint(err) != "" {
		t.Errorf("error %v with the hint %q", err, cli.Hint(err))
	}
}

func TestMissingFile(t *testing.T) {
	for path, want := range map[string]string{
		filepath.Join(t.TempDir(), "no.yaml"): "no such file or directory",
		t.TempDir():                           "is a directory",
	} {
		_, err := (&Flags{File: path}).Config()
		if err == nil || !cli.IsConfig(err) || !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), "--config") || !strings.Contains(err.Error(), path) {
			t.Errorf("error %v: want --config, %s and %s", err, path, want)
		}
	}
}

// Lists of addresses and CPUs may be written as YAML lists or with commas.
func TestLists(t *testing.T) {
	cpus, err := cli.ParseCPUs(usableCPU(t))
	if err != nil {
		t.Fatal(err)
	}
	cpu := usableCPU(t)
	for _, text := range []string{
		"listeners:\n  - allow: 10.0.0.0/8,192.168.1.1, 2001:db8::/32\n    cpus: " + cpu + "," + cpu + "\n",
		"listeners:\n  - allow: [10.0.0.0/8, 192.168.1.1, '2001:db8::/32']\n    cpus: [" + cpu + ", " + cpu + "]\n",
		"listeners:\n  - allow:\n      - 10.0.0.0/8\n      - 192.168.1.1\n      - 2001:db8::/32\n    cpus:\n    - " + cpu + "\n    - '" + cpu + "'\n",
		"listeners:\n  - allow: >-\n      10.0.0.0/8,\n      192.168.1.1,\n      2001:db8::/32\n    cpus: [\"" + cpu + "," + cpu + "\"]\n",
	} {
		l := read(t, text).Listeners[0]
		if got := formatPrefixes(l.allow); got != "10.0.0.0/8 192.168.1.1/32 2001:db8::/32" {
			t.Errorf("allow is %s, of\n%s", got, text)
		}
		if len(l.CPUs) != 2 || l.CPUs[0] != cpus[0] || l.CPUs[1] != cpus[0] {
			t.Errorf("cpus are %v, of\n%s", l.CPUs, text)
		}
	}
}

// Listeners can share settings with aliases, and with merge keys. A key beside a merge key
// overrides the merge, in front of it and behind it.
func TestAnchorsAliasesAndMergeKeys(t *testing.T) {
	c := read(t, `
http: &loopback 127.0.0.1:9999
listeners:
  - &base
    address: 127.0.0.1:5001
    batch: &few 5
    allow: &inside [10.0.0.0/8, &one 192.0.2.1]
    output: discard
  - <<: *base
    address: 127.0.0.1:5002
  - batch: 7
    address: 127.0.0.1:5003
    <<: *base
  - &other
    address: 127.0.0.1:5004
    max_datagram: 100
    batch: *few
  - <<: [{address: 127.0.0.1:5005, max_datagram: 200}, *other, *base]
    protocol: raw
  - address: *loopback
    allow: [*one, 198.51.100.0/24]
  - address: 127.0.0.1:5007
    allow: *inside
    batch: !!int 9
    name: !!str 2026
  - &base
    address: 127.0.0.1:5008
    batch: 11
  - {<<: *base, address: 127.0.0.1:5009}
`)
	if len(c.Listeners) != 9 {
		t.Fatalf("%d listeners", len(c.Listeners))
	}
	for i, want := range []struct {
		name, address, allow, output, protocol string
		batch, maxDatagram                     int
	}{
		{"syslog", "127.0.0.1:5001", "10.0.0.0/8 192.0.2.1/32", "discard", "syslog", 5, 8192},
		{"syslog-2", "127.0.0.1:5002", "10.0.0.0/8 192.0.2.1/32", "discard", "syslog", 5, 8192},
		{"syslog-3", "127.0.0.1:5003", "10.0.0.0/8 192.0.2.1/32", "discard", "syslog", 7, 8192},
		{"syslog-4", "127.0.0.1:5004", "", "stdout", "syslog", 5, 100},
		{"raw", "127.0.0.1:5005", "10.0.0.0/8 192.0.2.1/32", "discard", "raw", 5, 200},
		{"syslog-5", "127.0.0.1:9999", "192.0.2.1/32 198.51.100.0/24", "stdout", "syslog", 64, 8192},
		{"2026", "127.0.0.1:5007", "10.0.0.0/8 192.0.2.1/32", "stdout", "syslog", 9, 8192},
		{"syslog-6", "127.0.0.1:5008", "", "stdout", "syslog", 11, 8192},
		{"syslog-7", "127.0.0.1:5009", "", "stdout", "syslog", 11, 8192},
	} {
		l := c.Listeners[i]
		if l.Name != want.name || l.Address != want.address || formatPrefixes(l.allow) != want.allow || l.Output != want.output ||
			l.Protocol != want.protocol || l.Batch != want.batch || l.MaxDatagram != want.maxDatagram {
			t.Errorf("listener %d: name %s, address %s, allow %s, output %s, protocol %s, batch %d, max_datagram %d; want %+v",
				i, l.Name, l.Address, formatPrefixes(l.allow), l.Output, l.Protocol, l.Batch, l.MaxDatagram, want)
		}
	}
	if c.HTTP != "127.0.0.1:9999" {
		t.Errorf("http is %q", c.HTTP)
	}
}

// Other ways to write a file: JSON, a directive, a byte order mark, CR LF,
// quotes, an explicit key, no listener key at all.
func TestSpellings(t *testing.T) {
	for _, text := range []string{
		`{"http": "", "listeners": [{"address": ":5514"}]}`,
		"%YAML 1.2\n---\nlisteners:\n  - address: :5514\n...\n",
		"---\nlisteners:\n- address: :5514\n---\n",
		"\xef\xbb\xbflisteners:\r\n  - address: :5514\r\n",
		"'listeners':\n  - \"address\": ':5514'\n",
		"listeners:\n  - ? address\n    : :5514\n",
		"listeners: [{}]\n",
		"listeners: [address: :5514] # in one line\n",
		"log:\nlisteners: [{}]\n",
	} {
		if c := read(t, text); len(c.Listeners) != 1 || c.Listeners[0].Address != ":5514" {
			t.Errorf("%d listeners, of\n%s", len(c.Listeners), text)
		}
	}
}

// An empty address turns HTTP off, in any spelling; none is the default.
func TestHTTPIsTurnedOff(t *testing.T) {
	for text, want := range map[string]string{
		"http: ''\n":             "",
		"http: \"\"\n":           "",
		"http:\n":                "",
		"http: ~\n":              "",
		"http: localhost:80\n":   "localhost:80",
		"http: '[::1]:http'\n":   "[::1]:http",
		"http: :9514 # all of\n": ":9514",
		"":                       client.DefaultAddress,
	} {
		if got := read(t, text+"listeners: [{}]\n").HTTP; got != want {
			t.Errorf("http is %q, want %q, of\n%s", got, want, text)
		}
	}
}

// Port 0 is another port for each listener.
func TestFreePortsAreNoDuplicates(t *testing.T) {
	read(t, "listeners:\n  - address: 127.0.0.1:0\n  - address: 127.0.0.1:0\n")
}

// No file makes the program panic or hang.
func FuzzFile(f *testing.F) {
	for _, seed := range []string{
		"listeners:\n  - &a {address: :1, batch: 3, allow: [a, b]}\n  - <<: [*a, {name: x}]\nlog: {level: info}\n? http\n: !!str x\n",
		"listeners:\n  - &a {<<: [*a, *a]}\n",
		"listeners:\n  - batch:\n    name: |\n      x\n---\n...\n",
		"{? [a]: *b, <<: 1, ~: ~}\n",
		"spool: {path: x, sync: 1s}\nlisteners:\n  - to: [a://b:1#c=d, {url: 'e://f@g', h: [i, j]}]\n    format: original\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		late := time.AfterFunc(10*time.Second, func() { panic("readFile hangs") })
		defer late.Stop()
		c := newConfig()
		d := written(t, text)
		if err := c.readFile(d.File); err != nil && !cli.IsConfig(err) {
			t.Errorf("%v: the exit code would be 1", err)
		}
	})
}
