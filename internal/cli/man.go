package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// WriteManPages writes a man page for a command and each command below it to a folder, such as
// udpshard-serve.1: the text of the help, for the macros of man(7). WriteManPages makes the folder
// if it is missing. The pages depend only on the commands and on source, the program and its
// version: they have no date.
func WriteManPages(cmd *cobra.Command, folder, source string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, c := range availableCommands(cmd) {
		if err := WriteManPages(c, folder, source); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(folder, pageName(cmd)+".1"), []byte(manPage(cmd, source)), 0o644)
}

// pageName returns the name of the man page of a command.
func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// manPage returns the man page of a command.
func manPage(cmd *cobra.Command, source string) string {
	p := new(page)
	name := pageName(cmd)
	p.line(`.TH "%s" "1" "" "%s" "User Commands"`, roff(strings.ToUpper(name)), roff(source))
	p.line(".nh") // names of commands are not divided at the end of a line
	p.section("Name")
	p.text(name + " - " + cmd.Short)
	p.section("Synopsis")
	p.line(`.B %s`, roff(usageLine(cmd)))
	p.section("Description")
	description, sections := longText(cmd)
	p.blocks(description)
	if cmd.HasAvailableSubCommands() {
		p.section("Commands")
		for _, c := range availableCommands(cmd) {
			p.term(`.BR `+roff(pageName(c))+` (1)`, c.Short)
		}
	}
	p.section("Options")
	groups := flagGroups(cmd)
	for _, g := range groups {
		if len(groups) > 1 {
			p.line(`.SS %s`, roff(g.title))
		}
		for _, f := range g.flags {
			p.term(`.B "`+roff(strings.TrimSpace(flagTerm(f)))+`"`, flagText(f))
		}
	}
	p.blocks(sections)
	p.section("Examples")
	p.line(".EX")
	for line := range strings.SplitSeq(cmd.Example, "\n") {
		p.line("%s", roff(strings.TrimPrefix(line, "  ")))
	}
	p.line(".EE")
	p.section("See also")
	related := availableCommands(cmd)
	if cmd.HasParent() {
		related = append(related, cmd.Parent())
	}
	for i, c := range related {
		comma := ","
		if i == len(related)-1 {
			comma = ""
		}
		p.line(".BR %s (1)%s", roff(pageName(c)), comma)
	}
	return p.String()
}

// page is the text of a man page.
type page struct{ strings.Builder }

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func (p *page) section(title string) { p.line(".SH %s", roff(strings.ToUpper(title))) }

// text writes a text in lines of at most 80 characters.
func (p *page) text(text string) { writeWords(&p.Builder, roff(text), 0, defaultWidth) }

// term writes a term, which is a request of roff, and its description.
func (p *page) term(request, text string) {
	p.line(".TP\n%s", request)
	p.text(text)
}

func (p *page) blocks(blocks []block) {
	for i, b := range blocks {
		switch {
		case b.heading:
			p.section(strings.TrimSuffix(b.text, ":"))
		case b.term != "":
			p.term(`.B "`+roff(b.term)+`"`, b.text)
		default:
			if i > 0 && !blocks[i-1].heading {
				p.line(".PP")
			}
			p.text(b.text)
		}
	}
}

// roffEscapes are the ASCII characters that roff does not print as they are: \ begins an escape, and
// the others are printed as a hyphen, accents and typographic quotes, which a shell does not accept
// (groff_char(7)).
var roffEscapes = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `'`, `\(aq`, "`", `\(ga`, `^`, `\(ha`,
	`~`, `\(ti`, `"`, `\(dq`)

// roff returns the source of a text that man(1) prints as it is.
func roff(text string) string {
	var out strings.Builder
	before := ' '
	for _, r := range roffEscapes.Replace(text) {
		if r == '.' && before == ' ' { // would be a request at the begin of a line
			out.WriteString(`\&`)
		}
		before = r
		if r < 0x80 {
			out.WriteRune(r)
		} else {
			fmt.Fprintf(&out, `\[u%04X]`, r)
		}
	}
	return out.String()
}
