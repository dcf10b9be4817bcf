package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/miekg/dns"

	"github.com/udpshard/udpshard/metrics"
)

// A standby with its own HTTP address has the role standby, answers 503 at /readyz, waits again
// after SIGHUP, and becomes active.
func TestStandbyRoleAndReload(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	args := takeoverArgs(dir, address, "--output", "discard")
	p := startServe(t, asNobody, args...)
	ownHTTP := freePort(t)
	next := launch(t, asNobody, append([]string{"serve", "--standby", "--http", ownHTTP, "--log-format", "json"}, args...)...)
	next.http = ownHTTP
	next.waitForLog("standby started")
	if role := next.status().Role; role != metrics.Standby {
		t.Errorf("got role %s, want standby", role)
	}
	if response, err := http.Get("http://" + ownHTTP + "/readyz"); err != nil || response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got %v, %v, want 503", response, err)
	}
	next.signal(syscall.SIGHUP)
	eventually(t, "the standby has reloaded, and waits again", func() bool { return strings.Count(next.logs.String(), "standby started") == 2 })
	p.wantStop()
	eventually(t, "the standby is active", func() bool { return next.status().Role == metrics.Active })
	next.wantStop()
}

// Reloads of a standby: unusable settings are refused, and the standby waits as before. The standby
// keeps the sockets during each reload, and takes over after the last reload.
func TestStandbyReload(t *testing.T) {
	dir := publicDir(t)
	address, web, socket, file := freePort(t), freePort(t), filepath.Join(dir, "takeover.sock"), filepath.Join(dir, "standby.yaml")
	settings := func(output, more string) {
		t.Helper()
		text := "http: " + web + "\nstandby: true\ntakeover: " + socket + "\nlisteners:\n  - {name: syslog, address: " + address + ", shards: 2, steer: hash, output: " + output + "}\n" + more
		writeFile(t, file, text)
	}
	p := startServe(t, asNobody, "--listen", address, "--shards", "2", "--steer", "hash", "--takeover", socket, "--output", "discard")
	settings("discard", "")
	standby := launch(t, asNobody, "serve", "--config", file, "--log-format", "json")
	standby.waitForLog("standby started")
	standby.http = web
	started := standby.status().Config
	if !started.LastReloadSuccessful {
		t.Errorf("got %+v after the start", started)
	}
	s := newSenders(t, address, 16)
	s.send(1000, 0)
	p.waitForDelivered(1000)

	second := startServe(t, asNobody, "--listen", freePort(t), "--output", "discard")
	shared := second.status().Listeners[0].Address
	for _, wrong := range []struct{ output, more, words string }{
		{"file:/nonexistent/folder/x", "", "no such file or directory"},
		{"discard", "  - {name: shared, address: " + shared + ", join: true, output: discard}\n", "the active process has no such listener"},
		{"discard", "  - {name: taken, address: " + shared + ", output: discard}\n", "address already in use"},
	} {
		standby.logs.Reset()
		settings(wrong.output, wrong.more)
		standby.signal(syscall.SIGHUP)
		eventually(t, "the reload is refused with its reason", func() bool { return standby.hasLogged("reload refused") && standby.hasLogged(wrong.words) })
		standby.waitForLog("standby started")
		if c := standby.status().Config; c.LastReloadSuccessful || c.LastReloadSuccessAt != started.LastReloadSuccessAt {
			t.Errorf("got %+v after a refused reload, and %+v before", c, started)
		}
	}

	settings("discard", "")
	standby.logs.Reset()
	standby.signal(syscall.SIGHUP)
	standby.waitForLog("reload finished")
	p.kill()
	standby.waitForTakeover()
	s.send(2000, 0)
	standby.waitForReceived(2000)
	if c := standby.status().Config; !c.LastReloadSuccessful || !c.LastReloadSuccessAt.After(started.LastReloadSuccessAt) {
		t.Errorf("got %+v after a reload, and %+v at the start", c, started)
	}
}

// A standby can't read its zone file again after a second standby has taken over: the standby keeps
// the zones that it has, waits again, and takes over later.
func TestStandbyKeepsZonesThatFailToReload(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	zone := filepath.Join(dir, "example.zone")
	valid := "$ORIGIN example.\n$TTL 60\n@ SOA ns1 host 1 7200 3600 86400 300\n@ NS ns1\nns1 A 192.0.2.1\n"
	write := func(text string) {
		t.Helper()
		writeFile(t, zone, text)
	}
	write(valid)
	args := takeoverArgs(dir, address, "--protocol", "dns", "--zone", zone, "--output", "discard", "--standby-after", "10s")
	p := startServe(t, asNobody, args...)
	queue := [2]*process{p.startStandby(args...), p.startStandby(args...)}
	write(valid + "wrong line\n")
	p.kill()
	active, next := firstToTakeOver(t, queue)
	eventually(t, "the standby waits again, with the zones that it has", func() bool {
		return next.hasLogged("example.zone:6") && strings.Count(next.logs.String(), "standby started") > 1
	})
	active.kill()
	eventually(t, "the standby answers", func() bool {
		m := query("udp", address, newQuery("ns1.example.", dns.TypeA))
		return m != nil && len(m.Answer) == 1
	})
	next.wantStop()
}
