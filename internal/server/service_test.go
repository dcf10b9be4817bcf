package server

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/systemd/systemdtest"
	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
)

// A process with a hanging shard does not report to the watchdog that it is alive.
func TestWatchdogAndAHangingShard(t *testing.T) {
	ledger := metrics.NewLedger("")
	shards := []*metrics.Shard{metrics.NewShard(0, 0), metrics.NewShard(1, 0)}
	l := &metrics.Listener{Name: "x", Shards: shards}
	ledger.Add(l)
	v := &service{}
	now := time.Now()
	expect := func(state string, alive bool) {
		t.Helper()
		if got := v.alive(now, time.Second); got != alive {
			t.Errorf("%s: alive is %t", state, got)
		}
	}
	expect("no server", true)
	v.setServer(&server{ledger: ledger})
	expect("no shard has started", true)
	for _, s := range l.Shards {
		s.Heartbeat(now)
	}
	expect("shards have heartbeats", true)
	l.Shards[1].Heartbeat(now.Add(-2 * time.Second))
	expect("shard 1 hangs", false)
	l.Shards[1].BeginOutputWait()
	expect("shard 1 waits for its output", true)
	l.Shards[1].EndOutputWait()
	ledger.SetRole(metrics.Standby)
	expect("a standby", true)
	ledger.SetRole(metrics.Active)
	l.Shards[1].EndThread()
	expect("shard 1 has ended", true)
	l.Shards[0].Heartbeat(now.Add(-2 * time.Second))
	v.setServer(nil)
	expect("the server has gone", true)
}

// After a handover to a process of a different unit, the store keeps no sockets of that process.
func TestNoStoredSocketsAfterAHandover(t *testing.T) {
	u := systemdtest.New(t, filepath.Join(t.TempDir(), "notify"))
	t.Setenv("NOTIFY_SOCKET", u.Address())
	v := openService(zerolog.Nop())
	if _, leaks := os.LookupEnv("NOTIFY_SOCKET"); leaks || !v.unit.Managed() {
		t.Fatal("the unit has no manager, or children inherit NOTIFY_SOCKET")
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	socket, err := sys.DuplicateFile(conn.(*net.UDPConn), "")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	l := handoff.Listener{Name: "x", Address: conn.LocalAddr().String(), Sockets: []*os.File{socket}}
	state := handoff.State{Listeners: []handoff.Listener{l}}
	if err := v.unit.StoreAndWait(t.Context(), state); err != nil {
		t.Fatal(err)
	}
	v.stopping("handed over")
	if names := u.StoredNames(); len(names) != 1 { // the empty manifest
		t.Errorf("%q is stored", names)
	}
	stopping := func(m systemdtest.Message) bool { return m.Text == "STOPPING=1\nSTATUS=handed over" }
	if messages := u.Messages(); !slices.ContainsFunc(messages, stopping) {
		t.Errorf("%+v", messages)
	}
}

func TestSameUnit(t *testing.T) {
	if _, err := os.ReadFile("/proc/self/cgroup"); err != nil {
		t.Skip("needs /proc/self/cgroup (CONFIG_CGROUPS)")
	}
	if !sameUnit(os.Getpid()) || sameUnit(0) || sameUnit(1<<30) {
		t.Error("sameUnit is false for this process, or true for no process")
	}
}
