package cli

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// IsNull says whether f is /dev/null, which is also what stands in for a
// standard output that was closed.
func IsNull(f *os.File) bool {
	info, err := f.Stat()
	null, nullErr := os.Stat(os.DevNull)
	return err == nil && nullErr == nil && os.SameFile(info, null)
}

// IsTerminal says whether w is a terminal, or an Output that writes to one.
func IsTerminal(w io.Writer) bool {
	if c, ok := w.(*Output); ok {
		w = c.W
	}
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
