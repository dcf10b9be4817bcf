// Package file appends records to output files, exactly: after a crash the number of records in a
// file is known.
//
// File notes each write in shared memory before the write, and once its records are counted
// (metrics.WriteLog). A process that finds an uncounted write in the counters of a dead process
// counts the records in the file, and cuts an incomplete record off its end: see Recover.
package file

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/udpshard/udpshard/metrics"
)

// File is an output file: a regular file, a named pipe or a device. Records end in a newline. One
// goroutine calls the methods, apart from Abandon.
type File struct {
	path string
	file *os.File
	log  *metrics.WriteLog
	next metrics.Write // the next write: its inode, and where it begins

	rotation rotationState
	stream   stream
	startErr error // of the preparation of the stream

	partial    int   // bytes of an incomplete record at the end
	partialEnd int64 // size of the file after the incomplete record
}

// Open opens or makes a file. If the counters of shard are shared, they have the file's write log.
func Open(path string, shard *metrics.Shard) (*File, error) {
	f := &File{path: path}
	if _, err := f.Reopen(); err != nil {
		return nil, err
	}
	f.log = shard.OpenWriteLog(path)
	return f, nil
}

// OpenStream is Open for a file with frames of dnstap, which package dnstap writes, instead of lines.
// A record is a query and perhaps its response. A file that exists must have such frames, and is
// read up to its end.
//
// The file begins in START. A file that is closed by Reopen, Rotate or Switch ends in STOP; a file
// that is closed by Close does not, because the next process continues it.
func OpenStream(path string, shard *metrics.Shard) (*File, error) {
	f := &File{path: path, stream: stream{enabled: true}}
	if _, err := f.Reopen(); err != nil {
		return nil, err
	}
	f.log = shard.OpenWriteLog(path)
	return f, nil
}

// NeedsReopen reports whether the file has lost its last name, so that nobody would find the next
// records. A renamed file stays in use until Reopen. The fstat(2) takes less than 1 µs.
func (f *File) NeedsReopen() bool {
	info, err := f.file.Stat()
	if err != nil {
		f.next = metrics.Write{}
		return false
	}
	f.next = writeAt(info)
	if f.stream.enabled {
		f.next.Size, f.startErr = f.stream.prepare(f.file, info.Size())
	}
	return info.Sys().(*syscall.Stat_t).Nlink == 0
}

// writeAt returns a write at the end of a file. Its Inode is 0 unless the file is regular. No other
// program appends to the file, so the write begins at the present size.
func writeAt(info fs.FileInfo) metrics.Write {
	if !info.Mode().IsRegular() {
		return metrics.Write{}
	}
	stat := info.Sys().(*syscall.Stat_t)
	return metrics.Write{Device: stat.Dev, Inode: stat.Ino, Size: stat.Size}
}

// Begin logs that a write of length bytes, with records of a shard, follows. It comes after
// NeedsReopen, and before Write.
func (f *File) Begin(shard *metrics.Shard, length, records int) {
	f.next.Partial, f.next.Length, f.next.Records = f.partial, length, records
	f.log.Begin(shard, f.next)
}

// Write appends data, which continues an incomplete record of the previous write.
func (f *File) Write(data []byte) (int, error) {
	if f.startErr != nil {
		return 0, WithoutPath(f.startErr)
	}
	n, err := f.file.Write(data)
	if n > 0 {
		if f.rotation.Every > 0 && f.rotation.first.IsZero() {
			f.rotation.first = time.Now()
		}
		if f.stream.enabled {
			f.partial = f.stream.wrote(data, n)
		} else if last := bytes.LastIndexByte(data[:n], '\n'); last >= 0 {
			f.partial = n - last - 1
		} else {
			f.partial += n
		}
		f.partialEnd = f.next.Size + int64(n)
	}
	return n, WithoutPath(err)
}

// Completed returns how many records the n bytes of the last Write have completed, which has not
// written all of data.
func (f *File) Completed(written []byte) int {
	if f.stream.enabled {
		return f.stream.completed
	}
	return bytes.Count(written, []byte{'\n'})
}

// End logs that the records in the n bytes of Write are counted as delivered.
func (f *File) End(n int) { f.log.End(n, f.partial) }

// Abandon logs that the records of the write that has begun are counted as lost. The caller
// excludes Begin and End meanwhile.
func (f *File) Abandon() { f.log.Abandon() }

// mode of new files: other users may not read messages (as with Debian's rsyslog).
const mode = 0o640

// Reopen opens the path again, and makes a file if there is none. It cuts an incomplete record off
// the end of the previous file, and returns the length of that record, which has to be written
// again. After an error the previous file stays in use.
func (f *File) Reopen() (cut int, err error) {
	flags := os.O_WRONLY | os.O_APPEND | os.O_CREATE
	if info, err := os.Stat(f.path); err == nil && info.Mode()&fs.ModeNamedPipe != 0 {
		// Linux opens a FIFO for reading and writing without a reader (fifo(7)). Records wait
		// in the FIFO, also while readers come and go.
		flags = os.O_RDWR | syscall.O_NONBLOCK
	}
	if f.stream.enabled {
		flags = os.O_RDWR | os.O_APPEND | os.O_CREATE
	}
	file, err := os.OpenFile(f.path, flags, mode)
	if err != nil {
		return 0, WithoutPath(err)
	}
	next := f.stream
	if next.enabled && !isSame(f.file, file) {
		if err := next.open(file); err != nil {
			file.Close()
			return 0, err
		}
	}
	if f.file != nil {
		f.closePrevious(file)
	}
	next.partial = nil
	f.stream = next
	cut, f.partial, f.partialEnd, f.file = f.partial, 0, 0, file
	if f.rotation.Enabled() {
		f.rotation.first, f.rotation.retryAt = firstRecord(file), time.Time{}
	}
	return cut, nil
}

// Switch is Reopen for another path in the same folder.
func (f *File) Switch(path string) (cut int, err error) {
	before := f.path
	f.path = path
	if cut, err = f.Reopen(); err != nil {
		f.path = before
	}
	return cut, err
}

// isSame reports whether two descriptors are of one file; either may be nil.
func isSame(a, b *os.File) bool {
	was, err := a.Stat()
	is, otherErr := b.Stat()
	return err == nil && otherErr == nil && os.SameFile(was, is)
}

// closePrevious closes the file that next replaces. If that is another file, and this process was
// the last that has written to the closed file, the stream ends.
func (f *File) closePrevious(next *os.File) {
	f.cutPartial()
	info, err := f.file.Stat()
	if f.stream.enabled && !isSame(f.file, next) && err == nil && f.partialEnd > 0 &&
		info.Size() == f.partialEnd-int64(f.partial) {
		f.stream.finish(f.file)
	}
	f.file.Close()
}

// cutPartial cuts an incomplete record off the end, unless another program has appended since. A
// failure is ignored: the record is written again to another file, or counted as lost.
func (f *File) cutPartial() {
	if info, err := f.file.Stat(); f.partial > 0 && err == nil && info.Size() == f.partialEnd {
		_ = f.file.Truncate(f.partialEnd - int64(f.partial))
	}
}

// Close cuts an incomplete record off the end, and closes the file.
func (f *File) Close() error {
	f.cutPartial()
	return WithoutPath(f.file.Close())
}

// WithoutPath returns the error in an fs.PathError: reports name the output already.
func WithoutPath(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
