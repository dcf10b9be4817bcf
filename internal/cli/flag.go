package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"
)

// Flag is a pflag.Value of a type with a parser.
type Flag[T any] struct {
	To    *T     // the flag's value
	Text  string // the value in the help text
	Parse func(string) (T, error)
	Offer Completion // of values; nil: none
}

// Completion implements completer.
func (f *Flag[T]) Completion() Completion { return f.Offer }

func (f *Flag[T]) String() string { return f.Text }

func (f *Flag[T]) Type() string { return "string" }

func (f *Flag[T]) Set(text string) error {
	value, err := f.Parse(text)
	if err == nil {
		*f.To, f.Text = value, text
	}
	return err
}

// AddFlag defines a flag with a parser. *to is the default; help does not show a default of zero.
func AddFlag[T any](set *pflag.FlagSet, to *T, name string, parse func(string) (T, error), usage string) *Flag[T] {
	text := fmt.Sprint(*to)
	if text == "0" || text == "[]" {
		text = ""
	}
	f := &Flag[T]{To: to, Text: text, Parse: parse}
	set.Var(f, name, usage)
	return f
}

// FileName is a pflag.Value for the name of a file. An empty name is an error: --config $FILE with
// an unset variable must not mean --config without a file.
type FileName string

func (n *FileName) String() string { return string(*n) }
func (n *FileName) Type() string   { return "string" }

func (n *FileName) Set(text string) error {
	if text == "" {
		return errors.New("empty file name")
	}
	*n = FileName(text)
	return nil
}

// Completion implements completer.
func (n *FileName) Completion() Completion { return Files }

// ParseText is the parser of a flag or key that accepts any text.
func ParseText(text string) (string, error) { return text, nil }
