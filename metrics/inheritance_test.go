package metrics

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
)

func none(Write) (int, error) { return 0, nil }

// attach attaches a socket to each shard of the first listener.
func attach(t *testing.T, b *SharedCounters, sockets ...*fakeSocket) []*Shard {
	t.Helper()
	shards := b.Listeners()[0].Shards
	for i, s := range sockets {
		shards[i].Attach(s)
	}
	return shards
}

// The totals and sockets of a renamed listener continue under the new name.
func TestAListenerIsRenamed(t *testing.T) {
	old, successor := newShared(t, Layout{"a", 1, 1, 1}, Layout{"b", 1, 1, 1}, Layout{"c", 1, 1, 1}), newShared(t, Layout{"b", 1, 1, 1}, Layout{"a", 1, 1, 1})
	sockets := []*fakeSocket{{cookie: 1, dropped: 10}, {cookie: 2, dropped: 20}, {cookie: 3, dropped: 30}}
	for i, l := range old.Listeners() {
		l.Shards[0].Attach(sockets[i])
		l.Shards[0].Received.Add(100 * uint64(i+1))
		l.Shards[0].Read()
		old.ListenerProtocolCounters(l.Name)[0].Store(uint64(i + 1))
	}
	b, a := successor.Listeners()[0].Shards[0], successor.Listeners()[1].Shards[0]
	b.Attach(sockets[0])
	a.Attach(sockets[2])
	if _, err := successor.Inherit(old, map[string]string{"a": "b", "b": "", "c": "a"}).Finalize(none); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		shard            *Shard
		received, kernel uint64
		protocol         uint64
	}{"b": {b, 100, 10, 1}, "a": {a, 300, 30, 3}} {
		if got := c.shard.Read(); got.Received != c.received || got.Dropped.Kernel != c.kernel {
			t.Errorf("%s: %+v", name, got)
		}
		wantCounters(t, successor.ListenerProtocolCounters(name), c.protocol)
	}
}

// The ID of the counters is inherited with the totals. New counters have another ID.
func TestTheIDIsInherited(t *testing.T) {
	first, second, third := newShared(t, Layout{"a", 1, 1, 0}), newShared(t, Layout{"b", 2, 1, 0}), newShared(t, Layout{"b", 1, 1, 0})
	lineage, own := first.ID(), second.ID()
	if lineage == 0 || own == 0 || lineage == own {
		t.Fatalf("new counters have the IDs %x and %x", lineage, own)
	}
	l := NewLedger("test")
	before := l.CountersID()
	l.SetSharedCounters(third)
	if id := l.Status().CountersID; id == before || id != fmt.Sprintf("%016x", third.ID()) {
		t.Errorf("the ID is %s, was %s without shared counters, and theirs is %x", id, before, third.ID())
	}
	second.Inherit(first, nil)
	third.Inherit(second, nil)
	if id := l.Status().CountersID; id != fmt.Sprintf("%016x", lineage) {
		t.Errorf("after two takeovers the ID is %s, not %016x", id, lineage)
	}
	// Counters of an older version have no ID: the ID of the successor stays.
	older, successor := newShared(t, Layout{"a", 1, 1, 0}), newShared(t, Layout{"a", 1, 1, 0})
	older.header.id.Store(0)
	own = successor.ID()
	if successor.Inherit(older, nil); successor.ID() != own {
		t.Errorf("the lineage is %x, and was %x", successor.ID(), own)
	}
}

// A standby has the sockets of the active process, which counts the drops. The standby counts them
// from the takeover on, and a process without predecessor from the start of its threads on.
func TestAStandbyCountsNoDrops(t *testing.T) {
	for about, begin := range map[string]func(*SharedCounters, *Shard){
		"a takeover": func(sc *SharedCounters, _ *Shard) { sc.Inherit(newShared(t, Layout{"a", 1, 1, 0}), nil) },
		"a start":    func(_ *SharedCounters, shard *Shard) { shard.StartThread(77, 0) },
	} {
		sc := newShared(t, Layout{"a", 1, 1, 0})
		shard := attach(t, sc, &fakeSocket{cookie: 9, queued: 1000, dropped: 7})[0]
		shard.Sample(time.Now())
		if got := shard.Read(); got.Dropped != (Drops{}) || got.LastDropped != (DropTimes{}) || got.QueueBytes != 1000 {
			t.Errorf("before %s: %+v", about, got)
		}
		begin(sc, shard)
		if got := shard.Read(); got.Dropped.Kernel != 7 || got.LastDropped.Kernel.IsZero() {
			t.Errorf("after %s: %+v", about, got)
		}
	}
}

// Each counter of a shard is inherited.
func TestEveryTotalIsInherited(t *testing.T) {
	old, successor := newShared(t, Layout{"a", 1, 1, 0}), newShared(t, Layout{"a", 1, 1, 0})
	shard := old.Listeners()[0].Shards[0]
	socket := &fakeSocket{cookie: 9, dropped: 21}
	shard.Attach(socket)
	old.counting.Store(true)
	n := uint64(0)
	for i := range reflect.TypeFor[Counters]().NumField() {
		if field := reflect.TypeFor[Counters]().Field(i); field.IsExported() && field.Name != "Received" {
			n++
			reflect.ValueOf(shard.Counters).Elem().Field(i).Addr().MethodByName("Add").Call([]reflect.Value{reflect.ValueOf(n)})
		}
	}
	for kind := range shard.inherited {
		shard.inherited[kind].Store(100 * uint64(kind+1))
	}
	shard.Received.Add(1_000_000)
	want := shard.Read()
	next := attach(t, successor, socket)
	inheritance := successor.Inherit(old, nil)
	if got := next[0].Read(); got != want {
		t.Errorf("reading\n%+v, want\n%+v", got, want)
	}
	s, err := inheritance.Finalize(none)
	if err != nil || s.Lost != want.InFlight || s.Received != 0 || s.Delivered != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	want.Dropped.LostInCrash += want.InFlight
	want.InFlight = 0
	got := next[0].Read()
	want.LastDropped.LostInCrash = got.LastDropped.LostInCrash // see TestDropTimesAreInherited
	if got != want {
		t.Errorf("reading\n%+v, want\n%+v", got, want)
	}
}

// Two shards become four, and the four become one. Each kernel drop counts once, and sums never go
// back.
func TestInheritAsShardsChange(t *testing.T) {
	var sockets []*fakeSocket
	for i := range 4 {
		sockets = append(sockets, &fakeSocket{cookie: uint64(100 + i)})
	}
	sum := func(b *SharedCounters, which ...*fakeSocket) Reading {
		shards := b.Listeners()[0].Shards
		var readings []Reading
		for i, s := range which {
			shards[i].mu.Lock()
			shards[i].socket = s
			shards[i].mu.Unlock()
			readings = append(readings, shards[i].Read())
		}
		return Sum(readings)
	}
	work := func(shards []*Shard) {
		for i, shard := range shards {
			n := uint64(10 * (i + 1))
			shard.Received.Add(n)
			shard.Delivered.Add(n - 1)
			shard.NotAllowed.Add(1)
		}
	}

	two := newShared(t, Layout{"a", 2, 1, 0}, Layout{"gone", 1, 1, 0})
	two.counting.Store(true)
	shards := attach(t, two, sockets[:2]...)
	work(shards)
	sockets[0].dropped, sockets[1].dropped = 3, 1<<32-2
	before := sum(two, sockets[:2]...)
	if before.Dropped.Kernel != 1<<32+1 {
		t.Fatalf("kernel %d", before.Dropped.Kernel)
	}
	sockets[0].dropped += 4 // after the last reading
	sockets[1].dropped += 5 // the socket's counter wraps

	four := newShared(t, Layout{"new", 1, 1, 0}, Layout{"a", 4, 1, 0})
	shards = nil
	for i := range 4 {
		shard := mustShard(t, four, "a", i)
		shard.Attach(sockets[i])
		shard.Read() // a standby reads its sockets before it is active
		shards = append(shards, shard)
	}
	inheritance := four.Inherit(two, nil)
	check := func(what string, got Reading, received, kernel uint64) {
		t.Helper()
		if got.Received != received || got.Dropped.Kernel != kernel || got.Received != got.Delivered+got.InFlight+got.Dropped.Received() {
			t.Errorf("%s: received %d, want %d; kernel %d, want %d; %+v", what, got.Received, received, got.Dropped.Kernel, kernel, got)
		}
	}
	read := func() (r []Reading) {
		for _, shard := range shards {
			r = append(r, shard.Read())
		}
		return r
	}
	check("two to four", Sum(read()), 30, 1<<32+1+9)
	if r := read(); r[0].Received != 10 || r[1].Received != 20 || r[2].Received != 0 || r[0].Dropped.Kernel != 7 || r[3].Dropped.Kernel != 0 {
		t.Errorf("shards %+v", r)
	}
	two.Listeners()[0].Shards[0].Received.Add(2) // the predecessor still counts
	inheritance.Sync()
	check("it follows", Sum(read()), 32, 1<<32+1+9)
	if s, err := inheritance.Finalize(none); err != nil || s.Lost != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	work(shards)
	for i := range sockets {
		sockets[i].dropped += uint32(10 * (i + 1))
	}
	want := Sum(read())
	check("four", want, 32+100, 1<<32+1+9+100)
	if want.Dropped.LostInCrash != 2 || want.InFlight != 0 {
		t.Errorf("%+v", want)
	}

	for _, s := range sockets {
		s.dropped += 1000 // after the last reading
	}
	one := newShared(t, Layout{"a", 1, 1, 0})
	last := mustShard(t, one, "a", 0)
	last.Attach(sockets[0])
	inheritance = one.Inherit(four, nil)
	for range 2 { // the second time adds nothing
		for _, s := range sockets { // drops of the kept socket are not added
			if err := inheritance.AddSurplusDrops(s); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := inheritance.Finalize(none); err != nil {
		t.Error(err)
	}
	check("four to one", last.Read(), 132, want.Dropped.Kernel+4000)
	sockets[0].dropped += 7
	check("one", last.Read(), 132, want.Dropped.Kernel+4007)
	if got := last.Read(); got.Delivered != want.Delivered || got.Dropped.LostInCrash != 2 {
		t.Errorf("%+v, before %+v", got, want)
	}
	broken := errors.New("bad file descriptor")
	if err := one.Inherit(four, nil).AddSurplusDrops(&fakeSocket{cookie: 103, err: broken}); !errors.Is(err, broken) || !strings.Contains(err.Error(), "listener a shard 3") {
		t.Errorf("%v", err)
	}
}

// The drops of a socket that moves to another shard count once.
func TestASocketMayChangeItsShard(t *testing.T) {
	sockets := []*fakeSocket{{cookie: 1, dropped: 5}, {cookie: 2, dropped: 7}}
	old, successor := newShared(t, Layout{"a", 2, 1, 0}), newShared(t, Layout{"a", 2, 1, 0})
	for _, shard := range attach(t, old, sockets...) {
		shard.Read()
	}
	shards := attach(t, successor, sockets[1], sockets[0])
	inheritance := successor.Inherit(old, nil)
	sockets[0].dropped++
	for _, s := range sockets {
		if err := inheritance.AddSurplusDrops(s); err != nil {
			t.Error(err)
		}
	}
	if a, b := shards[0].Read().Dropped.Kernel, shards[1].Read().Dropped.Kernel; a != 7 || b != 6 {
		t.Errorf("%d and %d drops, want 7 and 6", a, b)
	}
}

// The predecessor reads the drops of a surplus socket itself, after AddSurplusDrops.
func TestDropsThatBothReadCountOnce(t *testing.T) {
	socket := &fakeSocket{cookie: 1, dropped: 5}
	old, successor := newShared(t, Layout{"a", 1, 1, 0}), newShared(t, Layout{"a", 1, 1, 0})
	was := attach(t, old, socket)[0]
	was.Read()
	now := attach(t, successor, &fakeSocket{cookie: 2})[0]
	inheritance := successor.Inherit(reopen(t, old), nil)
	for _, dropped := range []uint32{12, 12, 13} {
		socket.dropped = dropped
		if err := inheritance.AddSurplusDrops(socket); err != nil {
			t.Fatal(err)
		}
		was.Read()
		inheritance.Sync()
		if got := now.Read().Dropped.Kernel; got != uint64(dropped) {
			t.Errorf("%d drops, want %d", got, dropped)
		}
	}
}

// Datagrams that a stopped process has read are received, before the process continues and counts
// them, and afterwards.
func TestAStoppedProcessHasReceived(t *testing.T) {
	old, successor := newShared(t, Layout{"a", 1, 4, 0}), newShared(t, Layout{"a", 1, 1, 0})
	shard, now := mustShard(t, old, "a", 0), mustShard(t, successor, "a", 0)
	shard.Received.Add(1000)
	shard.Delivered.Add(1000)
	r := receive(t, shard, 3)
	inheritance := successor.Inherit(reopen(t, old), nil)
	want := func(what string, delivered uint64) {
		t.Helper()
		if got := now.Read(); got.Received != 1003 || got.Delivered != delivered || got.InFlight != 1003-delivered {
			t.Errorf("%s: %+v", what, got)
		}
	}
	want("when it is replaced", 1000)
	shard.Received.Add(3)
	inheritance.Sync()
	want("when it has counted", 1000)
	shard.Delivered.Add(3)
	r.Reset()
	shard.BeginReceive()
	inheritance.Sync()
	want("when it has delivered", 1003)
	if s, err := inheritance.Finalize(none); s != (FinalCounts{}) || err != nil {
		t.Errorf("%+v, %v", s, err)
	}
	want("at its end", 1003)
}

// receive receives count datagrams with a receiver in the shard's receiver's memory.
func receive(t *testing.T, shard *Shard, count int) *sys.Receiver {
	t.Helper()
	to, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(to)
	if err := unix.Bind(to, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(to)
	if err != nil {
		t.Fatal(err)
	}
	for range count {
		if err := unix.Sendto(to, []byte("x"), 0, name); err != nil {
			t.Fatal(err)
		}
	}
	r := sys.NewReceiver(4, 10, sys.ReceiverOptions{Memory: shard.ReceiverMemory()})
	shard.BeginReceive()
	if n, err := r.Receive(to, unix.MSG_DONTWAIT); n != count || err != nil && count > 0 {
		t.Fatalf("received %d, %v", n, err)
	}
	return r
}

// A thread dies at any step of a receive: the datagrams that it had read are counted.
func TestEveryStepOfAReceive(t *testing.T) {
	for _, step := range []struct {
		name                string
		die                 func(shard *Shard)
		received, uncounted uint64
	}{
		{"before it began", func(*Shard) {}, 0, 0},
		{"nothing came", func(shard *Shard) { receive(t, shard, 0) }, 0, 0},
		{"not counted", func(shard *Shard) { receive(t, shard, 3) }, 3, 3},
		{"counted", func(shard *Shard) { receive(t, shard, 3); shard.Received.Add(3) }, 3, 0},
		{"reset", func(shard *Shard) { r := receive(t, shard, 3); shard.Received.Add(3); r.Reset() }, 3, 0},
		{"the next one", func(shard *Shard) { r := receive(t, shard, 3); shard.Received.Add(3); r.Reset(); shard.BeginReceive() }, 3, 0},
	} {
		old, successor := newShared(t, Layout{"a", 1, 4, 0}), newShared(t, Layout{"a", 1, 1, 0})
		shard := old.Listeners()[0].Shards[0]
		shard.Received.Add(1000)
		shard.Delivered.Add(990)
		step.die(shard)
		if n := old.uncounted(shard.number); n != step.uncounted {
			t.Errorf("%s: %d uncounted, want %d", step.name, n, step.uncounted)
		}
		s, err := successor.Inherit(old, nil).Finalize(none)
		if want := (FinalCounts{Lost: 10 + step.received, Received: step.uncounted}); s != want || err != nil {
			t.Errorf("%s: %+v, %v, want %+v", step.name, s, err, want)
		}
		if got := successor.Listeners()[0].Shards[0].Read(); got.Received != 1000+step.received || got.Delivered != 990 || got.InFlight != 0 || got.Dropped.LostInCrash != 10+step.received {
			t.Errorf("%s: %+v", step.name, got)
		}
	}
}

// A writer dies at any step of a write: the write log has whether the write is counted.
func TestEveryStepOfAWrite(t *testing.T) {
	begun := Write{Path: "/x", Device: 1, Inode: 2, Size: 100, Partial: 5, Length: 60, Records: 6, Uncounted: true}
	ended := begun
	ended.Size, ended.Partial, ended.Uncounted = 140, 3, false
	for _, step := range []struct {
		name string
		die  func(shard *Shard, log *WriteLog)
		want Write
	}{
		{"begun", func(*Shard, *WriteLog) {}, begun},
		{"counted", func(shard *Shard, log *WriteLog) { shard.Delivered.Add(4) }, Write{Path: "/x", Device: 1, Inode: 2, Size: 100, Partial: 5, Length: 60, Records: 6}},
		{"ended", func(shard *Shard, log *WriteLog) { shard.Delivered.Add(4); log.End(40, 3) }, ended},
		{"given up", func(shard *Shard, log *WriteLog) { log.Abandon() }, Write{Path: "/x", Device: 1, Inode: 2, Size: 100, Partial: 5, Length: 60, Uncounted: true}},
	} {
		old, successor := newShared(t, Layout{"other", 1, 1, 0}, Layout{"a", 2, 1, 0}), newShared(t, Layout{"a", 1, 1, 0})
		shard := mustShard(t, old, "a", 1)
		shard.Received.Add(10)
		log := shard.OpenWriteLog("/x")
		mustShard(t, old, "a", 0).OpenWriteLog("/idle")
		log.Begin(shard, Write{Device: 1, Inode: 2, Size: 90, Length: 10, Records: 1})
		log.End(10, 5)
		log.Begin(shard, Write{Device: 1, Inode: 2, Size: 100, Partial: 5, Length: 60, Records: 6})
		step.die(shard, log)
		counted := shard.Delivered.Load()
		asked := 0
		s, err := successor.Inherit(old, nil).Finalize(func(w Write) (int, error) {
			if asked++; w != step.want {
				t.Errorf("%s: asked for %+v, want %+v", step.name, w, step.want)
			}
			return 1000, nil // more than the records of the write
		})
		delivered := uint64(0)
		if step.want.Uncounted {
			delivered = uint64(step.want.Records)
		}
		if asked != 1 || err != nil || s.Delivered != delivered || s.Lost != 10-counted-delivered {
			t.Errorf("%s: asked %d times, %+v, %v", step.name, asked, s, err)
		}
		if got := successor.Listeners()[0].Shards[0].Read(); got.Received != 10 || got.Delivered != counted+delivered || got.InFlight != 0 {
			t.Errorf("%s: %+v", step.name, got)
		}
	}
}

// Finalize returns the errors of countRecords, and counts the records nevertheless.
func TestFinalizeReturnsErrors(t *testing.T) {
	old, successor := newShared(t, Layout{"a", 2, 1, 0}), newShared(t, Layout{"a", 1, 1, 0})
	for i, shard := range old.Listeners()[0].Shards {
		shard.Received.Add(10)
		shard.OpenWriteLog([]string{"/x", "/y"}[i]).Begin(shard, Write{Length: 100, Records: 10})
	}
	gone := errors.New("gone")
	s, err := successor.Inherit(old, nil).Finalize(func(w Write) (int, error) {
		if w.Path == "/x" {
			return 2, gone
		}
		return 3, nil
	})
	if !errors.Is(err, gone) || err.Error() != "output /x: gone" || s != (FinalCounts{Lost: 15, Delivered: 5}) {
		t.Errorf("%+v, %v", s, err)
	}
}

// Shared counters have a write log for each shard. A nil WriteLog logs nothing.
func TestWriteLogs(t *testing.T) {
	shared := newShared(t, Layout{"a", 2, 1, 0})
	shards := shared.Listeners()[0].Shards
	if j := shards[0].OpenWriteLog(strings.Repeat("x", 4097)); j != nil {
		t.Error("a path that is too long")
	}
	for range 2 {
		if j := shards[0].OpenWriteLog(strings.Repeat("x", 4096)); j == nil {
			t.Error("no log")
		}
	}
	last := shards[1].OpenWriteLog("/x")
	if last != nil {
		t.Error("more write logs than shards")
	}
	last.Begin(shards[1], Write{})
	last.End(1, 0)
	last.Abandon()
	if len(shared.LastWrites()) != 0 {
		t.Errorf("writes %+v", shared.LastWrites())
	}
}

// While the predecessor counts and the successor syncs, no reading of the successor goes back, and
// the equation holds in each.
func TestReadingsDuringSync(t *testing.T) {
	old, successor := newShared(t, Layout{"a", 2, 1, 0}), newShared(t, Layout{"a", 1, 1, 0})
	done := make(chan struct{})
	go func() {
		defer close(done)
		shards := old.Listeners()[0].Shards
		for n := range 30_000 {
			shard := shards[n%2]
			shard.Received.Add(3)
			shard.RateLimited.Add(1)
			shard.Delivered.Add(2)
		}
	}()
	shard := successor.Listeners()[0].Shards[0]
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		inheritance := successor.Inherit(old, nil)
		for running := true; running; {
			select {
			case <-done:
				running = false
			default:
			}
			inheritance.Sync()
		}
		if s, err := inheritance.Finalize(none); s.Lost != 0 || err != nil {
			t.Errorf("%+v, %v", s, err)
		}
	}()
	defer func() { <-followed }() // keeps the shared counters open
	var last Reading
	for running := true; running; {
		select {
		case <-followed:
			running = false
		case <-time.After(10 * time.Microsecond):
			shard.Received.Add(1)
			shard.Handled.Add(1)
		}
		now := shard.Read()
		if goesBack(last, now) || int64(now.InFlight) < 0 || now.Received != now.Delivered+now.InFlight+now.Dropped.Received() {
			t.Fatalf("from %+v to %+v", last, now)
		}
		last = now
	}
	if last.InFlight != 0 || last.Dropped.RateLimited != 30_000 {
		t.Errorf("%+v", last)
	}
}
