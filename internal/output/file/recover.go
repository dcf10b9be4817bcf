package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/udpshard/udpshard/metrics"
)

// Recover looks at a file for what a write has brought there whose writer died
// before it could count it, and returns how many records that are: it is for
// metrics.Inheritance.Finalize. Then it cuts the beginning of a record off the file's
// end, which nothing will complete any more, so that every line of it is one.
// A file that was renamed in its folder since is found there.
//
// An error says that the file can't be found, or that somebody else has
// changed it: then what is known is counted, and nothing cut.
//
// In a named pipe, a device, or on standard output nothing can be looked at. A
// write that was under way there counts as none: its records, one buffer at
// the most, are lost in the crash, though a reader may have them. Likewise no record is
// counted where the file system does not answer before ctx is done.
func Recover(ctx context.Context, w metrics.Write) (records int, err error) {
	if w.Inode == 0 || !w.Uncounted && w.Partial == 0 {
		return 0, nil
	}
	l, err := look(ctx, func() (looked, error) { return lookAt(w) })
	if l.file == nil {
		return 0, err
	}
	defer l.file.Close()
	if err != nil || l.end == l.size {
		return l.records, err
	}
	return l.records, WithoutPath(l.file.Truncate(l.end)) // the file system has answered a moment ago
}

// Written is Recover for a writer that does not run, but may do so again: it
// changes nothing.
func Written(ctx context.Context, w metrics.Write) (records int, err error) {
	if w.Inode == 0 || !w.Uncounted {
		return 0, nil
	}
	l, err := look(ctx, func() (looked, error) { return lookAt(w) })
	if l.file != nil {
		l.file.Close()
	}
	return l.records, err
}

// looked is the state of a file: the number of records there of a write, the end of the last
// whole record, and the size of the file, in bytes.
type looked struct {
	file      *os.File // nil: it was not found
	records   int
	end, size int64
}

func lookAt(w metrics.Write) (l looked, err error) {
	if l.file, err = find(w); err != nil {
		return looked{}, err
	}
	l.records, l.end, l.size, err = measure(l.file, w)
	return l, err
}

// errNoAnswer says that a call to a file system has not returned in time, as on a network file
// system whose server is down.
var errNoAnswer = errors.New("the file system does not answer: records of the last write count " +
	"as lost")

// look runs at in a goroutine, and returns errNoAnswer if ctx is done first: a call to a file
// system that hangs can't be interrupted. at must change nothing, since it may return later.
func look(ctx context.Context, at func() (looked, error)) (looked, error) {
	type answer struct {
		looked
		err error
	}
	answers, left := make(chan answer), make(chan struct{})
	defer close(left)
	go func() {
		l, err := at()
		select {
		case answers <- answer{l, err}:
		case <-left:
			if l.file != nil {
				l.file.Close()
			}
		}
	}()
	select {
	case a := <-answers:
		return a.looked, a.err
	case <-ctx.Done():
		return looked{}, errNoAnswer
	}
}

// measure returns how many records a write has brought to its file, where the
// last whole one ends, and the size of the file.
func measure(f *os.File, w metrics.Write) (records int, end, size int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, 0, 0, WithoutPath(err)
	}
	size = info.Size()
	begin := w.Size - int64(w.Partial)
	switch {
	case size < begin:
		return 0, 0, 0, fmt.Errorf("it has %d bytes, and had %d before the last write: somebody has cut it", size, w.Size)
	case !w.Uncounted && size > w.Size, w.Uncounted && size > w.Size+int64(w.Length):
		err = fmt.Errorf("it has %d bytes, and the last write ends at %d at the most: somebody else has appended", size, w.Size+int64(w.Length))
	}
	lines, length, readErr := count(io.NewSectionReader(f, begin, size-begin))
	if w.Uncounted {
		records = min(lines, w.Records)
	}
	return records, begin + length, size, errors.Join(err, readErr)
}

// count returns how many lines there are, and where the last one ends.
func count(r io.Reader) (lines int, end int64, err error) {
	chunk := make([]byte, 64<<10)
	for at := int64(0); ; {
		n, err := r.Read(chunk)
		lines += bytes.Count(chunk[:n], []byte{'\n'})
		if last := bytes.LastIndexByte(chunk[:n], '\n'); last >= 0 {
			end = at + int64(last) + 1
		}
		at += int64(n)
		if err == io.EOF {
			return lines, end, nil
		}
		if err != nil {
			return lines, end, WithoutPath(err)
		}
	}
}

// find opens the file that was written to. The error says what follows from it.
func find(w metrics.Write) (*os.File, error) {
	f, err := search(w)
	switch {
	case err != nil && w.Uncounted:
		return nil, fmt.Errorf("up to %d records of its last write count as lost, though they may be there: %w", w.Records, err)
	case err != nil:
		return nil, fmt.Errorf("its last line may be cut short: %w", err)
	}
	return f, nil
}

// search looks for it by its path, or under another name in the same folder.
func search(w metrics.Write) (*os.File, error) {
	f, err := openPlace(w.Path, w)
	if f != nil {
		return f, nil
	}
	names, listErr := os.ReadDir(filepath.Dir(w.Path))
	if listErr != nil {
		return nil, errors.Join(err, WithoutPath(listErr))
	}
	for _, name := range names {
		info, err := name.Info()
		if err != nil {
			continue // it has gone meanwhile
		}
		if at, _ := placeOf(info); at.inode != w.Inode || at.device != w.Device {
			continue
		}
		if f, err := openPlace(filepath.Join(filepath.Dir(w.Path), name.Name()), w); f != nil {
			return f, nil
		} else if err != nil {
			return nil, err
		}
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("the file of inode %d is not in its folder any more", w.Inode)
	}
	return nil, err
}

// openPlace opens a file if it is the one that was written to, and returns nil
// if it is another one.
func openPlace(path string, w metrics.Write) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0) // not to wait at a named pipe
	if err != nil {
		return nil, WithoutPath(err)
	}
	if info, err := f.Stat(); err == nil {
		if at, _ := placeOf(info); at.inode == w.Inode && at.device == w.Device {
			return f, nil
		}
	}
	return nil, f.Close()
}
