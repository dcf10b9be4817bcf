package cli

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// block is a part of the long text of a command: a heading, a paragraph, or a term with its
// description. Help and man pages are made of the same blocks.
type block struct {
	heading bool
	spaced  bool   // an empty line is before the block
	indent  int    // of the term, in columns
	column  int    // of the description of a term; 0: no term
	term    string // "": no term
	text    string // of the heading or paragraph, or the description; one line
}

var (
	termLine    = regexp.MustCompile(`^ *(\S+(?: \S+)*) {2,}(\S.*)$`)
	headingLine = regexp.MustCompile(`^[A-Z][a-z ]+:$`)
)

// parseText returns the blocks of a long text. An empty line ends a block. Two spaces in a line are
// between a term and its description; the next lines, up to the next term, continue the description.
// A line such as "Exit codes:" after an empty line is a heading.
func parseText(text string) (blocks []block) {
	var last *block // the block that the next line may continue
	spaced := false
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		at := termLine.FindStringSubmatchIndex(line)
		b := block{spaced: spaced, text: strings.TrimSpace(line)}
		switch {
		case line == "":
			last, spaced = nil, true
			continue
		case at != nil:
			b.indent, b.column = at[2], at[4]
			b.term, b.text = line[at[2]:at[3]], line[at[4]:]
		case last != nil && !last.heading:
			last.text += " " + b.text
			continue
		default:
			b.heading = last == nil && headingLine.MatchString(line)
		}
		blocks = append(blocks, b)
		last, spaced = &blocks[len(blocks)-1], false
	}
	return blocks
}

// longText returns the blocks of the long text of a command: the description, and from the first
// heading on the sections, which follow the flags.
func longText(cmd *cobra.Command) (description, sections []block) {
	blocks := parseText(cmp.Or(cmd.Long, cmd.Short))
	first := slices.IndexFunc(blocks, func(b block) bool { return b.heading })
	if first < 0 {
		first = len(blocks)
	}
	return blocks[:first], blocks[first:]
}

// writeBlocks writes blocks in lines of at most width columns.
func writeBlocks(out *strings.Builder, blocks []block, width int) {
	for _, b := range blocks {
		if b.spaced {
			out.WriteByte('\n')
		}
		if b.term != "" {
			writeTerm(out, strings.Repeat(" ", b.indent)+b.term, b.text, b.column, width)
			continue
		}
		writeWords(out, b.text, 0, width)
	}
}

// writeTerm writes a term, and its description from a column on: on the next line if the term is
// too long.
func writeTerm(out *strings.Builder, term, text string, column, width int) {
	out.WriteString(term)
	if used := Width(term); used > column-2 {
		out.WriteByte('\n')
		out.WriteString(strings.Repeat(" ", column))
	} else {
		out.WriteString(strings.Repeat(" ", column-used))
	}
	writeWords(out, text, column, width)
}

// leastWords is the least number of columns for words, on a terminal that is too narrow.
const leastWords = 20

// writeWords writes the words of a text in lines that end before the column width. The first line
// begins at the column indent, and the next lines are indented. A longer word has its own line.
func writeWords(out *strings.Builder, text string, indent, width int) {
	width = max(width, indent+leastWords)
	at := indent
	for i, word := range strings.Fields(text) {
		used := Width(word)
		switch {
		case i == 0:
		case at+1+used > width:
			out.WriteString("\n" + strings.Repeat(" ", indent))
			at = indent
		default:
			out.WriteByte(' ')
			at++
		}
		out.WriteString(word)
		at += used
	}
	out.WriteByte('\n')
}
