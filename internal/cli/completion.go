package cli

import "github.com/spf13/cobra"

// AddCompletion adds the completion command of cobra, with texts and examples of udpshard.
func AddCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	texts := map[string]struct{ long, example string }{
		"completion": {"", "completion bash"},
		"bash": {"bash needs the package bash-completion. To have completion in each new shell, write " +
			"the script to ~/.local/share/bash-completion/completions/udpshard.",
			"completion bash >udpshard.bash && source ./udpshard.bash"},
		"zsh": {"zsh needs the function compinit. To have completion in each new shell, write the " +
			"script to a file _udpshard in a folder of $fpath.",
			"completion zsh >_udpshard && source ./_udpshard"},
		"fish": {"To have completion in each new shell, write the script to " +
			"~/.config/fish/completions/udpshard.fish.",
			"completion fish | source"},
		"powershell": {"", "completion powershell | Out-String | Invoke-Expression"},
	}
	all, _, _ := root.Find([]string{"completion"})
	all.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	for _, c := range append(all.Commands(), all) {
		text := texts[c.Name()]
		c.Args, c.Example = NoArguments, "  udpshard "+text.example
		c.Long = c.Short + ".\n\n" + text.long
	}
}
