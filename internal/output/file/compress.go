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
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// ErrInUse: a process has the closed file open for writing, compresses the file, or has deleted it.
var ErrInUse = errors.New("the file is in use")

// errOtherContent: a compressed file with the name exists, and is not of the closed file.
var errOtherContent = errors.New("a compressed file with other content has the name")

const (
	// compressChunk is how much is compressed between two preemption points: less than a millisecond.
	compressChunk = 128 << 10
	// compressWindow bounds the memory of the encoder to a few MiB. A larger window makes files of
	// records hardly smaller.
	compressWindow = 1 << 20
)

// Uncompressed returns the closed files of a path that are not compressed, the oldest first, and
// deletes incomplete compressed files without a closed file.
func Uncompressed(path string) (names []string, err error) {
	closed, err := closedFiles(path)
	if err != nil {
		return nil, err
	}
	for _, c := range closed {
		switch {
		case c.temporary:
			original := strings.TrimSuffix(c.path, compressedSuffix+temporarySuffix)
			if _, err := os.Lstat(original); errors.Is(err, fs.ErrNotExist) {
				os.Remove(c.path) // tried again by the next call
			}
		case !c.compressed:
			names = append(names, c.path)
		}
	}
	return names, nil
}

// Compress replaces a closed file by NAME.zst, with the same owner, mode and time of change. After a
// crash at any moment, NAME or a complete NAME.zst exists. The error is ErrInUse if a process may
// append to the file, and if another process compresses or deletes the file: processes exclude each
// other by flock(2) on the file.
func Compress(ctx context.Context, name string) error {
	in, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrInUse // until a moment ago
	}
	if err != nil {
		return WithoutPath(err)
	}
	defer in.Close()
	switch err := unix.Flock(int(in.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return ErrInUse
	case err != nil:
		return fmt.Errorf("lock: %w", err)
	}
	info, err := in.Stat()
	if err != nil {
		return WithoutPath(err)
	}
	if now, err := os.Lstat(name); err != nil || !os.SameFile(now, info) {
		return ErrInUse // the process that had the lock has compressed the file
	}
	if isWritten(in) {
		return ErrInUse
	}
	target := name + compressedSuffix
	if _, err := os.Lstat(target); err == nil {
		err = sameContent(ctx, in, target) // a crash came before the removal
		if err != nil {
			return err
		}
	} else if err := writeCompressed(ctx, in, info, target); err != nil {
		return err
	}
	return WithoutPath(os.Remove(name))
}

// isWritten reports whether a process has the file open for writing. Linux grants a read lease
// (F_SETLEASE, fcntl(2)) only if no process has. A file system or an owner without leases counts as
// not written. The lease ends at once: an open for writing would wait for it.
func isWritten(f *os.File) bool {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	if err == nil {
		_, _ = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	}
	return errors.Is(err, unix.EAGAIN)
}

// writeCompressed writes the file compressed to target.tmp, and renames the complete file.
func writeCompressed(ctx context.Context, in *os.File, info fs.FileInfo, target string) (err error) {
	temporary := target + temporarySuffix
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return WithoutPath(err)
	}
	out, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return WithoutPath(err)
	}
	defer func() {
		out.Close()
		if err != nil {
			os.Remove(temporary)
		}
	}()
	stat := info.Sys().(*syscall.Stat_t)
	_ = out.Chown(int(stat.Uid), int(stat.Gid)) // only root can give a file away
	if err := out.Chmod(info.Mode().Perm()); err != nil {
		return WithoutPath(err)
	}
	n, err := encode(ctx, out, in)
	if err != nil {
		return err
	}
	if err := errors.Join(out.Sync(), os.Chtimes(temporary, time.Time{}, info.ModTime())); err != nil {
		return WithoutPath(err)
	}
	if now, err := in.Stat(); err != nil || now.Size() != n || isWritten(in) {
		return errors.Join(ErrInUse, err)
	}
	if err := renameToNew(temporary, target); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(target))
}

// encode compresses in to out, and returns the number of bytes read.
func encode(ctx context.Context, out io.Writer, in io.Reader) (n int64, err error) {
	encoder, err := zstd.NewWriter(out, zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(compressWindow),
		zstd.WithLowerEncoderMem(true))
	if err != nil {
		return 0, err
	}
	for ctx.Err() == nil {
		more, err := io.CopyN(encoder, in, compressChunk)
		n += more
		if err == io.EOF {
			return n, WithoutPath(encoder.Close())
		}
		if err != nil {
			return n, errors.Join(WithoutPath(err), encoder.Close())
		}
		runtime.Gosched() // outputs and HTTP share the CPUs that shards leave
	}
	return n, errors.Join(context.Cause(ctx), encoder.Close())
}

// syncFolder makes a new name in a folder durable.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return WithoutPath(err)
	}
	defer folder.Close()
	return WithoutPath(folder.Sync())
}

// sameContent returns nil if a compressed file has the content of a closed file.
func sameContent(ctx context.Context, in io.Reader, compressed string) error {
	f, err := os.Open(compressed)
	if err != nil {
		return WithoutPath(err)
	}
	defer f.Close()
	decoder, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return err
	}
	defer decoder.Close()
	want, got := make([]byte, compressChunk), make([]byte, compressChunk)
	for ctx.Err() == nil {
		n, wantErr := io.ReadFull(in, want)
		if _, err := io.ReadFull(decoder, got[:n]); err != nil || !bytes.Equal(want[:n], got[:n]) {
			return errOtherContent
		}
		switch wantErr {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			if n, err := decoder.Read(got); n > 0 || err != io.EOF {
				return errOtherContent
			}
			return nil
		default:
			return WithoutPath(wantErr)
		}
	}
	return context.Cause(ctx)
}
