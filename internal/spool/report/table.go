package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// table is text in columns. The first row of printRows is the heading.
type table struct{ rows [][]string }

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// printRows prints a table whose first and last column are aligned to the left, and the others to
// the right; or a text if the table has nothing but its heading.
func (t *table) printRows(w io.Writer, empty string) {
	if len(t.rows) < 2 {
		fmt.Fprintf(w, "  %s\n", empty)
		return
	}
	t.print(w, "  ", 1)
}

// print prints the rows. The first columns, and the last, are aligned to the left.
func (t *table) print(w io.Writer, indent string, left int) {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var line strings.Builder
	for _, row := range t.rows {
		line.Reset()
		line.WriteString(indent)
		for i, cell := range row {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i < left || i == len(row)-1 {
				line.WriteString(cell + space + "  ")
			} else {
				line.WriteString(space + cell + "  ")
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}
