package main

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/overview"
	"github.com/udpshard/udpshard/internal/statuspage/browsertest"
)

// openPage opens the status page of p in a browser.
func (p *process) openPage(t *testing.T) *browsertest.Page {
	t.Helper()
	return browsertest.Start(t).Open("http://"+p.http+"/", browsertest.View{Width: 1120, Height: 800})
}

// figure returns a number of the first listener on a status page.
func figure(t *testing.T, page *browsertest.Page, name string) float64 {
	t.Helper()
	text := browsertest.Eval[string](page, fmt.Sprintf(`[...document.querySelectorAll(".figures div")]
		.find(e => e.querySelector("dt").textContent === %q).querySelector("b").textContent`, name))
	n, err := strconv.ParseFloat(strings.ReplaceAll(text, ",", ""), 64)
	if err != nil && text != "–" { // a dash: the history is empty
		t.Errorf("%s: %v", name, err)
	}
	return n
}

// Under load, the rates on the page are within 5% of those that two readings of the status have.
func TestStatusPageShowsRates(t *testing.T) {
	const rate, seconds = 10_000, 5 // the page has means of 5 s
	address := freePort(t)
	p := startServe(t, asNobody, "--listen", address, "--protocol", "raw", "--output", "discard", "--shards", "2", "--steer", "hash")
	load := exec.Command(builtProgram(t), "send", "--to", address, "--rate", strconv.Itoa(rate), "--count", strconv.Itoa(120*rate))
	if err := load.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { load.Process.Kill(); load.Wait() })
	page := p.openPage(t)
	type reading struct {
		at                  time.Time
		received, delivered uint64
	}
	var readings []reading
	var differences string
	if !poll(func() bool {
		total := p.total()
		now := reading{time.Now(), total.Received, total.Delivered}
		readings = append(readings, now)
		for len(readings) > 1 && now.at.Sub(readings[1].at) >= seconds*time.Second {
			readings = readings[1:]
		}
		before := readings[0]
		elapsed := now.at.Sub(before.at).Seconds()
		received, delivered := float64(now.received-before.received)/elapsed, float64(now.delivered-before.delivered)/elapsed
		shownReceived, shownDelivered := figure(t, page, "Received"), figure(t, page, "Delivered")
		near := func(a, b float64) bool { return a > 0.95*b && a < 1.05*b }
		differences = fmt.Sprintf("in %.1f s: received %.0f, shown %.0f; delivered %.0f, shown %.0f",
			elapsed, received, shownReceived, delivered, shownDelivered)
		return elapsed >= seconds && received > rate/2 && near(shownReceived, received) && near(shownDelivered, delivered)
	}) {
		t.Errorf("the rates differ: %s", differences)
	}
}

// After a loss the verdict changes within 2 s, and names shard and remedy.
func TestStatusPageShowsLoss(t *testing.T) {
	const within = 2 * time.Second
	address := freePort(t)
	p := startServe(t, asNobody, "--listen", address, "--protocol", "raw", "--output", "discard",
		"--shards", "2", "--steer", "hash", "--receive-buffer", "64KiB")
	page := p.openPage(t)
	page.Wait(`document.querySelector(".verdict").matches(".nothing_lost")`)
	s := newSenders(t, address, 1)
	var late time.Duration
	for range 3 { // the browser shares the CPUs with other tests
		before := p.total().Dropped.Kernel
		p.signal(syscall.SIGSTOP)
		s.burst(0, 2000)
		p.signal(syscall.SIGCONT)
		status := p.status()
		if status.Listeners[0].Shards[0].Dropped.Kernel+status.Listeners[0].Shards[1].Dropped.Kernel == before {
			t.Fatal("the kernel has dropped nothing")
		}
		lost := time.Now()
		want := overview.Of(status, lost)
		text, _, _ := strings.Cut(want.Text, ", last") // "1,843 lost on raw, shard 0"
		if !strings.Contains(text, " lost on raw, shard ") {
			t.Fatalf("the verdict is %q", want.Text)
		}
		page.Wait(fmt.Sprintf(`document.getElementById("verdict").textContent.startsWith(%q)`, text))
		late = time.Since(lost)
		page.Wait(fmt.Sprintf(`document.querySelector(".verdict.losing").textContent.includes(%q)`, "Remedy: "+want.Remedy))
		if late <= within {
			return
		}
	}
	t.Errorf("the verdict has changed after %s, want at most %s", late, within)
}

// The page stays open during an upgrade, and goes on with the new process.
func TestStatusPageSurvivesTakeover(t *testing.T) {
	address, _, args := recordingArgs(t)
	p := startServe(t, asNobody, args...)
	page := p.openPage(t)
	pid := `[...document.querySelectorAll("#facts div")].find(e => e.textContent.startsWith("PID")).querySelector("dd").textContent`
	page.Wait(fmt.Sprintf("%s === %q", pid, strconv.Itoa(p.pid())))
	browsertest.Eval[any](page, "window.isOpen = true")
	newSenders(t, address, 4).send(5000, 0)
	next := p.upgrade(args...)
	page.Wait(fmt.Sprintf("%s === %q", pid, strconv.Itoa(next.pid())))
	page.Wait(`document.getElementById("facts").textContent.includes("upgrade") && document.querySelector("main").textContent.includes("5,000 datagrams were sent here")`)
	if !browsertest.Eval[bool](page, `window.isOpen === true && document.getElementById("connection").hidden`) {
		t.Error("the page was loaded anew, or says that the instance is away")
	}
	p.wait()
	before := page.Requests()
	eventually(t, "the page asks the new process", func() bool { return page.Requests() >= before+2 })
}
