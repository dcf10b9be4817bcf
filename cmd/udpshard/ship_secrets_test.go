package main

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// secrets are the secrets of a test, each with a name.
type secrets map[string]string

// leaks returns the names of the secrets in a text: as they are, in base64, or escaped for a URL.
func (s secrets) leaks(text string) (names []string) {
	for name, secret := range s {
		for _, form := range []string{
			secret,
			url.QueryEscape(secret),
			url.PathEscape(secret),
			base64.StdEncoding.EncodeToString([]byte("ann:" + secret)),
			base64.StdEncoding.EncodeToString([]byte("\x00ann\x00" + secret)),
		} {
			if strings.Contains(text, form) {
				names = append(names, name)
				break
			}
		}
	}
	return names
}

// tactlessServer answers with the header fields of the request, and with the password.
func tactlessServer(t *testing.T, code int) (address string) {
	var accepted atomic.Bool
	return startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if code == http.StatusBadRequest && !accepted.Swap(true) {
			return // only a target that has accepted records can refuse one
		}
		_, password, _ := r.BasicAuth()
		w.Header().Set("Location", "http://"+password+"/"+r.Header.Get("Authorization"))
		w.WriteHeader(code)
		fmt.Fprintln(w, r.Header, password)
	}).Addr
}

// closedNATS starts a nats-server with a configuration.
func closedNATS(t *testing.T, authorization string) (address string) {
	t.Helper()
	program := shiptest.Build(t, "github.com/nats-io/nats-server/v2")
	address = shiptest.FreeTCP(t)
	_, port, _ := net.SplitHostPort(address)
	file := filepath.Join(t.TempDir(), "nats.conf")
	text := fmt.Sprintf("port: %s\nhost: 127.0.0.1\nauthorization { %s }\n", port, authorization)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	shiptest.Start(t, program, "-c", file).AwaitTCP(t, address)
	return address
}

// Secrets of targets that fail, and that are refused, are nowhere but in the file: not in the
// command line, the log, the status, the metrics, the spool, and the output of other commands. Each
// wrong secret is one line in the log, however often the target is tried.
func TestSecretsAreNowhere(t *testing.T) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	all := secrets{"literal": "pass&wörd/literal", "env": "secret-of-env", "file": "secret-of-file",
		"url": "pass:of/url", "sasl": "secret-of-sasl", "token": "secret-of-token", "nkey": string(seed),
		"bad nkey": "SUAMNOTANKEYATALL", "header": "secret-of-header"}
	dir := t.TempDir()
	secretFile := filepath.Join(dir, "secret")
	if err := os.WriteFile(secretFile, []byte(all["file"]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("UDPSHARD_TEST_SECRET", all["env"])
	t.Setenv("UDPSHARD_TEST_HEADER", all["header"])
	kfaked := shiptest.Build(t, "github.com/udpshard/udpshard/internal/ship/shiptest/servers/kfaked")
	kafka := shiptest.FreeTCP(t)
	broker := shiptest.Start(t, kfaked, "-user", "PLAIN:ann:other", kafka, t.TempDir(), "logs", "1")
	broker.AwaitTCP(t, kafka)
	targets := []string{
		fmt.Sprintf("{url: 'http://%s/401', user: ann, password: '%s', header.X-Key: '%s'}",
			tactlessServer(t, http.StatusUnauthorized), all["literal"], "${env:UDPSHARD_TEST_HEADER}"),
		fmt.Sprintf("{url: 'http://%s/503', token: '%s'}",
			tactlessServer(t, http.StatusServiceUnavailable), all["token"]),
		fmt.Sprintf("{url: 'http://%s/301', user: ann, password: '${env:UDPSHARD_TEST_SECRET}'}",
			tactlessServer(t, http.StatusMovedPermanently)),
		fmt.Sprintf("'http://ann:%s@%s/refused'", url.QueryEscape(all["url"]), freePort(t)),
		fmt.Sprintf("{url: 'nats://%s/logs', user: ann, password: '${file:%s}'}",
			closedNATS(t, "user: ann, password: other"), secretFile),
		fmt.Sprintf("{url: 'nats://%s/logs', token: %s}", closedNATS(t, "token: other"), all["token"]),
		fmt.Sprintf("{url: 'nats://%s/logs', nkey: %s}", closedNATS(t, "token: other"), seed),
		fmt.Sprintf("{url: 'nats://%s/logs', nkey: %s}", closedNATS(t, "token: other"), all["bad nkey"]),
		fmt.Sprintf("{url: 'kafka://%s/logs', sasl: plain, user: ann, password: %s}", kafka, all["sasl"]),
	}
	rejecting := fmt.Sprintf("{url: 'http://%s/400', user: ann, password: '%s'}",
		tactlessServer(t, http.StatusBadRequest), all["literal"])
	address := freePort(t)
	config, spool := filepath.Join(dir, "udpshard.yaml"), filepath.Join(dir, "spool")
	text := fmt.Sprintf("spool: %s\nlog: {level: debug}\nlisteners:\n  - address: '%s'\n"+
		"    to:\n      - %s\n", spool, address, strings.Join(append(targets, rejecting), "\n      - "))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startServe(t, nil, "--config", config)
	s := newSenders(t, address, 1)
	s.send(3, 0)
	failing := func() int { return len(p.logLines("target failing")) }
	eventually(t, "a target has records", func() bool {
		for _, o := range p.outputs() {
			if o.Acknowledged == 3 {
				return true
			}
		}
		return false
	})
	s.send(6, 0)
	eventually(t, "each target has failed", func() bool {
		rejected := false
		for _, o := range p.outputs() {
			if rejected = o.Rejected == 3; !rejected && (o.Retries < 1 || o.LastError == "") {
				return false
			}
		}
		return rejected && failing() == len(targets)
	})
	commandLine, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid()))
	if err != nil {
		t.Fatal(err)
	}
	status, _ := p.get("/api/v1/status")
	home, _ := p.get("/")
	places := map[string]string{"command line": string(commandLine), "status": status, "page": home,
		"metrics": p.metrics()}
	for name, args := range map[string][]string{
		"check": {"serve", "--check", "--config", config}, "spool": {"spool", spool},
		"doctor": {"doctor", "--config", config, "--http", p.http},
	} {
		out, _ := exec.Command(builtProgram(t), args...).CombinedOutput() // the text is what matters
		places["output of "+name] = string(out)
	}
	p.wantStop()
	places["log"] = p.logs.String()
	filepath.WalkDir(spool, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			content, _ := os.ReadFile(path)
			places[path] = string(content)
		}
		return err
	})
	for place, text := range places {
		for _, name := range all.leaks(text) {
			t.Errorf("%s has the secret %s", place, name)
		}
	}
	if n := failing(); n != len(targets) {
		t.Errorf("%d log lines about %d targets", n, len(targets))
	}
	rejected := places[filepath.Join(spool, "rejected.json")]
	if len(places) < 15 || !strings.Contains(rejected, "***") {
		t.Errorf("%d places, rejected.json: %s", len(places), rejected)
	}
}

// Errors of the command line and of the file have no secrets, and end the program.
func TestSecretsAreNotInErrors(t *testing.T) {
	const secret = "my-secret"
	t.Setenv("UDPSHARD_TEST_SECRET", secret)
	for to, code := range map[string]int{
		"nats://ann:my-secret@127.0.0.1:1/logs":                                       64,
		"http://127.0.0.1:1#token=my-secret":                                          64,
		"http://127.0.0.1:1#user=ann&password=${env:UDPSHARD_TEST_SECRET}&timeout=xx": 64,
		"htpt://127.0.0.1:1#token=${env:UDPSHARD_TEST_SECRET}":                        64,
		"nats://127.0.0.1:1/logs#nkey=my-secret":                                      64,
		"kafka://127.0.0.1:1/to/pic#password=${env:UDPSHARD_TEST_SECRET}":             64,
		"nats:///logs": 64,
	} {
		cmd := exec.Command(builtProgram(t), "serve", "--listen", "127.0.0.1:0", "--http", "",
			"--spool", t.TempDir(), "--to", to)
		out, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != code || strings.Contains(string(out), secret) {
			t.Errorf("%s: exit code %d, want %d: %s", to, got, code, out)
		}
	}
}
