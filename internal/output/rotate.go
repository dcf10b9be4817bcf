package output

import (
	"time"

	"github.com/udpshard/udpshard/internal/output/file"
)

// Rotation says when an output file is closed and renamed, and what happens to closed files.
type Rotation = file.Rotation

// Task is a task of an output with a Rotation, in an Event.
type Task string

// The tasks of an output with a Rotation.
const (
	Rotate   Task = "rotate"   // close the file, and begin a new file
	Compress Task = "compress" // compress a closed file
	Delete   Task = "delete"   // delete a closed file
)

// SetRotation sets the rotation of the file of an output and a shard, before Open. The rotation of a
// path that is no regular file has no effect: an Event with the task Rotate has the error.
func (s *Set) SetRotation(spec string, shard int, r Rotation) {
	name, isFile := Path(spec, shard)
	if !isFile {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rotations[name] = r
}

// Activate lets the files be rotated when they are old, and closed files be compressed and deleted,
// from now until Close. A process that stands by for another process with the same files has not
// called Activate. A second call has no effect.
func (s *Set) Activate() { s.activated.Do(func() { close(s.active) }) }

// replacedInterval is how often a standby looks whether the active process has rotated the file.
// Meanwhile the standby keeps the closed file from being compressed, and its space from being free.
const replacedInterval = time.Minute

// rotation is the rotation of a writer's file, for the goroutine of the writer.
type rotation struct {
	file    *file.File
	active  <-chan struct{} // closed by Activate; nil afterwards
	standby *time.Ticker    // until then
	old     *time.Timer     // the file is old
	awaited bool            // old runs
	failing time.Time       // the first of a row of failures; zero: the last rotation succeeded
}

// never is the rotation of a destination that is not rotated.
var never = &rotation{standby: &time.Ticker{}, old: &time.Timer{}}

func (r *rotation) orNever() *rotation {
	if r == nil {
		return never
	}
	return r
}

// setRotation lets w rotate its file. The goroutine of w does not run yet.
func (w *writer) setRotation(f *file.File, r Rotation) {
	if err := f.SetRotation(r); err != nil {
		w.set.report(Event{Destination: w.name, Task: Rotate, Err: err})
		return
	}
	w.rotation = &rotation{file: f, active: w.set.active, standby: time.NewTicker(replacedInterval),
		old: time.NewTimer(time.Hour)}
	w.rotation.old.Stop()
	w.startArchiving(r)
}

func (r *rotation) activate() {
	r.active = nil
	r.standby.Stop()
}

func (r *rotation) stop() {
	if r != never {
		r.standby.Stop()
		r.old.Stop()
	}
}

// await starts the timer for a rotation by age, if the timer does not run. A process that is not
// active waits for its first write.
func (r *rotation) await() {
	if r == nil || r.awaited {
		return
	}
	if at := r.file.RotateAt(); !at.IsZero() {
		r.awaited = true
		r.old.Reset(time.Until(at))
	}
}

// rotateOld rotates an old file without waiting for the next record.
func (w *writer) rotateOld() {
	w.rotation.awaited = false
	if !w.dest.NeedsReopen() {
		w.rotateIfDue()
		w.rotation.await()
	}
}

// reopenReplaced opens the file anew if another process has rotated the file. Records that this
// process has written to the closed file stay there.
func (w *writer) reopenReplaced() {
	if w.rotation.file.Replaced() {
		w.tryReopen(nil)
	}
}

// rotateIfDue rotates the file if necessary, and reports whether another file is open now. After a
// failure records go on into the open file. rotateIfDue comes after NeedsReopen.
func (w *writer) rotateIfDue() bool {
	r := w.rotation
	if r == nil || !r.file.RotationDue() {
		return false
	}
	closed, err := r.file.Rotate()
	event := Event{Destination: w.name, Task: Rotate, Err: err, File: closed}
	switch {
	case err != nil && r.failing.IsZero():
		r.failing = time.Now()
		w.set.report(event)
	case err == nil:
		if !r.failing.IsZero() {
			event.Failing, r.failing = time.Since(r.failing), time.Time{}
		}
		w.set.report(event)
	}
	w.archiving.wake()
	return err == nil
}
