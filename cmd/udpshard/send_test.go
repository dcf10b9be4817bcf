package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/internal/loadgen"
)

// invoke runs a command of the program inside the test.
func invoke(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestSendFindsEveryRecord(t *testing.T) {
	for _, protocol := range []string{"syslog", "raw"} {
		file := filepath.Join(t.TempDir(), "records.json")
		address := freePort(t)
		startServe(t, nil, "--listen", address, "--protocol", protocol, "--output", "file:"+file)
		for _, c := range []struct {
			sent uint64 // 0: depends on the machine
			args []string
		}{
			{3000, []string{"--count", "3000", "--rate", "20000"}},
			{1000, []string{"--count", "1000", "--rate", "0", "--flows", "3", "--size", "300"}},
			{0, []string{"--rate", "10000", "--duration", "100ms", "--heavy", "90%"}},
		} {
			code, stdout, stderr := invoke(append([]string{"send", "--to", address, "--json", "--verify", file}, c.args...)...)
			var r loadgen.Summary
			if err := json.Unmarshal([]byte(stdout), &r); err != nil {
				t.Fatalf("%v: %s", err, stdout)
			}
			if code != cli.ExitDone || r.Records == nil || r.Records.Total.Arrived != r.Sent || r.Sent == 0 || c.sent > 0 && r.Sent != c.sent || r.Records.Total.Reordered+r.Records.Total.Doubled > 0 {
				t.Errorf("%s %v: got exit code %d, %+v, %s", protocol, c.args, code, r, stderr)
			}
		}
	}
}

func TestSendReportsMissingRecords(t *testing.T) {
	file := filepath.Join(t.TempDir(), "records.json")
	address := freePort(t)
	startServe(t, nil, "--listen", address, "--rate-limit", "10", "--output", "file:"+file)
	code, stdout, stderr := invoke("send", "--to", address, "--count", "500", "--rate", "50000", "--flows", "2", "--verify", file, "--wait", "300ms")
	if code != cli.ExitFailed || !strings.Contains(stderr, "of 500 datagrams did not arrive") {
		t.Errorf("got exit code %d: %s", code, stderr)
	}
	for _, want := range []string{"500 datagrams", "from 2 flows", "/s of 50,000/s asked", "flow  sent  arrived  lost  doubled  reordered", " all   500 "} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is missing in\n%s", want, stdout)
		}
	}
}

func TestSendVerifiesByLedger(t *testing.T) {
	address := freePort(t)
	p := startServe(t, nil, "--listen", address, "--protocol", "discard", "--shards", "2")
	for _, url := range []string{"http://" + p.http, "http://" + p.http + "/api/v1/status"} {
		code, stdout, stderr := invoke("send", "--to", address, "--count", "2000", "--rate", "40000", "--verify", url)
		if code != cli.ExitDone || !strings.Contains(stdout, "shard  received  kernel drops") || !strings.Contains(stdout, "all 2,000 delivered by listener discard at "+address) {
			t.Errorf("got exit code %d: %s%s", code, stdout, stderr)
		}
	}
	// Drops in the ledger fail `send`, and are printed by reason.
	for reason, flags := range map[string][]string{"not_allowed": {"--allow", "192.0.2.1"}, "rate_limited": {"--rate-limit", "1"}} {
		address = freePort(t)
		p = startServe(t, nil, append([]string{"--listen", address, "--protocol", "discard", "--shards", "1"}, flags...)...)
		code, stdout, stderr := invoke("send", "--to", address, "--count", "100", "--rate", "0", "--flows", "1", "--verify", "http://"+p.http)
		want := fmt.Sprintf("%d %s\n", p.total().Dropped.Received(), reason)
		if code != cli.ExitFailed || !strings.Contains(stderr, " of 100 datagrams were not delivered: "+want) || !strings.Contains(stdout, want) {
			t.Errorf("got exit code %d: %s%s, want %q", code, stdout, stderr, want)
		}
	}
}

// `send` reports undelivered datagrams by cause: dropped by the kernel, in flight to the output, or
// in receive queues. No datagram counts as lost on the network.
func TestSendReportsUndeliveredByCause(t *testing.T) {
	pipe, address := filepath.Join(t.TempDir(), "pipe"), freePort(t)
	if err := syscall.Mkfifo(pipe, 0o600); err != nil { // without a reader
		t.Fatal(err)
	}
	p := startServe(t, nil, "--listen", address, "--shards", "1", "--receive-buffer", "16KiB", "--output", "file:"+pipe)
	send := func(count string, flags ...string) (loadgen.Summary, string) {
		t.Helper()
		args := append([]string{"send", "--to", address, "--count", count, "--rate", "0", "--wait", "300ms", "--verify", "http://" + p.http}, flags...)
		code, stdout, stderr := invoke(args...)
		var r loadgen.Summary
		if code != cli.ExitFailed || slices.Contains(flags, "--json") && json.Unmarshal([]byte(stdout), &r) != nil {
			t.Fatalf("got exit code %d: %s%s", code, stdout, stderr)
		}
		return r, stdout + stderr
	}
	r, output := send("30000", "--json")
	a := r.Receiver
	if a.Lost != 0 || a.Dropped.Kernel == 0 || a.Waiting == 0 || a.QueueBytes == 0 || a.InFlight == 0 ||
		a.Received+a.Dropped.Kernel+a.Waiting != 30000 || a.Missing() != a.InFlight+a.Dropped.Kernel+a.Waiting {
		t.Errorf("got %+v, want 30000 datagrams by cause, and none lost", a)
	}
	for _, part := range []string{" dropped by the kernel at a full receive queue", " in flight to the output", " still in receive queues ("} {
		if !strings.Contains(output, part) {
			t.Errorf("%q is missing in %s", part, output)
		}
	}
	_, output = send("500")
	if want := "500 of 500 not delivered by listener syslog at " + address + ": 500 dropped by the kernel at a full receive queue\n"; !strings.Contains(output, want) {
		t.Errorf("%q is missing in %s", want, output)
	}
	p.cmd.Process.Kill()
}

// During a run of `send`, upgrades to other numbers of shards keep the counters, and `send`
// verifies all datagrams. A new instance at the same address has other counters, and `send` says
// so.
func TestSendAcrossUpgrade(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	args := func(shards string) []string {
		return takeoverArgs(dir, address, "--protocol", "discard", "--shards", shards)
	}
	p := startServe(t, asNobody, args("2")...)
	url := "http://" + p.http
	for _, shards := range []string{"3", "1"} {
		report := startSend(t, address, "--rate", "20000", "--flows", "16", "--verify", url)
		p.waitForLoad(1000)
		next := p.upgrade(args(shards)...)
		p.wantExit(cli.ExitDone)
		p = next
		if r := report(); r.Receiver == nil || !r.Receiver.Complete() || r.Receiver.More > 0 {
			t.Errorf("%d sent: got %+v in the ledger", r.Sent, r.Receiver)
		}
	}
	path := builtProgram(t)
	run := exec.Command(path, "send", "--to", address, "--duration", "0", "--rate", "2000", "--verify", url)
	var stderr bytes.Buffer
	run.Stderr = &stderr
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	defer run.Process.Kill()
	before := p.total().Received
	eventually(t, "datagrams arrive", func() bool { return p.total().Received > before })
	p.terminate()
	launch(t, asNobody, append([]string{"serve", "--http", p.http}, args("1")...)...)
	eventually(t, "the new instance answers", func() bool { _, err := statusAt(p.http); return err == nil })
	run.Process.Signal(syscall.SIGINT)
	if run.Wait(); !strings.Contains(stderr.String(), "the counters of the instance are ") {
		t.Errorf("got standard error %q, want the other counters", &stderr)
	}
}

// `send` fails before the first datagram if --verify names an unreadable file.
func TestSendOpensFilesFirst(t *testing.T) {
	address := freePort(t)
	p := startServe(t, nil, "--listen", address, "--protocol", "discard")
	for _, name := range []string{filepath.Join(t.TempDir(), "nowhere", "records.json"), t.TempDir()} {
		code, stdout, stderr := invoke("send", "--to", address, "--count", "10", "--verify", name)
		if code != cli.ExitFailed || stdout != "" || !strings.HasPrefix(stderr, "udpshard: error: --verify: ") || p.total().Received > 0 {
			t.Errorf("%s: got exit code %d, %d received: %s%s", name, code, p.total().Received, stdout, stderr)
		}
	}
}

// --verify finds the file of each shard by {shard} or a pattern.
func TestSendFindsRecordsOfEachShard(t *testing.T) {
	file, address := filepath.Join(t.TempDir(), "records-{shard}.json"), freePort(t)
	startServe(t, nil, "--listen", address, "--shards", "3", "--steer", "spray", "--output", "file:"+file)
	for _, path := range []string{file, strings.ReplaceAll(file, "{shard}", "?")} {
		code, stdout, stderr := invoke("send", "--to", address, "--count", "3000", "--rate", "20000", "--verify", path, "--json")
		var r loadgen.Summary
		if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != cli.ExitDone || r.Records.Total.Arrived != 3000 || r.Records.Total.Doubled > 0 {
			t.Errorf("%s: %v, got exit code %d: %s%s", path, err, code, stdout, stderr)
		}
	}
}

func TestSendTemplate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "records.json")
	template := filepath.Join(t.TempDir(), "lines")
	writeFile(t, template, "<13>1 {time} h{flow} app - - - first run={run} flow={flow} n={seq}\n\n<14>run={run} flow={flow} n={seq} second\n")
	address := freePort(t)
	startServe(t, nil, "--listen", address, "--output", "file:"+file)
	code, _, stderr := invoke("send", "--to", address, "--count", "100", "--flows", "1", "--template", template, "--verify", file)
	if code != cli.ExitDone {
		t.Errorf("got exit code %d: %s", code, stderr)
	}
	first, second := 0, 0
	countLines(t, file, func(line []byte) {
		if bytes.Contains(line, []byte(`"hostname":"h0","appname":"app","facility":"user","severity":"notice","message":"first run=`)) {
			first++
		}
		if bytes.Contains(line, []byte(" second")) {
			second++
		}
	})
	if first != 50 || second != 50 {
		t.Errorf("got %d first and %d second lines, want 50 each", first, second)
	}
}

func TestSendErrors(t *testing.T) {
	unused := freePort(t)
	empty := filepath.Join(t.TempDir(), "empty")
	writeFile(t, empty, "\n\n")
	plain := filepath.Join(t.TempDir(), "plain")
	writeFile(t, plain, "no token\n")
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"--to 127.0.0.1", cli.ExitUsage, "--to: "},
		{"--to :5514", cli.ExitUsage, "--to: "},
		{"--to 0.0.0.0:5514", cli.ExitUsage, "--to: "},
		{"--flows 0", cli.ExitUsage, "--flows: "},
		{"--flows 100000", cli.ExitUsage, "--flows: "},
		{"--rate x", cli.ExitUsage, "--rate: "},
		{"--rate -1", cli.ExitUsage, "--rate: "},
		{"--rate NaN", cli.ExitUsage, "--rate: "},
		{"--duration soon", cli.ExitUsage, "--duration: "},
		{"--count 1.5", cli.ExitUsage, "--count: "},
		{"--size 70000", cli.ExitUsage, "--size: "},
		{"--gso 129", cli.ExitUsage, "--gso: "},
		{"--heavy 101%", cli.ExitUsage, "--heavy: "},
		{"--heavy 2", cli.ExitUsage, "--heavy: "},
		{"--batch 1025", cli.ExitUsage, "--batch: "},
		{"--threads 100000", cli.ExitUsage, "--threads: "},
		{"--cpus 8000", cli.ExitUsage, "--cpus: "},
		{"--cpus a", cli.ExitUsage, "--cpus: "},
		{"--template /nowhere/lines", cli.ExitUsage, "--template: "},
		{"--template " + empty, cli.ExitUsage, "--template: "},
		{"--template= ", cli.ExitUsage, "--template: "},
		{"--template " + plain + " --verify " + plain, cli.ExitUsage, "--verify: "},
		{"--size 9 --verify " + plain, cli.ExitUsage, "--verify: "},
		{"--verify http://127.0.0.1:1", cli.ExitFailed, "--verify: no instance answers"},
		{"--verify http://", cli.ExitFailed, "is not a URL"},
		{"--unknown", cli.ExitUsage, "--unknown"},
		{"here", cli.ExitUsage, "takes no arguments"},
		{"--to " + unused + " --count 100 --rate 0", cli.ExitFailed, "no socket listens at " + unused},
	} {
		code, _, stderr := invoke(append([]string{"send"}, strings.Fields(c.args)...)...)
		if code != c.code || !strings.HasPrefix(stderr, "udpshard: error: ") || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: got exit code %d: %s", c.args, code, stderr)
		}
	}
}

func TestSendHelpEndsInAnExample(t *testing.T) {
	for _, command := range []string{"send", "selftest"} {
		code, stdout, stderr := invoke(command, "--help")
		_, example, found := strings.Cut(stdout, "\nExample:\n")
		if code != cli.ExitDone || stderr != "" || !found || !strings.Contains(example, "udpshard "+command) {
			t.Errorf("got exit code %d, %q, %s", code, stderr, stdout)
		}
	}
}

// SIGINT ends `send`, which prints its report.
func TestSendPrintsReportAtInterrupt(t *testing.T) {
	path := builtProgram(t)
	address := freePort(t)
	p := startServe(t, nil, "--listen", address, "--protocol", "discard")
	cmd := exec.Command(path, "send", "--to", address, "--duration", "0", "--rate", "2000")
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	eventually(t, "datagrams arrive", func() bool { return p.total().Received > 100 })
	cmd.Process.Signal(syscall.SIGINT)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(stdout.String(), fmt.Sprintf("sent    %s datagrams", format.Count(p.total().Received))) {
		t.Errorf("got %[2]s, want %[1]d datagrams", p.total().Received, &stdout)
	}
}
