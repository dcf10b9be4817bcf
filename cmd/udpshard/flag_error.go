package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/udpshard/udpshard/internal/cli"
)

// flagError is the error of a flag that can't be used, with its remedy.
func flagError(cmd *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	var unknown *pflag.NotExistError
	switch {
	case errors.As(err, &invalid):
		return cli.Unusable("--"+invalid.GetFlag().Name, invalid.Unwrap())
	case errors.As(err, &missing):
		name, usage := pflag.UnquoteUsage(missing.GetFlag())
		return cli.WithHint(cli.Usage(err), fmt.Sprintf("--%s %s: %s", missing.GetFlag().Name, name, usage))
	case errors.As(err, &unknown):
		return cli.WithHint(cli.Usage(err), unknownFlagHint(cmd, unknown))
	}
	return cli.Usage(err)
}

// unknownFlagHint names the flag that was probably meant: one of the command, or where the
// command itself is missing, one of serve, or a command.
func unknownFlagHint(cmd *cobra.Command, unknown *pflag.NotExistError) string {
	name := unknown.GetSpecifiedName()
	if letters := unknown.GetSpecifiedShortnames(); letters != "" { // -listen
		name = letters
	}
	if meant := cli.Nearest(name, flagNames(cmd)); meant != "" {
		return cli.DidYouMean("--" + meant)
	}
	if serve, _, err := cmd.Find([]string{"serve"}); err == nil && serve.Flags().Lookup(name) != nil {
		return cli.DidYouMean(serve.CommandPath() + " --" + name)
	}
	if meant := cli.Nearest(name, commandNames(cmd)); meant != "" {
		return cli.DidYouMean(cmd.CommandPath() + " " + meant)
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
