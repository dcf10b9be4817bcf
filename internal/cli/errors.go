package cli

import (
	"errors"
	"fmt"
	"strings"
)

// usageError is an error in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// configError is an error in the configuration file or in an environment variable, or a consequence
// of their settings.
type configError struct{ error }

func (e configError) Unwrap() error { return e.error }

// Usage returns an error of the command line: ExitUsage.
func Usage(err error) error { return usageError{err} }

// IsUsage reports whether an error is an error of the command line.
func IsUsage(err error) bool { return errors.As(err, new(usageError)) }

// Config returns an error of the configuration file or of an environment variable, or a consequence
// of their settings: ExitConfig.
func Config(err error) error { return configError{err} }

// IsConfig reports whether an error is an error of the configuration file or of the environment.
func IsConfig(err error) bool { return errors.As(err, new(configError)) }

// SettingError returns the error of a setting at a place: a flag (--batch), a line of the file, or
// a variable ($NAME). The suggested value of an error without a hint becomes its hint.
func SettingError(place string, err error) error {
	var meant suggestion
	if errors.As(err, &meant) && Hint(err) == "" {
		err = WithHint(err, SuggestedAt(place, meant.value))
	}
	err = fmt.Errorf("%s: %w", place, err)
	if strings.HasPrefix(place, "--") {
		return Usage(err)
	}
	return Config(err)
}

// OptionError returns the error of an option in the value of a setting. The suggested value of the
// error, if any, becomes its hint.
func OptionError(name string, err error) error {
	var meant suggestion
	if errors.As(err, &meant) {
		err = WithHint(err, DidYouMean(name+" "+meant.value))
	}
	return fmt.Errorf("option %s: %w", name, err)
}

// hinted is an error with a remedy.
type hinted struct {
	error
	hint string
}

func (e hinted) Hint() string  { return e.hint }
func (e hinted) Unwrap() error { return e.error }

// WithHint returns an error with a remedy: a command to run, or a value to use.
func WithHint(err error, hint string) error { return hinted{err, hint} }

// Hint returns the remedy of an error, or "".
func Hint(err error) string {
	var remedy interface{ Hint() string }
	if !errors.As(err, &remedy) {
		return ""
	}
	return remedy.Hint() // "" for some types
}

// NeedsFiles adds to an error for want of descriptors (EMFILE) how many files are enough.
func NeedsFiles(err error, enough int) error {
	return WithHint(err, fmt.Sprintf("ulimit -n %d, or LimitNOFILE=%d in the unit", enough, enough))
}
