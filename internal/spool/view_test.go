package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/metrics"
)

// shard returns a rig for a further shard of the same process.
func (r *rig) shard(t testing.TB, n int) *rig {
	t.Helper()
	other := &rig{Spool: r.Spool, listener: r.listener, counters: metrics.NewShard(0, n)}
	other.writer = r.listener.Writer(n, other.counters)
	t.Cleanup(func() { other.writer.Close() })
	return other
}

func openView(t testing.TB, folder string) *View {
	t.Helper()
	v, err := OpenView(folder)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// waiting returns the waiting records of a view's first listener.
func waiting(t testing.TB, v *View, target string) (records []string, damage []Damage) {
	t.Helper()
	damage, err := v.Waiting(&v.Listeners[0], target, func(lines []byte) error {
		for line := range strings.Lines(string(lines)) {
			records = append(records, strings.TrimSuffix(line, "\n"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return records, damage
}

// listing returns what may not change in a folder.
func listing(t testing.TB, folder string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var is unix.Stat_t
		if err := unix.Lstat(path, &is); err != nil {
			return err
		}
		files[path] = fmt.Sprint(is.Ino, is.Mode, is.Nlink, is.Size, is.Blocks, is.Mtim, is.Ctim)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// The records of a view are those that a process ships which begins now, in the same order, of two
// epochs with several shards. Nothing changes on the disk.
func TestWaitingRecordsAreThoseThatAreShipped(t *testing.T) {
	folder := t.TempDir()
	settings := Settings{Path: folder, SegmentSize: 64 << 10}
	old := newRig(t, settings)
	old.write(t, 3000)
	third := old.shard(t, 2)
	third.next = 10000
	third.write(t, 2000)
	old.close(t)

	r := newRig(t, settings).acquire(t)
	fast, slow := r.consumer(t, "fast"), r.consumer(t, "slow")
	second := r.shard(t, 1)
	r.next, second.next = 20000, 30000
	for range 10 {
		r.write(t, 1500)
		second.write(t, 900)
	}
	b, err := fast.Next()
	if err != nil {
		t.Fatal(err)
	}
	if err := fast.Done(Result{Acknowledged: 700, Rejected: 7, Resent: 5}); err != nil {
		t.Fatal(err)
	}
	left := len(b.Lines)
	if _, err = slow.Next(); err != nil {
		t.Fatal(err)
	}
	if err := slow.Done(Result{Acknowledged: 30}); err != nil {
		t.Fatal(err)
	}

	before := listing(t, folder)
	v := openView(t, folder)
	ofFast, damageOfFast := waiting(t, v, "fast")
	ofSlow, damageOfSlow := waiting(t, v, "slow")
	ofAll, _ := waiting(t, v, "")
	all, err := v.Verify()
	if err != nil || len(all.Damaged) > 0 || all.Records != 29000 || all.Blocks == 0 {
		t.Errorf("%v, %+v", err, all)
	}
	if after := listing(t, folder); !maps.Equal(before, after) {
		t.Errorf("before: %v\nafter: %v", before, after)
	}
	if len(damageOfFast)+len(damageOfSlow) > 0 {
		t.Errorf("%v, %v", damageOfFast, damageOfSlow)
	}
	if !slices.Equal(ofAll, ofSlow) {
		t.Errorf("%d records for at least one target, and %d for the slow one", len(ofAll), len(ofSlow))
	}
	if v.Shipper == nil || v.Shipper.PID != os.Getpid() || len(v.Listeners) != 1 || v.ID != r.ID {
		t.Errorf("%+v", v)
	}
	var names []string
	for _, s := range v.Listeners[0].Series {
		names = append(names, s.Name)
		written := strings.HasPrefix(s.Name, "2-")
		if s.Oldest == nil || time.Since(*s.Oldest) > time.Minute || (s.Writer != nil) != written {
			t.Errorf("%+v", s)
		}
	}
	if !slices.Equal(names, []string{"1-0", "1-2", "2-0", "2-1"}) {
		t.Errorf("series %q", names)
	}
	for _, target := range v.Listeners[0].Targets {
		c, records := fast, ofFast
		if target.Target == "slow" {
			c, records = slow, ofSlow
		}
		want := c.Status()
		got := Status{Acknowledged: target.Acknowledged, Waiting: target.Waiting,
			Rejected: target.Rejected, Expired: target.Expired, Resent: target.Resent,
			WaitingBytes: target.WaitingBytes, OldestWaiting: want.OldestWaiting,
			LastRejected: want.LastRejected}
		if got != want || target.Waiting != uint64(len(records)) || target.OldestWaiting == nil ||
			target.Sending == nil || target.Sending.Count != len(c.batch.Lines) {
			t.Errorf("%+v, want %+v and %d records", target, want, len(records))
		}
	}
	if fast.Status().Waiting != 29000-700 || left <= 700 {
		t.Errorf("%+v, a batch of %d", fast.Status(), left)
	}

	r.writer.Close()
	second.writer.Close()
	r.close(t)
	next := newRig(t, settings).acquire(t) // ships in the order of the view
	fast, slow = next.consumer(t, "fast"), next.consumer(t, "slow")
	for c, want := range map[*Consumer][]string{fast: ofFast, slow: ofSlow} {
		if got := read(t, c); !slices.Equal(got, want) {
			t.Errorf("%s: %d records, and the view has %d, or another order", c.Target, len(got), len(want))
		}
	}
}

// A spool without targets has all records, also those of listeners with unusual names.
func TestViewWithoutTargets(t *testing.T) {
	folder := t.TempDir()
	r := newRig(t, Settings{Path: folder})
	for _, name := range []string{"a/b", ".c", "lock", "epochs", "rejected.json", "consumers"} {
		l, err := r.Spool.Listener(name)
		if err != nil {
			t.Fatal(name, err)
		}
		one := &rig{Spool: r.Spool, listener: l, counters: r.counters}
		one.writer = l.Writer(0, r.counters)
		one.write(t, 3)
		one.writer.Close()
	}
	for name, content := range map[string]string{
		rejectedFile: "{}\n{}\n", olderRejected: "{}\n", "letter.txt": "",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.write(t, 100)
	v := openView(t, folder)
	var names []string
	for i := range v.Listeners {
		l := &v.Listeners[i]
		names = append(names, l.Name)
		n := 0
		_, err := v.Waiting(l, "", func(lines []byte) error {
			n += bytes.Count(lines, []byte("\n"))
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		want := map[bool]int{true: 100, false: 3}[l.Name == "syslog"]
		if n != want || len(l.Targets) > 0 {
			t.Errorf("%s: %d records, want %d; targets %v", l.Name, n, want, l.Targets)
		}
	}
	slices.Sort(names)
	want := []string{".c", "a/b", "consumers", "epochs", "lock", "rejected.json", "syslog"}
	if !slices.Equal(names, want) {
		t.Errorf("listeners %q, want %q", names, want)
	}
	if v.Shipper != nil || v.RejectedRecords != 3 || !slices.Equal(v.Foreign, []string{"letter.txt"}) {
		t.Errorf("%+v", v)
	}
	if size := folderSize(t, folder); v.SizeBytes != size || v.FreeBytes == 0 {
		t.Errorf("%d bytes, and %d free; want %d bytes", v.SizeBytes, v.FreeBytes, size)
	}
}

// A view has damage before and after the segment was shipped, and what is readable beside it.
func TestViewOfDamage(t *testing.T) {
	folder := t.TempDir()
	settings := Settings{Path: folder, SegmentSize: 600 << 10}
	r := newRig(t, settings)
	for range 60 {
		r.write(t, 400)
	}
	r.close(t)
	names := segments(t, folder)
	path := names[1]
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole[len(whole)/8] ^= 4 // in the first block
	if err := os.WriteFile(path, whole, fileMode); err != nil {
		t.Fatal(err)
	}
	index, err := os.ReadFile(strings.TrimSuffix(path, segmentSuffix) + indexSuffix)
	if err != nil {
		t.Fatal(err)
	}
	blocks := parseIndex(index)
	if len(blocks) < 2 {
		t.Fatalf("%d blocks", len(blocks))
	}
	lost := uint64(blocks[0].records)
	all := uint64(bytes.Count(whole, []byte("\n")))
	check := func(d DamagedFile, suffix string) {
		t.Helper()
		want := DamagedFile{File: "syslog/1-0/" + filepath.Base(path) + suffix, Bytes: int64(len(whole)),
			WholeBlocks: len(blocks) - 1, Blocks: len(blocks), Records: all - lost, Lost: lost}
		got := d
		got.Damage = nil
		if fmt.Sprint(got) != fmt.Sprint(want) || len(d.Damage) != 1 || d.Damage[0].End != blocks[0].end {
			t.Errorf("%+v, want %+v", d, want)
		}
	}
	v := openView(t, folder)
	if len(v.Damaged) > 0 {
		t.Errorf("set aside: %+v", v.Damaged)
	}
	verified, err := v.Verify()
	if err != nil || len(verified.Damaged) != 1 || verified.Segments != len(names) ||
		verified.Records != uint64(r.next)-lost {
		t.Fatalf("%v, %+v", err, verified)
	}
	check(verified.Damaged[0], "")
	records, damage := waiting(t, v, "")
	if uint64(len(records)) != uint64(r.next)-lost || len(damage) != 1 || damage[0].Records != lost {
		t.Errorf("%d records of %d, damage %+v", len(records), r.next, damage)
	}

	again := newRig(t, settings).acquire(t)
	read(t, again.consumer(t, "target"))
	again.close(t)
	consumers := filepath.Join(folder, "syslog", consumersFolder)
	cursors, _ := os.ReadDir(consumers)
	if len(cursors) != 1 {
		t.Fatalf("%d positions", len(cursors))
	}
	cursor := filepath.Join(consumers, cursors[0].Name())
	if err := os.WriteFile(cursor, []byte(strings.Repeat("x", 50)), fileMode); err != nil {
		t.Fatal(err)
	}
	v = openView(t, folder)
	if len(v.Damaged) != 2 {
		t.Fatalf("%+v", v.Damaged)
	}
	check(v.Damaged[0], damagedSuffix)
	if d := v.Damaged[1]; d.File != "syslog/consumers/"+cursors[0].Name() ||
		d.Damage[0].Reason != errDamagedCursor.Error() {
		t.Errorf("%+v", d)
	}
	if verified, err = v.Verify(); err != nil || len(verified.Damaged) > 0 {
		t.Errorf("%v, %+v", err, verified)
	}
}

// A process that writes, ships and removes segments is not disturbed, and a view beside the process
// is whole: records follow each other, nothing is damaged, and the ledger of the target is closed.
func TestViewBesideARunningInstance(t *testing.T) {
	folder := t.TempDir()
	r := newRig(t, Settings{Path: folder, SegmentSize: 64 << 10}).acquire(t)
	c := r.consumer(t, "target")
	r.write(t, 100)
	if b, err := c.Next(); err != nil || c.Done(Result{Acknowledged: len(b.Lines)}) != nil {
		t.Fatal(err)
	}
	var rounds atomic.Int64
	done := make(chan struct{})
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			if err := r.tryWrite(200); err != nil {
				failed <- err
				return
			}
			rounds.Add(1)
			if i%4 > 0 {
				continue
			}
			for range 5 { // about what is written, in parts
				b, err := c.Next()
				if err == nil && b != nil {
					err = c.Done(Result{Acknowledged: max(1, min(len(b.Lines), 333))})
					c.batch = nil
				}
				if err != nil {
					failed <- err
					return
				}
			}
			c.Trim()
		}
	}()
	for i := 0; i < 100 || rounds.Load() < 100; i++ {
		v := openView(t, folder)
		target := TargetView{Target: "none"}
		if l := v.Listeners[0]; len(l.Targets) > 0 {
			target = l.Targets[0]
		}
		records, damage := waiting(t, v, "target")
		verified, err := v.Verify()
		if err != nil || len(damage)+len(verified.Damaged)+len(v.Damaged) > 0 {
			t.Fatalf("%v, damage %+v, %+v, %+v", err, damage, verified.Damaged, v.Damaged)
		}
		for j := 1; j < len(records); j++ {
			var last, next int
			fmt.Sscanf(records[j-1], `{"message":"record %d`, &last)
			fmt.Sscanf(records[j], `{"message":"record %d`, &next)
			if next <= last || records[j] != record(next) {
				t.Fatalf("record %d after %d: %q", next, last, records[j])
			}
		}
		if target.Target != "target" || target.Rejected+target.Expired > 0 {
			t.Fatalf("%+v", target)
		}
		s := v.Listeners[0].Series[0]
		if end := s.First + s.Records; target.Waiting > 0 && target.Acknowledged+target.Waiting != end {
			t.Fatalf("%d acknowledged and %d waiting of %d", target.Acknowledged, target.Waiting, end)
		}
	}
	close(done)
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	if !r.Held() {
		t.Error("the lock is lost")
	}
}

func TestViewOfManySegments(t *testing.T) {
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
	v := openView(t, folder)
	took := time.Since(began)
	t.Logf("10,000 segments took %s", took)
	if took > 5*time.Second { // 0.1 s on an idle machine
		t.Errorf("10,000 segments took %s", took)
	}
	records := uint64(0)
	for _, s := range v.Listeners[0].Series {
		records += s.Records
	}
	if records != 10000 {
		t.Errorf("%d records", records)
	}
	if got, _ := waiting(t, v, ""); len(got) != 10000 {
		t.Errorf("%d records wait", len(got))
	}
}

func TestViewOfNoSpool(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(folder, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(folder, "none"): "no such file or directory",
		filepath.Join(file, "x"):      "not a directory",
		file:                          "not a directory",
		folder:                        "the folder has other files (empty), and is no spool",
		empty:                         "the folder is empty, and is no spool",
	} {
		var none NoSpoolError
		if _, err := OpenView(path); !errors.As(err, &none) || err.Error() != "spool "+path+": "+want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if entries, _ := os.ReadDir(empty); len(entries) > 0 {
		t.Errorf("%v was made", entries)
	}
}
