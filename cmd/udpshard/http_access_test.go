package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/udpshard/udpshard/internal/cli"
)

// ask sends a request for a path, with a Host and a value of Authorization.
func (p *process) ask(path, host, authorization string) (code int, body string, header http.Header) {
	p.t.Helper()
	request, err := http.NewRequest(http.MethodGet, "http://"+p.http+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	request.Host = host
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	response, err := httpClient.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return response.StatusCode, string(text), response.Header
}

// The file sets names of hosts and a token. SIGHUP changes both, and refuses a token that can't be
// read. A standby has the same rules after a takeover. The tokens are nowhere but in the file of
// the token.
func TestHTTPAccess(t *testing.T) {
	all := secrets{"first": "first-token/0123456789+", "second": "second-token-0123456789", "third": "third-token-0123456789"}
	dir, address, web := publicDir(t), freePort(t), freePort(t)
	config, tokenFile := filepath.Join(dir, "udpshard.yaml"), filepath.Join(dir, "http-token")
	settings := func(hosts string) {
		t.Helper()
		writeFile(t, config, fmt.Sprintf("http: %s\nhttp_hosts: [%s]\nhttp_token: ${file:%s}\nlog: {level: debug}\n"+
			"takeover: %s/takeover.sock\nstandby: true\nlisteners: [{address: '%s', protocol: discard}]\n",
			web, hosts, tokenFile, dir, address))
	}
	settings("front.example")
	writeFile(t, tokenFile, all["first"]+"\n")
	p := launch(t, asNobody, "serve", "--config", config)
	p.http = web
	p.waitUntilReady()
	want := func(p *process, code int, path, host, authorization string) {
		t.Helper()
		got, body, header := p.ask(path, host, authorization)
		if got != code {
			t.Errorf("%s of %s with %q: %d, want %d: %s", path, host, authorization, got, code, body)
		}
		challenges := header.Values("WWW-Authenticate")
		if code == http.StatusUnauthorized && (len(challenges) != 2 || !strings.HasPrefix(challenges[0], "Bearer ") || !strings.HasPrefix(challenges[1], "Basic ")) {
			t.Errorf("challenges %q", challenges)
		}
		if header.Get("Content-Security-Policy") == "" || header.Get("Cross-Origin-Resource-Policy") == "" {
			t.Errorf("%s: %d with the fields %v", path, code, header)
		}
		if names := all.leaks(body + fmt.Sprint(header)); len(names) > 0 {
			t.Errorf("the answer has the tokens %q: %s", names, body)
		}
	}
	bearer := func(name string) string { return "Bearer " + all[name] }
	basic := func(name string) string {
		r, _ := http.NewRequest(http.MethodGet, "/", nil)
		r.SetBasicAuth("ann", all[name])
		return r.Header.Get("Authorization")
	}
	for _, path := range []string{"/", "/metrics", "/api/v1/status", "/healthz", "/readyz"} {
		open := path == "/healthz" || path == "/readyz"
		want(p, map[bool]int{true: 200, false: 401}[open], path, web, "")
		want(p, 200, path, web, bearer("first"))
		want(p, 200, path, "FRONT.example:80", basic("first"))
		want(p, 421, path, "evil.example", bearer("first"))
	}
	want(p, 401, "/metrics", web, bearer("second"))

	// Commands ask with the token of a file, which a flag or a variable names.
	var printed strings.Builder
	command := func(want int, text string, args ...string) {
		t.Helper()
		code, stdout, stderr := invoke(args...)
		printed.WriteString(stdout + stderr)
		if code != want || !strings.Contains(stdout+stderr, text) {
			t.Errorf("%q: exit code %d: %s%s", args, code, stdout, stderr)
		}
	}
	wrong := writeFile(t, filepath.Join(dir, "wrong"), all["second"])
	pid := strconv.Itoa(p.pid())
	command(cli.ExitDone, "ready", "health", "--http", web)
	command(cli.ExitFailed, "hint: --http-token-file FILE", "health", "--http", web, "--pid", pid)
	command(cli.ExitFailed, "does not accept the token", "health", "--http", web, "--pid", pid, "--http-token-file", wrong)
	command(cli.ExitDone, "active", "health", "--http", web, "--pid", pid, "--http-token-file", tokenFile)
	command(cli.ExitFailed, "asks for a token", "send", "--to", address, "--count", "10", "--verify", "http://"+web)
	t.Setenv("UDPSHARD_HTTP_TOKEN_FILE", tokenFile)
	command(cli.ExitDone, "all 10 delivered", "send", "--to", address, "--count", "10", "--verify", "http://"+web)
	t.Setenv("UDPSHARD_HTTP_TOKEN_FILE", "")
	_, stdout, _ := invoke("doctor", "--config", config, "--interval", "0") // checks of the host may fail
	if printed.WriteString(stdout); !strings.Contains(stdout, "says that every shard reads") {
		t.Errorf("doctor: %s", stdout)
	}
	check := exec.Command(builtProgram(t), "serve", "--check", "--config", config)
	asNobody(check)
	out, err := check.CombinedOutput()
	if printed.Write(out); err != nil {
		t.Errorf("serve --check: %v: %s", err, out)
	}

	// Reloads.
	reload := func(message string) {
		t.Helper()
		p.logs.Reset()
		p.signal(syscall.SIGHUP)
		p.waitForLog(message)
	}
	settings("back.example")
	writeFile(t, tokenFile, all["second"])
	reload("reload finished")
	want(p, 200, "/metrics", "back.example", bearer("second"))
	want(p, 401, "/metrics", web, bearer("first"))
	want(p, 421, "/metrics", "front.example", bearer("second"))
	settings("front.example")
	for text, reason := range map[string]string{"short": "the token has 5 characters", "": "no such file or directory"} {
		if writeFile(t, tokenFile, text); text == "" {
			os.Remove(tokenFile)
		}
		reload("reload refused")
		p.waitForLog(config+":3:13: http_token: ", reason)
		want(p, 200, "/metrics", "back.example", bearer("second"))
		want(p, 421, "/metrics", "front.example", bearer("second"))
		command(cli.ExitConfig, reason, "serve", "--check", "--config", config)
	}

	// A takeover.
	writeFile(t, tokenFile, all["third"])
	next := launch(t, asNobody, "serve", "--config", config)
	next.http = web
	next.waitForLog("standby started")
	logs := p.logs.String()
	p.kill()
	next.waitForTakeover()
	want(next, 200, "/metrics", "front.example", bearer("third"))
	want(next, 401, "/metrics", "front.example", bearer("second"))
	_, status, _ := next.ask("/api/v1/status", web, bearer("third"))
	_, metrics, _ := next.ask("/metrics", web, bearer("third"))
	commandLine, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", next.pid()))
	if err != nil {
		t.Fatal(err)
	}
	next.wantStop()
	for place, text := range map[string]string{"log": logs + p.logs.String() + next.logs.String(), "commands": printed.String(),
		"status": status, "metrics": metrics, "command line": string(commandLine)} {
		if names := all.leaks(text); text == "" || len(names) > 0 {
			t.Errorf("%s has the tokens %q: %.1000s", place, names, text)
		}
	}
}

// A start with a token that can't be used ends with the place of the error. Flags set the same
// rules as the file.
func TestHTTPAccessFlags(t *testing.T) {
	dir := t.TempDir()
	file := writeFile(t, filepath.Join(dir, "http-token"), "token-of-the-flags-01234\n")
	serve := []string{"serve", "--listen", "127.0.0.1:0", "--protocol", "discard", "--http", freePort(t)}
	for token, text := range map[string]string{"/nonexistent/token": "no such file", writeFile(t, filepath.Join(dir, "short"), "short"): "16 to 1024"} {
		code, _, stderr := invoke(append(serve, "--http-token-file", token)...)
		if code != cli.ExitUsage || !strings.HasPrefix(stderr, "udpshard: error: --http-token-file: ") || !strings.Contains(stderr, text) {
			t.Errorf("exit code %d: %s", code, stderr)
		}
	}
	p := startServe(t, nil, "--listen", "127.0.0.1:0", "--protocol", "discard", "--http-hosts", "a.example,b.example",
		"--http-hosts", "c.example", "--http-token-file", file)
	for _, host := range []string{"a.example", "b.example:1", "c.example."} {
		if code, body, _ := p.ask("/metrics", host, "Bearer token-of-the-flags-01234"); code != http.StatusOK {
			t.Errorf("host %s: %d: %s", host, code, body)
		}
	}
	writeFile(t, file, "changed-token-01234567")
	p.signal(syscall.SIGHUP)
	p.waitForLog("reload finished")
	if code, _, _ := p.ask("/metrics", p.http, "Bearer changed-token-01234567"); code != http.StatusOK {
		t.Errorf("after a reload: %d", code)
	}
}
