package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/metrics"
)

// The output file is renamed and reopened while a standby waits: after the takeover, the standby
// writes to the file that has the name then, and not to the renamed file.
func TestStandbyOpensRenamedOutputAnew(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	path := filepath.Join(dir, "records")
	args := takeoverArgs(dir, address, "--protocol", "raw", "--shards", "1", "--output", "file:"+path)
	lines := func(path string) int {
		text, _ := os.ReadFile(path)
		return bytes.Count(text, []byte{'\n'})
	}
	p := startServe(t, asNobody, args...)
	next := p.startStandby(args...)
	s := newSenders(t, address, 1)
	s.send(10, 0)
	eventually(t, "10 records are written", func() bool { return lines(path) == 10 })
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGHUP)
	s.send(20, 0)
	eventually(t, "20 records are written", func() bool { return lines(path)+lines(path+".1") == 20 })
	before := lines(path + ".1") // including records written before the signal took effect
	p.kill()
	next.waitForTakeover()
	s.send(30, 0)
	eventually(t, "30 records are written", func() bool { return lines(path)+lines(path+".1") == 30 })
	if got := lines(path + ".1"); got != before {
		t.Errorf("got %d lines in the renamed file, want %d", got, before)
	}
}

// Counters of a listener follow its address: to a successor with another order of listeners, and to
// a standby with other names and protocols.
func TestRenamedListenersKeepCounters(t *testing.T) {
	dir, web := publicDir(t), freePort(t)
	first, second := freePort(t), freePort(t)
	begin := func(name, listeners string, flags ...string) *process {
		t.Helper()
		file := filepath.Join(dir, name)
		text := fmt.Sprintf("http: %s\nlog: {format: json}\ntakeover: %s\nlisteners:\n%s", web, filepath.Join(dir, "takeover.sock"), listeners)
		writeFile(t, file, text)
		p := launch(t, asNobody, append([]string{"serve", "--config", file}, flags...)...)
		p.http = web
		return p
	}
	listener := func(address, more string) string {
		return fmt.Sprintf("  - {address: '%s', output: discard, shards: 1, receive_buffer: 16KiB%s}\n", address, more)
	}
	of := func(p *process, address string) metrics.Reading {
		t.Helper()
		for _, l := range p.status().Listeners {
			if l.Address == address {
				return metrics.Sum(l.Shards)
			}
		}
		t.Fatalf("no listener has the address %s", address)
		return metrics.Reading{}
	}
	p := begin("a.yaml", listener(first, "")+listener(second, ""))
	p.waitForLog(`"message":"listening"`)
	eventually(t, "the process answers", func() bool { _, err := statusAt(web); return err == nil })
	p.sigstop()
	newSenders(t, first, 1).send(1000, 0) // more than the queue holds
	newSenders(t, second, 1).send(300, 0)
	p.signal(syscall.SIGCONT)
	sent := map[string]uint64{first: 1000, second: 300}
	wantCounts := func(p *process, when string) {
		t.Helper()
		for address, n := range sent {
			eventually(t, when+": all datagrams are accounted for", func() bool {
				r := of(p, address)
				return r.Received+r.Dropped.Kernel == n && r.Delivered == r.Received
			})
			if of(p, address).Dropped.Kernel == 0 {
				t.Errorf("%s: the kernel dropped no datagram at %s, want some", when, address)
			}
		}
	}
	wantCounts(p, "before the upgrade")

	next := begin("b.yaml", listener(second, "")+listener(first, ""))
	next.waitForTakeover()
	p.wantExit(cli.ExitDone)
	wantCounts(next, "in another order")

	standby := begin("c.yaml", listener(first, ", protocol: raw")+listener(second, ", name: other"), "--standby")
	standby.waitForLog("standby started")
	next.kill()
	standby.waitForTakeover()
	standby.waitForLog(`"was":"syslog-2"`)
	wantCounts(standby, "with other names")
}
