package output

import (
	"context"
	"errors"
	"time"

	"github.com/udpshard/udpshard/internal/output/file"
)

// archiving deletes and compresses the closed files of a writer, in a goroutine of its own: a slow
// file system delays no record.
type archiving struct {
	Rotation
	writer  *writer
	rotated chan struct{} // a file was closed
	done    chan struct{} // closed at the end of the goroutine
	failing map[Task]bool // the last attempt of the task has failed
}

// archiveInterval is the time between two looks at the closed files: files reach their age, and
// files that were in use can be compressed.
const archiveInterval = time.Minute

// startArchiving starts the goroutine, which waits for Activate.
func (w *writer) startArchiving(r Rotation) {
	if r.KeepSize == 0 && r.KeepFor == 0 && !r.Compress {
		return
	}
	w.archiving = &archiving{Rotation: r, writer: w, rotated: make(chan struct{}, 1),
		done: make(chan struct{}), failing: make(map[Task]bool)}
	go w.archiving.run()
}

// wake makes the goroutine look at the closed files.
func (a *archiving) wake() {
	if a == nil {
		return
	}
	select {
	case a.rotated <- struct{}{}:
	default:
	}
}

// wait waits until the goroutine has ended after Close, or ctx has ended. An incomplete compressed
// file that the end of the process leaves is deleted by the next process.
func (a *archiving) wait(ctx context.Context) {
	if a == nil {
		return
	}
	select {
	case <-a.done:
	case <-ctx.Done():
	}
}

func (a *archiving) run() {
	defer close(a.done)
	set := a.writer.set
	select {
	case <-set.active:
	case <-set.closed:
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-set.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	ticker := time.NewTicker(archiveInterval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		a.retain()
		if a.Compress {
			a.compress(ctx)
		}
		select {
		case <-a.rotated:
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// retain deletes closed files.
func (a *archiving) retain() {
	deleted, err := file.Retain(a.writer.name, a.Rotation, time.Now())
	for _, name := range deleted {
		a.writer.set.report(Event{Destination: a.writer.name, Task: Delete, File: name})
	}
	a.result(Delete, "", err)
}

// compress compresses closed files, one at a time in the process, and deletes closed files between
// two files.
func (a *archiving) compress(ctx context.Context) {
	names, err := file.Uncompressed(a.writer.name)
	for _, name := range names {
		select {
		case a.writer.set.compress <- struct{}{}:
		case <-ctx.Done():
			return
		}
		one := file.Compress(ctx, name)
		<-a.writer.set.compress
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(one, file.ErrInUse): // tried again after archiveInterval
		case one != nil:
			a.result(Compress, name, one)
			return
		default:
			a.writer.set.report(Event{Destination: a.writer.name, Task: Compress, File: name + ".zst"})
		}
		a.retain()
	}
	a.result(Compress, "", err)
}

// result reports the first of a row of failures.
func (a *archiving) result(task Task, name string, err error) {
	if err != nil && !a.failing[task] {
		a.writer.set.report(Event{Destination: a.writer.name, Task: task, File: name, Err: err})
	}
	a.failing[task] = err != nil
}
