package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// FlagError returns the error of an unusable flag, with a hint.
func FlagError(cmd *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	var unknown *pflag.NotExistError
	switch {
	case errors.As(err, &invalid):
		return SettingError("--"+invalid.GetFlag().Name, invalid.Unwrap())
	case errors.As(err, &missing):
		name, usage := pflag.UnquoteUsage(missing.GetFlag())
		return WithHint(Usage(err), fmt.Sprintf("--%s %s: %s", missing.GetFlag().Name, name, usage))
	case errors.As(err, &unknown):
		text, _, _ := strings.Cut(err.Error(), "=") // the value may be a secret
		return WithHint(Usage(errors.New(text)), unknownFlagHint(cmd, unknown))
	}
	return Usage(err)
}

// unknownFlagHint returns the hint for an unknown flag: a flag of the command with a similar name,
// serve if the command is missing and serve has the flag, or a command with a similar name.
func unknownFlagHint(cmd *cobra.Command, unknown *pflag.NotExistError) string {
	name := unknown.GetSpecifiedName()
	if letters := unknown.GetSpecifiedShortnames(); letters != "" { // -listen, -listen=:5514
		name, _, _ = strings.Cut(letters, "=")
	}
	if meant := NearestWord(name, flagNames(cmd)); meant != "" {
		return DidYouMean("--" + meant)
	}
	if serve, _, err := cmd.Find([]string{"serve"}); err == nil && serve.Flags().Lookup(name) != nil {
		return DidYouMean(serve.CommandPath() + " --" + name)
	}
	if meant := NearestWord(name, commandNames(cmd)); meant != "" {
		return DidYouMean(cmd.CommandPath() + " " + meant)
	}
	return cmd.CommandPath() + " --help lists the flags"
}

func flagNames(cmd *cobra.Command) (names []string) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}

func commandNames(cmd *cobra.Command) (names []string) {
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() || sub.Name() == "help" {
			names = append(names, sub.Name())
		}
	}
	return names
}

// shown is an argument without the part of a URL that may be a secret.
func shown(arg string) string {
	if scheme, _, isURL := strings.Cut(arg, "://"); isURL {
		return scheme + "://…"
	}
	return arg
}

// NoArguments returns an error if a command has arguments. For a command with subcommands, the first
// argument is an unknown subcommand.
func NoArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	what, hint := "takes no arguments", cmd.CommandPath()+" --help"
	if cmd.HasSubCommands() {
		what, hint = "has no such command", cmd.CommandPath()+" --help lists the commands"
		if meant := NearestWord(args[0], commandNames(cmd)); meant != "" {
			hint = DidYouMean(cmd.CommandPath() + " " + meant)
		}
	}
	return WithHint(Usage(fmt.Errorf("%q: %s %s", shown(args[0]), cmd.CommandPath(), what)), hint)
}

// OneArgument returns a check that a command has one argument. The error has an example of it.
func OneArgument(name, example string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			return nil
		}
		err := fmt.Errorf("%s takes one %s, such as %s, not %d", cmd.CommandPath(), name, example, len(args))
		return WithHint(Usage(err), cmd.CommandPath()+" "+example)
	}
}
