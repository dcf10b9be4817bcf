package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// PrintError prints each error, with its remedy on the next line.
func PrintError(w io.Writer, err error) {
	var text strings.Builder
	for _, err := range Separate(err) {
		fmt.Fprintln(&text, "udpshard: error:", err)
		if hint := Hint(err); hint != "" {
			fmt.Fprintln(&text, "udpshard: hint:", hint)
		}
	}
	WriteLast(w, text.String())
}

// lastTimeout is how long the write of the last lines may take before the process exits without
// them. A pipe without a reader blocks the write, and a standby waits for the end of the process.
const lastTimeout = time.Second

// WriteLast writes a text, for as long as lastTimeout. The caller exits next: the write
// may still be under way.
func WriteLast(w io.Writer, text string) {
	written := make(chan struct{})
	go func() {
		defer close(written)
		io.WriteString(w, text)
	}()
	select {
	case <-written:
	case <-time.After(lastTimeout):
	}
}

// Output is a standard output that keeps its first error for the end of the command: few callers
// check the errors of writes.
type Output struct {
	W   io.Writer
	Err error // of the first failed Write
}

// Write implements io.Writer. Write returns no error, and writes nothing after the first error.
func (o *Output) Write(p []byte) (int, error) {
	if o.Err == nil {
		_, o.Err = o.W.Write(p)
	}
	return len(p), nil
}

// Direct returns the writer of an Output, whose errors are returned: for long outputs, which end
// with the first error.
func Direct(w io.Writer) io.Writer {
	if o, ok := w.(*Output); ok {
		return o.W
	}
	return w
}

// PrintJSON prints a value as indented JSON.
func PrintJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
