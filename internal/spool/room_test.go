package spool

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// smallDisk mounts a file system.
func smallDisk(t *testing.T, size string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	if err := unix.Mount("udpshard-test", folder, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("needs a small file system: run as root (CAP_SYS_ADMIN) to mount one: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(folder, unix.MNT_DETACH) })
	return folder
}

// fillDisk writes until the file system has no room. The output repeats the rest of a write: here
// the rest is lost, and the incomplete line at the end is cut by the next segment.
func (r *rig) fillDisk(t *testing.T) {
	t.Helper()
	for range 10_000 {
		if err := r.tryWrite(100); err != nil {
			if !errors.Is(err, unix.ENOSPC) {
				t.Fatal(err)
			}
			r.next = int(r.writer.next)
			return
		}
	}
	t.Fatal("the disk is not full")
}

// A spool whose only segment has filled the disk is emptied: the position can be saved, though it
// was never saved before, and the segment is closed and removed.
func TestOnlySegmentFillsTheDisk(t *testing.T) {
	for _, policy := range []WhenFull{Wait, DropOldest} {
		t.Run(string(policy), func(t *testing.T) {
			folder := filepath.Join(smallDisk(t, "1m"), "spool")
			r := newRig(t, Settings{Path: folder, MaxSize: 1 << 30, WhenFull: policy}).acquire(t)
			c := r.consumer(t, "target")
			r.fillDisk(t)
			written := r.next
			got := read(t, c)
			wantRecords(t, got, 0, written)
			r.tryWrite(100) // closes the segment, which is removed here or by the consumer
			r.next = int(r.writer.next)
			got = append(got, read(t, c)...)
			for range 5 {
				if err := r.tryWrite(100); err != nil {
					t.Fatal(err)
				}
			}
			got = append(got, read(t, c)...)
			wantRecords(t, got, 0, r.next)
			if s := c.Status(); s.Waiting != 0 || s.Acknowledged+s.Expired != uint64(r.next) {
				t.Errorf("%+v of %d", s, r.next)
			}
			if n := len(segments(t, folder)); n > 2 {
				t.Errorf("%d segments", n)
			}
			for _, e := range r.events {
				if e.Damage != nil {
					t.Errorf("%+v", e.Damage)
				}
			}
		})
	}
}

// A process that has opened the spool long before its predecessor ended knows the size of the spool
// when it begins to write, and when it begins to ship.
func TestStandbyMeasuresTheSpoolAnew(t *testing.T) {
	folder := t.TempDir()
	settings := Settings{Path: folder, MaxSize: 1 << 20}
	first := newRig(t, settings).acquire(t)
	first.consumer(t, "target")
	standby := newRig(t, settings)
	c := standby.consumer(t, "target")
	for first.tryWrite(100) == nil {
	}
	if err := standby.tryWrite(100); !errors.Is(err, ErrFull) {
		t.Errorf("%v, want %v", err, ErrFull)
	}
	first.close(t)
	standby.acquire(t)
	if err := standby.listener.Rescan(); err != nil {
		t.Fatal(err)
	}
	if err := c.Reload(); err != nil {
		t.Fatal(err)
	}
	wantSize := func() {
		t.Helper()
		files, known := folderSize(t, folder), standby.Size()
		if max(files-known, known-files) > 100 { // files of locks
			t.Errorf("the folder has %d bytes, and the size is %d", files, known)
		}
	}
	wantSize()
	read(t, c)
	wantSize()
	if size := standby.Size(); size > 100<<10 {
		t.Errorf("%d bytes after all records are shipped", size)
	}
}

// Records that are dropped in a row are one event, and all are in an event at the end.
func TestDroppedRecordsAreReportedAtOnceAndAtTheEnd(t *testing.T) {
	r := newRig(t, Settings{Path: t.TempDir(), MaxSize: 1 << 20, WhenFull: DropOldest}).acquire(t)
	c := r.consumer(t, "target")
	for c.Status().Expired < 10_000 {
		r.write(t, 100)
	}
	if n := len(r.events); n != 1 {
		t.Errorf("%d events", n)
	}
	expired := c.Status().Expired
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	reported := uint64(0)
	for _, e := range r.events {
		reported += e.Expired
	}
	if reported != expired {
		t.Errorf("%d records are in events, want %d", reported, expired)
	}
}

// An index entry that the disk had no room for does not damage the entries after it.
func TestIncompleteIndexEntry(t *testing.T) {
	disk := smallDisk(t, "1m")
	folder := filepath.Join(disk, "spool")
	r := newRig(t, Settings{Path: folder, MaxSize: 1 << 30})
	const page = 4096 // of a tmpfs: the last entry would begin on one page and end on the next
	for size := int64(0); size+entrySize <= page; {
		r.write(t, 1)
		r.writer.saveBlock()
		size += entrySize
	}
	r.write(t, 1)
	err := os.WriteFile(filepath.Join(disk, "ballast"), make([]byte, 1<<20), 0o600)
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	r.writer.saveBlock()
	info, err := r.writer.index.Stat()
	if err != nil || info.Size() != page/entrySize*entrySize {
		t.Errorf("%v, %d bytes in the index", err, info.Size())
	}
}

// The ledger of records that were dropped, and of records whose segments were removed, outlives a
// crash: nothing is missing, and nothing counts as damaged.
func TestLedgerAfterACrash(t *testing.T) {
	folder := t.TempDir()
	settings := Settings{Path: folder, MaxSize: 1 << 20, WhenFull: DropOldest}
	r := newRig(t, settings).acquire(t)
	c := r.consumer(t, "target")
	other := r.consumer(t, "other")
	r.write(t, 100)
	if b, err := c.Next(); err != nil || len(b.Lines) != 100 { // saved before all that follows
		t.Fatal(err)
	}
	for c.Status().Expired < 10_000 {
		r.write(t, 100)
	}
	for range 5 { // both acknowledge, and segments are removed, without a call of Save
		for _, c := range []*Consumer{c, other} {
			b, err := c.Next()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Done(Result{Acknowledged: len(b.Lines)}); err != nil {
				t.Fatal(err)
			}
			c.Trim()
		}
	}
	for _, before := range []*Consumer{c, other} {
		was := before.Status()
		file, err := os.Open(before.file.path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		s, _, err := readCursor(file)
		at, first := s.Series["1-0"], before.listener.ordered()[0].extent().segments[0].first
		if err != nil || s.Expired != was.Expired || at.Record < first {
			t.Errorf("%v: the file has %+v, the ledger is %+v, the first segment is %d", err, s, was, first)
		}
	}
}
