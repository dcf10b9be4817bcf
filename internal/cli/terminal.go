package cli

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// IsNull reports whether f is /dev/null, which is also what a closed standard output is replaced
// by.
func IsNull(f *os.File) bool {
	info, err := f.Stat()
	null, nullErr := os.Stat(os.DevNull)
	return err == nil && nullErr == nil && os.SameFile(info, null)
}

// IsTerminal reports whether w is a terminal, or an Output on a terminal.
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
