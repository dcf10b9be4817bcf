package top

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/internal/overview"
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

// wideFrom is the width of terminals from which headings and numbers are not shortened.
const wideFrom = 110

// screen is what a screen shows.
type screen struct {
	width, height int
	interval      time.Duration
	now           time.Time
	instances     []*instance
	tree          []row  // sorted
	lines         []line // of tree
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
	if len(s.instances) > 1 {
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

// headline describes the process: role, version, PID and uptime.
func (i *instance) headline(now time.Time) string {
	if i.at.IsZero() {
		return i.state()
	}
	return fmt.Sprintf("%s  %s  pid %d  started %s", i.state(), cli.Printable(i.status.Version), i.status.PID,
		format.Ago(i.status.StartedAt, now))
}

// badness orders instances for the head of the screen.
func (i *instance) badness() int {
	switch {
	case i.at.IsZero() && i.err == nil:
		return 0
	case i.err != nil:
		return 4
	case i.overview.State == overview.Losing:
		return 5
	case len(i.overview.Warnings) > 0:
		return 3
	case i.overview.State == overview.LostBefore:
		return 2
	}
	return 1
}

// verdict answers whether anything was lost.
func (i *instance) verdict(now time.Time) string {
	switch {
	case i.err != nil && i.at.IsZero():
		return i.err.Error()
	case i.err != nil:
		return fmt.Sprintf("%s (the last answer came %s)", i.err, format.Ago(i.at, now))
	case i.at.IsZero():
		return "asks " + i.name
	}
	return overview.Of(i.status, now).Text
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

// remedies returns what helps, and the first warning.
func (i *instance) remedies() (list []string) {
	if i.err != nil {
		if hint := cli.Hint(i.err); hint != "" {
			list = append(list, "hint: "+hint)
		}
		return list
	}
	if i.overview.Remedy != "" {
		list = append(list, "remedy: "+i.overview.Remedy)
	}
	if warnings := i.overview.Warnings; len(warnings) > 0 {
		text := "warning: "
		if more := len(warnings) - 1; more > 0 {
			text = fmt.Sprintf("warning, and %d more: ", more)
		}
		list = append(list, text+warnings[0].Text+". "+warnings[0].Remedy)
	}
	return list
}

// table returns the heading and the visible lines.
func (s *screen) table(visible []line) []string {
	wide := s.width >= wideFrom
	name := len(columns[0].short)
	for _, l := range s.lines {
		if !l.title {
			name = max(name, 2*l.depth+cli.Width(cli.Printable(l.name)))
		}
	}
	name = min(name, s.maxName())
	heading, used := "  ", 2
	for i, c := range columns {
		width, text := c.size(wide)
		if i == 0 {
			width = name
		}
		if i == s.sortBy {
			text = bold + text + plain + inverse
		}
		heading += pad(text, width, i > 0) + " "
		used += width + 1
	}
	scale := newTimeScale(max(0, s.width-used), s.interval)
	if scale.cells >= minCells {
		heading += fmt.Sprintf("%d min", int(scale.span().Minutes()))
	}
	list := []string{inverse + pad(heading, s.width, false) + plain}
	for _, l := range visible {
		list = append(list, s.line(l, name, scale, wide))
	}
	return list
}

// minCells is the shortest sparkline.
const minCells = 5

// maxName returns the largest width of names. Addresses of instances need more than names of listeners.
func (s *screen) maxName() int {
	least := 12
	if s.summed && len(s.instances) > 1 {
		least = 21
	}
	return max(least, 3*s.width/20)
}

// size returns the width and the heading of a column.
func (c column) size(wide bool) (width int, heading string) {
	if wide {
		return max(c.width, len(c.long)) + 1, c.long
	}
	return c.width, c.short
}

// line returns a line of the table.
func (s *screen) line(l line, name int, scale timeScale, wide bool) string {
	text := "  "
	selected := s.selected < len(s.lines) && l.id == s.lines[s.selected].id
	if selected {
		text = "> "
	}
	indent := strings.Repeat("  ", l.depth)
	if l.title {
		text += indent + cli.Printable(l.name) + "  " + l.text
	} else {
		for i, c := range columns {
			cell := c.text(l.row, wide)
			width, _ := c.size(wide)
			if i == 0 {
				cell, width = indent+cli.Printable(cell), name
			}
			text += pad(cell, width, i > 0) + " "
		}
		text += s.tail(l, scale)
	}
	switch {
	case selected:
		return bold + text + plain
	case l.rates.lost > 0 || l.state == "stalled" || l.state == "waits":
		return red + text + plain
	case l.title:
		return bold + text + plain
	}
	return text
}

// tail returns the state and the sparkline of a line.
func (s *screen) tail(l line, scale timeScale) string {
	state := l.state
	if state != "" {
		state += " "
	}
	cells := scale.cells - len(state)
	if cells < minCells {
		return state
	}
	means := scale.means(l.shards, s.now)
	return state + sparkline(means[len(state):], max(largest(means), s.scaleOf(l, scale)))
}

// scaleOf returns the largest rate of the rows beside a leaf, so that their sparklines compare.
func (s *screen) scaleOf(l line, scale timeScale) (most float64) {
	if !l.leaf {
		return 0
	}
	for _, other := range s.siblings(s.tree, l.id) {
		most = max(most, largest(scale.means(other.shards, s.now)))
	}
	return most
}

// siblings returns the rows beside the row with an ID.
func (s *screen) siblings(tree []row, id string) []row {
	for _, r := range tree {
		if r.id == id {
			return tree
		}
		if found := s.siblings(r.under, id); found != nil {
			return found
		}
	}
	return nil
}

// targets returns the table of targets in at most so many lines, with an empty line before.
func (s *screen) targets(most int) (list []string) {
	all := targetRows(s.instances)
	if len(all) == 0 {
		return nil
	}
	shown := all
	if room := max(1, most-2); len(all) > room { // an empty line, the heading
		shown = all[:max(1, room-1)]
	}
	var text strings.Builder
	_ = targetTable(shown, s.now).Print(&text, "  ") // a strings.Builder has no errors
	for n, l := range slices.Collect(strings.Lines(text.String())) {
		l = strings.TrimSuffix(l, "\n")
		switch {
		case n == 0:
			l = inverse + pad(l, s.width, false) + plain
		case shown[n-1].output.LastError != "":
			l = yellow + l + plain
		}
		list = append(list, l)
	}
	if more := len(all) - len(shown); more > 0 {
		list = append(list, "  and "+format.Plural(more, "more target"))
	}
	return append([]string{""}, list...)
}

// targetTable returns the table of targets.
func targetTable(list []targetRow, now time.Time) *cli.Table {
	table := cli.NewTable("lrrrrl", "target", "acked/s", "waiting", "oldest", "lost", "last error")
	for _, r := range list {
		rate, oldest := unknown, ""
		if r.target.known {
			rate = count(r.target.perSecond, false)
		}
		if r.output.Waiting > 0 {
			oldest = format.Ago(now.Add(-time.Duration(r.output.OldestWaiting*float64(time.Second))), now)
		}
		table.Row(r.name, rate, count(float64(r.output.Waiting), false), oldest,
			count(float64(r.output.Rejected+r.output.Expired), false), r.output.LastError)
	}
	return table
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
