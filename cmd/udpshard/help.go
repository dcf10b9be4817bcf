package main

import "github.com/spf13/cobra"

// helpCommand is cobra's, but refuses commands that do not exist.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Help about a command",
		Example: "  udpshard help serve",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err == nil {
				err = noArguments(about, rest)
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

// addCompletion adds cobra's command that writes completions.
func addCompletion(root *cobra.Command) {
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
		c.Example, c.Args = "  udpshard "+examples[c.Name()], noArguments
	}
}
