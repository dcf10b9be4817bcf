package top

import (
	"fmt"
	"strings"

	"github.com/udpshard/udpshard/internal/cli"
)

// wideFrom is the width of terminals from which headings and numbers are not shortened.
const wideFrom = 110

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
	charts := newCharts(s.lines, scale, s.now)
	for _, l := range visible {
		list = append(list, s.line(l, name, charts, wide))
	}
	return list
}

// maxName returns the largest width of names. Addresses of instances need more than names of listeners.
func (s *screen) maxName() int {
	least := 12
	if s.summed && len(s.instances) > 1 {
		least = 21
	}
	return max(least, 3*s.width/20)
}

// line returns a line of the table.
func (s *screen) line(l line, name int, charts charts, wide bool) string {
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
		text += charts.tail(l)
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
