package spool

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The identities of records hold the epoch: an epoch whose records are all gone never comes again.
func TestEpochsDoNotComeAgain(t *testing.T) {
	folder := t.TempDir()
	seen := make(map[string]bool)
	for range 5 {
		r := newRig(t, Settings{Path: folder}).acquire(t)
		c := r.consumer(t, "target")
		read(t, c)
		r.write(t, 10)
		name := r.writer.series.Name
		if seen[name] {
			t.Errorf("series %s again", name)
		}
		seen[name] = true
		read(t, c)
		r.close(t)
	}
	if files, err := os.ReadDir(filepath.Join(folder, epochsFolder)); err != nil || len(files) > 2 {
		t.Errorf("%d epochs, %v", len(files), err)
	}
}

// A process that stood by while the active one filled or emptied the spool knows its size.
func TestSizeAfterStandby(t *testing.T) {
	folder := t.TempDir()
	settings := Settings{Path: folder, MaxSize: 1 << 20}
	active := newRig(t, settings).acquire(t)
	c := active.consumer(t, "target")
	empty := newRig(t, settings)
	for active.tryWrite(100) == nil {
	}
	full := newRig(t, settings)
	if err := empty.Seize("token"); err != nil {
		t.Fatal(err)
	}
	if err := empty.listener.Rescan(); err != nil {
		t.Fatal(err)
	}
	if err := empty.tryWrite(100); err == nil {
		t.Error("a write into a full spool")
	}
	if err := active.Seize("token"); err != nil {
		t.Fatal(err)
	}
	read(t, c)
	full.measured = time.Time{}
	if err := full.tryWrite(100); err != nil {
		t.Errorf("a process without the lock: %v", err)
	}
	if err := full.Seize("token"); err != nil {
		t.Fatal(err)
	}
	if err := full.tryWrite(100); err != nil {
		t.Error(err)
	}
}

// Files that hold no records leave the room to the records.
func TestOtherFilesNeedNoRoom(t *testing.T) {
	folder := t.TempDir()
	newRig(t, Settings{Path: folder}).close(t)
	if err := os.WriteFile(filepath.Join(folder, rejectedFile), make([]byte, 2<<20), fileMode); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, Settings{Path: folder, MaxSize: 1 << 20})
	if err := r.tryWrite(100); err != nil {
		t.Error(err)
	}
}

// A process that was replaced while it sent a batch does not change the position of its successor.
func TestReplacedProcessKeepsItsPosition(t *testing.T) {
	folder := t.TempDir()
	old := newRig(t, Settings{Path: folder}).acquire(t)
	c := old.consumer(t, "target")
	old.write(t, 100)
	b, err := c.Next()
	if err != nil || len(b.Lines) != 100 {
		t.Fatal(err)
	}
	next := newRig(t, Settings{Path: folder})
	if err := next.Seize("token"); err != nil {
		t.Fatal(err)
	}
	n := next.consumer(t, "target")
	for i := range 6 { // whatever slot the replaced process writes
		next.write(t, 50)
		read(t, n)
		want := n.Status().Acknowledged
		if err := c.Done(Result{Acknowledged: 1}); err != nil {
			t.Fatal(err)
		}
		third := newRig(t, Settings{Path: folder})
		if err := third.Seize("token"); err != nil {
			t.Fatal(err)
		}
		is := third.consumer(t, "target")
		if got := is.Status().Acknowledged; got != want {
			t.Errorf("%d: %d acknowledged, want %d", i, got, want)
		}
		third.close(t)
		if err := next.Seize("token"); err != nil {
			t.Fatal(err)
		}
		if err := n.Reload(); err != nil {
			t.Fatal(err)
		}
	}
}

// A standby finds the position file that replaced the one it had opened.
func TestPositionFileReplaced(t *testing.T) {
	folder := t.TempDir()
	active := newRig(t, Settings{Path: folder}).acquire(t)
	active.write(t, 100)
	c := active.consumer(t, "target")
	path := c.file.path
	if err := os.WriteFile(path, []byte(strings.Repeat("damaged", 10)), fileMode); err != nil {
		t.Fatal(err)
	}
	standby := newRig(t, Settings{Path: folder})
	s, err := standby.listener.Consumer("target")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Reload(); err != nil {
		t.Fatal(err)
	}
	read(t, c)
	if got := s.Status().Acknowledged; got != 100 {
		t.Errorf("the standby says %d acknowledged", got)
	}
	if err := standby.Seize("token"); err != nil {
		t.Fatal(err)
	}
	if err := standby.listener.Rescan(); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, s); len(got) > 0 {
		t.Errorf("%d records again", len(got))
	}
}
