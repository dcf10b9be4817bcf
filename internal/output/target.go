package output

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/metrics"
)

// destination is standard output or an open file. One goroutine calls the methods, apart from
// Abandon. Begin, End and Abandon exclude each other: the caller holds a mutex.
type destination interface {
	// NeedsReopen reports whether the next write needs a Reopen first.
	NeedsReopen() bool
	// Begin logs a write of length bytes, with records of a shard, before the write is made.
	Begin(shard *metrics.Shard, length, records int)
	Write(data []byte) (int, error)
	// End logs that the records in the last n bytes are counted. A negative n logs that so many
	// bytes were cut.
	End(n int)
	// Abandon logs that the records of the write that has begun are counted as lost.
	Abandon()
	// Reopen opens the path again. It cuts an incomplete record off the end of the previous
	// file, and returns the length of that record, which has to be written again. After an
	// error the previous file stays in use.
	Reopen() (cut int, err error)
	// Close cuts an incomplete record off the end, and closes the file.
	Close() error
}

func open(name string, shard *metrics.Shard) (destination, error) {
	if name == "stdout" {
		return stdout{}, nil
	}
	return openFile(name, shard)
}

// stdout is the process's standard output, which is never closed or opened.
type stdout struct{}

// write waits for a while where others have made standard output non-blocking: that
// is a flag of the open file, which processes share (fcntl(2)), and no failure.
func (stdout) Write(data []byte) (int, error) {
	n, err := os.Stdout.Write(data)
	if errors.Is(err, unix.EAGAIN) {
		const heed = 100 // ms, and whoever gives up is heard
		_, err = unix.Poll([]unix.PollFd{{Fd: int32(os.Stdout.Fd()), Events: unix.POLLOUT}}, heed)
		if errors.Is(err, unix.EINTR) {
			err = nil
		}
	}
	return n, bare(err)
}
func (stdout) NeedsReopen() bool              { return false }
func (stdout) Begin(*metrics.Shard, int, int) {}
func (stdout) End(int)                        {}
func (stdout) Abandon()                       {}
func (stdout) Reopen() (int, error)           { return 0, nil }
func (stdout) Close() error                   { return nil }

// file is an output file that is appended to, and the log of the writes to it.
type file struct {
	path    string
	f       *os.File
	log     *metrics.WriteLog
	end     place // before the last write
	partial int   // bytes of an incomplete record at the end
	size    int64 // after the write that left the partial record
}

// openFile opens a file. Its writes are logged with the counters of shard, if these are shared.
func openFile(path string, shard *metrics.Shard) (*file, error) {
	f := &file{path: path}
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
func (f *file) Write(data []byte) (int, error) {
	n, err := f.f.Write(data)
	if n > 0 {
		f.partial += n
		if last := bytes.LastIndexByte(data[:n], '\n'); last >= 0 {
			f.partial = n - last - 1
		}
		f.size = f.end.size + int64(n)
	}
	return n, bare(err)
}

// bare drops the path from an error: whoever reports it says it.
func bare(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// NeedsReopen reports whether the file has lost its last name, and would not be found. A renamed
// file is used on: SIGHUP follows a rename. It costs less than 1 µs, once a buffer.
func (f *file) NeedsReopen() (gone bool) {
	f.end = place{}
	if info, err := f.f.Stat(); err == nil {
		f.end, gone = placeOf(info)
	}
	return gone
}

// Begin implements destination. Since no other program appends, the write begins at the size.
func (f *file) Begin(shard *metrics.Shard, length, records int) {
	f.log.Begin(shard, metrics.Write{
		Device: f.end.device, Inode: f.end.inode, Size: f.end.size, Partial: f.partial, Length: length, Records: records,
	})
}

func (f *file) End(n int) { f.log.End(n, f.partial) }
func (f *file) Abandon()  { f.log.Abandon() }

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

func (f *file) Reopen() (cut int, err error) {
	flags := os.O_WRONLY | os.O_APPEND | os.O_CREATE
	if info, err := os.Stat(f.path); err == nil && info.Mode()&fs.ModeNamedPipe != 0 {
		// Open for both a FIFO needs no reader yet and outlives the one it
		// has: records wait in it, and then for it (fifo(7)).
		flags = os.O_RDWR | syscall.O_NONBLOCK
	}
	next, err := os.OpenFile(f.path, flags, mode)
	if err != nil {
		return 0, bare(err)
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
func (f *file) cut() {
	if info, err := f.f.Stat(); f.partial > 0 && err == nil && info.Size() == f.size {
		_ = f.f.Truncate(f.size - int64(f.partial))
	}
}

func (f *file) Close() error {
	f.cut()
	return bare(f.f.Close())
}
