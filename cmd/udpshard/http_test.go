package main

import (
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// openIdleConnections opens n connections to an HTTP address, sends text on each, and leaves them
// open.
func openIdleConnections(t *testing.T, address string, n int, text string) {
	t.Helper()
	for range n {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
	}
}

// 3,000 idle connections do not prevent probes and scrapes.
func TestProbesBesideIdleConnections(t *testing.T) {
	path := builtProgram(t)
	for name, text := range map[string]string{
		"idle":            "",
		"slow headers":    "GET /readyz HTTP/1.1\r\nHost: local",
		"answered before": "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			p := startServe(t, nil, "--listen", "127.0.0.1:0", "--protocol", "discard")
			for range 10 {
				openIdleConnections(t, p.http, 300, text)
				if out, err := exec.Command(path, "health", "--http", p.http).CombinedOutput(); err != nil {
					t.Errorf("health: %v: %s", err, out)
				}
			}
			if body, code := p.get("/metrics"); code != 200 || !strings.Contains(body, "udpshard_build_info") {
				t.Errorf("/metrics: got %d, %.100q", code, body)
			}
		})
	}
}

// A warning is logged if the HTTP address is reachable by other hosts without a token, and no warning
// for loopback.
func TestReachableHTTPIsLogged(t *testing.T) {
	const warning = "HTTP reachable by other hosts"
	p := startServe(t, nil, "--listen", "127.0.0.1:0", "--protocol", "discard")
	if p.hasLogged(warning) {
		t.Error("got a warning about a loopback address")
	}
	_, port, err := net.SplitHostPort(freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{":" + port, "0.0.0.0:" + port} {
		p := launch(t, nil, "serve", "--listen", "127.0.0.1:0", "--protocol", "discard", "--log-format", "json", "--http", address)
		p.waitForLog(warning)
		p.waitForLog(`"level":"warn"`, `"remedy":"give --http-token-file FILE or the key http_token, give --http 127.0.0.1:9514, `, ":"+port+`"`)
		p.wantStop()
		file := writeFile(t, filepath.Join(t.TempDir(), "http-token"), "0123456789abcdef")
		p = launch(t, nil, "serve", "--listen", "127.0.0.1:0", "--protocol", "discard", "--log-format", "json", "--http", address, "--http-token-file", file)
		p.waitForLog("HTTP server started")
		if p.wantStop(); p.hasLogged(warning) {
			t.Errorf("got a warning about %s with a token", address)
		}
	}
}
