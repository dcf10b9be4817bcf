package takeover

import (
	"os"

	"golang.org/x/sys/unix"
)

// ProbePath returns the error that Listen would return at a path without a listening process.
// ProbePath changes nothing. Any goroutine may call it.
func ProbePath(path string) error {
	p, err := openSocketPath(path)
	if err != nil {
		return err
	}
	defer p.close()
	if err := unix.Faccessat(p.fd(), ".", unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return hinted{&os.PathError{Op: "make a socket in", Path: p.folder.Name(), Err: err}, "run as the owner of the folder, or use another path"}
	}
	return p.checkVacant(false)
}
