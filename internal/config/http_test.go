package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/client"
)

const testToken = "the-token-of-http-0123"

// parseFlags returns the configuration of flags.
func parseFlags(t *testing.T, args ...string) (*Config, error) {
	t.Helper()
	var f Flags
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.Define(flags, "usage")
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f.Config()
}

// tokenFile makes a file with a token.
func tokenFile(t *testing.T, token string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "http-token")
	if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The token is in the file, or in another file or a variable, of which a flag or a variable has the
// name.
func TestHTTPToken(t *testing.T) {
	path := tokenFile(t, testToken)
	t.Setenv("UDPSHARD_TEST_TOKEN", testToken)
	for _, text := range []string{testToken, "${env:UDPSHARD_TEST_TOKEN}", "${file:" + path + "}"} {
		c := read(t, "http_token: "+text+"\nlisteners: [{}]\n")
		if got := c.HTTPAccess().Token; got != testToken {
			t.Errorf("%s: token %q", text, got)
		}
	}
	c, err := parseFlags(t, "--http-token-file", path)
	if err != nil || c.HTTPToken != testToken {
		t.Errorf("flag: %v", err)
	}
	t.Setenv(client.TokenFileVariable, path)
	if c, err = parseFlags(t); err != nil || c.HTTPToken != testToken {
		t.Errorf("variable: %v", err)
	}
	c = read(t, "http_token: another-token-0123456789\nlisteners: [{}]\n")
	if c.HTTPToken != "another-token-0123456789" {
		t.Error("the file does not override the variable")
	}
	t.Setenv(client.TokenFileVariable, "")
	if c, err = parseFlags(t); err != nil || c.HTTPToken != "" || c.HTTPAccess().Token != "" {
		t.Errorf("empty variable: %v", err)
	}
}

// Errors of a token have its place, and not the token.
func TestHTTPTokenErrors(t *testing.T) {
	t.Setenv("UDPSHARD_TEST_TOKEN", "")
	for text, want := range map[string]string{
		"short-token":                ":1:13: http_token: the token has 11 characters, and must have 16 to 1024",
		"''":                         ":1:13: http_token: the token is empty",
		"'a secret token with gaps'": ":1:13: http_token: the token has spaces, or characters that are not printable ASCII",
		"${env:UDPSHARD_TEST_TOKEN}": ":1:13: http_token: the token is empty",
		"${env:UDPSHARD_TEST_NONE}":  ":1:13: http_token: environment variable UDPSHARD_TEST_NONE is not set",
		"${file:/nonexistent/token}": ":1:13: http_token: open /nonexistent/token: no such file or directory",
		"${vault:x}":                 ":1:13: http_token: ${ must begin ${file:PATH} or ${env:NAME}",
		"[secret-token-in-a-list]":   ":1:13: http_token: must be a single value",
		"*secret-token-as-an-alias":  ":1:13: http_token: no anchor with the name of this alias ends before",
	} {
		f := written(t, "http_token: "+text+"\nlisteners: [{}]\n")
		_, err := f.Config()
		if err == nil || !cli.IsConfig(err) || err.Error() != f.File+want {
			t.Errorf("%s: error %v, want %s", text, err, want)
		}
	}
	if _, err := parseFlags(t, "--http-token-file", "/nonexistent/token"); err == nil || !cli.IsUsage(err) ||
		!strings.HasPrefix(err.Error(), "--http-token-file: open /nonexistent/token: ") {
		t.Errorf("flag: %v", err)
	}
	if _, err := parseFlags(t, "--http-token-file", tokenFile(t, "short")); err == nil || cli.Hint(err) != "openssl rand -hex 32 makes a token" {
		t.Errorf("short token: %v", err)
	}
	for _, file := range []string{"", "a}b"} {
		var f Flags
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		f.Define(flags, "usage")
		if err := flags.Parse([]string{"--http-token-file", file}); err == nil {
			t.Errorf("--http-token-file %q: no error", file)
		}
	}
	t.Setenv(client.TokenFileVariable, "a}b")
	if _, err := parseFlags(t); err == nil || !cli.IsConfig(err) || !strings.HasPrefix(err.Error(), "$"+client.TokenFileVariable+": ") {
		t.Errorf("variable: %v", err)
	}
}

// Names of hosts come from the list, and from the HTTP address.
func TestHTTPHosts(t *testing.T) {
	c := read(t, "http: front.example.org:9514\nhttp_hosts: [Logs.example.org, a_b]\nlisteners: [{}]\n")
	if want := []string{"Logs.example.org", "a_b", "front.example.org"}; !slices.Equal(c.HTTPAccess().Hosts, want) {
		t.Errorf("hosts %q, want %q", c.HTTPAccess().Hosts, want)
	}
	c, err := parseFlags(t, "--http-hosts", "a,b", "--http-hosts", "c.")
	if want := []string{"a", "b", "c."}; err != nil || !slices.Equal(c.HTTPAccess().Hosts, want) {
		t.Errorf("hosts %q, %v, want %q", c.HTTPAccess().Hosts, err, want)
	}
	for text, want := range map[string][2]string{
		"logs.example.org:9514":          {`"logs.example.org:9514" is not a host name such as logs.example.org`, "logs.example.org"},
		"https://logs.example.org:9514/": {`is not a host name`, "logs.example.org"},
		"192.0.2.1":                      {`"192.0.2.1" is an IP address, and IP addresses are always accepted: leave it out`, ""},
		"'[::1]'":                        {`"[::1]" is an IP address`, ""},
		"'*.example.org'":                {`"*.example.org" is not a host name`, ""},
		"bücher.example":                 {`"bücher.example" is not a host name`, ""},
		"a b":                            {`"a b" is not a host name`, ""},
		"[a, '']":                        {`"a," has an empty part`, ""},
	} {
		f := written(t, "http_hosts: "+text+"\nlisteners: [{}]\n")
		_, err := f.Config()
		if err == nil || !cli.IsConfig(err) || !strings.Contains(err.Error(), ":1:13: http_hosts: ") || !strings.Contains(err.Error(), want[0]) {
			t.Errorf("%s: error %v, want %s", text, err, want[0])
			continue
		}
		if hint := cli.Hint(err); want[1] == "" && hint != "" || !strings.Contains(hint, want[1]) {
			t.Errorf("%s: hint %q, want %q", text, hint, want[1])
		}
	}
}

// A reload changes hosts and token.
func TestReloadChangesHTTPAccess(t *testing.T) {
	old := read(t, "http_token: "+testToken+"\nlisteners: [{}]\n")
	next := read(t, "http_hosts: [a]\nlisteners: [{}]\n")
	if err := old.CheckReload(next); err != nil {
		t.Error(err)
	}
}
