package cli

import (
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// maxFlagColumn is the most columns before the descriptions of flags, half of a narrow terminal.
const maxFlagColumn = 32

// Help writes the help of a command to its output (cobra.Command.SetHelpFunc), as wide as the
// terminal.
func Help(cmd *cobra.Command, _ []string) {
	w := cmd.OutOrStdout()
	io.WriteString(w, helpText(cmd, textWidth(w)))
}

// helpText returns the help of a command. Only examples have lines of more than width columns.
func helpText(cmd *cobra.Command, width int) string {
	var out strings.Builder
	description, sections := longText(cmd)
	writeBlocks(&out, description, width)
	out.WriteString("\nUsage:\n  " + usageLine(cmd) + "\n")
	if cmd.HasAvailableSubCommands() {
		out.WriteString("\nCommands:\n")
		for _, c := range availableCommands(cmd) {
			writeTerm(&out, "  "+c.Name(), c.Short, cmd.NamePadding()+3, width)
		}
	}
	groups, column := flagGroups(cmd), 0
	for _, g := range groups {
		for _, f := range g.flags {
			column = max(column, Width(flagTerm(f))+2)
		}
	}
	column = min(column, maxFlagColumn, width/2)
	for _, g := range groups {
		out.WriteString("\n" + g.title + ":\n")
		for _, f := range g.flags {
			writeTerm(&out, flagTerm(f), flagText(f), column, width)
		}
	}
	writeBlocks(&out, sections, width)
	out.WriteString("\nExample:\n" + cmd.Example + "\n")
	return out.String()
}

func usageLine(cmd *cobra.Command) string {
	if cmd.HasAvailableSubCommands() {
		return cmd.CommandPath() + " COMMAND"
	}
	return cmd.UseLine()
}

// availableCommands returns the commands below a command, without help.
func availableCommands(cmd *cobra.Command) (commands []*cobra.Command) {
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			commands = append(commands, c)
		}
	}
	return commands
}

// groupKey is the annotation of a flag with the title of its group.
const groupKey = "udpshard_group"

// SetFlagGroup puts a flag under a title in help and man pages. Flags without a title are under
// "Flags".
func SetFlagGroup(f *pflag.Flag, title string) {
	if f.Annotations == nil {
		f.Annotations = make(map[string][]string)
	}
	f.Annotations[groupKey] = []string{title}
}

// flagGroup is the flags of a command under one title.
type flagGroup struct {
	title string
	flags []*pflag.Flag
}

// flagGroups returns the flags of a command. Groups have the order of their first flags.
func flagGroups(cmd *cobra.Command) (groups []*flagGroup) {
	cmd.InitDefaultHelpFlag()
	byTitle := make(map[string]*flagGroup)
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		title := "Flags"
		if set := f.Annotations[groupKey]; len(set) > 0 {
			title = set[0]
		}
		g := byTitle[title]
		if g == nil {
			g = &flagGroup{title: title}
			byTitle[title] = g
			groups = append(groups, g)
		}
		g.flags = append(g.flags, f)
	})
	return groups
}

// flagTerm returns the names of a flag and its value: "      --listen ADDR", "  -h, --help".
func flagTerm(f *pflag.Flag) string {
	term := "      --" + f.Name
	if f.Shorthand != "" {
		term = "  -" + f.Shorthand + ", --" + f.Name
	}
	if value, _ := pflag.UnquoteUsage(f); value != "" {
		term += " " + value
	}
	return term
}

// flagText returns the description of a flag, with the default if the default is not zero.
func flagText(f *pflag.Flag) string {
	_, usage := pflag.UnquoteUsage(f)
	switch f.DefValue {
	case "", "false", "[]":
		return usage
	}
	return usage + " (default " + Printable(f.DefValue) + ")"
}

// HelpCommand returns the help command of cobra, with errors for unknown commands.
func HelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Help about a command",
		Example: "  udpshard help serve",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err == nil {
				err = NoArguments(about, rest)
			}
			if err != nil {
				return err
			}
			return about.Help()
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
			about, _, err := cmd.Root().Find(args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			for _, c := range availableCommands(about) {
				names = append(names, cobra.CompletionWithDesc(c.Name(), c.Short))
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}
