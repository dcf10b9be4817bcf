package top

import (
	"fmt"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/internal/overview"
)

// headline describes the process: role, version, PID, age.
func (i *instance) headline(now time.Time) string {
	if i.at.IsZero() {
		return i.state()
	}
	return cli.Printable(fmt.Sprintf("%s  %s  pid %d  started %s", i.state(), i.status.Version, i.status.PID,
		format.Ago(i.status.StartedAt, now)))
}

// badness orders instances: the head of the screen is about the instance with the largest.
func (i *instance) badness() int {
	switch {
	case i.err == nil && i.overview.State == overview.Losing:
		return 5
	case i.err != nil:
		return 4
	case len(i.overview.Warnings) > 0:
		return 3
	case i.overview.State == overview.LostBefore:
		return 2
	case !i.at.IsZero():
		return 1
	}
	return 0
}

// verdict answers whether anything was lost.
func (i *instance) verdict(now time.Time) string {
	text := i.overview.Text
	switch {
	case i.err != nil && i.at.IsZero():
		text = i.err.Error()
	case i.err != nil:
		text = fmt.Sprintf("%s (the last answer came %s)", i.err, format.Ago(i.at, now))
	case i.at.IsZero():
		text = "no answer yet"
	}
	return cli.Printable(text)
}

// mark returns a word before the verdict, so that the state needs no color.
func (i *instance) mark() string {
	switch {
	case i.err != nil:
		return "AWAY: "
	case i.overview.State == overview.Losing:
		return "LOSING: "
	}
	return ""
}

// color returns the color of the verdict.
func (i *instance) color() string {
	switch {
	case i.err != nil || i.overview.State == overview.Losing:
		return red
	case i.overview.State == overview.LostBefore:
		return yellow
	case i.overview.State == overview.NothingLost:
		return green
	}
	return ""
}

// remedies returns the remedy of the latest loss, and the first warning.
func (i *instance) remedies() (list []string) {
	add := func(label, text string) {
		if text != "" {
			list = append(list, label+": "+cli.Printable(text))
		}
	}
	if i.err != nil {
		add("hint", cli.Hint(i.err))
		return list
	}
	add("remedy", i.overview.Remedy)
	if warnings := i.overview.Warnings; len(warnings) > 0 {
		label := "warning"
		if more := len(warnings) - 1; more > 0 {
			label = fmt.Sprintf("warning, and %d more", more)
		}
		add(label, warnings[0].Text+": "+warnings[0].Remedy)
	}
	return list
}
