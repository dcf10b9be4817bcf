package metrics

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
)

func newBook(t testing.TB, listeners ...Layout) *SharedCounters {
	t.Helper()
	b, err := NewSharedCounters(listeners...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func duplicate(t *testing.T, file *os.File) *os.File {
	t.Helper()
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "duplicate")
}

// again opens a book a second time, as another process does.
func again(t *testing.T, b *SharedCounters) *SharedCounters {
	t.Helper()
	other, err := OpenSharedCounters(duplicate(t, b.file), duplicate(t, b.control.file))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	return other
}

func mustShard(t *testing.T, b *SharedCounters, listener string, index int) *Shard {
	t.Helper()
	page, err := b.Shard(listener, index, 0)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// What is where in a book of this version. Whoever changes it gives
// layoutVersion another number, and this test another list.
func TestLayoutOfVersion4(t *testing.T) {
	if layoutVersion != 4 {
		t.Fatal("which offsets has this version?")
	}
	words := func(from uintptr, names ...string) map[string]uintptr {
		offsets := make(map[string]uintptr)
		for i, name := range names {
			offsets[name] = from + 8*uintptr(i)
		}
		return offsets
	}
	counters := words(0, "Received", "Bytes", "Batches", "Handled", "Replied", "Truncated", "Unparsed", "NotAllowed", "RateLimited",
		"Malformed", "ReplyLost", "before", "thread", "beat", "held", "heldSince", "MalformedHeader")
	counters["Delivered"], counters["OutputLost"], counters["kernel"], counters["cookie"], counters["used"], counters["inherited"] = 256, 264, 384, 392, 400, 512
	for of, offsets := range map[reflect.Type]map[string]uintptr{
		reflect.TypeFor[Counters]():     counters,
		reflect.TypeFor[header]():       {"magic": 0, "version": 8, "listeners": 12, "size": 16, "lineage": 24, "takeovers": 128},
		reflect.TypeFor[Takeovers]():    {"counts": 0, "last": 40, "lastReason": 48, "stalled": 56, "doublings": 64},
		reflect.TypeFor[row]():          {"name": 0, "length": 64, "shards": 68, "batch": 72, "tallies": 76},
		reflect.TypeFor[journal]():      {"length": 0, "turn": 8, "entries": 16, "path": 160},
		reflect.TypeFor[controlWords](): words(0, "magic", "version", "epoch", "handedOver"),
		reflect.TypeFor[entry]():        words(0, "open", "page", "before", "device", "inode", "size", "torn", "length", "records"),
	} {
		for i := range of.NumField() {
			field := of.Field(i)
			if want, known := offsets[field.Name]; field.Name != "_" && (!known || field.Offset != want) {
				t.Errorf("%s.%s is at %d, want %d", of.Name(), field.Name, field.Offset, want)
			}
		}
	}
	for of, want := range map[reflect.Type]int{
		reflect.TypeFor[Counters](): countersLen, reflect.TypeFor[header](): headerSize, reflect.TypeFor[row](): rowSize,
		reflect.TypeFor[Takeovers](): headerSize - cacheLine,
		reflect.TypeFor[journal]():   journalSize, reflect.TypeFor[controlWords](): controlSize, reflect.TypeFor[entry](): entrySize,
	} {
		if int(of.Size()) != want {
			t.Errorf("%s has %d bytes, want %d", of.Name(), of.Size(), want)
		}
	}
	if kinds != 16 || received != 15 {
		t.Errorf("%d kinds of totals", kinds)
	}
	if space := sys.ReceiverSpace(64); space != 64+64*(64+96+28) {
		t.Errorf("a receiver takes %d bytes", space)
	}
}

func TestTwoProcessesSeeOneBook(t *testing.T) {
	book := newBook(t, Layout{"a", 2, 64, 0}, Layout{"b", 3, 1, 0})
	other := again(t, book)
	page := mustShard(t, book, "b", 2)
	page.Received.Add(7)
	page.Delivered.Add(3)
	page.StartThread(77, 0)
	page.Heartbeat(time.Now())
	listeners := other.Listeners()
	if len(listeners) != 2 || listeners[0].Name != "a" || len(listeners[0].Shards) != 2 || listeners[1].Name != "b" || len(listeners[1].Shards) != 3 {
		t.Fatalf("listeners %+v", listeners)
	}
	if got := listeners[1].Shards[2].Read(); got.Received != 7 || got.Delivered != 3 || got.InFlight != 4 || got.Thread != 77 || got.Shard != 2 {
		t.Errorf("reading %+v", got)
	}
	if away := listeners[1].Shards[2].Sample(time.Now().Add(time.Second)).SinceHeartbeat; away < time.Second || away > time.Minute {
		t.Errorf("away for %v, a second after it was there", away)
	}
	for i, l := range listeners {
		for j, s := range l.Shards {
			if got := s.Read(); got.Received != 0 && (i != 1 || j != 2) {
				t.Errorf("%s shard %d: %+v", l.Name, j, got)
			}
		}
	}
	if book.HandedOver() {
		t.Error("it is handed over before MarkHandedOver")
	}
	if other.MarkHandedOver(); !book.HandedOver() || book.Epoch() != FirstEpoch {
		t.Errorf("handed over: %t, epoch %d", book.HandedOver(), book.Epoch())
	}
}

// What a process of the same user gets of a book lets it write to the control memory alone.
func TestOnlyItsMakerWritesToABook(t *testing.T) {
	book := newBook(t, Layout{"a", 1, 1, 0})
	if !book.sealed {
		t.Skip("the kernel has no F_SEAL_FUTURE_WRITE: it needs Linux 5.1")
	}
	counters, control := book.Files()
	if _, err := sys.MapMemory(counters, sys.ReadWrite); !errors.Is(err, unix.EPERM) {
		t.Errorf("counters can be mapped to be written: %v", err)
	}
	if info, err := control.Stat(); err != nil || info.Size() != int64(controlSize) || control != book.Control() {
		t.Errorf("control memory of %v bytes: %v", info.Size(), err)
	}
	book.sealed = false
	if mustShard(t, book, "a", 0).ReceiverMemory() != nil {
		t.Error("a receiver's memory is where others can write")
	}
}

// The clock of a beat is the kernel's, not the process's.
func TestBeatsAreOnTheMonotonicClock(t *testing.T) {
	var before, after unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &before)
	at := clock(time.Now())
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &after)
	const slack = int64(time.Millisecond) // between the two readings that made it
	if at < before.Nano()-slack || at > after.Nano()+slack {
		t.Errorf("%d is not from %d to %d", at, before.Nano(), after.Nano())
	}
}

// Of many that see an owner die, one becomes the next.
func TestOneClaimSucceeds(t *testing.T) {
	book := newBook(t, Layout{"a", 1, 1, 0})
	other := again(t, book)
	for epoch := uint64(1); epoch < 4; epoch++ {
		if book.Epoch() != epoch || other.Epoch() != epoch {
			t.Fatalf("epochs %d and %d, want %d", book.Epoch(), other.Epoch(), epoch)
		}
		var claimed atomic.Int32
		var all sync.WaitGroup
		for _, b := range []*SharedCounters{book, other, book, other, book, other} {
			all.Go(func() {
				if b.AdvanceEpoch(epoch) {
					claimed.Add(1)
				}
			})
		}
		all.Wait()
		if n := claimed.Load(); n != 1 {
			t.Errorf("%d claims succeed", n)
		}
	}
}

// No two pages meet on a line, also not with the receivers' memory between them.
func TestPagesOfABookAreApart(t *testing.T) {
	book := newBook(t, Layout{"a", 3, 1, 0}, Layout{"b", 2, 1024, 0}, Layout{"c", 1, 3, 0})
	end := headerSize + 3*rowSize
	number := 0
	for i, batch := range []int{1, 1024, 3} {
		for range book.rows[i].shards {
			at := book.pages[number]
			if at < end || at%cacheLine != 0 {
				t.Errorf("page %d is at %d, what precedes it ends at %d", number, at, end)
			}
			memory := book.receiver(number)
			if len(memory) < sys.ReceiverSpace(batch) {
				t.Errorf("page %d has %d bytes for headers, want %d", number, len(memory), sys.ReceiverSpace(batch))
			}
			end = at + countersLen + sys.ReceiverSpace(batch)
			number++
		}
	}
	if book.journals < end || book.journals+number*journalSize != len(book.memory) {
		t.Errorf("journals at %d, of %d bytes", book.journals, len(book.memory))
	}
}

func TestNoSuchPage(t *testing.T) {
	book := newBook(t, Layout{"a", 2, 64, 0})
	for _, which := range []struct {
		listener string
		index    int
	}{{"a", 2}, {"a", -1}, {"b", 0}, {"", 0}} {
		if _, err := book.Shard(which.listener, which.index, 0); err == nil || !strings.Contains(err.Error(), "no page") {
			t.Errorf("%+v: %v", which, err)
		}
	}
}

func TestLayoutsThatCannotBe(t *testing.T) {
	for want, layouts := range map[string][]Layout{
		"0 listeners":           nil,
		"has 0 bytes":           {{"", 1, 1, 0}},
		"has 65 bytes":          {{strings.Repeat("x", 65), 1, 1, 0}},
		"is no text":            {{"\xff", 1, 1, 0}},
		"0 shards are not":      {{"a", 0, 1, 0}},
		"4097 shards are not":   {{"a", 5000, 1, 0}},
		"batch of 0":            {{"a", 1, -3, 0}},
		"batch of 1025":         {{"a", 1, 1025, 0}},
		"1025 tallies are more": {{"a", 1, 1, 2000}},
		`are called "a"`:        {{"a", 1, 1, 0}, {"b", 1, 1, 0}, {"a", 1, 1, 0}},
		"4097 listeners are":    make([]Layout, 4097),
		"listener b: 0 shards":  {{"a", 1, 1, 0}, {"b", 0, 1, 0}},
	} {
		if b, err := NewSharedCounters(layouts...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60v: %v, %v, want %q", layouts, b, err, want)
		}
	}
}

// What another process has written is not believed.
func TestDamagedBooksAreRefused(t *testing.T) {
	for want, damage := range map[string]func(b *SharedCounters){
		`begins with "Udpshard"`:            func(b *SharedCounters) { b.header.magic[0] = 'U' },
		"version 2, and this program needs": func(b *SharedCounters) { b.header.version = 2 },
		"says that it has 1 bytes":          func(b *SharedCounters) { b.header.size = 1 },
		"0 listeners do not fit":            func(b *SharedCounters) { b.header.listeners = 0 },
		"4096 listeners do not fit":         func(b *SharedCounters) { b.header.listeners = 4096 },
		"4294967295 listeners":              func(b *SharedCounters) { b.header.listeners = 1<<32 - 1 },
		"its listeners take":                func(b *SharedCounters) { b.header.listeners = 1 },
		"4294967295 bytes, not 1 to 64":     func(b *SharedCounters) { sys.At[row](b.memory, headerSize).length = 1<<32 - 1 },
		"65 bytes, not 1 to 64":             func(b *SharedCounters) { sys.At[row](b.memory, headerSize).length = 65 },
		"shards do not fit":                 func(b *SharedCounters) { sys.At[row](b.memory, headerSize).shards = 4096 },
		"batch of 4294967295 is not":        func(b *SharedCounters) { sys.At[row](b.memory, headerSize).batch = 1<<32 - 1 },
		`two listeners are called "a"`:      func(b *SharedCounters) { sys.At[row](b.memory, headerSize+rowSize).name[0] = 'a' },
		"b: 0 shards are not":               func(b *SharedCounters) { sys.At[row](b.memory, headerSize+rowSize).shards = 0 },
	} {
		book := newBook(t, Layout{"a", 1, 2, 0}, Layout{"b", 1, 2, 0})
		damage(book)
		b, err := OpenSharedCounters(duplicate(t, book.file), duplicate(t, book.control.file))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "book of counters: ") {
			t.Errorf("%v, %v, want %q", b, err, want)
		}
	}
}

func TestWhatIsNoBook(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, make([]byte, 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	plain, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.MemfdCreate("unsealed", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	small, memory, _, err := sys.NewMemory("small", 10, sys.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer sys.UnmapMemory(memory)
	book := newBook(t, Layout{"a", 1, 1, 0})
	for want, file := range map[string]*os.File{
		"no shared memory": plain,
		"not sealed":       os.NewFile(uintptr(fd), "unsealed"),
		"too few":          small,
	} {
		if b, err := OpenSharedCounters(file, duplicate(t, book.control.file)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, %v, want %q", b, err, want)
		}
		file.Close()
	}
}

// A control memory that is none is refused, with the book.
func TestDamagedControlMemoryIsRefused(t *testing.T) {
	for want, damage := range map[string]func(c *control){
		`begins with "Udpshard"`:            func(c *control) { c.words.magic[0] = 'U' },
		"version 2, and this program needs": func(c *control) { c.words.version = 2 },
	} {
		book := newBook(t, Layout{"a", 1, 2, 0})
		damage(&book.control)
		b, err := OpenSharedCounters(duplicate(t, book.file), duplicate(t, book.control.file))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "book of counters: control memory: ") {
			t.Errorf("%v, %v, want %q", b, err, want)
		}
	}
	book := newBook(t, Layout{"a", 1, 2, 0})
	if b, err := OpenSharedCounters(duplicate(t, book.file), duplicate(t, book.file)); err == nil {
		t.Errorf("%v: its counters are its control memory", b)
	}
}

// A page in a book counts as any other.
func TestAPageOfABookIsAPage(t *testing.T) {
	page := mustShard(t, newBook(t, Layout{"a", 1, 1, 0}), "a", 0)
	if page.Index != 0 || page.ReceiverMemory() == nil || NewShard(0, 0).ReceiverMemory() != nil {
		t.Error("headers are laid out in a book, and nowhere else")
	}
	page.Attach(&fakeSocket{dropped: 5})
	page.Received.Add(3)
	page.Handled.Add(1)
	page.Delivered.Add(1)
	if got := page.Read(); got.Received != 3 || got.Delivered != 2 || got.InFlight != 1 || got.Dropped.Kernel != 5 {
		t.Errorf("%+v", got)
	}
	if NewShard(0, 0).OpenWriteLog("/x") != nil {
		t.Error("what is in no book has a journal")
	}
}

// OpenSharedCounters takes any bytes, and what is read by them stays within them.
func FuzzBook(f *testing.F) {
	book := newBook(f, Layout{"a", 2, 1, 0})
	page, err := book.Shard("a", 1, 0)
	if err != nil {
		f.Fatal(err)
	}
	page.Received.Add(5)
	journal := page.OpenWriteLog("/var/log/x")
	f.Add(append([]byte(nil), book.memory...))
	journal.Begin(page, Write{Device: 1, Inode: 2, Size: 100, Partial: 3, Length: 50, Records: 2})
	f.Add(append([]byte(nil), book.memory...))
	sys.NewReceiver(1, 10, sys.ReceiverOptions{Memory: page.ReceiverMemory(), Trains: true, Copies: true, Destinations: true})
	f.Add(append([]byte(nil), book.memory...))
	f.Add(book.memory[:headerSize])
	f.Add([]byte("udpshard"))
	heir := newBook(f, Layout{"a", 1, 1, 0}, Layout{"b", 1, 1, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := parse(append([]byte(nil), data...))
		if err != nil {
			return
		}
		for _, l := range b.Listeners() {
			l.Read()
			for _, s := range l.Shards {
				s.Sample(time.Now())
				s.OpenWriteLog("/x")
			}
		}
		estate := heir.Inherit(b, nil)
		estate.Sync()
		_ = estate.AddSurplusDrops(&fakeSocket{cookie: 1})
		if _, err := estate.Finalize(func(w Write) (int, error) {
			if w.Path == "" || w.Size < 0 || w.Partial < 0 || int64(w.Partial) > w.Size || w.Length < 0 || w.Records < 0 {
				t.Errorf("%+v", w)
			}
			return w.Records, errors.New("no such file")
		}); err == nil && len(b.LastWrites()) > 0 {
			t.Error("what could not be recovered is not told")
		}
	})
}
