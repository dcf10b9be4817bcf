package cli

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// testCommand has a long text of all kinds, flags in groups, and a subcommand.
func testCommand() *cobra.Command {
	run := func(*cobra.Command, []string) {}
	root := &cobra.Command{Use: "udpshard", Short: "Receive – all", Example: "  udpshard sub 'x' `y` ^~ \\\n  .dot", Run: run}
	sub := &cobra.Command{Use: "sub [flags] DIR", Short: "Look into a folder", Run: run, Example: "  udpshard sub .",
		Long: `Looks into DIR, and prints what is there. .hidden files and lines that begin
with 'quotes' are no requests.

member   the number of a member in its group, which is never a number of another
         member
/s       a rate

The last paragraph.

Exit codes:
0   done
64  a usage`}
	sub.Flags().SortFlags = false
	sub.Flags().String("address", ":1", "`ADDR` to look at")
	sub.Flags().String("very-long-name-of-a-flag-beyond", "", "`VALUE` of a flag")
	sub.Flags().Bool("日本", false, "名前、 wide characters have two columns each, and lines end in time: 日本語 日本語 日本語 日本語 日本語")
	SetFlagGroup(sub.Flags().Lookup("日本"), "Other flags")
	root.AddCommand(sub)
	return root
}

// The printed page has the text as it is written, and roff and mandoc find nothing wrong.
func TestManPage(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "man1")
	if err := WriteManPages(testCommand(), folder, "udpshard 1.0"); err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(folder + "/*")
	if err != nil || len(pages) != 2 {
		t.Fatal(pages, err)
	}
	t.Run("groff", func(t *testing.T) {
		for name, want := range map[string][]string{
			"udpshard": {"udpshard - Receive – all", "udpshard sub 'x' `y` ^~ \\", ".dot", "udpshard-sub(1)"},
			"udpshard-sub": {"Looks into DIR, and prints what is there. .hidden files and lines that begin with 'quotes'",
				"member the number of", "/s a rate", "OPTIONS Flags", "Other flags", "--address ADDR", "to look at (default :1)",
				"--日本", "EXIT CODES", "64 a usage", "udpshard(1)"},
		} {
			args := []string{"-man", "-Tutf8", "-ww", "-P-c", "-P-b", "-P-o", "-P-u", "-rLL=1000n", folder + "/" + name + ".1"}
			text := oneSpace(output(t, "groff", args...))
			for _, w := range want {
				if !strings.Contains(text, w) {
					t.Errorf("%s.1 has no %q: %s", name, w, text)
				}
			}
		}
	})
	t.Run("mandoc", func(t *testing.T) {
		found := output(t, "mandoc", append([]string{"-Tlint"}, pages...)...)
		for line := range strings.Lines(found) {
			if !strings.Contains(line, "missing date") { // which would be new in each build
				t.Error(line)
			}
		}
	})
}

func oneSpace(text string) string { return regexp.MustCompile(`\s+`).ReplaceAllString(text, " ") }

// output runs a program, and returns what the program prints.
func output(t *testing.T, program string, args ...string) string {
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("needs %s (Debian: apt install %[1]s)", program)
	}
	out, err := exec.Command(program, args...).CombinedOutput()
	if len(out) == 0 && err != nil {
		t.Fatal(err)
	}
	return string(out)
}
