package spool

import (
	"slices"
	"sync"
	"testing"
)

// Several consumers that trim at the same moment remove no segment that one of them still needs.
func TestConsumersTrimTogether(t *testing.T) {
	r := newRig(t, Settings{Path: t.TempDir(), SegmentSize: 1}).acquire(t)
	slow := r.consumer(t, "slow")
	var fast []*Consumer
	for _, name := range []string{"a", "b", "c", "d"} {
		fast = append(fast, r.consumer(t, name))
	}
	for range 300 {
		r.write(t, 1)
	}
	for range 100 {
		b, err := slow.Next()
		if err != nil {
			t.Fatal(err)
		}
		if err := slow.Done(Result{Acknowledged: len(b.Lines)}); err != nil {
			t.Fatal(err)
		}
		var together sync.WaitGroup
		for _, c := range fast {
			read(t, c)
			together.Go(c.Trim)
		}
		together.Wait()
	}
	wantRecords(t, read(t, slow), 100, 200)
}

// A target that is no longer configured keeps no segment, and begins anew when it comes back.
func TestRemovedTarget(t *testing.T) {
	folder := t.TempDir()
	r := newRig(t, Settings{Path: folder, SegmentSize: 64 << 10}).acquire(t)
	r.consumer(t, "kept")
	read(t, r.consumer(t, "gone"))
	r.write(t, 10)
	r.close(t)

	again := newRig(t, Settings{Path: folder, SegmentSize: 64 << 10}).acquire(t)
	kept := again.consumer(t, "kept")
	if waiting := again.listener.Abandon(); waiting["gone"] != 10 {
		t.Errorf("%v", waiting)
	}
	wantRecords(t, read(t, kept), 0, 10)
	again.next = 10
	again.write(t, 5)
	wantRecords(t, read(t, again.consumer(t, "gone")), 10, 5)
	if again.events != nil {
		t.Errorf("%+v", again.events)
	}
}

func TestOtherListeners(t *testing.T) {
	r := newRig(t, Settings{Path: t.TempDir()})
	other, err := r.Spool.Listener("a/b c")
	if err != nil {
		t.Fatal(err)
	}
	w := other.Writer(0, r.counters)
	if _, err := w.Reopen(); err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.write(t, 1)
	if others, err := r.OtherListeners([]string{"syslog"}); err != nil || !slices.Equal(others, []string{"a/b c"}) {
		t.Errorf("%q, %v", others, err)
	}
	if others, err := r.OtherListeners([]string{"syslog", "a/b c"}); err != nil || others != nil {
		t.Errorf("%q, %v", others, err)
	}
}

// A process that has the lock, and has not written its token yet, is not taken for a stranger.
func TestOwnerIsAwaited(t *testing.T) {
	r := newRig(t, Settings{Path: t.TempDir()}).acquire(t)
	if err := r.lock.file.Truncate(0); err != nil {
		t.Fatal(err)
	}
	checked := make(chan error)
	other := newRig(t, Settings{Path: r.Path})
	go func() { checked <- other.CheckLock("token") }()
	if err := r.lock.write("token"); err != nil {
		t.Fatal(err)
	}
	if err := <-checked; err != nil {
		t.Error(err)
	}
	if err := other.CheckLock("another"); err == nil {
		t.Error("the lock of a stranger is not found")
	}
}
