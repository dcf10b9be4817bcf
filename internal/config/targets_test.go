package config

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/ship"
)

// fakeTarget is a target with the options framing and resend.
type fakeTarget struct{}

func (fakeTarget) Send(context.Context, *ship.Batch) error { return errors.New("not used") }
func (fakeTarget) Close() error                            { return nil }

// useFakeTargets makes fake targets of all URLs; those of tcp have a host and a port alone.
func useFakeTargets(t testing.TB) {
	before := newTarget
	t.Cleanup(func() { newTarget = before })
	newTarget = func(s *ship.Settings) (ship.Target, error) {
		var hostErr error
		if s.URL.Scheme == "tcp" {
			hostErr = s.CheckHost()
		}
		if s.Listener == "" || s.Format == "" {
			t.Errorf("%s: listener %q, format %q", s.Name(), s.Listener, s.Format)
		}
		_, framingErr := s.Choice("framing", "newline", "octet-counting")
		_, resendErr := s.Size("resend", 1, 1<<30)
		err := cli.Join(hostErr, s.CheckOptions("framing", "resend", "user", "password", "token"),
			framingErr, resendErr)
		return fakeTarget{}, err
	}
}

// parsed returns the configuration of a command line.
func parsed(args ...string) (*Config, error) {
	var f Flags
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.Define(flags, "usage")
	if err := flags.Parse(args); err != nil {
		return nil, cli.FlagError(nil, err)
	}
	return f.Config()
}

// Flags and all forms of the key are the same targets.
func TestTargets(t *testing.T) {
	useFakeTargets(t)
	want := []string{"tcp://a:1#framing=octet-counting&resend=8MiB", "nats://b:1,c:2/x#password=p%20%26&user=u"}
	for what, config := range map[string]func() (*Config, error){
		"flags": func() (*Config, error) {
			t.Setenv("SECRET", "p &")
			return parsed("--to", "tcp://a:1#resend=8MiB&framing=octet-counting",
				"--to", "nats://b:1,c:2/x#user=u&password=${env:SECRET}")
		},
		"list": written(t, `
listeners:
  - to:
      - url: tcp://a:1
        framing: octet-counting
        resend: 8MiB
      - nats://u:p%20%26@b:1,c:2/x
`).Config,
		"options in the URL and beside it": written(t, `
listeners:
  - to:
    - {url: 'tcp://a:1#resend=8MiB', framing: octet-counting}
    - {user: u, password: 'p &', url: 'nats://b:1,c:2/x'}
`).Config,
	} {
		c, err := config()
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		l := c.Listeners[0]
		if what == "flags" {
			want := []string{want[0], "nats://b:1,c:2/x#password=%24%7Benv%3ASECRET%7D&user=u"}
			if !slices.Equal(l.To, want) {
				t.Errorf("flags: %q, want %q", l.To, want)
			}
		} else if !slices.Equal(l.To, want) {
			t.Errorf("%s: %q, want %q", what, l.To, want)
		}
		s := l.Targets()
		if password, err := s[1].Value("password"); password != "p &" || err != nil {
			t.Errorf("%s: password %q, %v", what, password, err)
		}
		if s[1].Listener != "syslog" || s[1].Format != ship.JSON || s[1].Name() != "nats://b:1,c:2/x" {
			t.Errorf("%s: settings %+v", what, s[1])
		}
		if l.Engine().OneOutput || !l.HasOutputPerShard() {
			t.Errorf("%s: the shards have one output", what)
		}
	}
	for _, text := range []string{"to: tcp://a:1#framing=newline", "to: {url: 'tcp://a:1', framing: newline}",
		"to:\n      url: tcp://a:1\n      framing: newline", "to: [{url: 'tcp://a:1#framing=newline'}]"} {
		l := read(t, "listeners:\n  - "+text+"\n").Listeners[0]
		if want := []string{"tcp://a:1#framing=newline"}; !slices.Equal(l.To, want) {
			t.Errorf("%s: %q, want %q", text, l.To, want)
		}
	}
	list := read(t, "listeners:\n  - to: {url: 'tcp://a:1', user: [a, b]}\n").Listeners[0].Targets()
	if list[0].Options["user"] != "a,b" {
		t.Errorf("option of a list: %q", list[0].Options)
	}
}

// Errors of targets in a file have the position of the target, and all are reported.
func TestBadTargetsOfAFile(t *testing.T) {
	useFakeTargets(t)
	for _, c := range []struct{ text, want, hint string }{
		{"to:", ":2:5: listeners[0].to: a target is a URL", "SCHEME://"},
		{"to: []", ":2:9: listeners[0].to: the list is empty", ""},
		{"to: h:1", ":2:9: listeners[0].to: a target is a URL", "SCHEME://"},
		{"to: tcp://h", ":2:9: listeners[0].to: tcp://h: needs a host and a port", ""},
		{"to: ['tcp://h:1', 'tcp://h']", ":2:23: listeners[0].to[1]: tcp://h: needs a host", ""},
		{"to: ['tcp://h:1', [x]]", ":2:23: listeners[0].to[1]: must be a single value", ""},
		{"to: {framing: newline}", ":2:9: listeners[0].to: the key url is required", ""},
		{"to: [{url: h}]", ":2:16: listeners[0].to[0].url: a target is a URL", ""},
		{"to: [{url: [h]}]", ":2:16: listeners[0].to[0].url: must be a single value", ""},
		{"to: [{url: 'tcp://h:1', framing: {}}]", ":2:29: listeners[0].to[0]: must be a single value", ""},
		{"to: [{url: 'tcp://h:1#framing=newline', framing: newline}]", ":2:45: listeners[0].to[0]: option framing is set twice", ""},
		{"to: [{url: 'tcp://h:1', a b: SECRET}]", ":2:29: listeners[0].to[0]: names of options have only letters", ""},
		{"to: [{url: 'tcp://h:1', framing: octet_counting}]", `:2:10: listeners[0].to[0]: option framing: "octet_counting" is not one of newline, octet-counting`, "did you mean framing octet-counting?"},
		{"to: [{url: 'tcp://h:1', resend: 8M}]", `:2:10: listeners[0].to[0]: option resend: "8M" is not a size`, "did you mean resend 8MiB?"},
		{"to: [{url: 'tcp://h:1', fraiming: SECRET}]", ":2:10: listeners[0].to[0]: unknown option fraiming: use one of", "did you mean framing?"},
		{"to: [{url: 'tcp://h:1', password: '${SECRET}'}]", ":2:10: listeners[0].to[0]: option password: ${ must begin ${file:PATH} or ${env:NAME}", ""},
		{"to: ['tcp://h:1', 'tcp://h:1#framing=newline']", ":2:23: listeners[0].to[1]: the listener has the target tcp://h:1 already", ""},
		{"to: tcp://u:SECRET@h", ":2:9: listeners[0].to: tcp://h: needs a host and a port", ""},
		{"to: tcp://u:SEC%RET@h:1", ":2:9: listeners[0].to: in user:password of the URL", ""},
		{"{to: tcp://h:1, output: discard}", ":2:29: listeners[0].output: a listener with targets has no output but the spool", "leave out output"},
		{"{to: tcp://h:1, protocol: echo}", ":2:10: listeners[0].to: the protocol echo has no records", ""},
		{"output: nats://u:SECRET@h:1/x", ":2:13: listeners[0].output: a URL is no output", "to: URL"},
	} {
		_, err := written(t, "listeners:\n  - "+c.text+"\n").Config()
		switch {
		case err == nil || !strings.Contains(err.Error(), c.want) || len(cli.Separate(err)) != 1 || !cli.IsConfig(err):
			t.Errorf("%s: %v\nwant %s", c.text, err, c.want)
		case !strings.Contains(cli.Hint(err), c.hint):
			t.Errorf("%s: hint %q, want %s", c.text, cli.Hint(err), c.hint)
		case strings.Contains(err.Error()+cli.Hint(err), "SEC"):
			t.Errorf("%s: %v, hint %s: has a secret", c.text, err, cli.Hint(err))
		}
	}
	_, err := written(t, `
listeners:
  - to:
      - x
      - tcp://h
      - {framing: x}
      - {url: 'tcp://h:1', framing: x}
    output: stdout
    batch: x
`).Config()
	var lines []string
	for _, err := range cli.Separate(err) {
		_, position, _ := strings.Cut(err.Error(), "c.yaml")
		lines = append(lines, strings.Join(strings.Split(position, ":")[1:3], ":"))
	}
	if want := []string{"4:9", "6:9", "9:12", "5:9", "7:9", "8:13"}; !slices.Equal(lines, want) {
		t.Errorf("positions %q, want %q, of %v", lines, want, err)
	}
}

// Flags with secrets are refused, and their errors have no secrets.
func TestBadTargetsOfFlags(t *testing.T) {
	useFakeTargets(t)
	const refused = "all users of this host can see a secret on the command line"
	for args, want := range map[string]string{
		"--to tcp://u:SECRET@h:1":                                               "--to: option password: " + refused,
		"--to nats://SECRET@h:1/x":                                              "--to: option token: " + refused,
		"--to tcp://h:1#nkey=SECRET":                                            "--to: option nkey: " + refused,
		"--to tcp://h:1#password=SECRET${env:X}":                                "--to: option password: " + refused,
		"--to tcp://h:1#password=${env:X}SECRET":                                "--to: option password: " + refused,
		"--to tcp://h:1#password=${SECRET}":                                     "--to: option password: ${ must begin",
		"--to tcp://u:SEC%RET@h:1":                                              "--to: in user:password of the URL",
		"--to tcp://u:p@SECRET@h:1":                                             "--to: the URL has more than one @",
		"--to tcp://h:1#password=a&SECRET":                                      "--to: options after # are NAME=VALUE",
		"--to tcp://h:1 --to tcp://u:SECRET@h":                                  "--to: tcp://h: option password: " + refused,
		"--to tcp://h:1 --to tcp://i:1#framing=x":                               `--to: tcp://i:1: option framing: "x" is not one of`,
		"--to tcp://h:1 --to tcp://h:1":                                         "--to: the listener has the target tcp://h:1 already",
		"--to tcp://h:1 --output discard":                                       "--output: a listener with targets has no output",
		"--to tcp://h:1 --protocol discard":                                     "--to: the protocol discard has no records",
		"--to= ":                                                                "--to: a target is a URL",
		"--output http://u:SECRET@h:1":                                          "--output: a URL is no output",
		"--to tcp://h:1 --spool http://u:SECRET@h:1":                            "--spool: a URL is no path of a folder",
		"--to tcp://h:1 --format rfc5424 --protocol raw":                        "--format: only syslog has the format rfc5424, and the protocol is raw",
		"--to tcp://h:1 --format original --protocol dns":                       "--format: only syslog has the format original",
		"--to dnstap+tcp://h:1 --format dnstap":                                 "--format: only dns has the format dnstap, and the protocol is syslog",
		"--to dnstap+tcp://h:1 --protocol dns":                                  "--to: dnstap+tcp://h:1 does not get the format json",
		"--to tcp://h:1 --format dnstap --protocol dns":                         "--to: tcp://h:1 does not get the format dnstap",
		"--format dnstap --protocol dns":                                        "--format: the output stdout does not get dnstap messages",
		"--to dnstap+tcp://h:1 --format dnstap --protocol dns --record-answers": "--record-answers: without effect with the format dnstap",
		"--output discard --protocol dns --record-answers":                      "--record-answers: without effect with the output discard",
		"--to tcp://h:1 --format text":                                          `--format: "text" is not one of json, rfc5424, original`,
		"--spool /x":                                                            "--spool: without effect: no listener has targets",
	} {
		_, err := parsed(strings.Fields(args)...)
		switch {
		case err == nil || !strings.Contains(err.Error(), want) || len(cli.Separate(err)) != 1 || !cli.IsUsage(err):
			t.Errorf("%s: %v\nwant %s", args, err, want)
		case strings.Contains(err.Error()+cli.Hint(err), "SEC") && !strings.Contains(args, "SECRET@h --"):
			t.Errorf("%s: %v, hint %s: has a secret", args, err, cli.Hint(err))
		}
	}
}

// YAML that does not parse shows no secrets either.
func TestSyntaxErrorsHaveNoSecrets(t *testing.T) {
	for _, text := range []string{
		"listeners: [{to: {url: 'tcp://h:1', password: ${SECRET}}}]\n",
		"listeners:\n  - to: {url: 'tcp://h:1', password: SECRET\n",
		"listeners:\n  - to: {url: 'tcp://h:1', password: \"SECRET}\n",
		"listeners:\n  - to: {url: 'tcp://h:1', password: 'a'SECRET}\n",
		"listeners:\n  - to:\n      url: tcp://h:1\n      password: SECRET: x\n",
		"listeners:\n  - to:\n      url: tcp://h:1\n      password: &SECRET\n",
		"listeners:\n  - to:\n      url: tcp://h:1\n      password: @SECRET\n",
		"listeners:\n  - to:\n      url: tcp://h:1\n      password: *SECRET\n",
		"listeners:\n  - to:\n    - url: tcp://h:1\n      token: [*SECRET]\n",
		"listeners:\n  - to:\n      url: tcp://h:1\n      password: `SECRET\n",
		"listeners:\n  - to:\n      url: tcp://h:1\n      password: %SECRET\n",
		"listeners:\n  - to:\n      url: tcp://h:1\n      password: ]SECRET\n",
		"listeners:\n  - to:\n      url: tcp://h:1\n      password: \"SEC\\qRET\"\n",
		"listeners:\n  - to:\n      url: tcp://h:1\n     password: SECRET\n",
		"listeners:\n  - to:\n      url: tcp://h:1\n      password: |SECRET\n",
		"listeners:\n  - to:\n      url: tcp://h:1\n      password: !SECRET x\n",
		"listeners:\n  - to:\n      url: tcp://h:1\n      password: !!int SECRET\n",
	} {
		_, err := written(t, text).Config()
		if err != nil && strings.Contains(err.Error()+cli.Hint(err), "SEC") {
			t.Errorf("%v has a secret, of\n%s", err, text)
		}
	}
}

// A reload refuses other targets, another spool and another format, and shows no secrets.
func TestReloadOfTargets(t *testing.T) {
	useFakeTargets(t)
	t.Setenv(stateVariable, "/s")
	const before = `
spool: {max_size: 1GiB}
listeners:
  - to:
      - {url: 'tcp://a:1', password: SECRET, framing: newline}
      - tcp://b:1
`
	for _, c := range []struct{ old, new, want string }{
		{"1GiB", "1024MiB", ""},
		{"1GiB", "1GiB, path: /s/../s/spool", ""},
		{"1GiB", "1GiB, sync: 1000ms", ""},
		{"{url: 'tcp://a:1', password: SECRET, framing: newline}", "{framing: newline, password: SECRET, url: 'TCP://a:1'}", ""},
		{"{url: 'tcp://a:1', password: SECRET, framing: newline}\n      - tcp://b:1", "tcp://b:1\n      - tcp://a:1#framing=newline&password=SECRET\n", ""},
		{"SECRET", "SECRET2", ":5:7: listeners[0].to: a change needs a restart"},
		{"      - tcp://b:1\n", "", ":5:7: listeners[0].to: a change needs a restart"},
		{"1GiB", "2GiB", `spool.max_size: was "1GiB" and is "2GiB": a change needs a restart`},
		{"1GiB", "1GiB, path: /t", `spool.path: was "/s/spool" and is "/t": a change`},
		{"1GiB", "1GiB, sync: none", `spool.sync: was "1s" and is "none": a change`},
		{"1GiB", "1GiB, when_full: drop_oldest", `spool.when_full: was "wait" and is "drop_oldest": a change`},
		{"1GiB", "1GiB, segment_size: 1MiB", `spool.segment_size: was "" and is "1MiB": a change`},
		{"  - to:", "  - format: original\n    to:", `listeners[0].format: was "json" and is "original": a change`},
	} {
		after := strings.Replace(before, c.old, c.new, 1)
		if after == before {
			t.Fatalf("%q is missing", c.old)
		}
		switch err := read(t, before).CheckReload(read(t, after)); {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.new, err, c.want)
		case err != nil && strings.Contains(err.Error(), "SECRET"):
			t.Errorf("%v has a secret", err)
		}
	}
}

// The value of an option can be a file that is there later.
func TestSecretsAreNotRead(t *testing.T) {
	useFakeTargets(t)
	path := filepath.Join(t.TempDir(), "password")
	c, err := parsed("--to", "tcp://h:1#password=${file:"+path+"}")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(" p\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Listeners[0].Targets()[0].Value("password"); got != "p" || err != nil {
		t.Errorf("password %q, %v", got, err)
	}
}
