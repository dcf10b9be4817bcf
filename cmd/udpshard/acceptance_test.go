package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/metrics"
)

// Each test here is a promise of README.md, kept by the program as a process.

func TestEveryDatagramBecomesOneRecordInOrder(t *testing.T) {
	total, rate := 200_000, 50_000
	if testing.Short() {
		total = 50_000
	}
	file := filepath.Join(t.TempDir(), "records.json")
	address := freePort(t)
	p := serving(t, nil, "--listen", address, "--shards", "2", "--output", "file:"+file)
	for _, shard := range p.status().Listeners[0].Shards {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/status", p.cmd.Process.Pid, shard.Thread))
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("\nCpus_allowed_list:\t%d\n", shard.CPU); !strings.Contains(string(status), want) {
			t.Errorf("thread %d of shard %d is not pinned to cpu %d", shard.Thread, shard.Shard, shard.CPU)
		}
	}
	s := newSenders(t, address, 16)
	s.send(total, rate)
	eventually(t, "all are accounted for", func() bool {
		r := p.total()
		return r.Received+r.Dropped.Kernel == uint64(total) && r.InFlight == 0
	})
	shards := p.status().Listeners[0].Shards
	if shards[0].Received == 0 || shards[1].Received == 0 {
		t.Errorf("16 senders are not spread: %d and %d", shards[0].Received, shards[1].Received)
	}
	if code := p.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	_, delivered, kernel, _ := p.finalLedger()
	if kernel > 0 && !p.says("smaller than asked") {
		t.Errorf("%d dropped by the kernel at %d/s", kernel, rate)
	}
	r := newReader()
	if n := lines(t, file, r.read); uint64(n) != delivered || n+int(kernel) != total {
		t.Errorf("%d records, %d delivered, %d dropped by the kernel of %d sent", n, delivered, kernel, total)
	}
	for _, fault := range r.faults {
		t.Error(fault)
	}
}

func TestOverloadIsCounted(t *testing.T) {
	for _, protocol := range []string{"discard", "syslog"} {
		address := freePort(t)
		p := serving(t, nil, "--listen", address, "--protocol", protocol, "--receive-buffer", "32KiB",
			"--output", "file:"+filepath.Join(t.TempDir(), "{shard}.json"))
		s := newSenders(t, address, 8)
		s.send(150_000, 0)
		eventually(t, "sent = received + kernel", func() bool {
			r := p.total()
			if int64(r.InFlight) < 0 {
				t.Errorf("%d in flight", int64(r.InFlight))
			}
			return r.Received+r.Dropped.Kernel == uint64(s.sent) && r.InFlight == 0
		})
		if r := p.total(); r.Dropped.Kernel == 0 {
			t.Errorf("%s: nothing was dropped: this was no overload", protocol)
		}
	}
}

func TestStopUnderLoadWritesAllRecords(t *testing.T) {
	file := filepath.Join(t.TempDir(), "records.json")
	address := freePort(t)
	p := serving(t, nil, "--listen", address, "--output", "file:"+file)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Unconnected, so that it does not hear that the port has closed.
		conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		to, _ := net.ResolveUDPAddr("udp", address)
		for {
			select {
			case <-stop:
				return
			default:
				conn.WriteTo([]byte("<134>1 - host app - - - text"), to)
			}
		}
	}()
	eventually(t, "there is load", func() bool { return p.total().Delivered > 10_000 })
	code := p.terminate()
	close(stop)
	<-done
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	received, delivered, _, lost := p.finalLedger()
	if n := lines(t, file, nil); uint64(n) != received || delivered != received || lost != 0 {
		t.Errorf("%d records of %d received, %d delivered, %d lost", n, received, delivered, lost)
	}
}

func TestFullDiskLosesNoRecord(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("udpshard-test", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("needs a small file system: run as root (CAP_SYS_ADMIN) to mount one: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 800<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "records.json")
	address := freePort(t)
	p := serving(t, nil, "--listen", address, "--receive-buffer", "16KiB", "--output", "file:"+file)
	s := newSenders(t, address, 4)
	s.send(2_000, 50_000)
	eventually(t, "the disk is full and the kernel drops", func() bool {
		s.send(s.sent+2_000, 50_000)
		return p.says("no space left on device") && p.total().Dropped.Kernel > 0
	})
	if n := strings.Count(p.logs.String(), "no space left on device"); n != 1 {
		t.Errorf("%d log lines about one full disk", n)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=256m"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all is accounted for", func() bool {
		r := p.total()
		return r.Received+r.Dropped.Kernel == uint64(s.sent) && r.InFlight == 0
	})
	s.send(s.sent+1_000, 10_000)
	if code := p.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	p.wantSaid("output recovered")
	received, _, kernel, lost := p.finalLedger()
	r := newReader()
	if n := lines(t, file, r.read); uint64(n) != received || received+kernel != uint64(s.sent) || lost != 0 {
		t.Errorf("%d records of %d received, %d dropped by the kernel, %d sent, %d lost", n, received, kernel, s.sent, lost)
	}
	for _, fault := range r.faults {
		t.Error(fault)
	}
}

func TestJoinSharesPort(t *testing.T) {
	address := freePort(t)
	var group []*process
	for range 3 {
		group = append(group, serving(t, nil, "--listen", address, "--join", "--shards", "1", "--protocol", "discard"))
	}
	const flows = 300
	for range flows {
		newSenders(t, address, 1).burst(0, 1)
	}
	eventually(t, "all arrive", func() bool {
		var sum uint64
		for _, p := range group {
			sum += p.total().Delivered
		}
		return sum == flows
	})
	for i, p := range group {
		// A fair hash gives each 100 of 300 with a deviation of 8.
		if got := p.total().Delivered; got < 50 || got > 150 {
			t.Errorf("process %d got %d of %d flows", i, got, flows)
		}
	}
}

func TestPortInUseNamesHolder(t *testing.T) {
	address := freePort(t)
	first := serving(t, nil, "--listen", address)
	second := launch(t, nil, "serve", "--listen", address)
	if code := second.wait(); code != cli.ExitFailed {
		t.Errorf("exit code %d", code)
	}
	second.wantSaid("udpshard: error: ", address, fmt.Sprintf("pid %d (udpshard)", first.cmd.Process.Pid),
		fmt.Sprintf("uid %d", os.Getuid()), "\nudpshard: hint: ", "--join")
	newSenders(t, address, 4).send(100, 0)
	eventually(t, "the first goes on", func() bool { return first.total().Delivered == 100 })
}

func TestJoinRefusesOtherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs a second user: run as root")
	}
	const nobody = 65534
	address := freePort(t)
	serving(t, nil, "--listen", address, "--join")
	other := launch(t, func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}, "serve", "--listen", address, "--join", "--http", "")
	if code := other.wait(); code != cli.ExitFailed {
		t.Errorf("exit code %d", code)
	}
	other.wantSaid("uid 0", "SO_REUSEPORT", "one user")
}

func TestSpecificAddressBeatsWildcard(t *testing.T) {
	_, port, err := net.SplitHostPort(freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "udpshard.yaml")
	text := fmt.Sprintf("listeners:\n- {name: all, address: ':%s', protocol: discard}\n- {name: one, address: '127.0.0.2:%s', protocol: discard}\n", port, port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := serving(t, nil, "--config", file)
	for range 40 {
		newSenders(t, "127.0.0.1:"+port, 1).burst(0, 1)
		newSenders(t, "127.0.0.2:"+port, 1).burst(0, 1)
	}
	eventually(t, "all arrive", func() bool { return p.total().Delivered == 80 })
	for _, l := range p.status().Listeners {
		var got uint64
		for _, shard := range l.Shards {
			got += shard.Delivered
		}
		if got != 40 {
			t.Errorf("listener %s got %d of its 40", l.Name, got)
		}
	}
}

func TestSingleRecordIsWrittenSoon(t *testing.T) {
	file := filepath.Join(t.TempDir(), "records.json")
	address := freePort(t)
	p := serving(t, nil, "--listen", address, "--output", "file:"+file)
	s := newSenders(t, address, 1)
	var waits []time.Duration
	for i := range 15 {
		began := time.Now()
		s.burst(0, 1)
		eventually(t, "it is written", func() bool { return p.total().Delivered == uint64(i+1) })
		waits = append(waits, time.Since(began))
	}
	slices.Sort(waits)
	// The median, since one may wait for its turn on a busy CPU.
	if median := waits[len(waits)/2]; median > 100*time.Millisecond {
		t.Errorf("a record is written after %v in the median: %v", median, waits)
	}
}

func TestClosedStdoutFailsServe(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	address := freePort(t)
	p := serving(t, func(cmd *exec.Cmd) { cmd.Stdout = writer }, "--listen", address)
	writer.Close()
	reader.Close()
	newSenders(t, address, 1).burst(0, 1)
	eventually(t, "it is read", func() bool { // or the process has seen already that its reader is gone
		response, err := http.Get("http://" + p.http + "/api/v1/status")
		if err != nil {
			return true
		}
		defer response.Body.Close()
		var status metrics.Status
		return json.NewDecoder(response.Body).Decode(&status) == nil && metrics.Sum(status.Listeners[0].Shards).Received == 1
	})
	if code := p.terminate(); code != cli.ExitFailed {
		t.Errorf("exit code %d", code)
	}
	if received, delivered, _, lost := p.finalLedger(); received != 1 || delivered != 0 || lost != 1 {
		t.Errorf("received %d, delivered %d, lost %d", received, delivered, lost)
	}
}
