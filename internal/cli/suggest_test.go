package cli

import (
	"errors"
	"net"
	"testing"
	"time"
)

func TestNearest(t *testing.T) {
	known := []string{
		"rate_limit", "rate_limit_prefix.ipv4", "listen", "batch", "max-datagram", "receive-buffer",
		"log-level", "http", "rrl", "rrl-slip", "version", "send", "serve",
	}
	for word, want := range map[string]string{
		"listn": "listen", "lisetn": "listen", "btach": "batch", "bach": "batch", "BATCH": "batch",
		"batch-size":   "batch",
		"max_datagram": "max-datagram", "receive": "receive-buffer", "loglevel": "log-level",
		"rate_limit_prefix.ip4": "rate_limit_prefix.ipv4", "rate_limt": "rate_limit",
		"rate_lim": "rate_limit", "log": "log-level",
		"htpp": "http", "htttp": "http", "https": "http", "rll": "rrl", "sned": "send",
		"server": "serve", "versoin": "version",
		"": "", "x": "", "port": "", "verbose": "", "protocol": "", "buffer": "", "öäü": "",
	} {
		if got := NearestWord(word, known); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}

// The suggested value is valid.
func TestMeantValues(t *testing.T) {
	type cases map[string]string
	meantSeconds := func(text string) string { return GuessDuration(text, time.Second) }
	meantListen := func(text string) string { return GuessAddress(text, "", "5514") }
	for kind, c := range map[string]struct {
		meant func(string) string
		check func(string) error
		cases cases
	}{
		"size": {GuessSize, withoutValue(ParseSize), cases{
			"32M": "32MiB", "32MB": "32MiB", "32m": "32MiB", "32mib": "32MiB", "32 MiB": "32MiB",
			"32Mi": "32MiB", "1.5MiB": "1536KiB",
			"4k": "4KiB", "1G": "1GiB", "64 kb": "64KiB", "8,192": "8KiB", "8_000": "8000B",
			"": "", "many": "", "-1": "", "0": "", "32Mx": "", "1T": "", "0.2": "", "99999999999GiB": "",
		}},
		"bool": {GuessBool, withoutValue(ParseBool), cases{
			"on": "true", "Yes": "true", "off": "false", "no": "false", "ja": "", "": "",
		}},
		"duration": {meantSeconds, withoutValue(ParseDuration), cases{
			"5": "5s", "5 s": "5s", "5sec": "5s", "1.5": "1.5s", "5min": "5m", "90 minutes": "1h30m",
			"1d": "24h", "2 days": "48h", "500 ms": "500ms",
			"": "", "soon": "", "-1s": "", "0": "", "5x": "",
		}},
		"count": {GuessCount, withoutValue(ParseCount), cases{
			"5/s": "5", "50k": "50000", "50k/s": "50000", "1.5k": "1500", "2M": "2000000",
			"1,000": "1000", "1_000": "1000",
			"": "", "many": "", "-5": "", "0": "", "1.5": "", "5x": "",
		}},
		"prefixes": {GuessPrefixes, withoutValue(ParsePrefixes), cases{
			"10.0.0.1/8": "10.0.0.0/8", "192.0.2.1,10.0.0.1/8": "192.0.2.1,10.0.0.0/8",
			"any": "0.0.0.0/0,::/0", "ALL": "0.0.0.0/0,::/0", "*": "0.0.0.0/0,::/0",
			"": "", "10.0.0.0/33": "", "10.0.0.1/8,x": "",
		}},
		"address": {meantListen, resolves, cases{
			"5514": ":5514", "5514x": ":5514", "5514/udp": "", "127.0.0.1": "127.0.0.1:5514",
			"127.0.0.1:": "127.0.0.1:5514", "::1": "[::1]:5514", "[::1]": "[::1]:5514",
			"::1:514": "[::1]:514", "2001:db8::7:5514": "[2001:db8::7]:5514", "::": "[::]:5514",
			"localhost": "localhost:5514",
			"true":      "", "off": "", "udp://127.0.0.1:514": "127.0.0.1:514",
			"http://[::1]:9514/metrics": "[::1]:9514",
			"":                          "", "99999": "", "a b": "", "1.2.3": "",
		}},
	} {
		for text, want := range c.cases {
			got := c.meant(text)
			if got != want {
				t.Errorf("%s %q: %q, want %q", kind, text, got, want)
			}
			if got != "" && c.check(got) != nil {
				t.Errorf("%s %q: %q is not taken either: %v", kind, text, got, c.check(got))
			}
		}
	}
}

// resolves reports whether an address is valid.
func resolves(address string) error {
	_, err := net.ResolveUDPAddr("udp", address)
	return err
}

// withoutValue returns a parser without its value.
func withoutValue[T any](parse func(string) (T, error)) func(string) error {
	return func(text string) error {
		_, err := parse(text)
		return err
	}
}

// A hint has the form of its place.
func TestASuggestionIsWrittenAsItsPlace(t *testing.T) {
	err := Suggest(errors.New("no size"), "32MiB")
	for place, want := range map[string]string{
		"--receive-buffer": "--receive-buffer 32MiB",
		"serve.yaml:3:5: listeners[0].receive_buffer":       "receive_buffer: 32MiB",
		"a b.yaml:3:5: listeners[0].rate_limit_prefix.ipv4": "ipv4: 32MiB",
		"serve.yaml:3:5: http":                              "http: 32MiB",
		"$UDPSHARD_HTTP":                                    "UDPSHARD_HTTP=32MiB",
	} {
		if got := Hint(SettingError(place, err)); got != want {
			t.Errorf("%s: %q, want %q", place, got, want)
		}
	}
	if got := Hint(SettingError("--x", Suggest(errors.New("no size"), ""))); got != "" {
		t.Errorf("%q, where nothing is suggested", got)
	}
}
