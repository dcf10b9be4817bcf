package targets

import (
	"maps"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ text, name, canonical string }{
		{"tcp://h:1", "tcp://h:1", "tcp://h:1"},
		{"TCP://h:1", "tcp://h:1", "tcp://h:1"},
		{"tcp://h:1#b=2&a=1", "tcp://h:1", "tcp://h:1#a=1&b=2"},
		{"tcp://h:1#", "tcp://h:1", "tcp://h:1"},
		{"nats://u:p%40x@a:1,[::1]:2/s.{shard}#per=batch", "nats://a:1,[::1]:2/s.{shard}",
			"nats://a:1,[::1]:2/s.{shard}#password=p%40x&per=batch&user=u"},
		{"dnstap+unix:///run/a%20b.sock#resend=1KiB", "dnstap+unix:///run/a%20b.sock", "dnstap+unix:///run/a%20b.sock#resend=1KiB"},
		{"nats://secret@a:1/s", "nats://a:1/s", "nats://a:1/s#token=secret"},
		{"http://u@a:1/s?x=y#token=${file:/a/b}", "http://a:1/s?x=y", "http://a:1/s?x=y#token=%24%7Bfile%3A%2Fa%2Fb%7D&user=u"},
		{"kafka://a,b/t#password=a+b=c#d%20%26", "kafka://a,b/t", "kafka://a,b/t#password=a%2Bb%3Dc%23d%20%26"},
	} {
		s, err := Parse(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if s.Name() != c.name || Text(s) != c.canonical {
			t.Errorf("%s: name %s, text %s, want %s and %s", c.text, s.Name(), Text(s), c.name, c.canonical)
		}
		again, err := Parse(Text(s))
		if err != nil || !maps.Equal(again.Options, s.Options) || again.Name() != s.Name() {
			t.Errorf("%s: parsed again: %v, %v", Text(s), again, err)
		}
	}
}

// Secrets of URLs that Parse refuses are not in the errors.
func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"h:1":                              "a target is a URL",
		"SECRET":                           "a target is a URL",
		"tcp://h:x":                        "invalid port",
		"nats://a:1,/s":                    "the URL lacks a host",
		"tcp://":                           "the URL lacks a host",
		"tcp:///path":                      "the URL lacks a host",
		"dnstap+unix://":                   "the URL lacks a host",
		"https://h/x?api_key=SECRET":       "api_key in the query",
		"udp://h:99999":                    "port 99999 of the URL is not a number from 1 to 65535",
		"kafka://a:1,b:0/t":                "port 0 of the URL is not a number from 1 to 65535",
		"nats://u:12/SECRET@h:1/s":         "%40",
		"nats://u:pw@SECRET@h:1/s":         "more than one @",
		"nats://u:SECRET%zz@h:1/s":         "%25",
		"tcp://h:1#password=SECRET%zz":     "option password: two hexadecimal digits",
		"tcp://h:1#password=a&SECRET":      "NAME=VALUE",
		"tcp://h:1#password=a&SEC$RET=b":   "NAME=VALUE",
		"tcp://h:1#a=1&a=SECRET":           "option a is set twice",
		"nats://u:SECRET@h:1/s#password=x": "option password is set twice",
		"http://h/?user=u&password=SECRET": "password in the query",
		"https://h/?X-API-Key=SECRET":      "X-API-Key in the query",
		"tcp://h:1?token=SECRET":           "token in the query",
		"http://h/%zz?query=SECRET":        "invalid URL escape",
	} {
		_, err := Parse(text)
		switch {
		case err == nil || !strings.Contains(err.Error(), want):
			t.Errorf("%s: %v, want %s", text, err, want)
		case strings.Contains(err.Error(), "SEC"):
			t.Errorf("%s: %v has a secret", text, err)
		}
	}
}

// The text of settings is parsed to the same settings.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"nats://u:p%40x@a:1,[::1]:2/s.{shard}?x=y#per=batch&a=%26+", "tcp://h#", "a+b://@,/%20#=", "://", "A://"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(Text(s))
		if err != nil || again.Name() != s.Name() || !maps.Equal(again.Options, s.Options) {
			t.Errorf("%q: text %q, parsed again: %+v, %v", text, Text(s), again, err)
		}
	})
}
