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
	"slices"
	"syscall"

	"github.com/udpshard/udpshard/internal/dnstap"
	"github.com/udpshard/udpshard/metrics"
)

// Recover returns how many records of an uncounted write are in its file, for
// metrics.Inheritance.Finalize. The process that began the write has ended. Then Recover cuts an
// incomplete record off the end of the file, so that every line is a whole record. Recover also
// finds a file that was renamed within its folder.
//
// After an error records counts what is known, and nothing is cut: the file is missing, another
// program has changed the file, or the file system did not answer before the end of ctx.
//
// A named pipe, a device and standard output can't be read back. The records of an uncounted write
// there, one buffer at most, count as lost, though a reader may have them.
func Recover(ctx context.Context, w metrics.Write) (records int, err error) {
	if w.Inode == 0 || !w.Uncounted && w.Partial == 0 {
		return 0, nil
	}
	s := inspect(ctx, func() state { return examine(w) })
	defer s.file.Close()
	if s.err == nil && s.end < s.size { // the file system has answered a moment ago
		s.err = WithoutPath(s.file.Truncate(s.end))
	}
	return s.records, s.err
}

// CountRecords is Recover for a writer that is stopped, and may resume: CountRecords changes
// nothing.
func CountRecords(ctx context.Context, w metrics.Write) (records int, err error) {
	if w.Inode == 0 || !w.Uncounted {
		return 0, nil
	}
	s := inspect(ctx, func() state { return examine(w) })
	defer s.file.Close()
	return s.records, s.err
}

// state of the file of a write.
type state struct {
	file      *os.File // nil: not found
	records   int      // that the write has brought
	end, size int64    // end of the last whole record, and size of the file, in bytes
	err       error
}

var errNoAnswer = errors.New("no answer from the file system in time: records of the last write " +
	"count as lost")

// inspect calls examine, and returns errNoAnswer if ctx ends first: a system call that hangs, as on
// a network file system whose server is down, can't be interrupted. examine changes nothing, since
// it may return late.
func inspect(ctx context.Context, examine func() state) state {
	states := make(chan state, 1)
	go func() { states <- examine() }()
	select {
	case s := <-states:
		return s
	case <-ctx.Done():
		go func() { (<-states).file.Close() }()
		return state{err: errNoAnswer}
	}
}

// examine opens the file of a write, and counts the records that the write has brought.
func examine(w metrics.Write) (s state) {
	if s.file, s.err = find(w); s.err != nil {
		consequence := "the last line may be incomplete"
		if w.Uncounted {
			consequence = fmt.Sprintf("up to %d records of the last write count as lost, though the file may have them", w.Records)
		}
		s.err = fmt.Errorf("%s: %w", consequence, s.err)
		return s
	}
	info, err := s.file.Stat()
	if err != nil {
		s.err = WithoutPath(err)
		return s
	}
	s.size = info.Size()
	begin, limit := w.Size-int64(w.Partial), w.Size
	if w.Uncounted {
		limit += int64(w.Length)
	}
	switch {
	case s.size < begin:
		s.err = fmt.Errorf("another program has cut the file: %d bytes, and %d before the last write", s.size, w.Size)
		return s
	case s.size > limit:
		s.err = fmt.Errorf("another program has appended: %d bytes, and at most %d after the last write", s.size, limit)
	}
	count := CountLines
	if isStream(s.file) {
		count = dnstap.Scan
	}
	records, length, err := count(io.NewSectionReader(s.file, begin, s.size-begin))
	s.end = begin + length
	if w.Uncounted {
		s.records = min(records, w.Records)
	}
	s.err = errors.Join(s.err, err)
	return s
}

// CountLines returns the number of whole lines, and the end of the last, in bytes.
func CountLines(r io.Reader) (lines int, end int64, err error) {
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

// find opens the file of a write at its path, or at another name in the same folder.
func find(w metrics.Write) (*os.File, error) {
	f, err := openSame(w.Path, w)
	if f != nil {
		return f, nil
	}
	folder := filepath.Dir(w.Path)
	entries, listErr := os.ReadDir(folder)
	if listErr != nil {
		return nil, errors.Join(err, WithoutPath(listErr))
	}
	for _, entry := range slices.Backward(entries) { // of segments, the last one is the newest
		info, err := entry.Info()
		if err != nil || !isFileOf(w, info) { // an error: removed meanwhile
			continue
		}
		if f, err := openSame(filepath.Join(folder, entry.Name()), w); f != nil || err != nil {
			return f, err
		}
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("no file of inode %d in the folder", w.Inode)
	}
	return nil, err
}

// openSame opens the file of a write, and returns nil if path is another file.
func openSame(path string, w metrics.Write) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0) // a named pipe does not wait for a writer
	if err != nil {
		return nil, WithoutPath(err)
	}
	if info, err := f.Stat(); err == nil && isFileOf(w, info) {
		return f, nil
	}
	return nil, f.Close()
}

func isFileOf(w metrics.Write, info fs.FileInfo) bool {
	at := writeAt(info)
	return at.Inode == w.Inode && at.Device == w.Device
}
