package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Probe returns the error with which Open would fail, and opens and makes nothing: Probe asks for
// the permissions (faccessat2(2)) of the file, or of the folder in which Open would make the file.
func Probe(path string) error { return WithoutPath(probe(path)) }

func probe(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return unix.EISDIR
	case err == nil && info.Mode()&fs.ModeSocket != 0:
		return unix.ENXIO // open(2)
	case err == nil && info.Mode()&fs.ModeNamedPipe != 0:
		return access(path, unix.R_OK|unix.W_OK)
	case err == nil:
		return access(path, unix.W_OK)
	case !errors.Is(err, fs.ErrNotExist): // ELOOP for a circle of symbolic links
		return err
	}
	folder := filepath.Dir(path)
	if target, err := os.Readlink(path); err == nil {
		if !filepath.IsAbs(target) {
			target = filepath.Join(folder, target)
		}
		return probe(target)
	}
	switch info, err := os.Stat(folder); {
	case err != nil:
		return err
	case !info.IsDir():
		return unix.ENOTDIR
	}
	return access(folder, unix.W_OK|unix.X_OK)
}

func access(path string, mode uint32) error {
	return unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS)
}
