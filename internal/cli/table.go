package cli

import (
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/clipperhouse/displaywidth"
)

// Table is text in columns, two spaces apart, as wide as a terminal shows the cells. The zero value
// has no columns: use NewTable.
type Table struct {
	align string
	rows  [][]string
}

// NewTable returns a table with a heading, or none. align has a letter for each column: l aligns
// the column to the left, and r to the right, for numbers.
func NewTable(align string, heading ...string) *Table {
	t := &Table{align: align}
	if len(heading) > 0 {
		t.Row(heading...)
	}
	return t
}

// Row adds a row. Columns without a cell are empty. Row escapes the cells (Printable).
func (t *Table) Row(cells ...string) {
	row := make([]string, len(t.align))
	for i, cell := range cells {
		row[i] = Printable(cell)
	}
	t.rows = append(t.rows, row)
}

// Rows returns the number of rows, with the heading.
func (t *Table) Rows() int { return len(t.rows) }

// Print prints the rows, each after the indent.
func (t *Table) Print(w io.Writer, indent string) error {
	widths := make([]int, len(t.align))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], Width(cell))
		}
	}
	var text strings.Builder
	for _, row := range t.rows {
		line := indent
		for i, cell := range row {
			space := strings.Repeat(" ", widths[i]-Width(cell))
			if t.align[i] == 'r' {
				cell, space = space+cell, ""
			}
			line += cell + space + "  "
		}
		text.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// Width returns the number of columns that a terminal needs for a text without control characters:
// two for a wide character such as an ideograph or most emoji (UAX #11), none for a combining mark.
func Width(text string) int { return displaywidth.String(text) }

// Printable returns a text for a terminal: control characters, characters that have no shape or
// change the direction of text, and bytes that are not UTF-8 are escaped as in Go, such as \x1b.
func Printable(text string) string {
	var out strings.Builder
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			out.WriteString(`\x` + strconv.FormatUint(0x100|uint64(text[i]), 16)[1:])
		case strconv.IsPrint(r):
			out.WriteRune(r)
		default:
			quoted := strconv.QuoteRune(r)
			out.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return out.String()
}
