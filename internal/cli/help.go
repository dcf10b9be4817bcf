package cli

import "github.com/spf13/cobra"

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
			about.InitDefaultHelpFlag()
			return about.Help()
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
			about, _, err := cmd.Root().Find(args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			for _, c := range about.Commands() {
				if c.IsAvailableCommand() {
					names = append(names, cobra.CompletionWithDesc(c.Name(), c.Short))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// AddCompletion adds the completion command of cobra, with examples.
func AddCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	examples := map[string]string{
		"completion": "completion bash",
		"bash":       "completion bash >udpshard.bash && source ./udpshard.bash",
		"zsh":        "completion zsh >_udpshard && source ./_udpshard",
		"fish":       "completion fish | source",
		"powershell": "completion powershell | Out-String | Invoke-Expression",
	}
	all, _, _ := root.Find([]string{"completion"})
	all.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	for _, c := range append(all.Commands(), all) {
		c.Example, c.Args = "  udpshard "+examples[c.Name()], NoArguments
	}
}

// HelpTemplate is the template of the help of each command (cobra).
const HelpTemplate = `{{with or .Long .Short}}{{. | trimTrailingWhitespaces}}
{{end}}
Usage:
  {{if .HasAvailableSubCommands}}{{.CommandPath}} COMMAND{{else}}{{.UseLine}}{{end}}
{{if .HasAvailableSubCommands}}
Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{end}}{{if .HasAvailableLocalFlags}}
Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}{{if .HasExample}}
Example:
{{.Example}}
{{end}}`
