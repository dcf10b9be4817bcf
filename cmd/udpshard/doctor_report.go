package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/udpshard/udpshard/internal/checkup"
	"github.com/udpshard/udpshard/internal/cli"
)

// doctorReport is what doctor prints.
type doctorReport struct {
	findings []checkup.Finding
	named    bool // there are several listeners
	colour   bool
}

// wantsColour says whether w is a terminal whose user has not said no
// (no-color.org).
func wantsColour(w io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && cli.IsTerminal(w)
}

func (r doctorReport) count(level checkup.Level) (n int) {
	for _, f := range r.findings {
		if f.Level == level {
			n++
		}
	}
	return n
}

// json prints the findings as one array.
func (r doctorReport) json(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false) // remedies are to be pasted
	return encoder.Encode(r.findings)
}

// text prints a line for each finding, its remedy below it, and the sum.
func (r doctorReport) text(w io.Writer) error {
	width := 0
	for _, f := range r.findings {
		width = max(width, len(r.name(f)))
	}
	var b strings.Builder
	for _, f := range r.findings {
		fmt.Fprintf(&b, "%s  %-*s  %s\n", r.level(f.Level), width, r.name(f), f.Finding)
		if f.Remedy != "" {
			fmt.Fprintf(&b, "      %*s  remedy: %s\n", width, "", f.Remedy)
		}
	}
	fmt.Fprintf(&b, "\n%d ok, %d warn, %d fail", r.count(checkup.OK), r.count(checkup.Warn), r.count(checkup.Fail))
	if n := r.count(checkup.Skip); n > 0 {
		fmt.Fprintf(&b, ", %d skipped", n)
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

// name is what a finding is about.
func (r doctorReport) name(f checkup.Finding) string {
	if f.Listener != "" && r.named {
		return f.Check + " " + f.Listener
	}
	return f.Check
}

// level is a word of four columns, in the colour of traffic lights.
func (r doctorReport) level(l checkup.Level) string {
	word := fmt.Sprintf("%-4s", l)
	if !r.colour {
		return word
	}
	colours := map[checkup.Level]int{checkup.OK: 32, checkup.Warn: 33, checkup.Fail: 31, checkup.Skip: 90} // ECMA-48, 8.3.117
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", colours[l], word)
}
