package top

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/udpshard/udpshard/internal/cli"
)

// Codes of the terminal (ECMA-48, SGR). Terminals without colors show the same texts.
const (
	bold    = "\x1b[1m"
	faint   = "\x1b[2m"
	inverse = "\x1b[7m"
	red     = "\x1b[1;31m"
	green   = "\x1b[32m"
	yellow  = "\x1b[33m"
	plain   = "\x1b[m"
)

// screen is what a screen shows.
type screen struct {
	width, height int
	interval      time.Duration
	now           time.Time
	instances     []*instance
	lines         []line // of the table, sorted
	selected      int    // position in lines
	first         int    // position in lines of the first visible line
	sortBy        int    // position in columns
	reverse       bool
	paused        bool
	summed        bool
}

// text returns the lines of the screen.
func (s *screen) text() string {
	head, targets, foot := s.head(), s.targets(s.height/3), s.foot()
	room := s.room(len(head) + len(targets) + len(foot))
	s.first = max(0, min(s.first, s.selected, len(s.lines)-room))
	s.first = max(s.first, s.selected-room+1)
	visible := s.lines[s.first:min(len(s.lines), s.first+room)]
	all := append(head, s.table(visible)...)
	for range room - len(visible) {
		all = append(all, "")
	}
	all = append(append(all, targets...), foot...)
	return fit(strings.Join(all, "\n"), s.width, s.height)
}

// fit cuts a text to the size of a screen.
func fit(text string, width, height int) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	lines = lines[:min(len(lines), height)]
	for i := range lines {
		lines[i] = ansi.Truncate(lines[i], width, "…")
	}
	return strings.Join(lines, "\n")
}

// room returns how many lines of the table are visible beside other lines and the heading.
func (s *screen) room(others int) int { return max(1, s.height-others-1) }

// head returns the first lines: the process and what the status means. Of several instances, these are
// of the instance with the worst state.
func (s *screen) head() (list []string) {
	worst := s.instances[0]
	for _, i := range s.instances {
		if i.badness() > worst.badness() {
			worst = i
		}
	}
	title := worst.name + "  " + worst.headline(s.now)
	if len(s.instances) > 1 {
		title = s.answering()
	}
	clock := s.now.Format(time.TimeOnly)
	if s.paused {
		clock = "PAUSED " + clock
	}
	list = append(list, s.justify(bold+ansi.Truncate(title, max(0, s.width-len(clock)-2), "…")+plain, clock))
	verdict := worst.verdict(s.now)
	if len(s.instances) > 1 && worst.err == nil { // an error has the name
		verdict = worst.name + ": " + verdict
	}
	for _, l := range wrap(worst.mark()+verdict, s.width, 3) {
		list = append(list, worst.color()+l+plain)
	}
	for _, l := range worst.remedies() {
		list = append(list, wrap(l, s.width, 2)...)
	}
	for _, i := range s.instances {
		if i.event != "" && s.now.Sub(i.eventAt) < showEvent {
			list = append(list, bold+i.eventAt.Format(time.TimeOnly)+" "+i.name+": "+i.event+plain)
		}
	}
	return append(list, "")
}

// showEvent is how long an event is shown.
const showEvent = time.Minute

// answering says how many instances answer.
func (s *screen) answering() string {
	n := 0
	for _, i := range s.instances {
		if i.err == nil && !i.at.IsZero() {
			n++
		}
	}
	return fmt.Sprintf("%d of %d instances answer", n, len(s.instances))
}

// foot returns the last lines: the details of the selected row, and the keys.
func (s *screen) foot() []string {
	detail := ""
	if s.selected < len(s.lines) {
		detail = cli.Printable(s.lines[s.selected].detail)
	}
	lines := wrap(detail, s.width, 2)
	order := columns[s.sortBy].short
	if s.reverse {
		order += ", reversed"
	}
	keys := "q quit  ? help  s sort  r reverse  tab shards  space pause"
	if len(s.instances) > 1 {
		keys = "q quit  ? help  s sort  tab shards  i instances"
	}
	return append(lines, faint+s.justify(keys, "by "+order)+plain)
}

// justify puts a text at each end of a line.
func (s *screen) justify(left, right string) string {
	return left + strings.Repeat(" ", max(1, s.width-ansi.StringWidth(left)-ansi.StringWidth(right))) + right
}

// pad cuts or fills a text to a width, on the left if it is a number.
func pad(text string, width int, number bool) string {
	text = ansi.Truncate(text, width, "…")
	space := strings.Repeat(" ", max(0, width-ansi.StringWidth(text)))
	if number {
		return space + text
	}
	return text + space
}

// wrap breaks a text into at most so many lines. The last line may be longer than width, and is cut on
// the screen.
func wrap(text string, width, lines int) []string {
	list := strings.Split(ansi.Wrap(text, width, ""), "\n")
	if len(list) > lines {
		list = append(list[:lines-1], strings.Join(list[lines-1:], " "))
	}
	return list
}
