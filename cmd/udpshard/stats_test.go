package main

import (
	"syscall"
	"testing"
)

// Whichever way a process comes to the sockets and counters of another one, its first stats
// line says nothing of what that one has received and lost.
func TestFirstStatsAfterTakeover(t *testing.T) {
	// counted gives a process counts and drops: it is stopped for a while.
	const sent = 30_000
	counted := func(t *testing.T, p *process, address string) {
		t.Helper()
		p.sigstop()
		s := newSenders(t, address, 4)
		s.send(sent, 0)
		p.signal(syscall.SIGCONT)
		eventually(t, "all is counted", func() bool {
			now := p.total()
			return now.Received+now.Dropped.Kernel == sent && now.Received == now.Delivered && now.Dropped.Kernel > 0 && now.Received > 0
		})
	}
	quiet := func(t *testing.T, p *process, takesOver string) {
		t.Helper()
		p.waitForLog(takesOver, `"message":"stats"`)
		now := p.total()
		if now.Received+now.Dropped.Kernel != sent {
			t.Errorf("the counters do not go on: %+v", now)
		}
		for _, l := range p.logLines("stats") {
			if l["level"] != "info" || l["received_per_s"] != 0.0 || l["delivered_per_s"] != 0.0 || l["bytes_per_s"] != 0.0 || l["lost_in_interval"] != 0.0 {
				t.Errorf("nothing was sent, and it says %v", l)
			}
		}
	}
	common := []string{"--protocol", "discard", "--shards", "2", "--receive-buffer", "16KiB", "--stats-interval", "50ms"}
	for name, replace := range map[string]func(p *process, args []string) (next *process, takesOver string){
		"upgrade": func(p *process, args []string) (*process, string) {
			return p.upgrade(args...), `"message":"takeover finished`
		},
		"a standby, told to stop": func(p *process, args []string) (*process, string) {
			next := p.startStandby(args...)
			p.terminate()
			return next, `"reason":"stop`
		},
		"a standby, killed": func(p *process, args []string) (*process, string) {
			next := p.startStandby(args...)
			p.cmd.Process.Kill()
			return next, `"reason":"died`
		},
		"a standby, stopped": func(p *process, args []string) (*process, string) {
			next := p.startStandby(append(args, "--standby-after", "300ms")...)
			p.sigstop()
			s := newSenders(p.t, args[1], 1) // what nobody reads is what a standby goes by
			s.send(1, 0)
			return next, `"reason":"stalled`
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, address := publicDir(t), freePort(t)
			args := append(takeoverArgs(dir, address), common...)
			p := startServe(t, asNobody, args...)
			counted(t, p, address)
			next, takesOver := replace(p, args)
			if name == "a standby, stopped" {
				next.waitForLog(takesOver)
				eventually(t, "it has read that", func() bool { return next.total().Received+next.total().Dropped.Kernel == sent+1 })
				next.waitForLog(`"message":"stats"`)
				for _, l := range next.logLines("stats") {
					rate, _ := l["received_per_s"].(float64)
					interval, _ := l["interval_s"].(float64)
					if rate*interval > 1.5 || l["lost_in_interval"] != 0.0 {
						t.Errorf("one datagram was sent, and it says %v", l)
					}
				}
				return
			}
			quiet(t, next, takesOver)
		})
	}
	for name, end := range map[string]func(p *process){
		"systemd restarts it":        func(p *process) { p.terminate() },
		"systemd finds that it died": func(p *process) { p.kill() },
	} {
		t.Run(name, func(t *testing.T) {
			svc := newService(t)
			p := svc.start(common...)
			counted(t, p, svc.address)
			end(p)
			quiet(t, svc.start(common...), `"message":"takeover finished`)
		})
	}
}

// The final ledger has a level, which the console shows, whatever the log level is; and the
// start says where HTTP is.
func TestStartAndFinalLedgerLogs(t *testing.T) {
	address := freePort(t)
	for _, format := range []string{"json", "console"} {
		p := startServe(t, nil, "--listen", address, "--protocol", "discard", "--shards", "1", "--log-format", format)
		at := map[string]string{"json": `"address":"` + p.http + `"`, "console": "address=" + p.http}[format]
		p.waitForLog(at, "HTTP server started")
		p.terminate()
		if format == "console" {
			if !p.hasLogged("INF final ledger") || p.hasLogged("???") {
				t.Errorf("%s", p.logs)
			}
			continue
		}
		if l := p.logLines("final ledger"); len(l) != 1 || l[0]["level"] != "info" {
			t.Errorf("%v", l)
		}
	}
	p := startServe(t, nil, "--listen", address, "--protocol", "discard", "--shards", "1", "--log-level", "error")
	p.terminate()
	if l := p.logLines("final ledger"); len(l) != 1 {
		t.Errorf("%v", l)
	}
}
