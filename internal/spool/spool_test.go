package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/udpshard/udpshard/metrics"
)

// rig is a spool with one writer, as a process has it.
type rig struct {
	*Spool
	listener *Listener
	writer   *Writer
	counters *metrics.Shard

	mu     sync.Mutex
	events []Event
	next   int // number of the next record
}

func newRig(t testing.TB, settings Settings) *rig {
	t.Helper()
	r := &rig{counters: metrics.NewShard(0, 0)}
	if settings.MaxSize == 0 {
		settings.MaxSize = 1 << 30
	}
	var err error
	r.Spool, err = Open(settings, func(e Event) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.events = append(r.events, e)
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.listener, err = r.Spool.Listener("syslog"); err != nil {
		t.Fatal(err)
	}
	r.writer = r.listener.Writer(0, r.counters)
	t.Cleanup(func() { r.close(t) })
	return r
}

func (r *rig) close(t testing.TB) {
	t.Helper()
	if err := r.writer.Close(); err != nil {
		t.Error(err)
	}
	for _, c := range r.listener.consumers {
		c.Close()
	}
	r.listener.consumers = nil
	r.Close()
}

func (r *rig) acquire(t testing.TB) *rig {
	t.Helper()
	if err := r.Acquire("token"); err != nil {
		t.Fatal(err)
	}
	return r
}

func record(i int) string {
	return fmt.Sprintf(`{"message":"record %d %s"}`, i, strings.Repeat("x", i%97))
}

// write writes n records as the writer of an output does, in one write.
func (r *rig) write(t testing.TB, n int) {
	t.Helper()
	if err := r.tryWrite(n); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) tryWrite(n int) error {
	var data []byte
	for i := range n {
		data = append(append(data, record(r.next+i)...), '\n')
	}
	for r.writer.NeedsReopen() {
		if _, err := r.writer.Reopen(); err != nil {
			return err
		}
		if r.hasRoom() && !r.writer.isFull() {
			break
		}
	}
	r.writer.NeedsReopen()
	r.writer.Begin(r.counters, len(data), n)
	written, err := r.writer.Write(data)
	r.writer.End(written)
	r.next += n
	return err
}

func (r *rig) consumer(t testing.TB, target string) *Consumer {
	t.Helper()
	c, err := r.listener.Consumer(target)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Reload(); err != nil {
		t.Fatal(err)
	}
	return c
}

// read returns all records that wait, and acknowledges them.
func read(t testing.TB, c *Consumer) (records []string) {
	t.Helper()
	for {
		b, err := c.Next()
		if err != nil {
			t.Fatal(err)
		}
		if b == nil {
			if err := c.Save(); err != nil {
				t.Fatal(err)
			}
			return records
		}
		for _, line := range b.Lines {
			records = append(records, string(line))
		}
		if err := c.Done(Result{Acknowledged: len(b.Lines)}); err != nil {
			t.Fatal(err)
		}
		c.Trim()
	}
}

func wantRecords(t testing.TB, got []string, first, n int) {
	t.Helper()
	if len(got) != n {
		t.Fatalf("%d records, want %d", len(got), n)
	}
	for i, r := range got {
		if r != record(first+i) {
			t.Fatalf("record %d is %q, want %q", i, r, record(first+i))
		}
	}
}

func segments(t testing.TB, folder string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "syslog", "*", "*"+segmentSuffix))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestRecordsAreRemovedWhenAllTargetsHaveThem(t *testing.T) {
	folder := t.TempDir()
	r := newRig(t, Settings{Path: folder, SegmentSize: 64 << 10}).acquire(t)
	fast, slow := r.consumer(t, "fast"), r.consumer(t, "slow")
	for range 100 {
		r.write(t, 200)
		wantRecords(t, read(t, fast), r.next-200, 200)
	}
	all := len(segments(t, folder))
	if all < 10 {
		t.Fatalf("%d segments", all)
	}
	status := slow.Status()
	if status.Waiting != 20000 || status.WaitingBytes < 400000 || status.OldestWaiting.IsZero() {
		t.Errorf("%+v", status)
	}
	wantRecords(t, read(t, slow), 0, 20000)
	if left := segments(t, folder); len(left) != 1 {
		t.Errorf("%d segments are left", len(left))
	}
	if status := slow.Status(); status.Waiting != 0 || status.Acknowledged != 20000 || status.WaitingBytes != 0 {
		t.Errorf("%+v", status)
	}
	if size := r.Size(); size > 200<<10 {
		t.Errorf("%d bytes are left", size)
	}
}

func TestNextProcessGoesOn(t *testing.T) {
	folder := t.TempDir()
	settings := Settings{Path: folder, SegmentSize: 64 << 10}
	r := newRig(t, settings).acquire(t)
	c := r.consumer(t, "target")
	r.write(t, 1000)
	b, err := c.Next()
	if err != nil || b.First != 0 {
		t.Fatal(err)
	}
	count := len(b.Lines)
	if err := c.Done(Result{Acknowledged: 400, Rejected: 3, Note: "note"}); err != nil {
		t.Fatal(err)
	}
	r.close(t) // while the rest is sent

	next := newRig(t, settings).acquire(t)
	next.next = 1000
	c = next.consumer(t, "target")
	next.write(t, 500)
	if b, err = c.Next(); err != nil || !b.InDoubt || b.First != 400 || len(b.Lines) != count-400 || c.Note() != "note" {
		t.Fatalf("%v, %+v", err, b)
	}
	if string(b.Lines[0]) != record(400) {
		t.Errorf("%q", b.Lines[0])
	}
	if err := c.Done(Result{Acknowledged: count - 400}); err != nil {
		t.Fatal(err)
	}
	wantRecords(t, read(t, c), count, 1500-count) // earlier epochs first
	if s := c.Status(); s.Acknowledged != 1497 || s.Rejected != 3 || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
	if left, _ := filepath.Glob(filepath.Join(folder, "syslog", "1-0")); left != nil {
		t.Errorf("the series of the first process is left")
	}
	if left, _ := filepath.Glob(filepath.Join(folder, epochsFolder, "*")); len(left) != 1 {
		t.Errorf("epochs %q", left)
	}
}

// A process that was stopped, replaced, and wakes up, appends to its own series.
func TestReplacedProcessAppends(t *testing.T) {
	folder := t.TempDir()
	old := newRig(t, Settings{Path: folder, SegmentSize: 64 << 10}).acquire(t)
	before := old.consumer(t, "target")
	old.write(t, 10)

	r := newRig(t, Settings{Path: folder, SegmentSize: 64 << 10})
	var by *InUseError
	if err := r.Acquire("other"); !errors.As(err, &by) || by.IsPredecessor() || by.PID != os.Getpid() {
		t.Fatal(err)
	}
	if err := r.Acquire("token"); !errors.As(err, &by) || !by.IsPredecessor() {
		t.Fatal(err)
	}
	if err := r.Seize("token"); err != nil {
		t.Fatal(err)
	}
	if old.Held() || !r.Held() {
		t.Fatal("the lock was not taken")
	}
	c := r.consumer(t, "target")
	r.next = 1000
	r.write(t, 10)
	got := read(t, c)
	wantRecords(t, got[:10], 0, 10)
	wantRecords(t, got[10:], 1000, 10)
	old.write(t, 5)
	r.listener.refreshed = time.Time{}
	wantRecords(t, read(t, c), 10, 5)
	if before.Status().Acknowledged != 25 { // from the file
		t.Errorf("%+v", before.Status())
	}
	old.close(t)
	r.listener.refreshed = time.Time{}
	read(t, c)
	if left, _ := filepath.Glob(filepath.Join(folder, "syslog", "1-0")); left != nil {
		t.Errorf("the series of the replaced process is left")
	}
}

func TestFullSpool(t *testing.T) {
	for _, policy := range []WhenFull{Wait, DropOldest} {
		t.Run(string(policy), func(t *testing.T) {
			folder := t.TempDir()
			const most = 1 << 20
			r := newRig(t, Settings{Path: folder, MaxSize: most, WhenFull: policy}).acquire(t)
			c := r.consumer(t, "target")
			written, refused := 0, false
			for written < 100000 {
				err := r.tryWrite(100)
				if err != nil {
					if !errors.Is(err, ErrFull) {
						t.Fatal(err)
					}
					refused = true
					break
				}
				written += 100
				if size := folderSize(t, folder); size > most+r.SegmentSize {
					t.Fatalf("%d bytes", size)
				}
			}
			if refused != (policy == Wait) {
				t.Errorf("refused: %v", refused)
			}
			before := c.Status()
			got := read(t, c)
			wantRecords(t, got, written-len(got), len(got))
			after := c.Status()
			if after.Acknowledged+after.Expired != uint64(written) || after.Expired != before.Expired {
				t.Errorf("%d written: %+v", written, after)
			}
			if policy == DropOldest && after.Expired == 0 {
				t.Error("nothing expired")
			}
			if err := r.tryWrite(100); err != nil { // room again
				t.Error(err)
			}
		})
	}
}

// folderSize returns the bytes of the files of all series.
func folderSize(t testing.TB, folder string) (size int64) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*", "*-*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			size += info.Size()
		}
	}
	return size
}

// Loses the blocks that were hit alone, whatever is cut or flipped.
func TestDamage(t *testing.T) {
	folder := t.TempDir()
	settings := Settings{Path: folder, SegmentSize: 300 << 10}
	r := newRig(t, settings)
	for range 40 {
		r.write(t, 400)
	}
	total := r.next
	r.close(t)
	names := segments(t, folder)
	if len(names) < 3 {
		t.Fatalf("%d segments", len(names))
	}
	victim := names[1]
	whole, err := os.ReadFile(victim)
	if err != nil {
		t.Fatal(err)
	}
	index, err := os.ReadFile(strings.TrimSuffix(victim, segmentSuffix) + indexSuffix)
	if err != nil {
		t.Fatal(err)
	}
	blocks := parseIndex(index)
	if len(blocks) == 0 {
		t.Fatal("no blocks")
	}
	// hit returns the records of the blocks that a change of bytes from and to hits.
	hit := func(from, to int64) (records uint64) {
		for _, b := range blocks {
			if b.start < to && b.end > from {
				records += uint64(b.records)
			}
		}
		return records
	}
	try := func(name string, lost uint64, change func()) {
		t.Helper()
		change()
		work := filepath.Join(t.TempDir(), "spool")
		if err := os.CopyFS(work, os.DirFS(folder)); err != nil {
			t.Fatal(err)
		}
		again := newRig(t, Settings{Path: work, SegmentSize: settings.SegmentSize}).acquire(t)
		c := again.consumer(t, "target")
		got := read(t, c)
		if uint64(len(got))+lost != uint64(total) || c.Status().Expired != lost {
			t.Errorf("%s: %d records and %d expired, want %d lost of %d", name, len(got), c.Status().Expired, lost, total)
		}
		named := false
		for _, e := range again.events {
			named = named || e.Damage != nil && filepath.Base(e.Damage.File) == filepath.Base(victim)
		}
		if kept, _ := filepath.Glob(filepath.Join(work, "syslog", "*", "*"+damagedSuffix)); named != (kept != nil) || named != (lost > 0) {
			t.Errorf("%s: reported %v, kept %q", name, named, kept)
		}
		again.close(t)
		os.RemoveAll(work)
		if err := os.WriteFile(victim, whole, fileMode); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(strings.TrimSuffix(victim, segmentSuffix)+indexSuffix, index, fileMode); err != nil {
			t.Fatal(err)
		}
	}
	step, flips := 997*37, 40
	if os.Getenv("UDPSHARD_TRIALS") != "" {
		step, flips = 997, 1000
	}
	for at := 0; at < len(whole); at += step {
		try(fmt.Sprintf("cut at %d", at), hit(int64(at), int64(len(whole))), func() { os.Truncate(victim, int64(at)) })
	}
	for i := range flips {
		at := (i*7919 + 13) * 31 % len(whole)
		try(fmt.Sprintf("bit %d of byte %d", i%8, at), hit(int64(at), int64(at)+1), func() {
			flipped := bytes.Clone(whole)
			flipped[at] ^= 1 << (i % 8)
			os.WriteFile(victim, flipped, fileMode)
		})
	}
	for at := range index {
		if at%5 == 0 {
			try(fmt.Sprintf("byte %d of the index", at), 0, func() {
				flipped := bytes.Clone(index)
				flipped[at] ^= 0x10
				os.WriteFile(strings.TrimSuffix(victim, segmentSuffix)+indexSuffix, flipped, fileMode)
			})
		}
	}
	try("without index", 0, func() { os.Remove(strings.TrimSuffix(victim, segmentSuffix) + indexSuffix) })
	try("cursor", 0, func() {})
}

func TestManySegments(t *testing.T) {
	folder := t.TempDir()
	newRig(t, Settings{Path: folder}).close(t)
	for i := range 10000 {
		series := filepath.Join(folder, "syslog", seriesName(1, i%4))
		if err := os.MkdirAll(series, folderMode); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(series, segmentName(uint64(i/4))+segmentSuffix)
		if err := os.WriteFile(path, []byte(record(i)+"\n"), fileMode); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	again := newRig(t, Settings{Path: folder}).acquire(t)
	c := again.consumer(t, "target")
	if waiting := c.Status().Waiting; waiting != 10000 {
		t.Errorf("%d records wait", waiting)
	}
	if took := time.Since(began); took > 5*time.Second { // 0.1 s on an idle machine
		t.Errorf("10,000 segments took %s", took)
	}
	descriptors := func() int {
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(open)
	}
	before := descriptors()
	got := 0
	for b, err := c.Next(); b != nil; b, err = c.Next() {
		if err != nil {
			t.Fatal(err)
		}
		got += len(b.Lines)
		if err := c.Done(Result{Acknowledged: len(b.Lines)}); err != nil {
			t.Fatal(err)
		}
		if now := descriptors(); now > before+4 {
			t.Fatalf("%d descriptors, %d before", now, before)
		}
	}
	if got != 10000 {
		t.Errorf("%d records", got)
	}
	c.Save()
	if left := segments(t, folder); len(left) != 0 {
		t.Errorf("%d segments are left", len(left))
	}
}

func TestForeignFolder(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "letter.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Settings{Path: folder, MaxSize: 1}, nil); err == nil || !strings.Contains(err.Error(), "letter.txt") {
		t.Error(err)
	}
}

func FuzzCursor(f *testing.F) {
	path := filepath.Join(f.TempDir(), "cursor")
	c, _, err := openCursor(path)
	if err != nil {
		f.Fatal(err)
	}
	s := state{Target: "t", Acknowledged: 3, Series: map[string]position{"1-0": {3, 0, 30}}}
	if err := c.save(&s); err != nil {
		f.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data[slotSize:])
	f.Fuzz(func(t *testing.T, slot []byte) {
		got, sequence, err := readCursor(bytes.NewReader(slot))
		if sequence == 0 && got.Target != "" || err != nil && sequence != 0 {
			t.Errorf("%+v, %d, %v", got, sequence, err)
		}
	})
}

func FuzzSegment(f *testing.F) {
	folder := f.TempDir()
	r := newRig(f, Settings{Path: folder})
	r.write(f, 3)
	r.writer.Close()
	lines, _ := os.ReadFile(segments(f, folder)[0])
	index, _ := os.ReadFile(strings.TrimSuffix(segments(f, folder)[0], segmentSuffix) + indexSuffix)
	f.Add(lines, index)
	f.Add([]byte("a\nb"), []byte{})
	f.Add([]byte("\n\n\x00\n"), index)
	f.Fuzz(func(t *testing.T, lines, index []byte) {
		folder := t.TempDir()
		r := newRig(t, Settings{Path: folder}).acquire(t)
		series := filepath.Join(folder, "syslog", "1-0")
		os.Mkdir(series, folderMode)
		os.WriteFile(filepath.Join(series, segmentName(0)+segmentSuffix), lines, fileMode)
		os.WriteFile(filepath.Join(series, segmentName(0)+indexSuffix), index, fileMode)
		if err := r.listener.Refresh(); err != nil {
			t.Fatal(err)
		}
		c := r.consumer(t, "target")
		waiting := c.Status().Waiting
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		for ctx.Err() == nil {
			b, err := c.Next()
			if err != nil {
				t.Fatal(err)
			}
			if b == nil {
				if s := c.Status(); s.Waiting != 0 || s.Acknowledged+s.Expired != waiting {
					t.Errorf("%d waited: %+v", waiting, s)
				}
				return
			}
			if err := c.Done(Result{Acknowledged: len(b.Lines)}); err != nil {
				t.Fatal(err)
			}
		}
		t.Error("the reader does not end")
	})
}
