package main

import (
	"syscall"
	"testing"
)

// After each kind of takeover, the first stats line of the new process has no datagrams that the
// predecessor has received or lost.
func TestFirstStatsAfterTakeover(t *testing.T) {
	// receiveAndDrop gives a process received and dropped datagrams: a stop fills its queues.
	const sent = 30_000
	receiveAndDrop := func(t *testing.T, p *process, address string) {
		t.Helper()
		p.sigstop()
		s := newSenders(t, address, 4)
		s.send(sent, 0)
		p.signal(syscall.SIGCONT)
		eventually(t, "all datagrams are counted", func() bool {
			now := p.total()
			return now.Received+now.Dropped.Kernel == sent && now.Received == now.Delivered && now.Dropped.Kernel > 0 && now.Received > 0
		})
	}
	wantNoRates := func(t *testing.T, p *process, takesOver string) {
		t.Helper()
		p.waitForLog(takesOver, `"message":"stats"`)
		now := p.total()
		if now.Received+now.Dropped.Kernel != sent {
			t.Errorf("got %+v, want %d received or dropped", now, sent)
		}
		for _, l := range p.logLines("stats") {
			if l["level"] != "info" || l["received_per_s"] != 0.0 || l["delivered_per_s"] != 0.0 || l["bytes_per_s"] != 0.0 || l["lost_in_interval"] != 0.0 {
				t.Errorf("got rates in %v, want none: no datagram was sent", l)
			}
		}
	}
	common := []string{"--protocol", "discard", "--shards", "2", "--receive-buffer", "16KiB", "--stats-interval", "50ms"}
	for name, replace := range map[string]func(p *process, args []string) (next *process, takesOver string){
		"upgrade": func(p *process, args []string) (*process, string) {
			return p.upgrade(args...), `"message":"takeover finished`
		},
		"standby after SIGTERM": func(p *process, args []string) (*process, string) {
			next := p.startStandby(args...)
			p.terminate()
			return next, `"reason":"stop`
		},
		"standby after SIGKILL": func(p *process, args []string) (*process, string) {
			next := p.startStandby(args...)
			p.cmd.Process.Kill()
			return next, `"reason":"died`
		},
		"standby after SIGSTOP": func(p *process, args []string) (*process, string) {
			next := p.startStandby(append(args, "--standby-after", "300ms")...)
			p.sigstop()
			s := newSenders(p.t, args[1], 1) // a standby takes over only with queued datagrams
			s.send(1, 0)
			return next, `"reason":"stalled`
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, address := publicDir(t), freePort(t)
			args := append(takeoverArgs(dir, address), common...)
			p := startServe(t, asNobody, args...)
			receiveAndDrop(t, p, address)
			next, takesOver := replace(p, args)
			if name == "standby after SIGSTOP" {
				next.waitForLog(takesOver)
				eventually(t, "the datagram is counted", func() bool { return next.total().Received+next.total().Dropped.Kernel == sent+1 })
				next.waitForLog(`"message":"stats"`)
				for _, l := range next.logLines("stats") {
					rate, _ := l["received_per_s"].(float64)
					interval, _ := l["interval_s"].(float64)
					if rate*interval > 1.5 || l["lost_in_interval"] != 0.0 {
						t.Errorf("got %v, want at most the one datagram that was sent", l)
					}
				}
				return
			}
			wantNoRates(t, next, takesOver)
		})
	}
	for name, end := range map[string]func(p *process){
		"restart by systemd":               func(p *process) { p.terminate() },
		"restart by systemd after a death": func(p *process) { p.kill() },
	} {
		t.Run(name, func(t *testing.T) {
			svc := newService(t)
			p := svc.start(common...)
			receiveAndDrop(t, p, svc.address)
			end(p)
			wantNoRates(t, svc.start(common...), `"message":"takeover finished`)
		})
	}
}

// "final ledger" is logged with level info at every log level and in both formats, and the start
// logs the HTTP address.
func TestStartAndFinalLedgerLogs(t *testing.T) {
	address := freePort(t)
	for _, format := range []string{"json", "console"} {
		p := startServe(t, nil, "--listen", address, "--protocol", "discard", "--shards", "1", "--log-format", format)
		at := map[string]string{"json": `"address":"` + p.http + `"`, "console": "address=" + p.http}[format]
		p.waitForLog(at, "HTTP server started")
		p.terminate()
		if format == "console" {
			if !p.hasLogged("INF final ledger") || p.hasLogged("???") {
				t.Errorf("got log %s", p.logs)
			}
			continue
		}
		if l := p.logLines("final ledger"); len(l) != 1 || l[0]["level"] != "info" {
			t.Errorf("got final ledger %v, want 1 line", l)
		}
	}
	p := startServe(t, nil, "--listen", address, "--protocol", "discard", "--shards", "1", "--log-level", "error")
	p.terminate()
	if l := p.logLines("final ledger"); len(l) != 1 {
		t.Errorf("got final ledger %v, want 1 line", l)
	}
}
