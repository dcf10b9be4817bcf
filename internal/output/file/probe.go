package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// maxLinks is how many symbolic links a path may lead through (path_resolution(7)).
const maxLinks = 40

// Probe returns the error with which Open would fail, and opens and makes nothing: it asks for the
// permissions (faccessat2(2)) of the file, or of the folder in which it would be made.
func Probe(path string) error { return WithoutPath(probe(path)) }

func probe(path string) error {
	for range maxLinks {
		info, err := os.Stat(path)
		switch {
		case err == nil && info.IsDir():
			return unix.EISDIR
		case err == nil && info.Mode()&fs.ModeSocket != 0:
			return unix.ENXIO // open(2)
		case err == nil && info.Mode()&fs.ModeNamedPipe != 0:
			return may(path, unix.R_OK|unix.W_OK)
		case err == nil:
			return may(path, unix.W_OK)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		target, err := os.Readlink(path)
		if err != nil { // it is no link that leads to nothing yet
			return mayMake(filepath.Dir(path))
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return unix.ELOOP
}

// mayMake says whether a file can be made in a folder.
func mayMake(folder string) error {
	switch info, err := os.Stat(folder); {
	case err != nil:
		return err
	case !info.IsDir():
		return unix.ENOTDIR
	}
	return may(folder, unix.W_OK|unix.X_OK)
}

func may(path string, mode uint32) error {
	return unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS)
}
