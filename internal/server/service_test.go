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

// The watchdog hears nothing of a process with a shard that hangs.
func TestTheWatchdogBitesWhereAShardHangs(t *testing.T) {
	ledger := metrics.NewLedger("")
	l := &metrics.Listener{Name: "x", Shards: []*metrics.Shard{metrics.NewShard(0, 0), metrics.NewShard(1, 0)}}
	ledger.Add(l)
	v := &service{}
	now := time.Now()
	alive := func() bool { return v.alive(now, time.Second) }
	if !alive() {
		t.Error("dead before there is anybody")
	}
	v.setServer(&server{ledger: ledger})
	if !alive() {
		t.Error("dead before a shard has started")
	}
	for _, s := range l.Shards {
		s.Heartbeat(now)
	}
	if !alive() {
		t.Error("dead, and shards turn")
	}
	l.Shards[1].Heartbeat(now.Add(-2 * time.Second))
	if alive() {
		t.Error("alive, and shard 1 hangs")
	}
	l.Shards[1].BeginOutputWait()
	if !alive() {
		t.Error("dead, and shard 1 waits for its output")
	}
	l.Shards[1].EndOutputWait()
	ledger.SetRole(metrics.Standby)
	if !alive() {
		t.Error("dead, and it stands by")
	}
	ledger.SetRole(metrics.Active)
	l.Shards[1].EndThread()
	if !alive() {
		t.Error("dead, and shard 1 rests")
	}
	l.Shards[0].Heartbeat(now.Add(-2 * time.Second))
	v.setServer(nil)
	if !alive() {
		t.Error("dead, and nobody serves")
	}
}

// When a process of another unit has taken over, the store keeps nothing that
// is that one's.
func TestAServiceThatHasLeftKeepsNothing(t *testing.T) {
	u := systemdtest.New(t, filepath.Join(t.TempDir(), "notify"))
	t.Setenv("NOTIFY_SOCKET", u.Address())
	v := openService(zerolog.Nop())
	if _, leaks := os.LookupEnv("NOTIFY_SOCKET"); leaks || !v.unit.Managed() {
		t.Fatal("it has no manager, or its children have it too")
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
	set := handoff.State{Listeners: []handoff.Listener{{Name: "x", Address: conn.LocalAddr().String(), Sockets: []*os.File{socket}}}}
	if err := v.unit.StoreAndWait(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	v.stopping("handed over")
	if names := u.StoredNames(); len(names) != 1 { // the list, of nothing
		t.Errorf("%q is kept", names)
	}
	if said := u.Messages(); !slices.ContainsFunc(said, func(m systemdtest.Message) bool { return m.Text == "STOPPING=1\nSTATUS=handed over" }) {
		t.Errorf("%+v", said)
	}
}

func TestSameUnit(t *testing.T) {
	if _, err := os.ReadFile("/proc/self/cgroup"); err != nil {
		t.Skip("needs /proc/self/cgroup (CONFIG_CGROUPS)")
	}
	if !sameUnit(os.Getpid()) || sameUnit(0) || sameUnit(1<<30) {
		t.Error("not its own unit, or that of nobody")
	}
}
