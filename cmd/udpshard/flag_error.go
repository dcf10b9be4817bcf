package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagError is the error of a flag that can't be used, with its remedy.
func flagError(cmd *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	var unknown *pflag.NotExistError
	switch {
	case errors.As(err, &invalid):
		return unusable("--"+invalid.GetFlag().Name, invalid.Unwrap())
	case errors.As(err, &missing):
		name, usage := pflag.UnquoteUsage(missing.GetFlag())
		return hinted{usageError{err}, fmt.Sprintf("--%s %s: %s", missing.GetFlag().Name, name, usage)}
	case errors.As(err, &unknown):
		return hinted{usageError{err}, unknownFlagHint(cmd, unknown)}
	}
	return usageError{err}
}

// unknownFlagHint names the flag that was probably meant: one of the command, or where the
// command itself is missing, one of serve, or a command.
func unknownFlagHint(cmd *cobra.Command, unknown *pflag.NotExistError) string {
	name := unknown.GetSpecifiedName()
	if letters := unknown.GetSpecifiedShortnames(); letters != "" { // -listen
		name = letters
	}
	if meant := nearest(name, flagNames(cmd)); meant != "" {
		return didYouMean("--" + meant)
	}
	if serve, _, err := cmd.Find([]string{"serve"}); err == nil && serve.Flags().Lookup(name) != nil {
		return didYouMean(serve.CommandPath() + " --" + name)
	}
	if meant := nearest(name, commandNames(cmd)); meant != "" {
		return didYouMean(cmd.CommandPath() + " " + meant)
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
