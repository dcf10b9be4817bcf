package handoff

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/udpshard/udpshard/metrics"
)

// A vigil judges by what it has seen itself: a shard that does not come back to
// a queue that waits, for long enough.
func TestVigil(t *testing.T) {
	const after = 250 * time.Millisecond
	book, err := metrics.NewSharedCounters(metrics.Layout{Listener: "a", Shards: 1, Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	page := book.Listeners()[0].Shards[0]
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	socket, err := conn.File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	sockets := []*os.File{socket}
	v := NewVigil([]*metrics.Shard{page}, sockets, after)
	now := time.Now()
	// look looks until so much time has passed, and returns when it was stuck.
	look := func(limit time.Duration) (stuck time.Duration) {
		for passed := time.Duration(0); passed < limit; passed += VigilTick(after) {
			now = now.Add(VigilTick(after))
			if text := v.Look(now); text != "" {
				if !strings.Contains(text, "shard 0 has not read for") {
					t.Error(text)
				}
				return passed
			}
		}
		return 0
	}
	expect := func(what string, stuck bool) {
		t.Helper()
		if got := look(2*after) > 0; got != stuck {
			t.Errorf("%s: stuck is %t", what, got)
		}
	}
	expect("it has not started", false)
	page.Heartbeat(time.Now())
	expect("nothing waits", false)
	conn.WriteTo([]byte("x"), conn.LocalAddr())
	page.Heartbeat(time.Now())
	if at := look(2 * after); at < after-2*VigilTick(after) || at > after+2*VigilTick(after) {
		t.Errorf("it is stuck after %s, not %s", at, after)
	}
	v.SetPatience(3 * after) // from its last sign of life on
	page.Heartbeat(time.Now())
	if at := look(6 * after); at < 3*after-2*VigilTick(after) || at > 3*after+2*VigilTick(after) {
		t.Errorf("with more patience it is stuck after %s, not %s", at, 3*after)
	}
	v.SetPatience(after)
	page.Heartbeat(time.Now())
	v.Look(now) // it has seen this sign of life, and the next look finds no later one
	now = now.Add(time.Hour)
	if text := v.Look(now); text != "" {
		t.Errorf("nobody looked for an hour: %s", text)
	}
	if at := look(2 * after); at < after-4*VigilTick(after) || at > after {
		t.Errorf("it is stuck %s after an hour in which nobody looked, not %s", at, after)
	}
	page.Heartbeat(time.Now())
	page.BeginOutputWait()
	for range 20 {
		page.KeepAlive()
		if at := look(after / 2); at > 0 {
			t.Errorf("it waits for its output, and is stuck after %s", at)
		}
	}
	expect("it waited for its output, and says so no longer", true)
	page.EndOutputWait()
	page.EndThread()
	expect("it has left its socket in order", false)
}
