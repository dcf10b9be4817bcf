package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/udpshard/udpshard/internal/cli"
)

// Report is the output of udpshard doctor.
type Report struct {
	Findings []Finding
	Named    bool // print the listener of each finding, for several listeners
	Color    bool // colored, for a terminal
}

// Count returns the number of findings of a level.
func (r Report) Count(level Level) (n int) {
	for _, f := range r.Findings {
		if f.Level == level {
			n++
		}
	}
	return n
}

// JSON prints the findings as one array.
func (r Report) JSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false) // a remedy can be pasted
	return encoder.Encode(r.Findings)
}

// Text prints a line for each finding, the remedy below, and the counts of each level.
func (r Report) Text(w io.Writer) error {
	width := 0
	for _, f := range r.Findings {
		width = max(width, cli.Width(r.name(f)))
	}
	var b strings.Builder
	for _, f := range r.Findings {
		name := r.name(f)
		name += strings.Repeat(" ", width-cli.Width(name))
		fmt.Fprintf(&b, "%s  %s  %s\n", r.level(f.Level), name, cli.Printable(f.Finding))
		if f.Remedy != "" {
			fmt.Fprintf(&b, "      %*s  remedy: %s\n", width, "", cli.Printable(f.Remedy))
		}
	}
	fmt.Fprintf(&b, "\n%d ok, %d warn, %d fail", r.Count(OK), r.Count(Warn), r.Count(Fail))
	if n := r.Count(Skip); n > 0 {
		fmt.Fprintf(&b, ", %d skipped", n)
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

// name returns the check of a finding, and its listener.
func (r Report) name(f Finding) string {
	if f.Listener != "" && r.Named {
		return f.Check + " " + cli.Printable(f.Listener)
	}
	return f.Check
}

// level returns a level in four columns, colored green, yellow, red or gray.
func (r Report) level(l Level) string {
	word := fmt.Sprintf("%-4s", l)
	if !r.Color {
		return word
	}
	colors := map[Level]int{OK: 32, Warn: 33, Fail: 31, Skip: 90} // ECMA-48, 8.3.117
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", colors[l], word)
}
