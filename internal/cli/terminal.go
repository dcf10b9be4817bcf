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
	f := file(w)
	if f == nil {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// file returns the file of w, of an Output too, or nil.
func file(w io.Writer) *os.File {
	if o, ok := w.(*Output); ok {
		w = o.W
	}
	f, _ := w.(*os.File)
	return f
}

// WantsColor reports whether w is a terminal, and NO_COLOR is not set (no-color.org).
func WantsColor(w io.Writer) bool { return os.Getenv("NO_COLOR") == "" && IsTerminal(w) }

const (
	defaultWidth = 80  // columns of text where no terminal says its width
	maxWidth     = 100 // longer lines are harder to read
)

// textWidth returns how many columns a line of text on w may have.
func textWidth(w io.Writer) int {
	f := file(w)
	if f == nil {
		return defaultWidth
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 { // no terminal, or one that does not know
		return defaultWidth
	}
	return min(int(size.Col), maxWidth)
}
