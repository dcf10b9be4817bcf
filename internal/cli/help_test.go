package cli

import (
	"strings"
	"testing"
)

// Lines end at the width, descriptions are aligned, and examples stay as they are.
func TestHelpText(t *testing.T) {
	sub := testCommand().Commands()[0]
	want := `
Looks into DIR, and prints what is there.
.hidden files and lines that begin with
'quotes' are no requests.

member   the number of a member in its
         group, which is never a number of
         another member
/s       a rate

The last paragraph.

Usage:
  udpshard sub [flags] DIR

Flags:
      --address ADDR  ADDR to look at
                      (default :1)
      --very-long-name-of-a-flag-beyond VALUE
                      VALUE of a flag
  -h, --help          help for sub

Other flags:
      --日本          名前、 wide characters
                      have two columns each,
                      and lines end in time:
                      日本語 日本語 日本語
                      日本語 日本語

Exit codes:
0   done
64  a usage

Example:
  udpshard sub .
`
	if got := "\n" + helpText(sub, 44); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// Text is never wider than a terminal of common widths, and has no trailing spaces.
func TestHelpWidth(t *testing.T) {
	for _, width := range []int{60, 80, 100} {
		for _, cmd := range append(testCommand().Commands(), testCommand()) {
			text, _, _ := strings.Cut(helpText(cmd, width), "\nExample:\n")
			for line := range strings.SplitSeq(text, "\n") {
				if Width(line) > width || strings.HasSuffix(line, " ") {
					t.Errorf("%s, %d columns: %q", cmd.Name(), width, line)
				}
			}
		}
	}
}
