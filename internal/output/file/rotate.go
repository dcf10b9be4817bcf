package file

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Rotation says when a File closes its file and begins a new one, and what happens to closed files.
// The zero Rotation rotates never.
type Rotation struct {
	Size     int64         // rotate a file of this many bytes; 0: of any size
	Every    time.Duration // rotate when the first record is this old; 0: never
	KeepSize int64         // delete the oldest closed files above this sum of bytes; 0: none
	KeepFor  time.Duration // delete files that were closed this long ago; 0: none
	Compress bool          // compress closed files by zstd (RFC 8878)
}

// Enabled reports whether files are rotated at all.
func (r Rotation) Enabled() bool { return r.Size > 0 || r.Every > 0 }

// rotateRetryDelay is the time from a failed rotation to the next attempt.
const rotateRetryDelay = time.Second

// rotationState is the state of a File that is rotated.
type rotationState struct {
	Rotation
	first   time.Time // of the first record in the open file; zero: the file has none
	retryAt time.Time // no attempt before, after a failure
	stamp   string    // of the name of the file that was closed last
	number  int       // in that name
}

var (
	errNotRegular = errors.New("only a regular file can be rotated")
	errSymlink    = errors.New("the path is a symbolic link: only a regular file can be rotated")
)

// SetRotation sets when the file is rotated. A file with records continues: its first record counts
// as old as the file is. With an error the file is not rotated: the path is a named pipe, a device
// or a symbolic link. SetRotation comes before the first write.
func (f *File) SetRotation(r Rotation) error {
	info, err := os.Lstat(f.path)
	switch {
	case err != nil:
		return WithoutPath(err)
	case info.Mode()&fs.ModeSymlink != 0:
		return errSymlink
	case !info.Mode().IsRegular():
		return errNotRegular
	}
	f.rotation = rotationState{Rotation: r, first: firstRecord(f.file)}
	return nil
}

// firstRecord returns about when the first record of a file was written: the file's birth, since a
// File makes a file shortly before the first record, or the time of the last change on a file
// system without times of birth. An empty file has no record.
func firstRecord(file *os.File) time.Time {
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return time.Time{}
	}
	var stat unix.Statx_t
	err = unix.Statx(int(file.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &stat)
	if err != nil || stat.Mask&unix.STATX_BTIME == 0 {
		return info.ModTime()
	}
	return time.Unix(stat.Btime.Sec, int64(stat.Btime.Nsec))
}

// RotationDue reports whether the file has to be rotated before the next write: it is full or old,
// and ends in a whole record. RotationDue comes after NeedsReopen.
func (f *File) RotationDue() bool {
	r := &f.rotation
	if !r.Enabled() || f.partial > 0 || f.next.Inode == 0 || f.next.Size == 0 {
		return false
	}
	now := time.Now()
	full := r.Size > 0 && f.next.Size >= r.Size
	old := r.Every > 0 && !r.first.IsZero() && now.Sub(r.first) >= r.Every
	return (full || old) && !now.Before(r.retryAt)
}

// RotateAt returns when the file will be old enough for a rotation, and the zero time for a file
// without records, or without a limit of age.
func (f *File) RotateAt() time.Time {
	r := &f.rotation
	if r.Every == 0 || r.first.IsZero() {
		return time.Time{}
	}
	at := r.first.Add(r.Every)
	if at.Before(r.retryAt) {
		at = r.retryAt
	}
	return at
}

// Rotate renames the file to a name with the present time, and opens a new file at the path. A file
// that another program has renamed keeps its name: closed is "" then. After an error records go on
// into the open file, and RotationDue reports false for a second. Rotate comes after RotationDue.
func (f *File) Rotate() (closed string, err error) {
	if closed, err = f.closeName(); err == nil {
		_, err = f.Reopen() // no incomplete record: see RotationDue
	}
	if err != nil {
		f.rotation.retryAt = time.Now().Add(rotateRetryDelay)
	}
	return closed, err
}

// closeName renames the open file if the file still has the path.
func (f *File) closeName() (closed string, err error) {
	info, err := os.Lstat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", WithoutPath(err)
	case info.Mode()&fs.ModeSymlink != 0:
		return "", errSymlink
	case !isFileOf(f.next, info):
		return "", nil
	}
	stamp, number := stampOf(time.Now()), 0
	if stamp == f.rotation.stamp {
		number = f.rotation.number + 1
	}
	for ; ; number++ {
		name := closedName(f.path, stamp, number)
		if _, err := os.Lstat(name + compressedSuffix); err == nil {
			continue
		}
		err := renameToNew(f.path, name)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			f.rotation.stamp, f.rotation.number = stamp, number
		}
		return name, err
	}
}

// renameToNew renames a file, and overwrites none. File systems without RENAME_NOREPLACE
// (renameat2(2)), such as NFS, return EINVAL: then a file that another program makes at the same
// moment is overwritten.
func renameToNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		return unix.EEXIST
	}
	return unix.Rename(from, to)
}

// Replaced reports whether another file has the path, so that a process that has not written yet
// would write to a file that another process has rotated.
func (f *File) Replaced() bool {
	open, err := f.file.Stat()
	if err != nil {
		return false
	}
	now, err := os.Stat(f.path)
	return err == nil && !os.SameFile(open, now)
}
