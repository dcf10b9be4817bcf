package cli

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Completion returns the values of a flag that a shell offers, and what else the shell does: whether
// it offers files, for example. begin is what the user has typed.
type Completion func(begin string) (values []string, then cobra.ShellCompDirective)

// Words returns a completion of words. No space follows a word that a value begins with, such as
// file: or tcp://.
func Words[T ~string](words ...T) Completion {
	return func(begin string) (values []string, then cobra.ShellCompDirective) {
		then = cobra.ShellCompDirectiveNoFileComp
		for _, w := range words {
			if !strings.HasPrefix(string(w), begin) {
				continue
			}
			values = append(values, string(w))
			if strings.ContainsAny(string(w[len(w)-1:]), ":/") {
				then |= cobra.ShellCompDirectiveNoSpace
			}
		}
		return values, then
	}
}

// Files is a completion of file names.
func Files(string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

// CompleteFiles is the completion of a command whose arguments are files
// (cobra.Command.ValidArgsFunction).
func CompleteFiles(_ *cobra.Command, _ []string, begin string) ([]string, cobra.ShellCompDirective) {
	return Files(begin)
}

// Folders is a completion of the names of folders.
func Folders(string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// CompleteFolder is the completion of a command with one argument, a folder
// (cobra.Command.ValidArgsFunction).
func CompleteFolder(_ *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return Folders(begin)
}

// completer is a pflag.Value with a completion; nil: none.
type completer interface{ Completion() Completion }

// completeFlags registers the completions of all flags.
func completeFlags(cmd *cobra.Command) {
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		var offer Completion
		if f.Value.Type() == "bool" {
			offer = Words("true", "false")
		} else if value, ok := f.Value.(completer); ok {
			offer = value.Completion()
		}
		if offer == nil {
			return
		}
		err := cmd.RegisterFlagCompletionFunc(f.Name, func(_ *cobra.Command, _ []string, begin string) ([]string, cobra.ShellCompDirective) {
			return offer(begin)
		})
		if err != nil {
			panic(err) // a flag that is registered twice
		}
	})
	for _, c := range cmd.Commands() {
		completeFlags(c)
	}
}

// AddCompletion adds the completion command of cobra, with texts and examples of udpshard, and the
// completion of all flags and arguments: a value that is not completed otherwise is no file.
func AddCompletion(root *cobra.Command) {
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
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
	completeFlags(root)
}
