// Package file writes output files, and notes each write in shared memory so that the number of
// records in the file is known after a crash (Recover).
package file

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/udpshard/udpshard/metrics"
)

// File is an output file that is appended to, and the log of the writes to it.
type File struct {
	path    string
	f       *os.File
	log     *metrics.WriteLog
	end     place // before the last write
	partial int   // bytes of an incomplete record at the end
	size    int64 // after the write that left the partial record
}

// Open opens a file. Its writes are logged with the counters of shard, if these are shared.
func Open(path string, shard *metrics.Shard) (*File, error) {
	f := &File{path: path}
	if _, err := f.Reopen(); err != nil {
		return nil, err
	}
	f.log = shard.OpenWriteLog(path)
	return f, nil
}

// mode of new files: messages are not for everybody (as Debian's rsyslog).
const mode = 0o640

// Write appends data. Between calls the file ends in a whole record, or in a part of one that
// the next data continues.
func (f *File) Write(data []byte) (int, error) {
	n, err := f.f.Write(data)
	if n > 0 {
		f.partial += n
		if last := bytes.LastIndexByte(data[:n], '\n'); last >= 0 {
			f.partial = n - last - 1
		}
		f.size = f.end.size + int64(n)
	}
	return n, WithoutPath(err)
}

// WithoutPath returns the error of a call without the path, which the reports of an output have.
func WithoutPath(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// NeedsReopen reports whether the file has lost its last name, and would not be found. A renamed
// file is used on: SIGHUP follows a rename. It costs less than 1 µs, once a buffer.
func (f *File) NeedsReopen() (gone bool) {
	f.end = place{}
	if info, err := f.f.Stat(); err == nil {
		f.end, gone = placeOf(info)
	}
	return gone
}

// Begin implements destination. Since no other program appends, the write begins at the size.
func (f *File) Begin(shard *metrics.Shard, length, records int) {
	f.log.Begin(shard, metrics.Write{
		Device: f.end.device, Inode: f.end.inode, Size: f.end.size, Partial: f.partial, Length: length, Records: records,
	})
}

func (f *File) End(n int) { f.log.End(n, f.partial) }
func (f *File) Abandon()  { f.log.Abandon() }

// place is the end of a regular file; the zero place is anywhere else.
type place struct {
	device, inode uint64
	size          int64
}

func placeOf(info fs.FileInfo) (at place, gone bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return place{}, false
	}
	if info.Mode().IsRegular() {
		at = place{device: stat.Dev, inode: stat.Ino, size: stat.Size}
	}
	return at, stat.Nlink == 0
}

func (f *File) Reopen() (cut int, err error) {
	flags := os.O_WRONLY | os.O_APPEND | os.O_CREATE
	if info, err := os.Stat(f.path); err == nil && info.Mode()&fs.ModeNamedPipe != 0 {
		// Open for both a FIFO needs no reader yet and outlives the one it
		// has: records wait in it, and then for it (fifo(7)).
		flags = os.O_RDWR | syscall.O_NONBLOCK
	}
	next, err := os.OpenFile(f.path, flags, mode)
	if err != nil {
		return 0, WithoutPath(err)
	}
	if f.f != nil {
		f.cut()
		f.f.Close()
	}
	cut, f.partial, f.f = f.partial, 0, next
	return cut, nil
}

// cut removes an incomplete record from the end of the file, unless another program has appended
// since. Where that fails the file keeps a part of a record, which is written whole elsewhere, or
// counted as lost.
func (f *File) cut() {
	if info, err := f.f.Stat(); f.partial > 0 && err == nil && info.Size() == f.size {
		_ = f.f.Truncate(f.size - int64(f.partial))
	}
}

func (f *File) Close() error {
	f.cut()
	return WithoutPath(f.f.Close())
}
