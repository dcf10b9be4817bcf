package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestIsUnreadable(t *testing.T) {
	for err, want := range map[error]bool{unix.EIO: true, unix.EISDIR: true, unix.EUCLEAN: true,
		unix.EBADMSG: true, unix.EACCES: false, unix.EMFILE: false, unix.ENOENT: false,
		unix.EINTR: false, errors.New("other"): false} {
		wrapped := fmt.Errorf("read: %w", &fs.PathError{Op: "read", Path: "x", Err: err})
		if got := isUnreadable(wrapped); got != want {
			t.Errorf("%v: %v", err, got)
		}
	}
	if isUnreadable(nil) {
		t.Error("no error")
	}
}

// A segment that can't be read keeps neither the program from starting, nor other records.
func TestUnreadableSegment(t *testing.T) {
	for victim := range 3 { // the last one, too
		folder := t.TempDir()
		r := newRig(t, Settings{Path: folder, SegmentSize: 64 << 10})
		for range 80 {
			r.write(t, 50)
		}
		total := r.next
		r.close(t)
		names := segments(t, folder)
		if len(names) < 3 {
			t.Fatal(names)
		}
		path := names[len(names)-1-victim]
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(path, folderMode); err != nil { // read(2) fails with EISDIR
			t.Fatal(err)
		}
		again := newRig(t, Settings{Path: folder, SegmentSize: 64 << 10}).acquire(t)
		c := again.consumer(t, "target")
		got := read(t, c)
		is := c.Status()
		if len(got) == total || int(is.Acknowledged) != len(got) || is.Waiting != 0 || len(again.events) == 0 {
			t.Errorf("segment %d from the end: %d of %d records, %+v", victim, len(got), total, is)
		}
		again.write(t, 10)
		if got := read(t, c); len(got) != 10 {
			t.Errorf("%d new records", len(got))
		}
		if _, err := os.Stat(path + damagedSuffix); err != nil {
			t.Error(err)
		}
		again.close(t)
	}
}
