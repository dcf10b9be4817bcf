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

// attach gives the pages of a listener sockets, by their cookies.
func attach(t *testing.T, b *SharedCounters, sockets ...*fakeSocket) []*Shard {
	t.Helper()
	pages := b.Listeners()[0].Shards
	for i, s := range sockets {
		pages[i].Attach(s)
	}
	return pages
}

// A listener that has another name goes on under that, with its very sockets.
func TestAListenerIsRenamed(t *testing.T) {
	old, heir := newBook(t, Layout{"a", 1, 1, 1}, Layout{"b", 1, 1, 1}, Layout{"c", 1, 1, 1}), newBook(t, Layout{"b", 1, 1, 1}, Layout{"a", 1, 1, 1})
	sockets := []*fakeSocket{{cookie: 1, dropped: 10}, {cookie: 2, dropped: 20}, {cookie: 3, dropped: 30}}
	for i, l := range old.Listeners() {
		l.Shards[0].Attach(sockets[i])
		l.Shards[0].Received.Add(100 * uint64(i+1))
		l.Shards[0].Read()
		old.ListenerProtocolCounters(l.Name)[0].Store(uint64(i + 1))
	}
	b, a := heir.Listeners()[0].Shards[0], heir.Listeners()[1].Shards[0]
	b.Attach(sockets[0])
	a.Attach(sockets[2])
	if _, err := heir.Inherit(old, map[string]string{"a": "b", "b": "", "c": "a"}).Finalize(none); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		page             *Shard
		received, kernel uint64
		tally            uint64
	}{"b": {b, 100, 10, 1}, "a": {a, 300, 30, 3}} {
		if got := c.page.Read(); got.Received != c.received || got.Dropped.Kernel != c.kernel {
			t.Errorf("%s: %+v", name, got)
		}
		wantTallies(t, heir.ListenerProtocolCounters(name), c.tally)
	}
}

// The counters' ID goes along with the totals, whichever process has them, and new
// counters have another one.
func TestTheLineageIsInherited(t *testing.T) {
	first, second, third := newBook(t, Layout{"a", 1, 1, 0}), newBook(t, Layout{"b", 2, 1, 0}), newBook(t, Layout{"b", 1, 1, 0})
	lineage, own := first.ID(), second.ID()
	if lineage == 0 || own == 0 || lineage == own {
		t.Fatalf("new books have the lineages %x and %x", lineage, own)
	}
	l := NewLedger("test")
	before := l.CountersID()
	l.SetSharedCounters(third)
	if id := l.Status().CountersID; id == before || id != fmt.Sprintf("%016x", third.ID()) {
		t.Errorf("the ID is %s, it was %s without a book, and the book's lineage is %x", id, before, third.ID())
	}
	second.Inherit(first, nil)
	third.Inherit(second, nil)
	if id := l.Status().CountersID; id != fmt.Sprintf("%016x", lineage) {
		t.Errorf("after two takeovers the ID is %s, not %016x", id, lineage)
	}
	// A book that an older version made has none: the heir's own stays.
	older, heir := newBook(t, Layout{"a", 1, 1, 0}), newBook(t, Layout{"a", 1, 1, 0})
	older.header.lineage.Store(0)
	own = heir.ID()
	if heir.Inherit(older, nil); heir.ID() != own {
		t.Errorf("the lineage is %x, and was %x", heir.ID(), own)
	}
}

// Whatever a page counts goes on in the heir's.
func TestEveryTotalIsInherited(t *testing.T) {
	old, heir := newBook(t, Layout{"a", 1, 1, 0}), newBook(t, Layout{"a", 1, 1, 0})
	page := old.Listeners()[0].Shards[0]
	socket := &fakeSocket{cookie: 9, dropped: 21}
	page.Attach(socket)
	n := uint64(0)
	for i := range reflect.TypeFor[Counters]().NumField() {
		if field := reflect.TypeFor[Counters]().Field(i); field.IsExported() && field.Name != "Received" {
			n++
			reflect.ValueOf(page.Counters).Elem().Field(i).Addr().MethodByName("Add").Call([]reflect.Value{reflect.ValueOf(n)})
		}
	}
	for kind := range page.inherited {
		page.inherited[kind].Store(100 * uint64(kind+1))
	}
	page.Received.Add(1_000_000)
	want := page.Read()
	next := attach(t, heir, socket)
	estate := heir.Inherit(old, nil)
	if got := next[0].Read(); got != want {
		t.Errorf("reading\n%+v, want\n%+v", got, want)
	}
	s, err := estate.Finalize(none)
	if err != nil || s.Lost != want.InFlight || s.Received != 0 || s.Delivered != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	want.Dropped.LostInCrash += want.InFlight
	want.InFlight = 0
	if got := next[0].Read(); got != want {
		t.Errorf("reading\n%+v, want\n%+v", got, want)
	}
}

// Two shards become four, and these become one. Kernel drops are counted once
// each, and sums never go back.
func TestInheritAsShardsChange(t *testing.T) {
	var sockets []*fakeSocket
	for i := range 4 {
		sockets = append(sockets, &fakeSocket{cookie: uint64(100 + i)})
	}
	sum := func(b *SharedCounters, which ...*fakeSocket) Reading {
		pages := b.Listeners()[0].Shards
		var readings []Reading
		for i, s := range which {
			pages[i].mu.Lock()
			pages[i].socket = s
			pages[i].mu.Unlock()
			readings = append(readings, pages[i].Read())
		}
		return Sum(readings)
	}
	work := func(pages []*Shard) {
		for i, page := range pages {
			n := uint64(10 * (i + 1))
			page.Received.Add(n)
			page.Delivered.Add(n - 1)
			page.NotAllowed.Add(1)
		}
	}

	two := newBook(t, Layout{"a", 2, 1, 0}, Layout{"gone", 1, 1, 0})
	pages := attach(t, two, sockets[:2]...)
	work(pages)
	sockets[0].dropped, sockets[1].dropped = 3, 1<<32-2
	before := sum(two, sockets[:2]...)
	if before.Dropped.Kernel != 1<<32+1 {
		t.Fatalf("kernel %d", before.Dropped.Kernel)
	}
	sockets[0].dropped += 4 // nobody has seen these
	sockets[1].dropped += 5 // and it wraps

	four := newBook(t, Layout{"new", 1, 1, 0}, Layout{"a", 4, 1, 0})
	pages = nil
	for i := range 4 {
		page := mustShard(t, four, "a", i)
		page.Attach(sockets[i])
		page.Read() // a standby looks at its sockets before it is active
		pages = append(pages, page)
	}
	estate := four.Inherit(two, nil)
	check := func(what string, got Reading, received, kernel uint64) {
		t.Helper()
		if got.Received != received || got.Dropped.Kernel != kernel || got.Received != got.Delivered+got.InFlight+got.Dropped.Received() {
			t.Errorf("%s: received %d, want %d; kernel %d, want %d; %+v", what, got.Received, received, got.Dropped.Kernel, kernel, got)
		}
	}
	read := func() (r []Reading) {
		for _, page := range pages {
			r = append(r, page.Read())
		}
		return r
	}
	check("two to four", Sum(read()), 30, 1<<32+1+9)
	if r := read(); r[0].Received != 10 || r[1].Received != 20 || r[2].Received != 0 || r[0].Dropped.Kernel != 7 || r[3].Dropped.Kernel != 0 {
		t.Errorf("shards %+v", r)
	}
	two.Listeners()[0].Shards[0].Received.Add(2) // it was not quite done
	estate.Sync()
	check("it follows", Sum(read()), 32, 1<<32+1+9)
	if s, err := estate.Finalize(none); err != nil || s.Lost != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	work(pages)
	for i := range sockets {
		sockets[i].dropped += uint32(10 * (i + 1))
	}
	want := Sum(read())
	check("four", want, 32+100, 1<<32+1+9+100)
	if want.Dropped.LostInCrash != 2 || want.InFlight != 0 {
		t.Errorf("%+v", want)
	}

	for _, s := range sockets {
		s.dropped += 1000 // when nobody looks
	}
	one := newBook(t, Layout{"a", 1, 1, 0})
	last := mustShard(t, one, "a", 0)
	last.Attach(sockets[0])
	estate = one.Inherit(four, nil)
	for range 2 { // the second time it says nothing new
		for _, s := range sockets { // and the kept one's are not added
			if err := estate.AddSurplusDrops(s); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := estate.Finalize(none); err != nil {
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

// A socket that another shard has now is still counted once.
func TestASocketMayChangeItsShard(t *testing.T) {
	sockets := []*fakeSocket{{cookie: 1, dropped: 5}, {cookie: 2, dropped: 7}}
	old, heir := newBook(t, Layout{"a", 2, 1, 0}), newBook(t, Layout{"a", 2, 1, 0})
	for _, page := range attach(t, old, sockets...) {
		page.Read()
	}
	pages := attach(t, heir, sockets[1], sockets[0])
	estate := heir.Inherit(old, nil)
	sockets[0].dropped++
	for _, s := range sockets {
		if err := estate.AddSurplusDrops(s); err != nil {
			t.Error(err)
		}
	}
	if a, b := pages[0].Read().Dropped.Kernel, pages[1].Read().Dropped.Kernel; a != 7 || b != 6 {
		t.Errorf("%d and %d drops, want 7 and 6", a, b)
	}
}

// The old process wakes up after Surplus, and sees for itself what its socket has dropped.
func TestDropsThatBothSeeCountOnce(t *testing.T) {
	socket := &fakeSocket{cookie: 1, dropped: 5}
	old, heir := newBook(t, Layout{"a", 1, 1, 0}), newBook(t, Layout{"a", 1, 1, 0})
	was := attach(t, old, socket)[0]
	was.Read()
	now := attach(t, heir, &fakeSocket{cookie: 2})[0]
	estate := heir.Inherit(again(t, old), nil)
	for _, dropped := range []uint32{12, 12, 13} {
		socket.dropped = dropped
		if err := estate.AddSurplusDrops(socket); err != nil {
			t.Fatal(err)
		}
		was.Read()
		estate.Sync()
		if got := now.Read().Dropped.Kernel; got != uint64(dropped) {
			t.Errorf("%d drops, want %d", got, dropped)
		}
	}
}

// What a process that is stopped has taken off the queue is received, before it wakes up and
// counts that, and afterwards.
func TestAStoppedProcessHasReceived(t *testing.T) {
	old, heir := newBook(t, Layout{"a", 1, 4, 0}), newBook(t, Layout{"a", 1, 1, 0})
	page, now := mustShard(t, old, "a", 0), mustShard(t, heir, "a", 0)
	page.Received.Add(1000)
	page.Delivered.Add(1000)
	r := receive(t, page, 3)
	estate := heir.Inherit(again(t, old), nil)
	want := func(what string, delivered uint64) {
		t.Helper()
		if got := now.Read(); got.Received != 1003 || got.Delivered != delivered || got.InFlight != 1003-delivered {
			t.Errorf("%s: %+v", what, got)
		}
	}
	want("when it is replaced", 1000)
	page.Received.Add(3)
	estate.Sync()
	want("when it has counted", 1000)
	page.Delivered.Add(3)
	r.Reset()
	page.BeginReceive()
	estate.Sync()
	want("when it has delivered", 1003)
	if s, err := estate.Finalize(none); s != (FinalCounts{}) || err != nil {
		t.Errorf("%+v, %v", s, err)
	}
	want("at its end", 1003)
}

// receive gives a page a receiver in its memory, and count datagrams.
func receive(t *testing.T, page *Shard, count int) *sys.Receiver {
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
	r := sys.NewReceiver(4, 10, sys.ReceiverOptions{Memory: page.ReceiverMemory()})
	page.BeginReceive()
	if n, err := r.Receive(to, unix.MSG_DONTWAIT); n != count || err != nil && count > 0 {
		t.Fatalf("received %d, %v", n, err)
	}
	return r
}

// A thread dies at any step of a receive: what it took off the queue is known.
func TestEveryStepOfAReceive(t *testing.T) {
	for _, step := range []struct {
		name                string
		die                 func(page *Shard)
		received, uncounted uint64
	}{
		{"before it began", func(*Shard) {}, 0, 0},
		{"nothing came", func(page *Shard) { receive(t, page, 0) }, 0, 0},
		{"not counted", func(page *Shard) { receive(t, page, 3) }, 3, 3},
		{"counted", func(page *Shard) { receive(t, page, 3); page.Received.Add(3) }, 3, 0},
		{"reset", func(page *Shard) { r := receive(t, page, 3); page.Received.Add(3); r.Reset() }, 3, 0},
		{"the next one", func(page *Shard) { r := receive(t, page, 3); page.Received.Add(3); r.Reset(); page.BeginReceive() }, 3, 0},
	} {
		old, heir := newBook(t, Layout{"a", 1, 4, 0}), newBook(t, Layout{"a", 1, 1, 0})
		page := old.Listeners()[0].Shards[0]
		page.Received.Add(1000)
		page.Delivered.Add(990)
		step.die(page)
		if n := old.uncounted(page.number); n != step.uncounted {
			t.Errorf("%s: %d uncounted, want %d", step.name, n, step.uncounted)
		}
		s, err := heir.Inherit(old, nil).Finalize(none)
		if want := (FinalCounts{Lost: 10 + step.received, Received: step.uncounted}); s != want || err != nil {
			t.Errorf("%s: %+v, %v, want %+v", step.name, s, err, want)
		}
		if got := heir.Listeners()[0].Shards[0].Read(); got.Received != 1000+step.received || got.Delivered != 990 || got.InFlight != 0 || got.Dropped.LostInCrash != 10+step.received {
			t.Errorf("%s: %+v", step.name, got)
		}
	}
}

// A writer dies at any step of a write: its journal says whether to look.
func TestEveryStepOfAWrite(t *testing.T) {
	begun := Write{Path: "/x", Device: 1, Inode: 2, Size: 100, Partial: 5, Length: 60, Records: 6, Uncounted: true}
	ended := begun
	ended.Size, ended.Partial, ended.Uncounted = 140, 3, false
	for _, step := range []struct {
		name string
		die  func(page *Shard, j *WriteLog)
		want Write
	}{
		{"begun", func(*Shard, *WriteLog) {}, begun},
		{"counted", func(page *Shard, j *WriteLog) { page.Delivered.Add(4) }, Write{Path: "/x", Device: 1, Inode: 2, Size: 100, Partial: 5, Length: 60, Records: 6}},
		{"ended", func(page *Shard, j *WriteLog) { page.Delivered.Add(4); j.End(40, 3) }, ended},
		{"given up", func(page *Shard, j *WriteLog) { j.Abandon() }, Write{Path: "/x", Device: 1, Inode: 2, Size: 100, Partial: 5, Length: 60, Uncounted: true}},
	} {
		old, heir := newBook(t, Layout{"other", 1, 1, 0}, Layout{"a", 2, 1, 0}), newBook(t, Layout{"a", 1, 1, 0})
		page := mustShard(t, old, "a", 1)
		page.Received.Add(10)
		journal := page.OpenWriteLog("/x")
		mustShard(t, old, "a", 0).OpenWriteLog("/idle")
		journal.Begin(page, Write{Device: 1, Inode: 2, Size: 90, Length: 10, Records: 1})
		journal.End(10, 5)
		journal.Begin(page, Write{Device: 1, Inode: 2, Size: 100, Partial: 5, Length: 60, Records: 6})
		step.die(page, journal)
		counted := page.Delivered.Load()
		asked := 0
		s, err := heir.Inherit(old, nil).Finalize(func(w Write) (int, error) {
			if asked++; w != step.want {
				t.Errorf("%s: asked for %+v, want %+v", step.name, w, step.want)
			}
			return 1000, nil // more than it can be
		})
		delivered := uint64(0)
		if step.want.Uncounted {
			delivered = uint64(step.want.Records)
		}
		if asked != 1 || err != nil || s.Delivered != delivered || s.Lost != 10-counted-delivered {
			t.Errorf("%s: asked %d times, %+v, %v", step.name, asked, s, err)
		}
		if got := heir.Listeners()[0].Shards[0].Read(); got.Received != 10 || got.Delivered != counted+delivered || got.InFlight != 0 {
			t.Errorf("%s: %+v", step.name, got)
		}
	}
}

// Recover's error is told, and what it knows is counted all the same.
func TestSettleTellsWhatCouldNotBeLookedAt(t *testing.T) {
	old, heir := newBook(t, Layout{"a", 2, 1, 0}), newBook(t, Layout{"a", 1, 1, 0})
	for i, page := range old.Listeners()[0].Shards {
		page.Received.Add(10)
		page.OpenWriteLog([]string{"/x", "/y"}[i]).Begin(page, Write{Length: 100, Records: 10})
	}
	gone := errors.New("gone")
	s, err := heir.Inherit(old, nil).Finalize(func(w Write) (int, error) {
		if w.Path == "/x" {
			return 2, gone
		}
		return 3, nil
	})
	if !errors.Is(err, gone) || err.Error() != "output /x: gone" || s != (FinalCounts{Lost: 15, Delivered: 5}) {
		t.Errorf("%+v, %v", s, err)
	}
}

// There is a journal for each shard, and no more. Without one nothing is noted.
func TestJournals(t *testing.T) {
	book := newBook(t, Layout{"a", 2, 1, 0})
	pages := book.Listeners()[0].Shards
	if j := pages[0].OpenWriteLog(strings.Repeat("x", 4097)); j != nil {
		t.Error("a path that is too long")
	}
	for range 2 {
		if j := pages[0].OpenWriteLog(strings.Repeat("x", 4096)); j == nil {
			t.Error("no journal")
		}
	}
	last := pages[1].OpenWriteLog("/x")
	if last != nil {
		t.Error("more journals than shards")
	}
	last.Begin(pages[1], Write{})
	last.End(1, 0)
	last.Abandon()
	if len(book.LastWrites()) != 0 {
		t.Errorf("writes %+v", book.LastWrites())
	}
}

// While an old process winds up and its heir follows, no reading of the heir
// goes back, and the equation holds in all.
func TestReadingsWhileAnHeirFollows(t *testing.T) {
	old, heir := newBook(t, Layout{"a", 2, 1, 0}), newBook(t, Layout{"a", 1, 1, 0})
	done := make(chan struct{})
	go func() {
		defer close(done)
		pages := old.Listeners()[0].Shards
		for n := range 30_000 {
			page := pages[n%2]
			page.Received.Add(3)
			page.RateLimited.Add(1)
			page.Delivered.Add(2)
		}
	}()
	page := heir.Listeners()[0].Shards[0]
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		estate := heir.Inherit(old, nil)
		for running := true; running; {
			select {
			case <-done:
				running = false
			default:
			}
			estate.Sync()
		}
		if s, err := estate.Finalize(none); s.Lost != 0 || err != nil {
			t.Errorf("%+v, %v", s, err)
		}
	}()
	defer func() { <-followed }() // the books are in use until then
	var last Reading
	for running := true; running; {
		select {
		case <-followed:
			running = false
		case <-time.After(10 * time.Microsecond):
			page.Received.Add(1)
			page.Handled.Add(1)
		}
		now := page.Read()
		if goesBack(last, now) || int64(now.InFlight) < 0 || now.Received != now.Delivered+now.InFlight+now.Dropped.Received() {
			t.Fatalf("from %+v to %+v", last, now)
		}
		last = now
	}
	if last.InFlight != 0 || last.Dropped.RateLimited != 30_000 {
		t.Errorf("%+v", last)
	}
}
