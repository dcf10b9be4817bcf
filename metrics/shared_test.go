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

func newShared(t testing.TB, listeners ...Layout) *SharedCounters {
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

// reopen opens shared counters a second time, as another process does.
func reopen(t *testing.T, sc *SharedCounters) *SharedCounters {
	t.Helper()
	other, err := OpenSharedCounters(duplicate(t, sc.file), duplicate(t, sc.control.file))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	return other
}

func mustShard(t *testing.T, b *SharedCounters, listener string, index int) *Shard {
	t.Helper()
	shard, err := b.Shard(listener, index, 0)
	if err != nil {
		t.Fatal(err)
	}
	return shard
}

// The offsets of layoutVersion 4. A change of an offset needs a new layoutVersion, and the new
// offsets here.
func TestLayoutOfVersion4(t *testing.T) {
	if layoutVersion != 4 {
		t.Fatal("the offsets below are of version 4")
	}
	words := func(from uintptr, names ...string) map[string]uintptr {
		offsets := make(map[string]uintptr)
		for i, name := range names {
			offsets[name] = from + 8*uintptr(i)
		}
		return offsets
	}
	counters := words(0, "Received", "Bytes", "Batches", "Handled", "Replied", "Truncated", "Unparsed", "NotAllowed", "RateLimited",
		"Malformed", "ReplyLost", "receivedBefore", "thread", "heartbeat", "outputWaited", "outputWaitSince", "MalformedHeader")
	counters["Delivered"], counters["OutputLost"], counters["kernel"], counters["cookie"], counters["used"], counters["drops"], counters["inherited"] = 256, 264, 384, 392, 400, 408, 512
	for of, offsets := range map[reflect.Type]map[string]uintptr{
		reflect.TypeFor[Counters]():       counters,
		reflect.TypeFor[header]():         {"magic": 0, "version": 8, "listeners": 12, "size": 16, "id": 24, "began": 32, "takeovers": 128},
		reflect.TypeFor[Takeovers]():      {"counts": 0, "last": 40, "lastReason": 48, "stalled": 56, "doublings": 64},
		reflect.TypeFor[dropTimes]():      {"last": 0, "dated": 56},
		reflect.TypeFor[row]():            {"name": 0, "length": 64, "shards": 68, "batch": 72, "protocolCounters": 76},
		reflect.TypeFor[writeLogMemory](): {"length": 0, "sequence": 8, "entries": 16, "path": 160},
		reflect.TypeFor[controlWords]():   words(0, "magic", "version", "epoch", "handedOver"),
		reflect.TypeFor[entry]():          words(0, "begun", "shard", "delivered", "device", "inode", "size", "partial", "length", "records"),
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
		reflect.TypeFor[Takeovers]():      headerSize - cacheLine,
		reflect.TypeFor[writeLogMemory](): writeLogSize, reflect.TypeFor[controlWords](): controlSize, reflect.TypeFor[entry](): entrySize,
	} {
		if int(of.Size()) != want {
			t.Errorf("%s has %d bytes, want %d", of.Name(), of.Size(), want)
		}
	}
	if totalCount != 16 || received != 15 {
		t.Errorf("%d totals", totalCount)
	}
	if space := sys.ReceiverSpace(64); space != 64+64*(64+96+28) {
		t.Errorf("a receiver takes %d bytes", space)
	}
}

func TestTwoProcessesShareCounters(t *testing.T) {
	shared := newShared(t, Layout{"a", 2, 64, 0}, Layout{"b", 3, 1, 0})
	other := reopen(t, shared)
	shard := mustShard(t, shared, "b", 2)
	shard.Received.Add(7)
	shard.Delivered.Add(3)
	shard.StartThread(77, 0)
	shard.Heartbeat(time.Now())
	listeners := other.Listeners()
	if len(listeners) != 2 || listeners[0].Name != "a" || len(listeners[0].Shards) != 2 || listeners[1].Name != "b" || len(listeners[1].Shards) != 3 {
		t.Fatalf("listeners %+v", listeners)
	}
	if got := listeners[1].Shards[2].Read(); got.Received != 7 || got.Delivered != 3 || got.InFlight != 4 || got.Thread != 77 || got.Shard != 2 {
		t.Errorf("reading %+v", got)
	}
	if away := listeners[1].Shards[2].Sample(time.Now().Add(time.Second)).SinceHeartbeat; away < time.Second || away > time.Minute {
		t.Errorf("%v since the heartbeat, want a second", away)
	}
	for i, l := range listeners {
		for j, s := range l.Shards {
			if got := s.Read(); got.Received != 0 && (i != 1 || j != 2) {
				t.Errorf("%s shard %d: %+v", l.Name, j, got)
			}
		}
	}
	if shared.HandedOver() {
		t.Error("handed over before MarkHandedOver")
	}
	if other.MarkHandedOver(); !shared.HandedOver() || shared.Epoch() != FirstEpoch {
		t.Errorf("handed over: %t, epoch %d", shared.HandedOver(), shared.Epoch())
	}
}

// Another process can write to the control memory alone.
func TestOnlyTheMakerWritesCounters(t *testing.T) {
	shared := newShared(t, Layout{"a", 1, 1, 0})
	if !shared.sealed {
		t.Skip("needs F_SEAL_FUTURE_WRITE: Linux 5.1")
	}
	counters, control := shared.Files()
	if _, err := sys.MapMemory(counters, sys.ReadWrite); !errors.Is(err, unix.EPERM) {
		t.Errorf("counters mapped for writing: %v", err)
	}
	if info, err := control.Stat(); err != nil || info.Size() != int64(controlSize) || control != shared.Control() {
		t.Errorf("control memory of %v bytes: %v", info.Size(), err)
	}
	shared.sealed = false
	if mustShard(t, shared, "a", 0).ReceiverMemory() != nil {
		t.Error("receiver's memory where other processes can write")
	}
}

// The clock of heartbeats is the kernel's, which all processes share.
func TestHeartbeatsAreOnTheMonotonicClock(t *testing.T) {
	var before, after unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &before)
	at := clock(time.Now())
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &after)
	const slack = int64(time.Millisecond) // between began and beganClock
	if at < before.Nano()-slack || at > after.Nano()+slack {
		t.Errorf("%d is not from %d to %d", at, before.Nano(), after.Nano())
	}
}

// Of many processes that see an owner die, one becomes the next owner.
func TestOneAdvanceOfAnEpochSucceeds(t *testing.T) {
	shared := newShared(t, Layout{"a", 1, 1, 0})
	other := reopen(t, shared)
	for epoch := uint64(1); epoch < 4; epoch++ {
		if shared.Epoch() != epoch || other.Epoch() != epoch {
			t.Fatalf("epochs %d and %d, want %d", shared.Epoch(), other.Epoch(), epoch)
		}
		var advanced atomic.Int32
		var all sync.WaitGroup
		for _, b := range []*SharedCounters{shared, other, shared, other, shared, other} {
			all.Go(func() {
				if b.AdvanceEpoch(epoch) {
					advanced.Add(1)
				}
			})
		}
		all.Wait()
		if n := advanced.Load(); n != 1 {
			t.Errorf("%d calls succeed", n)
		}
	}
}

// Counters, receivers' memory and write logs do not overlap, and counters begin a cache line.
func TestShardsAreApart(t *testing.T) {
	shared := newShared(t, Layout{"a", 3, 1, 0}, Layout{"b", 2, 1024, 0}, Layout{"c", 1, 3, 0})
	end := headerSize + 3*rowSize
	number := 0
	for i, batch := range []int{1, 1024, 3} {
		for range shared.listeners[i].shards {
			at := shared.shards[number]
			if at < end || at%cacheLine != 0 {
				t.Errorf("counters of shard %d are at %d, after memory that ends at %d", number, at, end)
			}
			memory := shared.receiver(number)
			if len(memory) < sys.ReceiverSpace(batch) {
				t.Errorf("receiver's memory of shard %d: %d bytes, want %d", number, len(memory), sys.ReceiverSpace(batch))
			}
			end = at + countersLen + sys.ReceiverSpace(batch)
			number++
		}
	}
	if shared.writeLogs < end || shared.writeLogs+number*writeLogSize != len(shared.memory) {
		t.Errorf("write logs at %d, of %d bytes", shared.writeLogs, len(shared.memory))
	}
}

func TestNoSuchShard(t *testing.T) {
	shared := newShared(t, Layout{"a", 2, 64, 0})
	for _, which := range []struct {
		listener string
		index    int
	}{{"a", 2}, {"a", -1}, {"b", 0}, {"", 0}} {
		if _, err := shared.Shard(which.listener, which.index, 0); err == nil || !strings.Contains(err.Error(), "have no shard") {
			t.Errorf("%+v: %v", which, err)
		}
	}
}

func TestLayoutsOutOfRange(t *testing.T) {
	for want, layouts := range map[string][]Layout{
		"0 listeners, not":                nil,
		"name of 0 bytes":                 {{"", 1, 1, 0}},
		"name of 65 bytes":                {{strings.Repeat("x", 65), 1, 1, 0}},
		"is not UTF-8":                    {{"\xff", 1, 1, 0}},
		"0 shards, not":                   {{"a", 0, 1, 0}},
		"4097 shards, not":                {{"a", 5000, 1, 0}},
		"batch of 0":                      {{"a", 1, -3, 0}},
		"batch of 1025":                   {{"a", 1, 1025, 0}},
		"1025 protocol counters are more": {{"a", 1, 1, 2000}},
		`two listeners have the name "a"`: {{"a", 1, 1, 0}, {"b", 1, 1, 0}, {"a", 1, 1, 0}},
		"4097 listeners, not":             make([]Layout, 4097),
		"listener b: 0 shards":            {{"a", 1, 1, 0}, {"b", 0, 1, 0}},
	} {
		if sc, err := NewSharedCounters(layouts...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60v: %v, %v, want %q", layouts, sc, err, want)
		}
	}
}

func TestDamagedCountersAreRefused(t *testing.T) {
	for want, damage := range map[string]func(b *SharedCounters){
		`begins with "Udpshard"`:            func(b *SharedCounters) { b.header.magic[0] = 'U' },
		"version 2, and this program needs": func(b *SharedCounters) { b.header.version = 2 },
		"size in the header is 1 bytes":     func(b *SharedCounters) { b.header.size = 1 },
		"0 listeners do not fit":            func(b *SharedCounters) { b.header.listeners = 0 },
		"4096 listeners do not fit":         func(b *SharedCounters) { b.header.listeners = 4096 },
		"4294967295 listeners":              func(b *SharedCounters) { b.header.listeners = 1<<32 - 1 },
		"the listeners take":                func(b *SharedCounters) { b.header.listeners = 1 },
		"name of 4294967295 bytes":          func(b *SharedCounters) { sys.At[row](b.memory, headerSize).length = 1<<32 - 1 },
		"name of 65 bytes, not 1 to 64":     func(b *SharedCounters) { sys.At[row](b.memory, headerSize).length = 65 },
		"shards do not fit":                 func(b *SharedCounters) { sys.At[row](b.memory, headerSize).shards = 4096 },
		"batch of 4294967295, not":          func(b *SharedCounters) { sys.At[row](b.memory, headerSize).batch = 1<<32 - 1 },
		`two listeners have the name "a"`:   func(b *SharedCounters) { sys.At[row](b.memory, headerSize+rowSize).name[0] = 'a' },
		"b: 0 shards, not":                  func(b *SharedCounters) { sys.At[row](b.memory, headerSize+rowSize).shards = 0 },
	} {
		shared := newShared(t, Layout{"a", 1, 2, 0}, Layout{"b", 1, 2, 0})
		damage(shared)
		b, err := OpenSharedCounters(duplicate(t, shared.file), duplicate(t, shared.control.file))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "shared counters: ") {
			t.Errorf("%v, %v, want %q", b, err, want)
		}
	}
}

func TestOtherFilesAreRefused(t *testing.T) {
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
	shared := newShared(t, Layout{"a", 1, 1, 0})
	for want, file := range map[string]*os.File{
		"not shared memory": plain,
		"not sealed":        os.NewFile(uintptr(fd), "unsealed"),
		"too few":           small,
	} {
		if b, err := OpenSharedCounters(file, duplicate(t, shared.control.file)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, %v, want %q", b, err, want)
		}
		file.Close()
	}
}

func TestDamagedControlMemoryIsRefused(t *testing.T) {
	for want, damage := range map[string]func(c *control){
		`begins with "Udpshard"`:            func(c *control) { c.words.magic[0] = 'U' },
		"version 2, and this program needs": func(c *control) { c.words.version = 2 },
	} {
		shared := newShared(t, Layout{"a", 1, 2, 0})
		damage(&shared.control)
		b, err := OpenSharedCounters(duplicate(t, shared.file), duplicate(t, shared.control.file))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "shared counters: control memory: ") {
			t.Errorf("%v, %v, want %q", b, err, want)
		}
	}
	shared := newShared(t, Layout{"a", 1, 2, 0})
	if b, err := OpenSharedCounters(duplicate(t, shared.file), duplicate(t, shared.file)); err == nil {
		t.Errorf("%v: counters as control memory", b)
	}
}

// A shard in shared counters counts as any other shard.
func TestAShardInSharedCounters(t *testing.T) {
	shard := mustShard(t, newShared(t, Layout{"a", 1, 1, 0}), "a", 0)
	if shard.Index != 0 || shard.ReceiverMemory() == nil || NewShard(0, 0).ReceiverMemory() != nil {
		t.Error("receiver's memory only in shared counters")
	}
	shard.Attach(&fakeSocket{dropped: 5})
	shard.StartThread(77, 0)
	shard.Received.Add(3)
	shard.Handled.Add(1)
	shard.Delivered.Add(1)
	if got := shard.Read(); got.Received != 3 || got.Delivered != 2 || got.InFlight != 1 || got.Dropped.Kernel != 5 {
		t.Errorf("%+v", got)
	}
	if NewShard(0, 0).OpenWriteLog("/x") != nil {
		t.Error("write log without shared counters")
	}
}

// Any bytes are safe as shared counters: no read goes beyond them.
func FuzzSharedCounters(f *testing.F) {
	shared := newShared(f, Layout{"a", 2, 1, 0})
	shard, err := shared.Shard("a", 1, 0)
	if err != nil {
		f.Fatal(err)
	}
	shard.Received.Add(5)
	log := shard.OpenWriteLog("/var/log/x")
	f.Add(append([]byte(nil), shared.memory...))
	log.Begin(shard, Write{Device: 1, Inode: 2, Size: 100, Partial: 3, Length: 50, Records: 2})
	f.Add(append([]byte(nil), shared.memory...))
	sys.NewReceiver(1, 10, sys.ReceiverOptions{Memory: shard.ReceiverMemory(), GRO: true, DropDuplicates: true, Destinations: true})
	f.Add(append([]byte(nil), shared.memory...))
	f.Add(shared.memory[:headerSize])
	f.Add([]byte("udpshard"))
	successor := newShared(f, Layout{"a", 1, 1, 0}, Layout{"b", 1, 1, 0})
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
		inheritance := successor.Inherit(b, nil)
		inheritance.Sync()
		_ = inheritance.AddSurplusDrops(&fakeSocket{cookie: 1})
		if _, err := inheritance.Finalize(func(w Write) (int, error) {
			if w.Path == "" || w.Size < 0 || w.Partial < 0 || int64(w.Partial) > w.Size || w.Length < 0 || w.Records < 0 {
				t.Errorf("%+v", w)
			}
			return w.Records, errors.New("no such file")
		}); err == nil && len(b.LastWrites()) > 0 {
			t.Error("an error of a write log is missing")
		}
	})
}
